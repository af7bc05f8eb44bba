"""Masked pre-training: what is hidden, packed, held out and resumed."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.tiny_models import make_rna
from safetensors.torch import load_file
from transformers import AutoModel, TrainingArguments
from trl import TrlParser

from rnagpt.conversion.rna_encoder import RnaEncoder
from rnagpt.sequences.strands import mutate, reverse_complement
from rnagpt.training.encoder import corpus as corpus_module
from rnagpt.training.encoder.architecture import make_encoder
from rnagpt.training.encoder.arguments import EncoderArguments
from rnagpt.training.encoder.batches import RnaRow, TokenBudgetSampler
from rnagpt.training.encoder.corpus import Corpus, context_losses, read_corpus
from rnagpt.training.encoder.masking import MaskedCollator, pack_rnas
from rnagpt.training.encoder.objectives import MaskedLetters
from rnagpt.training.encoder.pretrain import main
from rnagpt.training.encoder.speed import training_operations

MASK = 24
SMALL: dict[str, Any] = {
    "objective": "masked",
    "architecture": "rinalmo",
    "kmer_size": 1,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
LENGTHS = (1, 7, 30, 12, 41)


def small_encoder(**options: Any) -> Any:
    torch.manual_seed(0)
    encoder = make_encoder(EncoderArguments(**{"fasta": "-", **SMALL, **options})).eval()
    for weight in encoder.parameters():  # fresh ones hardly attend
        if weight.dim() == 2:
            torch.nn.init.normal_(weight, std=0.3)
    return encoder


def tokens_of(sequences: list[str]) -> list[np.ndarray]:
    from rnagpt.processing_rnagpt import tokenize_rna

    return [tokenize_rna(one, 1) for one in sequences]


# What is hidden


def test_chosen_nucleotides_are_masked_replaced_and_kept() -> None:
    np.random.seed(0)
    rows = [RnaRow(make_rna(1000, seed)) for seed in range(60)]
    whole = torch.tensor(np.stack(tokens_of([row.sequence for row in rows])))
    batch = MaskedCollator(1, 1000, 0.15, random_share=0.1, kept_share=0.1)(rows)
    seen, labels = batch["input_ids"][:, 1:-1], batch["labels"][:, 1:-1]
    chosen = labels.ne(-100)
    assert labels[chosen].equal(whole[chosen])
    assert seen[~chosen].equal(whole[~chosen])
    assert chosen.float().mean().item() == pytest.approx(0.15, abs=0.005)
    masked = seen[chosen].eq(MASK).float().mean().item()
    same = seen[chosen].eq(whole[chosen]).float().mean().item()
    assert masked == pytest.approx(0.8, abs=0.015)
    assert same == pytest.approx(0.1 + 0.1 / 4, abs=0.015)  # one in four by chance
    assert 1 - masked - same == pytest.approx(0.1 * 3 / 4, abs=0.015)
    assert set(seen[chosen & seen.ne(MASK)].tolist()) == set(tokens_of(["ACGU"])[0].tolist())


def test_kmers_cannot_be_kept() -> None:
    with pytest.raises(ValueError, match=r"k = 6.*Leave both 0"):
        MaskedCollator(6, 100, 0.15, kept_share=0.1)


def test_the_other_strand_is_shown() -> None:
    sequence = "GGAUCCNAAA"
    collator = MaskedCollator(1, 100, 0.0, other_strand_share=1.0)
    batch = collator([RnaRow(sequence)])
    shown = torch.where(batch["labels"].ne(-100), batch["labels"], batch["input_ids"])[0, 1:-1]
    assert shown.tolist() == tokens_of(["UUUNGGAUCC"])[0].tolist()
    np.random.seed(0)
    half = MaskedCollator(1, 100, 0.0, other_strand_share=0.5)
    strands = [sequence, reverse_complement(sequence)]
    drawn = half([RnaRow(sequence)] * 400)
    first = torch.where(drawn["labels"].ne(-100), drawn["labels"], drawn["input_ids"])[:, 1:-1]
    others = [row.tolist() == tokens_of([strands[1]])[0].tolist() for row in first]
    assert 0.4 < np.mean(others) < 0.6


# Packing


@pytest.mark.parametrize("attention", ["eager", "sdpa", "flex_attention"])
@pytest.mark.parametrize("token_dropout", [False, True])
def test_packed_rnas_do_not_see_each_other(attention: str, token_dropout: bool) -> None:
    encoder = small_encoder()
    encoder.config.token_dropout = token_dropout
    encoder.set_attn_implementation("eager")
    rows = tokens_of([make_rna(length, length) for length in LENGTHS])
    for row in rows[2:]:
        row[::5] = MASK
    packed = pack_rnas(rows, 128)
    alone = []
    for row in rows:
        one = pack_rnas([row], len(row) + 2)
        alone.append(encoder(one["input_ids"]).last_hidden_state[0])
    encoder.set_attn_implementation(attention)
    with torch.no_grad():
        output = encoder(
            packed["input_ids"],
            attention_mask=torch.ones_like(packed["input_ids"]),
            position_ids=packed["position_ids"],
        ).last_hidden_state[0]
    expected = torch.cat(alone)
    assert expected.std() > 0.1
    assert (output[: len(expected)] - expected).abs().max() < 1e-5
    assert output.isfinite().all()


def test_a_packed_batch_has_the_loss_of_a_padded_one() -> None:
    objective = MaskedLetters(small_encoder())
    rows = [RnaRow(make_rna(length, length)) for length in LENGTHS]
    losses, gradients = [], []
    for size in (None, 128):
        np.random.seed(0)
        batch = MaskedCollator(1, 100, 0.3, 0.1, 0.1, packed_size=size)(rows)
        objective.zero_grad()
        loss = objective(**batch)["loss"]
        loss.backward()
        losses.append(loss.item())
        layer: Any = objective.encoder.layers[0]
        gradients.append(layer.qkv.weight.grad.clone())
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert gradients[0].allclose(gradients[1], atol=1e-5)


def test_packed_batches_fill_their_row() -> None:
    rows = [RnaRow(make_rna(length)) for length in range(1, 300)]
    sampler = TokenBudgetSampler(rows, 1000, max_length=250, packed=True)
    batches = list(sampler)
    sizes = [sum(min(len(rows[i].sequence), 250) + 2 for i in batch) for batch in batches]
    assert max(sizes) <= 1000
    assert np.mean(sizes) > 850
    for batch in batches:
        MaskedCollator(1, 250, 0.15, packed_size=1000)([rows[i] for i in batch])
    with pytest.raises(ValueError, match=r"takes 252 tokens.*has 200"):
        TokenBudgetSampler(rows, 200, max_length=250, packed=True)
    with pytest.raises(ValueError, match="of 302 tokens"):
        pack_rnas(tokens_of([make_rna(300)]), 200)


# The corpus


def write_fasta(path: Path, sequences: list[str]) -> Path:
    path.write_text("".join(f">{i}\n{one}\n" for i, one in enumerate(sequences)))
    return path


@pytest.fixture(scope="module")
def families() -> list[list[str]]:
    """Forty RNAs, each with two mutants in which one nucleotide in twenty differs."""
    random = np.random.default_rng(0)
    first = [make_rna(80, 100 + seed) for seed in range(40)]
    return [[one, *(mutate(one, 0.05, random) for _ in range(2))] for one in first]


@pytest.fixture(scope="module")
def fasta(families: list[list[str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    sequences = [one for family in families for one in family]
    return write_fasta(tmp_path_factory.mktemp("fasta") / "rnas.fasta", sequences)


def test_held_out_clusters_are_never_seen(
    families: list[list[str]], fasta: Path, tmp_path: Path
) -> None:
    kept_out = write_fasta(tmp_path / "kept.fasta", [families[3][2]])
    corpus = read_corpus(str(fasta), tmp_path, kept_out=[str(kept_out)], max_eval_rnas=10)
    family_of = {one: number for number, family in enumerate(families) for one in family}
    trained = {family_of[row.sequence] for row in corpus.train}
    asked = [family_of[row.sequence] for row in corpus.evaluation]
    assert len(asked) == len(set(asked)) == 10
    assert not trained & {*asked, 3}
    assert corpus.left_out == 3
    assert len(corpus.train) == 3 * 29
    assert len(trained) == 29


def test_clusters_are_found_once(
    fasta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = read_corpus(str(fasta), tmp_path, max_eval_rnas=5)
    monkeypatch.setattr(corpus_module, "cluster_sequences", None)  # to call it would fail
    assert read_corpus(str(fasta), tmp_path, max_eval_rnas=5) == first
    with pytest.raises(TypeError):
        read_corpus(str(fasta), tmp_path, kept_out=[str(write_fasta(tmp_path / "f", ["ACGUA"]))])


def test_one_cluster_is_too_few(tmp_path: Path) -> None:
    alone = write_fasta(tmp_path / "one.fasta", [make_rna(80)])
    with pytest.raises(ValueError, match="RNAs of 1 clusters"):
        read_corpus(str(alone), tmp_path)


def test_the_table_of_neighbours_against_a_count_by_hand() -> None:
    random = np.random.default_rng(0)
    # U follows A, and A follows U; C and G are drawn.
    train = [RnaRow("".join(random.choice(["AU", "C", "G"], 60))) for _ in range(200)]
    asked = [RnaRow("".join(random.choice(["AU", "C", "G"], 60))) for _ in range(100)]
    losses = context_losses(Corpus(train, asked, 0, ""), longest=2)
    counts = dict.fromkeys("ACGU", 0)
    for row in train:
        for letter in row.sequence[2:-2]:
            counts[letter] += 1
    total = sum(counts.values())
    middle = "".join(row.sequence[2:-2] for row in asked)
    expected = -np.mean([math.log(counts[letter] / total) for letter in middle])
    assert losses["0"] == pytest.approx(expected, abs=1e-3)
    # With its neighbours known, A or U is sure, and of C and G either may be, as may AU not.
    assert losses["1"] < 0.5 * losses["0"]
    assert losses["2"] == pytest.approx(losses["1"], abs=0.02)


# Runs


@pytest.fixture(scope="module")
def train(fasta: Path) -> Callable[..., Path]:
    def run(out: Path, **options: object) -> Path:
        given = {
            **SMALL,
            "fasta": fasta,
            "output_dir": out,
            "tokens_per_batch": 800,
            "max_eval_rnas": 10,
            "other_strand_share": 0.2,
            "learning_rate": 0.01,
            "logging_steps": 1,
            "use_cpu": True,
            "report_to": "none",
            "disable_tqdm": True,
            **options,
        }
        arguments = [part for name, value in given.items() for part in (f"--{name}", str(value))]
        classes: Any = (EncoderArguments, TrainingArguments)
        main(*TrlParser(classes).parse_args_and_config(arguments))
        return out

    return run


def record_of(out: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((out / "training_record.json").read_text())
    return record


@pytest.mark.parametrize("architecture", ["esm", "rinalmo"])
def test_pieces_are_as_one_run(
    train: Callable[..., Path], tmp_path: Path, architecture: str
) -> None:
    """Bit by bit, masks included, over the end of a round through the data.

    Of the library's ESM but for rounding: its keys have biases, whose gradients are nothing else,
    and Adam makes steps of them.
    """
    options = {"architecture": architecture, "max_steps": 14, "save_steps": 100}
    straight = train(tmp_path / "straight", **options)
    pieces = [
        record_of(train(tmp_path / "pieces", minutes=1e-9, **options))["steps"] for _ in range(3)
    ]
    assert pieces == [1, 2, 3]
    train(tmp_path / "pieces", minutes=10, **options)
    whole, parts = record_of(straight), record_of(tmp_path / "pieces")
    assert parts["steps"] == 14
    losses = [
        [entry["loss"] for entry in record["log"] if "loss" in entry] for record in (whole, parts)
    ]
    assert len(losses[0]) == 14
    off = 0.0 if architecture == "rinalmo" else 1e-3
    assert losses[1] == pytest.approx(losses[0], abs=off, rel=0)
    if architecture == "rinalmo":
        expected = load_file(straight / "model.safetensors")
        given = load_file(tmp_path / "pieces" / "model.safetensors")
        assert all(given[name].equal(expected[name]) for name in expected)


@pytest.mark.parametrize("packing", [False, True])
def test_an_encoder_is_trained_and_opened(
    train: Callable[..., Path], tmp_path: Path, packing: bool
) -> None:
    out = train(
        tmp_path / "out", max_steps=40, packing=packing, eval_strategy="steps", eval_steps=20,
        save_strategy="no", max_length=60, bf16=True,
    )  # fmt: skip
    record = record_of(out)
    asked = [entry["eval_loss"] for entry in record["log"] if "eval_loss" in entry]
    assert asked[1] < asked[0] < 1.5
    assert record["evaluation_rnas"] == 10
    assert record["loss_of_neighbours"]["0"] == pytest.approx(math.log(4), abs=0.05)
    speeds = [entry for entry in record["log"] if "nt_per_second" in entry]
    assert len(speeds) == 40
    assert all(0 < entry["share_of_limit"] < 1 for entry in speeds)
    encoder = RnaEncoder.open(out)
    assert encoder.means([make_rna(50), make_rna(20)]).shape == (2, 16)
    by_itself = AutoModel.from_pretrained(out, trust_remote_code=True)
    assert by_itself.config.model_type == "rna-gpt-rinalmo"


def test_operations_are_those_that_the_library_counts() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    encoder = small_encoder()
    encoder.set_attn_implementation("eager")
    with FlopCounterMode(display=False) as counter:
        encoder(torch.full((3, 20), 5)).last_hidden_state.sum().backward()
    assert training_operations(encoder, 3, 20, 20.0) == pytest.approx(
        counter.get_total_flops(), rel=0.05
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"architecture": "bert"}, "must be esm or rinalmo, got 'bert'"),
        ({"kmer_size": 6}, "got kmer_size 6"),
        ({"architecture": "esm", "packing": True}, "packing is for --architecture rinalmo"),
        ({"minutes": 0.0}, "more than 0, got 0.0"),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EncoderArguments(**{"fasta": "-", **SMALL, **options})


def test_an_encoder_of_the_other_architecture_is_rejected(tmp_path: Path) -> None:
    small_encoder().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="of the type rna-gpt-rinalmo, asked for was esm"):
        small_encoder(architecture="esm", encoder=str(tmp_path))
    with pytest.raises(ValueError, match="has 2 layers, fewer than the 3"):
        small_encoder(num_hidden_layers=3, encoder=str(tmp_path))
    again = small_encoder(encoder=str(tmp_path))
    assert again.config.hidden_size == 16
