"""Figures with bootstrap intervals: scores, baselines, controls and abstention."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from datasets import Dataset

from rnagpt.evaluation.baselines import (
    CONTROLS,
    KMER_SIZE,
    NONE,
    REAL,
    SHUFFLED,
    Labels,
    majority_labels,
    nearest_labels,
    random_labels,
)
from rnagpt.evaluation.runner import Answers, Asked
from rnagpt.evaluation.systems import FUSION, RNA_GPT, SEQUENCE, SYSTEMS
from rnagpt.evaluation.tasks import (
    COMPARED,
    EVALUATED,
    FAMILY,
    KNOWN,
    NEVER_SEEN,
    TYPE,
    UNDER_CONTROL,
    DrawnRna,
    Plan,
)
from rnagpt.evaluation.text_metrics import score_texts

RESAMPLES = 1000
TEXTS, RATIOS, CONTROLLED, GROUNDING = "systems", "ratios", "controls", "grounding"
UNSEEN, ABSTENTION, FAMILIES = "unseen families", "refusals", "families"
NEAREST, MAJORITY = f"nearest training RNA ({KMER_SIZE}-mers)", "majority class"
RANDOM, SEARCH = "random training RNA", "search"
ALONE = "language model, no RNA"
RIGHT = {FAMILY: "right family", TYPE: "right type"}
ONLY = "right family, no other"
LIKELY = {FAMILY: "log-likelihood, family", TYPE: "log-likelihood, type"}
ROUGE_L = "ROUGE-L"
ABSTAINS = "abstains"
# Fewer RNAs of a family say little of how well it is known.
LEAST_OF_FAMILY = 10
# Scores of (reference, prediction) pairs, each (pairs,), by their names.
ScoreTexts = Callable[[Sequence[str], Sequence[str]], Mapping[str, np.ndarray]]
# What each baseline says of RNAs, by the RNAs' group and the baseline's name.
Baselines = Mapping[str, Mapping[str, Labels]]


@dataclass(frozen=True)
class Figure:
    """One figure of a table.

    Attributes:
        table: the table's name.
        row: the system or the control.
        name: what was measured.
        value: the figure.
        interval: its 95 % interval, which holds the value.
        n: RNAs that it is measured on.
    """

    table: str
    row: str
    name: str
    value: float
    interval: tuple[float, float]
    n: int


class Figures:
    """Collects figures, each with its bootstrap interval over RNAs.

    An RNA with all its questions is the unit of resampling (percentile bootstrap; Efron,
    Annals of Statistics 7, 1–26, 1979): questions about one RNA are right or wrong together.

    Args:
        seed: of the draws; figures with the same number of RNAs share them.
        resamples: how often RNAs are drawn.
    """

    def __init__(self, seed: int, resamples: int = RESAMPLES) -> None:
        self.seed = seed
        self.resamples = resamples
        self._drawn = np.zeros((resamples, 0), dtype=int)
        self.all: list[Figure] = []

    def add_mean(
        self, table: str, row: str, name: str, values: Sequence[float] | np.ndarray
    ) -> None:
        """The mean of one value per RNA."""
        scores = np.asarray(values, dtype=float)
        draws = scores[self._draws(len(scores))].mean(axis=1)
        self._add(table, row, name, float(scores.mean()), draws, len(scores))

    def add(
        self, table: str, row: str, name: str, statistic: Callable[[np.ndarray], float], n: int
    ) -> None:
        """A statistic of RNAs, which it is given as positions (drawn,); NaN draws do not count."""
        draws = np.array([statistic(drawn) for drawn in self._draws(n)])
        self._add(table, row, name, statistic(np.arange(n)), draws, n)

    def _add(
        self, table: str, row: str, name: str, value: float, draws: np.ndarray, n: int
    ) -> None:
        kept = draws[~np.isnan(draws)]
        # A statistic such as a calibration error is larger in nearly every draw than in the RNAs
        # themselves; the interval then reaches from the value to the draws.
        low, high = np.percentile(kept, [2.5, 97.5]) if len(kept) else (value, value)
        low, high = min(low, value), max(high, value)
        self.all.append(Figure(table, row, name, value, (float(low), float(high)), n))

    def _draws(self, n: int) -> np.ndarray:
        """Positions of drawn RNAs: (resamples, n), the same for the same n."""
        if self._drawn.shape[1] != n:
            self._drawn = np.random.default_rng(self.seed).integers(n, size=(self.resamples, n))
        return self._drawn

    def rows(self, table: str) -> list[str]:
        """Rows of a table, in the order in which they came."""
        return list(dict.fromkeys(figure.row for figure in self.all if figure.table == table))

    def names(self, table: str) -> list[str]:
        """Names of a table's figures, in the order in which they came."""
        return list(dict.fromkeys(figure.name for figure in self.all if figure.table == table))

    def get(self, table: str, row: str, name: str) -> Figure | None:
        """A figure, or None where it was not measured."""
        wanted = (table, row, name)
        found = (figure for figure in self.all if (figure.table, figure.row, figure.name) == wanted)
        return next(found, None)


def share_lost(scores: np.ndarray, controlled: np.ndarray) -> Callable[[np.ndarray], float]:
    """Grounding: the share of a mean score that is lost under a control; NaN where there is none.

    1 where the answers depend only on the RNA, 0 where they do not depend on it.

    Args:
        scores, controlled: (rnas,), of the same RNAs with their own and under the control.
    """

    def statistic(drawn: np.ndarray) -> float:
        score = scores[drawn].mean()
        return float(1 - controlled[drawn].mean() / score) if score > 0 else float("nan")

    return statistic


def ratio(scores: np.ndarray, others: np.ndarray) -> Callable[[np.ndarray], float]:
    """How many times another mean score a mean score is; NaN where the other is 0.

    Args:
        scores, others: (rnas,), of the same RNAs.
    """

    def statistic(drawn: np.ndarray) -> float:
        other = others[drawn].mean()
        return float(scores[drawn].mean() / other) if other > 0 else float("nan")

    return statistic


def rouge_l(references: Sequence[str], predictions: Sequence[str]) -> np.ndarray:
    """ROUGE-L of (reference, prediction) pairs: (pairs,)."""
    return score_texts(references, predictions)[ROUGE_L]


def find_all(
    answers: Answers,
    plan: Plan,
    score: ScoreTexts,
    seed: int,
    searched: Mapping[str, Labels] | None = None,
) -> Figures:
    """All figures but those of confidence.

    Args:
        answers: of all systems.
        plan: by which they were asked.
        score: scores texts for the table of systems.
        seed: of the intervals and of random training RNAs.
        searched: what the search says of each group of RNAs, where there is one.
    """
    figures = Figures(seed)
    labels = label_baselines(plan.splits.train, plan.groups, seed)
    for group, found in (searched or {}).items():
        labels[group][SEARCH] = found
    compared, evaluated = plan.groups[COMPARED], plan.groups[EVALUATED]
    add_systems(figures, answers, compared, labels[COMPARED], score)
    add_ratios(figures, answers, compared, labels[COMPARED])
    add_controls(figures, answers, evaluated, labels[EVALUATED])
    add_grounding(figures, answers)
    add_abstention(figures, answers)
    add_families(figures, answers)
    if NEVER_SEEN in plan.groups:
        add_unseen(figures, answers, plan.groups[NEVER_SEEN], labels[NEVER_SEEN])
    return figures


def label_baselines(
    train: Dataset, groups: Mapping[str, Sequence[DrawnRna]], seed: int = 0
) -> dict[str, dict[str, Labels]]:
    """What the baselines say of each group of RNAs."""
    sequences = [rna.cleaned.sequence for rnas in groups.values() for rna in rnas]
    nearest = nearest_labels(train, sequences)
    majority = majority_labels(train, len(sequences))
    drawn = random_labels(train, len(sequences), seed)
    baselines: dict[str, dict[str, Labels]] = {}
    start = 0
    for group, rnas in groups.items():
        part = slice(start, start + len(rnas))
        baselines[group] = {
            NEAREST: nearest[part],
            MAJORITY: majority[part],
            RANDOM: drawn[part],
        }
        start += len(rnas)
    return baselines


def add_systems(
    figures: Figures,
    answers: Answers,
    rnas: Sequence[DrawnRna],
    baselines: Mapping[str, Labels],
    score: ScoreTexts,
) -> None:
    """The paper's table: the systems and the baselines, on the same RNAs."""
    for system, label in SYSTEMS.items():
        asked = Asked(system, COMPARED, REAL, KNOWN)
        if asked in answers:
            _add_texts(figures, label, score(*answers.texts(asked)))
            _add_naming(figures, TEXTS, label, answers, asked)
    alone = Asked(SEQUENCE, COMPARED, NONE, KNOWN)
    if alone in answers:
        _add_texts(figures, ALONE, score(*answers.texts(alone)))
        _add_naming(figures, TEXTS, ALONE, answers, alone)
    references = [rna.annotation for rna in rnas]
    for label, labels in baselines.items():
        said = [annotation or "" for annotation in labels.annotation]
        _add_texts(figures, label, score(references, said))
        _add_labels(figures, TEXTS, label, labels, rnas)


def add_ratios(
    figures: Figures, answers: Answers, rnas: Sequence[DrawnRna], baselines: Mapping[str, Labels]
) -> None:
    """How many times the plain language model's ROUGE the others have, baselines too."""
    asked = {system: Asked(system, COMPARED, REAL, KNOWN) for system in SYSTEMS}
    if asked[SEQUENCE] not in answers:
        return
    plain = score_texts(*answers.texts(asked[SEQUENCE]))
    others = {
        SYSTEMS[system]: answers.texts(asked[system])
        for system in (FUSION, RNA_GPT)
        if asked[system] in answers
    }
    alone = Asked(SEQUENCE, COMPARED, NONE, KNOWN)
    others |= {ALONE: answers.texts(alone)} if alone in answers else {}
    references = [rna.annotation for rna in rnas]
    for label, labels in baselines.items():
        others[label] = references, [annotation or "" for annotation in labels.annotation]
    for label, texts in others.items():
        for name, values in score_texts(*texts).items():
            row = f"{label} / {SYSTEMS[SEQUENCE]}"
            figures.add(RATIOS, row, name, ratio(values, plain[name]), len(values))


def add_controls(
    figures: Figures,
    answers: Answers,
    rnas: Sequence[DrawnRna],
    baselines: Mapping[str, Labels],
) -> None:
    """RNA-GPT's scores with the RNA and under each control, and those of the baselines."""
    for control, label in {REAL: SYSTEMS[RNA_GPT], **CONTROLS}.items():
        group = EVALUATED if control == REAL else UNDER_CONTROL
        _add_naming(figures, CONTROLLED, label, answers, Asked(RNA_GPT, group, control, FAMILY))
        for question, name in LIKELY.items():
            asked = Asked(RNA_GPT, group, control, question)
            if asked in answers:
                likely = answers.column(asked, "reference_log_probability")
                figures.add_mean(CONTROLLED, label, name, likely)
        known = Asked(RNA_GPT, COMPARED, control, KNOWN)
        if known in answers:
            figures.add_mean(CONTROLLED, label, ROUGE_L, rouge_l(*answers.texts(known)))
    for label, labels in baselines.items():
        _add_labels(figures, CONTROLLED, label, labels, rnas)


def add_grounding(figures: Figures, answers: Answers) -> None:
    """What each control costs: a share of the right answers, nats of their likelihood."""
    for control, label in CONTROLS.items():
        for question, name in RIGHT.items():
            both = [Asked(RNA_GPT, UNDER_CONTROL, one, question) for one in (REAL, control)]
            if both[1] in answers:
                own, other = (answers.right(asked).astype(float) for asked in both)
                figures.add(GROUNDING, label, name, share_lost(own, other), len(own))
                own, other = (answers.column(a, "reference_log_probability") for a in both)
                figures.add_mean(GROUNDING, label, f"{LIKELY[question]}: nats", own - other)
        both = [Asked(RNA_GPT, COMPARED, one, KNOWN) for one in (REAL, control)]
        if both[1] in answers:
            own, other = (rouge_l(*answers.texts(asked)) for asked in both)
            figures.add(GROUNDING, label, ROUGE_L, share_lost(own, other), len(own))


def add_unseen(
    figures: Figures,
    answers: Answers,
    rnas: Sequence[DrawnRna],
    baselines: Mapping[str, Labels],
) -> None:
    """The type of RNAs whose families were never in training: no family can be right."""
    asked = Asked(RNA_GPT, NEVER_SEEN, REAL, TYPE)
    if asked not in answers:
        return
    figures.add_mean(UNSEEN, SYSTEMS[RNA_GPT], RIGHT[TYPE], answers.right(asked))
    for label, labels in baselines.items():
        right = [said == rna.type for said, rna in zip(labels.type, rnas, strict=True)]
        figures.add_mean(UNSEEN, label, RIGHT[TYPE], right)


def add_abstention(figures: Figures, answers: Answers) -> None:
    """How often the model abstains from naming a family, where it should and where not.

    Whatever does not abstain counts as a claim, a family that nobody knows included.
    """
    groups = {
        "RNAs of known families": Asked(RNA_GPT, EVALUATED, REAL, FAMILY),
        "shuffled RNAs of known families": Asked(RNA_GPT, UNDER_CONTROL, SHUFFLED, FAMILY),
        "RNAs of families never seen": Asked(RNA_GPT, NEVER_SEEN, REAL, FAMILY),
    }
    for label, asked in groups.items():
        if asked not in answers:
            continue
        declined = answers.abstained(asked)
        figures.add_mean(ABSTENTION, label, ABSTAINS, declined)
        figures.add_mean(ABSTENTION, label, "claims a family", ~declined)
        named = [bool(names) for names in answers.names(asked)]
        figures.add_mean(ABSTENTION, label, "names one of the data set", named)


def add_families(figures: Figures, answers: Answers) -> None:
    """How well each family is known that has at least `LEAST_OF_FAMILY` RNAs, the least first."""
    asked = Asked(RNA_GPT, EVALUATED, REAL, FAMILY)
    if asked not in answers:
        return
    right, declined = answers.right(asked), answers.abstained(asked)
    places: dict[str, list[int]] = {}
    for place, rna in enumerate(answers.rnas(asked)):
        places.setdefault(rna.family, []).append(place)
    of_family = {name: np.array(own) for name, own in places.items() if len(own) >= LEAST_OF_FAMILY}
    for name, own in sorted(of_family.items(), key=lambda item: (right[item[1]].mean(), item[0])):
        figures.add_mean(FAMILIES, name, RIGHT[FAMILY], right[own])
        figures.add_mean(FAMILIES, name, ABSTAINS, declined[own])


def _add_texts(figures: Figures, row: str, scores: Mapping[str, np.ndarray]) -> None:
    for name, values in scores.items():
        figures.add_mean(TEXTS, row, name, values)


def _add_naming(figures: Figures, table: str, row: str, answers: Answers, asked: Asked) -> None:
    """How often answers to the questions of family and type, as far as asked, are right."""
    for question, name in RIGHT.items():
        one = replace(asked, question=question)
        if one not in answers:
            continue
        figures.add_mean(table, row, name, answers.right(one))
        if question == FAMILY:
            figures.add_mean(table, row, ONLY, answers.right_alone(one))


def _add_labels(
    figures: Figures, table: str, row: str, labels: Labels, rnas: Sequence[DrawnRna]
) -> None:
    """How often the labels of a baseline are right; it names one family or none."""
    said_of = {FAMILY: labels.family, TYPE: labels.type}
    for question, name in RIGHT.items():
        if question == FAMILY and not any(rna.accession for rna in rnas):
            continue
        said = zip(said_of[question], rnas, strict=True)
        right = [label == rna.label_of(question) for label, rna in said]
        figures.add_mean(table, row, name, right)
        if question == FAMILY:
            figures.add_mean(table, row, ONLY, right)
