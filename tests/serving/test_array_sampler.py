"""Tokens chosen by NumPy are chosen as PyTorch's sampler would, but for the draws."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from rnagpt.serving.engines.array_sampler import ArraySampler
from rnagpt.serving.engines.base import Sampling
from rnagpt.serving.engines.token_batch import TokenSampler

DRAWS = 4_000


def logits(size: int = 12) -> np.ndarray:
    return np.random.default_rng(0).normal(scale=1.5, size=size).astype(np.float32)


@pytest.mark.parametrize("top", [None, 0, 3, 99])
@pytest.mark.parametrize("asked", [False, True])
def test_the_likeliest_token_and_its_probability_are_pytorchs(asked: bool, top: int | None) -> None:
    given = logits()
    sampling = Sampling(9, log_probabilities=asked, top=top)
    ours, theirs = ArraySampler(sampling), TokenSampler(sampling)
    token = ours.choose(given)
    assert token == theirs.choose(torch.from_numpy(given)) == given.argmax()
    found = ours.probability(given, 5)
    expected = theirs.probability(torch.from_numpy(given), 5)
    assert (found is None) == (expected is None) == (not asked and top is None)
    if found is None or expected is None:
        return
    assert found.id == 5
    assert found.log_probability == pytest.approx(expected.log_probability, abs=1e-5)
    assert [one for one, _ in found.top] == [one for one, _ in expected.top]
    assert [by for _, by in found.top] == pytest.approx([by for _, by in expected.top], abs=1e-5)


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.6, 1.0), (1.4, 0.8), (1.0, 0.3)])
def test_draws_are_as_frequent_as_they_should_be(temperature: float, top_p: float) -> None:
    given = logits()
    shares = torch.from_numpy(given / temperature).double().softmax(-1).numpy()
    order = np.argsort(-shares)
    last = int(np.searchsorted(shares[order].cumsum(), top_p)) if top_p < 1 else len(shares) - 1
    kept = order[: last + 1]
    sampler = ArraySampler(Sampling(9, temperature=temperature, top_p=top_p, seed=3))
    counts = Counter(sampler.choose(given) for _ in range(DRAWS))
    assert set(counts) <= set(kept.tolist())
    for token in kept:
        share = shares[token] / shares[kept].sum()
        spread = 5 * np.sqrt(share * (1 - share) / DRAWS)
        assert counts[token] / DRAWS == pytest.approx(share, abs=spread + 1e-9)


def test_a_seed_gives_the_same_draws_and_none_gives_others() -> None:
    def draw(seed: int | None) -> list[int]:
        sampler = ArraySampler(Sampling(9, temperature=1.0, seed=seed))
        return [sampler.choose(logits(500)) for _ in range(20)]

    assert draw(7) == draw(7)
    assert draw(2**63 - 1) != draw(7)
    assert draw(None) != draw(None)


def test_a_token_that_may_not_be_is_never_chosen_and_has_no_share() -> None:
    given = logits()
    likeliest = int(given.argmax())
    before = given.copy()
    for temperature in (0.0, 1.0):
        sampler = ArraySampler(Sampling(9, temperature=temperature, seed=1, top=3), likeliest)
        assert likeliest not in [sampler.choose(given) for _ in range(200)]
        told = sampler.probability(given, 0)
        assert told
        assert likeliest not in [token for token, _ in told.top]
    assert np.array_equal(given, before)


def test_certainty_overflows_nowhere() -> None:
    given = np.array([-3e38, 50.0, -3e38], np.float32)
    sampler = ArraySampler(Sampling(9, temperature=0.01, top_p=1e-9, seed=1, top=2))
    assert [sampler.choose(given) for _ in range(20)] == [1] * 20
    told = sampler.probability(given, 1)
    assert told
    assert told.log_probability == 0
