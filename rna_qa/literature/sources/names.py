"""Names of RNAs from LitScan's jobs, in the spelling that papers use."""

from __future__ import annotations

import re
from collections.abc import Iterable


def without_ids(names: Iterable[str], rna_id: str) -> tuple[str, ...]:
    """The names, each once, RNAcentral's own id left out where there is another."""
    unique = dict.fromkeys(names)
    spoken = [name for name in unique if name.upper() != rna_id.upper()]
    return tuple(spoken or unique)


def spell(job: str, texts: Iterable[str]) -> str:
    """A job's name, which LitScan keeps in lower case, as the first text that has it writes it.

    ``spell("hotair", ["HOX antisense RNA (HOTAIR)"])`` gives ``HOTAIR``.
    """
    word = re.compile(rf"(?<![^\W_]){re.escape(job)}(?![^\W_])", re.IGNORECASE)
    found = (word.search(text) for text in texts)
    return next((match[0] for match in found if match and match[0] != job), job)


__all__ = ["spell", "without_ids"]
