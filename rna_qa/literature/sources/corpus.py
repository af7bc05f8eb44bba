"""SQLite corpus of a build: RNAs, papers, mentions, and the progress of each source."""

from __future__ import annotations

import errno
import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from rnagpt.rna_qa.literature.records import Mention, Paper, Rna
from rnagpt.rna_qa.splits import Groups

VERSION = 1  # of the tables
ROWS_PER_PAGE = 1000  # in memory at a time
BUSY_TIMEOUT = 60  # seconds that one process waits for another's transaction
# `skipped` holds what was left out, a row each; `tallies` what is only counted.
TABLES = """
CREATE TABLE IF NOT EXISTS rnas (id TEXT PRIMARY KEY, json TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS papers (
    id TEXT PRIMARY KEY, json TEXT NOT NULL, complete INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS mentions (
    rna_id TEXT, paper_id TEXT,
    in_title INTEGER NOT NULL, in_abstract INTEGER NOT NULL, in_body INTEGER NOT NULL,
    PRIMARY KEY (rna_id, paper_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS progress (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS skipped (
    kind TEXT, id TEXT, reason TEXT NOT NULL, PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tallies (what TEXT PRIMARY KEY, times INTEGER NOT NULL) WITHOUT ROWID;
"""
# Papers that are one work with another one; files of older releases get it when they are opened.
LATER_TABLES = """
CREATE TABLE IF NOT EXISTS merged (
    id TEXT PRIMARY KEY, into_id TEXT NOT NULL, same_abstract INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS merged_into ON merged (into_id)
"""
_ADD_MENTION = """
INSERT INTO mentions VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    in_title = in_title | excluded.in_title,
    in_abstract = in_abstract | excluded.in_abstract,
    in_body = in_body | excluded.in_body
"""
_ADD_TALLY = (
    "INSERT INTO tallies VALUES (?, ?) ON CONFLICT DO UPDATE SET times = times + excluded.times"
)
_KEPT = "NOT EXISTS (SELECT 1 FROM skipped WHERE kind = 'paper' AND skipped.id = papers.id)"
# Of a merged paper, the abstract counts where the paper that is retained has the same; all else
# that it names counts as named in the body.
_PAPERS_OF_RNA = f"""
SELECT papers.json,
    max(in_title AND merged.id IS NULL),
    max(in_abstract AND coalesce(same_abstract, 1)),
    max(in_body OR (merged.id IS NOT NULL AND (in_title OR in_abstract)))
FROM mentions LEFT JOIN merged ON merged.id = paper_id
JOIN papers ON papers.id = coalesce(into_id, paper_id)
WHERE rna_id = ? AND {_KEPT} GROUP BY papers.id ORDER BY papers.id
"""
_KEYS_OF_PAPERS = f"""
SELECT id, json FROM papers WHERE id > ? AND ({_KEPT} OR EXISTS (
    SELECT 1 FROM skipped
    WHERE kind = 'paper' AND skipped.id = papers.id AND reason = 'retracted'
)) ORDER BY id LIMIT {ROWS_PER_PAGE}
"""


class Corpus:
    """RNAs, papers and mentions in one SQLite file that survives a kill at any moment.

    What happens within ``with corpus.transaction():`` is written together or not at all; a source
    writes a page of rows and its place in the source (`set_progress`) that way, and so neither
    loses nor repeats rows when it is taken up again. One process writes; any number may read. Once
    the writer has closed it, it is one plain file, which other machines may read over a network.

    Args:
        path: The file; it is made where it does not exist.

    Raises:
        ValueError: if the file was not written by this version of the class.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # Autocommit: transactions begin where `transaction` says, not where Python guesses.
        self._database = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None)
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            self.close()
            if isinstance(error, sqlite3.OperationalError):
                raise
            raise ValueError(f"{path}: {error}; delete it, or name another folder") from error

    def _open(self) -> None:
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        if version == VERSION:
            for statement in LATER_TABLES.split(";"):
                self._database.execute(statement)
            return
        if version:
            raise sqlite3.DatabaseError(f"tables of version {version}, expected {VERSION}")
        with self.transaction():
            for statement in (*TABLES.split(";"), *LATER_TABLES.split(";")):
                self._database.execute(statement)
            self._database.execute(f"PRAGMA user_version = {VERSION}")

    def close(self) -> None:
        # The log is shared in memory, so that machines that share a file system cannot read it.
        # It stays where another process has the file open: that one then ends it.
        with suppress(sqlite3.Error):
            self._database.execute("PRAGMA busy_timeout = 0")
            self._database.execute("PRAGMA journal_mode = DELETE")
        self._database.close()

    def __enter__(self) -> Corpus:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; within another transaction, a part of that.

        Raises:
            OSError: if the disk is full.
        """
        if self._database.in_transaction:
            yield
            return
        try:
            # Write-ahead logging: others read meanwhile, and a kill loses nothing. A power cut may
            # lose the last transactions, whole ones: rows and progress, which are fetched again.
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.execute("BEGIN IMMEDIATE")
            yield
            self._database.execute("COMMIT")
        except BaseException as error:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            if isinstance(error, sqlite3.OperationalError) and "is full" in str(error):
                message = "the disk is full; make room and run again to resume"
                raise OSError(errno.ENOSPC, message, str(self.path)) from error
            raise

    # Writing

    def _write(self, statement: str, rows: Iterable[tuple[Any, ...]] = ((),)) -> None:
        with self.transaction():
            self._database.executemany(statement, rows)

    def add_rnas(self, rnas: Iterable[Rna]) -> None:
        """Add RNAs; of several with one id the first stands, the others are tallied."""
        rows = ((rna.id, rna.to_json()) for rna in rnas)
        self._add("INSERT OR IGNORE INTO rnas VALUES (?, ?)", rows, "RNA given again")

    def add_papers(self, papers: Iterable[Paper], *, complete: bool = False) -> None:
        """Add papers; of several with one id the first stands, the others are tallied.

        `complete`: no other service is to be asked about them.
        """
        rows = ((paper.id, paper.to_json(), complete) for paper in papers)
        self._add("INSERT OR IGNORE INTO papers VALUES (?, ?, ?)", rows, "paper given again")

    def _add(self, statement: str, rows: Iterable[tuple[Any, ...]], repeated: str) -> None:
        with self.transaction():
            ignored = sum(not self._database.execute(statement, row).rowcount for row in rows)
            self.tally(repeated, ignored)

    def replace_papers(self, papers: Iterable[Paper], *, complete: bool = True) -> None:
        """Write papers again under their ids, as another service completed them."""
        rows = ((paper.id, paper.to_json(), complete) for paper in papers)
        self._write("INSERT OR REPLACE INTO papers VALUES (?, ?, ?)", rows)

    def add_mentions(self, mentions: Iterable[Mention]) -> None:
        """Add mentions; what several say of one RNA and paper is joined: a place stays found."""
        rows = (
            (m.rna_id, m.paper_id, bool(m.in_title), bool(m.in_abstract), bool(m.in_body))
            for m in mentions
        )
        self._write(_ADD_MENTION, rows)

    def skip(self, kind: str, id: str, reason: str) -> None:
        """Leave out an RNA, a paper or a name (`kind`: ``rna``, ``paper``, ``name``).

        The first reason stands. Skipped papers stay in the corpus, but `read_shard` and
        ``iter_papers(kept=True)`` pass over them.
        """
        self._write("INSERT OR IGNORE INTO skipped VALUES (?, ?, ?)", [(kind, id, reason)])

    def clear_skipped(self, kind: str) -> None:
        """Forget what was skipped of a kind, so that it can be judged again."""
        self._write("DELETE FROM skipped WHERE kind = ?", [(kind,)])

    def merge_paper(self, id: str, into_id: str, *, same_abstract: bool) -> None:
        """Note that a paper is one work with another one, which then has its mentions."""
        row = (id, into_id, same_abstract)
        self._write("INSERT OR REPLACE INTO merged VALUES (?, ?, ?)", [row])

    def clear_merged(self) -> None:
        """Forget what was merged."""
        self._write("DELETE FROM merged")

    def tally(self, what: str, times: int = 1) -> None:
        """Add to a number of the summary."""
        if times:
            self._write(_ADD_TALLY, [(what, times)])

    def set_progress(self, key: str, value: str) -> None:
        """Note how far a source was read, in one transaction with the rows up to there."""
        self._write("INSERT OR REPLACE INTO progress VALUES (?, ?)", [(key, value)])

    # Reading

    def progress(self, key: str) -> str | None:
        """How far a source was read; None where it was not begun."""
        row = self._database.execute("SELECT value FROM progress WHERE key = ?", (key,)).fetchone()
        return row and str(row[0])

    def has_rna(self, id: str) -> bool:
        return self._count("rnas WHERE id = ?", id) > 0

    def has_paper(self, id: str) -> bool:
        return self._count("papers WHERE id = ?", id) > 0

    def read_paper(self, id: str) -> Paper | None:
        row = self._database.execute("SELECT json FROM papers WHERE id = ?", (id,)).fetchone()
        return row and Paper.from_json(row[0])

    def group_papers(self, keys_of: Callable[[Paper], Iterable[str]]) -> list[list[str]]:
        """The ids of papers that share a key, directly or by others, in groups of two or more.

        Papers that were skipped take no part, but for the retracted. On disk: keys may be many.
        """
        self._database.execute("CREATE TEMP TABLE keys (key TEXT, id TEXT)")
        try:
            last = ""
            while page := self._database.execute(_KEYS_OF_PAPERS, (last,)).fetchall():
                rows = ((key, id) for id, text in page for key in keys_of(Paper.from_json(text)))
                self._database.executemany("INSERT INTO keys VALUES (?, ?)", rows)
                last = page[-1][0]
            shared = self._database.execute(
                "SELECT json_group_array(DISTINCT id) FROM keys GROUP BY key"
                " HAVING count(DISTINCT id) > 1"
            )
            groups, ids = Groups(), set[str]()
            for (found,) in shared:
                first, *others = json.loads(found)
                ids.update((first, *others))
                for other in others:
                    groups.join(first, other)
            return sorted(groups.members(sorted(ids)))
        finally:
            self._database.execute("DROP TABLE keys")

    def has_skipped(self, kind: str, id: str) -> bool:
        return self._count("skipped WHERE kind = ? AND id = ?", kind, id) > 0

    def num_rnas(self) -> int:
        return self._count("rnas")

    def num_shards(self, shard_size: int) -> int:
        """How many shards of `shard_size` RNAs there are; the last one may be smaller."""
        return -(-self.num_rnas() // shard_size)

    def read_shard(
        self, shard: int, shard_size: int
    ) -> Iterator[tuple[Rna, list[tuple[Paper, Mention]]]]:
        """The RNAs of a shard, each with the papers that name it; both in the order of their ids.

        Papers that were skipped are left out. In memory is one RNA with its papers.

        Args:
            shard: From 0.
            shard_size: RNAs per shard.
        """
        # Only the index of ids is walked to the shard's beginning, some milliseconds for 100,000.
        statement = "SELECT id FROM rnas ORDER BY id LIMIT ? OFFSET ?"
        ids = self._database.execute(statement, (shard_size, shard * shard_size)).fetchall()
        for (id,) in ids:
            (text,) = self._database.execute("SELECT json FROM rnas WHERE id = ?", (id,)).fetchone()
            yield Rna.from_json(text), self._papers_of(id)

    def _papers_of(self, rna_id: str) -> list[tuple[Paper, Mention]]:
        rows = self._database.execute(_PAPERS_OF_RNA, (rna_id,))
        papers = ((self._with_other_ids(Paper.from_json(text)), flags) for text, *flags in rows)
        return [(paper, Mention(rna_id, paper.id, *map(bool, flags))) for paper, flags in papers]

    def _with_other_ids(self, paper: Paper) -> Paper:
        statement = "SELECT id FROM merged WHERE into_id = ? ORDER BY id"
        ids = self._database.execute(statement, (paper.id,)).fetchall()
        return replace(paper, also_known_as=tuple(id for (id,) in ids)) if ids else paper

    def iter_rnas(self) -> Iterator[Rna]:
        """All RNAs by id; the corpus may be written to meanwhile."""
        return map(Rna.from_json, self._iter_json("rnas", "TRUE"))

    def iter_papers(self, *, kept: bool = False, incomplete: bool = False) -> Iterator[Paper]:
        """Papers by id; the corpus may be written to meanwhile.

        Args:
            kept: Pass over the skipped ones; the others have the ids of those merged into them.
            incomplete: Pass over those that `add_papers` or `replace_papers` called complete.
        """
        conditions = [_KEPT] * kept + ["NOT complete"] * incomplete
        found = self._iter_json("papers", " AND ".join(conditions) or "TRUE")
        papers = map(Paper.from_json, found)
        return map(self._with_other_ids, papers) if kept else papers

    def _iter_json(self, table: str, condition: str) -> Iterator[str]:
        # Page by page: a cursor that stays open may see rows twice that are written meanwhile.
        statement = (
            f"SELECT id, json FROM {table} WHERE id > ? AND {condition} "
            f"ORDER BY id LIMIT {ROWS_PER_PAGE}"
        )
        last = ""
        while page := self._database.execute(statement, (last,)).fetchall():
            yield from (text for _, text in page)
            last = page[-1][0]

    def counts(self) -> dict[str, Any]:
        """Numbers for the summary.

        ``rnas``, ``papers``, ``papers_kept``, ``mentions``; ``skipped`` by kind and reason;
        ``tallies`` by what was tallied.
        """
        skipped: dict[str, dict[str, int]] = defaultdict(dict)
        statement = "SELECT kind, reason, COUNT(*) FROM skipped GROUP BY kind, reason ORDER BY 1, 2"
        for kind, reason, count in self._database.execute(statement):
            skipped[kind][reason] = count
        return {
            "rnas": self.num_rnas(),
            "papers": self._count("papers"),
            "papers_kept": self._count(f"papers WHERE {_KEPT}"),
            "mentions": self._count("mentions"),
            "skipped": dict(skipped),
            "tallies": dict(self._database.execute("SELECT * FROM tallies ORDER BY what")),
        }

    def _count(self, rows: str, *values: str) -> int:
        statement = f"SELECT COUNT(*) FROM {rows}"
        return int(self._database.execute(statement, values).fetchone()[0])


__all__ = ["Corpus"]
