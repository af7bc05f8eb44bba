"""The command `rnagpt evaluate` from end to end, with tiny models and tiny data."""

import argparse
import json
import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from helpers.made_seed import make_dataset
from helpers.tiny_evaluation import FAMILIES, make_rows, write_data
from helpers.tiny_models import make_model, make_processor
from transformers import LlamaForCausalLM

from rnagpt.cleaning_rnagpt import CleanedRna
from rnagpt.cli.main import build_parser
from rnagpt.conversion.projector_folder import save_projector
from rnagpt.evaluation import evaluate as evaluation
from rnagpt.evaluation import metrics as findings
from rnagpt.evaluation import search_quality, systems
from rnagpt.evaluation.calibration import Calibration
from rnagpt.evaluation.entities import SCORES
from rnagpt.evaluation.metrics import Figures
from rnagpt.evaluation.runner import begins_alike
from rnagpt.evaluation.search_baseline import search_labels
from rnagpt.evaluation.systems import Rating, Reply, System
from rnagpt.evaluation.tasks import QUESTIONS, DrawnRna
from rnagpt.inference.loading import load_model
from rnagpt.reference.library import Reference

TRNA, SEC, U6 = "RF00005", "RF01852", "RF00026"
RNA_GPT, SWAPPED, SHUFFLED, NO_RNA = (
    "RNA-GPT",
    "another family's RNA",
    "shuffled, dinucleotides kept",
    "no RNA",
)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few draws for intervals."""
    monkeypatch.setattr(findings, "Figures", partial(Figures, resamples=20))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny RNA-GPT with its language model and projection, and a tiny RNA-QA."""
    folder = tmp_path_factory.mktemp("evaluation")
    processor = make_processor(merge_size=3, summary_size=2)
    model = make_model(processor)
    model.save_pretrained(folder / "model")
    processor.save_pretrained(folder / "model")
    save_projector(model.model.projector.state_dict(), model.config, folder / "alignment")
    torch.manual_seed(1)
    LlamaForCausalLM(model.config.text_config).save_pretrained(folder / "text")
    processor.tokenizer.save_pretrained(folder / "text")
    train = make_rows(FAMILIES[:3], 4) + make_rows(FAMILIES[3:4], 1)
    write_data(
        folder / "data",
        train=Dataset.from_list(train),
        validation=Dataset.from_list(make_rows(FAMILIES[:3], 2, seed=2)),
        test=Dataset.from_list(make_rows(FAMILIES[:4], 3, seed=1)),
        test_families=Dataset.from_list(make_rows(FAMILIES[4:6], 2, seed=3)),
    )
    return folder


def parse(words: Sequence[str]) -> argparse.Namespace:
    return build_parser().parse_args(["evaluate", *words])


def ask(words: Sequence[str]) -> None:
    arguments = parse(["--embedding-models", "", *words])
    evaluation.evaluate(arguments, *evaluation.prepare(arguments))


def run(folder: Path, out: Path, *options: str, data: str = "data") -> dict:
    arguments = ["--model", str(folder / "model"), "--dataset", str(folder / data)]
    few = ["--min-training-rnas", "4", "--max-new-tokens", "4"]
    ask([*arguments, *few, *options, str(out)])
    return json.loads((out / "results.json").read_text())


def read_lines(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]


class Knowing(System):
    """Knows every RNA of the data by its sequence, and declines whatever else it is given."""

    def answer(self, question: str, rnas: Sequence[CleanedRna | None]) -> Iterator[Reply]:
        known = {}
        drawn = ((FAMILIES[:4], 3, 1), (FAMILIES[:3], 2, 2), (FAMILIES[4:6], 2, 3))
        for families, each, seed in drawn:
            for row in make_rows(families, each, seed=seed):
                known[row["sequence"]] = row
        for rna in rnas:
            row = known.get(rna.sequence) if rna else None
            if row is None:
                yield Reply("I do not recognise this RNA.", -0.5)
            elif question == QUESTIONS["family"]:
                yield Reply(f"It is {row['family_accession']}.", -0.1)
            else:
                known_of = {QUESTIONS["type"]: row["rna_type"]}
                yield Reply(known_of.get(question, row["annotation"]), -0.1)

    def rate(
        self, question: str, rnas: Sequence[CleanedRna | None], answers: Sequence[str]
    ) -> Iterator[Rating]:
        for rna in rnas:
            yield Rating(-1.0 if rna else -5.0, 3)


class Parrot(Knowing):
    """Says the same of every RNA, and is sure of it."""

    def answer(self, question: str, rnas: Sequence[CleanedRna | None]) -> Iterator[Reply]:
        said = {
            QUESTIONS["family"]: "It is U6.",
            QUESTIONS["type"]: "a tRNA",
            QUESTIONS["known"]: "U6 spliceosomal RNA, a spliceosomal snRNA. It splices.",
        }
        for _ in rnas:
            yield Reply(said[question], -0.01)


def value(results: dict, table: str, row: str, name: str) -> float | None:
    return results["figures"][table][row][name]["value"]


def test_results_of_random_models(folder: Path, tmp_path: Path) -> None:
    results = run(
        folder,
        tmp_path,
        *("--systems", "sequence,fusion,rnagpt", "--compare-limit", "5"),
        *("--language-model", str(folder / "text"), "--alignment", str(folder / "alignment")),
    )
    drawn = {"rnas": 12, "unlabelled": 0, "eligible": 9, "rejected": 0, "drawn": 9, "families": 3}
    assert results["data"]["evaluated"] == drawn
    assert {group: counts["drawn"] for group, counts in results["data"].items()} == {
        "evaluated": 9,
        "calibration": 6,
        "unseen": 4,
    }
    figures = results["figures"]
    nearest, majority = "nearest training RNA (8-mers)", "majority class"
    three = ["RNA Sequence", "Modality Fusion", RNA_GPT]
    blind = ["language model, no RNA", nearest, majority, "random training RNA"]
    assert list(figures["systems"]) == [*three, *blind]
    controls = [SWAPPED, SHUFFLED, NO_RNA]
    assert list(figures["controls"]) == [RNA_GPT, *controls, *blind[1:]]
    # Without an RNA there is one answer; every other row is a ratio to the plain one's.
    assert list(figures["ratios"]) == [f"{row} / RNA Sequence" for row in (*three[1:], *blind)]
    alone = [row for row in read_lines(tmp_path) if row["system"] == "sequence"]
    assert len({row["answer"] for row in alone if row["control"] == "none"}) <= 3
    assert all(0 <= value(results, "systems", nearest, name) <= 1 for name in SCORES)
    assert figures["systems"][RNA_GPT]["ROUGE-L"]["n"] == 5
    assert figures["controls"][RNA_GPT]["right family"]["n"] == 9
    # By their making: a neighbour shares half of the sequence, and its family's annotation; a third
    # is of each family, and the largest class of types has two of three.
    assert value(results, "systems", nearest, "ROUGE-L") == 1
    assert value(results, "controls", nearest, "right family") == 1
    assert value(results, "controls", majority, "right family") == pytest.approx(1 / 3)
    assert value(results, "controls", majority, "right type") == pytest.approx(2 / 3)
    both = [
        value(results, "systems", row, "ROUGE-L") for row in ("Modality Fusion", "RNA Sequence")
    ]
    of_both = value(results, "ratios", "Modality Fusion / RNA Sequence", "ROUGE-L")
    assert of_both == (pytest.approx(both[0] / both[1]) if both[1] else None)
    assert value(results, "controls", RNA_GPT, "right family") == 0
    assert value(results, "controls", RNA_GPT, "log-likelihood, family") < 0
    assert len({tuple(results["settings"][name]) for name in results["settings"]}) == 3
    assert str(folder) not in json.dumps(results)
    rows = read_lines(tmp_path)
    # Family and type under four controls, what is known of five RNAs, all about those that the
    # calibration is fitted on, family and type of those never seen; two systems more, the plain one
    # without an RNA too.
    assert len(rows) == 2 * 4 * 9 + 4 * 5 + 3 * 6 + 2 * 4 + 3 * 3 * 5
    assert len({row["key"] for row in rows}) == len(rows)


def test_out_holds_tables_charts_and_samples(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systems, "System", Knowing)
    run(folder, tmp_path / "one")
    again = run(folder, tmp_path / "two")
    names = {path.name for path in (tmp_path / "one").iterdir()}
    charts = {f"{name}.{end}" for name in ("rouge", "risk_coverage") for end in ("png", "svg")}
    texts = {"results.json", "tables.md", "tables.csv", "samples.md", "predictions.jsonl"}
    assert names == charts | texts
    for name in names - {"results.json"}:
        same = [(tmp_path / run / name).read_bytes() for run in ("one", "two")]
        assert same[0] == same[1], name
    ElementTree.parse(tmp_path / "one" / "rouge.svg")
    tables = (tmp_path / "one" / "tables.md").read_text()
    assert tables.count("## ") == len(again["figures"]) == 6
    assert "## What is known about the first 9 of 9 RNAs of 3 families" in tables
    assert "## Best answers, by the ROUGE-L of RNA-GPT" in (tmp_path / "one/samples.md").read_text()


def test_controls_may_be_asked_about_fewer_rnas(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systems, "System", Knowing)
    results = run(folder, tmp_path, "--control-limit", "4")
    controls, grounding = results["figures"]["controls"], results["figures"]["grounding"]
    refusals = results["figures"]["refusals"]
    assert controls[RNA_GPT]["right family"]["n"] == 9
    assert refusals["RNAs of known families"]["abstains"]["n"] == 9
    assert refusals["shuffled RNAs of known families"]["abstains"]["n"] == 4
    for control in (SWAPPED, SHUFFLED, NO_RNA):
        assert controls[control]["right type"]["n"] == 4
        assert grounding[control]["right family"] == {"value": 1, "interval": [1, 1], "n": 4}
        assert grounding[control]["ROUGE-L"]["n"] == 9
    assert "controls on the first 4" in (tmp_path / "tables.md").read_text()


def test_controls_cost_a_model_that_knows_all_and_a_parrot_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systems, "System", Knowing)
    results = run(folder, tmp_path / "knowing")
    controls, grounding = results["figures"]["controls"], results["figures"]["grounding"]
    assert controls[RNA_GPT]["right family"] == {"value": 1, "interval": [1, 1], "n": 9}
    for control in (SWAPPED, SHUFFLED, NO_RNA):
        assert controls[control]["right family"]["value"] == 0
        assert grounding[control]["right family"]["value"] == 1
        assert grounding[control]["ROUGE-L"]["value"] > 0
    # Two of the three families are tRNAs: a partner may be of the same type.
    assert 0 < controls[SWAPPED]["right type"]["value"] < 1
    assert controls[NO_RNA]["log-likelihood, family"]["value"] == -5
    assert grounding[NO_RNA]["log-likelihood, family: nats"]["value"] == 4
    refusals = results["figures"]["refusals"]
    assert refusals["RNAs of known families"]["abstains"]["value"] == 0
    assert refusals["shuffled RNAs of known families"]["claims a family"]["value"] == 0
    assert results["figures"]["unseen families"][RNA_GPT]["right type"]["value"] == 1

    monkeypatch.setattr(systems, "System", Parrot)
    results = run(folder, tmp_path / "parrot")
    controls, grounding = results["figures"]["controls"], results["figures"]["grounding"]
    for control in (SWAPPED, SHUFFLED, NO_RNA):
        assert controls[control]["right family"]["value"] == pytest.approx(1 / 3)
        assert grounding[control]["right family"]["value"] == 0
        assert grounding[control]["ROUGE-L"]["value"] == pytest.approx(0)
    refusals = results["figures"]["refusals"]
    assert refusals["shuffled RNAs of known families"]["claims a family"]["value"] == 1
    assert refusals["RNAs of families never seen"]["names one of the data set"]["value"] == 1


def test_families_are_listed_with_the_least_known_first(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systems, "System", Parrot)
    monkeypatch.setattr(findings, "LEAST_OF_FAMILY", 3)
    families = run(folder, tmp_path / "all")["figures"]["families"]
    assert list(families) == ["tRNA", "tRNA-Sec", "U6"]
    assert [families[name]["right family"]["value"] for name in families] == [0, 0, 1]
    assert families["U6"]["abstains"] == {"value": 0, "interval": [0, 0], "n": 3}

    monkeypatch.setattr(findings, "LEAST_OF_FAMILY", 4)
    assert "families" not in run(folder, tmp_path / "none")["figures"]


def test_a_parrots_confidence_is_how_often_it_is_right(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systems, "System", Parrot)
    results = run(folder, tmp_path)
    both = results["figures"]["confidence"]["family and type"]
    # Of six validation RNAs it has two families, four types and what is known of two right: 8 of
    # 18. As Platt counts them, that is 8 times 9/10 and 10 times 1/12.
    expected = (8 * 9 / 10 + 10 / 12) / 18
    assert both["mean confidence"]["value"] == pytest.approx(expected, abs=1e-3)
    assert both["share right"]["value"] == pytest.approx(0.5)
    error = both["ECE (10 bins of equal mass)"]["value"]
    assert error == pytest.approx(0.5 - expected, abs=1e-3)
    known = results["figures"]["confidence"]["what is known"]
    assert known["share right"]["value"] == pytest.approx(1 / 3)
    assert both["risk at coverage 0.8"]["value"] == pytest.approx(0.5)
    coverage, risk = results["risk_coverage"]["family and type"]
    assert len(coverage) == len(risk) == 18
    assert (coverage[-1], risk[-1]) == (1, 0.5)


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("U6 spliceosomal RNA, a spliceosomal snRNA. It splices.", True),
        ("U6 spliceosomal RNA, a spliceosomal snRNA", True),
        ("u6 spliceosomal RNA, a spliceosomal snRNA, and more", True),
        ("U6 spliceosomal RNA, a tRNA. It is RNA number 2.", False),
        ("It is U6 spliceosomal RNA, a spliceosomal snRNA.", False),
        ("", False),
    ],
)
def test_what_is_known_has_to_begin_as_the_annotation(answer: str, right: bool) -> None:
    annotation = "U6 spliceosomal RNA, a spliceosomal snRNA. It is RNA number 2."
    assert begins_alike(annotation, answer) == right


def test_the_calibration_is_written_into_the_model(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(folder / "model", tmp_path / "model")
    shutil.copytree(folder / "data", tmp_path / "data")
    monkeypatch.setattr(systems, "System", Parrot)
    fitted = run(tmp_path, tmp_path / "out", "--write-calibration")["calibration"]
    config = load_model(str(tmp_path / "model")).config
    assert (config.confidence_scale, config.confidence_bias) == (fitted["scale"], fitted["bias"])
    expected = (8 * 9 / 10 + 10 / 12) / 18  # as above
    assert Calibration(**fitted)([-0.01]) == pytest.approx(expected, abs=1e-3)


def test_an_interrupted_run_goes_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(folder, tmp_path / "whole")
    expected = {row["key"]: row for row in read_lines(tmp_path / "whole")}
    (tmp_path / "cut").mkdir()
    lines = (tmp_path / "whole" / "predictions.jsonl").read_text().splitlines(keepends=True)
    # Killed while it wrote the thirtieth answer.
    (tmp_path / "cut" / "predictions.jsonl").write_text("".join(lines[:29]) + lines[29][:-40])
    asked = []
    original = System.answer

    def watched(system: System, question: str, rnas: Sequence[CleanedRna | None]):
        asked.extend(rnas)
        return original(system, question, rnas)

    monkeypatch.setattr(System, "answer", watched)
    resumed = run(folder, tmp_path / "cut")
    assert resumed["figures"] == whole["figures"]
    rows = read_lines(tmp_path / "cut")
    assert {row["key"]: row for row in rows} == expected
    assert len(rows) == len(expected)
    asked.clear()
    run(folder, tmp_path / "cut")
    assert asked == []
    run(folder, tmp_path / "cut", "--max-new-tokens", "3", "--limit", "4")
    assert asked


def test_systems_differ_in_their_parts_alone(folder: Path, tmp_path: Path) -> None:
    """Fusion with RNA-GPT's own language model and projection is RNA-GPT."""
    model = load_model(str(folder / "model"))
    plain = LlamaForCausalLM(model.config.text_config)
    plain.model.load_state_dict(model.model.language_model.state_dict())
    plain.lm_head.load_state_dict(model.lm_head.state_dict())
    plain.save_pretrained(tmp_path / "text")
    make_processor().tokenizer.save_pretrained(tmp_path / "text")
    run(
        folder,
        tmp_path / "out",
        *("--systems", "fusion,rnagpt", "--language-model", str(tmp_path / "text")),
        *("--alignment", str(folder / "alignment")),
    )
    answers: dict[str, dict] = {"fusion": {}, "rnagpt": {}}
    for row in read_lines(tmp_path / "out"):
        if row["control"] == "real" and row["group"] in ("compared", "evaluated"):
            answers[row["system"]][row["question"], row["id"]] = row["answer"]
    assert answers["fusion"] == answers["rnagpt"]
    assert len(answers["fusion"]) == 27


def test_the_search_has_a_row_where_the_data_set_has_a_reference(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its training part: families of which it holds no cluster are not found."""
    monkeypatch.setenv("RNAGPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(systems, "System", Parrot)
    data = make_dataset(tmp_path)
    shutil.copytree(folder / "model", tmp_path / "model")
    results = run(tmp_path, tmp_path / "out", "--compare-limit", "6")
    for table in ("systems", "controls"):
        assert 0 <= value(results, table, "search", "right family") <= 1
    search, chance = (
        value(results, "systems", row, "entity F1") for row in ("search", "random training RNA")
    )
    assert search is not None
    assert chance is not None
    known = Reference.open(tmp_path / "out" / "train")
    rnas = search_quality.read_rnas(str(data))
    held = {rna.family for rna in rnas["train"]}
    assert set(known.families) == held
    hits = search_quality.best_hits([rna.sequence for rna in rnas["test"]], known, 1e-3, 1)
    labels = search_labels(known, {"evaluated": [drawn(rna) for rna in rnas["test"]]})["evaluated"]
    assert labels.family == [hit.record.id if hit else None for hit in hits]
    assert all(labels.annotation)


def drawn(rna: search_quality.AskedRna) -> DrawnRna:
    cleaned = CleanedRna(rna.id, rna.sequence)
    return DrawnRna(rna.id, cleaned, rna.family, rna.family, "", rna.type, "")


def test_a_data_set_without_families_is_asked_for_types(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    families = ["family", "family_accession", "family_description"]
    rows = Dataset.from_list(make_rows(FAMILIES[:4], 3)).remove_columns(families)
    write_data(tmp_path / "data", train=rows, test=rows)
    shutil.copytree(folder / "model", tmp_path / "model")
    monkeypatch.setattr(systems, "System", Parrot)
    results = run(tmp_path, tmp_path / "out")
    assert list(results["questions"]) == ["type", "known"]
    assert value(results, "controls", RNA_GPT, "right type") == pytest.approx(0.5)
    assert "right family" not in results["figures"]["controls"]["majority class"]
    assert results["calibration"] is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--split", "dev"], "has no split 'dev'; its splits are train, validation"),
        (["--unseen-split", "dev"], "has no split 'dev'"),
        (
            ["--write-calibration", "--systems", "sequence", "--language-model", "TEXT"],
            "have 'rnagpt' among --systems",
        ),
        (["--min-training-rnas", "50"], "none is left to ask about"),
        (["--limit", "1"], "of one family"),
        (["--systems", "sequence"], "no adapter to switch off"),
        (["--systems", "fusion", "--language-model", "TEXT"], "needs the projection"),
        (
            ["--systems", "fusion", "--language-model", "TEXT", "--alignment", "TEXT"],
            "holds no projector_config.json",
        ),
        (["--systems", "sequence", "--language-model", "nowhere"], "nowhere does not exist"),
        (["--systems", "sequence", "--language-model", "ALIGNMENT"], "neither a config.json nor"),
        (
            ["--systems", "sequence", "--language-model", "TEXT", "--max-new-tokens", "500"],
            r"RNA Sequence: .*60 nt as text .* reads 512",
        ),
        (["--embedding-models", "openai:embedder"], "'openai:embedder' needs a key"),
    ],
)
def test_what_cannot_be_used_is_rejected_before_any_work(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    message: str,
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "RNAQA_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    folders = {name.upper(): str(folder / name) for name in ("text", "alignment")}
    given = [folders.get(word, word) for word in options]
    words = ["--dataset", str(folder / "data"), "--model", str(folder / "model")]
    few = ["--min-training-rnas", "4", "--max-new-tokens", "4"]
    with pytest.raises((ValueError, OSError), match=message):
        ask([*words, *few, *given, str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_a_row_without_a_sequence_is_named(folder: Path, tmp_path: Path) -> None:
    rows = make_rows(FAMILIES[:3], 4)
    rows[7]["sequence"] = None
    shutil.copytree(folder / "model", tmp_path / "model")
    sound = Dataset.from_list(make_rows(FAMILIES[:3], 4))
    write_data(tmp_path / "data", train=sound, test=Dataset.from_list(rows))
    with pytest.raises(ValueError, match=r"1 of 12 rows of .* have an empty sequence, or none: 7 "):
        run(tmp_path, tmp_path / "out")


@pytest.mark.parametrize("column", ["rna_type", "annotation"])
def test_data_without_a_column_are_rejected(folder: Path, tmp_path: Path, column: str) -> None:
    rows = Dataset.from_list(make_rows(FAMILIES, 1)).remove_columns(column)
    shutil.copytree(folder / "model", tmp_path / "model")
    write_data(tmp_path / "data", train=rows, test=rows)
    with pytest.raises(
        (ValueError, OSError), match=rf"split 'train' of .* lacks {column} and has id, "
    ):
        run(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_splits_with_other_columns_are_rejected(folder: Path, tmp_path: Path) -> None:
    rows = Dataset.from_list(make_rows(FAMILIES, 1))
    shutil.copytree(folder / "model", tmp_path / "model")
    write_data(tmp_path / "data", train=rows.remove_columns("rna_type"), test=rows)
    with pytest.raises(
        (ValueError, OSError), match="All its files need the same columns, and rows"
    ):
        run(tmp_path, tmp_path / "out")


def test_an_empty_split_is_rejected(folder: Path, tmp_path: Path) -> None:
    rows = Dataset.from_list(make_rows(FAMILIES, 1))
    shutil.copytree(folder / "model", tmp_path / "model")
    write_data(tmp_path / "data", train=rows, test=rows.select([]))
    with pytest.raises(
        (ValueError, OSError), match="has an empty split: test; its splits are train"
    ):
        run(tmp_path, tmp_path / "out")


def test_an_empty_usual_split_is_done_without(folder: Path, tmp_path: Path) -> None:
    """No RNA to fit the confidence on, which a small data set has not: the rest is evaluated."""
    rows = Dataset.from_list(make_rows(FAMILIES[:3], 4))
    shutil.copytree(folder / "model", tmp_path / "model")
    write_data(tmp_path / "data", train=rows, test=rows, validation=rows.select([]))
    results = run(tmp_path, tmp_path / "out")
    assert results["data"]["evaluated"]["drawn"] == 12
    assert results["calibration"] is None


def test_a_projection_of_another_shape_is_rejected(folder: Path, tmp_path: Path) -> None:
    model = make_model(make_processor(merge_size=2))
    save_projector(model.model.projector.state_dict(), model.config, tmp_path / "alignment")
    options = ["--language-model", str(folder / "text"), "--alignment", str(tmp_path / "alignment")]
    with pytest.raises((ValueError, OSError), match="rna_merge_size=2 instead of 3"):
        run(folder, tmp_path / "out", "--systems", "fusion", *options)


def test_a_language_model_of_another_size_is_rejected(folder: Path, tmp_path: Path) -> None:
    config = make_model(make_processor(), text={"num_hidden_layers": 1}).config.text_config
    LlamaForCausalLM(config).save_pretrained(tmp_path / "text")
    with pytest.raises((ValueError, OSError), match="num_hidden_layers 1 instead of 2"):
        run(
            folder,
            tmp_path / "out",
            *("--systems", "sequence", "--language-model", str(tmp_path / "text")),
        )


def test_answers_in_an_older_form_are_rejected(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "predictions.jsonl").write_text('{"system": "rnagpt"}\n')
    with pytest.raises(ValueError, match="in an older form"):
        run(folder, tmp_path)


@pytest.mark.parametrize(
    "words", [["--limit", "0"], ["--systems", "all"], ["--matching", "both"], ["--systems"]]
)
def test_wrong_words_are_rejected(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--model", "m", "--dataset", "d", *words, "out"])
    assert words[0] in capsys.readouterr().err


def test_out_follows_the_systems() -> None:
    words = ["--model", "m", "--dataset", "d", "--systems", "sequence,rnagpt", "out"]
    arguments = parse(words)
    assert (arguments.systems, arguments.out) == (["sequence", "rnagpt"], Path("out"))
    with pytest.raises(SystemExit):
        parse(words[:4])


def test_larger_limits_ask_the_same_and_more(folder: Path, tmp_path: Path) -> None:
    words = ["--model", str(folder / "model"), "--dataset", str(folder / "data"), "--seed", "1"]
    few, more = (
        evaluation.prepare(
            parse([*words, "--min-training-rnas", "1", "--limit", limit, str(tmp_path)])
        )[1].groups["evaluated"]
        for limit in ("5", "12")
    )
    assert more[:5] == few
    assert len(more) == 12


def test_rnas_that_cannot_be_asked_about_are_counted(folder: Path, tmp_path: Path) -> None:
    rows = make_rows(FAMILIES[:3], 4)
    rows[0]["sequence"] = "MKVLA"
    rows[1]["annotation"] = ""
    write_data(tmp_path / "data", train=Dataset.from_list(rows), test=Dataset.from_list(rows))
    shutil.copytree(folder / "model", tmp_path / "model")
    results = run(tmp_path, tmp_path / "out", "--limit", "12")
    counts = results["data"]["evaluated"]
    assert (counts["rejected"], counts["unlabelled"], counts["drawn"]) == (1, 1, 10)
