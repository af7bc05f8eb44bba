"""The commands `rnagpt convert-…`: official checkpoints of RNA encoders to folders of encoders."""

from __future__ import annotations

import argparse
import importlib
from dataclasses import dataclass
from pathlib import Path

_SAFE = """\
The file is a pickle; it is read without running any code that it may hold."""
_OWN = """\
OUT becomes a folder that `rnagpt compose --rna-encoder OUT` takes, with the weights as safetensors;
where this package is not installed, AutoModel loads it with trust_remote_code=True. It holds a
notice of whose weights they are, which goes on to what is composed with them."""


@dataclass(frozen=True)
class Conversion:
    """One of the commands.

    Attributes:
        summary: in a line, for the list of commands.
        description: for the command's help.
        file: how the authors call the checkpoint.
        function: what does it, as module:name in `rnagpt.conversion`.
    """

    summary: str
    description: str
    file: str
    function: str


CONVERSIONS = {
    "convert-rnafm": Conversion(
        "official RNA-FM checkpoint to an encoder folder",
        "Convert the official RNA-FM checkpoint (RNA-FM_pretrained.pth) to the format of "
        "transformers.\n\nOUT becomes a folder that "
        "`transformers.EsmModel.from_pretrained(OUT)` loads, with the weights as\nsafetensors. "
        f"{_SAFE}",
        "RNA-FM_pretrained.pth",
        "rnafm:convert_rnafm",
    ),
    "convert-rinalmo": Conversion(
        "official RiNALMo checkpoint to an encoder folder",
        "Convert an official RiNALMo checkpoint: rinalmo_giga_pretrained.pt (650 million "
        "parameters),\nrinalmo_mega_pretrained.pt (150) or rinalmo_micro_pretrained.pt (35).\n\n"
        f"{_OWN}\n{_SAFE}",
        "rinalmo_giga_pretrained.pt, or that of mega or micro",
        "rinalmo:convert_rinalmo",
    ),
    "convert-ernie-rna": Conversion(
        "official ERNIE-RNA checkpoint to an encoder folder",
        f"Convert the official ERNIE-RNA checkpoint (ERNIE-RNA_pretrain.pt).\n\n{_OWN}\n{_SAFE}",
        "ERNIE-RNA_pretrain.pt",
        "ernie_rna:convert_ernie_rna",
    ),
}


def add_arguments(parser: argparse.ArgumentParser, conversion: Conversion) -> None:
    """Describe a command's options."""
    parser.add_argument("checkpoint", type=Path, help=f"the file {conversion.file}")
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder to write")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace OUT if it is there and not empty"
    )


def run(arguments: argparse.Namespace) -> int:
    """Convert, and print the folder; the exit code."""
    module, name = CONVERSIONS[arguments.command].function.split(":")
    convert = getattr(importlib.import_module(f"rnagpt.conversion.{module}"), name)
    convert(arguments.checkpoint, arguments.out, overwrite=arguments.overwrite)
    print(arguments.out)
    return 0


__all__ = ["CONVERSIONS", "Conversion", "add_arguments", "run"]
