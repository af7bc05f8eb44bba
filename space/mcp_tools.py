"""Tools for assistants, at `/gradio_api/mcp/` and in the API: those of `rnagpt mcp`.

Each returns JSON as a text: Gradio would give an assistant a dictionary as Python writes it, and
has no schema of what a tool returns (its `structured_output` wraps the same text). So docstrings,
which become the tools' descriptions, say which fields there are.
"""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar

import answering
import gradio as gr
import validation
from chat_panel import FAULT
from plain_text import check_text
from rna_input import records_of_text
from searching import reference
from space_limits import Limits

from rnagpt import CleanedRna, FastaRecord, Reference, RnaSequenceError, SearchResult
from rnagpt.serving import rna_tools

_log = logging.getLogger("rnagpt.space")
_Function = TypeVar("_Function", bound=Callable[..., Any])


def no_tool(function: _Function) -> _Function:
    """Keep a function of the API out of the tools."""
    function._mcp_type = "api"  # type: ignore[attr-defined]  # as `gradio.mcp.tool` does
    return function


def add_tools(limits: Limits, **queue: Any) -> None:
    """Add the tools to the page that is being made; `queue` goes to `gradio.api`."""
    tools = AssistantTools(limits)
    for tool in (
        tools.identify_rna,
        tools.annotate_rna,
        tools.ask_about_rna,
        tools.explain_answer,
    ):
        gr.api(tool, api_name=tool.__name__, **queue)


def _as_json(function: Callable[..., Any]) -> Callable[..., Any]:
    """A tool that returns JSON, and whose errors are for who called it."""

    @functools.wraps(function)
    def called(*given: Any) -> str:
        try:
            return json.dumps(asdict(function(*given)), ensure_ascii=False)
        except ValueError as error:
            # Not printed: what visitors give has no place in a log.
            raise gr.Error(str(error), print_exception=False) from error
        except Exception as error:
            _log.exception("A tool failed.")
            raise gr.Error(FAULT, print_exception=False) from error

    called.__annotations__ = {**function.__annotations__, "return": "str"}
    return called


class AssistantTools:
    """The tools, within the Space's limits."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits

    @_as_json
    def identify_rna(self, sequence: str) -> rna_tools.Identification:
        """Identify an RNA by its sequence: what it is, family, accession, type, E-value, bit score,
        strand, place, confidence, papers and links; or that nothing known matches it.

        Returns a JSON object: known, summary (with citations such as [1]), name, length, changes,
        matches (the best first; each with number, accession, name, description, type, clan,
        evalue, bits, identity, strand, start, end, is_whole, confidence, link, papers), searched,
        note.

        Args:
            sequence: Nucleotides of one RNA (A, C, G, U or T, IUPAC codes), or one FASTA record.
        """
        return rna_tools.identify(self._rna(sequence), _records())

    @_as_json
    def annotate_rna(self, fasta: str) -> rna_tools.Annotations:
        """Find all known RNA families and RNAs in one or several sequences, with the place, strand,
        E-value, alignment, secondary structure and papers of each hit.

        Returns a JSON object: records (one for each sequence, in order, with name, length, changes
        and hits; one that is no RNA has its reason as error and no hits) and rejected (these
        reasons). It is an error only where no sequence is an RNA.

        Args:
            fasta: One or several FASTA records, as text, or one bare sequence.
        """
        records = records_of_text(check_text(fasta, "`fasta`"), self.limits)
        return rna_tools.annotate_all(map(self._accepted, records), _records())

    @_as_json
    def ask_about_rna(self, sequence: str, question: str) -> rna_tools.CitedReply:
        """Answer a question about an RNA from the records that its sequence matches, with
        citations: the answer, what it rests on (records, sequence, model or none, which means that
        this is not known), its confidence, and the evidence with accessions and PubMed ids.

        Returns a JSON object: answer, basis, confidence, complete, sentences (each with text,
        records and supported), evidence (as matches of identify_rna), changes.

        Args:
            sequence: Nucleotides of one RNA (A, C, G, U or T, IUPAC codes), or one FASTA record.
            question: A question about this RNA in plain English.
        """
        rna = self._rna(sequence)
        validation.check_question(question, self.limits)
        answers = answering.answer_each(
            [rna], question, self.limits.max_new_tokens, self.limits.seconds_per_answer
        )
        return rna_tools.reply_of(next(answers), rna)

    @_as_json
    def explain_answer(self, sequence: str, question: str) -> rna_tools.Explanation:
        """Show why the answer to a question about an RNA can be believed: for each sentence the
        record that supports it, that record's own sentences, quotes of papers and the papers.

        Returns a JSON object: answer, basis, confidence, sentences (each with text, rests_on and
        support: of each record it cites the record, what it says, quotes, fields and papers),
        searched.

        Args:
            sequence: Nucleotides of one RNA (A, C, G, U or T, IUPAC codes), or one FASTA record.
            question: A question about this RNA in plain English.
        """
        rna = self._rna(sequence)
        validation.check_question(question, self.limits)
        return rna_tools.explain(rna, question, _records())

    def _accepted(self, record: FastaRecord) -> CleanedRna | SearchResult:
        """The RNA of a record, or why it is none, which costs the other records nothing."""
        try:
            return validation.cleaned([record], self.limits)[0]
        except ValueError as error:
            name = record.name[: self.limits.max_name_letters]
            told = error if isinstance(error, RnaSequenceError) else RnaSequenceError(str(error))
            return SearchResult(name, 0, error=told)

    def _rna(self, sequence: str) -> CleanedRna:
        record = validation.one_record(sequence, self.limits)
        return validation.cleaned([record], self.limits)[0]


def _records() -> Reference:
    """What is searched.

    Raises:
        ValueError: nothing is.
    """
    if (searched := reference()) is None:
        raise ValueError(
            "This Space searches no records: its model alone answers, by ask_about_rna. Take one "
            "whose RNAGPT_REFERENCE is not none."
        )
    return searched
