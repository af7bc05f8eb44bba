"""What the letters of an RNA tell by themselves: length, GC content, folding energy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rnagpt.evidence.type_reading import TypeReading

# nt; beyond, the structure of minimum free energy takes seconds and means little.
MAX_FOLDED = 1_000
_AMBIGUOUS = frozenset("RYKMSWBDHVN")


@dataclass(frozen=True)
class SequenceFacts:
    """Facts computed from a cleaned sequence (upper-case A, C, G, U and IUPAC codes)."""

    sequence: str

    @property
    def length(self) -> int:
        """In nt."""
        return len(self.sequence)

    @property
    def gc(self) -> float | None:
        """Share of G and C among the letters that say which nucleotide it is; None without any."""
        known = sum(map(self.sequence.count, "ACGU"))
        return sum(map(self.sequence.count, "GC")) / known if known else None

    @property
    def ambiguous(self) -> int:
        """Letters that stand for several nucleotides, such as N."""
        return sum(letter in _AMBIGUOUS for letter in self.sequence)

    @cached_property
    def energy(self) -> float | None:
        """Minimum free energy in kcal/mol (ViennaRNA, 37 °C).

        None where ViennaRNA is not installed, or the RNA has more than `MAX_FOLDED` nt.
        """
        if self.length > MAX_FOLDED:
            return None
        from rnagpt.sequences.folding import fold_with_energy  # it loads numpy

        try:
            return round(fold_with_energy(self.sequence)[1], 1)
        except ImportError:
            return None

    @cached_property
    def type_reading(self) -> TypeReading | None:
        """The type that it looks like by composition and folding: `rnagpt.evidence.type_reading`.

        None where that is too uncertain, the length is not read, or ViennaRNA is not installed.
        """
        from rnagpt.evidence.type_reading import bundled_reader  # it loads numpy

        return bundled_reader().read(self.sequence)

    def to_dict(self) -> dict[str, int | float | None]:
        """Without the energy, which takes time: it is computed for who asks."""
        gc = None if self.gc is None else round(self.gc, 4)
        return {"length": self.length, "gc": gc, "ambiguous": self.ambiguous}


__all__ = ["MAX_FOLDED", "SequenceFacts"]
