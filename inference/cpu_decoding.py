"""Faster answers on a CPU, as options: int8 weights, and compiled steps.

To write one more token, every weight is read from memory for a single product. That sets the pace,
and int8 is a quarter of float32. What comes into a layer is quantised too, all of it by one scale.
One token can bear that, though not for nothing: rna-gpt-mini's short answers seldom change, long
ones often (`benchmarks/chatting.md`). Several cannot: the first of a prompt has values a hundred
times the others'. So a prompt is read with the weights as they are.

The scheme is torch's dynamic quantisation, with a scale for each row of weights. This calls its
operators, since the modules above them, `torch.ao.quantization`, are to be removed soon.

Between the products lie many calls of Python and small operations, which take as long as the int8
products of a small language model do; compiled, they take far less.
"""

from __future__ import annotations

import itertools
import os
import shutil
import warnings
from collections.abc import Sequence
from typing import Any, ClassVar
from weakref import WeakValueDictionary

import torch
from torch import nn

from rnagpt.modeling_rnagpt import RnaGptForCausalLM

# Layers of a block that most language models of transformers call with one and the same tensor, in
# this order.
_SAME_INPUT = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
_LARGEST = 127  # of a signed byte, and as far below zero
_COMPILERS = ("g++", "clang++", "cl")


def use_int8_weights(model: RnaGptForCausalLM) -> None:
    """Write answers with int8 weights: those of the language model's linear layers and its head.

    Encoder, projection and embeddings stay as they are. So do the reading of a prompt, but for the
    head at its last token, answers of which several are written at once, and passes with gradients.
    An answer that `answer_questions` writes alone, the last of its batches for one, is written in
    int8. The int8 weights take a quarter of the memory of the others, in addition.

    Raises:
        ValueError: where the model is not in float32 on a CPU, or torch has no int8 for this CPU.
    """
    if model.device.type != "cpu" or model.dtype != torch.float32:
        raise ValueError(
            f"int8=True is for float32 on a CPU; the model is on {model.device.type}, in "
            f"{str(model.dtype).removeprefix('torch.')}. On a GPU give quantization_config in its "
            "place, for example of bitsandbytes."
        )
    try:
        narrow = _overflows()
    except (AttributeError, RuntimeError) as error:
        raise ValueError(
            f"PyTorch {torch.__version__} has no int8 products for this CPU: leave int8=True out."
        ) from error
    for module in list(model.model.language_model.modules()):
        for names in _together(module):
            layers = [getattr(module, name) for name in names]
            products = _Int8Products(layers, narrow)
            for place, (name, layer) in enumerate(zip(names, layers, strict=True)):
                setattr(module, name, Int8Linear(layer, products, place))
    model.lm_head = Int8Linear(model.lm_head, _Int8Products([model.lm_head], narrow), 0)


def compile_steps(model: RnaGptForCausalLM) -> None:
    """Compile the language model's pass over one token of one answer, when it comes to the first.

    That takes a minute or so, and less where PyTorch finds its result of an earlier time.
    Everything else, such as reading prompts or writing several answers at once, runs as ever. So
    does `model.generate` outside of torch's inference mode.

    Raises:
        ValueError: where a CPU is to run it and there is no C++ compiler.
    """
    if model.device.type == "cpu" and not any(map(shutil.which, _compilers())):
        raise ValueError(
            "compiled=True needs a C++ compiler, and none of "
            f"{', '.join(_compilers())} was found. Install one, name it in the variable CXX, or "
            "leave compiled=True out."
        )
    language_model = model.model.language_model
    plain = language_model.forward
    step = torch.compile(plain, dynamic=True, fullgraph=True)

    def forward(attention_mask: torch.Tensor | None = None, **arguments: Any) -> Any:
        embeds = arguments.get("inputs_embeds")
        # Gradients, or the lack of that mode, would be a reason to compile all of it again.
        if embeds is None or embeds.shape[:2] != (1, 1) or not torch.is_inference_mode_enabled():
            return plain(attention_mask=attention_mask, **arguments)
        if attention_mask is not None and attention_mask.ndim == 2 and attention_mask.all():
            attention_mask = None  # it hides nothing, which a compiler could not know
        return step(attention_mask=attention_mask, **arguments)

    language_model.forward = forward


class Int8Linear(nn.Linear):
    """A linear layer with int8 weights next to its own, which serve a single row without gradients.

    Args:
        linear: whose weights it shares. A change of them does not reach the int8 ones.
        products: of these weights and those of layers that are given the same inputs.
        place: of this layer among them.
    """

    def __init__(self, linear: nn.Linear, products: _Int8Products, place: int) -> None:
        has_bias = linear.bias is not None
        super().__init__(linear.in_features, linear.out_features, has_bias, device="meta")
        self.weight, self.bias = linear.weight, linear.bias
        self._products, self._place = products, place

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """(…, in features) to (…, out features)."""
        if input.numel() != self.in_features or torch.is_grad_enabled():
            return super().forward(input)
        return self._products.of(input, self._place)


class _Int8Products:
    """One row times the weights of several layers at once: a call costs as much as its product.

    Args:
        layers: that are called one after the other with the same tensor.
        narrow: keep 7 bits of what comes in, not 8.
    """

    _numbers = itertools.count()
    numbered: ClassVar[WeakValueDictionary[int, _Int8Products]] = WeakValueDictionary()

    def __init__(self, layers: Sequence[nn.Linear], narrow: bool) -> None:
        weight = torch.cat([layer.weight.detach() for layer in layers])
        biases = [layer.bias.detach() for layer in layers if layer.bias is not None]
        self._packed = _packed(weight, torch.cat(biases) if biases else None)
        self._narrow = narrow
        self._sizes = [layer.out_features for layer in layers]
        self._number = next(self._numbers)
        self.numbered[self._number] = self
        # One attribute, so that threads do not meet between an input and its outputs.
        self._last: tuple[torch.Tensor, tuple[torch.Tensor, ...]] | None = None

    def of(self, input: torch.Tensor, place: int) -> torch.Tensor:
        """What the layer at this place makes of an input."""
        last = self._last
        if last is None or last[0] is not input:
            last = self._last = (input, self._all(input).split(self._sizes, -1))
        if place == len(self._sizes) - 1:
            self._last = None
        return last[1][place]

    def _all(self, input: torch.Tensor) -> torch.Tensor:
        if torch.compiler.is_compiling():
            # What holds the packed weights is no tensor, so no compiled graph can hold it.
            return torch.ops.rnagpt.int8_products(input, self._number, sum(self._sizes))
        return self.multiply(input)

    def multiply(self, input: torch.Tensor) -> torch.Tensor:
        """The outputs of all layers, one after the other: (…, all out features)."""
        return torch.ops.quantized.linear_dynamic.default(input, self._packed, self._narrow)


@torch.library.custom_op("rnagpt::int8_products", mutates_args=())
def _int8_products(input: torch.Tensor, number: int, size: int) -> torch.Tensor:
    return _Int8Products.numbered[number].multiply(input)


@_int8_products.register_fake
def _(input: torch.Tensor, number: int, size: int) -> torch.Tensor:
    return input.new_empty(*input.shape[:-1], size)


def _together(module: nn.Module) -> list[tuple[str, ...]]:
    """Names of a module's linear layers, those together that are given the same inputs."""
    linear = {name for name, layer in module.named_children() if type(layer) is nn.Linear}
    groups = [names for names in _SAME_INPUT if linear.issuperset(names)]
    return groups + [(name,) for name in sorted(linear.difference(*groups))]


def _packed(weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.ScriptObject:
    """Weights (out, in) in int8, a scale a row, laid out as this CPU wants them."""
    # A row of zeros would have the scale 0.
    scales = weight.abs().amax(1).clamp_min(torch.finfo(weight.dtype).tiny) / _LARGEST
    zeros = torch.zeros(len(weight), dtype=torch.long)
    with warnings.catch_warnings():
        # These are to go some day as well, and then int8=True is rejected: no operator that is to
        # stay quantises what comes in, and those that take it quantised are slower than this one.
        warnings.filterwarnings("ignore", "torch.quantize_per_tensor")
        quantised = torch.quantize_per_channel(weight, scales.double(), zeros, 0, torch.qint8)
    return torch.ops.quantized.linear_prepack(quantised, bias)


def _overflows() -> bool:
    """Whether sums of two products overflow, as they do at 16 bits on CPUs without VNNI."""
    row = torch.ones(1, 64)
    exact = float(row.sum())
    found = float(torch.ops.quantized.linear_dynamic.default(row, _packed(row), False))
    return abs(found - exact) > 0.01 * exact


def _compilers() -> tuple[str, ...]:
    named = os.environ.get("CXX")
    return (named,) if named else _COMPILERS


__all__ = ["Int8Linear", "compile_steps", "use_int8_weights"]
