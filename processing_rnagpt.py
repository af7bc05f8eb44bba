"""From what a person writes to what the model reads: RNA sequences, prompts and chat messages."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import BatchFeature, PreTrainedTokenizerBase, ProcessorMixin
from transformers.tokenization_utils_base import AddedToken

from .configuration_rnagpt import RNA_PAD_TOKEN_ID, RNA_VOCABULARY

RNA_TOKEN = "<RNAHere>"
MAX_RNA_LENGTH = 16_384
MAX_AMBIGUOUS = 0.5

_NUCLEOTIDES = "ACGU"
_AMBIGUITY_CODES = "RYKMSWBDHVN"
# Letters that stand for an amino acid and for nothing in an RNA.
_PROTEIN_LETTERS = frozenset("EFILPQZ")
_LINE_BREAK = re.compile(r"\r\n|\r|\n")

_LETTER_IDS = np.full(256, -1, dtype=np.int64)
_LETTER_IDS[[ord(letter) for letter in _NUCLEOTIDES + _AMBIGUITY_CODES]] = [
    RNA_VOCABULARY.index(letter) for letter in _NUCLEOTIDES + _AMBIGUITY_CODES
]
_BASE_4 = np.full(256, 4, dtype=np.int64)
_BASE_4[[ord(letter) for letter in _NUCLEOTIDES]] = range(4)


class RnaSequenceError(ValueError):
    """A text is not an RNA sequence that the model can read.

    Attributes:
        name: the record's name, or an empty string.
        position: 1-based position of the first offending letter, counted without white space, gaps and
            header; None where the fault has no single place.
    """

    def __init__(self, message: str, name: str = "", position: int | None = None) -> None:
        super().__init__(message)
        self.name = name
        self.position = position


@dataclass(frozen=True)
class CleanedRna:
    """An RNA as the model reads it: upper-case IUPAC letters with U, and what was changed on the way."""

    name: str
    sequence: str
    changes: tuple[str, ...] = ()


def clean_rna(
    text: str,
    *,
    name: str = "",
    max_length: int = MAX_RNA_LENGTH,
    max_ambiguous: float = MAX_AMBIGUOUS,
) -> CleanedRna:
    """Clean one RNA sequence: the only place where the project does so.

    Letters become upper case and T becomes U; white space, line breaks and gaps (`-` and `.`) are dropped;
    the IUPAC codes R Y K M S W B D H V N are kept. Of a FASTA record the header is the name.

    Args:
        text: the sequence, or one FASTA record.
        name: what errors call the record; it wins over a FASTA header.
        max_length: the most nucleotides (nt) accepted.
        max_ambiguous: the largest share of ambiguous letters (0 to 1) accepted.

    Raises:
        RnaSequenceError: for an empty sequence, a letter that no RNA has, too many ambiguous letters, a
            sequence that is too long, or several FASTA records; it names record, position and remedy.
        TypeError: when `text` is not a string.

    Example:
        >>> clean_rna("gcgg-AUT")
        CleanedRna(name='', sequence='GCGGAUU', changes=('1 T read as U', '1 gap dropped'))
    """
    if not isinstance(text, str):
        raise TypeError(f"An RNA sequence must be a string, got {type(text).__name__}.")
    lines = _LINE_BREAK.split(text.removeprefix("\ufeff"))
    header, first_line = _fasta_header(lines)
    name = name or header
    letters, num_gaps = _letters(lines, first_line, name)
    sequence = letters.replace("T", "U")
    _check_length(sequence, name, max_length)
    _check_ambiguous(sequence, name, max_ambiguous)
    num_t = letters.count("T")
    changes = []
    if num_t:
        both = " (the sequence holds both)" if "U" in letters else ""
        changes.append(f"{num_t} T read as U{both}")
    if num_gaps:
        changes.append(f"{num_gaps} gap{'s' if num_gaps > 1 else ''} dropped")
    return CleanedRna(name, sequence, tuple(changes))


def _fasta_header(lines: list[str]) -> tuple[str, int]:
    """The name in a FASTA record's header and the index of the line where the sequence begins."""
    for index, line in enumerate(lines):
        if line.strip():
            header = line.strip()
            return (header[1:].strip(), index + 1) if header.startswith(">") else ("", 0)
    return "", 0


def _letters(lines: list[str], first_line: int, name: str) -> tuple[str, int]:
    """The letters of a sequence in upper case, and how many gaps were dropped."""
    letters: list[str] = []
    num_gaps = 0
    for number, line in enumerate(lines[first_line:], start=first_line + 1):
        place = f" (line {number}: {_shorten(line.strip())!r})" if len(lines) > 1 else ""
        if line.lstrip().startswith(">"):
            raise RnaSequenceError(
                f"{_record(name)}: a second FASTA record begins on line {number}. Give one record at a "
                "time, or read the file with read_fasta.",
                name,
            )
        for letter in line:
            if letter.isspace():
                continue
            if letter in "-.":
                num_gaps += 1
                continue
            upper = letter.upper() if letter.isascii() else letter
            if upper not in "ACGTURYKMSWBDHVN":
                raise _letter_error(letter, len(letters) + 1, place, lines[first_line:], name)
            letters.append(upper)
    return "".join(letters), num_gaps


def _letter_error(
    letter: str, position: int, place: str, lines: list[str], name: str
) -> RnaSequenceError:
    if letter.isdigit():
        what = f"the digit {letter!r}"
        remedy = "Remove position numbers, such as GenBank's, and give the letters alone."
    elif _looks_like_protein("".join(lines)):
        what = f"{letter!r}"
        remedy = "This looks like a protein; give the sequence of an RNA."
    else:
        shown = repr(letter) if letter.isprintable() else f"the character U+{ord(letter):04X}"
        what = shown
        remedy = "An RNA has A C G U, or T for U, and the IUPAC codes R Y K M S W B D H V N: write N for an unknown nucleotide."
    return RnaSequenceError(
        f"{_record(name)}: {what} at position {position}{place}. {remedy}", name, position
    )


def _looks_like_protein(text: str) -> bool:
    """Two kinds of letters that amino acids alone have, or 5 % of such letters."""
    letters = [letter for letter in text.upper() if letter.isalpha()]
    found = [letter for letter in letters if letter in _PROTEIN_LETTERS]
    return len(set(found)) > 1 or 20 * len(found) > len(letters)


def _check_length(sequence: str, name: str, max_length: int) -> None:
    if not sequence:
        raise RnaSequenceError(f"{_record(name)} is empty. Give at least one nucleotide.", name)
    if len(sequence) > max_length:
        raise RnaSequenceError(
            f"{_record(name)} has {len(sequence):,} nt, more than the {max_length:,} nt that are accepted. "
            "Give the part that the question is about.",
            name,
            max_length + 1,
        )


def _check_ambiguous(sequence: str, name: str, max_ambiguous: float) -> None:
    num_ambiguous = len(sequence) - sum(map(sequence.count, _NUCLEOTIDES))
    if num_ambiguous > max_ambiguous * len(sequence):
        position = next(
            i for i, letter in enumerate(sequence, start=1) if letter not in _NUCLEOTIDES
        )
        raise RnaSequenceError(
            f"{_record(name)}: {num_ambiguous:,} of {len(sequence):,} letters are ambiguous (the first at "
            f"position {position}), more than the {max_ambiguous:.0%} that are accepted. Give a sequence "
            "with more of its nucleotides known, or check that it is not a protein.",
            name,
            position,
        )


def _record(name: str) -> str:
    return f"RNA {_shorten(name)!r}" if name else "The RNA sequence"


def _shorten(text: str, width: int = 60) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


def tokenize_rna(sequence: str, kmer_size: int = 1) -> np.ndarray:
    """Token ids of a cleaned sequence, one a nucleotide: (length,), int64.

    For `kmer_size` 1 each letter has its id in RNA-FM's vocabulary. For k > 1 position i has the id
    25 + the base-4 number of nucleotides i to i+k-1 (A 0, C 1, G 2, U 3, the first most significant); where
    one of them is ambiguous, or fewer than k are left at the 3' end, it has the id of letter i alone.

    Raises:
        ValueError: for a letter outside the cleaned alphabet.
    """
    letters = np.frombuffer(sequence.encode("utf-8"), dtype=np.uint8)
    ids = _LETTER_IDS[letters]
    if (ids < 0).any():
        raise ValueError(
            "tokenize_rna wants a cleaned sequence (see clean_rna): A C G U and IUPAC codes."
        )
    num_kmers = len(letters) - kmer_size + 1
    if kmer_size == 1 or num_kmers < 1:
        return ids
    digits = np.lib.stride_tricks.sliding_window_view(_BASE_4[letters], kmer_size)
    numbers = len(RNA_VOCABULARY) + digits @ 4 ** np.arange(kmer_size - 1, -1, -1)
    ids[:num_kmers] = np.where((digits < 4).all(1), numbers, ids[:num_kmers])
    return ids


class RnaGptProcessor(ProcessorMixin):
    r"""Prepares prompts with RNAs for RNA-GPT.

    Args:
        tokenizer: The language model's own tokenizer; its chat template is used as it is.
        kmer_size: Nucleotides that a token of the RNA encoder reads (`config.rna_kmer_size`).
        merge_size: Nucleotides that share one vector (`config.rna_merge_size`).
        summary_size: Vectors that summarise an RNA (`config.rna_summary_size`).
        max_rna_length: The longest RNA (nt) accepted.
        max_ambiguous: The largest share of ambiguous letters (0 to 1) accepted.
        max_context: Tokens that the language model reads; None: the tokenizer's `model_max_length`.
        rna_token: The placeholder for an RNA in a prompt.
        chat_template: A chat template to use instead of the tokenizer's.

    Example:
        >>> messages = [{"role": "user", "content": [
        ...     {"type": "rna", "rna": "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGA"},
        ...     {"type": "text", "text": "What is this RNA?"}]}]
        >>> inputs = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=True)
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
    ) -> None:
        self.kmer_size = kmer_size
        self.merge_size = merge_size
        self.summary_size = summary_size
        self.max_rna_length = max_rna_length
        self.max_ambiguous = max_ambiguous
        self.max_context = max_context
        self.rna_token = rna_token
        if rna_token not in tokenizer.get_vocab():
            tokenizer.add_tokens(
                [AddedToken(rna_token, special=True, normalized=False)], special_tokens=True
            )
        if tokenizer.pad_token is None:
            # Padding is masked, so any token will do; Llama 3 brings none of its own.
            tokenizer.pad_token = tokenizer.eos_token
        super().__init__(tokenizer, chat_template=chat_template or tokenizer.chat_template)

    @property
    def rna_token_id(self) -> int:
        """Id of the placeholder, the configuration's `rna_token_id`."""
        return self.tokenizer.convert_tokens_to_ids(self.rna_token)

    @property
    def model_input_names(self) -> list[str]:
        return [*self.tokenizer.model_input_names, "rna_input_ids", "rna_attention_mask"]

    def num_rna_tokens(self, length: int) -> int:
        """Placeholders that an RNA of `length` nt takes in a prompt."""
        return self.summary_size + -(-length // self.merge_size)

    def __call__(
        self,
        text: str | Sequence[str],
        rna: str | Sequence[str] | Sequence[Sequence[str]] | None = None,
        *,
        padding: bool | str = True,
        padding_side: str | None = None,
        return_tensors: str | None = "pt",
        **kwargs: Any,
    ) -> BatchFeature:
        """Prepare prompts in which `<RNAHere>` stands for an RNA.

        Args:
            text: one prompt or a batch of prompts.
            rna: the RNAs of the placeholders: one sequence; or a list, in the order of the placeholders;
                or, for a batch, a list for each prompt.
            padding: as for the tokenizer; the default pads to the longest prompt.
            padding_side: `"left"` for generation, `"right"` for training; default: the tokenizer's.
            return_tensors: `"pt"`, `"np"` or None for lists.
            **kwargs: go to the tokenizer.

        Returns:
            `input_ids` and `attention_mask` (batch, sequence); with RNAs also `rna_input_ids` and
            `rna_attention_mask` (rnas, longest), the RNAs of all prompts in order, padded on the right.

        Raises:
            RnaSequenceError: for a sequence that is no RNA.
            ValueError: when RNAs and placeholders differ in number, or a prompt exceeds the context.
        """
        texts = [text] if isinstance(text, str) else list(text)
        rnas = self._clean_all(self._rnas_of_prompts(texts, rna))
        return self._prepare(texts, rnas, None, padding, padding_side, return_tensors, **kwargs)

    def apply_chat_template(
        self,
        conversation: Sequence[Mapping[str, Any]] | Sequence[Sequence[Mapping[str, Any]]],
        chat_template: str | None = None,
        *,
        add_generation_prompt: bool = False,
        continue_final_message: bool = False,
        return_assistant_tokens_mask: bool = False,
        tokenize: bool = False,
        return_dict: bool = True,
        return_tensors: str | None = "pt",
        processor_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> str | list[str] | BatchFeature:
        """Render conversations with the language model's own chat template.

        A message's content is a string or a list of parts, `{"type": "rna", "rna": "ACGU"}` and
        `{"type": "text", "text": "What is this?"}`. An RNA becomes `<RNAHere>` on a line of its own.

        Args:
            conversation: the messages of a conversation, or a batch of conversations.
            chat_template: a template to use instead of the language model's own.
            add_generation_prompt: end with the header of the assistant's next turn.
            continue_final_message: leave the last message open.
            return_assistant_tokens_mask: add `assistant_masks` (batch, sequence): 1 for the assistant's
                answers, the end-of-turn token included, 0 elsewhere. The template need not mark them.
            tokenize: return what `__call__` returns, not the rendered text.
            return_dict: False returns `input_ids` alone.
            return_tensors: as in `__call__`.
            processor_kwargs: more arguments for `__call__`, such as `padding_side`.
            **kwargs: variables of the template.

        Raises:
            RnaSequenceError, ValueError: as `__call__`; and when a text holds one of the tokenizer's
                special tokens, which could forge a turn of the conversation.
        """
        batched = not isinstance(conversation[0], Mapping)
        conversations = [
            self._flatten(messages) for messages in (conversation if batched else [conversation])
        ]
        template = chat_template or self.chat_template
        if template is None:
            raise ValueError("The tokenizer has no chat template. Give one as chat_template.")
        kwargs = {**kwargs, "chat_template": template}
        texts = [
            self._render(
                messages,
                add_generation_prompt=add_generation_prompt,
                continue_final_message=continue_final_message,
                **kwargs,
            )
            for messages, _ in conversations
        ]
        if not tokenize:
            return texts if batched else texts[0]
        spans = None
        if return_assistant_tokens_mask:
            spans = [
                self._answer_spans(messages, text, **kwargs)
                for (messages, _), text in zip(conversations, texts)
            ]
        processor_kwargs = {"return_tensors": return_tensors, "add_special_tokens": False} | (
            processor_kwargs or {}
        )
        rnas = self._clean_all(self._rnas_of_prompts(texts, [rnas for _, rnas in conversations]))
        out = self._prepare(texts, rnas, spans, **processor_kwargs)
        return out if return_dict else out["input_ids"]

    def _rnas_of_prompts(self, texts: list[str], rna: Any) -> list[list[str]]:
        """Sort RNAs by prompt, and check that each has its placeholder."""
        wanted = [text.count(self.rna_token) for text in texts]
        rna = [] if rna is None else [rna] if isinstance(rna, str) else list(rna)
        if rna and not isinstance(rna[0], str) and len(rna) != len(texts):
            raise ValueError(f"Got lists of RNAs for {len(rna)} prompts, but {len(texts)} prompts.")
        if all(isinstance(sequence, str) for sequence in rna):
            if len(rna) != sum(wanted):
                raise ValueError(self._count_message("The text holds", sum(wanted), len(rna)))
            sequences = iter(rna)
            return [[next(sequences) for _ in range(count)] for count in wanted]
        for number, (count, rnas) in enumerate(zip(wanted, rna), start=1):
            if len(rnas) != count:
                raise ValueError(self._count_message(f"Prompt {number} holds", count, len(rnas)))
        return [list(rnas) for rnas in rna]

    def _count_message(self, holder: str, num_placeholders: int, num_rnas: int) -> str:
        return (
            f"{holder} {num_placeholders} placeholder(s) {self.rna_token}, but {num_rnas} RNA(s) were given. "
            f"Write {self.rna_token} once for each RNA, and nowhere else."
        )

    def _clean_all(self, rnas: list[list[str]]) -> list[list[str]]:
        limits = {"max_length": self.max_rna_length, "max_ambiguous": self.max_ambiguous}
        cleaned = []
        for prompt, sequences in enumerate(rnas, start=1):
            cleaned.append([])
            for number, sequence in enumerate(sequences, start=1):
                named = isinstance(sequence, str) and sequence.lstrip("\ufeff \t\r\n").startswith(
                    ">"
                )
                name = (
                    ""
                    if named
                    else f"{number} of prompt {prompt}"
                    if len(rnas) > 1
                    else str(number)
                )
                cleaned[-1].append(clean_rna(sequence, name=name, **limits).sequence)
        return cleaned

    def _prepare(
        self,
        texts: list[str],
        rnas: list[list[str]],
        spans: list[list[tuple[int, int]]] | None,
        padding: bool | str = True,
        padding_side: str | None = None,
        return_tensors: str | None = "pt",
        **kwargs: Any,
    ) -> BatchFeature:
        """Tokenise prompts, expand their placeholders, and pad prompts and RNAs."""
        if kwargs.pop("truncation", False):
            raise ValueError(
                "Truncation could cut an RNA in two. Shorten the text or the RNA instead."
            )
        pad_kwargs = {
            name: kwargs.pop(name)
            for name in ("max_length", "pad_to_multiple_of")
            if name in kwargs
        }
        rows, masks = [], []
        for number, (text, sequences) in enumerate(zip(texts, rnas)):
            ids, mask = self._tokenize(text, sequences, spans[number] if spans else [], **kwargs)
            self._check_context(len(ids), sequences, number + 1 if len(texts) > 1 else None)
            rows.append(ids)
            masks.append(mask)
        side = padding_side or self.tokenizer.padding_side
        data = dict(
            self.tokenizer.pad(
                {"input_ids": rows}, padding=padding, padding_side=side, **pad_kwargs
            )
        )
        if spans is not None:
            data["assistant_masks"] = [
                _pad(mask, len(row), 0, side) for mask, row in zip(masks, data["input_ids"])
            ]
        data |= self._tokenize_rnas([sequence for sequences in rnas for sequence in sequences])
        return BatchFeature(data, tensor_type=return_tensors)

    def _tokenize(
        self, text: str, sequences: list[str], spans: list[tuple[int, int]], **kwargs: Any
    ) -> tuple[list[int], list[int]]:
        """Ids of one prompt with its placeholders expanded, and 1 for the tokens in the spans of characters."""
        bos = self.tokenizer.bos_token
        if bos and text.startswith(bos):
            kwargs["add_special_tokens"] = False  # a rendered chat begins with its own
        encoded = self.tokenizer(text, return_offsets_mapping=bool(spans), **kwargs)
        ids = np.array(encoded["input_ids"], dtype=np.int64)
        mask = np.zeros_like(ids)
        for begin, end in spans:
            inside = [
                i
                for i, (a, b) in enumerate(encoded["offset_mapping"])
                if a < b and a < end and b > begin
            ]
            # Some tokenizers give white space an empty span, so all between the first and the last counts.
            if inside:
                mask[inside[0] : inside[-1] + 1] = 1
        counts = np.ones_like(ids)
        counts[ids == self.rna_token_id] = [
            self.num_rna_tokens(len(sequence)) for sequence in sequences
        ]
        return np.repeat(ids, counts).tolist(), np.repeat(mask, counts).tolist()

    def _check_context(self, length: int, sequences: list[str], number: int | None) -> None:
        limit = self.max_context or self.tokenizer.model_max_length
        if length <= limit:
            return
        prompt = "The prompt" if number is None else f"Prompt {number}"
        num_rna = sum(self.num_rna_tokens(len(sequence)) for sequence in sequences)
        raise ValueError(
            f"{prompt} takes {length:,} tokens, {num_rna:,} of them for {len(sequences)} RNA(s) of "
            f"{sum(map(len, sequences)):,} nt, but the language model reads at most {limit:,}. Give fewer or "
            "shorter RNAs, a shorter text, or a model with a larger rna_merge_size."
        )

    def _tokenize_rnas(self, sequences: list[str]) -> dict[str, np.ndarray]:
        if not sequences:
            return {}
        longest = max(map(len, sequences))
        ids = np.full((len(sequences), longest), RNA_PAD_TOKEN_ID, dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, sequence in enumerate(sequences):
            ids[row, : len(sequence)] = tokenize_rna(sequence, self.kmer_size)
            mask[row, : len(sequence)] = 1
        return {"rna_input_ids": ids, "rna_attention_mask": mask}

    def _flatten(
        self, messages: Sequence[Mapping[str, Any]]
    ) -> tuple[list[dict[str, Any]], list[str]]:
        """Messages with content as one string, which every chat template takes, and their RNAs in order."""
        flat: list[dict[str, Any]] = []
        rnas: list[str] = []
        for message in messages:
            content = message.get("content")
            parts = (
                content
                if isinstance(content, (list, tuple))
                else [{"type": "text", "text": content or ""}]
            )
            pieces = []
            for index, part in enumerate(parts):
                # Rows of a data set carry every key in every part, so the type alone decides.
                if part["type"] == "rna":
                    rnas.append(part["rna"])
                    pieces.append(self.rna_token + ("\n" if index < len(parts) - 1 else ""))
                elif part["type"] == "text":
                    self._check_text(part["text"])
                    pieces.append(part["text"])
                else:
                    raise ValueError(
                        f"A part must be of type 'text' or 'rna', got {part['type']!r}."
                    )
            flat.append({**message, "content": "".join(pieces)})
        return flat, rnas

    def _check_text(self, text: str) -> None:
        """Refuse special tokens in a text: they could end its turn and forge another."""
        added = self.tokenizer.added_tokens_decoder.values()
        special = {token.content for token in added if token.special} | set(
            self.tokenizer.all_special_tokens
        )
        for token in sorted(special - {self.rna_token}):
            if token in text:
                raise ValueError(
                    f"The text {_shorten(text)!r} holds {token!r}, which the tokenizer reads as a control "
                    "token. Remove it or write it in another way."
                )

    def _render(self, messages: list[dict[str, Any]], **kwargs: Any) -> str:
        return self.tokenizer.apply_chat_template(messages, tokenize=False, **kwargs)

    def _answer_spans(
        self, messages: list[dict[str, Any]], text: str, **kwargs: Any
    ) -> list[tuple[int, int]]:
        """Characters (begin, end) of the assistant's answers in a rendered text, end of turn included."""
        spans = []
        for index, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            before = self._render(messages[:index], add_generation_prompt=True, **kwargs)
            after = self._render(messages[: index + 1], **kwargs)
            if not (after.startswith(before) and text.startswith(after)):
                raise ValueError(
                    "The chat template renders a turn in another way once more turns follow, so the answers "
                    "cannot be told from the rest. Train on conversations of one answer, or give another "
                    "chat_template."
                )
            spans.append(
                (len(before), len(before) + len(self._until_end_of_turn(after[len(before) :])))
            )
        return spans

    def _until_end_of_turn(self, answer: str) -> str:
        """Leave out white space after the end-of-turn token: the model never writes it."""
        stripped = answer.rstrip()
        ends = any(
            stripped.endswith(token.content)
            for token in self.tokenizer.added_tokens_decoder.values()
        )
        return stripped if ends else answer


def _pad(row: list[int], length: int, value: int, side: str) -> list[int]:
    padding = [value] * (length - len(row))
    return padding + row if side == "left" else row + padding


RnaGptProcessor.register_for_auto_class()

__all__ = [
    "RNA_TOKEN",
    "RNA_VOCABULARY",
    "CleanedRna",
    "RnaGptProcessor",
    "RnaSequenceError",
    "clean_rna",
    "tokenize_rna",
]
