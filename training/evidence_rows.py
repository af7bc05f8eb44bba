"""Rows whose questions come with evidence, as `inference` gives it to a model that reads it.

The evidence of a training RNA is not searched: its family is known, so the record is taken as it
stands, with a match whose place and strand are those of the RNA in what is shown, and whose E-value
is drawn. So no RNA's own row of a seed alignment can make its match a better one than a new RNA
would have. Some RNAs are shown with the record of another one instead, found with a weak E-value:
the words have to be those of the record all the same, and how sure they are is not for them to say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from datasets import Dataset

from rnagpt.evidence.answers import answer_about
from rnagpt.evidence.facts import SequenceFacts
from rnagpt.evidence.gathering import Evidence, Item
from rnagpt.reference.hits import PROFILE, Hit
from rnagpt.reference.records import Record
from rnagpt.sequences.rna_types import RNA_TYPES, with_article
from rnagpt.sequences.strands import middle_part, mutate, random_sequence, reverse_complement

# Of the RNAs with evidence: how many are pasted within other sequence, as their reverse complement,
# in part, mutated, with another RNA behind them, and with the record of another RNA.
FLANKED, REVERSED, PART, MUTATED, BESIDE, MISLED = 0.4, 0.1, 0.15, 0.15, 0.1, 0.05
MAX_FLANK = 150  # nt on each side
MIN_PART = 0.6  # of an RNA
MAX_MUTATED = 0.05  # of its letters
EVALUES = (-30.0, -3.0)  # log10
WEAK_EVALUES = (-5.0, -3.0)
_DECLINED = (
    "What happens if the tenth nucleotide is mutated?",
    "Would a deletion in this RNA be harmful?",
    "Can you design a drug against this RNA?",
    "How much of it is in a cell?",
    "Who won the last election?",
    "What is the weather like today?",
    "Which disease will this patient get?",
    "How old is this RNA?",
)
_ASKED_FREELY = (
    "Do the records speak of {}?",
    "Does it have to do with {}?",
    "Tell me about {}.",
    "Is anything known about {}?",
    "What about {}?",
)
_CHECKED = (
    "Is this {}?",
    "Is it {}?",
    "Could this be {}?",
    "Is this RNA {} or not?",
    "This is not {}, right?",
)
# Words of a sentence that a person would ask about.
_TOPIC = re.compile(
    r"(?<![\w-])(?:[a-z]{4,} )?(?:[a-z]{6,}|[A-Z][a-z]+ [a-z]{4,}|[A-Z]\w*[A-Z0-9]\w*)(?![\w-])"
)


def add_evidence(rnas: Dataset, records: Mapping[str, Record], share: float, seed: int) -> Dataset:
    """Shows a share of the RNAs with their records, and answers their questions from these.

    Args:
        rnas: rows of `training.rows` with cleaned sequences and a column `family`.
        records: of the families, by their names; RNAs of others are left as they are.
        share: of the RNAs, from 0 to 1.
        seed: of all draws.

    Raises:
        ValueError: the data set names no families.
    """
    if "family" not in rnas.column_names:
        raise ValueError(
            "evidence_share needs the column 'family', to know which record is an RNA's; the data "
            f"set has {', '.join(rnas.column_names)}. Leave the option out, or add the column."
        )
    random = np.random.default_rng([seed, 4])
    others = _one_of_each(rnas, records)

    def show(row: dict[str, Any]) -> dict[str, Any]:
        record = records.get(row["family"])
        if record is None or random.random() >= share:
            return {}
        return _with_evidence(row, record, others, random)

    return rnas.map(show, load_from_cache_file=False, desc="Evidence")


def _one_of_each(rnas: Dataset, records: Mapping[str, Record]) -> list[tuple[Record, str]]:
    """The record of each family that is met, and the sequence of an RNA of it."""
    met = {
        family: sequence
        for family, sequence in zip(rnas["family"], rnas["sequence"], strict=True)
        if family in records
    }
    return [(records[family], met[family]) for family in sorted(met)]


def _with_evidence(
    row: dict[str, Any],
    record: Record,
    others: Sequence[tuple[Record, str]],
    random: np.random.Generator,
) -> dict[str, Any]:
    another, sequence = others[int(random.integers(len(others)))]
    misled = random.random() < MISLED
    told = another if misled else record
    evidence = _pasted(row["sequence"], told, WEAK_EVALUES if misled else EVALUES, random)
    if not misled and random.random() < BESIDE:
        evidence = _beside(evidence, another, sequence, random)
    further = _further_questions(told, [other for other, _ in others], random)
    questions = [*row["questions"], *further]
    head = evidence.to_prompt()
    return {
        "id": f"{row['id']}/evidence",
        "sequence": evidence.facts.sequence,
        "questions": [f"{head}\n\n{question}" for question in questions],
        "answers": [answer_about(question, evidence).text for question in questions],
    }


def _pasted(
    sequence: str, record: Record, evalues: tuple[float, float], random: np.random.Generator
) -> Evidence:
    """The RNA as people paste it, and its record."""
    if random.random() < PART:
        sequence = middle_part(sequence, random.uniform(MIN_PART, 1))
    if random.random() < MUTATED:
        sequence = mutate(sequence, random.uniform(0, MAX_MUTATED), random)
    before, after = random.integers(0, MAX_FLANK + 1, 2) if random.random() < FLANKED else (0, 0)
    strand = "+"
    if random.random() < REVERSED:
        sequence, strand = reverse_complement(sequence), "-"
    shown = random_sequence(before, random) + sequence + random_sequence(after, random)
    place = int(before) + 1, int(before) + len(sequence)
    hit = _drawn_hit(record, *place, strand, evalues, random)
    return Evidence("RNA", SequenceFacts(shown), (Item(1, hit),), record.source)


def _beside(
    evidence: Evidence, record: Record, sequence: str, random: np.random.Generator
) -> Evidence:
    """Evidence with another RNA behind the first, as in a transcript."""
    first = evidence.facts.length + 1
    shown = evidence.facts.sequence + sequence
    hit = _drawn_hit(record, first, len(shown), "+", EVALUES, random)
    items = (*evidence.items, Item(2, hit))
    return Evidence("RNA", SequenceFacts(shown), items, evidence.reference)


def _drawn_hit(
    record: Record,
    start: int,
    end: int,
    strand: str,
    evalues: tuple[float, float],
    random: np.random.Generator,
) -> Hit:
    evalue = float(10 ** random.uniform(*evalues))
    return Hit(
        record=record,
        source=PROFILE,
        start=start,
        end=end,
        strand=strand,
        model_start=1,
        model_end=end - start + 1,
        evalue=evalue,
        bits=0.0,
        identity=0.0,
        structure="",
        alignment="",
    )


def _further_questions(
    record: Record, others: Sequence[Record], random: np.random.Generator
) -> list[str]:
    """Questions that RNA-QA does not ask: free ones, of yes or no, and such as have no answer."""

    def one_of(texts: Sequence[str]) -> str:
        return texts[int(random.integers(len(texts)))]

    other = others[int(random.integers(len(others)))]
    found = [one_of(_DECLINED)]
    for told in (record, record, other):
        if topics := [m[0] for text in told.functions for m in _TOPIC.finditer(text)]:
            found.append(one_of(_ASKED_FREELY).format(one_of(topics)))
    kinds = [record.type, one_of(list(RNA_TYPES.values()))]
    found += [one_of(_CHECKED).format(with_article(kind)) for kind in kinds if kind]
    names = [one_of([told.name, told.description]) for told in (record, other)]
    found += [f"Does this belong to the {name} family?" for name in names if name]
    return found


__all__ = ["add_evidence"]
