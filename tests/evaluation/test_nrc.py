"""nRC's classes: read without names, mapped from families and types."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from helpers.made_seed import make_dataset

from rnagpt.evaluation.encoder_probes import of_record
from rnagpt.evaluation.nrc import (
    CLASSES,
    map_shares,
    nrc_class,
    read_nrc,
    without_sequences,
)
from rnagpt.evaluation.probed_rnas import ProbedRna
from rnagpt.reference.library import Reference
from rnagpt.reference.records import Record


def test_classes_are_read_and_others_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "nrc.fasta"
    file.write_text(">RF00005_X_1 tRNA\nGCGGAUUUAGCUC\n>made 5S_rRNA\nGCGGATTTAG\n")
    read = read_nrc(file)
    assert [nrc_class(rna) for rna in read] == ["tRNA", "5S_rRNA"]
    assert read[1].sequence == "GCGGAUUUAG"
    # The accession is what intervals resample.
    assert [(rna.family, rna.accession) for rna in read] == [
        ("RF00005", "RF00005"),
        ("5S_rRNA", ""),
    ]
    file.write_text(">x snRNA\nGCGGAUUUAGCUC\n")
    with pytest.raises(ValueError, match="'snRNA'; expected one of 5S_rRNA"):
        read_nrc(file)


def test_the_map_is_right_of_families_whose_class_everybody_knows() -> None:
    assert len(CLASSES) == 13
    families = Reference.open().families
    known = {
        "RF00001": "5S_rRNA",
        "RF00002": "5_8S_rRNA",
        "RF00005": "tRNA",
        "RF00029": "Intron_gpII",
        "RF00059": "riboswitch",  # TPP
        "RF00008": "ribozyme",  # hammerhead
        "RF00027": "miRNA",  # let-7
        "RF00061": "IRES",  # of HCV
    }
    rnas = [ProbedRna("ACGU", name, right, accession=name) for name, right in known.items()]
    assert map_shares(rnas, families) == list(known.values())
    group_one = Record("RF00028", "family", "Intron_gpI", type="intron")
    assert nrc_class(of_record(group_one)) == "Intron_gpI"
    # Of a large subunit's rRNA, of an unknown family and without an accession nothing is said.
    others = ["RF02541", "RF99999", ""]
    strangers = [ProbedRna("ACGU", name, "tRNA", accession=name) for name in others]
    assert map_shares(strangers, families) == [None] * 3


def test_the_map_agrees_with_nrcs_own_labels() -> None:
    folder = os.environ.get("RNAGPT_SHARED_DATA")
    if not folder:
        pytest.skip("RNAGPT_SHARED_DATA names no folder with nRC's test set")
    nrc = read_nrc(Path(folder) / "nrc" / "nrc_test.fasta")
    told = map_shares(nrc, Reference.open().families)
    right = [one == nrc_class(rna) for one, rna in zip(told, nrc, strict=True) if one is not None]
    assert len(right) > 0.9 * len(nrc)
    assert sum(right) / len(right) > 0.95


def test_a_reference_loses_sequences_and_keeps_the_other_profiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RNAGPT_CACHE", str(tmp_path / "cache"))
    base = Reference.open(make_dataset(tmp_path))
    seeds = list(base.seeds())
    gone = {seeds[0].rows[0][1], *(row for _, row in seeds[1].rows)}  # made rows have no gaps
    without = without_sequences(base, gone, tmp_path / "without", 1)
    assert set(without.families) == set(base.families) - {seeds[1].id}
    left = {seed.id: {row for _, row in seed.rows} for seed in without.seeds()}
    assert left[seeds[0].id] == {row for _, row in seeds[0].rows} - gone
    assert left[seeds[2].id] == {row for _, row in seeds[2].rows}
    old, new = written(base), written(without)
    assert new[seeds[2].id] == old[seeds[2].id]
    assert new[seeds[0].id] != old[seeds[0].id]


def written(reference: Reference) -> dict[str, bytes]:
    """The profiles as HMMER writes them, by family."""
    found = {}
    for name, hmm in reference.hmms().items():
        file = io.BytesIO()
        hmm.write(file)
        # Less the line of the date.
        lines = [line for line in file.getvalue().splitlines() if not line.startswith(b"DATE")]
        found[name] = b"\n".join(lines)
    return found
