"""The search against HMMER's own programs, against where RNAs were put, and against chance."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from rnagpt.evaluation.search_queries import PRIMERS
from rnagpt.reference.edit import families_of, ungapped
from rnagpt.reference.hits import Hit, resolve_overlaps
from rnagpt.reference.library import Reference, TooShortError
from rnagpt.reference.profiles import is_repeat
from rnagpt.reference.records import FAMILY, Record
from rnagpt.sequences.structure import base_pairs

COMPLEMENT = str.maketrans("ACGU", "UGCA")


def random_rna(length: int, seed: int) -> str:
    return "".join(np.array(list("ACGU"))[np.random.default_rng(seed).integers(0, 4, length)])


def members(reference: Reference) -> list[tuple[str, str]]:
    return [
        (record.id, ungapped(row))
        for record, seed in families_of(reference)
        for _, row in seed.rows
    ]


def test_every_seed_sequence_finds_its_family_on_the_strand_as_given(reference: Reference) -> None:
    for family, sequence in members(reference):
        hits = reference.search(sequence)
        # One of the families also matches its own reverse complement, weakly.
        assert {hit.record.id for hit in hits} == {family}
        assert (hits[0].strand, hits[0].start) == ("+", 1)
        assert hits[0].end >= len(sequence) - 5
        assert hits[0].evalue < 1e-6


def test_the_reverse_complement_has_the_same_place_on_the_other_strand(
    reference: Reference,
) -> None:
    for _, sequence in members(reference):
        forward = reference.search(sequence)[0]
        backward = reference.search(sequence.translate(COMPLEMENT)[::-1])[0]
        assert backward.strand == "-"
        assert len(sequence) + 1 - backward.end == forward.start
        assert len(sequence) + 1 - backward.start == forward.end
        assert backward.bits == pytest.approx(forward.bits, abs=0.01)
        assert backward.structure == forward.structure


@pytest.mark.parametrize("before", [0, 57, 10_900, 11_950, 47_990, 50_000])
def test_a_hit_lies_where_the_rna_was_put(reference: Reference, before: int) -> None:
    """Also across the ends of windows, and behind them."""
    family, sequence = members(reference)[0]
    long = random_rna(before, 1) + sequence + random_rna(5_000, 2)
    (hit,) = reference.search(long)
    assert hit.record.id == family
    assert abs(hit.start - before - 1) <= 12
    assert abs(hit.end - before - len(sequence)) <= 12
    assert long[hit.start - 1 : hit.end] == "".join(
        line.split()[2].upper().replace("-", "")
        for line in hit.alignment.splitlines()
        if line.startswith("query")
    )


def test_several_rnas_in_one_sequence_are_several_hits(reference: Reference) -> None:
    (first, one), (second, two) = members(reference)[0], members(reference)[-1]
    other_strand = two.translate(COMPLEMENT)[::-1]
    long = one + random_rna(200, 3) + other_strand + random_rna(900, 4) + one
    found = sorted(reference.search(long), key=lambda hit: hit.start)
    assert [(hit.record.id, hit.strand) for hit in found] == [
        (first, "+"),
        (second, "-"),
        (first, "+"),
    ]


@pytest.mark.skipif(shutil.which("hmmscan") is None, reason="Debian's hmmer is not installed")
def test_bits_and_evalues_are_those_of_hmmscan(reference: Reference, tmp_path: Path) -> None:
    """HMMER counts one comparison per profile of its database; here both strands are counted, and
    support counts, which HMMER does not know."""
    hmms = reference.hmms()
    with (tmp_path / "profiles.hmm").open("wb") as file:
        for hmm in hmms.values():
            hmm.write(file, binary=False)
    subprocess.run(["hmmpress", "profiles.hmm"], cwd=tmp_path, check=True, capture_output=True)
    family, sequence = members(reference)[0]
    (tmp_path / "query.fasta").write_text(f">query\n{sequence}\n")
    command = ["hmmscan", "--domtblout", "table", "-Z", str(len(hmms)), "profiles.hmm"]
    subprocess.run([*command, "query.fasta"], cwd=tmp_path, check=True, capture_output=True)
    (row,) = [
        line.split() for line in (tmp_path / "table").read_text().splitlines() if line[0] != "#"
    ]
    (hit,) = reference.search(sequence)
    assert row[0] == family
    assert hit.bits == pytest.approx(float(row[13]), abs=0.06)
    assert hit.support_bits > 3
    assert hit.evalue * 2**hit.support_bits == pytest.approx(2 * float(row[12]), rel=0.02)


@pytest.mark.parametrize("turned", [False, True])
def test_a_match_in_a_long_sequence_is_scored_among_its_surroundings(
    reference: Reference, turned: bool
) -> None:
    """The score is that of a search in them alone; the E-value counts how many there are."""
    for family, sequence in (members(reference)[0], members(reference)[-1]):
        long = random_rna(3_000, 1) + sequence + random_rna(2_000, 2)
        if turned:
            long = long.translate(COMPLEMENT)[::-1]
        (hit,) = reference.search(long)
        short = long[hit.start - 51 : hit.end + 50]
        (alone,) = reference.search(short)
        assert (hit.record.id, alone.record.id) == (family, family)
        assert hit.bits == pytest.approx(alone.bits, abs=0.5)
        score_alone = alone.evalue * 2**alone.support_bits
        places = hit.evalue * 2**hit.support_bits / score_alone
        assert places == pytest.approx(len(long) / len(short), rel=0.5)


def test_chance_hits_are_as_many_as_evalues_say(reference: Reference) -> None:
    """Of 400 random sequences at most about 400 x 0.1 may have a hit of E < 0.1."""
    chance = sum(bool(reference.search(random_rna(120, seed), evalue=0.1)) for seed in range(400))
    assert chance <= 40 + 3 * 40**0.5


@pytest.mark.parametrize("unit", ["A", "U", "CA", "GC", "UUAGGG", "CUG"])
def test_repeats_are_no_hits(reference: Reference, unit: str) -> None:
    assert reference.search((unit * 300)[:300]) == []


@pytest.mark.parametrize(
    ("row", "repeated"),
    [
        ("CAGCAGCAGCAGCAGCAG", True),
        ("CAG-CAGcagCAGCUGCAGCAGCAGCAG", True),
        ("A" * 20, True),
        ("UUAGGGUUAGGGUUAGGGUUAGGG", True),
        ("GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUG", False),
        ("ACG", False),
    ],
)
def test_copies_of_a_few_letters_are_repeats(row: str, repeated: bool) -> None:
    assert is_repeat(row) is repeated


def test_the_bundled_families_match_no_repeat(own_cache: Path) -> None:
    bundled = Reference.open()
    for unit in ("CAG", "CUG", "CA", "UUAGGG", "GGGGCC", "A"):
        assert bundled.search((unit * 70)[:200]) == []


def test_the_bundled_families_find_a_trna(own_cache: Path) -> None:
    """Of yeast, tRNA-Phe (Protein Data Bank 1EHZ), whose cloverleaf is in every textbook."""
    trna = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA"
    (hit,) = Reference.open().search(trna)
    assert (hit.record.id, hit.record.type, hit.start, hit.strand) == ("RF00005", "tRNA", 1, "+")
    helices = base_pairs(
        "(((((((..((((........)))).(((((.......))))).....(((((.......))))))))))))...."
    )
    laid = set(base_pairs(hit.structure))
    assert len(laid & set(helices)) >= 0.9 * len(helices)
    assert hit.record.papers


def test_adapters_are_no_hits(reference: Reference) -> None:
    assert reference.search("AGATCGGAAGAGCACACGTCTGAACTCCAGTCA") == []


@pytest.mark.parametrize("length", [1, 15])
def test_what_is_too_short_is_said_so(reference: Reference, length: int) -> None:
    with pytest.raises(TooShortError, match=rf"{length} nt are too short.*16"):
        reference.search("ACGU" * 4 if length > 16 else ("ACGU" * 4)[:length])


def test_sixteen_nucleotides_are_searched(reference: Reference) -> None:
    assert reference.search("ACGU" * 4) == []


def test_the_structure_is_that_of_the_rna_in_its_seed_alignment(reference: Reference) -> None:
    """Rfam's SS_cons, read by columns of the row, against pairs laid on the sequence."""
    shared = of_both = 0
    for record, seed in families_of(reference):
        for _, row in seed.rows:
            sequence = ungapped(row)
            hit = reference.search(sequence)[0]
            assert hit.record.id == record.id
            assert len(hit.structure) == hit.end - hit.start + 1
            columns = [column for column, letter in enumerate(row) if letter not in "-."]
            expected = {
                (columns.index(left), columns.index(right))
                for left, right in base_pairs(seed.structure)
                if left in columns and right in columns
            }
            expected = {
                (left, right)
                for left, right in expected
                if sequence[left] + sequence[right] in ("AU", "UA", "GC", "CG", "GU", "UG")
            }
            laid = {
                (left + hit.start - 1, right + hit.start - 1)
                for left, right in base_pairs(hit.structure)
            }
            shared += len(laid & expected)
            of_both += len(laid) + len(expected)
    assert of_both > 700
    assert 2 * shared / of_both > 0.9


def hit_of(
    name: str, start: int, end: int, evalue: float, clan: str = "", strand: str = "+"
) -> Hit:
    record = Record(name, FAMILY, name, clan=clan)
    return Hit(record, "profile", start, end, strand, 1, 50, evalue, 40.0, 0.9, "", "")


def test_of_a_clan_the_best_stays_and_the_others_stand_under_it() -> None:
    best = hit_of("RF1", 1, 70, 1e-20, "CL1")
    weaker = hit_of("RF2", 5, 80, 1e-10, "CL1")
    elsewhere = hit_of("RF2", 200, 270, 1e-9, "CL1")
    other_strand = hit_of("RF3", 1, 70, 1e-8, "CL1", "-")
    other_clan = hit_of("RF4", 10, 60, 1e-7)
    found = resolve_overlaps([other_clan, weaker, elsewhere, best, other_strand])
    assert [(hit.record.id, hit.start, hit.strand) for hit in found] == [
        ("RF1", 1, "+"),
        ("RF2", 200, "+"),
        ("RF3", 1, "-"),
        ("RF4", 10, "+"),
    ]
    assert [other.record.id for other in found[0].others] == ["RF2"]


def test_a_family_found_twice_at_one_place_is_one_hit() -> None:
    found = resolve_overlaps([hit_of("RF1", 1, 70, 1e-9), hit_of("RF1", 40, 90, 1e-5)])
    assert [(hit.start, hit.end) for hit in found] == [(1, 70)]
    assert found[0].others == ()


def test_primers_and_adapters_are_no_hits() -> None:
    """1492R lies in all bacterial small-subunit rRNAs, as a whole; it is a primer all the same."""
    bundled = Reference.open()
    for primer in PRIMERS:
        assert bundled.search(primer.replace("T", "U")) == [], primer
