"""HTML for RNAs and messages. Every text of a visitor is escaped here, exactly once."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape as escape_markup

from cited_records import CitedRecord, match_of, name_of
from comparison import gc_share
from conversation import Conversation, ShownRna, Turn, records_of
from plain_text import visible
from result_card import folded, result
from structure_card import folding

from rnagpt import CleanedRna
from rnagpt.evidence.confidence import CONFIDENCE_MEANS
from rnagpt.evidence.gathering import address_of

_MIN_USUAL = 20
_MAX_AMBIGUOUS_USUAL = 0.05
_MAX_NAME = 80


def escape(text: str) -> str:
    """A text as HTML shows it letter by letter, unseen characters by their names."""
    return escape_markup(visible(text))


def notice(text: str, kind: str = "error") -> str:
    """A message at the place that it is about; nothing where the text is empty.

    Args:
        text: plain text.
        kind: "error", which screen readers say at once, or "hint".
    """
    if not text:
        return ""
    role = "alert" if kind == "error" else "status"
    return f'<p class="notice {kind}" role="{role}">{escape(text)}</p>'


def cards(conversation: Conversation) -> str:
    """One card for each RNA of a conversation; those not asked about yet can be removed."""
    if not conversation.rnas:
        return notice("No RNA yet: paste one, upload a file or take an example.", "hint")
    last = len(conversation.rnas) - 1
    return "".join(
        _card(shown, removable=index >= conversation.num_sent, opened=index == last)
        for index, shown in enumerate(conversation.rnas)
    )


def waiting(conversation: Conversation) -> str:
    """The questions that wait, as HTML; nothing where none does."""
    if not conversation.waiting:
        return ""
    questions = " · ".join(question.strip() for question in conversation.waiting)
    return notice(f"Next: {questions} (Stop gives back what waits.)", "hint")


def sources(turns: Sequence[Turn]) -> str:
    """The records that the answers of a conversation cite; nothing where they cite none."""
    records = records_of(turns)
    listed = "".join(
        f'<li id="record-{record["number"]}" tabindex="-1">{source(record, named=True)}</li>'
        for record in records
    )
    means = "".join(
        f"<dt>{word}</dt><dd>{sentence}</dd>" for word, sentence in CONFIDENCE_MEANS.items()
    )
    return (
        f'<h3>Records</h3><ul class="sources">{listed}</ul>'
        f"{folded('confidence', 'What confidence means', f'<dl>{means}</dl>')}"
        if records
        else ""
    )


def warnings_of(sequence: str) -> list[str]:
    """What should make a reader careful about the answers."""
    warnings = []
    if len(sequence) < _MIN_USUAL:
        warnings.append("Very short: little to tell it from other RNAs.")
    num_ambiguous = len(sequence) - sum(map(sequence.count, "ACGU"))
    if num_ambiguous > _MAX_AMBIGUOUS_USUAL * len(sequence):
        warnings.append(f"{num_ambiguous:,} of {len(sequence):,} nucleotides are ambiguous.")
    return warnings


def _card(shown: ShownRna, *, removable: bool, opened: bool) -> str:
    rna = shown.rna
    facts = [f"{len(rna.sequence):,} nt", f"GC {percent(gc_share(rna.sequence))}", *rna.changes]
    listed = "".join(f"<li>{escape(fact)}</li>" for fact in facts)
    warned = "".join(notice(warning, "warning") for warning in warnings_of(rna.sequence))
    name = _name(rna)
    about = shown.description and f'<p class="about">{escape(shown.description)}</p>'
    remove = (
        f'<button type="button" class="remove" data-value="{shown.key}" '
        f'aria-label="Remove {name}">Remove</button>'
        if removable
        else ""
    )
    return (
        f'<article class="card" data-rna="{shown.key}">'
        f"<header><h3>{name}</h3>{remove}</header>{about}"
        f"<ul>{listed}</ul>{warned}"
        f"{result(rna, shown.findings, shown.key)}{_structure(shown, opened)}</article>"
    )


def _structure(shown: ShownRna, opened: bool) -> str:
    drawing = folding(len(shown.rna.sequence)) if shown.drawing is None else shown.drawing
    return folded("structure", "Secondary structure", drawing, is_open=opened)


def source(record: CitedRecord, *, named: bool) -> str:
    """A record that is cited: its number, name with a link to its page, how well it matches."""
    name, address = escape(name_of(record)), address_of(record["id"])
    if address:
        name = f'<a href="{escape(address)}" target="_blank" rel="noopener noreferrer">{name}</a>'
    return f"[{record['number']}] {name} — {escape(match_of(record, named=named))}"


def _name(rna: CleanedRna) -> str:
    long = len(rna.name) > _MAX_NAME
    return escape(rna.name[: _MAX_NAME - 1] + "…" if long else rna.name)


def percent(share: float | None) -> str:
    """A share in words."""
    return "unknown" if share is None else f"{share:.0%}"
