"""Search results as text: a table to read, TSV with cmscan's columns, JSON lines, GFF3.

Each format marks where the results of one record end, so that a file that was cut can be resumed:
`complete_records` reads those marks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from rnagpt.reference.annotate import SearchResult
from rnagpt.reference.hits import COVARIANCE_MODEL, Hit

TSV_COLUMNS = (
    "target_name",
    "accession",
    "query_name",
    "clan",
    "mdl_from",
    "mdl_to",
    "seq_from",
    "seq_to",
    "strand",
    "score",
    "evalue",
    "identity",
    "type",
    "description",
)
VERIFIED_COLUMNS = (
    "source",
    "verified_by",
    "agrees",
    "cm_score",
    "gathering",
    "cm_from",
    "cm_to",
    "cm_structure",
    "cm_note",
)
# Terms of the Sequence Ontology (http://www.sequenceontology.org) for the third column of GFF3.
SO_TERMS = {
    "C/D box snoRNA": "C_D_box_snoRNA",
    "H/ACA box snoRNA": "H_ACA_box_snoRNA",
    "IRES": "internal_ribosome_entry_site",
    "antisense RNA": "antisense_RNA",
    "cis-regulatory element": "regulatory_region",
    "intron": "intron",
    "lncRNA": "lncRNA",
    "miRNA": "pre_miRNA",
    "rRNA": "rRNA",
    "riboswitch": "riboswitch",
    "ribozyme": "ribozyme",
    "scaRNA": "scaRNA",
    "snRNA": "snRNA",
    "snoRNA": "snoRNA",
    "spliceosomal snRNA": "snRNA",
    "tRNA": "tRNA",
}
ANY_NCRNA, ANY_FEATURE = "ncRNA", "sequence_feature"
_UNSAFE = "%;=&,\t\n\r"


@dataclass(frozen=True)
class Format:
    """How results are written.

    Attributes:
        header: what a file begins with.
        write: the text of one result, with its end mark.
        ends_record: whether a line, without its end, is an end mark.
    """

    header: str
    write: Callable[[SearchResult], str]
    ends_record: Callable[[str], bool]


def _json(result: SearchResult) -> str:
    return json.dumps(result.to_dict(), ensure_ascii=False) + "\n"


def _tsv(result: SearchResult) -> str:
    return _tsv_rows(result, [_tsv_row(result, hit) for hit in result.hits])


def _verified_tsv(result: SearchResult) -> str:
    return _tsv_rows(result, [(*_tsv_row(result, hit), *_verified_row(hit)) for hit in result.hits])


def _tsv_rows(result: SearchResult, cells: list[tuple[object, ...]]) -> str:
    rows = ["\t".join(map(str, row)) + "\n" for row in cells]
    reason = result.note or (f"rejected: {result.error}" if result.error else "")
    remark = f"; {' '.join(reason.split())}" if reason else ""
    return "".join(rows) + f"# {len(rows)} hits in {result.name} ({result.length} nt){remark}\n"


def _tsv_row(result: SearchResult, hit: Hit) -> tuple[object, ...]:
    record = hit.record
    return (
        record.name,
        record.id,
        result.name,
        record.clan or "-",
        hit.model_start,
        hit.model_end,
        hit.start,
        hit.end,
        hit.strand,
        f"{hit.bits:.1f}",
        f"{hit.evalue:.2g}",
        f"{hit.identity:.3f}",
        record.type or "-",
        " ".join(record.description.split()) or "-",
    )


def _verified_row(hit: Hit) -> tuple[object, ...]:
    told = _verified(hit)
    names = ("program", "agrees", "bits", "gathering", "start", "end", "structure", "note")
    return (hit.source, *(told.get(name) or "-" for name in names))


def _verified(hit: Hit) -> Mapping[str, str]:
    """What Infernal says of a hit as texts; without what it does not say."""
    values: Mapping[str, Any] = hit.verified or {}
    told = {name: str(value) for name, value in values.items() if value not in (None, "")}
    if "agrees" in told:
        told["agrees"] = "yes" if values["agrees"] else "no"
    if "error" in told:
        told["note"] = _not_verified(told["error"])
    return told


def _not_verified(error: str) -> str:
    return f"not verified: {' '.join(error.split())}"


def _gff3(result: SearchResult) -> str:
    seqid = _escape(result.name, " >")
    lines = [f"##sequence-region {seqid} 1 {result.length}"] if result.length else []
    for number, hit in enumerate(result.hits, start=1):
        record = hit.record
        attributes = {
            "ID": f"{result.name}.{number}",
            "Name": record.name,
            "Dbxref": f"Rfam:{record.id}" if record.id.startswith("RF") else "",
            "Note": record.description,
            "bits": f"{hit.bits:.1f}",
            "identity": f"{hit.identity:.3f}",
            "target": "" if record.id.startswith("RF") else record.id,
        }
        if hit.verified:
            told_by_infernal = _verified(hit)
            attributes["source"] = hit.source
            attributes |= {
                name: told_by_infernal.get(key, "")
                for name, key in (
                    ("verified", "program"),
                    ("agrees", "agrees"),
                    ("cm_bits", "bits"),
                    ("gathering", "gathering"),
                    ("cm_start", "start"),
                    ("cm_end", "end"),
                    ("cm_structure", "structure"),
                    ("cm_note", "note"),
                )
            }
        told = ";".join(f"{key}={_escape(text)}" for key, text in attributes.items() if text)
        columns = (
            seqid,
            "rnagpt",
            SO_TERMS.get(record.type, ANY_NCRNA if record.type else ANY_FEATURE),
            hit.start,
            hit.end,
            f"{hit.evalue:.2g}",
            hit.strand,
            ".",
            told,
        )
        lines.append("\t".join(map(str, columns)))
    return "\n".join([*lines, "###", ""])


def _escape(text: str, further: str = "") -> str:
    return "".join(quote(letter) if letter in _UNSAFE + further else letter for letter in text)


def _table(result: SearchResult) -> str:
    head = f"{result.name}  {result.length:,} nt"
    if result.error:
        return f"{result.name}  rejected: {result.error}\n\n"
    if not result.hits:
        return f"{head}  {result.note or 'no known family or RNA'}\n\n"
    rows: list[tuple[str, ...]] = [
        ("", "name", "type", "from", "to", "strand", "E-value", "bits", "identity")
    ]
    rows += [
        (
            hit.record.id,
            hit.record.name,
            hit.record.type or "-",
            f"{hit.start:,}",
            f"{hit.end:,}",
            hit.strand,
            f"{hit.evalue:.1e}",
            f"{hit.bits:.1f}",
            f"{hit.identity:.0%}",
        )
        for hit in result.hits
    ]
    if any(hit.verified for hit in result.hits):
        told = ("Infernal", *map(verdict_of, result.hits))
        rows = [(*row, text) for row, text in zip(rows, told, strict=True)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  "
        + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    remarks = [*result.changes, *([result.note] if result.note else [])]
    return "\n".join([head, *(f"  ({remark})" for remark in remarks), *lines, "", ""])


def verdict_of(hit: Hit) -> str:
    """What Infernal says of a hit, such as "agrees: 66.9 bits (cut-off 29.0)"."""
    verified = hit.verified
    if not verified:
        return "-"
    if error := verified.get("error"):
        return _not_verified(error)
    if verified["bits"] is None:
        return "disagrees: no hit"
    score = f"{verified['bits']:.1f} bits"
    if verified["agrees"] is None:
        return f"{score} (no cut-off)"
    word = "agrees" if verified["agrees"] else "disagrees"
    only = "the model alone: " if hit.source == COVARIANCE_MODEL else ""
    return f"{only}{word}: {score} (cut-off {verified['gathering']:.1f})"


FORMATS = {
    "table": Format("", _table, lambda line: not line),
    "tsv": Format("#" + "\t".join(TSV_COLUMNS) + "\n", _tsv, lambda line: line.startswith("# ")),
    "json": Format("", _json, lambda line: line.startswith("{") and line.endswith("}")),
    "gff3": Format("##gff-version 3\n", _gff3, lambda line: line == "###"),
}
_VERIFIED_TSV = Format(
    "#" + "\t".join((*TSV_COLUMNS, *VERIFIED_COLUMNS)) + "\n",
    _verified_tsv,
    FORMATS["tsv"].ends_record,
)


def format_of(name: str, *, verified: bool = False) -> Format:
    """The format of a name in `FORMATS`; `verified`: of results that Infernal verified."""
    return _VERIFIED_TSV if verified and name == "tsv" else FORMATS[name]


__all__ = [
    "FORMATS",
    "SO_TERMS",
    "TSV_COLUMNS",
    "VERIFIED_COLUMNS",
    "Format",
    "format_of",
    "verdict_of",
]
