"""Fixtures of the tests that publish to a Hub on loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.small_hub import SmallHub, serve_hub


@pytest.fixture(autouse=True)
def without_xet(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small hub has no Xet, and the client's waits would take minutes."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[SmallHub]:
    with serve_hub(tmp_path / "hub") as hub:
        yield hub
