"""What the documents say of the mini is what its evaluation found."""

import json
import re

import pytest
import yaml
from helpers.paths import ROOT

from rnagpt.hub.model_card import INDEXED

CHECKPOINT = ROOT / "checkpoints" / "rna-gpt-mini"
# A figure with its interval, to one place or to three: 0.889 (0.875–0.904), -4.6 (-5.0–-4.2)
FIGURE = re.compile(r"(-?\d+\.\d+) \((-?\d+\.\d+)–(-?\d+\.\d+)\)")


@pytest.fixture(scope="module")
def results():
    return json.loads((CHECKPOINT / "results.json").read_text())


def shown(number, like):
    """A number with as many decimal places as another one that is written down."""
    return f"{number:.{len(like.partition('.')[2])}f}"


@pytest.mark.parametrize(
    ("document", "at_least"),
    [("README.md", 17), ("docs/results.md", 50), ("checkpoints/rna-gpt-mini/README.md", 30)],
)
def test_figures_with_intervals_are_in_the_results(results, document, at_least):
    found = [
        (figure["value"], *figure["interval"])
        for table in results["figures"].values()
        for row in table.values()
        for figure in row.values()
        if figure["value"] is not None
    ]
    written = FIGURE.findall((ROOT / document).read_text())
    assert len(written) >= at_least
    reports = ("ablations.md", "encoder_probes.md")
    reported = [
        figure
        for name in reports
        for figure in FIGURE.findall((ROOT / "benchmarks" / name).read_text())
    ]
    for figure in written:
        known = [tuple(map(shown, one, figure)) for one in found] + reported
        assert figure in known, f"{figure} is in {document} and in no results"


def test_command_is_the_one_that_was_run(results):
    for document in (ROOT / "docs" / "results.md", CHECKPOINT / "README.md"):
        text = document.read_text().replace("\\\n", " ")
        (line,) = (x for x in text.splitlines() if "rnagpt evaluate --model" in x)
        words, run = line.split(), results["command"].replace("_", "-").split()
        for option in ("--limit", "--control-limit", "--compare-limit", "--unseen-limit"):
            given = [said[said.index(option) + 1] for said in (words, run) if option in said]
            assert len(given) == 2, option
            assert len(set(given)) == 1, option
        assert "--dtype bfloat16" in line


def test_model_index_is_of_the_results(results):
    front_matter = (ROOT / "README.md").read_text().split("---\n")[1]
    (model,) = yaml.safe_load(front_matter)["model-index"]
    said = [metric["value"] for result in model["results"] for metric in result["metrics"]]
    figures = results["figures"]
    assert said == [
        round(figures[table][row][name]["value"], 3) for table, row, name, *_ in INDEXED
    ]
