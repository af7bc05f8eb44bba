"""What tests of the Space start from: a tiny model, the page, and how the model stands."""

import pytest
from helpers.space_parts import LIMITS
from helpers.tiny_space import (
    load_tiny_model,
    model_loading,
    page,
    searching,
)


@pytest.fixture
def model_alone(monkeypatch):
    """Answers are the tiny model's own words, but where a test is `cited`."""
    monkeypatch.setenv(searching.VARIABLE, "none")


@pytest.fixture
def cited(model_alone, monkeypatch):
    """Answers are looked up in the families that come with rna-gpt-mini."""
    monkeypatch.delenv(searching.VARIABLE)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    load_tiny_model(tmp_path_factory.mktemp("tiny"))
    return model_loading.MODEL.loaded


@pytest.fixture(scope="module")
def built():
    return page.Page(LIMITS)


@pytest.fixture
def ready(loaded, monkeypatch):
    monkeypatch.setattr(model_loading.MODEL, "state", "ready")


@pytest.fixture
def loading(monkeypatch):
    """The model is on its way, and not there."""
    monkeypatch.setattr(model_loading.MODEL, "state", "loading")
    monkeypatch.setattr(model_loading.MODEL, "_loaded", None)
    model_loading.MODEL._done.clear()
    yield
    model_loading.MODEL._done.set()
