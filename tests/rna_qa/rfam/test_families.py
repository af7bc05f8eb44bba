"""Descriptions of families, and what their table adds."""

from pathlib import Path

import pytest
from helpers.paths import DATA

from rnagpt.rna_qa.rfam.families import (
    Family,
    TableRow,
    describe_family,
    name_rna_type,
    read_family_table,
)
from rnagpt.sequences.rna_types import (
    OVERLAPPING,
    PATH_OF_TYPE,
    RNA_TYPES,
    other_types,
    with_article,
)
from rnagpt.sequences.stockholm import Problem, SeedFamily, read_seed


@pytest.fixture(scope="module")
def families() -> dict[str, Family]:
    problems: list[Problem] = []
    table = read_family_table(DATA / "rfam_family.txt", problems)
    described = {
        seed.accession: describe_family(seed, table.get(seed.accession), problems)
        for seed in read_seed(DATA / "rfam_five_families.seed", problems)
    }
    assert problems == []
    return {accession: family for accession, family in described.items() if family}


def test_the_record_of_a_riboswitch(families: dict[str, Family]) -> None:
    family = families["RF01826"]
    assert (family.name, family.description) == ("SAM_V", "SAM-V riboswitch")
    assert (family.rna_type, family.clan) == ("riboswitch", None)
    assert family.evidence == ["19776155", "19531245"]
    assert [str(term) for term in family.go_terms] == [
        "regulation of gene expression (GO:0010468)",
        "S-adenosylmethionine metabolic process (GO:0046500)",
    ]
    assert [str(term) for term in family.so_terms] == ["riboswitch (SO:0000035)"]


def test_the_table_fills_what_the_seed_lacks_and_no_more(families: dict[str, Family]) -> None:
    mir_648, gady = families["RF00970"], families["RF00122"]
    assert [sentence.text for sentence in mir_648.sentences] == [
        "This family represents the microRNA (miRNA) precursor mir-648 imported from miRBase."
    ]
    assert mir_648.description == "microRNA mir-648"  # the table has another one
    assert gady.sentences[0].text.startswith(
        "GadY can form base pairs with the 3' UTR of its target"
    )
    assert gady.sentences[0].citations == ("2",)


def test_a_motif_of_the_survey_says_where_it_is_found(families: dict[str, Family]) -> None:
    assert [sentence.text for sentence in families["RF03106"].sentences] == [
        "It is found in environmental samples."
    ]


@pytest.mark.parametrize(
    ("features", "reason"),
    [({"TP": ["Gene;"]}, "no description"), ({"DE": ["X"], "TP": ["Odd;"]}, "'Odd;'")],
)
def test_a_family_that_cannot_be_described(features: dict[str, list[str]], reason: str) -> None:
    problems: list[Problem] = []
    assert describe_family(SeedFamily("RF99999", 7, features), None, problems) is None
    assert [problem.line for problem in problems] == [7]
    assert reason in problems[0].reason


@pytest.mark.parametrize(
    ("rfam_type", "name"),
    [
        ("Gene; snRNA; snoRNA; CD-box;", "C/D box snoRNA"),
        ("Gene; snRNA; snoRNA; HACA-box", "H/ACA box snoRNA"),
        ("Cis-reg; thermoregulator; ", "RNA thermometer"),
        ("Gene; sRNA; new-kind;", "sRNA"),
        ("Gene;", "non-coding RNA"),
        ("Cis-reg;", "cis-regulatory element"),
        ("Odd;", None),
        ("", None),
    ],
)
def test_names_of_types(rfam_type: str, name: str | None) -> None:
    assert name_rna_type(rfam_type) == name


def test_a_type_is_only_denied_where_it_is_excluded() -> None:
    for name in RNA_TYPES.values():
        others = other_types(name)
        assert others
        for other in others:
            short, long = sorted((PATH_OF_TYPE[name], PATH_OF_TYPE[other]), key=len)
            assert long[: len(short)] != short
            assert not any({name, other} <= types for types in OVERLAPPING)
    assert "tRNA" in other_types("miRNA")
    assert "riboswitch" not in other_types("leader")


@pytest.mark.parametrize(
    "phrase",
    [
        "an sRNA",
        "an lncRNA",
        "an rRNA",
        "an snRNA",
        "an IRES",
        "an RNA thermometer",
        "an H/ACA box snoRNA",
        "an intron",
        "an antisense RNA",
        "a C/D box snoRNA",
        "a tRNA",
        "a miRNA",
        "a snoRNA",
        "a scaRNA",
        "a spliceosomal snRNA",
        "a riboswitch",
        "a leader",
        "a CRISPR RNA",
        "a non-coding RNA",
        "a cis-regulatory element",
    ],
)
def test_articles(phrase: str) -> None:
    assert with_article(phrase.split(" ", 1)[1]) == phrase


def test_regions_of_one_transcript() -> None:
    def transcript(description: str) -> str | None:
        return Family("RF1", "x", description, "lncRNA", None, (), {}, (), (), "").transcript

    assert transcript("HOTAIR conserved region 3") == "HOTAIR"
    assert transcript("CDKN2B antisense RNA 1 convserved region 2") == "CDKN2B antisense RNA 1"
    assert transcript("SOX2 overlapping transcript exon 1") == "SOX2 overlapping transcript"
    assert transcript("U6 spliceosomal RNA") is None


def test_the_table_is_checked(tmp_path: Path) -> None:
    problems: list[Problem] = []
    good = "RF1\tid\t0\tDE\t" + "\t".join([r"\N"] * 14) + "\tGene;"
    path = tmp_path / "family.txt"
    path.write_bytes(f"{good}\nRF2\tcut".encode() + b"\nno accession\n")
    assert read_family_table(path, problems) == {"RF1": TableRow("id", "DE", "", "Gene;")}
    assert [problem.line for problem in problems] == [2, 3]
    path.write_text("something else\n")
    with pytest.raises(ValueError, match="expected the `family` table of Rfam"):
        read_family_table(path, problems)
