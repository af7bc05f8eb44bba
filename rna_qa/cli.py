"""The command ``rna-qa``."""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rna-qa", description="Build RNA-QA: questions and answers about real RNAs."
    )
    parser.add_argument("--version", action="version", version=f"rna-qa {_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    rfam = commands.add_parser("rfam", help="build from Rfam's seed alignments")
    rfam.add_argument("out", metavar="OUT", type=Path)
    rfam.add_argument("--seed")
    rfam.add_argument("--families")
    rfam.add_argument("--random-seed", type=int, default=0)
    rfam.add_argument("--clusters", choices=("auto", "cd-hit", "kmers"), default="auto")
    rfam.add_argument("--threads", type=int)
    rfam.add_argument("--overwrite", action="store_true")
    rfam.set_defaults(run=_run_rfam)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    options = build_parser().parse_args(arguments)
    try:
        return options.run(options)
    except (OSError, ValueError, RuntimeError) as error:
        print(f"rna-qa: {error}", file=sys.stderr)
        return 1


def _run_rfam(options: argparse.Namespace) -> int:
    from rnagpt.rna_qa.rfam import Options, build
    from rnagpt.rna_qa.sources import Source, default_family_url, default_seed_url

    families = options.families or (None if options.seed else default_family_url())
    record = build(
        Source(options.seed or default_seed_url()),
        Source(families) if families else None,
        options.out,
        Options(random_seed=options.random_seed, clusters=options.clusters),
        threads=options.threads,
        overwrite=options.overwrite,
    )
    print(record["counts"])
    return 0


def _version() -> str:
    try:
        return version("rnagpt")
    except PackageNotFoundError:
        return "unknown (not installed)"


if __name__ == "__main__":
    raise SystemExit(main())
