"""How fast, and how well, the papers of an RNA are grouped by topic.

    python benchmarks/literature_topics.py                       # writes literature_topics.md
    python benchmarks/literature_topics.py --abstracts FILE      # real abstracts as well

Made-up RNAs with papers from known topics are grouped by `group_papers` (preparation, a fit for
each number of topics, coherence), then the same documents by tomotopy and by scikit-learn's LDA
with the true number of topics. FILE holds JSON lines with `title` and `abstract`, plain or gzipped;
consecutive papers stand for one RNA's, and nothing of it is written but figures.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

# Before numpy is loaded: one thread a process, as in the build.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from rnagpt.rna_qa.literature.records import Paper
from rnagpt.rna_qa.literature.text.topics import fit_topics, group_papers, prepare_documents

REPORT = Path(__file__).with_suffix(".md")
TOPICS = 3
WORDS_OF_A_PAPER = 150
# The share of a paper's words that its topic gives; half of the rest is of another topic.
SHARE_OF_TOPIC = 0.35
PROCESSES = 2


@dataclass(frozen=True)
class Case:
    """The papers of one made-up RNA and the topic of each."""

    papers: tuple[Paper, ...]
    truth: tuple[int, ...]


@dataclass(frozen=True)
class Seconds:
    """What one run took: by the clock, and of processors."""

    wall: float
    cpu: float


def make_case(number: int, papers: int) -> Case:
    """Papers of known topics; words are drawn with Zipf's weights, as in prose."""
    draw = random.Random(number)
    common = [f"word{n}" for n in range(600)]
    own = [[f"topic{topic}word{n}" for n in range(120)] for topic in range(TOPICS)]
    truth = [place % TOPICS for place in range(papers)]
    draw.shuffle(truth)
    made = []
    for place, topic in enumerate(truth):
        other = draw.randrange(TOPICS)
        words = []
        for _ in range(WORDS_OF_A_PAPER):
            at = draw.random()
            rest = (1 - SHARE_OF_TOPIC) / 4
            source = own[topic] if at < SHARE_OF_TOPIC else common
            source = own[other] if at > 1 - rest else source
            words.append(source[int(len(source) ** draw.random()) - 1])
        made.append(Paper(f"PMID:{number * 1000 + place}", "", " ".join(words)))
    made_sorted = sorted(zip(made, truth, strict=True), key=lambda pair: pair[0].id)
    return Case(tuple(paper for paper, _ in made_sorted), tuple(topic for _, topic in made_sorted))


def measure(work: Callable[[], object]) -> Seconds:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Seconds(time.perf_counter() - wall, time.process_time() - cpu)


def group(papers: Sequence[Paper]) -> list[int]:
    """The label that `group_papers` gives to each paper."""
    topics = group_papers("RNA", papers)
    label_of = {paper: label for label, ids in enumerate(topics.groups) for paper in ids}
    return [label_of[paper.id] for paper in papers]


def group_in_process(papers: Sequence[Paper]) -> float:
    """The processor seconds that grouping takes."""
    return measure(lambda: group(papers)).cpu


def fit_tomotopy(documents: Sequence[Sequence[str]], topics: int) -> list[int]:
    labels, _ = fit_topics(documents, [topics], seed=0)
    return [-1 if label is None else label for label in labels]


def fit_sklearn(documents: Sequence[Sequence[str]], topics: int) -> list[int]:
    """scikit-learn's LDA as it comes: batch, ten iterations."""
    from sklearn.decomposition import LatentDirichletAllocation
    from sklearn.feature_extraction.text import CountVectorizer

    counts = CountVectorizer(analyzer=list).fit_transform(documents)
    model = LatentDirichletAllocation(topics, random_state=0)
    return [int(row.argmax()) for row in model.fit_transform(counts)]


def nmi(cases: Sequence[Case], labels: Sequence[Sequence[int]]) -> float:
    """The mean of the normalised mutual information with the truth."""
    from sklearn.metrics import normalized_mutual_info_score

    return statistics.fmean(
        normalized_mutual_info_score(case.truth, found)
        for case, found in zip(cases, labels, strict=True)
    )


def measure_rate(cases: Sequence[Sequence[Paper]], repeats: int) -> tuple[float, float]:
    """RNAs a second on two processes, and processor milliseconds an RNA (medians)."""
    rates, costs = [], []
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        # Start the processes and load tomotopy before the clock runs.
        list(pool.map(group_in_process, cases[: 4 * PROCESSES]))
        for _ in range(repeats):
            start = time.perf_counter()
            cpu = list(pool.map(group_in_process, cases, chunksize=4))
            rates.append(len(cases) / (time.perf_counter() - start))
            costs.append(1000 * sum(cpu) / len(cases))
    return statistics.median(rates), statistics.median(costs)


def compare(cases: Sequence[Case], repeats: int) -> Iterator[tuple[str, Seconds, float]]:
    """Each way's seconds an RNA (medians over the runs) and its NMI."""
    documents = [prepare_documents(case.papers, ()) for case in cases]
    ways: dict[str, Callable[[], list[list[int]]]] = {
        "`group_papers`: preparation, choice of the number, fit": lambda: [
            group(case.papers) for case in cases
        ],
        f"tomotopy, {TOPICS} topics": lambda: [fit_tomotopy(one, TOPICS) for one in documents],
        f"scikit-learn, {TOPICS} topics": lambda: [fit_sklearn(one, TOPICS) for one in documents],
    }
    for name, way in ways.items():
        labels = way()  # loads the library
        runs = [measure(way) for _ in range(repeats)]
        yield (
            name,
            Seconds(
                statistics.median(run.wall for run in runs) / len(cases),
                statistics.median(run.cpu for run in runs) / len(cases),
            ),
            nmi(cases, labels),
        )


def read_abstracts(path: Path) -> list[Paper]:
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    rows = [json.loads(line) for line in text.splitlines()]
    return [Paper(f"PMID:{n:09}", row["title"], row["abstract"]) for n, row in enumerate(rows)]


def describe_machine() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("tomotopy", "scikit-learn"))
    return (
        f"{_processor()}, {os.cpu_count()} cores; Python {platform.python_version()}, {packages}; "
        f"load average at the start {os.getloadavg()[0]:.1f}"
    )


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _command(abstracts: Path | None) -> str:
    """How this was started; where the abstracts lie is nobody's concern."""
    words = ["FILE" if abstracts and word == str(abstracts) else word for word in sys.argv[1:]]
    return " ".join(["python benchmarks/literature_topics.py", *words])


def report_rate(name: str, cases: Sequence[Sequence[Paper]], repeats: int) -> str:
    rate, cost = measure_rate(cases, repeats)
    return f"| {name} | {len(cases)} | {rate:.1f} | {cost:.1f} | {1000 * PROCESSES / cost:.0f} |\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rnas", type=int, default=100)
    parser.add_argument("--papers", type=int, default=20, help="papers of each RNA")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--abstracts", type=Path, help="JSON lines of real abstracts")
    parser.add_argument("--out", type=Path, default=REPORT)
    arguments = parser.parse_args()

    machine = describe_machine()
    cases = [make_case(number, arguments.papers) for number in range(arguments.rnas)]
    rates = report_rate("made up", [case.papers for case in cases], arguments.repeats)
    if arguments.abstracts:
        papers = read_abstracts(arguments.abstracts)[: arguments.rnas * arguments.papers]
        size = arguments.papers
        real = [papers[at : at + size] for at in range(0, len(papers) - size + 1, size)]
        rates += report_rate("real", real, arguments.repeats)
    rows = list(compare(cases, arguments.repeats))
    (_, _, _), (_, fit, _), (_, sklearn, _) = rows
    compared = "".join(
        f"| {name} | {1000 * seconds.wall:.1f} | {1000 * seconds.cpu:.1f} | {score:.3f} |\n"
        for name, seconds, score in rows
    )
    text = f"""# Grouping an RNA's papers by topic

`{_command(arguments.abstracts)}`

{machine}, {os.getloadavg()[0]:.1f} at the end.
{arguments.papers} papers an RNA; medians of {arguments.repeats} runs.

## Preparation, choice of the number of topics, and fit

Two processes. "At most" is what the processor time alone allows on two free cores; a load above
{PROCESSES} is other work that took its share.

| papers | RNAs | RNAs a second | processor ms an RNA | RNAs a second, at most |
| --- | --- | --- | --- | --- |
{rates}
## Against scikit-learn, on the same documents

One process; NMI against the true topics, mean over {len(cases)} RNAs.

| way | ms an RNA | processor ms an RNA | NMI |
| --- | --- | --- | --- |
{compared}
One fit of tomotopy is {sklearn.wall / fit.wall:.1f} times as fast as one of scikit-learn by the
clock, {sklearn.cpu / fit.cpu:.1f} times by processor time.
"""
    arguments.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
