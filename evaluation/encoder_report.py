"""The report on an encoder's probes, as Markdown and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from rnagpt.evaluation.probe_figures import Estimate, Figure


def write_report(
    figures: Sequence[Figure], command: str, out: Path, notes: Sequence[str] = ()
) -> str:
    """Write encoder.md and encoder.json into a folder; returns the Markdown."""
    out.mkdir(parents=True, exist_ok=True)
    text = as_markdown(figures, command, notes)
    (out / "encoder.md").write_text(text, encoding="utf-8")
    rows = [asdict(figure) for figure in figures]
    (out / "encoder.json").write_text(f"{json.dumps(rows, indent=2)}\n", encoding="utf-8")
    return text


def as_markdown(figures: Sequence[Figure], command: str, notes: Sequence[str] = ()) -> str:
    """A table for each question, with a row for each way; what was not measured is a dash."""
    lines = [f"`{command}`", "", "Intervals are 95 %, by resampling families."]
    for note in notes:
        lines += ["", note]
    for figure in figures:
        lines += ["", f"## {_heading(figure.question)}", ""]
        families = f" of {figure.families:,} families" if figure.families else ""
        lines += [f"{figure.rnas:,} RNAs{families}.", ""]
        lines += _table(figure)
    return "\n".join([*lines, ""])


def _heading(question: str) -> str:
    """A question with a capital letter, unless its first word is a name with a small one."""
    return question if question.startswith("nRC") else question[0].upper() + question[1:]


def _table(figure: Figure) -> Iterator[str]:
    names = list(dict.fromkeys(name for scores in figure.ways.values() for name in scores))
    yield f"| by | {' | '.join(names)} |"
    yield "| --- |" + " --- |" * len(names)
    for way, scores in figure.ways.items():
        cells = " | ".join(show(scores.get(name)) for name in names)
        yield f"| {way} | {cells} |"


def show(estimate: Estimate | None) -> str:
    """A figure with its interval."""
    if estimate is None:
        return "–"
    return f"{estimate.value:.3f} ({estimate.low:.3f}–{estimate.high:.3f})"


__all__ = ["as_markdown", "show", "write_report"]
