"""A conversation about RNAs, streamed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import torch
from transformers import (
    BatchFeature,
    Cache,
    DynamicCache,
    StoppingCriteria,
    StoppingCriteriaList,
    TextIteratorStreamer,
)
from transformers.cache_utils import DynamicLayer

from rnagpt.explain_rnagpt import NucleotideScores, explain_answer, rnas_of
from rnagpt.generation_rnagpt import (
    MAX_NEW_TOKENS,
    TokenProbabilities,
    clean_once,
    confidence_of,
    encode_prompts,
    generation_options,
    room_for_answer,
    user_message,
)
from rnagpt.loading_rnagpt import load_model, load_processor
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import CleanedRna, RnaGptProcessor


class RnaChat:
    """A conversation about one or several RNAs.

    The keys and values of all earlier turns are kept, so a new turn costs no more than its own
    tokens; an RNA is encoded once, in the turn that brings it. One answer at a time; `stop` and
    `reset` may be called from any thread.

    Attributes:
        messages: the conversation so far, as the processor's chat template takes it. An answer that
            was stopped is in it as far as it came; a question that raised is not.
        confidence: of the last answer, as `confidence_of` gives it; None before there is one and
            while another is being written.

    Example:
        >>> chat = RnaChat.from_pretrained("./rna-gpt-mini")
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
        self._stopped = threading.Event()
        self._worker: threading.Thread | None = None

    @classmethod
    def from_pretrained(cls, name_or_path: str, **kwargs: Any) -> RnaChat:
        """Load the model and begin a conversation; arguments and errors as of `load_model`."""
        return cls(load_model(name_or_path, **kwargs), load_processor(name_or_path, **kwargs))

    def add_rna(self, sequence: str | CleanedRna, name: str = "") -> CleanedRna:
        """Add an RNA, at the start or in the middle; the next question brings it to the model.

        Args:
            sequence: a sequence or a FASTA record as text, or what `clean_rna` made of it.
            name: what errors call the RNA.

        Returns:
            The RNA as the model will read it, with what cleaning changed.

        Raises:
            RnaSequenceError: when the sequence is refused; the conversation is as before.
        """
        rna = clean_once(sequence, name, self.processor)
        self._new_rnas.append(rna)
        return rna

    def ask(
        self, question: str, *, max_new_tokens: int = MAX_NEW_TOKENS, **generation: Any
    ) -> Iterator[str]:
        """Ask a question; the answer comes in pieces while the model writes it.

        The model begins at once, in a thread of its own, and what goes wrong there is raised by the
        iterator. Closing the iterator stops the answer.

        Args:
            question: plain text, without control tokens of the language model.
            max_new_tokens: the longest answer; less where the context ends before.
            **generation: for `model.generate`. Greedy by default; beams cannot be streamed.

        Raises:
            ValueError: when the question does not fit the language model's context, holds a control
                token or is empty; the conversation is as before.
            RuntimeError: while another answer is being written.
        """
        if self._worker is not None and self._worker.is_alive():
            raise RuntimeError(
                "The last answer is still being written. Read it to its end or stop()."
            )
        if not question.strip():
            raise ValueError("The question is empty.")
        turn = user_message(question, [rna.sequence for rna in self._new_rnas])
        inputs = encode_prompts(self.processor, [[*self.messages, turn]])
        options = {
            **generation_options(self.model, self.processor, generation),
            "max_new_tokens": min(max_new_tokens, room_for_answer(self.model, inputs)),
        }
        streamer = TextIteratorStreamer(
            self.processor.tokenizer, skip_prompt=True, skip_special_tokens=True
        )
        errors: list[BaseException] = []
        self.confidence = None
        self._stopped.clear()
        self._worker = threading.Thread(
            target=self._answer, args=(turn, inputs, options, streamer, errors), daemon=True
        )
        self._worker.start()
        return self._read(streamer, self._worker, errors)

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
        self._stopped.set()

    def reset(self) -> None:
        """Forget the conversation and its RNAs; an answer that is being written is stopped."""
        self.stop()
        if self._worker is not None:
            self._worker.join()
        self.messages = []
        self.confidence = None
        self._new_rnas = []
        self._forget_cache()

    def _read(
        self, streamer: TextIteratorStreamer, worker: threading.Thread, errors: list[BaseException]
    ) -> Iterator[str]:
        try:
            yield from filter(None, streamer)
        finally:
            # Reached early where the reader goes away; else the worker is about to end by itself.
            self.stop()
            worker.join()
        if errors:
            raise errors[0]

    def _answer(
        self,
        turn: dict[str, Any],
        inputs: BatchFeature,
        options: dict[str, Any],
        streamer: TextIteratorStreamer,
        errors: list[BaseException],
    ) -> None:
        """Write the answer to the streamer and the turn to the conversation; errors to the list."""
        prompt_length = inputs["input_ids"].shape[1]
        stop = StoppingCriteriaList([_StopWhenSet(self._stopped)])
        tokens = TokenProbabilities()
        try:
            outputs = self.model.generate(
                **self._without_cached(inputs, rnas_of([*self.messages, turn])),
                **tokens.noted_in(options),
                streamer=streamer,
                stopping_criteria=stop,
                return_dict_in_generate=True,
            )
            ids = outputs.sequences[0].tolist()
            answer = self.processor.tokenizer.decode(ids[prompt_length:], skip_special_tokens=True)
            self.messages += [turn, {"role": "assistant", "content": answer}]
            written = tokens.read(outputs.sequences[:, prompt_length:], options["eos_token_id"])
            self.confidence = confidence_of(self.model.config, answer, *written[0])
            # Not all: one may have been added while this answer was written.
            del self._new_rnas[: len(rnas_of([turn]))]
            self._cache = outputs.past_key_values
            # The last token was never an input, so it is not in the cache.
            self._cached_ids = [] if self._cache is None else ids[:-1]
            self._cached_rnas = rnas_of(self.messages)
        except BaseException as error:
            self._forget_cache()
            errors.append(error)
            streamer.text_queue.put(streamer.stop_signal)

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
        arguments["past_key_values"] = self._cache
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

        Usually these are all. But text is tokenised anew with every turn, which may split an
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


class _StopWhenSet(StoppingCriteria):
    """Ends generation when an event is set."""

    def __init__(self, event: threading.Event) -> None:
        self.event = event

    def __call__(
        self, input_ids: torch.LongTensor, scores: torch.FloatTensor, **kwargs: Any
    ) -> torch.Tensor:
        return torch.full((len(input_ids),), self.event.is_set(), device=input_ids.device)


def _is_plain(cache: Cache | None) -> bool:
    """Whether tokens at the end of a cache can be taken back: not once a window has slid past."""
    layers = cache.layers if isinstance(cache, DynamicCache) else [None]
    return all(type(layer) is DynamicLayer for layer in layers)


__all__ = ["RnaChat"]
