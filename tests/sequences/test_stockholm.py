"""The reader of seeds, against counts and strings read by eye in five real families."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.paths import DATA

from rnagpt.sequences.stockholm import Problem, SeedFamily, read_lines, read_seed

SEED = DATA / "rfam_five_families.seed"


def block(
    *rows: str, features: str = "#=GF AC   RF99999\n#=GF ID   Made\n", end: str = "//\n"
) -> str:
    return "# STOCKHOLM 1.0\n\n" + features + "\n" + "".join(f"{row}\n" for row in rows) + end


def read_text(folder: Path, text: str | bytes) -> tuple[list[SeedFamily], list[Problem]]:
    path = folder / "seed"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    problems: list[Problem] = []
    return list(read_seed(path, problems)), problems


def test_real_families_are_read_whole() -> None:
    problems: list[Problem] = []
    families = {family.accession: family for family in read_seed(SEED, problems)}
    assert problems == []
    assert {name: len(family.sequences) for name, family in families.items()} == {
        "RF00122": 5,
        "RF00970": 2,
        "RF01089": 6,
        "RF01826": 6,
        "RF03106": 3,
    }
    gady = families["RF00122"]
    assert gady.feature("ID") == "GadY"
    assert gady.feature("TP") == "Gene; sRNA;"
    assert gady.feature("CC").startswith("This family represents a GadY RNA (previous named IS183")
    assert gady.references == {"1": "12202758", "2": "15466020"}
    # Its second row has no gap; its fourth has one, and U where the DNA has T.
    assert gady.sequences[1] == (
        "U00039.1/79120-79233",
        "CUUACUGAGAGCACAAAGUUUCCCGUGCCAACAGGGAGUGUUAUAACGGUUUAUUAGUCUGGAGACGGCAGACUAUCCUCUUCC"
        "CGGUCCCCUAUGCCGGGUUUUUUUUAUGUC",
    )
    assert len(gady.sequences[3][1]) == 113


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_gzip_is_told_by_its_content(tmp_path: Path, newline: str) -> None:
    text = SEED.read_text(encoding="utf-8").replace("\n", newline).encode()
    plain, _ = read_text(tmp_path, text)
    packed, _ = read_text(tmp_path, gzip.compress(text))
    assert [family.sequences for family in plain] == [family.sequences for family in packed]
    assert len(plain) == 5


def test_sequences_are_upper_case_rna_and_wrapped_rows_are_joined(tmp_path: Path) -> None:
    wrapped = ("one  ac-gt.", "two  ACGUUA", "", "one  nn", "two  RY")
    (family,), problems = read_text(tmp_path, block("#=GS two OS Homo sapiens", *wrapped))
    assert family.sequences == [("one", "ACGUNN"), ("two", "ACGUUARY")]
    assert family.organisms == {"two": "Homo sapiens"}
    assert problems == []


@pytest.mark.parametrize(
    ("text", "record", "reason"),
    [
        (block("a ACGU", features="#=GF ID   Made\n"), "Made", "no accession"),
        (block("a ACGU", end=""), "RF99999", "has no end"),
        (block("a ACGU", "b AC1X!"[:6]), "RF99999 b", "letters that are not nucleotides: '1X'"),
        (block("a ACGU", "b ACGU", "c ACG"), "RF99999 c", "3 columns in an alignment of 4"),
        (block("a ACGU", "b ----"), "RF99999 b", "nothing but gaps"),
        (block("a ACGU", "b AC GU"), "RF99999", "expected a name and a row"),
        (block("a XXXX"), "RF99999", "no sound sequence"),
        (block(), "RF99999", "no sound sequence"),
        (block("a ACGU") + block("a ACGU"), "RF99999", "accession seen before"),
        ("b ACGU\n" + block("a ACGU"), "b ACGU", "no '# STOCKHOLM' line"),
    ],
)
def test_what_is_left_out_is_listed_with_its_reason(
    tmp_path: Path, text: str, record: str, reason: str
) -> None:
    sound = block("s GGGG", features="#=GF AC   RF00001\n")
    families, problems = read_text(tmp_path, text + sound)
    assert "RF00001" in [family.accession for family in families]
    matching = [p for p in problems if p.record == record and reason in p.reason]
    assert len(matching) == 1, problems
    assert f"line {matching[0].line}, " in str(matching[0])


TWICE = "line 8 has another row of this name in the same block"


@pytest.mark.parametrize(
    ("text", "sequences", "reasons"),
    [
        # Two RNAs under one name are no RNA of both lengths, with a consensus line or without.
        (block("a ACGU", "b AAAA", "a GGGG"), {"b": "AAAA"}, [TWICE]),
        (block("a ACGU", "b AAAA", "a GGGG", "#=GC SS_cons ...."), {"b": "AAAA"}, [TWICE]),
        (block("a ACGU", "b AAAA", "a ACGU"), {"a": "ACGU", "b": "AAAA"}, ["the same row again"]),
        # In every block of a wrapped alignment.
        (
            block("a AC", "b AA", "a GG", "", "a GU", "b AA", "a GG"),
            {"b": "AAAA"},
            [TWICE],
        ),
        (block("a ACG", "a ACG", "", "a U", "a U"), {"a": "ACGU"}, ["the same row again"] * 2),
        # Wrapped without an empty line: no row is taken for whole.
        (block("a AC", "b AA", "a GU", "b AC"), {}, [TWICE, "line 9 has", "no sound sequence"]),
        (
            block("a ACGU", "#=GC SS_cons <..>", "b AAAA", "#=GC SS_cons <..>"),
            {"a": "ACGU", "b": "AAAA"},
            ["a second SS_cons in one block"],
        ),
        # A block that lacks a row, and nothing that tells how long rows are.
        (
            block("a ACGU", "b AAAA", "", "a GG"),
            {},
            ["as many rows of 4 and of 6 columns, and no SS_cons"] * 2 + ["no sound sequence"],
        ),
        (
            block("a ACGU", "b AAAA", "#=GC SS_cons ....", "", "a GG", "#=GC SS_cons .."),
            {"a": "ACGUGG"},
            ["a row of 4 columns in an alignment of 6"],
        ),
        # Two families, with neither an end nor a beginning in between.
        (
            block("a ACGU", "#=GF AC   RF88888", "b AAAA"),
            {},
            ["several accessions (RF88888, RF99999): '//' is missing in between"],
        ),
    ],
)
def test_rows_of_one_name_are_joined_across_blocks_alone(
    tmp_path: Path, text: str, sequences: dict[str, str], reasons: list[str]
) -> None:
    sound = block("s GGGG", features="#=GF AC   RF00001\n")
    families, problems = read_text(tmp_path, text + sound)
    found = [dict(f.sequences) for f in families if f.accession == "RF99999"]
    assert found == ([sequences] if sequences else [])
    assert len(problems) == len(reasons)
    for problem, reason in zip(problems, reasons, strict=True):
        assert reason in problem.reason


def test_a_row_is_measured_against_the_consensus_line(tmp_path: Path) -> None:
    """Even where most rows are wrong; a second consensus (SS_cons2) does not count."""
    text = block("a ACG", "b ACG", "c ACGU", "#=GC SS_cons <..>", "#=GC SS_cons2 ....")
    (family,), problems = read_text(tmp_path, text)
    assert [name for name, _ in family.sequences] == ["c"]
    assert len(problems) == 2


def test_a_cut_off_download_is_rejected(tmp_path: Path) -> None:
    packed = gzip.compress(SEED.read_bytes())
    with pytest.raises(ValueError, match="damaged or cut off after line"):
        read_text(tmp_path, packed[: len(packed) // 2])
    damaged = bytearray(packed)
    damaged[len(packed) // 2] ^= 0xFF
    with pytest.raises(ValueError, match="damaged or cut off after line"):
        read_text(tmp_path, bytes(damaged))


@pytest.mark.parametrize("text", ["", ">x\nACGU\n", block("a !!!!")])
def test_a_file_without_a_sound_family_is_rejected(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"no sound family found; expected Rfam's seed"):
        read_text(tmp_path, text)


def test_lines_in_three_encodings(tmp_path: Path) -> None:
    path = tmp_path / "text"
    twice = "5’UTR".encode().decode("cp850").encode("utf-8")
    path.write_bytes(
        b"\n".join(["Hüttenhofer 3’".encode(), "Hüttenhofer".encode("latin-1"), twice])
    )
    assert [line for _, line in read_lines(path)] == ["Hüttenhofer 3’", "Hüttenhofer", "5’UTR"]


@pytest.mark.skipif(
    "RNAGPT_SHARED_DATA" not in os.environ, reason="RNAGPT_SHARED_DATA names no folder"
)
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_all_of_rfam_in_a_minute_and_a_gigabyte() -> None:
    seed = Path(os.environ["RNAGPT_SHARED_DATA"]) / "rfam" / "Rfam.seed.gz"
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from rnagpt.sequences.stockholm import read_seed\n"
        "problems = []\n"
        "sizes = [len(family.sequences) for family in read_seed(Path(sys.argv[1]), problems)]\n"
        # Not ru_maxrss: that begins at what the tests' own process held when it forked.
        "peak = Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0]\n"
        "seconds = resource.getrusage(resource.RUSAGE_SELF).ru_utime\n"
        "print(len(sizes), sum(sizes), len(problems), seconds, peak)\n"
    )
    command = [sys.executable, "-c", code, str(seed)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    families, sequences, problems, seconds, kilobytes = map(float, output.split())
    # As the folder's README counts them.
    assert (families, sequences, problems) == (2966, 64214, 0)
    assert seconds < 60
    assert kilobytes < 1_000_000
