"""Probes of an encoder: what is planted in its vectors is found, and nothing where nothing is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.made_seed import make_dataset
from helpers.official_outputs import stored_outputs
from helpers.tiny_parts import encoder_folder
from sklearn.metrics import balanced_accuracy_score

from rnagpt.cli import evaluate_encoder
from rnagpt.cli.main import main
from rnagpt.conversion.mini import CHECKPOINT
from rnagpt.conversion.rna_encoder import RnaEncoder
from rnagpt.evaluation.encoder_evaluation import PARTS
from rnagpt.evaluation.encoder_probes import FEATURES, FORCED, JOINED, Probes, with_baselines
from rnagpt.evaluation.linear_probes import LabelProbe
from rnagpt.evaluation.probe_figures import mean_estimate, score_labels
from rnagpt.evaluation.probed_rnas import (
    ProbedRna,
    Read,
    read_features,
    remembered,
    untrained,
)
from rnagpt.processing_rnagpt import tokenize_rna
from rnagpt.reference.records import Record, Term
from rnagpt.sequences.even_families import even_families
from rnagpt.sequences.strands import reverse_complement
from rnagpt.sequences.type_features import MAX_READ, type_features

RANDOM = np.random.default_rng(0)
FAMILIES = [f"family {i}" for i in range(40)]
# Eight types of five families each.
TYPE = {family: f"type {i // 5}" for i, family in enumerate(FAMILIES)}


def made(family: str) -> ProbedRna:
    sequence = "".join(RANDOM.choice(list("ACGU"), 30))
    number = FAMILIES.index(family)
    terms = frozenset({f"GO:{number // 5}", "GO:common"})
    return ProbedRna(sequence, family, TYPE[family], clan=TYPE[family], terms=terms)


def planted(rnas: Sequence[ProbedRna], strength: float) -> Read:
    """Vectors that hold an RNA's type, or nothing of it."""
    known = {rna.sequence: int(rna.type.split()[1]) for rna in rnas}

    def read(sequences: Sequence[str]) -> np.ndarray:
        noise = np.random.default_rng(1).normal(size=(len(sequences), 16))
        for row, sequence in zip(noise, sequences, strict=True):
            row[known[sequence]] += strength
        return noise

    return read


@pytest.fixture(scope="module")
def rnas() -> list[ProbedRna]:
    return [made(family) for family in FAMILIES for _ in range(12)]


def of_some(sequences: Sequence[str]) -> list[Record | None]:
    """A search that finds a record of type 3 for every second RNA, and nothing for the others."""
    found = Record("RF1", "family", "family 15", type="type 3", terms=(Term("GO:3", "three"),))
    return [found if place % 2 else None for place in range(len(sequences))]


def probes(rnas: Sequence[ProbedRna], strength: float) -> tuple[Probes, list[ProbedRna]]:
    """Probes fitted on all families but the last of each type, and RNAs of those."""
    new = set(FAMILIES[4::5])
    train = [rna for rna in rnas if rna.family not in new]
    asked = [rna for rna in rnas if rna.family in new]
    return Probes({"encoder": planted(rnas, strength)}, train, search=of_some), asked


def test_a_planted_type_is_read_and_noise_is_chance(rnas: list[ProbedRna]) -> None:
    for strength, least, most in ((8.0, 0.95, 1.0), (0.0, 0.0, 0.35)):
        probe, asked = probes(rnas, strength)
        found = probe.ask("type", asked, lambda rna: rna.type, new_families=True)
        for way in ("encoder", "nearest by the encoder"):
            read = found.ways[way]["accuracy"]
            assert least <= read.value <= most
            assert read.low <= read.value <= read.high
        # Random sequences: neither neighbours nor the commonest type tell anything.
        assert found.ways["nearest by 8-mers"]["accuracy"].value < 0.35
        assert found.ways["commonest"]["accuracy"].value == pytest.approx(1 / 8, abs=0.01)
        assert (found.rnas, found.families) == (96, 8)
        # Half of them are told "type 3", which an eighth of them are; no answer is no hit.
        search = found.ways["search"]
        assert search["answered"].value == 0.5
        assert search["accuracy"].value == pytest.approx(1 / 16)


def test_folding_stands_beside_the_encoder_where_types_are_asked() -> None:
    """Hairpins and sequences without a stem: features tell them apart, noise does not."""
    random = np.random.default_rng(2)
    rnas = []
    for number in range(160):
        stem = "".join(random.choice(list("ACGU"), 30))
        paired = number % 2 == 0
        other = reverse_complement(stem) if paired else "".join(random.choice(list("AC"), 30))
        kind = "type 0" if paired else "type 1"  # hairpins, open
        rnas.append(ProbedRna(f"{stem}GAAA{other}", f"family {number % 16}", kind))
    readers = with_baselines({"encoder": planted(rnas, 0.0)}, rnas[:80], seed=0)
    probe = Probes(readers, rnas[:80])
    ways = probe.ask("type", rnas[80:], lambda rna: rna.type, new_families=True, typed=True).ways
    assert ways[FEATURES]["accuracy"].value > 0.9
    assert ways[JOINED]["accuracy"].value > 0.8
    assert ways["encoder"]["accuracy"].value < 0.75
    # The bundled network knows no such types, and says one all the same.
    assert FORCED in ways
    families = probe.ask("family", rnas[80:], lambda rna: rna.family).ways
    assert FEATURES not in families
    assert JOINED not in families


def test_features_of_what_is_too_short_or_too_long_to_be_folded() -> None:
    middle = "GGGCUCGAUAGCUAGCUAGCAUCGAUCGCCC" * 3
    short, long = read_features(["ACGU", "A" * MAX_READ + middle + "A" * MAX_READ])
    assert not short.any()
    cut = ("A" * MAX_READ + middle + "A" * MAX_READ)[(MAX_READ + len(middle)) // 2 :][:MAX_READ]
    assert (long == type_features(cut)).all()
    assert middle in cut


def test_a_probe_of_clusters_is_chosen_on_the_validation_split(rnas: list[ProbedRna]) -> None:
    """Fitted without the validation RNAs: their labels may be of a class that train lacks."""
    train, rest = rnas[::2], rnas[1::2]
    odd = [replace(rna, type="type 99") for rna in rest[:5]]
    probe = Probes({"encoder": planted(rnas, 8.0)}, train, [*rest[5:100], *odd])
    found = probe.ask("type", rest[100:], lambda rna: rna.type)
    assert found.ways["encoder"]["accuracy"].value > 0.95


def test_balanced_accuracy_weighs_classes_alike() -> None:
    told, right = ["a"] * 100, ["a"] * 90 + ["b"] * 10
    families = [f"f{place // 5}" for place in range(100)]
    scores = score_labels(told, right, families)
    assert scores["accuracy"].value == pytest.approx(0.9)
    assert scores["balanced accuracy"].value == pytest.approx(
        balanced_accuracy_score(right, told)  # 0.5
    )
    assert "answered" not in scores
    assert score_labels([None, "a"], ["a", "a"], ["x", "y"])["answered"].value == 0.5


def test_an_interval_covers_families_not_rnas() -> None:
    """A thousand RNAs of two families say no more than two."""
    hits = np.repeat([0.0, 1.0], 500)
    of_families = mean_estimate(hits, ["a"] * 500 + ["b"] * 500)
    of_rnas = mean_estimate(hits, [str(n) for n in range(1000)])
    assert (of_families.low, of_families.high) == (0, 1)
    assert of_rnas.low == pytest.approx(0.5 - 1.96 * (0.25 / 1000) ** 0.5, abs=0.005)


def test_uneven_classes_are_told_by_weights_where_that_is_better() -> None:
    random = np.random.default_rng(0)
    labels = np.array(["common"] * 380 + ["rare"] * 20)
    vectors = random.normal(size=(400, 4))
    vectors[labels == "rare", 0] += 1.5
    held = np.arange(400) % 4 == 0
    probe = LabelProbe(vectors, labels, held)
    assert probe.chosen["class_weight"] == "balanced"
    asked = random.normal([1.5, 0, 0, 0], size=(200, 4))
    assert np.mean([told == "rare" for told in probe.predict(asked)]) > 0.6


def test_terms_are_read_where_they_are_planted(rnas: list[ProbedRna]) -> None:
    probe, asked = probes(rnas, 8.0)
    found = probe.terms("terms", asked).ways
    assert found["encoder"]["F1"].value > 0.95
    # One of two terms of an eighth of the half that it answers: F1 of 2/3 for a sixteenth.
    assert found["search"]["F1"].value == pytest.approx(2 / 3 / 16)
    probe, asked = probes(rnas, 0.0)
    noise = probe.terms("terms", asked).ways
    # The term that all have is half of each answer.
    assert noise["encoder"]["F1"].value < 0.8
    assert noise["commonest"]["F1"].value < 0.7


def test_random_weights_are_of_the_same_shape_and_another_encoder() -> None:
    encoder = RnaEncoder.open(CHECKPOINT / "encoder")
    sequence = "GCGGAUUUAGCUCAGUUGGGAGAGCGCC"
    trained, fresh = encoder.means([sequence]), untrained(encoder, 0).means([sequence])
    assert trained.shape == fresh.shape
    assert not np.allclose(trained, fresh, atol=1e-2)
    assert np.array_equal(fresh, untrained(encoder, 0).means([sequence]))
    assert not np.array_equal(fresh, untrained(encoder, 1).means([sequence]))


def test_vectors_are_read_once() -> None:
    calls: list[str] = []

    def read(sequences: Sequence[str]) -> np.ndarray:
        calls.extend(sequences)
        return np.array([[len(one)] for one in sequences])

    look = remembered(read)
    assert look(["A", "CC", "A"]).tolist() == [[1], [2], [1]]
    assert look(["CC", "GGG"]).tolist() == [[2], [3]]
    assert calls == ["A", "CC", "GGG"]


def test_families_are_drawn_evenly(rnas: list[ProbedRna]) -> None:
    drawn = even_families(rnas, 80, seed=0)
    sizes = {family: sum(rna.family == family for rna in drawn) for family in FAMILIES}
    assert set(sizes.values()) == {2}


def test_means_are_those_of_the_encoder_run_by_hand() -> None:
    encoder = RnaEncoder.open(CHECKPOINT / "encoder")
    sequence = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCC"
    ids = torch.tensor(tokenize_rna(sequence, 6))[None]
    with torch.inference_mode():
        whole = encoder.network(input_ids=torch.cat([ids[:, :0], ids], 1)).last_hidden_state
    (mean,) = encoder.means([sequence])
    # The table looks each 6-mer up by itself, so that ends change nothing.
    assert torch.allclose(torch.from_numpy(mean), whole[0].mean(0), atol=1e-5)


def test_order_length_and_company_do_not_matter(tmp_path: Path) -> None:
    encoder = RnaEncoder.open(encoder_folder(tmp_path / "encoder"))
    sequences = ["".join(RANDOM.choice(list("ACGU"), n)) for n in (300, 5, encoder.window + 40, 80)]
    together = encoder.means(sequences)
    alone = np.concatenate([encoder.means([one]) for one in sequences])
    assert np.allclose(together, alone, atol=1e-4)
    long = sequences[2]
    parts = [
        encoder.vectors([part])[0] for part in (long[: encoder.window], long[encoder.window :])
    ]
    assert np.allclose(together[2], torch.cat(parts).mean(0).numpy(), atol=1e-4)


def test_the_command_reports_a_small_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RNAGPT_CACHE", str(tmp_path / "cache"))
    data, out = make_dataset(tmp_path), tmp_path / "probes"
    nrc = tmp_path / "nrc.fasta"
    nrc.write_text(">RF00000_X miRNA\nGCGGAUUUAGCUCAGUUGGGAGAGCGCC\n")
    words = ["evaluate-encoder", "mini", str(data), str(out), "--nrc", str(nrc), "--quiet"]
    assert main(words) == 0
    figures = json.loads((out / "encoder.json").read_text())
    for row in figures:
        for scores in row["ways"].values():
            assert all(
                0 <= one["low"] <= one["value"] <= one["high"] <= 1 for one in scores.values()
            )
    text = capsys.readouterr().out
    assert "`rnagpt evaluate-encoder mini data probes --nrc nrc.fasta`" in text
    assert "## Type, of families never seen" in text
    assert "## NRC's 13 classes" not in text
    assert "## nRC's 13 classes" in text
    # The made families have no structure.
    assert "Base pairs were not asked" in text


def test_parts_are_those_of_the_evaluation(capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate_encoder.PARTS == PARTS
    with pytest.raises(SystemExit, match="2"):
        main(["evaluate-encoder", "mini", "data", "out", "--ask", "structur"])
    assert "'structur' (choose from families, types, terms, structure" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["rinalmo", "ernie-rna"])
def test_the_command_takes_a_converted_encoder(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RNAGPT_CACHE", str(tmp_path / "cache"))
    case = "rinalmo" if kind == "rinalmo" else "ernie_rna_learned"
    official = stored_outputs(case).write_checkpoint(tmp_path / "official.pt")
    encoder, out = tmp_path / "encoder", tmp_path / "probes"
    assert main([f"convert-{kind}", str(official), str(encoder)]) == 0
    data = make_dataset(tmp_path)
    assert (
        main(["evaluate-encoder", str(encoder), str(data), str(out), "--quiet", "--ask", "types"])
        == 0
    )
    figures = json.loads((out / "encoder.json").read_text())
    shares = [
        one["value"] for row in figures for ways in row["ways"].values() for one in ways.values()
    ]
    assert shares
    assert all(0 <= share <= 1 for share in shares)
