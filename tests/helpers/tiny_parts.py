"""Tiny random parts of an RNA-GPT, in the folders that the commands read."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from tokenizers.decoders import ByteLevel
from transformers import (
    EsmConfig,
    EsmModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from rnagpt.configuration_rnagpt import RnaGptConfig
from rnagpt.modeling_rnagpt import RnaProjector

RNA_HIDDEN = 16
TEXT_HIDDEN = 24
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def randomise(model: torch.nn.Module, seed: int) -> None:
    """Give every parameter a value of its own: a default of 0 or 1 could be lost unseen."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))


def encoder_folder(folder: Path, *, kmer_size: int = 1, seed: int = 0) -> Path:
    config = EsmConfig(  # type: ignore[call-arg]
        vocab_size=25 + (4**kmer_size if kmer_size > 1 else 0),
        hidden_size=RNA_HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=102,
        position_embedding_type="absolute",
        emb_layer_norm_before=True,
        layer_norm_eps=1e-5,
        pad_token_id=1,
        mask_token_id=24,
        kmer_size=kmer_size,
    )
    model = EsmModel(config, add_pooling_layer=False)
    randomise(model, seed)
    model.save_pretrained(folder)
    return folder


def tokenizer() -> PreTrainedTokenizerFast:
    """Bytes as tokens, with SmolLM2's turns."""
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    words = special + sorted(pre_tokenizers.ByteLevel.alphabet())
    bytes_alone = Tokenizer(models.BPE({word: i for i, word in enumerate(words)}, []))
    bytes_alone.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_alone.decoder = ByteLevel()
    bytes_alone.add_special_tokens(special)
    return PreTrainedTokenizerFast(
        tokenizer_object=bytes_alone,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        unk_token="<|endoftext|>",
        chat_template=CHAT_TEMPLATE,
    )


def language_model_folder(
    folder: Path, *, tied: bool = True, seed: int = 1, max_shard_size: str = "5GB", **sizes
) -> Path:
    words = tokenizer()
    sizes = {
        "hidden_size": TEXT_HIDDEN,
        "intermediate_size": 40,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        **sizes,
    }
    config = LlamaConfig(
        vocab_size=len(words),
        max_position_embeddings=512,
        tie_word_embeddings=tied,
        bos_token_id=1,
        eos_token_id=2,
        **sizes,
    )
    model = LlamaForCausalLM(config)
    randomise(model, seed)
    model.save_pretrained(folder, max_shard_size=max_shard_size)
    words.save_pretrained(folder)
    return folder


def projector_folder(
    folder: Path, *, merge_size: int = 1, summary_size: int = 0, text_hidden_size: int = TEXT_HIDDEN
) -> Path:
    shape: dict[str, Any] = {
        "projector_type": "linear",
        "rna_merge_size": merge_size,
        "rna_summary_size": summary_size,
    }
    sizes = {"rna_hidden_size": RNA_HIDDEN, "text_hidden_size": text_hidden_size}
    config = RnaGptConfig(**shape)
    config.rna_config.hidden_size, config.text_config.hidden_size = RNA_HIDDEN, text_hidden_size
    projector = RnaProjector(config)
    randomise(projector, seed=2)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(projector.state_dict(), folder / "projector.safetensors")
    (folder / "projector_config.json").write_text(json.dumps(shape | sizes))
    return folder


def adapter_folder(folder: Path, *, text_hidden_size: int = TEXT_HIDDEN, **options) -> Path:
    """A plain LoRA adapter, written by hand after PEFT's format."""
    generator = torch.Generator().manual_seed(3)
    tensors = {}
    for layer in range(2):
        module = f"base_model.model.model.language_model.layers.{layer}.self_attn.q_proj"
        tensors[f"{module}.lora_A.weight"] = torch.randn(2, text_hidden_size, generator=generator)
        tensors[f"{module}.lora_B.weight"] = torch.randn(text_hidden_size, 2, generator=generator)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 8, **options}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder
