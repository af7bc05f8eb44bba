"""References written, merged, extended and cut; and all that can be wrong with one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from helpers.paths import DATA

from rnagpt.reference import InvalidReferenceError
from rnagpt.reference.edit import add, families_of, merge, read_families, subset, ungapped
from rnagpt.reference.library import Reference
from rnagpt.reference.manifest import MANIFEST, SEEDS
from rnagpt.reference.profiles import SeedAlignment
from rnagpt.reference.records import FAMILY, RNA, Claim, Record, Term
from rnagpt.reference.writer import write_reference

SEED_FILE = DATA / "rfam_five_families.seed"


@pytest.fixture
def copy(five_families: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(five_families, tmp_path / "copy"))


def change_manifest(folder: Path, **values: object) -> None:
    path = folder / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_record_comes_back_from_its_line() -> None:
    record = Record(
        "RF1",
        FAMILY,
        "x",
        functions=("It cuts.",),
        terms=(Term("GO:0000001", "cutting"),),
        papers=("123",),
        claims=(Claim("It cuts.", "it cuts", ("123",)),),
        gathering=38.5,
    )
    assert Record.from_json(record.to_json()) == record


def test_the_same_sources_give_the_same_files(five_families: Path, tmp_path: Path) -> None:
    again = write_reference(tmp_path / "again", read_families(SEED_FILE), name="x", jobs=2)
    assert again.files == Reference.open(five_families).manifest.files


def test_two_records_of_one_id_are_an_error_and_nothing_is_written(tmp_path: Path) -> None:
    families = list(read_families(SEED_FILE))
    with pytest.raises(InvalidReferenceError, match="Two records have the id 'RF00122'"):
        write_reference(tmp_path / "out", [*families, families[0]], name="x")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_reference_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidReferenceError, match="finds nothing"):
        write_reference(tmp_path / "out", name="x")


def test_a_killed_build_leaves_the_old_reference(copy: Path) -> None:
    def families() -> object:
        yield from list(read_families(SEED_FILE))[:1]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_reference(copy, families(), name="x", overwrite=True)  # type: ignore[arg-type]
    assert Reference.open(copy).manifest.families == 5
    assert [path.name for path in copy.parent.iterdir()] == ["copy"]


def test_another_folder_is_never_replaced(copy: Path, tmp_path: Path) -> None:
    families = list(read_families(SEED_FILE))
    with pytest.raises(FileExistsError, match="--overwrite"):
        write_reference(copy, families, name="x")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    with pytest.raises(FileExistsError, match="something else"):
        write_reference(tmp_path / "photos", families, name="x", overwrite=True)


def test_a_folder_without_a_manifest_is_being_built(copy: Path) -> None:
    (copy / MANIFEST).unlink()
    with pytest.raises(InvalidReferenceError, match="whose build has not ended"):
        Reference.open(copy)


@pytest.mark.parametrize(
    ("version", "advice"), [(99, "Install a newer rnagpt"), (0, "Build the reference again")]
)
def test_another_format_is_an_error_with_its_remedy(copy: Path, version: int, advice: str) -> None:
    change_manifest(copy, format=version)
    with pytest.raises(InvalidReferenceError, match=advice):
        Reference.open(copy)


def test_a_manifest_that_is_none(copy: Path) -> None:
    (copy / MANIFEST).write_text("[1]")
    with pytest.raises(InvalidReferenceError, match="no manifest of a reference"):
        Reference.open(copy)


def test_a_cut_file_and_a_missing_one_are_errors(copy: Path) -> None:
    data = (copy / SEEDS).read_bytes()
    (copy / SEEDS).write_bytes(data[:-9])
    with pytest.raises(InvalidReferenceError, match=r"has [\d,]+ bytes, not [\d,]+: .*damaged"):
        Reference.open(copy)
    (copy / SEEDS).unlink()
    with pytest.raises(InvalidReferenceError, match="is missing"):
        Reference.open(copy)


def test_a_changed_file_is_an_error_before_it_is_used(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RNAGPT_CACHE", str(tmp_path / "cache"))
    path = copy / "profiles.h3m.xz"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    reference = Reference.open(copy)
    with pytest.raises(InvalidReferenceError, match="SHA-256"):
        reference.search("ACGU" * 10)
    with pytest.raises(InvalidReferenceError, match="SHA-256"):
        reference.check()


def test_a_data_set_with_a_reference_is_opened_by_its_folder(copy: Path, tmp_path: Path) -> None:
    copy.rename(tmp_path / "reference")
    assert Reference.open(tmp_path).manifest.families == 5


def test_merged_references_find_what_each_found(reference: Reference, tmp_path: Path) -> None:
    first, second = tmp_path / "one", tmp_path / "two"
    subset(reference, lambda family, _: family <= "RF00970", first)
    subset(reference, lambda family, _: family >= "RF00970", second)
    merged = merge([Reference.open(first), Reference.open(second)], tmp_path / "both")
    assert merged.families == 5
    both = Reference.open(tmp_path / "both")
    both.check()
    for record, seed in families_of(reference):
        assert both.search(ungapped(seed.rows[0][1]))[0].record == record


def test_two_records_that_differ_are_not_merged(reference: Reference, tmp_path: Path) -> None:
    (record, seed), *_ = families_of(reference)
    other = Record(record.id, FAMILY, "another")
    write_reference(tmp_path / "other", [(other, seed)], name="x")
    with pytest.raises(InvalidReferenceError, match=f"{record.id} of .* is another one"):
        merge([reference, Reference.open(tmp_path / "other")], tmp_path / "out")


def test_a_part_holds_nothing_of_the_rest(reference: Reference, tmp_path: Path) -> None:
    (_record, seed), *_ = families_of(reference)
    left_out = ungapped(seed.rows[0][1])
    subset(reference, lambda _, sequence: sequence != left_out, tmp_path / "part")
    held = {
        ungapped(row)
        for _, one in families_of(Reference.open(tmp_path / "part"))
        for _, row in one.rows
    }
    assert left_out not in held
    assert len(held) > 5


def test_families_of_a_stockholm_file_are_added(
    copy: Path, tmp_path: Path, own_cache: Path
) -> None:
    lines = [
        "# STOCKHOLM 1.0",
        "#=GF AC LAB001",
        "#=GF ID our-RNA",
        "#=GF DE Found in our lab",
        "#=GF TP Gene; sRNA;",
        "one   GGGCACGUACGAUCGACGUUAGCGGAUCCAAGGUACGUUGCCC",
        "two   GGGCACGUACGAUCGACGUUAGCGCAUCCAAGGUACGUUGCCC",
        "#=GC SS_cons (((((.................................)))))",
        "//",
    ]
    notes = tmp_path / "lab.sto"
    notes.write_text("\n".join(lines) + "\n")
    manifest = add(Reference.open(copy), notes)
    assert manifest.families == 6
    hit = Reference.open(copy).search("GGGCACGUACGAUCGACGUUAGCGGAUCCAAGGUACGUUGCCC")[0]
    assert (hit.record.name, hit.record.type) == ("our-RNA", "sRNA")
    with pytest.raises(InvalidReferenceError, match="Two records have the id 'LAB001'"):
        add(Reference.open(copy), notes)


def test_rnas_of_a_table_are_added_with_their_notes(copy: Path, tmp_path: Path) -> None:
    notes = tmp_path / "notes.csv"
    notes.write_text(
        "id,sequence,name,functions,papers\n"
        'x1,GGGCACGUACGAUCGACGTTAGCGGATCC,"our RNA","It cuts.; It glows.",123;456\n'
    )
    add(Reference.open(copy), notes, tmp_path / "new")
    (found,) = Reference.open(tmp_path / "new").rnas()
    record, sequence = found
    assert sequence == "GGGCACGUACGAUCGACGUUAGCGGAUCC"
    assert record.kind == RNA
    assert record.functions == ("It cuts.", "It glows.")
    assert record.papers == ("123", "456")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,seq\nx,ACGU\n", r"id, sequence is missing\. seq is not known"),
        ("id,sequence\n,ACGUACGUACGUACGUACGU\n", "line 2: an id without blanks"),
        ("id,sequence\nx,MKVLAAGIVGLPLPE\n", "line 2.*looks like a protein"),
        ("id,sequence\nx,ACGU\n", "line 2: x has fewer than 16 nt"),
        ("", "has the columns none"),
    ],
)
def test_a_table_that_is_none_says_what_is_wrong(
    reference: Reference, tmp_path: Path, text: str, message: str
) -> None:
    notes = tmp_path / "notes.csv"
    notes.write_text(text)
    with pytest.raises(InvalidReferenceError, match=message):
        add(reference, notes, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_alignment_of_proteins_says_so(reference: Reference, tmp_path: Path) -> None:
    notes = tmp_path / "proteins.sto"
    notes.write_text("# STOCKHOLM 1.0\n#=GF AC PF1\na  MKVLEEGIVQ\nb  MKVLEEGIVQ\n//\n")
    with pytest.raises(InvalidReferenceError, match="not nucleotides"):
        add(reference, notes, tmp_path / "out")


def test_an_alignment_without_letters_has_no_profile(tmp_path: Path) -> None:
    seed = SeedAlignment("x", (("a", "----"),))
    with pytest.raises(InvalidReferenceError, match="no profile can be built"):
        write_reference(tmp_path / "out", [(Record("x", FAMILY, "x"), seed)], name="x")
