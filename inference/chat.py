"""A conversation about RNAs, streamed."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

from transformers import BatchFeature, Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

from rnagpt.cleaning_rnagpt import CleanedRna
from rnagpt.inference.attribution import NucleotideScores, explain_answer, rnas_of
from rnagpt.inference.default_model import resolve_model
from rnagpt.inference.detokenizer import IncrementalDetokenizer
from rnagpt.inference.generation import (
    MAX_NEW_TOKENS,
    TokenProbabilities,
    TokenStream,
    clean_once,
    confidence_of,
    encode_prompts,
    generation_options,
    remaining_context,
    user_message,
)
from rnagpt.inference.loading import load_model, load_processor
from rnagpt.modeling_rnagpt import CACHE_NAME, RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor


@dataclass(eq=False)
class _Answer:
    """An answer from the question to its last token; `tokens` is None before the first."""

    turn: dict[str, Any]
    inputs: BatchFeature
    options: dict[str, Any]
    text: IncrementalDetokenizer
    probabilities: TokenProbabilities = field(default_factory=TokenProbabilities)
    tokens: TokenStream | None = None
    stopped: bool = False
    # Of a function that gives the iterator, None once that is gone.
    reader: Callable[[], object] = lambda: None


class RnaChat:
    """A conversation about one or several RNAs.

    The keys and values of all earlier turns are cached, so a new turn costs no more than its own
    tokens; an RNA is encoded once, in the turn that brings it. One answer at a time; `stop` and
    `reset` may be called from any thread.

    Attributes:
        messages: the conversation so far, as the processor's chat template takes it. An answer that
            was stopped is in it as far as it came; a question that raised is not.
        confidence: of the last answer, as `confidence_of` gives it; None before there is one and
            while another is being written.

    Examples:
        >>> chat = RnaChat.from_pretrained()  # rna-gpt-mini
        >>> chat.add_rna("GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGA")
        >>> for text in chat.ask("What is this RNA?"):
        ...     print(text, end="", flush=True)
    """

    def __init__(self, model: RnaGptForCausalLM, processor: RnaGptProcessor) -> None:
        self.model = model
        self.processor = processor
        self.messages: list[dict[str, Any]] = []
        self.confidence: float | None = None
        self._new_rnas: list[CleanedRna] = []
        self._cache: Cache | None = None
        self._cached_ids: list[int] = []
        self._cached_rnas: list[str] = []
        self._answer: _Answer | None = None
        # Held while a token is written, and while what was written is put away.
        self._lock = threading.RLock()

    @classmethod
    def from_pretrained(cls, name_or_path: str | None = None, **kwargs: Any) -> RnaChat:
        """Load the model and begin a conversation; arguments and errors as of `load_model`."""
        name_or_path = resolve_model(name_or_path)
        return cls(load_model(name_or_path, **kwargs), load_processor(name_or_path, **kwargs))

    def add_rna(self, sequence: str | CleanedRna, name: str = "") -> CleanedRna:
        """Add an RNA, at the start or in the middle; the next question brings it to the model.

        Args:
            sequence: a sequence or a FASTA record as text, or what `clean_rna` made of it.
            name: what errors call the RNA.

        Returns:
            The RNA as the model will read it, with what cleaning changed.

        Raises:
            RnaSequenceError: when the sequence is rejected; the conversation is as before.
        """
        rna = clean_once(sequence, name, self.processor)
        self._new_rnas.append(rna)
        return rna

    def ask(
        self, question: str, *, max_new_tokens: int = MAX_NEW_TOKENS, **generation: Any
    ) -> Iterator[str]:
        """Ask a question; the answer comes in pieces while the model writes it.

        The model writes while the iterator is read, and in the thread that reads it. Closing the
        iterator stops the answer, as does letting go of it.

        Args:
            question: plain text, without control tokens of the language model.
            max_new_tokens: the longest answer; less where the context ends before.
            **generation: for `model.generate`. Greedy by default; beams cannot be streamed.

        Raises:
            ValueError: when the question does not fit the language model's context, holds a control
                token or is empty; the conversation is as before.
            RuntimeError: while another answer is being written.
        """
        with self._lock:
            self._end_stopped()
            if not question.strip():
                raise ValueError("The question is empty.")
            turn = user_message(question, [rna.sequence for rna in self._new_rnas])
            inputs = encode_prompts(self.processor, [[*self.messages, turn]])
            options = {
                **generation_options(self.model, self.processor, generation),
                "max_new_tokens": min(max_new_tokens, remaining_context(self.model, inputs)),
            }
            answer = _Answer(
                turn, inputs, options, IncrementalDetokenizer(self.processor.tokenizer)
            )
            pieces = self._read(answer)
            answer.reader = weakref.ref(pieces)
            self._answer = answer
            self.confidence = None
        return pieces

    def explain(self, answer: str | None = None) -> list[NucleotideScores]:
        """Say which nucleotides the last answer rests on.

        Args:
            answer: words to explain in place of the model's own, as the answer to the last
                question: "a tRNA", to see what would speak for that. Default: the last answer.

        Returns:
            For each RNA of the conversation, in order, one score a nucleotide; `explain_answer`
            says what it means.

        Raises:
            ValueError: when nothing was answered yet, when there is no RNA, or when `answer` does
                not fit the language model's context.
        """
        if not self.messages:
            raise ValueError("Nothing was answered yet. Ask a question about an RNA first.")
        words = self.messages[-1]["content"] if answer is None else answer
        told = {"role": "assistant", "content": words}
        return explain_answer(self.model, self.processor, [*self.messages[:-1], told])

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
            self.confidence = None
            self._new_rnas = []
            self._forget_cache()

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
            if self._answer is not answer:
                return None  # reset, or another question was asked after stop()
            try:
                if answer.tokens is None:
                    answer.tokens = self._begin(answer)
                token = None if answer.stopped else next(iter(answer.tokens), None)
            except BaseException:
                # Some layers' cache may be longer than others'.
                self._answer = None
                self._forget_cache()
                raise
            if token is not None:
                return answer.text.add([token])
            rest = answer.text.finish()
            self._end(answer)
            return rest or None

    def _begin(self, answer: _Answer) -> TokenStream:
        rnas = rnas_of([*self.messages, answer.turn])
        arguments = self._without_cached(answer.inputs, rnas)
        return TokenStream(
            self.model, {**arguments, **answer.probabilities.noted_in(answer.options)}
        )

    def _end(self, answer: _Answer) -> None:
        """Put an answer into the conversation, as far as it came, unless that is done."""
        with self._lock:
            if self._answer is not answer:
                return
            self._answer = None
            prompt_length = answer.inputs["input_ids"].shape[1]
            if answer.tokens is None or answer.tokens.ids.shape[1] == prompt_length:
                return  # not a token was written
            ids = answer.tokens.ids
            new_ids = ids[:, prompt_length:]
            words = self.processor.tokenizer.decode(new_ids[0].tolist(), skip_special_tokens=True)
            self.messages += [answer.turn, {"role": "assistant", "content": words}]
            written = answer.probabilities.read(new_ids, answer.options["eos_token_id"])
            self.confidence = confidence_of(self.model.config, words, *written[0])
            # Not all: one may have been added while this answer was written.
            del self._new_rnas[: len(rnas_of([answer.turn]))]
            self._cache = answer.tokens.cache
            # The last token was never an input, so it is not in the cache.
            self._cached_ids = [] if self._cache is None else ids[0, :-1].tolist()
            self._cached_rnas = rnas_of(self.messages)

    def _without_cached(self, inputs: BatchFeature, rnas: list[str]) -> dict[str, Any]:
        """The inputs for `generate`, without the RNAs that lie in the cache, and with the cache."""
        if self._cached_rnas != rnas[: len(self._cached_rnas)]:
            # The messages were edited from outside, and placeholders do not tell RNAs apart.
            self._forget_cache()
        input_ids = inputs["input_ids"][0].tolist()
        num_cached = self._shorten_cache(input_ids)
        arguments = dict(inputs.to(self.model.device))
        if not num_cached:
            return arguments
        arguments[CACHE_NAME] = self._cache
        if "rna_input_ids" not in arguments:
            return arguments
        num_placeholders = input_ids[num_cached:].count(self.processor.rna_token_id)
        lengths = arguments["rna_attention_mask"].sum(1).tolist()
        num_rnas = len(lengths)
        while num_placeholders:
            num_rnas -= 1
            num_placeholders -= self.processor.num_rna_tokens(lengths[num_rnas])
        for name in ("rna_input_ids", "rna_attention_mask"):
            rows = arguments.pop(name)[num_rnas:]
            if len(rows):
                arguments[name] = rows
        return arguments

    def _shorten_cache(self, input_ids: list[int]) -> int:
        """Cut the cache to the tokens it shares with a new prompt; returns how many these are.

        Usually these are all. But text is tokenised again with every turn, which may split an
        answer's words in another way than the model wrote them, and some chat templates shorten
        old turns.
        """
        num_shared = 0
        # One token has to be left, or there would be nothing to predict from.
        for cached, given in zip(self._cached_ids, input_ids[:-1], strict=False):
            if cached != given:
                break
            num_shared += 1
        surplus = len(self._cached_ids) - num_shared
        if not num_shared or (surplus and not _is_plain(self._cache)):
            self._forget_cache()
            return 0
        if surplus and self._cache is not None:
            self._cache.crop(-surplus)
            self._cached_ids = self._cached_ids[:num_shared]
        return num_shared

    def _forget_cache(self) -> None:
        self._cache = None
        self._cached_ids = []
        self._cached_rnas = []


def _is_plain(cache: Cache | None) -> bool:
    """Whether tokens at the end of a cache can be taken back: not once a window has slid past."""
    layers = cache.layers if isinstance(cache, DynamicCache) else [None]
    return all(type(layer) is DynamicLayer for layer in layers)


__all__ = ["RnaChat"]
