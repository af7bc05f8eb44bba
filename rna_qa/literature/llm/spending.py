"""Budget and rate limit of requests to a language model, shared by all threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction

from rnagpt.rna_qa.literature.llm.language_model import BudgetExceeded
from rnagpt.rna_qa.literature.llm.prices import Prices
from rnagpt.rna_qa.literature.llm.request_cache import USD, Answer, RequestCache
from rnagpt.rna_qa.literature.retry import RateLimit

BATCH_SHARE = Fraction(1, 2)  # of the price, for what is asked in batches


FREE = Prices(0, 0)


class Spending:
    """Holds all threads to one rate limit and one budget, and keeps the ledger.

    Requests are begun at least 60 / `requests_per_minute` seconds apart, and tokens (those of the
    input and the most of the answer, as OpenAI counts them) likewise: within any minute the limits
    are exceeded by one request at most. The rate limit is this process's; the limit in dollars is
    the ledger's, so of all runs and processes on one folder.

    No request is sent unless the most that it can cost is left of the limit.

    Args:
        prices: None where they are not known: everything then counts as free.
        limit_usd: For the whole build, what earlier runs spent included.
        clock: Seconds; tests give another.
        sleep: Waits for N seconds.

    Raises:
        ValueError: for a limit without prices.
    """

    def __init__(
        self,
        cache: RequestCache,
        prices: Prices | None = None,
        *,
        limit_usd: float | None = None,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if limit_usd is not None and prices is None:
            raise ValueError(
                f"a budget of ${limit_usd} needs the model's prices, in dollars per million tokens "
                "read and written"
            )
        self.prices = prices or FREE
        self._cache = cache
        self._limit = None if limit_usd is None else int(limit_usd * USD)
        self.rate = RateLimit(
            60 / requests_per_minute if requests_per_minute else 0.0,
            60 / tokens_per_minute if tokens_per_minute else 0.0,
            clock=clock,
            sleep=sleep,
        )
        self._on_their_way = 0
        self._settled = threading.Condition()

    def begin(self, key: str, most_in: int, most_out: int) -> int:
        """Wait until a request may be sent; its number in the ledger.

        Args:
            most_in: More tokens its input cannot have.
            most_out: The bound of its answer.

        Raises:
            BudgetExceeded: if the request might cost more than is left.
        """
        reserved = self.prices.cost(most_in, most_out)
        with self._settled:
            while (attempt := self._cache.begin(key, reserved, self._limit)) is None:
                # What is on its way will cost less than was reserved for it.
                if not self._on_their_way:
                    raise self._budget_spent(reserved)
                self._settled.wait()
            self._on_their_way += 1
        return attempt

    def settle(self, attempt: int, answer: Answer) -> None:
        """Cache an answer and its cost."""
        cost = self.prices.cost(answer.tokens_in, answer.tokens_out)
        with self._arrival():
            self._cache.settle(attempt, answer, cost)

    def fail(self, attempt: int, outcome: str, *, billed: bool) -> None:
        """Note that a request got no answer; `billed`: it may have to be paid all the same."""
        with self._arrival():
            self._cache.fail(attempt, outcome, billed=billed)

    @contextmanager
    def _arrival(self) -> Iterator[None]:
        try:
            yield
        finally:
            with self._settled:
                self._on_their_way -= 1
                self._settled.notify_all()

    # Batches: half the price, and nothing to wait for.

    def begin_in_batch(
        self, key: str, most_in: int, most_out: int, batch: int
    ) -> BudgetExceeded | None:
        """Reserve the cost of a request of a batch; why not, where the limit forbids it."""
        reserved = self.prices.cost(most_in, most_out, BATCH_SHARE)
        is_begun = self._cache.begin(key, reserved, self._limit, batch) is not None
        return None if is_begun else self._budget_spent(reserved)

    def settle_in_batch(self, attempt: int, answer: Answer) -> None:
        """Cache an answer that came in a batch."""
        cost = self.prices.cost(answer.tokens_in, answer.tokens_out, BATCH_SHARE)
        self._cache.settle(attempt, answer, cost)

    def _budget_spent(self, reserved: int) -> BudgetExceeded:
        """What to raise where N billionths of a dollar are not left."""
        limit = (self._limit or 0) / USD
        spent = self._cache.totals().spent_usd
        return BudgetExceeded(
            f"${spent:.4f} of the budget of ${limit:.4f} are spent, and the next request may cost "
            f"${reserved / USD:.4f}; raise --budget and run again to resume"
        )


__all__ = ["BATCH_SHARE", "FREE", "Spending"]
