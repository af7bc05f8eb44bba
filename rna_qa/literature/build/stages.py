"""Tasks of the stages, one per shard of RNAs: groups of papers, annotations, questions."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from rnagpt.rna_qa.literature.build.settings import (
    STAGE_VERSIONS,
    LiteratureOptions,
    RunOptions,
    fingerprint,
)
from rnagpt.rna_qa.literature.build.shards import (
    Sidecar,
    read_lines,
    read_sidecar,
    shard_path,
    write_shard,
    write_sidecar,
)
from rnagpt.rna_qa.literature.llm.language_model import LanguageModel, Pending
from rnagpt.rna_qa.literature.records import Annotation, Mention, Paper, QaPair, Rna, Topics
from rnagpt.rna_qa.literature.sources.corpus import Corpus
from rnagpt.rna_qa.literature.sources.paper_filters import is_required

Given = TypeVar("Given")
Made = TypeVar("Made")
Papers = list[tuple[Paper, Mention]]


@dataclass(frozen=True)
class Build:
    """All that a task has to know; it travels to other machines, so it holds no key.

    `corpus` names the state of the corpus: while it is the same, so are its shards.
    """

    work: Path
    options: LiteratureOptions
    run: RunOptions
    corpus: str

    def shard(self, stage: str, number: int) -> Path:
        return shard_path(self.work, stage, number)

    def open_corpus(self) -> Corpus:
        return Corpus(self.work / "corpus.sqlite")


def task_stages(options: LiteratureOptions) -> dict[str, list[str]]:
    """The folders of each stage that is done in shards: one for each way of annotating."""
    return {
        "topics": ["topics"],
        "annotate": [f"annotate-{mode}" for mode in options.modes],
        "questions": [f"questions-{mode}" for mode in options.modes],
    }


def is_current(build: Build, stage: str, number: int) -> bool:
    """Whether a shard is there, made of what it would be made of now."""
    sidecar = read_sidecar(build.shard(stage, number))
    if sidecar is None:
        return False
    if stage == "topics":
        if sidecar.corpus != _corpus_view(build):
            return False
        return sidecar.fingerprint == _fingerprint_of_topics(build, sidecar.corpus_sha256)
    return sidecar.fingerprint == _fingerprint_of_later(build, stage, number)


def make_shard(build: Build, stage: str, number: int, model: LanguageModel | None = None) -> None:
    """Make one shard of a stage; `model` answers where the build uses one.

    Raises:
        RunStopped, Pending: as the language model does; nothing is written then.
        DiskFullError: if there is no room.
        OSError, RuntimeError, ValueError: as the stage's own work does; nothing is written then.
    """
    name, _, mode = stage.partition("-")
    if name == "topics":
        _make_topics(build, number)
    elif name == "annotate":
        _make_later(build, stage, number, _annotation_lines(build, number, mode, model))
    else:
        _make_later(build, stage, number, _question_lines(build, number, mode, model))


def make_or_postpone_shard(build: Build, stage: str, number: int, model: LanguageModel) -> None:
    """Make a shard if all answers to its requests are there; else they wait for a batch now."""
    with suppress(Pending):
        make_shard(build, stage, number, model)


def read_annotations(work: Path, mode: str, number: int) -> Iterator[tuple[Rna, Annotation]]:
    """The RNAs of a shard that have papers, with what was found about each, in order of id."""
    for line in read_lines(shard_path(work, f"annotate-{mode}", number)):
        fields = json.loads(line)
        yield Rna.from_fields(fields["rna"]), Annotation.from_fields(fields["annotation"])


def read_questions(work: Path, mode: str, number: int) -> Iterator[tuple[str, list[QaPair]]]:
    """The ids of the same RNAs, each with its questions."""
    for line in read_lines(shard_path(work, f"questions-{mode}", number)):
        fields = json.loads(line)
        yield fields["rna_id"], [QaPair.from_fields(pair) for pair in fields["questions"]]


# Topics


def _fingerprint_of_topics(build: Build, corpus_sha256: str) -> str:
    from rnagpt.rna_qa.literature.text import topics

    version = (STAGE_VERSIONS["topics"], topics.VERSION)
    return fingerprint("topics", version, _topic_options(build.options), corpus_sha256)


def _topic_options(options: LiteratureOptions) -> dict[str, Any]:
    # Without a language model there is no request for the papers to fit into.
    budget = None if options.mode == "extractive" else options.token_budget
    return {"seed": options.seed, "max_topics": options.max_topics, "token_budget": budget}


def _corpus_view(build: Build) -> str:
    """Names what tasks see of the corpus: while it is the same, no shard has to be read again."""
    return fingerprint(build.corpus, build.options.require_mention, build.options.shard_size)


def _make_topics(build: Build, number: int) -> None:
    path = build.shard("topics", number)
    if (old := read_sidecar(path)) and _renew_topics(build, number, path, old):
        return
    digest = hashlib.sha256()
    counts: Counter[str] = Counter()

    def describe(sha256: str) -> Sidecar:
        found = digest.hexdigest()
        made_of = _fingerprint_of_topics(build, found)
        return Sidecar(made_of, sha256, dict(counts), _corpus_view(build), found)

    write_shard(path, _topic_lines(build, number, digest.update, counts), describe)


def _renew_topics(build: Build, number: int, path: Path, old: Sidecar) -> bool:
    """Keep a shard of an older corpus if its own RNAs and papers are still the same."""
    digest = hashlib.sha256()
    for rna, papers in _corpus_shard(build, number):
        digest.update(_corpus_bytes(rna, papers))
    found = digest.hexdigest()
    if old.fingerprint != _fingerprint_of_topics(build, found):
        return False
    write_sidecar(path, replace(old, corpus=_corpus_view(build)))
    return True


def _topic_lines(
    build: Build, number: int, update: Callable[[bytes], None], counts: Counter[str]
) -> Iterator[str]:
    from rnagpt.rna_qa.literature.text.topics import group_papers

    options = _topic_options(build.options)
    for rna, papers in _corpus_shard(build, number):
        update(_corpus_bytes(rna, papers))
        counts["rnas"] += 1
        if not papers:
            counts["rnas without papers"] += 1
            continue
        topics = group_papers(rna.id, [paper for paper, _ in papers], names=rna.names, **options)
        counts["papers of RNAs"] += len(papers)
        counts["groups of papers"] += len(topics.groups)
        yield topics.to_json()


def _corpus_shard(build: Build, number: int) -> Iterator[tuple[Rna, Papers]]:
    wanted = build.options.require_mention
    with build.open_corpus() as corpus:
        for rna, papers in corpus.read_shard(number, build.options.shard_size):
            required = [pair for pair in papers if is_required(pair[1], wanted)]
            reads_bodies = build.options.full_text is not None
            yield rna, [(_about(rna, paper, reads_bodies), one) for paper, one in required]


def _about(rna: Rna, paper: Paper, reads_body: bool) -> Paper:
    """The paper with those sentences of its full text that name the RNA, or without it."""
    if not (paper.body and reads_body):
        return replace(paper, body=None)
    from rnagpt.rna_qa.literature.text.passages import passages

    return replace(paper, body=passages(paper.body, rna.names))


def _corpus_bytes(rna: Rna, papers: Papers) -> bytes:
    records = [rna.to_json(), *(record.to_json() for pair in papers for record in pair)]
    return "\n".join([*records, "\n"]).encode()


# Annotations and questions


def _fingerprint_of_later(build: Build, stage: str, number: int) -> str | None:
    """What a shard is made of; None while the shard before it is missing."""
    name, _, mode = stage.partition("-")
    before = "topics" if name == "annotate" else f"annotate-{mode}"
    sidecar = read_sidecar(build.shard(before, number))
    if sidecar is None:
        return None
    made_of = (sidecar.sha256, sidecar.corpus_sha256)
    used = ["language_model", "request_options"]
    used += ["seed"] if name == "questions" else ["claims_per_topic", "token_budget"]
    if name == "annotate" and build.options.reads != "abstracts":
        used.append("reads")
    options = {option: getattr(build.options, option) for option in used}
    return fingerprint(name, mode, _version(name, mode), options, made_of)


def _version(name: str, mode: str) -> list[Any]:
    """Of the code, and of the prompts where a language model is asked."""
    from rnagpt.rna_qa.literature.claims import (
        annotate,
        extractive,
        prompts,
        question_generation,
        validation,
    )

    version: list[Any] = [STAGE_VERSIONS[name]]
    if name == "questions":
        version.append(question_generation.VERSION)
    elif mode == "extractive":
        version.append(extractive.VERSION)
    else:
        version += [annotate.VERSION, validation.VERSION]
    return version if mode == "extractive" else [*version, prompts.prompt_hashes()]


def _make_later(
    build: Build, stage: str, number: int, lines: Iterator[tuple[str, Counter[str]]]
) -> None:
    made_of = _fingerprint_of_later(build, stage, number)
    if made_of is None:
        raise ValueError(f"{stage}, shard {number}: the stage before it is not done")
    counts: Counter[str] = Counter()

    def counted() -> Iterator[str]:
        for line, more in lines:
            counts.update(more)
            yield line

    path = build.shard(stage, number)
    write_shard(path, counted(), lambda sha256: Sidecar(made_of, sha256, dict(counts)))


def _annotation_lines(
    build: Build, number: int, mode: str, model: LanguageModel | None
) -> Iterator[tuple[str, Counter[str]]]:
    annotate = _annotator(build, mode, model)
    grouped = read_groups(build, number)
    threads = 1 if mode == "extractive" else build.run.concurrency
    for rna, annotation in _in_order(lambda group: (group[0], annotate(*group)), grouped, threads):
        counts = Counter(
            {
                "rnas": 1,
                "rnas with claims": int(bool(annotation.claims)),
                "claims kept": len(annotation.claims),
            }
        )
        counts.update({f"rejected: {why}": n for why, n in annotation.rejected.items()})
        yield _line(rna=asdict(rna), annotation=asdict(annotation)), counts


def read_groups(build: Build, number: int) -> Iterator[tuple[Rna, Topics, list[Paper]]]:
    """The RNAs of a shard that have papers, with their groups and their papers."""
    groups = map(Topics.from_json, read_lines(build.shard("topics", number)))
    for rna, papers in _corpus_shard(build, number):
        if papers:
            topics = next(groups)
            if topics.rna_id != rna.id:
                raise ValueError(f"shard {number}: topics of {topics.rna_id} where {rna.id} is due")
            yield rna, topics, [paper for paper, _ in papers]


def _annotator(
    build: Build, mode: str, model: LanguageModel | None
) -> Callable[[Rna, Topics, list[Paper]], Annotation]:
    options = build.options
    if model is None:
        from rnagpt.rna_qa.literature.claims.extractive import annotate as extract

        return partial(extract, per_topic=options.claims_per_topic)
    from rnagpt.rna_qa.literature.claims.annotate import annotate

    return partial(
        annotate,
        model=model,
        mode=mode,
        token_budget=options.token_budget,
        claims_per_topic=options.claims_per_topic,
        reads=options.reads,
    )


def _question_lines(
    build: Build, number: int, mode: str, model: LanguageModel | None
) -> Iterator[tuple[str, Counter[str]]]:
    from rnagpt.rna_qa.literature.claims.question_generation import ask

    seed = build.options.seed
    annotated = read_annotations(build.work, mode, number)
    threads = 1 if model is None else build.run.concurrency
    asked = _in_order(
        lambda annotated_rna: (annotated_rna[0], ask(*annotated_rna, model, seed)),
        annotated,
        threads,
    )
    for rna, pairs in asked:
        counts = Counter({"questions": len(pairs), "rnas with questions": int(bool(pairs))})
        yield _line(rna_id=rna.id, questions=list(map(asdict, pairs))), counts


def _line(**fields: Any) -> str:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def _in_order(
    function: Callable[[Given], Made], items: Iterable[Given], threads: int
) -> Iterator[Made]:
    """Map with several requests open at a time; results come in the order of the items.

    Where requests wait for a batch, all items are tried all the same, so that they wait for one.
    """

    def attempt(item: Given) -> Made | Pending:
        try:
            return function(item)
        except Pending as later:
            return later

    postponed = None
    with ThreadPoolExecutor(threads) as pool:
        # One thread takes an item when the one before is done with, a pool all of them at once.
        for made in (map if threads == 1 else pool.map)(attempt, items):
            if isinstance(made, Pending):
                postponed = made
            else:
                yield made
    if postponed:
        raise postponed


__all__ = [
    "Build",
    "is_current",
    "make_or_postpone_shard",
    "make_shard",
    "read_annotations",
    "read_groups",
    "read_questions",
    "task_stages",
]
