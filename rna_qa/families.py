"""RNA families as RNA-QA describes them: Rfam's record, completed from its `family` table."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rnagpt.rna_qa.comments import Sentence, split_sentences
from rnagpt.rna_qa.stockholm import Problem, SeedFamily, decode_line, open_bytes


# Rfam's own types (#=GF TP, https://rfam.org/browse) and the names used here, most specific first.
RNA_TYPES = {
    ("Gene", "snRNA", "snoRNA", "CD-box"): "C/D box snoRNA",
    ("Gene", "snRNA", "snoRNA", "HACA-box"): "H/ACA box snoRNA",
    ("Gene", "snRNA", "snoRNA", "scaRNA"): "scaRNA",
    ("Gene", "snRNA", "snoRNA"): "snoRNA",
    ("Gene", "snRNA", "splicing"): "spliceosomal snRNA",
    ("Gene", "snRNA"): "snRNA",
    ("Gene", "antisense"): "antisense RNA",
    ("Gene", "antitoxin"): "antitoxin RNA",
    ("Gene", "CRISPR"): "CRISPR RNA",
    ("Gene", "lncRNA"): "lncRNA",
    ("Gene", "miRNA"): "miRNA",
    ("Gene", "ribozyme"): "ribozyme",
    ("Gene", "rRNA"): "rRNA",
    ("Gene", "sRNA"): "sRNA",
    ("Gene", "tRNA"): "tRNA",
    ("Gene",): "non-coding RNA",
    ("Cis-reg", "frameshift_element"): "frameshift element",
    ("Cis-reg", "IRES"): "IRES",
    ("Cis-reg", "leader"): "leader",
    ("Cis-reg", "riboswitch"): "riboswitch",
    ("Cis-reg", "thermoregulator"): "RNA thermometer",
    ("Cis-reg",): "cis-regulatory element",
    ("Intron",): "intron",
}
# Types that the same RNA may well have: one of them says nothing against another.
OVERLAPPING = (
    {"sRNA", "antisense RNA", "antitoxin RNA", "lncRNA", "CRISPR RNA"},
    {"leader", "riboswitch", "RNA thermometer", "IRES", "frameshift element"},
    {"C/D box snoRNA", "H/ACA box snoRNA", "scaRNA"},
    {"sRNA", "C/D box snoRNA", "H/ACA box snoRNA"},
    {"ribozyme", "intron"},
)
# The comments of this survey list where a motif occurs, then how it was looked for: "Clostridia, NC10.
# Downstream gene" (Weinberg et al. 2017, PubMed id).
SURVEY_OF_MOTIFS = "28977401"
# Read aloud they begin with a vowel: "an es-RNA", "an aitch-ACA box".
SPOKEN_WITH_A_VOWEL = ("H/ACA", "sRNA", "snRNA", "lncRNA", "rRNA", "RNA ")


@dataclass(frozen=True)
class Term:
    """A term of the Gene Ontology ("GO:0005730") or the Sequence Ontology ("SO:0000593")."""

    id: str
    name: str

    def __str__(self) -> str:
        return f"{self.name} ({self.id})"


@dataclass(frozen=True)
class Family:
    """What the record of an Rfam family says; the source of every annotation and answer."""

    accession: str
    name: str
    description: str
    rna_type: str
    clan: str | None
    sentences: tuple[Sentence, ...]
    references: dict[str, str]
    go_terms: tuple[Term, ...]
    so_terms: tuple[Term, ...]
    structure: str

    @property
    def transcript(self) -> str | None:
        """What is left of the description of one region of a long RNA, e.g. of "… conserved region 9".

        Each region is a family of its own; they share their text and papers.
        """
        found = re.fullmatch(r"(.+?)[ ,]*(?:con\w+ed region|exon|intron)\b.*", self.description)
        return found[1] if found else None

    @property
    def evidence(self) -> list[str]:
        """PubMed ids of the family's papers, in the order of the record."""
        return list(dict.fromkeys(self.references.values()))


@dataclass(frozen=True)
class TableRow:
    """The columns of Rfam's `family` table that complete a seed."""

    name: str
    description: str
    comment: str
    type: str


def read_family_table(path: Path, problems: list[Problem]) -> dict[str, TableRow]:
    r"""Read Rfam's `family` table (tab separated, no header, ``\N`` for null) by accession.

    Lines with fewer than 19 columns or without an accession are appended to `problems`.
    """
    rows: dict[str, TableRow] = {}
    with open_bytes(path) as file:
        for number, raw in enumerate(file, start=1):
            columns = [
                "" if value == r"\N" else value.strip()
                for value in decode_line(raw).rstrip("\r\n").split("\t")
            ]
            if len(columns) < 19 or not columns[0].startswith("RF"):
                problems.append(
                    Problem(
                        f"{path.name}: {columns[0][:20]!r}",
                        f"{len(columns)} columns, expected an accession and at least 19",
                        number,
                    )
                )
                continue
            rows[columns[0]] = TableRow(columns[1], columns[3], columns[9], columns[18])
    return rows


def describe_family(
    seed: SeedFamily, row: TableRow | None, problems: list[Problem]
) -> Family | None:
    """Describe a family by its seed; the table fills what the seed leaves empty.

    A family without a description anywhere has no answer to give: it is appended to `problems` and
    None is returned.
    """
    row = row or TableRow("", "", "", "")
    description = seed.feature("DE") or row.description
    if not description:
        problems.append(Problem(seed.accession, "no description (#=GF DE)", 0))
        return None
    rna_type = name_rna_type(seed.feature("TP") or row.type)
    if rna_type is None:
        problems.append(
            Problem(seed.accession, f"unknown RNA type {seed.feature('TP')!r}", 0)
        )
        return None
    terms = list(_terms(seed))
    return Family(
        accession=seed.accession,
        name=seed.feature("ID") or row.name or seed.accession,
        description=" ".join(description.split()),
        rna_type=rna_type,
        clan=seed.feature("CL") or None,
        sentences=tuple(_sentences(seed, row)),
        references=seed.references,
        go_terms=tuple(term for term in terms if term.id.startswith("GO:")),
        so_terms=tuple(term for term in terms if term.id.startswith("SO:")),
        structure=seed.feature("SS"),
    )


def name_rna_type(rfam_type: str) -> str | None:
    """The readable name of an Rfam type, e.g. "riboswitch" for ``Cis-reg; riboswitch;``.

    A type more specific than those known gets the name of the nearest known one; None if there is none.
    """
    path = tuple(part for part in (part.strip() for part in rfam_type.split(";")) if part)
    while path and path not in RNA_TYPES:
        path = path[:-1]
    return RNA_TYPES.get(path)


def other_types(rna_type: str) -> list[str]:
    """The RNA types that an RNA of this type certainly does not have.

    Neither a wider type (a riboswitch is a cis-regulatory element), nor a narrower one, nor one that
    overlaps with it.
    """
    path = next(path for path, name in RNA_TYPES.items() if name == rna_type)
    overlapping = set().union(*(types for types in OVERLAPPING if rna_type in types))
    return [
        name
        for other, name in RNA_TYPES.items()
        if other[: len(path)] != path and path[: len(other)] != other and name not in overlapping
    ]


def with_article(rna_type: str) -> str:
    """The name of an RNA type with its indefinite article: "an IRES", "a riboswitch"."""
    vowel = rna_type[0] in "aeiouAEIOU" or rna_type.startswith(SPOKEN_WITH_A_VOWEL)
    return f"{'an' if vowel else 'a'} {rna_type}"


def _sentences(seed: SeedFamily, row: TableRow) -> list[Sentence]:
    sentences = split_sentences(seed.feature("CC")) or split_sentences(row.comment)
    if sentences and SURVEY_OF_MOTIFS in seed.references.values():
        taxa = re.sub(r"\bEnvironment(?:al)?\b", "environmental samples", sentences[0].text)
        if re.match(r"[^.]*\.$", taxa) and not re.search(r"\b(?:is|are|was)\b", taxa):
            return [Sentence(f"It is found in {taxa}", ())]
    # "Imported from miRBase." speaks of the record, not of the RNA.
    return [sentence for sentence in sentences if sentence.text != "Imported from miRBase."]


def _terms(seed: SeedFamily) -> Iterator[Term]:
    for value in seed.features.get("DR", []):
        parts = [part.strip() for part in value.split(";")]
        if len(parts) >= 3 and parts[0] in ("GO", "SO") and parts[1].isdigit() and parts[2]:
            yield Term(f"{parts[0]}:{parts[1]}", parts[2])
