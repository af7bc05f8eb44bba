import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import make_model, make_processor, make_rna
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from tiny_parts import tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from rnagpt import evaluate_sft
from rnagpt.evaluate_sft import Judge, find_nearest, main, make_parser, read_predictions
from rnagpt.naming_score import Names, bootstrap_interval, draw_partners, fold

# Accession, ID, description and type as Rfam has them.
FAMILIES = [
    ("RF00005", "tRNA", "tRNA", "tRNA"),
    ("RF01852", "tRNA-Sec", "Selenocysteine transfer RNA", "tRNA"),
    ("RF00026", "U6", "U6 spliceosomal RNA", "spliceosomal snRNA"),
    ("RF00619", "U6atac", "U6atac minor spliceosomal RNA", "spliceosomal snRNA"),
    ("RF01182", "SNORD11", "Small nucleolar RNA SNORD11", "C/D box snoRNA"),
    ("RF00181", "SNORD113", "Small nucleolar RNA SNORD113/SNORD114 family", "C/D box snoRNA"),
    ("RF01317", "CRISPR-DR8", "CRISPR RNA direct repeat element", "CRISPR RNA"),
    ("RF01318", "CRISPR-DR9", "CRISPR RNA direct repeat element", "CRISPR RNA"),
    ("RF00066", "U7", "U7 small nuclear RNA", "snRNA"),
]


def make_rows(families: list[tuple[str, ...]], each: int, seed: int = 0) -> list[dict[str, str]]:
    """RNAs that keep half of their family's sequence."""
    rows = []
    for number, (accession, family, description, rna_type) in enumerate(families):
        for copy in range(each):
            sequence = make_rna(30, seed=number) + make_rna(30, seed=1000 * (seed + 1) + copy)
            row = {"id": f"{family}/{seed}-{copy}", "sequence": sequence, "rna_type": rna_type}
            rows.append(
                row
                | {
                    "family": family,
                    "family_accession": accession,
                    "family_description": description,
                }
            )
    return rows


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge(Dataset.from_list(make_rows(FAMILIES, 1)))


@pytest.mark.parametrize(
    ("answer", "accession", "right"),
    [
        ("It belongs to the tRNA family (tRNA, RF00005).", "RF00005", True),
        ("selenocysteine  TRANSFER rna!", "RF01852", True),
        ("tRNA_Sec", "RF01852", True),
        ("It belongs to tRNA-Sec.", "RF00005", False),
        ("The U6 spliceosomal RNA.", "RF00026", True),
        ("U6atac minor spliceosomal RNA", "RF00026", False),
        ("It is a minor spliceosomal RNA.", "RF00619", False),
        ("It is a spliceosomal RNA.", "RF00026", False),
        ("SNORD113", "RF01182", False),
        ("SNORD11", "RF00181", False),
        ("It belongs to SNORD11, RF01182", "RF01182", True),
        ("A small nucleolar RNA", "RF01182", False),
        ("rf00181", "RF00181", True),
        ("RF001811", "RF00181", False),
        ("CRISPR RNA direct repeat element", "RF01317", False),
        ("CRISPR RNA direct repeat element (CRISPR-DR8)", "RF01317", True),
        ("", "RF00005", False),
    ],
)
def test_family_is_named(judge: Judge, answer: str, accession: str, right: bool) -> None:
    assert judge([answer, ""], accession, "tRNA")["family"] is right


@pytest.mark.parametrize(
    ("answer", "rna_type", "right"),
    [
        ("It is a c/d  box snoRNA.", "C/D box snoRNA", True),
        ("It is a snoRNA.", "C/D box snoRNA", False),
        ("It is an H/ACA box snoRNA.", "C/D box snoRNA", False),
        ("a spliceosomal snRNA", "snRNA", False),
        ("an snRNA", "snRNA", True),
        ("an snRNA", "spliceosomal snRNA", False),
    ],
)
def test_type_is_named(judge: Judge, answer: str, rna_type: str, right: bool) -> None:
    assert judge(["", answer], "RF00005", rna_type)["type"] is right


def test_answer_with_a_second_family_is_not_the_only_one(judge: Judge) -> None:
    hedged = judge(["U6 or perhaps U7", ""], "RF00026", "")
    assert (hedged["family"], hedged["family_only"]) == (True, False)
    assert judge(["U6 (RF00026)", ""], "RF00026", "")["family_only"]


@given(st.text(alphabet="abAB1 -_/.", max_size=12), st.text(alphabet="ab 1-", max_size=12))
def test_a_name_is_found_exactly_where_its_words_stand(name: str, text: str) -> None:
    # Independent: folded texts are compared as strings with a space around every word.
    padded_name, padded_text = (f" {' '.join(fold(part))} " for part in (name, text))
    expected = {"it"} if padded_name.strip() and padded_name in padded_text else set()
    assert Names({"it": [name]}).named_in(text) == expected


def test_partners_are_of_other_families_and_seeded() -> None:
    families = ["a"] * 5 + ["b", "c"]
    partners = draw_partners(families, seed=3)
    assert all(families[i] != families[j] for i, j in enumerate(partners))
    assert partners.tolist() == draw_partners(families, seed=3).tolist()
    # Every RNA of another family is drawn sometimes.
    drawn = {draw_partners(families, seed)[5] for seed in range(60)}
    assert drawn == {0, 1, 2, 3, 4, 6}


def test_partners_need_two_families() -> None:
    with pytest.raises(ValueError, match="of one family"):
        draw_partners(["a", "a"], seed=0)


def test_interval_agrees_with_the_normal_approximation() -> None:
    scores = np.repeat([0.0, 1.0], [700, 300])
    low, high = bootstrap_interval(scores, seed=0)
    half = 1.96 * np.sqrt(0.3 * 0.7 / 1000)
    assert (low, high) == pytest.approx((0.3 - half, 0.3 + half), abs=0.004)
    assert bootstrap_interval(np.ones(5), seed=0) == (1.0, 1.0)


def test_nearest_agrees_with_cosines_counted_by_hand() -> None:
    known = [make_rna(40, seed=i) for i in range(30)]
    queries = [known[7][5:30], known[3][:20] + known[11][:25], make_rna(40, seed=99), "ACGU"]

    def kmers(sequence: str) -> list[str]:
        return [sequence[i : i + 3] for i in range(len(sequence) - 2)]

    words = ["".join(letters) for letters in itertools.product("ACGU", repeat=3)]
    counts = np.array([[kmers(s).count(w) for w in words] for s in known + queries], dtype=float)
    inverse = np.log((1 + len(known)) / (1 + (counts[: len(known)] > 0).sum(0))) + 1
    weights = counts * inverse
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    expected = (weights[len(known) :] @ weights[: len(known)].T).argmax(1)
    assert find_nearest(known, queries, kmer_size=3, chunk=3) == expected.tolist()
    assert find_nearest(known, ["AC"], kmer_size=3) == [None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny RNA-GPT, a tiny language model and a tiny RNA-QA."""
    folder = tmp_path_factory.mktemp("evaluation")
    processor = make_processor(merge_size=3, summary_size=2)
    make_model(processor).save_pretrained(folder / "model")
    processor.save_pretrained(folder / "model")
    words = tokenizer()
    words.save_pretrained(folder / "text")
    LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(words),
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=512,
            eos_token_id=words.eos_token_id,
        )
    ).save_pretrained(folder / "text")
    data = folder / "data" / "annotations"
    data.mkdir(parents=True)
    train = make_rows(FAMILIES[:3], 4) + make_rows(FAMILIES[3:4], 1)
    Dataset.from_list(train).to_parquet(data / "train-00000-of-00001.parquet")
    test = make_rows(FAMILIES[:4], 3, seed=1)
    Dataset.from_list(test).to_parquet(data / "test-00000-of-00001.parquet")
    splits = ("train", "test")
    files = [f'      - {{split: {s}, path: "annotations/{s}-*.parquet"}}' for s in splits]
    card = ["---", "configs:", "  - config_name: annotations", "    data_files:", *files, "---", ""]
    (folder / "data" / "README.md").write_text("\n".join(card))
    untyped = folder / "untyped" / "annotations"
    untyped.mkdir(parents=True)
    for split in splits:
        rows = Dataset.from_list(test).remove_columns("rna_type")
        rows.to_parquet(untyped / f"{split}-00000-of-00001.parquet")
    (folder / "untyped" / "README.md").write_text("\n".join(card))
    return folder


def run(folder: Path, out: Path, *options: str, data: str = "data") -> dict:
    arguments = ["--model", str(folder / "model"), "--dataset", str(folder / data)]
    few = ["--min_training_rnas", "4", "--max_new_tokens", "4"]
    main(make_parser().parse_args([*arguments, *few, *options, str(out)]))
    return json.loads((out / "results.json").read_text())


def read_lines(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]


def test_results_of_a_random_model(folder: Path, tmp_path: Path) -> None:
    results = run(folder, tmp_path, "--language_model", str(folder / "text"), "--plain_limit", "5")
    assert results["data"] == {
        "rnas": 12,
        "eligible": 9,
        "refused": 0,
        "drawn": 9,
        "families": 3,
    }
    systems = results["systems"]
    assert [figures["n"] for figures in systems.values()] == [9, 9, 9, 9, 5]
    assert systems["RNA-GPT"]["family"]["value"] == 0
    # By their making: a neighbour shares half of the sequence; a third is of each family.
    assert systems["nearest training RNA (8-mers)"]["family"]["value"] == 1
    assert systems["majority class"]["family"]["value"] == pytest.approx(1 / 3)
    assert systems["majority class"]["type"]["value"] == pytest.approx(2 / 3)
    assert str(folder) not in json.dumps(results)
    rows = read_lines(tmp_path)
    assert [row["system"] for row in rows] == ["rnagpt"] * 9 + ["sequence"] * 5
    assert {row["family"] for row in rows} == {"tRNA", "tRNA-Sec", "U6"}
    assert (tmp_path / "table.md").read_text().count("\n| ") == 6


def test_swapped_answers_are_judged_by_the_question_s_own_family(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Swapping costs a model that knows every RNA all, and nothing a parrot."""

    def knowing(*_):
        return lambda rnas: ([f"It is {rna.accession}.", f"a {rna.type}"] for rna in rnas)

    def parrot(*_):
        return lambda rnas: (["It is U6.", "a tRNA"] for _ in rnas)

    monkeypatch.setattr(evaluate_sft, "ask_rnagpt", knowing)
    systems = run(folder, tmp_path / "knowing")["systems"]
    assert systems["RNA-GPT"]["family"] == {"value": 1, "interval": [1, 1]}
    assert systems["RNA-GPT, RNAs swapped"]["family"]["value"] == 0
    # Two of the three families are tRNAs: a partner may be of the same type.
    assert 0 < systems["RNA-GPT, RNAs swapped"]["type"]["value"] < 1
    monkeypatch.setattr(evaluate_sft, "ask_rnagpt", parrot)
    systems = run(folder, tmp_path / "parrot")["systems"]
    assert systems["RNA-GPT, RNAs swapped"]["family"] == systems["RNA-GPT"]["family"]
    assert systems["RNA-GPT"]["family"]["value"] == pytest.approx(1 / 3)


def test_an_interrupted_run_goes_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(folder, tmp_path / "whole")
    expected = read_lines(tmp_path / "whole")
    run(folder, tmp_path / "cut", "--limit", "4")
    predictions = tmp_path / "cut" / "predictions.jsonl"
    text = predictions.read_text()
    predictions.write_text(text[: text.rindex('"right"')])  # killed while it wrote the fourth
    asked = []
    original = evaluate_sft.ask_rnagpt

    def watched(*arguments):
        ask = original(*arguments)
        return lambda rnas: (asked.extend(rna.id for rna in rnas), ask(rnas))[1]

    monkeypatch.setattr(evaluate_sft, "ask_rnagpt", watched)
    resumed = run(folder, tmp_path / "cut")
    assert len(asked) == 6
    assert resumed["systems"] == whole["systems"]
    by_id = [{row["id"]: row for row in rows} for rows in (expected, read_lines(tmp_path / "cut"))]
    assert by_id[0] == by_id[1]
    asked.clear()
    run(folder, tmp_path / "cut", "--max_new_tokens", "3")
    assert len(asked) == 9


def test_predictions_of_other_settings_are_not_read(tmp_path: Path) -> None:
    row = {"id": "x", "family_accession": "y", "sequence": "ACGU", "answers": ["a", "b"]}
    path = tmp_path / "predictions.jsonl"
    path.write_text(
        "".join(
            json.dumps(row | {"settings": settings}) + "\n" for settings in ("one", "two", "three")
        )
    )
    assert read_predictions(path, "two") == {("x", "y", "ACGU"): ["a", "b"]}
    assert read_predictions(path, "four") == {}
    assert read_predictions(tmp_path / "none.jsonl", "two") == {}


def test_a_larger_limit_draws_the_same_and_more(folder: Path) -> None:
    train, test = evaluate_sft.load_annotations(str(folder / "data"), "test")
    processor = make_processor()
    options = {"min_training_rnas": 4, "seed": 1}
    few, _ = evaluate_sft.draw_rnas(train, test, processor, limit=3, **options)
    more, _ = evaluate_sft.draw_rnas(train, test, processor, limit=9, **options)
    assert more[:3] == few


@pytest.mark.parametrize(
    ("options", "data", "message"),
    [
        (["--split", "dev"], "data", "has no split 'dev'; its splits are train, test"),
        ([], "untyped", "lacks rna_type"),
        (["--min_training_rnas", "50"], "data", "none is left to ask about"),
        (["--limit", "1"], "data", "of one family"),
    ],
)
def test_bad_data_is_refused_before_any_work(
    folder: Path, tmp_path: Path, options: list[str], data: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        run(folder, tmp_path / "out", *options, data=data)
    assert not (tmp_path / "out").exists()


def test_an_empty_split_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = Dataset.from_list(make_rows(FAMILIES, 1))
    splits = {"train": rows, "test": rows.select([])}
    monkeypatch.setattr(evaluate_sft, "load_dataset", lambda *_: splits)
    with pytest.raises(ValueError, match=r"'test' of .* is empty"):
        run(folder, tmp_path / "out")


def test_an_rna_too_long_for_the_language_model_is_refused_first(
    folder: Path, tmp_path: Path
) -> None:
    options = ["--language_model", str(folder / "text"), "--max_new_tokens", "500"]
    with pytest.raises(ValueError, match=r"60 nt as text .* reads 512"):
        run(folder, tmp_path / "out", *options)
    assert not (tmp_path / "out").exists()


def test_limits_are_positive() -> None:
    with pytest.raises(SystemExit):
        make_parser().parse_args(["--model", "m", "--dataset", "d", "--limit", "0", "out"])
