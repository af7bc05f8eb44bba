"""Encoding many RNAs on a GPU: `rnagpt.encode` against the official `rna-fm` package.

    python benchmarks/encoding_gpu.py --dataset rna-qa       # writes encoding_gpu.md

As `encoding.py` does it on a CPU: RNA-FM's size, the same random weights on both sides, RNAs of the
test split. The official package reads batches of 16 in the order given, as its users do, once in
float32 and once under autocast to bfloat16. All ways bring the vectors to main memory but the last
two, which leave them on the GPU: there the limit is what the products of the encoder's linear
layers take in bfloat16, for as many tokens as a batch of ours has; attention, norms and padding are
not in it.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from encoding import (
    OFFICIAL,
    OFFICIAL_SIZES,
    difference,
    draw_rnas,
    load_official,
    matrix_products,
    model_of,
    official_checkpoint,
)
from measured import (
    Figure,
    add_destinations,
    limit_of,
    machine,
    ratio_interval,
    table,
    take_turns,
    write_down,
)
from transformers import EsmModel

import rnagpt
from rnagpt.configuration_rnagpt import RNA_PAD_TOKEN_ID
from rnagpt.conversion.rnafm import convert_rnafm
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import tokenize_rna

REPORT = Path(__file__).with_suffix(".md")
OFFICIAL_ROUNDED = f"{OFFICIAL}, autocast to bfloat16"
OURS, ROUNDED = "`rnagpt.encode`, float32", "`rnagpt.encode`, bfloat16"
INSIDE = "the model's own `encode_rna`, bfloat16, vectors left on the GPU"
LIMIT = "the limit: matrix products alone, bfloat16"
WHOLE = (512, 3)  # RNAs and rounds of a run to publish
BATCH_TOKENS = 65536


def main() -> None:
    args = parse_arguments()
    rnas = draw_rnas(args.dataset, args.rnas)
    nucleotides = sum(map(len, rnas))
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = official_checkpoint(
            Path(folder) / "official.pth", OFFICIAL_SIZES, token_dropout=True
        )
        official = load_official(checkpoint, args.device)
        encoder = EsmModel.from_pretrained(
            convert_rnafm(checkpoint, Path(folder) / "esm"), add_pooling_layer=False
        )
    ours = model_of(encoder).to(args.device)
    rounded = model_of(encoder).to(args.device, torch.bfloat16)
    errors = {
        name: difference(official(rnas[:64], 16), rnagpt.encode(rnas[:64], model))
        for name, model in ((OURS, ours), (ROUNDED, rounded))
    }
    products = matrix_products(
        encoder.config, BATCH_TOKENS, device=args.device, dtype=torch.bfloat16
    )
    inside = inside_of(rounded, rnas)
    ways: dict[str, Callable[[], object]] = {
        OFFICIAL: lambda: official(rnas, 16),
        OFFICIAL_ROUNDED: lambda: official(rnas, 16, rounded=True),
        OURS: lambda: rnagpt.encode(rnas, ours),
        ROUNDED: lambda: rnagpt.encode(rnas, rounded),
        INSIDE: lambda: synchronised(inside, args.device),
        LIMIT: lambda: synchronised(lambda: products(nucleotides), args.device),
    }
    take_turns(ways, 1)
    seconds = take_turns(ways, args.rounds)
    text = report(args, rnas, seconds, errors)
    print(text)
    is_whole = args.rnas >= WHOLE[0] and args.rounds >= WHOLE[1]
    write_down(args, text, figures(seconds, nucleotides), report=REPORT, is_whole=is_whole)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--dataset", required=True, help="folder or Hub id of an RNA-QA")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--rnas", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    add_destinations(parser)
    return parser.parse_args()


def inside_of(model: RnaGptForCausalLM, rnas: list[str]) -> Callable[[], object]:
    """Encodes all RNAs in batches of similar length, and leaves the vectors where they are."""
    groups: list[list[torch.Tensor]] = []
    for rna in sorted(rnas, key=len, reverse=True):
        ids = torch.from_numpy(tokenize_rna(rna, 1)).long()
        if not groups or (len(groups[-1]) + 1) * len(groups[-1][0]) > 2 * BATCH_TOKENS:
            groups.append([])
        groups[-1].append(ids)
    padded = [
        torch.nn.utils.rnn.pad_sequence(group, True, RNA_PAD_TOKEN_ID).to(model.device)
        for group in groups
    ]

    @torch.no_grad()
    def encode() -> None:
        for ids in padded:
            model.encode_rna(ids)

    return encode


def synchronised(way: Callable[[], object], device: str) -> None:
    way()
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()


def report(
    args: argparse.Namespace,
    rnas: list[str],
    seconds: dict[str, list[float]],
    errors: dict[str, float],
) -> str:
    nucleotides = sum(map(len, rnas))
    speed = speeds(seconds, nucleotides)
    lines = [
        [
            name,
            f"{speed[name]:,.0f}",
            f"{speed[name] / speed[OFFICIAL]:.1f} x",
            f"{speed[name] / limit:.3f}" if (limit := limit_of_way(name, speed)) else "",
        ]
        for name in seconds
    ]
    return "\n".join(
        [
            "# Encoding many RNAs on a GPU",
            "",
            "`python benchmarks/encoding_gpu.py --dataset rna-qa`",
            "",
            f"{machine('torch', 'transformers', 'rna-fm')} {args.rnas:,} RNAs of the test split, "
            f"{nucleotides:,} nt, mean {nucleotides / len(rnas):.0f}; RNA-FM's size, random "
            f"weights; medians of {args.rounds} rounds in turn.",
            "",
            table(["how", "nt a second", "over the official batches", "share of the limit"], lines),
            "",
            "Largest difference from the official vectors in float32, over their norm: "
            f"float32 {errors[OURS]:.1e}, bfloat16 {errors[ROUNDED]:.1e}.",
            "",
        ]
    )


def speeds(seconds: dict[str, list[float]], nucleotides: int) -> dict[str, float]:
    """Nucleotides a second: medians, and of the limit the best round."""
    return {
        name: nucleotides / (min(taken) if name == LIMIT else statistics.median(taken))
        for name, taken in seconds.items()
    }


def limit_of_way(way: str, speed: dict[str, float]) -> float | None:
    """The speed that bfloat16's matrix products allow to what runs in bfloat16."""
    rounded = way in (OFFICIAL_ROUNDED, ROUNDED, INSIDE)
    return limit_of(speed[LIMIT] if rounded else None, ours=speed[way])


def figures(seconds: dict[str, list[float]], nucleotides: int) -> list[Figure]:
    speed = speeds(seconds, nucleotides)
    return [
        Figure(
            f"encoding on a GPU, {kind}",
            ours=speed[way],
            other=speed[other],
            other_name=other,
            unit="nt/s",
            target="ratio 4",
            limit=limit_of_way(way, speed),
            interval=ratio_interval(seconds[other], seconds[way]),
        )
        for kind, way, other in (
            ("float32", OURS, OFFICIAL),
            ("bfloat16", ROUNDED, OFFICIAL_ROUNDED),
            ("bfloat16, vectors left there", INSIDE, OFFICIAL_ROUNDED),
        )
    ]


if __name__ == "__main__":
    main()
