"""A conversation about RNAs, streamed; and many questions about many RNAs, in batches."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import (
    AutoConfig,
    BatchFeature,
    Cache,
    DynamicCache,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
    TextIteratorStreamer,
)
from transformers.cache_utils import DynamicLayer

from rnagpt.configuration_rnagpt import RnaGptConfig
from rnagpt.declining import declines
from rnagpt.explain_rnagpt import NucleotideScores, explain_answer, rnas_of
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import CleanedRna, RnaGptProcessor, clean_rna

MAX_NEW_TOKENS = 256
# Questions are sorted by length among so many batches: enough to pad little, few enough to stream.
_BATCHES_SORTED_TOGETHER = 4
_HUB_OPTIONS = ("revision", "token", "cache_dir", "force_download", "local_files_only")

# The tokenizer is found by way of the configuration. Unless that is known, transformers asks, on
# standard input, whether to run the code that lies beside the weights; it is this very code.
AutoConfig.register(RnaGptConfig.model_type, RnaGptConfig, exist_ok=True)


@dataclass(frozen=True)
class Answer:
    """The answer to one question about one RNA.

    Attributes:
        record: which RNA, counted from 1 (names may repeat).
        name: the RNA's name; "RNA 1" and so on where it has none.
        length: the RNA's length in nt.
        changes: what cleaning changed in the sequence, such as "12 T read as U".
        question: the question as given.
        answer: the model's words.
        complete: False where `max_new_tokens` or the context's end cut the answer short.
        log_probability: the natural logarithm of the answer's probability: the sum over its
            tokens, the one that ends it included.
        confidence: how likely the answer is right, from 0 to 1; `confidence_of` says by what.
        declines: whether the model says that it does not know.
    """

    record: int
    name: str
    length: int
    changes: tuple[str, ...]
    question: str
    answer: str
    complete: bool
    log_probability: float
    confidence: float | None
    declines: bool


def load_processor(name_or_path: str, **kwargs: Any) -> RnaGptProcessor:
    """Load a model's processor; arguments as of `load_model`, of which others are left aside."""
    options = _hub_options(kwargs)
    _check_model_type(name_or_path, options)
    return RnaGptProcessor.from_pretrained(name_or_path, **options)


def load_model(name_or_path: str, **kwargs: Any) -> RnaGptForCausalLM:
    """Load a model from a folder or from the Hub, ready to answer.

    Args:
        name_or_path: a folder that `rnagpt compose`, `rnagpt mini` or `save_pretrained` wrote,
            or a Hub id.
        **kwargs: for `RnaGptForCausalLM.from_pretrained`. Without `device_map` the model goes to
            the accelerator if there is one; without `dtype` it is float32 on a CPU, and on an
            accelerator what the weights are stored in.

    Raises:
        OSError: when there is no such model.
        ValueError: when it is another kind of model.
    """
    _check_model_type(name_or_path, _hub_options(kwargs))
    has_accelerator = torch.accelerator.is_available()
    device = torch.accelerator.current_accelerator() if has_accelerator else None
    # Few CPUs have bfloat16 units; without them it is slower than float32.
    kwargs.setdefault("dtype", torch.float32 if device is None else "auto")
    model = RnaGptForCausalLM.from_pretrained(name_or_path, **kwargs)
    if device is not None and "device_map" not in kwargs:
        model.to(device)
    return model


def _hub_options(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Those that say where on the Hub a model is found, and for whom."""
    return {name: value for name, value in kwargs.items() if name in _HUB_OPTIONS}


def _check_model_type(name_or_path: str, options: dict[str, Any]) -> None:
    model_type = RnaGptConfig.get_config_dict(name_or_path, **options)[0].get("model_type")
    if model_type != RnaGptConfig.model_type:
        raise ValueError(
            f"{name_or_path} holds a model of type {model_type!r}, not "
            f"{RnaGptConfig.model_type!r}. `rnagpt compose` makes an RNA-GPT of an RNA encoder and "
            "a language model."
        )


def confidence_of(
    config: RnaGptConfig, answer: str, log_probability: float, complete: bool
) -> float | None:
    """How likely an answer is right, by Platt's scaling (1999) of its log-probability.

    The model's configuration holds the two numbers, fitted to greedy answers to the questions that
    `evaluate_sft.py` asks; for questions of another kind they are a guess.

    Returns:
        From 0 to 1. None where the model was not calibrated, for an answer that was cut short, and
        for one that declines: how often that is right depends on what is asked about.
    """
    if config.confidence_scale is None or config.confidence_bias is None or not complete:
        return None
    if declines(answer):
        return None
    logit = config.confidence_scale * log_probability + config.confidence_bias
    # The sigmoid, in the form that overflows nowhere.
    return 0.5 + 0.5 * math.tanh(logit / 2)


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
        rna = _clean(sequence, name, self.processor)
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
        inputs = _encode(self.processor, [[*self.messages, turn]])
        options = {
            **_generation_options(self.model, self.processor, generation),
            "max_new_tokens": min(max_new_tokens, _room(self.model, inputs)),
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
        tokens = _TokenProbabilities()
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


def answer_questions(
    model: RnaGptForCausalLM,
    processor: RnaGptProcessor,
    rnas: Iterable[str | CleanedRna],
    questions: Sequence[str],
    *,
    batch_size: int = 8,
    max_new_tokens: int = MAX_NEW_TOKENS,
    **generation: Any,
) -> Iterator[Answer]:
    """Ask every question about every RNA, each on its own, in batches.

    Answers come in order, all questions of the first RNA first, as soon as they are there. Prompts
    of similar length share a batch, and an RNA is encoded once for all its questions.

    Args:
        rnas: sequences or FASTA records as text, or what `clean_rna` made of them.
        questions: plain text.
        batch_size: prompts that the language model answers at once.
        max_new_tokens: the longest answer; less where the context ends before.
        **generation: for `model.generate`; greedy by default.

    Raises:
        RnaSequenceError: when a sequence is refused.
        ValueError: when a prompt does not fit the language model's context, or a question is
            empty or holds a control token. All of these before the first answer.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
    cleaned = [_clean(rna, "", processor) for rna in rnas]
    for question in questions:
        if not question.strip():
            raise ValueError("A question is empty.")
    prompts = [
        _Prompt(model, processor, record, rna, question)
        for record, rna in enumerate(cleaned, start=1)
        for question in questions
    ]
    options = _generation_options(model, processor, generation)
    return _answer_prompts(model, processor, prompts, batch_size, max_new_tokens, options)


class _Prompt:
    """A question about an RNA, checked: `length` in tokens, `room` for the answer."""

    def __init__(
        self,
        model: RnaGptForCausalLM,
        processor: RnaGptProcessor,
        record: int,
        rna: CleanedRna,
        question: str,
    ) -> None:
        self.record = record
        self.rna = rna
        self.question = question
        self.name = rna.name or f"RNA {record}"
        self.messages = [user_message(question, [rna.sequence])]
        try:
            inputs = _encode(processor, [self.messages])
            self.room = _room(model, inputs)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from error
        self.length = inputs["input_ids"].shape[1]

    def answered(
        self, answer: str, log_probability: float, complete: bool, config: RnaGptConfig
    ) -> Answer:
        return Answer(
            record=self.record,
            name=self.name,
            length=len(self.rna.sequence),
            changes=self.rna.changes,
            question=self.question,
            answer=answer.strip(),
            complete=complete,
            log_probability=log_probability,
            confidence=confidence_of(config, answer, log_probability, complete),
            declines=declines(answer),
        )


def _answer_prompts(
    model: RnaGptForCausalLM,
    processor: RnaGptProcessor,
    prompts: list[_Prompt],
    batch_size: int,
    max_new_tokens: int,
    options: dict[str, Any],
) -> Iterator[Answer]:
    encoder = _OnceEncoder(model)
    window = batch_size * _BATCHES_SORTED_TOGETHER
    for start in range(0, len(prompts), window):
        group = range(start, min(start + window, len(prompts)))
        waiting = sorted(group, key=lambda index: prompts[index].length)
        ready: dict[int, Answer] = {}
        next_index = start
        for first in range(0, len(waiting), batch_size):
            indices = waiting[first : first + batch_size]
            batch = [prompts[index] for index in indices]
            longest_answer = min(max_new_tokens, *(prompt.room for prompt in batch))
            answers = _answer_batch(
                model, processor, encoder, batch, {**options, "max_new_tokens": longest_answer}
            )
            ready |= zip(indices, answers, strict=True)
            while next_index in ready:
                yield ready.pop(next_index)
                next_index += 1
        last = prompts[group[-1]].record
        encoder.forget_before(last)


def _answer_batch(
    model: RnaGptForCausalLM,
    processor: RnaGptProcessor,
    encoder: _OnceEncoder,
    batch: list[_Prompt],
    options: dict[str, Any],
) -> list[Answer]:
    inputs = _encode(processor, [prompt.messages for prompt in batch]).to(model.device)
    rna_hidden_states = encoder.encode(
        [prompt.record for prompt in batch],
        inputs.pop("rna_input_ids"),
        inputs["rna_attention_mask"],
    )
    tokens = _TokenProbabilities()
    sequences = model.generate(
        **inputs, rna_hidden_states=rna_hidden_states, **tokens.noted_in(options)
    )
    new_ids = sequences[:, inputs["input_ids"].shape[1] :]
    texts = processor.tokenizer.batch_decode(new_ids, skip_special_tokens=True)
    written = tokens.read(new_ids, options["eos_token_id"])
    return [
        prompt.answered(text, *how, model.config)
        for prompt, text, how in zip(batch, texts, written, strict=True)
    ]


class _OnceEncoder:
    """Runs the RNA encoder once for each record, however many questions follow."""

    def __init__(self, model: RnaGptForCausalLM) -> None:
        self.model = model
        self.outputs: dict[int, torch.Tensor] = {}

    @torch.no_grad()
    def encode(
        self, records: list[int], rna_input_ids: torch.Tensor, rna_attention_mask: torch.Tensor
    ) -> torch.Tensor:
        """Encoder outputs (rnas, longest, rna hidden) of one record a row, new or known."""
        new = {record: row for row, record in enumerate(records) if record not in self.outputs}
        lengths = rna_attention_mask.sum(1).tolist()
        if new:
            rows = list(new.values())
            outputs = self.model.encode_rna(rna_input_ids[rows], rna_attention_mask[rows])
            for (record, row), output in zip(new.items(), outputs, strict=True):
                # A copy, since a slice would keep the whole batch in memory.
                self.outputs[record] = output[: lengths[row]].clone()
        return torch.nn.utils.rnn.pad_sequence(
            [self.outputs[record] for record in records], batch_first=True
        )

    def forget_before(self, record: int) -> None:
        self.outputs = {known: self.outputs[known] for known in self.outputs if known >= record}


class _TokenProbabilities(LogitsProcessor):
    """Notes how likely each token of the answers is, and changes nothing.

    It keeps one number a token; `output_logits` would keep one for every word of the vocabulary.
    """

    def __init__(self) -> None:
        self._noted: list[torch.Tensor] = []
        self._next: torch.Tensor | None = None

    def noted_in(self, options: dict[str, Any]) -> dict[str, Any]:
        """The options for `generate`, this one last among the logits processors given."""
        given = options.get("logits_processor") or []
        return {**options, "logits_processor": LogitsProcessorList([*given, self])}

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        # A step learns which token the one before it has chosen.
        self._note(input_ids[:, -1])
        self._next = scores.log_softmax(-1)
        return scores

    def read(self, new_ids: torch.Tensor, ends: int | list[int]) -> list[tuple[float, bool]]:
        """Log-probability of each answer, and whether it is complete, from tokens (batch, new)."""
        if len(self._noted) < new_ids.shape[1]:
            self._note(new_ids[:, -1])
        # On an accelerator some steps may have been taken too many, and taken back.
        noted = torch.stack(self._noted[: new_ids.shape[1]], dim=1)
        ended = torch.isin(new_ids, new_ids.new_tensor(ends))
        padding = ended.cumsum(1) - ended.long() > 0
        sums = noted.masked_fill(padding, 0.0).sum(1)
        return list(zip(sums.tolist(), ended.any(1).tolist(), strict=True))

    def _note(self, tokens: torch.Tensor) -> None:
        if self._next is not None:
            self._noted.append(self._next.gather(1, tokens.unsqueeze(1)).squeeze(1))
        self._next = None


class _StopWhenSet(StoppingCriteria):
    """Ends generation when an event is set."""

    def __init__(self, event: threading.Event) -> None:
        self.event = event

    def __call__(
        self, input_ids: torch.LongTensor, scores: torch.FloatTensor, **kwargs: Any
    ) -> torch.Tensor:
        return torch.full((len(input_ids),), self.event.is_set(), device=input_ids.device)


def _clean(sequence: str | CleanedRna, name: str, processor: RnaGptProcessor) -> CleanedRna:
    if isinstance(sequence, CleanedRna):
        return sequence
    return clean_rna(
        sequence,
        name=name,
        max_length=processor.max_rna_length,
        max_ambiguous=processor.max_ambiguous,
    )


def user_message(question: str, sequences: list[str]) -> dict[str, Any]:
    """A question with the RNAs that it brings, as the processor's chat template takes it."""
    parts: list[dict[str, str]] = [{"type": "rna", "rna": sequence} for sequence in sequences]
    return {"role": "user", "content": [*parts, {"type": "text", "text": question}]}


def _encode(processor: RnaGptProcessor, conversations: list[list[dict[str, Any]]]) -> BatchFeature:
    return processor.apply_chat_template(
        conversations,
        add_generation_prompt=True,
        tokenize=True,
        processor_kwargs={"padding_side": "left"},
    )


def _room(model: RnaGptForCausalLM, inputs: BatchFeature) -> int:
    """Tokens that an answer to a prompt may have before the language model's context ends."""
    context = model.config.text_config.max_position_embeddings
    length = inputs["input_ids"].shape[1]
    if length >= context:
        raise ValueError(
            f"The conversation takes {length:,} tokens, and the language model reads {context:,}, "
            "the answer included. Begin a new conversation, or give fewer or shorter RNAs."
        )
    return context - length


def _generation_options(
    model: RnaGptForCausalLM, processor: RnaGptProcessor, given: dict[str, Any]
) -> dict[str, Any]:
    for name in ("num_beams", "num_return_sequences"):
        if given.get(name, 1) != 1:
            raise ValueError(f"One answer is written to a question: {name} must be 1.")
    return {
        "do_sample": False,
        "eos_token_id": end_tokens(model, processor),
        "pad_token_id": processor.tokenizer.pad_token_id,
        **given,
    }


def end_tokens(model: RnaGptForCausalLM, processor: RnaGptProcessor) -> list[int]:
    """Tokens that end an answer: the tokenizer's, and those that the model's author names."""
    named = model.generation_config.eos_token_id
    ends = named if isinstance(named, list) else [named]
    return sorted({end for end in [*ends, processor.tokenizer.eos_token_id] if end is not None})


def _is_plain(cache: Cache | None) -> bool:
    """Whether tokens at the end of a cache can be taken back: not once a window has slid past."""
    layers = cache.layers if isinstance(cache, DynamicCache) else [None]
    return all(type(layer) is DynamicLayer for layer in layers)


__all__ = [
    "Answer",
    "RnaChat",
    "answer_questions",
    "confidence_of",
    "end_tokens",
    "load_model",
    "load_processor",
    "user_message",
]
