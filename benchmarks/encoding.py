"""Encoding many RNAs: `rnagpt.encode` against the official `rna-fm` package and the machine.

    python benchmarks/encoding.py --dataset rna-qa           # writes encoding.md
    python benchmarks/encoding.py --dataset rna-qa --rnas 32 # quick, only printed

RNA-FM's size, with the same random weights on both sides, so that their vectors can be compared.
The official package reads the RNAs in batches of 16 in the order given, as its users do. The limit
is what the machine's own matrix products allow: the products of the encoder's linear layers for
1,024 tokens, run in turn with the others, in the type of the run that it limits; attention, norms
and activations are not in it. For int8 none is known. Where else the time goes is the
profiler's table.

int8 is torch's dynamic quantisation of the encoder's linear layers: weights once, activations at
each call, products on the CPU's VNNI or AMX units.
"""

from __future__ import annotations

import argparse
import copy
import random
import statistics
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import measured
import torch
from datasets import load_dataset
from rna_fm_size import convert_official, make_official
from torch import nn
from torch.profiler import ProfilerActivity, profile
from transformers import EsmConfig, EsmModel, LlamaConfig

import rnagpt
from rnagpt.cleaning_rnagpt import clean_rna
from rnagpt.configuration_rnagpt import RnaGptConfig
from rnagpt.modeling_rnagpt import RnaGptForCausalLM

REPORT = Path(__file__).with_suffix(".md")
MAX_LENGTH = 1022
OFFICIAL, ALONE, OURS, ROUNDED, QUANTIZED, LIMIT, ROUNDED_LIMIT = (
    "`rna-fm`, batches of 16 in the order given",
    "`rna-fm`, one at a time",
    "`rnagpt.encode`, float32",
    "`rnagpt.encode`, bfloat16",
    "`rnagpt.encode`, int8",
    "the limit: matrix products alone, float32",
    "the limit: matrix products alone, bfloat16",
)
# What limits each way; the limits themselves, and int8, have none.
LIMIT_OF = {OFFICIAL: LIMIT, ALONE: LIMIT, OURS: LIMIT, ROUNDED: ROUNDED_LIMIT}
WHOLE = (128, 2)  # RNAs and rounds of a run to publish
SHORT, LONG = 1000, 16_000
# The profiler's names of what an encoder does, by what it is for.
KINDS = {
    "matrix products": ("addmm", "mm", "bmm"),
    "attention": ("_scaled_dot_product_flash_attention_for_cpu",),
    "GELU": ("gelu", "gelu_"),
    "copies: biases before their products, vectors": ("copy_", "index", "clone", "cat"),
    "layer norms": ("native_layer_norm",),
}


def main() -> None:
    args = parse_arguments()
    rnas = draw_rnas(args.dataset, args.rnas)
    nucleotides = sum(map(len, rnas))
    official_model, alphabet = make_official()
    official = encode_with(official_model, alphabet)
    with tempfile.TemporaryDirectory() as folder:
        encoder = convert_official(official_model, Path(folder))
    ours, rounded = model_of(encoder), model_of(encoder).to(torch.bfloat16)
    quantized = quantize(ours)
    errors = [
        f"{name} {difference(official(rnas[:8], 1), rnagpt.encode(rnas[:8], model)):.1e}"
        for name, model in (("float32", ours), ("bfloat16", rounded), ("int8", quantized))
    ]
    products, rounded_products = (
        matrix_products(encoder.config, dtype) for dtype in (torch.float32, torch.bfloat16)
    )
    ways: dict[str, Callable[[], object]] = {
        OFFICIAL: lambda: official(rnas, 16),
        ALONE: lambda: official(rnas, 1),
        OURS: lambda: rnagpt.encode(rnas, ours),
        ROUNDED: lambda: rnagpt.encode(rnas, rounded),
        QUANTIZED: lambda: rnagpt.encode(rnas, quantized),
        LIMIT: lambda: products(nucleotides),
        ROUNDED_LIMIT: lambda: rounded_products(nucleotides),
    }
    seconds = measured.take_turns(ways, args.rounds)
    speed = speeds(seconds, nucleotides)
    short, long = (
        [measured.make_rna(SHORT, seed) for seed in range(LONG // SHORT)],
        [measured.make_rna(LONG)],
    )
    windows = measured.take_turns(
        {
            "short": lambda: rnagpt.encode(short, ours),
            "long": lambda: rnagpt.encode(long, ours),
        },
        args.rounds,
    )
    costlier = measured.ratio(windows["long"], windows["short"])
    forced = tokens_read(LONG, ours.config) / (tokens_read(SHORT, ours.config) * LONG / SHORT)
    about = (
        f"{measured.machine('torch', 'transformers', 'rna-fm')} {args.rnas} RNAs of 1 to "
        f"{MAX_LENGTH} nt from the test split, {nucleotides:,} nt, mean "
        f"{nucleotides / len(rnas):.0f}; RNA-FM's size, random weights; medians of {args.rounds} "
        "rounds in turn."
    )
    text = f"""{measured.beginning("Encoding many RNAs", about)}
{table_of_speeds(speed)}

Largest difference from the official vectors, over their norm: {", ".join(errors)}.

A nucleotide of an RNA of {LONG:,} nt takes {costlier:.2f} times the time of one of \
{LONG // SHORT} RNAs of {SHORT:,} nt. Windows of 1,022 nt that overlap by 128 read {forced:.2f} \
times as many tokens, which is no limit of time: a token may cost less in a larger batch.

Where the time of `rnagpt.encode`, float32, goes:

{measured.table(["part", "share"], where_time_goes(lambda: rnagpt.encode(rnas, ours)))}
"""
    print(text)
    is_whole = args.rnas >= WHOLE[0] and args.rounds >= WHOLE[1]
    found = figures(seconds, speed, costlier)
    measured.write_down(args, text, found, report=REPORT, is_whole=is_whole)


def parse_arguments() -> argparse.Namespace:
    parser = measured.make_parser(__doc__, dataset=True, rounds=3)
    parser.add_argument("--rnas", type=int, default=128)
    return measured.parse(parser)


def draw_rnas(dataset: str, number: int) -> list[str]:
    """RNAs of the test split that fit one window, cleaned, in random order."""
    rows = load_dataset(dataset, "annotations", split="test")
    drawn = random.Random(0).sample(rows["sequence"], len(rows))
    fitting = [sequence for sequence in drawn if len(sequence) <= MAX_LENGTH]
    return [clean_rna(sequence).sequence for sequence in fitting[:number]]


def encode_with(model: Any, alphabet: Any) -> Callable[..., list[torch.Tensor]]:
    """The official package: RNAs and a batch size to vectors (nucleotides, 640) of each."""
    convert = alphabet.get_batch_converter()

    @torch.no_grad()
    def encode(rnas: list[str], batch_size: int) -> list[torch.Tensor]:
        vectors = []
        for start in range(0, len(rnas), batch_size):
            batch = rnas[start : start + batch_size]
            _, _, tokens = convert([(str(row), rna) for row, rna in enumerate(batch)])
            output = model(tokens, repr_layers=[12])["representations"][12]
            vectors += [row[1 : len(rna) + 1] for row, rna in zip(output, batch, strict=True)]
        return vectors

    return encode


def model_of(encoder: EsmModel) -> RnaGptForCausalLM:
    """An RNA-GPT with this encoder; its language model is tiny, and not run."""
    config = RnaGptConfig(
        rna_config=encoder.config,
        text_config=LlamaConfig(
            vocab_size=64,
            hidden_size=32,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
        ),
        rna_token_id=64,
    )
    model = RnaGptForCausalLM(config).eval()
    model.model.rna_encoder.load_state_dict(encoder.state_dict())
    return model


def matrix_products(
    config: EsmConfig, dtype: torch.dtype, tokens: int = 1024
) -> Callable[[int], None]:
    """Runs the products of the linear layers for a number of nucleotides, and nothing else."""
    size, inner = config.hidden_size, config.intermediate_size
    shapes = ((tokens, size), (tokens, inner), (size, size), (size, inner), (inner, size))
    inputs, wide, square, up, down = (torch.randn(*shape, dtype=dtype) for shape in shapes)

    def run(nucleotides: int) -> None:
        for _ in range(round(nucleotides / tokens * config.num_hidden_layers)):
            for _ in range(4):
                inputs @ square
            inputs @ up
            wide @ down

    return run


def quantize(model: RnaGptForCausalLM) -> RnaGptForCausalLM:
    """A copy with the encoder's linear layers in int8."""
    model = copy.deepcopy(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of all of torch.ao
        model.model.rna_encoder = torch.ao.quantization.quantize_dynamic(
            model.model.rna_encoder, {nn.Linear}, dtype=torch.qint8
        )
    return model


def tokens_read(length: int, config: RnaGptConfig) -> int:
    """Tokens of all windows of an RNA of `length` nt, cls and eos of each among them."""
    window, overlap = config.rna_window_length, config.rna_window_overlap
    if length <= window:
        return length + 2
    return (-(-(length - window) // (window - overlap)) + 1) * (window + 2)


def where_time_goes(encode: Callable[[], object]) -> list[list[str]]:
    """The profiler's shares of one call, by kind, the rest last."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        encode()
    spent = {
        event.key.removeprefix("aten::"): event.self_cpu_time_total
        for event in profiler.key_averages()
    }
    total = sum(spent.values())
    shares = {
        kind: sum(spent.get(name, 0) for name in names) / total for kind, names in KINDS.items()
    }
    shares["the rest"] = 1 - sum(shares.values())
    return [[kind, f"{share:.3f}"] for kind, share in shares.items()]


def difference(official: list[torch.Tensor], ours: list[torch.Tensor]) -> float:
    """The largest distance of two vectors of a nucleotide, over the official one's norm."""
    return max(
        float(((a - b.float()).norm(dim=-1) / a.norm(dim=-1)).max())
        for a, b in zip(official, ours, strict=True)
    )


def speeds(seconds: dict[str, list[float]], nucleotides: int) -> dict[str, float]:
    """Nucleotides per second: medians, and of limits the best round."""
    limits = (LIMIT, ROUNDED_LIMIT)
    return {
        name: nucleotides / (min(taken) if name in limits else statistics.median(taken))
        for name, taken in seconds.items()
    }


def table_of_speeds(speed: dict[str, float]) -> str:
    rows = []
    for way, nt_per_second in speed.items():
        limit = limit_of_way(way, speed)
        share = f"{nt_per_second / limit:.2f}" if limit else ""
        rows.append(
            [way, f"{nt_per_second:.0f}", f"{nt_per_second / speed[OFFICIAL]:.2f} x", share]
        )
    return measured.table(
        ["how", "nt a second", "over the official batches", "share of the limit"], rows
    )


def limit_of_way(way: str, speed: dict[str, float]) -> float | None:
    """The speed that the matrix products allow it."""
    return measured.limit_of(speed[LIMIT_OF[way]] if way in LIMIT_OF else None, ours=speed[way])


def figures(
    seconds: dict[str, list[float]], speed: dict[str, float], costlier: float
) -> list[measured.Figure]:
    nucleotides = speed[OFFICIAL] * statistics.median(seconds[OFFICIAL])
    return [
        measured.compare(
            f"encoding, {kind}",
            seconds[way],
            seconds[OFFICIAL],
            other_name=OFFICIAL,
            unit="nt/s",
            target=target,
            work=nucleotides,
            limit=limit_of_way(way, speed),
        )
        for kind, way, target in (
            ("float32", OURS, "ratio 2.3, share of the limit 0.80"),
            ("bfloat16", ROUNDED, "where it pays"),
            ("int8", QUANTIZED, "where it pays"),
        )
    ] + [
        # The tokens that windows read twice are no limit: a token may cost less in a longer batch.
        measured.Figure(
            f"encoding, a nucleotide of {LONG} nt",
            ours=costlier,
            other=1.0,
            other_name=f"a nucleotide of {SHORT} nt",
            unit="times its seconds",
            target="what windows that overlap read twice, not more",
        )
    ]


if __name__ == "__main__":
    main()
