"""Precision of a data set from a sample that was judged."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rnagpt.rna_qa.literature.judging.samples import (
    CLAIM,
    MEANING,
    QUESTION,
    YES_OR_NO,
    Item,
    Judgement,
    Sheet,
    draw,
)

Z = 1.959964  # 95 %
ALL = "all of these"
TRUE_AND_ABOUT = "true and about this RNA"


@dataclass(frozen=True)
class Share:
    """How many of the items that were judged are right.

    Attributes:
        kind: of the items.
        label: what was judged.
    """

    kind: str
    label: str
    right: int
    judged: int

    @property
    def precision(self) -> float:
        return self.right / self.judged

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.right, self.judged)


@dataclass(frozen=True)
class Precision:
    """What the labels say about a data set.

    Attributes:
        judges: who filled the sheets, each once.
        seeds: of the draws.
        left_out: quotes that one of the draws left out.
        drawn: items that these draws have now.
        without_label: of these, items that no sheet holds: the builder writes something else now.
        not_drawn: labels of items that the draws have no longer.
        shares: empty where nothing has a label.
    """

    judges: tuple[str, ...]
    seeds: tuple[int, ...]
    left_out: int
    drawn: int
    without_label: int
    not_drawn: int
    shares: tuple[Share, ...]

    @property
    def is_whole(self) -> bool:
        """Whether all that is drawn has a label: only then are the figures those of the data set.

        What a better builder no longer writes was wrong more often than the rest, so the labels
        that still apply speak too well of it.
        """
        return not self.without_label

    def as_record(self) -> dict[str, Any]:
        """As it stands in ``build.json``."""
        rows = [
            {**asdict(one), "interval": [round(end, 4) for end in one.interval]}
            for one in self.shares
        ]
        return {
            "judges": list(self.judges),
            "seeds": list(self.seeds),
            "quotes left out": self.left_out,
            "shares": rows,
        }


def wilson(right: int, judged: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson, J. Am. Stat. Assoc. 22, 1927).

    Raises:
        ValueError: if nothing was judged.
    """
    if judged < 1:
        raise ValueError("an interval needs at least one item that was judged")
    share = right / judged
    scale = 1 + Z**2 / judged
    middle = (share + Z**2 / (2 * judged)) / scale
    half = Z * math.sqrt(share * (1 - share) / judged + Z**2 / (4 * judged**2)) / scale
    return max(0.0, middle - half), min(1.0, middle + half)


def measure(items: Iterable[Item], sheets: Sequence[Sheet]) -> Precision:
    """The precision of a data set's items by the sheets that were drawn from it.

    Each sheet's draw is made again. A label holds for the same text, question, papers and RNA;
    the category that was judged right is compared with the one that the data set gives now.
    """
    items = list(items)
    drawn = {
        item.key: item
        for seed, count, left_out in {(sheet.seed, sheet.count, sheet.left_out) for sheet in sheets}
        for item in draw(items, count, seed, left_out)
    }
    judged = {one.key: one for sheet in sheets for one in sheet.judgements}
    pairs = [(item, judged[key]) for key, item in drawn.items() if key in judged]
    return Precision(
        judges=tuple(dict.fromkeys(sheet.judge for sheet in sheets)),
        seeds=tuple(dict.fromkeys(sheet.seed for sheet in sheets)),
        left_out=max((len(sheet.left_out) for sheet in sheets), default=0),
        drawn=len(drawn),
        without_label=len(drawn.keys() - judged.keys()),
        not_drawn=len(judged.keys() - drawn.keys()),
        shares=tuple(_shares(pairs)),
    )


def _shares(pairs: Sequence[tuple[Item, Judgement]]) -> Iterator[Share]:
    for kind, labels in YES_OR_NO.items():
        of_kind = [pair for pair in pairs if pair[0].kind == kind]
        if not of_kind:
            continue
        said = [_answers(item, judgement) for item, judgement in of_kind]
        names = [*labels, "category"] if kind == QUESTION else list(labels)
        for name in names:
            yield Share(kind, name, sum(one[name] for one in said), len(said))
        if kind == CLAIM:
            both = sum(one["true"] and one["about"] for one in said)
            yield Share(kind, TRUE_AND_ABOUT, both, len(said))
        whole = sum(all(one[name] for name in names) for one in said)
        yield Share(kind, ALL, whole, len(said))


def _answers(item: Item, judgement: Judgement) -> dict[str, bool]:
    return {**judgement.labels, "category": item.category in judgement.categories}


def describe(precision: Precision) -> Iterator[str]:
    """The figures as a table in Markdown."""
    yield "| of | judged | right | precision (95 % interval) |"
    yield "| --- | ---: | ---: | --- |"
    for share in precision.shares:
        yield describe_share(asdict(share) | {"interval": share.interval})


def describe_share(row: dict[str, Any]) -> str:
    """A row of the table, from a share as it stands in ``build.json``."""
    low, high = row["interval"]
    meaning = MEANING.get(row["label"], row["label"])
    return (
        f"| {row['kind']}s: {meaning} | {row['judged']} | {row['right']} | "
        f"{row['right'] / row['judged']:.3f} ({low:.3f}–{high:.3f}) |"
    )


__all__ = ["Precision", "Share", "describe", "describe_share", "measure", "wilson"]
