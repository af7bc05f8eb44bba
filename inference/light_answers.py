"""Greedy answers by llama.cpp with neither PyTorch nor transformers, whose import takes seconds.

For models whose encoder is a table, and for questions without options of `generate`. The tokens are
those that `llama_answers` would choose; where anything is out of the ordinary, that writes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from rnagpt.inference.cited import Words
from rnagpt.inference.confidence import confidence_of
from rnagpt.inference.detokenizer import IncrementalDetokenizer
from rnagpt.inference.kept_tokens import count_kept
from rnagpt.inference.light_prompts import EncodedPrompt, LightPrompts
from rnagpt.inference.llama_context import LlamaContext, Vectors, conversation_cells, read_prompts
from rnagpt.inference.messages import user_message
from rnagpt.inference.table_reader import NotReadableError, TableReader

if TYPE_CHECKING:
    from rnagpt.inference.token_writer import TokenWriter, WrittenAnswer

_SEQUENCE = 0  # of a context that holds one
# Fields of a generation config that change nothing in a greedy answer.
_GREEDY = {
    *("_from_model_config", "bos_token_id", "eos_token_id", "pad_token_id", "transformers_version"),
    *("use_cache", "output_attentions", "output_hidden_states", "return_dict_in_generate"),
    *("do_sample", "temperature", "top_p", "top_k", "max_length", "max_new_tokens"),
}


class LightModel:
    """What embeds prompts, and says how answers end.

    Args:
        config: of the model, `config.json`.
        prompts: of its folder.
        reader: of its folder.
        ends: tokens that end an answer.

    Attributes:
        vocabulary: tokens of the language model.
        hidden: size of its vectors.
        reads: tokens that it reads, the answer included.
        never: the token that stands for RNAs, where the vocabulary has it: no answer may hold it.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        prompts: LightPrompts,
        reader: TableReader,
        ends: Sequence[int],
    ) -> None:
        text = config["text_config"]
        self.prompts, self.reader, self.ends = prompts, reader, frozenset(ends)
        self.vocabulary, self.hidden = int(text["vocab_size"]), int(text["hidden_size"])
        self.reads = int(text["max_position_embeddings"])
        self.calibration = SimpleNamespace(
            confidence_scale=config.get("confidence_scale"),
            confidence_bias=config.get("confidence_bias"),
        )
        placeholder = int(config["rna_token_id"])
        self.never = placeholder if placeholder < self.vocabulary else None

    @classmethod
    def open(cls, folder: Path) -> LightModel | None:
        """That of a folder; None where PyTorch is needed to read it, or transformers to prompt."""
        if not (folder / "config.json").is_file():
            return None
        config = json.loads((folder / "config.json").read_text("utf-8"))
        text = config.get("text_config") or {}
        sizes = ("vocab_size", "hidden_size", "max_position_embeddings")
        if not TableReader.can_read(config) or not all(map(text.get, sizes)):
            return None
        prompts = LightPrompts.open(folder)
        if prompts is None or prompts.rna_token_id != config["rna_token_id"]:
            return None
        ends = _end_tokens(folder, prompts)
        if ends is None:
            return None
        try:
            return cls(config, prompts, TableReader(folder, config), ends)
        except NotReadableError:
            return None

    def encode(self, messages: Sequence[Mapping[str, Any]]) -> EncodedPrompt | None:
        """A prompt that leaves room for an answer; None where the processor has to see to it."""
        prompt = self.prompts.encode(messages)
        most = min(self.prompts.longest, self.reads - 1)
        return None if prompt is None or len(prompt.ids) > most else prompt

    def choose(self, logits: Vectors) -> tuple[int, float]:
        """The likeliest token, and the natural logarithm of its probability."""
        if self.never is not None:
            logits[self.never] = np.finfo(logits.dtype).min
        token = int(logits.argmax())
        return token, -float(np.log(np.exp(logits - logits[token]).sum()))

    def words(self, tokens: list[int], log_probability: float) -> Words:
        """An answer, as far as it is written."""
        text = self.prompts.decode(tokens, skip_special_tokens=True)
        complete = bool(tokens) and tokens[-1] in self.ends
        confidence = confidence_of(self.calibration, text, log_probability, complete)
        return Words(text, log_probability, complete, confidence)


def _end_tokens(folder: Path, prompts: LightPrompts) -> list[int] | None:
    """As `generation.end_tokens`; None where the folder asks for more than greedy answers."""
    file = folder / "generation_config.json"
    if not file.is_file():
        return None
    settings = json.loads(file.read_text("utf-8"))
    asked = {name for name, value in settings.items() if value is not None}
    named = settings.get("eos_token_id")
    ends = named if isinstance(named, list) else [named]
    found = [end for end in [*ends, prompts.end_token] if end is not None]
    return found if asked <= _GREEDY and found else None


@dataclass(eq=False)
class LightAnswer:
    """An answer from its prompt to its last token."""

    prompt: EncodedPrompt
    most: int
    text: IncrementalDetokenizer
    tokens: list[int] = field(default_factory=list)
    log_probability: float = 0.0
    ended: bool = False
    logits: Vectors | None = None


class LightWriter:
    """Writes one answer at a time, as `TokenWriter` does; what it cannot, `others` writes.

    Args:
        model: whose answers these are.
        new_context: makes a context of so many cells.
        others: the writer that loads PyTorch.
    """

    def __init__(
        self,
        model: LightModel,
        new_context: Callable[[int], LlamaContext],
        others: Callable[[], TokenWriter],
    ) -> None:
        self._model = model
        self._new_context = new_context
        self._others = others
        self._loaded: TokenWriter | None = None
        self._context: LlamaContext | None = None
        self._cached_ids: list[int] = []
        self._vectors: dict[str, Vectors] = {}  # of the last prompt's RNAs
        self._cached_rnas: list[str] = []

    def prepare(
        self,
        messages: Sequence[Mapping[str, Any]],
        max_new_tokens: int,
        generation: dict[str, Any],
    ) -> LightAnswer | WrittenAnswer:
        """See `TokenWriter`."""
        prompt = None if generation else self._model.encode(messages)
        if prompt is None:
            self._loaded = self._loaded or self._others()
            return self._loaded.prepare(messages, max_new_tokens, generation)
        room = self._model.reads - len(prompt.ids)
        text = IncrementalDetokenizer(self._model.prompts)
        return LightAnswer(prompt, min(max_new_tokens, room), text)

    def next_token(self, answer: LightAnswer | WrittenAnswer) -> int | None:
        """See `TokenWriter`."""
        if not isinstance(answer, LightAnswer):
            assert self._loaded is not None  # which prepared it
            return self._loaded.next_token(answer)
        if answer.ended:
            return None
        try:
            logits = self._read(answer)
        except BaseException:
            self.forget()
            raise
        token, log_probability = self._model.choose(logits)
        answer.tokens.append(token)
        answer.log_probability += log_probability
        answer.ended = token in self._model.ends or len(answer.tokens) == answer.most
        return token

    def finish(self, answer: LightAnswer | WrittenAnswer) -> Words | None:
        """See `TokenWriter`."""
        if not isinstance(answer, LightAnswer):
            assert self._loaded is not None
            return self._loaded.finish(answer)
        return self._model.words(answer.tokens, answer.log_probability) if answer.tokens else None

    def forget(self) -> None:
        """Empty the cache."""
        self._cached_ids, self._cached_rnas = [], []
        self._vectors = {}
        if self._loaded is not None:
            self._loaded.forget()

    def _read(self, answer: LightAnswer) -> Vectors:
        """The logits after what is written: the prompt, or the last token, is read."""
        if not answer.tokens:
            return self._read_prompt(answer)
        assert self._context is not None
        place = len(self._cached_ids)
        logits: Vectors = self._context.step(answer.tokens[-1:], [_SEQUENCE], [place])[0]
        self._cached_ids.append(answer.tokens[-1])
        return logits

    def _read_prompt(self, answer: LightAnswer) -> Vectors:
        prompt = answer.prompt
        context = self._context_for(len(prompt.ids) + answer.most)
        kept = self._num_kept(prompt)
        reader = self._model.reader
        self._vectors = {
            rna: self._vectors[rna] if rna in self._vectors else reader.rna_vectors(rna)
            for rna in prompt.rnas
        }
        embeds = reader.embed(prompt.ids, [self._vectors[rna] for rna in prompt.rnas])
        context.cut(_SEQUENCE, kept)
        logits: Vectors = context.read(_SEQUENCE, kept, embeds[kept:])
        self._cached_ids, self._cached_rnas = list(prompt.ids), prompt.rnas
        return logits

    def _num_kept(self, prompt: EncodedPrompt) -> int:
        """Tokens that the context holds of this prompt; at least one is left to read."""
        prompts = self._model.prompts
        return count_kept(
            self._cached_ids,
            self._cached_rnas,
            prompt.ids,
            prompt.rnas,
            rna_token=prompts.rna_token_id,
            sizes=[prompts.num_rna_tokens(len(rna)) for rna in prompt.rnas],
        )

    def _context_for(self, needed: int) -> LlamaContext:
        """One that an answer fits: a larger one, which begins anew, where it outgrows the last."""
        if self._context is None or self._context.cells < needed:
            self._cached_ids, self._cached_rnas = [], []
            self._context = None  # before the next one takes its memory
            self._context = self._new_context(conversation_cells(needed))
        return self._context


@dataclass
class LightPrompt:
    """A text about an RNA, as `prompt_batches.Prompt` has it, with its tokens."""

    key: int
    messages: list[dict[str, Any]]
    encoded: EncodedPrompt
    room: int

    @property
    def length(self) -> int:
        return len(self.encoded.ids)

    @classmethod
    def of(cls, model: LightModel, key: int, sequence: str, text: str) -> LightPrompt | None:
        """None where the processor has to see to it."""
        messages = [user_message(text, [sequence])]
        encoded = model.encode(messages)
        if encoded is None:
            return None
        return cls(key, messages, encoded, model.reads - len(encoded.ids))


class LightBatches:
    """Answers of a batch, each in a sequence of its own of one context; see `LlamaBatches`.

    Args:
        model: whose answers these are.
        context: with as many sequences as a batch has prompts.
    """

    def __init__(self, model: LightModel, context: LlamaContext) -> None:
        self._model, self._context = model, context
        self._vectors: dict[int, Vectors] = {}

    def options(self, generation: dict[str, Any]) -> dict[str, Any]:
        """See `Batches`; there are none here."""
        assert not generation
        return {}

    def forget_before(self, key: int) -> None:
        """See `Batches`."""
        self._vectors = {known: self._vectors[known] for known in self._vectors if known >= key}

    def write(self, batch: Sequence[LightPrompt], options: dict[str, Any]) -> list[Words]:
        """See `Batches`."""
        reader = self._model.reader
        for prompt in batch:
            if prompt.key not in self._vectors:
                self._vectors[prompt.key] = reader.rna_vectors(prompt.encoded.rnas[0])
        embeds = [reader.embed(one.encoded.ids, [self._vectors[one.key]]) for one in batch]
        logits = read_prompts(self._context, embeds)
        lengths = [prompt.length for prompt in batch]
        return [
            self._model.words(tokens, sum(likely))
            for tokens, likely in self._written(logits, lengths, options["max_new_tokens"])
        ]

    def _written(
        self, logits: Vectors, lengths: list[int], most: int
    ) -> Iterator[tuple[list[int], list[float]]]:
        """Tokens of each answer, and how likely each is."""
        tokens: list[list[int]] = [[] for _ in lengths]
        likely: list[list[float]] = [[] for _ in lengths]
        going = list(range(len(lengths)))
        while going:
            for row, scores in zip(going, logits, strict=True):
                token, log_probability = self._model.choose(scores)
                tokens[row].append(token)
                likely[row].append(log_probability)
            going = [
                row
                for row in going
                if tokens[row][-1] not in self._model.ends and len(tokens[row]) < most
            ]
            if going:
                places = [lengths[row] + len(tokens[row]) - 1 for row in going]
                logits = self._context.step([tokens[row][-1] for row in going], going, places)
        return iter(list(zip(tokens, likely, strict=True)))


__all__ = ["LightAnswer", "LightBatches", "LightModel", "LightPrompt", "LightWriter"]
