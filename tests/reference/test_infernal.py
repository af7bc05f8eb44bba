"""Verification against Infernal's own programs, run by hand on whole sequences."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.paths import DATA

from rnagpt.cli.main import main
from rnagpt.reference import InvalidReferenceError
from rnagpt.reference.annotate import SearchResult, annotate
from rnagpt.reference.edit import families_of, read_families, ungapped
from rnagpt.reference.formats import TSV_COLUMNS, VERIFIED_COLUMNS, format_of
from rnagpt.reference.hits import CAN_PAIR, COVARIANCE_MODEL, PROFILE, Hit
from rnagpt.reference.infernal import MAX_CANDIDATES, Verifier
from rnagpt.reference.library import Reference
from rnagpt.reference.profiles import SeedAlignment
from rnagpt.reference.records import Record
from rnagpt.reference.writer import write_reference
from rnagpt.sequences.stockholm import read_seed
from rnagpt.sequences.structure import base_pairs

needs_infernal = pytest.mark.skipif(
    shutil.which("cmsearch") is None, reason="Infernal (Debian: infernal) is not installed"
)
COMPLEMENT = str.maketrans("ACGU", "UGCA")
SAM_V = "RF01826"
# Of `cmcalibrate -L 0.01` on the model of SAM_V; it takes half a minute.
CALIBRATION = """\
ECMLC    1.13520    -0.97547     4.18278       10000        2619  0.002864
ECMGC    0.82356   -10.28323    -3.40366       10000         722  0.003463
ECMLI    1.14673     0.91352     5.67429       10000        1762  0.004257
ECMGI    0.50765   -11.40088    -0.99576       10000         492  0.005081
"""


def random_rna(length: int, seed: int) -> str:
    return "".join(random.Random(seed).choices("ACGU", k=length))


def family(reference: Reference, identifier: str) -> tuple[Record, SeedAlignment]:
    return next(one for one in families_of(reference) if one[0].id == identifier)


def build_by_hand(seed: SeedAlignment, folder: Path, further: str = CALIBRATION) -> Path:
    """A model of Infernal's cmbuild, with lines of a calibration, and others before them."""
    folder.mkdir(exist_ok=True)
    (folder / "seed.sto").write_text(seed.to_stockholm())
    path = folder / "by-hand.cm"
    command = ["cmbuild", "-F", "-n", "by-hand", str(path), str(folder / "seed.sto")]
    subprocess.run(command, check=True, capture_output=True)
    text = path.read_text()
    path.write_text(re.sub(r"^(EFP7GF.*\n)", rf"\1{further}", text, count=1, flags=re.M))
    return path


def search_by_hand(model: Path, sequence: str, *options: str) -> list[dict[str, Any]]:
    """Bits, place, strand and aligned rows that `cmsearch` prints for people, best first."""
    query = model.with_suffix(".fasta")
    query.write_text(f">query\n{sequence}\n")
    command = ["cmsearch", "--notextw", "--cpu", "0", "-T", "0", *options, str(model), str(query)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = []
    row = r"^ *\((\d+)\) [!?] +\S+ +(-?[\d.]+) +\S+ +(?:cm|hmm) +\d+ +\d+ \S+ +(\d+) +(\d+) ([+-])"
    for part in text.split("\n>> ")[1:]:
        match = re.search(row, part, flags=re.M)
        assert match, part
        lines = [line.rstrip() for line in part.splitlines()]
        consensus = next(line for line in lines if line.endswith(" CS"))
        first = next(n for n, line in enumerate(lines) if re.match(r" +query +\d+ ", line))
        aligned = lines[first]
        # The columns of the rows stand below one another.
        begin = re.match(r" +query +\d+ ", aligned).end()  # type: ignore[union-attr]
        end = aligned.rindex(" ")
        found.append(
            {
                "bits": float(match[2]),
                "start": min(int(match[3]), int(match[4])),
                "end": max(int(match[3]), int(match[4])),
                "strand": match[5],
                "consensus": consensus[begin:end],
                "row": aligned[begin:end],
            }
        )
    return found


def structure_by_hand(hit: dict[str, Any]) -> str:
    """Pairs of the consensus that the row's letters can form, column by column."""
    row, dots = hit["row"].upper(), ["."] * len(hit["row"])
    for left, right in base_pairs(hit["consensus"]):
        if row[left] + row[right] in CAN_PAIR:
            dots[left], dots[right] = "(", ")"
    return "".join(dot for dot, letter in zip(dots, row, strict=True) if letter.isalpha())


def change_pairs(seed: SeedAlignment, draw: random.Random) -> str:
    """The first row with other pairs in the places of its pairs: models see them, profiles not."""
    row = list(seed.rows[0][1].upper())
    for left, right in base_pairs(seed.structure):
        if row[left] in "ACGU" and row[right] in "ACGU":
            row[left] = draw.choice("ACGU")
            row[right] = row[left].translate(COMPLEMENT)
    return ungapped("".join(row))


@pytest.fixture(scope="module")
def with_tools() -> None:
    if shutil.which("cmsearch") is None:
        pytest.skip("Infernal (Debian: infernal) is not installed")


@needs_infernal
@pytest.mark.parametrize("strand", ["+", "-"])
def test_bits_place_and_structure_are_those_of_cmsearch(
    reference: Reference, tmp_path: Path, strand: str
) -> None:
    verifier = Verifier()
    for record, seed in families_of(reference):
        rna = ungapped(seed.rows[-1][1])
        if strand == "-":
            rna = rna.translate(COMPLEMENT)[::-1]
        whole = random_rna(150, 1) + rna + random_rna(90, 2)
        (result,) = annotate([whole], reference, verify=verifier)
        hit = result.hits[0]
        assert (hit.record.id, hit.source, hit.strand) == (record.id, PROFILE, strand)
        expected = search_by_hand(build_by_hand(seed, tmp_path), whole, "--nohmmonly", "--max")[0]
        assert hit.verified == {
            "program": verifier.program,
            "bits": pytest.approx(expected["bits"], abs=0.11),
            "gathering": record.gathering,
            "agrees": expected["bits"] >= record.gathering,
            "start": expected["start"],
            "end": expected["end"],
            "structure": structure_by_hand(expected),
            "note": "model built from the seed alignment",
        }
        assert expected["strand"] == strand
        assert len(hit.verified["structure"]) == expected["end"] - expected["start"] + 1


@needs_infernal
def test_the_version_is_that_of_the_program(reference: Reference) -> None:
    shown = subprocess.run(["cmsearch", "-h"], capture_output=True, text=True, check=True).stdout
    assert Verifier().program == f"Infernal {shown.split('INFERNAL ')[1].split()[0]}"


@needs_infernal
def test_a_candidate_that_the_search_misses_is_found_by_its_pairs(
    reference: Reference, tmp_path: Path
) -> None:
    record, seed = family(reference, "RF00970")
    draw = random.Random(1)
    model = build_by_hand(seed, tmp_path)
    rescued = 0
    for _ in range(40):  # the search sees pairs too, and finds most of them
        rna = change_pairs(seed, draw)
        if reference.search(rna):
            continue
        (result,) = annotate([rna], reference, verify=Verifier())
        by_hand = [hit["bits"] for hit in search_by_hand(model, rna, "--nohmmonly", "--toponly")]
        for hit in result.hits:
            assert hit.record == record
            assert hit.verified
            if hit.evalue <= 1e-3:  # HMMER's filters, more sensitive here, had dropped it
                continue
            assert (hit.source, hit.evalue <= 10) == (COVARIANCE_MODEL, True)
            assert hit.verified["bits"] == pytest.approx(max(by_hand), abs=0.11)
            assert max(by_hand) >= record.gathering
            rescued += 1
    assert rescued >= 1


@needs_infernal
def test_a_hit_that_does_not_reach_the_cutoff_stays_and_is_marked(
    reference: Reference, tmp_path: Path
) -> None:
    """A third of an RNA is a hit of its profile, and too little for its model."""
    record, seed = family(reference, "RF03106")
    piece = ungapped(seed.rows[0][1])[:70]
    (alone,) = annotate([piece], reference)
    (result,) = annotate([piece], reference, verify=Verifier())
    assert [replace(hit, verified=None) for hit in result.hits] == list(alone.hits)
    verified = result.hits[0].verified
    assert verified
    assert verified["agrees"] is False
    assert verified["bits"] is None or verified["bits"] < record.gathering


@needs_infernal
def test_nothing_is_found_in_random_sequence(reference: Reference) -> None:
    results = annotate([random_rna(300, seed) for seed in range(10)], reference, verify=Verifier())
    assert [result.hits for result in results] == [()] * 10


@needs_infernal
def test_a_family_without_a_cutoff_has_bits_and_no_verdict(tmp_path: Path, own_cache: Path) -> None:
    seeds = DATA / "rfam_five_families.seed"
    families = [(replace(one, gathering=None), seed) for one, seed in read_families(seeds)]
    write_reference(tmp_path / "reference", families, name="no cut-offs")
    reference = Reference.open(tmp_path / "reference")
    (result,) = annotate([ungapped(families[0][1].rows[0][1])], reference, verify=Verifier())
    verified = result.hits[0].verified
    assert verified
    assert (verified["agrees"], verified["gathering"]) == (None, None)
    assert verified["bits"] > 50
    assert "bits (no cut-off)" in format_of("table").write(result)


@needs_infernal
def test_a_family_without_a_structure_is_verified_too(tmp_path: Path, own_cache: Path) -> None:
    rows = (("one", "GGGCACGUACGAUCGACGUUAGCGGAUCCAAGGUACGUUGCCC"),)
    record = Record("lab/1", "family", "ours", gathering=20.0)
    write_reference(tmp_path / "r", [(record, SeedAlignment("lab/1", rows))], name="own")
    (result,) = annotate([rows[0][1]], Reference.open(tmp_path / "r"), verify=Verifier())
    assert result.hits[0].verified
    assert result.hits[0].verified["agrees"] is True
    assert set(result.hits[0].verified["structure"]) == {"."}


@needs_infernal
def test_results_are_the_same_with_several_processes(reference: Reference) -> None:
    rnas = [ungapped(row) for _, seed in families_of(reference) for _, row in seed.rows]
    rnas += [random_rna(100, 5), "ACG", "".join(rnas)]
    one = list(annotate(rnas, reference, verify=Verifier()))
    two = list(annotate(rnas, reference, verify=Verifier(), jobs=2))
    assert two == one
    assert all(hit.verified for result in two for hit in result.hits)
    assert len(one[-1].hits) >= len(rnas) - 3


@needs_infernal
def test_a_model_is_built_once(
    reference: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RNAGPT_CACHE", str(tmp_path / "cache"))
    _, seed = family(reference, SAM_V)
    rna = ungapped(seed.rows[0][1])
    for _ in range(2):
        list(annotate([rna], reference, verify=Verifier()))
        (model,) = (tmp_path / "cache").glob(f"covariance-{reference.manifest.key}/{SAM_V}.cm")
        monkeypatch.setattr(
            "rnagpt.reference.covariance.CovarianceModels._build",
            lambda *_: pytest.fail("built again"),
        )
    assert [path.name for path in model.parent.iterdir()] == [model.name]


# With Rfam's own models


@needs_infernal
def test_models_of_a_file_bring_their_own_cutoffs(
    reference: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RNAGPT_CACHE", str(tmp_path / "cache"))
    _, seed = family(reference, SAM_V)
    cm = build_by_hand(seed, tmp_path, CALIBRATION + "GA       55.00\n")
    rna = random_rna(50, 1) + ungapped(seed.rows[1][1]) + random_rna(70, 2)
    expected = search_by_hand(cm, rna, "--nohmmonly")[0]
    for pressed in (False, True):
        if pressed:
            subprocess.run(["cmpress", str(cm)], check=True, capture_output=True)
        (result,) = annotate([rna], reference, verify=Verifier(cm))
        verified = result.hits[0].verified
        assert verified
        assert verified["bits"] == pytest.approx(expected["bits"], abs=0.11)
        assert (verified["start"], verified["end"]) == (expected["start"], expected["end"])
        assert (verified["gathering"], verified["note"]) == (55.0, "model of by-hand.cm")
        assert verified["agrees"] == (expected["bits"] >= 55)


@needs_infernal
def test_a_family_that_the_file_lacks_is_built(reference: Reference, tmp_path: Path) -> None:
    cm = build_by_hand(family(reference, SAM_V)[1], tmp_path)
    record, seed = family(reference, "RF00970")
    (result,) = annotate([ungapped(seed.rows[0][1])], reference, verify=Verifier(cm))
    assert result.hits[0].verified
    assert result.hits[0].verified["gathering"] == record.gathering
    assert result.hits[0].verified["note"] == (
        "not in by-hand.cm; model built from the seed alignment"
    )


@needs_infernal
@pytest.mark.skipif(
    not {"RNAGPT_RFAM_CM", "RNAGPT_SHARED_DATA"} <= set(os.environ),
    reason="RNAGPT_RFAM_CM names no Rfam.cm, or RNAGPT_SHARED_DATA no folder with Rfam's seeds",
)
def test_rfams_own_models_give_what_cmscan_gives(tmp_path: Path, own_cache: Path) -> None:
    cm = Path(os.environ["RNAGPT_RFAM_CM"])
    families = []
    for found in read_seed(Path(os.environ["RNAGPT_SHARED_DATA"]) / "rfam" / "Rfam.seed.gz", []):
        part = tmp_path / f"{found.accession}.cm"
        command = ["cmfetch", "-o", str(part), str(cm), found.accession]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            subprocess.run(["cmpress", str(part)], check=True, capture_output=True)
            seed = SeedAlignment(found.accession, tuple(found.rows), found.structure)
            families.append((Record(found.accession, "family", found.accession), seed))
        if len(families) == 5:
            break
    write_reference(tmp_path / "reference", families, name="five of Rfam")
    reference = Reference.open(tmp_path / "reference")
    for record, seed in families:
        rna = ungapped(seed.rows[0][1])
        (result,) = annotate([rna], reference, verify=Verifier(cm))
        (tmp_path / "q.fasta").write_text(f">q\n{rna}\n")
        command = ["cmscan", "--cut_ga", "--nohmmonly", "--tblout", str(tmp_path / "table")]
        subprocess.run(
            [*command, str(tmp_path / f"{record.id}.cm"), str(tmp_path / "q.fasta")],
            check=True,
            capture_output=True,
        )
        row = (tmp_path / "table").read_text().splitlines()[2].split()
        verified = result.hits[0].verified
        assert verified
        if row == ["#"]:
            assert verified["agrees"] is False
            continue
        assert verified["agrees"] is True
        assert (verified["start"], verified["end"]) == (int(row[7]), int(row[8]))
        assert verified["bits"] == pytest.approx(float(row[14]), abs=0.11)


@needs_infernal
@pytest.mark.parametrize(
    ("content", "message"),
    [(b"\x1f\x8b\x08rest", "is compressed.*gunzip"), (b"HMMER3/f [3.3]", "no covariance models")],
)
def test_a_file_of_something_else_says_so(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "models"
    path.write_bytes(content)
    with pytest.raises(InvalidReferenceError, match=message):
        Verifier(path)


@needs_infernal
def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"Rfam\.cm"):
        Verifier(tmp_path / "Rfam.cm")


# Without Infernal, and with one that fails


def test_without_infernal_the_remedy_is_said_before_any_work(
    five_families: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    fasta, out = tmp_path / "rna.fasta", tmp_path / "out"
    fasta.write_text(">x\nACGUACGUACGUACGUACGU\n")
    assert main(["annotate", str(fasta), str(out), "--reference", "nowhere", "--verify"]) == 2
    message = capsys.readouterr().err
    assert "cmbuild, cmfetch, cmsearch was not found" in message
    assert "apt install infernal" in message
    assert "bioconda" in message
    assert not out.exists()


@pytest.fixture
def fake_cmbuild(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_tools: None
) -> Callable[[str], Path]:
    """Puts a script in the place of cmbuild; returns the cache that is used with it."""

    def put(script: str) -> Path:
        folder = tmp_path / "programs"
        folder.mkdir()
        (folder / "cmbuild").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "cmbuild").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        monkeypatch.setenv("RNAGPT_CACHE", str(tmp_path / "cache"))
        return tmp_path / "cache"

    return put


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            "echo built half > $4; echo 'Error: the alignment is bad' >&2; exit 3",
            r"cmbuild failed \(exit code 3\) for RF01826: Error: the alignment is bad",
        ),
        (
            "echo built half > $4; kill -9 $$",
            "cmbuild was stopped by signal 9 for RF01826: it said nothing",
        ),
    ],
)
def test_a_build_that_fails_is_no_verdict_and_leaves_nothing(
    five_families: Path,
    tmp_path: Path,
    fake_cmbuild: Callable[[str], Path],
    script: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cache = fake_cmbuild(script)
    reference = Reference.open(five_families)
    record, seed = family(reference, SAM_V)
    fasta = tmp_path / "rna.fasta"
    fasta.write_text(f">x\n{ungapped(seed.rows[0][1])}\n" * 2)
    for jobs in ("1", "2"):
        words = ["--reference", str(five_families), "--verify", "--jobs", jobs]
        assert main(["annotate", str(fasta), *words, "--format", "json"]) == 2
        out, err = capsys.readouterr()
        assert re.search(
            rf"not verify 2 hits and weaker candidates:\n- RF01826: {message} \(2 t", err
        )
        for line in out.splitlines():
            (hit,) = json.loads(line)["hits"]
            assert re.fullmatch(message, hit["verified"].pop("error"))
            assert hit["verified"] == {
                "program": Verifier().program,
                "bits": None,
                "gathering": record.gathering,
                "agrees": None,
                "start": None,
                "end": None,
                "structure": "",
                "note": "",
            }
    assert list(cache.glob("covariance-*/*")) == []


FAIL_ONE = """\
echo "$3" >> "$(dirname "$0")/asked"
if [ "$3" = RF01826 ]; then echo 'Error: no space left on device' >&2; exit 1; fi
exec {cmbuild} "$@"
"""


@pytest.mark.parametrize("jobs", [1, 2])
def test_one_family_that_fails_stops_no_other(
    five_families: Path, tmp_path: Path, fake_cmbuild: Callable[[str], Path], jobs: int
) -> None:
    fake_cmbuild(FAIL_ONE.format(cmbuild=shutil.which("cmbuild")))
    reference = Reference.open(five_families)
    rnas = [ungapped(row) for _, seed in families_of(reference) for _, row in seed.rows[:2]]
    results = list(annotate(rnas, reference, verify=Verifier(), jobs=jobs))
    told = {hit.record.id: hit.verified for result in results for hit in result.hits}
    assert len(told) == 5
    failed = told.pop(SAM_V)
    assert failed
    assert failed["error"].endswith("for RF01826: Error: no space left on device")
    assert all(verified and verified["bits"] > 20 for verified in told.values())
    assert not any("error" in (verified or {}) for verified in told.values())
    assert {text.partition(":")[0] for one in results for text in one.unverified} == {SAM_V}
    # A family is tried once in a run, however many hits it has.
    asked = (tmp_path / "programs" / "asked").read_text().split()
    assert sorted(asked) == sorted({SAM_V, *told})


def test_a_build_that_takes_too_long_is_no_verdict(
    five_families: Path, fake_cmbuild: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_cmbuild("exec sleep 60")
    monkeypatch.setattr("rnagpt.reference.covariance.BUILD_SECONDS", 0.2)
    reference = Reference.open(five_families)
    (result,) = annotate(
        [ungapped(family(reference, SAM_V)[1].rows[0][1])], reference, verify=Verifier()
    )
    assert result.hits[0].verified
    assert "cmbuild did not end within" in result.hits[0].verified["error"]


def test_a_cache_that_cannot_be_written_is_no_verdict(
    five_families: Path, own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("cmsearch") is None:
        pytest.skip("Infernal (Debian: infernal) is not installed")
    reference = Reference.open(five_families)
    reference.prepare()
    (tmp_path / "file").touch()
    _ = reference.profiles
    monkeypatch.setenv("RNAGPT_CACHE", str(tmp_path / "file"))
    (result,) = annotate(
        [ungapped(family(reference, SAM_V)[1].rows[0][1])], reference, verify=Verifier()
    )
    assert result.hits[0].verified
    assert "cannot be written (Not a directory); set" in result.hits[0].verified["error"]


@needs_infernal
def test_a_model_that_was_cut_says_what_to_do(
    five_families: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RNAGPT_CACHE", str(tmp_path / "cache"))
    reference = Reference.open(five_families)
    rna = ungapped(family(reference, SAM_V)[1].rows[0][1])
    list(annotate([rna], reference, verify=Verifier()))
    (model,) = (tmp_path / "cache").glob(f"covariance-*/{SAM_V}.cm")
    model.write_text(model.read_text()[:100])
    (result,) = annotate([rna], reference, verify=Verifier())
    assert result.hits[0].verified
    assert "no whole covariance model; delete it" in result.hits[0].verified["error"]


@pytest.mark.parametrize("name", ["table", "tsv", "gff3"])
def test_every_format_says_what_was_not_verified(name: str) -> None:
    verified = dict.fromkeys(("program", "bits", "gathering", "agrees", "start", "end"))
    hit = replace(made_hit("a", 1, 1e-9), verified=verified | {"error": "it failed:\nno space"})
    text = format_of(name, verified=True).write(SearchResult("x", 100, hits=(hit,)))
    assert "not verified: it failed: no space" in text
    assert "agrees" not in text


# Which candidates are asked about


class Judge(Verifier):
    """A verifier whose verdicts are given."""

    def __init__(self, confirmed: Iterable[str]) -> None:
        self.confirmed = set(confirmed)
        self.asked: list[str] = []

    def verify(self, hit: Hit, sequence: str, reference: Reference) -> Hit:
        name = hit.record.id
        self.asked.append(name)
        verdict = {"agrees": name in self.confirmed, "start": hit.start, "end": hit.end}
        return replace(hit, verified=verdict)


def made_hit(name: str, start: int, evalue: float) -> Hit:
    record = Record(name, "family", name)
    return Hit(record, PROFILE, start, start + 9, "+", 1, 10, evalue, 10.0, 0.9, "", "")


def review(judge: Judge, hits: list[Hit], weaker: list[Hit]) -> tuple[list[str], str]:
    found, note, _ = judge.review(hits, weaker, "", None)  # type: ignore[arg-type]
    return [f"{hit.record.id} {hit.source}" for hit in found], note


def test_candidates_where_a_confirmed_hit_lies_are_not_asked_about() -> None:
    judge = Judge(["a", "c"])
    hits = [made_hit("a", 1, 1e-9), made_hit("b", 100, 1e-5)]
    weaker = [made_hit("x", 5, 0.1), made_hit("c", 105, 0.2), made_hit("d", 101, 0.3)]
    found, note = review(judge, hits, weaker)
    assert judge.asked == ["a", "b", "c"]
    assert found == ["a profile", "b profile", "c covariance model"]
    assert note == ""


def test_a_candidate_that_cannot_be_verified_is_no_hit_and_is_told() -> None:
    class Failing(Judge):
        def verify(self, hit: Hit, sequence: str, reference: Reference) -> Hit:
            verified = super().verify(hit, sequence, reference)
            if hit.record.id != "w2":
                return verified
            return replace(verified, verified={"agrees": None, "error": "cmbuild failed"})

    judge = Failing(["w3"])
    weaker = [made_hit(f"w{number}", 100 * number, 0.1) for number in (1, 2, 3)]
    found, note, unverified = judge.review([], weaker, "", None)  # type: ignore[arg-type]
    assert [hit.record.id for hit in found] == ["w3"]
    assert note == "a weaker candidate was not verified, w2: cmbuild failed"
    assert unverified == ("w2: cmbuild failed",)


def test_no_more_candidates_are_asked_about_than_is_said() -> None:
    judge = Judge(["w1"])
    weaker = [made_hit(f"w{number}", 100 * number + 1, 0.01 * number) for number in range(1, 9)]
    found, note = review(judge, [], weaker)
    assert judge.asked == [f"w{number}" for number in range(1, 1 + MAX_CANDIDATES)]
    assert found == ["w1 covariance model"]
    assert note == "the 5 best weaker candidates were verified, up to 3 were not"


# The command


@pytest.fixture
def fasta(reference: Reference, tmp_path: Path) -> Path:
    path = tmp_path / "rnas.fasta"
    rnas = [(record.name, ungapped(seed.rows[0][1])) for record, seed in families_of(reference)]
    rnas += [("nothing", "ACGUUGCA" * 9), ("short", "ACGU")]
    path.write_text("".join(f">{name}\n{rna}\n" for name, rna in rnas))
    return path


def run(*arguments: object) -> int:
    return main(["annotate", *map(str, arguments)])


@needs_infernal
def test_every_format_shows_the_verdict(
    five_families: Path, fasta: Path, own_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown: dict[str, str] = {}
    for name in ("json", "tsv", "gff3", "table"):
        assert run(fasta, "--reference", five_families, "--verify", "--format", name) == 0
        shown[name] = capsys.readouterr().out
    hits = [hit for line in shown["json"].splitlines() for hit in json.loads(line)["hits"]]
    header, *lines = shown["tsv"].splitlines()
    columns = tuple(header.removeprefix("#").split("\t"))
    assert columns == (*TSV_COLUMNS, *VERIFIED_COLUMNS)
    rows = [dict(zip(columns, line.split("\t"), strict=True)) for line in lines if line[0] != "#"]
    features = [
        dict(pair.split("=") for pair in line.split("\t")[8].split(";"))
        for line in shown["gff3"].splitlines()
        if not line.startswith("#")
    ]
    told = [line for line in shown["table"].splitlines() if re.match(" +RF", line)]
    assert len(hits) == len(rows) == len(features) == len(told) >= 5
    for hit, row, feature, line in zip(hits, rows, features, told, strict=True):
        verified = hit["verified"]
        word = "yes" if verified["agrees"] else "no"
        assert row["agrees"] == feature["agrees"] == word
        assert (f"  agrees: {verified['bits']:.1f} bits" in line) == (word == "yes")
        assert row["verified_by"] == feature["verified"] == verified["program"]
        assert row["cm_score"] == feature["cm_bits"] == str(verified["bits"])
        assert row["cm_structure"] == feature["cm_structure"] == verified["structure"]
        assert (row["cm_from"], row["cm_to"]) == (str(verified["start"]), str(verified["end"]))


@needs_infernal
def test_without_the_option_nothing_is_told_of_it(
    five_families: Path, fasta: Path, own_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("json", "tsv", "gff3", "table"):
        assert run(fasta, "--reference", five_families, "--format", name) == 0
        shown = capsys.readouterr().out
        assert not re.search("verified|Infernal|cm_|covariance", shown)


@needs_infernal
@pytest.mark.parametrize("name", ["json", "tsv", "gff3", "table"])
def test_a_file_that_was_cut_is_completed(
    five_families: Path, fasta: Path, own_cache: Path, tmp_path: Path, name: str
) -> None:
    whole, part = tmp_path / "whole", tmp_path / "part"
    options = ("--reference", five_families, "--format", name, "--verify")
    assert run(fasta, whole, *options) == 0
    data = whole.read_bytes()
    part.write_bytes(data[: len(data) // 2])
    assert run(fasta, part, *options, "--resume", "--jobs", 2) == 0
    assert part.read_bytes() == data


@needs_infernal
def test_a_table_without_the_columns_is_not_gone_on_with(
    five_families: Path,
    fasta: Path,
    own_cache: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out.tsv"
    options = ("--reference", five_families, "--format", "tsv")
    assert run(fasta, out, *options) == 0
    assert run(fasta, out, *options, "--resume", "--verify") == 2
    assert "was not written with --format tsv and with --verify" in capsys.readouterr().err


def test_models_without_verification_are_an_error(
    five_families: Path, fasta: Path, own_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(fasta, "--reference", five_families, "--cm", "Rfam.cm") == 2
    assert "give --verify too" in capsys.readouterr().err


def test_a_remark_stands_below_the_name_of_a_record_with_hits() -> None:
    result = SearchResult("x", 100, hits=(made_hit("a", 1, 1e-9),), note="some were not verified")
    assert "(some were not verified)" in format_of("table").write(result)
