"""What the servers of the tests are made of."""

from __future__ import annotations

import pytest
from helpers.tiny_server import make_parts

from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor
from rnagpt.reference.library import Reference


@pytest.fixture(scope="module")
def parts() -> tuple[RnaGptForCausalLM, RnaGptProcessor]:
    """A tiny random model and its processor."""
    return make_parts()


@pytest.fixture(scope="module")
def reference() -> Reference:
    """Families of Rfam, which rna-gpt-mini brings."""
    return Reference.open()
