"""The secondary structure of an RNA: its family's, laid on its letters, else the folded one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from rnagpt.cleaning_rnagpt import CleanedRna, clean_rna
from rnagpt.reference.hits import CAN_PAIR, SEQUENCE, Hit
from rnagpt.reference.library import MAX_LENGTH, MIN_LENGTH, Reference
from rnagpt.sequences.folding import SecondaryStructure, fold_rest
from rnagpt.sequences.structure import base_pairs

_REVERSED = str.maketrans("()", ")(")


class _Laid(NamedTuple):
    """A hit on the letters of the RNA as given.

    Attributes:
        places: 0-based.
        pairs: dots and brackets, one for each of the places.
        conservation: bits for each of the places; empty where the hit has none.
        pseudoknots, unformed: as of `SecondaryStructure`.
    """

    hit: Hit
    places: range
    pairs: str
    conservation: tuple[float | None, ...]
    pseudoknots: tuple[tuple[int, int], ...]
    unformed: tuple[tuple[int, int], ...]


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
    cleaned = _cleaned(rna)
    return fold_rest(cleaned.sequence, family_structure(cleaned, reference))


def family_structure(rna: str | CleanedRna, reference: Reference | None) -> SecondaryStructure:
    """The same with nothing folded: without `parts`, and no pair, where no family's is known.

    Raises:
        RnaSequenceError: it is no RNA.
    """
    rna = _cleaned(rna)
    letters = rna.sequence
    laid: list[_Laid] = []
    if reference is not None and len(letters) >= MIN_LENGTH:
        laid = [_lay(hit, letters, reference) for hit in _apart(reference.search(rna))]
    conservation: list[float | None] = [None] * len(letters)
    pairs = ["."] * len(letters)
    known = [part for part in laid if "(" in part.pairs]
    for part in laid:
        places = slice(part.places.start, part.places.stop)
        if part.conservation:
            conservation[places] = part.conservation
        if part in known:
            pairs[places] = part.pairs
    told = any(bits is not None for bits in conservation)
    return SecondaryStructure(
        "".join(pairs),
        _source(laid, known, len(letters)),
        tuple(conservation) if told else (),
        tuple((part.places.start + 1, part.places.stop) for part in known),
        tuple(pair for part in known for pair in part.pseudoknots),
        tuple(pair for part in known for pair in part.unformed),
    )


def _cleaned(rna: str | CleanedRna) -> CleanedRna:
    if isinstance(rna, CleanedRna):
        return rna
    return clean_rna(rna, max_length=MAX_LENGTH, max_ambiguous=1.0)


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
    pseudoknots, unformed = _other_pairs(hit, letters, pairs, reference)
    return _Laid(hit, places, pairs, conservation, pseudoknots, unformed)


def _other_pairs(
    hit: Hit, letters: str, laid: str, reference: Reference
) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
    """The family's pairs that are not in the dots and brackets: pseudoknots, and unformed ones."""
    pseudoknots, unformed = [], []
    for one, other, knotted in reference.consensus_pairs(hit):
        if hit.strand == "+":
            first, second = hit.start - 1 + one, hit.start - 1 + other
        else:
            first, second = hit.end - 1 - other, hit.end - 1 - one
        if letters[first] + letters[second] not in CAN_PAIR:
            unformed.append((first, second))
        # A structure by Infernal may pair the letter otherwise.
        elif knotted and laid[first - hit.start + 1] + laid[second - hit.start + 1] == "..":
            pseudoknots.append((first, second))
    return tuple(sorted(pseudoknots)), tuple(sorted(unformed))


def _turned(pairs: str, letters: str) -> str:
    """A structure of the reverse complement on the letters of the other strand.

    G and U pair, and their complements C and A do not.
    """
    kept = ["."] * len(letters)
    for first, second in base_pairs(pairs[::-1].translate(_REVERSED)):
        if letters[first] + letters[second] in CAN_PAIR:
            kept[first], kept[second] = "()"
    return "".join(kept)


def _source(laid: list[_Laid], known: list[_Laid], length: int) -> str:
    if known:
        whole = len(known[0].places) == length
        return ", and ".join(_laid_on(part, whole=whole) for part in known)
    names = ", ".join(_name(part.hit) for part in laid)
    return f"no consensus structure is known of {names}" if laid else ""


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


def _name(hit: Hit) -> str:
    return f"{hit.record.name} ({hit.record.id})"


__all__ = ["family_structure", "structure_of"]
