"""Conversion of RiNALMo and ERNIE-RNA, against what their official implementations give.

`tests/data/official_encoders/` keeps that for small models. With checkouts of the repositories (see
the README there) they are asked anew, for small models and for those of the published sizes.
"""

import argparse
import json
import os
import pickle
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.official_encoders import AS_PYTORCH_BEGINS, KEEPING_SIZE
from helpers.official_outputs import CASES, RNAS, OfficialOutputs, official_outputs, stored_outputs
from safetensors.torch import load_file
from transformers import AutoModel

from rnagpt.configuration_encoders_rnagpt import ErnieRnaConfig, RinalmoConfig
from rnagpt.conversion import ENCODER_CODE, WeightsError
from rnagpt.conversion.ernie_rna import convert_ernie_rna
from rnagpt.conversion.rinalmo import convert_rinalmo
from rnagpt.conversion.rna_encoder import RnaEncoder

TOLERANCE = 1e-5
RINALMO, ERNIE_RNA = "rinalmo", "ernie_rna_sinusoidal"
# Those of the published checkpoints; RiNALMo's other sizes follow from the width.
PUBLISHED: dict[str, dict[str, Any]] = {
    "rinalmo-micro": {"hidden_size": 480, "num_hidden_layers": 12, "flash": True},
    "rinalmo-mega": {"hidden_size": 640, "num_hidden_layers": 30, "flash": True},
    "rinalmo-giga": {"hidden_size": 1280, "num_hidden_layers": 33, "flash": True},
    "ernie-rna": {"max_positions": 1024},
    "ernie-rna-learned": {"max_positions": 1024, "encoder_learned_pos": True},
}


def convert(outputs: OfficialOutputs, folder: Path, weights: Any = None) -> Path:
    checkpoint = outputs.write_checkpoint(folder / "official.pt", weights)
    of = convert_ernie_rna if outputs.settings else convert_rinalmo
    return of(checkpoint, folder / "encoder")


def largest_difference(encoder: RnaEncoder, official: list[torch.Tensor], rnas: Any) -> float:
    """Between the nucleotides' vectors; the encoder reads all RNAs in one padded batch."""
    found = encoder.vectors(rnas)
    pairs = zip(found, official, strict=True)
    return max(
        float((ours[: len(theirs) - 2] - theirs[1:-1]).abs().max()) for ours, theirs in pairs
    )


@pytest.mark.parametrize("case", CASES)
def test_the_stored_vectors_of_the_official_implementation(case: str, tmp_path: Path) -> None:
    outputs = stored_outputs(case)
    encoder = RnaEncoder.open(convert(outputs, tmp_path))
    assert encoder.network.dtype == torch.float32
    difference = largest_difference(encoder, outputs.vectors, RNAS)
    print(f"{case}: {difference:.1e}")
    assert difference <= TOLERANCE


@pytest.mark.parametrize("case", CASES)
def test_every_tensor_of_the_encoder_counts(case: str, tmp_path: Path) -> None:
    """Guards the test above: a tensor that is left at its beginning has to show."""
    outputs = stored_outputs(case)
    encoder = RnaEncoder.open(convert(outputs, tmp_path))
    before = encoder.vectors(RNAS)
    unused = []
    for name, weight in encoder.network.named_parameters():
        kept = weight.detach().clone()
        with torch.no_grad():
            weight.add_(0.1 * torch.linspace(1, 2, weight.numel()).view(weight.shape))
        changed = encoder.vectors(RNAS)
        if (changed - before)[0, : len(RNAS[0])].abs().max() < 10 * TOLERANCE:
            unused.append(name)
        with torch.no_grad():
            weight.copy_(kept)
    # What all scores of a head have in common, softmax takes away.
    assert unused == (["pair_out.bias"] if outputs.settings else [])


@pytest.mark.parametrize("case", CASES)
def test_the_official_implementation_still_gives_what_is_stored(case: str) -> None:
    stored, found = stored_outputs(case), official_outputs(CASES[case])
    assert (stored.shapes, stored.settings) == (found.shapes, found.settings)
    for before, now in zip(stored.vectors, found.vectors, strict=True):
        torch.testing.assert_close(now, before, rtol=0, atol=TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize("size", PUBLISHED)
def test_the_published_sizes(size: str, tmp_path: Path) -> None:
    """At the scale at which PyTorch begins: at a larger one, float32 itself is further off."""
    difference = difference_at(size, tmp_path, torch.float32, AS_PYTORCH_BEGINS)
    assert difference <= TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("size", [size for size in PUBLISHED if "giga" not in size])
def test_the_published_sizes_in_float64(size: str, tmp_path: Path) -> None:
    """Without rounding: what is left is of tables that both have in float32."""
    assert difference_at(size, tmp_path, torch.float64, KEEPING_SIZE) <= TOLERANCE / 10


def difference_at(size: str, folder: Path, dtype: torch.dtype, scale: float) -> float:
    """The largest difference of all vectors of small RNAs and one of 200 nt."""
    rnas = (*RNAS, "".join(np.random.default_rng(0).choice(list("ACGU"), 200)))
    outputs = official_outputs(PUBLISHED[size], rnas, scale=scale, dtype=dtype)
    encoder = RnaEncoder.open(convert(outputs, folder))
    encoder.network.to(dtype)
    difference = largest_difference(encoder, outputs.vectors, rnas)
    print(f"{size}, {dtype}: {difference:.1e}")
    return difference


@pytest.mark.parametrize("case", CASES)
def test_what_the_folder_holds(case: str, tmp_path: Path) -> None:
    folder = convert(stored_outputs(case), tmp_path)
    assert {path.name for path in folder.iterdir()} == {
        *ENCODER_CODE,
        "NOTICE.rna-encoder.txt",
        "config.json",
        "model.safetensors",
    }
    notice = (folder / "NOTICE.rna-encoder.txt").read_text()
    assert ("MIT License" if "ernie" in case else "CC BY 4.0") in notice
    config = json.loads((folder / "config.json").read_text())
    kind = "ErnieRna" if "ernie" in case else "Rinalmo"
    assert config["auto_map"]["AutoModel"] == f"modeling_encoders_rnagpt.{kind}Model"
    expected = AutoModel.from_pretrained(folder).state_dict()
    assert load_file(folder / "model.safetensors").keys() == expected.keys()


def test_sizes_by_default_are_those_of_the_published() -> None:
    config = RinalmoConfig()
    sizes = (config.hidden_size, config.num_hidden_layers, config.intermediate_size)
    assert sizes == (1280, 33, int(2 / 3 * 4 * 1280))
    ernie = ErnieRnaConfig()
    assert (ernie.hidden_size, ernie.num_hidden_layers, ernie.vocab_size) == (768, 12, 25)


def test_settings_where_fairseq_has_them_since_2020(tmp_path: Path) -> None:
    """`cfg.model`, not `args`, beside objects of fairseq and omegaconf and NumPy's numbers."""
    outputs = stored_outputs(ERNIE_RNA)
    kinds = {
        name: type(name.rsplit(".", 1)[1], (), {"__module__": name.rsplit(".", 1)[0]})
        for name in ("omegaconf.dictconfig.DictConfig", "fairseq.meters.AverageMeter")
    }
    data: dict[str, Any] = {
        "args": None,
        "cfg": {"model": argparse.Namespace(**outputs.settings), "task": None},
        "model": outputs.weights(),
        "extra_state": {"val_loss": np.float64(1.5), "best": np.float32(2)},
        "optimizer_history": [],
    }
    folder = tmp_path / "a"
    folder.mkdir()
    first = _saved_with_foreign_objects(data, kinds, folder / "official.pt")
    encoder = RnaEncoder.open(convert_ernie_rna(first, folder / "encoder"))
    assert encoder.network.config.max_position_embeddings == 60
    assert largest_difference(encoder, outputs.vectors, RNAS) <= TOLERANCE


def _saved_with_foreign_objects(data: Any, kinds: dict[str, type], file: Path) -> Path:
    """torch.save of objects whose classes are there while they are written, and not afterwards."""
    modules: dict[str, types.ModuleType] = {}
    for name, kind in kinds.items():
        module, _, attribute = name.rpartition(".")
        for depth in range(1, module.count(".") + 2):
            part = ".".join(module.split(".")[:depth])
            modules.setdefault(part, types.ModuleType(part))
        setattr(modules[module], attribute, kind)
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        objects = [kind() for kind in kinds.values()]
        for one in objects:
            vars(one)["_content"] = {"lr": [0.1]}
        torch.save({**data, "notes": objects}, file)
    finally:
        for name, earlier in before.items():
            del sys.modules[name]
            sys.modules.update({} if earlier is None else {name: earlier})
    return file


class Malicious:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.file}",)


@pytest.mark.parametrize("convert_one", [convert_rinalmo, convert_ernie_rna])
def test_malicious_pickle_is_rejected_and_not_run(
    convert_one: Callable[..., Path], tmp_path: Path
) -> None:
    witness = tmp_path / "ran"
    torch.save({"model": {}, "embedding.weight": Malicious(witness)}, tmp_path / "bad.pt")
    with pytest.raises(WeightsError, match=r"bad\.pt was rejected: it asks for \w+\.system"):
        convert_one(tmp_path / "bad.pt", tmp_path / "out")
    assert not witness.exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("content", [b"", b">rna\nACGU\n", pickle.dumps({"model": 1}, protocol=4)])
@pytest.mark.parametrize("convert_one", [convert_rinalmo, convert_ernie_rna])
def test_other_files_are_rejected(
    convert_one: Callable[..., Path], content: bytes, tmp_path: Path
) -> None:
    (tmp_path / "file.pt").write_bytes(content)
    with pytest.raises(WeightsError, match=r"file\.pt was rejected: it is not a PyTorch check"):
        convert_one(tmp_path / "file.pt", tmp_path / "out")


def test_each_others_checkpoints_are_rejected(tmp_path: Path) -> None:
    rinalmo = stored_outputs(RINALMO).write_checkpoint(tmp_path / "r.pt")
    ernie_rna = stored_outputs(ERNIE_RNA).write_checkpoint(tmp_path / "e.pt")
    with pytest.raises(WeightsError, match=r"no official RiNALMo .* found \['args', 'model'\]"):
        convert_rinalmo(ernie_rna, tmp_path / "out")
    with pytest.raises(WeightsError, match=r"no official ERNIE-RNA .* tensors in 'model', found"):
        convert_ernie_rna(rinalmo, tmp_path / "out")


QKV = "transformer.blocks.1.mh_attn.Wqkv.weight"
BLOCK = "transformer.blocks.1"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({f"{BLOCK}.transition.2.bias": None}, r"missing: layers\.1\.down\.bias"),
        ({f"{BLOCK}.transition.0.beta": None}, r"missing: layers\.1\.gate_slope"),
        ({QKV: torch.zeros(3, 80)}, r"qkv\.weight has the shape \(3, 80\); expected \(240, 80\)"),
        ({f"{BLOCK}.adapter.weight": torch.zeros(2)}, r"does not have: transformer.*adapter"),
        ({QKV: 3}, "Wqkv.weight is not a tensor but int"),
        ({"embedding.weight": torch.zeros(25, 80)}, "expected RiNALMo's 22 tokens .* found 25"),
        ({"embedding.weight": torch.zeros(22, 90)}, r"\(90\) .* \(20\) must give each head an"),
        ({"transformer.blocks.0.transition.0.linear.weight": None}, "missing: transformer.*linear"),
        ({"embedding.weight": None, "lm.embedding.weight": torch.zeros(1)}, "take the pre-trained"),
    ],
)
def test_other_rinalmos_are_rejected(change: dict[str, Any], reason: str, tmp_path: Path) -> None:
    outputs = stored_outputs(RINALMO)
    _rejects(outputs, {**outputs.weights(), **change}, reason, tmp_path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"layers.1.fc2.bias": None}, r"missing: layers\.1\.down\.bias"),
        ({"layers.1.self_attn.k_proj.bias": None}, r"missing: layers\.1\.qkv\.bias"),
        ({"layers.1.fc2.weight": torch.zeros(24, 3)}, r"\(24, 3\); expected \(24, 40\)"),
        (
            {"layers.1.adapter.weight": torch.zeros(2)},
            "does not have: sentence_encoder.layers.1.ad",
        ),
        (
            {"embed_tokens.weight": torch.zeros(22, 24)},
            "expected ERNIE-RNA's 25 tokens .* found 22",
        ),
        ({"embed_tokens.weight": None}, r"missing: sentence_encoder\.embed_tokens"),
    ],
)
def test_other_ernie_rnas_are_rejected(change: dict[str, Any], reason: str, tmp_path: Path) -> None:
    outputs = stored_outputs(ERNIE_RNA)
    named = {f"encoder.sentence_encoder.{name}": value for name, value in change.items()}
    _rejects(outputs, {**outputs.weights(), **named}, reason, tmp_path)


def _rejects(outputs: OfficialOutputs, weights: Any, reason: str, folder: Path) -> None:
    weights = {name: value for name, value in weights.items() if value is not None}
    with pytest.raises(WeightsError, match=reason):
        convert(outputs, folder, weights)
    assert [file.name for file in folder.iterdir()] == ["official.pt"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"arch": "roberta_large"}, "expected the architecture 'rna_twod_mlm' .* 'roberta_large'"),
        ({"activation_fn": "relu"}, "with 'relu'"),
        ({"no_token_positional_embeddings": True}, "without positions"),
    ],
)
def test_other_settings_are_rejected(change: dict[str, Any], reason: str, tmp_path: Path) -> None:
    stored = stored_outputs(ERNIE_RNA)
    outputs = OfficialOutputs(stored.shapes, {**stored.settings, **change}, stored.vectors)
    _rejects(outputs, outputs.weights(), reason, tmp_path)
