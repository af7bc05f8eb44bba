"""How `rnagpt chat` prints RNAs, answers and records: as text, as JSON, or on a terminal."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import IO, TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from rnagpt.cli.terminal_answers import AnswerView
    from rnagpt.inference.batch import Answer

_Source = TypeVar("_Source")


def confidence_note(confidence: float | None) -> str:
    """What is added to an answer: nothing where the model was not calibrated."""
    return "" if confidence is None else f" (confidence {confidence:.2f})"


def print_answers(
    answers: Iterator[Answer],
    as_json: bool,
    explain: Callable[[Answer], dict[str, Any]] | None = None,
    total: int | None = None,
    done: int = 0,
    out: IO[str] | None = None,
) -> None:
    """Print answers as they come.

    Args:
        answers: those that are not `done`.
        as_json: one JSON object per line.
        explain: what is added to an answer.
        total: how many there are, `done` ones included.
        done: how many were printed before.
        out: where to; by default standard output.
    """
    from rnagpt.cli.progress import Progress

    view = None if as_json else drawn_view(indent=4)
    record = 0
    told: set[int] = set()
    with Progress("answering", " answers", total=total) as progress:
        progress.advance(done)
        for answer in answers:
            explanation = explain(answer) if explain else None
            is_new = answer.record != record
            if is_new:
                told = set()
            with progress.aside():
                if as_json:
                    row = answer.as_row() | ({"explanation": explanation} if explanation else {})
                    print(json.dumps(row, ensure_ascii=False), file=out, flush=True)
                else:
                    if record and is_new:
                        print()
                    summary = explanation["summary"] if explanation else ""
                    if view is None:
                        _print_answer(answer, is_new, summary, told)
                    else:
                        _draw_answer(view, answer, is_new, summary, told)
            record = answer.record
            progress.advance()


def _print_answer(answer: Answer, is_new: bool, summary: str, told: set[int]) -> None:
    """An answer as plain text, below the title of its RNA where that `is_new`."""
    if is_new:
        print(title(answer.name, answer.length, answer.changes))
    text = f"{answer.answer}{confidence_note(answer.confidence)}{_cut_note(answer)}"
    text += f"\n[{summary}]" if summary else ""
    lines = new_records(answer.cites, answer.sources, told)
    text = "\n".join([text, *lines])
    print(f"  {answer.question}\n{textwrap.indent(text, '    ')}", flush=True)


def _draw_answer(
    view: AnswerView, answer: Answer, is_new: bool, summary: str, told: set[int]
) -> None:
    """The same on a terminal."""
    if is_new:
        view.title(answer.name, answer.length, answer.changes)
    view.question(answer.question)
    view.answer(answer.answer, answer.items)
    view.confidence(answer.confidence, answer.basis, _cut_note(answer).strip(" []"))
    if summary:
        view.remark(summary)
    items = {item.number: item for item in answer.items}
    view.records(new_records(answer.cites, items, told))
    view.console.file.flush()


def drawn_view(indent: int = 0) -> AnswerView | None:
    """What draws on the terminal; None where standard output is none."""
    from rnagpt.cli.terminal import console_of

    if (console := console_of(sys.stdout)) is None:
        return None
    from rnagpt.cli.terminal_answers import AnswerView

    return AnswerView(console, indent)


def _cut_note(answer: Answer) -> str:
    return "" if answer.complete else " [cut at --max-new-tokens]"


def new_records(
    cites: Iterable[int], sources: Mapping[int, _Source], told: set[int]
) -> list[_Source]:
    """Of the records, those that are cited for the first time; they are told from now on."""
    new = [number for number in cites if number not in told]
    told.update(new)
    return [sources[number] for number in new]


def title(name: str, length: int, changes: tuple[str, ...]) -> str:
    return f"{name} ({', '.join([f'{length:,} nt', *changes])})"


__all__ = ["confidence_note", "drawn_view", "new_records", "print_answers", "title"]
