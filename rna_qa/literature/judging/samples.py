"""Claims and questions of a finished data set, drawn for a reader to judge, and what was judged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rnagpt.rna_qa.literature.claims.categories import CATEGORIES

CLAIM, QUESTION = "claim", "question"
# What a reader says yes or no to.
YES_OR_NO = {
    CLAIM: ("true", "about", "specific", "alone"),
    QUESTION: ("true", "about", "specific", "alone", "answered"),
}
MEANING = {
    "true": "true to the paper",
    "about": "about this RNA and not another",
    "specific": "says something that is not true of any RNA",
    "alone": "stands without its paper",
    "answered": "the question is answered by its answer",
    "category": "in a right category",
}


@dataclass(frozen=True)
class Item:
    """A claim or a question of a data set, as a reader sees it.

    Attributes:
        kind: `CLAIM` or `QUESTION`.
        rna: id.
        name: the RNA's first name.
        text: of the claim, or the answer.
        papers: ids.
        category: empty where the data set has none for it.
        question: empty for a claim.
    """

    kind: str
    rna: str
    name: str
    text: str
    quote: str
    papers: tuple[str, ...]
    category: str
    question: str = ""

    @property
    def key(self) -> str:
        """Names what was judged: another text, question, paper or RNA has another key."""
        return _digest(self.kind, self.name, self.question, self.text, *self.papers)

    @property
    def statement(self) -> str:
        """Names what the category was judged by: the RNA, the text and its papers."""
        return _digest(self.name, self.text, *self.papers)


@dataclass(frozen=True)
class Judgement:
    """What a reader said of an item.

    Attributes:
        labels: yes or no for each of `YES_OR_NO`.
        categories: those that the text belongs to; empty where none is right, or none was asked.
    """

    kind: str
    key: str
    statement: str
    labels: Mapping[str, bool]
    categories: tuple[str, ...]


@dataclass(frozen=True)
class Sheet:
    """A sample that was judged, by whom, and how it was drawn.

    Attributes:
        left_out: the hashes of the quotes that were not drawn from (`hash_quote`).
    """

    judge: str
    seed: int
    count: int
    judgements: tuple[Judgement, ...]
    left_out: frozenset[str] = frozenset()


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:16]


def read_items(out: Path) -> Iterator[Item]:
    """All claims and questions of a data set that `rna-qa literature` built, of all splits.

    Raises:
        FileNotFoundError: if there is none in this folder.
    """
    names = {}
    for row in _rows(out, "annotations"):
        rna = row["id"]
        name = names[rna] = (row["names"] or [rna])[0]
        for claim in row["claims"]:
            papers, category = tuple(claim["papers"]), claim.get("category") or ""
            yield Item(CLAIM, rna, name, claim["text"], claim["quote"], papers, category)
    for row in _rows(out, "qa"):
        yield Item(
            QUESTION,
            row["id"],
            names[row["id"]],
            row["answer"],
            row["quote"],
            tuple(row["evidence"]),
            row["category"],
            row["question"],
        )


def _rows(out: Path, configuration: str) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    files = sorted((out / configuration).glob("*.parquet"))
    if not files:
        raise FileNotFoundError(
            f"{out / configuration}: no Parquet files; give the folder of a data set that "
            "`rna-qa literature` has finished"
        )
    for file in files:
        for batch in pq.ParquetFile(file).iter_batches():
            yield from batch.to_pylist()


def hash_quote(quote: str) -> str:
    """Names the words of a paper behind claims and questions, without giving them away."""
    return _digest(quote)


def draw(
    items: Iterable[Item], count: int, seed: int, left_out: Collection[str] = frozenset()
) -> list[Item]:
    """At most `count` claims and as many questions, at random; copies of an RNA count once.

    Those with the smallest hashes are taken: in a data set that another version of the builder
    wrote, the same seed draws the same items as far as they are still there.

    Args:
        left_out: hashes of quotes (`hash_quote`) that nothing is drawn of, such as those that were
            looked at while the builder was mended.
    """
    different = {item.key: item for item in items if hash_quote(item.quote) not in left_out}
    ranked = sorted(different.values(), key=partial(_rank, seed=seed))
    return [
        item for kind in YES_OR_NO for item in [one for one in ranked if one.kind == kind][:count]
    ]


def _rank(item: Item, seed: int) -> str:
    return _digest(str(seed), item.kind, item.name, item.question, item.text)


def write_sheet(
    items: Iterable[Item],
    file: Path,
    count: int,
    seed: int,
    left_out: Collection[str] = frozenset(),
) -> None:
    """Write a sheet for a reader to fill: JSON lines, the first one says how it was drawn.

    Raises:
        FileExistsError: if there is such a file, which may hold labels.
    """
    with file.open("x", encoding="utf-8") as lines:
        head: dict[str, Any] = {"judge": "", "seed": seed, "count": count}
        if left_out:
            head["left_out"] = sorted(left_out)
        for row in (head, *map(_empty_row, items)):
            lines.write(json.dumps(row, ensure_ascii=False) + "\n")


def _empty_row(item: Item) -> dict[str, Any]:
    return {
        "kind": item.kind,
        "key": item.key,
        "statement": item.statement,
        "papers": item.papers,
        "name": item.name,
        **({"question": item.question} if item.question else {}),
        "text": item.text,
        "quote": item.quote,
        "labels": dict.fromkeys(YES_OR_NO[item.kind]),
        "categories": [],
    }


def write_labels(sheet: Path, file: Path) -> None:
    """Write a sheet without its texts, which belong to the papers' publishers."""
    kept = (
        "judge",
        "seed",
        "count",
        "left_out",
        "kind",
        "key",
        "statement",
        "papers",
        "labels",
        "categories",
    )
    rows = map(json.loads, sheet.read_text(encoding="utf-8").splitlines())
    bare = ({name: row[name] for name in kept if name in row} for row in rows)
    file.write_text("".join(json.dumps(row) + "\n" for row in bare), encoding="utf-8")


def read_sheet(file: Path) -> Sheet:
    """A sheet that a reader has filled, with its texts or without.

    Raises:
        ValueError: where the judge, a label or a category is missing or unknown, with the line.
    """
    lines = file.read_text(encoding="utf-8").splitlines()
    rows = [_read_line(file, number, line) for number, line in enumerate(lines, start=1)]
    head = rows[0] if rows else {}
    if not head.get("judge"):
        raise ValueError(f'{file}, line 1: "judge" is empty; say who or what filled the sheet')
    judgements = (_judgement(file, number, row) for number, row in enumerate(rows[1:], start=2))
    left_out = frozenset(head.get("left_out", ()))
    return Sheet(head["judge"], head["seed"], head["count"], tuple(judgements), left_out)


def _read_line(file: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row: dict[str, Any] = json.loads(line)
    except ValueError as error:
        raise ValueError(f"{file}, line {number}: {error}; expected a JSON object") from error
    return row


def _judgement(file: Path, number: int, row: Mapping[str, Any]) -> Judgement:
    asked = YES_OR_NO.get(row.get("kind", ""))
    if asked is None:
        raise ValueError(f"{file}, line {number}: kind is {row.get('kind')!r}, of {[*YES_OR_NO]}")
    labels = row["labels"]
    if missing := [name for name in asked if not isinstance(labels.get(name), bool)]:
        raise ValueError(
            f"{file}, line {number}: {missing[0]!r} is {labels.get(missing[0])!r}; expected true "
            f"or false ({MEANING[missing[0]]})"
        )
    if unknown := set(row["categories"]) - set(CATEGORIES):
        raise ValueError(
            f"{file}, line {number}: no category {sorted(unknown)[0]!r}; there are "
            f"{', '.join(CATEGORIES)}"
        )
    categories = tuple(row["categories"])
    return Judgement(row["kind"], row["key"], row["statement"], labels, categories)


__all__ = [
    "CLAIM",
    "MEANING",
    "QUESTION",
    "YES_OR_NO",
    "Item",
    "Judgement",
    "Sheet",
    "draw",
    "hash_quote",
    "read_items",
    "read_sheet",
    "write_labels",
    "write_sheet",
]
