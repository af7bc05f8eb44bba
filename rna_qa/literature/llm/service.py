"""The language model that a build asks: opened once in a process, its key from the environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rnagpt.rna_qa.literature.build.settings import LiteratureOptions, RunOptions
from rnagpt.rna_qa.literature.llm.openai_model import OPENAI, OpenAiModel
from rnagpt.rna_qa.literature.llm.prices import Prices, prices_of
from rnagpt.rna_qa.literature.llm.request_cache import RequestCache
from rnagpt.rna_qa.literature.llm.spending import Spending


def prices(options: LiteratureOptions, run: RunOptions) -> Prices | None:
    """What the model costs: as given, else as known, else None."""
    return Prices(*run.prices) if run.prices else prices_of(options.language_model or "")


@contextmanager
def open_model(path: Path, options: LiteratureOptions, run: RunOptions) -> Iterator[OpenAiModel]:
    """The model of a build, with the answers that earlier runs cached in the file `path`.

    Answers that cannot be used are written to ``quarantine.jsonl`` next to it.

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
    with RequestCache(path) as cache:
        spending = Spending(
            cache,
            known,
            limit_usd=run.budget,
            requests_per_minute=run.requests_per_minute,
            tokens_per_minute=run.tokens_per_minute,
        )
        model = OpenAiModel(
            options.language_model or "",
            run.base_url or OPENAI,
            key,
            cache,
            spending,
            parameters=options.request_options,
            stop_after=run.stop_after_failures,
        )
        try:
            yield model
        finally:
            model.close()
            cache.write_quarantine(path.with_name("quarantine.jsonl"))


__all__ = ["open_model", "prices"]
