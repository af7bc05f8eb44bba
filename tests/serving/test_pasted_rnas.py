"""RNAs in the texts of conversations that have none as a part."""

import json

import httpx
import openai
import pytest
from helpers.tiny_models import make_rna
from helpers.tiny_server import NAME, ask_about, client_of, serve_tiny

from rnagpt import RnaChat
from rnagpt.serving.pasted_rnas import UnclearSequenceError, find_pasted

# tRNA-Phe of yeast.
TRNA = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA"
MIRNAS = ["UGAGGUAGUAGGUUGUAUAGUU", "UGAGGUAGUAGGUUGUGUGGU"]
BLOCKS = " ".join(TRNA[at : at + 10] for at in range(0, len(TRNA), 10))
WRAPPED = f"{TRNA[:60]}\n{TRNA[60:]}"


@pytest.mark.parametrize(
    ("text", "left", "rnas"),
    [
        (f"What is {TRNA}?", "What is this RNA?", [TRNA]),
        (f"{TRNA}\nWhat is it?", "What is it?", [TRNA]),
        (f"What is it?\r\n{TRNA.lower()}\r\n", "What is it?", [TRNA.lower()]),
        (TRNA, "", [TRNA]),
        (BLOCKS, "", [TRNA]),
        (f"{WRAPPED}\nWhat is it?", "What is it?", [TRNA]),
        (f"What is this?\n>x yeast\n{WRAPPED}\n\nTell me.", "What is this?\n\nTell me.",
         [f">x yeast\n{WRAPPED}"]),
        (">a\nACGU\n>b\nGGCC\nAlike?", "Alike?", [">a\nACGU", ">b\nGGCC"]),
        (f"```fasta\n{TRNA}\n```\nWhat?", "What?", [TRNA]),
        (f"Is 5'-{TRNA}-3' a tRNA?", "Is this RNA a tRNA?", [TRNA]),
        (f"a {MIRNAS[0]} or {MIRNAS[1]}", "a RNA 1 or RNA 2", MIRNAS),
        ("\n\n".join(MIRNAS), "", MIRNAS),
        ("GC--GGAUUUAG..CUCAGUUGGG", "", ["GC--GGAUUUAG..CUCAGUUGGG"]),
        # Whether it is an RNA clean_rna says, which names the place of a slip.
        (TRNA[:20] + "X" + TRNA[20:], "", [TRNA[:20] + "X" + TRNA[20:]]),
        (f"a {TRNA[:20]}-containing tail", "a this RNA-containing tail", [TRNA[:20]]),
        (f"mRNA\t{TRNA}", "mRNA\tthis RNA", [TRNA]),
        (f"{TRNA}\nthanks", "thanks", [TRNA]),
        # Plain English, names and short motifs are none.
        ("Can a cat act as a tuna can? Thanks", None, []),
        ("> What is said here\nThanks", None, []),
        ("The motif GGUUCGAAUCC of a tRNA, and the TATA box", None, []),
        ("see https://x.example/ACGUACGUACGUACGU1 and file_ACGUACGUACGUACGU.fa", None, []),
        ("Say \0 and 1 and \x001\0", None, []),
    ],
)  # fmt: skip
def test_sequences_in_a_text(text, left, rnas):
    found = find_pasted(text)
    assert found.text == (text if left is None else left)
    assert list(found.rnas) == rnas


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(MIRNAS),
        f"{TRNA[:50]}\n{TRNA[50:]}\n{MIRNAS[0]}",
        f"{TRNA}\nTHANKS",
        f">x\n{TRNA}\nTHANKS",
        f"{TRNA}\nacca",
    ],
)
def test_lines_that_may_be_one_rna_or_several_are_not_guessed_at(text):
    with pytest.raises(UnclearSequenceError, match="empty line"):
        find_pasted(text)


@pytest.fixture(scope="module")
def address(parts):
    with serve_tiny(parts) as (address, _):
        yield address


def say(address, content, history=(), **options):
    messages = [*history, {"role": "user", "content": content}]
    reply = client_of(address).chat.completions.create(
        model=NAME, messages=messages, **{"max_tokens": 8} | options
    )
    return reply if options.get("stream") else reply.choices[0].message.content


def say_here(parts, rnas, text, **options):
    chat = RnaChat(*parts)
    for rna in rnas:
        chat.add_rna(rna)
    return "".join(chat.ask(text, **{"max_new_tokens": 8} | options))


def test_a_pasted_sequence_is_the_rna_and_the_reply_says_so(address, parts):
    dna = TRNA.replace("U", "T")
    note = "RNA read from the text: 76 nt, GCGGAUUUAG...AUUCGCACCA (17 T read as U)\n\n"
    answer = say_here(parts, [TRNA], "What is this RNA?")
    for content in (
        f"What is {dna}?",
        [{"type": "text", "text": f"What is {dna}"}, {"type": "text", "text": "?"}],
    ):
        assert say(address, content) == note + answer
    chunks = say(address, f"What is {dna}?", stream=True, n=2)
    told = ["", ""]
    for chunk in chunks:
        told[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert told == [note + answer] * 2


def test_fasta_records_are_told_by_name(address, parts):
    rnas = [make_rna(30), make_rna(20, 1)]
    text = f">one of mine\n{rnas[0]}\n>two\n{rnas[1]}\n\nAre they alike?"
    told = (
        f"RNA read from the text: one: 30 nt, {rnas[0][:10]}...{rnas[0][-10:]}\n"
        f"RNA read from the text: two: 20 nt, {rnas[1]}\n\n"
    )
    assert say(address, text) == told + say_here(parts, rnas, "Are they alike?")


def test_a_conversation_goes_on_about_what_was_pasted(address, parts):
    """Chat clients send all of it again, the reply's first lines included."""
    begun = RnaChat(*parts)
    begun.messages = [*ask_about(TRNA, text="What is it?"),
                      {"role": "assistant", "content": "A tRNA."}]  # fmt: skip
    expected = "".join(begun.ask("Why?", max_new_tokens=8))
    note = "RNA read from the text: 76 nt, GCGGAUUUAG...AUUCGCACCA\n\n"
    history = [
        {"role": "user", "content": f"{TRNA}\nWhat is it?"},
        {"role": "assistant", "content": f"{note}A tRNA."},
    ]
    # What was read before is not told again.
    assert say(address, "Why?", history) == expected


def test_a_sequence_without_a_question_is_asked_about(address, parts):
    note = "RNA read from the text: 76 nt, GCGGAUUUAG...AUUCGCACCA\n"
    note += "No question was asked; this answers: What is this RNA?\n\n"
    told = say(address, TRNA)
    assert told == note + say_here(parts, [TRNA], "What is this RNA?")
    history = [
        {"role": "user", "content": TRNA},
        {"role": "assistant", "content": f"{note}A tRNA."},
    ]
    begun = RnaChat(*parts)
    begun.messages = [*ask_about(TRNA), {"role": "assistant", "content": "A tRNA."}]
    assert say(address, "Why?", history) == "".join(begun.ask("Why?", max_new_tokens=8))


def test_texts_stay_as_they_are_beside_an_rna_that_is_a_part(address, parts):
    rna, text = make_rna(30), f"Does it hold {TRNA[:20]}?"
    assert say(address, ask_about(rna, text=text)[0]["content"]) == say_here(parts, [rna], text)


@pytest.mark.parametrize("text", ["Hello!", "What is a riboswitch?", "", "Is GGUUCGAAUCC in it?"])
def test_a_conversation_without_an_rna_is_rejected(address, text):
    for options in ({}, {"stream": True}):
        with pytest.raises(openai.BadRequestError, match="no RNA") as caught:
            say(address, text, **options)
        assert caught.value.code == "no_rna"
        assert "FASTA" in caught.value.message
    # What the assistant or the system says is not the user's RNA.
    history = [{"role": "system", "content": TRNA}]
    with pytest.raises(openai.BadRequestError, match="no RNA"):
        say(address, text, history)


@pytest.mark.parametrize(
    ("text", "status", "told"),
    [
        (f"What is {TRNA[:20]}X{TRNA[20:]}?", 422, "position 21"),
        (">p\nMSKGEELFTGVVPILVELDG\nWhat?", 422, "protein"),
        ("\n".join(MIRNAS), 400, "one RNA or several"),
        ("\n\n".join([TRNA] * 17), 413, "17 RNAs"),
        (TRNA * 4, 413, "304 nt"),
    ],
)
def test_what_is_wrong_with_a_pasted_rna_is_told(address, text, status, told):
    with pytest.raises(openai.APIStatusError, match=told) as caught:
        say(address, text)
    assert caught.value.status_code == status


def test_long_texts_are_looked_through_in_time(address):
    # 900,000 letters fit the bound of a model that reads 8,192 tokens.
    for text in ("A-" * 450_000, "A\n" * 450_000, "5'" * 450_000, f"{TRNA}\n\n" * 11_000):
        body = {"model": NAME, "messages": [{"role": "user", "content": text}]}
        reply = httpx.post(f"{address}/v1/chat/completions", content=json.dumps(body),
                           headers={"Content-Type": "application/json"}, timeout=5)  # fmt: skip
        assert reply.status_code in (400, 413)
        find_pasted(text, max_rnas=16)
