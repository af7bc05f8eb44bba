"""Updates of a reference to Rfam's current release, from a server on this machine."""

from __future__ import annotations

import gzip
import re
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from helpers.paths import DATA

from rnagpt.cli.main import main
from rnagpt.reference import InvalidReferenceError
from rnagpt.reference.edit import add, families_of, subset, ungapped
from rnagpt.reference.library import Reference
from rnagpt.reference.writer import write_reference
from rnagpt.rna_qa.rfam.families import describe_family, read_family_table
from rnagpt.rna_qa.rfam.reference import family_record, seed_alignment, update
from rnagpt.sequences.stockholm import read_seed

SEEDS, TABLE = DATA / "rfam_five_families.seed", DATA / "rfam_family.txt"
BLOCKS = [f"{block}//\n" for block in SEEDS.read_text("latin-1").split("//\n")[:-1]]
GADY, MIR, REPBA, SAM_V, RT_11 = BLOCKS
NEW = SAM_V.replace("RF01826", "RF09999").replace("SAM_V", "SAM_X")


class Rfam(BaseHTTPRequestHandler):
    """Rfam's address: README, seeds and family table; `cut` names what breaks off half way once."""

    release: ClassVar[str]
    seeds: ClassVar[bytes]
    cut: ClassVar[set[str]]
    requests: ClassVar[list[tuple[str, str | None]]]

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.requests.append((self.path, wanted))
        files = {
            "/README": f"Rfam\n\nRelease {self.release}\n".encode() if self.release else None,
            "/Rfam.seed.gz": self.seeds,
            "/family.txt": TABLE.read_bytes(),
        }
        content = files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted else 0  # type: ignore[index]
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = len(content) // 2 if self.path in self.cut else None
        self.cut.discard(self.path)
        self.wfile.write(content[start:end])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def rfam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Rfam]]:
    monkeypatch.setenv("RNAGPT_CACHE", str(tmp_path / "cache"))
    with ThreadingHTTPServer(("127.0.0.1", 0), Rfam) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        monkeypatch.setenv("RNAQA_RFAM_SEED_URL", f"{address}/Rfam.seed.gz")
        monkeypatch.setenv("RNAQA_RFAM_FAMILY_URL", f"{address}/family.txt")
        Rfam.release, Rfam.cut, Rfam.requests = "15.0", set(), []
        offer(GADY, MIR, REPBA, SAM_V, RT_11)
        yield Rfam
        server.shutdown()


def offer(*blocks: str) -> None:
    Rfam.seeds = gzip.compress("".join(blocks).encode("latin-1"))


@pytest.fixture
def reference(tmp_path: Path, rfam: type[Rfam]) -> Reference:
    """Of release 14.2, as a build has it."""
    table = read_family_table(TABLE, [])
    families = []
    for seed in read_seed(SEEDS, []):
        family = describe_family(seed, table.get(seed.accession), [])
        assert family
        families.append((family_record(family, seed, "Rfam 14.2"), seed_alignment(seed)))
    out = tmp_path / "reference"
    write_reference(out, families, name="Rfam", release="14.2", licence="CC0-1.0")
    return Reference.open(out)


def content(reference: Reference) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in reference.folder.iterdir()}


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The families whose profiles are built from now on."""
    from rnagpt.reference import profiles, writer

    names: list[str] = []
    build_profiles = profiles.build_profiles

    def noted(alignments: Sequence[profiles.SeedAlignment], jobs: int = 1) -> Iterator[object]:
        names.extend(alignment.id for alignment in alignments)
        return build_profiles(alignments, jobs)

    monkeypatch.setattr(writer, "build_profiles", noted)
    return names


def test_what_differs_is_taken_over_and_what_does_not_is_reused(
    reference: Reference, built: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    row = re.search(r"^(\S+ +)([ACGU.-]+)$", MIR, flags=re.MULTILINE)
    assert row
    described = SAM_V.replace("#=GF DE   ", "#=GF DE   Better ")
    assert described != SAM_V
    fewer = MIR.replace(row[0], "")
    offer(fewer, REPBA, described, RT_11, NEW)
    before = {record.id: seed for record, seed in families_of(reference)}
    profiles = reference.hmms()

    assert main(["reference", "update", str(reference.folder)]) == 0
    shown = capsys.readouterr().out
    assert "Rfam 14.2 is now Rfam 15.0" in shown
    assert "added: 1 (RF09999 SAM_X)" in shown
    assert "changed: 2 (RF00970 mir-648, RF01826 SAM_V)" in shown
    assert "removed: 1 (RF00122 GadY)" in shown

    updated = Reference.open(reference.folder)
    updated.check()
    assert (updated.manifest.release, updated.manifest.name) == ("15.0", "Rfam")
    assert set(updated.families) == {"RF00970", "RF01089", "RF01826", "RF03106", "RF09999"}
    assert {record.source for record in updated.families.values()} == {"Rfam 15.0"}
    assert updated.families["RF01826"].description.startswith("Better ")
    assert sorted(built) == ["RF00970", "RF09999"]
    seeds = {seed.id: seed for seed in updated.seeds()}
    assert len(seeds["RF00970"].rows) == len(before["RF00970"].rows) - 1
    assert seeds["RF03106"] == before["RF03106"]
    assert updated.hmms()["RF03106"].checksum == profiles["RF03106"].checksum
    assert updated.hmms()["RF00970"].checksum != profiles["RF00970"].checksum
    rna = ungapped(seeds["RF09999"].rows[0][1])
    assert {"RF09999", "RF01826"} >= {hit.record.id for hit in updated.search(rna)} != set()
    assert {name.rpartition("/")[2] for name in updated.manifest.sources} == {
        "Rfam.seed.gz",
        "family.txt",
    }


def test_the_same_release_is_not_downloaded(
    reference: Reference, rfam: type[Rfam], capsys: pytest.CaptureFixture[str]
) -> None:
    rfam.release = "14.2"
    before = content(reference)
    assert main(["reference", "update", str(reference.folder)]) == 0
    assert "holds the current release (Rfam 14.2); nothing changes" in capsys.readouterr().out
    assert content(reference) == before
    assert [path for path, _ in rfam.requests] == ["/README"]


def test_an_address_without_a_readme_is_judged_by_its_content(
    reference: Reference, rfam: type[Rfam]
) -> None:
    rfam.release = ""
    before = content(reference)
    assert not update(reference).written
    assert content(reference) == before
    offer(GADY, MIR, REPBA, SAM_V)
    assert [record.id for record in update(reference).removed] == ["RF03106"]


def test_a_cut_connection_is_resumed(
    reference: Reference,
    rfam: type[Rfam],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    offer(GADY, MIR, REPBA, SAM_V, RT_11, NEW)
    rfam.cut = {"/Rfam.seed.gz"}
    before = content(reference)
    assert main(["reference", "update", str(reference.folder)]) == 2
    assert "bytes did not come; run again to resume" in capsys.readouterr().err
    assert content(reference) == before
    assert main(["reference", "update", str(reference.folder)]) == 0
    half = f"bytes={len(rfam.seeds) // 2}-"
    assert [wanted for path, wanted in rfam.requests if path == "/Rfam.seed.gz"] == [None, half]
    assert "RF09999" in Reference.open(reference.folder).families
    assert not [path for path in (tmp_path / "cache").glob("rfam-*") if path.exists()]


def test_a_half_of_another_release_is_not_resumed(reference: Reference, rfam: type[Rfam]) -> None:
    rfam.cut = {"/Rfam.seed.gz"}
    with pytest.raises(OSError, match="run again to resume"):
        update(reference)
    rfam.release = "15.1"
    offer(GADY, NEW)
    assert [record.id for record in update(reference).added] == ["RF09999"]
    assert all(wanted is None for _, wanted in rfam.requests)


def test_a_damaged_file_is_downloaded_again(reference: Reference, rfam: type[Rfam]) -> None:
    whole = rfam.seeds
    rfam.seeds = whole[: len(whole) // 2]
    before = content(reference)
    with pytest.raises(ValueError, match="damaged or cut off"):
        update(reference)
    assert content(reference) == before
    rfam.seeds = whole
    assert update(reference).written


def test_an_address_that_does_not_answer_is_named(
    reference: Reference, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RNAQA_RFAM_SEED_URL", "http://127.0.0.1:1/Rfam.seed.gz")
    assert main(["reference", "update", str(reference.folder)]) == 2
    assert "http://127.0.0.1:1/README: " in capsys.readouterr().err


def test_own_families_and_rnas_stay(reference: Reference, tmp_path: Path) -> None:
    family, table = tmp_path / "lab.sto", tmp_path / "notes.csv"
    family.write_text(REPBA.replace("RF01089", "LAB1"), encoding="utf-8")
    table.write_text("id,sequence,name\nx1,GGGCACGUACGAUCGACGUUAGCGGAUCC,our RNA\n")
    add(reference, family)
    add(Reference.open(reference.folder), table)
    offer(GADY, NEW)
    done = update(Reference.open(reference.folder))
    assert done.own == 2
    updated = Reference.open(reference.folder)
    updated.check()
    assert set(updated.families) == set(updated.hmms()) == {"RF00122", "RF09999", "LAB1"}
    assert [record.id for record, _ in updated.rnas()] == ["x1"]


def test_what_is_not_rfams_is_not_updated(reference: Reference, tmp_path: Path) -> None:
    subset(reference, lambda *_: True, tmp_path / "part")
    with pytest.raises(InvalidReferenceError, match="a part of a reference"):
        update(Reference.open(tmp_path / "part"))
    (record, seed), *_ = families_of(reference)
    own = type(record)("LAB1", record.kind, "ours")
    write_reference(tmp_path / "own", [(own, type(seed)("LAB1", seed.rows))], name="ours")
    with pytest.raises(InvalidReferenceError, match="holds no family of Rfam"):
        update(Reference.open(tmp_path / "own"))
