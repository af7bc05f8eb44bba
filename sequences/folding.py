"""Secondary structures: folded, told as dots and brackets, and laid out in a plane."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rnagpt.sequences.structure import base_pairs

MAX_FOLDED = 600
SHORTEST_LOOP = 3  # nt that a hairpin's loop has at least
# Pairs and energy of a sequence, by another way than in this process; see `fold_by`.
_fold_elsewhere: Callable[[str], tuple[str, float]] | None = None
_IMPOSSIBLE = 9_999.0  # kcal/mol; ViennaRNA counts 100,000 for a loop without figures


@dataclass(frozen=True)
class SecondaryStructure:
    """The secondary structure of an RNA, and what is known of its columns.

    Attributes:
        pairs: dots and brackets, one a nucleotide.
        source: where the structure comes from, in words: "consensus of tRNA (RF00005), laid on this
            RNA".
        conservation: of the family's column at each nucleotide, from 0 bits (any letter) to 2
            (always the same one), as `Reference.conservation` tells it; None where a nucleotide
            has no column. Empty where there is no family.
        parts: where a family's structure lies, start and end counted from 1; the rest is folded.
        pseudoknots: the family's further pairs, which cross others, and which the letters can form;
            0-based.
        unformed: the family's pairs that the letters cannot form by Watson and Crick's rules or as
            G with U, pseudoknots' too; 0-based.
    """

    pairs: str
    source: str
    conservation: tuple[float | None, ...] = ()
    parts: tuple[tuple[int, int], ...] = ()
    pseudoknots: tuple[tuple[int, int], ...] = ()
    unformed: tuple[tuple[int, int], ...] = ()


def fold_rna(sequence: str) -> str:
    """The secondary structure of minimum free energy, as dots and brackets (ViennaRNA).

    Raises:
        ImportError: when ViennaRNA is not installed.
    """
    return fold_with_energy(sequence)[0]


def fold_with_energy(sequence: str) -> tuple[str, float]:
    """The same with its free energy in kcal/mol, at 37 °C.

    Raises:
        ImportError: when ViennaRNA is not installed.
    """
    if _fold_elsewhere is not None:
        return _fold_elsewhere(sequence)
    structure, energy = _vienna_rna().fold(sequence)
    return structure, float(energy)


def fold_by(fold: Callable[[str], tuple[str, float]] | None) -> None:
    """Let another function do what `fold_with_energy` does, for this whole process.

    Args:
        fold: such as `FoldingProcesses.fold`; None: ViennaRNA in this process again.
    """
    global _fold_elsewhere
    _fold_elsewhere = fold


def minimum_free_energy(sequence: str) -> SecondaryStructure:
    """The same with its source, which tells the energy.

    Raises:
        ImportError: when ViennaRNA is not installed.
    """
    pairs, energy = fold_with_energy(sequence)
    if "(" not in pairs:
        source = "none; no base pair at minimum free energy (ViennaRNA)"
    else:
        told = f"{energy:.1f}".replace("-", "−")
        source = f"minimum free energy (ViennaRNA), {told} kcal/mol"
    return SecondaryStructure(pairs, source)


def free_energy(sequence: str, structure: str) -> float | None:
    """The free energy of a structure in kcal/mol, at 37 °C, as ViennaRNA evaluates it.

    Args:
        structure: dots and round brackets.

    Returns:
        None for a structure that the energy model has no figures for, such as one with a hairpin
        of fewer than 3 nt.

    Raises:
        ImportError: when ViennaRNA is not installed.
    """
    energy = float(_vienna_rna().eval_structure_simple(sequence, structure))
    return energy if energy < _IMPOSSIBLE else None


def fold_rest(
    sequence: str, known: SecondaryStructure, max_folded: int = MAX_FOLDED
) -> SecondaryStructure:
    """A family's structure with what is outside of it folded; the whole where none is known.

    Args:
        known: as `family_structure` returns it: pairs in its `parts` alone.
        max_folded: nothing is folded in a longer RNA, which the source says.

    Raises:
        ImportError: when no family's structure is known and ViennaRNA is not installed.
    """
    if not known.parts:
        folded = _folded(sequence, max_folded)
        source = "; ".join(filter(None, (folded.source, known.source)))
        return replace(known, pairs=folded.pairs, source=source)
    inside = {place for start, end in known.parts for place in range(start - 1, end)}
    if len(inside) == len(sequence):
        return known
    if len(sequence) > max_folded:
        rest = f"the rest not folded, as the RNA is longer than {max_folded} nt"
        return replace(known, source=f"{known.source}; {rest}")
    try:
        pairs = fold_around(sequence, known.pairs, inside)
    except ImportError:
        rest = "the rest not folded, as ViennaRNA is not installed"
        return replace(known, source=f"{known.source}; {rest}")
    rest = "the rest: minimum free energy around it (ViennaRNA)"
    if pairs == known.pairs:
        rest = "the rest unpaired at minimum free energy (ViennaRNA)"
    return replace(known, pairs=pairs, source=f"{known.source}; {rest}")


def _folded(sequence: str, max_folded: int) -> SecondaryStructure:
    if len(sequence) <= max_folded:
        return minimum_free_energy(sequence)
    source = f"none; only RNAs of up to {max_folded} nt are folded"
    return SecondaryStructure("." * len(sequence), source)


def fold_around(sequence: str, structure: str, places: Collection[int]) -> str:
    """Fold what lies outside of a part whose structure is known, by minimum free energy.

    The known pairs are constraints (ViennaRNA's hard ones), so that a helix may enclose the part
    and none crosses it; its unpaired nucleotides stay unpaired.

    Args:
        structure: dots and brackets for the whole sequence, without pairs outside of the part.
        places: of the part, 0-based.

    Raises:
        ImportError: when ViennaRNA is not installed.
    """
    vienna_rna = _vienna_rna()
    wanted = ["x" if place in places else "." for place in range(len(sequence))]
    for first, second in base_pairs(structure):
        # ViennaRNA rejects a loop that is too short; the pair is laid on again below.
        if second - first > SHORTEST_LOOP:
            wanted[first], wanted[second] = "()"
    compound = vienna_rna.fold_compound(sequence)
    options = vienna_rna.CONSTRAINT_DB_DEFAULT | vienna_rna.CONSTRAINT_DB_ENFORCE_BP
    compound.constraints_add("".join(wanted), options)
    folded = compound.mfe()[0]
    return "".join(
        structure[place] if place in places else folded[place] for place in range(len(sequence))
    )


def lay_out(structure: str) -> np.ndarray:
    """Places of a structure's nucleotides in a plane: (nt, 2), by RNApuzzler (Wiegreffe 2018).

    Raises:
        ImportError: when ViennaRNA is not installed.
    """
    vienna_rna = _vienna_rna()
    vienna_rna.cvar.rna_plot_type = vienna_rna.PLOT_TYPE_PUZZLER
    places = vienna_rna.get_xy_coordinates(structure)
    return np.array([[places.get(i).X, places.get(i).Y] for i in range(len(structure))])


def _vienna_rna() -> Any:
    try:
        import RNA
    except ImportError as error:
        raise ImportError(
            "Drawing a secondary structure needs ViennaRNA: pip install 'rna-gpt[explain]', or "
            "pip install viennarna. with_structure=False draws the strip alone."
        ) from error
    return RNA


__all__ = [
    "MAX_FOLDED",
    "SecondaryStructure",
    "fold_around",
    "fold_by",
    "fold_rest",
    "fold_rna",
    "fold_with_energy",
    "free_energy",
    "lay_out",
    "minimum_free_energy",
]
