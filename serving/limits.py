"""Limits of one request and of the server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of the server; the model's own (longest RNA, context) apply too.

    Attributes:
        max_body_bytes: of a request.
        read_seconds: how long the head of a request may take, and its body.
        keep_alive_seconds: how long a connection stays open for a further request: longer than
            clients and proxies keep theirs (httpx 5 s, nginx 60 s, Go 90 s). Where the server is
            the first to close, a request that is on its way is lost.
        max_rnas: RNAs in one conversation.
        max_records: FASTA records in one request for a search alone, `/annotate`.
        max_searched_nt: nt of an RNA that is searched in a reference; 50,000 take a core some three
            seconds. What the model cannot read of it is answered about from records alone.
        max_choices: answers to one request (`n`).
        max_tokens: the longest answer, also where a request asks for a longer one or does not say.
        max_batch: answers that are written at once.
        max_waiting: answers that wait; further requests are rejected with 429.
        retry_after: seconds that a rejected client should wait (Retry-After).
        shutdown_seconds: how long running answers may take once the server is stopping.
    """

    max_body_bytes: int = 5_000_000
    read_seconds: int = 30
    keep_alive_seconds: int = 120
    max_rnas: int = 16
    max_records: int = 100
    max_searched_nt: int = 50_000
    max_choices: int = 8
    max_tokens: int = 1024
    max_batch: int = 32
    max_waiting: int = 128
    retry_after: int = 5
    shutdown_seconds: int = 60
