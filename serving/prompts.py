"""From a request to what an engine takes: checked, cleaned, tokenised."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jinja2 import TemplateError

from rnagpt.processing_rnagpt import (
    RnaGptProcessor,
    RnaSequenceError,
    RnaTooLongError,
    clean_rna,
)
from rnagpt.serving.engine import Prompt, Sampling
from rnagpt.serving.limits import Limits
from rnagpt.serving.openai_api import ApiError, ChatRequest

_SEEDS = 2**63


class Prompts:
    """Makes prompts of requests.

    Args:
        processor: the model's.
        context: tokens that the language model reads, the answer included.
        limits: of requests.
    """

    def __init__(self, processor: RnaGptProcessor, context: int, limits: Limits) -> None:
        # A tokenizer that is asked to pad changes itself: it may serve one thread at a time, and
        # none that decodes beside it.
        self.processor, self._one_at_a_time = copy.deepcopy(processor), threading.Lock()
        self.context, self.limits = context, limits

    def prepare(self, request: ChatRequest) -> tuple[Prompt, list[Sampling]]:
        """The prompt of a request, and how each of its answers is to be chosen; from any thread.

        Raises:
            ApiError: what is asked for cannot be done; says why.
        """
        self._check_messages(request)
        if request.n > self.limits.max_choices:
            raise ApiError(
                400,
                f"n is {request.n}; at most {self.limits.max_choices} answers are given to a "
                "request.",
                param="n",
            )
        with _as_api_errors(), self._one_at_a_time:
            inputs: Any = self.processor.apply_chat_template(
                self._cleaned(request),
                add_generation_prompt=True,
                tokenize=True,
                processor_kwargs={"padding_side": "left"},
            )
        length = inputs["input_ids"].shape[1]
        prompt = Prompt(inputs, length, self.context - length)
        return prompt, self._samplings(request, prompt)

    def _check_messages(self, request: ChatRequest) -> None:
        if request.messages[-1].role != "user":
            raise ApiError(
                400,
                f"The last message is the {request.messages[-1].role}'s; expected the user's "
                "question.",
                param="messages",
            )
        num_rnas = 0
        for index, message in enumerate(request.messages):
            rnas = message.rnas()
            num_rnas += len(rnas)
            if rnas and message.role != "user":
                raise ApiError(
                    400,
                    f"Message {index} is the {message.role}'s and holds an RNA; RNAs belong into "
                    "the user's messages.",
                    param=f"messages.{index}.content",
                )
        if num_rnas > self.limits.max_rnas:
            raise ApiError(
                413,
                f"The conversation holds {num_rnas} RNAs; at most {self.limits.max_rnas} are "
                "accepted.",
                param="messages",
                code="too_many_rnas",
            )

    def _cleaned(self, request: ChatRequest) -> list[dict[str, Any]]:
        """The messages with cleaned RNAs, counted from 1 for errors."""
        messages = [message.for_processor() for message in request.messages]
        number = 0
        for message in messages:
            for part in message["content"] if isinstance(message["content"], list) else ():
                if part["type"] == "rna":
                    number += 1
                    part["rna"] = clean_rna(
                        part["rna"],
                        name=str(number),
                        max_length=self.processor.max_rna_length,
                        max_ambiguous=self.processor.max_ambiguous,
                    ).sequence
        return messages

    def _samplings(self, request: ChatRequest, prompt: Prompt) -> list[Sampling]:
        wanted = request.most_tokens or self.limits.max_tokens
        if wanted > self.limits.max_tokens:
            raise ApiError(
                400,
                f"max_tokens is {wanted:,}; answers have at most {self.limits.max_tokens:,} here.",
                param="max_tokens",
            )
        if prompt.room < 1:
            raise ApiError(
                400,
                f"The conversation takes {prompt.length:,} tokens, and the language model reads "
                f"{self.context:,}, the answer included. Give fewer or shorter RNAs.",
                param="messages",
                code="context_length_exceeded",
            )
        return [
            Sampling(
                max_tokens=min(wanted, prompt.room),
                temperature=request.temperature,
                top_p=request.top_p,
                # Answers to one request differ, and are the same in the next with this seed.
                seed=None if request.seed is None else (request.seed + index) % _SEEDS,
            )
            for index in range(request.n)
        ]


@contextmanager
def _as_api_errors() -> Iterator[None]:
    try:
        yield
    except RnaTooLongError as error:
        raise ApiError(413, str(error), param="messages", code="rna_too_long") from error
    except RnaSequenceError as error:
        raise ApiError(422, str(error), param="messages", code="invalid_rna") from error
    except (ValueError, TemplateError) as error:
        # Some chat templates take no system message, or want the roles to alternate.
        raise ApiError(400, str(error), param="messages") from error


__all__ = ["Prompts"]
