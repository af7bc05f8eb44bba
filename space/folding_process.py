"""Folds, evaluates and lays out one RNA, in a process of its own.

    python folding_process.py < request.json > result.json

ViennaRNA holds Python's lock as long as it folds, which is seconds for a long RNA: in the page's
own process no visitor would be served meanwhile. It also keeps settings for its whole process.
`structure_folding.py` writes the request and reads the result.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from typing import Any

from rnagpt import SecondaryStructure
from rnagpt.sequences.folding import fold_rest, free_energy, lay_out


def folded(request: dict[str, Any]) -> dict[str, Any]:
    """The structure, its energy in kcal/mol, and the nucleotides' places: null without a pair.

    Args:
        request: `sequence`; `known`, what is known of the structure; `max_folded`, in nt.
    """
    sequence = request["sequence"]
    structure = fold_rest(sequence, SecondaryStructure(**request["known"]), request["max_folded"])
    paired = "(" in structure.pairs
    return {
        "structure": asdict(structure),
        "energy": free_energy(sequence, structure.pairs) if paired else None,
        "places": lay_out(structure.pairs).round(1).tolist() if paired else None,
    }


def main() -> None:
    if hasattr(os, "nice"):
        os.nice(5)  # the search of another visitor goes before
    json.dump(folded(json.load(sys.stdin)), sys.stdout)


if __name__ == "__main__":
    main()
