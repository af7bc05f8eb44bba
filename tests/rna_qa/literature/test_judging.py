"""Samples of a data set that are judged, and the precision that comes of it."""

import json
from pathlib import Path

import pytest
from helpers.finished_dataset import ONE
from helpers.tiny_literature import write_literature

from rnagpt.cli.rna_qa import main
from rnagpt.rna_qa.literature.build.pipeline import build
from rnagpt.rna_qa.literature.build.settings import LiteratureOptions
from rnagpt.rna_qa.literature.judging.precision import measure, wilson
from rnagpt.rna_qa.literature.judging.published import describe_precision
from rnagpt.rna_qa.literature.judging.samples import (
    CLAIM,
    QUESTION,
    Item,
    Judgement,
    Sheet,
    draw,
    read_sheet,
)
from rnagpt.rna_qa.output import read_record


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judged")
    rnas, papers = map(str, write_literature(folder, rnas=12, per_rna=6))
    build(folder / "out", LiteratureOptions(rnas=rnas, papers=papers, clusters="kmers"), ONE)
    return folder / "out"


def item(text: str, category: str = "target", question: str = "What?", name: str = "miR-1") -> Item:
    kind = QUESTION if question else CLAIM
    return Item(kind, "R", name, text, "quote", ("PMID:1",), category, question)


def judge(item: Item, *categories: str, **no: bool) -> Judgement:
    names = ("true", "about", "specific", "alone", *(["answered"] if item.question else []))
    labels = {name: no.get(name, True) for name in names}
    return Judgement(item.kind, item.key, item.statement, labels, categories)


@pytest.mark.parametrize(
    ("right", "judged", "low", "high"),
    # By hand from Wilson's formula: (p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n).
    [
        (9, 10, 0.5958, 0.9821),
        (10, 10, 0.7225, 1.0),
        (0, 4, 0.0, 0.4899),
        (97, 100, 0.9155, 0.9897),
    ],
)
def test_wilson(right: int, judged: int, low: float, high: float) -> None:
    assert wilson(right, judged) == pytest.approx((low, high), abs=1e-4)
    with pytest.raises(ValueError, match="at least one item"):
        wilson(0, 0)


def test_precision_by_hand() -> None:
    items = [item(f"text {n}", "target") for n in range(4)]
    said = [
        judge(items[0], "target"),
        judge(items[1], "target", "function", alone=False),
        judge(items[2], "function"),
        judge(items[3], "target", answered=False),
    ]
    found = measure(items, [Sheet("a reader", 0, 10, tuple(said))])
    right = {share.label: (share.right, share.judged) for share in found.shares}
    assert right == {
        "true": (4, 4),
        "about": (4, 4),
        "specific": (4, 4),
        "alone": (3, 4),
        "answered": (3, 4),
        "category": (3, 4),
        "all of these": (1, 4),
    }
    assert found.is_whole


def test_a_label_holds_for_the_same_words_alone() -> None:
    before, after = item("it rose"), item("it rose in glioma")
    sheet = Sheet("a reader", 0, 10, (judge(before, "target", alone=False),))
    found = measure([after], [sheet])
    assert (found.drawn, found.without_label, found.not_drawn) == (1, 1, 1)
    assert not found.is_whole
    assert found.shares == ()
    # The category is compared with what the data set gives now.
    moved = measure([item("it rose", "function")], [sheet])
    assert {one.label: one.right for one in moved.shares}["category"] == 0
    for other in (item("it rose", question="Why?"), item("it rose", name="miR-2")):
        assert other.key != before.key


def test_a_draw_changes_no_more_than_its_items() -> None:
    items = [item(f"text {n}") for n in range(60)] + [item(f"c {n}", question="") for n in range(9)]
    first = draw(items, 20, 7)
    assert len(first) == 20 + 9
    assert first == draw(reversed(items), 20, 7)
    assert {one.key for one in draw(items, 20, 8)} != {one.key for one in first}
    fewer = [one for one in items if one != first[12]]
    again = draw(fewer, 20, 7)
    assert len({one.key for one in again} - {one.key for one in first}) == 1


def fill(file: Path) -> list[str]:
    """Say yes to all, and keep the categories of the data set out of it."""
    head, *rows = [json.loads(line) for line in file.read_text().splitlines()]
    head["judge"] = "a test"
    for row in rows:
        row["labels"] = dict.fromkeys(row["labels"], True)
        row["categories"] = ["target"] if row["kind"] == QUESTION else []
    file.write_text("".join(json.dumps(row) + "\n" for row in (head, *rows)))
    return [row["text"] for row in rows]


def test_from_a_build_to_its_card(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "was not judged" in (out / "README.md").read_text()
    sheet, labels = tmp_path / "sheet.jsonl", tmp_path / "labels.jsonl"
    assert main(["sample", str(out), str(sheet), "--count", "5", "--seed", "3"]) == 0
    assert main(["precision", str(out), str(sheet)]) == 2
    assert '"judge" is empty' in capsys.readouterr().err
    texts = fill(sheet)
    arguments = ["precision", str(out), str(sheet), "--card", "--labels-only", str(labels)]
    assert main(arguments) == 0
    card = (out / "README.md").read_text()
    assert "| claims: true to the paper | 5 | 5 | 1.000 (0.566–1.000) |" in card
    assert "a test" in card
    record = read_record(out)
    assert record is not None
    assert record["precision"]["shares"][0]["interval"] == [0.5655, 1.0]
    assert not any(text in labels.read_text() for text in texts)
    assert read_sheet(labels) == read_sheet(sheet)
    # Nothing is left to be judged of the same draw; of a larger one the rest is.
    more = tmp_path / "more.jsonl"
    known = ["--labels", str(labels), "--seed", "3"]
    assert main(["sample", str(out), str(more), "--count", "7", *known]) == 0
    assert len(more.read_text().splitlines()) == 1 + 2 * 2
    with pytest.raises(FileExistsError):
        more.open("x")
    assert main(["sample", str(out), str(more), "--count", "7", *known]) == 2


def test_a_card_has_no_figures_of_a_part(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "sheet.jsonl"
    assert main(["sample", str(out), str(sheet), "--count", "4"]) == 0
    fill(sheet)
    lines = sheet.read_text().splitlines()
    sheet.write_text("\n".join(lines[:-1]) + "\n")
    assert main(["precision", str(out), str(sheet), "--card"]) == 2
    assert "1 have none" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"kind": "guess"}, "line 2: kind is 'guess'"),
        ({"categories": ["taste"]}, "line 2: no category 'taste'"),
        ({"labels": {"true": None}}, "line 2: 'true' is None; expected true or false"),
    ],
)
def test_a_sheet_that_is_not_filled(
    change: dict[str, object], told: str, out: Path, tmp_path: Path
) -> None:
    sheet = tmp_path / "sheet.jsonl"
    assert main(["sample", str(out), str(sheet), "--count", "1"]) == 0
    fill(sheet)
    head, row, *rest = sheet.read_text().splitlines()
    sheet.write_text("\n".join([head, json.dumps(json.loads(row) | change), *rest]))
    with pytest.raises(ValueError, match=told):
        read_sheet(sheet)


@pytest.mark.parametrize(
    ("options", "is_told"),
    [
        ({"mode": "extractive", "full_text": None}, True),
        ({"mode": "extractive"}, True),  # of an older build
        ({"mode": "extractive", "full_text": "europe-pmc"}, False),
        ({"mode": "dnc", "full_text": None}, False),
    ],
)
def test_a_card_tells_figures_of_what_was_made_alike_alone(
    options: dict[str, str | None], is_told: bool
) -> None:
    told = "\n".join(describe_precision({"options": options}))
    assert "This build was not judged" in told
    assert ("claims: " in told) == is_told
