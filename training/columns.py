"""Other people's columns, brought under the names that training takes.

A mapping names RNA-QA's column first: `{"sequence": "rna", "question": "prompt"}`. Conversations
are taken too: `{"messages": "conversations"}` names a column with lists of messages, in OpenAI's
form (`role`, `content`) or in ShareGPT's (`from`, `value`); each question with its answer becomes a
row of its own. A content may be a list of parts, as the processor takes them, and the RNA one of
them: `{"type": "rna", "rna": "ACGU"}`. Rows without an `id` go by their sequence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from datasets import Dataset

from rnagpt.sequences.dataset_columns import check_texts, check_type

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
    """One row a question, with its answer and its RNA, the other columns repeated."""
    # Here, where rows are still counted as the data set has them.
    if "sequence" in rows.column_names:
        check_type(rows, "sequence", "the data set")
    if "id" in rows.column_names:
        check_texts(rows, ["id"], "the data set")
    own = (MESSAGES, "question", "answer", "sequence")
    others = [name for name in rows.column_names if name not in own]

    def split(batch: dict[str, list[Any]], places: list[int]) -> dict[str, list[Any]]:
        out: dict[str, list[Any]] = {name: [] for name in [*others, *own[1:]]}
        sequences = batch.get("sequence") or [None] * len(places)
        for row, (place, messages) in enumerate(zip(places, batch[MESSAGES], strict=True)):
            pairs = questions_and_answers(messages, place)
            sequence = _sequence_of(messages, sequences[row], place)
            for question, answer in pairs:
                out["sequence"].append(sequence)
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
    if not isinstance(messages, Sequence) or isinstance(messages, str):
        raise ValueError(
            f"Row {place}: a conversation must be a list of messages, got {messages!r}."
        )
    if others := [message for message in messages if not isinstance(message, Mapping)]:
        raise ValueError(
            f"Row {place}: a message must have role and content, or from and value; got "
            f"{others[0]!r}."
        )
    turns = [_role_and_text(message, place) for message in messages]
    spoken = [(role, text) for role, text in turns if role != "system"]
    asked, answered = spoken[::2], spoken[1::2]
    roles = [role for role, _ in spoken]
    if roles != ["user", "assistant"] * (len(spoken) // 2) or not spoken:
        raise ValueError(
            f"Row {place}: a conversation must alternate between user and assistant and end with "
            f"an answer; it has {', '.join(roles) or 'no message'}."
        )
    pairs = [
        (_PLACEHOLDER.sub(" ", question).strip(), answer.strip())
        for (_, question), (_, answer) in zip(asked, answered, strict=True)
    ]
    if not all(map(all, pairs)):
        raise ValueError(
            f"Row {place}: a question or an answer is empty. Fill it, or leave it out."
        )
    return pairs


def _sequence_of(messages: Sequence[Mapping[str, Any]], given: Any, place: int) -> str:
    """The RNA that a conversation is about: of its parts, or of the row's column."""
    parts = {
        str(part["rna"]).strip()
        for message in messages
        for part in _parts_of(message)
        if part.get("type") == "rna" and part.get("rna")
    }
    if len(parts) > 1:
        raise ValueError(
            f"Row {place}: a conversation must be about one RNA; its parts hold {len(parts)}. "
            "Make a row of each."
        )
    inside = next(iter(parts), None)
    if inside and given and _spelt_alike(inside) != _spelt_alike(given):
        raise ValueError(
            f"Row {place}: the column sequence and the part of type rna differ. Leave one out."
        )
    if not (found := inside or given):
        raise ValueError(
            f"Row {place}: no RNA is given, neither in a column (--columns sequence=NAME) nor as a "
            'part {"type": "rna", "rna": "ACGU"} of a message.'
        )
    return found


def _spelt_alike(sequence: str) -> str:
    return sequence.strip().upper().replace("T", "U")


def _first(message: Mapping[str, Any], *keys: str) -> Any:
    """Rows of a data set carry all keys in every message: the first that says something counts."""
    return next((message[key] for key in keys if message.get(key) is not None), None)


def _parts_of(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    content = _first(message, "content", "value")
    return list(content) if isinstance(content, list) else []


def _text_of(message: Mapping[str, Any], place: int) -> str | None:
    """The text of a message, its parts joined as the processor joins them; None: it has none."""
    content = _first(message, "content", "value")
    if not isinstance(content, list):
        return content if isinstance(content, str) else None
    pieces = []
    for part in content:
        kind = part.get("type") if isinstance(part, Mapping) else part
        if kind not in ("text", "rna"):
            raise ValueError(f"Row {place}: a part is of type 'text' or 'rna', got {kind!r}.")
        if kind == "text" and not isinstance(part.get("text"), str):
            raise ValueError(f"Row {place}: a part of type text lacks its text.")
        pieces.append(part["text"] if kind == "text" else "")
    return "".join(pieces)


def _role_and_text(message: Mapping[str, Any], place: int) -> tuple[str, str]:
    role, text = _first(message, "role", "from"), _text_of(message, place)
    if not isinstance(role, str) or text is None:
        given = ", ".join(key for key, value in message.items() if value is not None)
        raise ValueError(
            f"Row {place}: a message must have role and content, or from and value, as text or "
            f"parts; given {given or 'nothing'}."
        )
    role = "user" if role in _ASKS else "assistant" if role in _ANSWERS else role
    if role not in ("user", "assistant", "system"):
        raise ValueError(
            f"Row {place}: a message is of the role {role!r}; expected system, "
            f"{', '.join(_ASKS + _ANSWERS)}."
        )
    if role != "user" and any(part.get("type") == "rna" for part in _parts_of(message)):
        raise ValueError(f"Row {place}: an RNA belongs to a message of the user, not of {role}.")
    return role, text


__all__ = [
    "MESSAGES",
    "TAKEN",
    "check_texts",
    "parse_mapping",
    "questions_and_answers",
    "take_columns",
]
