"""Probes of an encoder: what is planted in its vectors is found, and nothing where nothing is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.made_seed import make_dataset
from helpers.official_outputs import stored_outputs
from helpers.tiny_parts import encoder_folder

from rnagpt.cli.main import main
from rnagpt.conversion.mini import CHECKPOINT
from rnagpt.conversion.rna_encoder import RnaEncoder
from rnagpt.evaluation.encoder_probes import ProbedRna, Probes, read_nrc
from rnagpt.processing_rnagpt import tokenize_rna
from rnagpt.sequences.even_families import even_families

RANDOM = np.random.default_rng(0)
FAMILIES = [f"family {i}" for i in range(40)]
# Eight types of five families each.
TYPE = {family: f"type {i // 5}" for i, family in enumerate(FAMILIES)}


def made(family: str) -> ProbedRna:
    sequence = "".join(RANDOM.choice(list("ACGU"), 30))
    number = FAMILIES.index(family)
    terms = frozenset({f"GO:{number // 5}", "GO:common"})
    return ProbedRna(sequence, family, TYPE[family], clan=TYPE[family], terms=terms)


class Planted:
    """An encoder whose vectors hold an RNA's type, or nothing of it."""

    def __init__(self, rnas: Sequence[ProbedRna], strength: float) -> None:
        self.known = {rna.sequence: list(TYPE.values()).index(rna.type) // 5 for rna in rnas}
        self.strength = strength

    def means(self, sequences: Sequence[str]) -> np.ndarray:
        noise = np.random.default_rng(1).normal(size=(len(sequences), 16))
        for row, sequence in zip(noise, sequences, strict=True):
            row[self.known[sequence]] += self.strength
        return noise


@pytest.fixture(scope="module")
def rnas() -> list[ProbedRna]:
    return [made(family) for family in FAMILIES for _ in range(12)]


def probes(rnas: Sequence[ProbedRna], strength: float) -> tuple[Probes, list[ProbedRna]]:
    """Probes fitted on all families but the last of each type, and RNAs of those."""
    new = set(FAMILIES[4::5])
    train = [rna for rna in rnas if rna.family not in new]
    asked = [rna for rna in rnas if rna.family in new]
    return Probes(Planted(rnas, strength), train), asked  # type: ignore[arg-type]  # its means only


def test_a_planted_type_is_read_and_noise_is_chance(rnas):
    for strength, least, most in ((8.0, 0.95, 1.0), (0.0, 0.0, 0.35)):
        probe, asked = probes(rnas, strength)
        found = probe.ask("type", asked, lambda rna: rna.type, new_families=True)
        assert least <= found.scores["encoder"] <= most
        assert found.interval[0] <= found.scores["encoder"] <= found.interval[1]
        # Random sequences: neither neighbours nor the commonest type tell anything.
        assert found.scores["nearest by 8-mers"] < 0.35
        assert found.scores["commonest"] == pytest.approx(1 / 8, abs=0.01)
        assert (found.rnas, found.families) == (96, 8)


def test_terms_and_neighbours_are_read_where_they_are_planted(rnas):
    probe, asked = probes(rnas, 8.0)
    assert probe.terms("terms", asked).scores["encoder"] > 0.95
    assert probe.neighbours("clan", asked, lambda rna: rna.clan).scores["encoder"] > 0.95
    probe, asked = probes(rnas, 0.0)
    noise = probe.terms("terms", asked).scores
    # The term that all have is half of each answer.
    assert noise["encoder"] < 0.8
    assert noise["commonest"] < 0.7
    near = probe.neighbours("clan", asked, lambda rna: rna.clan).scores
    assert near["encoder"] == pytest.approx(near["ten at random"], abs=0.2)


def test_families_are_drawn_evenly(rnas):
    drawn = even_families(rnas, 80, seed=0)
    sizes = {family: sum(rna.family == family for rna in drawn) for family in FAMILIES}
    assert set(sizes.values()) == {2}


def test_means_are_those_of_the_encoder_run_by_hand():
    encoder = RnaEncoder.open(CHECKPOINT / "encoder")
    sequence = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCC"
    ids = torch.tensor(tokenize_rna(sequence, 6))[None]
    with torch.inference_mode():
        whole = encoder.network(input_ids=torch.cat([ids[:, :0], ids], 1)).last_hidden_state
    (mean,) = encoder.means([sequence])
    # The table looks each 6-mer up by itself, so that ends change nothing.
    assert torch.allclose(torch.from_numpy(mean), whole[0].mean(0), atol=1e-5)


def test_order_length_and_company_do_not_matter(tmp_path: Path):
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


def test_nrcs_classes_are_read_without_names(tmp_path: Path):
    file = tmp_path / "nrc.fasta"
    file.write_text(">RF00005_X_1 tRNA\nGCGGAUUUAGCUC\n>RF00001_Y 5S_rRNA\nGCGGATTTAG\n")
    read = read_nrc(file)
    assert [rna.nrc_class for rna in read] == ["tRNA", "5S_rRNA"]
    assert not any("RF0" in str(rna) for rna in read)
    file.write_text(">x snRNA\nGCGGAUUUAGCUC\n")
    with pytest.raises(ValueError, match="'snRNA'; expected one of 5S_rRNA"):
        read_nrc(file)


def test_the_command_reports_a_small_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("RNAGPT_CACHE", str(tmp_path / "cache"))
    data, out = make_dataset(tmp_path), tmp_path / "probes"
    assert main(["evaluate-encoder", "mini", str(data), str(out), "--quiet"]) == 0
    figures = json.loads((out / "encoder.json").read_text())
    assert all(0 <= share <= 1 for row in figures for share in row["scores"].values())
    text = capsys.readouterr().out
    assert "`rnagpt evaluate-encoder mini data probes`" in text
    assert "| type, of families never seen | " in text


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
    assert main(["evaluate-encoder", str(encoder), str(data), str(out), "--quiet"]) == 0
    figures = json.loads((out / "encoder.json").read_text())
    assert figures
    assert all(0 <= share <= 1 for row in figures for share in row["scores"].values())
