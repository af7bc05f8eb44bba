"""Questions about RNAs as prompt embeddings, which an unmodified vLLM serves.

`vllm serve MODEL --enable-prompt-embeds` takes vectors in place of tokens: for a whole prompt at
`/v1/completions`, or as a part of a message, of type "prompt_embeds", at `/v1/chat/completions`.
So vLLM runs the language model, and what is left to do here is to encode RNAs.
https://docs.vllm.ai/en/stable/features/prompt_embeds/
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from rnagpt.cleaning_rnagpt import CleanedRna
from rnagpt.configuration_rnagpt import RnaGptConfig
from rnagpt.evidence.answers import look_up
from rnagpt.evidence.gathering import Evidence
from rnagpt.inference.cited import name_rnas, plan_answer, search_rna
from rnagpt.inference.default_model import resolve_model
from rnagpt.inference.generation import clean_once, encode_prompts, remaining_context
from rnagpt.inference.loading import load_processor
from rnagpt.inference.messages import user_message
from rnagpt.inference.model_config import hub_options, read_model_config
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor
from rnagpt.reference.library import Reference

# Where the language model's vocabulary has an id that stands for RNAs, no answer may hold it.
_NEVER = -100.0


@dataclass(frozen=True)
class EmbeddedPrompt:
    """A question about an RNA, embedded.

    Attributes:
        rna: that it is about.
        question: as it was asked.
        text: of the message: the question, below the records where the model reads them.
        evidence: these records; None without.
        embeds: of the whole prompt, chat template and all: (tokens, text hidden).
        rna_vectors: of the RNA alone: (vectors, text hidden).
        never: token that no answer may hold; None where the language model has no such token.
    """

    rna: CleanedRna
    question: str
    text: str
    evidence: Evidence | None
    embeds: torch.Tensor
    rna_vectors: torch.Tensor
    never: int | None = None

    def for_completions(self) -> dict[str, Any]:
        """Fields of a request to vLLM's `/v1/completions`, for `extra_body` of OpenAI's client."""
        return {"prompt_embeds": encode_tensor(self.embeds), **self._bias()}

    def for_chat(self) -> dict[str, Any]:
        """Fields of a request to vLLM's `/v1/chat/completions`: `messages`.

        Its one message has the RNA as a part of type "prompt_embeds", and the text as another.
        """
        rna = {"type": "prompt_embeds", "data": encode_tensor(self.rna_vectors)}
        content = [rna, {"type": "text", "text": self.text}]
        return {"messages": [{"role": "user", "content": content}], **self._bias()}

    def _bias(self) -> dict[str, Any]:
        return {} if self.never is None else {"logit_bias": {str(self.never): _NEVER}}


def embed_prompts(
    model: RnaGptForCausalLM,
    processor: RnaGptProcessor,
    rnas: Sequence[str | CleanedRna],
    questions: Sequence[str],
    reference: Reference | None = None,
) -> Iterator[EmbeddedPrompt]:
    """Embed every question about every RNA, each on its own; all of the first RNA first.

    Args:
        model: an RNA-GPT, whole or as `load_embedder` loads it.
        processor: the model's.
        rnas: sequences, or what `clean_rna` made of them.
        questions: in plain English.
        reference: whose records stand above the question, where some match. The model has to have
            been trained to read them (`config.reads_evidence`).

    Raises:
        RnaSequenceError: a sequence is no RNA, or too long.
        ValueError: the model reads no records and a reference was given; a prompt does not fit the
            language model's context, or holds a control token.

    Examples:
        >>> model, processor = load_embedder()  # rna-gpt-mini
        >>> (prompt,) = embed_prompts(model, processor, ["GCGGAUUUAGCUC"], ["What is this RNA?"])
        >>> prompt.embeds.shape[1] == model.config.text_config.hidden_size
        True
    """
    if reference is not None and not model.config.reads_evidence:
        raise ValueError(
            "This model was not trained to read records, so that they do not stand in its "
            "prompts: give no reference."
        )
    cleaned = [clean_once(rna, str(number), processor) for number, rna in enumerate(rnas, start=1)]
    return _embed_each(model, processor, cleaned, questions, reference)


@torch.no_grad()
def _embed_each(
    model: RnaGptForCausalLM,
    processor: RnaGptProcessor,
    rnas: Sequence[CleanedRna],
    questions: Sequence[str],
    reference: Reference | None,
) -> Iterator[EmbeddedPrompt]:
    names = name_rnas(rnas)
    for rna, name in zip(rnas, names, strict=True):
        evidence = None if reference is None else search_rna(rna, reference, name)
        vectors = None
        for question in questions:
            text = question if evidence is None else _with_records(question, rna, evidence)
            inputs = encode_prompts(processor, [[user_message(text, [rna.sequence])]])
            remaining_context(model, inputs)
            vectors = rna_vectors(model, inputs) if vectors is None else vectors
            assert vectors is not None  # of the RNA in the message
            yield EmbeddedPrompt(
                rna,
                question,
                text,
                evidence if text != question else None,
                embed_inputs(model, inputs, vectors),
                vectors.to(model.get_input_embeddings().weight.dtype).cpu(),  # type: ignore[arg-type]
                _never(model.config),
            )


@torch.no_grad()
def rna_vectors(
    model: RnaGptForCausalLM, inputs: Mapping[str, torch.Tensor]
) -> torch.Tensor | None:
    """The vectors of a prompt's RNAs (vectors, text hidden); None where it has none.

    Args:
        model: an RNA-GPT, of which no layer of the language model is needed.
        inputs: of the processor.
    """
    rnas = {name: inputs[name].to(model.device) for name in inputs if name.startswith("rna_")}
    return model.get_rna_vectors(**rnas) if rnas else None


@torch.no_grad()
def embed_inputs(
    model: RnaGptForCausalLM, inputs: Mapping[str, torch.Tensor], vectors: torch.Tensor | None
) -> torch.Tensor:
    """What the language model reads of one prompt: (tokens, text hidden), on the CPU.

    Args:
        model: as of `rna_vectors`.
        inputs: of the processor, for one prompt: tokens (1, tokens).
        vectors: its `rna_vectors`.
    """
    return model.model.embed(inputs["input_ids"].to(model.device), None, vectors)[0].cpu()


def _with_records(question: str, rna: CleanedRna, evidence: Evidence) -> str:
    """The question below the records, where `rnagpt chat` would have the model read them too."""
    plan = plan_answer(look_up(question, [evidence]), [rna], reads_evidence=True, reads_rnas=False)
    return question if plan.request is None else plan.request.text


def _never(config: RnaGptConfig) -> int | None:
    token = config.rna_token_id
    return token if token is not None and token < config.text_config.vocab_size else None


def encode_tensor(tensor: torch.Tensor) -> str:
    """A tensor as vLLM takes it in JSON: what `torch.save` writes, in base64."""
    buffer = io.BytesIO()
    # A copy, since a slice would be saved with all that it was cut from.
    torch.save(tensor.detach().clone(), buffer)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


class _Embedder(RnaGptForCausalLM):
    """An RNA-GPT without the layers of its language model, whose weights are left in their file."""

    _keys_to_ignore_on_load_unexpected: ClassVar = [  # type: ignore[misc]
        r"(?:^|\.)language_model\."
    ]


def load_embedder(
    name_or_path: str | None = None, **kwargs: Any
) -> tuple[RnaGptForCausalLM, RnaGptProcessor]:
    """Load what embeds prompts: encoder, projection and token embeddings, and the processor.

    Of a language model of 8 billion weights that is a sixteenth. It can write no answer.

    Args:
        name_or_path, **kwargs: as of `load_model`.

    Raises:
        OSError, ValueError, WeightsError: as of `load_model`.
    """
    name = str(resolve_model(name_or_path))
    read_model_config(name, kwargs)
    config = RnaGptConfig.from_pretrained(name, **hub_options(kwargs))
    config.text_config.num_hidden_layers = 0
    if getattr(config.text_config, "layer_types", None):
        config.text_config.layer_types = []
    accelerator = (
        torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    )
    kwargs.setdefault("dtype", torch.float32 if accelerator is None else "auto")
    model = _Embedder.from_pretrained(name, config=config, **kwargs)
    model.lm_head = torch.nn.Linear(1, 1)
    if accelerator is not None:
        model.to(accelerator)  # type: ignore[arg-type]
    return model.eval(), load_processor(name, **kwargs)


__all__ = [
    "EmbeddedPrompt",
    "embed_inputs",
    "embed_prompts",
    "encode_tensor",
    "load_embedder",
    "rna_vectors",
]
