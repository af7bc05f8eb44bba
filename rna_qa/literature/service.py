"""The language model that a build asks: opened once in a process, its key from the environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rnagpt.rna_qa.literature.openai_model import OpenAiModel
from rnagpt.rna_qa.literature.request_cache import RequestCache, Totals
from rnagpt.rna_qa.literature.settings import LiteratureOptions, RunOptions
from rnagpt.rna_qa.literature.spending import Prices, Spending, prices_of

OPENAI = "https://api.openai.com/v1"


@dataclass(frozen=True)
class Service:
    """A language model with its ledger."""

    model: OpenAiModel
    cache: RequestCache

    def totals(self) -> Totals:
        return self.cache.totals()


def requests_path(work: Path) -> Path:
    """The answers and the ledger of a build."""
    return work / "requests.sqlite"


def prices(options: LiteratureOptions, run: RunOptions) -> Prices | None:
    """What the model costs: as given, else as known, else None."""
    return Prices(*run.prices) if run.prices else prices_of(options.language_model or "")


@contextmanager
def open_service(work: Path, options: LiteratureOptions, run: RunOptions) -> Iterator[Service]:
    """The model of a build, with the answers that earlier runs kept.

    Raises:
        ValueError: for a budget where the model's prices are not known.
    """
    known = prices(options, run)
    if run.budget is not None and known is None:
        raise ValueError(
            f"--budget {run.budget} needs what {options.language_model} costs: give --prices "
            "IN,OUT in dollars per million tokens (0,0 where it is free)"
        )
    key = os.environ.get("RNAQA_API_KEY") or os.environ.get("OPENAI_API_KEY")
    with RequestCache(requests_path(work)) as cache:
        spending = Spending(
            cache,
            known,
            limit_usd=run.budget,
            requests_per_minute=run.requests_per_minute,
            tokens_per_minute=run.tokens_per_minute,
        )
        model = OpenAiModel(
            options.language_model or "", run.base_url or OPENAI, key, cache, spending
        )
        try:
            yield Service(model, cache)
        finally:
            model.close()
            if cache.write_quarantine(work / "quarantine.jsonl") == 0:
                (work / "quarantine.jsonl").unlink(missing_ok=True)


def read_totals(work: Path) -> Totals | None:
    """What a build has spent; None where no language model was asked."""
    if not requests_path(work).exists():
        return None
    with RequestCache(requests_path(work)) as cache:
        return cache.totals()


__all__ = ["Service", "open_service", "prices", "read_totals", "requests_path"]
