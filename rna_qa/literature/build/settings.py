"""Settings of a build: content, running, and addresses of services."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from rnagpt.rna_qa.literature.sources.source import SOURCES, check_source_options

STAGES = ("select", "papers", "topics", "annotate", "questions", "splits", "export")
# Of the code of a stage: a higher number has all its shards made again.
# select 2: papers are read with their exponents (10^6), duplicates among them are found.
# annotate 2: rejected claims are counted under "rejected", not "refused".
STAGE_VERSIONS = dict.fromkeys(STAGES, 1) | {"select": 2, "annotate": 2, "export": 2}
MODES = ("extractive", "dnc", "ais", "both")
MENTIONS = ("abstract", "any")
CLUSTERS = ("auto", "cd-hit", "kmers")
ENGINES = ("local", "slurm", "ray")
# Of a request to a language model, what the build itself has to set.
RESERVED_OPTIONS = {"messages", "model", "n", "stream"}
ANSWER_BOUNDS = ("max_tokens", "max_completion_tokens")

EBI_SEARCH = "https://www.ebi.ac.uk/ebisearch/ws/rest"
EUROPE_PMC = "https://www.ebi.ac.uk/europepmc/webservices/rest"
RNACENTRAL = "https://rnacentral.org/api/v1"
# Its password is published in RNAcentral's docs/public-database.md; libpq reads it from PGPASSWORD.
DATABASE = "postgresql://reader@hh-pgsql-public.ebi.ac.uk:5432/pfmegrnargs"


def _of(stage: str, default: Any) -> Any:
    """A field that `stage` is the first to use."""
    return field(default=default, metadata={"stage": stage})


@dataclass(frozen=True)
class LiteratureOptions:
    """What decides the content of a build.

    `rnas` and `papers` are files (source "files"); `query` is EBI Search's (source "http") or a
    part of a description (source "postgres"). `licences` are Europe PMC's terms ("cc0", "cc-by");
    none means papers of any licence. `token_budget` is the most tokens of abstracts in one request
    to a language model. `request_options` go with every request to it, over the usual ones; null
    leaves one out. A number for `max_tokens` or `max_completion_tokens` is the bound of every
    answer, by the name that the service knows. `test` and `validation` are shares of the RNAs;
    papers that more than `hub_papers` RNAs rest on do not tie those RNAs to one split.

    Raises:
        ValueError: for values that cannot be, naming the option of the command line.
    """

    source: str = _of("select", "files")
    rnas: str | None = _of("select", None)
    query: str | None = _of("select", None)
    limit: int | None = _of("select", None)
    papers: str | None = _of("papers", None)
    require_mention: str = _of("topics", "abstract")
    licences: tuple[str, ...] = _of("papers", ())
    seed: int = _of("topics", 0)
    shard_size: int = _of("topics", 500)
    max_topics: int = _of("topics", 8)
    token_budget: int = _of("topics", 12_000)
    mode: str = _of("annotate", "extractive")
    language_model: str | None = _of("annotate", None)
    request_options: Mapping[str, Any] | None = _of("annotate", None)
    claims_per_topic: int = _of("annotate", 4)
    test: float = _of("splits", 0.06)
    validation: float = _of("splits", 0.03)
    clusters: str = _of("splits", "auto")
    hub_papers: int = _of("splits", 10)

    def __post_init__(self) -> None:
        _require(self.source in SOURCES, "--source", self.source, f"one of {', '.join(SOURCES)}")
        _require(self.mode in MODES, "--mode", self.mode, f"one of {', '.join(MODES)}")
        _require(
            self.require_mention in MENTIONS,
            "--require-mention",
            self.require_mention,
            f"one of {', '.join(MENTIONS)}",
        )
        _require(self.clusters in CLUSTERS, "--clusters", self.clusters, " or ".join(CLUSTERS))
        check_source_options(self)
        self._check_model()
        self._check_numbers()

    def _check_model(self) -> None:
        if self.mode == "extractive" and self.language_model:
            raise ValueError("extractive mode uses no language model: leave one of the two out")
        if self.mode != "extractive" and not self.language_model:
            raise ValueError(f"--mode {self.mode} needs --language-model NAME (and --base-url URL)")
        if self.mode == "extractive" and self.request_options:
            raise ValueError("--request-options are a language model's; extractive mode uses none")
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

    def _check_numbers(self) -> None:
        for option, least in (
            ("limit", 1),
            ("shard_size", 1),
            ("max_topics", 2),
            ("token_budget", 500),
            ("claims_per_topic", 1),
            ("hub_papers", 1),
        ):
            value = getattr(self, option)
            if value is not None:
                _require(value >= least, flag(option), value, f"{least} at least")
        for option in ("test", "validation"):
            value = getattr(self, option)
            _require(0 <= value < 1, flag(option), value, "a share from 0 to 1")
        if self.test + self.validation >= 1:
            raise ValueError(
                f"--test {self.test} and --validation {self.validation} leave nothing to train on"
            )

    @property
    def modes(self) -> tuple[str, ...]:
        """The ways of annotating that are asked for, the data set's main one first."""
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
            return f"sha256:{_hash_once(str(Path(value).expanduser().resolve()))}"
        return list(value) if isinstance(value, tuple) else value


_HASHES: dict[tuple[str, int, int], str] = {}


def _hash_once(path: str) -> str:
    """The file's SHA-256, read once as long as it does not change."""
    from rnagpt.rna_qa.rfam.downloads import hash_file

    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path}: no such file")
    state = os.stat(path)
    key = (path, state.st_size, state.st_mtime_ns)
    if key not in _HASHES:
        _HASHES[key] = hash_file(Path(path))
    return _HASHES[key]


def flag(option: str) -> str:
    """The option as it is written on the command line."""
    return "--" + option.replace("_", "-")


def _require(holds: bool, option: str, value: Any, expected: str) -> None:
    if not holds:
        raise ValueError(f"{option} is {value!r}; expected {expected}")


@dataclass(frozen=True)
class RunOptions:
    """How a build is run; nothing here changes its content.

    `workers` processes share the shards; `concurrency` requests are open at a time at the language
    model's service. `budget` is in US dollars, `prices` in dollars per million tokens read and
    written. `queue_tokens` is the most that an account may have in open batches. `engine_config`
    holds arguments of datatrove's executor. `stop_after_failures` answers of no use in a row, for
    one reason, stop the build (0: none do).
    """

    workers: int = 2
    concurrency: int = 8
    engine: str = "local"
    engine_config: Mapping[str, Any] = field(default_factory=dict)
    base_url: str | None = None
    budget: float | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    prices: tuple[float, float] | None = None
    batch_api: bool = False
    queue_tokens: int | None = None
    stop_after_failures: int = 20

    def __post_init__(self) -> None:
        _require(self.engine in ENGINES, "--engine", self.engine, f"one of {', '.join(ENGINES)}")
        for option in (
            "workers",
            "concurrency",
            "requests_per_minute",
            "tokens_per_minute",
            "queue_tokens",
        ):
            value = getattr(self, option)
            if value is not None:
                _require(value >= 1, flag(option), value, "1 at least")
        failures = self.stop_after_failures
        _require(failures >= 0, "--stop-after-failures", failures, "0 at least")
        if self.budget is not None:
            _require(self.budget >= 0, "--budget", self.budget, "dollars, 0 at least")
        if self.engine == "slurm":
            missing = {"partition", "time"} - self.engine_config.keys()
            if missing:
                raise ValueError(
                    f"--engine slurm needs {' and '.join(sorted(missing))} in --engine-config, "
                    'for example {"partition": "cpu", "time": "04:00:00"}'
                )


@dataclass(frozen=True)
class Services:
    """The addresses of the public services."""

    ebi_search: str = EBI_SEARCH
    europe_pmc: str = EUROPE_PMC
    rnacentral: str = RNACENTRAL
    database: str = DATABASE

    @classmethod
    def from_environment(cls) -> Services:
        """The defaults, or what ``RNAQA_*`` names in their place."""
        return cls(
            os.environ.get("RNAQA_EBI_SEARCH_URL", EBI_SEARCH).rstrip("/"),
            os.environ.get("RNAQA_EUROPEPMC_URL", EUROPE_PMC).rstrip("/"),
            os.environ.get("RNAQA_RNACENTRAL_URL", RNACENTRAL).rstrip("/"),
            os.environ.get("RNAQA_DATABASE_URL", DATABASE),
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
    "ENGINES",
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
