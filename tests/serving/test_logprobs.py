"""The probabilities of an answer's tokens, as OpenAI's client reads them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import openai
import pytest
import torch
from helpers.tiny_models import make_model, make_processor, make_question, make_rna, make_tokenizer
from helpers.tiny_server import NAME, ask_about, client_of, serve_tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from rnagpt.inference.detokenizer import IncrementalDetokenizer
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor
from rnagpt.reference.library import Reference
from rnagpt.serving.engines.base import TokenProbability
from rnagpt.serving.engines.token_batch import TokenSampler
from rnagpt.serving.token_logprobs import TokenBytes, TokenTrace

Parts = tuple[RnaGptForCausalLM, RnaGptProcessor]
RNA = make_rna(30)


@pytest.fixture(scope="module")
def address(parts: Parts) -> Iterator[str]:
    with serve_tiny(parts) as (address, _):
        yield address


@pytest.fixture
def client(address: str) -> openai.OpenAI:
    return client_of(address)


def complete(client: openai.OpenAI, **options: Any) -> Any:
    return client.chat.completions.create(
        model=NAME,
        messages=ask_about(RNA),
        **{"max_tokens": 12, "logprobs": True, **options},
    )


def joined(tokens: Sequence[Any]) -> str:
    return b"".join(bytes(one.bytes or b"") for one in tokens).decode("utf-8", "replace")


def independent(parts: Parts, texts: int = 12) -> tuple[list[int], torch.Tensor]:
    """Greedy tokens of the whole model, and the log-probabilities (tokens, vocabulary) of all."""
    model, processor = parts
    inputs: Any = processor.apply_chat_template(
        [make_question([RNA])], add_generation_prompt=True, tokenize=True
    )
    written = model.generate(
        **inputs,
        max_new_tokens=texts,
        do_sample=False,
        output_logits=True,
        return_dict_in_generate=True,
    )
    ids = written.sequences[0, inputs["input_ids"].shape[1] :].tolist()
    return ids, torch.stack([one[0].float().log_softmax(-1) for one in written.logits])


def test_they_are_those_of_the_model(client: openai.OpenAI, parts: Parts) -> None:
    choice = complete(client, top_logprobs=4).choices[0]
    ids, logs = independent(parts)
    tokens = choice.logprobs.content
    assert choice.logprobs.refusal is None
    assert len(tokens) == len(ids) == 12
    spelling = TokenBytes(parts[1].tokenizer.backend_tokenizer)
    for place, (one, token) in enumerate(zip(tokens, ids, strict=True)):
        assert one.logprob == pytest.approx(float(logs[place, token]), abs=1e-3)
        written = spelling.of(token, is_first=place == 0)
        assert one.bytes == (None if written is None else list(written))
        best = logs[place].topk(4)
        assert [top.logprob for top in one.top_logprobs] == pytest.approx(
            best.values.tolist(), abs=1e-3
        )
        # Greedy: the token is the likeliest.
        assert one.top_logprobs[0].bytes == one.bytes
        assert one.top_logprobs[0].token == one.token
        assert sum(math.exp(top.logprob) for top in one.top_logprobs) <= 1.001
    assert joined(tokens) == choice.message.content


def test_draws_have_the_probabilities_of_the_model_itself(client: openai.OpenAI) -> None:
    """Whatever the temperature, as OpenAI's; the tokens drawn are not the likeliest."""
    reply = complete(client, temperature=2.0, seed=3, n=2, top_logprobs=1)
    for choice in reply.choices:
        tokens = choice.logprobs.content
        assert joined(tokens) == choice.message.content
        assert all(one.logprob <= one.top_logprobs[0].logprob for one in tokens)
        assert any(one.logprob < one.top_logprobs[0].logprob for one in tokens)
    assert complete(client, seed=3, n=1).choices[0].logprobs.content[0].top_logprobs == []


@pytest.mark.parametrize("stop", [None, (5, 8), (0, 2), (3, 4)])
def test_a_stream_has_the_same_with_its_pieces(
    client: openai.OpenAI, stop: tuple[int, int] | None
) -> None:
    options: dict[str, Any] = {"max_tokens": 30, "top_logprobs": 2}
    whole = complete(client, **options).choices[0]
    if stop:
        options["stop"] = whole.message.content[slice(*stop)]
        whole = complete(client, **options).choices[0]
    text = ""
    tokens: list[Any] = []
    for chunk in complete(client, stream=True, **options):
        choice = chunk.choices[0]
        text += choice.delta.content or ""
        tokens += choice.logprobs.content if choice.logprobs else []
        # What was told of reaches at least as far as what was shown.
        assert joined(tokens).startswith(text.rstrip("\ufffd"))
    assert text == whole.message.content
    assert [one.model_dump() for one in tokens] == [
        one.model_dump() for one in whole.logprobs.content
    ]
    # A stop string may end within a token, which is told of whole.
    assert joined(tokens).startswith(text)
    assert joined(tokens[:-1]) == text or len(joined(tokens[:-1])) < len(text) or not text


def test_without_asking_there_are_none(client: openai.OpenAI) -> None:
    for options in ({"logprobs": False}, {"logprobs": False, "top_logprobs": 0}):
        assert complete(client, **options).choices[0].logprobs is None
    assert all(
        chunk.choices[0].logprobs is None for chunk in complete(client, logprobs=None, stream=True)
    )


def test_answers_from_records_have_none_and_the_request_is_told_why(
    parts: Parts, reference: Reference
) -> None:
    with serve_tiny(parts, reference=reference) as (address, _):
        for options in ({}, {"stream": True}, {"top_logprobs": 3}):
            with pytest.raises(openai.BadRequestError, match="records' words") as caught:
                complete(client_of(address), **options)
            assert (caught.value.code, caught.value.param) == ("no_logprobs", "logprobs")
        body = {"model": NAME, "input": "What is it?", "top_logprobs": 3}
        reply = httpx.post(f"{address}/v1/responses", json=body)
        assert reply.status_code == 400
        assert "--no-reference" in reply.json()["error"]["message"]


def test_the_client_asks_for_the_words_that_it_is_given(client: openai.OpenAI) -> None:
    """An answer that begins with what was read from the text is not the model's tokens alone."""
    with pytest.raises(openai.BadRequestError, match="begins with lines"):
        client.chat.completions.create(
            model=NAME, messages=[{"role": "user", "content": f"{RNA}?"}], logprobs=True
        )


TOKENIZERS = {style: make_tokenizer(style) for style in ("chatml", "llama-3", "mistral")}


@pytest.mark.parametrize("style", TOKENIZERS)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_the_bytes_of_any_tokens_join_to_their_text(style: str, data: st.DataObject) -> None:
    tokenizer = TOKENIZERS[style]
    control = [number for number, one in tokenizer.added_tokens_decoder.items() if one.special]
    words = st.integers(0, len(tokenizer) - 1)
    ids = data.draw(st.lists(words, max_size=12))
    # SentencePiece's space at the beginning is kept where control tokens alone stand before it.
    if style == "mistral":
        ids = [token for token in ids if token not in control]
    spelling, text = TokenBytes(tokenizer.backend_tokenizer), IncrementalDetokenizer(tokenizer)
    trace, shown = TokenTrace(spelling), ""
    tokens: list[dict[str, Any]] = []
    for token in ids:
        trace.add([TokenProbability(token, -1.0)])
        new = text.add([token])
        shown += new
        tokens += trace.release(new, at_end=False)
        written = b"".join(bytes(one["bytes"] or b"") for one in tokens)
        assert (
            written.decode("utf-8", "replace").rstrip("\ufffd").startswith(shown.rstrip("\ufffd"))
        )
    new = text.finish()
    shown += new
    tokens += trace.release(new, at_end=True)
    written = b"".join(bytes(one["bytes"] or b"") for one in tokens)
    assert written.decode("utf-8", "replace") == shown
    assert shown == tokenizer.decode(ids, skip_special_tokens=True)
    assert len(tokens) == len(ids)
    for one, token in zip(tokens, ids, strict=True):
        assert (one["bytes"] is None) == (token in control)


def test_what_cannot_be_is_a_number_that_json_has() -> None:
    trace = TokenTrace(TokenBytes(TOKENIZERS["chatml"].backend_tokenizer))
    trace.add([TokenProbability(40, -math.inf, ((41, 0.0),))])
    (token,) = trace.release("", at_end=True)
    assert token["logprob"] == -9999.0
    assert token["top_logprobs"][0]["logprob"] == 0.0


def test_half_a_character_is_shown_by_its_bytes() -> None:
    tokenizer = TOKENIZERS["chatml"]
    ids = tokenizer("é", add_special_tokens=False)["input_ids"]
    assert len(ids) == 2
    trace = TokenTrace(TokenBytes(tokenizer.backend_tokenizer))
    trace.add([TokenProbability(token, -1.0) for token in ids])
    tokens = trace.release("é", at_end=False)
    assert [one["token"] for one in tokens] == ["bytes:\\xc3", "bytes:\\xa9"]
    assert [one["bytes"] for one in tokens] == [[0xC3], [0xA9]]


def test_an_engine_that_does_not_say_is_a_failure_and_no_answer_without(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TokenSampler, "probability", lambda *_: None)
    with serve_tiny(parts) as (address, _), pytest.raises(openai.InternalServerError):
        complete(client_of(address))


@pytest.fixture(scope="module")
def sentencepiece() -> Iterator[str]:
    processor = make_processor("mistral", merge_size=3, summary_size=2, max_rna_length=300)
    with serve_tiny((make_model(processor), processor)) as (address, _):
        yield address


def test_a_tokenizer_that_writes_spaces_as_sentencepiece_does(sentencepiece: str) -> None:
    for seed in range(6):
        reply = complete(client_of(sentencepiece), temperature=1.5, seed=seed, max_tokens=30)
        choice = reply.choices[0]
        assert joined(choice.logprobs.content) == choice.message.content
