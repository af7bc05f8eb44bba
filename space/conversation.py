"""A visitor's conversation: RNAs, turns, and its export as Markdown and JSON."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cited_records import CitedRecord, CitedSentence, match_of, name_of, sureness_of
from comparison import Comparison
from findings import Findings
from plain_text import escape_unseen, visible

from rnagpt import CleanedRna, FastaRecord, Hit
from rnagpt.evidence.confidence import (
    confidence_of_match,
    confidence_word,
)
from rnagpt.evidence.gathering import address_of
from rnagpt.inference.cited import name_rnas
from rnagpt.inference.generation import user_message

# What Markdown or HTML could read as markup in a name or an answer.
_MARKUP = re.compile(r"([\\`*_\[\]<>#|~!&])")
# What could begin a list or a rule.
_BEGINNING = re.compile(r"^(\d*)([-+=.)])")


@dataclass
class ShownRna:
    """An RNA of a conversation with its drawing and findings: None while they are not made yet.

    Attributes:
        description: what its FASTA header says after the name; may be empty.
        drawn: whether no other structure is to be added to the drawing.
    """

    rna: CleanedRna
    description: str = ""
    drawing: str | None = None
    drawn: bool = False
    findings: Findings | None = None

    @property
    def key(self) -> str:
        """What tells it from the others of its conversation, wherever it stands among them."""
        content = f"{self.rna.name}\n{self.rna.sequence}".encode("utf-8", "surrogatepass")
        return hashlib.sha256(content).hexdigest()[:16]


@dataclass(frozen=True)
class Turn:
    """A question with its answer.

    Attributes:
        question: as the visitor wrote it.
        answer: as far as it was written.
        num_rnas: RNAs of the conversation that the model had read by then.
        confidence: from 0 to 1; None where that was not calibrated.
        note: how the answer came to be, where that is worth saying: "stopped".
        basis: what it rests on, as of `rnagpt.Answer`.
        about: names of the RNAs that it is about; empty where the model alone answered, to all.
        sentences: each with its records; empty where the model alone answered.
        evidence: the records that it cites.
        chosen: places, from 0, of the RNAs that the visitor said it is about; empty where the
            question was to say so.
    """

    question: str
    answer: str
    num_rnas: int
    confidence: float | None = None
    note: str = ""
    basis: str = "model"
    about: list[str] = field(default_factory=list)
    sentences: list[CitedSentence] = field(default_factory=list)
    evidence: list[CitedRecord] = field(default_factory=list)
    chosen: list[int] = field(default_factory=list)

    @property
    def remarks(self) -> str:
        """What it is about, rests on and how sure that is, for people to read; may be empty."""
        told = []
        if self.about and self.num_rnas > 1:
            told.append(f"about {', '.join(self.about)}")
        told += [self.sureness, self.note]
        return " · ".join(filter(None, told))

    @property
    def sureness(self) -> str:
        """As `sureness_of`; empty too for what was cut short and is not measured."""
        if self.confidence is None and self.note and self.basis != "sequence":
            return ""
        return sureness_of(self.basis, self.confidence)


@dataclass
class Conversation:
    """One visitor's state on the server, in memory only.

    Attributes:
        records: FASTA records to choose from.
        comparisons: of the RNAs, by their questions, the last one last.
        waiting: questions that came while the model was at work, in order.
        chosen: for questions that wait or are being answered, the places of the RNAs that the
            visitor said they are about.
        question: the one that is being answered; empty while none is.
        reading: RNAs that the conversation had when that question came.
        answering: whether the model is at work for it.
        stopping: whether the visitor wants that to end.
        closed: whether a new conversation has taken this one's place.
        fresh: whether it has taken another's place, and the model has not been at work for it.
        lock: held by whoever changes RNAs or takes up work.
    """

    rnas: list[ShownRna] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    records: list[FastaRecord] = field(default_factory=list)
    comparisons: dict[str, Comparison] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)
    chosen: dict[str, list[int]] = field(default_factory=dict)
    question: str = ""
    reading: int = 0
    answering: bool = False
    stopping: bool = False
    closed: bool = False
    fresh: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def begin(self, question: str = "") -> bool:
        """Whether the model may go to work for it, as it now does, on a question or otherwise."""
        with self.lock:
            if self.answering:
                return False
            self.answering, self.stopping, self.question = True, False, question
            self.fresh = False
            return True

    def wait_with(self, question: str) -> bool:
        """Put a question behind the others; False where the model has come to rest meanwhile."""
        with self.lock:
            if self.answering:
                self.waiting.append(question)
            return self.answering

    def next_question(self) -> str | None:
        """The next question in the queue; None, and the model is at rest, where there is none."""
        with self.lock:
            if self.waiting and not self.closed:
                self.stopping, self.question = False, self.waiting.pop(0)
                return self.question
            self.answering = False
            return None

    def give_back(self) -> list[str]:
        """The questions that wait, which now do so no more."""
        with self.lock:
            waiting, self.waiting = self.waiting, []
            return waiting

    def forget_choices(self) -> None:
        """Forget which RNAs questions are about that neither wait nor are being answered."""
        pending = self.pending
        self.chosen = {one: about for one, about in self.chosen.items() if one in pending}

    @property
    def pending(self) -> list[str]:
        """The question that is being answered, and those that wait."""
        return [question for question in (self.question, *self.waiting) if question]

    @property
    def num_read(self) -> int:
        """RNAs that the model has read; they stay as long as the conversation."""
        return self.turns[-1].num_rnas if self.turns else 0

    @property
    def num_sent(self) -> int:
        """RNAs that the model has read or is reading; they cannot be removed."""
        return max(self.num_read, self.reading)

    def messages(self, num_turns: int | None = None) -> list[dict[str, Any]]:
        """The first turns, default all, as the processor's chat template takes them."""
        messages: list[dict[str, Any]] = []
        num_read = 0
        for turn in self.turns[:num_turns]:
            brought = self.rnas[num_read : turn.num_rnas]
            num_read = turn.num_rnas
            question = user_message(turn.question, [shown.rna.sequence for shown in brought])
            messages += [question, {"role": "assistant", "content": turn.answer}]
        return messages

    def last_answer(self) -> tuple[list[str], list[dict[str, Any]]]:
        """What the model is shown to explain the last answer: names of RNAs, and messages.

        Of an answer from evidence the RNAs that it is about, and its words without citations: the
        model is shown what speaks for these, without the records.
        """
        last = self.turns[-1]
        names = name_rnas([shown.rna for shown in self.rnas])
        if not last.sentences and not last.chosen:
            return names, self.messages()
        rna_of = dict(zip(names, self.rnas, strict=True))
        about = [name for name in last.about if name in rna_of]
        asked = user_message(last.question, [rna_of[name].rna.sequence for name in about])
        words = " ".join(sentence["text"] for sentence in last.sentences) or last.answer
        return about, [asked, {"role": "assistant", "content": words}]

    def new_rnas(self, num_turns: int) -> list[CleanedRna]:
        """RNAs that the question after the first turns brings."""
        num_read = self.turns[num_turns - 1].num_rnas if num_turns else 0
        return [shown.rna for shown in self.rnas[num_read:]]


def same_rna(new: ShownRna, rnas: Sequence[ShownRna], *, named: bool) -> ShownRna | None:
    """The RNA that has the sequence of a new one, and its name, if that has one."""
    for shown in rnas:
        if shown.rna.sequence == new.rna.sequence and (not named or shown.key == new.key):
            return shown
    return None


def records_of(turns: Iterable[Turn]) -> list[CitedRecord]:
    """The records that answers cite, by their numbers, which are the conversation's."""
    cited = {record["number"]: record for turn in turns for record in turn.evidence}
    return [cited[number] for number in sorted(cited)]


def as_markdown(conversation: Conversation, model: str) -> str:
    """The conversation as a Markdown document; no markup in names or answers survives in it."""
    lines = [f"# A conversation with {_plain(model)}", ""]
    for shown in conversation.rnas:
        rna = shown.rna
        facts = ", ".join([f"{len(rna.sequence):,} nt", *rna.changes])
        lines += [f"## RNA {_plain(rna.name)} ({facts})", ""]
        lines += [_plain(shown.description), ""] if shown.description else []
        lines += [f"`{rna.sequence}`", ""]
        lines += _findings_lines(shown)
    for turn in conversation.turns:
        remarks = " · ".join(filter(None, [f"basis: {_plain(turn.basis)}", turn.remarks]))
        answer = f"{_plain(turn.answer.strip())} *({remarks})*"
        lines += [f"**{_plain(turn.question)}**", "", answer, ""]
        lines += [f"- {_source(record)}" for record in turn.evidence]
        lines += [""] if turn.evidence else []
    for comparison in conversation.comparisons.values():
        lines += _comparison_lines(comparison)
    return "\n".join(lines)


def as_json(conversation: Conversation, model: str, *, found: bool = False) -> str:
    """The conversation as a JSON document: `model`, `rnas` and `turns`.

    Args:
        found: with what was found in each RNA and the comparisons, which the page need not send
            back.
    """
    rnas: list[dict[str, Any]] = []
    for shown in conversation.rnas:
        rna = shown.rna
        told = {"description": shown.description, "sequence": rna.sequence}
        rnas.append({"name": rna.name, **told, "changes": rna.changes})
        if found and shown.findings:
            rnas[-1]["findings"] = shown.findings.to_dict()
    turns = [vars(turn) for turn in conversation.turns]
    document: dict[str, Any] = {"model": model, "rnas": rnas, "turns": turns}
    if found:
        document["comparisons"] = [one.to_dict() for one in conversation.comparisons.values()]
    return escape_unseen(json.dumps(document, ensure_ascii=False, indent=2)) + "\n"


def _findings_lines(shown: ShownRna) -> list[str]:
    """What was found in an RNA, a line for each hit."""
    found = shown.findings
    if found is None:
        return []
    lines = [f"Found in {_plain(found.searched)}:", ""]
    if found.note or not found.hits:
        lines = [_plain(found.note or f"No known family matches in {found.searched}.")]
    lines += [
        _hit_line(hit, f"confidence {confidence_word(confidence_of_match(hit))}")
        for hit in found.hits
    ]
    if found.weaker:
        lines += [
            "",
            "Not significant (as many matches this good are expected by chance as E):",
            "",
        ]
        lines += [_hit_line(hit, "not significant") for hit in found.weaker]
    return [*lines, ""]


def _hit_line(hit: Hit, remark: str) -> str:
    strand = "" if hit.strand == "+" else ", reverse strand"
    told = (
        f"{hit.record.id} {hit.record.name}, {hit.record.type or 'type unknown'}: nucleotides "
        f"{hit.start:,}–{hit.end:,}{strand}, E {hit.evalue:.1g}, {hit.bits:.1f} bits, "
        f"identity {hit.identity:.0%}, {remark}"
    )
    address = address_of(hit.record.id)
    return f"- {_plain(told)}" + (f", <{address}>" if address else "")


def _comparison_lines(comparison: Comparison) -> list[str]:
    """A comparison, a line for each RNA and each pair."""
    lines = ["## Comparison", "", f"**{_plain(comparison.question)}**", ""]
    for rna in comparison.rnas:
        told = filter(None, (*rna.facts, rna.answer, rna.sureness))
        lines.append(f"- {_plain(f'{rna.name}: ' + ' · '.join(told))}")
    lines.append("")
    lines += [f"- {_plain(f'{pair.one}, {pair.other}: {pair.told}')}" for pair in comparison.pairs]
    return [*lines, ""]


def _source(record: CitedRecord) -> str:
    told = f"[{record['number']}] {name_of(record)} — {match_of(record, named=True)}"
    address = address_of(record["id"])
    return _plain(told) + (f", <{address}>" if address else "")


def _plain(text: str) -> str:
    """A text in one paragraph whose markup is escaped."""
    escaped = _MARKUP.sub(r"\\\1", visible(" ".join(text.split())))
    return _BEGINNING.sub(r"\1\\\2", escaped)
