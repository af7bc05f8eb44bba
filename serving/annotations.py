"""The search alone over HTTP, `POST /annotate`: records in, what they match out, no model asked."""

from __future__ import annotations

import asyncio
import io
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rnagpt.reference.annotate import SearchResult
from rnagpt.reference.formats import format_of
from rnagpt.reference.library import EVALUE
from rnagpt.sequences.fasta import FastaError, FastaRecord, read_fasta
from rnagpt.serving.limits import Limits
from rnagpt.serving.metrics import Metrics
from rnagpt.serving.openai_api import ApiError, without_nulls
from rnagpt.serving.prompts import max_written
from rnagpt.serving.searches import Searches

TSV_MEDIA_TYPE = "text/tab-separated-values"
MAX_EVALUE = 10.0  # of HMMER's own report; beyond it everything matches
_TRNA = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA"
EXAMPLES: dict[str, Any] = {
    "One sequence": {"value": {"rna": _TRNA}},
    "FASTA, a table": {
        "value": {"rna": f">mine\n{_TRNA}\n>other\nACGUACGUACGUACGUACGU\n", "format": "tsv"}
    },
}


class _Text(io.StringIO):
    """A text that errors call by the field that holds it."""

    name = "rna"

    def __init__(self, text: str) -> None:
        super().__init__(text, newline=None)


class AnnotateRequest(BaseModel):
    """RNAs to search."""

    model_config = ConfigDict(extra="allow")

    rna: str = Field(description="A sequence, or FASTA of one record or several.")
    evalue: float = Field(
        EVALUE,
        gt=0,
        le=MAX_EVALUE,
        allow_inf_nan=False,
        description="Hits of a larger E-value are left out.",
    )
    format: Literal["json", "tsv"] | None = Field(
        None, description=f"By default TSV where Accept is {TSV_MEDIA_TYPE}, else JSON."
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, data: Any) -> Any:
        return without_nulls(data)

    @model_validator(mode="after")
    def _check_extras(self) -> AnnotateRequest:
        # A misspelt `evalue` would change what is found.
        if unknown := next(iter(self.model_extra or {}), None):
            raise ValueError(f"{unknown} is no field here; there are rna, evalue and format")
        return self


class Annotated(BaseModel):
    """What one record matches; as `rnagpt annotate --format json` writes it."""

    model_config = ConfigDict(extra="allow")

    name: str
    length: int = Field(description="In nt.")
    changes: list[str] = Field(description='Made before the search, such as "1 T read as U".')
    hits: list[dict[str, Any]] = Field(description="The best first.")
    note: str | None = Field(None, description="Why there was no search.")
    error: str | None = Field(None, description="Of a record that is no RNA.")


class AnnotateReply(BaseModel):
    """What the records match, in their order."""

    reference: str = Field(description='What was searched, such as "Rfam 15.0".')
    results: list[Annotated]


class Annotations:
    """Searches the records of requests.

    Args:
        searches: of the server, which run one at a time.
        limits: of requests.
        metrics: counts the RNAs.
    """

    def __init__(self, searches: Searches, limits: Limits, metrics: Metrics) -> None:
        self._searches, self._limits, self._metrics = searches, limits, metrics

    async def find(self, request: AnnotateRequest) -> list[SearchResult]:
        """What the records match; those that are no RNA say so, if not all are.

        Raises:
            ApiError: the text is no FASTA, no record is an RNA, or there are too many or too long
                ones.
            EngineOverloadedError: too many searches wait.
        """
        records = await asyncio.to_thread(self._records, request.rna)
        self._metrics.rnas.inc(len(records))
        results = await self._searches.annotate(records, request.evalue)
        if all(result.error for result in results):
            told = "\n".join(str(result.error) for result in results)
            raise ApiError(422, told, param="rna", code="invalid_rna")
        return results

    def to_json(self, results: list[SearchResult]) -> dict[str, Any]:
        """As `AnnotateReply`."""
        manifest = self._searches.reference.manifest
        return {
            "reference": f"{manifest.name} {manifest.release}".strip(),
            "results": [result.to_dict() for result in results],
        }

    def _records(self, text: str) -> list[FastaRecord]:
        limits = self._limits
        records: list[FastaRecord] = []
        try:
            for record in read_fasta(_Text(text)):
                records.append(record)
                if len(records) > limits.max_records:
                    raise ApiError(
                        413,
                        f"There are more than {limits.max_records} records; send them in several "
                        "requests.",
                        param="rna",
                        code="too_many_rnas",
                    )
        except FastaError as error:
            raise ApiError(400, str(error), param="rna", code="invalid_fasta") from error
        for record in records:
            self._check_length(record)
        return records

    def _check_length(self, record: FastaRecord) -> None:
        """Reject what is longer than is searched; what is no RNA says so later."""
        letters = sum(map(str.isalpha, record.sequence))
        longest = self._limits.max_searched_nt
        if letters > longest or len(record.sequence) > max_written(longest):
            raise ApiError(
                413,
                f"RNA {record.name[:40]!r} has {letters:,} nt; at most {longest:,} are searched "
                "here. Give a part of it, or use `rnagpt annotate`.",
                param="rna",
                code="rna_too_long",
            )


def to_tsv(results: list[SearchResult]) -> str:
    """As `rnagpt annotate --format tsv` writes it."""
    layout = format_of("tsv")
    return layout.header + "".join(map(layout.write, results))


def wants_tsv(request: AnnotateRequest, accept: str) -> bool:
    """Whether a request asks for TSV, by its field or else by its Accept header."""
    if request.format is not None:
        return request.format == "tsv"
    return TSV_MEDIA_TYPE in accept.lower()


__all__ = [
    "EXAMPLES",
    "MAX_EVALUE",
    "TSV_MEDIA_TYPE",
    "AnnotateReply",
    "AnnotateRequest",
    "Annotations",
    "to_tsv",
    "wants_tsv",
]
