"""SQLite cache and cost ledger of LLM requests: nothing is paid twice."""

from __future__ import annotations

import errno
import hashlib
import json
import sqlite3
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from rnagpt.rna_qa.literature.answer_text import text_of_content

VERSION = 1  # of the tables
BUSY_TIMEOUT = 60  # seconds that one process waits for another's transaction
USD = 10**9  # money is counted in billionths of a dollar: whole numbers add up exactly
# `set_aside` are answers that are to be asked for again, `learned` is what a service was found to
# reject; files of older releases get both when they are opened.
# `attempts` is the ledger: a row for each time that a request is sent, written before it is sent.
# `cost` is null until the outcome is known, and `reserved`, the most that it can cost, stands in
# for it: what was on its way when the process died may have been billed. `spent` is the sum.
TABLES = """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, answer TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS quarantine (
    key TEXT PRIMARY KEY, reason TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS attempts (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, batch INTEGER, reserved INTEGER NOT NULL,
    cost INTEGER, tokens_in INTEGER, tokens_out INTEGER, outcome TEXT
);
CREATE INDEX IF NOT EXISTS attempts_of_batch ON attempts (batch, key) WHERE batch IS NOT NULL;
CREATE TABLE IF NOT EXISTS account (
    run TEXT NOT NULL, spent INTEGER NOT NULL,
    hits INTEGER NOT NULL, hit_tokens_in INTEGER NOT NULL, hit_tokens_out INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS batches (
    id INTEGER PRIMARY KEY, intended_at INTEGER NOT NULL, tokens INTEGER NOT NULL,
    file TEXT, name TEXT, state TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS waiting (
    key TEXT PRIMARY KEY, body TEXT NOT NULL, tries INTEGER NOT NULL, batch INTEGER
);
CREATE INDEX IF NOT EXISTS waiting_by_batch ON waiting (batch);
CREATE TABLE IF NOT EXISTS set_aside (
    key TEXT PRIMARY KEY, is_systematic INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS learned (
    service TEXT, field TEXT, PRIMARY KEY (service, field)
) WITHOUT ROWID
"""
_CACHE_ANSWER = """
INSERT INTO answers VALUES (?, ?) ON CONFLICT DO UPDATE SET answer = excluded.answer
WHERE key IN (SELECT key FROM set_aside)
"""
_TOTALS = """
SELECT
    count(*) FILTER (WHERE outcome = 'answered'),
    count(*) FILTER (WHERE outcome <> 'answered'),
    count(*) FILTER (WHERE outcome IS NULL),
    coalesce(sum(tokens_in), 0), coalesce(sum(tokens_out), 0),
    coalesce(sum(cost) FILTER (WHERE outcome = 'answered'), 0) / 1e9,
    (SELECT spent / 1e9 FROM account),
    (SELECT hits FROM account),
    (SELECT hit_tokens_in FROM account),
    (SELECT hit_tokens_out FROM account),
    (SELECT count(*) FROM quarantine)
FROM attempts
"""


@dataclass(frozen=True)
class Answer:
    """What a service said to a request, usable or not.

    `finish_reason` is OpenAI's (``stop``, ``length``, ``content_filter``), or ``input_too_long``
    where the service turned the input away, or ``malformed`` where it sent no text at all (`text`
    then says what); tokens are as the service counted them. `most_tokens` is the bound that the
    answer had, 0 where it is not known.
    """

    text: str
    finish_reason: str = "stop"
    refusal: str | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    most_tokens: int = 0


@dataclass(frozen=True)
class Totals:
    """The ledger's sums over all runs on one folder.

    `answered`, `failed` and `open` count requests that were sent: with an answer, without one,
    and with an unknown outcome as yet (on their way, in a batch, or lost with their process).
    `spent_usd` is what the answers cost and, for requests of unknown outcome, the most that they
    can have cost; `answers_usd` only the former. Hits are requests that needed no sending, and
    `rejected` answers that could not be used.
    """

    answered: int
    failed: int
    open: int
    tokens_in: int
    tokens_out: int
    answers_usd: float
    spent_usd: float
    hits: int
    hit_tokens_in: int
    hit_tokens_out: int
    rejected: int = 0


def _read_cached(text: str) -> Answer:
    """A cached answer; older releases cached contents that are no text as if they were."""
    fields = json.loads(text)
    words = text_of_content(fields["text"])
    if words is None:
        fields["finish_reason"] = "malformed"
    text = words if words is not None else json.dumps(fields["text"])
    return Answer(**{**fields, "text": text})


def request_key(endpoint: str, body: Mapping[str, Any], prompt_version: str = "") -> str:
    """The name of a request: SHA-256 of all that its answer depends on.

    Args:
        endpoint: The service's address.
        body: Model, messages, parameters and schema, as they are sent.
    """
    parts = (endpoint.rstrip("/"), body, prompt_version)
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class RequestCache:
    """Answers by the key of their request, and the ledger, in one SQLite file.

    An answer and its cost are on the disk, in one transaction, before anybody may use the answer.
    Threads may share a cache; processes of one machine may share its file (WAL needs shared
    memory, so no network drives).

    Args:
        path: The file; it is made where it does not exist.

    Raises:
        ValueError: if the file was not written by this version of the class.
        OSError: in any method, if the disk is full.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._turns: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
        self._hits = [0, 0, 0]  # requests, tokens in, tokens out; written at the end
        # Autocommit: transactions begin where `transaction` says, not where Python guesses.
        self._database = sqlite3.connect(
            path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
        )
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            self._database.close()
            if isinstance(error, sqlite3.OperationalError):
                raise
            raise ValueError(f"{path}: {error}; move it away, or name another folder") from error

    def _open(self) -> None:
        self._database.execute("PRAGMA journal_mode = WAL")
        # Even a power cut loses no answer: they cost money.
        self._database.execute("PRAGMA synchronous = FULL")
        with self.transaction() as database:
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version not in (0, VERSION):
                raise sqlite3.DatabaseError(f"tables of version {version}, expected {VERSION}")
            for statement in TABLES.split(";"):
                database.execute(statement)
            if version == 0:
                run = uuid.uuid4().hex
                database.execute("INSERT INTO account VALUES (?, 0, 0, 0, 0)", (run,))
                database.execute(f"PRAGMA user_version = {VERSION}")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing; within another transaction of the thread, a part of that."""
        with self._lock:
            if self._database.in_transaction:
                yield self._database
                return
            try:
                self._database.execute("BEGIN IMMEDIATE")
                yield self._database
                self._database.execute("COMMIT")
            except BaseException as error:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                self._check_disk(error)
                raise

    def query(self, statement: str, *values: Any) -> list[Any]:
        """The rows of a statement, all or nothing of which is done."""
        with self._lock:
            try:
                return self._database.execute(statement, values).fetchall()
            except sqlite3.OperationalError as error:
                self._check_disk(error)
                raise

    def _check_disk(self, error: BaseException) -> None:
        if isinstance(error, sqlite3.OperationalError) and "is full" in str(error):
            message = "the disk is full; make room and run again to resume"
            raise OSError(errno.ENOSPC, message, str(self.path)) from error

    def close(self) -> None:
        try:
            self._write_hits()
        finally:
            self._database.close()

    def __enter__(self) -> RequestCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Answers

    def get(self, key: str) -> Answer | None:
        """The answer to a request, None where it was not answered yet, or was set aside."""
        rows = self.query(
            "SELECT answer FROM answers WHERE key = ? AND key NOT IN (SELECT key FROM set_aside)",
            key,
        )
        return _read_cached(rows[0][0]) if rows else None

    @contextmanager
    def turn(self, key: str) -> Iterator[None]:
        """Threads that ask for the same key at the same time wait for one request."""
        with self._lock:
            turn = self._turns.setdefault(key, threading.Lock())
        with turn:
            yield

    def count_hit(self, answer: Answer) -> None:
        """Note that an answer was used without sending the request."""
        with self._lock:
            self._hits[0] += 1
            self._hits[1] += answer.tokens_in
            self._hits[2] += answer.tokens_out

    # What is to be asked for again, and how

    def set_aside(self, keys: Iterable[str], *, is_systematic: bool = True) -> None:
        """Have answers asked for again, when they are next needed; until then they stay cached.

        Args:
            is_systematic: They failed in a row, all of them for one reason.
        """
        with self.transaction() as database:
            database.executemany(
                "INSERT OR IGNORE INTO set_aside VALUES (?, ?)",
                [(key, is_systematic) for key in keys],
            )

    def has_set_aside(self) -> bool:
        """Whether answers wait to be asked for again that failed in a row."""
        return bool(self.query("SELECT 1 FROM set_aside WHERE is_systematic LIMIT 1"))

    def learn(self, service: str, field: str) -> None:
        """Note that a service does not take a field of requests."""
        self.query("INSERT OR IGNORE INTO learned VALUES (?, ?)", service, field)

    def learned(self, service: str) -> list[str]:
        """The fields that a service does not take."""
        rows = self.query("SELECT field FROM learned WHERE service = ? ORDER BY field", service)
        return [str(field) for (field,) in rows]

    # Quarantine

    def quarantine(self, key: str, reason: str) -> None:
        """Say why an answer cannot be used; it stays, so that it is not asked for again."""
        self.query("INSERT OR IGNORE INTO quarantine VALUES (?, ?)", key, reason)

    def release(self, key: str) -> None:
        """Take an answer out of quarantine, if it is there: it can be used after all."""
        if self.query("SELECT 1 FROM quarantine WHERE key = ?", key):
            self.query("DELETE FROM quarantine WHERE key = ?", key)

    def write_quarantine(self, path: Path) -> int:
        """Write the answers that cannot be used, with their reasons, as JSON lines; how many."""
        rows = self.query(
            "SELECT key, reason, answer FROM quarantine JOIN answers USING (key) ORDER BY key"
        )
        partial = path.with_name(f"{path.name}.partial")
        with partial.open("w", encoding="utf-8") as file:
            for key, reason, answer in rows:
                line = {"key": key, "reason": reason, **json.loads(answer)}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
        partial.replace(path)
        return len(rows)

    # Ledger

    @property
    def run(self) -> str:
        """A name that no other cache has, by which a service's batches are known as this one's."""
        ((run,),) = self.query("SELECT run FROM account")
        return str(run)

    def begin(
        self, key: str, reserved: int, limit: int | None = None, batch: int | None = None
    ) -> int | None:
        """Note that a request is about to be sent; its number, or None where the limit forbids it.

        Args:
            reserved: The most that it can cost, in billionths of a dollar.
            limit: What may be spent in all, likewise.
        """
        with self.transaction():
            if limit is not None:
                ((spent,),) = self.query("SELECT spent FROM account")
                if spent + reserved > limit:
                    return None
            self.query("UPDATE account SET spent = spent + ?", reserved)
            statement = "INSERT INTO attempts (key, batch, reserved) VALUES (?, ?, ?) RETURNING id"
            ((attempt,),) = self.query(statement, key, batch, reserved)
        return int(attempt)

    def settle(self, attempt: int, answer: Answer, cost: int) -> None:
        """Cache the answer to a request, and note what it cost in place of what was reserved."""
        with self.transaction():
            key = self._close(attempt, "answered", cost, answer.tokens_in, answer.tokens_out)
            if key is not None:
                self.query(_CACHE_ANSWER, key, json.dumps(asdict(answer), ensure_ascii=False))
                if self.query("DELETE FROM set_aside WHERE key = ? RETURNING key", key):
                    self.query("DELETE FROM quarantine WHERE key = ?", key)

    def fail(self, attempt: int, outcome: str, *, billed: bool) -> None:
        """Note that a request got no answer.

        Args:
            billed: It may have been paid for all the same: what was reserved counts as spent.
        """
        with self.transaction():
            ((reserved,),) = self.query("SELECT reserved FROM attempts WHERE id = ?", attempt)
            self._close(attempt, outcome, reserved if billed else 0)

    def _close(
        self,
        attempt: int,
        outcome: str,
        cost: int,
        tokens_in: int | None = None,
        tokens_out: int | None = None,
    ) -> str | None:
        """The key of an attempt that was open; one that is closed already stays as it is."""
        rows = self.query(
            "UPDATE attempts SET outcome = ?, cost = ?, tokens_in = ?, tokens_out = ?"
            " WHERE id = ? AND cost IS NULL RETURNING key, reserved",
            *(outcome, cost, tokens_in, tokens_out, attempt),
        )
        for key, reserved in rows:
            self.query("UPDATE account SET spent = spent + ?", cost - reserved)
            return str(key)
        return None

    def totals(self) -> Totals:
        """The ledger's sums, over this run and all earlier ones."""
        self._write_hits()
        (row,) = self.query(_TOTALS)
        return Totals(*row)

    def _write_hits(self) -> None:
        with self._lock:
            if any(self._hits):
                self.query(
                    "UPDATE account SET hits = hits + ?,"
                    " hit_tokens_in = hit_tokens_in + ?, hit_tokens_out = hit_tokens_out + ?",
                    *self._hits,
                )
                self._hits = [0, 0, 0]


__all__ = ["USD", "Answer", "RequestCache", "Totals", "request_key"]
