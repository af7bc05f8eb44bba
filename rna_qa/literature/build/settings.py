"""Settings of a build: content, running, and addresses of services."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

from rnagpt.reference.executor import EXECUTORS, ExecutorOptions, check_config
from rnagpt.rna_qa.literature.sources.source import SOURCES, check_source_options
from rnagpt.rna_qa.splits import check_shares

STAGES = ("select", "papers", "topics", "annotate", "questions", "splits", "export")
# Of the code of a stage: a higher number has all its shards made again.
# select 3: names tell copies, species and viruses apart.
# select 2: papers are read with their exponents (10^6), duplicates among them are found.
# export 4: claims and questions have what they can be filtered by.
# annotate 2: rejected claims are counted under "rejected", not "refused".
STAGE_VERSIONS = dict.fromkeys(STAGES, 1) | {"select": 3, "annotate": 2, "export": 4}
CONFIGURATIONS = ("qa", "annotations", "qa_ais", "annotations_ais", "papers")
MODES = ("extractive", "dnc", "ais", "both")
MENTIONS = ("abstract", "any")
READS = ("abstracts", "sentences")  # what a language model is given of papers
EUROPE_PMC = "europe-pmc"  # where full texts are, in place of a path
CLUSTERS = ("auto", "cd-hit", "kmers")
# Of a request to a language model, what the build itself has to set.
RESERVED_OPTIONS = {"messages", "model", "n", "stream"}
ANSWER_BOUNDS = ("max_tokens", "max_completion_tokens")


def _of(stage: str, default: Any, **bounds: Any) -> Any:
    """A field that `stage` is the first to use; `bounds` are those of `_check_bounds`."""
    return field(default=default, metadata={"stage": stage, **bounds})


def _at_least(least: int, default: int | None = None) -> Any:
    return field(default=default, metadata={"least": least})


def _check_bounds(settings: Any) -> None:
    """Check the values that a field names as its `choices`, or that it has to be `least`.

    Raises:
        ValueError: naming the option of the command line.
    """
    for option in fields(settings):
        value = getattr(settings, option.name)
        choices, least = option.metadata.get("choices"), option.metadata.get("least")
        if choices and value not in choices:
            raise _unexpected(option.name, value, f"one of {', '.join(choices)}")
        if value is not None and least is not None and value < least:
            raise _unexpected(option.name, value, f"{least} at least")


def _unexpected(option: str, value: Any, expected: str) -> ValueError:
    return ValueError(f"{flag(option)} is {value!r}; expected {expected}")


@dataclass(frozen=True)
class LiteratureOptions:
    """What decides the content of a build.

    `rnas` and `papers` are files (source "files"); `query` is EBI Search's (source "http") or a
    part of a description (source "postgres"). `licences` are Europe PMC's terms ("cc0", "cc-by");
    none means papers of any licence. `full_text` is `EUROPE_PMC`, or a file or folder of articles
    in JATS: what the full texts of papers under open licences found is read beside the abstracts.
    `token_budget` is the most tokens of papers in one request to a language model, which is given
    what it `reads` of them.
    `request_options` go with every request to it, over the usual ones; null leaves one out. A
    number for `max_tokens` or `max_completion_tokens` is the bound of every answer, by the name
    that the service knows. `test` and `validation` are shares of the RNAs; papers that more than
    `hub_papers` RNAs rest on do not tie those RNAs to one split.

    Raises:
        ValueError: for values that cannot be, naming the option of the command line.
    """

    source: str = _of("select", "files", choices=SOURCES)
    rnas: str | None = _of("select", None)
    query: str | None = _of("select", None)
    limit: int | None = _of("select", None, least=1)
    papers: str | None = _of("papers", None)
    require_mention: str = _of("topics", "abstract", choices=MENTIONS)
    licences: tuple[str, ...] = _of("papers", ())
    full_text: str | None = _of("papers", None)
    seed: int = _of("topics", 0)
    shard_size: int = _of("topics", 500, least=1)
    max_topics: int = _of("topics", 8, least=2)
    token_budget: int = _of("topics", 12_000, least=500)
    mode: str = _of("annotate", "extractive", choices=MODES)
    language_model: str | None = _of("annotate", None)
    request_options: Mapping[str, Any] | None = _of("annotate", None)
    claims_per_topic: int = _of("annotate", 4, least=1)
    reads: str = _of("annotate", "abstracts", choices=READS)
    test: float = _of("splits", 0.06)
    validation: float = _of("splits", 0.03)
    clusters: str = _of("splits", "auto", choices=CLUSTERS)
    hub_papers: int = _of("splits", 10, least=1)

    def __post_init__(self) -> None:
        _check_bounds(self)
        check_source_options(self)
        self._check_model()
        check_shares(test=self.test, validation=self.validation)

    def _check_model(self) -> None:
        if self.mode == "extractive" and self.language_model:
            raise ValueError("extractive mode uses no language model: leave one of the two out")
        if self.mode != "extractive" and not self.language_model:
            raise ValueError(f"--mode {self.mode} needs --language-model NAME (and --base-url URL)")
        if self.mode == "extractive" and self.request_options:
            raise ValueError("--request-options are a language model's; extractive mode uses none")
        if self.mode == "extractive" and self.reads != "abstracts":
            raise ValueError("--reads is what a language model is given; extractive mode uses none")
        options = self.request_options or {}
        if reserved := RESERVED_OPTIONS & options.keys():
            raise ValueError(
                f"--request-options may not set {', '.join(sorted(reserved))}: the build does"
            )
        bounds = [options[name] for name in ANSWER_BOUNDS if name in options]
        given = [bound for bound in bounds if bound is not None]
        if len(given) > 1 or (len(bounds) > 1 and not given):
            raise ValueError(
                "--request-options: an answer has one bound, max_tokens or max_completion_tokens; "
                "give a number for one of them, or null for the one that the service does not know"
            )
        if given and (type(given[0]) is not int or given[0] < 1):
            raise ValueError(
                f"--request-options: the bound of an answer is {given[0]!r}; expected a number of "
                "tokens, 1 at least"
            )
        if (form := options.get("response_format")) not in (None, {"type": "json_object"}):
            raise ValueError(
                f"--request-options: response_format is {form!r}; the build sets the schema: give "
                'null (none is sent) or {"type": "json_object"}'
            )

    @property
    def modes(self) -> tuple[str, ...]:
        """The requested ways of annotating, the data set's main one first."""
        return ("dnc", "ais") if self.mode == "both" else (self.mode,)

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> LiteratureOptions:
        """The options of `values`; in place of files they have the names of their contents."""
        return cls(**{**values, "licences": tuple(values["licences"])})

    def values(self) -> dict[str, Any]:
        """Every option as JSON has it, files by their content (SHA-256)."""
        return {option.name: self._identity(option.name) for option in fields(self)}

    def _identity(self, option: str) -> Any:
        value = getattr(self, option)
        if option in ("rnas", "papers") and value is not None:
            return f"sha256:{_hash_file(Path(value).expanduser().resolve())}"
        if option == "full_text" and value not in (None, EUROPE_PMC):
            return _listing(Path(value).expanduser())
        return list(value) if isinstance(value, tuple) else value


def _hash_file(path: Path) -> str:
    """The file's SHA-256, read once as long as it does not change."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    state = path.stat()
    return _hash_once(path, state.st_size, state.st_mtime_ns)


def _listing(path: Path) -> str:
    """The SHA-256 of the names and sizes of the files with full texts, which may be very large."""
    from rnagpt.rna_qa.literature.sources.full_texts import called, files_of

    sizes = [(called(file, path), file.stat().st_size) for file in files_of(path)]
    return f"sha256:{fingerprint(sizes)}"


@cache
def _hash_once(path: Path, size: int, modified: int) -> str:
    from rnagpt.rna_qa.rfam.downloads import hash_file

    return hash_file(path)


def flag(option: str) -> str:
    """The option as it is written on the command line."""
    return "--" + option.replace("_", "-")


@dataclass(frozen=True)
class RunOptions:
    """How a build is run; nothing here changes its content.

    `workers` processes share the shards; `concurrency` requests are open at a time at the language
    model's service. `budget` is in US dollars, `prices` in dollars per million tokens read and
    written. `queue_tokens` is the most that an account may have in open batches. `engine_config`
    holds arguments of datatrove's executor. `stop_after_failures` answers of no use in a row, for
    one reason, stop the build (0: none do).
    """

    workers: int = _at_least(1, 2)
    concurrency: int = _at_least(1, 8)
    engine: str = field(default="local", metadata={"choices": EXECUTORS})
    engine_config: Mapping[str, Any] = field(default_factory=dict)
    base_url: str | None = None
    budget: float | None = None
    requests_per_minute: int | None = _at_least(1)
    tokens_per_minute: int | None = _at_least(1)
    prices: tuple[float, float] | None = None
    batch_api: bool = False
    queue_tokens: int | None = _at_least(1)
    stop_after_failures: int = _at_least(0, 20)

    def __post_init__(self) -> None:
        _check_bounds(self)
        if self.budget is not None and self.budget < 0:
            raise _unexpected("budget", self.budget, "dollars, 0 at least")
        check_config(self.engine, self.engine_config)

    @property
    def executor(self) -> ExecutorOptions:
        """Where shards are worked on."""
        return ExecutorOptions(self.engine, self.workers, self.engine_config)


@dataclass(frozen=True)
class Services:
    """The addresses of the public services."""

    ebi_search: str = "https://www.ebi.ac.uk/ebisearch/ws/rest"
    europe_pmc: str = "https://www.ebi.ac.uk/europepmc/webservices/rest"
    rnacentral: str = "https://rnacentral.org/api/v1"
    # Its password is published in RNAcentral's docs/public-database.md; libpq reads it from
    # PGPASSWORD.
    database: str = "postgresql://reader@hh-pgsql-public.ebi.ac.uk:5432/pfmegrnargs"

    @classmethod
    def from_environment(cls) -> Services:
        """The defaults, or what ``RNAQA_*`` names in their place."""
        named = os.environ.get
        return cls(
            ebi_search=named("RNAQA_EBI_SEARCH_URL", cls.ebi_search).rstrip("/"),
            europe_pmc=named("RNAQA_EUROPEPMC_URL", cls.europe_pmc).rstrip("/"),
            rnacentral=named("RNAQA_RNACENTRAL_URL", cls.rnacentral).rstrip("/"),
            database=named("RNAQA_DATABASE_URL", cls.database),
        )


def fingerprint(*parts: Any) -> str:
    """SHA-256 of anything that JSON can hold."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def stage_values(values: Mapping[str, Any], *stages: str) -> dict[str, Any]:
    """Of options by name, those that these stages are the first to use."""
    return {
        option.name: values.get(option.name)
        for option in fields(LiteratureOptions)
        if option.metadata["stage"] in stages
    }


def changed_options(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[str]]:
    """The options whose values differ, by the stage that is the first to use them, in order."""
    changed: dict[str, list[str]] = {}
    for stage in STAGES:
        for name, value in stage_values(after, stage).items():
            if before.get(name) != value:
                changed.setdefault(stage, []).append(name)
    return changed


__all__ = [
    "EUROPE_PMC",
    "MODES",
    "STAGES",
    "STAGE_VERSIONS",
    "LiteratureOptions",
    "RunOptions",
    "Services",
    "changed_options",
    "fingerprint",
    "flag",
    "stage_values",
]
