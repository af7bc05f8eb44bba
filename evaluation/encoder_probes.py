"""What the frozen vectors of an RNA encoder tell, by linear probes, beside what needs no encoder.

A probe is fitted on training RNAs of RNA-QA. What is asked: the family and type of RNAs of clusters
never seen, and of RNAs of *families* never seen their type and their ontology terms. How a probe is
regularised is chosen on the validation split, or, where families are new, on training families that
it is not fitted on. Beside the encoder stand its architecture with random weights, 8-mers under the
same probe, the nearest training RNA, the search, the commonest label and chance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from rnagpt.conversion.rna_encoder import RnaEncoder
from rnagpt.evaluation.baselines import find_nearest
from rnagpt.evaluation.linear_probes import LabelProbe, TermsProbe, set_f1
from rnagpt.evaluation.probe_figures import Estimate, Figure, mean_estimate, score_labels
from rnagpt.evaluation.probed_rnas import (
    Label,
    ProbedRna,
    Read,
    kmer_reader,
    read_features,
    read_rnas,
    remembered,
    side_by_side,
    untrained,
)
from rnagpt.evaluation.search_quality import best_hits
from rnagpt.evidence.type_reading import bundled_reader
from rnagpt.reference.library import EVALUE, Reference
from rnagpt.reference.records import Record
from rnagpt.sequences.even_families import even_families

MAX_TRAIN_RNAS = 10_000
FAMILIES, TYPES, TERMS = LABELS = ("families", "types", "terms")
MAX_ASKED = 2000
ENCODER, UNTRAINED, KMERS = "encoder", "the same with random weights", "8-mers"
NEAREST_BY_ENCODER, NEAREST = "nearest by the encoder", "nearest by 8-mers"
SEARCH, READER = "search", "composition and folding"
FORCED = f"{READER}, never silent"
FEATURES, JOINED = f"{READER}, by the same probe", f"encoder, {READER}, by the same probe"
COMMONEST, CHANCE = "commonest", "at random"
F1 = "F1"
# The record that a search found for each sequence; None where it found nothing.
Search = Callable[[Sequence[str]], list[Record | None]]


def search_in(reference: Reference, evalue: float = EVALUE, jobs: int = 1) -> Search:
    """A search in a reference, which must not hold what is asked: see `check_unseen`."""

    def search(sequences: Sequence[str]) -> list[Record | None]:
        hits = best_hits(sequences, reference, evalue, jobs)
        return [None if hit is None else hit.record for hit in hits]

    return search


class Probes:
    """Probes of vectors and of what needs none.

    Args:
        readers: vectors of sequences by the way's name; `ENCODER` is among them.
        train: RNAs that probes are fitted on.
        validation: RNAs of clusters never seen, of families of the training split.
        search: finds records; None: not asked.
        seed: of the division of families, of the draws and of the resampling.
    """

    def __init__(
        self,
        readers: Mapping[str, Read],
        train: Sequence[ProbedRna],
        validation: Sequence[ProbedRna] = (),
        search: Search | None = None,
        seed: int = 0,
    ) -> None:
        self.train, self.validation = list(train), list(validation)
        self.search, self.seed = search, seed
        self._readers = dict(readers)
        self._vectors: dict[str, np.ndarray] = {}
        families = sorted({rna.family for rna in self.train})
        random = np.random.default_rng(seed)
        aside = set(random.permutation(families)[: max(1, len(families) // 5)].tolist())
        self._aside = np.array([rna.family in aside for rna in self.train])
        self._found: dict[tuple[str, ...], list[Record | None]] = {}

    def ask(
        self,
        question: str,
        asked: Sequence[ProbedRna],
        label: Label,
        *,
        new_families: bool = False,
        typed: bool = False,
        given: Mapping[str, Sequence[Any]] | None = None,
    ) -> Figure:
        """A label of RNAs by every way.

        Args:
            question: for the table.
            asked: RNAs whose label is known among the training RNAs.
            label: of an RNA; empty where it has none.
            new_families: they are of families that no training RNA is of.
            typed: `label` is decided by the type, which composition and folding tell too: by the
                network that answers read it with, and by a probe of the same features.
            given: what further ways say.
        """
        told: dict[str, Sequence[Any]] = {}
        sequences = [rna.sequence for rna in asked]
        for way, read in self._readers.items():
            if typed or way not in (FEATURES, JOINED):
                told[way] = self._probe(way, label, new_families).predict(read(sequences))
        told[NEAREST_BY_ENCODER] = self._nearest_by_encoder(asked, label)
        told[NEAREST] = [rna and label(rna) for rna in self._nearest(asked)]
        if self.search is not None:
            told[SEARCH] = [
                record and (label(of_record(record)) or None) for record in self._records(asked)
            ]
        if typed and find_spec("RNA"):
            readings = [bundled_reader().read(rna.sequence) for rna in asked]
            types = [None if reading is None else reading.type for reading in readings]
            told[READER] = _labels_of_types(types, label)
            features = self._readers.get(FEATURES, read_features)(sequences)
            told[FORCED] = _labels_of_types(bundled_reader().likeliest(features), label)
        told |= given or {}
        told |= self._blind([label(rna) for rna in self.train if label(rna)], len(asked))
        right, families = [label(rna) for rna in asked], [rna.family for rna in asked]
        return Figure(
            question,
            *_counts(asked),
            {way: score_labels(said, right, families, self.seed) for way, said in told.items()},
        )

    def terms(self, question: str, asked: Sequence[ProbedRna]) -> Figure:
        """Ontology terms of RNAs of new families: the mean F1 of the set that is named."""
        of_train = [rna.terms for rna in self.train]
        sequences = [rna.sequence for rna in asked]
        told: dict[str, Sequence[Any]] = {}
        for way, read in self._readers.items():
            own = self._own(way)[: len(self.train)]
            told[way] = TermsProbe(own, of_train, self._aside).predict(read(sequences))
        told[NEAREST] = [rna.terms if rna else () for rna in self._nearest(asked)]
        if self.search is not None:
            told[SEARCH] = [
                of_record(record).terms if record else () for record in self._records(asked)
            ]
        told |= self._blind([one for one in of_train if one], len(asked))
        families = [rna.family for rna in asked]
        ways: dict[str, dict[str, Estimate]] = {}
        for way, said in told.items():
            scores = [set_f1(one, rna.terms) for one, rna in zip(said, asked, strict=True)]
            ways[way] = {F1: mean_estimate(np.array(scores), families, self.seed)}
        return Figure(question, *_counts(asked), ways)

    def _probe(self, way: str, label: Label, new_families: bool) -> LabelProbe:
        """Fitted where labels are known; what chooses its regularisation is held out."""
        rnas, vectors = self.train, self._own(way)[: len(self.train)]
        held = self._aside
        if not new_families:
            rnas, vectors = [*self.train, *self.validation], self._own(way)
            held = np.arange(len(rnas)) >= len(self.train)
        labels = np.array([label(rna) for rna in rnas])
        known = labels != ""
        return LabelProbe(vectors[known], labels[known], held[known], refit=new_families)

    def _own(self, way: str) -> np.ndarray:
        """Vectors of the training RNAs, then of those of the validation split."""
        if way not in self._vectors:
            both = [rna.sequence for rna in (*self.train, *self.validation)]
            self._vectors[way] = self._readers[way](both)
        return self._vectors[way]

    def _records(self, asked: Sequence[ProbedRna]) -> list[Record | None]:
        sequences = tuple(rna.sequence for rna in asked)
        assert self.search is not None
        if sequences not in self._found:
            self._found[sequences] = self.search(sequences)
        return self._found[sequences]

    def _nearest(self, asked: Sequence[ProbedRna]) -> list[ProbedRna | None]:
        known = [rna.sequence for rna in self.train]
        places = find_nearest(known, [rna.sequence for rna in asked])
        return [None if place is None else self.train[place] for place in places]

    def _nearest_by_encoder(self, asked: Sequence[ProbedRna], label: Label) -> list[str | None]:
        """The label of the training RNA whose vector has the highest cosine, less the mean."""
        vectors = self._readers[ENCODER]([rna.sequence for rna in asked])
        known = self._own(ENCODER)[: len(self.train)]
        mean = known.mean(0)
        cosines = unit(vectors - mean) @ unit(known - mean).T
        return [label(self.train[place]) or None for place in cosines.argmax(1)]

    def _blind(self, labels: Sequence[Any], count: int) -> dict[str, list[Any]]:
        """What is said without a look at the RNAs."""
        random = np.random.default_rng(self.seed)
        drawn = random.integers(len(labels), size=count)
        return {
            COMMONEST: [Counter(labels).most_common(1)[0][0]] * count,
            CHANCE: [labels[place] for place in drawn],
        }


def _labels_of_types(types: Sequence[str | None], label: Label) -> list[str | None]:
    return [rna_type and (label(ProbedRna("", "", rna_type)) or None) for rna_type in types]


def of_record(record: Record) -> ProbedRna:
    """What a record says of an RNA that matches it, but for the sequence."""
    terms = frozenset(term.id for term in record.terms)
    return ProbedRna("", record.name, record.type, record.clan, terms, record.id)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors (RNAs, size) of length 1."""
    scaled: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-9)
    return scaled


def _counts(asked: Sequence[ProbedRna]) -> tuple[int, int]:
    return len(asked), len({rna.family for rna in asked})


def encoder_readers(encoder: RnaEncoder, seed: int = 0) -> dict[str, Read]:
    """The encoder's vectors and those of its architecture with random weights."""
    return {
        ENCODER: remembered(encoder.means),
        UNTRAINED: remembered(untrained(encoder, seed).means),
    }


def with_baselines(
    readers: Mapping[str, Read], train: Sequence[ProbedRna], seed: int
) -> dict[str, Read]:
    """The same and 8-mers, as the training RNAs weigh them, and with ViennaRNA folding."""
    kmers = remembered(kmer_reader([rna.sequence for rna in train], seed))
    if not find_spec("RNA"):
        return {**readers, KMERS: kmers}
    features = remembered(read_features)
    joined = side_by_side(readers[ENCODER], features)
    return {**readers, KMERS: kmers, FEATURES: features, JOINED: joined}


def probe_encoder(
    readers: Mapping[str, Read],
    dataset: str,
    families: Mapping[str, Record],
    *,
    parts: Sequence[str] = LABELS,
    search: Search | None = None,
    max_train_rnas: int = MAX_TRAIN_RNAS,
    split: str = "test",
    limit: int = MAX_ASKED,
    seed: int = 0,
) -> list[Figure]:
    """Figures of families, types and terms.

    Args:
        readers: what `encoder_readers` gives.
        dataset: RNA-QA of Rfam, folder or Hub id.
        families: records of its families, by accession: `Reference.families`.
        parts: of `LABELS`, what is asked; families, of which there are thousands, take longest.
        search: in a reference of the training split.
        max_train_rnas: probes are fitted on at most N RNAs, of as many families as possible.
        split: RNAs of clusters never seen.
        limit: RNAs of a split that are asked, at random.
        seed: of all draws.
    """
    never_seen, clusters = (
        _some(read_rnas(dataset, name, families), limit, seed) for name in ("test_families", split)
    )
    train = even_families(read_rnas(dataset, "train", families), max_train_rnas, seed)
    validation = read_rnas(dataset, "validation", families)
    probes = Probes(with_baselines(readers, train, seed), train, validation, search, seed)
    known, types = ({get(rna) for rna in train} for get in (_family, _type))
    seen = [rna for rna in clusters if rna.family in known]
    typed = [rna for rna in never_seen if rna.type in types]
    figures = []
    if FAMILIES in parts:
        figures.append(probes.ask("family, of clusters never seen", seen, _family))
    if TYPES in parts:
        figures += [
            probes.ask("type, of clusters never seen", seen, _type, typed=True),
            probes.ask("type, of families never seen", typed, _type, new_families=True, typed=True),
        ]
    with_terms = [rna for rna in never_seen if rna.terms]
    if TERMS in parts and with_terms and any(rna.terms for rna in train):
        figures.append(probes.terms("ontology terms, of families never seen", with_terms))
    return figures


def _some(rnas: Sequence[ProbedRna], limit: int, seed: int) -> list[ProbedRna]:
    drawn = np.random.default_rng(seed).permutation(len(rnas))[:limit]
    return [rnas[place] for place in sorted(drawn.tolist())]


def _family(rna: ProbedRna) -> str:
    return rna.family


def _type(rna: ProbedRna) -> str:
    return rna.type


__all__ = [
    "ENCODER",
    "LABELS",
    "MAX_ASKED",
    "MAX_TRAIN_RNAS",
    "Probes",
    "Search",
    "encoder_readers",
    "of_record",
    "probe_encoder",
    "search_in",
    "unit",
    "with_baselines",
]
