"""Requests in batches, at half the price: gathered, sent together, answered within a day."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from tempfile import TemporaryFile
from typing import Any

from openai.types import Batch

from rnagpt.rna_qa.literature.llm.language_model import (
    ContextLengthExceeded,
    FieldRejected,
    Pending,
    Refused,
    Request,
    RequestRejected,
    RunStopped,
    ServiceUnavailable,
    count_tokens,
)
from rnagpt.rna_qa.literature.llm.openai_model import (
    OpenAiModel,
    answer_of,
    count_usage,
    rejection_answer,
    too_deep,
)
from rnagpt.rna_qa.literature.llm.request_cache import Answer
from rnagpt.rna_qa.literature.llm.request_form import BOUNDS, bound_of
from rnagpt.rna_qa.literature.retry import TransientError

# https://platform.openai.com/docs/guides/batch
MAX_REQUESTS = 50_000  # per file
MAX_BYTES = 200_000_000  # per file
ENDPOINT = "/v1/chat/completions"
ENDS = frozenset({"completed", "expired", "failed", "cancelled"})
POLL_SECONDS = 60.0
TRIES = 3  # batches that a request may be in without an answer
LINES_PER_TRANSACTION = 1000
CLOCKS_DIFFER = 3600  # seconds, at most, between this machine and the service


@dataclass(frozen=True)
class _Intent:
    """A batch in the ledger: `file` and `name` are the service's, None before they are known."""

    id: int
    intended_at: int
    tokens: int
    file: str | None
    name: str | None


class BatchModel:
    """Answers only from the cache; what is not there waits for a batch (`Pending`).

    A stage asks for all it needs, calls `settle`, and asks again, until nothing is pending. An
    answer is the same as from the `OpenAiModel`: both use one cache.

    A batch is written down before it is created, and the run's name is in its metadata: after a
    crash the next `settle` finds it in the service's list, or creates it if it is not there. No
    answered request is sent again; what expired or failed goes into another batch.

    Args:
        max_requests: Per batch, as the service allows.
        max_bytes: Per batch's file.
        queue_tokens: Of the inputs of all open batches; small accounts have such a cap.
        poll_seconds: Between looks at the open batches.
        sleep: Waits for N seconds; tests give another.
    """

    def __init__(
        self,
        model: OpenAiModel,
        *,
        max_requests: int = MAX_REQUESTS,
        max_bytes: int = MAX_BYTES,
        queue_tokens: int | None = None,
        poll_seconds: float = POLL_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = model.name
        self._model = model
        self._cache = model.cache
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._queue_tokens = queue_tokens
        self._poll_seconds = poll_seconds
        self._sleep = sleep
        self._came: set[str] = set()  # in this run, and not looked at yet
        # What an earlier run would have asked, this one may not: it asks again for what it needs.
        self._cache.query("DELETE FROM waiting WHERE batch IS NULL")

    def ask(self, request: Request) -> Any:
        """The answer, parsed, if it came.

        Raises:
            RequestFailed: no answer to this request; the run continues with others.
            Pending: it waits for a batch; `settle`, and ask again.
        """
        body = self._model.body(request)
        key = self._model.key(request, body)
        if answer := self._model.cached(key, request):
            is_new = key in self._came
            self._came.discard(key)
            return self._model.read(key, answer, request, is_new=is_new)
        text = json.dumps(body, ensure_ascii=False)  # as it is sent: `_as_sent`
        self._cache.query("INSERT OR IGNORE INTO waiting VALUES (?, ?, 0, NULL)", key, text)
        raise Pending("the request waits for a batch")

    def settle(self) -> int:
        """Send what waits, and wait until all is answered; the number of answers that came.

        Raises:
            RunStopped: if the budget, or the service, allows nothing more. What came is cached, and
                open batches are taken up by the next run.
        """
        before = len(self._came)
        while True:
            stopped = self._submit()
            intents = self._intents("open")
            for intent in intents:
                batch = self._look_at(intent)
                if batch.status in ENDS:
                    self._collect(intent, batch)
            if not intents:
                if stopped:
                    raise stopped
                return len(self._came) - before
            if len(self._intents("open")) == len(intents):
                self._sleep(self._poll_seconds)

    # Sending

    def _submit(self) -> RunStopped | None:
        """Create all batches that may be created; why no more, if anything waits."""
        for intent in self._intents("intended"):
            self._create(intent)
        while True:
            next_one, stopped = self._intend()
            if next_one is None:
                return stopped
            self._create(next_one)

    def _intents(self, *states: str) -> list[_Intent]:
        rows = self._cache.query(
            "SELECT id, intended_at, tokens, file, name, state FROM batches"
            " WHERE state <> 'done' ORDER BY id"
        )
        return [_Intent(*row) for *row, state in rows if state in states]

    def _intend(self) -> tuple[_Intent | None, RunStopped | None]:
        """Write down the next batch, with the cost of its requests; None if there can be none."""
        now = int(time.time())
        with self._cache.transaction() as database:
            id = database.execute(
                "INSERT INTO batches (intended_at, tokens, state) VALUES (?, 0, 'intended')", (now,)
            ).lastrowid
            assert id is not None
            keys, tokens, stopped = self._choose(id)
            if not keys:
                database.execute("DELETE FROM batches WHERE id = ?", (id,))
                return None, stopped
            database.executemany(
                "UPDATE waiting SET batch = ? WHERE key = ?", ((id, key) for key in keys)
            )
            database.execute("UPDATE batches SET tokens = ? WHERE id = ?", (tokens, id))
        return _Intent(id, now, tokens, None, None), None

    def _choose(self, id: int) -> tuple[list[str], int, RunStopped | None]:
        """The requests of the next batch, their tokens, and why there are no more of them."""
        taken = sum(intent.tokens for intent in self._intents("intended", "open"))
        room = None if self._queue_tokens is None else self._queue_tokens - taken
        keys: list[str] = []
        tokens = size = 0
        for key, text in self._waiting():
            text = self._as_sent(text)
            size += len(_line(key, text))
            tokens_of_one = count_tokens(text)
            if len(keys) == self._max_requests or size > self._max_bytes:
                break
            if room is not None and tokens + tokens_of_one > room:
                return keys, tokens, RequestRejected(_TOO_FULL.format(tokens_of_one, room))
            bounds = self._model.bounds(json.loads(text), text)
            if stopped := self._model.spending.begin_in_batch(key, *bounds, id):
                return keys, tokens, stopped
            keys.append(key)
            tokens += tokens_of_one
        return keys, tokens, None

    def _waiting(self, batch: int | None = None) -> Iterator[tuple[str, str]]:
        """Key and body of the requests of a batch, or of none."""
        with self._cache.transaction() as database:
            yield from database.execute(
                "SELECT key, body FROM waiting WHERE batch IS ? ORDER BY key", (batch,)
            )

    def _as_sent(self, text: str) -> str:
        """The body of a waiting request in the form that the service takes."""
        return json.dumps(self._model.form.fit(json.loads(text)), ensure_ascii=False)

    def _create(self, intent: _Intent) -> None:
        """Create a batch that was written down, unless the service has it already."""
        file = intent.file or self._upload(intent)
        metadata = {"rna_qa_run": self._cache.run, "rna_qa_batch": str(intent.id)}
        batches = self._model.client.batches

        def find_or_create() -> Batch:
            # Looked for before every try: the answer to the last one may have been lost.
            found = self._find(intent, metadata)
            return found or _expect_batch(
                batches.create(
                    completion_window="24h",
                    endpoint="/v1/chat/completions",
                    input_file_id=file,
                    metadata=metadata,
                )
            )

        batch = self._model.call(find_or_create)
        self._update(intent, name=batch.id, state="open")

    def _upload(self, intent: _Intent) -> str:
        with TemporaryFile(dir=self._cache.path.parent) as file:
            for key, text in self._waiting(intent.id):
                file.write(_line(key, self._as_sent(text)))

            def upload() -> str:
                file.seek(0)
                return self._model.client.files.create(
                    file=(f"rna-qa-{intent.id}.jsonl", file), purpose="batch"
                ).id

            name = self._model.call(upload)
        self._update(intent, file=name)
        return name

    def _find(self, intent: _Intent, metadata: Mapping[str, str]) -> Batch | None:
        """The batch of these metadata in the service's list, which has the newest first."""
        for batch in self._model.client.batches.list(limit=100):
            if batch.created_at < intent.intended_at - CLOCKS_DIFFER:
                return None
            if batch.metadata == metadata:
                return batch
        return None

    def _update(self, intent: _Intent, **columns: str) -> None:
        names = ", ".join(f"{name} = ?" for name in columns)
        self._cache.query(f"UPDATE batches SET {names} WHERE id = ?", *columns.values(), intent.id)

    # Receiving

    def _look_at(self, intent: _Intent) -> Batch:
        assert intent.name is not None
        retrieve = partial(self._model.client.batches.retrieve, intent.name)
        return self._model.call(lambda: _expect_batch(retrieve()))

    def _collect(self, intent: _Intent, batch: Batch) -> None:
        """Cache the answers of a batch that ended, and release what has none."""
        problems: list[Exception] = []
        # Either may be missing: `completed` may come with errors only.
        for file in filter(None, (batch.output_file_id, batch.error_file_id)):
            problems += self._model.call(partial(self._read, intent, file))
        stop = self._stop(intent, batch)
        form = self._model.form
        rejected = {
            form.bound_name if problem.name in BOUNDS else problem.name
            for problem in problems
            if isinstance(problem, FieldRejected)
        }
        learned = not [name for name in sorted(rejected) if not form.learn(name)]
        tried = stop is None and batch.status != "failed" and not (rejected and learned)
        self._release(intent, batch.status, tried=tried)
        for problem in (stop, *problems):
            is_learned = learned and isinstance(problem, FieldRejected)
            if isinstance(problem, RunStopped) and not is_learned:
                raise problem
        ((given_up,),) = self._cache.query("SELECT count(*) FROM waiting WHERE tries >= ?", TRIES)
        if given_up:
            said = problems[0] if problems else "no reason given"
            raise ServiceUnavailable(
                f"{given_up:,} requests had no answer in {TRIES} batches ({said}); run again to "
                "send them again"
            )

    def _read(self, intent: _Intent, file: str) -> list[Exception]:
        """Cache the answers of a file; returns what stands in the place of the others."""
        problems: list[Exception] = []
        # On the disk first: the lines of JSON end with "\n" only, not with what else Unicode has.
        with TemporaryFile(dir=self._cache.path.parent) as lines:
            with self._model.client.files.with_streaming_response.content(file) as response:
                for part in response.iter_bytes():
                    lines.write(part)
            lines.seek(0)
            while chunk := list(islice(lines, LINES_PER_TRANSACTION)):
                with self._cache.transaction():
                    problems += self._take(intent, chunk)
        return problems

    def _take(self, intent: _Intent, lines: Iterable[bytes]) -> list[Exception]:
        problems = []
        for text in lines:
            try:
                line = json.loads(text)
                key = line["custom_id"]
            except RecursionError:
                # Nobody can read the line, but for its beginning.
                if name := re.search(rb'"custom_id":\s*"(\w+)"', text):
                    answer = too_deep(text.decode("utf-8", "replace"))
                    key = name[1].decode()
                    self._keep(intent, key, count_usage(answer, self._sent(key)))
                continue
            except (ValueError, LookupError, TypeError) as error:
                raise TransientError("a batch's file ends within a line") from error
            came = self._answer_of(key, line)
            if isinstance(came, Answer):
                self._keep(intent, key, came)
            else:
                problems.append(came)
        return problems

    def _answer_of(self, key: str, line: Mapping[str, Any]) -> Answer | Exception:
        """The answer of a line of a batch's output or error file, or what is there instead."""
        response = line.get("response") or {}
        body = response.get("body") or {}
        if response.get("status_code") == 200:
            try:
                return count_usage(answer_of(body), self._sent(key))
            except TransientError as fault:
                return fault
            except (LookupError, TypeError) as error:
                return TransientError(f"no completion in a batch's line ({error!r})")
        problem = line.get("error") or body.get("error") or {}
        code, message = str(problem.get("code") or ""), str(problem.get("message") or "")
        if not response:  # never asked: expired, or cancelled
            return TransientError(message or code or "neither an answer nor an error")
        status, param = int(response.get("status_code") or 500), str(problem.get("param") or "")
        meaning = self._model.explain(status, code, message, param=param)
        if isinstance(meaning, (ContextLengthExceeded, Refused)):
            return rejection_answer(meaning)
        return meaning

    def _sent(self, key: str) -> str:
        rows = self._cache.query("SELECT body FROM waiting WHERE key = ?", key)
        return self._as_sent(rows[0][0]) if rows else ""

    def _keep(self, intent: _Intent, key: str, answer: Answer) -> None:
        with self._cache.transaction():
            attempts = self._cache.query(
                "SELECT id FROM attempts WHERE batch = ? AND key = ?", intent.id, key
            )
            for (attempt,) in attempts:
                if sent := self._sent(key):
                    answer = replace(answer, most_tokens=bound_of(json.loads(sent)))
                self._came.add(key)
                self._model.spending.settle_in_batch(attempt, answer)
                self._cache.query("DELETE FROM waiting WHERE key = ?", key)

    def _stop(self, intent: _Intent, batch: Batch) -> RunStopped | None:
        """Why no other batch is to be created after this one, if so."""
        if batch.status == "cancelled":
            return ServiceUnavailable(f"batch {batch.id} was cancelled; run again to send the rest")
        if batch.status != "failed":
            return None
        problems = (batch.errors and batch.errors.data) or []
        said = "; ".join(f"{problem.code}: {problem.message}" for problem in problems[:3])
        if not any(problem.code == "token_limit_exceeded" for problem in problems):
            return RequestRejected(
                f"{self._model.base_url} does not take batch {batch.id} ({said})"
            )
        # The queue's cap is learned from a batch that it did not take.
        ((requests,),) = self._cache.query(
            "SELECT count(*) FROM waiting WHERE batch = ?", intent.id
        )
        if requests < 2:
            return RequestRejected(f"not even one request fits the queue ({said})")
        self._queue_tokens = intent.tokens // 2
        return None

    def _release(self, intent: _Intent, status: str, *, tried: bool) -> None:
        """Close a batch: nothing is paid for what was not answered, and it may be sent again."""
        with self._cache.transaction():
            unanswered = self._cache.query(
                "SELECT id FROM attempts WHERE batch = ? AND cost IS NULL", intent.id
            )
            for (attempt,) in unanswered:
                self._cache.fail(attempt, f"batch {status}", billed=False)
            self._cache.query(
                "UPDATE waiting SET batch = NULL, tries = tries + ? WHERE batch = ?",
                tried,
                intent.id,
            )
            self._update(intent, state="done")


_TOO_FULL = (
    "a request of {:,} tokens does not fit the {:,} tokens of the service's queue of batches; ask "
    "about fewer papers at a time (--token-budget), or without --batch-api"
)


def _expect_batch(batch: Any) -> Batch:
    """The batch; the package hands on as text what gateways put up with status 200."""
    if not isinstance(batch, Batch):
        raise TransientError(f"{str(batch)[:200]!r} in place of a batch")
    return batch


def _line(key: str, body: str) -> bytes:
    """A request's line in a batch's file."""
    head = json.dumps({"custom_id": key, "method": "POST", "url": ENDPOINT})
    return f'{head[:-1]}, "body": {body}}}\n'.encode()


__all__ = ["BatchModel"]
