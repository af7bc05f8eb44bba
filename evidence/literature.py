"""Questions that papers answer about one RNA: level, role, variants, treatment, genes and diseases.

A record of the literature holds claims, each a sentence with its papers. A question names a matter
(is its level raised?), and may name a gene or a disease: what is told is of all of these, or it is
not told. Where papers say opposite things of one disease and one kind of sample, that comes first.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rnagpt.evidence.matching import content
from rnagpt.evidence.matters import AGREEMENT, MATTERS, Matter
from rnagpt.evidence.opposites import role_side
from rnagpt.evidence.relations import Names, named, tells_targets
from rnagpt.reference.records import FAMILY, Claim, Record

MAX_TOLD = 3
_SAMPLE = re.compile(
    r"\b(?:serum|sera|plasma|blood|stool|f(?:a)?ecal|urine|saliva|circulat\w+|exosom\w+|juice"
    r"|vesicles?)\b",
    re.IGNORECASE,
)
# Of a cancer, the word before it; kinds of cells may stand between, and other words are none of it.
_DISEASE = re.compile(
    r"\b(?!(?:lost|from|with|human|primary|this|these|that|early|advanced|other|some|many|several|which"
    r"|various|solid|malignant|benign|invasive|metastatic|what|into|their|linked|such|suppress\w*"
    r"|promot\w*|chronic|cell|ductal|squamous|late|stage|against|both|change|affect|cause|most|more|the"
    r"|patients?|between|expression|normal|matched|paired|for)\b)(?P<organ>[a-z]{3,})\s"
    r"(?:(?:ductal|squamous|cell|duct|epithelial|acinar|liver)\s){0,2}(?:cancers?|carcinomas?"
    r"|adenocarcinomas?|tumou?rs?|neoplas\w+|adenomas?|disease|metastas[ie]s)\b"
    r"|\b(?P<one>\w*(?:melanoma|glioma|sarcoma|lymphoma|leuk[ae]+mia|blastoma|hepatitis|colitis"
    r"|pancreatitis|fibrosis|diabetes|sepsis))s?\b"
    r"|(?-i:\b(?P<short>CRC|HCC|PDAC|NSCLC|AML|PC|PCa|GC)\b)|\b(?P<named>[A-Z][a-z]+)['’]s disease",
    re.IGNORECASE,
)
_SAME_DISEASE = {
    "colon": "colorectal",
    "rectal": "colorectal",
    "colonic": "colorectal",
    "crc": "colorectal",
    "pdac": "pancreatic",
    "pca": "pancreatic",
    "pc": "pancreatic",
    "ductal": "pancreatic",
    "hcc": "hepatocellular",
    "gc": "gastric",
    "nsclc": "lung",
    "aml": "leukemia",
}
# A gene, as questions name it: PTEN, Zeb2, p53, cyclin D1.
_GENE = re.compile(
    r"\b(?!(?:RNA|DNA|SNPs?|CRC|HCC|PDAC|EMT|UTR|NSCLC|AML|I|[A-Z])\b)"
    r"(?:[A-Z][A-Za-z]*[A-Z0-9][\w/-]*|p\d{2}\b|[Cc]yclin [A-Z]\d?|[A-Z][a-z]+\d\w*)"
)
_SPELLED = {"cyclin d1": "ccnd1", "p53": "tp53"}

_FUNCTION = re.compile(
    r"\b(?:roles?|functions?|mechanisms?|what does .{1,30} do\b"
    r"|how does .{1,30} (?:act|work|function))",
    re.IGNORECASE,
)
_FUNCTION_WORDS = (
    "what which how does do is the role function mechanism act work play of this it RNA microRNA "
    "miRNA important action cancer tumour tumor disease"
)
_ROLE_WORDS = re.compile(
    r"\b(?:roles?|functions?|regulates|promotes|suppresses|inhibits|inhibited|involved|contributes|loop"
    r"|mediates|mechanisms?)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Finding:
    """What claims answer: those that are told, and a line before them where papers differ."""

    claims: tuple[Claim, ...]
    differ: str = ""


def find_claims(question: str, record: Record, names: Names) -> Finding | None:
    """What a record's claims say to a question; empty where it names what none of them tells of.

    None where the question is about no matter of this module.
    """
    if record.kind == FAMILY or not record.claims:
        return None
    matter = next((one for one in MATTERS if one.asked.search(question)), None)
    genes, ill = genes_of(question, names), diseases_of(question)
    if matter is None and not genes:
        return _of_function(question, record, names, ill) if _FUNCTION.search(question) else None
    claims = [claim for claim in record.claims if _names_gene(claim.text, genes)]
    if matter is not None:
        told = [claim for claim in claims if matter.tells(claim.text, names)]
        claims = told or (claims if genes and matter.of_genes else [])
    if ill:
        claims = [claim for claim in claims if ill & diseases_of(claim.text)]
    if samples := samples_of(question):
        claims = [claim for claim in claims if samples & samples_of(claim.text)]
    differ = _difference(matter, claims, names) if matter else ""
    if matter is AGREEMENT and claims and not differ:
        differ = "Papers do not differ in whether its level is raised or lowered."
    return Finding(tuple(_best(question, claims, matter, names, bool(differ))), differ)


def _of_function(question: str, record: Record, names: Names, ill: set[str]) -> Finding | None:
    """What the RNA does in the disease or process that a question names; None: it names none."""
    text = re.sub(
        r"epithelial[\s-](?:to[\s-])?mesenchymal[\s-]transition", "EMT", question, flags=re.I
    )
    besides = content(text) - content(f"{_FUNCTION_WORDS} {' '.join(names)} {record.type}")
    if not besides:
        return None
    acting = [claim for claim in record.claims if _acts(claim.text, names)]
    claims = [claim for claim in acting if not ill or ill & diseases_of(claim.text)]
    shared = [len(besides & content(claim.text)) for claim in claims]
    most = max(shared, default=0)
    best = [claim for claim, count in zip(claims, shared, strict=True) if count == most and most]
    return Finding(tuple(best[:MAX_TOLD]))


def _acts(text: str, names: Names) -> bool:
    return bool(role_side(text, names) or tells_targets(text, names) or _ROLE_WORDS.search(text))


def genes_of(question: str, names: Names) -> set[str]:
    """The genes that a question names, in small letters."""
    rest = re.sub(named(names), " ", question, flags=re.IGNORECASE)
    rest = re.sub(r"\b(?:hsa-)?(?:miR|let|mir)-?\S+", " ", rest)
    return {match[0].lower() for match in _GENE.finditer(rest)}


def _names_gene(text: str, genes: set[str]) -> bool:
    low = text.lower()
    return not genes or any(
        re.search(rf"(?<![a-z0-9]){re.escape(name)}(?![a-z0-9])", low)
        for gene in genes
        for name in (gene, _SPELLED.get(gene, gene))
    )


def diseases_of(text: str) -> set[str]:
    """The diseases that a text names: of a cancer, its organ; colon and rectum are one."""
    found = set()
    for match in _DISEASE.finditer(text):
        word = next(part for part in match.groups() if part).lower()
        found.add(_SAME_DISEASE.get(word, word))
    return found


def samples_of(text: str) -> set[str]:
    """The body fluids that a text names."""
    words = {match[0].lower() for match in _SAMPLE.finditer(text)}
    blood = {"serum", "sera", "plasma", "blood", "circulating"}
    found = {
        "stool" if word.endswith("ecal") else "serum" if word == "sera" else word for word in words
    }
    return (
        found
        | (blood if "circulating" in found else set())
        | ({"circulating"} if found & blood else set())
    )


def _difference(matter: Matter, claims: Iterable[Claim], names: Names) -> str:
    """What papers say opposite things of, in words; empty where they agree."""
    if matter.side is None:
        return ""
    sides: dict[tuple[str, bool], dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for claim in claims:
        side = matter.side(claim.text, names)
        for disease in diseases_of(claim.text) or {""}:
            if side:
                key = (disease, bool(_SAMPLE.search(claim.text)))
                sides[key][side] += claim.papers
    told = []
    for (disease, _), found in sides.items():
        one, other = (dict.fromkeys(found.get(side, ())) for side in (1, -1))
        if one and other and not set(one) & set(other):
            where = f" in {disease} samples" if disease else ""
            parts = (
                f"{word} ({_spell(papers)})"
                for word, papers in zip(matter.sides, (one, other), strict=True)
            )
            told.append(f"Papers differ{where}: {' or '.join(parts)}.")
    return " ".join(dict.fromkeys(told))


def _spell(papers: Iterable[str]) -> str:
    return ", ".join(f"PMID {paper}" if paper.isdigit() else paper for paper in papers)


def _best(
    question: str, claims: Sequence[Claim], matter: Matter | None, names: Names, differ: bool
) -> Iterator[Claim]:
    """The claims that share most with the question; of both sides where papers differ."""
    asked = content(question)
    ranked = sorted(claims, key=lambda claim: -len(asked & content(claim.text)))
    if matter is None or matter.side is None:
        yield from ranked[:MAX_TOLD]
        return
    of_side = {
        side: [claim for claim in ranked if matter.side(claim.text, names) == side]
        for side in (1, -1, 0)
    }
    if differ:
        yield from of_side[1][:2]
        yield from of_side[-1][:2]
    else:
        decided = [claim for claim in ranked if claim not in of_side[0]]
        yield from (decided or ranked)[:MAX_TOLD]


__all__ = ["Finding", "diseases_of", "find_claims", "genes_of", "samples_of"]
