"""What a text names: families, ontology terms, genes, species, accessions; and how much is right.

ROUGE and embeddings reward fluent sentences about the wrong RNA. Here an answer is held against its
reference by the things that both name, each once, whatever the words around them.

Families and terms are looked up among the names of a data set; genes, species and accessions are
found by their usual spelling, which misses some and takes some acronyms for genes, in reference and
answer alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from datasets import Dataset

from rnagpt.evaluation.matching import Names
from rnagpt.inference.abstention import is_abstention
from rnagpt.reference.records import Record

FAMILY, TERM, GENE, SPECIES, ACCESSION = KINDS = (
    "family",
    "term",
    "gene",
    "species",
    "accession",
)
PRECISION, RECALL, F1 = SCORES = ("entity precision", "entity recall", "entity F1")
# A thing that a text names: its kind, and what it goes by.
Entity = tuple[str, str]

_FAMILY = re.compile(r"\bRF\d{5}\b")
_TERM = re.compile(r"\b(?:GO|SO):\d{7}\b")
# How RNA-QA words terms: "ontology terms ribosome (GO:0005840) and rRNA_5S (SO:0000652)".
_NAMED_TERM = re.compile(r"(?:terms? |, | and )([^(),]+) \(((?:GO|SO):\d{7})\)")
_ACCESSION = re.compile(r"\b(?:CL\d{5}|URS[0-9A-F]{10}(?:_\d+)?|MI(?:MAT)?\d{7})\b")
_PAPER = re.compile(r"\bPMID:? ?(\d{5,8})\b")
_GENE = re.compile(
    r"\b(?:"
    r"[a-z]{3}[A-Z]{1,2}\d?"  # bacteria's: lacZ
    r"|[A-Z][a-z]{2}[A-Z]\d?"  # and their proteins: RpoS
    r"|[A-Z]{2,}[A-Z0-9]*\d[A-Z0-9]*"  # SNORD115, BRCA1
    r"|(?:[a-z]{3}-)?(?:mir|miR|let)-\d+[a-z]?(?:-\d+)?"  # hsa-mir-21
    r")\b"
)
_NO_GENE = re.compile(r"(?:RF|CL|MI|MIMAT|GO|SO|URS|PMID)\d|[ACGU]{2,}\d|.{0,3}RNA")
_SHORT_BINOMIAL = re.compile(r"\b([A-Z])\. ?([a-z]{4,})\b")
_BINOMIAL = re.compile(r"\b([A-Z][a-z]{2,}) ([a-z]{4,})\b")
_TAXON = re.compile(
    r"\b[A-Z][a-z]*(?:bacteria|bacteriota|bacter|bacterium|bacillus|coccus|monas|mycetes|myces"
    r"|aceae|ales|viridae|virus|phyta|archaeota|archaea|utes|ella|spora|vibrio|zoa)\b"
)
# Genera of model organisms, whose names end as other words do.
_GENERA = frozenset(
    [
        "Arabidopsis",
        "Bacillus",
        "Caenorhabditis",
        "Danio",
        "Drosophila",
        "Escherichia",
        "Gallus",
        "Helicobacter",
        "Homo",
        "Listeria",
        "Mus",
        "Oryza",
        "Rattus",
        "Salmonella",
        "Streptococcus",
        "Vibrio",
        "Xenopus",
    ]
)
_COMMON = {
    "human": "h. sapiens",
    "humans": "h. sapiens",
    "mouse": "m. musculus",
    "mice": "m. musculus",
    "rat": "r. norvegicus",
    "fruit fly": "d. melanogaster",
    "zebrafish": "d. rerio",
    "yeast": "s. cerevisiae",
}
_COMMON_NAME = re.compile(rf"\b(?:{'|'.join(_COMMON)})\b", re.IGNORECASE)


class EntityFinder:
    """Finds what texts name.

    Args:
        splits: annotations with the families' columns, whose names are looked for.
        records: of the families, for the names of ontology terms; without them terms are known by
            the annotations that name them beside their ids.
    """

    def __init__(self, splits: Iterable[Dataset], records: Iterable[Record] = ()) -> None:
        families: dict[str, set[str]] = {}
        terms: dict[str, set[str]] = {}
        for rows in splits:
            columns = ("family_accession", "family", "family_description")
            if set(columns) <= set(rows.column_names):
                named = set(zip(*(rows[column][:] for column in columns), strict=True))
                for accession, *names in named:
                    families.setdefault(accession, set()).update(filter(None, names))
            for text in set(rows["annotation"][:]):
                for name, identifier in _NAMED_TERM.findall(text or ""):
                    terms.setdefault(identifier, set()).add(name)
        for record in records:
            for term in record.terms:
                terms.setdefault(term.id, set()).add(term.name)
        self._families, self._terms = Names(families), Names(terms)

    def find(self, text: str) -> frozenset[Entity]:
        """The things that a text names; of an answer that abstains none."""
        if is_abstention(text):
            return frozenset()
        # Ids that nothing goes by are named too: an invented one is a wrong one.
        found = {
            FAMILY: self._families.named_in(text) | set(_FAMILY.findall(text)),
            TERM: self._terms.named_in(text) | set(_TERM.findall(text)),
            GENE: genes_in(text),
            SPECIES: species_in(text),
            ACCESSION: {*_ACCESSION.findall(text), *_PAPER.findall(text)},
        }
        return frozenset((kind, name) for kind, names in found.items() for name in names)

    def score(self, references: Sequence[str], answers: Sequence[str]) -> dict[str, np.ndarray]:
        """Precision, recall and F1 of the things that each answer names: each (texts,).

        An answer that names nothing has precision and recall 0, unless its reference names nothing
        either: then all are 1.
        """
        known: dict[str, frozenset[Entity]] = {}
        for text in {*references, *answers}:
            known[text] = self.find(text)
        rows = [
            entity_scores(known[reference], known[answer])
            for reference, answer in zip(references, answers, strict=True)
        ]
        columns = np.array(rows, dtype=float).reshape(len(rows), len(SCORES))
        return dict(zip(SCORES, columns.T, strict=True))


def entity_scores(right: frozenset[Entity], named: frozenset[Entity]) -> tuple[float, float, float]:
    """Precision, recall and F1 of two sets."""
    if not right and not named:
        return 1.0, 1.0, 1.0
    shared = len(right & named)
    return (
        shared / max(1, len(named)),
        shared / max(1, len(right)),
        2 * shared / (len(right) + len(named)),
    )


def genes_in(text: str) -> set[str]:
    """Symbols of genes and names of microRNAs, letter case apart."""
    return {match.casefold() for match in _GENE.findall(text) if not _NO_GENE.match(match)}


def species_in(text: str) -> set[str]:
    """Species, such as "e. coli" of "Escherichia coli" and "E. coli", and larger taxa."""
    found = {_COMMON[match.casefold()] for match in _COMMON_NAME.findall(text)}
    found |= {f"{genus.lower()}. {name}" for genus, name in _SHORT_BINOMIAL.findall(text)}
    spans = []
    for match in _BINOMIAL.finditer(text):
        genus, name = match.groups()
        if genus in _GENERA:
            found.add(f"{genus[0].lower()}. {name}")
            spans.append(match.span(1))
    for match in _TAXON.finditer(text):
        if match.span() not in spans:
            found.add(match.group().casefold())
    return found


def records_of(families: Mapping[str, Record]) -> list[Record]:
    """All records, for `EntityFinder`."""
    return [families[name] for name in families]


__all__ = [
    "KINDS",
    "SCORES",
    "EntityFinder",
    "entity_scores",
    "genes_in",
    "records_of",
    "species_in",
]
