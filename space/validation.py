"""Validation of visitors' input: each rejection is a `ValueError` written for the visitor."""

from __future__ import annotations

from model_loading import MODEL
from plain_text import check_text
from rna_input import records_of_text
from searching import reference
from space_limits import Limits

from rnagpt import CleanedRna, FastaRecord, clean_rnas


def one_record(text: str, limits: Limits) -> FastaRecord:
    """The only record of a text."""
    records = records_of_text(check_text(text, "`rna`"), limits)
    if len(records) > 1:
        raise ValueError(f"Give one RNA at a time; these are {len(records)} records.")
    return records[0]


def cleaned(records: list[FastaRecord], limits: Limits) -> list[CleanedRna]:
    """Records as the model reads them, without a name where they have none."""
    for record in records:
        check_text(record.name, "The RNA's name", limits.max_name_letters)
        check_text(record.description, "Its description", limits.max_description_letters)
    return clean_rnas(records, max_length=_longest(limits))


def _longest(limits: Limits) -> int:
    if reference() is not None:
        return limits.max_searched_nt  # the search takes what the model does not read
    ready = MODEL.state == "ready"
    known = MODEL.loaded[1].max_rna_length if ready else limits.max_rna_length
    return min(known, limits.max_rna_length)


def check_question(question: str, limits: Limits) -> None:
    """Reject a question that is empty, too long or no text."""
    check_text(question, "The question", limits.max_question_letters)
    if not question.strip():
        raise ValueError("Write a question, or take one of those below.")


def await_model(limits: Limits) -> None:
    """Wait until the model is loaded, as long as an answer may take."""
    if MODEL.state == "loading":
        MODEL.wait(limits.seconds_per_answer)
    check_model()


def check_model() -> None:
    """Raise where there is no model.

    Raises:
        ValueError: it is loading, or could not be loaded.
    """
    if MODEL.state != "ready":
        raise ValueError(MODEL.told)
