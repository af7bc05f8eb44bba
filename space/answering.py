"""What answers: the records, the model, or both; nucleotide scores, one question for many RNAs.

These functions hold no state but what was searched, so that nothing passes from one visitor to
another, and so that ZeroGPU can run each call that needs the model in a process of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from cited_records import CitedRecord, CitedSentence
from conversation import Turn
from model_loading import MODEL
from searching import reference
from space_limits import Limits

from rnagpt import Answer, CleanedRna, NucleotideScores, RnaChat, answer_questions, explain_answer
from rnagpt.inference.abstention import is_abstention
from rnagpt.inference.cited import Plan

_Function = TypeVar("_Function", bound=Callable[..., Any])
_SAMPLING: dict[str, Any] = {"do_sample": True, "temperature": 0.7}
ANOTHER_WORDING = "another wording"
IN_RECORDS_WORDS = "in the records' words: no other wording"
NO_OTHER_WORDING = "no other wording"

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


def look_up(
    rnas: Sequence[CleanedRna],
    question: str,
    stop: Callable[[], bool] = lambda: False,
    about: Sequence[int] = (),
) -> Plan | None:
    """How the records answer, and whether the model's words are needed; None without a reference.

    RNAs that were not searched yet are.

    Args:
        rnas: of the conversation.
        question: about one of them, or several.
        stop: asked from time to time: whether the search ends here.
        about: places of the RNAs that the question is about where it names none.

    Raises:
        SearchStoppedError: `stop` said so.
        ValueError: the question is about an RNA that was not given.
    """
    return _begun(rnas).plan(question, stop, about) if reference() else None


def needs_model(plan: Plan | None) -> bool:
    """Whether an answer waits for the model."""
    return plan is None or plan.request is not None


def write_answer(
    messages: Sequence[dict[str, Any]],
    rnas: Sequence[CleanedRna],
    num_read: int,
    question: str,
    max_new_tokens: int,
    sampled: bool = False,
    stop: Callable[[], bool] = lambda: False,
    about: Sequence[int] = (),
) -> Generator[Turn, None, None]:
    """Write the answer to the next question of a conversation.

    Args:
        messages: the conversation so far, as the processor's chat template takes it; the model
            reads it where there is no reference.
        rnas: all of the conversation.
        num_read: as many of them are in `messages`.
        question: plain text.
        max_new_tokens: the longest answer.
        sampled: sample the model's own words, so that another answer may come; else greedy. What
            records say does not change by that, and the turn's note says so.
        stop: asked from time to time: whether the answer ends here. (Not by ZeroGPU, where the
            answer is written in another process.)
        about: places of the RNAs that the question is about where it names none. Without a
            reference the model is then given these alone, and no earlier turns.

    Yields:
        The turn as it grows. Confidence comes once it has ended, and in the model's own words only
        greedy answers of a calibrated model have one.

    Raises:
        ValueError: as `RnaChat.ask`.
    """
    plan = look_up(rnas, question, stop, about)
    if plan is None:
        if about:
            messages, num_read, rnas = (), 0, [rnas[place] for place in about]
        yield from _in_the_models_words(messages, rnas, num_read, question, max_new_tokens, sampled)
    elif needs_model(plan):
        heeded = stop if spaces is None else _never  # another process knows nothing of this one's
        yield from _from_evidence_on_gpu(rnas, question, max_new_tokens, sampled, heeded, about)
    else:
        yield from _from_evidence(rnas, question, max_new_tokens, sampled, stop, about)


def _never() -> bool:
    return False


@on_gpu
def _in_the_models_words(
    messages: Sequence[dict[str, Any]],
    rnas: Sequence[CleanedRna],
    num_read: int,
    question: str,
    max_new_tokens: int,
    sampled: bool,
) -> Generator[Turn, None, None]:
    """The answer of the model alone, which reads the conversation so far."""
    chat = RnaChat(*MODEL.loaded)
    chat.messages = list(messages)
    for rna in rnas[num_read:]:
        chat.add_rna(rna)
    note = ANOTHER_WORDING if sampled else ""
    answer = ""
    for piece in chat.ask(
        question, max_new_tokens=max_new_tokens, **(_SAMPLING if sampled else {})
    ):
        answer += piece
        yield Turn(question, answer, len(rnas), note=note)
    confidence = None if sampled else chat.confidence
    basis = "none" if is_abstention(answer) else "model"
    yield Turn(question, answer, len(rnas), confidence, note, basis)


def _from_evidence(
    rnas: Sequence[CleanedRna],
    question: str,
    max_new_tokens: int,
    sampled: bool,
    stop: Callable[[], bool],
    about: Sequence[int],
) -> Generator[Turn, None, None]:
    """The answer of the records, or of the model where they are silent, or in its words."""
    chat = _begun(rnas)
    plan = chat.plan(question, stop, about)
    # A reading is offered for its confidence, which only greedy words have.
    varies = sampled and plan.request is not None and not plan.is_reading
    with _stopped_by(chat, stop):
        asked: dict[str, Any] = {"about": about, **(_SAMPLING if varies else {})}
        for _ in chat.ask(question, max_new_tokens=max_new_tokens, **asked):
            own = chat.answer is not None and chat.answer.sentences == plan.look.answer.sentences
            yield _turn(chat, len(rnas), _note(chat, varies and not own) if sampled else "")


_from_evidence_on_gpu = on_gpu(_from_evidence)


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
        seconds: after this time the answers of a batch end where they are; a model that is loading
            is waited for as long, where its words are needed.

    Raises:
        ValueError: the model is needed, and is not there; else as `answer_questions`.
    """
    yield from answer_questions(
        MODEL.language(seconds),
        None,
        rnas,
        [question],
        reference=reference(),
        batch_size=4,
        max_new_tokens=max_new_tokens,
        max_time=seconds,
    )


def _begun(rnas: Sequence[CleanedRna]) -> RnaChat:
    """A conversation about RNAs that are searched; of each question for itself."""
    chat = RnaChat(MODEL.language(), None, reference())
    for rna in rnas:
        chat.add_rna(rna)
    return chat


def _note(chat: RnaChat, varies: bool) -> str:
    """What is said of an answer that was asked for in other words."""
    if varies:
        return ANOTHER_WORDING
    basis = "" if chat.answer is None else chat.answer.basis
    return IN_RECORDS_WORDS if basis == "records" else NO_OTHER_WORDING


def _turn(chat: RnaChat, num_rnas: int, note: str) -> Turn:
    """The last answer with what it rests on."""
    cited = chat.answer
    assert cited is not None
    told = cited.to_dict()
    evidence = [record for one in chat.evidence for record in one.to_dict()]
    return Turn(
        cited.question,
        cited.text,
        num_rnas,
        told["confidence"],
        note,
        cited.basis,
        list(cited.about),
        cast(list[CitedSentence], told["sentences"]),
        cast(list[CitedRecord], [one for one in evidence if one["number"] in cited.cites]),
    )


@contextmanager
def _stopped_by(chat: RnaChat, stop: Callable[[], bool]) -> Iterator[None]:
    """Stop the answer that is being written once `stop` says so: it comes in one piece."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.1):
            if stop():
                chat.stop()

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        ended.set()
