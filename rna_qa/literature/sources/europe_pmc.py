"""Papers from Europe PMC: abstracts, licences, publication types and retractions, in batches.

Its RESTful web service is described at https://europepmc.org/RestfulWebService.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from typing import Any

from rnagpt.rna_qa.literature.records import Paper
from rnagpt.rna_qa.literature.sources.http_client import HttpClient
from rnagpt.rna_qa.literature.sources.jats import read_articles
from rnagpt.rna_qa.literature.sources.rows import batched, ids_of, make_paper

PAPERS_PER_SEARCH = 100  # their ids have to fit into an address
ROWS_PER_PAGE = 1000
PAPERS_PER_STATUS_SEARCH = 1000
PREPRINTS = "PPR"  # as a source
_PREFIX_OF_SOURCE = {"MED": "PMID", "PMC": "PMCID", PREPRINTS: "PPR"}


class EuropePmc:
    """Europe PMC's web service.

    Args:
        client: Keeps to the service's rate limit.
        base_url: ``https://www.ebi.ac.uk/europepmc/webservices/rest``, or where tests serve it.
    """

    def __init__(self, client: HttpClient, base_url: str) -> None:
        self._client = client
        self._base_url = base_url.rstrip("/")

    def fetch(self, papers: Sequence[Paper]) -> dict[str, Paper]:
        """What the service knows of papers, by their ids; those it does not know are missing.

        Raises:
            ServiceError: if the service does not answer.
        """
        found: dict[str, Paper] = {}
        for batch in batched(papers, PAPERS_PER_SEARCH):
            id_of = {key: paper.id for paper in batch for key in ids_of(paper)}
            for row in self.search(" OR ".join(map(_query, batch))):
                paper = read_row(row)
                for key in ids_of(paper) if paper else ():
                    if paper and key in id_of:
                        found.setdefault(id_of[key], paper)
        return found

    def search(self, query: str) -> Iterator[Mapping[str, Any]]:
        """The rows of a search (``resultType=core``), each once.

        The end is where `hitCount` rows have come; it may be larger than the rows that do, so the
        end is also where the cursor is missing or came before, or where a page has nothing new.

        Raises:
            ServiceError: if the service does not answer.
        """
        cursor: str | None = "*"
        cursors: set[str] = set()
        seen: set[tuple[str, str]] = set()
        while cursor and cursor not in cursors:
            cursors.add(cursor)
            page = self._client.get_json(
                f"{self._base_url}/search",
                {
                    "query": query,
                    "resultType": "core",
                    "format": "json",
                    "pageSize": ROWS_PER_PAGE,
                    "cursorMark": cursor,
                },
            )
            rows = {_row_id(row): row for row in _rows(page, "resultList", "result")}
            new = rows.keys() - seen
            yield from (row for id, row in rows.items() if id in new)
            seen |= new
            whole = len(seen) >= int(page.get("hitCount") or 0)
            cursor = page.get("nextCursorMark") if new and not whole else None

    def full_text(self, pmcid: str) -> str | None:
        """What the full text of an open-access article found; None where none is open.

        Raises:
            ServiceError: if the service does not answer.
        """
        content = self._client.get_xml(f"{self._base_url}/{pmcid}/fullTextXML")
        if content is None:
            return None
        return next((article.body for article in read_articles(BytesIO(content))), None)

    def find_retracted(self, papers: Sequence[Paper]) -> set[str]:
        """The ids of those papers that are retracted.

        Raises:
            ServiceError: if the service does not answer.
        """
        retracted: set[str] = set()
        for batch in batched(papers, PAPERS_PER_STATUS_SEARCH):
            ids = {source: paper.id for paper in batch if (source := _source(paper))}
            if ids:
                body = {"ids": [{"src": source, "extId": id} for source, id in ids]}
                answer = self._client.post_json(f"{self._base_url}/status-update-search", body)
                for row in _rows(answer, "articlesWithStatusUpdate"):
                    source = (str(row.get("src")), str(row.get("extId")))
                    if _is_retraction(row.get("statusUpdates")) and source in ids:
                        retracted.add(ids[source])
        return retracted


def read_row(row: Mapping[str, Any]) -> Paper | None:
    """The paper of a row of a search; None for one without any identifier (books, patents)."""
    pmid, pmcid, doi = (row.get(key) or None for key in ("pmid", "pmcid", "doi"))
    if not (pmid or pmcid or doi):
        return None
    journal = _within(row, "journalInfo", "journal", "title") or row.get("journalTitle")
    licence = row.get("license")
    return make_paper(
        pmid=pmid,
        pmcid=pmcid,
        doi=doi,
        title=row.get("title"),
        abstract=row.get("abstractText"),
        year=row.get("pubYear"),
        journal=journal or None,
        licence=licence or None,
        types=_types(row),
        links=tuple(_links(row)),
    )


def _types(row: Mapping[str, Any]) -> tuple[str, ...]:
    types = _within(row, "pubTypeList", "pubType")
    named = (types,) if isinstance(types, str) else tuple(types or ())
    return named if row.get("source") != PREPRINTS else tuple(dict.fromkeys((*named, "Preprint")))


def _links(row: Mapping[str, Any]) -> Iterator[str]:
    """The ids of a preprint's paper, or of a paper's preprints; a preprint's own id as well."""
    if row.get("source") == PREPRINTS and row.get("id"):
        yield f"PPR:{row['id']}"
    for link in _rows(row, "commentCorrectionList", "commentCorrection"):
        kind = str(link.get("type") or "").lower()
        prefix = _PREFIX_OF_SOURCE.get(str(link.get("source")))
        if kind in ("preprint of", "preprint in") and prefix and link.get("id"):
            yield f"{prefix}:{link['id']}"


def complete_from(paper: Paper, found: Paper | None) -> Paper:
    """A paper with what it lacks filled from another record of it.

    Its own title and abstract stand where it has them; publication types and licence are the other
    record's where that has them.
    """
    if found is None:
        return paper
    names = [field.name for field in dataclasses.fields(Paper)]
    filled = {name: getattr(paper, name) or getattr(found, name) for name in names}
    return Paper(
        **filled
        | {
            "licence": found.licence or paper.licence,
            "types": tuple(dict.fromkeys((*found.types, *paper.types))),
            "links": tuple(dict.fromkeys((*found.links, *paper.links))),
        }
    )


def _query(paper: Paper) -> str:
    if paper.pmid:
        return f"(EXT_ID:{paper.pmid} AND SRC:MED)"
    if paper.pmcid:
        return f"PMCID:{paper.pmcid}"
    # Quotes cannot be escaped there, and no DOI has one.
    return f'DOI:"{(paper.doi or "").replace(chr(34), "")}"'


def _source(paper: Paper) -> tuple[str, str] | None:
    if paper.pmcid:
        return "PMC", paper.pmcid
    return ("MED", paper.pmid) if paper.pmid else None


def _is_retraction(updates: Any) -> bool:
    updates = [updates] if isinstance(updates, str) else updates or []
    return "RETRACTED" in updates


def _row_id(row: Mapping[str, Any]) -> tuple[str, str]:
    return str(row.get("source")), str(row.get("id"))


def _rows(answer: Any, *keys: str) -> list[Mapping[str, Any]]:
    rows = _within(answer, *keys)
    return [row for row in rows or () if isinstance(row, dict)]


def _within(fields: Any, *keys: str) -> Any:
    for key in keys:
        fields = fields.get(key) if isinstance(fields, dict) else None
    return fields


__all__ = ["EuropePmc", "complete_from", "read_row"]
