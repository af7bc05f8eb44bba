"""All that is asked of an encoder, in order: `rnagpt evaluate-encoder`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

from rnagpt.conversion.rna_encoder import RnaEncoder
from rnagpt.evaluation.beacon import find_tasks, probe_task
from rnagpt.evaluation.encoder_probes import (
    LABELS,
    MAX_ASKED,
    MAX_TRAIN_RNAS,
    encoder_readers,
    probe_encoder,
    search_in,
)
from rnagpt.evaluation.nrc import probe_nrc, without_sequences
from rnagpt.evaluation.probe_figures import Figure
from rnagpt.evaluation.probed_rnas import ProbedRna, read_rnas
from rnagpt.evaluation.remote_relatives import probe_relatives, weak_hits
from rnagpt.evaluation.search_quality import check_unseen, training_reference
from rnagpt.evaluation.search_quality import read_rnas as read_asked
from rnagpt.evaluation.structure_probe import MAX_LENGTH, folded_rnas, probe_structure
from rnagpt.evaluation.structure_probe import MAX_TRAIN_RNAS as MAX_FOLDED_RNAS
from rnagpt.reference.library import Reference
from rnagpt.sequences.even_families import even_families

STRUCTURE, RELATIVES = "structure", "relatives"
PARTS = (*LABELS, STRUCTURE, RELATIVES)


class EncoderEvaluation:
    """An encoder and what it is asked about.

    Args:
        encoder: frozen.
        dataset: that `rna-qa rfam` built.
        reference: of all its RNAs.
        work: folder for the references of the training split, built once.
        nrc: RNAs of nRC's test set; empty: not asked.
        beacon: folder of BEACON's tasks; None: not asked.
        split: RNAs of clusters never seen.
        limit: RNAs of a split that are asked, at random; of nRC all are.
        max_train_rnas: probes are fitted on at most N RNAs, of as many families as possible.
        max_folded_rnas: heads on base pairs likewise.
        seed: of all draws.
        jobs: processes that build profiles and search.

    Attributes:
        notes: what readers of the figures have to know, after `measure`.
    """

    def __init__(
        self,
        encoder: RnaEncoder,
        dataset: str,
        reference: Reference,
        work: Path,
        *,
        nrc: Sequence[ProbedRna] = (),
        beacon: Path | None = None,
        split: str = "test",
        limit: int = MAX_ASKED,
        max_train_rnas: int = MAX_TRAIN_RNAS,
        max_folded_rnas: int = MAX_FOLDED_RNAS,
        seed: int = 0,
        jobs: int = 1,
    ) -> None:
        self.encoder, self.dataset, self.work, self.nrc = encoder, dataset, work, list(nrc)
        self.beacon_tasks = find_tasks(beacon) if beacon else []
        self.beacon = beacon
        self.split, self.limit, self.seed, self.jobs = split, limit, seed, jobs
        self.max_train_rnas, self.max_folded_rnas = max_train_rnas, max_folded_rnas
        self.full = reference
        self.readers = encoder_readers(encoder, seed)
        self.notes: list[str] = []

    @cached_property
    def known(self) -> Reference:
        """The reference of the training split, which holds no cluster of what is asked."""
        rnas = read_asked(self.dataset)
        reference = training_reference(self.full, rnas["train"], self.work / "train", self.jobs)
        clusters = {rna.sequence: rna.cluster for group in rnas.values() for rna in group}
        asked = [rna for name, group in rnas.items() if name != "train" for rna in group]
        check_unseen(reference, asked, clusters)
        return reference

    def measure(self, parts: Iterable[str] = PARTS) -> list[Figure]:
        """Figures of some of `PARTS`, and of nRC and BEACON where they are given."""
        wanted = list(parts)
        labels = [part for part in LABELS if part in wanted]
        figures = self._labels(labels) if labels else []
        if STRUCTURE in wanted:
            figures += self._structure()
        if RELATIVES in wanted:
            figures += self._relatives()
        if self.nrc:
            figures.append(self._nrc())
        return figures + self._beacon()

    def _rnas(self, split: str) -> list[ProbedRna]:
        return read_rnas(self.dataset, split, self.full.families)

    def _labels(self, parts: Sequence[str]) -> list[Figure]:
        return probe_encoder(
            self.readers,
            self.dataset,
            self.full.families,
            parts=parts,
            search=search_in(self.known, jobs=self.jobs),
            max_train_rnas=self.max_train_rnas,
            split=self.split,
            limit=self.limit,
            seed=self.seed,
        )

    def _structure(self) -> list[Figure]:
        # What an encoder reads in one window has all its pairs there.
        longest = min(MAX_LENGTH, self.encoder.window)
        train, too_long = folded_rnas(self._rnas("train"), self.full, longest)
        asked, asked_too_long = folded_rnas(self._rnas("test_families"), self.full, longest)
        if not train or not asked:
            self.notes.append(
                "Base pairs were not asked: no RNA of families never seen, or none of the training "
                "split, has a consensus structure."
            )
            return []
        self.notes.append(
            f"Base pairs: RNAs of at most {longest} nt, at most 5 of a family. Of families never "
            f"seen {asked_too_long:,} RNAs are longer and were not asked, of the training split "
            f"{too_long:,}."
        )
        return [
            probe_structure(
                self.encoder, train, asked, max_train_rnas=self.max_folded_rnas, seed=self.seed
            )
        ]

    def _relatives(self) -> list[Figure]:
        known = even_families(self._rnas("train"), self.max_train_rnas, self.seed)
        figure = probe_relatives(
            self.readers,
            known,
            self._rnas("validation"),
            self._rnas(self.split),
            weak_hits(self.known),
            self.seed,
        )
        if figure is None:
            self.notes.append(
                f"Remote relatives were not asked: in the split {self.split!r} no RNA of a clan "
                "has relatives in the training split that the profiles miss."
            )
            return []
        self.notes.append(
            "Remote relatives: intervals resample clans. The families of the queries, not their "
            "clusters, are in the training split: what was trained on families or clans as labels "
            "may know who is whose relative."
        )
        return [figure]

    def _nrc(self) -> Figure:
        sequences = {rna.sequence for rna in self.nrc}
        folder = self.work / "train-without-nrc"
        without = without_sequences(self.known, sequences, folder, self.jobs)
        held = len({rna.sequence for rna in self._rnas("train")} & sequences)
        self.notes.append(
            f"nRC: {held:,} of its {len(sequences):,} sequences are letter by letter in the "
            "training split; they were left out of the probes and of the reference. Others are of "
            "the families that both know. What an encoder was pre-trained on is not known here."
        )
        return probe_nrc(
            self.readers,
            self.dataset,
            self.full.families,
            self.nrc,
            search=search_in(without, jobs=self.jobs),
            max_train_rnas=self.max_train_rnas,
            seed=self.seed,
        )

    def _beacon(self) -> list[Figure]:
        if self.beacon is None:
            return []
        self.notes.append(
            "BEACON: frozen vectors under a linear probe, where its own tables are of whole models "
            f"fine-tuned; fitted on at most {self.max_train_rnas:,} RNAs; intervals resample RNAs."
        )
        return [
            probe_task(
                self.beacon,
                task,
                self.readers,
                max_train_rnas=self.max_train_rnas,
                seed=self.seed,
            )
            for task in self.beacon_tasks
        ]


__all__ = ["PARTS", "EncoderEvaluation"]
