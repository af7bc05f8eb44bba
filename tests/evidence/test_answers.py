"""Cited answers about real RNAs, several of them, parts of one, single RNAs, and none at all."""

from __future__ import annotations

import json

import pytest
from helpers.made_evidence import family, made_evidence, made_hit, whole
from helpers.paths import DATA, FIVE_RNAS

from rnagpt.cleaning_rnagpt import clean_rna
from rnagpt.evidence.answers import MODEL, NONE, RECORDS, SEQUENCE, check_words, look_up
from rnagpt.evidence.gathering import Evidence, gather_evidence
from rnagpt.reference.edit import read_families
from rnagpt.reference.library import Reference
from rnagpt.reference.records import RNA, Claim, Record, Term
from rnagpt.reference.writer import write_reference
from rnagpt.sequences.fasta import read_fasta

COMPLEMENT = str.maketrans("ACGU", "UGCA")
MIR21 = Record(
    "URS000039ED8D_9606",
    RNA,
    "hsa-miR-21-5p",
    "hsa-miR-21-5p",
    "miRNA",
    claims=(
        Claim(
            "hsa-miR-21-5p targets PTEN in hepatocellular cancer.",
            "miR-21 regulates expression of the PTEN tumor suppressor gene",
            ("17681183",),
        ),
        Claim("The level of hsa-miR-21-5p is raised in gastric cancer.", papers=("10.1/x",)),
    ),
    organism="Homo sapiens",
)


@pytest.fixture(scope="module")
def rnas() -> dict[str, str]:
    """The sequences of the examples, by the words of their titles."""
    with FIVE_RNAS.open("rb") as file:
        return {entry.description: entry.sequence for entry in read_fasta(file)}


@pytest.fixture(scope="module")
def bundled() -> Reference:
    return Reference.open()


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """A reference of five families and one single RNA with claims."""
    out = tmp_path_factory.mktemp("single") / "reference"
    families = read_families(DATA / "rfam_five_families.seed")
    rnas = [(MIR21, "UAGCUUAUCAGACUGAUGUUGA")]
    write_reference(out, families, rnas, name="Small", release="1", licence="CC0-1.0")
    return Reference.open(out)


def gather(sequence: str, reference: Reference | None, name: str = "") -> Evidence:
    return gather_evidence(clean_rna(sequence, max_ambiguous=1.0), reference, name=name)


def ask(question: str, *evidences: Evidence) -> str:
    return look_up(question, evidences).answer.text


def test_kinds_of_questions_about_a_real_rna(rnas: dict[str, str], bundled: Reference) -> None:
    evidence = gather(rnas["transfer RNA"], bundled)
    assert ask("What is this RNA?", evidence) == "It is tRNA [1]."
    assert ask("Is it a transfer RNA?", evidence) == "Yes, it is a tRNA [1]."
    assert ask("Is it coding?", evidence) == "No, it is a tRNA [1]."
    assert ask("Which family?", evidence) == "It belongs to the tRNA family (tRNA) [1]."
    assert ask("Rfam accession?", evidence) == "Its Rfam accession is RF00005 (tRNA) [1]."
    assert ask("How long is it?", evidence) == "It is 74 nucleotides long."
    assert ask("Gene or element?", evidence) == "Rfam lists it as an RNA gene [1]."
    assert ask("What if I mutate G34?", evidence) == (
        "That cannot be read from a sequence and the records about it."
    )
    assert ask("What is the capital of France?", evidence) == (
        "The record of tRNA does not tell that [1]."
    )


def test_parts_of_a_transcript_on_both_strands(rnas: dict[str, str], bundled: Reference) -> None:
    riboswitch, trna = rnas["SAM riboswitch"], rnas["transfer RNA"]
    spacer = "ACCAUCAACUAACGACUACCAAUCACUCAAC" * 2
    turned = trna.translate(COMPLEMENT)[::-1]
    evidence = gather(spacer + riboswitch + spacer + turned + spacer, bundled)
    assert {item.record.name for item in evidence.parts} == {"SAM", "tRNA"}
    said = look_up("What is this?", [evidence]).answer
    assert said.basis == RECORDS
    texts = sorted(sentence.text for sentence in said.sentences)
    assert texts[0].startswith("The part at nucleotides 6")
    assert texts[0].endswith("is SAM riboswitch (S box leader), a riboswitch.")
    assert texts[1].startswith("The reverse complement of its nucleotides 2")
    assert texts[1].endswith("is tRNA.")
    assert ask("Does it contain a riboswitch?", evidence).startswith("Yes, the part at")
    assert ask("Is it an miRNA?", evidence)[:3] not in ("Yes", "No,")
    assert "reverse complement" in ask("Which strand does it match?", evidence)


def named(*names: str) -> list[Evidence]:
    types = ("tRNA", "riboswitch", "rRNA")
    return [
        made_evidence(
            made_hit(family(rna_type, f"Fam{n}", n), 1, 80), length=80, name=name, first=n + 1
        )
        for n, (rna_type, name) in enumerate(zip(types, names, strict=False))
    ]


def test_the_rna_that_is_meant_is_said() -> None:
    evidences = named("alpha", "beta")
    assert ask("What type is it?", *evidences) == (
        "(about beta, the last RNA given) It is a riboswitch [2]."
    )
    assert ask("What type is RNA 1?", *evidences) == "It is a tRNA [1]."
    assert ask("What type are they?", *evidences) == (
        "alpha: It is a tRNA [1]. beta: It is a riboswitch [2]."
    )
    with pytest.raises(ValueError, match="RNA 3, and 2 RNAs were given: alpha, beta"):
        look_up("What is RNA 3?", evidences)
    with pytest.raises(ValueError, match="No RNA was given"):
        look_up("What is this?", [])


def test_names_that_are_words_of_questions() -> None:
    evidences = named("function", "tRNA", "type")
    assert look_up("What type is it?", evidences).answer.about == ("type",)
    assert "the last RNA given" in ask("Is this a tRNA?", *evidences)
    assert look_up("What is the function of tRNA?", evidences).answer.about == ("tRNA",)
    assert look_up('What is "function"?', evidences).answer.about == ("function",)


def test_comparison_of_several_rnas() -> None:
    alpha, beta = named("alpha", "beta")
    unknown = made_evidence(name="gamma", length=90)
    text = ask("Compare alpha and beta.", alpha, beta, unknown)
    assert text.startswith("alpha (80 nt, GC 4")
    assert "is Fam0 element 0, a tRNA [1]." in text
    assert text.endswith("They match different families [1][2].")
    assert "gamma (90 nt" in ask("Compare them.", alpha, beta, unknown)
    assert ask("Compare them.", alpha, unknown).endswith("matches no record of Rfam 14.2.")
    part = made_evidence(made_hit(family("tRNA"), 5, 50), length=300, name="b1", first=2)
    same = ask("Are they of the same family?", whole(family("tRNA"), name="a1"), part)
    assert same.endswith("Both have a part of the same family [1][2].")


def test_single_rnas_with_claims_quotes_and_papers(single: Reference) -> None:
    evidence = gather("UAGCUUAUCAGACUGAUGUUGA", single, "x")
    assert ask("What is this?", evidence) == (
        "It matches hsa-miR-21-5p of Homo sapiens (URS000039ED8D_9606) with 100% identity [1]."
    )
    assert ask("What does it target?", evidence) == (
        "hsa-miR-21-5p targets PTEN in hepatocellular cancer (PMID 17681183) [1]."
    )
    assert ask("Which papers describe it?", evidence) == (
        "It is described in PMID 17681183 and 10.1/x [1]."
    )
    assert ask("How is it linked to gastric cancer?", evidence) == (
        "The level of hsa-miR-21-5p is raised in gastric cancer (10.1/x) [1]."
    )
    assert ask("Which organism is it from?", evidence) == "The record is of Homo sapiens [1]."
    assert ask("What does it target in hepatocellular cancer?", evidence).startswith("hsa-miR-21")
    for other in ("What does it target in melanoma?", "What regulates its expression?"):
        assert ask(other, evidence) == "The record of hsa-miR-21-5p does not tell that [1]."
    assert ask("Which diseases is it linked to?", evidence) == (
        "hsa-miR-21-5p targets PTEN in hepatocellular cancer (PMID 17681183) [1]. "
        "The level of hsa-miR-21-5p is raised in gastric cancer (10.1/x) [1]."
    )
    assert look_up("What is this?", [evidence]).answer.confidence is None
    (item,) = evidence.to_dict()
    assert json.loads(json.dumps(item))["claims"][0] == {
        "text": "hsa-miR-21-5p targets PTEN in hepatocellular cancer.",
        "quote": "miR-21 regulates expression of the PTEN tumor suppressor gene",
        "papers": ["17681183"],
    }


def test_what_is_told_of_another_rna_is_said_to_be_of_another(single: Reference) -> None:
    relative = gather("UAGCUUAUCAGACUGAUGUCGA", single, "x")
    said = ask("What does it target?", relative)
    assert said.startswith("The nearest record is of hsa-miR-21-5p, with 95% identity [1]. ")
    assert "PTEN" in said
    assert ask("What is its half-life?", relative) == (
        "The record of hsa-miR-21-5p does not tell that [1]."
    )


def test_citations_carry_functions_and_terms() -> None:
    record = family(
        "rRNA", functions=("It acts.",), terms=(Term("GO:0005840", "ribosome"),), papers=("1",)
    )
    (item,) = whole(record, name="x").to_dict()
    assert (item["number"], item["rna"], item["kind"]) == (1, "x", "family")
    assert item["functions"] == ["It acts."]
    assert item["terms"] == [{"id": "GO:0005840", "name": "ribosome"}]
    assert item["evidence"] == ["1"]


@pytest.mark.parametrize("kind", ["function", "GO terms", "papers", "clan", "interaction partners"])
def test_a_record_that_does_not_tell(kind: str) -> None:
    answer = look_up(f"What about its {kind}?", [whole(family("tRNA"))]).answer
    assert answer.text == "The record of Fam does not tell that [1]."
    assert (answer.basis, answer.abstains) == (NONE, True)


def test_of_a_component_of_the_cell_and_no_function_is_told_where_it_is() -> None:
    terms = (
        Term("GO:0003735", "structural constituent of ribosome"),
        Term("GO:0005840", "ribosome"),
    )
    text = ask("Where is it found?", whole(family("rRNA", terms=terms)))
    assert text == "It is annotated to the ribosome (GO:0005840) [1]."


@pytest.mark.parametrize(
    ("sequence", "searched", "said"),
    [
        ("ACGUACGUACGU", True, "12 nt are too short to search, at least 16 are needed"),
        ("ACGU" * 10, False, "nothing was searched"),
    ],
)
def test_without_a_search(sequence: str, searched: bool, said: str, bundled: Reference) -> None:
    look = look_up("What is this?", [gather(sequence, bundled if searched else None)])
    assert look.answer.text == f"Nothing is known of this RNA here: {said}."
    assert not look.is_known
    assert not look.is_readable
    assert look_up("How long is it?", look.evidences).answer.basis == SEQUENCE


def test_an_rna_of_ambiguous_letters_only(bundled: Reference) -> None:
    evidence = gather("N" * 60, bundled)
    assert ask("GC content?", evidence) == (
        "None of its letters says which nucleotide it is, so its GC content is not known."
    )
    assert ask("How many ambiguous letters are there?", evidence) == (
        "60 of its 60 letters are ambiguous."
    )
    assert look_up("What is this?", [evidence]).answer.basis == NONE


def test_what_programs_read_of_an_answer() -> None:
    said = look_up("What type is it?", named("alpha", "beta")).answer.to_dict()
    assert json.loads(json.dumps(said)) == {
        "basis": "records",
        "confidence": pytest.approx(0.98, abs=0.02),
        "about": ["beta"],
        "sentences": [{"text": "It is a riboswitch.", "records": [2], "supported": True}],
    }
    none = look_up("How is it dressed?", named("alpha")).answer.to_dict()
    assert (none["basis"], none["confidence"]) == ("none", None)
    assert said.keys() == none.keys()


@pytest.mark.parametrize(
    ("words", "is_kept"),
    [
        ("It is a riboswitch.", True),
        ("This RNA is a riboswitch [1].", True),
        ("It is a tRNA [1].", False),
        ("It is a riboswitch. It glows in the dark.", False),
        ("It is 80 nt long.", False),
        ("", False),
    ],
)
def test_words_of_a_model_are_kept_where_the_record_says_them(words: str, is_kept: bool) -> None:
    look = look_up("What type of RNA is it?", [whole(family("riboswitch"))])
    answer = check_words(words, look)
    assert (answer == look.answer) != is_kept or answer.plain == look.answer.plain
    assert all(sentence.supported for sentence in answer.sentences)
    assert "riboswitch" in answer.text
    assert answer.basis == RECORDS != MODEL


@pytest.mark.parametrize(
    "question", ["What does it do?", "Why do cells keep it?", "What does it bind?"]
)
def test_what_an_rna_is_answers_no_open_question(question: str) -> None:
    record = family("riboswitch", functions=("It regulates genes of thiamine.",))
    look = look_up(question, [whole(record)])
    for words in (
        "It is Fam element 1, a riboswitch [1].",
        "The part at nucleotides 1–80 is Fam element 1, an riboswitch [1].",
    ):
        assert check_words(words, look) == look.answer
    said = check_words("It regulates genes of thiamine [1].", look)
    assert said.plain == "It regulates genes of thiamine."


def test_words_on_several_rnas_give_way_to_the_records() -> None:
    look = look_up("What are they?", named("alpha", "beta"))
    assert check_words("Both are riboswitches.", look) == look.answer


def test_the_prompt_holds_facts_and_records() -> None:
    record = family("riboswitch", functions=("It senses.",), clan="CL00012")
    assert whole(record).to_prompt().splitlines()[1:] == [
        "[1] Fam element 1 (Fam, RF90001)",
        "Match: 1-80 of 80, E 1e-12",
        "Type: riboswitch",
        "Known: It senses.",
        "Clan: CL00012",
    ]
