"""`/v1/responses` asked by OpenAI's own client: its shapes, events, citations and rejections."""

import base64
from typing import Any

import httpx
import openai
import pytest
from helpers.tiny_models import make_rna
from helpers.tiny_server import NAME, ask_about, client_of, serve_tiny
from openai.types.responses import Response

from rnagpt.reference.library import Reference

TRNA = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA"
FIELDS = {"evidence", "basis", "confidence", "about", "sentences"}
EVENTS = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]


@pytest.fixture(scope="module")
def client(parts):
    with serve_tiny(parts, reference=Reference.open()) as (address, _):
        yield client_of(address)


@pytest.fixture(scope="module")
def model_only(parts):
    with serve_tiny(parts) as (address, _):
        yield client_of(address)


def respond(client, given, **options):
    return client.responses.create(model=NAME, input=given, **options)


def in_chat(client, messages, **options):
    reply = client.chat.completions.create(model=NAME, messages=messages, **options)
    return reply.choices[0].message


def without_ids(response):
    return [item.model_dump(exclude={"id"}) for item in response.output]


def test_an_answer_is_the_chats_with_its_evidence(client):
    response = respond(client, f"What is {TRNA}?", metadata={"a": "b"}, instructions="Be short.")
    message = in_chat(client, [{"role": "user", "content": f"What is {TRNA}?"}])
    assert response.output_text == message.content
    # Parsing is lenient; this is not.
    Response.model_validate(response.model_dump(), strict=False)
    (item,) = response.output
    assert item.model_extra == message.model_extra
    assert set(item.model_extra) == FIELDS
    assert (response.status, item.status, response.error) == ("completed", "completed", None)
    assert (response.metadata, response.instructions) == ({"a": "b"}, "Be short.")
    assert response.usage.total_tokens == 0


def test_citations_are_annotations_at_their_places(client):
    response = respond(client, f"What is {TRNA}?")
    (citation,) = response.output[0].content[0].annotations
    text = response.output_text
    assert text[citation.start_index : citation.end_index + 1] == "[1]"
    assert citation.type == "url_citation"
    assert citation.url == "https://rfam.org/family/RF00005"
    assert citation.title == "RF00005 tRNA"


def test_input_of_messages_files_and_parts(client):
    fasta = base64.b64encode(f">mine\n{TRNA}".encode()).decode()
    file = {
        "type": "input_file",
        "filename": "a.fa",
        "file_data": f"data:text/plain;base64,{fasta}",
    }
    question = {"type": "input_text", "text": "What is this RNA?"}
    texts = {
        respond(client, [{"role": "user", "content": [part, question]}]).output_text
        for part in (file, {"type": "rna", "rna": f">mine\n{TRNA}"})
    }
    assert texts == {in_chat(client, ask_about(f">mine\n{TRNA}")).content}


def test_an_answer_comes_back_as_the_client_keeps_it(client):
    given: list[Any] = [{"role": "user", "content": f"What is {TRNA}?"}]
    first = respond(client, given)
    given += [item.model_dump() for item in first.output]
    given.append({"role": "user", "content": [{"type": "input_text", "text": "What does it do?"}]})
    second = respond(client, given)
    assert second.output[0].model_extra["evidence"][0]["id"] == "RF00005"
    assert second.output_text != first.output_text


def test_the_events_are_the_official_ones_and_add_up(client):
    events = list(respond(client, f"What is {TRNA}?", stream=True))
    assert [event.type for event in events] == EVENTS
    assert [event.sequence_number for event in events] == list(range(len(EVENTS)))
    whole = respond(client, f"What is {TRNA}?")
    assert without_ids(events[-1].response) == without_ids(whole)
    assert events[-1].response.output_text == events[4].delta == events[5].text
    assert len({event.item_id for event in events[3:7]} | {events[2].item.id}) == 1
    # The client's own accumulation, which is strict about their order.
    with client.responses.stream(model=NAME, input=f"What is {TRNA}?") as stream:
        final = stream.get_final_response()
    assert final.output_text == whole.output_text
    assert final.output[0].model_extra["basis"] == "records"


def test_the_model_alone_answers_whole_and_in_pieces(model_only):
    rna = make_rna(40)
    given = [
        {
            "role": "user",
            "content": [{"type": "rna", "rna": rna}, {"type": "input_text", "text": "What is it?"}],
        }
    ]
    options = {"max_output_tokens": 12, "instructions": "Answer shortly."}
    whole = respond(model_only, given, **options)
    system = {"role": "system", "content": "Answer shortly."}
    messages = [system, *ask_about(rna, text="What is it?")]
    assert whole.output_text == in_chat(model_only, messages, max_tokens=12).content
    assert whole.output_text != respond(model_only, given, max_output_tokens=12).output_text
    assert whole.status == "incomplete"
    assert whole.incomplete_details.reason == "max_output_tokens"
    assert whole.usage.output_tokens == 12
    assert whole.usage.total_tokens == whole.usage.input_tokens + 12
    events = list(respond(model_only, given, stream=True, **options))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == whole.output_text
    assert len(deltas) > 2
    assert events[-1].type == "response.incomplete"
    assert events[-1].response.usage == whole.usage


def test_a_failure_is_an_event_of_the_stream(model_only, monkeypatch):
    from rnagpt.serving.engines.token_batch import TokenBatch

    def add(*_):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(TokenBatch, "add", add)
    with pytest.raises(openai.InternalServerError, match="RuntimeError"):
        respond(model_only, f"What is {TRNA}?")
    last = list(respond(model_only, f"What is {TRNA}?", stream=True))[-1]
    assert last.type == "response.failed"
    assert "RuntimeError" in last.response.error.message


@pytest.mark.parametrize(
    ("given", "options", "told"),
    [
        ("Hello!", {}, "no RNA"),
        ("What is RNA?", {"previous_response_id": "resp_1"}, "previous_response_id.*not stored"),
        ("What is RNA?", {"conversation": "conv_1"}, "conversation is not supported"),
        ("What is RNA?", {"background": True}, "background is not supported"),
        ("What is RNA?", {"tools": [{"type": "web_search"}]}, "tools is not supported"),
        ("What is RNA?", {"truncation": "auto"}, "truncation is not supported"),
        ("What is RNA?", {"text": {"format": {"type": "json_object"}}}, "text is not supported"),
        ("What is RNA?", {"reasoning": {"effort": "high"}}, "reasoning is not supported"),
        ("What is RNA?", {"top_logprobs": 2}, "top_logprobs is not supported"),
        ("What is RNA?", {"max_output_tokens": 0}, "max_output_tokens"),
        ([], {}, "input"),
        ([{"role": "tool", "content": "x"}], {}, "role"),
        ([{"type": "item_reference", "id": "msg_1"}], {}, "input.0"),
        (
            [{"role": "user", "content": [{"type": "input_image", "image_url": "data:,x"}]}],
            {},
            "input_image",
        ),
        (
            [{"role": "user", "content": [{"type": "input_file", "file_url": "https://x.y/z"}]}],
            {},
            "neither stored nor fetched",
        ),
        ([{"role": "assistant", "content": f"It is {TRNA}"}], {}, "last message"),
    ],
)
def test_what_is_not_supported_is_rejected_with_the_reason(client, given, options, told):
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError, match=f"(?s){told}") as caught:
            respond(client, given, stream=stream, **options)
        assert not (caught.value.param or "").startswith("messages")


def test_what_asks_for_nothing_may_be_given(client):
    options = {
        "background": False,
        "include": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "service_tier": "auto",
        "store": False,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "truncation": "disabled",
        "user": "me",
    }
    given = f"What is {TRNA}?"
    assert without_ids(respond(client, given, **options)) == without_ids(respond(client, given))


def test_the_description_names_the_fields(client):
    root = str(client.base_url).removesuffix("/v1/")
    schemas = httpx.get(f"{root}/openapi.json").json()["components"]["schemas"]
    assert set(schemas["OutputMessage"]["properties"]) >= FIELDS
    assert {"input", "instructions", "max_output_tokens"} <= set(
        schemas["ResponseRequest"]["properties"]
    )
