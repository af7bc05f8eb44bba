"""The measures of the search: against cases whose right value is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.made_seed import make_dataset

from rnagpt.cli.main import main
from rnagpt.evaluation.search_quality import (
    AskedRna,
    PairScores,
    Scores,
    check_unseen,
    seed_pairs,
    split_clusters,
    training_reference,
    with_added,
)
from rnagpt.evaluation.search_queries import (
    CONDITIONS,
    flanked,
    made_negatives,
)
from rnagpt.reference.edit import families_of, ungapped
from rnagpt.reference.hits import Hit
from rnagpt.reference.library import Reference
from rnagpt.reference.records import FAMILY, Record
from rnagpt.reference.writer import write_reference
from rnagpt.sequences.strands import middle_part, mutate, reverse_complement


def rna(number: int, family: str = "RF1", cluster: int = 0, sequence: str = "ACGU") -> AskedRna:
    return AskedRna(f"rna_{number}", sequence, family, cluster, "tRNA")


def hit(family: str, strand: str = "+", kind: str = "tRNA") -> Hit:
    record = Record(family, FAMILY, family, type=kind)
    return Hit(record, "profile", 1, 4, strand, 1, 4, 1e-9, 30.0, 1.0, "", "")


def test_scores_are_shares_of_all_rnas() -> None:
    asked = [rna(n) for n in range(4)]
    found = [hit("RF1"), hit("RF1", "-"), hit("RF2"), None]
    assert Scores.of(asked, found) == Scores(4, 0.5, 0.25, 0.75)
    assert Scores.of(asked, found, "-") == Scores(4, 0.25, 0.5, 0.75)


def test_rnas_as_people_paste_them() -> None:
    random = np.random.default_rng(0)
    sequence = "ACGUACGUAC" * 10
    assert reverse_complement("AACGU") == "ACGUU"
    assert flanked(20)(sequence, random)[20:-20] == sequence
    assert middle_part(sequence, 0.7) == sequence[15:85]
    changed = mutate(sequence * 100, 0.05, random)
    differences = sum(a != b for a, b in zip(changed, sequence * 100, strict=True))
    assert differences / len(changed) == pytest.approx(0.05, abs=0.01)
    assert [condition.strand for condition in CONDITIONS].count("-") == 1


def test_negatives_are_of_the_lengths_of_rnas_and_keep_what_they_say() -> None:
    made = made_negatives(["ACGU" * 30] * 3, 5, np.random.default_rng(0))
    assert {len(sequence) for sequence in made["random"]} == {120}
    assert {
        sorted(sequence) == sorted("ACGU" * 30) for sequence in made["shuffled, dinucleotides kept"]
    } == {True}
    for sequence in made["coding sequence, made"]:
        codons = [sequence[n : n + 3] for n in range(0, len(sequence), 3)]
        assert codons[0] == "AUG"
        assert [codon in ("UAA", "UAG", "UGA") for codon in codons].index(True) == len(codons) - 1


def test_halves_of_families_share_no_cluster() -> None:
    rnas = [rna(n, f"RF{n % 3}", n // 2) for n in range(30)] + [rna(99, "alone", 999)]
    inside, outside = split_clusters(rnas)
    assert (
        {one.family for one in inside} == {one.family for one in outside} == {"RF0", "RF1", "RF2"}
    )
    keys = [{(one.family, one.cluster) for one in half} for half in (inside, outside)]
    assert not keys[0] & keys[1]


def test_pairs_of_a_row_are_counted_in_its_own_letters() -> None:
    # Columns 0-8, 1-7 pair; the row lacks column 1, and its G-A at 2-6 is no pair.
    assert seed_pairs("G-GAAAACC", "(((...)))") == {(0, 7)}
    scores = PairScores()
    scores.add({(0, 9), (1, 8)}, {(0, 9), (2, 7)})
    assert scores.f1 == pytest.approx(0.5)


def test_a_reference_that_holds_the_cluster_is_refused(
    five_rfam_families: Reference, tmp_path: Path
) -> None:
    members = [
        AskedRna(name, ungapped(row), record.id, number, record.type)
        for record, seed in families_of(five_rfam_families)
        for number, (name, row) in enumerate(seed.rows)
    ]
    clusters = {one.sequence: one.cluster for one in members}
    with pytest.raises(ValueError, match="holds RNAs of the cluster of"):
        check_unseen(five_rfam_families, members[:1], clusters)
    known = training_reference(
        five_rfam_families, [one for one in members if one.cluster], tmp_path / "train", 1
    )
    apart = [one for one in members if one.cluster == 0 and clusters[one.sequence] == 0]
    check_unseen(known, apart, clusters)
    family = apart[0].family
    base = training_reference(
        five_rfam_families,
        [one for one in members if one.family != family],
        tmp_path / "without",
        1,
    )
    assert base.search(apart[0].sequence) == []
    added = [one for one in members if one.family == family and one not in apart]
    extended = with_added(five_rfam_families, base, added, tmp_path / "with", 1)
    assert extended.search(apart[0].sequence)[0].record.id == family


@pytest.fixture
def five_rfam_families(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reference:
    from helpers.paths import DATA

    from rnagpt.reference.edit import read_families

    monkeypatch.setenv("RNAGPT_CACHE", str(tmp_path / "cache"))
    families = read_families(DATA / "rfam_five_families.seed")
    write_reference(tmp_path / "five", families, name="Five")
    return Reference.open(tmp_path / "five")


def test_the_command_writes_a_report_of_a_small_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RNAGPT_CACHE", str(tmp_path / "cache"))
    data = make_dataset(tmp_path)
    out = tmp_path / "figures"
    command = ["reference", "evaluate", str(data), str(out), "--limit", "12"]
    assert main(command) == 0
    figures = json.loads((out / "search.json").read_text())
    assert figures["rnas"] == 12
    assert set(figures["conditions"]) == {condition.name for condition in CONDITIONS}
    assert figures["claimed"]["random"][0] == 500
    assert figures["claimed"]["random"][1] <= 0.02
    report = (out / "search.md").read_text()
    assert "| whole |" in report
    assert report.strip() in capsys.readouterr().out
