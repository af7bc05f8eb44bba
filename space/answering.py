"""What needs the model: an answer as it is written, its nucleotides, many RNAs side by side.

The functions hold no state, so that one visitor's words cannot reach another's, and so that ZeroGPU
may run each of them in a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, TypeVar

from model_loading import MODEL
from space_limits import Limits

from rnagpt.inference.attribution import NucleotideScores, explain_answer
from rnagpt.inference.batch import Answer, answer_questions
from rnagpt.inference.chat import RnaChat
from rnagpt.processing_rnagpt import CleanedRna

_Function = TypeVar("_Function", bound=Callable[..., Any])

try:
    import spaces  # Hugging Face's, on ZeroGPU alone
except ImportError:
    spaces = None


def on_gpu(function: _Function) -> _Function:
    """Run a function on ZeroGPU's accelerator where there is one.

    For as long as an answer may take: else it is lent for 60 s, and taken away in the middle.
    """
    if spaces is None:
        return function
    return spaces.GPU(duration=Limits.from_environment().seconds_per_answer)(function)


@on_gpu
def write_answer(
    messages: Sequence[dict[str, Any]],
    new_rnas: Sequence[CleanedRna],
    question: str,
    max_new_tokens: int,
    sampled: bool = False,
) -> Generator[tuple[str, float | None], None, None]:
    """Write the answer to the next question of a conversation.

    Args:
        messages: the conversation so far, as the processor's chat template takes it.
        new_rnas: RNAs that the question brings.
        question: plain text.
        max_new_tokens: the longest answer.
        sampled: draw the words by chance, so that another answer may come; else greedy.

    Yields:
        The answer so far and None; once it has ended, the answer and its confidence, which only
        greedy answers of a calibrated model have.

    Raises:
        ValueError: as `RnaChat.ask`.
    """
    chat = RnaChat(*MODEL.loaded)
    chat.messages = list(messages)
    for rna in new_rnas:
        chat.add_rna(rna)
    options = {"do_sample": True, "temperature": 0.7} if sampled else {}
    answer = ""
    for piece in chat.ask(question, max_new_tokens=max_new_tokens, **options):
        answer += piece
        yield answer, None
    yield answer, None if sampled else chat.confidence


@on_gpu
def explain(messages: Sequence[dict[str, Any]]) -> list[NucleotideScores]:
    """Score the nucleotides of a conversation's RNAs by what they did for its last answer."""
    return explain_answer(*MODEL.loaded, messages)


@on_gpu
def answer_each(
    rnas: Sequence[CleanedRna], question: str, max_new_tokens: int, seconds: float
) -> Iterator[Answer]:
    """Ask the same question about each RNA, alone; errors as `answer_questions`.

    Args:
        max_new_tokens: the longest answer.
        seconds: after so long the answers of a batch are ended where they are.
    """
    yield from answer_questions(
        *MODEL.loaded,
        rnas,
        [question],
        batch_size=4,
        max_new_tokens=max_new_tokens,
        max_time=seconds,
    )


__all__ = ["answer_each", "explain", "write_answer"]
