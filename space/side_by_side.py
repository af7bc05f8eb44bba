"""The same question about each RNA, whose answers are set side by side."""

from __future__ import annotations

from collections.abc import Iterator

import answering
from comparison import compare
from comparison_table import table
from conversation import Conversation
from rna_panel import find
from space_limits import Limits

from rnagpt import Answer, CleanedRna


def side_by_side(conversation: Conversation, question: str, limits: Limits) -> Iterator[str]:
    """Compare the RNAs of a conversation, which keeps the comparison for its downloads.

    Yields:
        The tables as HTML, as the answers come.
    """
    shown_rnas = list(conversation.rnas)
    for shown in shown_rnas:
        find(shown, conversation)
    compared = compare(question, [(shown.rna, shown.findings) for shown in shown_rnas])
    yield table(compared, is_done=False)
    conversation.comparisons.pop(question, None)  # of fewer RNAs, perhaps
    conversation.comparisons[question] = compared
    try:
        for answer in answers_of([shown.rna for shown in shown_rnas], question, limits):
            compared.add(answer)
            yield table(compared, is_done=False)
            if conversation.stopping:
                break
    except ValueError:
        # An answer needs a model that is not there: what else is known stays.
        yield table(compared, is_done=True)
        raise
    yield table(compared, is_done=True)


def answers_of(rnas: list[CleanedRna], question: str, limits: Limits) -> Iterator[Answer]:
    """The answer to a question about each RNA on its own."""
    return answering.answer_each(rnas, question, limits.max_new_tokens, limits.seconds_per_answer)
