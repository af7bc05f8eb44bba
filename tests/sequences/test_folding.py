"""Structures: against pairs and places counted by hand."""

import sys

import numpy as np
import pytest

from rnagpt.sequences.folding import (
    fold_around,
    fold_rna,
    lay_out,
    minimum_free_energy,
)

HAIRPIN = "GGGGGAAAACCCCC"


def test_fold_and_layout_of_a_hairpin():
    pytest.importorskip("RNA", reason="ViennaRNA, package viennarna, is not installed")
    assert fold_rna(HAIRPIN) == "(((((....)))))"
    places = lay_out("(((((....)))))")
    assert places.shape == (14, 2)
    across = np.hypot(*(places[[4, 3, 2, 1, 0]] - places[[9, 10, 11, 12, 13]]).T)
    np.testing.assert_allclose(across, across[0], rtol=1e-3)  # the rungs of a ladder
    distances = np.hypot(*(places[:, None] - places).T)
    assert distances[~np.eye(14, dtype=bool)].min() > 19  # circles of 9.5 do not touch


def test_the_source_tells_the_energy():
    rna = pytest.importorskip("RNA", reason="ViennaRNA, package viennarna, is not installed")
    folded = minimum_free_energy(HAIRPIN)
    assert folded.pairs == "(((((....)))))"
    energy = abs(rna.eval_structure_simple(HAIRPIN, folded.pairs))
    assert folded.source == f"minimum free energy (ViennaRNA), −{energy:.1f} kcal/mol"
    assert minimum_free_energy("AAAAAAAA").source.startswith("none; no base pair")


def test_what_is_known_stays_and_helices_go_around_it():
    pytest.importorskip("RNA", reason="ViennaRNA, package viennarna, is not installed")
    # The part could form four more pairs, and other ones with what is outside.
    left, part, right = "GGGCGCAC", "CCGGGGAAAACCCCGG", "GUGCGCCC"
    known = "((............))"
    places = range(len(left), len(left) + len(part))
    structure = "." * 8 + known + "." * 8
    assert fold_around(left + part + right, structure, places) == "(" * 8 + known + ")" * 8
    # Pairs that ViennaRNA does not allow stay too: the first of these has a loop of two.
    tight = "." * 8 + ".(..)..((....))." + "." * 8
    folded = fold_around(left + part + right, tight, places)
    assert folded[8:24] == tight[8:24]


def test_without_viennarna_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "RNA", None)
    for work in (
        lambda: fold_rna(HAIRPIN),
        lambda: minimum_free_energy(HAIRPIN),
        lambda: fold_around(HAIRPIN, "." * 14, range(4)),
        lambda: lay_out("(...)"),
    ):
        with pytest.raises(ImportError, match=r"pip install 'rna-gpt\[explain\]'"):
            work()
