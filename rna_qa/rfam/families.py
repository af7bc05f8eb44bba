"""Families as RNA-QA describes them: the record of Rfam's seed, completed from its tables."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rnagpt.rna_qa.rfam.comments import Sentence, read_sentences
from rnagpt.sequences.rna_types import RNA_TYPES
from rnagpt.sequences.stockholm import Problem, SeedFamily, read_lines

# The comments that come from this paper (PubMed id) say where a motif occurs, then how it was
# looked for: "Clostridia, NC10. Downstream gene".
SURVEY_OF_MOTIFS = "28977401"


@dataclass(frozen=True)
class Term:
    """A term of the Gene Ontology (GO:0005730) or of the Sequence Ontology (SO:0000593)."""

    id: str
    name: str

    def __str__(self) -> str:
        return f"{self.name} ({self.id})"


@dataclass(frozen=True)
class Family:
    """What the record of a family says: the source of its annotation and answers.

    Attributes:
        accession: e.g. "RF00181".
        name: Rfam's ID, e.g. "SNORD113".
        description: e.g. "Small nucleolar RNA SNORD113/SNORD114 family".
        rna_type: e.g. "C/D box snoRNA".
        clan: Accession of the clan, or None.
        sentences: The curators' comment.
        references: PubMed ids of the papers by their number in the record.
        go_terms, so_terms: Ontology terms.
        structure: Where the consensus structure comes from (``#=GF SS``).
    """

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
    def evidence(self) -> list[str]:
        """PubMed ids of the family's papers, in the order of the record."""
        return list(dict.fromkeys(self.references.values()))

    @property
    def transcript(self) -> str | None:
        """The long RNA of which the family is a region: "RMST" for "RMST conserved region 9".

        Such families share their text and their papers, whatever their sequences.
        """
        region = r"(.+?)[ ,]*(?:con\w+ed region|exon|intron)\b.*"  # one is "convserved"
        found = re.fullmatch(region, self.description)
        return found[1] if found else None


class TableRow(NamedTuple):
    """The columns of Rfam's `family` table that can complete a seed."""

    name: str = ""
    description: str = ""
    comment: str = ""
    type: str = ""


def read_family_table(path: Path, problems: list[Problem]) -> dict[str, TableRow]:
    r"""Read Rfam's `family` table (tab separated, no header, ``\N`` for null) by accession.

    Lines without an accession or with fewer than 19 columns are appended to `problems`.

    Raises:
        ValueError: if no line is one of that table.
    """
    rows: dict[str, TableRow] = {}
    for number, line in read_lines(path):
        columns = ["" if value == r"\N" else value.strip() for value in line.split("\t")]
        if len(columns) >= 19 and columns[0].startswith("RF"):
            rows[columns[0]] = TableRow(columns[1], columns[3], columns[9], columns[18])
        else:
            reason = f"{len(columns)} columns, expected an accession (RF…) and at least 19"
            problems.append(Problem(f"{path.name} {columns[0][:20]!r}", reason, number))
    if not rows:
        raise ValueError(
            f"{path}: not one family found; expected the `family` table of Rfam's database dump "
            "(family.txt.gz), tab separated, with an accession such as RF00001 in column 1"
        )
    return rows


def describe_family(
    seed: SeedFamily, row: TableRow | None, problems: list[Problem]
) -> Family | None:
    """Describe a family by its seed; the table fills what the seed leaves empty.

    None, and a line in `problems`, for a family without a description or of no known type: there
    is nothing to ask about it.
    """
    row = row or TableRow()
    description = " ".join((seed.feature("DE") or row.description).split())
    rfam_type = seed.feature("TP") or row.type
    rna_type = name_rna_type(rfam_type)
    if not description or rna_type is None:
        reason = f"unknown RNA type {rfam_type!r} (#=GF TP)" if description else "no description"
        problems.append(Problem(seed.accession, reason, seed.line))
        return None
    terms = tuple(_read_terms(seed))
    return Family(
        accession=seed.accession,
        name=seed.feature("ID") or row.name or seed.accession,
        description=description,
        rna_type=rna_type,
        clan=seed.feature("CL") or None,
        sentences=tuple(_read_comment(seed, row)),
        references=seed.references,
        go_terms=tuple(term for term in terms if term.id.startswith("GO:")),
        so_terms=tuple(term for term in terms if term.id.startswith("SO:")),
        structure=seed.feature("SS"),
    )


def name_rna_type(rfam_type: str) -> str | None:
    """The readable name of an Rfam type, e.g. "riboswitch" for ``Cis-reg; riboswitch;``.

    A type more specific than those known gets the name of the nearest wider one; None if there is
    none.
    """
    path = tuple(part for part in map(str.strip, rfam_type.split(";")) if part)
    while path and path not in RNA_TYPES:
        path = path[:-1]
    return RNA_TYPES.get(path)


def _read_comment(seed: SeedFamily, row: TableRow) -> list[Sentence]:
    sentences = read_sentences(seed.feature("CC")) or read_sentences(row.comment)
    if sentences and SURVEY_OF_MOTIFS in seed.references.values():
        taxa = re.sub(r"\bEnvironment(?:al)?\b", "environmental samples", sentences[0].text)
        if re.fullmatch(r"[^.]*\.", taxa) and not re.search(r"\b(?:is|are|was)\b", taxa):
            return [Sentence(f"It is found in {taxa}", ())]
    # "Imported from miRBase." speaks of the record, not of the RNA.
    return [sentence for sentence in sentences if sentence.text != "Imported from miRBase."]


def _read_terms(seed: SeedFamily) -> Iterator[Term]:
    for value in seed.features.get("DR", []):
        database, number, name, *_ = [*map(str.strip, value.split(";")), "", ""]
        if database in ("GO", "SO") and number.isdigit() and name:
            yield Term(f"{database}:{number}", name)
