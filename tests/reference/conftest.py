"""A reference of five real families."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.paths import DATA

from rnagpt.reference.edit import read_families
from rnagpt.reference.library import Reference
from rnagpt.reference.writer import write_reference

SEEDS = DATA / "rfam_five_families.seed"


@pytest.fixture(scope="session")
def five_families(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a reference of the five families of `SEEDS`; not to be changed."""
    out = tmp_path_factory.mktemp("five") / "reference"
    write_reference(out, read_families(SEEDS), name="Five families", release="1", licence="CC0-1.0")
    return out


@pytest.fixture
def reference(five_families: Path, own_cache: Path) -> Reference:
    return Reference.open(five_families)


@pytest.fixture(scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of the session's own."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RNAGPT_CACHE", str(cache))
        yield cache
