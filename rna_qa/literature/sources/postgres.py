"""RNAs, papers and mentions from RNAcentral's public PostgreSQL database, LitScan's tables."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import psycopg
from psycopg.rows import dict_row

from rnagpt.rna_qa.literature.records import Mention, Paper, Rna, paper_id
from rnagpt.rna_qa.literature.retry import retrying
from rnagpt.rna_qa.literature.sources.corpus import Corpus
from rnagpt.rna_qa.literature.sources.http_client import ServiceError
from rnagpt.rna_qa.literature.sources.rows import (
    batched,
    keep_usable,
    make_paper,
    positions,
    set_position,
    without_ids,
)
from rnagpt.rna_qa.literature.text.mentions import is_ambiguous

# Written together, with their papers. LitScan's table of names is not indexed by RNA: each page has
# it read as a whole, so pages are large.
RNAS_PER_PAGE = 1000
ARTICLES_PER_QUERY = 500
SCHEMA = "rnacen"
CONNECT_TIMEOUT = 30  # seconds
ATTEMPTS = 5  # the public server ends long sessions
PROGRESS = "postgres"

Row = Mapping[str, Any]
Connection: TypeAlias = psycopg.Connection[dict[str, Any]]

# LitScan has papers on an RNA where a job of its has hits; there its name is RNAcentral's in lower
# case. A page begins behind the last name that was read, whatever was written meanwhile.
IDS = """
SELECT DISTINCT d.primary_id
FROM litscan_database d JOIN litscan_job j ON j.job_id = d.job_id
WHERE d.name = 'rnacentral' AND j.hit_count > 0 AND d.primary_id > %(after)s
ORDER BY d.primary_id LIMIT %(page)s
"""
RNAS = """
SELECT LOWER(pre.id) AS primary_id, pre.id, pre.taxid, pre.rna_type, taxonomy.name AS organism,
    COALESCE(rna.seq_short, rna.seq_long) AS sequence,
    (SELECT MIN(rfam_model_id) FROM rfam_model_hits hits WHERE hits.upi = pre.upi) AS family
FROM rnc_rna_precomputed pre
JOIN rna ON rna.upi = pre.upi
LEFT JOIN rnc_taxonomy taxonomy ON taxonomy.id = pre.taxid
WHERE pre.id = ANY(%(ids)s) AND pre.is_active
    AND (%(pattern)s::text IS NULL OR pre.description ILIKE %(pattern)s)
ORDER BY pre.id
"""
# The names under which LitScan searched for an RNA, and the RNA's own id.
JOBS = """
SELECT d.primary_id, j.job_id, j.display_id, j.hit_count
FROM litscan_database d JOIN litscan_job j ON j.job_id = d.job_id
WHERE d.name = 'rnacentral' AND d.primary_id = ANY(%(ids)s) AND j.hit_count > 0
UNION
SELECT job_id, job_id, display_id, hit_count
FROM litscan_job WHERE job_id = ANY(%(ids)s) AND hit_count > 0
"""
RESULTS = """
SELECT r.job_id, r.pmcid, r.id_in_title, r.id_in_abstract, r.id_in_body, a.pmid, a.doi,
    a.rna_related
FROM litscan_result r JOIN litscan_article a ON a.pmcid = r.pmcid
WHERE r.job_id = ANY(%(jobs)s)
"""
ARTICLES = """
SELECT pmcid, pmid, doi, title, abstract, year, journal, retracted, type
FROM litscan_article WHERE pmcid = ANY(%(ids)s)
"""


@dataclass
class _Page:
    """RNAs, and under which jobs LitScan searched for each."""

    rnas: list[Rna]
    rnas_of_job: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


def select(
    corpus: Corpus,
    dsn: str,
    *,
    query: str | None = None,
    limit: int | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Gather the RNAs that LitScan has papers on, with those papers, page by page.

    Articles that LitScan's classifier finds not to be about RNA are left out, and so are results
    for ambiguous names. What an interrupted run has read is not read again.

    Args:
        dsn: A connection string of libpq, such as ``postgresql://reader@host:5432/pfmegrnargs``.
        query: Take RNAs whose description holds these words, in any case.
        limit: Take at most N RNAs.
        sleep: Waits for N seconds before the server is tried again.

    Raises:
        ServiceError: if the server cannot be reached, or fails repeatedly.
    """
    with _Database(dsn, sleep) as database:
        for position in positions(corpus, PROGRESS, _Position()):
            database.run(partial(_add_page, corpus, position, query, limit))


def is_reachable(dsn: str, timeout: int = 5) -> bool:
    """Whether the database answers within `timeout` seconds, and has LitScan's tables."""
    try:
        with _connect(dsn, timeout) as connection:
            connection.execute("SELECT 1 FROM litscan_database LIMIT 1")
    except psycopg.Error:
        return False
    return True


def _connect(dsn: str, timeout: int) -> Connection:
    connection = psycopg.connect(
        dsn, autocommit=True, row_factory=dict_row, connect_timeout=timeout
    )
    connection.execute(f"SET search_path TO {SCHEMA}, public")
    return connection


class _Position(NamedTuple):
    """How far the source was read: behind which RNA to resume, and how many were taken."""

    after: str = ""
    taken: int = 0


def _add_page(
    corpus: Corpus, position: _Position, query: str | None, limit: int | None, database: Connection
) -> None:
    """Add the next RNAs with all that is known of them, and say how far that was."""
    following = {"after": position.after, "page": RNAS_PER_PAGE}
    ids = [row["primary_id"] for row in database.execute(IDS, following)]
    # What LIKE would read as a placeholder is meant as it stands.
    escaped = query and re.sub(r"[\\%_]", r"\\\g<0>", query)
    found = {"ids": [id.upper() for id in ids], "pattern": query and f"%{escaped}%"}
    rows = database.execute(RNAS, found).fetchall()
    rows = rows if limit is None else rows[: limit - position.taken]
    taken = position.taken + len(rows)
    with corpus.transaction():
        page = _read_page(corpus, database, rows)
        corpus.add_rnas(page.rnas)
        _add_papers(corpus, database, page)
        is_last = len(ids) < RNAS_PER_PAGE or taken == limit
        set_position(corpus, PROGRESS, None if is_last else _Position(ids[-1], taken))


def _read_page(corpus: Corpus, database: Connection, rows: Sequence[Row]) -> _Page:
    jobs = _read_jobs(corpus, database, [row["primary_id"] for row in rows])
    rnas = (_rna(row, jobs[row["primary_id"]]) for row in rows)
    page = _Page(list(keep_usable(corpus, rnas)))
    for rna in page.rnas:
        for job in jobs[rna.id.lower()]:
            page.rnas_of_job[job["job_id"]].append(rna.id)
    return page


def _read_jobs(corpus: Corpus, database: Connection, ids: Sequence[str]) -> dict[str, list[Row]]:
    """What LitScan searched for, by RNA; the name with the most papers first."""
    jobs: dict[str, list[Row]] = defaultdict(list)
    for job in database.execute(JOBS, {"ids": ids}):
        if is_ambiguous(_name_of(job)):
            corpus.skip("name", _name_of(job), "ambiguous")
        else:
            jobs[job["primary_id"]].append(job)
    for found in jobs.values():
        found.sort(key=lambda job: (-job["hit_count"], job["job_id"]))
    return jobs


def _rna(row: Row, jobs: Sequence[Row]) -> Rna:
    return Rna(
        id=row["id"],
        sequence=row["sequence"] or "",
        names=without_ids(map(_name_of, jobs), row["id"]),
        rna_type=row["rna_type"] or "ncRNA",
        organism=row["organism"],
        taxid=row["taxid"],
        family=row["family"],
    )


def _name_of(job: Row) -> str:
    return str(job["display_id"] or job["job_id"])


def _add_papers(corpus: Corpus, database: Connection, page: _Page) -> None:
    """Add mentions as they come, then the papers that the corpus does not have."""
    missing: set[str] = set()
    # A cursor on the server: well-known names have thousands of papers.
    with database.transaction(), database.cursor("results") as cursor:
        cursor.itersize = ARTICLES_PER_QUERY
        found = cursor.execute(RESULTS, {"jobs": list(page.rnas_of_job)})
        for chunk in batched(found, ARTICLES_PER_QUERY):
            about_rna = [row for row in chunk if row["rna_related"] is not False]
            corpus.add_mentions(_mentions(about_rna, page))
            missing |= {row["pmcid"] for row in about_rna if not corpus.has_paper(_id_of(row))}
            for row in chunk:
                if row["rna_related"] is False:
                    corpus.skip("article", row["pmcid"], "not about RNA, by LitScan's classifier")
    for ids in batched(sorted(missing), ARTICLES_PER_QUERY):
        corpus.add_papers(map(_paper, database.execute(ARTICLES, {"ids": ids})))


def _mentions(rows: Iterable[Row], page: _Page) -> Iterator[Mention]:
    for row in rows:
        places = (row["id_in_title"], row["id_in_abstract"], row["id_in_body"])
        for rna_id in page.rnas_of_job[row["job_id"]]:
            yield Mention(rna_id, _id_of(row), *map(bool, places))


def _id_of(row: Row) -> str:
    return paper_id(row["pmid"], row["pmcid"], row["doi"])


def _paper(row: Row) -> Paper:
    return make_paper(
        pmid=row["pmid"],
        pmcid=row["pmcid"],
        doi=row["doi"],
        title=row["title"],
        abstract=row["abstract"],
        year=row["year"],
        journal=row["journal"] or None,
        retracted=bool(row["retracted"]),
        types=(row["type"],) if row["type"] else (),
    )


class _Database:
    """A connection that is opened again when the server ends it."""

    def __init__(self, dsn: str, sleep: Callable[[float], None]) -> None:
        self._dsn = dsn
        self._sleep = sleep
        self._connection: Connection | None = None

    def __enter__(self) -> _Database:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def run(self, work: Callable[[Connection], None]) -> None:
        """Do a piece of work, again from its beginning where the connection is lost.

        Raises:
            ServiceError: if the server does not come back, or rejects.
        """
        again = retrying(ATTEMPTS, self._sleep, _may_pass, before_sleep=self._close)
        try:
            again(lambda: work(self._connect()))
        except psycopg.Error as error:
            problem = " ".join(str(error).split()) or type(error).__name__
            raise ServiceError(
                _address(self._dsn),
                problem,
                "check RNAQA_DATABASE_URL and PGPASSWORD, run again to resume, or read "
                "over HTTP instead (--source http)",
            ) from error

    def _connect(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = _connect(self._dsn, CONNECT_TIMEOUT)
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _may_pass(error: BaseException) -> bool:
    """Whether another try may help: a lost connection, a server that starts or is full."""
    if not isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
        return False
    # Class 28 of SQLSTATE: the name or the password is wrong.
    return not (error.sqlstate or "").startswith("28") and "authentication" not in str(error)


def _address(dsn: str) -> str:
    """Where the database is, without the password."""
    try:
        parts = psycopg.conninfo.conninfo_to_dict(dsn)
    except psycopg.Error:
        return "the database"
    return f"postgresql://{parts.get('host', '')}:{parts.get('port', '')}/{parts.get('dbname', '')}"


__all__ = ["is_reachable", "select"]
