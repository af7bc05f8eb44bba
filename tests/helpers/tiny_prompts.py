"""Prompts about RNAs for the tiny models, and their embeddings put together by another road."""

from typing import Any

import torch
from helpers.tiny_models import make_question, make_rna

from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor

# Different numbers of RNAs a prompt, lengths below and above the window of 32 nt.
PROMPTS = [
    [make_question([make_rna(20, 1), make_rna(75, 2)])],
    [make_question([make_rna(7, 3)], "Where is it found?")],
    [{"role": "user", "content": "What is a riboswitch?"}],
    [make_question([make_rna(33, 4), make_rna(1, 5), make_rna(32, 6)], "And?")],
]


def prompt(processor: RnaGptProcessor, messages: Any, side: str = "left") -> Any:
    return processor.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, padding_side=side
    )


def embeds_of_prompt(
    model: RnaGptForCausalLM, processor: RnaGptProcessor, messages: Any
) -> torch.Tensor:
    """The embeddings (1, sequence, text hidden) of one prompt, put together piece by piece."""
    inputs = prompt(processor, messages)
    table: Any = model.get_input_embeddings().weight
    pieces = []
    if "rna_input_ids" in inputs:
        lengths = inputs["rna_attention_mask"].sum(1).tolist()
        rnas = zip(inputs["rna_input_ids"], lengths, strict=True)
        pieces = [model.get_rna_vectors(rna[None, :length]) for rna, length in rnas]
    vectors = torch.cat(pieces) if pieces else table[:0]
    rows = iter(vectors)
    placeholder = model.config.rna_token_id
    ids = inputs["input_ids"][0].tolist()
    return torch.stack([next(rows) if i == placeholder else table[i] for i in ids])[None]


def generate(model: RnaGptForCausalLM, inputs: Any, **options: Any) -> torch.Tensor:
    """New tokens (batch, new); eight of them, whether or not the end of turn comes."""
    options = {"do_sample": False, "max_new_tokens": 8, "min_new_tokens": 8, **options}
    return model.generate(**inputs, **options)[:, inputs["input_ids"].shape[1] :]
