"""The services that several modules build from: PostgreSQL, and a language model that answers."""

from collections.abc import Iterator

import pytest
from helpers.fake_openai import KEY, FakeOpenAi, serve_openai
from helpers.rnacentral_postgres import server
from helpers.tiny_scribe import scribe

from rnagpt.rna_qa.literature.build.settings import RunOptions

__all__ = ["run", "server", "service"]


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeOpenAi]:
    monkeypatch.setenv("RNAQA_API_KEY", KEY)
    with serve_openai(scribe) as fake:
        yield fake


@pytest.fixture
def run(service: FakeOpenAi) -> RunOptions:
    return RunOptions(workers=1, concurrency=4, base_url=service.base_url)
