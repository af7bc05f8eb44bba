"""Prompts as the processor makes them, without transformers, where nothing is out of the ordinary.

What is, the processor does: an unusual chat template, a text with a control token in it. So its
checks and their words stand in one place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import jinja2.meta
import jinja2.nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from rnagpt.cleaning_rnagpt import RnaSequenceError, clean_rna

# Tokenizers that are what their file says, and nothing more.
_TOKENIZERS = ("TokenizersBackend", "PreTrainedTokenizerFast")
_TEMPLATE_TOKENS = ("bos_token", "eos_token", "unk_token")
_TEMPLATE_NAMES = {"messages", "add_generation_prompt", *_TEMPLATE_TOKENS}
# What would change how text is tokenised or decoded, or which tokens are special.
_CHANGES = (
    *("added_tokens_decoder", "extra_special_tokens", "additional_special_tokens"),
    *("add_prefix_space", "chat_template", "clean_up_tokenization_spaces", "split_special_tokens"),
)


@dataclass(frozen=True)
class EncodedPrompt:
    """A conversation as tokens.

    Attributes:
        ids: with a placeholder for each vector of its RNAs.
        rnas: these, cleaned, in order.
    """

    ids: list[int]
    rnas: list[str]


class LightPrompts:
    """Makes prompts of conversations, and text of tokens.

    Attributes:
        tokenizer: of the language model.
        limits: what is accepted of RNAs, as arguments of `clean_rna`.
        longest: tokens that a prompt may have.
        end_token: of the tokenizer; None without one.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        template: jinja2.Template,
        settings: Mapping[str, Any],
        tokens: Mapping[str, str],
    ) -> None:
        self.tokenizer = tokenizer
        self.longest: int = settings["max_context"]
        self._template = template
        self._settings = settings
        self._tokens = tokens
        self._rna_token: str = settings["rna_token"]
        self.rna_token_id: int | None = tokenizer.token_to_id(self._rna_token)
        self._control = [
            token.content
            for token in tokenizer.get_added_tokens_decoder().values()
            if token.special and token.content != self._rna_token
        ]
        self.limits = {
            "max_length": settings["max_rna_length"],
            "max_ambiguous": settings["max_ambiguous"],
        }
        end = tokens.get("eos_token")
        self.end_token = None if end is None else tokenizer.token_to_id(end)

    @classmethod
    def open(cls, folder: Path) -> LightPrompts | None:
        """Those of a model's folder; None where its processor has to make them."""
        names = ("processor_config.json", "tokenizer_config.json", "tokenizer.json")
        template = folder / "chat_template.jinja"
        if not all(file.is_file() for file in [template, *map(folder.joinpath, names)]):
            return None
        if (folder / "additional_chat_templates").exists():
            return None
        settings, told = (json.loads((folder / name).read_text("utf-8")) for name in names[:2])
        if not _is_ordinary(settings, told):
            return None
        tokens = {name: told[name] for name in _TEMPLATE_TOKENS if told.get(name) is not None}
        compiled = _compile(template.read_text("utf-8"))
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        special = {
            token.content
            for token in tokenizer.get_added_tokens_decoder().values()
            if token.special
        }
        if compiled is None or not special.issuperset([*tokens.values(), settings["rna_token"]]):
            return None
        # As the processor calls it: no prompt is cut or filled up.
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return cls(tokenizer, compiled, settings, tokens)

    def encode(self, messages: Sequence[Mapping[str, Any]]) -> EncodedPrompt | None:
        """A conversation that ends with a question, however long; None for the processor's."""
        flat: list[dict[str, str]] = []
        rnas: list[str] = []
        for message in messages:
            content = self._content(message, rnas)
            if content is None:
                return None
            flat.append({"role": message["role"], "content": content})
        try:
            text = self._template.render(messages=flat, add_generation_prompt=True, **self._tokens)
        except jinja2.TemplateError:
            return None
        if text.count(self._rna_token) != len(rnas):
            return None
        ids = self._repeated(self.tokenizer.encode(text, add_special_tokens=False).ids, rnas)
        return EncodedPrompt(ids, rnas)

    def decode(self, token_ids: list[int], *, skip_special_tokens: bool) -> str:
        """The text of some tokens."""
        text: str = self.tokenizer.decode(token_ids, skip_special_tokens=skip_special_tokens)
        return text

    def _content(self, message: Mapping[str, Any], rnas: list[str]) -> str | None:
        """A message's text, an RNA being its placeholder; the RNAs go to `rnas`."""
        if set(message) != {"role", "content"} or not isinstance(message["role"], str):
            return None
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if not isinstance(parts, list):
            return None
        pieces: list[str] = []
        for index, part in enumerate(parts, start=1):
            kind = part.get("type") if isinstance(part, Mapping) else None
            if kind not in ("text", "rna") or set(part) != {"type", kind}:
                return None
            value = part[kind]
            if not isinstance(value, str):
                return None
            if kind == "text":
                if any(token in value for token in self._control):
                    return None
                pieces.append(value)
                continue
            if message["role"] != "user":
                return None
            try:
                rnas.append(clean_rna(value, **self.limits).sequence)
            except RnaSequenceError:
                return None
            pieces.append(self._rna_token + "\n" * (index < len(parts)))
        return "".join(pieces)

    def num_rna_tokens(self, length: int) -> int:
        """Tokens that an RNA of so many nt takes."""
        merge_size, summary_size = self._settings["merge_size"], self._settings["summary_size"]
        return int(summary_size - (-length // merge_size))

    def _repeated(self, ids: list[int], rnas: Sequence[str]) -> list[int]:
        """Tokens with as many placeholders as each RNA has vectors."""
        lengths = iter([self.num_rna_tokens(len(rna)) for rna in rnas])
        repeated: list[int] = []
        for token in ids:
            repeated += [token] * (next(lengths) if token == self.rna_token_id else 1)
        return repeated


def _is_ordinary(settings: Mapping[str, Any], told: Mapping[str, Any]) -> bool:
    """Whether a processor and its tokenizer do no more than is done here, by their settings."""
    needed = ("merge_size", "summary_size", "max_rna_length", "max_ambiguous", "max_context")
    return (
        all(settings.get(name) is not None for name in (*needed, "rna_token"))
        and settings.get("chat_template") is None
        and settings.get("alphabet") is None
        and told.get("tokenizer_class") in _TOKENIZERS
        and not any(told.get(name) for name in _CHANGES)
        and all(isinstance(told.get(name), (str, type(None))) for name in _TEMPLATE_TOKENS)
    )


def _compile(text: str) -> jinja2.Template | None:
    """A chat template, as transformers renders it; None where it asks for what only that has."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    try:
        tree = environment.parse(text)
    except jinja2.TemplateError:
        return None
    names = jinja2.meta.find_undeclared_variables(tree)
    filters = {node.name for node in tree.find_all(jinja2.nodes.Filter)}
    if not names <= _TEMPLATE_NAMES or "tojson" in filters:
        return None
    return environment.from_string(text)


__all__ = ["EncodedPrompt", "LightPrompts"]
