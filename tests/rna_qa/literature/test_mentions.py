import json
import re

import pytest
from helpers.paths import ROOT

from rnagpt.rna_qa.literature.text.mentions import NameIndex, is_ambiguous, names_not_specific


def finds(name: str, text: str) -> bool:
    return NameIndex([(name, "rna")]).find(text) == {"rna"}


@pytest.mark.parametrize(
    "text",
    [
        "miR-21 is oncogenic",
        "Loss of miR-21-5p in mice",
        "hsa-miR-21",
        "microRNA-21",
        "MicroRNA 21 was",
        "miR21",
        "MIR21",
        "miRNA-21,",
        "pre-miR-21 and",
        "the antagomiR-21",
        "miR-21*",
        "hsamiR21",
        "miR\u201121",
        "miR- 21",
        "mir-21-1",
        "miR-155/21",
        "miR-155/-21",
        "miR-20a~21",
        "miR-20a, -21 and -22",
        "microRNAs 143, 145 and 21",
        "microRNAs 21 and 143",
        "(miR-9, 21, 30d, and 31)",
        "miR-9, 30, and 21 were",
        "(miR-21/Pdcd4)",
    ],
)
def test_finds_mir_21(text: str) -> None:
    assert finds("miR-21", text)


@pytest.mark.parametrize(
    "text",
    [
        "miR-210",
        "miR-21b",
        "miR-121",
        "miR-155",
        "the miRNA of 21 patients",
        "miRNAs in 21 patients",
        "miR-143 and 21 patients",
        "21 miRNAs",
        "miRNAs 21 of 30 patients had",
        "admir-21",
        "miR-143, 21 controls",
        "miRNA 21.5 fold",
        "MIR21HG",
        "let-21",
        "miR",
        "",
    ],
)
def test_does_not_find_mir_21(text: str) -> None:
    assert not finds("miR-21", text)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("hsa-miR-21-5p", "miR-21-5p", True),
        ("hsa-miR-21-5p", "miR-21", False),
        ("hsa-miR-21-5p", "miR-21-3p", False),
        ("hsa-miR-21", "mmu-miR-21", False),
        ("hsa-miR-21", "miR-21", True),
        ("miR-21", "mmu-miR-21", True),
        ("hsa-mir-16-1", "MIR16-1", True),
        ("hsa-mir-16-1", "miR-16-2", False),
        ("miR-16", "miR-16-2", True),
        ("hsa-let-7a-1", "MIRLET7A1", True),
        ("let-7a", "let7a", True),
        ("let-7d", "let-7a, -7d", True),
        ("let-7", "let-7a", False),
        ("miR-7", "let-7a, -7", False),
        ("miR-34c", "miR-34a/b/c", True),
        ("miR-34c", "miR-34a, b and c", True),
        ("miR-34a", "miR-34b and a control", False),
        ("miR-92a", "the miR-17-92a cluster", True),
        ("miR-92", "miR-17~92", True),
        ("miR-20a", "miR-18a,19a,20a", True),
        ("miR-193a-5p", "miR-193a-3p and -5p", True),
        ("miR-5", "miR-193a-3p and -5p", False),
        ("miR-21*", "miR-21", False),
        ("miR-200c-3p", "miR-200a-3p/200c-3p", True),
    ],
)
def test_parts_of_a_microrna_name(name: str, text: str, expected: bool) -> None:
    assert finds(name, text) is expected


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("HOTAIR", "lncRNA HOTAIR binds", True),
        ("HOTAIR", "Hotair of the mouse", True),
        ("HOTAIR", "hotair balloons", False),
        ("HOTAIR", "HOTAIRM1", False),
        ("HOTAIR", "HOTAIR-mediated", True),
        ("HOTAIR", "(HOTAIR)", True),
        ("HOTAIR", "lncRNA-HOTAIR/miR-7", True),
        ("MALAT1", "Malat1 or malat1", True),
        ("MALAT1", "MALAT-1", True),
        ("MALAT1", "MALAT10", False),
        ("MALAT1", "MALAT 1", False),
        ("FOXD2", "FOXD2-AS1", False),
        ("FOXD2-AS1", "FOXD2-AS1 and FOXD2", True),
        ("FOXD2-AS1", "FOXD2 AS1", True),
        ("SNORD115", "SNORD115-1", False),
        ("SNORD115-1", "SNORD115-11", False),
        ("AC012313.1", "AC012313.10", False),
        ("AC012313.1", "AC012313.1.", True),
        ("H19", "H19-driven", True),
        ("H19", "h19", False),
        ("7SK", "the 7SK snRNP", True),
        ("7SK", "27SK", False),
        ("8S rRNA", "5.8S rRNA", False),
        ("5.8S rRNA", "5.8S rRNA", True),
        ("U6 snRNA", "u6 snRNA", True),
        ("U6 snRNA", "U6, snRNA", False),
        ("RyhB", "the gene ryhB", True),
        ("RyhB", "RYHB", True),
        ("RyhB", "ryhb", False),
        ("bantam", "bantam microRNA", True),
        ("hsa_circ_0000064", "hsa_circ_0000064", True),
        ("β-RNA", "the β-RNA is", True),
        ("signal recognition particle RNA", "Signal Recognition Particle RNA", True),
    ],
)
def test_other_names(name: str, text: str, expected: bool) -> None:
    assert finds(name, text) is expected


def test_one_name_of_several_rnas_and_several_names_of_one() -> None:
    index = NameIndex([("let-7a", "a"), ("let-7a", "b"), ("HOTAIR", "c"), ("HOXC-AS4", "c")])
    assert index.find("Let-7a rises") == {"a", "b"}
    assert index.find("HOXC-AS4 and let-7a") == {"a", "b", "c"}
    assert index.find("nothing") == set()


@pytest.mark.parametrize(
    "name",
    ["cat", "CAT", "Homo  sapiens", "E. coli", "U6", "16", "lncRNA", "miRNA", "p21", "", "-"],
)
def test_ambiguous_names_are_left_out(name: str) -> None:
    assert is_ambiguous(name)
    index = NameIndex([(name, "rna"), ("HOTAIR", "other")])
    assert index.left_out == {name}
    assert index.find(f"the {name} and HOTAIR") == {"other"}


@pytest.mark.parametrize(
    "name", ["H19", "miR-1", "let-7", "XIST", "7SK", "U6 snRNA", "RMRP", "SNORD115", "lin-4"]
)
def test_names_of_rnas_are_kept(name: str) -> None:
    assert not is_ambiguous(name)


def test_ambiguous_names_may_be_kept() -> None:
    assert NameIndex([("U6", "rna")], keep_ambiguous=True).find("U6 rises") == {"rna"}


def test_the_list_has_no_comments_among_its_names() -> None:
    names = names_not_specific()
    assert len(names) > 1000
    assert not [name for name in names if "#" in name or name != name.lower().strip()]


def test_agrees_with_a_plain_search_for_each_name() -> None:
    """Against one regular expression a name, the slow way, on every pair of name and text."""
    names = [f"LINC{number:05d}" for number in range(60)] + [f"GAS{n}" for n in range(20)]
    texts = [
        f"{a}-related, {b}; {c}." for a, b, c in zip(names, names[7:], names[31:], strict=False)
    ]
    index = NameIndex((name, name) for name in names)
    for text in texts:
        slow = {name for name in names if re.search(rf"(?<!\w){name}(?!\w)", text)}
        assert index.find(text) == slow
        assert len(slow) == 3


HUMAN = ("miR-16", "miR-16-1", "hsa-mir-16-1")


@pytest.mark.parametrize(
    ("names", "text", "expected"),
    [
        # What one name says of species and copy holds for the others.
        (HUMAN, "miR-16 fell", True),
        (HUMAN, "hsa-miR-16-5p fell", True),
        (HUMAN, "mmu-miR-16 fell", False),
        (HUMAN, "tca-miR-16 fell", False),
        (HUMAN, "miR-16-2-3p fell", False),
        (HUMAN, "the gene MIR16-1", True),
        (("ebv-miR-BART5",), "miR-BART5-5p of EBV", True),
        (("ebv-miR-BART5",), "EBV-miR-BART5", True),
        (("ebv-miR-BART5",), "the BART5 transcript", False),
        (("kshv-miR-K12-1",), "miR-K12-10-3p", False),
        (("kshv-miR-K12-1",), "miR-K12-1-3p", True),
        (("miR-27a",), "microRNA (miR)-27a*", True),
        (("miR-27a",), "the SNP hsa-mir-27aA>G", True),
        (("miR-548c",), "the SNP hsa-mir-548h-3-C/U", False),
        (("miR-154",), "miR1543p", True),
        (("miR-548p",), "miR-548p", True),
        (("miR-34c",), "the miR-34a/c-MET pathway", False),
        (("miR-34c",), "miR-34a/c", True),
    ],
)
def test_species_copies_viruses_and_lost_hyphens(
    names: tuple[str, ...], text: str, expected: bool
) -> None:
    index = NameIndex((name, "rna") for name in names)
    assert bool(index.find(text)) is expected


def test_where_a_name_stands() -> None:
    text = "Both miR-34a/b and MIR34B-5p fell"
    index = NameIndex([("miR-34b", "b")])
    assert [text[start:end] for start, end in index.spans(text)] == ["b", "MIR34B-5p"]


def test_the_labelled_sentences() -> None:
    """Precision and recall on the made ones, by hand: `benchmarks/literature_mentions.py`."""
    file = ROOT / "benchmarks" / "literature_labels" / "mentions_made.jsonl"
    head, *rows = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    index = NameIndex((name, rna) for rna, names in head["rnas"].items() for name in names)
    found = [(set(index.find(row["text"])), set(row["mentioned"])) for row in rows]
    right = sum(len(one & other) for one, other in found)
    assert right >= 0.98 * sum(len(one) for one, _ in found)
    assert right >= 0.9 * sum(len(other) for _, other in found)
    assert len(rows) == 95
