"""From what a person writes to what the model reads: RNA tokens, prompts and chat messages."""

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import is_dataclass
from typing import Any

import numpy as np
from transformers import (
    BatchFeature,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
    ProcessorMixin,
)
from transformers.processing_utils import TextKwargs
from transformers.tokenization_utils_base import AddedToken

from .cleaning_rnagpt import (
    MAX_AMBIGUOUS,
    MAX_RNA_LENGTH,
    CleanedRna,
    RnaSequenceError,
    RnaTooLongError,
    clean_rna,
    shorten,
)
from .configuration_rnagpt import RNA_VOCABULARY, RnaAlphabet, num_rna_tokens, rna_alphabet

RNA_TOKEN = "<RNAHere>"


def tokenize_rna(sequence: str, kmer_size: int = 1) -> np.ndarray:
    """Token ids of a cleaned sequence, one per nucleotide: (length,), int64.

    For k = `kmer_size` = 1 each letter has its id in RNA-FM's vocabulary. For k > 1 position i has
    the id 25 + the base-4 number of nucleotides i to i+k-1 (A 0, C 1, G 2, U 3, the first most
    significant). Where one of them is ambiguous, or fewer than k are left at the 3' end, it has
    the id of letter i. Of an encoder with another alphabet: `config.rna_alphabet.tokenize`.

    Raises:
        ValueError: for a letter that `clean_rna` would not leave.
    """
    return rna_alphabet(kmer_size).tokenize(sequence)


# What a call heeds, and what else transformers' own callers name, as long as it asks for nothing.
_OPTIONS = (
    "add_special_tokens",
    "max_length",
    "pad_to_multiple_of",
    "padding",
    "padding_side",
    "return_tensors",
    "truncation",
)
_OPTION_GROUPS = ("text_kwargs", "common_kwargs")
_NOT_DONE = {"images", "videos", "audio", "images_kwargs", "videos_kwargs", "audio_kwargs"}
_NOT_DONE |= set(TextKwargs.__annotations__) - {*_OPTIONS, "verbose"}
_SIDES = ("left", "right")
_RNAS = " of sequences, or one sequence as a string"


class RnaGptProcessor(ProcessorMixin):
    r"""Prepares prompts that hold RNAs.

    Args:
        tokenizer: The language model's own. It gains the token `<RNAHere>`, and a padding token
            where it has none; its chat template is used as it is.
        kmer_size: Nucleotides that a token of the encoder reads (`config.rna_kmer_size`).
        merge_size: Nucleotides that share a vector (`config.rna_merge_size`).
        summary_size: Vectors that summarise an RNA (`config.rna_summary_size`).
        max_rna_length: The longest RNA (nt) accepted (`config.max_rna_length`).
        max_ambiguous: The largest share of IUPAC codes accepted, from 0 to 1.
        max_context: Tokens that the language model reads; None: the tokenizer's limit.
        rna_token: The placeholder of an RNA in a prompt.
        chat_template: A template to use instead of the language model's own.
        alphabet: What the encoder reads, where that is not RNA-FM's alphabet
            (`config.rna_config.rna_alphabet`).
        padding_side: Where batches are padded, and with them those of `tokenizer`: `"left"`, as
            generation needs it, or `"right"`.

    Examples:
        >>> rna = {"type": "rna", "rna": "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCC"}
        >>> question = {"type": "text", "text": "What is this RNA?"}
        >>> inputs = processor.apply_chat_template(
        ...     [{"role": "user", "content": [rna, question]}],
        ...     add_generation_prompt=True,
        ...     tokenize=True,
        ... )
        >>> model.generate(**inputs)
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        kmer_size: int = 1,
        merge_size: int = 1,
        summary_size: int = 0,
        max_rna_length: int = MAX_RNA_LENGTH,
        max_ambiguous: float = MAX_AMBIGUOUS,
        max_context: int | None = None,
        rna_token: str = RNA_TOKEN,
        chat_template: str | None = None,
        padding_side: str = "left",
        alphabet: dict[str, Any] | None = None,
    ) -> None:
        self.kmer_size = kmer_size
        self.alphabet = alphabet
        self.merge_size = merge_size
        self.summary_size = summary_size
        self.max_rna_length = max_rna_length
        self.max_ambiguous = max_ambiguous
        self.max_context = max_context
        self.rna_token = rna_token
        if rna_token not in tokenizer.get_vocab():
            token = AddedToken(rna_token, normalized=False, special=True)
            tokenizer.add_tokens([token], special_tokens=True)
        if tokenizer.pad_token is None:
            # Llama 3 brings none. Padding is masked out, so that any token serves.
            tokenizer.pad_token = tokenizer.eos_token
        super().__init__(tokenizer, chat_template=chat_template or tokenizer.chat_template)
        self.padding_side = padding_side

    @property
    def padding_side(self) -> str:
        """Where batches are padded unless a call says otherwise: the tokenizer's side."""
        return self.tokenizer.padding_side

    @padding_side.setter
    def padding_side(self, side: str) -> None:
        self.tokenizer.padding_side = _checked_side(side)
        # A tokenizer saves only those of its attributes that it was made with.
        self.tokenizer.init_kwargs["padding_side"] = side

    def to_dict(self) -> dict[str, Any]:
        """The settings that are saved."""
        settings = {**super().to_dict(), "padding_side": self.padding_side}
        if self.alphabet is None:
            settings.pop("alphabet", None)  # as folders of earlier releases have it
        return settings

    @property
    def rna_alphabet(self) -> RnaAlphabet:
        """What the encoder reads."""
        return rna_alphabet(self.kmer_size, self.alphabet)

    @property
    def rna_token_id(self) -> int:
        """Id of the placeholder, for `config.rna_token_id`."""
        return self.tokenizer.convert_tokens_to_ids(self.rna_token)

    @property
    def model_input_names(self) -> list[str]:
        return ["input_ids", "attention_mask", "rna_input_ids", "rna_attention_mask"]

    def num_rna_tokens(self, length: int) -> int:
        """Placeholders that an RNA of `length` nt takes in a prompt."""
        return num_rna_tokens(length, self.merge_size, self.summary_size)

    def __call__(
        self,
        text: str | Sequence[str],
        rna: Any = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Prepare prompts in which `<RNAHere>` stands for an RNA.

        A sequence is a string, or what says itself that it is one: a `Seq` or `SeqRecord` of
        biopython, a `CleanedRna`. A list is anything in order: a tuple, an array, a pandas Series.

        Args:
            text: a prompt, or a list of prompts, the batch.
            rna: the RNAs of the placeholders: one sequence; a list in the placeholders' order; or
                a list with an entry for each prompt: a sequence, a list of sequences, or None
                where the prompt has no RNA.
            padding: as for the tokenizer; default True, to the longest prompt.
            padding_side: `"left"` to generate, `"right"` to train; default that of the processor,
                which is `"left"` unless it was made with another.
            max_length, pad_to_multiple_of, add_special_tokens: as for the tokenizer.
            return_tensors: `"pt"` (default), `"np"`, or None for lists.
            text_kwargs, common_kwargs: the same options as dictionaries, as other processors of
                transformers take them.

        Returns:
            `input_ids` and `attention_mask` (batch, sequence), each placeholder repeated for every
            vector of its RNA; with RNAs `rna_input_ids` and `rna_attention_mask` (rnas, longest),
            the RNAs of all prompts in order, padded on the right.

        Raises:
            RnaSequenceError: for a sequence that is not an RNA.
            ValueError: when RNAs and placeholders differ in number, when a prompt is longer than
                the language model's context, for an empty batch, and for truncation.
            TypeError: for a prompt or an RNA that is no text, and for an unknown option.
        """
        options = _call_options(kwargs)
        texts = _texts(text)
        return self._prepare(texts, self._rnas_of_prompts(texts, rna), None, **options)

    def apply_chat_template(  # type: ignore[override]  # its overloads, as one
        self,
        conversation: Sequence[Mapping[str, Any]] | Sequence[Sequence[Mapping[str, Any]]],
        chat_template: str | None = None,
        *,
        tokenize: bool = False,
        return_dict: bool = True,
        return_tensors: str | None = "pt",
        return_assistant_tokens_mask: bool = False,
        processor_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> str | list[str] | BatchFeature:
        """Render conversations with the language model's own chat template.

        The content of a message is a string or a list of parts, `{"type": "rna", "rna": "ACGU"}`
        and `{"type": "text", "text": "What is this?"}`. Parts are joined to one string, in which
        an RNA is `<RNAHere>` on a line of its own, so that any template takes them. RNAs stand in
        the user's messages only. Rows of a data set are taken too, in which every message and
        part has all keys, those that do not apply as None.

        Args:
            conversation: the messages of a conversation, or a batch of conversations.
            chat_template: a template to use instead of the language model's own.
            tokenize: return what `__call__` returns instead of the rendered text.
            return_dict: False returns only `input_ids`.
            return_tensors: as for `__call__`.
            return_assistant_tokens_mask: add `assistant_masks` (batch, sequence), 1 for the tokens
                of the assistant's answers up to the end of turn, 0 elsewhere. The template need
                not mark them.
            processor_kwargs: more options for `__call__`; they may stand directly as well.
            **kwargs: `add_generation_prompt` and `continue_final_message`, as for the tokenizer's
                own method, and variables of the template.

        Raises:
            RnaSequenceError: for a sequence that is not an RNA.
            ValueError: as for `__call__`; when a text holds one of the tokenizer's control tokens,
                which could forge a turn; and when no mask can be made for the template.
            TypeError: for a part whose text or RNA is not a string, and for an option that neither
                `__call__` nor the template knows.
        """
        batch = _listed(_rows(conversation), "A conversation")
        if not batch:
            raise ValueError("The conversation is empty. Give at least one message.")
        single = isinstance(_rows(batch[0]), Mapping)
        conversations = self._flatten_all([batch] if single else batch)
        template = _template_text(chat_template, self.chat_template)
        # A template would take options of a call for variables of its own, and ignore them.
        call = {name: kwargs.pop(name) for name in list(kwargs) if not _in_template(name, template)}
        options = _call_options({**call, **(processor_kwargs or {})})
        kwargs["chat_template"] = template
        texts = [self._render(messages, **kwargs) for messages, _ in conversations]
        if not tokenize:
            return texts[0] if single else texts
        spans = None
        if return_assistant_tokens_mask:
            spans = [
                self._answer_spans(messages, text, **kwargs)
                for (messages, _), text in zip(conversations, texts, strict=True)
            ]
        rnas = self._rnas_of_prompts(texts, [rnas for _, rnas in conversations])
        # A template writes the control tokens itself.
        defaults = {"return_tensors": return_tensors, "add_special_tokens": False}
        inputs = self._prepare(texts, rnas, spans, **{**defaults, **options})
        return inputs if return_dict else inputs["input_ids"]

    def _flatten_all(self, batch: list[Any]) -> list[tuple[list[dict[str, Any]], list[Any]]]:
        """Each conversation as `_flatten` gives it; errors say which."""
        flat = []
        for number, conversation in enumerate(batch, start=1):
            where = f" of conversation {number}" if len(batch) > 1 else ""
            messages = _listed(_rows(conversation), f"Conversation {number}")
            if not messages:
                raise ValueError(f"Conversation {number} is empty. Give at least one message.")
            flat.append(self._flatten(messages, where))
        return flat

    def _flatten(self, messages: list[Any], where: str) -> tuple[list[dict[str, Any]], list[Any]]:
        """Messages with strings as content, which every template takes, and their RNAs in order."""
        flat: list[dict[str, Any]] = []
        rnas: list[Any] = []
        for number, message in enumerate(messages, start=1):
            place = f"Message {number}{where}"
            parts = _parts(message, place)
            found: list[Any] = []
            pieces = []
            for index, part in enumerate(parts, start=1):
                pieces.append(self._piece(part, place, found))
                pieces.append("\n" * (part["type"] == "rna" and index < len(parts)))
            if found and message["role"] != "user":
                raise ValueError(
                    f"{place} is the {message['role']}'s and holds an RNA; RNAs belong into the "
                    "user's messages."
                )
            rnas += found
            # Rows of a data set carry all keys in every message, where they say nothing as None.
            said = {name: value for name, value in message.items() if value is not None}
            flat.append({**said, "content": "".join(pieces)})
        return flat, rnas

    def _piece(self, part: Any, place: str, rnas: list[Any]) -> str:
        """The text of a part; where it is an RNA, that goes to `rnas` and its placeholder stays."""
        kind = part.get("type") if isinstance(part, Mapping) else part
        if not isinstance(kind, str) or kind not in ("text", "rna"):
            raise ValueError(
                f"{place}: A part is of type 'text' or 'rna', got {kind!r}. Expected "
                '{"type": "text", "text": "What is this?"} or {"type": "rna", "rna": "ACGU"}.'
            )
        # Rows of a data set carry all keys in every part: only the type decides.
        other = part.get("rna" if kind == "text" else "text")
        if not _says_nothing(other):
            raise ValueError(
                f"{place}: A part of type {kind!r} holds a text and an RNA. Give each a part of "
                "its own."
            )
        if kind == "text":
            return self._checked(part.get("text"), place)
        rnas.append(part.get("rna"))
        return self.rna_token

    def _checked(self, text: Any, place: str) -> str:
        """A text without control tokens: they could end its turn and forge another."""
        if not isinstance(text, str):
            raise TypeError(f"{place}: A text part needs a string as text, got {_shown(text)}.")
        tokens = self.tokenizer.added_tokens_decoder.values()
        for token in tokens:
            if token.special and token.content in text and token.content != self.rna_token:
                raise ValueError(
                    f"The text {shorten(text)!r} holds {token.content!r}, a control token of the "
                    "tokenizer. Leave it out or write it in another way."
                )
        return text

    def _render(self, messages: list[dict[str, Any]], **kwargs: Any) -> str:
        return self.tokenizer.apply_chat_template(messages, tokenize=False, **kwargs)

    def _answer_spans(
        self, messages: list[dict[str, Any]], text: str, **kwargs: Any
    ) -> list[tuple[int, int]]:
        """Characters (begin, end) of the answers in a rendered text, with their end of turn."""
        kwargs |= {"add_generation_prompt": False, "continue_final_message": False}
        spans = []
        for turn, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            before = self._render(messages[:turn], **(kwargs | {"add_generation_prompt": True}))
            after = self._render(messages[: turn + 1], **kwargs)
            if not after.startswith(before) or not text.startswith(after):
                raise ValueError(
                    f"The chat template changes turn {turn + 1} once other turns follow, so the "
                    "answer cannot be told from the rest. Give another chat_template, or "
                    "conversations that end with their first answer."
                )
            answer = self._until_end_of_turn(after[len(before) :])
            spans.append((len(before), len(before) + len(answer)))
        return spans

    def _until_end_of_turn(self, answer: str) -> str:
        """Without the white space after the end-of-turn token, which no model writes."""
        stripped = answer.rstrip()
        tokens = self.tokenizer.added_tokens_decoder.values()
        return stripped if any(stripped.endswith(token.content) for token in tokens) else answer

    def _rnas_of_prompts(self, texts: list[str], rna: Any) -> list[list[str]]:
        """The cleaned RNAs of each prompt, as many as it has placeholders."""
        wanted = [text.count(self.rna_token) for text in texts]
        rnas = self._by_prompt(wanted, rna)
        cleaned = []
        for number, (count, sequences) in enumerate(zip(wanted, rnas, strict=True), start=1):
            where = f" of prompt {number}" if len(texts) > 1 else ""
            self._check_count(f"Prompt {number}" if where else "The text", count, sequences)
            cleaned.append(
                [self._clean(rna, f"#{i}{where}") for i, rna in enumerate(sequences, start=1)]
            )
        return cleaned

    def _by_prompt(self, wanted: list[int], rna: Any) -> list[list[Any]]:
        """The RNAs of each prompt, as they are given, for prompts with N placeholders each."""
        single = _as_sequence(rna)
        given = [] if rna is None else [rna] if single is not None else _listed(rna, "rna", _RNAS)
        sequences = [_as_sequence(entry) for entry in given]
        if None in sequences:
            return _entries(given, len(wanted))
        self._check_count("The text", sum(wanted), sequences)
        ends = np.cumsum(wanted)
        return [sequences[end - count : end] for end, count in zip(ends, wanted, strict=True)]

    def _check_count(self, holder: str, num_placeholders: int, rnas: list[Any]) -> None:
        if num_placeholders == len(rnas):
            return
        letters = len(rnas) > 1 and all(isinstance(x, str) and len(x) == 1 for x in rnas)
        remedy = f"Write {self.rna_token} once for each RNA, and nowhere else."
        if letters:
            remedy = 'Each of them is one letter: give an RNA as one string, "".join(letters).'
        raise ValueError(
            f"{holder} holds {num_placeholders} times {self.rna_token}, but {len(rnas)} RNAs "
            f"were given. {remedy}"
        )

    def _clean(self, rna: Any, name: str) -> str:
        sequence = _as_sequence(rna)
        if sequence is None:
            raise TypeError(f"RNA {name!r} must be a string with its sequence, got {_shown(rna)}.")
        return clean_rna(
            sequence,
            name=name,
            max_length=self.max_rna_length,
            max_ambiguous=self.max_ambiguous,
        ).sequence

    def _prepare(
        self,
        texts: list[str],
        rnas: list[list[str]],
        spans: list[list[tuple[int, int]]] | None,
        *,
        padding: bool | str = True,
        padding_side: str | None = None,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        truncation: Any = None,
        add_special_tokens: bool | None = None,
        return_tensors: str | None = "pt",
    ) -> BatchFeature:
        """Tokenise prompts, with 1 in `assistant_masks` for the tokens in spans of characters."""
        if truncation:
            raise ValueError("Truncation could cut an RNA in two. Shorten the text or the RNA.")
        side = _checked_side(padding_side or self.padding_side)
        tokenized = [
            self._tokenize(text, sequences, spans[row] if spans else [], add_special_tokens)
            for row, (text, sequences) in enumerate(zip(texts, rnas, strict=True))
        ]
        for number, ((ids, _), sequences) in enumerate(zip(tokenized, rnas, strict=True), start=1):
            prompt = f"Prompt {number}" if len(texts) > 1 else "The prompt"
            self._check_context(len(ids), sequences, prompt)
        data = self.tokenizer.pad(
            {"input_ids": [ids for ids, _ in tokenized]},
            padding=padding,
            padding_side=side,
            max_length=max_length,
            pad_to_multiple_of=pad_to_multiple_of,
        ).data
        if spans is not None:
            data["assistant_masks"] = [
                _pad(mask, len(ids), side)
                for (_, mask), ids in zip(tokenized, data["input_ids"], strict=True)
            ]
        data |= self._tokenize_rnas([sequence for sequences in rnas for sequence in sequences])
        return BatchFeature(data, tensor_type=return_tensors)

    def _tokenize(
        self,
        text: str,
        sequences: list[str],
        spans: list[tuple[int, int]],
        add_special_tokens: bool | None,
    ) -> tuple[list[int], list[int]]:
        """Ids of a prompt, its placeholders repeated, and the mask of the tokens in the spans."""
        if add_special_tokens is None:
            bos = self.tokenizer.bos_token
            add_special_tokens = not (bos and text.startswith(bos))
        encoded = self.tokenizer(
            text, return_offsets_mapping=bool(spans), add_special_tokens=add_special_tokens
        )
        ids = np.array(encoded["input_ids"], dtype=np.int64)
        mask = np.zeros_like(ids)
        for begin, end in spans:
            left, right = np.array(encoded["offset_mapping"]).T
            inside = np.flatnonzero((left < right) & (left < end) & (right > begin))
            # White space may have an empty span, so all from the first to the last is inside.
            mask[inside.min(initial=len(ids)) : inside.max(initial=-1) + 1] = 1
        repeats = np.ones_like(ids)
        repeats[ids == self.rna_token_id] = [self.num_rna_tokens(len(rna)) for rna in sequences]
        return np.repeat(ids, repeats).tolist(), np.repeat(mask, repeats).tolist()

    def _check_context(self, length: int, sequences: list[str], prompt: str) -> None:
        limit = self.max_context or self.tokenizer.model_max_length
        if length <= limit:
            return
        num_nucleotides = sum(map(len, sequences))
        num_rna = sum(self.num_rna_tokens(len(sequence)) for sequence in sequences)
        raise ValueError(
            f"{prompt} takes {length:,} tokens, {num_rna:,} of them for RNA ({num_nucleotides:,} "
            f"nt), but the language model reads {limit:,}. Give fewer or shorter RNAs, a shorter "
            "text, or a model with a larger rna_merge_size."
        )

    @classmethod
    def _load_tokenizer_from_pretrained(cls, *args: Any, **kwargs: Any) -> PreTrainedTokenizerBase:
        """Load the tokenizer by what it says of itself.

        AutoTokenizer would read the model's configuration too, and ask the user whether to run the
        code of a model type that transformers does not know.
        """
        kwargs.setdefault("config", PreTrainedConfig())
        return super()._load_tokenizer_from_pretrained(*args, **kwargs)

    def _tokenize_rnas(self, sequences: list[str]) -> dict[str, list[list[int]]]:
        """Tokens of the RNAs with their mask, padded on the right; nothing without RNAs."""
        if not sequences:
            return {}
        longest = max(map(len, sequences))
        alphabet = self.rna_alphabet
        ids = [alphabet.tokenize(sequence).tolist() for sequence in sequences]
        return {
            "rna_input_ids": [_pad(row, longest, "right", alphabet.pad_token_id) for row in ids],
            "rna_attention_mask": [_pad([1] * len(row), longest, "right") for row in ids],
        }


def _call_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a call by name, those in `text_kwargs` and `common_kwargs` among them.

    Raises:
        ValueError: for an option that is given twice.
        TypeError: for one that nothing here would heed.
    """
    options = {name: value for name, value in given.items() if name not in _OPTION_GROUPS}
    for group in _OPTION_GROUPS:
        for name, value in (given.get(group) or {}).items():
            if name in options:
                raise ValueError(f"{name} is given twice, once of it in {group}. Give it once.")
            options[name] = value
    for name, value in options.items():
        if not _is_heeded(name, value):
            raise TypeError(
                f"The option {name}={_shown(value)} is not known here. Options of a call are "
                f"{', '.join(_OPTIONS)}; a chat template's variables go to apply_chat_template, "
                "where the template has them."
            )
    return {name: value for name, value in options.items() if name in _OPTIONS}


def _is_heeded(name: str, value: Any) -> bool:
    """Whether a call does what this option says, be it that it asks for nothing."""
    if name == "return_attention_mask":
        return value is None or value is True
    neutral = isinstance(value, (type(None), int, Mapping)) and not value
    return name in _OPTIONS or name == "verbose" or (name in _NOT_DONE and neutral)


def _template_text(chosen: str | None, given: str | Mapping[str, str] | None) -> str:
    """The template to use: its text or its name where some are chosen, or the tokenizer's own."""
    named = given if isinstance(given, Mapping) else {}
    if chosen:
        return named.get(chosen, chosen)
    text = named.get("default") if isinstance(given, Mapping) else given
    if text is None:
        advice = f"Name one of {', '.join(named)}" if named else "Give one"
        which = "default chat template" if named else "chat template"
        raise ValueError(f"The tokenizer has no {which}. {advice} as chat_template.")
    return text


def _in_template(name: str, template: Any) -> bool:
    """Whether a chat template, or the tokenizer's own rendering, heeds a variable of this name."""
    if name in ("add_generation_prompt", "continue_final_message"):
        return True
    # A word that the template has nowhere cannot be a variable of it.
    texts = template.values() if isinstance(template, Mapping) else [template]
    return name not in _OPTIONS and any(
        re.search(rf"\b{re.escape(name)}\b", text) for text in texts
    )


def _checked_side(side: Any) -> str:
    if side not in _SIDES:
        raise ValueError(f'padding_side must be "left" or "right", got {side!r}.')
    return side


def _texts(text: Any) -> list[str]:
    """One prompt or a batch of them as a list; errors as in `__call__`."""
    texts = [text] if isinstance(text, str) else _listed(text, "text")
    if not texts:
        raise ValueError("The batch is empty: text has no prompt. Give at least one.")
    for number, one in enumerate(texts, start=1):
        if not isinstance(one, str):
            raise TypeError(
                f"Prompt {number} must be a string, got {_shown(one)}. Messages and their parts go "
                "to apply_chat_template."
            )
    return [str(one) for one in texts]


def _as_sequence(value: Any) -> str | None:
    """The text of what is one sequence; None for everything else.

    Apart from strings these are records that carry their sequence, and objects whose contract it is
    that `str` gives the sequence. They are recognised by what only classes of sequences have:
    biopython's Seq and MutableSeq, and scikit-bio's RNA, are as long as their text, and know their
    reverse complement. A SeqRecord's text is longer, but it holds a Seq.
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if is_dataclass(value) and not isinstance(value, type):  # CleanedRna, FastaRecord
        value = getattr(value, "sequence", None)
    if isinstance(value, str):
        return str(value)
    if not callable(getattr(value, "reverse_complement", None)):
        return None
    value = getattr(value, "seq", value)
    text = str(value)
    return text if len(text) == len(value) else None


def _entries(given: list[Any], num_prompts: int) -> list[list[Any]]:
    """The RNAs of each prompt, where an entry is one sequence, a list of them or nothing."""
    lists = []
    for number, entry in enumerate(given, start=1):
        if _as_sequence(entry) is not None:
            lists.append([entry])
        elif not _is_missing(entry):
            lists.append(_listed(entry, f"RNA #{number}", _RNAS))
        elif len(given) == num_prompts:
            lists.append([])
        else:
            raise TypeError(
                f"RNA #{number} is {entry!r}. Leave it out, or give rna an entry for each prompt, "
                "None where a prompt has no RNA."
            )
    if len(lists) != num_prompts:
        raise ValueError(f"Got RNAs for {len(lists)} prompts, but {num_prompts} prompts.")
    return lists


def _listed(value: Any, name: str, of: str = "") -> list[Any]:
    """What holds several things in order, as a list.

    Raises:
        TypeError: for one thing, and for what has no order or would give names in place of values.
    """
    unordered = isinstance(value, (str, bytes, bytearray, Mapping, Set))
    # A table's iteration gives the names of its columns.
    if unordered or hasattr(value, "columns") or not hasattr(value, "__iter__"):
        raise TypeError(f"{name} must be a list{of}, got {_shown(value)}.")
    return list(value)


def _rows(value: Any) -> Any:
    """Dictionaries in a list, where `datasets` made one dictionary of lists of them."""
    if not isinstance(value, Mapping) or not value:
        return value
    columns = list(value.values())
    if not all(isinstance(column, (list, tuple, np.ndarray)) for column in columns):
        return value
    if len(set(map(len, columns))) > 1:
        return value
    return [dict(zip(value, row, strict=True)) for row in zip(*columns, strict=True)]


def _parts(message: Any, place: str) -> list[Any]:
    """The parts of a message's content."""
    if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
        raise TypeError(
            f"{place} must be a dictionary with a role and a content, got {_shown(message)}."
        )
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if content is None and message.get("tool_calls") is not None:
        return []
    if content is None:
        raise TypeError(f"{place} has no content. Give a string or a list of parts.")
    return _listed(_rows(content), f"{place}: its content")


def _is_missing(value: Any) -> bool:
    """None, and the NaN that stands for it in columns of pandas."""
    return value is None or (isinstance(value, float) and value != value)


def _says_nothing(value: Any) -> bool:
    return _is_missing(value) or (isinstance(value, str) and not value)


def _shown(value: Any) -> str:
    """A value in an error: its type, and what it is where that is short."""
    shown = repr(value)
    kind = type(value).__name__
    return shown if value is None or isinstance(value, bool) else f"{kind} {shorten(shown)}"


def _pad(row: list[int], length: int, side: str, value: int = 0) -> list[int]:
    padding = [value] * (length - len(row))
    return padding + row if side == "left" else row + padding


RnaGptProcessor.register_for_auto_class()

__all__ = [
    "MAX_AMBIGUOUS",
    "MAX_RNA_LENGTH",
    "RNA_TOKEN",
    "RNA_VOCABULARY",
    "CleanedRna",
    "RnaGptProcessor",
    "RnaSequenceError",
    "RnaTooLongError",
    "clean_rna",
    "tokenize_rna",
]
