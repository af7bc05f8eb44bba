"""Base pairs of structures as text."""

from __future__ import annotations

from rnagpt.sequences.structure import base_pairs


def test_pairs_of_dot_brackets() -> None:
    assert base_pairs("((..).)") == [(0, 6), (1, 4)]


def test_pairs_of_wuss_in_their_order_without_pseudoknots() -> None:
    assert base_pairs("<<__>>..((,,)),[]") == [(0, 5), (1, 4), (8, 13), (9, 12), (15, 16)]
    assert base_pairs("<<AA__>>aa") == [(0, 7), (1, 6)]


def test_a_bracket_whose_partner_is_missing_is_no_pair() -> None:
    assert base_pairs("))((..)") == [(3, 6)]
