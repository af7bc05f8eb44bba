"""What a language model writes of papers: divide and conquer, all at once, and sentences chosen.

    rna-qa literature DNC --rnas RNAS --papers PAPERS --mode dnc --language-model … --base-url …
    rna-qa literature AIS --rnas RNAS --papers PAPERS --mode ais --language-model … --base-url …
    rna-qa literature EXTRACTIVE --rnas RNAS --papers PAPERS --extractive
    python benchmarks/literature_model_builds.py DNC AIS EXTRACTIVE

The builds are of the same papers; each needs its stage `annotate`, no more, and of these the shards
that are done. RNAs that all three have done are told by themselves as well, with DNC's topics.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from measured import beginning, make_parser, parse, table

from rnagpt.evaluation.embedding_models import EmbeddingModel, open_embedding_model
from rnagpt.evaluation.text_metrics import score_texts, semantic_names
from rnagpt.rna_qa.literature.build.settings import LiteratureOptions, RunOptions
from rnagpt.rna_qa.literature.build.shards import read_lines
from rnagpt.rna_qa.literature.build.stages import Build, read_annotations
from rnagpt.rna_qa.literature.claims.validation import overlap
from rnagpt.rna_qa.literature.judging.precision import describe, measure
from rnagpt.rna_qa.literature.judging.samples import read_sheet
from rnagpt.rna_qa.literature.llm.request_cache import RequestCache
from rnagpt.rna_qa.literature.records import Annotation, Rna, Topics

REPORT = Path(__file__).with_suffix(".md")
NAMES = ("dnc", "ais", "extractive")
NO_ANSWER = "no answer: "
# What is told of the RNAs that all builds have done.
BESIDE = (
    "RNAs with claims",
    "claims a paper",
    "papers cited",
    "topics cited",
    "claims copied",
    "redundancy, cosine",
    "redundancy, words",
)
ABOUT = """\
A claim stands if it passes the builder's checks, at
first or after one repair; claims that say the same are one. Coverage is the share of an RNA's
papers that its annotation cites, and of its topics of which it cites a paper, with 0 for an RNA
without claims. A claim is copied where its quote has all of its content words. Redundancy is the
mean cosine of two claims of an RNA (all-MiniLM-L6-v2), and the share of the claims of which another
of the RNA has half the content words or more. Requests and tokens are of all RNAs of the build.
"""


@dataclass(frozen=True)
class Made:
    """A build: what it wrote of each RNA, the groups of the papers, and what it asked.

    Attributes:
        annotations, topics: by the RNA's id, of the shards that are done.
        answers: requests that were answered, answers that were cut, tokens read and written.
    """

    rnas: Mapping[str, Rna]
    annotations: Mapping[str, Annotation]
    topics: Mapping[str, Topics]
    answers: tuple[int, int, int, int]


def read_build(out: Path, mode: str) -> Made:
    """Read the shards of a build that are done.

    Raises:
        FileNotFoundError: if there are none of this mode.
    """
    work = out / ".work"
    shards = sorted(int(file.stem.split(".")[0]) for file in work.glob(f"annotate-{mode}/*.gz"))
    if not shards:
        raise FileNotFoundError(f"{work}: no shards of annotate-{mode}; run that stage first")
    rnas: dict[str, Rna] = {}
    annotations: dict[str, Annotation] = {}
    topics: dict[str, Topics] = {}
    for number in shards:
        for rna, annotation in read_annotations(work, mode, number):
            rnas[rna.id], annotations[rna.id] = rna, annotation
        build = Build(work, LiteratureOptions(rnas="", papers=""), RunOptions(), "")
        found = map(Topics.from_json, read_lines(build.shard("topics", number)))
        topics |= {one.rna_id: one for one in found}
    return Made(rnas, annotations, topics, count_answers(work / "requests.sqlite"))


def count_answers(requests: Path) -> tuple[int, int, int, int]:
    """Requests that were answered, answers that were cut, tokens read and written."""
    if not requests.exists():
        return 0, 0, 0, 0
    with RequestCache(requests) as cache:
        totals = cache.totals()
        cut = cache.query(
            "SELECT count(*) FROM answers WHERE json_extract(answer, '$.finish_reason') = 'length'"
        )
    return totals.answered, cut[0][0], totals.tokens_in, totals.tokens_out


def figures(
    made: Made, ids: Sequence[str], topics: Mapping[str, Topics], model: EmbeddingModel
) -> Iterator[tuple[str, str]]:
    """The rows of a build's column, with their names."""
    of = [made.annotations[id_] for id_ in ids]
    papers = [sum(map(len, topics[id_].groups)) for id_ in ids]
    claims = sum(len(one.claims) for one in of)
    rejected = sum(rejections(of).values())
    requests, cut, tokens_in, tokens_out = made.answers
    num_rnas = max(1, len(made.annotations))
    yield "RNAs with claims", f"{sum(bool(one.claims) for one in of)} of {len(ids)}"
    yield "claims", f"{claims}"
    yield "claims a paper", f"{claims / max(1, sum(papers)):.2f}"
    stands = f"{claims / max(1, claims + rejected):.3f} of {claims + rejected}"
    yield "claims that stand", stands if requests else "–"
    yield "papers cited", _mean(_cited(one) / n for one, n in zip(of, papers, strict=True))
    yield "topics cited", _mean(_topics_cited(one, topics[one.rna_id]) for one in of)
    yield "claims copied", _mean(_copied(made, one) for one in of if one.claims)
    yield "redundancy, cosine", _mean(_cosines(of, model))
    yield "redundancy, words", _mean(_repeated(made, one) for one in of if len(one.claims) > 1)
    words = [len(claim.text.split()) for one in of for claim in one.claims]
    yield "words a claim", _mean(words, 1)
    yield "requests an RNA", f"{requests / num_rnas:.1f}"
    yield "answers cut", f"{cut} of {requests}" if requests else "–"
    yield "tokens read an RNA", f"{tokens_in / num_rnas:,.0f}"
    yield "tokens written an RNA", f"{tokens_out / num_rnas:,.0f}"


def rejections(annotations: Sequence[Annotation]) -> Counter[str]:
    """Claims that were rejected, by reason; requests without an answer are none."""
    every = sum((Counter(one.rejected) for one in annotations), Counter[str]())
    return Counter({why: n for why, n in every.items() if not why.startswith(NO_ANSWER)})


def _mean(values: Iterator[float] | Sequence[float], digits: int = 3) -> str:
    listed = list(values)
    return f"{statistics.fmean(listed):.{digits}f}" if listed else "–"


def _papers_of(annotation: Annotation) -> set[str]:
    return {paper for claim in annotation.claims for paper in claim.papers}


def _cited(annotation: Annotation) -> float:
    return float(len(_papers_of(annotation)))


def _topics_cited(annotation: Annotation, topics: Topics) -> float:
    cited = _papers_of(annotation)
    return statistics.fmean(bool(cited.intersection(group)) for group in topics.groups)


def _copied(made: Made, annotation: Annotation) -> float:
    names = made.rnas[annotation.rna_id].names
    return statistics.fmean(
        overlap(claim.text, claim.quote, names) == 1
        and len(claim.text) <= len(claim.quote) + max(map(len, names))
        for claim in annotation.claims
    )


def _repeated(made: Made, annotation: Annotation) -> float:
    names = made.rnas[annotation.rna_id].names
    texts = [claim.text for claim in annotation.claims]
    return statistics.fmean(
        any(overlap(text, other, names) >= 0.5 for other in texts if other is not text)
        for text in texts
    )


def _cosines(annotations: Sequence[Annotation], model: EmbeddingModel) -> Iterator[float]:
    """The mean cosine of each RNA's pairs of claims."""
    for one in annotations:
        if len(one.claims) > 1:
            vectors = model.embed_texts([claim.text for claim in one.claims])
            pairs = combinations(range(len(vectors)), 2)
            yield float(np.mean([vectors[first] @ vectors[second] for first, second in pairs]))


def alike(
    builds: Mapping[str, Made], ids: Sequence[str], model: EmbeddingModel
) -> Iterator[tuple[str, ...]]:
    """How much the annotations of two builds say the same, of RNAs that have claims in both."""
    _, _, semantic = semantic_names(model, "pair")
    for first, second in combinations(builds, 2):
        texts = [
            (builds[first].annotations[id_].text, builds[second].annotations[id_].text)
            for id_ in ids
        ]
        texts = [pair for pair in texts if all(pair)]
        if not texts:
            continue
        scores = score_texts([one for one, _ in texts], [other for _, other in texts], [model])
        names = ("ROUGE-1", "ROUGE-2", "ROUGE-L", semantic)
        means = (f"{float(np.mean(scores[name])):.3f}" for name in names)
        yield (f"{first}, {second}", f"{len(texts)}", *means)


def report(builds: Mapping[str, Made], model: EmbeddingModel) -> str:
    """The tables of the report."""
    shared = set.intersection(*(set(made.annotations) for made in builds.values()))
    columns = [
        dict(figures(made, sorted(made.annotations), made.topics, model))
        for made in builds.values()
    ]
    rows = [(name, *(column[name] for column in columns)) for name in columns[0]]
    parts = [table(("of all RNAs of the build", *builds), rows)]
    of_shared = [
        dict(figures(made, sorted(shared), next(iter(builds.values())).topics, model))
        for made in builds.values()
    ]
    rows = [(name, *(column[name] for column in of_shared)) for name in BESIDE]
    parts.append(table((f"of the {len(shared)} RNAs of all three", *builds), rows))
    fallen = {
        name: rejections(list(made.annotations.values()))
        for name, made in builds.items()
        if made.answers[0]
    }
    reasons = sorted({why for counts in fallen.values() for why in counts})
    why = [(one, *(f"{counts[one]}" for counts in fallen.values())) for one in reasons]
    if why:
        parts.append(table(("why claims fall", *fallen), why))
    header = ("annotations of", "RNAs", "ROUGE-1", "ROUGE-2", "ROUGE-L", "semantic F1")
    parts.append(table(header, alike(builds, sorted(shared), model)))
    return "\n\n".join(parts)


def judged(builds: Mapping[str, Made]) -> Iterator[str]:
    """The lines on what a reader said of these builds' claims, and of two annotations of an RNA."""
    from literature_readings import CLAIM_LABELS, PAIR_LABELS, items_of

    sheet = read_sheet(CLAIM_LABELS)
    for name in ("dnc", "ais"):
        precision = measure(items_of(builds[name]), [sheet])
        if precision.is_whole:
            yield f"\nClaims of {name}, judged by {sheet.judge}:\n"
            yield from describe(precision)
        else:
            yield f"\nClaims of {name}: {precision.without_label} have no label."
    rows = map(json.loads, PAIR_LABELS.read_text(encoding="utf-8").splitlines())
    liked = Counter(row["better"] for row in rows)
    counts = ", ".join(f"{way} {liked[way]}" for way in ("dnc", "ais", "neither"))
    yield f"\nBetter of two annotations of an RNA, by one reader: {counts}."


def main() -> None:
    parser = make_parser(__doc__)
    for name in NAMES:
        parser.add_argument(name, type=Path, help=f"folder of the build: {name}")
    args: argparse.Namespace = parse(parser)
    builds = {name: read_build(getattr(args, name), name) for name in NAMES}
    text = f"{beginning('What a language model writes', ABOUT)}\n"
    text += f"{report(builds, open_embedding_model('minilm'))}\n"
    text += "\n".join(judged(builds)) + "\n"
    print(text)
    (args.report or REPORT).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
