"""Single RNAs: found where they were put, with blastn's scores, by chance as E-values say."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from Bio.Align import PairwiseAligner

from rnagpt.cli.main import main
from rnagpt.reference import InvalidReferenceError
from rnagpt.reference.alignment import Scores, align
from rnagpt.reference.annotate import annotate
from rnagpt.reference.cache import ABANDONED
from rnagpt.reference.edit import add, merge, ungapped
from rnagpt.reference.kmers import find_repeats
from rnagpt.reference.library import Reference
from rnagpt.reference.records import FAMILY, RNA, Claim, Record
from rnagpt.reference.single_rnas import MAX_AT_ONE_PLACE, effective_search_space
from rnagpt.reference.writer import write_reference

COMPLEMENT = str.maketrans("ACGU", "UGCA")
needs_blast = pytest.mark.skipif(
    shutil.which("blastn") is None or shutil.which("makeblastdb") is None,
    reason="NCBI's BLAST+ is not installed",
)
ENGINES = ["kmers", pytest.param("blast", marks=needs_blast)]
LENGTHS = (22, 22, 76, 100, 300, 1_200)


def random_rna(length: int, seed: int) -> str:
    return "".join(random.Random(seed).choices("ACGU", k=length))


def turned(rna: str) -> str:
    return rna.translate(COMPLEMENT)[::-1]


def mutated(rna: str, share: float, seed: int) -> str:
    """The RNA with a share of its letters changed, a fifth of these by insertions and deletions."""
    draw = random.Random(seed)
    letters = []
    for letter in rna:
        fate = draw.random()
        if fate < share * 0.8:
            letters.append(draw.choice([other for other in "ACGU" if other != letter]))
        elif share * 0.9 < fate < share:
            letters += [letter, draw.choice("ACGU")]
        elif fate > share:
            letters.append(letter)
    return "".join(letters)


SEQUENCES = [random_rna(LENGTHS[n % len(LENGTHS)], 10**6 + n) for n in range(300)]


def rna_record(identifier: str) -> Record:
    return Record(identifier, RNA, f"name of {identifier}")


def write(folder: Path, sequences: list[str], engine: str = "kmers") -> Path:
    rnas = ((rna_record(f"rna{n}"), sequence) for n, sequence in enumerate(sequences))
    write_reference(folder, rnas=rnas, name="Single RNAs", engine=engine)
    return folder


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory, own_cache: Path) -> Callable[[str], Reference]:
    """The reference of `SEQUENCES`, by its engine."""
    folders: dict[str, Path] = {}

    def open_one(engine: str) -> Reference:
        if engine not in folders:
            folders[engine] = write(tmp_path_factory.mktemp(engine) / "r", SEQUENCES, engine)
        return Reference.open(folders[engine])

    return open_one


@pytest.fixture
def singles(opened: Callable[[str], Reference], engine: str) -> Reference:
    return opened(engine)


# What is found, and where


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("strand", ["+", "-"])
def test_an_rna_is_found_where_it_was_put(singles: Reference, number: int, strand: str) -> None:
    rna = SEQUENCES[number]
    before, after = random_rna(37, 1000 + number), random_rna(53, 2000 + number)
    query = before + (rna if strand == "+" else turned(rna)) + after
    (hit,) = singles.search(query)
    assert hit.record == rna_record(f"rna{number}")
    assert (hit.source, hit.strand, hit.structure) == ("sequence", strand, "")
    # Letters next to the RNA may happen to go on as it does, never by more than it has.
    assert (hit.start, hit.end) == (38, 37 + len(rna))
    assert (hit.model_start, hit.model_end, hit.identity) == (1, len(rna), 1.0)


def test_a_micro_rna_is_found_by_itself(singles: Reference) -> None:
    (hit,) = singles.search(SEQUENCES[0])
    assert (hit.record.id, hit.start, hit.end, hit.strand) == ("rna0", 1, 22, "+")
    assert hit.evalue < 1e-4


@pytest.mark.parametrize("share", [0.05, 0.1, 0.15])
def test_relatives_are_found(singles: Reference, share: float) -> None:
    """RNAs of 100 nt and more, with insertions and deletions among their changes."""
    numbers = [n for n, sequence in enumerate(SEQUENCES) if len(sequence) == 100][:25]
    found = 0
    for number in numbers:
        hits = singles.search(mutated(SEQUENCES[number], share, number))
        found += [hit.record.id for hit in hits] == [f"rna{number}"]
    assert found >= 0.95 * len(numbers)


def test_the_alignment_is_one_of_the_two_sequences(singles: Reference) -> None:
    for number in (3, 4, 5):
        for strand in "+-":
            query = mutated(SEQUENCES[number], 0.1, number)
            query = query if strand == "+" else turned(query)
            hit = singles.search(query)[0]
            lines = hit.alignment.splitlines()
            rows = [line.split() for line in lines]
            theirs = "".join(row[2] for row in rows if row and row[0] == f"rna{number}")
            ours = "".join(row[2] for row in rows if row and row[0] == "query")
            part = query[hit.start - 1 : hit.end]
            assert ours.replace("-", "") == (part if strand == "+" else turned(part))
            rna = SEQUENCES[number][hit.model_start - 1 : hit.model_end]
            assert theirs.replace(".", "") == rna
            assert theirs != rna or "-" in ours
            pairs = [(a, b) for a, b in zip(theirs, ours, strict=True) if a != "." and b != "-"]
            assert hit.identity == pytest.approx(sum(a == b for a, b in pairs) / len(pairs))


def test_several_rnas_in_a_sequence_longer_than_a_window(singles: Reference) -> None:
    parts = [
        (random_rna(7_900, 1), ""),
        (SEQUENCES[5], "rna5+"),
        (random_rna(3_500, 2), ""),
        (turned(SEQUENCES[3]), "rna3-"),
        (random_rna(9_000, 3), ""),
        (SEQUENCES[5], "rna5+"),
        (random_rna(40, 4), ""),
    ]
    query, expected = "", []
    for part, name in parts:
        if name:
            expected.append((name[:-1], name[-1], len(query) + 1, len(query) + len(part)))
        query += part
    hits = sorted(singles.search(query), key=lambda hit: hit.start)
    assert [(hit.record.id, hit.strand, hit.start, hit.end) for hit in hits] == expected


def test_at_one_place_the_ten_best_stay_and_elsewhere_others(
    tmp_path: Path, own_cache: Path, engine: str
) -> None:
    rna, other = random_rna(120, 5), random_rna(80, 6)
    # Each has one letter more changed than the one before.
    places = random.Random(8).sample(range(10, 110), 25)
    relatives = [rna]
    for place in places:
        last = relatives[-1]
        relatives.append(last[:place] + last[place].translate(COMPLEMENT) + last[place + 1 :])
    reference = Reference.open(write(tmp_path / "r", [*relatives, other], engine))
    hits = reference.search(rna + random_rna(100, 7) + other)
    best = [f"rna{number}" for number in range(MAX_AT_ONE_PLACE)]
    assert [hit.record.id for hit in hits if hit.end <= 120] == best
    assert [hit.record.id for hit in hits if hit.end > 120] == ["rna26"]


def test_rnas_of_one_sequence_are_both_found_whatever_their_ids(
    tmp_path: Path, own_cache: Path, engine: str
) -> None:
    ids = ["a|b;c,d", "µRNA-7/1-22", "gnl|BL_ORD_ID|3", "7", "x" * 200, "rna_1", "rna-1"]
    rnas = [(rna_record(identifier), SEQUENCES[0]) for identifier in ids]
    write_reference(tmp_path / "r", rnas=rnas, name="ids", engine=engine)
    hits = Reference.open(tmp_path / "r").search(SEQUENCES[0])
    assert sorted(hit.record.id for hit in hits) == sorted(ids)
    assert {hit.record.name for hit in hits} == {f"name of {identifier}" for identifier in ids}


def test_a_record_comes_whole_with_its_claims(tmp_path: Path, own_cache: Path, engine: str) -> None:
    record = Record(
        "x",
        RNA,
        "miR-x",
        claims=(Claim("It binds β-actin.", "binds β-actin", ("1",)),),
        papers=("1",),
    )
    rnas = [(rna_record("y"), SEQUENCES[1]), (record, SEQUENCES[0])]
    write_reference(tmp_path / "r", rnas=rnas, name="claims", engine=engine)
    (hit,) = Reference.open(tmp_path / "r").search(SEQUENCES[0])
    assert hit.record == record
    assert hit.to_dict()["evidence"] == ["1"]


def test_short_rnas_and_other_letters_do_no_harm(
    tmp_path: Path, own_cache: Path, engine: str
) -> None:
    ambiguous = SEQUENCES[3][:50] + "NRYN" + SEQUENCES[3][54:]
    reference = Reference.open(write(tmp_path / "r", ["ACGU", "N" * 30, ambiguous], engine))
    (hit,) = reference.search(SEQUENCES[3])
    assert (hit.record.id, hit.start, hit.end) == ("rna2", 1, 100)
    (hit,) = reference.search(ambiguous[:50] + "N" + ambiguous[51:])
    assert hit.record.id == "rna2"


# Families and single RNAs together


@pytest.fixture
def both(five_families: Path, own_cache: Path, tmp_path: Path) -> Reference:
    """Five families, and a member of the first as a single RNA."""
    families = Reference.open(five_families)
    member = ungapped(next(iter(families.seeds())).rows[0][1])
    write_reference(tmp_path / "one", rnas=[(rna_record("member"), member)], name="One")
    merge([families, Reference.open(tmp_path / "one")], tmp_path / "both")
    return Reference.open(tmp_path / "both")


def test_an_rna_inside_a_family_is_a_hit_of_its_own(both: Reference) -> None:
    ((_, member),) = both.rnas()
    hits = both.search(random_rna(60, 1) + member + random_rna(60, 2))
    assert {hit.source for hit in hits} == {"profile", "sequence"}
    assert [hit.record.kind for hit in hits].count(FAMILY) == 1
    assert [hit.evalue for hit in hits] == sorted(hit.evalue for hit in hits)
    assert all(not hit.others for hit in hits)


def test_processes_find_what_one_finds(both: Reference) -> None:
    ((_, member),) = both.rnas()
    rnas = [member, random_rna(300, 3), turned(member)] * 40
    one = list(annotate(rnas, both))
    assert list(annotate(rnas, both, jobs=2)) == one
    assert len(one[0].hits) == len(one[2].hits) == 2


def test_own_notes_are_found(both: Reference, tmp_path: Path) -> None:
    notes = tmp_path / "notes.csv"
    notes.write_text(f"id,sequence,name\nlab1,{SEQUENCES[2]},ours\n")
    manifest = add(both, notes, tmp_path / "more")
    assert (manifest.rnas, manifest.engine) == (2, "kmers")
    (hit,) = Reference.open(tmp_path / "more").search(SEQUENCES[2])
    assert (hit.record.name, hit.source) == ("ours", "sequence")


def test_numpy_is_imported_only_for_single_rnas(five_families: Path, own_cache: Path) -> None:
    Reference.open(five_families).prepare()
    program = (
        "import sys; from rnagpt.reference.library import Reference; "
        f"Reference.open({str(five_families)!r}).search('ACGU' * 9); "
        "sys.exit('numpy' in sys.modules)"
    )
    environment = os.environ | {"RNAGPT_CACHE": str(own_cache)}
    assert subprocess.run([sys.executable, "-c", program], env=environment).returncode == 0


# Scores and E-values


@needs_blast
def test_scores_and_evalues_are_those_of_blastn(
    opened: Callable[[str], Reference], tmp_path: Path
) -> None:
    """blastn counts one strand of the query; here both are counted."""
    fasta = "".join(f">rna{n}\n{sequence}\n" for n, sequence in enumerate(SEQUENCES))
    (tmp_path / "rnas.fasta").write_text(fasta)
    command = ["makeblastdb", "-dbtype", "nucl", "-in", "rnas.fasta"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    reference, equal = opened("kmers"), 0
    numbers = range(0, 300, 7)
    for number in numbers:
        query = mutated(SEQUENCES[number], 0.1 if len(SEQUENCES[number]) > 22 else 0, number)
        command = ["blastn", "-task", "blastn", "-word_size", "7", "-db", "rnas.fasta"]
        command += ["-evalue", "5e-4", "-outfmt", "6 sseqid score evalue"]
        done = subprocess.run(
            command, cwd=tmp_path, input=query, text=True, check=True, capture_output=True
        )
        rows = [line.split("\t") for line in done.stdout.splitlines()]
        hits = reference.search(query)
        assert [hit.record.id for hit in hits] == list(dict.fromkeys(row[0] for row in rows))
        # Of several alignments of one RNA, which blastn lists apart, the first is the best.
        score, evalue = float(rows[0][1]), float(rows[0][2])
        bits = (0.625 * score - np.log(0.41)) / np.log(2)
        # blastn ends an alignment early where its score falls.
        assert hits[0].bits >= bits - 1e-6
        if hits[0].bits == pytest.approx(bits):
            assert hits[0].evalue == pytest.approx(2 * evalue, rel=0.06)
            equal += 1
    assert equal >= 0.85 * len(numbers)


def test_the_alignment_is_the_best_there_is() -> None:
    """Against Biopython's, which fills the whole matrix."""
    aligner = PairwiseAligner(
        mode="local", match_score=2, mismatch_score=-3, open_gap_score=-7, extend_gap_score=-2
    )
    scores, half = Scores(2, -3, 5, 2), 32
    codes = {letter: code for code, letter in enumerate("ACGU")}
    for seed in range(150):
        query = random_rna(10 + seed, seed)
        target = mutated(query, 0.2, seed)[: len(query) + half]
        row = np.full(len(query) + 2 * half, 9, dtype=np.uint8)
        row[half : half + len(target)] = [codes[letter] for letter in target]
        found = align(np.array([[codes[letter] for letter in query]]), row[None], scores)
        assert found.score[0] == aligner.score(query, target)
        places = found.trace(0)
        letters = (query, "-" * half + target)
        rows = [
            "".join("-" if place < 0 else text[place] for place in one)
            for one, text in zip(places, letters, strict=True)
        ]
        assert score_of(*rows) == found.score[0]


def score_of(query: str, target: str) -> int:
    """The score of an alignment's rows."""
    score, before = 0, ""
    for one, other in zip(query, target, strict=True):
        gap = "query" if one == "-" else "target" if other == "-" else ""
        score += (-2 if gap == before else -7) if gap else 2 if one == other else -3
        before = gap
    return score


def test_chance_hits_are_as_many_as_evalues_say(opened: Callable[[str], Reference]) -> None:
    """Of 600 random sequences about 600 x 0.5 at most may have a hit of E < 0.5."""
    reference = opened("kmers")
    chance = [
        min((hit.evalue for hit in reference.search(random_rna(100, seed), evalue=0.5)), default=9)
        for seed in range(10_000, 10_600)
    ]
    for evalue in (0.5, 0.05):
        expected = 600 * evalue
        assert sum(found < evalue for found in chance) <= expected + 3 * expected**0.5
    # Nor are they so strict that they say nothing.
    assert sum(found < 0.5 for found in chance) >= 5


def test_the_search_space_of_whole_lengths_where_there_are_no_ends_to_speak_of() -> None:
    assert effective_search_space(5, 5, 1) == 25
    large = effective_search_space(10**6, 10**9, 1)
    assert 0.999 * 10**15 < large < 10**15


@pytest.mark.parametrize("unit", ["A", "U", "CA", "GC", "CUG", "UUAGGG", "AAAAAC"])
def test_repeats_are_no_hits_of_rnas_that_hold_them(
    tmp_path: Path, own_cache: Path, engine: str, unit: str
) -> None:
    rna = random_rna(80, 1) + (unit * 100)[:60] + random_rna(80, 2)
    reference = Reference.open(write(tmp_path / "r", [rna, *SEQUENCES[:20]], engine))
    assert reference.search((unit * 100)[:100]) == []
    (hit,) = reference.search(rna)
    assert (hit.start, hit.end) == (1, len(rna))


@pytest.mark.parametrize(
    "rna", ["AGATCGGAAGAGCACACGTCTGAACTCCAGTCA", "TGGAATTCTCGGGTGCCAAGG", "A" * 40]
)
def test_adapters_and_poly_a_are_no_hits(singles: Reference, rna: str) -> None:
    assert singles.search(rna) == []


def test_an_rna_next_to_a_repeat_is_found(singles: Reference) -> None:
    (hit,) = singles.search("A" * 60 + SEQUENCES[0] + "CA" * 30)
    assert hit.record.id == "rna0"


def test_random_sequence_is_no_repeat() -> None:
    codes = np.random.default_rng(0).integers(0, 4, 20_000).astype(np.uint8)
    assert find_repeats(codes).mean() < 0.001


# The index


def test_the_index_is_made_once_and_read_by_other_processes(tmp_path: Path) -> None:
    folder = write(tmp_path / "r", SEQUENCES[:50])
    program = (
        "import json; from rnagpt.reference.library import Reference; "
        f"found = Reference.open({str(folder)!r}).search({SEQUENCES[3]!r}); "
        "print(json.dumps([hit.to_dict() for hit in found]))"
    )
    environment = os.environ | {"RNAGPT_CACHE": str(tmp_path / "cache")}
    outputs, states = [], []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, check=True
        )
        outputs.append(json.loads(done.stdout))
        (index,) = (tmp_path / "cache").iterdir()
        states.append({path.name: path.stat().st_mtime_ns for path in index.iterdir()})
    assert outputs[0] == outputs[1]
    assert outputs[0][0]["id"] == "rna3"
    assert states[0] == states[1]
    assert len(states[0]) >= 6


def test_a_killed_process_leaves_no_half_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, cache = write(tmp_path / "r", SEQUENCES[:50]), tmp_path / "cache"
    program = (
        "import time; from rnagpt.reference import kmers; "
        "kmers._write_words = lambda *_: time.sleep(99); "
        "from rnagpt.reference.library import Reference; "
        f"Reference.open({str(folder)!r}).prepare()"
    )
    environment = os.environ | {"RNAGPT_CACHE": str(cache)}
    process = subprocess.Popen([sys.executable, "-c", program], env=environment)
    deadline = time.monotonic() + 60
    while not list(cache.glob("*/starts.npy")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (half,) = cache.iterdir()
    monkeypatch.setenv("RNAGPT_CACHE", str(cache))
    (hit,) = Reference.open(folder).search(SEQUENCES[3])
    assert hit.record.id == "rna3"
    # What was left is deleted when the next index is made, once it is a day old.
    assert half.is_dir()
    os.utime(half, (time.time() - ABANDONED - 1,) * 2)
    shutil.rmtree(next(path for path in cache.iterdir() if path != half))
    Reference.open(folder).prepare()
    assert not half.exists()


def test_a_damaged_file_makes_no_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNAGPT_CACHE", str(tmp_path / "cache"))
    folder = write(tmp_path / "r", SEQUENCES[:50])
    path = folder / "sequences.fasta.xz"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    with pytest.raises(InvalidReferenceError, match="SHA-256"):
        Reference.open(folder).search(SEQUENCES[0])
    assert list((tmp_path / "cache").iterdir()) == []


# Engines


def test_an_engine_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(InvalidReferenceError, match=r"No engine is called 'magic'.*kmers or blast"):
        write(tmp_path / "r", SEQUENCES[:3], "magic")
    assert not (tmp_path / "r").exists()
    folder = write(tmp_path / "r", SEQUENCES[:3])
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"kmers"', '"magic"'))
    with pytest.raises(InvalidReferenceError, match="--engine kmers"):
        Reference.open(folder).search(SEQUENCES[0])


def test_without_blast_the_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RNAGPT_CACHE", str(tmp_path / "cache"))
    folder = write(tmp_path / "r", SEQUENCES[:3], "blast")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InvalidReferenceError, match=r"makeblastdb is not installed.*ncbi-blast\+"):
        Reference.open(folder).search(SEQUENCES[0])


def test_the_engine_is_kept_or_chosen(tmp_path: Path, own_cache: Path) -> None:
    write(tmp_path / "a", SEQUENCES[:3], "blast")
    notes = tmp_path / "notes.csv"
    notes.write_text(f"id,sequence\nlab1,{SEQUENCES[10]}\n")

    def engine_of(*arguments: str | Path) -> str:
        assert main(["reference", *map(str, arguments), "--quiet"]) == 0
        return Reference.open(arguments[-1 if arguments[-1] != "kmers" else -3]).manifest.engine

    a, b, c, d = (tmp_path / name for name in "abcd")
    assert engine_of("add", a, notes, b) == "blast"
    assert engine_of("merge", a, b, c) == "blast"
    assert engine_of("merge", a, b, d, "--engine", "kmers") == "kmers"
    assert engine_of("add", a, notes, tmp_path / "e", "--engine", "kmers") == "kmers"
    (hit,) = Reference.open(d).search(SEQUENCES[10])
    assert hit.record.id == "lab1"
