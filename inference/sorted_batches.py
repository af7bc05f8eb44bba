"""Prompts about RNAs in batches of similar length, whatever writes the answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from rnagpt.inference.cited import Words

# Questions are sorted by length within N batches: enough to pad little, few enough to stream.
BATCHES_SORTED_TOGETHER = 4


class SizedPrompt(Protocol):
    """A text about an RNA, checked.

    Attributes:
        key: the same for prompts about the same RNA, and larger for later ones.
        messages: as a chat template takes them.
        length: in tokens.
        room: tokens that are left for the answer.
    """

    @property
    def key(self) -> int: ...

    @property
    def messages(self) -> Sequence[Mapping[str, Any]]: ...

    @property
    def length(self) -> int: ...

    @property
    def room(self) -> int: ...


_Prompt = TypeVar("_Prompt", bound=SizedPrompt)
_Taken = TypeVar("_Taken", bound=SizedPrompt, contravariant=True)


class Batches(Protocol[_Taken]):
    """What writes the answers to a batch of prompts."""

    def options(self, generation: dict[str, Any]) -> dict[str, Any]:
        """As `generation_options` makes them; errors as there."""

    def write(self, batch: Sequence[_Taken], options: dict[str, Any]) -> list[Words]:
        """The answers to some prompts."""

    def forget_before(self, key: int) -> None:
        """No prompt with a smaller key will follow."""


def write_answers(
    batches: Batches[_Prompt],
    prompts: Sequence[_Prompt],
    batch_size: int,
    max_new_tokens: int,
    generation: dict[str, Any],
) -> Iterator[Words]:
    """The answer to each prompt, in order, as soon as it is there.

    Prompts of similar length share a batch, and an RNA is encoded once for all its prompts.

    Args:
        batches: what writes them.
        prompts: those about one RNA one after the other.
        batch_size: prompts that the language model answers at once.
        max_new_tokens: the longest answer; less where the context ends before.
        generation: for `model.generate`; greedy by default.

    Raises:
        ValueError: for an option of `generation`, before the first answer.
    """
    options = batches.options(generation)
    return _write_answers(batches, prompts, batch_size, max_new_tokens, options)


def _write_answers(
    batches: Batches[_Prompt],
    prompts: Sequence[_Prompt],
    batch_size: int,
    max_new_tokens: int,
    options: dict[str, Any],
) -> Iterator[Words]:
    window = batch_size * BATCHES_SORTED_TOGETHER
    for start in range(0, len(prompts), window):
        group = range(start, min(start + window, len(prompts)))
        waiting = sorted(group, key=lambda index: prompts[index].length)
        ready: dict[int, Words] = {}
        next_index = start
        for first in range(0, len(waiting), batch_size):
            indices = waiting[first : first + batch_size]
            batch = [prompts[index] for index in indices]
            longest_answer = min(max_new_tokens, *(prompt.room for prompt in batch))
            answers = batches.write(batch, {**options, "max_new_tokens": longest_answer})
            ready |= zip(indices, answers, strict=True)
            while next_index in ready:
                yield ready.pop(next_index)
                next_index += 1
        batches.forget_before(prompts[group[-1]].key)


__all__ = ["BATCHES_SORTED_TOGETHER", "Batches", "SizedPrompt", "write_answers"]
