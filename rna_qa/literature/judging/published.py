"""What a data set's card says of its precision: measured on it, on another one, or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rnagpt.rna_qa.literature.claims import extractive, question_generation
from rnagpt.rna_qa.literature.judging.precision import describe_share

# The figures of a sample from a build of this program, with the versions that wrote it.
MEASURED = Path(__file__).with_name("measured.json")
_HEAD = ("| of | judged | right | precision (95 % interval) |", "| --- | ---: | ---: | --- |")


def versions() -> dict[str, int]:
    """Of the code that writes claims and questions without a language model."""
    return {"claims": extractive.VERSION, "questions": question_generation.VERSION}


def describe_precision(record: Mapping[str, Any]) -> Iterator[str]:
    """The lines of a card about the precision of a build.

    Args:
        record: of the build; under ``precision`` it has what was measured on it.
    """
    if own := record.get("precision"):
        yield "Of claims and questions drawn at random from this build."
        yield from _describe(own)
        return
    yield "This build was not judged: `rna-qa sample OUT SHEET` draws claims and questions for a"
    yield "reader, and `rna-qa precision OUT SHEET --card` writes here what comes of it."
    other = json.loads(MEASURED.read_text(encoding="utf-8"))
    options = record["options"]
    # Of abstracts: what the program takes from full texts was not judged.
    is_alike = options["mode"] == "extractive" and options.get("full_text") is None
    if is_alike and other["versions"] == versions():
        yield ""
        yield f"What the same program wrote from {other['of']}:"
        yield from _describe(other)


def _describe(figures: Mapping[str, Any]) -> Iterator[str]:
    seeds = ", ".join(map(str, figures["seeds"]))
    yield ""
    yield from _HEAD
    yield from map(describe_share, figures["shares"])
    yield ""
    yield f"Judged by {'; '.join(figures['judges'])}."
    yield f"Drawn with seed {seeds}; intervals are Wilson's."
    if left_out := figures["quotes left out"]:
        yield f"Nothing was drawn of {left_out:,} quotes that were looked at while the program was"
        yield "mended."


__all__ = ["MEASURED", "describe_precision", "versions"]
