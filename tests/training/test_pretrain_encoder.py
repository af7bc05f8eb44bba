"""Training of an encoder: batches, masks, words, resuming, the probe, what the folders are for."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from datasets import Dataset
from helpers.tiny_models import make_rna
from helpers.tiny_parts import language_model_folder
from safetensors.torch import load_file
from transformers import EsmForMaskedLM, EsmModel, TrainingArguments
from trl import TrlParser

from rnagpt.conversion.compose import compose
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import tokenize_rna
from rnagpt.sequences.even_families import even_families
from rnagpt.training.encoder.architecture import make_encoder
from rnagpt.training.encoder.arguments import EncoderArguments
from rnagpt.training.encoder.batches import (
    RnaRow,
    TokenBudgetSampler,
    WordsCollator,
    cut_at_random,
    mutate,
    pad_rnas,
)
from rnagpt.training.encoder.masking import MaskedCollator, reads_hidden
from rnagpt.training.encoder.objectives import (
    UNKNOWN,
    AnnotationWords,
    MaskedNucleotides,
    WordTargets,
    first_words,
    mean_vectors,
)
from rnagpt.training.encoder.pretrain import main
from rnagpt.training.encoder.probe import linear_probe, rna_means
from rnagpt.training.encoder.rna_types import fit_types

MASK = 24
SIZES = {
    "kmer_size": 2,
    "hidden_size": 16,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "summary_size": 4,
    "merge_size": 2,
    "tokens_per_batch": 400,
}
# Four families, each of nucleotides of its own taste.
FAMILIES = {"5S": "AAAC", "tRNA": "CCCG", "U6": "GGGU", "miRNA": "UUUA"}
TEXTS = {name: f"{name} is what this RNA is" for name in FAMILIES}


def make_rows(number: int, seed: int = 0) -> list[RnaRow]:
    random = np.random.default_rng(seed)
    return [
        RnaRow("".join(random.choice([*taste], random.integers(12, 40))), TEXTS[name], name, "type")
        for name, taste in FAMILIES.items()
        for _ in range(number)
    ]


@pytest.fixture(scope="module")
def language_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return language_model_folder(tmp_path_factory.mktemp("language_model"))


@pytest.fixture(scope="module")
def rna_qa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of four families with the card and the columns of RNA-QA."""
    folder = tmp_path_factory.mktemp("rna_qa")
    files = []
    for seed, split in enumerate(("train", "validation")):
        rows = [
            {
                "sequence": row.sequence,
                "annotation": f"{row.words}. More is known. ",
                "family": row.family,
                "rna_type": row.family[-3:],
            }
            for row in make_rows(12, seed)
        ]
        Dataset.from_list(rows).to_parquet(folder / f"{split}.parquet")
        files.append({"split": split, "path": f"{split}.parquet"})
    card = {"configs": [{"config_name": "annotations", "data_files": files}]}
    (folder / "README.md").write_text(f"---\n{json.dumps(card)}\n---\n")
    return folder


@pytest.fixture(scope="module")
def train(language_model: Path, rna_qa: Path) -> Callable[..., Path]:
    """Runs the script on the toy data set, by its own options."""

    def run(out: Path, **options: object) -> Path:
        given = {
            **SIZES,
            "dataset_name": rna_qa,
            "language_model": language_model,
            "output_dir": out,
            "learning_rate": 0.01,
            "use_cpu": True,
            "report_to": "none",
            "disable_tqdm": True,
            **options,
        }
        arguments = [part for name, value in given.items() for part in (f"--{name}", str(value))]
        main(*TrlParser((EncoderArguments, TrainingArguments)).parse_args_and_config(arguments))
        return out

    return run


def make_targets(language_model: Path, size: int = 4) -> WordTargets:
    return WordTargets.of(make_rows(1), str(language_model), size)


def make_small_encoder(objective: str = "words", **options: object) -> EsmModel:
    torch.manual_seed(0)
    needed = {"dataset_name": "-", "language_model": "-", "fasta": "-"}
    small = {name: value for name, value in SIZES.items() if name != "tokens_per_batch"}
    return make_encoder(EncoderArguments(objective=objective, **{**needed, **small, **options}))


def pad(sequences: list[str], kmer_size: int = 2) -> dict[str, torch.Tensor]:
    return pad_rnas([tokenize_rna(sequence, kmer_size) for sequence in sequences])


# Batches


@pytest.mark.parametrize("kmer_size", [1, 2, 6])
def test_no_token_that_is_left_tells_a_hidden_nucleotide(kmer_size):
    """With all hidden nucleotides changed, the tokens that change are those to mask."""
    random = np.random.default_rng(0)
    for seed in range(30):
        letters = [*make_rna(40, seed)]
        for place in random.integers(40, size=seed % 3):
            letters[place] = "N"
        hidden = (random.random(40) < 0.1) & (np.array(letters) != "N")
        other = dict(zip("ACGU", "CGUA", strict=True))
        changed = [other[x] if h else x for x, h in zip(letters, hidden, strict=True)]
        ids = tokenize_rna("".join(letters), kmer_size)
        told = reads_hidden(ids, hidden, kmer_size)
        assert (told == (ids != tokenize_rna("".join(changed), kmer_size))).all()


@pytest.mark.parametrize("kmer_size", [1, 6])
def test_masked_tokens_are_the_labels(kmer_size):
    np.random.seed(0)
    sequences = [make_rna(length, length) for length in (1, 5, 30, 400)]
    batch = MaskedCollator(kmer_size, 300, 0.15)([RnaRow(s) for s in sequences])
    whole = pad(sequences[:3], kmer_size)["input_ids"]
    masked = batch["input_ids"] == MASK
    assert (masked == (batch["labels"] != -100)).all()
    assert masked.any(dim=1).all()  # something to learn from each RNA
    restored = torch.where(masked, batch["labels"], batch["input_ids"])
    assert restored[:3, : whole.shape[1]].equal(whole)
    assert batch["attention_mask"].sum(1).tolist() == [3, 7, 32, 302]
    share = np.mean([MaskedCollator(kmer_size, 300, 0.15)([RnaRow(sequences[3])])["labels"][0]
                     .ne(-100).float().mean() for _ in range(50)])  # fmt: skip
    assert share == pytest.approx(0.15, abs=0.03)


def test_batches_keep_to_their_budget():
    rows = [RnaRow(make_rna(length), family=str(length % 7)) for length in range(1, 300)]
    for shuffle in (True, False):
        sampler = TokenBudgetSampler(rows, 200, max_length=250, shuffle=shuffle)
        batches = list(sampler)
        assert len(batches) == len(sampler)
        for batch in batches:
            longest = max(min(len(rows[i].sequence), 250) for i in batch)
            assert longest * len(batch) <= 200 or len(batch) == 1
    assert sorted(i for batch in batches for i in batch) == list(range(299))


def test_order_depends_on_seed_and_epoch_alone():
    rows = make_rows(20)

    def order(seed: int, epoch: int) -> list[list[int]]:
        sampler = TokenBudgetSampler(rows, 200, seed=seed)
        list(sampler)  # what was drawn before does not matter
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2)
    assert order(0, 1) != order(1, 1)


def test_large_families_are_drawn_by_the_root_of_their_size():
    rows = [RnaRow("A", family="large")] * 900 + [RnaRow("A", family="small")] * 100
    drawn = [i for batch in TokenBudgetSampler(rows, 50) for i in batch]
    assert np.mean(np.array(drawn) < 900) == pytest.approx(30 / (30 + 10), abs=0.05)


def test_mutations():
    np.random.seed(0)
    sequence = "A" * 500
    assert mutate(sequence, 0.0) == sequence
    shares = [np.mean([letter != "A" for letter in mutate(sequence, 0.2)]) for _ in range(400)]
    # A share between 0 and 0.2, of which three in four become another letter.
    assert np.mean(shares) == pytest.approx(0.1 * 0.75, abs=0.01)
    assert max(shares) < 0.2
    assert set("".join(mutate(sequence, 0.2) for _ in range(5))) == set("ACGU")


def test_stretches_are_cut_anywhere():
    np.random.seed(0)
    sequence = make_rna(50)
    pieces = {cut_at_random(sequence, 48) for _ in range(100)}
    assert pieces == {sequence[:48], sequence[1:49], sequence[2:]}
    assert cut_at_random("ACG", 10) == "ACG"


# Objectives


def test_words_are_the_beginning_of_the_text(language_model):
    targets = make_targets(language_model, size=6)
    tokens = {row: token for token, row in targets.ids.items()}
    table = load_file(language_model / "model.safetensors")["model.embed_tokens.weight"]
    for text in TEXTS.values():
        rows = targets.words_of(text)
        ids = [tokens[row] for row in rows.tolist()]
        assert targets.tokenizer.decode(ids) == f" {text}"[:6]  # a letter a token
        assert targets.embeddings[rows].equal(table[ids])
    assert tokens[targets.words_of("is")[-1].item()] == targets.tokenizer.eos_token_id
    assert targets.words_of("Zebra")[1] == -100


def test_mean_without_layers_is_that_of_the_model():
    encoder = make_small_encoder(num_hidden_layers=0).eval()
    torch.nn.init.normal_(encoder.encoder.emb_layer_norm_after.bias)
    sequences = [make_rna(length, length) for length in (1, 7, 30)]
    expected = []
    for sequence in sequences:
        vectors = encoder(**pad([sequence])).last_hidden_state[0]
        expected.append(vectors[1:-1].mean(0))
    assert mean_vectors(encoder, **pad(sequences)).allclose(torch.stack(expected), atol=1e-6)


def test_mean_with_layers_leaves_out_padding():
    encoder = make_small_encoder(num_hidden_layers=1).eval()
    sequences = [make_rna(length, length) for length in (1, 7, 30)]
    alone = torch.cat([mean_vectors(encoder, **pad([sequence])) for sequence in sequences])
    assert mean_vectors(encoder, **pad(sequences)).allclose(alone, atol=1e-5)


def test_added_layers_begin_as_the_identity(tmp_path):
    table = make_small_encoder(num_hidden_layers=0).eval()
    table.save_pretrained(tmp_path)
    batch = pad([make_rna(30)])
    deeper = make_small_encoder(num_hidden_layers=2, encoder=str(tmp_path)).eval()
    assert len(deeper.encoder.layer) == 2
    expected = table(**batch).last_hidden_state
    assert deeper(**batch).last_hidden_state.allclose(expected, atol=1e-6)


def test_an_encoder_that_does_not_fit_is_rejected(tmp_path):
    make_small_encoder(num_hidden_layers=2).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="has 2 layers, more than the 1 asked for"):
        make_small_encoder(num_hidden_layers=1, encoder=str(tmp_path))
    with pytest.raises(ValueError, match="add --hidden-size 16"):
        make_small_encoder(hidden_size=32, encoder=str(tmp_path))


def test_masked_loss_is_that_of_the_library():
    np.random.seed(0)
    objective = MaskedNucleotides(make_small_encoder("masked")).eval()
    batch = MaskedCollator(2, 100, 0.15)([RnaRow(make_rna(n, n)) for n in (9, 40)])
    reference = EsmForMaskedLM(objective.config).eval()
    reference.load_state_dict(objective.state_dict())
    assert objective(**batch)["loss"].item() == pytest.approx(reference(**batch).loss.item())
    table = objective.esm.embeddings.word_embeddings.weight
    assert objective.lm_head.decoder.weight is table  # tied, as in RNA-FM


def test_the_projection_of_other_words_is_rejected(language_model, tmp_path):
    encoder = make_small_encoder(num_hidden_layers=0)
    AnnotationWords(encoder, make_targets(language_model), 2).save(tmp_path)
    other = AnnotationWords(encoder, make_targets(language_model, size=5), 2)
    with pytest.raises(ValueError, match="same summary_size"):
        other.load_projection(tmp_path)


def test_shares_of_words():
    labels = np.array([[0, 1, 2], [1, 1, 2], [2, 3, 3], [2, 3, 3], [2, 3, 3]])
    guesses = np.array([[0, 1, 2], [2, 1, 9], [2, 3, 3], [0, 1, 2], [2, 0, 0]])
    shares = first_words(SimpleNamespace(predictions=guesses, label_ids=labels), unknown=2)
    assert shares == {
        "family": 0.5,
        "rejected": 0.5,
        "all_words": 0.5,
        "words": 0.75,
        "decoys_refused": pytest.approx(2 / 3),
    }


def test_decoys_are_shown_as_unknown(language_model):
    targets = make_targets(language_model)
    rows = make_rows(20)
    collator = WordsCollator(targets, 2, 1022, most_mutations=0.0, decoy_share=0.5)
    np.random.seed(0)
    batch = collator(rows)
    unknown = batch["labels"][:, 0] == targets.families[UNKNOWN]
    assert 20 < unknown.sum() < 60
    real = collator.__class__(targets, 2, 1022, most_mutations=0.0)(rows)
    same = (batch["input_ids"] == real["input_ids"]).all(1)
    assert same[~unknown].all()
    # Dinucleotides are 2-mers: shuffled, each occurs as often as before.
    counts = [
        torch.bincount(one.flatten(), minlength=50)
        for one in (batch["input_ids"], real["input_ids"])
    ]
    assert counts[0].equal(counts[1])
    assert not same[unknown].any()


def test_the_types_are_told_of_families_never_seen(language_model):
    """Two types, each of its own nucleotides in all of its families."""
    random = np.random.default_rng(0)
    rows = [
        RnaRow("".join(random.choice([*taste], 40)), f"family {n}", f"{rna_type} {n}", rna_type)
        for rna_type, taste in (("rich in A", "AAACGU"), ("rich in G", "GGGACU"))
        for n in range(20)
        for _ in range(3)
    ]
    seen = [row for row in rows if not row.family.endswith(("7", "8", "9"))]
    targets = WordTargets.of(seen, str(language_model), 4, type_size=3)
    encoder = make_encoder(
        EncoderArguments("words", "-", None, "-", kmer_size=2, hidden_size=16, num_hidden_layers=0)
    )
    objective = AnnotationWords(encoder, targets, merge_size=2)
    assert objective.config.rna_summary_size == 7
    record = fit_types(objective, seen)
    new = [row for row in rows if row not in seen]
    means = torch.from_numpy(rna_means(encoder, new))
    told = [targets.types[i] for i in objective.projector.type_keys(means).argmax(-1)]
    right = np.mean([a == row.rna_type for a, row in zip(told, new, strict=True)])
    assert right > 0.9
    assert record["right"] > 0.8


# The script


@pytest.mark.parametrize(
    ("options", "missing"),
    [({}, "--dataset-name and --language-model"), ({"objective": "masked"}, "--fasta")],
)
def test_missing_sources_are_named(options, missing):
    with pytest.raises(ValueError, match=f"needs {missing}"):
        EncoderArguments(**options)


def test_words_are_learned_and_the_folder_composes(train, language_model, rna_qa, tmp_path, capsys):
    table = train(
        tmp_path / "table", num_hidden_layers=0, max_steps=60, save_strategy="no",
        table_rate=2, lr_scheduler_type="constant", logging_steps=30,
    )  # fmt: skip
    log = json.loads((table / "training_record.json").read_text())["log"]
    assert log[0]["learning_rate"] == pytest.approx(2 * 0.01)  # the table's comes first
    out = train(
        tmp_path / "out", encoder=table, num_hidden_layers=1, learning_rate=1e-3, max_steps=10,
        eval_strategy="steps", eval_steps=10, save_strategy="no",
    )  # fmt: skip
    record = json.loads((out / "training_record.json").read_text())
    evaluation = next(entry for entry in record["log"] if "eval_words" in entry)
    assert evaluation["eval_all_words"] > 0.9
    assert evaluation["eval_family"] > 0.9
    assert record["linear_probe"]["family"] > 0.9
    assert record["linear_probe"]["validation_rnas"] == 48
    assert record["started_from"]["steps"] == 60
    assert str(tmp_path) not in json.dumps(record)

    encoder = EsmModel.from_pretrained(out, add_pooling_layer=False)
    assert encoder.config.kmer_size == 2
    composed = compose(out, language_model, tmp_path / "model", projector=out)
    model = RnaGptForCausalLM.from_pretrained(composed)
    assert model.config.rna_summary_size == 6 + 4
    stored = load_file(out / "projector.safetensors")["summary.weight"]
    assert model.model.projector.summary.weight.equal(stored)

    alone = linear_probe(encoder, str(rna_qa))
    assert alone["family"] == record["linear_probe"]["family"]


def test_words_are_learned_by_layers_that_learned_nucleotides(train, language_model, tmp_path):
    """Both stages of an encoder of single nucleotides, into a model."""
    fasta = tmp_path / "rnas.fasta"
    fasta.write_text("".join(f">{i}\n{row.sequence}\n" for i, row in enumerate(make_rows(9, 5))))
    options = {
        "architecture": "rinalmo",
        "kmer_size": 1,
        "num_hidden_layers": 1,
        "save_strategy": "no",
    }
    masked = train(tmp_path / "1", objective="masked", fasta=fasta, max_steps=5, **options)
    out = train(
        tmp_path / "2", encoder=masked, max_steps=60, eval_strategy="steps", eval_steps=60,
        **options,
    )  # fmt: skip
    record = json.loads((out / "training_record.json").read_text())
    evaluation = next(entry for entry in record["log"] if "eval_words" in entry)
    assert evaluation["eval_family"] > 0.9
    assert evaluation["eval_words"] > 0.8
    assert record["started_from"]["objective"] == "masked"
    composed = compose(out, language_model, tmp_path / "model", projector=out)
    model = RnaGptForCausalLM.from_pretrained(composed)
    assert model.config.rna_config.model_type == "rna-gpt-rinalmo"
    stored = load_file(out / "model.safetensors")["layers.0.qkv.weight"]
    assert model.model.rna_encoder.layers[0].qkv.weight.equal(stored)


@pytest.mark.parametrize("save_steps", [3, 7])
def test_resuming_is_as_not_stopping(train, tmp_path, save_steps):
    """Mutations, decoys and all, in the first round through the data and in the second."""
    options = {
        "num_hidden_layers": 1,
        "max_steps": 9,
        "save_steps": save_steps,
        "logging_steps": 1,
        "tokens_per_batch": 300,
        "lr_scheduler_type": "linear",
    }
    straight = train(tmp_path / "straight", **options)
    checkpoint = straight / f"checkpoint-{save_steps}"
    assert "words" not in load_file(checkpoint / "model.safetensors")
    resumed = train(tmp_path / "resumed", resume_from_checkpoint=checkpoint, **options)

    def losses(out: Path) -> list[float]:
        log = json.loads((out / "training_record.json").read_text())["log"]
        return [entry["loss"] for entry in log if "loss" in entry]

    assert len(losses(resumed)) == 9
    assert losses(resumed) == pytest.approx(losses(straight), abs=1e-5)
    for name in ("model.safetensors", "projector.safetensors"):
        expected, given = load_file(straight / name), load_file(resumed / name)
        assert all(given[key].allclose(expected[key], atol=1e-6) for key in expected)


# The probe


def test_means_of_rows_of_all_lengths_are_those_of_rows_alone():
    encoder = make_small_encoder(num_hidden_layers=1).float()
    rows = [RnaRow(make_rna(length, length)) for length in (900, 3, 1500, 40)]
    means = rna_means(encoder, rows)
    assert encoder.training
    for row, mean in zip(rows, means, strict=True):
        encoder.eval()
        vectors = encoder(**pad([row.sequence[:1022]])).last_hidden_state[0, 1:-1]
        np.testing.assert_allclose(mean, vectors.mean(0).detach().numpy(), atol=0.05)


def test_the_probe_takes_as_many_families_as_it_can():
    rows = [RnaRow("A", family="large")] * 50 + [RnaRow("A", family=str(i)) for i in range(9)]
    taken = even_families(rows, 15)
    assert len(taken) == 15
    assert len({row.family for row in taken}) == 10
    assert len(even_families(rows, 1000)) == 59
