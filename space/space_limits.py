"""Limits of the Space, set by environment variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields

from rnagpt import MAX_RNA_LENGTH


@dataclass(frozen=True)
class Limits:
    """Limits of the Space. `RNAGPT_SPACE_MAX_RNAS=4` and the like set them.

    Attributes:
        max_rna_length: the longest RNA (nt) where nothing is searched; the model's own limit
            applies too.
        max_searched_nt: the longest RNA where RNAs are searched, as of the server; records alone
            answer about what the model does not read.
        max_rnas: RNAs in one conversation.
        max_records: FASTA records in one upload or paste.
        max_upload_bytes: uploaded files together as they are, or a pasted text.
        max_text_bytes: an uploaded file unpacked.
        max_question_letters: a question.
        max_name_letters: an RNA's name, and a file's.
        max_description_letters: what a FASTA header says after the name.
        max_new_tokens: the longest answer (tokens).
        seconds_per_answer: after this time an answer ends where it is.
        answers_at_once: answers that are written at the same time.
        max_waiting: requests that wait; further ones are rejected.
        max_conversations: conversations in memory; the one used least recently is forgotten first,
            and taken up again from what the visitor's page holds.
    """

    max_rna_length: int = MAX_RNA_LENGTH
    max_searched_nt: int = 50_000
    max_rnas: int = 8
    max_records: int = 200
    max_upload_bytes: int = 5_000_000
    max_text_bytes: int = 5_000_000
    max_question_letters: int = 1_000
    max_name_letters: int = 200
    max_description_letters: int = 1_000
    max_new_tokens: int = 256
    seconds_per_answer: int = 120
    answers_at_once: int = 2
    max_waiting: int = 32
    max_conversations: int = 200

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Limits:
        """The defaults, but for what the environment sets.

        Raises:
            ValueError: for a setting that is no whole number above 0.
        """
        given = {}
        for field in fields(cls):
            variable = f"RNAGPT_SPACE_{field.name.upper()}"
            if text := environment.get(variable, "").strip():
                if not text.isdecimal() or int(text) < 1:
                    raise ValueError(f"{variable} must be a whole number above 0, got {text!r}.")
                given[field.name] = int(text)
        return cls(**given)
