"""The commands ``rnagpt reference …``: look at a reference, merge references, add to one."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path

from rnagpt.cli.exit_codes import exit_code
from rnagpt.cli.quiet import add_quiet, quieted

INFO_HELP = """\
Show what a reference holds, where it comes from, and whether its files are whole. Without DIR: the
one that comes with rna-gpt-mini."""
MERGE_HELP = """\
Write a reference that holds what others hold. What several of them hold in the same words is taken
once; two different records of one id are an error."""
ADD_HELP = """\
Add a lab's own RNAs or families to a reference; they are found from then on, without any training.

NOTES is a CSV or TSV file with one RNA per row (columns id and sequence; name, description, type,
functions, papers and organism as you have them, several functions or papers parted by ";"), or a
Stockholm file with the alignments of one or more families (#=GF AC is their id)."""
EXAMPLES = """\
examples:
  rnagpt reference info
  rnagpt reference add rna-qa-data/reference notes.csv my-reference
  rnagpt reference merge my-reference rna-qa-data/reference both
"""


def add_commands(parser: argparse.ArgumentParser) -> None:
    """Add `info`, `merge` and `add`."""
    parser.epilog = EXAMPLES
    commands = parser.add_subparsers(dest="reference_command", metavar="COMMAND", required=True)

    info = _command(commands, "info", "what a reference holds", INFO_HELP, _info)
    info.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="the reference")
    info.add_argument("--json", action="store_true", help="as JSON")

    merge = _command(commands, "merge", "several into one", MERGE_HELP, _merge)
    merge.add_argument("references", nargs="+", type=Path, metavar="DIR", help="references")
    merge.add_argument("out", type=Path, metavar="OUT", help="the folder to write")
    _add_engine(merge, "that of the first DIR")
    merge.add_argument("--overwrite", action="store_true", help="replace the reference in OUT")
    add_quiet(merge)

    add = _command(commands, "add", "own RNAs or families", ADD_HELP, _add)
    add.add_argument("reference", type=Path, metavar="DIR", help="the reference")
    add.add_argument("notes", type=Path, metavar="NOTES", help="CSV, TSV or Stockholm file")
    add.add_argument(
        "out", nargs="?", type=Path, metavar="OUT", help="folder to write (default: DIR itself)"
    )
    _add_engine(add, "that of DIR")
    add_quiet(add)


def _add_engine(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument(
        "--engine",
        choices=["kmers", "blast"],
        help="what finds single RNAs: kmers needs no program, blast needs NCBI's BLAST+ (default: "
        f"{default})",
    )


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    summary: str,
    description: str,
    work: Callable[[argparse.Namespace], None],
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=summary,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    label = f"rnagpt reference {name}"
    parser.set_defaults(
        run=lambda arguments: exit_code(label, lambda: work(arguments), (ValueError, OSError))
    )
    return parser


def _info(arguments: argparse.Namespace) -> None:
    from dataclasses import asdict

    from rnagpt.reference.library import Reference

    reference = Reference.open(arguments.folder)
    reference.check()
    manifest = reference.manifest
    if arguments.json:
        print(json.dumps(asdict(manifest), indent=2, ensure_ascii=False))
        return
    print(f"{reference.folder}: {manifest.title}")
    print(f"{manifest.families:,} families, built from {manifest.sequences:,} sequences")
    print(f"{manifest.rnas:,} single RNAs, found by {manifest.engine}")
    print(f"licence {manifest.licence or 'not known'}, built {manifest.date}", end="")
    print("".join(f", {name} {version}" for name, version in manifest.programs.items()))
    for name, origin in manifest.sources.items():
        print(f"from {name}: {origin}")
    size = sum(size for size, _ in manifest.files.values())
    print(f"{len(manifest.files)} files, {size / 1e6:,.1f} MB, all whole")


def _merge(arguments: argparse.Namespace) -> None:
    from rnagpt.reference.edit import merge
    from rnagpt.reference.library import Reference

    with quieted(arguments):
        merge(
            [Reference.open(folder) for folder in arguments.references],
            arguments.out,
            engine=arguments.engine,
            overwrite=arguments.overwrite,
        )
    print(arguments.out)


def _add(arguments: argparse.Namespace) -> None:
    from rnagpt.reference.edit import add
    from rnagpt.reference.library import Reference

    reference = Reference.open(arguments.reference)
    with quieted(arguments):
        add(
            reference,
            arguments.notes,
            arguments.out,
            engine=arguments.engine,
            jobs=os.cpu_count() or 1,
        )
    print(arguments.out or reference.folder)


__all__ = ["EXAMPLES", "add_commands"]
