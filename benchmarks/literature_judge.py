"""An automatic judge of claims, calibrated on labels: does it tell more than the base rate does?

    python benchmarks/literature_inputs.py LITERATURE INPUTS
    python benchmarks/literature_judge.py --rnas INPUTS/rnas.jsonl --papers INPUTS/papers.jsonl.gz \
        --builds DNC AIS

A logistic regression on what the checks know of a claim and its quote, and on their cosine by
all-MiniLM-L6-v2, predicts whether the reader called the claim right in all respects. It is
cross-validated over RNAs: none is in training and test. Labels hold hashes, so texts are found
again: of sentences among those of their papers, of a model's claims in its builds.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from literature_model_builds import read_build
from literature_readings import CLAIM_LABELS, items_of
from measured import beginning, make_parser, parse, table
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rnagpt.evaluation.embedding_models import open_embedding_model
from rnagpt.rna_qa.literature.claims.standing_alone import tidy
from rnagpt.rna_qa.literature.claims.validation import names_rna, other_rnas
from rnagpt.rna_qa.literature.judging.samples import CLAIM, Item, read_sheet
from rnagpt.rna_qa.literature.text.plain_text import plain_text
from rnagpt.rna_qa.literature.text.sentences import split_label, split_sentences

LABELS = Path(__file__).with_name("literature_labels")
REPORT = Path(__file__).with_suffix(".md")
FOLDS, BINS, RESAMPLES = 5, 4, 1000
_POINTERS = "this these those that it its they their such both respectively former latter here"
POINTERS = frozenset(_POINTERS.split())
FEATURES = (
    "cosine with the quote",
    "words of it in the quote",
    "words of the quote in it",
    "names the RNA",
    "other RNAs",
    "words",
    "pointing words",
    "numbers",
    "ends as a sentence",
)
ABOUT = """\
AUROC and Brier score of predictions for RNAs that were not trained on, with the 95 % interval of a
bootstrap over RNAs; the base rate predicts the share of right claims in training. Calibration is in
bins of equal size. A judge is of use where its AUROC's interval lies above 0.5 and its Brier score
below the base rate's.
"""


@dataclass(frozen=True)
class Labelled:
    """A claim with its reader's word on it: right in all respects or not."""

    item: Item
    names: tuple[str, ...]
    right: bool


def of_sentences(
    rnas: Sequence[Mapping[str, Any]], papers: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, Labelled]]:
    """The labelled sentences whose words are found in their papers, with their file's name."""
    names = {rna["names"][0]: tuple(rna["names"]) for rna in rnas}
    for file in sorted(LABELS.glob("extractive_*.jsonl")):
        raw = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()[1:]]
        papers_of = {row["key"]: tuple(row["papers"]) for row in raw}
        for judged in read_sheet(file).judgements:
            if judged.kind == CLAIM:
                of = papers_of[judged.key]
                found = _find(judged.key, of, papers, names)
                if found:
                    right = all(judged.labels.values())
                    yield file.stem, Labelled(found, names[found.name], right)


def _find(
    key: str,
    of: tuple[str, ...],
    papers: Mapping[str, Mapping[str, Any]],
    names: Mapping[str, Sequence[str]],
) -> Item | None:
    for paper in (papers[id_] for id_ in of if id_ in papers):
        texts = [plain_text(paper["title"]), *split_sentences(plain_text(paper["abstract"]))]
        for sentence in texts:
            bare = split_label(sentence)[1]
            for name in (name for name in names if names_rna(sentence, names[name])):
                for text in dict.fromkeys((sentence, bare, tidy(bare))):
                    item = Item(CLAIM, "", name, text, sentence, of, "")
                    if item.key == key:
                        return item
    return None


def of_builds(folders: Sequence[Path]) -> Iterator[Labelled]:
    """The labelled claims of the builds with a language model."""
    labels = {one.key: one for one in read_sheet(CLAIM_LABELS).judgements}
    found: dict[str, Labelled] = {}
    for folder, mode in zip(folders, ("dnc", "ais"), strict=True):
        made = read_build(folder, mode)
        for item in items_of(made):
            if one := labels.get(item.key):
                names = tuple(made.rnas[item.rna].names)
                found[item.key] = Labelled(item, names, all(one.labels.values()))
    yield from found.values()


def features(claims: Sequence[Labelled]) -> np.ndarray:
    """(claims, features), in the order of FEATURES."""
    model = open_embedding_model("minilm")
    texts = model.embed_texts([one.item.text for one in claims])
    quotes = model.embed_texts([one.item.quote for one in claims])
    cosines = (texts * quotes).sum(axis=1)
    return np.array([_row(one, float(c)) for one, c in zip(claims, cosines, strict=True)])


def _row(one: Labelled, cosine: float) -> tuple[float, ...]:
    text, quote = one.item.text, one.item.quote
    words, others = (_words(part) for part in (text, quote))
    shared = len(set(words) & set(others))
    return (
        cosine,
        shared / max(1, len(set(words))),
        shared / max(1, len(set(others))),
        float(names_rna(text, one.names)),
        float(len(other_rnas(text, one.names))),
        float(len(words)),
        float(sum(word in POINTERS for word in words)),
        float(sum(word[0].isdigit() for word in words)),
        float(text.rstrip().endswith(".")),
    )


def _words(text: str) -> list[str]:
    return [word for word in text.lower().replace(",", " ").rstrip(".").split() if word]


def cross_validate(
    claims: Sequence[Labelled],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of each claim: right or not, the judge's and the base rate's prediction, its RNA's number."""
    values, right = features(claims), np.array([one.right for one in claims])
    groups = np.unique([one.item.name for one in claims], return_inverse=True)[1]
    judged, base = np.zeros(len(right)), np.zeros(len(right))
    for train, test in GroupKFold(FOLDS, shuffle=True, random_state=0).split(values, right, groups):
        base[test] = right[train].mean()
        if right[train].all():
            judged[test] = 1.0
            continue
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=1000))
        judged[test] = model.fit(values[train], right[train]).predict_proba(values[test])[:, 1]
    return right, judged, base, groups


def row(name: str, claims: Sequence[Labelled]) -> tuple[str, ...]:
    """A row of the report."""
    right, judged, base, groups = cross_validate(claims)
    aurocs, gains = [], []
    rng = np.random.default_rng(0)
    members = [np.flatnonzero(groups == group) for group in range(groups.max() + 1)]
    for _ in range(RESAMPLES):
        drawn = np.concatenate(
            [members[one] for one in rng.integers(len(members), size=len(members))]
        )
        if 0 < right[drawn].sum() < len(drawn):
            aurocs.append(roc_auc_score(right[drawn], judged[drawn]))
        gains.append(
            brier_score_loss(right[drawn], base[drawn])
            - brier_score_loss(right[drawn], judged[drawn])
        )
    low, high = np.quantile(aurocs, (0.025, 0.975))
    least, most = np.quantile(gains, (0.025, 0.975))
    return (
        name,
        f"{len(right)}",
        f"{len(right) - right.sum()}",
        f"{roc_auc_score(right, judged):.3f} ({low:.3f}–{high:.3f})",
        f"{brier_score_loss(right, judged):.4f}",
        f"{brier_score_loss(right, base):.4f}",
        f"{least:+.4f} to {most:+.4f}",
        _calibration(right, judged),
    )


def _calibration(right: np.ndarray, judged: np.ndarray) -> str:
    bins = np.array_split(np.argsort(judged, kind="stable"), BINS)
    return ", ".join(f"{judged[one].mean():.2f}→{right[one].mean():.2f}" for one in bins)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--rnas", type=Path, required=True, help="RNAs of the inputs")
    parser.add_argument("--papers", type=Path, required=True, help="papers of the inputs, gzipped")
    parser.add_argument("--builds", type=Path, nargs=2, help="folders DNC and AIS")
    args = parse(parser)
    rnas = [json.loads(line) for line in args.rnas.read_text(encoding="utf-8").splitlines()]
    with gzip.open(args.papers, "rt", encoding="utf-8") as lines:
        papers = {f"PMID:{one['pmid']}": one for one in map(json.loads, lines)}
    sentences = list(of_sentences(rnas, papers))
    print(Counter(file for file, _ in sentences))
    rows = [row("sentences, all samples", [one for _, one in sentences])]
    first = [one for file, one in sentences if file == "extractive_1"]
    rows.append(row("sentences, before mending (sample 1)", first))
    if args.builds:
        rows.append(row("a model's claims", list(of_builds(args.builds))))
    header = (
        "claims",
        "labelled",
        "wrong",
        "AUROC",
        "Brier",
        "base rate's",
        "gain",
        "predicted→right",
    )
    text = f"{beginning('An automatic judge of claims', ABOUT)}\n{table(header, rows)}\n"
    print(text)
    (args.report or REPORT).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
