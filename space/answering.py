"""Functions that need the model: streamed answers, nucleotide scores, one question for many RNAs.

They hold no state, so that nothing passes from one visitor to another, and so that ZeroGPU can run
each call in a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, TypeVar

from model_loading import MODEL
from space_limits import Limits

from rnagpt import Answer, CleanedRna, NucleotideScores, RnaChat, answer_questions, explain_answer

_Function = TypeVar("_Function", bound=Callable[..., Any])

try:
    import spaces  # Hugging Face's, only on ZeroGPU
except ImportError:
    spaces = None


def on_gpu(function: _Function) -> _Function:
    """Run a function on ZeroGPU's accelerator where there is one.

    For as long as an answer may take: the default of 60 s could end in the middle of one.
    """
    if spaces is None:
        return function
    seconds = Limits.from_environment().seconds_per_answer
    lent: _Function = spaces.GPU(duration=seconds)(function)
    return lent


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
        sampled: sample, so that another answer may come; else greedy.

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
    """Ask the same question about each RNA separately; errors as `answer_questions`.

    Args:
        max_new_tokens: the longest answer.
        seconds: after this time the answers of a batch end where they are.
    """
    yield from answer_questions(
        *MODEL.loaded,
        rnas,
        [question],
        batch_size=4,
        max_new_tokens=max_new_tokens,
        max_time=seconds,
    )
