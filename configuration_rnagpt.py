"""Configuration of RNA-GPT: an RNA encoder, a projection and a causal language model."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache, cached_property, lru_cache
from itertools import product
from typing import Any, ClassVar

import numpy as np
from huggingface_hub.dataclasses import strict
from transformers import CONFIG_MAPPING, AutoConfig, PreTrainedConfig

from .cleaning_rnagpt import NUCLEOTIDES, RNA_LETTERS, shorten
from .configuration_encoders_rnagpt import ENCODER_CONFIGS

# The tokens of RNA-FM (Chen et al. 2022) in its order.
RNA_VOCABULARY = (
    *("<cls>", "<pad>", "<eos>", "<unk>"),
    *RNA_LETTERS,
    "-",
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


@dataclass(frozen=True)
class RnaAlphabet:
    """What an encoder reads: its tokens, and the token of every letter of a cleaned sequence.

    Attributes:
        tokens: all tokens, each at the place of its id.
        pad_token: the padding, which is no letter's token.
        cls_token: what the encoder wants before a sequence, or None.
        eos_token: what it wants after a sequence, or None.
        unk_token: what letters without a token of their own are read as.
        letters: the tokens of letters that are written otherwise, such as `{"U": "T", "R": "N"}`.
        kmer_size: nucleotides that a token reads. For k > 1 the tokens hold all k-mers, in the
            tokens of their letters, and those of single letters serve where there is no k-mer.

    Raises:
        ValueError: for a token that is missing, named twice or of two meanings.
    """

    tokens: tuple[str, ...]
    pad_token: str
    cls_token: str | None = None
    eos_token: str | None = None
    unk_token: str | None = None
    letters: Mapping[str, str] = field(default_factory=dict)
    kmer_size: int = 1

    def __post_init__(self) -> None:
        if len(self._ids) < len(self.tokens):
            raise ValueError("rna_alphabet.tokens holds a token twice. Name each id otherwise.")
        for name in ("pad_token", "cls_token", "eos_token", "unk_token"):
            token = getattr(self, name)
            if token not in self._ids and (token is not None or name == "pad_token"):
                raise ValueError(f"rna_alphabet.{name}={token!r} is not among its tokens.")
        if foreign := [letter for letter in self.letters if letter not in RNA_LETTERS]:
            raise ValueError(
                f"rna_alphabet.letters has {foreign}, but a cleaned sequence is made of "
                f"{RNA_LETTERS}: it has U and no T, and no small letters."
            )
        unread = [letter for letter in RNA_LETTERS if self.token_of(letter) not in self._ids]
        if unread:
            raise ValueError(
                f"rna_alphabet has no token for {', '.join(unread)}. Name one for each in letters, "
                "or an unk_token for all."
            )
        read = {self.token_of(letter) for letter in RNA_LETTERS}
        nucleotides = {self.token_of(letter) for letter in NUCLEOTIDES}
        if self.kmer_size == 1 and len(nucleotides) < len(NUCLEOTIDES):
            raise ValueError("rna_alphabet reads two of A, C, G, U as the same token.")
        if self.pad_token in read:
            raise ValueError(f"rna_alphabet.pad_token={self.pad_token!r} is read for a letter too.")
        missing = [kmer for kmer in self._kmers() if kmer not in self._ids]
        if self.kmer_size > 1 and missing:
            raise ValueError(
                f"rna_alphabet.tokens lacks {len(missing):,} of the {4**self.kmer_size:,} k-mers "
                f"of rna_config.kmer_size={self.kmer_size}, {missing[0]!r} among them."
            )

    def token_of(self, letter: str) -> str | None:
        """The token of a letter of a cleaned sequence."""
        token = self.letters.get(letter, letter)
        return token if token in self._ids else self.unk_token

    def id_of(self, token: str | None) -> int | None:
        """The id of a token, if it has one."""
        return None if token is None else self._ids[token]

    @property
    def pad_token_id(self) -> int:
        return self._ids[self.pad_token]

    def tokenize(self, sequence: str) -> np.ndarray:
        """Token ids of a cleaned sequence, one per nucleotide: (length,), int64.

        For k > 1 position i has the k-mer of nucleotides i to i+k-1. Where one of them is
        ambiguous, or fewer than k are left at the 3' end, it has the token of letter i.

        Raises:
            ValueError: for a letter that `clean_rna` would not leave.
        """
        letters = np.frombuffer(sequence.encode("ascii", errors="replace"), dtype=np.uint8)
        ids = self._letter_ids[letters]
        if (ids < 0).any():
            raise ValueError("tokenize_rna takes what clean_rna returns: A C G U and IUPAC codes.")
        num_kmers = len(letters) - self.kmer_size + 1
        if self.kmer_size == 1 or num_kmers < 1:
            return ids
        digits = np.lib.stride_tricks.sliding_window_view(_BASE_4[letters], self.kmer_size)
        numbers = digits @ 4 ** np.arange(self.kmer_size - 1, -1, -1)
        known = np.flatnonzero((digits < 4).all(axis=1))
        ids[known] = self._kmer_ids[numbers[known]]
        return ids

    def _kmers(self) -> list[str]:
        """All k-mers in the order of their base-4 numbers (A 0, C 1, G 2, U 3)."""
        letters = [self.letters.get(letter, letter) for letter in NUCLEOTIDES]
        return list(map("".join, product(letters, repeat=self.kmer_size)))

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {token: number for number, token in enumerate(self.tokens)}

    @cached_property
    def _letter_ids(self) -> np.ndarray:
        ids = np.full(128, -1)
        for letter in RNA_LETTERS:
            ids[ord(letter)] = self.id_of(self.token_of(letter))
        return ids

    @cached_property
    def _kmer_ids(self) -> np.ndarray:
        return np.array([self._ids[kmer] for kmer in self._kmers()])


_BASE_4 = np.full(128, 4)
_BASE_4[[ord(letter) for letter in NUCLEOTIDES]] = range(4)


def rna_alphabet(kmer_size: int = 1, definition: Mapping[str, Any] | None = None) -> RnaAlphabet:
    """The alphabet of an encoder.

    Args:
        kmer_size: Nucleotides that a token reads.
        definition: The other fields of `RnaAlphabet`, as JSON has them. Default: RNA-FM's, and
            after its 25 tokens for k > 1 the 4**k k-mers.
    """
    if definition is None:
        return _rna_fm_alphabet(kmer_size)
    return _defined_alphabet(kmer_size, json.dumps(definition, sort_keys=True))


def encoder_alphabet(encoder: PreTrainedConfig) -> RnaAlphabet:
    """The alphabet that an encoder's configuration names; see `RnaGptConfig.rna_config`."""
    return rna_alphabet(getattr(encoder, "kmer_size", 1), getattr(encoder, "rna_alphabet", None))


@cache
def _rna_fm_alphabet(kmer_size: int) -> RnaAlphabet:
    kmers = map("".join, product(NUCLEOTIDES, repeat=kmer_size if kmer_size > 1 else 0))
    tokens = (*RNA_VOCABULARY, *filter(None, kmers))
    return RnaAlphabet(tokens, "<pad>", "<cls>", "<eos>", kmer_size=kmer_size)


# Of the definition's text, as a dictionary may change: every batch asks for its alphabet.
@lru_cache(maxsize=8)
def _defined_alphabet(kmer_size: int, definition: str) -> RnaAlphabet:
    given = json.loads(definition)
    known = {one.name for one in fields(RnaAlphabet)} - {"kmer_size"}
    if isinstance(given, dict):
        given = {name: value for name, value in given.items() if value is not None}
    if not isinstance(given, dict) or not {"tokens", "pad_token"} <= given.keys() <= known:
        raise ValueError(
            f"rna_alphabet is a dictionary with tokens, pad_token and what else it needs of "
            f"{', '.join(sorted(known))}; got {shorten(definition)}."
        )
    return RnaAlphabet(**{**given, "tokens": tuple(given["tokens"])}, kmer_size=kmer_size)


def max_window_length(encoder: PreTrainedConfig, num_special: int) -> int | None:
    """The most nucleotides that an encoder's table of positions has room for; None without one.

    Args:
        encoder: its configuration.
        num_special: tokens that it wants before and after a sequence.
    """
    positions = getattr(encoder, "max_position_embeddings", None)
    if encoder.model_type != "esm":
        return None if positions is None else positions - num_special
    # ESM counts positions from pad_token_id + 1: the rows before are never a token's.
    table = encoder.position_embedding_type == "absolute"
    return positions - encoder.pad_token_id - 1 - num_special if table else None


def rna_vocabulary_size(kmer_size: int) -> int:
    """Tokens of an encoder's vocabulary: RNA-FM's 25, and for k > 1 the 4**k overlapping k-mers."""
    return len(rna_alphabet(kmer_size).tokens)


def num_rna_tokens(length: int, merge_size: int, summary_size: int) -> int:
    """Vectors that an RNA of `length` nt makes: the placeholders that it takes in a prompt."""
    return summary_size + -(-length // merge_size)


@strict
class RnaGptConfig(PreTrainedConfig):
    r"""Configuration of `RnaGptForCausalLM`. Wrong values raise at once and name their field.

    Args:
        rna_config: The encoder, which gives one vector per nucleotide: a configuration, or a
            dictionary with `model_type`. Default: RNA-FM as an `EsmConfig`. Two attributes of its
            own say what it reads: `kmer_size` (k, default 1), how many nucleotides a token reads,
            and `rna_alphabet`, a dictionary with the other fields of `RnaAlphabet`. Without the
            latter it is RNA-FM's: 25 tokens for k = 1 and 25 + 4**k for k > 1.
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
        rna_cls_token_id: Token that the encoder wants before a sequence, or None. Where
            `rna_config.rna_alphabet` is given, both are what that says.
        rna_eos_token_id: Token that the encoder wants after a sequence, or None.
        confidence_scale: With `confidence_bias`, the confidence in an answer is sigmoid(scale · its
            tokens' log-probability + bias). Both are fitted to answers about validation RNAs; None
            where they were not fitted.
        confidence_bias: See `confidence_scale`.
        reads_evidence: Whether it was trained on prompts that hold records found by a search.

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
    reads_evidence: bool = False
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

    @property
    def rna_alphabet(self) -> RnaAlphabet:
        """What the encoder reads: RNA-FM's alphabet, or the one of `rna_config.rna_alphabet`."""
        return encoder_alphabet(self.rna_config)

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
        for name, minimum in least.items():
            if getattr(self, name) < minimum:
                raise ValueError(f"{name} must be at least {minimum}, got {getattr(self, name)}.")
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
        alphabet = self.rna_alphabet
        is_own = getattr(encoder, "rna_alphabet", None) is not None
        if encoder.vocab_size != len(alphabet.tokens):
            raise ValueError(
                f"rna_config.vocab_size must be {len(alphabet.tokens)} for "
                f"{'the tokens of its rna_alphabet' if is_own else f'rna_config.{kmer_size=}'}, "
                f"got {encoder.vocab_size}."
            )
        if is_own:
            self._take_ends(alphabet)
        for name in ("rna_cls_token_id", "rna_eos_token_id"):
            token = getattr(self, name)
            if token is not None and not 0 <= token < encoder.vocab_size:
                raise ValueError(f"{name} must be None or an id of the encoder's, got {token}.")
        if encoder.model_type == "esm" and encoder.pad_token_id != alphabet.pad_token_id:
            raise ValueError(
                f"rna_config.pad_token_id must be {alphabet.pad_token_id}, the "
                f"{alphabet.pad_token} of the RNA vocabulary, got {encoder.pad_token_id}."
            )
        special = [self.rna_cls_token_id, self.rna_eos_token_id]
        longest = max_window_length(encoder, sum(token is not None for token in special))
        if longest is not None and self.rna_window_length > longest:
            raise ValueError(
                f"rna_window_length ({self.rna_window_length} nt) must be at most {longest} nt for "
                f"rna_config.max_position_embeddings={encoder.max_position_embeddings}."
            )

    def _take_ends(self, alphabet: RnaAlphabet) -> None:
        """What the alphabet says of the tokens before and after a sequence holds."""
        for end in ("cls", "eos"):
            name = f"rna_{end}_token_id"
            token = alphabet.id_of(getattr(alphabet, f"{end}_token"))
            if getattr(self, name) not in (token, getattr(type(self), name)):
                raise ValueError(
                    f"{name} ({getattr(self, name)}) is not what rna_config.rna_alphabet says "
                    f"({token}). Leave it out."
                )
            setattr(self, name, token)


def _check_language_model(text: PreTrainedConfig) -> None:
    for name in ("final_logit_softcapping", "logit_scale", "logits_scaling"):
        value = getattr(text, name, None)
        if value not in (None, 1):
            raise ValueError(
                f"text_config.{name}={value}: a language model that rescales its logits is not "
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
        config_class = ENCODER_CONFIGS.get(model_type)
        if config_class is None and model_type not in CONFIG_MAPPING:
            raise ValueError(f"{field}.model_type={model_type!r} is unknown to transformers.")
        value = (config_class or CONFIG_MAPPING[model_type])(**value)
    for size in ("vocab_size", "hidden_size"):
        if not isinstance(getattr(value, size, None), int):
            raise ValueError(f"{field} needs a {size}, which {type(value).__name__} does not set.")
    return value


RnaGptConfig.register_for_auto_class()

__all__ = [
    "FORMER_NAMES",
    "RNA_PAD_TOKEN_ID",
    "RNA_VOCABULARY",
    "RnaAlphabet",
    "RnaGptConfig",
    "encoder_alphabet",
    "max_window_length",
    "num_rna_tokens",
    "rna_alphabet",
    "rna_vocabulary_size",
]
