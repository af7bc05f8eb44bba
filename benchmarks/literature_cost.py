"""What `rna-qa literature` asks of a language model, and how near `--estimate` comes to it.

    python benchmarks/literature_cost.py                   # writes literature_cost.md
    python benchmarks/literature_cost.py --rnas rnas.jsonl --papers papers.jsonl.gz

A server on this machine (`tests/helpers/fake_openai.py`) answers by rule (`tests/helpers/tiny_scribe.py`): a claim
of each paper, some of them wrong. What is measured is what the build sends, not what a model makes
of it: requests, the size of prompts, what is not sent twice, and the error of the estimate. The
server counts four characters of a request as one token, JSON, schema and all.

The made-up RNAs (`tests/helpers/tiny_literature.py`) have 2 to 40 papers each, a fifth of them shares names
and papers with another. Their abstracts are short, so requests are given a smaller --token-budget
than by default. With --rnas and --papers the same is measured on real files.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from helpers.fake_openai import KEY, MODEL, serve_openai  # noqa: E402
from helpers.tiny_literature import make_papers, make_rnas, write_lines  # noqa: E402
from helpers.tiny_scribe import scribe  # noqa: E402

from rnagpt.rna_qa.literature.build.pipeline import build  # noqa: E402
from rnagpt.rna_qa.literature.build.settings import (  # noqa: E402
    LiteratureOptions,
    RunOptions,
    Services,
)
from rnagpt.rna_qa.literature.build.status import read_status, read_totals  # noqa: E402
from rnagpt.rna_qa.literature.llm.estimate import Estimate, estimate  # noqa: E402
from rnagpt.rna_qa.literature.llm.expected_requests import Requests  # noqa: E402
from rnagpt.rna_qa.literature.llm.request_cache import Totals  # noqa: E402
from rnagpt.rna_qa.literature.llm.spending import BATCH_SHARE  # noqa: E402

REPORT = Path(__file__).with_suffix(".md")
MODES = ("dnc", "ais")
ASKING = ("select", "papers", "topics", "annotate", "questions")
FEWEST_PAPERS, MOST_PAPERS = 2, 40
TOKEN_BUDGET_MADE_UP = 1500
EXPLANATION = """
Python {python}. The server is on this machine and answers by rule (`tests/helpers/tiny_scribe.py`): it
copies a sentence of each paper into a claim, and gets some of them wrong. So claims, and the
lengths of answers, are not a model's, and the dollars are no promise. What is measured is the
machinery: the requests, the size of the prompts, what is not sent twice, and the error of the
estimate. A token is four characters of a request, its JSON schema included; prices are those of
{model}. Requests and tokens are those sent, so shared ones count once; claims are those
kept, of all RNAs.

"Kept answers" are those to the first {pilot} RNAs of the file, built before in the same folder.
"Dollars left" leaves out what these had cost, which is known. "Stated" is what the estimate says
of its error, two standard errors.
"""


@dataclass(frozen=True)
class Measured:
    """A build's cost in one mode, and what was said of it before and after a pilot."""

    totals: Totals
    papers: int
    claims: int
    unmeasured: Estimate
    piloted: Estimate


def make_up(folder: Path, count: int) -> LiteratureOptions:
    """RNAs, every fifth with the names of the one before; papers about each name."""
    draw = random.Random(0)
    rnas = make_rnas(count)
    for copy, rna in zip(rnas[4::5], rnas[3::5], strict=False):
        copy["names"] = rna["names"]
    wanted = [min(MOST_PAPERS, FEWEST_PAPERS + int(draw.expovariate(1 / 8))) for _ in rnas]
    spoken_of = [rna for place, rna in enumerate(rnas) if place % 5 != 4]
    made = make_papers(spoken_of, MOST_PAPERS)
    papers = (
        paper
        for place, paper in enumerate(made)
        if place % MOST_PAPERS < wanted[place // MOST_PAPERS]
    )
    return LiteratureOptions(
        rnas=str(write_lines(folder / "rnas.jsonl", rnas)),
        papers=str(write_lines(folder / "papers.jsonl", papers)),
        mode="dnc",
        language_model=MODEL,
        token_budget=TOKEN_BUDGET_MADE_UP,
    )


def measure(options: LiteratureOptions, run: RunOptions, folder: Path, pilot: int) -> Measured:
    """Estimate, build the first RNAs elsewhere, estimate there, and build all."""
    whole, part, services = folder / "whole", folder / "part", Services()
    unmeasured = estimate(whole, options, run, services)
    lines = Path(str(options.rnas)).read_text(encoding="utf-8").splitlines()[:pilot]
    first = write_lines(folder / "first.jsonl", map(json.loads, lines))
    build(part, replace(options, rnas=str(first)), run, stages=ASKING)
    piloted = estimate(part, options, run, services)
    build(whole, options, run, stages=ASKING)
    status = read_status(whole)
    counts = {stage.name: stage.counts for stage in status.stages}
    claims = counts[f"annotate-{options.mode}"]["claims kept"]
    papers = status.corpus["papers_kept"]
    return Measured(totals_of(whole), papers, claims, unmeasured, piloted)


def totals_of(out: Path) -> Totals:
    totals = read_totals(out / ".work")
    assert totals is not None
    return totals


def report_on(
    options: LiteratureOptions, run: RunOptions, folder: Path, pilot: int
) -> tuple[list[str], str]:
    """The report's tables on one literature, and a line that says how large it is."""
    by_mode = {}
    for mode in MODES:
        (folder / mode).mkdir()
        by_mode[mode] = measure(replace(options, mode=mode), run, folder / mode, pilot)
    # Both modes in one folder: what they have in common is asked once.
    out = folder / MODES[0] / "whole"
    build(out, replace(options, mode="both"), run, stages=ASKING)
    both = totals_of(out)
    first = by_mode[MODES[0]]
    rnas = first.unmeasured.rnas
    size = (
        f"{rnas:,} RNAs with papers, {first.unmeasured.shared:,} of which share names and papers "
        f"with another; {first.papers:,} papers;\n--token-budget {options.token_budget:,}."
    )
    return format_tables(by_mode, both, pilot), size


def format_tables(by_mode: Mapping[str, Measured], both: Totals, pilot: int) -> list[str]:
    return [
        "| mode | requests an RNA | claims an RNA | tokens read a claim | written a claim | "
        "dollars per 1,000 RNAs | in batches |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(_cost_row(mode, one) for mode, one in by_mode.items()),
        "",
        "The estimate against what was used in the end:",
        "",
        "| mode | kept answers | requests | tokens read | written | dollars | dollars left |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
        *(row for mode, one in by_mode.items() for row in _error_rows(mode, one, pilot)),
        "",
        "What was not sent, because an equal request was:",
        "",
        "| mode | requests sent | not sent | tokens read and written | not spent |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(_saved_row(mode, one.totals) for mode, one in by_mode.items()),
        _saved_row("both", both),
    ]


def _cost_row(mode: str, one: Measured) -> str:
    rnas, totals = one.unmeasured.rnas, one.totals
    dollars = 1000 * totals.answers_usd / rnas
    return (
        f"| {mode} | {totals.answered / rnas:.2f} | {one.claims / rnas:.1f} | "
        f"{totals.tokens_in / one.claims:,.0f} | {totals.tokens_out / one.claims:,.0f} | "
        f"{dollars:.2f} | {dollars * float(BATCH_SHARE):.2f} |"
    )


def _error_rows(mode: str, one: Measured, pilot: int) -> list[str]:
    return [
        _error_row(mode, "none", one.unmeasured, one.totals),
        _error_row(mode, f"{pilot} RNAs", one.piloted, one.totals),
    ]


def _error_row(mode: str, kept: str, said: Estimate, totals: Totals) -> str:
    whole: Requests = said.by_mode[mode]
    assert said.usd is not None
    assert said.whole_usd is not None
    left = totals.answers_usd - (said.whole_usd - said.usd)
    stated = "" if said.error is None else f" (± {100 * said.error:.0f} % stated)"
    errors = [
        _error(whole.requests, totals.answered),
        _error(whole.input_tokens, totals.tokens_in),
        _error(whole.output_tokens, totals.tokens_out),
        _error(said.whole_usd, totals.answers_usd),
        _error(said.usd, left) + stated,
    ]
    return f"| {mode} | {kept} | {' | '.join(errors)} |"


def _error(said: float, used: float) -> str:
    return f"{100 * (said / used - 1):+.1f} %"


def _saved_row(mode: str, totals: Totals) -> str:
    sent, spared = (
        totals.tokens_in + totals.tokens_out,
        totals.hit_tokens_in + totals.hit_tokens_out,
    )
    return (
        f"| {mode} | {totals.answered:,} | {totals.hits:,} "
        f"({100 * totals.hits / (totals.hits + totals.answered):.0f} %) | {sent:,} | {spared:,} "
        f"({100 * spared / (spared + sent):.0f} %) |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--made-up", type=int, default=300, metavar="N", help="RNAs")
    parser.add_argument("--pilot", type=int, default=30, metavar="N", help="RNAs asked about first")
    parser.add_argument("--rnas", help="real RNAs as well, JSON lines, not gzipped")
    parser.add_argument("--papers", help="and the papers that name them")
    parser.add_argument("--folder", type=Path, help="for the builds (default: a temporary one)")
    parser.add_argument("--out", type=Path, default=REPORT)
    arguments = parser.parse_args()
    if bool(arguments.rnas) != bool(arguments.papers):
        parser.error("--rnas and --papers go together")

    os.environ["RNAQA_API_KEY"] = KEY
    parts = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name, serve_openai(scribe) as fake:
        run = RunOptions(base_url=fake.base_url)
        literatures = {"Made-up abstracts": make_up(Path(name), arguments.made_up)}
        if arguments.rnas:
            literatures["Real abstracts"] = LiteratureOptions(
                rnas=arguments.rnas, papers=arguments.papers, mode="dnc", language_model=MODEL
            )
        for title, options in literatures.items():
            folder = Path(name) / title.split()[0]
            folder.mkdir()
            tables, size = report_on(options, run, folder, arguments.pilot)
            parts += [f"## {title}", "", size, "", *tables, ""]
            print("\n".join(parts), flush=True)
            arguments.out.write_text(format_report(parts, arguments), encoding="utf-8")


def format_report(parts: Sequence[str], arguments: argparse.Namespace) -> str:
    real = " --rnas FILE --papers FILE" if arguments.rnas else ""
    lines = [
        "# What `rna-qa literature` asks of a language model, and how well that is foreseen",
        "",
        f"`python benchmarks/literature_cost.py --made-up {arguments.made_up} "
        f"--pilot {arguments.pilot}{real}`",
        "",
        EXPLANATION.format(
            python=platform.python_version(), model=MODEL, pilot=arguments.pilot
        ).strip(),
        "",
        *parts,
    ]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    main()
