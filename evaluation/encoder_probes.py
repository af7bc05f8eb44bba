"""What the frozen vectors of an RNA encoder tell, by linear probes, beside what needs no encoder.

A probe is fitted on training RNAs of RNA-QA. What is asked: the family and type of RNAs of clusters
never seen, and of RNAs of *families* never seen their type, their ontology terms and their clan;
how many of the nearest training RNAs are of the same clan; and the classes of nRC's test set. How
strongly a probe is regularised is chosen on training families that it is not fitted on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.preprocessing import StandardScaler

from rnagpt.cleaning_rnagpt import clean_rna
from rnagpt.conversion.rna_encoder import RnaEncoder
from rnagpt.evaluation.baselines import find_nearest
from rnagpt.reference.records import Record
from rnagpt.sequences.dataset_loading import load_splits
from rnagpt.sequences.even_families import even_families
from rnagpt.sequences.fasta import read_fasta

Label = Callable[["ProbedRna"], str]
STRENGTHS = (1.0, 10.0, 100.0, 1000.0, 10_000.0)
MAX_TRAIN_RNAS = 10_000
NEIGHBOURS = 10
# nRC's classes (Fiannaca et al. 2017) of RNA-QA's families and types; others have none.
NRC_FAMILIES = {
    "5S_rRNA": "5S_rRNA",
    "5_8S_rRNA": "5_8S_rRNA",
    "Intron_gpI": "Intron_gpI",
}
NRC_TYPES = {
    "C/D box snoRNA": "CD-box",
    "H/ACA box snoRNA": "HACA-box",
    "scaRNA": "scaRNA",
    "IRES": "IRES",
    "intron": "Intron_gpII",
    "leader": "leader",
    "miRNA": "miRNA",
    "riboswitch": "riboswitch",
    "ribozyme": "ribozyme",
    "tRNA": "tRNA",
}
NRC_CLASSES = {*NRC_FAMILIES.values(), *NRC_TYPES.values()}


@dataclass(frozen=True)
class ProbedRna:
    """An RNA and what is right to say of it.

    Attributes:
        sequence: cleaned.
        family: its Rfam id.
        type: one of `RNA_TYPES`.
        clan: of its family; empty if that has none.
        terms: GO and SO ids of its family.
    """

    sequence: str
    family: str
    type: str
    clan: str = ""
    terms: frozenset[str] = frozenset()

    @property
    def nrc_class(self) -> str:
        """Its class in nRC; empty if that has none for it."""
        if self.type in NRC_CLASSES:
            return self.type
        return NRC_FAMILIES.get(self.family) or NRC_TYPES.get(self.type, "")


@dataclass(frozen=True)
class Figure:
    """One question's answers by several ways.

    Attributes:
        question: what was asked.
        rnas: of how many RNAs.
        families: of how many families.
        scores: way → share that is right, from 0 to 1.
        interval: of the encoder's share, 95 %, by resampling families.
    """

    question: str
    rnas: int
    families: int
    scores: Mapping[str, float]
    interval: tuple[float, float]


def read_rnas(dataset: str, split: str, families: Mapping[str, Record]) -> list[ProbedRna]:
    """RNAs of a split, with the clan and terms of their families' records."""
    rows = load_splits(dataset, usual="annotations")[split]
    rnas = []
    for row in rows:
        record = families.get(row["family_accession"])
        clan = record.clan if record else ""
        terms = frozenset(term.id for term in record.terms) if record else frozenset()
        rnas.append(ProbedRna(row["sequence"], row["family"], row["rna_type"], clan, terms))
    return rnas


class Probes:
    """Probes of one encoder.

    Args:
        encoder: frozen.
        train: RNAs that probes are fitted on.
        seed: of the division of families and of the resampling.
    """

    def __init__(self, encoder: RnaEncoder, train: Sequence[ProbedRna], seed: int = 0) -> None:
        self.train = list(train)
        self.seed = seed
        self._encoder = encoder
        vectors = encoder.means([rna.sequence for rna in self.train])
        self._scaler = StandardScaler().fit(vectors)
        self._vectors = self._scaler.transform(vectors)
        families = sorted({rna.family for rna in self.train})
        random = np.random.default_rng(seed)
        aside = set(random.permutation(families)[: max(1, len(families) // 5)].tolist())
        self._aside = np.array([rna.family in aside for rna in self.train])

    def ask(
        self, question: str, asked: Sequence[ProbedRna], label: Label, *, new_families: bool = False
    ) -> Figure:
        """A label of RNAs: by the encoder, the nearest training RNA, the commonest, at random.

        Args:
            question: for the table.
            asked: RNAs whose label is known among the training RNAs.
            label: of an RNA; empty where it has none.
            new_families: they are of families that no training RNA is of.
        """
        known = np.array([bool(label(rna)) for rna in self.train])
        labels = np.array([label(rna) for rna in self.train])
        right = [label(rna) for rna in asked]
        vectors = self._read(asked)
        strength = self._choose_strength(known, labels, new_families)
        probe = RidgeClassifier(alpha=strength).fit(self._vectors[known], labels[known])
        hits = probe.predict(vectors) == right
        return self._figure(question, asked, hits, labels[known], known, right)

    def neighbours(self, question: str, asked: Sequence[ProbedRna], label: Label) -> Figure:
        """Of RNAs with a label: is one of the ten nearest training RNAs of the same label?

        By the cosine of their vectors, beside that by shared 8-mers and ten at random.
        """
        labels = np.array([label(rna) for rna in self.train])
        right = [label(rna) for rna in asked]
        known, vectors = _unit(self._vectors), _unit(self._read(asked))
        hits = np.array(
            [
                value in labels[np.argsort(-(known @ vector))[:NEIGHBOURS]]
                for vector, value in zip(vectors, right, strict=True)
            ]
        )
        random = np.random.default_rng(self.seed)
        drawn = [random.choice(labels, NEIGHBOURS) for _ in asked]
        scores = {
            "encoder": float(hits.mean()),
            "nearest by 8-mers (one)": _share(self._nearest(asked, labels), right),
            "ten at random": float(np.mean([v in d for v, d in zip(right, drawn, strict=True)])),
        }
        return Figure(question, *_counts(asked), scores, self._interval(asked, hits))

    def terms(self, question: str, asked: Sequence[ProbedRna]) -> Figure:
        """Ontology terms of RNAs: the mean F1 of the set that is named and the right one."""
        names = sorted({term for rna in self.train for term in rna.terms})
        wanted = np.array([[term in rna.terms for term in names] for rna in self.train])
        strength, threshold = self._choose_threshold(wanted)
        scores = _ridge(self._vectors, wanted, strength)(self._read(asked))
        told = [_terms_above(row, names, threshold) for row in scores]
        hits = np.array([_f1(named, rna.terms) for named, rna in zip(told, asked, strict=True)])
        commonest = Counter(rna.terms for rna in self.train if rna.terms).most_common(1)[0][0]
        nearest = self._nearest(asked, np.array([rna.terms for rna in self.train], dtype=object))
        others = {
            "nearest by 8-mers": np.mean(
                [_f1(named or set(), rna.terms) for named, rna in zip(nearest, asked, strict=True)]
            ),
            "commonest": np.mean([_f1(commonest, rna.terms) for rna in asked]),
        }
        shares = {"encoder": float(hits.mean()), **{k: float(v) for k, v in others.items()}}
        return Figure(question, *_counts(asked), shares, self._interval(asked, hits))

    def _read(self, rnas: Sequence[ProbedRna]) -> np.ndarray:
        means = self._encoder.means([rna.sequence for rna in rnas])
        vectors: np.ndarray = self._scaler.transform(means)
        return vectors

    def _choose_strength(self, known: np.ndarray, labels: np.ndarray, new_families: bool) -> float:
        """Of the regularisation, by what is set aside: families, if it is asked about new ones."""
        random = np.random.default_rng(self.seed)
        aside = self._aside if new_families else random.random(len(labels)) < 0.2
        fitted, held = known & ~aside, known & aside & np.isin(labels, labels[known & ~aside])
        if not held.any():
            return STRENGTHS[len(STRENGTHS) // 2]
        shares = {
            strength: RidgeClassifier(alpha=strength)
            .fit(self._vectors[fitted], labels[fitted])
            .score(self._vectors[held], labels[held])
            for strength in STRENGTHS
        }
        return max(shares, key=shares.__getitem__)

    def _choose_threshold(self, wanted: np.ndarray) -> tuple[float, float]:
        """Strength, and the score from which a term is named, by families set aside."""
        held = np.flatnonzero(self._aside & wanted.any(1))
        best = (0.0, STRENGTHS[-1], 0.5)
        for strength in STRENGTHS:
            scores = _ridge(self._vectors[~self._aside], wanted[~self._aside], strength)(
                self._vectors[held]
            )
            for threshold in (0.05, 0.1, 0.15, 0.2, 0.3, 0.4):
                named = scores >= np.minimum(threshold, scores.max(1, keepdims=True))
                both = (named & wanted[held]).sum(1)
                f1 = float(np.mean(2 * both / (named.sum(1) + wanted[held].sum(1))))
                best = max(best, (f1, strength, threshold))
        return best[1], best[2]

    def _nearest(self, asked: Sequence[ProbedRna], labels: np.ndarray) -> list[Any]:
        known = [rna.sequence for rna in self.train]
        places = find_nearest(known, [rna.sequence for rna in asked])
        return [None if place is None else labels[place] for place in places]

    def _figure(
        self,
        question: str,
        asked: Sequence[ProbedRna],
        hits: np.ndarray,
        labels: np.ndarray,
        known: np.ndarray,
        right: Sequence[str],
    ) -> Figure:
        all_labels = np.full(len(known), "", dtype=labels.dtype)
        all_labels[known] = labels
        random = np.random.default_rng(self.seed)
        commonest = Counter(labels.tolist()).most_common(1)[0][0]
        scores = {
            "encoder": float(hits.mean()),
            "nearest by 8-mers": _share(self._nearest(asked, all_labels), right),
            "commonest": float(np.mean([value == commonest for value in right])),
            "at random": _share(random.choice(labels, len(right)).tolist(), right),
        }
        return Figure(question, *_counts(asked), scores, self._interval(asked, hits))

    def _interval(self, asked: Sequence[ProbedRna], hits: np.ndarray) -> tuple[float, float]:
        """95 %, by resampling families: RNAs of one family are answered alike."""
        families = np.array([rna.family for rna in asked])
        names, places = np.unique(families, return_inverse=True)
        sums, sizes = np.bincount(places, hits), np.bincount(places)
        random = np.random.default_rng(self.seed)
        drawn = random.integers(len(names), size=(2000, len(names)))
        shares = sums[drawn].sum(1) / sizes[drawn].sum(1)
        return float(np.quantile(shares, 0.025)), float(np.quantile(shares, 0.975))


def _counts(asked: Sequence[ProbedRna]) -> tuple[int, int]:
    return len(asked), len({rna.family for rna in asked})


def _share(told: Sequence[Any], right: Sequence[str]) -> float:
    return float(np.mean([one == other for one, other in zip(told, right, strict=True)]))


def _unit(vectors: np.ndarray) -> np.ndarray:
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-9)
    return unit


def _ridge(
    vectors: np.ndarray, wanted: np.ndarray, strength: float
) -> Callable[[np.ndarray], np.ndarray]:
    """Linear scores of every term."""
    predict: Callable[[np.ndarray], np.ndarray] = Ridge(alpha=strength).fit(vectors, wanted).predict
    return predict


def _terms_above(scores: np.ndarray, names: Sequence[str], threshold: float) -> set[str]:
    """The terms of high scores; the highest in any case."""
    least = min(threshold, scores.max())
    return {name for name, score in zip(names, scores, strict=True) if score >= least}


def _f1(named: Any, right: Any) -> float:
    return 2 * len(set(named) & set(right)) / max(1, len(named) + len(right))


def probe_encoder(
    encoder: RnaEncoder,
    dataset: str,
    families: Mapping[str, Record],
    *,
    nrc: Sequence[ProbedRna] = (),
    max_train_rnas: int = MAX_TRAIN_RNAS,
    split: str = "test",
    seed: int = 0,
) -> list[Figure]:
    """All figures of an encoder.

    Args:
        encoder: frozen.
        dataset: RNA-QA of Rfam, folder or Hub id.
        families: records of its families, by accession: `Reference.families`.
        nrc: RNAs of nRC's test set; the type of each is its class (`read_nrc`).
        max_train_rnas: probes are fitted on at most N RNAs, of as many families as possible.
        split: RNAs of clusters never seen.
        seed: of all draws.
    """
    asked_families = read_rnas(dataset, "test_families", families)
    clusters = read_rnas(dataset, split, families)
    all_train = read_rnas(dataset, "train", families)
    train = even_families(all_train, max_train_rnas, seed)
    probes = Probes(encoder, train, seed)
    known, types, clans = ({get(rna) for rna in train} for get in (_family, _type, _clan))
    seen = [rna for rna in clusters if rna.family in known]
    typed = [rna for rna in asked_families if rna.type in types]
    of_clans = [rna for rna in asked_families if rna.clan and rna.clan in clans]
    figures = [
        probes.ask("family, of clusters never seen", seen, _family),
        probes.ask("type, of clusters never seen", seen, _type),
        probes.ask("type, of families never seen", typed, _type, new_families=True),
    ]
    with_terms = [rna for rna in asked_families if rna.terms]
    if with_terms and any(rna.terms for rna in train):
        figures.append(probes.terms("ontology terms (F1), of families never seen", with_terms))
    if of_clans:
        figures += [
            probes.ask("clan, of families never seen", of_clans, _clan, new_families=True),
            probes.neighbours("clan among ten neighbours", of_clans, _clan),
        ]
    if nrc:
        # What is asked is not fitted on.
        others = {rna.sequence for rna in nrc}
        kept = [rna for rna in all_train if rna.nrc_class and rna.sequence not in others]
        of_classes = Probes(encoder, even_families(kept, max_train_rnas, seed), seed)
        figures.append(of_classes.ask("nRC's 13 classes", nrc, _nrc_class))
    return figures


def _family(rna: ProbedRna) -> str:
    return rna.family


def _type(rna: ProbedRna) -> str:
    return rna.type


def _clan(rna: ProbedRna) -> str:
    return rna.clan


def _nrc_class(rna: ProbedRna) -> str:
    return rna.nrc_class


def read_nrc(fasta: str | Path) -> list[ProbedRna]:
    """nRC's test set: FASTA whose headers name an RNA and its class, after white space.

    The names, which begin with an Rfam accession, are not kept.

    Raises:
        ValueError: a header names none of the 13 classes.
    """
    rnas = []
    for record in read_fasta(fasta):
        if record.description not in NRC_CLASSES:
            raise ValueError(
                f"{fasta}: {record.name} is of the class {record.description!r}; expected one of "
                f"{', '.join(sorted(NRC_CLASSES))} after the name."
            )
        cleaned = clean_rna(record.sequence, name=record.name)
        rnas.append(ProbedRna(cleaned.sequence, record.description, record.description))
    return rnas


__all__ = [
    "Figure",
    "ProbedRna",
    "Probes",
    "probe_encoder",
    "read_nrc",
    "read_rnas",
]
