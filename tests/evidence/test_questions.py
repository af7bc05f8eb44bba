"""Questions as people ask them: what each asks for, and of which RNAs."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from rnagpt.evidence import mentions
from rnagpt.evidence.questions import Kind, find_about, understand
from rnagpt.rna_qa.literature.claims import categories
from rnagpt.rna_qa.rfam import questions as rna_qa


class Asked(NamedTuple):
    """A line of the corpus: names of the RNAs, kinds that are right, thing asked, RNAs meant."""

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    asked: str
    about: str
    question: str


def read_corpus() -> Iterator[Asked]:
    """Lines of kinds, thing asked ("*": any), places from 1 ("": not said; "!": none), question."""
    names: tuple[str, ...] = ()
    path = Path(__file__).with_name("questions.tsv")
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("##"):
            names = tuple(name.strip() for name in line[2:].split(","))
        else:
            kinds, asked, about, question = line.split("\t")
            yield Asked(names, tuple(kinds.split("|")), asked, about, question)


CORPUS = list(read_corpus())


def test_corpus_asks_for_every_kind_many_times() -> None:
    kinds = {kind for asked in CORPUS for kind in asked.kinds}
    assert kinds == set(Kind)
    assert len(CORPUS) >= 500


@pytest.mark.parametrize("asked", CORPUS, ids=lambda asked: asked.question[:60])
def test_kind_and_thing_that_a_question_asks_for(asked: Asked) -> None:
    question = understand(asked.question, asked.names)
    assert question.text == asked.question
    assert question.kind in asked.kinds
    if asked.asked != "*":
        assert question.asked.lower() == asked.asked.lower()


@pytest.mark.parametrize("asked", CORPUS, ids=lambda asked: asked.question[:60])
def test_rnas_that_a_question_is_about(asked: Asked) -> None:
    if asked.about == "!":
        with pytest.raises(ValueError, match=r"The question is about RNA \d+, and \d RNAs? w"):
            find_about(asked.question, asked.names)
        return
    about = find_about(asked.question, asked.names)
    if asked.about:
        assert sorted(place + 1 for place in about.places) == [*map(int, asked.about.split(","))]
        assert about.named
    else:
        assert about.places == (len(asked.names) - 1,)
        assert about.named == (len(asked.names) == 1)


WORDINGS = [
    *((kind.name, wording) for kind in rna_qa.RECORD_KINDS for wording in kind.wordings),
    *((kind.name, wording) for kind in rna_qa.SEQUENCE_KINDS for wording in kind.wordings),
]


@pytest.mark.parametrize(("name", "wording"), WORDINGS)
def test_wordings_of_rna_qa_are_of_their_kind(name: str, wording: str) -> None:
    assert understand(wording).kind == ("papers" if name == "evidence" else name)


# Kinds of questions that claims of papers answer: by their sentences, where no kind of record does.
LITERATURE = {
    "function": {Kind.FUNCTION},
    "target": {Kind.TARGETS, Kind.OTHER},
    "regulation": {Kind.REGULATORS, Kind.OTHER},
    "localisation": {Kind.LOCATION},
    "biomarker": {Kind.CHECK, Kind.MARKER, Kind.OTHER},
    "summary": {Kind.SUMMARY, Kind.OTHER},
}
SLOTS = {
    "gene": "PTEN",
    "process": "apoptosis",
    "drug": "cisplatin",
    "specimen": "serum",
    "outcome": "survival",
}


@pytest.mark.parametrize("context", ["", "gastric cancer"])
@pytest.mark.parametrize("kind", categories.KINDS, ids=lambda kind: kind.category)
def test_wordings_of_the_literature_are_of_their_kind(kind: categories.Kind, context: str) -> None:
    of, about = (f" {word} {context}" if context else "" for word in ("in", "about"))
    for wording in kind.questions:
        found = understand(wording.format(of=of, about=about, **SLOTS)).kind
        allowed = LITERATURE.get(kind.category, {Kind.OTHER})
        # What asks of a gene or a process is not answered by sentences of the kind in general.
        asks_of_more = any(f"{{{slot}}}" in wording for slot in SLOTS)
        assert found in (allowed | {Kind.OTHER, Kind.FUNCTION} if asks_of_more else allowed), (
            wording
        )


def test_whatever_is_asked_is_understood() -> None:
    """Words of the corpus in any order, with any signs: no question is an error."""
    draw = random.Random(5)
    words = [word for asked in CORPUS for word in asked.question.split()]
    words += ["(", "[1]", "\\", "*", "@", "'s", "\x00", "?" * 50, "é", "RNA"]
    names = ["a(b", "[1]", "x|y", "", "  ", "\\d", "RNA", "5'", "*"]
    for _ in range(2_000):
        text = " ".join(draw.choices(words, k=draw.randint(0, 14)))
        assert understand(text, names).text == text
        with contextlib.suppress(ValueError):  # "RNA 76"
            assert find_about(text, names).places


def test_a_very_long_text_is_no_question() -> None:
    assert understand("What is this RNA? " * 5_000).kind is Kind.OTHER


@pytest.mark.parametrize(
    ("question", "is_denied"),
    [
        ("Is it true that this is not a tRNA?", True),
        ("Do you think that this is not a tRNA?", True),
        ("Is it true that this is a tRNA?", False),
        ("Is this not a tRNA?", False),
    ],
)
def test_questions_to_which_neither_yes_nor_no_is_plain(question: str, is_denied: bool) -> None:
    assert understand(question).denied == is_denied


def test_names_that_do_not_stand_in_a_question_make_no_pattern(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Or each RNA of a file would cost a millisecond before the first answer."""
    made: list[list[str]] = []
    pattern = mentions._names_pattern

    def noted(names: Sequence[str]) -> str:
        made.append(list(names))
        return pattern(names)

    monkeypatch.setattr(mentions, "_names_pattern", noted)
    names = [f"rna{number}" for number in range(50)]
    for name in names:
        find_about("What is this RNA?", [name])
    assert made == [[]] * len(names)
    assert find_about("Is RNA17 like rna3?", names).places == (17, 3)
    assert sorted(made[-1]) == ["rna1", "rna17", "rna3"]
    # Beyond ASCII letters have further forms, of which a pattern knows: K is the kelvin's.
    assert find_about("Where is \N{KELVIN SIGN}tRNA-a found?", ["x", "ktRNA-a", "y"]).places == (1,)
    assert find_about("Is  my   tRNA known?", ["x", "my tRNA", "y"]).places == (1,)
