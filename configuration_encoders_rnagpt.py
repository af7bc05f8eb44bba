"""Configurations of RNA encoders that transformers does not have: RiNALMo and ERNIE-RNA.

Their `model_type` begins with `rna-gpt-`, so that no other package's models of these names are
mistaken for them. The Hub ships this file with every model, and with a converted encoder.
"""

from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

# The tokens of each in the order of its embeddings; what the fields mean says `RnaAlphabet`.
# RiNALMo reads U as T (rinalmo/data/alphabet.py); ERNIE-RNA was trained on fairseq's dictionary,
# in which A, C, G, U and IUPAC's codes have tokens of their own.
RINALMO_ALPHABET: dict[str, Any] = {
    "tokens": [*("<cls>", "<pad>", "<eos>", "<unk>", "<mask>"), *"ACGTIRYKMSWBDHVN-"],
    "pad_token": "<pad>",
    "cls_token": "<cls>",
    "eos_token": "<eos>",
    "unk_token": "<unk>",
    "letters": {"U": "T"},
}
ERNIE_RNA_ALPHABET: dict[str, Any] = {
    "tokens": [
        *("<s>", "<pad>", "</s>", "<unk>"),
        *"GAUCNYRSKWMDHVBXI",
        *("madeupword0000", "madeupword0001", "madeupword0002", "<mask>"),
    ],
    "pad_token": "<pad>",
    "cls_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
}


@strict
class RinalmoConfig(PreTrainedConfig):
    """RiNALMo (Penić et al. 2024, arXiv 2403.00043). Default: its largest, giga.

    Args:
        rotary_base: Base of the wavelengths of the rotary positions, which have no end.
        token_dropout: Whether masked tokens are zeroed and all others scaled by what was masked in
            training, as in ESM.
        learn_gate_slope: Whether the gates' slopes are weights, as in the official model; else
            they are 1, which computes faster.
        rna_alphabet: What it reads; see `RnaAlphabet`. Default: the official tokens.

    Raises:
        ValueError: where a head's size is no even number.
    """

    model_type = "rna-gpt-rinalmo"

    vocab_size: int = len(RINALMO_ALPHABET["tokens"])
    hidden_size: int = 1280
    num_hidden_layers: int = 33
    num_attention_heads: int = 20
    intermediate_size: int = 3413
    layer_norm_eps: float = 1e-5
    rotary_base: float = 10_000.0
    token_dropout: bool = True
    learn_gate_slope: bool = True
    initializer_range: float = 0.02
    rna_alphabet: dict[str, Any] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        _take_alphabet(self, RINALMO_ALPHABET)
        super().__post_init__(**kwargs)
        _check_heads(self, 2)


@strict
class ErnieRnaConfig(PreTrainedConfig):
    """ERNIE-RNA (Yin et al. 2024, bioRxiv 2024.03.17.585376). Default: the published one.

    Args:
        max_position_embeddings: The most tokens that it reads at once, both ends among them.
        position_embedding_type: `"learned"` or `"sinusoidal"`.
        embedding_norm: Whether the sum of the embeddings is normalised.
        pair_hidden_size: Hidden size of the network that makes a bias of each head from a score.
        pair_scores: What two nucleotides that may pair score; all others score 0.
        rna_alphabet: What it reads; see `RnaAlphabet`. Default: the dictionary that it was trained
            with.

    Raises:
        ValueError: for a size or a kind of positions that cannot be.
    """

    model_type = "rna-gpt-ernie-rna"

    vocab_size: int = len(ERNIE_RNA_ALPHABET["tokens"])
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    max_position_embeddings: int = 1024
    position_embedding_type: str = "sinusoidal"
    embedding_norm: bool = True
    layer_norm_eps: float = 1e-5
    pair_hidden_size: int = 6
    pair_scores: dict[str, float] | None = None
    initializer_range: float = 0.02
    rna_alphabet: dict[str, Any] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        _take_alphabet(self, ERNIE_RNA_ALPHABET)
        if self.pair_scores is None:
            self.pair_scores = {"AU": 2.0, "GC": 3.0, "GU": 0.8}
        super().__post_init__(**kwargs)
        _check_heads(self, 1)
        if self.position_embedding_type not in ("learned", "sinusoidal"):
            raise ValueError(
                "position_embedding_type must be 'learned' or 'sinusoidal', got "
                f"{self.position_embedding_type!r}."
            )


def _take_alphabet(config: Any, default: dict[str, Any]) -> None:
    """The alphabet says which token is the padding and which the mask."""
    if config.rna_alphabet is None:
        config.rna_alphabet = default | {"tokens": list(default["tokens"])}
    tokens = config.rna_alphabet["tokens"]
    config.pad_token_id = tokens.index(config.rna_alphabet["pad_token"])
    config.mask_token_id = tokens.index("<mask>") if "<mask>" in tokens else None


def _check_heads(config: Any, multiple: int) -> None:
    size, heads = config.hidden_size, config.num_attention_heads
    if heads < 1 or size % (heads * multiple):
        kind = "an even size" if multiple == 2 else "a whole size"
        raise ValueError(
            f"hidden_size ({size}) and num_attention_heads ({heads}) must give each head {kind}."
        )


# By the names that stand as model_type in a config.json.
ENCODER_CONFIGS: dict[str, type[PreTrainedConfig]] = {
    RinalmoConfig.model_type: RinalmoConfig,
    ErnieRnaConfig.model_type: ErnieRnaConfig,
}
for _config in ENCODER_CONFIGS.values():
    _config.register_for_auto_class()

__all__ = ["ENCODER_CONFIGS", "ErnieRnaConfig", "RinalmoConfig"]
