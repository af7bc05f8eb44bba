"""The structure of an RNA: its family's against the seed alignment's, and what is around it."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers.paths import DATA

from rnagpt.reference.hits import CAN_PAIR, Hit
from rnagpt.reference.library import Reference
from rnagpt.reference.structures import family_structure, structure_of
from rnagpt.sequences.structure import base_pairs, with_pseudoknots

# Of yeast, tRNA-Phe (Protein Data Bank 1EHZ), as in the README, with the cloverleaf of
# every textbook.
TRNA = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA"
CLOVERLEAF = "(((((((..((((........)))).(((((.......))))).....(((((.......))))))))))))...."
# The part that the family's alignment covers, up to the discriminator base.
IN_FAMILY, ITS_LEAF = TRNA[:73], CLOVERLEAF[:73]
LEFT, RIGHT = "GGGCGCACGACCAACAC", "GUGUUGGUCGUGCGCCC"


def reverse_complement(sequence: str) -> str:
    return sequence[::-1].translate(str.maketrans("ACGU", "UGCA"))


@pytest.fixture
def bundled(own_cache: object) -> Reference:
    return Reference.open()


def test_a_trna_is_a_cloverleaf(bundled: Reference) -> None:
    pytest.importorskip("RNA", reason="ViennaRNA, package viennarna, is not installed")
    whole = structure_of(IN_FAMILY, bundled)
    assert whole.pairs == ITS_LEAF
    assert whole.source == "consensus of tRNA (RF00005), laid on this RNA"
    ended = structure_of(TRNA, bundled)
    assert ended.pairs == CLOVERLEAF
    assert ended.source == (
        "consensus of tRNA (RF00005), laid on nt 1 to 73; the rest unpaired at minimum free energy "
        "(ViennaRNA)"
    )
    # As pasted, with T and in lower case.
    assert structure_of(IN_FAMILY.lower().replace("u", "t"), bundled) == whole


def test_the_pairs_are_those_of_the_seed_alignment(reference: Reference) -> None:
    """Each row of it, with the pairs of its own columns that its letters can form."""
    shared = of_both = 0
    for seed in reference.seeds():
        for _, row in seed.rows:
            columns = [column for column, letter in enumerate(row) if letter not in "-."]
            sequence = "".join(row[column] for column in columns).upper().replace("T", "U")
            known = structure_of(sequence, reference)
            if known.source.startswith("minimum"):
                continue
            expected = {
                (columns.index(left), columns.index(right))
                for left, right in base_pairs(seed.structure)
                if {left, right} <= set(columns)
            }
            laid = set(base_pairs(known.pairs))
            shared += len(laid & expected)
            of_both += len(laid)
    assert of_both > 300
    assert shared / of_both > 0.9


def test_conserved_columns_are_those_of_the_seed_alignment(reference: Reference) -> None:
    """Bits of the profile against the entropy of the alignment's own columns."""
    correlations = []
    for seed in reference.seeds():
        _, row = seed.rows[0]
        columns = [column for column, letter in enumerate(row) if letter not in "-."]
        sequence = "".join(row[column] for column in columns).upper().replace("T", "U")
        conservation = structure_of(sequence, reference).conservation
        letters = np.array([list(row.upper().replace("T", "U")) for _, row in seed.rows])
        counts = np.array([(letters[:, columns] == letter).sum(0) for letter in "ACGU"])
        shares = counts / counts.sum(0)
        entropies = -(shares * np.log2(np.maximum(shares, 1e-9))).sum(0)
        known = [place for place, bits in enumerate(conservation) if bits is not None]
        assert len(known) > 0.8 * len(sequence)
        told = np.array([conservation[place] for place in known], dtype=float)
        assert 0 <= told.min() < told.max() <= 2
        # The profile weighs its rows, and expects letters too that none of a few rows has.
        correlations.append(np.corrcoef(told, 2 - entropies[known])[0, 1])
    assert min(correlations) > 0.5
    assert np.median(correlations) > 0.9


def test_flanks_are_folded_around_the_family(bundled: Reference) -> None:
    pytest.importorskip("RNA", reason="ViennaRNA, package viennarna, is not installed")
    known = structure_of(LEFT + IN_FAMILY + RIGHT, bundled)
    assert known.pairs == "(" * 17 + ITS_LEAF + ")" * 17
    assert known.source == (
        "consensus of tRNA (RF00005), laid on nt 18 to 90; the rest: minimum free energy around it "
        "(ViennaRNA)"
    )
    assert known.conservation[:17] == known.conservation[-17:] == (None,) * 17
    assert known.conservation[17:90] == structure_of(IN_FAMILY, bundled).conservation


def test_without_viennarna_a_family_is_laid_and_nothing_folded(
    bundled: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "RNA", None)
    assert structure_of(IN_FAMILY, bundled).pairs == ITS_LEAF
    known = structure_of(LEFT + IN_FAMILY + RIGHT, bundled)
    assert known.pairs == "." * 17 + ITS_LEAF + "." * 17
    assert known.source.endswith("; the rest not folded, as ViennaRNA is not installed")
    for rna, where in ((IN_FAMILY, None), ("GGGGGAAAACCCCC", bundled)):
        with pytest.raises(ImportError, match=r"pip install 'rna-gpt\[explain\]'"):
            structure_of(rna, where)


def test_the_other_strand_is_turned_round(bundled: Reference) -> None:
    forward, turned = (structure_of(rna, bundled) for rna in (TRNA, reverse_complement(TRNA)))
    length = len(TRNA)
    mirrored = {
        (length - 1 - right, length - 1 - left)
        for left, right in base_pairs(forward.pairs)
        if {TRNA[left], TRNA[right]} != {"G", "U"}  # whose complements are C and A
    }
    assert len(mirrored) == len(base_pairs(forward.pairs)) - 1
    assert set(base_pairs(turned.pairs)) == mirrored
    assert turned.source.startswith(
        "consensus of tRNA (RF00005), which matches the minus strand, laid on nt 4 to 76 without "
        "the pairs that only that strand can form"
    )
    assert turned.conservation == forward.conservation[::-1]


def test_several_families_in_one_rna(bundled: Reference) -> None:
    between = "ACACACAC"
    known = structure_of(IN_FAMILY + between + reverse_complement(IN_FAMILY), bundled)
    assert known.pairs.startswith(ITS_LEAF)
    assert set(known.pairs[73:81]) <= {"."}
    assert known.pairs.count("(") == known.pairs.count(")") == 2 * ITS_LEAF.count("(") - 1
    assert ", laid on nt 1 to 73, and consensus of tRNA (RF00005), which " in known.source


def test_without_a_hit_the_structure_is_that_of_minimum_free_energy(bundled: Reference) -> None:
    rna = pytest.importorskip("RNA", reason="ViennaRNA, package viennarna, is not installed")
    for sequence, where in (
        ("GGGGGAAAACCCCC", bundled),  # too short to be searched
        ("GGGGGAAAACCCCCACAC", bundled),
        (TRNA, None),
    ):
        pairs, energy = rna.fold(sequence)
        known = structure_of(sequence, where)
        assert known.pairs == pairs
        assert known.source == f"minimum free energy (ViennaRNA), −{-energy:.1f} kcal/mol"
        assert known.conservation == ()


def test_long_rnas_have_their_families_alone(bundled: Reference) -> None:
    known = structure_of("ACAC" * 150 + IN_FAMILY, bundled)
    assert known.pairs == "." * 600 + ITS_LEAF
    assert known.source.endswith("; the rest not folded, as the RNA is longer than 600 nt")
    none = structure_of("ACAC" * 151, bundled)
    assert set(none.pairs) == {"."}
    assert none.source == "none; only RNAs of up to 600 nt are folded"


class OneHit:
    """A reference that finds these hits, whatever the RNA."""

    def __init__(self, *hits: Hit) -> None:
        self.hits = list(hits)

    def search(self, _: object) -> list[Hit]:
        return self.hits

    def conservation(self, hit: Hit) -> tuple[float | None, ...]:
        return (1.0,) * (hit.end + 1 - hit.start)

    def consensus_pairs(self, hit: Hit) -> tuple[()]:
        return ()


def test_of_overlapping_hits_the_best_counts(bundled: Reference) -> None:
    (best,) = bundled.search(IN_FAMILY)
    worse: Any = replace(best, strand="-", start=60, end=73, structure="(((......)))..")
    found: Any = OneHit(best, worse)
    assert structure_of(IN_FAMILY, found).pairs == ITS_LEAF


def test_a_family_without_a_structure_is_said_to_have_none(bundled: Reference) -> None:
    pytest.importorskip("RNA", reason="ViennaRNA, package viennarna, is not installed")
    (hit,) = bundled.search(IN_FAMILY)
    for nothing in ("", "." * 73):
        found: Any = OneHit(replace(hit, structure=nothing))
        known = structure_of(IN_FAMILY, found)
        assert known.pairs == structure_of(IN_FAMILY, None).pairs
        assert known.source.startswith("minimum free energy (ViennaRNA), −")
        assert known.source.endswith("; no consensus structure is known of tRNA (RF00005)")
        assert known.conservation == (1.0,) * 73


def test_the_structure_of_a_single_rna_is_called_that(bundled: Reference) -> None:
    (hit,) = bundled.search(IN_FAMILY)
    found: Any = OneHit(replace(hit, source="sequence"))
    assert structure_of(IN_FAMILY, found).source == "that of tRNA (RF00005), laid on this RNA"


def test_pseudoknots_are_those_that_rfam_lists_apart(reference: Reference) -> None:
    """Its second row of structure (SS_cons2) has them in brackets, where the first has letters."""
    text = (DATA / "rfam_five_families.seed").read_text()
    (block,) = (block for block in text.split("//\n") if "SS_cons2" in block)
    (apart,) = (line.split()[-1] for line in block.splitlines() if "SS_cons2" in line)
    knots = base_pairs(apart)
    shared = told = 0
    for line in block.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        row = line.split()[1].upper().replace("T", "U")
        columns = [column for column, letter in enumerate(row) if letter not in "-."]
        sequence = "".join(row[column] for column in columns)
        known = family_structure(sequence, reference)
        places = {column: place for place, column in enumerate(columns)}
        expected = {
            (places[left], places[right])
            for left, right in knots
            if left in places and right in places and row[left] + row[right] in CAN_PAIR
        }
        shared += len(expected & set(known.pseudoknots))
        told += len(known.pseudoknots)
        for first, second in known.unformed:
            assert sequence[first] + sequence[second] not in CAN_PAIR
        drawn = with_pseudoknots(known.pairs, known.pseudoknots)
        assert drawn.count("[") == drawn.count("]") == len(known.pseudoknots)
        assert set(base_pairs(drawn)) == {*base_pairs(known.pairs), *known.pseudoknots}
    assert told > 30
    assert shared / told > 0.95


def test_pairs_that_letters_cannot_form_are_listed(bundled: Reference) -> None:
    broken = "A" + IN_FAMILY[1:]  # G1 pairs with C72; A1 does not
    known = family_structure(broken, bundled)
    assert known.parts == ((1, 73),)
    assert (0, 71) in known.unformed
    assert (0, 71) not in base_pairs(known.pairs)
    assert (0, 71) not in family_structure(IN_FAMILY, bundled).unformed


def test_crossing_pairs_get_brackets_of_their_own() -> None:
    drawn = with_pseudoknots("((....))........", [(2, 9), (3, 8), (4, 12), (5, 15)])
    assert drawn == "(([[{<))]]..}..>"
    with pytest.raises(ValueError, match="too few"):
        with_pseudoknots("." * 80, [(place, place + 40) for place in range(40)])
