"""The registry of engines: what it names can be served, and naming one is all it takes."""

import asyncio

import pytest
from helpers.fresh_process import run_fresh
from helpers.tiny_server import make_parts

from rnagpt.cli.main import build_parser
from rnagpt.cli.serve import make_service
from rnagpt.serving.engines import ENGINES, EngineKind, EngineSettings
from rnagpt.serving.engines.transformers_engine import TransformersEngine
from rnagpt.serving.limits import Limits


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts") / "tiny"
    for part in make_parts():
        part.save_pretrained(folder)
    return folder


class SilentEngine:
    """An engine of another project, which answers nothing."""

    context, running, waiting = 77, 0, 0

    def __init__(self, settings, processor):
        self.settings, self.processor = settings, processor


def parse(folder, *options):
    return build_parser().parse_args(["serve", "--model", str(folder), *options])


def test_an_entry_is_all_that_a_new_engine_needs(folder, monkeypatch, capsys):
    monkeypatch.setitem(ENGINES, "silent", EngineKind("says nothing", SilentEngine))
    options = ("--engine", "silent", "--engine-option", "depth=2", "--dtype", "bfloat16")
    service = make_service(parse(folder, *options), Limits(max_batch=3, max_waiting=5))
    assert isinstance(service.engine, SilentEngine)
    assert service.engine.settings == EngineSettings(str(folder), 3, 5, "bfloat16", {"depth": 2})
    assert service.engine.processor is service.processor
    assert service.context == 77
    with pytest.raises(SystemExit):
        parse(folder, "--help")
    assert "silent: says nothing" in " ".join(capsys.readouterr().out.split())


def test_the_default_is_transformers_with_the_models_own_context(folder):
    service = make_service(parse(folder), Limits(max_batch=3))
    try:
        assert isinstance(service.engine, TransformersEngine)
        assert service.engine.max_batch == 3
        config = make_parts()[0].config.text_config
        assert service.context == service.engine.context == config.max_position_embeddings
    finally:
        asyncio.run(service.engine.close())


def test_an_engine_that_is_not_named_is_rejected(folder, capsys):
    with pytest.raises(SystemExit):
        parse(folder, "--engine", "tensorrt")
    told = capsys.readouterr().err
    assert "tensorrt" in told
    for name in ENGINES:
        assert name in told


def test_the_registry_needs_no_torch(tmp_path):
    code = "import sys, rnagpt.serving.engines; print('torch' in sys.modules)"
    assert run_fresh(code, folder=tmp_path).split() == ["False"]
