"""What the search alone says of RNAs: the row that stands beside every system's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rnagpt.evaluation.baselines import Labels
from rnagpt.evaluation.search_quality import (
    AskedRna,
    check_unseen,
    read_rnas,
    training_reference,
)
from rnagpt.evaluation.tasks import COMPARED, EVALUATED, KNOWN, NEVER_SEEN, QUESTIONS, DrawnRna
from rnagpt.evidence.answers import look_up
from rnagpt.evidence.gathering import gather_evidence
from rnagpt.reference.library import Reference

SEARCHED = (EVALUATED, NEVER_SEEN, COMPARED)


def has_reference(dataset: str) -> bool:
    """Whether a data set is a folder with the reference that `rna-qa rfam` builds beside it."""
    return (Path(dataset) / "reference" / "manifest.json").is_file()


def reference_of_training(dataset: str, full: str | Path, work: Path) -> Reference:
    """The reference of the training split, built into `work` once.

    Args:
        dataset: that `rna-qa rfam` built.
        full: a reference of all its RNAs, or the data set's folder.
        work: folder.

    Raises:
        ValueError: the data set has no families or clusters, or the reference in `work` holds what
            is asked.
    """
    rnas = read_rnas(dataset)
    reference = training_reference(Reference.open(full), rnas["train"], work, 1)
    groups = [group for name, group in rnas.items() if name != "train"]
    asked: list[AskedRna] = [rna for group in groups for rna in group]
    clusters = {rna.sequence: rna.cluster for rna in (*rnas["train"], *asked)}
    check_unseen(reference, asked, clusters)
    return reference


def search_labels(
    reference: Reference, groups: Mapping[str, Sequence[DrawnRna]]
) -> dict[str, Labels]:
    """Family, type and text by the best hit, of each group of RNAs that tables show.

    The text is that of the records, as `rnagpt chat` without a model words it.

    Args:
        reference: that holds nothing of the RNAs' clusters.
        groups: of RNAs; those that are asked under controls are the first of others.
    """
    found: dict[str, tuple[str | None, str | None, str | None]] = {}
    labels = {}
    for group in (name for name in SEARCHED if name in groups):
        said = []
        for rna in groups[group]:
            sequence = rna.cleaned.sequence
            if sequence not in found:
                found[sequence] = _ask(rna, reference)
            said.append(found[sequence])
        labels[group] = Labels(*(list(column) for column in zip(*said, strict=True)))
    return labels


def _ask(rna: DrawnRna, reference: Reference) -> tuple[str | None, str | None, str | None]:
    evidence = gather_evidence(rna.cleaned, reference, name="RNA")
    text = look_up(QUESTIONS[KNOWN], [evidence]).answer.plain
    record = evidence.items[0].record if evidence.items else None
    if record is None:
        return None, None, text
    return record.id, record.type or None, text


__all__ = ["has_reference", "reference_of_training", "search_labels"]
