"""The official RiNALMo and ERNIE-RNA, from checkouts of their repositories, with random weights.

The environment names the checkouts: `RNAGPT_RINALMO` of lbcb-sci/RiNALMo, `RNAGPT_ERNIE_RNA` of
Bruce-ywj/ERNIE-RNA, and `RNAGPT_FAIRSEQ` of facebookresearch/fairseq, from which ERNIE-RNA takes
positions, norms and activations. Their classes run as they are. What they import and what computes
nothing on a CPU (flash attention's CUDA kernels, fairseq's registries and heads) is replaced.
"""

import argparse
import ast
import importlib
import os
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest
import torch
from torch import nn

Tensors = dict[str, torch.Tensor]
Shapes = Mapping[str, Sequence[int]]


# Of a matrix's weights, times the square root of its inputs: what they multiply keeps its size; and
# as PyTorch begins linear layers, which lets rounding grow less from layer to layer.
KEEPING_SIZE = 1.0
AS_PYTORCH_BEGINS = 3**-0.5


def random_weights(shapes: Shapes, scale: float = KEEPING_SIZE) -> Tensors:
    """A value for every element, from each tensor's name: the same in every version of NumPy.

    Weights of norms and slopes lie around 1.
    """
    tensors = {}
    for name, shape in shapes.items():
        values = np.random.RandomState(crc32(name.encode())).standard_normal(tuple(shape))
        if len(shape) == 2 and "embed" not in name:
            values *= scale / np.sqrt(shape[1])
        elif len(shape) == 1:
            is_scale = ("norm" in name and name.endswith("weight")) or name.endswith("beta")
            values = 0.1 * values + is_scale
        tensors[name] = torch.from_numpy(values.astype(np.float32))
    return tensors


def checkout(variable: str) -> Path:
    """The folder that a variable of the environment names; without it the test is skipped."""
    if not os.environ.get(variable):
        pytest.skip(f"needs a checkout of the official repository: set {variable}")
    return Path(os.environ[variable])


def _module(name: str, **names: Any) -> types.ModuleType:
    module = types.ModuleType(name)
    vars(module).update(names)
    return module


@contextmanager
def _imported(folders: Sequence[Path], stand_ins: Sequence[types.ModuleType]) -> Iterator[None]:
    """Modules are found in the folders, and some replaced; all are forgotten afterwards."""
    before = dict(sys.modules)
    sys.path[:0] = map(str, folders)
    sys.modules.update({module.__name__: module for module in stand_ins})
    try:
        yield
    finally:
        del sys.path[: len(folders)]
        for name in sys.modules.keys() - before.keys():
            del sys.modules[name]


class _RotaryOnCpu(nn.Module):
    """flash_attn's rotary positions, by the official code for attention without it."""

    def __init__(self, dim: int, base: float, **_: Any) -> None:
        super().__init__()
        rope = importlib.import_module("rinalmo.model.rope")
        # A module inside would add its buffer to the state, which flash_attn's does not have.
        self.rotate = [rope.RotaryPositionEmbedding(dim, int(base))]

    def forward(self, qkv: torch.Tensor, seqlen_offset: int = 0) -> torch.Tensor:
        query, key, value = qkv.unbind(2)
        query, key = self.rotate[0](query.transpose(1, 2), key.transpose(1, 2))
        return torch.stack([query.transpose(1, 2), key.transpose(1, 2), value], 2)


def rinalmo(sizes: Mapping[str, int], *, flash: bool) -> tuple[Any, Any]:
    """The official module with these sizes, and its alphabet."""
    for needed in ("ml_collections", "einops"):
        pytest.importorskip(needed, reason=f"RiNALMo needs it: pip install {needed}")
    unused = {"unpad_input": None, "pad_input": None}
    functions = {"flash_attn_varlen_qkvpacked_func": None, "flash_attn_qkvpacked_func": None}
    stand_ins = [
        _module("flash_attn", **functions),
        _module("flash_attn.bert_padding", **unused),
        _module("flash_attn.layers"),
        _module("flash_attn.layers.rotary", RotaryEmbedding=_RotaryOnCpu),
    ]
    with _imported([checkout("RNAGPT_RINALMO")], stand_ins):
        config = importlib.import_module("rinalmo.config").model_config("micro")
        config.globals.embed_dim = sizes["hidden_size"]
        config.model.transformer.num_blocks = sizes["num_hidden_layers"]
        config.model.transformer.use_flash_attn = flash
        model = importlib.import_module("rinalmo.model.model").RiNALMo(config)
        alphabet = importlib.import_module("rinalmo.data.alphabet").Alphabet(**config["alphabet"])
    return model.eval(), alphabet


def rinalmo_vectors(model: Any, alphabet: Any, rnas: Sequence[str]) -> list[torch.Tensor]:
    """Each RNA's vectors with those of its ends (tokens, hidden), from one padded batch."""
    tokens = torch.tensor(alphabet.batch_tokenize(list(rnas)))
    flash = model.config.model.transformer.use_flash_attn
    with torch.no_grad():
        # Asked for weights, attention is written out: the kernel that gives none needs a GPU.
        vectors = model(tokens, need_attn_weights=flash)["representation"]
    return [row[: len(rna) + 2] for row, rna in zip(vectors, rnas, strict=True)]


def _fairseq() -> list[types.ModuleType]:
    """fairseq's own modules where numbers are made, and stand-ins for its registries."""
    root = checkout("RNAGPT_FAIRSEQ") / "fairseq"
    package = _module("fairseq", __path__=[str(root)], checkpoint_utils=None)
    modules = _module("fairseq.modules", __path__=[str(root / "modules")])
    nothing = type("Nothing", (), {})
    encoder = type("FairseqEncoder", (nn.Module,), {"__init__": _encoder_init})

    def register(*_: Any) -> Any:
        return lambda registered: registered

    models = _module(
        "fairseq.models",
        FairseqEncoder=encoder,
        BaseFairseqModel=nn.Module,
        register_model=register,
        register_model_architecture=register,
        **dict.fromkeys(("FairseqEncoderModel", "FairseqEncoderDecoderModel"), nothing),
    )
    return [
        package,
        modules,
        models,
        _module("fairseq.checkpoint_utils", load_pretrained_component_from_model=None),
        _module("fairseq.models.fconv", FConvDecoder=nothing),
        # All that the official class takes from it is made again in its own constructor.
        _module("fairseq.models.masked_lm", MaskedLMEncoder=encoder),
        _module("fairseq.modules.transformer_sentence_encoder", init_bert_params=None),
        _module("prediction", DOWNSTREAM_HEADS={}),
    ]


def _encoder_init(self: Any, *_: Any) -> None:
    nn.Module.__init__(self)


def _add_fairseq_modules() -> None:
    """The names that `from fairseq.modules import …` wants, each from its own file."""
    names = {
        "LayerNorm": "layer_norm",
        "SinusoidalPositionalEmbedding": "sinusoidal_positional_embedding",
        "FairseqDropout": "fairseq_dropout",
        "LayerDropModuleList": "layer_drop",
        "PositionalEmbedding": "positional_embedding",
        "gelu": "gelu",
        "gelu_accurate": "gelu",
    }
    package: Any = sys.modules["fairseq"]
    package.utils = importlib.import_module("fairseq.utils")
    for name, file in names.items():
        module = importlib.import_module(f"fairseq.modules.{file}")
        setattr(sys.modules["fairseq.modules"], name, getattr(module, name))


class _Dictionary:
    """As much of fairseq's dictionary as a model asks it for."""

    def __init__(self, file: Path) -> None:
        self.tokens = ["<s>", "<pad>", "</s>", "<unk>"]
        self.tokens += [line.split()[0] for line in file.read_text().splitlines()] + ["<mask>"]

    def pad(self) -> int:
        return self.tokens.index("<pad>")

    def __len__(self) -> int:
        return len(self.tokens)


def ernie_rna(sizes: Mapping[str, Any]) -> tuple[Any, list[str], argparse.Namespace]:
    """The official model, its tokens, and the arguments that fairseq would store."""
    root = checkout("RNAGPT_ERNIE_RNA")
    arguments = argparse.Namespace(arch="rna_twod_mlm", **sizes)
    with _imported([root / "src/ernie_rna/models"], _fairseq()):
        _add_fairseq_modules()
        module = importlib.import_module("ernie_rna")
        module.base_architecture(arguments)
        dictionary = _Dictionary(root / "src/dict/dict.txt")
        encoder = module.RNAMaskedLMEncoder(arguments, dictionary)
        model = module.RNATwoDModel(arguments, encoder)
        sys.path.remove(str(root / "src/ernie_rna/models"))  # it adds its own folder too
    return model.eval(), dictionary.tokens, arguments


def _official_functions() -> dict[str, Any]:
    """Those of src/utils.py that make the matrix of pairs; the file itself imports fairseq."""
    tree = ast.parse((checkout("RNAGPT_ERNIE_RNA") / "src/utils.py").read_text())
    wanted = ("prepare_input_for_ernierna", "gaussian", "paired", "creatmat")
    found: list[ast.stmt] = [
        one for one in tree.body if isinstance(one, ast.FunctionDef) and one.name in wanted
    ]
    names: dict[str, Any] = {"np": np, "torch": torch, "math": importlib.import_module("math")}
    exec(compile(ast.Module(found, []), "src/utils.py", "exec"), names)
    return names


def ernie_rna_vectors(model: Any, tokens: list[str], rnas: Sequence[str]) -> list[torch.Tensor]:
    """Each RNA's vectors with those of its ends (tokens, hidden), one by one as officially."""
    prepare = _official_functions()["prepare_input_for_ernierna"]
    vectors = []
    for rna in rnas:
        ids = [0, *(tokens.index(letter) for letter in rna), 2]
        one_d, two_d = prepare(np.array(ids, dtype=float), len(rna))
        with torch.no_grad():
            _, _, extra = model.encoder(
                one_d, twod_tokens=two_d, is_twod=True, extra_only=True, masked_only=False
            )
        vectors.append(extra["inner_states"][-1][:, 0])
    return vectors
