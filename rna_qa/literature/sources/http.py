"""RNAs, papers and mentions over HTTP: EBI Search, and RNAcentral's API for sequences.

EBI Search names the RNAs that LitScan has papers on (domain ``rnacentral``), the jobs under which
LitScan searched for them, and what these found (domain ``rnacentral-litscan``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from rnagpt.rna_qa.literature.records import Mention, Paper, Rna
from rnagpt.rna_qa.literature.sources.corpus import Corpus
from rnagpt.rna_qa.literature.sources.http_client import HttpClient, ServiceError
from rnagpt.rna_qa.literature.sources.rows import (
    batched,
    keep_usable,
    make_paper,
    positions,
    set_position,
    spell,
    without_ids,
)
from rnagpt.rna_qa.literature.text.mentions import NameIndex, is_ambiguous

if TYPE_CHECKING:
    from rnagpt.rna_qa.literature.build.settings import Services

RNAS_PER_PAGE = 50  # written together, with their papers
ENTRIES_PER_PAGE = 1000  # the most that EBI Search gives
IDS_PER_QUERY = 20  # addresses have a length that servers accept
CONNECTIONS = 8  # to RNAcentral, within the client's rate
FIRST_POSITION = "0"
PROGRESS = "http"
RNA_FIELDS = "description,gene,rfam_id"
PAPER_FIELDS = "job_id,pmcid,pmid,doi,title,abstract,abstract_sentence,body_sentence,year,journal"

Entry = Mapping[str, Any]


class _Position(NamedTuple):
    """How far EBI Search was read: its cursor, the RNAs taken, and how many it had announced."""

    cursor: str = FIRST_POSITION
    taken: int = 0
    announced: int = 0


def select(
    corpus: Corpus,
    client: HttpClient,
    services: Services,
    *,
    query: str | None = None,
    limit: int | None = None,
) -> None:
    """Gather the RNAs that LitScan has papers on, with those papers, page by page.

    Results for ambiguous names are left out. What an interrupted run has read is not read again.
    Pages may repeat RNAs; the search ends where a page has none, where no cursor comes, or where
    one comes again. RNAs that were announced and did not come are tallied.

    Args:
        services: The addresses of EBI Search and RNAcentral's API, without a slash at the end.
        query: In EBI Search's language: ``rna_type:"miRNA" AND TAXONOMY:"9606"``.
        limit: Take at most N RNAs.

    Raises:
        ServiceError: if a service rejects, or if its faults do not pass.
    """
    source = _Source(client, services)
    for position in positions(corpus, PROGRESS, _Position()):
        with corpus.transaction():
            _add_page(corpus, source, position, query, limit)


def _add_page(
    corpus: Corpus, source: _Source, position: _Position, query: str | None, limit: int | None
) -> None:
    page = source.find_rnas(query, position.cursor)
    entries = [
        entry
        for entry in {entry["id"]: entry for entry in page.entries}.values()
        if not corpus.has_rna(entry["id"]) and not corpus.has_skipped("rna", entry["id"])
    ]
    entries = entries if limit is None else entries[: limit - position.taken]
    _add_rnas(corpus, source, entries)
    taken = position.taken + len(entries)
    announced = max(position.announced, page.hit_count)
    corpus.set_progress(f"{PROGRESS}: read {position.cursor}", "")
    repeated = corpus.progress(f"{PROGRESS}: read {page.following}") is not None
    is_last = page.following is None or repeated
    if is_last and taken != limit:
        corpus.tally("RNA announced by EBI Search that did not come", max(0, announced - taken))
    following = _Position(page.following or FIRST_POSITION, taken, announced)
    set_position(corpus, PROGRESS, None if is_last or taken == limit else following)


def _add_rnas(corpus: Corpus, source: _Source, entries: Sequence[Entry]) -> None:
    """Add the RNAs of some entries with their papers."""
    jobs = source.find_jobs([entry["id"] for entry in entries])
    for job in sorted({job for found in jobs.values() for job in found if is_ambiguous(job)}):
        corpus.skip("name", job, "ambiguous")
    rnas = source.fetch_rnas(entries, {id: _specific(found) for id, found in jobs.items()})
    usable = list(keep_usable(corpus, rnas))
    corpus.add_rnas(usable)
    _add_papers(corpus, source, usable, jobs)


def _specific(jobs: Iterable[str]) -> list[str]:
    return [job for job in jobs if not is_ambiguous(job)]


def _add_papers(
    corpus: Corpus, source: _Source, rnas: Sequence[Rna], jobs: Mapping[str, Sequence[str]]
) -> None:
    """Add what the jobs of the RNAs found, each paper once."""
    rnas_of_job: dict[str, set[str]] = defaultdict(set)
    for rna in rnas:
        for job in _specific(jobs[rna.id]):
            rnas_of_job[job].add(rna.id)
    index = NameIndex((name, rna.id) for rna in rnas for name in rna.names)
    for entry in source.find_papers(sorted(rnas_of_job)):
        paper = _paper(entry)
        if paper is None:
            corpus.tally("paper without an id")
            continue
        if not corpus.has_paper(paper.id):
            corpus.add_papers([paper])
        named = {id for job in _values(entry, "job_id") for id in rnas_of_job[job.lower()]}
        corpus.add_mentions(_mentions(entry, paper, named, index))


def _mentions(entry: Entry, paper: Paper, rna_ids: set[str], index: NameIndex) -> Iterator[Mention]:
    """Where a paper names these RNAs: LitScan gives a sentence of the abstract and of the body."""
    title, abstract = index.find(paper.title), index.find(paper.abstract)
    in_abstract, in_body = _first(entry, "abstract_sentence"), _first(entry, "body_sentence")
    for id in sorted(rna_ids):
        yield Mention(
            id,
            paper.id,
            in_title=id in title,
            in_abstract=id in abstract or in_abstract is not None,
            in_body=in_body is not None,
        )


def _paper(entry: Entry) -> Paper | None:
    pmid, pmcid, doi = (_first(entry, key) for key in ("pmid", "pmcid", "doi"))
    if not (pmid or pmcid or doi):
        return None
    return make_paper(
        pmid=pmid,
        pmcid=pmcid,
        doi=doi,
        title=_first(entry, "title"),
        abstract=_first(entry, "abstract"),
        year=_first(entry, "year"),
        journal=_first(entry, "journal"),
    )


def _values(entry: Entry, field: str) -> list[str]:
    """What a field holds; fields that hold nothing may be missing."""
    return [value for value in (entry.get("fields") or {}).get(field) or () if value]


def _first(entry: Entry, field: str) -> str | None:
    return next(iter(_values(entry, field)), None)


class _Page(NamedTuple):
    """Entries, how many the query has in all, and the cursor of the next page if there is one."""

    entries: list[Entry]
    hit_count: int
    following: str | None


class _Source:
    """The questions that are put to EBI Search and to RNAcentral's API."""

    def __init__(self, client: HttpClient, services: Services) -> None:
        self._client = client
        self._services = services

    def find_rnas(self, query: str | None, cursor: str) -> _Page:
        """RNAs of one species (not genes) that LitScan has papers on."""
        indexed = 'entry_type:"Sequence" AND has_lit_scan:"True"'
        wanted = f"({query}) AND {indexed}" if query else indexed
        return self._search("rnacentral", wanted, RNA_FIELDS, cursor, RNAS_PER_PAGE)

    def find_jobs(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """Under which names LitScan searched for each RNA, the RNA's own id among them."""
        jobs: dict[str, set[str]] = {id: {id.lower()} for id in ids}
        ids_of = {id.lower(): id for id in ids}
        for some in batched(list(ids_of), IDS_PER_QUERY):
            query = (
                f'entry_type:"metadata" AND database:"rnacentral" AND {_any("primary_id", some)}'
            )
            for entry in self._search_all(query, "primary_id,job_id"):
                for primary_id in _values(entry, "primary_id"):
                    if id := ids_of.get(primary_id.lower()):
                        jobs[id].update(map(str.lower, _values(entry, "job_id")))
        return {id: sorted(found) for id, found in jobs.items()}

    def find_papers(self, jobs: Sequence[str]) -> Iterator[Entry]:
        """What these jobs found, an entry for each paper and job."""
        for some in batched(jobs, IDS_PER_QUERY):
            query = f'entry_type:"Publication" AND {_any("job_id", some)}'
            yield from self._search_all(query, PAPER_FIELDS)

    def fetch_rnas(
        self, entries: Sequence[Entry], jobs: Mapping[str, Sequence[str]]
    ) -> Iterator[Rna]:
        """The RNAs with their sequences, in the order of their entries."""
        with ThreadPoolExecutor(CONNECTIONS) as threads:
            found = threads.map(self._fetch_sequence, [entry["id"] for entry in entries])
            for entry, sequence in zip(entries, found, strict=True):
                yield _rna(entry, sequence, jobs[entry["id"]])

    def _fetch_sequence(self, id: str) -> Mapping[str, Any]:
        """What RNAcentral says of an RNA; nothing where it does not know it any more."""
        urs, _, taxid = id.rpartition("_")
        try:
            answer = self._client.get_json(f"{self._services.rnacentral}/rna/{urs}/{taxid}")
        except ServiceError as error:
            if error.status == 404:
                return {}
            raise
        return dict(answer)

    def _search_all(self, query: str, fields: str) -> Iterator[Entry]:
        """All entries of a query; they may repeat."""
        search = partial(self._search, "rnacentral-litscan", query, fields)
        cursor: str | None = FIRST_POSITION
        read = set()
        while cursor is not None and cursor not in read:
            page = search(cursor, ENTRIES_PER_PAGE)
            yield from page.entries
            read.add(cursor)
            cursor = page.following

    def _search(self, domain: str, query: str, fields: str, cursor: str, size: int) -> _Page:
        url = f"{self._services.ebi_search}/{domain}"
        answer = self._client.get_json(
            url,
            {
                "query": query,
                "fields": fields,
                "size": size,
                "sort": "id",
                "format": "json",
                "searchposition": cursor,
            },
        )
        if not isinstance(answer, dict) or "hitCount" not in answer:
            problem = f"expected an object with hitCount and entries, got {str(answer)[:200]}"
            raise ServiceError(url, problem, "check RNAQA_EBI_SEARCH_URL")
        entries = answer.get("entries") or []
        following = answer.get("searchPosition") if entries else None
        return _Page(entries, int(answer["hitCount"]), following and str(following))


def _rna(entry: Entry, fetched: Mapping[str, Any], jobs: Sequence[str]) -> Rna:
    id = entry["id"]
    genes = [*_values(entry, "gene"), *(fetched.get("genes") or ())]
    texts = [*genes, *_values(entry, "description"), fetched.get("description") or ""]
    # A gene's symbol is what most papers write.
    names = sorted((spell(job, texts) for job in jobs), key=lambda name: name not in genes)
    return Rna(
        id=id,
        sequence=fetched.get("sequence") or "",
        names=without_ids(names, id),
        rna_type=fetched.get("rna_type") or "ncRNA",
        organism=fetched.get("species"),
        taxid=fetched.get("taxid"),
        family=_first(entry, "rfam_id"),
    )


def _any(field: str, values: Iterable[str]) -> str:
    """A query for any of these values of a field."""
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "(" + " OR ".join(f'{field}:"{value}"' for value in quoted) + ")"


__all__ = ["select"]
