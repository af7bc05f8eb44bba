"""What the benchmarks share: turns, ratios, the file of figures."""

import itertools
import json
import random
import re
import subprocess
import sys

import pytest
import torch
from helpers.paths import ROOT
from helpers.tiny_models import make_model, make_processor

sys.path.insert(0, str(ROOT / "benchmarks"))
measured = pytest.importorskip("measured")


quick = pytest.importorskip("quick")

KEPT = json.loads((ROOT / "benchmarks" / "results.json").read_text())
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "docs" / "results.md",
    ROOT / "docs" / "benchmarks" / "index.md",
    ROOT / "checkpoints" / "rna-gpt-mini" / "README.md",
    *sorted((ROOT / "benchmarks").glob("*.md")),
]
NUMBER = r"[-+−]?\d[\d,]*(?:\.\d+)?"


def figure(name, ours, **options):
    options = {"other": 1.0, "other_name": "plain", "unit": "nt/s", "target": "ratio 2"} | options
    return measured.Figure(name, ours, **options)


def test_ways_take_turns():
    order = []
    seconds = measured.take_turns(
        {"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3
    )
    assert order == ["a", "b"] * 3
    assert {name: len(taken) for name, taken in seconds.items()} == {"a": 3, "b": 3}


def test_a_ratio_is_that_of_the_medians_beside_it():
    assert measured.ratio([2.0, 20.0, 2.2], [1.0, 10.0, 1.0]) == pytest.approx(2.2 / 1.0)


def test_an_interval_is_of_rounds_in_pairs():
    # Every round is twice as slow as the one before, and one way takes 3 times the other's time.
    slower = [3.0 * 2**turn for turn in range(8)]
    faster = [1.0 * 2**turn for turn in range(8)]
    assert measured.ratio_interval(slower, faster) == pytest.approx((3.0, 3.0))
    assert measured.ratio_interval(slower[:5], faster[:5]) is None


def test_an_interval_tells_a_difference_from_noise():
    noise = random.Random(1)
    one, other = ([noise.gauss(10, 1) for _ in range(40)] for _ in range(2))
    low, high = measured.ratio_interval(one, other)
    assert low < measured.ratio(one, other) < high
    assert low < 1 < high
    low, high = measured.ratio_interval([2 * seconds for seconds in one], other)
    assert 1.5 < low < high < 2.5


def test_a_figure_takes_the_place_of_its_last(tmp_path):
    file = tmp_path / "results.json"
    measured.store([figure("one", 2.0), figure("two", 3.0)], file)
    measured.store([figure("one", 5.0)], file)
    kept = json.loads(file.read_text())
    assert [(one["figure"], one["ours"]) for one in kept] == [("one", 5.0), ("two", 3.0)]
    assert all(set(one) == set(kept[0]) for one in KEPT)


def test_what_cannot_be_true_is_no_figure():
    for impossible in ({"limit": 1.5}, {"unit": "s", "limit": 2.5}, {"interval": (0.5, 1.9)}):
        with pytest.raises(ValueError, match=r"is not a limit|lies outside"):
            figure("one", 2.0, **impossible)
    assert figure("one", 2.0, limit=2.5).share_of_limit == pytest.approx(0.8)
    assert figure("one", 2.5, limit=2.0, unit="s").share_of_limit == pytest.approx(0.8)
    assert measured.limit_of(1.5, ours=2.0) is None


def test_a_run_on_less_changes_nothing_that_is_published(tmp_path, monkeypatch, capsys):
    report, results = tmp_path / "report.md", tmp_path / "results.json"
    monkeypatch.setattr(measured, "RESULTS", results)
    parser = measured.make_parser("A benchmark.")
    destination = {"report": report, "is_whole": False}
    measured.write_down(parser.parse_args([]), "text", [figure("one", 2.0)], **destination)
    assert "Not a whole run" in capsys.readouterr().err
    named = ["--results", str(tmp_path / "quick.json")]
    measured.write_down(parser.parse_args(named), "text", [figure("one", 2.0)], **destination)
    assert [path.name for path in tmp_path.iterdir()] == ["quick.json"]
    destination["is_whole"] = True
    measured.write_down(parser.parse_args([]), "text", [figure("one", 3.0)], **destination)
    assert (report.read_text(), json.loads(results.read_text())[0]["ours"]) == ("text", 3.0)


def test_the_quick_set_prints_what_it_measured_and_leaves_the_published(
    tmp_path, monkeypatch, capsys
):
    published = [figure("now", 4.0).row(), figure("of an older run", 9.0).row()]
    (tmp_path / "results.json").write_text(json.dumps(published))
    # A benchmark that measures one thing, with the options that all of them have.
    (tmp_path / "benchmark.py").write_text(
        f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(ROOT / "benchmarks")!r})
import measured
measured.RESULTS = Path(__file__).with_name("results.json")
parser = measured.make_parser(None)
parser.add_argument("--dataset")
figure = measured.Figure("now", 2.0, 1.0, "plain", "nt/s", "ratio 2")
args = measured.parse(parser)
measured.write_down(
    args, "text", [figure], report=Path(__file__).with_suffix(".md"), is_whole=False
)
"""
    )
    monkeypatch.setattr(quick, "HERE", tmp_path)
    monkeypatch.setattr(quick, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(quick, "QUICK_RESULTS", tmp_path / "quick.json")
    monkeypatch.setattr(quick, "QUICK", {"benchmark.py": []})
    monkeypatch.setattr(sys, "argv", ["quick.py", "--dataset", "rna-qa"])
    (tmp_path / "quick.json").write_text(json.dumps([figure("of the last run", 5.0).row()]))
    quick.main()
    (row,) = [line for line in capsys.readouterr().out.splitlines() if "nt/s" in line]
    assert [cell.strip() for cell in row.split("|")][1:6] == [
        *("now", "2 nt/s", "1 (plain)", "2.00", "4.00")
    ]
    assert json.loads((tmp_path / "results.json").read_text()) == published


def test_a_program_is_measured_whole():
    busy = "import time; end = time.process_time() + 0.5\nwhile time.process_time() < end: pass"
    taken = measured.run_program([sys.executable, "-c", busy])
    assert 0.5 <= taken.processor <= taken.clock + 0.1
    idle = measured.run_program([sys.executable, "-c", "import time; time.sleep(0.5)"])
    assert idle.processor < 0.4 < 0.5 <= idle.clock
    code = "import sys; sys.stderr.write('no such thing'); sys.exit(3)"
    with pytest.raises(RuntimeError, match="ended with 3: no such thing"):
        measured.run_program([sys.executable, "-c", code])


def test_the_quick_set_leaves_out_what_cannot_run(monkeypatch, capsys):
    monkeypatch.setattr(quick, "QUICK", {"search.py": [], "cpu_answers.py": []})
    monkeypatch.setattr(quick.shutil, "which", lambda program: None)
    monkeypatch.setattr(quick, "is_installed", lambda: False)
    monkeypatch.setattr(sys, "argv", ["quick.py", "--dataset", "rna-qa"])
    quick.main()
    out = capsys.readouterr().out
    assert "search.py is left out: hmmscan is not installed" in out
    assert "cpu_answers.py is left out: llama.cpp is not installed" in out


def test_every_part_of_the_quick_set_takes_its_options():
    for name, options in quick.QUICK.items():
        program = str(ROOT / "benchmarks" / name)
        help_text = subprocess.run(
            [sys.executable, program, "--help"], capture_output=True, text=True, check=True
        ).stdout
        named = {option for option in options if option.startswith("--")}
        assert all(option in help_text for option in named), name
        assert ("--dataset" in help_text) == (name not in quick.WITHOUT_DATASET)


def test_the_quick_set_s_own_file_is_not_committed():
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert quick.QUICK_RESULTS.relative_to(ROOT).as_posix() in ignored


@pytest.mark.parametrize(
    ("program", "option"),
    [
        ("training", "--no_growth"),
        ("training", "--language_model"),
        ("serving_load", "--vllm_python"),
        ("serving_load", "--max_tokens"),
        ("scale", "--dollars_per_gpu_hour"),
    ],
)
def test_an_option_as_older_reports_spell_it_is_answered_with_today_s(
    program, option, monkeypatch, capsys
):
    module = pytest.importorskip(program)
    monkeypatch.setattr(sys, "argv", [program, option, "1"])
    with pytest.raises(SystemExit):
        module.main()
    assert f"{option} is now {option.replace('_', '-')}" in capsys.readouterr().err


@pytest.mark.parametrize("kept", KEPT, ids=lambda kept: kept["figure"])
def test_a_kept_figure_can_be_true(kept):
    """What is written down of each is what division gives, and no limit is exceeded."""
    more_is_better = kept["unit"].endswith("/s")
    if kept["other"] is None:
        assert kept["ratio"] is None
    else:
        pair = (kept["ours"], kept["other"])
        better, than = pair if more_is_better else reversed(pair)
        assert kept["ratio"] == pytest.approx(better / than, rel=1e-9)
        # A figure that was fitted to what it is compared with says nothing.
        assert kept["ours"] != kept["other"]
    if kept["limit"] is None:
        assert kept["share_of_limit"] is None
    else:
        pair = (kept["ours"], kept["limit"])
        best, share = (max(pair), min(pair) / max(pair))
        assert best == kept["limit"] if more_is_better else best == kept["ours"]
        assert kept["share_of_limit"] == pytest.approx(share, rel=1e-9)
    if kept.get("interval"):
        low, high = kept["interval"]
        assert low <= kept["ratio"] <= high


def tables(document):
    """The tables of a document in Markdown: headers and rows."""
    found, lines = [], document.read_text().splitlines()
    for number, line in enumerate(lines):
        if re.fullmatch(r"\|(?: ?:?-+:? ?\|)+", line.strip()):
            rows = list(itertools.takewhile(lambda row: row.startswith("|"), lines[number + 1 :]))
            found.append(
                [
                    [c.strip() for c in row.strip("|").split("|")]
                    for row in [lines[number - 1].strip(), *(row.strip() for row in rows)]
                ]
            )
    return [(header, rows) for header, *rows in found]


def bounds(cell):
    """What a printed number may have been before it was rounded."""
    match = re.search(NUMBER, cell)
    text = match[0].replace(",", "").replace("−", "-")
    half = 0.5 * 10 ** -len(text.partition(".")[2])
    return float(text) - half, float(text) + half


def is_quotient(cell, over, under):
    """Whether a printed number can be the quotient of two printed ones."""
    (low, high), (least, most), (fewest, largest) = map(bounds, (cell, over, under))
    return low <= most / max(fewest, 1e-9) and high >= least / largest


RATIO_TABLES = {
    # The column of ratios, that of the values, and whether the ratio is to the row of 1.00 x.
    "encoding.md": ("over the official batches", "nt a second"),
    "chatting.md": ("over `generate`", "tokens a second"),
    "training.md": ("over plain", "questions a second"),
    "training_mini.md": ("over plain", "questions a second"),
    "serving_load.md": ("over one_by_one", "tokens a second"),
}


@pytest.mark.parametrize("name", RATIO_TABLES)
def test_ratios_in_reports_are_those_of_the_values_beside_them(name):
    ratios, values = RATIO_TABLES[name]
    checked = 0
    for header, rows in tables(ROOT / "benchmarks" / name):
        if ratios not in header:
            continue
        base = None
        for row in rows:
            cells = dict(zip(header, row, strict=True))
            base = cells[values] if cells[ratios].startswith("1.00 x") else base
            assert is_quotient(cells[ratios], cells[values], base), cells
            checked += 1
    assert checked > 1


def test_ratios_of_two_columns_are_those_of_the_columns():
    checked = 0
    for header, rows in tables(ROOT / "benchmarks" / "chatting.md"):
        if "second over first" in header:
            for row in rows:
                cells = dict(zip(header, row, strict=True))
                over, under = cells["second question"], cells["first question"]
                assert is_quotient(cells["second over first"], over, under), cells
                checked += 1
    assert checked == 6
    (time,) = [
        rows
        for header, rows in tables(ROOT / "benchmarks" / "explain_occlusion.md")
        if "the scores take" in header
    ]
    for row in time[1:]:
        assert is_quotient(row[2], time[0][1], row[1]), row


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_shares_are_at_most_1_and_intervals_hold_their_values(document):
    for header, rows in tables(document):
        for row in rows:
            for column, cell in zip(header, row, strict=True):
                if column.startswith("share of the limit") and cell:
                    assert 0 < float(cell) <= 1, row
    interval = rf"({NUMBER}) \(({NUMBER})(?:–| to )({NUMBER})\)"
    for value, low, high in re.findall(interval, document.read_text()):
        value, low, high = (float(text.replace(",", "")) for text in (value, low, high))
        assert low <= value <= high, (value, low, high)


def test_the_overview_says_what_is_kept():
    """Its figures of speed are those of `results.json`, rounded."""
    kept = {one["figure"]: one for one in KEPT}
    lines = (ROOT / "docs" / "benchmarks" / "index.md").read_text().splitlines()

    def said(start):
        (line,) = [line for line in lines if line.startswith(f"| {start}")]
        return re.findall(r"\d+\.\d+", line.split("|")[2])

    ways = ("int8", "int8, compiled", "float32, compiled")
    ratios = [kept[f"decoding, `RnaChat`, {way}"]["ratio"] for way in ways]
    assert said("a token with `int8=True`") == [f"{ratio:.1f}" for ratio in ratios]
    encoding = kept["encoding, float32"]
    assert said("encoding 128 RNAs") == [
        *(f"{encoding['ratio']:.1f}", f"{encoding['share_of_limit']:.2f}")
    ]
    training = [
        kept[f"training, RNA-FM-size encoder, {epoch}"] for epoch in ("first epoch", "later epochs")
    ]
    assert said("training with eight questions")[:2] == [f"{one['ratio']:.1f}" for one in training]


def test_ways_that_are_compared_write_the_same_tokens_in_one_mode():
    chatting = pytest.importorskip("chatting")
    processor = make_processor()
    model = make_model(processor)
    modes = []
    model.model.language_model.register_forward_pre_hook(
        lambda *args: modes.append(torch.is_inference_mode_enabled())
    )
    inputs = chatting.encode_question(processor)
    written = chatting.write(model, 4, **inputs)[0, inputs["input_ids"].shape[1] :]
    expected = processor.decode(written, skip_special_tokens=True)
    assert chatting.chat_once(model, processor, 4).strip() == expected.strip()
    assert modes == [True] * 8


def test_a_limit_is_that_of_the_run_s_own_type():
    encoding = pytest.importorskip("encoding")
    seconds = {
        encoding.OFFICIAL: [10.0],
        encoding.ALONE: [5.0],
        encoding.OURS: [2.0],
        encoding.ROUNDED: [1.0],
        encoding.QUANTIZED: [1.0],
        encoding.LIMIT: [1.6],
        encoding.ROUNDED_LIMIT: [0.8],
    }
    speed = encoding.speeds(seconds, 100)
    shares = [one.share_of_limit for one in encoding.figures(seconds, speed, costlier=1.2)]
    assert shares == [pytest.approx(1.6 / 2.0), pytest.approx(0.8 / 1.0), None, None]


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
