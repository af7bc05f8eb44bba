"""Answers from evidence over HTTP: cited, carried beside the text, the same whole and streamed."""

import asyncio
import concurrent.futures
import copy
import threading
import time

import httpx
import openai
import pytest
from helpers.loopback import serve
from helpers.tiny_models import make_rna
from helpers.tiny_server import CONTEXT, NAME, ask_about, client_of, serve_tiny

from rnagpt import RnaChat
from rnagpt.cleaning_rnagpt import clean_rna
from rnagpt.inference.cited import Request
from rnagpt.inference.local_model import LocalModel
from rnagpt.reference.library import Reference, SearchStoppedError
from rnagpt.serving.answers import Answers
from rnagpt.serving.app import make_app
from rnagpt.serving.engines.base import Sampling, Tokens
from rnagpt.serving.limits import Limits
from rnagpt.serving.prompt_encoders import encoder_of
from rnagpt.serving.service import Service

TRNA = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA"
RRNA_5S = (
    "UGCCUGGCGGCCGUAGCGCGGUGGUCCCACCUGACCCCAUGCCGAACUCAGAAGUGAAACGCCGUAGCGCCGAUGGUAGUGUGGGGUCUCCCC"
    "AUGCGAGAGUAGGGAACUGCCAGGCAU"
)
HAMMERHEAD = "CUGAUGAGUCCGUGAGGACGAAACGAGUAAGCUCGUC"
PROTEIN = "MSKGEELFTGVVPILVELDGDVNGHKFSVSGEGEGDATYGKLTLKFICTTGKLPVPWPTL"
FIELDS = {"evidence", "basis", "confidence", "about", "sentences"}


@pytest.fixture(scope="module")
def server(parts, reference):
    with serve_tiny(parts, reference=reference) as (address, service):
        yield address, service


@pytest.fixture
def client(server):
    return client_of(server[0])


def complete(client, messages, **options):
    return client.chat.completions.create(model=NAME, messages=messages, **options)


def message_of(client, messages, **options):
    return complete(client, messages, **options).choices[0].message


def answer_here(parts, reference, rnas, *questions):
    """The last answer of a conversation in this process, and its evidence."""
    model, processor = parts
    chat = RnaChat(model, processor, reference=reference)
    for rna in rnas:
        chat.add_rna(rna)
    for question in questions:
        list(chat.ask(question))
    return chat.answer, chat.evidence


def searches(service):
    lines = service.metrics.text().decode().splitlines()
    return float(
        next(line.split()[1] for line in lines if line.startswith("rnagpt_searches_total"))
    )


def test_an_answer_cites_the_record_and_the_client_sees_it(client, parts, reference):
    reply = complete(client, ask_about(TRNA))
    message = reply.choices[0].message
    answer, (evidence,) = answer_here(parts, reference, [TRNA], "What is this RNA?")
    assert message.content == answer.text
    assert "tRNA [1]" in message.content
    assert set(message.model_extra) == FIELDS
    record = message.model_extra["evidence"][0]
    assert (record["number"], record["id"], record["rna"]) == (1, "RF00005", "RNA 1")
    assert message.model_extra["evidence"] == evidence.to_dict()
    assert message.model_extra["basis"] == "records"
    assert message.model_extra["confidence"] == round(answer.confidence, 4) > 0.9
    assert message.model_extra["sentences"][0]["records"] == [1]
    assert message.model_extra["about"] == ["RNA 1"]
    assert reply.choices[0].finish_reason == "stop"
    # The language model was not asked.
    assert reply.usage.total_tokens == 0


@pytest.mark.parametrize("content", [f"What is {TRNA}?", f"{TRNA}\nWhat is it?", TRNA])
def test_a_stream_is_the_same_as_the_whole(client, content):
    messages = [{"role": "user", "content": content}]
    whole = complete(client, messages, n=2)
    options = {"stream": True, "n": 2, "stream_options": {"include_usage": True}}
    chunks = list(complete(client, messages, **options))
    for choice in whole.choices:
        assert choice.message.content.startswith("RNA read from the text: 76 nt")
        mine = [c.choices[0] for c in chunks if c.choices and c.choices[0].index == choice.index]
        text = "".join(one.delta.content or "" for one in mine)
        assert (text, mine[-1].finish_reason) == (choice.message.content, "stop")
        assert mine[-2].delta.model_extra == choice.message.model_extra
        assert mine[0].delta.role == "assistant"
    assert chunks[-1].usage == whole.usage
    assert whole.choices[0].message == whole.choices[1].message


def test_a_second_turn_searches_nothing_again(client, server, parts, reference):
    before = searches(server[1])
    first = message_of(client, ask_about(HAMMERHEAD))
    assert searches(server[1]) == before + 1
    # As a client keeps it, the fields of this project included.
    messages = [
        *ask_about(HAMMERHEAD),
        first.model_dump(exclude_none=True),
        {"role": "user", "content": "What does it do?"},
    ]
    second = message_of(client, messages)
    assert searches(server[1]) == before + 1
    questions = ("What is this RNA?", "What does it do?")
    answer, _ = answer_here(parts, reference, [HAMMERHEAD], *questions)
    assert second.content == answer.text != first.content


def test_two_rnas_and_a_question_about_the_first(client):
    messages = [
        *ask_about(f">mine\n{TRNA}"),
        {"role": "assistant", "content": "A tRNA."},
        *ask_about(RRNA_5S, text="What is mine?"),
    ]
    message = message_of(client, messages)
    assert message.model_extra["about"] == ["mine"]
    assert {record["id"] for record in message.model_extra["evidence"]} == {"RF00005"}
    # The last one is meant where none is named; its records go on with the numbers.
    messages[-1] = ask_about(RRNA_5S)[0]
    last = message_of(client, messages)
    assert last.model_extra["about"] == ["RNA 2"]
    assert last.content.startswith("(about RNA 2")
    assert "5S" in last.content
    assert min(record["number"] for record in last.model_extra["evidence"]) > 1
    assert last.model_extra["sentences"][0]["records"] == [
        last.model_extra["evidence"][0]["number"]
    ]


def test_pasted_rnas_of_a_later_message_go_on_with_the_numbers(client):
    messages = [
        {"role": "user", "content": f"What is {TRNA}?"},
        {"role": "assistant", "content": "A tRNA."},
        {"role": "user", "content": f"Given {HAMMERHEAD} and {RRNA_5S}, what is RNA 3?"},
    ]
    message = message_of(client, messages)
    assert message.model_extra["about"][-1] == "RNA 3"
    messages[-1]["content"] = f"Is {RRNA_5S} a riboswitch, or {HAMMERHEAD}?"
    assert message_of(client, messages).model_extra["about"] == ["RNA 2", "RNA 3"]


def test_a_question_about_an_rna_that_was_not_given(client):
    for options in ({}, {"stream": True}):
        with pytest.raises(openai.BadRequestError, match="about RNA 3, and 1 RNA was") as caught:
            complete(client, ask_about(TRNA, text="What is RNA 3?"), **options)
        assert caught.value.code == "rna_not_given"


def test_what_is_not_known_is_said(client):
    message = message_of(client, ask_about(make_rna(60)))
    assert message.model_extra["basis"] == "none"
    assert message.model_extra["evidence"] == []
    assert message.model_extra["confidence"] is None
    short = message_of(client, ask_about(TRNA[:12]))
    assert "12 nt are too short to search" in short.content
    assert short.model_extra["basis"] == "none"


def test_a_long_transcript_with_a_trna_inside(client, parts):
    assert parts[1].max_rna_length == 300
    transcript = make_rna(4_000, 1) + TRNA + make_rna(4_000, 2)
    message = message_of(client, ask_about(transcript))
    (record,) = (one for one in message.model_extra["evidence"] if one["id"] == "RF00005")
    assert abs(record["start"] - 4_001) < 5
    assert "tRNA" in message.content
    assert message.model_extra["basis"] == "records"


@pytest.mark.parametrize(
    ("messages", "status", "told"),
    [
        (ask_about(PROTEIN), 422, "protein"),
        (ask_about(TRNA, "ACGX"), 422, "RNA '2'.*position 4"),
        (ask_about("A" * 50_001), 413, "50,001 nt"),
        (ask_about("A\n" * 500_000), 413, "1,000,000 letters.*50,000 nt"),
        (ask_about(*["ACGU"] * 17), 413, "17 RNAs"),
        (ask_about(TRNA, text="why " * 6_000), 400, "maximum context length"),
        ([*ask_about(TRNA), {"role": "user", "content": " "}], 400, "no question"),
        ([{"role": "user", "content": "Hello!"}], 400, "no RNA"),
    ],
)
def test_bad_requests_are_rejected_with_the_reason(client, messages, status, told):
    with pytest.raises(openai.APIStatusError, match=f"(?s){told}") as caught:
        complete(client, messages)
    assert caught.value.status_code == status


def test_options_of_answers_from_records(client):
    whole = complete(client, ask_about(TRNA)).choices[0]
    # Whole, however few tokens were asked for.
    assert complete(client, ask_about(TRNA), max_tokens=1).choices == [whole]
    options = {"temperature": 1.5, "seed": 3, "top_p": 0.5, "n": 3}
    choices = complete(client, ask_about(TRNA), **options).choices
    assert [choice.message for choice in choices] == [whole.message] * 3
    cut = complete(client, ask_about(TRNA), stop=[" [1]", "no such"]).choices[0]
    assert cut.message.content == whole.message.content.split(" [1]")[0]
    assert cut.message.model_extra == whole.message.model_extra
    assert cut.finish_reason == "stop"


def test_eight_at_once_are_not_mixed(client):
    known = {"RF00005": TRNA, "RF00001": RRNA_5S, "": make_rna(80, 5)}
    asked = [
        (accession, rna + "ACGUU"[: 1 + turn])
        for turn in range(4)
        for accession, rna in known.items()
    ]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        replies = pool.map(lambda one: message_of(client, ask_about(one[1])), asked)
        for (accession, _), message in zip(asked, replies, strict=True):
            found = [record["id"] for record in message.model_extra["evidence"]]
            assert found[:1] == ([accession] if accession else [])


def test_without_a_reference_the_model_answers_in_its_own_words(parts):
    with serve_tiny(parts) as (address, _):
        reply = complete(client_of(address), ask_about(TRNA), max_tokens=5)
        chat = RnaChat(*parts)
        chat.add_rna(TRNA)
        said = "".join(chat.ask("What is this RNA?", max_new_tokens=5))
        assert reply.choices[0].message.content == said
        assert not reply.choices[0].message.model_extra
        with pytest.raises(openai.APIStatusError, match="301 nt"):
            complete(client_of(address), ask_about("A" * 301))


def test_the_description_names_the_fields(server):
    description = httpx.get(f"{server[0]}/openapi.json").json()
    message = description["components"]["schemas"]["CitedMessage"]["properties"]
    assert set(message) == FIELDS | {"role", "content"}
    content = description["paths"]["/v1/chat/completions"]["post"]["responses"]["200"]["content"]
    assert content["application/json"]["schema"]["$ref"].endswith("ChatReply")


class WritesThis:
    """An engine that writes given words, and notes what it is asked."""

    context, running, waiting = CONTEXT, 0, 0

    def __init__(self, processor, words, log_probability):
        self.tokenizer, self.words = processor.tokenizer, words
        self.log_probability, self.asked = log_probability, []

    def submit(self, prompt, samplings):
        self.asked.append(self.tokenizer.decode(prompt.inputs["input_ids"][0]))
        return [self._stream() for _ in samplings]

    def _stream(self):
        ids = self.tokenizer(self.words, add_special_tokens=False)["input_ids"]
        return Stream([Tokens(tuple(ids), "stop", self.log_probability)])

    async def close(self):
        pass


class Stream(list):
    def __aiter__(self):
        return self

    async def __anext__(self):
        return self.pop(0)

    def cancel(self):
        pass


def ask_engine(parts, reference, words, rna, *, log_probability=-0.1, context=8_192, **config):
    """The reply of a server whose language model writes these words, and what it was asked."""
    model, processor = parts[0], copy.deepcopy(parts[1])
    processor.max_context = context
    engine = WritesThis(processor, words, log_probability)
    fields = {**model.config.to_dict(), "confidence_scale": 1.0, "confidence_bias": 5.0, **config}
    service = Service(
        engine, processor, NAME, context, reference=reference, config=type(model.config)(**fields)
    )
    with serve(make_app(service)) as address:
        return complete(client_of(address), ask_about(rna)), engine.asked


def test_the_models_own_reading_is_shown_where_its_confidence_was_measured(parts, reference):
    rna = make_rna(60)
    reply, asked = ask_engine(parts, reference, "It is a tRNA.", rna)
    message = reply.choices[0].message
    assert "own reading" in message.content
    assert message.model_extra["basis"] == "model"
    assert message.model_extra["confidence"] is None  # of readings it was not calibrated
    assert "What type of RNA is this?" in asked[0]
    assert reply.usage.prompt_tokens > 20
    assert reply.usage.completion_tokens > 1
    # An engine that does not say how likely its words were; a model that is not sure.
    for options in ({"log_probability": None}, {"log_probability": -4.0}):
        reply, _ = ask_engine(parts, reference, "It is a tRNA.", rna, **options)
        assert "own reading" not in reply.choices[0].message.content
        assert reply.choices[0].message.model_extra["basis"] == "none"


def test_a_model_that_reads_evidence_is_given_it_and_checked(parts, reference):
    for words, said in (
        ("This RNA is a tRNA.", "This RNA is a tRNA [1]."),
        ("A riboswitch.", "It is tRNA [1]."),
    ):
        reply, asked = ask_engine(parts, reference, words, TRNA[:60], reads_evidence=True)
        assert reply.choices[0].message.content == said
        assert "[1] tRNA" in asked[0]
    # What does not fit its context is answered in the records' own words.
    reply, asked = ask_engine(parts, reference, "x", TRNA, context=CONTEXT, reads_evidence=True)
    assert (asked, reply.usage.total_tokens) == ([], 0)
    assert reply.choices[0].message.content == "It is tRNA [1]."
    # Nor is an RNA that is longer than it reads.
    reply, asked = ask_engine(parts, reference, "x", TRNA + make_rna(240), reads_evidence=True)
    assert asked == []
    assert "tRNA [1]" in reply.choices[0].message.content


def test_the_transformers_engine_says_how_likely_its_words_are(parts, reference):
    """The model's own words and their probability, as the conversation has them."""
    request = Request(clean_rna(make_rna(60)), "What type of RNA is this?")
    (words,) = LocalModel.loaded(*parts).write_all([request], 1, 20, {})
    with serve_tiny(parts, reference=reference) as (_, service):
        prompt = service.prompts.about_one(request)

        async def write():
            sampling = Sampling(20, log_probabilities=True)
            encoder = encoder_of(parts[1])
            answers = Answers(service.engine, encoder, service.metrics, prompt, [sampling], ())
            texts, _ = await answers.whole()
            return texts[0], answers.log_probabilities[0]

        text, log_probability = asyncio.run(write())
    assert words is not None
    assert text == words.text
    assert log_probability == pytest.approx(words.log_probability, rel=1e-3)


def test_too_many_searches_are_told_to_come_again(parts, reference, monkeypatch):
    go = threading.Event()
    search = Reference.search
    monkeypatch.setattr(Reference, "search", lambda *a, **k: (go.wait(20), search(*a, **k))[1])
    limits = Limits(max_waiting=1, retry_after=3)
    with (
        serve_tiny(parts, limits, reference=reference) as (address, service),
        concurrent.futures.ThreadPoolExecutor(2) as pool,
    ):
        client = client_of(address)
        waiting = [pool.submit(complete, client, ask_about(TRNA + end)) for end in "AC"]
        end = time.monotonic() + 20
        while service.searches.waiting < 2:
            assert time.monotonic() < end
            time.sleep(0.01)
        with pytest.raises(openai.RateLimitError, match="searches wait already") as caught:
            complete(client, ask_about(TRNA + "G"))
        assert caught.value.response.headers["retry-after"] == "3"
        go.set()
        assert all("tRNA" in one.result().choices[0].message.content for one in waiting)


def test_a_client_that_leaves_ends_its_search(parts, reference, monkeypatch):
    stopped = threading.Event()

    def search(*_, stop, **__):
        end = time.monotonic() + 20
        while not stop() and time.monotonic() < end:
            time.sleep(0.01)
        if stop():
            stopped.set()
        raise SearchStoppedError

    monkeypatch.setattr(Reference, "search", search)
    with serve_tiny(parts, reference=reference) as (address, service):
        body = {"model": NAME, "messages": ask_about(TRNA)}
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{address}/v1/chat/completions", json=body, timeout=0.5)
        assert stopped.wait(10)
        assert service.searches.waiting == 0


def test_malformed_requests_are_no_server_error(server):
    for content in ("", " ", "\0", "RNA 0", "RNA " * 99, TRNA + "\n" + TRNA, ">\n", ">x\nNNNN"):
        for parts in (content, ask_about("N" * 20, text=content)[0]["content"]):
            body = {"model": NAME, "messages": [{"role": "user", "content": parts}], "n": 2}
            reply = httpx.post(f"{server[0]}/v1/chat/completions", json=body, timeout=60)
            assert reply.status_code < 500, reply.text
