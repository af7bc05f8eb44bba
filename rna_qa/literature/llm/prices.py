"""Prices of language models: a table in a file, which a user may replace by a newer one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any

from rnagpt.rna_qa.literature.llm.request_cache import USD

TABLE = Path(__file__).with_name("prices.json")
FORM = (
    'expected {"checked": "2026-11-28", "models": {"my-model": {"read": 0.15, "written": 0.6}}}, '
    "dollars per million tokens"
)
_DATED = re.compile(r"-20\d\d(?:-?\d\d){0,2}")


@dataclass(frozen=True)
class Prices:
    """US dollars per million tokens."""

    tokens_in: float
    tokens_out: float

    def __post_init__(self) -> None:
        if not (self.tokens_in >= 0 and self.tokens_out >= 0):
            raise ValueError(f"prices are dollars per million tokens, 0 at least, not {self}")

    def cost(self, tokens_in: int, tokens_out: int, share: Fraction = Fraction(1)) -> int:
        """Billionths of a dollar, rounded up."""
        dollars = Fraction(str(self.tokens_in)) * tokens_in
        dollars += Fraction(str(self.tokens_out)) * tokens_out
        return ceil(dollars * share * USD / 10**6)


@dataclass(frozen=True)
class PriceTable:
    """Prices by model, and the day on which they were looked up."""

    checked: str
    models: Mapping[str, Prices]

    def of(self, model: str) -> Prices | None:
        """What a model costs, if it is known; dated releases cost what their model costs."""
        known = self.models.get(model)
        dated = [name for name in self.models if _DATED.fullmatch(model.removeprefix(name))]
        return known or (self.models[dated[0]] if dated else None)


@cache
def price_table(path: Path = TABLE) -> PriceTable:
    """Read a table of prices.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it holds something else; says what is expected.
    """
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        rows: Mapping[str, Any] = table["models"]
        found = {
            name: Prices(float(row["read"]), float(row["written"])) for name, row in rows.items()
        }
        return PriceTable(str(table["checked"]), found)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path}: no such file of prices") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error!r}; {FORM}") from error


def prices_of(model: str) -> Prices | None:
    """The prices of a model (``gpt-4o-mini``, ``gpt-4o-mini-2024-07-18``), if the table has it."""
    return price_table().of(model)


__all__ = ["PriceTable", "Prices", "price_table", "prices_of"]
