"""RNAs that are pasted into a conversation of `rnagpt chat`, at once or line by line."""

from __future__ import annotations

import re
from collections.abc import Sequence

# No English word has as many of these letters, and no others.
_BARE = re.compile(r"[ACGTUNacgtun](?:[ \t]*[ACGTUNacgtun]){7,}")
# A line of a sequence: whatever stands in capitals (a protein is rejected in words, and not asked
# about), codes of IUPAC, with blanks and numbers as data banks print them; or a structure.
_CAPITALS = re.compile(r"[A-Z*.\-]+")
_CODES = re.compile(r"[acgtunACGTUN\d\s.\-]+|[acgturyswkmbdhvnACGTURYSWKMBDHVN\d\s.\-]{20,}")
_STRUCTURE = re.compile(r"[.()\[\]{}<>,_:~\-]+(?:\s+\(.*\))?")


class PastedFasta:
    """Lines of FASTA, of which each comes by itself where a terminal does not paste them at once.

    Attributes:
        lines: that belong together so far.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []

    def takes(self, line: str) -> bool:
        """Keep a line that begins a record, or belongs to the one that was begun."""
        line = line.strip()
        if line.startswith(">") or (self.lines and self._continues(line)):
            self.lines.append(line)
            return True
        return False

    def _continues(self, line: str) -> bool:
        if not line or line.startswith("/"):
            return False
        if self.lines[-1].startswith(">"):
            return True
        return any(kind.fullmatch(line) for kind in (_CAPITALS, _CODES, _STRUCTURE))


def is_bare_sequence(lines: Sequence[str]) -> bool:
    """Whether lines are a sequence without a header, and no words."""
    return bool(lines) and all(_BARE.fullmatch(line.strip()) for line in lines if line.strip())


__all__ = ["PastedFasta", "is_bare_sequence"]
