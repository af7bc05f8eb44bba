"""Vectors of many RNAs, one per nucleotide, from a model's RNA encoder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from tqdm import tqdm

from rnagpt.cleaning_rnagpt import CleanedRna
from rnagpt.inference.loading import load_model
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.sequences.fasta import clean_rnas

# Nucleotides that are sorted into batches, and whose vectors are on the device, at once.
_NUCLEOTIDES_AT_ONCE = {"cpu": 16384, "other": 131072}


def encode(
    rnas: Iterable[str | CleanedRna],
    model: RnaGptForCausalLM | str | None = None,
    *,
    progress: bool = False,
    **kwargs: Any,
) -> list[torch.Tensor]:
    """Encode RNAs: one vector per nucleotide, in the order given, in main memory.

    RNAs of similar length share a batch, so that hardly any padding is computed; equal RNAs are
    encoded once and share their vectors. What is longer than a window is encoded in windows.

    Args:
        rnas: sequences or FASTA records as text, or what `clean_rna` made of them.
        model: an RNA-GPT, or the folder or Hub id of one; None: rna-gpt-mini.
        progress: show a bar.
        **kwargs: of `load_model`, where the model is loaded here: `dtype="bfloat16"`, for one.

    Returns:
        For each RNA (nucleotides, rna hidden), in the encoder's own type.

    Raises:
        RnaSequenceError: when sequences are rejected: all of them, before any is encoded.
        TypeError: for one sequence in place of several, or what is no sequence.
        OSError, ValueError: as of `load_model`.

    Examples:
        >>> vectors = rnagpt.encode(["GCGGAUUUAGCUC", "ACGU"])
        >>> [tuple(one.shape) for one in vectors]
        [(13, 128), (4, 128)]
    """
    if not isinstance(model, RnaGptForCausalLM):
        model = load_model(model, **kwargs)
    longest = model.config.max_rna_length
    cleaned = clean_rnas(rnas, max_length=longest)
    known: dict[str, torch.Tensor | None] = dict.fromkeys(rna.sequence for rna in cleaned)
    nucleotides = sum(map(len, known))
    with tqdm(total=nucleotides, unit="nt", unit_scale=True, disable=not progress) as bar:
        for sequence, vectors in encode_each(model, list(known)):
            known[sequence] = vectors
            bar.update(len(sequence))
    return [known[rna.sequence] for rna in cleaned]  # type: ignore[misc]  # all are known by now


@torch.no_grad()
def encode_each(
    model: RnaGptForCausalLM, sequences: Sequence[str]
) -> Iterator[tuple[str, torch.Tensor]]:
    """Each cleaned sequence with its vectors (nucleotides, rna hidden), longest first.

    The model is in `eval()` meanwhile.
    """
    alphabet = model.config.rna_alphabet
    training = model.training
    model.eval()
    try:
        for group in _groups(sequences, model.device):
            ids = [torch.from_numpy(alphabet.tokenize(one)).long() for one in group]
            padded = torch.nn.utils.rnn.pad_sequence(ids, True, alphabet.pad_token_id)
            hidden_states = model.encode_rna(padded.to(model.device)).cpu()
            for sequence, vectors in zip(group, hidden_states, strict=True):
                # A copy, since a slice would keep the whole batch in memory.
                yield sequence, vectors[: len(sequence)].clone()
    finally:
        model.train(training)


def _groups(sequences: Sequence[str], device: torch.device) -> Iterator[list[str]]:
    """Sequences of similar length, as many as fit into memory with their padding."""
    most = _NUCLEOTIDES_AT_ONCE["cpu" if device.type == "cpu" else "other"]
    group: list[str] = []
    for sequence in sorted(sequences, key=len, reverse=True):
        if group and (len(group) + 1) * len(group[0]) > most:
            yield group
            group = []
        group.append(sequence)
    if group:
        yield group


__all__ = ["encode", "encode_each"]
