"""The secondary structure of an RNA: its family's, laid on its letters, else the folded one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from rnagpt.cleaning_rnagpt import CleanedRna, clean_rna
from rnagpt.reference.hits import CAN_PAIR, SEQUENCE, Hit
from rnagpt.reference.library import MAX_LENGTH, MIN_LENGTH, Reference
from rnagpt.sequences.folding import (
    MAX_FOLDED,
    SecondaryStructure,
    fold_around,
    minimum_free_energy,
)
from rnagpt.sequences.structure import base_pairs

_REVERSED = str.maketrans("()", ")(")


class _Laid(NamedTuple):
    """A hit on the letters of the RNA as given.

    Attributes:
        places: 0-based.
        pairs: dots and brackets, one for each of the places.
        conservation: bits for each of the places; empty where the hit has none.
    """

    hit: Hit
    places: range
    pairs: str
    conservation: tuple[float | None, ...]


def structure_of(rna: str | CleanedRna, reference: Reference | None) -> SecondaryStructure:
    """What an RNA folds into, as far as it is known, with where that comes from.

    Where it matches a family of the reference, the family's consensus structure lies on its
    letters, without the pairs that these cannot form; of matches that overlap the best one counts.
    A match on the minus strand is turned round, so that it lies on the RNA as given. What is
    outside of all matches is folded around them by minimum free energy, in RNAs of up to
    `MAX_FOLDED` nt and where ViennaRNA is installed. Without a match the whole is folded.

    Args:
        rna: what `Reference.search` takes.
        reference: None for the structure of minimum free energy alone.

    Raises:
        ImportError: when no family's structure is known and ViennaRNA is not installed.
        RnaSequenceError: it is no RNA.
    """
    if not isinstance(rna, CleanedRna):
        rna = clean_rna(rna, max_length=MAX_LENGTH, max_ambiguous=1.0)
    letters = rna.sequence
    laid: list[_Laid] = []
    if reference is not None and len(letters) >= MIN_LENGTH:
        laid = [_lay(hit, letters, reference) for hit in _apart(reference.search(rna))]
    conservation: list[float | None] = [None] * len(letters)
    for part in laid:
        if part.conservation:
            conservation[part.places.start : part.places.stop] = part.conservation
    known = [part for part in laid if "(" in part.pairs]
    pairs, source = _around(known, letters) if known else _folded(laid, letters)
    told = any(bits is not None for bits in conservation)
    return SecondaryStructure(pairs, source, tuple(conservation) if told else ())


def _apart(hits: Iterable[Hit]) -> list[Hit]:
    """Of hits that overlap, on either strand, the best; in the order of the RNA."""
    chosen: list[Hit] = []
    for hit in hits:
        if all(hit.end < other.start or other.end < hit.start for other in chosen):
            chosen.append(hit)
    return sorted(chosen, key=lambda hit: hit.start)


def _lay(hit: Hit, letters: str, reference: Reference) -> _Laid:
    places = range(hit.start - 1, hit.end)
    pairs, conservation = hit.structure or "." * len(places), reference.conservation(hit)
    if hit.strand == "-":
        pairs = _turned(pairs, letters[places.start : places.stop])
        conservation = conservation[::-1]
    return _Laid(hit, places, pairs, conservation)


def _turned(pairs: str, letters: str) -> str:
    """A structure of the reverse complement on the letters of the other strand.

    G and U pair, and their complements C and A do not.
    """
    kept = ["."] * len(letters)
    for first, second in base_pairs(pairs[::-1].translate(_REVERSED)):
        if letters[first] + letters[second] in CAN_PAIR:
            kept[first], kept[second] = "()"
    return "".join(kept)


def _around(known: list[_Laid], letters: str) -> tuple[str, str]:
    """The structures of the families with what is folded around them, and its source."""
    pairs = ["."] * len(letters)
    for part in known:
        pairs[part.places.start : part.places.stop] = part.pairs
    inside = {place for part in known for place in part.places}
    laid = "".join(pairs)
    whole = len(known[0].places) == len(letters)
    names = ", and ".join(_laid_on(part, whole=whole) for part in known)
    laid, rest = (laid, "") if whole else _fold_rest(letters, laid, inside)
    return laid, names + rest


def _fold_rest(letters: str, laid: str, inside: set[int]) -> tuple[str, str]:
    """The structure with what is outside of the families, and what the source says of that."""
    if len(letters) > MAX_FOLDED:
        return laid, f"; the rest not folded, as the RNA is longer than {MAX_FOLDED} nt"
    try:
        whole = fold_around(letters, laid, inside)
    except ImportError:
        return laid, "; the rest not folded, as ViennaRNA is not installed"
    if whole == laid:
        return laid, "; the rest unpaired at minimum free energy (ViennaRNA)"
    return whole, "; the rest: minimum free energy around it (ViennaRNA)"


def _laid_on(part: _Laid, *, whole: bool) -> str:
    hit = part.hit
    whose = "that" if hit.source == SEQUENCE else "consensus"
    where = "this RNA" if whole else f"nt {hit.start:,} to {hit.end:,}"
    if hit.strand == "+":
        return f"{whose} of {_name(hit)}, laid on {where}"
    return (
        f"{whose} of {_name(hit)}, which matches the minus strand, laid on {where} without the "
        "pairs that only that strand can form"
    )


def _folded(laid: list[_Laid], letters: str) -> tuple[str, str]:
    """The structure of minimum free energy with its source, where no family's is known."""
    if len(letters) > MAX_FOLDED:
        pairs = "." * len(letters)
        source = f"none; only RNAs of up to {MAX_FOLDED} nt are folded"
    else:
        folded = minimum_free_energy(letters)
        pairs, source = folded.pairs, folded.source
    if laid:
        names = ", ".join(_name(part.hit) for part in laid)
        source += f"; no consensus structure is known of {names}"
    return pairs, source


def _name(hit: Hit) -> str:
    return f"{hit.record.name} ({hit.record.id})"


__all__ = ["structure_of"]
