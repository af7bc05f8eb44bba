"""What a record says is accepted, and what it does not say is not: on the records of Rfam."""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from helpers.made_evidence import made_evidence, made_hit, random_rna

from rnagpt.evidence.facts import MAX_FOLDED
from rnagpt.evidence.gathering import Evidence
from rnagpt.evidence.questions import Kind, Question
from rnagpt.evidence.sentences import answer_from_records
from rnagpt.evidence.support import WrittenSentence, check_sentence, read_sentences
from rnagpt.reference.library import Reference
from rnagpt.reference.records import Record
from rnagpt.sequences.rna_types import is_type, named_type, with_article

EVERY = 20  # of Rfam's records; with 1 all are tested, in minutes
FOLDED = 150  # nt; longer ones take long to fold


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return [*Reference.open().families.values()][::EVERY]


def evidence_of(record: Record, seed: int) -> Evidence:
    draw = random.Random(seed)
    length = draw.randint(60, 1_500)
    start, end = draw.choice([(1, length), (draw.randint(2, length // 4), length // 2 + 5)])
    return made_evidence(made_hit(record, start, end, draw.choice("+-")), length=length)


def is_accepted(text: str, evidence: Evidence) -> bool:
    return check_sentence(WrittenSentence(text, (1,)), evidence).supported


def test_every_answer_of_the_records_passes_its_own_check(records: list[Record]) -> None:
    checked = 0
    for seed, record in enumerate(records):
        evidence = evidence_of(record, seed)
        for kind in Kind:
            if kind is Kind.ENERGY and FOLDED < evidence.facts.length <= MAX_FOLDED:
                continue
            asked = Question("What is known?", kind, record.type if kind is Kind.CHECK else "")
            for sentence in answer_from_records(asked, evidence) or ():
                for written in read_sentences(sentence.with_marks()):
                    found = check_sentence(written, evidence)
                    assert found.supported, sentence.text
                    assert found.cites == sentence.cites
                    checked += 1
    assert checked > 2_500


CHANGES = {
    "species": {
        "Escherichia coli": "Bacillus subtilis",
        "E. coli": "B. subtilis",
        "human": "mouse",
        "bacteria": "archaea",
        "vertebrates": "bacteria",
        "mammals": "plants",
    },
    "opposite": {
        "inhibits": "activates",
        "represses": "induces",
        "increases": "decreases",
        "downstream": "upstream",
        "upstream": "downstream",
        "positively": "negatively",
        "before": "after",
        "two": "three",
    },
}
TYPES = ("tRNA", "ribosome", "riboswitch", "miRNA", "ribozyme", "protein", "plasmid", "rRNA")


def changed(sentence: str, names: list[str], draw: random.Random) -> Iterator[tuple[str, str]]:
    """A record's sentence with one thing in it changed, and what that is."""
    if number := re.search(r"\b\d+\b(?!['’.])", sentence):
        other = str(int(number[0]) + draw.choice([1, 2, 7, 10]))
        yield "number", sentence[: number.start()] + other + sentence[number.end() :]
    names_in = re.findall(r"\b[A-Za-z]*[A-Z0-9][a-z0-9]*[A-Z0-9]\w*\b", sentence)
    if found := [name for name in names_in if name not in ("RNA", "DNA", "RNAs", "mRNA")]:
        yield "name", sentence.replace(draw.choice(found), draw.choice(names))
    for kind, pairs in CHANGES.items():
        for one, other in pairs.items():
            if re.search(rf"\b{one}\b", sentence):
                yield kind, re.sub(rf"\b{one}\b", other, sentence)
    if re.search(r"\b(?:is|are|can|was)\b", sentence):
        yield "negation added", re.sub(r"\b(is|are|can|was)\b", r"\1 not", sentence, count=1)
    if " not " in sentence:
        yield "negation removed", sentence.replace(" not ", " ", 1)


def invented(
    record: Record, evidence: Evidence, others: list[Record], draw: random.Random
) -> Iterator[tuple[str, str]]:
    """Sentences that neither the record nor the sequence says."""
    other, hit, length = draw.choice(others), evidence.items[0].hit, evidence.facts.length
    gc = 100 * (evidence.facts.gc or 0)
    yield from (("other record", sentence) for sentence in other.functions[:2])
    for name in TYPES:
        if not (named_type(name) and record.type and is_type(name, record.type)):
            yield "type", f"It is {with_article(name)}."
    yield "accession", f"Its Rfam accession is RF{draw.randrange(5_000):05d}."
    yield "family", f"It belongs to the {other.name} family."
    yield "family", f"It belongs to the {record.description} family ({other.name})."
    yield "paper", f"It is described in PMID {draw.randrange(10**6, 3 * 10**7)}."
    yield "clan", f"It belongs to the Rfam clan CL{draw.randrange(500, 9_999):05d}."
    yield "length", f"It is {length + draw.choice([1, -1, 10, 100])} nucleotides long."
    yield "gc", f"Its GC content is {gc + draw.choice([2, -3, 11]):.0f}%."
    yield "gc", f"It is {length} nt long and its GC content is {gc + 4:.0f}%."
    yield "place", f"The match lies at nucleotides {hit.start + 3}–{hit.end} of {length}."
    wrong = "reverse complement" if hit.strand == "+" else "strand as given"
    yield "strand", f"The match to {record.name} lies on the {wrong}."
    yield "score", f"The match has {hit.bits + 5:.1f} bits."
    terms, foreign = record.terms, [term for term in other.terms if term not in record.terms]
    for term in foreign[:1]:
        yield "term", f"It is linked to the ontology term {term.name} ({term.id})."
        for own in terms[:1]:
            yield "term", f"It is linked to the ontology term {own.name} ({term.id})."
            yield "term", f"It takes part in {term.name} ({own.id})."
    if len(terms) > 1:
        yield "term", f"It is linked to the ontology term {terms[0].name} ({terms[1].id})."


def test_what_no_record_says_is_rejected(records: list[Record]) -> None:
    draw = random.Random(3)
    names = [record.name for record in records]
    total: Counter[str] = Counter()
    accepted: dict[str, list[str]] = {}
    for seed, record in enumerate(records):
        evidence = evidence_of(record, seed)
        cases = [*invented(record, evidence, records, draw)]
        cases += [case for text in record.functions[:3] for case in changed(text, names, draw)]
        own = {record.name.lower(), *record.functions}
        for kind, text in cases:
            if text in own or (kind == "family" and f"{record.name} family" in text):
                continue
            total[kind] += 1
            if is_accepted(text, evidence):
                accepted.setdefault(kind, []).append(text)
    wrong = sum(map(len, accepted.values()))
    assert sum(total.values()) > 2_500
    assert wrong <= 0.005 * sum(total.values()), accepted
    for kind, texts in accepted.items():
        assert len(texts) <= max(2, 0.02 * total[kind]), texts


def test_halves_of_two_sentences_are_no_sentence_of_the_record(records: list[Record]) -> None:
    """What passes is what one of the two sentences says in full with fewer words."""
    total = accepted = 0
    for seed, record in enumerate(records):
        if len(record.functions) > 1:
            one, other = (text.rstrip(".").split() for text in record.functions[:2])
            for first, last in ((one, other), (other, one)):
                mixed = " ".join([*first[: len(first) // 2], *last[len(last) // 2 :]])
                total += 1
                accepted += is_accepted(f"{mixed}.", evidence_of(record, seed))
    assert total > 50
    assert accepted <= 0.06 * total


def paraphrased(sentence: str) -> Iterator[str]:
    body = sentence.rstrip(".")
    yield " ".join(word for word in body.split() if word not in ("the", "a", "an")) + "."
    if (end := re.match(r"^([^,;()]+?) ((?:in|from|within) [^,;()]+)$", body)) is not None:
        first = end[1][0].lower() + end[1][1:] if end[1].startswith(("This", "It")) else end[1]
        yield f"{end[2][0].upper()}{end[2][1:]}, {first}."
    acts = r"^(\S+(?: \S+){0,3}) (regulates|represses|inhibits|controls|activates|targets) (.+)$"
    if (found := re.match(acts, body)) is not None:
        yield f"{found[3]} is {found[2].removesuffix('s')}ed by {found[1]}."
    if "," in body and "not" not in body:
        yield f"{body.partition(',')[0]}."


def test_small_paraphrases_are_mostly_accepted(records: list[Record]) -> None:
    found = [
        is_accepted(text, evidence_of(record, seed))
        for seed, record in enumerate(records)
        for sentence in record.functions[:3]
        if 5 <= len(sentence.split()) <= 40
        for text in paraphrased(sentence)
    ]
    assert len(found) > 150
    assert sum(found) >= 0.93 * len(found)


SGRS = Record(
    "RF00534",
    "family",
    "SgrS",
    "SgrS RNA",
    "sRNA",
    functions=("SgrS binds Hfq and represses ptsG in Escherichia coli.",),
)


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ("It is an sRNA.", True),
        ("It is a small regulatory RNA.", True),
        ("This RNA belongs to the SgrS family.", True),
        ("SgrS represses ptsG.", True),
        ("In Escherichia coli, SgrS represses ptsG.", True),
        ("ptsG is repressed by SgrS in Escherichia coli.", True),
        ("ptsG represses SgrS.", False),
        ("Hfq represses ptsG.", True),  # its words in their order: what is no clause is not seen
        ("It is Hfq.", False),
        ("It is an 80 nt sRNA.", True),
        ("It is an 81 nt sRNA.", False),
        ("It represses ptsG and manXYZ.", False),
        ("It does not repress ptsG.", False),
        ("It is a tRNA.", False),
        ("It is a protein.", False),
        ("", False),
        ("It is.", False),
    ],
)
def test_sentences_on_one_record(text: str, accepted: bool) -> None:
    assert is_accepted(text, made_evidence(made_hit(SGRS, 1, 80))) == accepted


def test_a_right_sentence_gets_the_record_that_says_so() -> None:
    other = Record("RF00005", "family", "tRNA", "tRNA", "tRNA")
    evidence = made_evidence(made_hit(other, 1, 40), made_hit(SGRS, 41, 80))
    assert check_sentence(WrittenSentence("It is an sRNA.", (1,)), evidence).cites == (2,)
    assert check_sentence(WrittenSentence("It is 80 nt long.", (2,)), evidence).cites == ()


@pytest.mark.parametrize(
    ("answer", "sentences"),
    [
        ("It is a tRNA [1]. It is old [2].", [("It is a tRNA.", (1,)), ("It is old.", (2,))]),
        ("It is a tRNA. [1] It is old. [2]", [("It is a tRNA.", (1,)), ("It is old.", (2,))]),
        ("It is a tRNA [1] [2].", [("It is a tRNA.", (1, 2))]),
        ("It is a tRNA [1,2].", [("It is a tRNA.", (1, 2))]),
        ("It is a tRNA [1; 3].", [("It is a tRNA.", (1, 3))]),
        ("It is a tRNA [2-4].", [("It is a tRNA.", (2, 3, 4))]),
        ("It is of E. coli [1].", [("It is of E. coli.", (1,))]),
        ("Staph. aureus has it.", [("Staph. aureus has it.", ())]),
        ("It is 5.8S rRNA of 1.5 kb.", [("It is 5.8S rRNA of 1.5 kb.", ())]),
        ("It has a 3' end. It binds.", [("It has a 3' end.", ()), ("It binds.", ())]),
        ("Known, e.g. in Homo sp. only.", [("Known, e.g. in Homo sp. only.", ())]),
        ("It binds protein A. It acts.", [("It binds protein A.", ()), ("It acts.", ())]),
        ("It is old. tRNAs are.", [("It is old.", ()), ("tRNAs are.", ())]),
        ("It (Fig. 2, Li et al. 2001) acts.", [("It (Fig. 2, Li et al. 2001) acts.", ())]),
        ("- It is a tRNA\n- It is old", [("It is a tRNA", ()), ("It is old", ())]),
        ("One [1].\n\nTwo [2]", [("One.", (1,)), ("Two", (2,))]),
        ("It lies at 3–74. It is a tRNA.", [("It lies at 3–74.", ()), ("It is a tRNA.", ())]),
        ("Is it? Yes! It is.", [("Is it?", ()), ("Yes!", ()), ("It is.", ())]),
        ("[1]", []),
        ("", []),
    ],
)  # fmt: skip
def test_sentences_of_biological_prose(
    answer: str, sentences: list[tuple[str, tuple[int]]]
) -> None:
    assert [(found.text, found.cites) for found in read_sentences(answer)] == sentences


def test_a_sentence_takes_less_than_five_milliseconds(records: list[Record]) -> None:
    evidences = [evidence_of(record, seed) for seed, record in enumerate(records[:40])]
    texts = [text for record in records[:40] for text in record.functions][:40]
    started = time.process_time()
    for evidence in evidences:
        for text in texts:
            check_sentence(WrittenSentence(text, (1,)), evidence)
    assert (time.process_time() - started) / (len(evidences) * len(texts)) < 0.005
    long = "(" * 2_000 + "a" * 2_000 + " GO:1 (" * 200 + random_rna(5_000)
    started = time.process_time()
    check_sentence(WrittenSentence(long, ()), evidences[0])
    read_sentences(long + ". " * 2_000)
    assert time.process_time() - started < 1
