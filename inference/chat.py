"""A conversation about RNAs, streamed."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnagpt.cleaning_rnagpt import MAX_AMBIGUOUS, CleanedRna, clean_rna
from rnagpt.evidence.answers import CitedAnswer, look_up
from rnagpt.evidence.gathering import Evidence
from rnagpt.evidence.questions import find_about
from rnagpt.inference.cited import (
    MAX_NEW_TOKENS,
    LanguageModel,
    Plan,
    PromptRejectedError,
    Words,
    Writing,
    name_rnas,
    open_reference,
    plan_answer,
    search_rna,
)
from rnagpt.inference.local_model import LocalModel, as_language_model
from rnagpt.reference.library import BUNDLED, MAX_LENGTH, Reference, SearchStoppedError

if TYPE_CHECKING:
    from rnagpt.inference.attribution import NucleotideScores
    from rnagpt.inference.token_writer import TokenWriter, WrittenAnswer
    from rnagpt.modeling_rnagpt import RnaGptForCausalLM
    from rnagpt.processing_rnagpt import RnaGptProcessor


@dataclass(eq=False)
class _GivenRna:
    """An RNA of the conversation; `evidence` is None until it was searched."""

    rna: CleanedRna
    evidence: Evidence | None = None


@dataclass(eq=False)
class _Answer:
    """An answer from the question to its end."""

    question: str
    turn: dict[str, Any]
    max_new_tokens: int
    generation: dict[str, Any]
    about: tuple[int, ...] = ()
    # How it is written, without a reference.
    written: WrittenAnswer | None = None
    stopped: bool = False
    # Of a function that gives the iterator, None once that is gone.
    reader: Callable[[], object] = lambda: None


class RnaChat:
    """A conversation about one or several RNAs.

    With a reference every question is understood, and answered from the records that the RNA it is
    about matches there, and from its sequence: in the records' own words, or in those of a model
    that reads evidence, checked against the records. Where the search finds nothing, the model may
    read what type of RNA it is; the answer says that this is its reading. An answer is about the
    RNAs that the question names, else the last one given.

    Without a reference (None) the model alone answers, and reads all RNAs and earlier turns. The
    keys and values of these are cached, so a new turn costs no more than its own tokens; an RNA is
    encoded once, in the turn that brings it.

    One answer at a time; `stop` and `reset` may be called from any thread.

    Args:
        model: an RNA-GPT, or a `LocalModel` or `RemoteModel`, which need no processor.
        processor: the model's.
        reference: what RNAs are searched in, or its folder; None: nothing.

    Attributes:
        messages: the conversation so far, as the processor's chat template takes it, answers with
            their citations. An answer that was stopped is in it as far as it came; a question that
            raised is not, nor is one that was stopped before its answer was checked.
        confidence: of the last answer; None before there is one, while another is being written,
            and where it was not calibrated. With a reference that of `answer`, else what the
            model's own calibration says of the words.
        answer: the last answer with what it rests on; None before there is one, and without a
            reference.

    Examples:
        >>> chat = RnaChat.from_pretrained()  # rna-gpt-mini, and its reference
        >>> chat.add_rna("GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGA")
        >>> for text in chat.ask("What is this RNA?"):
        ...     print(text, end="", flush=True)
    """

    def __init__(
        self,
        model: RnaGptForCausalLM | LanguageModel,
        processor: RnaGptProcessor | None = None,
        reference: Reference | str | Path | None = None,
    ) -> None:
        self.language = as_language_model(model, processor).for_conversation()
        self.reference = open_reference(reference)
        if self.reference is None and not isinstance(self.language, LocalModel):
            raise ValueError(
                "A model behind an address answers from records: give a reference to search in."
            )
        self.messages: list[dict[str, Any]] = []
        self.confidence: float | None = None
        self.answer: CitedAnswer | None = None
        self._rnas: list[_GivenRna] = []
        self._num_told = 0  # of `_rnas`, those that are in `messages`
        self._cited: list[CitedAnswer] = []
        self._answer: _Answer | None = None
        # Held while a token is written, and while what was written is put away.
        self._lock = threading.RLock()
        # Held by a search: an RNA is searched once.
        self._searching = threading.Lock()

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | None = None,
        *,
        reference: Reference | str | Path | None = BUNDLED,
        **kwargs: Any,
    ) -> RnaChat:
        """Begin a conversation with a model, which is loaded when its words are first needed.

        Without a reference that is now.

        Args:
            name_or_path: as of `load_model`.
            reference: what RNAs are searched in, or its folder; by default the families of Rfam
                that come with rna-gpt-mini. None: the model alone answers.
            **kwargs: as of `load_model`.

        Raises:
            InvalidReferenceError: there is no such reference.
            OSError, ValueError: as of `load_model`.
        """
        opened = open_reference(reference)
        language = LocalModel.open(name_or_path, **kwargs)
        if opened is None:
            language.load()
        return cls(language, None, opened)

    @property
    def model(self) -> RnaGptForCausalLM:
        """The model of this machine."""
        return self._local.model

    @property
    def processor(self) -> RnaGptProcessor:
        """Its processor."""
        return self._local.processor

    @property
    def names(self) -> list[str]:
        """What answers call the RNAs, in the order in which they were given."""
        return name_rnas([given.rna for given in list(self._rnas)])

    @property
    def evidence(self) -> list[Evidence]:
        """What was found about the RNAs so far, in order; `search` finds what is missing."""
        return [given.evidence for given in list(self._rnas) if given.evidence is not None]

    @property
    def limits(self) -> dict[str, Any]:
        """What `add_rna` accepts, as arguments of `clean_rna`."""
        if self.reference is not None:
            return {"max_length": MAX_LENGTH, "max_ambiguous": MAX_AMBIGUOUS}
        return self._local.limits

    def add_rna(self, sequence: str | CleanedRna, name: str = "") -> CleanedRna:
        """Add an RNA, at the start or in the middle; the next question is about it.

        Args:
            sequence: a sequence or a FASTA record as text, or what `clean_rna` made of it. With a
                reference it may have up to 10 million nt, else as many as the model reads.
            name: what errors and answers call the RNA.

        Returns:
            The RNA as it will be read, with what cleaning changed.

        Raises:
            RnaSequenceError: when the sequence is rejected; the conversation is as before.
        """
        rna = sequence
        if not isinstance(rna, CleanedRna):
            rna = clean_rna(rna, name=name, **self.limits)
        self._rnas.append(_GivenRna(rna))
        return rna

    def search(self, stop: Callable[[], bool] = lambda: False) -> list[Evidence]:
        """Search the RNAs that were not searched yet, as the next question would.

        Args:
            stop: asked from time to time: whether the search ends here.

        Returns:
            The evidence about all RNAs, in order, with numbers that are the conversation's.

        Raises:
            SearchStoppedError: `stop` said so.
            ValueError: there is no reference.
        """
        if self.reference is None:
            raise ValueError("Nothing is searched: this conversation has no reference.")
        return self._search(self.reference, list(self._rnas), stop)

    def _search(
        self, reference: Reference, rnas: list[_GivenRna], stop: Callable[[], bool]
    ) -> list[Evidence]:
        while not self._searching.acquire(timeout=0.1):
            if stop():
                raise SearchStoppedError
        try:
            found: list[Evidence] = []
            names = name_rnas([given.rna for given in rnas])
            for given, name in zip(rnas, names, strict=True):
                if given.evidence is None:
                    first = 1 + sum(len(evidence.items) for evidence in found)
                    given.evidence = search_rna(
                        given.rna, reference, name, first_number=first, stop=stop
                    )
                found.append(given.evidence)
            return found
        finally:
            self._searching.release()

    def plan(
        self,
        question: str,
        stop: Callable[[], bool] = lambda: False,
        about: Sequence[int] = (),
    ) -> Plan:
        """How the next question would be answered, and whether the model's words are needed.

        RNAs that were not searched yet are. `about` is that of `ask`.

        Raises:
            SearchStoppedError: `stop` said so.
            ValueError: there is no reference or no RNA, or the question is about another one.
        """
        if self.reference is None:
            raise ValueError("Nothing is looked up: this conversation has no reference.")
        return self._plan(question, self.reference, list(self._rnas), stop, about)

    def ask(
        self,
        question: str,
        *,
        max_new_tokens: int = MAX_NEW_TOKENS,
        about: Sequence[int] = (),
        **generation: Any,
    ) -> Iterator[str]:
        """Ask a question; the answer comes in pieces.

        Searching and writing is done while the iterator is read, and in the thread that reads it.
        Words that are checked come when they are. Closing the iterator stops the answer, as does
        letting go of it.

        Args:
            question: plain text, without control tokens of the language model.
            max_new_tokens: the most tokens that the model writes; less where its context ends.
            about: the places, from 0, of the RNAs that a question is about which names none; by
                default the last one. Without a reference the model reads all of them.
            **generation: for `model.generate`. Greedy by default; beams cannot be streamed.

        Raises:
            ValueError: when the question is empty, names an RNA that was not given, or, without a
                reference, has `about`, does not fit the language model's context or holds a control
                token; the conversation is as before.
            RuntimeError: while another answer is being written.
        """
        from rnagpt.inference.messages import user_message

        with self._lock:
            self._end_stopped()
            if not question.strip():
                raise ValueError("The question is empty.")
            new = [given.rna.sequence for given in self._rnas[self._num_told :]]
            turn = user_message(question, new)
            answer = _Answer(question, turn, max_new_tokens, generation, tuple(about))
            if self.reference is None:
                if about:
                    raise ValueError("Without a reference answers are about all RNAs given.")
                messages = [*self.messages, turn]
                answer.written = self._writer.prepare(messages, max_new_tokens, generation)
                pieces = self._read(answer)
            else:
                if not self._rnas:
                    raise ValueError("No RNA was given. Add one, and ask again.")
                find_about(question, self.names, about)
                pieces = self._read_cited(answer, self.reference, list(self._rnas))
            answer.reader = weakref.ref(pieces)
            self._answer = answer
            self.confidence = self.answer = None
        return pieces

    def explain(self, answer: str | None = None) -> list[NucleotideScores]:
        """Say which nucleotides the last answer rests on, as the model reads them.

        With a reference that is what in the RNAs that the answer is about speaks for its words, by
        the model alone, which is given neither records nor earlier turns.

        Args:
            answer: words to explain in place of the answer's own, as the answer to the last
                question: "a tRNA", to see what would speak for that. Default: the last answer.

        Returns:
            For each RNA of the conversation, in order, one score a nucleotide; with a reference
            for each that the answer is about, as `self.answer.about` names them. `explain_answer`
            says what a score means.

        Raises:
            ValueError: when nothing was answered yet, when there is no RNA, or when RNA or answer
                do not fit the language model.
        """
        from rnagpt.inference.attribution import explain_answer
        from rnagpt.inference.messages import user_message

        if not self.messages:
            raise ValueError("Nothing was answered yet. Ask a question about an RNA first.")
        asked = self.messages[:-1]
        words = self.messages[-1]["content"]
        if self._cited:
            cited = self._cited[-1]
            rna_of = dict(zip(self.names, self._rnas, strict=True))
            about = [rna_of[name].rna.sequence for name in cited.about]
            asked, words = [user_message(cited.question, about)], cited.plain
        told = {"role": "assistant", "content": words if answer is None else answer}
        return explain_answer(self.model, self.processor, [*asked, told])

    def stop(self) -> None:
        """End the answer that is being written, if there is one, at its next token."""
        answer = self._answer
        if answer is not None:
            answer.stopped = True

    def reset(self) -> None:
        """Forget the conversation and its RNAs; an answer that is being written is stopped."""
        self.stop()
        with self._lock:
            self._answer = None
            self.messages = []
            self.confidence = self.answer = None
            self._rnas = []
            self._num_told = 0
            self._cited = []
            if isinstance(self.language, LocalModel):
                self.language.forget()

    @property
    def _local(self) -> LocalModel:
        if not isinstance(self.language, LocalModel):
            raise ValueError(
                "The model of this conversation is behind an address, and what it does with an RNA "
                "cannot be seen from here."
            )
        return self.language

    @property
    def _writer(self) -> TokenWriter:
        return self._local.writer

    def _end_stopped(self) -> None:
        """Put away an answer that nobody reads on.

        Raises:
            RuntimeError: where somebody does.
        """
        if self._answer is None:
            return
        if not self._answer.stopped and self._answer.reader() is not None:
            raise RuntimeError(
                "The last answer is still being written. Read it to its end or stop()."
            )
        self._end(self._answer)

    # Without a reference: the model's words as they are written

    def _read(self, answer: _Answer) -> Generator[str, None, None]:
        try:
            while (piece := self._next_piece(answer)) is not None:
                if piece:
                    yield piece
        finally:
            # Reached early where the reader goes away.
            self._end(answer)

    def _next_piece(self, answer: _Answer) -> str | None:
        """Write a token; the text that it makes certain, and None after the last."""
        with self._lock:
            if self._answer is not answer or answer.written is None:
                return None  # reset, or another question was asked after stop()
            try:
                token = None if answer.stopped else self._writer.next_token(answer.written)
            except BaseException:
                self._answer = None
                raise
            if token is not None:
                return answer.written.text.add([token])
            rest = answer.written.text.finish()
            self._end(answer)
            return rest or None

    def _end(self, answer: _Answer) -> None:
        """Put an answer into the conversation, as far as it came, unless that is done."""
        with self._lock:
            if self._answer is not answer:
                return
            self._answer = None
            words = None if answer.written is None else self._writer.finish(answer.written)
            if words is not None:
                self._keep(answer, words.text, words.confidence)

    def _keep(self, answer: _Answer, text: str, confidence: float | None) -> None:
        self.messages += [answer.turn, {"role": "assistant", "content": text}]
        self.confidence = confidence
        # Not all: one may have been added while this answer was written.
        self._num_told += len(answer.turn["content"]) - 1

    # With a reference: looked up, perhaps written, checked

    def _read_cited(
        self, answer: _Answer, reference: Reference, rnas: list[_GivenRna]
    ) -> Generator[str, None, None]:
        try:
            try:
                cited = self._find_answer(answer, reference, rnas)
            except SearchStoppedError:
                return
            with self._lock:
                if cited is None or answer.stopped or self._answer is not answer:
                    return
                self._answer = None
                self.answer = cited
                self._cited.append(cited)
                self._keep(answer, cited.text, cited.confidence)
            yield cited.text
        finally:
            self._end(answer)

    def _find_answer(
        self, answer: _Answer, reference: Reference, rnas: list[_GivenRna]
    ) -> CitedAnswer | None:
        """The answer; None where it was stopped."""
        plan = self._plan(answer.question, reference, rnas, lambda: answer.stopped, answer.about)
        words = self._write(answer, plan)
        return None if answer.stopped else plan.conclude(words)

    def _plan(
        self,
        question: str,
        reference: Reference,
        rnas: list[_GivenRna],
        stop: Callable[[], bool],
        about: Sequence[int],
    ) -> Plan:
        look = look_up(question, self._search(reference, rnas, stop), about)
        earlier = [
            (one.question, one.text) for one in self._cited if one.about == look.answer.about
        ]
        return plan_answer(
            look,
            [rnas[place].rna for place in look.about.places],
            reads_evidence=self.language.reads_evidence,
            reads_rnas=self.language.reads_rnas,
            earlier=earlier,
        )

    def _write(self, answer: _Answer, plan: Plan) -> Words | None:
        """The model's words; None where it is not asked, or the prompt does not fit."""
        if plan.request is None or answer.stopped:
            return None
        writing: Writing | None = None
        is_going = True
        while is_going and not answer.stopped:
            with self._lock:
                if self._answer is not answer:
                    answer.stopped = True  # reset, or another question was asked after stop()
                    return None
                try:
                    if writing is None:
                        writing = self.language.begin(
                            plan.request, answer.max_new_tokens, answer.generation
                        )
                    is_going = writing.step()
                except PromptRejectedError:
                    return None
        with self._lock:
            return None if writing is None else writing.words()


__all__ = ["RnaChat"]
