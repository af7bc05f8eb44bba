"""Drawings of what the answers of `rnagpt chat` rest on."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnagpt.cli.chat_answers import confidence_note

if TYPE_CHECKING:
    from rnagpt.cleaning_rnagpt import CleanedRna
    from rnagpt.inference.attribution import NucleotideScores
    from rnagpt.inference.batch import Answer
    from rnagpt.inference.local_model import LocalModel
    from rnagpt.reference.library import Reference
    from rnagpt.sequences.folding import SecondaryStructure


def check_drawing() -> None:
    """Find out before any work whether structures can be drawn."""
    from rnagpt.sequences.folding import fold_rna

    try:
        fold_rna("A")
    except ImportError as error:
        raise ValueError(str(error)) from error


class Explainer:
    """Draws what answers rest on, in the order of `answer_questions`: all of the first RNA first.

    Args:
        language: the model that wrote them, or would have.
        reference: of the families' structures; None: minimum free energy alone.
        rnas: that are asked about.
        questions: how many are asked of each RNA.
        folder: for the drawings.
        done: answers that were drawn before.
    """

    def __init__(
        self,
        language: LocalModel,
        reference: Reference | None,
        rnas: list[CleanedRna],
        questions: int,
        folder: Path,
        done: int = 0,
    ) -> None:
        self.language, self.reference = language, reference
        self.rnas, self.folder = rnas, folder
        numbers = itertools.cycle(range(1, questions + 1))
        self.numbers = itertools.islice(numbers, done % questions, None)

    def __call__(self, answer: Answer) -> dict[str, Any]:
        """Draw the next answer; what `--json` says of it."""
        from rnagpt.inference.attribution import explain_answer
        from rnagpt.inference.messages import user_message

        asked = user_message(answer.question, [self.rnas[answer.record - 1].sequence])
        answered = {"role": "assistant", "content": answer.written}
        scored = explain_answer(self.language.model, self.language.processor, [asked, answered])
        caption = f"{answer.question}\n{answer.answer}{confidence_note(answer.confidence)}"
        file = self.folder / f"{answer.record}-{next(self.numbers)}.svg"
        (structure,) = draw_scored(file, scored, [answer.name], caption, self.reference)
        return {
            "drawing": str(file),
            **scored[0].to_dict(),
            "structure": structure.pairs,
            "structure_source": structure.source,
        }


def draw_scored(
    file: Path,
    scored: list[NucleotideScores],
    names: Sequence[str],
    caption: str,
    reference: Reference | None,
) -> list[SecondaryStructure]:
    """Draw scores on the structures that are known of their RNAs; returns these."""
    from rnagpt.reference.structures import structure_of
    from rnagpt.sequences.drawing import draw_scores

    structures = [structure_of(rna.sequence, reference) for rna in scored]
    drawing = draw_scores(scored, names, caption, structures=structures)
    file.write_text(drawing, encoding="utf-8")
    return structures


__all__ = ["Explainer", "check_drawing", "draw_scored"]
