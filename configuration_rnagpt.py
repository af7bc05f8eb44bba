"""Configuration of RNA-GPT: an RNA encoder, a projection and a causal language model."""

import math
from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict
from transformers import CONFIG_MAPPING, AutoConfig, PreTrainedConfig

# The tokens of RNA-FM (Chen et al. 2022) in its order: ids 0 to 24 of every RNA vocabulary here.
RNA_VOCABULARY = (
    *("<cls>", "<pad>", "<eos>", "<unk>"),
    *"ACGURYKMSWBDHVN-",
    *("<null_1>", "<null_2>", "<null_3>", "<null_4>", "<mask>"),
)
RNA_PAD_TOKEN_ID = RNA_VOCABULARY.index("<pad>")

# Fields by their names up to 0.1.0, as folders written then hold them.
FORMER_NAMES = {
    "rna_summary_memory": "rna_family_prototypes",
    "rna_type_memory": "rna_type_prototypes",
}

_RNA_FM = {
    "vocab_size": len(RNA_VOCABULARY),
    "hidden_size": 640,
    "num_hidden_layers": 12,
    "num_attention_heads": 20,
    "intermediate_size": 5120,
    "max_position_embeddings": 1026,
    "position_embedding_type": "absolute",
    "emb_layer_norm_before": True,
    "layer_norm_eps": 1e-5,
    "pad_token_id": RNA_PAD_TOKEN_ID,
    "mask_token_id": RNA_VOCABULARY.index("<mask>"),
}
_LLAMA_3_8B = {
    "vocab_size": 128_256,
    "hidden_size": 4096,
    "intermediate_size": 14_336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-5,
    "rope_parameters": {"rope_type": "default", "rope_theta": 500_000.0},
    "bos_token_id": 128_000,
    "eos_token_id": 128_001,
}
_AUTO_MAP = {
    "AutoConfig": "configuration_rnagpt.RnaGptConfig",
    "AutoModel": "modeling_rnagpt.RnaGptForCausalLM",
    "AutoModelForCausalLM": "modeling_rnagpt.RnaGptForCausalLM",
    "AutoModelForMultimodalLM": "modeling_rnagpt.RnaGptForCausalLM",
    "AutoProcessor": "processing_rnagpt.RnaGptProcessor",
}


def rna_vocabulary_size(kmer_size: int) -> int:
    """Tokens of an encoder's vocabulary: RNA-FM's 25, and for k > 1 the 4**k overlapping k-mers."""
    return len(RNA_VOCABULARY) + (4**kmer_size if kmer_size > 1 else 0)


def num_rna_tokens(length: int, merge_size: int, summary_size: int) -> int:
    """Vectors that an RNA of `length` nt makes: the placeholders that it takes in a prompt."""
    return summary_size + -(-length // merge_size)


@strict
class RnaGptConfig(PreTrainedConfig):
    r"""Configuration of `RnaGptForCausalLM`. Wrong values raise at once and name their field.

    Args:
        rna_config: The encoder, which gives one vector per nucleotide: a configuration, or a
            dictionary with `model_type`. Default: RNA-FM as an `EsmConfig`. Its own attribute
            `kmer_size` (k, default 1) says how many nucleotides a token reads; the vocabulary has
            25 tokens for k = 1 and 25 + 4**k for k > 1.
        text_config: The language model. Default: Llama-3-8B as a `LlamaConfig`.
        projector_type: `"linear"`, as in the paper, or `"mlp"` (linear, GELU, linear).
        rna_merge_size: Neighbouring nucleotides joined before the projection; an RNA of n nt takes
            `ceil(n / rna_merge_size)` tokens in the language model.
        rna_summary_size: Vectors that summarise an RNA, placed before those of its nucleotides.
        rna_family_prototypes: Learned vectors, such as one per family, that the summary is mixed
            from by attention; 0 projects the mean of the nucleotides itself. Called
            `rna_summary_memory` up to 0.1.0; that name is still read.
        rna_type_size: The first N summary vectors, which tell what type of RNA it is.
        rna_type_prototypes: Types that they are mixed from; `rna_type_memory` up to 0.1.0.
        rna_window_length: The most nucleotides (nt) that the encoder reads at once.
        rna_window_overlap: The least overlap (nt) of the windows of a longer RNA.
        max_rna_length: The longest RNA (nt) accepted.
        rna_token_id: Id of the placeholder `<RNAHere>`. It is masked before the embedding look-up,
            so it may lie beyond the language model's vocabulary. Default: the first id beyond it.
        rna_cls_token_id: Token that the encoder wants before a sequence, or None.
        rna_eos_token_id: Token that the encoder wants after a sequence, or None.
        confidence_scale: With `confidence_bias`, the confidence in an answer is sigmoid(scale · its
            tokens' log-probability + bias). Both are fitted to answers about validation RNAs; None
            where they were not fitted.
        confidence_bias: See `confidence_scale`.

    Raises:
        ValueError: for a value that does not fit, with the name of its field.
        StrictDataclassFieldValidationError: for a value of the wrong type, likewise.
    """

    model_type = "rna-gpt"
    attribute_map: ClassVar = FORMER_NAMES
    sub_configs: ClassVar[dict[str, Any]] = {"rna_config": AutoConfig, "text_config": AutoConfig}
    # What Trainer leaves out of predictions; the cache has another name from transformers 5.24 on.
    keys_to_ignore_at_inference: ClassVar = ["past_key_values", "cache", "rna_vectors"]

    rna_config: Any = None
    text_config: Any = None
    projector_type: str = "linear"
    rna_merge_size: int = 1
    rna_summary_size: int = 0
    rna_family_prototypes: int = 0
    rna_type_size: int = 0
    rna_type_prototypes: int = 0
    rna_window_length: int = 1022
    rna_window_overlap: int = 128
    max_rna_length: int = 16_384
    rna_token_id: int | None = None
    rna_cls_token_id: int | None = 0
    rna_eos_token_id: int | None = 2
    confidence_scale: float | None = None
    confidence_bias: float | None = None
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        rna = _sub_config("rna_config", self.rna_config, "esm", _RNA_FM)
        text = _sub_config("text_config", self.text_config, "llama", _LLAMA_3_8B)
        self.rna_config, self.text_config = rna, text
        if self.rna_token_id is None:
            self.rna_token_id = text.vocab_size
        # The head belongs to the language model, and so does the decision to tie it.
        self.tie_word_embeddings = bool(getattr(text, "tie_word_embeddings", False))
        super().__post_init__(**kwargs)
        self._check_sizes()
        self._check_confidence()
        self._check_encoder(rna)
        _check_language_model(text)

    @property
    def rna_kmer_size(self) -> int:
        """Nucleotides that one token of the encoder reads: 1 for RNA-FM."""
        return getattr(self.rna_config, "kmer_size", 1)

    def num_rna_tokens(self, length: int) -> int:
        """Placeholders that an RNA of `length` nt takes in a prompt."""
        return num_rna_tokens(length, self.rna_merge_size, self.rna_summary_size)

    def save_pretrained(
        self, save_directory: Any, push_to_hub: bool = False, **kwargs: Any
    ) -> None:
        """Save with the names of all Auto classes: the library would write one of the model's."""
        self.auto_map = dict(_AUTO_MAP)
        super().save_pretrained(save_directory, push_to_hub=push_to_hub, **kwargs)

    def _check_sizes(self) -> None:
        least = {
            "rna_merge_size": 1,
            "rna_summary_size": 0,
            "rna_family_prototypes": 0,
            "rna_type_size": 0,
            "rna_type_prototypes": 0,
            "rna_window_length": 1,
            "rna_window_overlap": 0,
            "max_rna_length": 1,
            "rna_token_id": 0,
        }
        for field, minimum in least.items():
            if getattr(self, field) < minimum:
                raise ValueError(f"{field} must be at least {minimum}, got {getattr(self, field)}.")
        if self.projector_type not in ("linear", "mlp"):
            raise ValueError(
                f"projector_type must be 'linear' or 'mlp', got {self.projector_type!r}."
            )
        if self.rna_type_size and self.rna_type_size >= self.rna_summary_size:
            raise ValueError(
                f"rna_type_size ({self.rna_type_size}) vectors are a part of rna_summary_size "
                f"({self.rna_summary_size}), and must be fewer."
            )
        if bool(self.rna_type_size) != bool(self.rna_type_prototypes):
            raise ValueError(
                f"rna_type_size ({self.rna_type_size}) and rna_type_prototypes "
                f"({self.rna_type_prototypes}) are both 0 or both more."
            )
        if self.rna_window_overlap >= self.rna_window_length:
            raise ValueError(
                f"rna_window_overlap ({self.rna_window_overlap} nt) must be smaller than "
                f"rna_window_length ({self.rna_window_length} nt)."
            )

    def _check_confidence(self) -> None:
        fitted = {name: getattr(self, name) for name in ("confidence_scale", "confidence_bias")}
        given = [value for value in fitted.values() if value is not None]
        if len(given) == 1 or not all(map(math.isfinite, given)):
            raise ValueError(
                "confidence_scale and confidence_bias are two finite numbers fitted together, or "
                f"both None; got {fitted}."
            )

    def _check_encoder(self, encoder: PreTrainedConfig) -> None:
        kmer_size = self.rna_kmer_size
        if not isinstance(kmer_size, int) or not 1 <= kmer_size <= 8:
            raise ValueError(f"rna_config.kmer_size must be 1 to 8, got {kmer_size!r}.")
        if encoder.vocab_size != rna_vocabulary_size(kmer_size):
            raise ValueError(
                f"rna_config.vocab_size must be {rna_vocabulary_size(kmer_size)} for "
                f"rna_config.kmer_size={kmer_size}, got {encoder.vocab_size}."
            )
        for field in ("rna_cls_token_id", "rna_eos_token_id"):
            token = getattr(self, field)
            if token is not None and not 0 <= token < encoder.vocab_size:
                raise ValueError(f"{field} must be None or an id of the encoder's, got {token}.")
        if encoder.model_type == "esm":
            self._check_esm(encoder)

    def _check_esm(self, encoder: PreTrainedConfig) -> None:
        if encoder.pad_token_id != RNA_PAD_TOKEN_ID:
            raise ValueError(
                f"rna_config.pad_token_id must be {RNA_PAD_TOKEN_ID}, the <pad> of the RNA "
                f"vocabulary, got {encoder.pad_token_id}."
            )
        if encoder.position_embedding_type != "absolute":
            return
        # ESM counts positions from pad_token_id + 1: the rows before are never a token's.
        special = [self.rna_cls_token_id, self.rna_eos_token_id]
        num_special = sum(token is not None for token in special)
        longest = encoder.max_position_embeddings - encoder.pad_token_id - 1 - num_special
        if self.rna_window_length > longest:
            raise ValueError(
                f"rna_window_length ({self.rna_window_length} nt) must be at most {longest} nt for "
                f"rna_config.max_position_embeddings={encoder.max_position_embeddings}."
            )


def _check_language_model(text: PreTrainedConfig) -> None:
    for field in ("final_logit_softcapping", "logit_scale", "logits_scaling"):
        value = getattr(text, field, None)
        if value not in (None, 1):
            raise ValueError(
                f"text_config.{field}={value}: a language model that rescales its logits is not "
                "supported. Choose another one."
            )


def _sub_config(
    field: str, value: Any, default_type: str, default: dict[str, Any]
) -> PreTrainedConfig:
    """A part's configuration, built from a dictionary, or from nothing as the default part."""
    if value is None:
        value = {"model_type": default_type, **default}
    if isinstance(value, dict):
        value = dict(value)
        model_type = value.pop("model_type", default_type)
        if model_type not in CONFIG_MAPPING:
            raise ValueError(f"{field}.model_type={model_type!r} is unknown to transformers.")
        value = CONFIG_MAPPING[model_type](**value)
    for size in ("vocab_size", "hidden_size"):
        if not isinstance(getattr(value, size, None), int):
            raise ValueError(f"{field} needs a {size}, which {type(value).__name__} does not set.")
    return value


RnaGptConfig.register_for_auto_class()

__all__ = [
    "FORMER_NAMES",
    "RNA_PAD_TOKEN_ID",
    "RNA_VOCABULARY",
    "RnaGptConfig",
    "num_rna_tokens",
    "rna_vocabulary_size",
]
