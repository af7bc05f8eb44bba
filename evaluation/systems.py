"""The paper's three systems from one checkpoint, which answer questions and rate answers.

- `sequence`, RNA Sequence: the plain language model, the RNA given as text;
- `fusion`, Modality Fusion: the plain language model behind the alignment stage's projection;
- `rnagpt`, RNA-GPT: the checkpoint itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig

from rnagpt.cleaning_rnagpt import CleanedRna
from rnagpt.configuration_rnagpt import RnaGptConfig
from rnagpt.conversion.mini import language_model_source
from rnagpt.conversion.model_sources import model_folder, open_language_model
from rnagpt.conversion.projector_folder import (
    PROJECTOR_WEIGHTS,
    check_projector,
    projector_settings,
)
from rnagpt.inference.batch import answer_questions
from rnagpt.inference.generation import (
    decode_answers,
    encode_prompts,
    generation_options,
    user_message,
)
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor

SEQUENCE, FUSION, RNA_GPT = "sequence", "fusion", "rnagpt"
SYSTEMS = {SEQUENCE: "RNA Sequence", FUSION: "Modality Fusion", RNA_GPT: "RNA-GPT"}
_SIZES = ("vocab_size", "hidden_size", "num_hidden_layers", "intermediate_size")
# Answer tokens whose logits are in memory at once: 100 MB of them for a vocabulary of 50,000.
_TOKENS_RATED_TOGETHER = 512


@dataclass(frozen=True)
class Reply:
    """An answer, and its log-probability (natural) where the RNA came as vectors."""

    answer: str
    log_probability: float | None = None


@dataclass(frozen=True)
class Rating:
    """Log-probability (natural) of a given answer, its end included, and its tokens."""

    log_probability: float
    tokens: int


@dataclass(eq=False)
class System:
    """A language model that is asked about RNAs, greedily and in batches.

    Args:
        name: one of `SYSTEMS`.
        model: RNA-GPT, made of the system's parts.
        processor: its processor.
        batch_size: prompts at once.
        max_new_tokens: the longest answer.
    """

    name: str
    model: RnaGptForCausalLM
    processor: RnaGptProcessor
    batch_size: int
    max_new_tokens: int

    def settings(self) -> str:
        """SHA-256 of all that answers depend on, question and RNA apart: weights, prompt, length.

        The types of the weights count.
        """
        digest = hashlib.sha256()
        for name, tensor in self.model.state_dict().items():
            digest.update(f"{name} {tensor.dtype}".encode())
            digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        prompt = [self.name, self.processor.tokenizer.chat_template, self.max_new_tokens]
        digest.update(json.dumps(prompt).encode())
        return digest.hexdigest()

    def answer(self, question: str, rnas: Sequence[CleanedRna | None]) -> Iterator[Reply]:
        """Answers to a question about each RNA, in order; None stands for no RNA."""
        given = [rna for rna in rnas if rna is not None]
        if self.name != SEQUENCE and len(given) == len(rnas):
            for answer in answer_questions(
                self.model,
                self.processor,
                given,
                [question],
                batch_size=self.batch_size,
                max_new_tokens=self.max_new_tokens,
            ):
                yield Reply(answer.answer, answer.log_probability)
            return
        for start in range(0, len(rnas), self.batch_size):
            batch = rnas[start : start + self.batch_size]
            yield from map(Reply, self._generate([_ask(self.name, rna, question) for rna in batch]))

    @torch.no_grad()
    def rate(
        self, question: str, rnas: Sequence[CleanedRna | None], answers: Sequence[str]
    ) -> Iterator[Rating]:
        """How likely the system is to give each of the answers, in order."""
        for start in range(0, len(rnas), self.batch_size):
            rows = slice(start, start + self.batch_size)
            turns = [
                [*_ask(self.name, rna, question), {"role": "assistant", "content": answer}]
                for rna, answer in zip(rnas[rows], answers[rows], strict=True)
            ]
            yield from self._rate(turns)

    def _generate(self, conversations: list[list[dict[str, Any]]]) -> list[str]:
        """Answers to prompts without vectors of an RNA."""
        inputs = encode_prompts(self.processor, conversations).to(self.model.device)
        length = {"max_new_tokens": self.max_new_tokens}
        options = generation_options(self.model, self.processor, length)
        texts, _ = decode_answers(self.processor, inputs, self.model.generate(**inputs, **options))
        return [text.strip() for text in texts]

    def _rate(self, conversations: list[list[dict[str, Any]]]) -> list[Rating]:
        inputs = encode_prompts(self.processor, conversations, answered=True)
        inputs = inputs.to(self.model.device)
        answered = inputs.pop("assistant_masks").bool()[:, 1:]
        positions = (inputs["attention_mask"].cumsum(1) - 1).clamp(min=0)
        hidden = self.model.model(**inputs, position_ids=positions, use_cache=False)
        targets = inputs["input_ids"][:, 1:][answered]
        states = hidden.last_hidden_state[:, :-1][answered]
        log_probabilities = torch.zeros(answered.shape, device=answered.device)
        log_probabilities[answered] = torch.cat(
            [
                -nn.functional.cross_entropy(
                    self.model.lm_head(some).float(), wanted, reduction="none"
                )
                for some, wanted in zip(
                    states.split(_TOKENS_RATED_TOGETHER),
                    targets.split(_TOKENS_RATED_TOGETHER),
                    strict=True,
                )
            ]
        )
        sums, counts = log_probabilities.sum(1).tolist(), answered.sum(1).tolist()
        return [Rating(*row) for row in zip(sums, counts, strict=True)]


def _ask(system: str, rna: CleanedRna | None, question: str) -> list[dict[str, Any]]:
    """The conversation in which a system is asked."""
    if rna is not None and system == SEQUENCE:
        question, rna = f"Here is an RNA sequence:\n{rna.sequence}\n\n{question}", None
    return [user_message(question, [rna.sequence] if rna else [])]


def check_room(
    system: str,
    config: RnaGptConfig,
    processor: RnaGptProcessor,
    rnas: Sequence[CleanedRna],
    questions: Sequence[str],
    max_new_tokens: int,
) -> None:
    """See that every prompt leaves room for an answer.

    Raises:
        ValueError: an RNA is too long for the language model's context.
    """
    context = config.text_config.max_position_embeddings
    question = max(questions, key=len)
    how = "text" if system == SEQUENCE else "vectors"
    # As vectors the longest RNA takes most tokens; as text that depends on its letters.
    for rna in rnas if system == SEQUENCE else [max(rnas, key=lambda rna: len(rna.sequence))]:
        what = f"{SYSTEMS[system]}: {rna.name}: {len(rna.sequence):,} nt as {how}"
        try:
            prompt = encode_prompts(processor, [_ask(system, rna, question)])
        except ValueError as error:
            raise ValueError(f"{what}: {error}") from error
        length = prompt["input_ids"].shape[1] + max_new_tokens
        if length > context:
            raise ValueError(
                f"{what} and {max_new_tokens} tokens of answer take {length:,} tokens; the "
                f"language model reads {context:,}. Lower --max-new-tokens, or leave {system!r} "
                "out of --systems."
            )


def plain_language_model(source: str, config: RnaGptConfig) -> Path:
    """The local folder or file of the language model that a checkpoint was trained from.

    Args:
        source: a folder, a GGUF file or a Hub id; "mini" is the one that `rnagpt mini` takes.
        config: the checkpoint's.

    Raises:
        WeightsError: there is no such model, or it cannot be fetched.
        ValueError: it is another than the checkpoint's.
    """
    folder = model_folder(language_model_source(source))
    plain = _read_config(folder)
    different = [
        f"{name} {getattr(plain, name, None)} instead of {getattr(config.text_config, name, None)}"
        for name in _SIZES
        if getattr(plain, name, None) != getattr(config.text_config, name, None)
    ]
    if different:
        raise ValueError(
            f"{source} is not the language model that the checkpoint was trained from: it has "
            f"{', '.join(different)}."
        )
    return folder


def _read_config(folder: Path) -> PreTrainedConfig:
    """A language model's configuration, from its folder or from a GGUF file."""
    if (folder / "config.json").is_file():
        return AutoConfig.from_pretrained(folder).get_text_config()
    file = folder if folder.is_file() else next(folder.glob("*.gguf"), None)
    if file is None:
        raise ValueError(
            f"{folder} holds neither a config.json nor a GGUF file. Give with --language-model the "
            "language model that the checkpoint was trained from."
        )
    return AutoConfig.from_pretrained(file.parent, gguf_file=file.name)


def stage_one_projector(folder: Path, config: RnaGptConfig) -> Path:
    """The file of the alignment stage's projection, whose shape is the checkpoint's.

    Raises:
        ValueError: the folder holds none, or one that does not fit.
    """
    check_projector(
        folder,
        projector_settings(config),
        "Give with --alignment the folder that the checkpoint's alignment stage wrote.",
    )
    return folder / PROJECTOR_WEIGHTS


def open_systems(
    names: Sequence[str],
    model: RnaGptForCausalLM,
    processor: RnaGptProcessor,
    *,
    language_model: Path | None,
    projector: Path | None,
    batch_size: int,
    max_new_tokens: int,
) -> Iterator[System]:
    """The systems, one after the other: each exchanges parts of the one model in memory.

    Args:
        names: of `SYSTEMS`.
        model: the checkpoint; the last system's parts stay in it.
        processor: its processor.
        language_model: file or folder of the plain one; needed for all systems but RNA-GPT.
        projector: file of stage 1's projection; needed for Modality Fusion.
        batch_size, max_new_tokens: see `System`.
    """
    if RNA_GPT in names:
        yield System(RNA_GPT, model, processor, batch_size, max_new_tokens)
    if language_model is not None:
        take_language_model(model, language_model)
    if FUSION in names and projector is not None:
        take_projector(model, projector)
        yield System(FUSION, model, processor, batch_size, max_new_tokens)
    if SEQUENCE in names:
        yield System(SEQUENCE, model, processor, batch_size, max_new_tokens)


def take_language_model(model: RnaGptForCausalLM, source: Path) -> None:
    """Put the plain language model in the place of the checkpoint's own, in its type.

    Raises:
        ValueError: it is another than the checkpoint's.
    """
    language = open_language_model(source)
    with torch.device("meta"):
        plain = AutoModelForCausalLM.from_config(language.config)
    plain.load_state_dict(language.tensors, strict=False, assign=True)
    plain.tie_weights()
    try:
        model.model.language_model.load_state_dict(plain.base_model.state_dict())
        model.lm_head.load_state_dict(plain.get_output_embeddings().state_dict())
    except RuntimeError as error:
        raise ValueError(
            f"{source} is not the language model that the checkpoint was trained from: {error}"
        ) from error


def take_projector(model: RnaGptForCausalLM, file: Path) -> None:
    """Put another projection in the place of the checkpoint's own."""
    model.model.projector.load_state_dict(load_file(file))
