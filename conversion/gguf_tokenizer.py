"""A tokenizer in a GGUF file, and whether llama.cpp then reads texts as transformers does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
from transformers import PreTrainedTokenizerBase

from rnagpt.conversion import WeightsError
from rnagpt.conversion.llama_library import is_installed, read_vocabulary
from rnagpt.processing_rnagpt import RnaGptProcessor

# The patterns that split a text before its pairs are merged, by llama.cpp's name for them.
# https://github.com/ggml-org/llama.cpp/blob/master/src/llama-vocab.cpp (`pre_type`)
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_PATTERNS = {_LLAMA3: "llama-bpe", _LLAMA3.replace("{1,3}", ""): "qwen2"}
_PAIRS = {bos: f"add_{bos}_token_id" for bos in ("bos", "eos", "pad")}
# What people and programs write; llama.cpp has to read each as transformers does.
_ODD_TEXTS = (
    "",
    " ",
    "What type of RNA is this?",
    "  two spaces,\ttabs\t\tand\n\n\nlines \r\n at the end   ",
    "GGGCCGGGCGCGGUGGCGCGCGCCUGUAGUCCCAGCUACUCGGGAGGCU",
    "5S rRNA, tRNA-Ala(GGC); 12,345 nt; E-value 1.2e-35 [1][2]",
    "It's what they'd said: we'll see, I'M SURE.",
    "Δ5′-UTR – naïve café, ångström; 核酸 リボ核酸 РНК العربية",
    "🧬👩‍🔬 e\u0301 \u200b\ufeff\u00a0",
    "<|im_start|>user\n<|im_end|> <|endoftext|></s><s>[INST]",
    "x" * 300,
    "def f(x):\n    return {'a': [1, 22, 333, 4444]}\n",
)


def add_tokenizer(writer: gguf.GGUFWriter, processor: RnaGptProcessor, size: int) -> None:
    """Write a processor's tokens, merges and chat template.

    The placeholder of RNAs is left out where it lies beyond the embedding table.

    Args:
        writer: of the file.
        processor: of an RNA-GPT.
        size: rows of the language model's embedding table.

    Raises:
        WeightsError: the tokenizer is of a kind that is not known here.
    """
    tokenizer = processor.tokenizer
    parts = _parts(tokenizer)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_splitting(parts))
    tokens, types = _tokens(parts, size)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    merges = parts["model"]["merges"]
    writer.add_token_merges([one if isinstance(one, str) else " ".join(one) for one in merges])
    for name, method in _PAIRS.items():
        token = getattr(tokenizer, f"{name}_token_id")
        if token is not None and token < size:
            getattr(writer, method)(token)
    begins = tokenizer("A")["input_ids"][:1] == [tokenizer.bos_token_id]
    writer.add_add_bos_token(begins)
    writer.add_add_space_prefix(False)
    if processor.chat_template:
        writer.add_chat_template(str(processor.chat_template))


def _parts(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    parts = None if backend is None else json.loads(backend.to_str())
    if parts is None or parts["model"]["type"] != "BPE" or parts["model"].get("byte_fallback"):
        raise WeightsError(
            "The tokenizer does not merge pairs of bytes (as GPT-2's, Llama 3's and Qwen's do), "
            "and others cannot be written as GGUF. Convert what `rnagpt export-language-model` "
            "writes with llama.cpp's own convert_hf_to_gguf.py."
        )
    return dict(parts)


def _splitting(parts: dict[str, Any]) -> str:
    """Llama.cpp's name for how a text is split before its pairs are merged."""
    steps = parts["pre_tokenizer"] or {}
    steps = steps.get("pretokenizers", [steps])
    kinds = [step.get("type") for step in steps]
    if kinds == ["ByteLevel"] and steps[0]["use_regex"] and not steps[0]["add_prefix_space"]:
        return "gpt-2"
    if kinds == ["Digits", "ByteLevel"] and steps[0]["individual_digits"] and steps[1]["use_regex"]:
        return "smollm"
    if kinds == ["Split", "ByteLevel"] and not steps[1]["use_regex"]:
        known = _PATTERNS.get(steps[0]["pattern"].get("Regex", ""))
        if known is not None:
            return known
    raise WeightsError(
        f"How the tokenizer splits texts is not known here: {json.dumps(steps)[:300]}. Convert "
        "what `rnagpt export-language-model` writes with llama.cpp's own convert_hf_to_gguf.py."
    )


def _tokens(parts: dict[str, Any], size: int) -> tuple[list[str], list[int]]:
    """The token of each row of the embedding table, and of what type it is."""
    tokens = [f"[PAD{row}]" for row in range(size)]
    types = [int(gguf.TokenType.UNUSED)] * size
    for token, row in parts["model"]["vocab"].items():
        if row < size:
            tokens[row], types[row] = token, int(gguf.TokenType.NORMAL)
    for added in parts["added_tokens"]:
        if added["id"] < size:
            kind = gguf.TokenType.CONTROL if added["special"] else gguf.TokenType.USER_DEFINED
            tokens[added["id"]], types[added["id"]] = added["content"], int(kind)
    return tokens, types


def check_tokenizer(file: Path, processor: RnaGptProcessor) -> bool:
    """Compare llama.cpp's own tokenizer, of a file, with the processor's, on odd texts.

    Returns:
        Whether that could be done: False where llama.cpp is not installed.

    Raises:
        WeightsError: they differ; says on which text.
    """
    if not is_installed():
        return False
    tokenizer = processor.tokenizer
    with read_vocabulary(file) as vocabulary:
        for text in _texts(processor):
            expected = tokenizer(text, add_special_tokens=False)["input_ids"]
            found = vocabulary.tokenize(text)
            if found != expected:
                raise WeightsError(
                    f"llama.cpp reads {text[:80]!r} as the tokens {found[:20]}, and the model was "
                    f"trained with {expected[:20]}, so the file was not written. Use transformers "
                    "or vLLM for this model."
                )
    return True


def _texts(processor: RnaGptProcessor) -> Iterator[str]:
    yield from _ODD_TEXTS
    placeholder = processor.rna_token
    named = [one for one in processor.tokenizer.all_special_tokens if one != placeholder]
    for token in named:
        yield f"a{token}b {token} "
    yield "".join(named)
    # A control token in a message is rejected.
    allowed = [text for text in _ODD_TEXTS if not any(token in text for token in named)]
    messages = [
        {"role": ("user", "assistant")[turn % 2], "content": text}
        for turn, text in enumerate(allowed)
    ]
    told = processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert isinstance(told, str)  # of one conversation, not in tokens
    yield told


__all__ = ["add_tokenizer", "check_tokenizer"]
