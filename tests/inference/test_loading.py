"""Which model is loaded where none is named, and the names that the package exports."""

import ast

import pytest
from helpers.paths import ROOT
from helpers.tiny_server import make_parts

import rnagpt
from rnagpt.conversion import mini


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("model")
    for part in make_parts():
        part.save_pretrained(out)
    return out


@pytest.fixture(params=["variable", "bundled"])
def default(request, folder, monkeypatch):
    """The tiny model as what RNAGPT_MODEL names, or in the place of rna-gpt-mini."""
    monkeypatch.delenv("RNAGPT_MODEL", raising=False)
    if request.param == "variable":
        monkeypatch.setenv("RNAGPT_MODEL", str(folder))
    else:
        monkeypatch.setattr(mini, "load_bundled", lambda: folder)


@pytest.mark.usefixtures("default")
def test_the_default_model_is_loaded_where_none_is_named(folder):
    assert rnagpt.load_model().name_or_path == str(folder)
    named = rnagpt.load_processor(str(folder))
    assert rnagpt.load_processor().to_dict() == named.to_dict()
    chat = rnagpt.RnaChat.from_pretrained()
    assert chat.model.name_or_path == str(folder)
    chat.add_rna("ACGUACGU")
    assert "".join(chat.ask("What is this?", max_new_tokens=4))


@pytest.mark.usefixtures("default")
@pytest.mark.parametrize("load", [rnagpt.load_model, rnagpt.load_processor])
def test_an_empty_name_is_rejected_not_replaced(load):
    with pytest.raises(OSError, match=r"name is empty.*ORG/NAME"):
        load("")


def test_every_exported_name_is_what_type_checkers_see():
    """What `__all__` lists can be had, and is imported where type checkers look for it."""
    tree = ast.parse((ROOT / "__init__.py").read_text())
    checked = {
        name.name: f"rnagpt.{node.module}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
        for name in node.names
    }
    assert checked.keys() == set(rnagpt.__all__) - {"__version__"}
    for name, module in checked.items():
        value = getattr(rnagpt, name)
        # A constant does not say where it comes from.
        assert getattr(value, "__module__", module) == module
