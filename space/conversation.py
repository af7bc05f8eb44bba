"""A visitor's conversation: RNAs, turns, and its export as Markdown and JSON."""

from __future__ import annotations

import hashlib
import html
import json
import re
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from findings import Findings
from plain_text import escape_unseen, visible
from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

from rnagpt import CleanedRna, FastaRecord, Hit
from rnagpt.evidence.confidence import (
    CONFIDENCE_MEANS,
    confidence_in_words,
    confidence_of_match,
    confidence_word,
)
from rnagpt.evidence.gathering import address_of
from rnagpt.inference.cited import name_rnas
from rnagpt.inference.generation import user_message

_CITATION = re.compile(r"\[(\d{1,4})\]")
# What Markdown or HTML could read as markup in a name or an answer.
_MARKUP = re.compile(r"([\\`*_\[\]<>#|~!&])")
# What could begin a list or a rule.
_BEGINNING = re.compile(r"^(\d*)([-+=.)])")


@dataclass
class ShownRna:
    """An RNA of a conversation with its drawing and findings: None while they are not made yet.

    Attributes:
        description: what its FASTA header says after the name; may be empty.
    """

    rna: CleanedRna
    description: str = ""
    drawing: str | None = None
    findings: Findings | None = None

    @property
    def key(self) -> str:
        """What tells it from the others of its conversation, wherever it stands among them."""
        content = f"{self.rna.name}\n{self.rna.sequence}".encode("utf-8", "surrogatepass")
        return hashlib.sha256(content).hexdigest()[:16]


class CitedSentence(TypedDict):
    """A sentence of an answer, as `rnagpt chat --json` gives it."""

    text: str
    records: list[int]
    supported: bool


@with_config(ConfigDict(extra="allow"))
class CitedRecord(TypedDict):
    """A record of the evidence, as `rnagpt chat --json` gives it, which has more fields."""

    number: int
    rna: str
    id: str
    name: str
    evalue: float
    start: int
    end: int
    strand: str


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
        """How sure it is, in words; empty for what says that nothing is known, or was cut short."""
        if self.basis == "sequence":
            return "computed from the sequence"
        if self.confidence is None and (self.note or self.basis == "none"):
            return ""
        return f"confidence {confidence_in_words(self.confidence)}"


@dataclass
class Conversation:
    """One visitor's state on the server, in memory only.

    Attributes:
        records: FASTA records to choose from.
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


def records_of(turns: Iterable[Turn]) -> list[CitedRecord]:
    """The records that answers cite, by their numbers, which are the conversation's."""
    cited = {record["number"]: record for turn in turns for record in turn.evidence}
    return [cited[number] for number in sorted(cited)]


def match_of(record: CitedRecord, *, named: bool) -> str:
    """How well and where a record matches: "E 2e-17, nucleotides 1–73"; `named`: of which RNA."""
    strand = "" if record["strand"] == "+" else " of the other strand"
    whose = f" of {record['rna']}" if named else ""
    place = f"nucleotides {record['start']:,}–{record['end']:,}{strand}{whose}"
    return f"E {record['evalue']:.1g}, {place}"


def name_of(record: CitedRecord) -> str:
    """Accession and name, once where they are the same."""
    return " ".join(dict.fromkeys((record["id"], record["name"])))


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
    return "\n".join(lines)


def as_json(conversation: Conversation, model: str, *, found: bool = False) -> str:
    """The conversation as a JSON document: `model`, `rnas` and `turns`.

    Args:
        found: with what was found in each RNA, which the page need not send back.
    """
    rnas: list[dict[str, Any]] = []
    for shown in conversation.rnas:
        rna = shown.rna
        told = {"description": shown.description, "sequence": rna.sequence}
        rnas.append({"name": rna.name, **told, "changes": rna.changes})
        if found and shown.findings:
            rnas[-1]["findings"] = shown.findings.to_dict()
    turns = [vars(turn) for turn in conversation.turns]
    document = {"model": model, "rnas": rnas, "turns": turns}
    return escape_unseen(json.dumps(document, ensure_ascii=False, indent=2)) + "\n"


def as_chat(turns: Sequence[Turn], *, growing: bool = False) -> list[dict[str, str]]:
    """Turns as messages for people to read, as `gr.Chatbot` takes them.

    Without Markdown it still takes what it is given for HTML, and leaves out what it holds unsafe.

    Args:
        growing: whether the last answer is still being written, and nothing is to be said of it.
    """
    messages = []
    for number, turn in enumerate(turns, start=1):
        ended = not (growing and number == len(turns))
        for role, text in (("user", _shown(turn.question)), ("assistant", _answer(turn, ended))):
            messages.append({"role": role, "content": text})
    return messages


def _answer(turn: Turn, ended: bool) -> str:
    """An answer as HTML, its citations links to the list of records."""
    numbers = {record["number"] for record in turn.evidence}
    text = _CITATION.sub(
        lambda cited: _link(cited) if int(cited[1]) in numbers else cited[0],
        _shown(turn.answer.strip()),
    )
    if not ended or not turn.remarks:
        return text
    remarks = f"({_shown(turn.remarks)})"
    if turn.sureness.startswith("confidence"):
        means = html.escape(CONFIDENCE_MEANS[confidence_word(turn.confidence)])
        remarks = f'<span title="{means}">{remarks}</span>'
    return f"{text}\n\n{remarks}"


def _link(cited: re.Match[str]) -> str:
    return f'<a href="#record-{cited[1]}" title="Show record {cited[1]}">{cited[0]}</a>'


def _shown(text: str) -> str:
    return html.escape(visible(text), quote=False)


def as_typed(shown: str) -> str:
    """A text of `as_chat` as its writer typed it."""
    return html.unescape(shown)


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


def _source(record: CitedRecord) -> str:
    told = f"[{record['number']}] {name_of(record)} — {match_of(record, named=True)}"
    address = address_of(record["id"])
    return _plain(told) + (f", <{address}>" if address else "")


def _plain(text: str) -> str:
    """A text in one paragraph whose markup is escaped."""
    escaped = _MARKUP.sub(r"\\\1", visible(" ".join(text.split())))
    return _BEGINNING.sub(r"\1\\\2", escaped)
