"""The command ``rna-qa``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rnagpt import __version__
from rnagpt.cli import estimate as estimate_cli
from rnagpt.cli import judging as judging_cli
from rnagpt.cli import literature as literature_cli
from rnagpt.cli import publish as publish_cli
from rnagpt.cli.command_parser import CommandParser
from rnagpt.cli.completion import add_print_completion
from rnagpt.cli.exit_codes import exit_code
from rnagpt.cli.quiet import add_quiet, quieted
from rnagpt.cli.spelling import check_spelling
from rnagpt.cli.split_options import add_split_options
from rnagpt.cli.values import add_seed, random_seed

DESCRIPTION = """\
Build RNA-QA: questions and answers about real RNAs, for training and testing RNA-GPT.
"""
EPILOG = """\
examples:
  rna-qa rfam rna-qa-data                                  from Rfam's current release
  rna-qa rfam --seed-alignments Rfam.seed.gz rna-qa-data   from a file
  rna-qa rfam --help                                       what it does, and all settings

exit codes: 0 done, 2 rejected or failed (the reason is on standard error), 130 stopped by Ctrl-C
"""
RFAM_DESCRIPTION = """\
Build RNA-QA from Rfam, the curated database of RNA families (public domain). Every answer is a
fact of the family's record or is counted in the sequence; no language model is involved.

OUT becomes a data set of two configurations in Parquet,
  annotations   one row per RNA: sequence, type, family, clan, text, papers (PubMed ids), cluster
  qa            one row per question, nine or more per RNA, with its category and papers
each with the splits that some RNA falls into (a few families may not fill all)
  train, validation, test   by sequence cluster (80 % identity): no near copy in two of them
  test_families             families, with their clans, that the other splits never show
and README.md (the card), build.json (counts, hashes, every record left out and why) and reference/,
the families as `rnagpt annotate --reference OUT` searches them.

    from datasets import load_dataset
    rows = load_dataset("OUT", "qa", split="train")

All of Rfam takes some six minutes, nearly all of them cd-hit's (on one core: on several its
clusters differ from run to run). The same command resumes an interrupted build; the same sources
and settings give the same files, byte by byte.
"""
RFAM_EPILOG = """\
examples:
  rna-qa rfam rna-qa-data
  rna-qa rfam --seed-alignments Rfam.seed.gz --families family.txt.gz rna-qa-data
  rna-qa rfam --seed-alignments Rfam.seed.gz --seed 1 --overwrite rna-qa-data

environment:
  RNAQA_RFAM_SEED_URL, RNAQA_RFAM_FAMILY_URL   addresses that stand in for Rfam's own
"""
BUILDS = (["rfam"], ["literature"])


def build_parser() -> argparse.ArgumentParser:
    """The parser of ``rna-qa``; each command sets `run`."""
    parser: argparse.ArgumentParser = CommandParser(
        prog="rna-qa",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"rna-qa {__version__}")
    add_print_completion(parser)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_rfam(
        commands.add_parser(
            "rfam",
            help="build from Rfam's seed alignments",
            description=RFAM_DESCRIPTION,
            epilog=RFAM_EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    literature_cli.add_commands(commands)
    estimate_cli.add_command(commands)
    judging_cli.add_commands(commands)
    publish_cli.add_dataset(
        commands.add_parser(
            "publish",
            help="publish a build on the Hub, and load it back",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    return parser


def _add_rfam(rfam: argparse.ArgumentParser) -> None:
    rfam.add_argument("out", metavar="OUT", type=Path, help="folder of the data set")
    rfam.add_argument(
        "--seed-alignments",
        metavar="FILE",
        help="Rfam.seed.gz, plain or gzipped, or its address (default: downloaded from Rfam)",
    )
    rfam.add_argument(
        "--families",
        metavar="FILE",
        help="family.txt.gz of Rfam's database dump, or its address: comments that the seeds lack "
        "(default: downloaded, unless --seed-alignments is given; then none)",
    )
    rfam.add_argument(
        "--release",
        default="",
        metavar="NUMBER",
        help="of Rfam, such as 15.1, which the reference's records name (default: none)",
    )
    add_seed(rfam, _seed)
    add_split_options(rfam, "clusters")
    rfam.add_argument(
        "--test-families",
        type=float,
        default=0.03,
        metavar="SHARE",
        help="of the families, held out whole (default: 0.03)",
    )
    rfam.add_argument("--overwrite", action="store_true", help="replace another build in OUT")
    add_quiet(rfam)
    rfam.set_defaults(run=_run_rfam)


def _seed(text: str) -> int:
    try:
        return random_seed(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(
            f"{error}. Rfam's seed alignments are given with --seed-alignments FILE"
        ) from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command ``rna-qa``.

    Args:
        arguments: the words after the program's name; `sys.argv`'s by default.

    Returns:
        The exit code: 0 done, 2 rejected or failed (the reason is on standard error), 130 stopped
        by Ctrl-C.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)

    def work() -> int | None:
        parser = build_parser()
        check_spelling(parser, words)
        options = parser.parse_args(words)
        status: int | None = options.run(options)
        return status

    command = " ".join(["rna-qa", *words[:1]])
    stopped = "stopped; the same command resumes from here" if words[:1] in BUILDS else "stopped"
    return exit_code(command, work, (OSError, ValueError, RuntimeError), stopped)


def _run_rfam(options: argparse.Namespace) -> None:
    from rnagpt.rna_qa.rfam.build import Options, build
    from rnagpt.rna_qa.rfam.downloads import Source, default_family_url, default_seed_url

    families = options.families or (None if options.seed_alignments else default_family_url())
    with quieted(options):
        record = build(
            Source(options.seed_alignments or default_seed_url()),
            Source(families) if families else None,
            options.out,
            Options(
                random_seed=options.seed,
                test=options.test,
                validation=options.validation,
                test_families=options.test_families,
                clusters=options.clusters,
            ),
            release=options.release,
            overwrite=options.overwrite,
        )
    for split, figures in record["counts"]["annotations"].items():
        questions = record["counts"]["qa"][split]["rows"]
        print(
            f"{split:13} {figures['rows']:7,} RNAs of {figures['families']:5,} families, "
            f"{questions:9,} questions{'' if questions else ': there is no such split to load'}"
        )
    print(f"{len(record['problems']):,} records left out (see {options.out / 'build.json'})")


if __name__ == "__main__":
    raise SystemExit(main())
