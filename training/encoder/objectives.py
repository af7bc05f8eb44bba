"""What an encoder is trained for: masked nucleotides, or the first words of annotations."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import EsmForMaskedLM, EsmModel, EvalPrediction

from rnagpt.configuration_rnagpt import RnaGptConfig
from rnagpt.conversion.encoder_folder import save_encoder
from rnagpt.conversion.model_sources import open_language_model
from rnagpt.conversion.projector_folder import PROJECTOR_WEIGHTS, save_projector
from rnagpt.modeling_encoders_rnagpt import RinalmoModel
from rnagpt.modeling_rnagpt import RnaProjector

IGNORE = -100  # what cross_entropy passes over
# What goes by no family's name: sequences that are no RNA, families that were never seen.
UNKNOWN, UNKNOWN_TYPE = "", "unknown"
UNKNOWN_WORDS = "unknown. It is like no family that is known."
HEADS_WEIGHTS = "heads.safetensors"
WORDS_A_STEP = 4


class Described(Protocol):
    """An RNA's family and the words written about it."""

    @property
    def words(self) -> str: ...
    @property
    def family(self) -> str: ...
    @property
    def rna_type(self) -> str: ...


@dataclass
class WordTargets:
    """The words that annotations begin with, as a language model's own tokens.

    Attributes:
        tokenizer: the language model's.
        embeddings: its embeddings of the tokens in use: (tokens in use, text hidden), float32.
        ids: token id → row of `embeddings`.
        families: family → number; the last one is UNKNOWN.
        size: words that are learned; shorter texts end in the end-of-text token, repeated.
        types: types of RNA; the last one is UNKNOWN_TYPE.
        type_size: words of a type that are learned, before those of the annotation.
        text_config: the language model's configuration.
        texts: a text of each family, in their order.
    """

    tokenizer: Any
    embeddings: torch.Tensor
    ids: dict[int, int]
    families: dict[str, int]
    size: int
    text_config: Any
    texts: list[str]
    types: list[str] = field(default_factory=list)
    type_size: int = 0
    _known: dict[str, torch.Tensor] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls, rows: Iterable[Described], language_model: str, size: int, type_size: int = 0
    ) -> "WordTargets":
        """Collect families, types and words of rows, with the embeddings of a language model.

        Raises:
            WeightsError: if there is no such language model.
        """
        rows = list(rows)
        text_of = {row.family: row.words for row in rows}
        families = [*sorted(text_of), UNKNOWN]
        text_of[UNKNOWN] = UNKNOWN_WORDS
        types = [*sorted({row.rna_type for row in rows}), UNKNOWN_TYPE] if type_size else []
        texts = {*text_of.values(), *(row.words for row in rows), *types}
        source = open_language_model(language_model)
        tokenizer = source.tokenizer
        used = {token for text in texts for token in _token_ids(tokenizer, text)}
        tokens = sorted(used | {tokenizer.eos_token_id})
        name = next(name for name in source.tensors if name.endswith("embed_tokens.weight"))
        return cls(
            tokenizer=tokenizer,
            embeddings=source.tensors[name][tokens].float(),
            ids={token: row for row, token in enumerate(tokens)},
            families={family: number for number, family in enumerate(families)},
            size=size,
            text_config=source.config,
            texts=[text_of[family] for family in families],
            types=types,
            type_size=type_size,
        )

    def words_of(self, text: str) -> torch.Tensor:
        """Rows of `embeddings` of a text's first words: (size,). Words not in use are -100."""
        if text not in self._known:
            self._known[text] = self._first(text, self.size)
        return self._known[text]

    def type_vectors(self) -> torch.Tensor:
        """Embeddings of the words of each type: (types, type size, text hidden)."""
        rows = [self._first(rna_type, self.type_size) for rna_type in self.types]
        return self.embeddings[torch.stack(rows)]

    def _first(self, text: str, size: int) -> torch.Tensor:
        tokens = _token_ids(self.tokenizer, text)[:size]
        tokens += [self.tokenizer.eos_token_id] * (size - len(tokens))
        return torch.tensor([self.ids.get(token, IGNORE) for token in tokens])


def _token_ids(tokenizer: Any, text: str) -> list[int]:
    # The space makes the first word what it is within a sentence.
    return tokenizer(" " + text, add_special_tokens=False)["input_ids"]


class MaskedNucleotides(EsmForMaskedLM):
    """Tell hidden nucleotides from the rest: how RNA-FM was made (Chen et al. 2022)."""

    def __init__(self, encoder: EsmModel) -> None:
        super().__init__(encoder.config)
        self.esm = encoder
        self.tie_weights()

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """`labels` (rnas, longest): the ids of masked tokens, elsewhere -100."""
        hidden_states = self.esm(input_ids, attention_mask=attention_mask).last_hidden_state
        # With thousands of k-mers the head costs as much as a layer: only masked positions.
        asked = labels.ne(IGNORE)
        logits = self.lm_head(hidden_states[asked])
        return {"loss": nn.functional.cross_entropy(logits.float(), labels[asked])}

    @property
    def encoder(self) -> EsmModel:
        return self.esm

    def save(self, folder: str | Path) -> None:
        """Write the encoder."""
        save_encoder(self.esm, folder)


class MaskedLetters(nn.Module):
    """The same for RiNALMo's architecture, whose RNAs may share a row.

    Args:
        encoder: whose embeddings are the head's weights too.
    """

    accepts_loss_kwargs = False
    # Tokens up to which attention that is written out is the faster one on a CPU.
    longest_written_out = 256

    def __init__(self, encoder: RinalmoModel) -> None:
        super().__init__()
        self.encoder = encoder
        size = encoder.config.hidden_size
        self.dense = nn.Linear(size, size)
        self.norm = nn.LayerNorm(size)
        self.bias = nn.Parameter(torch.zeros(encoder.config.vocab_size))
        encoder.embeddings.register_forward_hook(_in_autocast)

    def forward(
        self,
        input_ids: torch.Tensor,
        labels: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """`labels` (rnas, longest): the ids of hidden tokens, elsewhere -100."""
        if position_ids is not None:
            # The rest of the row attends to itself: tokens that see nothing would be no numbers.
            attention_mask = torch.ones_like(input_ids)
        self.encoder.set_attn_implementation(self._attention(input_ids, position_ids is not None))
        hidden_states = self.encoder(
            input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids
        ).last_hidden_state
        asked = labels.ne(IGNORE)
        hidden_states = self.norm(nn.functional.gelu(self.dense(hidden_states[asked])))
        table: Any = self.encoder.embeddings.weight
        logits = nn.functional.linear(hidden_states, table) + self.bias
        return {"loss": nn.functional.cross_entropy(logits.float(), labels[asked])}

    def _attention(self, input_ids: torch.Tensor, packed: bool) -> str:
        """The fastest; on a GPU one that passes over pairs of RNAs in a row."""
        if input_ids.device.type != "cpu":
            return "flex_attention" if packed else "sdpa"
        return "eager" if input_ids.shape[1] <= self.longest_written_out else "sdpa"

    def save(self, folder: str | Path) -> None:
        """Write the encoder, with its code."""
        save_encoder(self.encoder, folder)


def _in_autocast(module: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
    """What autocast computes in, from the first layer on: it leaves sums in float32 else."""
    device = output.device.type
    if not torch.is_autocast_enabled(device):
        return output
    return output.to(torch.get_autocast_dtype(device))


def masked_objective(encoder: Any) -> "MaskedNucleotides | MaskedLetters":
    """The objective for an encoder's architecture."""
    if isinstance(encoder, RinalmoModel):
        return MaskedLetters(encoder)
    return MaskedNucleotides(encoder)


def mean_vectors(
    encoder: Any, input_ids: torch.Tensor, attention_mask: torch.Tensor
) -> torch.Tensor:
    """Mean of each RNA's nucleotide vectors: (rnas, rna hidden).

    Args:
        encoder: on cls, nucleotides and eos.
        input_ids, attention_mask: padded RNAs of `pad_rnas`: (rnas, longest).
    """
    mask = attention_mask[:, 2:].bool()  # without cls and eos
    if not encoder.config.num_hidden_layers:
        # Without layers a vector depends only on its token: norm the table, not each nucleotide.
        table = encoder.encoder.emb_layer_norm_after(encoder.embeddings.word_embeddings.weight)
        lengths = mask.sum(1)
        starts = lengths.cumsum(0) - lengths
        return nn.functional.embedding_bag(input_ids[:, 1:-1][mask], table, starts, mode="mean")
    output = encoder(input_ids=input_ids, attention_mask=attention_mask)
    hidden_states = output.last_hidden_state[:, 1:-1].masked_fill(~mask.unsqueeze(-1), 0.0)
    return hidden_states.sum(1) / mask.sum(1, keepdim=True)


class AnnotationWords(nn.Module):
    """Read the first words of an RNA's annotation from the mean of its nucleotide vectors.

    Each of n summary vectors is compared with the language model's own word embeddings e by squared
    distance: p(word) ∝ exp(-s · |v - e|²). So the projection speaks the language model's words
    before that model has run once. The summary's memory predicts the RNA's family as well.

    The memory's last entry is for what is unknown; it learns from decoys.

    Args:
        encoder: with `kmer_size` in its configuration.
        targets: the words and families to learn.
        merge_size: nucleotides that share a vector in the projection. Its part for nucleotides is
            not trained here.
    """

    words: torch.Tensor
    # The loss is a mean already, and takes nothing but a batch.
    accepts_loss_kwargs = False

    def __init__(self, encoder: Any, targets: WordTargets, merge_size: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.config = RnaGptConfig(
            rna_config=encoder.config,
            text_config=targets.text_config,
            rna_merge_size=merge_size,
            rna_summary_size=targets.type_size + targets.size,
            rna_family_prototypes=len(targets.families),
            rna_type_size=targets.type_size,
            rna_type_prototypes=len(targets.types),
        )
        self.projector = RnaProjector(self.config)
        self.log_scale = nn.Parameter(torch.tensor(math.log(0.5)))
        self.register_buffer("words", targets.embeddings, persistent=False)
        self._start_from_principal_directions(targets)
        self.types = targets.types
        if self.types:
            # Fitted when the encoder is done: see `fit_types`.
            nn.init.zeros_(self.projector.type_keys.weight)
            nn.init.zeros_(self.projector.type_keys.bias)
            with torch.no_grad():
                self.projector.type_values.weight.copy_(targets.type_vectors().flatten(1).T)

    def _start_from_principal_directions(self, targets: WordTargets) -> None:
        """Let the summary begin with the directions in which the texts' words differ most.

        Each entry of the summary's memory begins as one family's place in these directions.
        """
        wanted = torch.stack([targets.words_of(text) for text in targets.texts])
        texts = targets.embeddings[wanted].flatten(1)
        mean = texts.mean(0)
        summary: Any = self.projector.summary
        rank = min(*texts.shape, summary.in_features)
        places, size, directions = torch.svd_lowrank(texts - mean, q=rank)
        unit = math.sqrt(len(texts))  # places of unit variance in each direction
        with torch.no_grad():
            summary.bias.copy_(mean)
            summary.weight.zero_()
            summary.weight[:, :rank] = directions * (size / unit)
            self.projector.summary_values.weight.zero_()
            self.projector.summary_values.weight[:rank] = places.T * unit

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """`labels` (rnas, 1 + n): the family, then the words. `logits` holds the best guesses."""
        mean = mean_vectors(self.encoder, input_ids, attention_mask)
        vectors = self.projector.summarise(mean)[:, self.projector.type_size :]
        asked = labels[:, 1:]
        if self.training:
            # A few words at a time cost a fraction, and over the steps all are asked alike.
            chosen = torch.randperm(asked.shape[1], device=asked.device)[:WORDS_A_STEP]
            vectors, asked = vectors[:, chosen], asked[:, chosen]
        # Which entry of the memory is meant: an entry a family.
        family = self.projector.summary_keys(self.projector.summary_norm(mean))
        words = self.words.to(vectors.dtype)
        nearness = (2 * vectors @ words.T).float() - self.words.square().sum(1)
        logits = nearness * self.log_scale.exp()
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), asked.flatten())
        loss = loss + nn.functional.cross_entropy(family.float(), labels[:, 0])
        guesses = torch.cat([family.argmax(-1)[:, None], logits.argmax(-1)], dim=1)
        return {"loss": loss, "logits": guesses}

    def load_projection(self, folder: str | Path) -> None:
        """Take over the projection that `save` wrote.

        Raises:
            ValueError: if they were trained for other families, words or sizes.
        """
        projector = load_file(Path(folder) / PROJECTOR_WEIGHTS)
        try:
            self.projector.load_state_dict(projector)
        except RuntimeError as error:
            raise ValueError(
                f"The projection in {folder} does not fit: start from a run on the same data set "
                f"and language model, with the same summary_size and merge_size. {error}"
            ) from error

    def save(self, folder: str | Path) -> None:
        """Write the encoder and the projection."""
        save_encoder(self.encoder, folder)
        save_projector(self.projector.state_dict(), self.config, folder)


def first_words(prediction: EvalPrediction, unknown: int) -> dict[str, float]:
    """What a share of RNAs was taken for.

    Args:
        prediction: best guesses and labels, (rnas, 1 + n): the family, then the words.
        unknown: the number of UNKNOWN among the families.

    Returns:
        Of known RNAs `family` (right), `rejected` (taken for unknown), `all_words` (right), and
        `words` (share of right ones); of the others, where there are any, `decoys_refused`.
    """
    guesses, labels = np.asarray(prediction.predictions), np.asarray(prediction.label_ids)
    right, rejected = guesses == labels, guesses[:, 0] == unknown
    decoys = labels[:, 0] == unknown
    shares = {
        "family": right[~decoys, 0].mean(),
        "rejected": rejected[~decoys].mean(),
        "all_words": right[~decoys, 1:].all(1).mean(),
        "words": right[~decoys, 1:].mean(),
    }
    if decoys.any():
        shares["decoys_refused"] = rejected[decoys].mean()
    return {name: float(share) for name, share in shares.items()}


__all__ = [
    "UNKNOWN",
    "AnnotationWords",
    "MaskedLetters",
    "MaskedNucleotides",
    "WordTargets",
    "first_words",
    "masked_objective",
    "mean_vectors",
]
