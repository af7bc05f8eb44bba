"""How well the search finds families: on RNAs as people paste them, on negatives, on new families.

Every RNA is asked in a reference of the training split alone, which holds nothing of its cluster:
`check_unseen` rejects another one.
"""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rnagpt.evaluation.baselines import find_nearest
from rnagpt.evaluation.search_queries import CONDITIONS, made_negatives
from rnagpt.reference.annotate import annotate
from rnagpt.reference.edit import families_of, subset, ungapped
from rnagpt.reference.hits import CAN_PAIR, Hit
from rnagpt.reference.library import EVALUE, Reference
from rnagpt.reference.manifest import MANIFEST
from rnagpt.reference.profiles import SeedAlignment
from rnagpt.reference.writer import write_reference
from rnagpt.sequences.dataset_loading import load_splits
from rnagpt.sequences.fasta import FastaRecord
from rnagpt.sequences.folding import fold_rna
from rnagpt.sequences.structure import base_pairs


@dataclass(frozen=True)
class AskedRna:
    """An RNA with the family that is right, and the row of the seed alignment that it is."""

    id: str
    sequence: str
    family: str
    cluster: int
    type: str


@dataclass
class Scores:
    """Shares of a condition's RNAs: right and wrong families, right types; None: not measured."""

    rnas: int
    right: float
    wrong: float
    right_type: float

    @classmethod
    def of(
        cls, asked: Sequence[AskedRna], hits: Sequence[Hit | None], strand: str | None = None
    ) -> Scores:
        named = [
            hit is not None and hit.record.id == rna.family and strand in (None, hit.strand)
            for rna, hit in zip(asked, hits, strict=True)
        ]
        typed = [
            hit is not None and hit.record.type == rna.type
            for rna, hit in zip(asked, hits, strict=True)
        ]
        claimed = sum(hit is not None for hit in hits)
        count = max(1, len(asked))
        return cls(
            len(asked), sum(named) / count, (claimed - sum(named)) / count, sum(typed) / count
        )


def best_hits(
    sequences: Sequence[str], reference: Reference, evalue: float, jobs: int
) -> list[Hit | None]:
    """The best hit of each sequence; None without one."""
    records = (
        FastaRecord(f"rna_{number}", "", sequence, number)
        for number, sequence in enumerate(sequences)
    )
    return [
        result.hits[0] if result.hits else None
        for result in annotate(records, reference, evalue=evalue, jobs=jobs)
    ]


def check_unseen(
    reference: Reference, asked: Iterable[AskedRna], clusters: Mapping[str, int]
) -> None:
    """Reject a reference that holds the cluster of an RNA that is asked.

    Args:
        clusters: of each sequence of the data set.

    Raises:
        ValueError: it does; names the first RNA.
    """
    held = {
        clusters[sequence]
        for _, seed in families_of(reference)
        for _, row in seed.rows
        if (sequence := ungapped(row)) in clusters
    }
    held |= {clusters[sequence] for _, sequence in reference.rnas() if sequence in clusters}
    for rna in asked:
        if rna.cluster in held:
            raise ValueError(
                f"The reference {reference.folder} holds RNAs of the cluster of {rna.id}, which is "
                "asked: what is found would be what was given. Use a reference of the training "
                "split: rnagpt reference subset."
            )


def score_conditions(
    asked: Sequence[AskedRna], reference: Reference, evalue: float, seed: int, jobs: int
) -> dict[str, Scores]:
    """Right and wrong families, as pasted in each of `CONDITIONS`."""
    found: dict[str, Scores] = {}
    for condition in CONDITIONS:
        random = np.random.default_rng([seed, len(found)])
        hits = best_hits(
            [condition.change(rna.sequence, random) for rna in asked], reference, evalue, jobs
        )
        found[condition.name] = Scores.of(asked, hits, condition.strand)
    return found


def claimed_share(
    sequences: Sequence[str], reference: Reference, evalue: float, jobs: int
) -> tuple[int, float]:
    """How many sequences were searched, and the share of them with any hit."""
    hits = best_hits(sequences, reference, evalue, jobs)
    return len(hits), sum(hit is not None for hit in hits) / max(1, len(hits))


@dataclass
class PairScores:
    """Base pairs laid on RNAs, compared with those of their own rows in the seed alignment."""

    rnas: int = 0
    _shared: int = 0
    _laid: int = 0
    _true: int = 0
    by_rna: list[float] = field(default_factory=list)

    def add(self, laid: set[tuple[int, int]], true: set[tuple[int, int]]) -> None:
        self.rnas += 1
        shared = len(laid & true)
        self._shared += shared
        self._laid += len(laid)
        self._true += len(true)
        self.by_rna.append(2 * shared / max(1, len(laid) + len(true)))

    @property
    def f1(self) -> float:
        """Mean of the RNAs' F1."""
        return sum(self.by_rna) / max(1, len(self.by_rna))

    @property
    def pooled_f1(self) -> float:
        """Of all pairs together."""
        return 2 * self._shared / max(1, self._laid + self._true)


def seed_pairs(row: str, structure: str) -> set[tuple[int, int]]:
    """The consensus pairs of a row of an alignment, 0-based in its sequence."""
    letters = ungapped(row)
    place_of: dict[int, int] = {}
    for column, letter in enumerate(row):
        if letter not in "-._~":
            place_of[column] = len(place_of)
    return {
        (place_of[left], place_of[right])
        for left, right in base_pairs(structure)
        if left in place_of
        and right in place_of
        and letters[place_of[left]] + letters[place_of[right]] in CAN_PAIR
    }


def hit_pairs(hit: Hit) -> set[tuple[int, int]]:
    """The pairs that a hit on the strand as given lays on the query, 0-based in the query."""
    offset = hit.start - 1
    return {(left + offset, right + offset) for left, right in base_pairs(hit.structure)}


def lay_pairs(
    asked: Sequence[AskedRna], full: Reference, reference: Reference, evalue: float, jobs: int
) -> tuple[PairScores, PairScores | None]:
    """Base pairs by the consensus, and by minimum free energy, against those of the seed's rows.

    Args:
        asked: RNAs of the data set.
        full: a reference whose seed alignments hold their rows.
        reference: that they are searched in.

    Returns:
        Scores of the consensus and, where ViennaRNA is installed, of its structure of minimum free
        energy, on the RNAs whose right family was found on their whole length's strand.
    """
    rows: dict[tuple[str, str], tuple[str, str]] = {}
    for record, seed in families_of(full):
        if seed.structure:
            for _, row in seed.rows:
                rows.setdefault((record.id, ungapped(row)), (row, seed.structure))
    hits = best_hits([rna.sequence for rna in asked], reference, evalue, jobs)
    consensus, energy = PairScores(), _fold_scores()
    for rna, hit in zip(asked, hits, strict=True):
        found = rows.get((rna.family, rna.sequence))
        if found is None or hit is None or (hit.record.id, hit.strand) != (rna.family, "+"):
            continue
        if not (true := seed_pairs(*found)):
            continue
        consensus.add(hit_pairs(hit), true)
        if energy is not None:
            energy.add(_folded_pairs(rna.sequence), true)
    return consensus, energy


def _fold_scores() -> PairScores | None:
    try:
        import RNA  # noqa: F401
    except ImportError:
        return None
    return PairScores()


def _folded_pairs(sequence: str) -> set[tuple[int, int]]:
    return set(base_pairs(fold_rna(sequence)))


def split_clusters(rnas: Iterable[AskedRna]) -> tuple[list[AskedRna], list[AskedRna]]:
    """Two halves of families: the clusters of each family go to one and the other in turn.

    Families of one cluster are left out: nothing of them could be asked.
    """
    clusters: dict[str, dict[int, list[AskedRna]]] = defaultdict(lambda: defaultdict(list))
    for rna in rnas:
        clusters[rna.family][rna.cluster].append(rna)
    halves: tuple[list[AskedRna], list[AskedRna]] = ([], [])
    for family in sorted(clusters):
        if len(clusters[family]) > 1:
            for number, cluster in enumerate(sorted(clusters[family])):
                halves[number % 2].extend(clusters[family][cluster])
    return halves


def with_added(
    full: Reference, base: Reference, added: Iterable[AskedRna], out: Path, jobs: int
) -> Reference:
    """`base` and, without any training, the families of `added`, built from these RNAs alone."""
    chosen = {(rna.family, rna.sequence) for rna in added}

    def families() -> Iterator[Any]:
        yield from families_of(base)
        for record, seed in families_of(full):
            rows = tuple(row for row in seed.rows if (record.id, ungapped(row[1])) in chosen)
            if rows:
                yield record, SeedAlignment(seed.id, rows, seed.structure)

    write_reference(
        out,
        families(),
        name=base.manifest.name,
        profiles=base.hmms(),
        jobs=jobs,
        overwrite=True,
    )
    return Reference.open(out)


def training_reference(
    full: Reference, train: Iterable[AskedRna], out: Path, jobs: int
) -> Reference:
    """The reference of the training split alone; one that is there already is taken."""
    if not (out / MANIFEST).is_file():
        chosen = {(rna.family, rna.sequence) for rna in train}
        subset(full, lambda family, rna: (family, rna) in chosen, out, jobs=jobs)
    return Reference.open(out)


def blastn_families(
    train: Sequence[AskedRna], sequences: Sequence[str], folder: Path, evalue: float = 1e-2
) -> list[tuple[str, str] | None] | None:
    """Family and strand of BLASTN's best hit (word size 7); None where BLAST+ is not installed."""
    if shutil.which("blastn") is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    known, asked = folder / "train.fasta", folder / "asked.fasta"
    known.write_text("".join(f">{n}\n{rna.sequence}\n" for n, rna in enumerate(train)))
    asked.write_text("".join(f">{n}\n{sequence}\n" for n, sequence in enumerate(sequences)))
    base = str(folder / "train")
    subprocess.run(
        ["makeblastdb", "-in", str(known), "-dbtype", "nucl", "-out", base],
        check=True,
        capture_output=True,
    )
    command = ["blastn", "-task", "blastn", "-word_size", "7", "-evalue", str(evalue)]
    command += ["-db", base, "-query", str(asked), "-max_target_seqs", "5"]
    command += ["-outfmt", "6 qseqid sseqid sstrand evalue"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    best: list[tuple[str, str] | None] = [None] * len(sequences)
    for line in lines:
        query, target, strand, _ = line.split("\t")
        if best[int(query)] is None:
            best[int(query)] = (train[int(target)].family, "+" if strand == "plus" else "-")
    return best


def read_rnas(dataset: str) -> dict[str, list[AskedRna]]:
    """The RNAs of a data set that `rna-qa rfam` built, by split.

    Raises:
        ValueError: it has no families or no clusters.
    """
    needed = ("id", "sequence", "family_accession", "cluster", "rna_type")
    found = {}
    for split, rows in load_splits(dataset, usual="annotations").items():
        if missing := [column for column in needed if column not in rows.column_names]:
            raise ValueError(
                f"{dataset!r} lacks {', '.join(missing)}; a data set that `rna-qa rfam` built is "
                "needed."
            )
        columns = [rows[column][:] for column in needed]
        found[str(split)] = [AskedRna(*values) for values in zip(*columns, strict=True)]
    return found


def evaluate_search(
    dataset: str,
    reference: Path,
    work: Path,
    *,
    limit: int = 2000,
    num_negatives: int = 500,
    evalue: float = EVALUE,
    seed: int = 0,
    jobs: int = 1,
    split: str = "test",
    negatives: Mapping[str, Sequence[str]] | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Measure the search on a data set, and what it is compared with.

    Args:
        dataset: that `rna-qa rfam` built, a folder or Hub id.
        reference: of all its RNAs; parts of it are built into `work`, once.
        work: folder for these parts.
        limit: RNAs of the split that are asked, drawn at random.
        num_negatives: sequences of each kind of negatives.
        evalue: of the hits.
        seed: of all draws.
        jobs: processes.
        split: whose RNAs are asked; `test_families` are asked as families never seen.
        negatives: further sequences of no family, by their kind.
        say: is told what is done.

    Returns:
        Figures by their names.
    """
    rnas = read_rnas(dataset)
    full = Reference.open(reference)
    train, never_seen = rnas["train"], rnas.get("test_families", [])
    say("building the reference of the training split, where it is not there yet")
    known = training_reference(full, train, work / "train", jobs)
    clusters = {rna.sequence: rna.cluster for split_rnas in rnas.values() for rna in split_rnas}
    random = np.random.default_rng(seed)
    asked = _draw(rnas[split], limit, random)
    check_unseen(known, asked, clusters)
    say(f"asking {len(asked):,} RNAs in {len(CONDITIONS)} ways")
    figures: dict[str, Any] = {
        "rnas": len(asked),
        "evalue": evalue,
        "conditions": {
            name: asdict(scores)
            for name, scores in score_conditions(asked, known, evalue, seed, jobs).items()
        },
    }
    say("asking what it is compared with")
    figures["compared"] = _compared(asked, train, work, seed)
    say("asking negatives, and families never seen")
    kinds = made_negatives([rna.sequence for rna in asked], num_negatives, random)
    kinds |= {kind: list(found)[:num_negatives] for kind, found in (negatives or {}).items()}
    figures["claimed"] = {
        kind: claimed_share(found, known, evalue, jobs) for kind, found in kinds.items()
    }
    if never_seen:
        drawn = _draw(never_seen, limit, random)
        check_unseen(known, drawn, clusters)
        figures["claimed"]["families never seen"] = claimed_share(
            [rna.sequence for rna in drawn], known, evalue, jobs
        )
        say("adding half of each family never seen, and asking the other half")
        inside, outside = split_clusters(never_seen)
        extended = with_added(full, known, inside, work / "added", jobs)
        check_unseen(extended, outside, clusters)
        outside = _draw(outside, limit, random)
        hits = best_hits([rna.sequence for rna in outside], extended, evalue, jobs)
        figures["family added today"] = asdict(Scores.of(outside, hits))
    say("laying structures")
    consensus, energy = lay_pairs(asked, full, known, evalue, jobs)
    figures["pairs"] = {"rnas": consensus.rnas, "consensus": consensus.f1}
    if energy is not None:
        figures["pairs"]["minimum free energy"] = energy.f1
    return figures


def _draw(rnas: Sequence[AskedRna], limit: int, random: np.random.Generator) -> list[AskedRna]:
    chosen = sorted(random.permutation(len(rnas))[:limit])
    return [rnas[number] for number in chosen]


def _compared(
    asked: Sequence[AskedRna], train: Sequence[AskedRna], work: Path, seed: int
) -> dict[str, Any]:
    """The nearest training RNA, BLASTN, the commonest family and a random one, on whole RNAs."""
    sequences = [rna.sequence for rna in asked]
    families = [rna.family for rna in train]
    nearest = find_nearest([rna.sequence for rna in train], sequences)
    commonest = Counter(families).most_common(1)[0][0]
    drawn = np.random.default_rng([seed, 3]).integers(0, len(train), len(asked))
    found: dict[str, list[str | None]] = {
        "nearest training RNA by 8-mers": [None if n is None else families[n] for n in nearest],
        "commonest family": [commonest] * len(asked),
        "family of a random training RNA": [families[n] for n in drawn],
    }
    by_blast = blastn_families(train, sequences, work / "blast")
    if by_blast is not None:
        found["BLASTN, word size 7, E < 1e-2"] = [hit and hit[0] for hit in by_blast]
    return {
        name: {
            "right": _share(f == rna.family for f, rna in zip(given, asked, strict=True)),
            "wrong": _share(
                f is not None and f != rna.family for f, rna in zip(given, asked, strict=True)
            ),
        }
        for name, given in found.items()
    }


def _share(values: Iterable[bool]) -> float:
    listed = list(values)
    return sum(listed) / max(1, len(listed))


def report(figures: Mapping[str, Any], command: str) -> str:
    """The figures as Markdown, with the command that made them."""
    lines = [
        "# How well the search finds families",
        "",
        f"{figures['rnas']:,} RNAs of clusters that the reference does not hold, E < "
        f"{figures['evalue']:g}:",
        "",
        f"    {command}",
        "",
        "| as pasted | right family | wrong family | right type |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| {name} | {row['right']:.3f} | {row['wrong']:.3f} | {row['right_type']:.3f} |"
        for name, row in figures["conditions"].items()
    ]
    lines += ["", "| on whole RNAs | right family | wrong family |", "| --- | --- | --- |"]
    lines += [
        f"| {name} | {row['right']:.3f} | {row['wrong']:.3f} |"
        for name, row in figures["compared"].items()
    ]
    lines += ["", "| sequences of no known family | asked | with a hit |", "| --- | --- | --- |"]
    lines += [
        f"| {kind} | {count:,} | {share:.3f} |"
        for kind, (count, share) in figures["claimed"].items()
    ]
    if "family added today" in figures:
        row = figures["family added today"]
        lines += [
            "",
            f"Families added without any training (half of the clusters of each family never seen "
            f"in the reference, {row['rnas']:,} RNAs of the other half asked): right "
            f"{row['right']:.3f}, wrong {row['wrong']:.3f}.",
        ]
    pairs = figures["pairs"]
    energy = pairs.get("minimum free energy")
    lines += [
        "",
        f"Base pairs of {pairs['rnas']:,} RNAs against their own rows of the seed alignments, mean "
        f"F1: consensus laid on the RNA {pairs['consensus']:.3f}"
        + (f", ViennaRNA's minimum free energy {energy:.3f}." if energy is not None else "."),
        "",
    ]
    return "\n".join(lines)


__all__ = ["AskedRna", "Scores", "check_unseen", "evaluate_search", "report"]
