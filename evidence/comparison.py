"""What the records say of several RNAs, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rnagpt.evidence.gathering import Evidence
from rnagpt.evidence.record_sentences import Sentence, Subject, tell_identity
from rnagpt.reference.records import FAMILY


def compare(evidences: Sequence[Evidence]) -> list[Sentence]:
    """What the records say of several RNAs, one sentence each, and whether they are of one kind."""
    return [*map(_introduce, evidences), *_common(evidences)]


def _introduce(evidence: Evidence) -> Sentence:
    facts = evidence.facts
    gc = "" if facts.gc is None else f", GC {facts.gc:.0%}"
    name = f"{evidence.name} ({facts.length:,} nt{gc})"
    best = evidence.best
    if best is None:
        if evidence.note:
            return Sentence(f"{name}: {evidence.note}.")
        return Sentence(f"{name} matches no record of {evidence.reference}.")
    said = next(tell_identity(Subject(best, evidence))).text
    if said.startswith("It "):
        return Sentence(f"{name} {said.removeprefix('It ')}", (best.number,))
    return Sentence(f"{name}: {said[0].lower()}{said[1:]}", (best.number,))


def _common(evidences: Sequence[Evidence]) -> Iterator[Sentence]:
    items = [evidence.best for evidence in evidences if evidence.best is not None]
    if len(items) < len(evidences) or len(items) < 2:
        return
    cites = tuple(item.number for item in items)
    who = "Both" if len(items) == 2 else "All"
    pairs = zip(items, evidences, strict=True)
    are = "are" if all(evidence.is_whole(item) for item, evidence in pairs) else "have a part"
    records = [item.record for item in items]
    clans, types = ({getattr(r, name) for r in records} for name in ("clan", "type"))
    if any(record.kind != FAMILY for record in records):
        if len({record.id for record in records}) == 1:
            yield Sentence(f"{who} match the same RNA.", cites)
    elif len({record.id for record in records}) == 1:
        yield Sentence(f"{who} {are} of the same family.", cites)
    elif len(clans) == 1 and "" not in clans:
        yield Sentence(f"{who} {are} of the clan {clans.pop()}, of different families.", cites)
    elif len(types) == 1 and "" not in types:
        yield Sentence(f"{who} {are} of the type {types.pop()}, of different families.", cites)
    else:
        yield Sentence("They match different families.", cites)


__all__ = ["compare"]
