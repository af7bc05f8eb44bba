"""A server of the Model Context Protocol (https://modelcontextprotocol.io): RNA tools over stdio.

Assistants start `rnagpt mcp` and talk with it by its standard input and output. The tools are those
of `rnagpt.serving.rna_tools`; what is wrong with an input is an error of the tool, in words.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, TypeVar

import anyio
import anyio.to_thread
from mcp.server.fastmcp import FastMCP
from mcp.types import ToolAnnotations
from pydantic import Field

from rnagpt.inference.cited import LanguageModel
from rnagpt.reference.library import Reference
from rnagpt.serving import rna_tools
from rnagpt.serving.rna_tools import Annotations, CitedReply, Explanation, Identification

INSTRUCTIONS = """\
Tools that say what an RNA sequence is and answer questions about it, from records of known RNA
families and RNAs (Rfam, and RNAcentral's where the reference has them) that they look the sequence
up in on this machine. Use them whenever a user has an RNA or DNA sequence in hand. Cite the
accessions and papers that they return. Where they say that nothing is known, say that, and do not
guess."""
_Result = TypeVar("_Result")

Sequence = Annotated[
    str,
    Field(
        description="Nucleotides of one RNA (A, C, G, U or T, IUPAC codes), or one FASTA record.",
        examples=["GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA"],
    ),
]
Fasta = Annotated[
    str, Field(description="One or several FASTA records, as text, or one bare sequence.")
]
Question = Annotated[
    str,
    Field(
        description="A question about this RNA in plain English.",
        examples=["What is the function of this RNA?"],
    ),
]


class RnaTools:
    """The tools, of one reference and one language model.

    Args:
        reference: what RNAs are searched in.
        language: what writes where the records' own words do not answer; may need PyTorch then.
    """

    def __init__(self, reference: Reference, language: LanguageModel) -> None:
        self._reference = reference
        self._language = language
        # One at a time: a search takes all the memory that it may, and a model answers one.
        self._one = anyio.CapacityLimiter(1)

    async def _run(self, work: Callable[[], _Result]) -> _Result:
        """Work in a thread, so that the server goes on answering."""
        return await anyio.to_thread.run_sync(work, limiter=self._one)

    async def identify_rna(self, sequence: Sequence) -> Identification:
        """Identify an RNA by its sequence: what it is, family, accession, type, E-value, bit score,
        strand, place, confidence, papers and links; or that nothing known matches it.

        Both strands are searched. Several matches are parts of the RNA, the best first.
        """
        return await self._run(
            lambda: rna_tools.identify(rna_tools.read_one(sequence), self._reference)
        )

    async def annotate_rna(self, fasta: Fasta) -> Annotations:
        """Find all known RNA families and RNAs in one or several sequences, with the place, strand,
        E-value, alignment, secondary structure and papers of each hit.

        Positions count from 1 on the strand as given. The result is larger than that of
        identify_rna, which is enough to say what one RNA is.
        """
        return await self._run(
            lambda: rna_tools.annotate_all(rna_tools.read_many(fasta), self._reference)
        )

    async def ask_about_rna(self, sequence: Sequence, question: Question) -> CitedReply:
        """Answer a question about an RNA from the records that its sequence matches, with
        citations: the answer, what it rests on, its confidence, and the evidence with accessions
        and PubMed ids.

        A basis of "none" means that this is not known; "model" is a guess from the sequence alone.
        """
        return await self._run(
            lambda: rna_tools.ask(
                rna_tools.read_one(sequence), question, self._reference, self._language
            )
        )

    async def explain_answer(self, sequence: Sequence, question: Question) -> Explanation:
        """Show why the answer to a question about an RNA can be believed: for each sentence the
        record that supports it, that record's own sentences, quotes of papers and the papers.
        """
        return await self._run(
            lambda: rna_tools.explain(rna_tools.read_one(sequence), question, self._reference)
        )


def make_server(tools: RnaTools) -> FastMCP:
    """The server, which `serve_stdio` runs."""
    server = FastMCP(
        "rna-gpt", instructions=INSTRUCTIONS, log_level="WARNING", lifespan=_to_standard_error
    )
    # They change nothing, and ask nothing of anywhere else.
    kind = ToolAnnotations(readOnlyHint=True, idempotentHint=True, openWorldHint=False)
    titled: dict[str, Callable[..., Any]] = {
        "Identify an RNA": tools.identify_rna,
        "Annotate RNAs": tools.annotate_rna,
        "Ask about an RNA": tools.ask_about_rna,
        "Explain an answer about an RNA": tools.explain_answer,
    }
    for title, tool in titled.items():
        about = inspect.getdoc(tool)  # without its indentation
        server.tool(title=title, description=about, annotations=kind, structured_output=True)(tool)
    return server


def serve_stdio(server: FastMCP) -> None:
    """Serve until the client goes away; standard output carries the protocol alone."""
    protocol = os.dup(1)
    os.dup2(2, 1)  # what a library of C prints
    with open(protocol, "w", encoding="utf-8") as sys.stdout:
        server.run("stdio")


@contextlib.asynccontextmanager
async def _to_standard_error(_: FastMCP) -> AsyncIterator[None]:
    """What Python prints goes to standard error; the transport has its own file by now."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


__all__ = ["RnaTools", "make_server", "serve_stdio"]
