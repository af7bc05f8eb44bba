"""What texts name, and how much of it is right."""

from __future__ import annotations

import pytest
from datasets import Dataset

from rnagpt.evaluation.entities import EntityFinder, entity_scores, genes_in, species_in
from rnagpt.reference.records import Record, Term

RIBOSOMAL = (
    "5S ribosomal RNA, an rRNA. In Escherichia coli it binds RpoS and lacZ. It is linked to the "
    "ontology terms structural constituent of ribosome (GO:0003735) and rRNA_5S (SO:0000652)."
)


@pytest.fixture(scope="module")
def finder() -> EntityFinder:
    rows = [
        ("RF00001", "5S_rRNA", "5S ribosomal RNA", RIBOSOMAL),
        ("RF00005", "tRNA", "tRNA", "tRNA, a tRNA."),
        ("RF00026", "U6", "U6 spliceosomal RNA", "U6 spliceosomal RNA, an snRNA."),
    ]
    names = ("family_accession", "family", "family_description", "annotation")
    data = Dataset.from_list([dict(zip(names, row, strict=True)) for row in rows])
    record = Record("RF00026", "family", "U6", terms=(Term("GO:0005681", "spliceosomal complex"),))
    return EntityFinder([data], [record])


def test_a_text_names_families_terms_genes_and_species(finder: EntityFinder) -> None:
    assert finder.find(RIBOSOMAL) == {
        ("family", "RF00001"),
        ("term", "GO:0003735"),
        ("term", "SO:0000652"),
        ("gene", "lacz"),
        ("gene", "rpos"),
        ("species", "e. coli"),
    }


def test_ids_and_names_are_the_same_thing(finder: EntityFinder) -> None:
    by_name = finder.find("It is U6, of the spliceosomal complex in mice.")
    by_id = finder.find("RF00026; GO:0005681; found in M. musculus.")
    assert (
        by_name
        == by_id
        == {
            ("family", "RF00026"),
            ("term", "GO:0005681"),
            ("species", "m. musculus"),
        }
    )


def test_an_invented_id_is_named_and_an_abstention_names_nothing(finder: EntityFinder) -> None:
    assert finder.find("RF99999 of clan CL00001 [PMID 12345678]") == {
        ("family", "RF99999"),
        ("accession", "CL00001"),
        ("accession", "12345678"),
    }
    assert finder.find("I do not recognise this RNA.") == frozenset()


@pytest.mark.parametrize(
    ("text", "genes"),
    [
        ("SNORD115 and BRCA1", {"snord115", "brca1"}),
        ("hsa-mir-21 and let-7a", {"hsa-mir-21", "let-7a"}),
        ("dnaK, RpoS and lacZ", {"dnak", "rpos", "lacz"}),
        ("an mRNA, the lncRNA, DNA, GC content, RF00005, SO:0000652 and MI0000060", set()),
    ],
)
def test_genes_go_by_their_spelling(text: str, genes: set[str]) -> None:
    assert genes_in(text) == genes


def test_species_go_by_both_names_and_taxa_by_their_endings() -> None:
    assert species_in("Escherichia coli, E. coli and human") == {"e. coli", "h. sapiens"}
    assert species_in("Proteobacteria and Streptomyces") == {"proteobacteria", "streptomyces"}
    assert species_in("Family represents the precursor. It is found in cells.") == set()


def test_scores_are_those_of_sets() -> None:
    right = frozenset({("family", "a"), ("term", "b"), ("term", "c")})
    named = frozenset({("family", "a"), ("family", "x")})
    assert entity_scores(right, named) == pytest.approx((1 / 2, 1 / 3, 2 / 5))
    assert entity_scores(right, frozenset()) == (0, 0, 0)
    assert entity_scores(frozenset(), frozenset()) == (1, 1, 1)
    assert entity_scores(frozenset(), named) == (0, 0, 0)


def test_fluent_text_about_another_rna_scores_nothing(finder: EntityFinder) -> None:
    wrong = RIBOSOMAL.replace("5S ribosomal RNA, an rRNA", "tRNA, a tRNA")
    scores = finder.score([RIBOSOMAL] * 3, [RIBOSOMAL, wrong, "U6 spliceosomal RNA, an snRNA."])
    assert scores["entity F1"].tolist() == pytest.approx([1, 5 / 6, 0])
    assert scores["entity precision"][2] == scores["entity recall"][2] == 0
