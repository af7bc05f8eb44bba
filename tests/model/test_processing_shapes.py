"""Sequences, prompts and messages in other libraries' shapes, and shapes that mean nothing."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from Bio.Seq import MutableSeq, Seq
from Bio.SeqRecord import SeqRecord
from datasets import Dataset, Features, Sequence, Value
from helpers.tiny_models import make_processor, make_question

from rnagpt.processing_rnagpt import RNA_VOCABULARY, clean_rna

TRNA = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA"
TEXTS = ["<RNAHere> What is it?", "<RNAHere>", "Where is it found, and what does it do?"]


def tokens_of(sequence: str) -> list[int]:
    """One a letter."""
    return [RNA_VOCABULARY.index(letter) for letter in sequence]


# --- sequences and prompts


RNA = ("rna_input_ids", "rna_attention_mask")


def named_rnas(container: Any) -> list[Any]:
    """The same three sequences in the containers of several libraries."""
    return [
        tuple(container),
        np.array(container),
        np.array(container, dtype=object),
        pd.Series(container, index=[7, 3, 5]),
        pd.Series(container, dtype=object),
        Dataset.from_dict({"rna": container})["rna"],
        [Seq(rna) for rna in container],
        [MutableSeq(rna) for rna in container],
        [SeqRecord(Seq(rna), id=f"rna-{rna}") for rna in container],
        [clean_rna(rna) for rna in container],
        (rna for rna in container),
    ]


@pytest.mark.parametrize("shape", range(11))
def test_sequences_in_any_container(shape: int) -> None:
    processor = make_processor()
    sequences = [TRNA, "GGC", "ACGUACGUAC"]
    texts = ["<RNAHere>"] * 3
    expected = processor(texts, sequences)
    inputs = processor(texts, named_rnas(sequences)[shape])
    assert all(torch.equal(inputs[name], expected[name]) for name in expected)
    one = processor("<RNAHere>" * 3, named_rnas(sequences)[shape])
    assert torch.equal(one["rna_input_ids"], expected["rna_input_ids"])
    nested = processor(
        ["<RNAHere>", "<RNAHere>" * 3], ["A", named_rnas(sequences)[shape]], return_tensors=None
    )
    tokens = [row[: sum(mask)] for row, mask in zip(*(nested[name] for name in RNA), strict=True)]
    assert tokens == [tokens_of(rna) for rna in ["A", *sequences]]


def test_list_for_each_prompt_in_any_container() -> None:
    processor = make_processor()
    sequences = [TRNA, "GGC", "ACGUACGUAC"]
    expected = processor(["<RNAHere>"] * 3, sequences)
    for rnas in (
        np.array([[rna] for rna in sequences]),
        pd.Series([[rna] for rna in sequences]),
        ([rna] for rna in sequences),
        [sequences[0], [Seq(sequences[1])], (sequences[2],)],
    ):
        inputs = processor(["<RNAHere>"] * 3, rnas)
        assert all(torch.equal(inputs[name], expected[name]) for name in expected)


@pytest.mark.parametrize("texts", [tuple(TEXTS), np.array(TEXTS), pd.Series(TEXTS)])
def test_prompts_in_any_container(texts: Any) -> None:
    processor = make_processor()
    expected, inputs = (processor(texts, ["ACGU", "GG"]) for texts in (TEXTS, texts))
    assert all(torch.equal(inputs[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    "rna",
    [Seq(TRNA), MutableSeq(TRNA), SeqRecord(Seq(TRNA), id="x"), np.array(TRNA), np.str_(TRNA)],
)
def test_one_sequence_is_not_a_container_of_letters(rna: Any) -> None:
    processor = make_processor()
    assert processor("<RNAHere>", rna)["rna_input_ids"].tolist() == [tokens_of(TRNA)]
    inputs = processor.apply_chat_template([make_question([rna])], tokenize=True)
    assert inputs["rna_input_ids"].tolist() == [tokens_of(TRNA)]


@pytest.mark.parametrize("nothing", [None, float("nan"), [], ()])
def test_prompt_without_an_rna_among_others(nothing: Any) -> None:
    processor = make_processor()
    texts = ["<RNAHere>", "What?", "<RNAHere><RNAHere>"]
    expected = processor(texts, ["A", "CC", "GGG"])
    inputs = processor(texts, ["A", nothing, ["CC", "GGG"]])
    assert all(torch.equal(inputs[name], expected[name]) for name in expected)


class Opaque:
    """Has a text of its own, which is not a sequence."""

    def __str__(self) -> str:
        return "ACGU"


@pytest.mark.parametrize(
    ("text", "rna", "error", "message"),
    [
        (["<RNAHere>"] * 2, ["ACGU", None], ValueError, "Prompt 2 holds 1 times .* but 0 RNAs"),
        ("<RNAHere>", ["ACGU", None], TypeError, "RNA #2 is None. Leave it out"),
        ("<RNAHere>", [None, "ACGU"], TypeError, "RNA #1 is None. Leave it out"),
        (["<RNAHere>"] * 3, ["A", "C", None, "G"], TypeError, "RNA #3 is None"),
        (["<RNAHere>"] * 2, [["A"], [None]], TypeError, "'#1 of prompt 2' must be .* got None"),
        (["<RNAHere>"] * 2, [["A"], 7], TypeError, "RNA #2 must be a list .*got int 7"),
        (["<RNAHere>"] * 2, ["A", b"ACGU"], TypeError, "RNA #2 must be a list .*got bytes"),
        ("<RNAHere>", b"ACGU", TypeError, "rna must be a list .*got bytes"),
        ("<RNAHere>", 7, TypeError, "rna must be a list .*got int 7"),
        ("<RNAHere>", Opaque(), TypeError, "rna must be a list .*got Opaque"),
        ("<RNAHere>", [[Opaque()]], TypeError, "'#1' must be a string .* got Opaque"),
        ("<RNAHere>", {"ACGU"}, TypeError, "rna must be a list .*got set"),
        ("<RNAHere>", {"ACGU": "GGCC"}, TypeError, "rna must be a list .*got dict"),
        ("<RNAHere>", pd.DataFrame({"ACGU": ["GG"]}), TypeError, "must be a list .*got DataFrame"),
        ("<RNAHere>", list(TRNA), ValueError, "but 76 RNAs were given. Each of them is one letter"),
        ("<RNAHere>", [list(TRNA)], ValueError, "76 RNAs were given. Each of them is one letter"),
        ([], None, ValueError, "The batch is empty"),
        ([], [], ValueError, "The batch is empty"),
        (None, None, TypeError, "text must be a list, got None"),
        (["Hi", None], None, TypeError, "Prompt 2 must be a string, got None"),
        ([{"type": "text", "text": "Hi"}], None, TypeError, "Prompt 1 .* apply_chat_template"),
    ],
)
def test_shape_that_cannot_be_meant(text: Any, rna: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        make_processor()(text, rna)


# --- messages


def rows_of_messages() -> list[Any]:
    """Conversations of different lengths and parts, as somebody writes them down."""
    answer = {"role": "assistant", "content": [{"type": "text", "text": "A tRNA."}]}
    system = {"role": "system", "content": [{"type": "text", "text": "Be short."}], "name": "s"}
    hello = {"role": "user", "content": [{"type": "text", "text": "Hello"}]}
    return [
        [make_question([TRNA, "GG"]), answer, make_question(["ACGU"], "And this?")],
        [system, hello],
    ]


def test_rows_that_datasets_made() -> None:
    """In a table every message and every part has all keys; the text is the same."""
    processor = make_processor()
    conversations = rows_of_messages()
    expected = processor.apply_chat_template(conversations, tokenize=True)
    table = Dataset.from_list([{"messages": messages} for messages in conversations])
    assert None in table[0]["messages"][0]["content"][0].values()
    columns = [
        table["messages"],
        [row["messages"] for row in table],
        table.to_pandas()["messages"],  # arrays of dictionaries, with arrays in them
        tuple(tuple(messages) for messages in conversations),
        [
            [{**message, "content": tuple(message["content"])} for message in messages]
            for messages in conversations
        ],
    ]
    for column in columns:
        inputs = processor.apply_chat_template(column, tokenize=True)
        assert all(torch.equal(inputs[name], expected[name]) for name in expected)
        one = processor.apply_chat_template(column[0], tokenize=True)
        assert torch.equal(one["rna_input_ids"], expected["rna_input_ids"])


def test_rows_that_datasets_made_of_a_sequence_of_dictionaries() -> None:
    """Its `Sequence` of dictionaries is a dictionary of lists."""
    processor = make_processor()
    messages = rows_of_messages()[0]
    names = ("type", "text", "rna")
    contents = [
        {name: [part.get(name) for part in message["content"]] for name in names}
        for message in messages
    ]
    row = {"role": [message["role"] for message in messages], "content": contents}
    parts = Sequence({name: Value("string") for name in names})
    features = Features({"messages": {"role": Sequence(Value("string")), "content": [parts]}})
    (found,) = Dataset.from_list([{"messages": row}], features=features)["messages"]
    assert found == row
    expected = processor.apply_chat_template(messages, tokenize=True)
    inputs = processor.apply_chat_template(found, tokenize=True)
    assert all(torch.equal(inputs[name], expected[name]) for name in expected)
    both = processor.apply_chat_template([found, found], tokenize=True)
    assert torch.equal(both["input_ids"], expected["input_ids"].repeat(2, 1))


@pytest.mark.parametrize("role", ["system", "assistant"])
def test_rna_stands_in_the_users_messages_alone(role: str) -> None:
    message = {**make_question(["ACGU"]), "role": role}
    with pytest.raises(ValueError, match=f"Message 2 is the {role}'s and holds an RNA"):
        make_processor().apply_chat_template([make_question([TRNA]), message])


@pytest.mark.parametrize(
    ("messages", "error", "message"),
    [
        ({"role": "user", "content": "Hi"}, TypeError, "A conversation must be a list, got dict"),
        ("Hi", TypeError, "A conversation must be a list, got str 'Hi'"),
        ([[]], ValueError, "Conversation 1 is empty"),
        ([[make_question([])], []], ValueError, "Conversation 2 is empty"),
        ([[make_question([])], "Hi"], TypeError, "Conversation 2 must be a list, got str"),
        ([make_question([]), "Hi"], TypeError, "Message 2 must be a dictionary with a role"),
        ([{"content": "Hi"}], TypeError, "Message 1 must be a dictionary with a role"),
        (
            [{"role": "user", "content": {"type": ["text", "text"], "text": ["Hi"]}}],
            TypeError,
            "Message 1: its content must be a list, got dict",
        ),
        ([{"role": "user", "content": None}], TypeError, "Message 1 has no content"),
        (
            [[make_question([])], [{"role": "user"}]],
            TypeError,
            "Message 1 of conversation 2 has no content",
        ),
        ([{"role": "user", "content": 7}], TypeError, "Message 1: its content must be a list"),
        (
            [{"role": "user", "content": {"type": "text", "text": "Hi"}}],
            TypeError,
            "Message 1: its content must be a list, got dict",
        ),
        (
            [{"role": "user", "content": [("text", "Hi")]}],
            ValueError,
            "got .'text', 'Hi'.*Exp",
        ),
        (
            [{"role": "user", "content": [{"type": "rna", "rna": "ACGU", "text": "Why?"}]}],
            ValueError,
            "Message 1: A part of type 'rna' holds a text and an RNA",
        ),
        (
            [{"role": "user", "content": [{"type": "text", "rna": "ACGU", "text": "Why?"}]}],
            ValueError,
            "A part of type 'text' holds a text and an RNA",
        ),
        (
            [{"role": "user", "content": [{"type": "text", "text": ["What", "is it?"]}]}],
            TypeError,
            "Message 1: A text part needs a string as text, got list",
        ),
    ],
)
def test_messages_in_a_shape_that_cannot_be_meant(
    messages: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make_processor().apply_chat_template(messages)
