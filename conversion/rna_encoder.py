"""An RNA encoder by itself: the vectors of sequences, whatever alphabet and ends it wants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedConfig

from rnagpt.configuration_rnagpt import encoder_alphabet, max_window_length
from rnagpt.conversion.model_sources import open_encoder
from rnagpt.modeling_encoders_rnagpt import new_encoder

MAX_WINDOW = 1022  # nt, as in `RnaGptConfig`
_TOKENS_AT_ONCE = 8192


class RnaEncoder:
    """A frozen encoder.

    Args:
        network: it, in `eval()`; `kmer_size` and `rna_alphabet` in its configuration say what it
            reads.

    Attributes:
        window: the longest stretch (nt) that it reads at once.
        size: of a nucleotide's vector.
    """

    def __init__(self, network: Any) -> None:
        self.network = network
        self.alphabet = encoder_alphabet(network.config)
        tokens = (self.alphabet.cls_token, self.alphabet.eos_token)
        # Ids by their place: the alphabet holds its tokens in order.
        ids = {token: place for place, token in enumerate(self.alphabet.tokens)}
        self._head, self._tail = [[] if token is None else [ids[token]] for token in tokens]
        longest = max_window_length(network.config, len(self._head) + len(self._tail))
        self.window = min(MAX_WINDOW, longest or MAX_WINDOW)
        self.size = int(network.config.hidden_size)

    @classmethod
    def of(cls, config: PreTrainedConfig, tensors: Mapping[str, torch.Tensor]) -> RnaEncoder:
        """An encoder of its configuration and weights, in float32."""
        network = new_encoder(config, dtype=torch.float32).eval()
        network.load_state_dict(dict(tensors), strict=False)
        return cls(network)

    @classmethod
    def open(cls, source: str | Path) -> RnaEncoder:
        """An encoder of a folder or Hub id.

        Raises:
            WeightsError: if there is no such encoder, or tensors are missing.
        """
        return cls.of(*open_encoder(source))

    @torch.inference_mode()
    def vectors(self, sequences: Sequence[str]) -> torch.Tensor:
        """Vectors of cleaned sequences of at most `window` nt: (RNAs, longest, size), float32.

        Beyond an RNA's end stands what the encoder makes of padding.
        """
        rows = [
            torch.tensor([*self._head, *self.alphabet.tokenize(one).tolist(), *self._tail])
            for one in sequences
        ]
        pad = self.alphabet.pad_token_id
        ids = torch.nn.utils.rnn.pad_sequence(rows, True, pad).to(self.network.device)
        output = self.network(input_ids=ids, attention_mask=ids.ne(pad).long())
        first = len(self._head)
        vectors: torch.Tensor = output.last_hidden_state
        return vectors[:, first : first + max(map(len, sequences))].float().cpu()

    @torch.inference_mode()
    def attention(self, sequence: str) -> torch.Tensor | None:
        """Attention between the nucleotides of a cleaned sequence: (layers · heads, nt, nt).

        None where the network has no attention, or does not give it.

        Args:
            sequence: of at most `window` nt.
        """
        tokens = [*self._head, *self.alphabet.tokenize(sequence).tolist(), *self._tail]
        ids = torch.tensor([tokens], device=self.network.device)
        usual = self.network.config._attn_implementation
        try:
            self.network.set_attn_implementation("eager")  # others give no weights
            output = self.network(
                input_ids=ids, attention_mask=torch.ones_like(ids), output_attentions=True
            )
        except (TypeError, ValueError):
            return None
        finally:
            self.network.set_attn_implementation(usual)
        layers = getattr(output, "attentions", None)
        if not layers or any(layer is None for layer in layers):
            return None
        maps: torch.Tensor = torch.cat([layer[0] for layer in layers]).float().cpu()
        first = len(self._head)
        return maps[:, first : first + len(sequence), first : first + len(sequence)]

    def means(self, sequences: Sequence[str]) -> np.ndarray:
        """Means of cleaned sequences, of long ones over all their windows: (RNAs, size)."""
        sums = np.zeros((len(sequences), self.size), dtype=np.float32)
        for places, windows in self._batches(sequences):
            vectors = self.vectors(windows)
            for place, window, row in zip(places, windows, vectors, strict=True):
                sums[place] += row[: len(window)].sum(0).numpy()
        return sums / np.array([[max(1, len(one))] for one in sequences], dtype=np.float32)

    def _batches(self, sequences: Sequence[str]) -> Iterator[tuple[list[int], list[str]]]:
        """Windows of similar length with the places of their sequences."""
        windows = [
            (place, one[start : start + self.window])
            for place, one in enumerate(sequences)
            for start in range(0, len(one), self.window)
        ]
        windows.sort(key=lambda window: len(window[1]))
        batch: list[tuple[int, str]] = []
        for window in windows:
            if batch and (len(batch) + 1) * len(window[1]) > _TOKENS_AT_ONCE:
                yield [place for place, _ in batch], [text for _, text in batch]
                batch = []
            batch.append(window)
        if batch:
            yield [place for place, _ in batch], [text for _, text in batch]


__all__ = ["MAX_WINDOW", "RnaEncoder"]
