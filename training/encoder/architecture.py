"""The encoder that is trained: fresh, or that of an earlier run."""

from typing import Any

import torch
from transformers import EsmConfig

from rnagpt.configuration_encoders_rnagpt import RinalmoConfig
from rnagpt.configuration_rnagpt import RNA_VOCABULARY, rna_vocabulary_size
from rnagpt.conversion.model_sources import open_encoder
from rnagpt.modeling_encoders_rnagpt import new_encoder
from rnagpt.training.encoder.arguments import EncoderArguments, option_name


def make_encoder(arguments: EncoderArguments) -> Any:
    """A fresh encoder, or that of an earlier run with new layers that begin as the identity.

    Raises:
        ValueError: if the earlier encoder has more layers, or other sizes, than asked for.
    """
    encoder: Any = new_encoder(
        (_rinalmo if arguments.architecture == "rinalmo" else _esm)(arguments)
    )
    if arguments.encoder:
        return _take_over(encoder, arguments.encoder)
    if arguments.objective == "words" and arguments.architecture == "esm":
        # Words are read from means over an RNA's k-mers: these must differ from the start.
        torch.nn.init.normal_(encoder.embeddings.word_embeddings.weight, std=0.5)
    return encoder


def _esm(arguments: EncoderArguments) -> EsmConfig:
    return EsmConfig(  # type: ignore[call-arg]  # the base class takes more
        vocab_size=rna_vocabulary_size(arguments.kmer_size),
        hidden_size=arguments.hidden_size,
        num_hidden_layers=arguments.num_hidden_layers,
        num_attention_heads=arguments.num_attention_heads,
        intermediate_size=arguments.intermediate_size,
        max_position_embeddings=1026,
        position_embedding_type="rotary",
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        token_dropout=False,
        pad_token_id=RNA_VOCABULARY.index("<pad>"),
        mask_token_id=RNA_VOCABULARY.index("<mask>"),
        kmer_size=arguments.kmer_size,
    )


def _rinalmo(arguments: EncoderArguments) -> RinalmoConfig:
    """RiNALMo's layers on RNA-FM's tokens."""
    return RinalmoConfig(
        vocab_size=len(RNA_VOCABULARY),
        hidden_size=arguments.hidden_size,
        num_hidden_layers=arguments.num_hidden_layers,
        num_attention_heads=arguments.num_attention_heads,
        intermediate_size=arguments.intermediate_size,
        token_dropout=False,
        learn_gate_slope=False,
        rna_alphabet={
            "tokens": list(RNA_VOCABULARY),
            **{f"{name}_token": f"<{name}>" for name in ("cls", "pad", "eos", "unk")},
        },
    )


def _take_over(encoder: Any, name: str) -> Any:
    wanted: Any = encoder.config
    given, tensors = open_encoder(name)
    if given.model_type != wanted.model_type:
        raise ValueError(
            f"{name} is an encoder of the type {given.model_type}, asked for was "
            f"{wanted.model_type}: choose the --architecture that it was trained with."
        )
    of_layers = ("num_attention_heads", "intermediate_size") if given.num_hidden_layers else ()
    for size in ("kmer_size", "hidden_size", *of_layers):
        if getattr(wanted, size, None) != getattr(given, size, None):
            raise ValueError(
                f"{name} has {size} {getattr(given, size)}, asked for was "
                f"{getattr(wanted, size)}: add {option_name(size)} {getattr(given, size)}."
            )
    if given.num_hidden_layers > wanted.num_hidden_layers:
        raise ValueError(
            f"{name} has {given.num_hidden_layers} layers, more than the "
            f"{wanted.num_hidden_layers} asked for: raise --num-hidden-layers."
        )
    # The head for contact maps has a weight for each attention head of each layer, and no use here.
    state = {k: v.float() for k, v in tensors.items() if "contact_head" not in k}
    encoder.load_state_dict(state, strict=False)
    if given.num_hidden_layers < wanted.num_hidden_layers:
        _begin_as_identity(encoder, given.num_hidden_layers, name)
    return encoder


def _begin_as_identity(encoder: Any, first: int, name: str) -> None:
    """Let layers from the `first` on pass on what they get."""
    if encoder.config.model_type != "esm":
        raise ValueError(
            f"{name} has {first} layers, fewer than the {encoder.config.num_hidden_layers} asked "
            "for: only those of --architecture esm can be added to."
        )
    for layer in encoder.encoder.layer[first:]:
        for output in (layer.attention.output.dense, layer.output.dense):
            torch.nn.init.zeros_(output.weight)
            torch.nn.init.zeros_(output.bias)


__all__ = ["make_encoder"]
