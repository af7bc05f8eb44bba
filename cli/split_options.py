"""The options of the command line that say how a data set is split."""

from __future__ import annotations

from typing import Any


def add_split_options(group: Any, unit: str) -> None:
    """Add ``--test``, ``--validation`` and ``--clusters``.

    Args:
        group: a parser, or a group of its arguments.
        unit: what the shares are of, such as "RNAs".
    """
    for split, share in (("test", 0.06), ("validation", 0.03)):
        group.add_argument(
            f"--{split}",
            type=float,
            default=share,
            metavar="SHARE",
            help=f"of the {unit}, for the {split} split (default: {share})",
        )
    group.add_argument(
        "--clusters",
        choices=("auto", "cd-hit", "kmers"),
        default="auto",
        help="cd-hit (package cd-hit of Debian or Bioconda), kmers (built in, coarser), or auto: "
        "cd-hit where it is installed (default)",
    )


__all__ = ["add_split_options"]
