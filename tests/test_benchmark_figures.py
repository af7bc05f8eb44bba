"""What the benchmarks share: turns, ratios, the file of figures."""

import json
import sys
from pathlib import Path

import pytest
import torch
from conftest import make_model, make_processor

import rnagpt

sys.path.insert(0, str(Path(rnagpt.__file__).parent / "benchmarks"))
measured = pytest.importorskip("measured")


def figure(name, ours):
    return measured.Figure(name, ours, 1.0, "plain", ours, None, None, "nt/s", "ratio 2")


def test_ways_take_turns():
    order = []
    seconds = measured.take_turns(
        {"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3
    )
    assert order == ["a", "b"] * 3
    assert {name: len(taken) for name, taken in seconds.items()} == {"a": 3, "b": 3}


def test_a_ratio_is_that_of_each_round():
    # In the slow second round both took ten times as long.
    assert measured.ratio([2.0, 20.0, 2.2], [1.0, 10.0, 1.0]) == pytest.approx(2.0)


def test_a_figure_takes_the_place_of_its_last(tmp_path, monkeypatch):
    monkeypatch.setattr(measured, "RESULTS", tmp_path / "results.json")
    measured.keep([figure("one", 2.0), figure("two", 3.0)])
    measured.keep([figure("one", 5.0)])
    kept = json.loads((tmp_path / "results.json").read_text())
    assert [(one["figure"], one["ours"]) for one in kept] == [("one", 5.0), ("two", 3.0)]
    assert set(kept[0]) == {
        *("figure", "ours", "other", "other_name", "ratio"),
        *("limit", "share_of_limit", "unit", "target"),
    }


@pytest.mark.parametrize("length", [1, 32, 33, 100])
def test_tokens_of_windows_are_those_that_the_encoder_reads(length):
    encoding = pytest.importorskip("encoding")
    model = make_model(make_processor())
    read = []
    model.model.rna_encoder.register_forward_pre_hook(
        lambda module, args, kwargs: read.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    model.encode_rna(torch.full((1, length), 4))
    assert encoding.tokens_read(length, model.config) == sum(read)


def test_products_are_those_of_the_layers_that_run():
    training = pytest.importorskip("training")
    model = make_model(make_processor())
    encoder, body = model.model.rna_encoder.config, model.model.language_model.config
    size, inner = encoder.hidden_size, encoder.intermediate_size
    per_layer = 4 * size * size + 2 * size * inner
    assert training.linear_weights(model.model.rna_encoder) == encoder.num_hidden_layers * per_layer
    labels = torch.tensor([[-100, -100, 5, 6]])
    inputs = {"input_ids": torch.ones(1, 4), "labels": labels, "rna_input_ids": torch.ones(1, 7)}
    plain, ours = training.products(model, inputs), training.products(model, inputs, encoded=False)
    head = 4 * body.vocab_size * body.hidden_size
    assert plain - ours == head + 2 * 7 * encoder.num_hidden_layers * per_layer
