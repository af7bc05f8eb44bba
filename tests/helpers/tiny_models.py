"""Tiny models and tokenizers, random and the same in every run.

`conftest.py` has fixtures of the usual ones.
"""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import EsmConfig, LlamaConfig, PreTrainedTokenizerFast

from rnagpt.configuration_rnagpt import RnaGptConfig
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor

# The templates of SmolLM2 and of Llama 3, shortened: the first adds a system message and ends turns
# with a line break; the second writes the token of the beginning itself and trims contents. That of
# Mistral has no header for answers, and its tokenizer writes spaces as SentencePiece does.
CHATML = (
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou answer questions.<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA_3 = (
    "{% for message in messages %}"
    "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'"
    " + message['content'] | trim + '<|eot_id|>' %}"
    "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}"
    "{{ content }}{% endfor %}"
    "{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}{{ ' ' + message['content'] + eos_token }}"
    "{% else %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% endif %}{% endfor %}"
)
_STYLES: dict[str, dict[str, Any]] = {
    "chatml": {
        "special": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        "bos_token": "<|im_start|>",
        "eos_token": "<|im_end|>",
        "pad_token": "<|im_end|>",
        "chat_template": CHATML,
    },
    "llama-3": {
        "special": ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
        "bos_token": "<|begin_of_text|>",
        "eos_token": "<|eot_id|>",
        "chat_template": LLAMA_3,
    },
    "mistral": {
        "special": ["<unk>", "<s>", "</s>"],
        "unk_token": "<unk>",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "chat_template": MISTRAL,
    },
}
_WORDS = (
    "What is this RNA? system user assistant You answer questions. A transfer RNA brings an amino "
    "acid to the ribosome; a riboswitch binds a ligand. Where is it found? In bacteria, and so on."
)


def make_tokenizer(style: str = "chatml") -> PreTrainedTokenizerFast:
    """A BPE tokenizer of about 300 words with the chat template of the style."""
    options = dict(_STYLES[style])
    special = options.pop("special")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if style == "mistral":
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
        tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([_WORDS], trainer)
    if style == "llama-3":  # it begins every text, and leaves white space out of its offsets
        bos = ("<|begin_of_text|>", tokenizer.token_to_id("<|begin_of_text|>"))
        begin = processors.TemplateProcessing(single=f"{bos[0]} $A", special_tokens=[bos])
        trim = processors.ByteLevel(trim_offsets=True)
        tokenizer.post_processor = processors.Sequence([trim, begin])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, clean_up_tokenization_spaces=False, **options
    )


def make_processor(style: str = "chatml", **options: Any) -> RnaGptProcessor:
    return RnaGptProcessor(make_tokenizer(style), **{"max_context": 512, **options})


def make_config(processor: RnaGptProcessor, **options: Any) -> RnaGptConfig:
    """Two small layers each; windows of 32 nt; weights large enough that every input tells."""
    tokenizer = processor.tokenizer
    rna = {
        "vocab_size": 25,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 36,
        "emb_layer_norm_before": True,
        "pad_token_id": 1,
        "mask_token_id": 24,
        "initializer_range": 0.3,
    }
    text = {
        "vocab_size": len(tokenizer) - 1,  # all but the placeholder
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "initializer_range": 0.3,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    return RnaGptConfig(
        rna_config=EsmConfig(**{**rna, **options.pop("rna", {})}),
        text_config=LlamaConfig(**{**text, **options.pop("text", {})}),
        **{
            "rna_window_length": 32,
            "rna_window_overlap": 8,
            "rna_token_id": processor.rna_token_id,
            "rna_merge_size": processor.merge_size,
            "rna_summary_size": processor.summary_size,
            "max_rna_length": processor.max_rna_length,
            **options,
        },
    )


def make_model(processor: RnaGptProcessor, **options: Any) -> RnaGptForCausalLM:
    torch.manual_seed(0)
    return RnaGptForCausalLM(make_config(processor, **options)).eval()


def make_rna(length: int, seed: int = 0) -> str:
    return "".join(random.Random(seed).choices("ACGU", k=length))


def make_question(rnas: Sequence[str], text: str = "What is this RNA?") -> dict[str, Any]:
    """A user's message: its RNAs, then a text."""
    parts = [{"type": "rna", "rna": rna} for rna in rnas]
    return {"role": "user", "content": [*parts, {"type": "text", "text": text}]}


def save_endless_model(folder: Path) -> None:
    """Save a model that never ends an answer by itself, with a context of 100,000 tokens."""
    processor = make_processor(max_context=100_000)
    model = make_model(processor, text={"max_position_embeddings": 100_000})
    with torch.no_grad():
        model.lm_head.weight[processor.tokenizer.eos_token_id] = 0
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
