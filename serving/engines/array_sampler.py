"""Tokens chosen from logits by NumPy, for an engine that needs no PyTorch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rnagpt.serving.engines.base import MIN_TEMPERATURE, Sampling, TokenProbability

Logits = npt.NDArray[np.float32]
_Shares = npt.NDArray[np.float64]


class ArraySampler:
    """Chooses the tokens of one answer, a `Sampler`; draws are others than PyTorch's.

    Args:
        sampling: how.
        never: a token that no answer may hold; None: none.
    """

    def __init__(self, sampling: Sampling, never: int | None = None) -> None:
        self._sampling, self._never = sampling, never
        self._generator = np.random.default_rng(sampling.seed)

    def choose(self, logits: Logits) -> int:
        """A token, by logits (vocabulary,)."""
        shown = self._shown(logits)
        if self._sampling.temperature < MIN_TEMPERATURE:
            return int(shown.argmax())
        shares = np.exp(_log_softmax(shown.astype(np.float64) / self._sampling.temperature))
        if self._sampling.top_p < 1:
            _keep_likeliest(shares, self._sampling.top_p)
        sums = shares.cumsum()
        # The draw is below the sum; the last token with a share is the one where rounding says no.
        place = int(sums.searchsorted(self._generator.random() * sums[-1], side="right"))
        return min(place, int(shares.nonzero()[0][-1]))

    def probability(self, logits: Logits, token: int) -> TokenProbability | None:
        """How likely a token was; None where it was not asked for."""
        if not self._sampling.asks_how_likely:
            return None
        logs = _log_softmax(self._shown(logits).astype(np.float64))
        number = min(self._sampling.top or 0, len(logs))
        best = np.argpartition(-logs, number - 1)[:number] if number else np.array([], int)
        best = best[np.argsort(-logs[best], kind="stable")]
        top = tuple((int(one), float(logs[one])) for one in best)
        return TokenProbability(token, float(logs[token]), top)

    def _shown(self, logits: Logits) -> Logits:
        if self._never is None:
            return logits
        shown = logits.copy()
        shown[self._never] = np.finfo(logits.dtype).min
        return shown


def _log_softmax(logits: _Shares) -> _Shares:
    shifted = logits - logits.max()
    logs: _Shares = shifted - np.log(np.exp(shifted).sum())
    return logs


def _keep_likeliest(shares: _Shares, top_p: float) -> None:
    """Set all shares to 0 but the fewest largest ones that sum to `top_p`; in place."""
    order = np.argsort(-shares, kind="stable")
    ordered = shares[order]
    # The token with which the sum reaches top_p stays in, and so the first always does.
    surplus = ordered.cumsum() - ordered >= top_p
    surplus[0] = False
    shares[order[surplus]] = 0.0


__all__ = ["ArraySampler", "Logits"]
