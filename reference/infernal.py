"""Verification of hits by Infernal, whose covariance models see base pairs; profiles do not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from rnagpt.reference.covariance import (
    CovarianceModel,
    CovarianceModels,
    InfernalError,
    check_models,
    infernal_version,
    search_model,
)
from rnagpt.reference.hits import COVARIANCE_MODEL, Hit
from rnagpt.reference.library import Reference
from rnagpt.reference.records import FAMILY, Record
from rnagpt.sequences.strands import reverse_complement

LOOSE_EVALUE = 10.0  # of candidates
MAX_CANDIDATES = 5  # per record, of those that the search alone does not report


@dataclass(frozen=True)
class _Part:
    """A part of a sequence, on the strand of a hit.

    Attributes:
        start: of the part in the sequence, counted from 1.
        letters: of the strand.
        strand: "+" or "-".
    """

    start: int
    letters: str
    strand: str

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Where in the sequence a stretch of `letters` lies, `start` <= `end`."""
        if self.strand == "+":
            return self.start + start - 1, self.start + end - 1
        last = self.start + len(self.letters)
        return last - end, last - start


class Review(NamedTuple):
    """What became of a record's hits and weaker candidates.

    Attributes:
        hits: best E-value first.
        note: which candidates were not verified; empty else.
        unverified: of each hit and candidate for which Infernal failed, its family and why.
    """

    hits: list[Hit]
    note: str
    unverified: tuple[str, ...]


class Verifier:
    """Asks Infernal about hits.

    Attributes:
        program: its name and version.
        evalue: up to which the search has candidates for it.

    Args:
        cm: Rfam's file of covariance models (Rfam.cm), pressed or not; None: the models are built
            from the seed alignments of the reference.

    Raises:
        InfernalError: Infernal is not installed.
        FileNotFoundError: there is no file `cm`.
        InvalidReferenceError: `cm` holds no covariance models.
    """

    evalue = LOOSE_EVALUE

    def __init__(self, cm: str | Path | None = None) -> None:
        self.program = infernal_version()
        self.cm = None if cm is None else check_models(Path(cm).expanduser())
        self._models: dict[str, CovarianceModels] = {}
        self._lock = Lock()

    def verify(self, hit: Hit, sequence: str, reference: Reference) -> Hit:
        """The same hit with what Infernal says of it in `verified`.

        The family's model is searched in the hit's place with as much on each side as a hit may be
        long, on the hit's strand.

        Args:
            sequence: the whole one in which the hit lies.
            reference: in which it was searched.

        Returns:
            The hit with the program's name and version, `bits` of Infernal's best hit there (None
            where it finds none), the family's `gathering` cut-off, whether the hit `agrees` by
            reaching it (None for a family without one), `start`, `end` and `structure` of
            Infernal's hit, and a `note` on the model. Where a program failed, as on an alignment
            that no model can be built from, `error` says why, and `agrees` is None. A hit of a
            single RNA is returned as it is.
        """
        if hit.record.kind != FAMILY:
            return hit
        verified: dict[str, Any] = {
            "program": self.program,
            "bits": None,
            "gathering": hit.record.gathering,
            "agrees": None,
            "start": None,
            "end": None,
            "structure": "",
            "note": "",
        }
        try:
            model = self.model(hit.record, reference)
            part = _cut_out(hit, sequence, model.reach)
            placed = [
                (part.place(one.start, one.end), one) for one in search_model(model, part.letters)
            ]
        except (InfernalError, OSError) as error:
            return replace(hit, verified=verified | {"error": str(error)})
        found = [(place, one) for place, one in placed if _share(place, (hit.start, hit.end))]
        gathering = hit.record.gathering if model.gathering is None else model.gathering
        verified |= {"gathering": gathering, "agrees": False, "note": model.origin}
        if found:
            (start, end), best = max(found, key=lambda placed: placed[1].bits)
            verified |= {
                "bits": best.bits,
                "agrees": None if gathering is None else best.bits >= gathering,
                "start": start,
                "end": end,
                "structure": best.structure,
            }
        return replace(hit, verified=verified)

    def model(self, record: Record, reference: Reference) -> CovarianceModel:
        """The covariance model of a family, made when it is first asked for.

        Raises:
            InfernalError: it cannot be made.
        """
        with self._lock:
            key = reference.manifest.key
            if key not in self._models:
                self._models[key] = CovarianceModels(reference, self.cm)
            models = self._models[key]
        return models.get(record)

    def review(
        self,
        hits: Sequence[Hit],
        weaker: Sequence[Hit],
        sequence: str,
        reference: Reference,
        each: Callable[[Callable[[Hit], Hit], Iterable[Hit]], Iterable[Hit]] = map,
    ) -> Review:
        """Verify all hits, and take in weaker candidates that Infernal confirms.

        Args:
            hits: that stay whatever Infernal says.
            weaker: candidates, best first. Up to `MAX_CANDIDATES` are verified; those whose place a
                confirmed hit covers already are not.
            sequence: in which they lie.
            reference: in which it was searched.
            each: `map`, or that of an executor.
        """
        reviewed = list(each(lambda hit: self.verify(hit, sequence, reference), hits))
        unverified = [text for hit in reviewed if (text := _failure(hit))]
        notes = []
        asked = 0
        for number, candidate in enumerate(weaker):
            if any(_explains(hit, candidate) for hit in reviewed):
                continue
            if asked == MAX_CANDIDATES:
                notes.append(
                    f"the {MAX_CANDIDATES} best weaker candidates were verified, up to "
                    f"{len(weaker) - number:,} were not"
                )
                break
            asked += 1
            verified = self.verify(candidate, sequence, reference)
            if failure := _failure(verified):
                unverified.append(failure)
                notes.append(f"a weaker candidate was not verified, {failure}")
            elif verified.verified and verified.verified["agrees"]:
                reviewed.append(replace(verified, source=COVARIANCE_MODEL))
        hits = sorted(reviewed, key=lambda hit: hit.evalue)
        return Review(hits, "; ".join(dict.fromkeys(notes)), tuple(unverified))


def _failure(hit: Hit) -> str:
    """The family of a hit for which Infernal failed, and why; else ""."""
    error = (hit.verified or {}).get("error")
    return f"{hit.record.id}: {error}" if error else ""


def _explains(hit: Hit, candidate: Hit) -> bool:
    """Whether a hit that Infernal confirms lies where a candidate lies, on whatever strand."""
    verified: Mapping[str, Any] = hit.verified or {}
    place = (candidate.start, candidate.end)
    return bool(verified.get("agrees")) and (
        _share((hit.start, hit.end), place) or _share((verified["start"], verified["end"]), place)
    )


def _share(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


def _cut_out(hit: Hit, sequence: str, flank: int) -> _Part:
    first = max(hit.start - 1 - flank, 0)
    letters = sequence[first : hit.end + flank]
    if hit.strand == "-":
        letters = reverse_complement(letters)
    return _Part(first + 1, letters, hit.strand)


__all__ = ["LOOSE_EVALUE", "MAX_CANDIDATES", "InfernalError", "Review", "Verifier"]
