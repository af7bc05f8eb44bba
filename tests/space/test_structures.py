"""The Space's secondary structures without a browser: folded, measured, placed, packed."""

from __future__ import annotations

import html
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from helpers.paths import DATA
from helpers.tiny_models import make_rna
from helpers.tiny_space import (
    SPACE,
    conversation,
    findings,
    rna_cards,
    searching,
    structure_card,
    structure_folding,
    structure_script,
)

from rnagpt import CleanedRna, Reference, SecondaryStructure, base_pairs, fold_rna, read_fasta
from rnagpt.reference.edit import read_families
from rnagpt.reference.writer import write_reference
from rnagpt.sequences.folding_process import (
    FoldingProcesses,
    FoldingStoppedError,
    PlacedStructure,
)

RNA = pytest.importorskip("RNA", reason="ViennaRNA, package viennarna, is not installed")

pytestmark = pytest.mark.usefixtures("model_alone")
HAIRPIN = "GGGGAAAACCCC"
NEIGHBOURS = 25  # units between neighbours in ViennaRNA's layout, and between letters' middles
DIAMETER = 22  # of a letter's circle
MAX_PAYLOAD = 1_000_000  # bytes on the page for one RNA


def examples() -> list[CleanedRna]:
    return [CleanedRna(one.name, one.sequence) for one in read_fasta(SPACE / "examples.fasta")]


def talk_of(*rnas: CleanedRna) -> conversation.Conversation:
    return conversation.Conversation(rnas=[conversation.ShownRna(rna) for rna in rnas])


def draw_all(talk: conversation.Conversation) -> Iterator[str]:
    """Each state of the drawing of a conversation's only RNA."""
    (shown,) = talk.rnas
    while not shown.drawn:
        structure_card.draw(shown, talk)
        assert shown.drawing is not None
        yield shown.drawing


class _Data(HTMLParser):
    """The data of the element in a drawing, as a browser reads it."""

    def __init__(self, drawing: str) -> None:
        super().__init__()
        self.found: dict[str, Any] = {}
        self.feed(drawing)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "rna-structure":
            self.found = json.loads(dict(attrs)["data"] or "")


def packed(drawing: str) -> dict[str, Any]:
    return _Data(drawing).found


def closest(places: np.ndarray) -> float:
    """The least distance between two nucleotides, by all pairs of them."""
    least = np.inf
    for number, place in enumerate(places[:-1]):
        least = min(least, np.linalg.norm(places[number + 1 :] - place, axis=1).min())
    return float(least)


def test_minimum_free_energy_is_viennarnas_own() -> None:
    rna = CleanedRna("mine", make_rna(150, 3))
    (drawing,) = draw_all(talk_of(rna))
    data = packed(drawing)
    (view,) = data["views"]
    assert (data["name"], data["sequence"], view["kind"]) == ("mine", rna.sequence, "mfe")
    pairs, energy = RNA.fold(rna.sequence)
    assert view["pairs"] == pairs
    assert view["energy"] == pytest.approx(energy, abs=0.01)
    assert view["told"].startswith("minimum free energy (ViennaRNA), −")
    assert view["parts"] == []


def test_an_energy_is_that_of_the_structure_shown(cited: None) -> None:
    for rna in examples():
        first, *_, last = draw_all(talk_of(rna))
        assert packed(first)["pending"] == "Minimum free energy"
        family, folded = packed(last)["views"]
        assert [family["kind"], folded["kind"]] == ["family", "mfe"]
        for view in (family, folded):
            measured = RNA.eval_structure_simple(rna.sequence, view["pairs"])
            assert view["energy"] == pytest.approx(measured, abs=0.01)
            assert f"{measured:.1f} kcal/mol".replace("-", "−") in view["told"]
        assert folded["energy"] <= family["energy"] + 0.01
        assert family["told"].startswith("consensus of ")
        assert packed(last)["pending"] == ""


def test_the_familys_pairs_are_those_of_the_hit(cited: None) -> None:
    for rna in examples():
        shown = structure_folding.fold(rna.sequence, family=True).structure
        (hit, *_) = Reference.open().search(rna)
        inside = shown.pairs[hit.start - 1 : hit.end]
        assert inside == hit.structure
        assert shown.parts == ((hit.start, hit.end),)


def test_pseudoknots_and_unformed_pairs_are_those_of_the_seed_alignment(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = DATA / "rfam_five_families.seed"
    write_reference(
        tmp_path, read_families(seeds), name="Five families", release="1", licence="CC0-1.0"
    )
    monkeypatch.setenv(searching.VARIABLE, str(tmp_path))
    (block,) = (one for one in seeds.read_text().split("//\n") if "SS_cons2" in one)
    (apart,) = (line.split()[-1] for line in block.splitlines() if "SS_cons2" in line)
    row = next(line for line in block.splitlines() if line and line[0] not in "#").split()[1]
    columns = [column for column, letter in enumerate(row) if letter not in "-."]
    sequence = "".join(row[column] for column in columns).replace("T", "U")
    place_of = {column: place for place, column in enumerate(columns)}
    knots = [
        (place_of[left], place_of[right])
        for left, right in base_pairs(apart)
        if {left, right} <= set(columns)
    ]
    (first, *_) = draw_all(talk_of(CleanedRna("knotted", sequence)))
    view = packed(first)["views"][0]
    drawn = {tuple(pair) for pair in view["unformed"]}
    drawn |= set(base_pairs(view["pairs"].replace("(", ".").replace(")", ".")))
    assert len(knots) > 4
    assert set(knots) <= drawn
    assert "[" in view["pairs"]
    assert "without the pseudoknots" in view["told"]
    nested = view["pairs"].replace("[", ".").replace("]", ".")
    assert view["energy"] == pytest.approx(RNA.eval_structure_simple(sequence, nested), abs=0.01)


def test_a_structure_beyond_the_energy_model_has_no_figure() -> None:
    structure = SecondaryStructure("((.))", "that of X")
    told = structure_card.told(PlacedStructure(structure, None, np.zeros((5, 2))))
    assert told.startswith("that of X. Free energy: not defined")


@pytest.mark.parametrize("length", [40, 300, 1_200])
def test_nucleotides_do_not_overlap(length: int) -> None:
    folded = structure_folding.fold(make_rna(length, length), family=False)
    assert folded.places is not None
    assert folded.places.shape == (length, 2)
    assert closest(folded.places) > DIAMETER
    steps = np.linalg.norm(np.diff(folded.places, axis=0), axis=1)
    assert np.median(steps) == pytest.approx(NEIGHBOURS, abs=0.5)


@pytest.mark.parametrize(
    ("length", "step"), [(60, 10), (200, 10), (201, 20), (700, 50), (1_600, 100)]
)
def test_numbers_stand_by_their_nucleotides(length: int, step: int) -> None:
    angles = np.linspace(0, 1.9 * np.pi, length)
    radius = length * NEIGHBOURS / 6
    places = radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    labels = structure_card.labels_of(places)
    texts = {place: text for place, text, *_ in labels}
    assert texts[0] == "5′"
    assert texts[length - 1] == f"3′ ({length:,})"
    numbered = {place: text for place, text in texts.items() if "′" not in text}
    assert numbered == {n - 1: f"{n:,}" for n in range(step, length, step)}
    spots = np.array([places[place] + 30 * np.array(to) for place, _, *to in labels])
    apart = np.linalg.norm(spots[:, None] - places[None], axis=2).min(axis=1)
    assert apart.min() > DIAMETER  # no number lies on a nucleotide


def test_an_rna_without_pairs_is_said_to_have_none() -> None:
    (drawing,) = draw_all(talk_of(CleanedRna("open", "AAAAAAAA")))
    (view,) = packed(drawing)["views"]
    assert view["places"] == view["labels"] == []
    assert view["pairs"] == "........"
    assert "no base pair" in view["told"]


def test_names_cannot_leave_the_data() -> None:
    name = '"><script>alert(1)</script>\u202e'
    (drawing,) = draw_all(talk_of(CleanedRna(name, HAIRPIN)))
    assert "<script" not in drawing
    assert packed(drawing)["name"] == name.replace("\u202e", "⟨U+202E⟩")


def test_a_long_rna_is_said_to_be_too_long(cited: None) -> None:
    rna = CleanedRna("long", make_rna(2_990, 4) + examples()[3].sequence)
    talk = talk_of(rna)
    talk.rnas[0].findings = findings.search(rna, lambda: False)
    (drawing,) = draw_all(talk)
    hit = talk.rnas[0].findings.hits[0]
    for words in ("up to 3,000 nt", "has 3,152", f"nucleotides {hit.start:,}–{hit.end:,}"):
        assert words in drawing


def test_an_rna_of_3000_nt_is_small_on_the_page() -> None:
    length = structure_folding.MAX_DRAWN
    rna = CleanedRna("long", make_rna(length, 5))
    stem = length // 2 - 10
    structure = SecondaryStructure("(" * stem + "." * 20 + ")" * stem, "played")
    places = np.random.default_rng(1).random((length, 2)) * 10_000
    played = PlacedStructure(structure, -1.0, places)
    drawing = structure_card.drawn(
        rna, [(structure_card.FAMILY, played), (structure_card.MFE, played)]
    )
    assert len(html.escape(drawing).encode()) < MAX_PAYLOAD / 4


def test_a_fold_leaves_the_process_free_and_can_be_stopped() -> None:
    """A fold in this process would hold Python's lock all the time."""
    stopping = threading.Event()
    ended: list[type[BaseException]] = []

    def fold_long() -> None:
        try:
            structure_folding.fold(make_rna(3_000, 11), family=False, stop=stopping.is_set)
        except FoldingStoppedError as error:
            ended.append(type(error))

    thread = threading.Thread(target=fold_long)
    thread.start()
    times: list[float] = []
    while len(times) < 100:
        times.append(time.monotonic())
        time.sleep(0.01)
    assert thread.is_alive()
    # A short RNA has a process of its own, and does not wait for the long one.
    short = structure_folding.fold(make_rna(50, 12), family=False)
    assert thread.is_alive()
    assert short.structure.pairs == fold_rna(make_rna(50, 12))
    stopping.set()
    thread.join(timeout=10)
    assert ended == [FoldingStoppedError]
    assert max(later - earlier for earlier, later in pairwise(times)) < 0.8


def test_an_rna_that_is_removed_is_folded_no_more() -> None:
    talk = talk_of(CleanedRna("long", make_rna(3_000, 13)))
    (shown,) = talk.rnas
    thread = threading.Thread(target=structure_card.draw, args=(shown, talk))
    thread.start()
    time.sleep(0.5)
    assert thread.is_alive()
    talk.rnas = []
    thread.join(timeout=10)
    assert not thread.is_alive()
    assert (shown.drawing, shown.drawn) == (None, False)


def test_what_was_folded_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[str] = []
    place = FoldingProcesses.place

    def counted(self: FoldingProcesses, sequence: str, *rest: Any) -> PlacedStructure:
        runs.append(sequence)
        return place(self, sequence, *rest)

    monkeypatch.setattr(FoldingProcesses, "place", counted)
    sequence = make_rna(45, 21)
    first, second = (structure_folding.fold(sequence, family=True) for _ in range(2))
    assert first is second
    # Without a family the two are one.
    assert structure_folding.fold(sequence, family=False) is first
    assert len(runs) == 1


def test_two_visitors_with_the_same_rna_fold_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[str] = []
    place = FoldingProcesses.place

    def slow(self: FoldingProcesses, sequence: str, *rest: Any) -> PlacedStructure:
        runs.append(sequence)
        time.sleep(0.5)
        return place(self, sequence, *rest)

    monkeypatch.setattr(FoldingProcesses, "place", slow)
    sequence = make_rna(45, 23)
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: structure_folding.fold(sequence, family=True), range(2)))
    assert both[0] is both[1]
    assert runs == [sequence]


def test_a_card_says_that_its_structure_is_being_folded() -> None:
    short, long = (
        rna_cards.cards(talk_of(CleanedRna("a", "A" * length))) for length in (60, 2_000)
    )
    assert "Being folded…<" in short
    assert "2,000 nt take a while; all else on the page works meanwhile" in long


def test_the_script_names_nothing_outside_of_itself() -> None:
    script = structure_script.structure_script()
    assert script.startswith("{\n")
    assert script.rstrip().endswith("}")
    for outside in ("https://", "import(", "fetch(", "XMLHttpRequest"):
        assert outside not in script
    assert script.count("http://") == script.count("http://www.w3.org/2000/svg") == 1
