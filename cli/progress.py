"""Progress of long work: a bar on standard error, only where that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from tqdm import tqdm

DELAY = 1.0  # seconds after which work is long enough for a bar


class Progress:
    """A bar that leaves short work alone, and makes room for results on the same terminal.

    Args:
        work: what is done, such as "annotating".
        unit: what is counted, such as "nt".
        total: how many there are; None where that is not known.
        scaled: whether large numbers are written as in "1.2M".
    """

    def __init__(
        self, work: str, unit: str, *, total: int | None = None, scaled: bool = False
    ) -> None:
        # Results on the terminal say themselves what is done: the bar goes when they are there.
        self.bar: Any = tqdm(
            desc=work,
            unit=unit,
            total=total,
            unit_scale=scaled,
            disable=None,  # where standard error is no terminal
            delay=DELAY,
            leave=not sys.stdout.isatty(),
        )

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Never drawn, it would be now.
        if not self._is_drawn:
            self.bar.leave = False
        self.bar.close()

    @property
    def _is_drawn(self) -> bool:
        return not self.bar.disable and self.bar.format_dict["elapsed"] >= DELAY

    def advance(self, count: float = 1, remark: str = "") -> None:
        """Count what is done; `remark` stands at the bar's end."""
        if remark:
            self.bar.set_postfix_str(remark, refresh=False)
        self.bar.update(count)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Take the bar away while results are written, where both go to the terminal."""
        if not (self._is_drawn and sys.stdout.isatty()):
            yield
            return
        with tqdm.external_write_mode(file=sys.stdout):
            yield


__all__ = ["DELAY", "Progress"]
