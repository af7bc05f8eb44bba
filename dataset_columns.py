"""Other people's columns, brought under the names that training takes.

A mapping names RNA-QA's column first: `{"sequence": "rna", "question": "prompt"}`. Conversations
are taken too: `{"messages": "conversations"}` names a column with lists of messages, in OpenAI's
form (`role`, `content`) or in ShareGPT's (`from`, `value`); each question with its answer becomes a
row of its own. Rows without an `id` go by their sequence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from datasets import Dataset

MESSAGES = "messages"
TAKEN = ("id", "sequence", "annotation", "question", "answer", "category", "family", MESSAGES)
_ASKS, _ANSWERS = ("user", "human"), ("assistant", "gpt")
# Where others mark the RNA's place in a question; ours is in the chat template.
_PLACEHOLDER = re.compile(r"\s*<(?:RNAHere|rna|RNA)>\s*")


def parse_mapping(words: Sequence[str]) -> dict[str, str]:
    """The mapping that words such as "question=prompt" stand for.

    Raises:
        ValueError: for a word of another form, a name that is not taken, or one given twice.
    """
    mapping: dict[str, str] = {}
    for word in words:
        ours, _, theirs = word.partition("=")
        if not ours or not theirs:
            raise ValueError(
                f"--columns takes words such as question=prompt, got {word!r}: RNA-QA's column, "
                "then the data set's."
            )
        if ours not in TAKEN:
            raise ValueError(
                f"--columns: {ours!r} is no column that training takes ({', '.join(TAKEN)})."
            )
        if ours in mapping:
            raise ValueError(f"--columns names {ours!r} twice.")
        mapping[ours] = theirs
    return mapping


def take_columns(rows: Dataset, mapping: Mapping[str, str]) -> Dataset:
    """The rows under RNA-QA's names, conversations as one row a question.

    Args:
        rows: of any data set with sequences.
        mapping: of `parse_mapping`; columns that it does not name keep their names.

    Raises:
        ValueError: a column is not there, or a conversation is none.
    """
    missing = [theirs for theirs in mapping.values() if theirs not in rows.column_names]
    if missing:
        raise ValueError(
            f"--columns names {', '.join(missing)}; the data set has "
            f"{', '.join(rows.column_names)}."
        )
    # One whose name another takes, and which is not asked for itself, makes way.
    replaced = [name for name in rows.column_names if name in mapping.keys() - mapping.values()]
    rows = rows.remove_columns(replaced)
    rows = rows.rename_columns({theirs: ours for ours, theirs in mapping.items() if ours != theirs})
    if MESSAGES in mapping:
        rows = _split_conversations(rows)
    if "id" not in rows.column_names and "sequence" in rows.column_names:
        rows = rows.add_column("id", rows["sequence"][:])
    return rows


def _split_conversations(rows: Dataset) -> Dataset:
    """One row a question, with its answer, the other columns repeated."""
    others = [name for name in rows.column_names if name not in (MESSAGES, "question", "answer")]

    def split(batch: dict[str, list[Any]], places: list[int]) -> dict[str, list[Any]]:
        out: dict[str, list[Any]] = {name: [] for name in [*others, "question", "answer"]}
        for row, (place, messages) in enumerate(zip(places, batch[MESSAGES], strict=True)):
            for question, answer in questions_and_answers(messages, place):
                out["question"].append(question)
                out["answer"].append(answer)
                for name in others:
                    out[name].append(batch[name][row])
        return out

    return rows.map(
        split,
        batched=True,
        with_indices=True,
        remove_columns=rows.column_names,
        load_from_cache_file=False,
        desc="Splitting conversations",
    )


def questions_and_answers(
    messages: Sequence[Mapping[str, Any]], place: int = 0
) -> list[tuple[str, str]]:
    """A conversation's questions, each with the answer that follows it.

    A system message is left out: the chat template brings its own. So is a mark of the RNA's place.

    Args:
        messages: in OpenAI's form or in ShareGPT's.
        place: of the row, for errors.

    Raises:
        ValueError: for messages of another form, or that do not alternate.
    """
    turns = [_role_and_text(message, place) for message in messages]
    spoken = [(role, text) for role, text in turns if role != "system"]
    asked, answered = spoken[::2], spoken[1::2]
    roles = [role for role, _ in spoken]
    if roles != ["user", "assistant"] * (len(spoken) // 2) or not spoken:
        raise ValueError(
            f"Row {place}: a conversation must alternate between user and assistant and end with "
            f"an answer; it has {', '.join(roles) or 'no message'}."
        )
    return [
        (_PLACEHOLDER.sub(" ", question).strip(), answer.strip())
        for (_, question), (_, answer) in zip(asked, answered, strict=True)
    ]


def _role_and_text(message: Mapping[str, Any], place: int) -> tuple[str, str]:
    role, text = (
        message.get("role", message.get("from")),
        message.get("content", message.get("value")),
    )
    if not isinstance(role, str) or not isinstance(text, str):
        raise ValueError(
            f"Row {place}: a message must have role and content, or from and value, as text; "
            f"given {', '.join(message)}."
        )
    role = "user" if role in _ASKS else "assistant" if role in _ANSWERS else role
    if role not in ("user", "assistant", "system"):
        raise ValueError(
            f"Row {place}: a message is of the role {role!r}; expected system, "
            f"{', '.join(_ASKS + _ANSWERS)}."
        )
    return role, text


__all__ = ["MESSAGES", "TAKEN", "parse_mapping", "questions_and_answers", "take_columns"]
