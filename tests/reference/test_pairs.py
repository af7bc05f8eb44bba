"""Base pairs and extent as evidence: against a made family, counts by hand, and chance."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnagpt.cli.main import main
from rnagpt.reference.edit import families_of, ungapped
from rnagpt.reference.hits import Hit
from rnagpt.reference.library import Reference
from rnagpt.reference.pair_tables import MAX_BITS, PSEUDOCOUNT, match_columns, pair_scores
from rnagpt.reference.pairs import PairTables
from rnagpt.reference.profiles import SeedAlignment, build_profile
from rnagpt.reference.records import FAMILY, Record
from rnagpt.reference.significance import MAX_SUPPORT, support_bits, whole_ratio
from rnagpt.reference.writer import write_reference
from rnagpt.sequences.shuffle import shuffle_dinucleotides

LEFT, LOOP, RIGHT = "GGCAUCCGAGUC", "GGAAACUUCGAAAGCAUA", "UUAGCCAGAUGA"
PAIRS = 12
STRUCTURE = "<" * PAIRS + "." * len(LOOP) + ">" * PAIRS + "." * len(RIGHT)
PARTNER = {"A": "U", "C": "G", "G": "C", "U": "A"}
COMPLEMENT = str.maketrans("ACGU", "UGCA")


def hairpin(helix: str) -> str:
    """A helix of these letters with their partners, with the family's loop and end."""
    return helix + LOOP + "".join(PARTNER[letter] for letter in reversed(helix)) + RIGHT


def random_helix(seed: int) -> str:
    return "".join("ACGU"[n] for n in np.random.default_rng(seed).integers(0, 4, PAIRS))


def covarying(structure: str = STRUCTURE) -> SeedAlignment:
    """A family whose helix may be of any letters, but for what pairs."""
    rows = tuple((f"rna{n}", hairpin(random_helix(n))) for n in range(40))
    return SeedAlignment("MADE1", rows, structure)


def reference_of(seed: SeedAlignment, out: Path) -> Reference:
    write_reference(out, [(Record(seed.id, FAMILY, "made"), seed)], name="made")
    return Reference.open(out)


@pytest.fixture
def made(tmp_path: Path, own_cache: Path) -> Reference:
    return reference_of(covarying(), tmp_path / "made")


def broken(rna: str) -> str:
    """The same with the 3' side of its helix turned around: the same letters, that do not pair."""
    start = PAIRS + len(LOOP)
    return rna[:start] + rna[start : start + PAIRS][::-1] + rna[start + PAIRS :]


def only_hit(reference: Reference, rna: str) -> Hit:
    (hit,) = reference.search(rna, evalue=10)
    return hit


@pytest.mark.parametrize("seed", [101, 102, 103, 104])
def test_letters_that_pair_speak_for_the_family_and_letters_that_do_not_against(
    made: Reference, seed: int
) -> None:
    """No column of the helix has a letter of its own: the profile's score hardly differs."""
    rna = hairpin(random_helix(seed))
    whole, spoilt = only_hit(made, rna), only_hit(made, broken(rna))
    assert whole.pair_bits is not None
    assert spoilt.pair_bits is not None
    assert whole.pair_bits > 8 > 0 > spoilt.pair_bits
    assert abs(whole.bits - spoilt.bits) < 3
    assert whole.evalue < spoilt.evalue / 50


def emissions_of(hmm: Any) -> Any:
    """An attribute that pyhmmer's types leave out."""
    return hmm.match_emissions


def test_both_strands_have_the_same_evidence(made: Reference) -> None:
    rna = hairpin(random_helix(7))
    forward, backward = (
        only_hit(made, "ACUGA" + rna),
        only_hit(made, ("ACUGA" + rna).translate(COMPLEMENT)[::-1]),
    )
    assert (forward.strand, backward.strand) == ("+", "-")
    assert forward.pair_bits == backward.pair_bits
    assert forward.support_bits == pytest.approx(backward.support_bits)
    assert forward.evalue == pytest.approx(backward.evalue, rel=0.01)


def test_a_family_without_structure_has_no_evidence_of_pairs(
    tmp_path: Path, own_cache: Path
) -> None:
    reference = reference_of(covarying(""), tmp_path / "flat")
    rna = hairpin(random_helix(101))
    hits = [only_hit(reference, rna), only_hit(reference, broken(rna))]
    assert [hit.pair_bits for hit in hits] == [None, None]
    assert hits[0].to_dict()["pair_bits"] is None
    assert hits[0].support_bits == pytest.approx(hits[1].support_bits, abs=1)


def test_scores_are_the_log_odds_of_counts_by_hand() -> None:
    """Rows that are alike in the paired columns count once; T is U, a gap is nothing."""
    rows = (
        ("a", "GACAAAGUC"),
        ("b", "GACUAAGUC"),
        ("c", "AACAAAGTT"),
        ("d", "GACAAAGU-"),
        ("e", "CACAAAGUG"),
    )
    seed = SeedAlignment("F", rows, "<.......>")
    hmm: Any = build_profile(seed)  # pyhmmer types no emissions
    columns, scores = pair_scores(seed, hmm)
    assert columns == [(1, 9)]
    emissions = np.asarray(emissions_of(hmm))
    letters = "ACGU"
    counts = {"GC": 1, "AU": 1, "CG": 1}
    usual = {"GC": 0.27, "CG": 0.27, "AU": 0.17, "UA": 0.17, "GU": 0.045, "UG": 0.045}
    for one in letters:
        for other in letters:
            prior = 0.9 * usual[one + other] / 0.97 if one + other in usual else 0.01
            share = (counts.get(one + other, 0) + PSEUDOCOUNT * prior) / (3 + PSEUDOCOUNT)
            alone = emissions[1][letters.index(one)] * emissions[9][letters.index(other)]
            expected = min(max(np.log2(share / alone), -MAX_BITS), MAX_BITS)
            found = scores[0, letters.index(one), letters.index(other)]
            assert found == pytest.approx(expected, abs=1e-4)


def test_columns_of_the_profile_are_those_of_the_alignment_that_most_rows_fill() -> None:
    rows = [("a", "GACU.AGGA-C"), ("b", "GACU.AGGAUC"), ("c", "GACUCAGGAUC"), ("d", "GACU.AGG--C")]
    hmm: Any = build_profile(SeedAlignment("F", tuple(rows)))
    filled = [
        column
        for column in range(len(rows[0][1]))
        if sum(row[column] in "ACGU" for _, row in rows) >= 2
    ]
    columns, emissions = match_columns(hmm)
    assert columns == filled
    assert emissions == pytest.approx(np.asarray(emissions_of(hmm))[1:], abs=1e-5)
    assert 4 not in filled


def test_a_pair_with_a_gap_or_another_letter_is_passed_over(made: Reference) -> None:
    tables = PairTables.read(made._index())
    helix = dict(enumerate(hairpin(random_helix(3)), start=1))
    whole = tables.bits("MADE1", helix)
    first = tables.bits("MADE1", {1: helix[1], PAIRS * 2 + len(LOOP): helix[PAIRS * 2 + len(LOOP)]})
    without = tables.bits("MADE1", helix | {1: "N"})
    assert whole is not None
    assert first is not None
    assert without is not None
    assert whole == pytest.approx(first + without)
    assert tables.bits("MADE1", {1: "G", 2: "G"}) is None
    assert tables.bits("another", helix) is None


def test_a_folder_without_pairs_has_none(tmp_path: Path) -> None:
    assert PairTables.read(tmp_path).bits("RF00005", {1: "G", 2: "C"}) is None


@pytest.mark.parametrize("length", [1, 9, 40, 300])
def test_the_parts_of_a_whole_share_out_no_more_than_chance_has(length: int) -> None:
    """What supports some parts more than a uniform choice does has to support others less."""
    parts = [(start, end) for start in range(length) for end in range(start + 1, length + 1)]
    mean = sum(whole_ratio(end - start, length) for start, end in parts) / len(parts)
    assert mean <= 1
    assert whole_ratio(length, length) == pytest.approx(0.04 * len(parts))


def test_support_has_its_bounds() -> None:
    assert support_bits(of_profile=1, of_query=1, pair_bits=None) == 0
    assert 2 ** support_bits(of_profile=0, of_query=0, pair_bits=-99) == pytest.approx(1 / 6)
    assert 2 ** support_bits(of_profile=1e6, of_query=1, pair_bits=50) == MAX_SUPPORT


def test_a_whole_rna_is_supported_more_than_a_part_in_other_sequence(reference: Reference) -> None:
    random = np.random.default_rng(4)
    for _, seed in list(families_of(reference))[:3]:
        rna = ungapped(seed.rows[0][1])
        around = ["".join("ACGU"[n] for n in random.integers(0, 4, 60)) for _ in range(2)]
        part = rna[len(rna) // 4 : -len(rna) // 4]
        whole = reference.search(rna)[0]
        inside = reference.search(around[0] + part + around[1], evalue=10)[0]
        assert whole.support_bits > inside.support_bits


def test_shuffled_rnas_have_as_few_hits_as_evalues_say(reference: Reference) -> None:
    """Of 400 shuffled members at most about 400 may have a hit of E < 1."""
    random = np.random.default_rng(0)
    rnas = [ungapped(row) for _, seed in families_of(reference) for _, row in seed.rows]
    drawn = [rnas[n] for n in random.integers(0, len(rnas), 400)]
    for limit in (1.0, 0.1):
        hits = sum(
            len(reference.search(shuffle_dinucleotides(rna, random), evalue=limit)) for rna in drawn
        )
        assert hits <= 400 * limit + 3 * (400 * limit) ** 0.5


def test_the_command_says_what_supports_a_hit(
    made: Reference, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fasta = tmp_path / "rna.fasta"
    fasta.write_text(f">made\n{hairpin(random_helix(9))}\n")
    command = ["annotate", str(fasta), "--reference", str(made.folder), "--format", "json"]
    assert main(command) == 0
    (hit,) = json.loads(capsys.readouterr().out)["hits"]
    assert hit["pair_bits"] > 5
    assert 0 < hit["support_bits"] <= 10
