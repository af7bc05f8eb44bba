"""Remote relatives: families of one clan that no significant profile hit joins.

A query is an RNA of a cluster never seen. Of what is searched its own family is left out; right are
the other families of its clan. Kept are the queries for which the profiles of none of these has a
significant hit: what the search says nothing of. Every way ranks families; measured is how many of
the right ones are among the first ten. Families of a clan never stand on both sides of RNA-QA's
`test_families`, so queries are of the splits whose families were trained on: an encoder that was
trained with families or clans as labels may have learned who is whose relative, one that was
pre-trained on sequences alone has not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer

from rnagpt.evaluation.baselines import KMER_SIZE
from rnagpt.evaluation.encoder_probes import unit
from rnagpt.evaluation.probe_figures import Estimate, Figure, mean_estimate
from rnagpt.evaluation.probed_rnas import ProbedRna, Read
from rnagpt.reference.library import EVALUE, MIN_LENGTH, Reference

QUESTION = "remote relatives, of clusters never seen"
RANKED = 10
MAX_PER_FAMILY = 2
WEAKEST = 50.0  # E-value up to which weak hits are ranked
RECALL, ANY = f"recall at {RANKED}", f"any among {RANKED}"
PROFILES, KMERS, RANDOM = "weak hits of profiles", "nearest by 8-mers", "at random"
SCALINGS = ("as they are", "less the mean", "scaled")

# The best E-value of each family, by accession, of a sequence.
Weak = Callable[[str], Mapping[str, float]]


@dataclass(frozen=True)
class Query:
    """An RNA with the families that are its relatives.

    Attributes:
        rna: of a clan.
        relatives: accessions of the other families of the clan that can be found.
        weak: of the profiles, the best E-value of each family but its own.
    """

    rna: ProbedRna
    relatives: frozenset[str]
    weak: Mapping[str, float]


def weak_hits(reference: Reference, weakest: float = WEAKEST) -> Weak:
    """The best E-value of each family that has a hit at all, HMMER's filters wide."""

    def search(sequence: str) -> dict[str, float]:
        best: dict[str, float] = {}
        if len(sequence) < MIN_LENGTH:
            return best
        length = len(sequence)
        comparisons = reference.profiles.comparisons(length)
        for window in reference.profiles.windows(length):
            part = sequence[window.start : window.end]
            matches = reference.profiles.scan(part, window, length, weakest, weak=True)
            for match in matches:
                evalue = match.pvalue * comparisons
                best[match.id] = min(evalue, best.get(match.id, evalue))
        return best

    return search


def find_queries(
    asked: Sequence[ProbedRna],
    known: Sequence[ProbedRna],
    weak: Weak,
    seed: int = 0,
    evalue: float = EVALUE,
) -> list[Query]:
    """At most `MAX_PER_FAMILY` RNAs of a family whose relatives no significant hit finds.

    Args:
        asked: RNAs of clusters never seen.
        known: RNAs that are searched in.
        weak: of the profiles of `known`'s families.
        seed: of the draw.
        evalue: of a significant hit.
    """
    of_clan: dict[str, set[str]] = {}
    for rna in known:
        if rna.clan:
            of_clan.setdefault(rna.clan, set()).add(rna.accession)
    met = Counter[str]()
    queries = []
    for place in np.random.default_rng(seed).permutation(len(asked)).tolist():
        rna = asked[place]
        relatives = frozenset(of_clan.get(rna.clan, set()) - {rna.accession})
        if not rna.clan or not relatives or met[rna.accession] == MAX_PER_FAMILY:
            continue
        met[rna.accession] += 1
        others = {
            name: value for name, value in weak(rna.sequence).items() if name != rna.accession
        }
        if min((others.get(name, np.inf) for name in relatives), default=np.inf) > evalue:
            queries.append(Query(rna, relatives, others))
    return queries


class Base:
    """RNAs that relatives are looked for in; families are ranked by their nearest RNA.

    Args:
        rnas: of the training split.
    """

    def __init__(self, rnas: Sequence[ProbedRna]) -> None:
        self.rnas = list(rnas)
        names, self._places = np.unique([rna.accession for rna in rnas], return_inverse=True)
        self.families: list[str] = names.tolist()

    def rank(self, likeness: np.ndarray, own: str) -> list[str]:
        """The ten families with the nearest RNAs, without one's own.

        Args:
            likeness: to each RNA, (RNAs,); a family of which all are -inf is never ranked.
            own: accession of the family that is left out.
        """
        best = np.full(len(self.families), -np.inf)
        np.maximum.at(best, self._places, likeness)
        order = np.argsort(-best, kind="stable")
        ranked = [self.families[place] for place in order if best[place] > -np.inf]
        return [name for name in ranked if name != own][:RANKED]


def scaled(known: np.ndarray, asked: np.ndarray, how: str) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors of both, whose products are cosines."""
    mean, deviation = known.mean(0), known.std(0).clip(1e-9)
    if how == SCALINGS[0]:
        return unit(known), unit(asked)
    if how == SCALINGS[1]:
        return unit(known - mean), unit(asked - mean)
    return unit((known - mean) / deviation), unit((asked - mean) / deviation)


def rank_by_vectors(base: Base, queries: Sequence[Query], read: Read, how: str) -> list[list[str]]:
    """Families by the cosine of vectors, scaled in one of `SCALINGS`."""
    known = read([rna.sequence for rna in base.rnas])
    asked = read([query.rna.sequence for query in queries])
    known, asked = scaled(known, asked, how)
    return [
        base.rank(known @ vector, query.rna.accession)
        for vector, query in zip(asked, queries, strict=True)
    ]


def rank_by_kmers(base: Base, queries: Sequence[Query]) -> list[list[str]]:
    """Families by shared 8-mers (TF-IDF, cosine); those that share none are not ranked."""
    weigh = TfidfVectorizer(analyzer="char", ngram_range=(KMER_SIZE, KMER_SIZE), dtype=np.float32)
    known: csr_matrix = weigh.fit_transform([rna.sequence for rna in base.rnas])
    ranked = []
    for query in queries:
        vector = weigh.transform([query.rna.sequence])
        cosines = (known @ vector.T).toarray()[:, 0]
        likeness = np.where(cosines > 0, cosines, -np.inf)
        ranked.append(base.rank(likeness, query.rna.accession))
    return ranked


def rank_by_profiles(queries: Sequence[Query]) -> list[list[str]]:
    """Families by the E-values of weak hits; those without one are not ranked."""
    return [sorted(query.weak, key=query.weak.__getitem__)[:RANKED] for query in queries]


def rank_at_random(base: Base, queries: Sequence[Query], seed: int) -> list[list[str]]:
    """Ten families, each as likely as any other."""
    random = np.random.default_rng(seed)
    drawn = []
    for query in queries:
        names = [name for name in base.families if name != query.rna.accession]
        drawn.append([names[place] for place in random.permutation(len(names))[:RANKED]])
    return drawn


def recalls(ranked: Sequence[Sequence[str]], queries: Sequence[Query]) -> np.ndarray:
    """Share of each query's relatives, or of ten of them, that are ranked: (queries,)."""
    return np.array(
        [
            len(query.relatives & set(names)) / min(RANKED, len(query.relatives))
            for names, query in zip(ranked, queries, strict=True)
        ]
    )


def _measure(
    ranked: Sequence[Sequence[str]], queries: Sequence[Query], seed: int
) -> dict[str, Estimate]:
    shares = recalls(ranked, queries)
    # Families of one clan are found or missed together.
    clans = [query.rna.clan for query in queries]
    return {
        RECALL: mean_estimate(shares, clans, seed),
        ANY: mean_estimate((shares > 0).astype(float), clans, seed),
    }


def probe_relatives(
    readers: Mapping[str, Read],
    known: Sequence[ProbedRna],
    validation: Sequence[ProbedRna],
    asked: Sequence[ProbedRna],
    weak: Weak,
    seed: int = 0,
) -> Figure | None:
    """Recall at ten of remote relatives, by vectors, by 8-mers, by weak hits and at random.

    Args:
        readers: vectors of sequences by the way's name, which are asked for several times; how each
            is scaled is chosen on `validation`.
        known: RNAs that are searched in.
        validation, asked: RNAs of clusters never seen.
        weak: of the profiles of `known`'s families.
        seed: of all draws.

    Returns:
        None where no query is left. Intervals resample clans.
    """
    choosing = find_queries(validation, known, weak, seed)
    queries = find_queries(asked, known, weak, seed)
    if not queries:
        return None
    base = Base(known)
    ways = {}
    for way, read in readers.items():
        means = {
            how: recalls(rank_by_vectors(base, choosing, read, how), choosing).mean()
            for how in (SCALINGS if choosing else ())
        }
        how = max(means, key=means.__getitem__) if means else SCALINGS[-1]
        ways[f"nearest by {way}"] = rank_by_vectors(base, queries, read, how)
    ways[KMERS] = rank_by_kmers(base, queries)
    ways[PROFILES] = rank_by_profiles(queries)
    ways[RANDOM] = rank_at_random(base, queries, seed)
    families = len({query.rna.family for query in queries})
    measured = {way: _measure(ranked, queries, seed) for way, ranked in ways.items()}
    return Figure(QUESTION, len(queries), families, measured)


__all__ = ["Base", "Query", "find_queries", "probe_relatives", "recalls", "weak_hits"]
