"""Which nucleotides an answer rests on: a score for each, by the gradient of its likelihood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from transformers import BatchFeature

from rnagpt.inference.generation import encode_prompts
from rnagpt.inference.messages import rnas_of
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor
from rnagpt.sequences.drawing import NucleotideScores


def explain_answer(
    model: RnaGptForCausalLM,
    processor: RnaGptProcessor,
    messages: Sequence[Mapping[str, Any]],
) -> list[NucleotideScores]:
    """Score the nucleotides of a conversation's RNAs by what they did for its last answer.

    For each vector v of the encoder, one a nucleotide, the score is g · (v − m), where g is the
    gradient of the answer's log-likelihood by v and m the mean of the RNA's vectors (gradient times
    input; Simonyan et al. 2013, Shrikumar et al. 2016). It says what were to come if the vector
    told nothing of its own. The gradient runs through the vectors of nucleotides and the summary
    alike. A token that reads k nucleotides shares its score equally among them.
    `benchmarks/explain_occlusion.md` compares the scores with those of leaving nucleotides out, and
    `benchmarks/explain_floor.md` says which of them are noise.

    Args:
        messages: as the processor's chat template takes them; the last one is the assistant's.

    Returns:
        For each RNA of the conversation, in order.

    Raises:
        ValueError: when the last message is no answer, when there is no RNA, and when the
            conversation does not fit the language model's context.
    """
    if not messages or messages[-1]["role"] != "assistant":
        raise ValueError("There is no answer to explain: the last message must be the assistant's.")
    inputs = encode_prompts(processor, [messages], answered=True)
    if "rna_input_ids" not in inputs:
        raise ValueError("There is no RNA in the conversation that an answer could rest on.")
    scores = _vector_scores(model, inputs.to(model.device)).cpu().numpy()
    sequences = rnas_of(messages)
    return [
        NucleotideScores(sequence, _share(row[: len(sequence)], processor.kmer_size))
        for sequence, row in zip(sequences, scores, strict=True)
    ]


def _vector_scores(model: RnaGptForCausalLM, inputs: BatchFeature) -> torch.Tensor:
    """What each vector of the encoder did for the last answer: (rnas, longest)."""
    mask = inputs["rna_attention_mask"]
    with torch.no_grad():
        vectors = model.encode_rna(inputs["rna_input_ids"], mask)
    with torch.enable_grad():
        vectors.requires_grad_()
        likelihood = _log_likelihood(model, inputs, vectors)
        (gradient,) = torch.autograd.grad(likelihood, vectors)
    vectors, gradient = vectors.detach().float(), gradient.float()
    means = vectors.sum(1, keepdim=True) / mask.sum(1)[:, None, None]
    return (gradient * (vectors - means)).sum(-1)


def _log_likelihood(
    model: RnaGptForCausalLM, inputs: BatchFeature, vectors: torch.Tensor
) -> torch.Tensor:
    """Of the last answer's tokens, the one that ends it included, by one run over all tokens."""
    begin, end = _last_answer(inputs["assistant_masks"][0].tolist())
    ids = inputs["input_ids"][:, :end]
    outputs = model(
        input_ids=ids,
        rna_hidden_states=vectors,
        rna_attention_mask=inputs["rna_attention_mask"],
        use_cache=False,
        logits_to_keep=torch.arange(begin - 1, end - 1, device=ids.device),
        return_dict=True,
    )
    steps = outputs.logits[0].float().log_softmax(-1)
    return steps.gather(1, ids[0, begin:].unsqueeze(1)).sum()


def _last_answer(mask: list[int]) -> tuple[int, int]:
    """Where the last run of ones begins and ends (exclusive)."""
    end = len(mask) - mask[::-1].index(1)
    begin = end
    while begin and mask[begin - 1]:
        begin -= 1
    return begin, end


def _share(scores: np.ndarray, kmer_size: int) -> np.ndarray:
    """Scores (nt,) of the vectors, each shared among the nucleotides i to i+k-1 that it reads."""
    length = len(scores)
    shared = np.zeros(length)
    num_read = np.minimum(kmer_size, length - np.arange(length))
    for offset in range(min(kmer_size, length)):
        readers = np.arange(length - offset)
        shared[readers + offset] += scores[readers] / num_read[readers]
    return shared


__all__ = ["NucleotideScores", "explain_answer", "rnas_of"]
