"""Prompts and options of `generate`, its tokens one by one, and the probability of its answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from transformers import (
    BatchFeature,
    Cache,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteriaList,
)

from rnagpt.cleaning_rnagpt import CleanedRna, clean_rna
from rnagpt.inference.cited import MAX_NEW_TOKENS
from rnagpt.inference.confidence import confidence_of
from rnagpt.inference.messages import user_message
from rnagpt.modeling_rnagpt import CACHE_NAME, RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor

# Options of `generate` that choose another way of decoding than token by token.
_OTHER_DECODING = (
    "assistant_early_exit",
    "assistant_model",
    "custom_generate",
    "dola_layers",
    "penalty_alpha",
    "prompt_lookup_num_tokens",
    "use_mtp",
)


def clean_once(sequence: str | CleanedRna, name: str, processor: RnaGptProcessor) -> CleanedRna:
    """The RNA as `clean_rna` gives it, unless it went through it already; errors as there."""
    if isinstance(sequence, CleanedRna):
        return sequence
    return clean_rna(
        sequence,
        name=name,
        max_length=processor.max_rna_length,
        max_ambiguous=processor.max_ambiguous,
    )


def encode_prompts(
    processor: RnaGptProcessor,
    conversations: Sequence[Sequence[Mapping[str, Any]]],
    *,
    answered: bool = False,
) -> BatchFeature:
    """Conversations as the model's input, (conversations, longest), padded on the left.

    Args:
        processor: the model's.
        conversations: as its chat template takes them.
        answered: they end with an answer, and not with a question: none is prompted for, and
            `assistant_masks` (conversations, longest) is 1 for the tokens of all answers.
    """
    return processor.apply_chat_template(  # type: ignore[return-value]  # of `tokenize`
        conversations,
        add_generation_prompt=not answered,
        return_assistant_tokens_mask=answered,
        tokenize=True,
        processor_kwargs={"padding_side": "left"},
    )


def remaining_context(model: RnaGptForCausalLM, inputs: BatchFeature) -> int:
    """Tokens that an answer to a prompt may have before the language model's context ends.

    Raises:
        ValueError: where the prompt already fills the context.
    """
    context = model.config.text_config.max_position_embeddings
    length = inputs["input_ids"].shape[1]
    if length >= context:
        raise ValueError(
            f"The conversation takes {length:,} tokens, and the language model reads {context:,}, "
            "the answer included. Begin a new conversation, or give fewer or shorter RNAs."
        )
    return context - length


def generation_options(
    model: RnaGptForCausalLM, processor: RnaGptProcessor, given: dict[str, Any]
) -> dict[str, Any]:
    """The options of `generate`: greedy, to the tokens that end an answer, unless `given` differs.

    Raises:
        ValueError: where `given` asks for several beams or answers, or for another way of decoding.
    """
    for name in ("num_beams", "num_return_sequences"):
        if given.get(name, 1) != 1:
            raise ValueError(f"One answer is written to a question: {name} must be 1.")
    for name in _OTHER_DECODING:
        if given.get(name):
            raise ValueError(f"Answers are written token by token: leave {name} out.")
    return {
        "do_sample": False,
        "eos_token_id": end_tokens(model, processor),
        "pad_token_id": processor.tokenizer.pad_token_id,
        **given,
    }


def decode_answers(
    processor: RnaGptProcessor, inputs: Mapping[str, torch.Tensor], sequences: torch.Tensor
) -> tuple[list[str], torch.Tensor]:
    """The answers in what `generate` returned for a batch of prompts, and their tokens.

    Args:
        processor: the model's.
        inputs: as `encode_prompts` made them.
        sequences: (prompts, prompt and answer).

    Returns:
        The texts, and their tokens (prompts, longest answer).
    """
    new_ids = sequences[:, inputs["input_ids"].shape[1] :]
    return processor.tokenizer.batch_decode(new_ids, skip_special_tokens=True), new_ids


def end_tokens(model: RnaGptForCausalLM, processor: RnaGptProcessor) -> list[int]:
    """Tokens that end an answer: the tokenizer's, and those that the model's author names."""
    named = model.generation_config.eos_token_id
    ends = named if isinstance(named, list) else [named]
    return sorted({end for end in [*ends, processor.tokenizer.eos_token_id] if end is not None})


class TokenStream:
    """One answer, of which each token is computed when it is asked for, in the asking thread.

    `generate` prepares everything, the logits processors and stopping criteria among it, and this
    takes the place of its loop. A streamer would need a second thread. In that one torch starts
    helpers of its own, next to those that the first has, and where they are more than the cores,
    OpenMP lets all of them sleep between two operations: a token takes a fifth longer.

    Args:
        model: an RNA-GPT.
        arguments: of `generate`, for one prompt: inputs and options. Greedy or sampled.

    Attributes:
        ids: (1, tokens): the prompt and what is written of the answer.
        cache: the keys and values of all of `ids` but the last token; None without a cache.
    """

    def __init__(self, model: RnaGptForCausalLM, arguments: dict[str, Any]) -> None:
        self.ids: torch.Tensor = arguments["input_ids"]
        self.cache: Cache | None = None
        self._tokens: Iterator[int] = model.generate(**arguments, custom_generate=self._write)

    def __iter__(self) -> Iterator[int]:
        return self._tokens

    def _write(
        self,
        model: RnaGptForCausalLM,
        input_ids: torch.Tensor,
        logits_processor: LogitsProcessorList,
        stopping_criteria: StoppingCriteriaList,
        generation_config: GenerationConfig,
        **arguments: Any,
    ) -> Iterator[int]:
        """What `generate` calls in place of its loop, with all that it prepared."""
        cache = arguments.get(CACHE_NAME)
        num_cached = 0 if cache is None else int(cache.get_seq_length())
        num_read, first, ended = input_ids.shape[1] - num_cached, True, False
        while not ended:
            # A generator is left at each token, and no mode of torch's may be left open there.
            # This one spares each of the step's many small operations its bookkeeping.
            with torch.inference_mode():
                inputs = model.prepare_inputs_for_generation(
                    input_ids,
                    next_sequence_length=num_read,
                    is_first_iteration=first,
                    **arguments,
                )
                outputs = model(**inputs, return_dict=True)
                arguments = model._update_model_kwargs_for_generation(outputs, arguments)
                scores = outputs.logits[:, -1].to(copy=True, dtype=torch.float32)
                del outputs  # the first one's logits may be large
                scores = logits_processor(input_ids, scores)  # type: ignore[arg-type]
                token = choose_tokens(scores, generation_config)
                input_ids = torch.cat([input_ids, token], dim=1)
                ended = bool(stopping_criteria(input_ids, None).all())
                num_read = 1 if arguments["use_cache"] else input_ids.shape[1]
                first = False
            self.ids, self.cache = input_ids, arguments.get(CACHE_NAME)
            yield int(token)


def choose_tokens(scores: torch.Tensor, config: GenerationConfig) -> torch.Tensor:
    """The next token of each answer, drawn or the likeliest.

    Args:
        scores: (batch, vocabulary).
        config: says whether it is drawn.

    Returns:
        (batch, 1).
    """
    if config.do_sample:
        return torch.multinomial(scores.softmax(-1), num_samples=1)
    return scores.argmax(-1, keepdim=True)


class TokenProbabilities(LogitsProcessor):
    """Notes how likely each token of the answers is, and changes nothing.

    It keeps one number per token; `output_logits` would keep one per token of the vocabulary.
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


__all__ = [
    "MAX_NEW_TOKENS",
    "TokenProbabilities",
    "TokenStream",
    "clean_once",
    "confidence_of",
    "decode_answers",
    "encode_prompts",
    "end_tokens",
    "generation_options",
    "remaining_context",
    "user_message",
]
