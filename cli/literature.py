"""The commands ``rna-qa literature`` and ``rna-qa status``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from rnagpt.cli.engine_options import add_engine_options, read_engine_config
from rnagpt.cli.estimate import PRICES_HELP, prices_or_file, read_prices
from rnagpt.cli.quiet import add_quiet, quieted
from rnagpt.cli.split_options import add_split_options
from rnagpt.cli.values import add_seed
from rnagpt.rna_qa.literature.build.settings import (
    EUROPE_PMC,
    MENTIONS,
    MODES,
    READS,
    STAGES,
    LiteratureOptions,
    RunOptions,
    Services,
)
from rnagpt.rna_qa.literature.sources.source import SOURCES

DESCRIPTION = """\
Build RNA-QA from RNAcentral and the papers that name its RNAs. Every claim names its papers and
quotes words that stand in one of their abstracts; what fails that check is rejected.

Stages: select (RNAs) → papers → topics (papers of an RNA in groups) → annotate (claims)
→ questions → splits → export.

OUT becomes a data set in Parquet with the configurations qa, annotations and papers (and, with
--mode both, qa_ais and annotations_ais), README.md (the card) and build.json (counts, options,
everything that was left out and why).

    from datasets import load_dataset
    rows = load_dataset("OUT", "qa", split="train")

Without --language-model claims are sentences of the abstracts (--extractive): no service is asked.
With one, its answers are cached in OUT/.work and no answered request is ever sent again. A build
that was stopped, by Ctrl-C, a lost machine or a spent budget, resumes with the same command.
The key is read from RNAQA_API_KEY, else OPENAI_API_KEY.
"""
EPILOG = """\
examples:
  rna-qa literature OUT --rnas rnas.jsonl --papers papers.jsonl.gz
  rna-qa literature OUT --source http --query 'rna_type:"miRNA" AND TAXONOMY:9606 AND \\
      has_lit_scan:"True"' --language-model gpt-4o-mini --estimate
  rna-qa literature OUT --source http --query … --language-model gpt-4o-mini --budget 20
  rna-qa literature OUT --rnas rnas.jsonl --papers papers.jsonl --mode both \\
      --language-model my-model --base-url http://localhost:8000/v1
  rna-qa status OUT

files: JSON lines, plain or gzipped
  rnas     id, sequence, names (a list), rna_type, and if known organism, taxid, family
  papers   pmid, pmcid or doi, title, abstract, and if known year, journal, licence, retracted

environment:
  RNAQA_API_KEY, OPENAI_API_KEY        the language model's key
  RNAQA_EBI_SEARCH_URL, RNAQA_EUROPEPMC_URL, RNAQA_RNACENTRAL_URL, RNAQA_DATABASE_URL
                                       addresses that stand in for the public services'
  PGPASSWORD                           of RNAcentral's public database (see its documentation)
"""
STATUS_DESCRIPTION = "Report how far a build of `rna-qa literature` is; changes nothing."


def add_commands(commands: Any) -> None:
    """Add the two commands to ``rna-qa``; each sets `run`."""
    literature = commands.add_parser(
        "literature",
        help="build from RNAcentral's literature",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    literature.add_argument("out", metavar="OUT", type=Path, help="folder of the data set")
    _add_source(literature.add_argument_group("sources"))
    _add_content(literature.add_argument_group("content"))
    _add_model(literature.add_argument_group("language model"))
    _add_running(literature.add_argument_group("running"))
    literature.set_defaults(run=_run_literature)
    status = commands.add_parser(
        "status", help="how far such a build is", description=STATUS_DESCRIPTION
    )
    status.add_argument("out", metavar="OUT", type=Path, help="folder of the data set")
    status.add_argument("--json", action="store_true", help="print one JSON object")
    status.set_defaults(run=_run_status)


def _add_source(group: Any) -> None:
    group.add_argument(
        "--source",
        choices=tuple(SOURCES),
        help="RNAcentral's public database, EBI Search and Europe PMC over HTTP, or own files "
        "(default: files where --rnas is given, else the database if it answers, else http)",
    )
    group.add_argument("--rnas", metavar="FILE", help="RNAs, JSON lines")
    group.add_argument("--papers", metavar="FILE", help="papers, JSON lines")
    group.add_argument(
        "--query",
        metavar="TEXT",
        help="which RNAs: a query of EBI Search (http), or words of the "
        "description (postgres); default: all that have literature",
    )
    _number(group, "--limit", "at most N RNAs")
    group.add_argument(
        "--require-mention",
        choices=MENTIONS,
        default=LiteratureOptions.require_mention,
        help="keep papers whose title or abstract names the RNA (default), or any",
    )
    group.add_argument(
        "--check-retractions",
        action="store_true",
        help="ask Europe PMC again (at most once a day) which papers are retracted, and redo what "
        "they touch",
    )
    group.add_argument(
        "--licences",
        metavar="LIST",
        default="",
        help="keep only papers under these, for example cc0,cc-by (default: all)",
    )
    group.add_argument(
        "--full-text",
        metavar="WHERE",
        help="read full texts beside abstracts, of papers under licences that allow it: "
        f"{EUROPE_PMC} (a request a paper), or a file or folder of articles in JATS (default: "
        "abstracts alone)",
    )


def _number(
    group: Any, option: str, help: str, of: type[LiteratureOptions | RunOptions] = LiteratureOptions
) -> None:
    """Add a whole number; its default is that of the build's settings."""
    default = getattr(of, option.removeprefix("--").replace("-", "_"), None)
    group.add_argument(option, type=int, default=default, metavar="N", help=help)


def _add_content(group: Any) -> None:
    group.add_argument(
        "--mode",
        choices=MODES[1:],
        help="dnc: summarise each group of papers, then combine (default with a language model); "
        "ais: all abstracts of an RNA at once; both",
    )
    group.add_argument(
        "--extractive",
        action="store_true",
        help="no language model: sentences of the abstracts (default without one)",
    )
    add_seed(group)
    _number(group, "--max-topics", "groups of papers (default: %(default)s)")
    _number(
        group,
        "--token-budget",
        "most tokens of abstracts in one request (default: %(default)s)",
    )
    _number(group, "--claims-per-topic", "at most (default: %(default)s)")
    group.add_argument(
        "--reads",
        choices=READS,
        default="abstracts",
        help="what a language model is given: abstracts, of which it copies quotes, or the "
        "sentences that name the RNA, of which it names one; a quarter of the tokens, and small "
        "models copy badly (default: %(default)s; --estimate counts abstracts)",
    )
    add_split_options(group, "RNAs")
    _number(
        group,
        "--hub-papers",
        "a paper of more than N RNAs does not keep these in one split (default: %(default)s)",
    )


def _add_model(group: Any) -> None:
    group.add_argument("--language-model", metavar="NAME", help="as its service calls it")
    group.add_argument(
        "--base-url",
        metavar="URL",
        help="of an OpenAI-compatible service: vLLM, llama.cpp, Ollama … (default: OpenAI)",
    )
    group.add_argument(
        "--request-options",
        type=_json_object,
        metavar="JSON",
        help="sent with every request; null leaves one out: "
        """'{"temperature": null, "reasoning_effort": "low"}' (default: temperature 0, seed 0); """
        "a number for max_tokens or max_completion_tokens bounds every answer, thoughts included",
    )
    group.add_argument(
        "--budget", type=float, metavar="USD", help="stop before more than this is spent"
    )
    group.add_argument(
        "--prices",
        type=prices_or_file,
        metavar="IN,OUT|FILE",
        help=PRICES_HELP,
    )
    _number(group, "--requests-per-minute", "at most", RunOptions)
    _number(group, "--tokens-per-minute", "at most", RunOptions)
    _number(group, "--concurrency", "open requests (default: %(default)s)", RunOptions)
    _number(
        group,
        "--stop-after-failures",
        "stop after N useless answers in a row, for one reason (default: %(default)s; 0: never)",
        RunOptions,
    )
    group.add_argument(
        "--batch-api", action="store_true", help="ask in batches: half the price, up to a day"
    )
    _number(
        group,
        "--queue-tokens",
        "most tokens in open batches, as the account allows (default: no bound)",
        RunOptions,
    )
    group.add_argument(
        "--estimate",
        action="store_true",
        help="say what the language model will cost, and ask it nothing",
    )


def _add_running(group: Any) -> None:
    group.add_argument(
        "--stages",
        metavar="LIST",
        type=_stages,
        default=STAGES,
        help=f"do only these of {','.join(STAGES)}",
    )
    add_engine_options(
        group,
        "where shards of RNAs are worked on (default: local); a language model is asked from "
        "here in any case, so that one process keeps to the budget",
    )
    _number(group, "--shard-size", "RNAs per shard (default: %(default)s)")
    add_quiet(group)


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"""{text!r}; expected JSON such as '{{"top_p": 0.9}}'""")
    return value


def _stages(text: str) -> tuple[str, ...]:
    stages = tuple(part.strip() for part in text.split(",") if part.strip())
    if unknown := [stage for stage in stages if stage not in STAGES]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(STAGES)}")
    return stages


def _run_literature(arguments: argparse.Namespace) -> None:
    import sqlite3

    from rnagpt.rna_qa.literature.llm.language_model import LanguageModelError

    try:
        with quieted(arguments):
            _build_or_estimate(arguments)
    except LanguageModelError as error:
        raise RuntimeError(str(error)) from error
    except sqlite3.OperationalError as error:
        raise OSError(
            f"{arguments.out}: {error}; is the disk full, or not to be written to? What was done "
            "stands: the same command resumes from here"
        ) from error


def _build_or_estimate(arguments: argparse.Namespace) -> None:
    from rnagpt.rna_qa.literature.build.pipeline import WORK, build
    from rnagpt.rna_qa.literature.build.status import describe_summary, read_status, read_totals

    services = Services.from_environment()
    options = _content_options(arguments, services)
    run = _run_options(arguments)
    if arguments.estimate:
        from rnagpt.rna_qa.literature.llm.estimate import estimate

        print(estimate(arguments.out, options, run, services).describe())
        return
    result = build(
        arguments.out,
        options,
        run,
        services,
        arguments.stages,
        check_retractions=arguments.check_retractions,
    )
    if not result["done"]:
        print(f"{arguments.out}: nothing was left to do", file=sys.stderr)
    if result["record"]:
        totals = read_totals(arguments.out / WORK)
        spent = asdict(totals) if totals else None
        print("\n".join(describe_summary(result["record"], spent)))
    else:
        print(read_status(arguments.out).describe())


def _content_options(arguments: argparse.Namespace, services: Services) -> LiteratureOptions:
    from rnagpt.rna_qa.literature.build.pipeline import choose_source

    if arguments.extractive and (arguments.mode or arguments.language_model):
        raise ValueError(
            "--extractive uses no language model: leave out --mode and --language-model"
        )
    options = _fields_of(LiteratureOptions, arguments)
    given = arguments.rnas or arguments.papers
    options["source"] = arguments.source or (
        "files" if given else choose_source(arguments.out, services)
    )
    options["mode"] = arguments.mode or ("dnc" if arguments.language_model else "extractive")
    options["licences"] = tuple(
        sorted(part.strip() for part in arguments.licences.split(",") if part)
    )
    return LiteratureOptions(**options)


def _run_options(arguments: argparse.Namespace) -> RunOptions:
    options = _fields_of(RunOptions, arguments)
    options["workers"] = arguments.workers or os.cpu_count() or 1
    options["prices"] = read_prices(arguments.prices, arguments.language_model or "")
    options["engine_config"] = read_engine_config(arguments.engine_config)
    return RunOptions(**options)


def _fields_of(
    settings: type[LiteratureOptions | RunOptions], arguments: argparse.Namespace
) -> dict[str, Any]:
    """The arguments that are called as the settings' fields."""
    return {field.name: getattr(arguments, field.name) for field in fields(settings)}


def _run_status(arguments: argparse.Namespace) -> None:
    from rnagpt.rna_qa.literature.build.status import read_status

    status = read_status(arguments.out)
    print(json.dumps(status.as_dict(), indent=2) if arguments.json else status.describe())


__all__ = ["add_commands"]
