"""The command ``rna-qa estimate``: what a build of any size will take, before a source is read."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rnagpt.cli.values import positive
from rnagpt.rna_qa.literature.build.settings import LiteratureOptions, RunOptions

DESCRIPTION = """\
Say what a build of `rna-qa literature` will take, before any RNA or paper is read: requests, tokens
and dollars by model, hours and disk, for both ways of the paper (dnc, ais) and for --extractive.

How many papers each RNA has decides it. --papers-per-rna takes a table of that, JSON such as
{"1": 120000, "2": 40000}: so many RNAs with one paper, with two. Without one, human microRNAs
stand in for all RNAs. Requests are counted as a build divides papers; how long answers will be is
assumed, and RNAs that share names and papers, which are asked about once, count in full. Where
RNAs and papers are gathered, `rna-qa literature OUT … --estimate` goes by these, and by answers.
"""
EPILOG = """\
examples:
  rna-qa estimate
  rna-qa estimate --rnas 20000 --papers-per-rna table.json --workers 16 --concurrency 64
  rna-qa estimate --language-model gpt-4o-mini --tokens-per-minute 2000000
  rna-qa estimate --prices prices.json                      a newer table of prices
"""
PUBLISHED = 407_616  # RNAs of the published RNA-QA


def add_command(commands: Any) -> None:
    """Add the command to ``rna-qa``; it sets `run`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "estimate",
        help="what a build of any size will take",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--rnas",
        type=positive,
        default=PUBLISHED,
        metavar="N",
        help="(default: %(default)s, the published data set's)",
    )
    parser.add_argument(
        "--papers-per-rna", type=Path, metavar="FILE", help="RNAs by their number of papers, JSON"
    )
    parser.add_argument(
        "--articles", type=positive, metavar="N", help="different papers (default: all of LitScan)"
    )
    parser.add_argument("--workers", type=positive, default=2, metavar="N", help="(default: 2)")
    _add_service(parser)
    _add_content(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=_run)


def _add_service(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--language-model", metavar="NAME", help="its cost alone (default: all with a known price)"
    )
    parser.add_argument("--prices", type=prices_or_file, metavar="IN,OUT|FILE", help=PRICES_HELP)
    parser.add_argument(
        "--concurrency",
        type=positive,
        default=RunOptions.concurrency,
        metavar="N",
        help="open requests (default: %(default)s)",
    )
    parser.add_argument(
        "--seconds-per-request",
        type=float,
        default=5.0,
        metavar="S",
        help="until an answer is there (default: %(default)s)",
    )
    parser.add_argument("--requests-per-minute", type=positive, metavar="N", help="at most")
    parser.add_argument("--tokens-per-minute", type=positive, metavar="N", help="at most")


PRICES_HELP = (
    "dollars per million tokens read and written, or a table of prices, JSON (default: the table "
    "that comes with the package)"
)


def _add_content(parser: argparse.ArgumentParser) -> None:
    for option, help in (
        ("--max-topics", "groups of papers"),
        ("--token-budget", "most tokens of abstracts in one request"),
        ("--claims-per-topic", "at most"),
    ):
        default = getattr(LiteratureOptions, option[2:].replace("-", "_"))
        parser.add_argument(
            option, type=positive, default=default, metavar="N", help=f"{help} (default: {default})"
        )


def prices_or_file(text: str) -> str:
    """Two numbers, or the path of a file that is there.

    Raises:
        argparse.ArgumentTypeError: it is neither.
    """
    parts = text.split(",")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) == 2 or Path(text).is_file():
        return text
    raise argparse.ArgumentTypeError(
        f"{text!r}; expected two numbers such as 0.15,0.60, or a file of prices"
    )


def read_prices(given: str | None, model: str) -> tuple[float, float] | None:
    """What `--prices` says of a model: two numbers, or a file's row; None where nothing is given.

    Raises:
        ValueError: the file has no such model, or is none.
    """
    from rnagpt.rna_qa.literature.llm.prices import Prices, price_table

    if given is None:
        return None
    try:
        read, written = map(float, given.split(","))
    except ValueError:
        table = price_table(Path(given))
        found = table.of(model)
        if found is None:
            raise ValueError(
                f"--prices {given}: no prices of {model}; it has {', '.join(sorted(table.models))}"
            ) from None
        return found.tokens_in, found.tokens_out
    Prices(read, written)
    return read, written


def _run(arguments: argparse.Namespace) -> None:
    from rnagpt.rna_qa.literature.build.whole import Plan, default_papers, describe, needs
    from rnagpt.rna_qa.literature.build.whole import read_papers as read

    table = arguments.papers_per_rna
    plan = Plan(
        rnas=arguments.rnas,
        papers_per_rna=read(table) if table else default_papers(),
        articles=arguments.articles or 0,
        workers=arguments.workers,
        concurrency=arguments.concurrency,
        seconds_per_request=arguments.seconds_per_request,
        requests_per_minute=arguments.requests_per_minute,
        tokens_per_minute=arguments.tokens_per_minute,
        options=LiteratureOptions(
            source="http",
            max_topics=arguments.max_topics,
            token_budget=arguments.token_budget,
            claims_per_topic=arguments.claims_per_topic,
        ),
    )
    found = needs(plan)
    usd, checked = _prices(arguments)
    if arguments.json:
        ways = {need.way: _as_json(need) for need in found}
        prices = {
            model: dict(zip(("read", "written"), pair, strict=True)) for model, pair in usd.items()
        }
        print(json.dumps({"rnas": plan.rnas, "ways": ways, "prices": prices}, indent=2))
        return
    print(describe(plan, found, usd))
    if checked:
        print(
            f"\nprices of {checked}; a newer table: --prices FILE. Models that think before they "
            "write bill their thoughts as written: these are not counted"
        )


def _as_json(need: Any) -> dict[str, Any]:
    return {
        **asdict(need),
        "requests": need.requests._asdict(),
        "hours": {**need.hours._asdict(), "total": need.hours.total},
    }


def _prices(arguments: argparse.Namespace) -> tuple[dict[str, tuple[float, float]], str]:
    """Dollars per million tokens by model, and when they were looked up."""
    from rnagpt.rna_qa.literature.llm.prices import TABLE, price_table

    model, given = arguments.language_model, arguments.prices
    if model and given:
        return {model: read_prices(given, model) or (0, 0)}, ""
    if given and "," in given:
        return {"a model": read_prices(given, "") or (0, 0)}, ""
    table = price_table(Path(given) if given else TABLE)
    rows = {name: (price.tokens_in, price.tokens_out) for name, price in table.models.items()}
    if model:
        found = table.of(model)
        if found is None:
            raise ValueError(
                f"no prices of {model} are known; give --prices IN,OUT (there are "
                f"{', '.join(sorted(rows))})"
            )
        rows = {model: (found.tokens_in, found.tokens_out)}
    return rows, table.checked


__all__ = ["PRICES_HELP", "add_command", "prices_or_file", "read_prices"]
