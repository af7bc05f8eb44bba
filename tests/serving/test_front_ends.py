"""What chat front ends and client libraries send besides OpenAI's own client."""

import base64
import json
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from helpers.tiny_server import NAME, ask_about, client_of, make_parts, serve_tiny

from rnagpt.reference.library import Reference

TRNA = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA"
OPEN_WEBUI = json.loads((Path(__file__).parents[1] / "data" / "open_webui.json").read_text())


@pytest.fixture(scope="module")
def address():
    with serve_tiny(make_parts(), reference=Reference.open()) as (address, _):
        yield address


def post(address, body):
    return httpx.post(f"{address}/v1/chat/completions", json=body, timeout=60)


def chunks_of(reply):
    lines = [line.removeprefix("data: ") for line in reply.text.splitlines() if line]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


def test_open_webui_reads_a_streamed_answer(address):
    reply = post(address, OPEN_WEBUI["chat"])
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"].startswith("text/event-stream")
    *chunks, last = chunks_of(reply)
    text = "".join(one["choices"][0]["delta"].get("content") or "" for one in chunks)
    assert text.startswith("RNA read from the text: 76 nt")
    assert "tRNA [1]" in text
    assert last["usage"]["total_tokens"] == 0


def test_open_webui_goes_on_with_the_conversation(address):
    first = post(address, OPEN_WEBUI["chat"] | {"stream": False, "stream_options": None})
    said = first.json()["choices"][0]["message"]["content"]
    body = OPEN_WEBUI["chat"] | {"stream": False, "stream_options": None}
    body["messages"] = [
        *body["messages"],
        {"role": "assistant", "content": said},
        {"role": "user", "content": "What does it do?"},
    ]
    message = post(address, body).json()["choices"][0]["message"]
    assert message["basis"] == "records"
    assert not message["content"].startswith("RNA read")


@pytest.mark.parametrize("task", ["title", "tags", "follow_ups"])
def test_open_webuis_own_requests_are_rejected_in_words(address, task):
    """It then takes its own defaults: the title is the chat's first words."""
    reply = post(address, OPEN_WEBUI[task])
    assert reply.status_code == 400, reply.text
    error = reply.json()["error"]
    assert error["code"] == "front_end_task"
    assert "Open WebUI" in error["message"]


@pytest.mark.parametrize(
    "extra",
    [{"features": {"web_search": True}}, {"tool_ids": ["t"]}, {"files": [{"id": "f"}]}],
)
def test_what_open_webui_would_have_done_is_not_passed_over(address, extra):
    reply = post(address, OPEN_WEBUI["chat"] | extra)
    assert reply.status_code == 400
    assert f"{next(iter(extra))} is not supported" in reply.json()["error"]["message"]


def test_probabilities_of_tokens_are_rejected_with_the_reason(address):
    for options in ({"logprobs": True}, {"logprobs": True, "top_logprobs": 2}):
        with pytest.raises(openai.BadRequestError, match=r"logprobs.*`confidence` says"):
            client_of(address).chat.completions.create(
                model=NAME, messages=ask_about(TRNA), **options
            )


def test_langchain_reads_answers_whole_and_streamed(address):
    from langchain_openai import ChatOpenAI

    chat = ChatOpenAI(base_url=f"{address}/v1", api_key="none", model=NAME, max_retries=0)
    asked = f"What is this RNA?\n\n{TRNA}"
    whole = chat.invoke(asked).text
    assert "tRNA [1]" in whole
    assert "".join(chunk.text for chunk in chat.stream(asked)) == whole
    assert chat.invoke([("system", "Be short."), ("human", asked)]).text == whole
    fasta = base64.b64encode(f">mine\n{TRNA}".encode()).decode()
    file = {"filename": "mine.fa", "file_data": f"data:text/plain;base64,{fasta}"}
    parts: list[str | dict[str, Any]] = [
        {"type": "file", "file": file},
        {"type": "text", "text": "What is mine?"},
    ]
    assert "tRNA [1]" in chat.invoke([("human", parts)]).text
    by_responses = chat.model_copy(update={"use_responses_api": True})
    assert by_responses.invoke(asked).text == whole
    assert "".join(chunk.text for chunk in by_responses.stream(asked)) == whole


def test_litellm_reads_answers_whole_and_streamed(address):
    import litellm

    options = {
        "model": f"openai/{NAME}",
        "api_base": f"{address}/v1",
        "api_key": "none",
        "messages": [{"role": "user", "content": f"What is {TRNA}?"}],
    }
    whole = litellm.completion(**options).choices[0].message.content
    assert "tRNA [1]" in whole
    pieces = litellm.completion(**options, stream=True)
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == whole
