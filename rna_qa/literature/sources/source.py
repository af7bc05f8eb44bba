"""The `Source` protocol and `SOURCES`, the registry of all places that RNAs and papers come from.

How to add a source:

1. Write a module in this folder whose functions read RNAs, papers and mentions into a `Corpus`,
   page by page. Each page and the position behind it (`Corpus.set_progress`) go into one
   `Corpus.transaction`, so that a killed build resumes there; `http.py` is an example, and
   `rows.py` has what all of them need.
2. Write a class here that has what `Source` asks for, and import that module inside its methods:
   this file is imported by the command line and by every worker, so it imports nothing large.
3. Add an instance to `SOURCES`. The choices of ``--source``, the default one, the checks of the
   other options, the record of a build and its card all read that table.
4. If it is a service, add its address to `build.settings.Services`, and that field's name to the
   source's `services`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rnagpt.rna_qa.literature.build.settings import LiteratureOptions, Services
    from rnagpt.rna_qa.literature.sources.corpus import Corpus


class Source(Protocol):
    """A place that RNAs and papers come from.

    Attributes:
        label: What it is called in messages.
        needs: Options (fields of `LiteratureOptions`) that have to be given.
        takes: Further options that may be given; of ``rnas``, ``papers`` and ``query``, those that
            stand in neither are rejected.
        services: The fields of `Services` that it connects to.
        is_live: Whether its content changes from day to day: the build is then dated, and
            retractions can be checked.
    """

    label: str
    needs: tuple[str, ...]
    takes: tuple[str, ...]
    services: tuple[str, ...]
    is_live: bool

    def is_available(self, services: Services) -> bool:
        """Whether it can be chosen where the user names no source."""

    def read_rnas(self, corpus: Corpus, options: LiteratureOptions, services: Services) -> None:
        """Add the RNAs, with papers and mentions where it knows them; resume where a run stopped.

        Raises:
            ValueError, OSError: with what is wrong and how to fix it.
        """

    def read_papers(
        self,
        corpus: Corpus,
        options: LiteratureOptions,
        services: Services,
        *,
        check_retractions: bool,
    ) -> None:
        """Add or complete the papers, and judge which are kept (`papers.complete`).

        Args:
            check_retractions: Look up again which papers are retracted; only if `is_live`.

        Raises:
            ValueError, OSError: with what is wrong and how to fix it.
        """


class _LitScan:
    """What both ways to RNAcentral's LitScan have in common: papers are completed at Europe PMC."""

    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ("query",)
    is_live = True

    def read_papers(
        self,
        corpus: Corpus,
        options: LiteratureOptions,
        services: Services,
        *,
        check_retractions: bool,
    ) -> None:
        from rnagpt.rna_qa.literature.sources import papers
        from rnagpt.rna_qa.literature.sources.europe_pmc import EuropePmc
        from rnagpt.rna_qa.literature.sources.http_client import HttpClient

        with HttpClient() as client:
            europe_pmc = EuropePmc(client, services.europe_pmc)
            if check_retractions:
                papers.mark_retractions(corpus, europe_pmc)
            papers.complete(corpus, europe_pmc, licences=options.licences)


class _Postgres(_LitScan):
    label = "RNAcentral's database"
    services: tuple[str, ...] = ("database", "europe_pmc")

    def is_available(self, services: Services) -> bool:
        from rnagpt.rna_qa.literature.sources.postgres import is_reachable

        return is_reachable(services.database)

    def read_rnas(self, corpus: Corpus, options: LiteratureOptions, services: Services) -> None:
        from rnagpt.rna_qa.literature.sources import postgres

        postgres.select(corpus, services.database, query=options.query, limit=options.limit)


class _Http(_LitScan):
    label = "EBI Search"
    services: tuple[str, ...] = ("ebi_search", "rnacentral", "europe_pmc")

    def is_available(self, services: Services) -> bool:
        return True  # where it does not answer, the build says so

    def read_rnas(self, corpus: Corpus, options: LiteratureOptions, services: Services) -> None:
        from rnagpt.rna_qa.literature.sources import http
        from rnagpt.rna_qa.literature.sources.http_client import HttpClient

        with HttpClient() as client:
            http.select(corpus, client, services, query=options.query, limit=options.limit)


class _Files:
    label = "files"
    needs: tuple[str, ...] = ("rnas", "papers")
    takes: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    is_live = False

    def is_available(self, services: Services) -> bool:
        return False  # only the user knows which files

    def read_rnas(self, corpus: Corpus, options: LiteratureOptions, services: Services) -> None:
        from rnagpt.rna_qa.literature.sources import files

        files.select(corpus, Path(str(options.rnas)).expanduser(), options.limit)

    def read_papers(
        self,
        corpus: Corpus,
        options: LiteratureOptions,
        services: Services,
        *,
        check_retractions: bool,
    ) -> None:
        from rnagpt.rna_qa.literature.sources import files, papers

        files.read_papers(corpus, Path(str(options.papers)).expanduser())
        papers.complete(corpus, None, licences=options.licences)


# By the value of --source. Where none is given, the first that is available is taken.
SOURCES: dict[str, Source] = {"postgres": _Postgres(), "http": _Http(), "files": _Files()}
SOURCE_OPTIONS = ("rnas", "papers", "query")


def check_source_options(options: LiteratureOptions) -> None:
    """Check that the source has the options that it needs, and none that another one takes.

    Raises:
        ValueError: with the option of the command line.
    """
    source = SOURCES[options.source]
    for option in SOURCE_OPTIONS:
        given = getattr(options, option) is not None
        if option in source.needs and not given:
            raise ValueError(f"--source {options.source} needs --{option} FILE (JSON lines)")
        if given and option not in (*source.needs, *source.takes):
            takers = [
                name for name, other in SOURCES.items() if option in other.needs + other.takes
            ]
            raise ValueError(
                f"--{option} goes with --source {' or '.join(takers)}, not {options.source}"
            )


def choose_available(services: Services) -> str:
    """The name of the first source that is available; services passed over are named on stderr.

    Raises:
        ConnectionError: if none is.
    """
    silent: list[str] = []
    for name, source in SOURCES.items():
        if source.is_available(services):
            if silent:
                print(f"no answer from {', '.join(silent)}; taking {source.label}", file=sys.stderr)
            return name
        if source.services:
            silent.append(source.label)
    raise ConnectionError(f"no answer from {', '.join(silent)}; choose a source with --source")


__all__ = ["SOURCES", "SOURCE_OPTIONS", "Source", "check_source_options", "choose_available"]
