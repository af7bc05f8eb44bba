"""The commands ``rnagpt reference …``: look at a reference, merge, add, update."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from rnagpt.cli.exit_codes import exit_code
from rnagpt.cli.quiet import add_quiet, quieted
from rnagpt.cli.shown_command import shown_command
from rnagpt.cli.values import add_seed, evalue, positive

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
EVALUATE_HELP = """\
Measure the search: right families on RNAs as people paste them, claims on sequences of no family,
families added without training, base pairs. Every RNA is asked in a reference of the training
split alone, which is built into OUT once; OUT/search.md and OUT/search.json are the report."""
UPDATE_HELP = """\
Bring a reference that came from Rfam to Rfam's current release, in its place: it is downloaded from
Rfam's own address (a download that was cut off is resumed by the next run), and profiles are built
of families that are new or have another alignment. Own families and RNAs stay. Nothing changes when
the reference holds the current release. RNAQA_RFAM_SEED_URL and RNAQA_RFAM_FAMILY_URL name other
addresses of Rfam.seed.gz and of family.txt.gz."""
EXAMPLES = """\
examples:
  rnagpt reference info
  rnagpt reference add rna-qa-data/reference notes.csv my-reference
  rnagpt reference evaluate rna-qa-data search-figures
  rnagpt reference merge my-reference rna-qa-data/reference both
  rnagpt reference update my-reference
"""
LISTED = 20  # families that are named of those added, changed or removed


def add_commands(parser: argparse.ArgumentParser) -> None:
    """Add `info`, `merge`, `add`, `update` and `evaluate`."""
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

    measure = _command(
        commands, "evaluate", "how well the search finds families", EVALUATE_HELP, _evaluate
    )
    measure.add_argument("dataset", metavar="DATASET", help="that `rna-qa rfam` built")
    measure.add_argument("out", type=Path, metavar="OUT", help="the folder to write")
    measure.add_argument(
        "--reference",
        type=Path,
        metavar="DIR",
        help="of all of the data set's RNAs (default: DATASET/reference)",
    )
    measure.add_argument(
        "--negatives",
        nargs=2,
        action="append",
        default=[],
        metavar=("KIND", "FASTA"),
        help="sequences of no family, named by their kind; can be given several times",
    )
    measure.add_argument(
        "--limit",
        type=positive,
        default=2000,
        metavar="N",
        help="RNAs that are asked (default: 2000)",
    )
    measure.add_argument(
        "--evalue", type=evalue, default=1e-3, metavar="E", help="of the hits (default: 1e-3)"
    )
    measure.add_argument(
        "--jobs", type=positive, default=1, metavar="N", help="processes that search (default: 1)"
    )
    add_seed(measure)

    update = _command(commands, "update", "to Rfam's current release", UPDATE_HELP, _update)
    update.add_argument("reference", type=Path, metavar="DIR", help="the reference")
    add_quiet(update)


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
    parser.set_defaults(
        run=lambda arguments: exit_code(
            "rnagpt reference", lambda: work(arguments), (ValueError, OSError)
        )
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


def _evaluate(arguments: argparse.Namespace) -> None:
    from rnagpt.evaluation.search_quality import evaluate_search, report
    from rnagpt.sequences.fasta import clean_rnas, read_fasta

    negatives = {
        kind: [rna.sequence for rna in clean_rnas(read_fasta(fasta), max_length=10**7)]
        for kind, fasta in arguments.negatives
    }
    out: Path = arguments.out
    figures = evaluate_search(
        arguments.dataset,
        arguments.reference or Path(arguments.dataset),
        out,
        limit=arguments.limit,
        evalue=arguments.evalue,
        seed=arguments.seed,
        jobs=arguments.jobs,
        negatives=negatives,
        say=lambda text: print(text, file=sys.stderr),
    )
    words = ["rnagpt", "reference", "evaluate", arguments.dataset, out, "--limit", arguments.limit]
    words += ["--evalue", f"{arguments.evalue:g}", "--seed", arguments.seed]
    words += [word for pair in arguments.negatives for word in ("--negatives", *pair)]
    text = report(figures, shown_command(words))
    (out / "search.md").write_text(text, encoding="utf-8")
    (out / "search.json").write_text(f"{json.dumps(figures, indent=2)}\n", encoding="utf-8")
    print(text)


def _update(arguments: argparse.Namespace) -> None:
    from rnagpt.reference.library import Reference
    from rnagpt.rna_qa.rfam.reference import update

    reference = Reference.open(arguments.reference)
    with quieted(arguments):
        done = update(reference, jobs=os.cpu_count() or 1)
    after = f"Rfam {done.after or '(no release named)'}"
    if not done.written:
        print(f"{reference.folder} holds the current release ({after}); nothing changes")
        return
    print(f"{reference.folder}: Rfam {done.before or '(no release named)'} is now {after}")
    for word in ("added", "changed", "removed"):
        records = getattr(done, word)
        named = [f"{record.id} {record.name}" for record in records[:LISTED]]
        if len(records) > LISTED:
            named.append(f"and {len(records) - LISTED:,} more")
        print(f"{word}: {len(records):,}" + (f" ({', '.join(named)})" if named else ""))
    print(f"own families and RNAs that stay: {done.own:,}")


__all__ = ["EXAMPLES", "add_commands"]
