"""How good cited answers are: by search alone, or with a language model's words.

Every RNA is asked in a reference of the training split alone, which holds nothing of its cluster.
What is measured: whether the right family and type are named, how often one is claimed for what is
of none, the text of what is known, whether the cited record says what a sentence says, whether
accessions exist, yes against no, and what the confidence is worth.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from rnagpt.cleaning_rnagpt import CleanedRna
from rnagpt.evaluation.cited_scores import (
    IDENTIFIERS,
    Ask,
    Backing,
    Candidate,
    Said,
    count_contradictions,
    find_candidates,
    fit_confidence,
    score_confidence,
    score_names,
)
from rnagpt.evaluation.entities import EntityFinder, records_of
from rnagpt.evaluation.matching import AnswerMatcher
from rnagpt.evaluation.metrics import rouge_l
from rnagpt.evaluation.search_quality import (
    AskedRna,
    check_unseen,
    read_rnas,
    split_clusters,
    training_reference,
    with_added,
)
from rnagpt.evaluation.search_queries import CONDITIONS, made_negatives
from rnagpt.evaluation.tasks import FAMILY, KNOWN, QUESTIONS, TYPE
from rnagpt.evaluation.text_rows import score_beside, texts_table
from rnagpt.evidence.answers import CitedAnswer, look_up
from rnagpt.evidence.confidence import confidence_of_evalue
from rnagpt.evidence.gathering import Evidence, Item, gather_evidence
from rnagpt.inference.chat import RnaChat
from rnagpt.inference.cited import MAX_NEW_TOKENS, plan_answer
from rnagpt.inference.local_model import LocalModel
from rnagpt.reference.edit import families_of
from rnagpt.reference.library import EVALUE, Reference
from rnagpt.reference.manifest import MANIFEST
from rnagpt.reference.records import Record
from rnagpt.reference.writer import write_reference
from rnagpt.sequences.dataset_loading import load_splits

# Ways in which RNAs are pasted, of `search_queries.CONDITIONS`.
PASTED = ("100 nt on each side", "antisense, with the strand")
ANY_EVALUE = 100.0  # what is no match is one by this
MAX_HIDDEN = 4  # RNAs of a hidden family
LENGTH, COMPOSITION = "How long is this RNA?", "What is the GC content of this RNA?"


def search_only(reference: Reference, evalue: float = EVALUE) -> Ask:
    """Answers in the records' own words, without a language model."""

    def ask(rnas: Sequence[CleanedRna], questions: Sequence[str]) -> list[list[Said]]:
        found = []
        for rna in rnas:
            evidence = gather_evidence(rna, reference, evalue=evalue, name="RNA")
            found.append(
                [Said(look_up(question, [evidence]).answer, evidence) for question in questions]
            )
        return found

    return ask


def with_model(language: LocalModel, reference: Reference) -> Ask:
    """Answers with a model: in its words where it reads evidence, its reading where none is there.

    All questions about an RNA are asked in one conversation: no answer depends on earlier ones.
    """

    def ask(rnas: Sequence[CleanedRna], questions: Sequence[str]) -> list[list[Said]]:
        found = []
        for rna in rnas:
            chat = RnaChat(language, reference=reference)
            chat.add_rna(rna)
            said = []
            for question in questions:
                for _ in chat.ask(question):
                    pass
                assert chat.answer is not None  # of the question that was read to its end
                said.append(Said(chat.answer, chat.evidence[0]))
            found.append(said)
        return found

    return ask


class CitedEvaluation:
    """The RNAs of a data set and the references that they are asked in.

    Args:
        dataset: that `rna-qa rfam` built.
        reference: of all its RNAs.
        work: folder for the references of parts, made once.
        limit: RNAs of a group.
        seed: of all draws.
        jobs: processes that build profiles.
        split: whose RNAs are asked.
    """

    def __init__(
        self,
        dataset: str,
        reference: Path,
        work: Path,
        *,
        limit: int = 2000,
        seed: int = 0,
        jobs: int = 1,
        split: str = "test",
    ) -> None:
        self.rnas = read_rnas(dataset)
        self.full = Reference.open(reference)
        self.work, self.limit, self.seed, self.jobs = work, limit, seed, jobs
        self.known = training_reference(self.full, self.rnas["train"], work / "train", jobs)
        rows = load_splits(dataset, usual="annotations")
        self.matcher = AnswerMatcher(rows.values())
        self.train = rows["train"]
        self.finder = EntityFinder(rows.values(), records_of(self.full.families))
        self.asked = self._draw(self.rnas[split], limit)
        self.never_seen = self._draw(self.rnas.get("test_families", []), limit)
        self.annotations = {
            (row["id"], row["sequence"]): row["annotation"]
            for row in rows[split].select_columns(["id", "sequence", "annotation"])
        }
        clusters = {rna.sequence: rna.cluster for group in self.rnas.values() for rna in group}
        check_unseen(self.known, [*self.asked, *self.never_seen], clusters)
        self.clusters = clusters

    def _draw(self, rnas: Sequence[AskedRna], limit: int) -> list[AskedRna]:
        random = np.random.default_rng(self.seed)
        return [rnas[n] for n in sorted(random.permutation(len(rnas))[:limit])]

    @cached_property
    def negatives(self) -> dict[str, list[str]]:
        """Sequences of no family by their kind."""
        random = np.random.default_rng([self.seed, 5])
        return made_negatives([rna.sequence for rna in self.asked], self.limit // 4, random)

    def measure(
        self, ask: Ask, extended: Callable[[Reference], Ask], known_limit: int = 200
    ) -> dict[str, Any]:
        """All figures of a system.

        Args:
            ask: the system, over the reference of the training split.
            extended: the system over another reference.
            known_limit: RNAs whose whole text is asked for.
        """
        figures: dict[str, Any] = {"named": {}}
        backing = Backing()
        questions = [QUESTIONS[FAMILY], QUESTIONS[TYPE]]

        def name(
            group: str, sequences: Sequence[str], asked: Sequence[AskedRna | None], by: Ask = ask
        ) -> None:
            said = by([CleanedRna("", sequence) for sequence in sequences], questions)
            for two in said:
                for one in two:
                    backing.add(one)
            figures["named"][group] = asdict(score_names(said, asked, self.matcher))

        name("test clusters", [rna.sequence for rna in self.asked], self.asked)
        for condition in CONDITIONS:
            if condition.name in PASTED:
                random = np.random.default_rng([self.seed, 6])
                pasted = [condition.change(rna.sequence, random) for rna in self.asked]
                name(condition.name, pasted, self.asked)
        name(
            "families never seen",
            [rna.sequence for rna in self.never_seen],
            self.never_seen,  # their type can be told, if not their family
        )
        for kind, sequences in self.negatives.items():
            name(kind, sequences, [None] * len(sequences))
        inside, outside = split_clusters(self.rnas.get("test_families", []))
        if outside:
            reference = with_added(self.full, self.known, inside, self.work / "added", self.jobs)
            check_unseen(reference, outside, self.clusters)
            outside = self._draw(outside, self.limit)
            name(
                "families added today",
                [rna.sequence for rna in outside],
                outside,
                extended(reference),
            )
        figures["known"] = self._known(ask, self.asked[:known_limit], backing)
        figures["texts"] = figures["known"].pop("texts")
        figures["facts"] = self._facts(ask, self.asked[:known_limit])
        random = np.random.default_rng([self.seed, 7])
        figures["yes or no"] = count_contradictions(ask, _cleaned(self.asked[:known_limit]), random)
        figures["backing"] = backing.shares() | {"not backed": backing.not_backed}
        return figures

    def _known(self, ask: Ask, asked: Sequence[AskedRna], backing: Backing) -> dict[str, Any]:
        """ROUGE-L of what is known, and precision and recall of the identifiers in it.

        `texts` holds the scores of the answers and, beside them, of what needs no search.
        """
        said = [row[0] for row in ask(_cleaned(asked), [QUESTIONS[KNOWN]])]
        for one in said:
            backing.add(one)
        references = [self.annotations[rna.id, rna.sequence] for rna in asked]
        answers = [one.answer.plain for one in said]
        overlap = Counter[str]()
        for reference, answer in zip(references, answers, strict=True):
            true, given = set(IDENTIFIERS.findall(reference)), set(IDENTIFIERS.findall(answer))
            overlap += Counter(true=len(true), given=len(given), shared=len(true & given))
        return {
            "rnas": len(asked),
            "texts": score_beside(self.train, self.finder, asked, references, answers, self.seed),
            "ROUGE-L": float(rouge_l(references, answers).mean()),
            "identifiers, precision": overlap["shared"] / max(1, overlap["given"]),
            "identifiers, recall": overlap["shared"] / max(1, overlap["true"]),
        }

    def _facts(self, ask: Ask, asked: Sequence[AskedRna]) -> dict[str, float]:
        """Shares of RNAs whose length and GC content are told right."""
        right = Counter[str]()
        for rna, (length, gc) in zip(
            asked, ask(_cleaned(asked), [LENGTH, COMPOSITION]), strict=True
        ):
            told = re.findall(r"[\d,]+(?= nucleotides)", length.answer.plain)
            right["length"] += told == [f"{len(rna.sequence):,}"]
            letters = Counter(rna.sequence)
            share = (letters["G"] + letters["C"]) / sum(letters[letter] for letter in "ACGU")
            right["GC content"] += re.findall(r"\d+%", gc.answer.plain) == [f"{share:.0%}"]
        return {name: right[name] / max(1, len(asked)) for name in ("length", "GC content")}

    def candidates(self) -> list[Candidate]:
        """Best matches of the RNAs asked, of families never seen and of negatives together."""
        found = find_candidates([rna.sequence for rna in self.asked], self.asked, self.known)
        unseen = [rna.sequence for rna in self.never_seen]
        negatives = [sequence for kind in self.negatives.values() for sequence in kind]
        for group in (unseen, negatives):
            found += find_candidates(group, [None] * len(group), self.known)
        return found


def answers_from_wrong_evidence(
    asked: Sequence[AskedRna], reference: Reference, language: LocalModel | None
) -> dict[str, float]:
    """What is answered from the best record that is of no relative of the RNA.

    Args:
        asked: RNAs.
        reference: without their clusters.
        language: the model that writes; None: the records' own words.
    """
    found = Counter[str]()
    sure: dict[str, list[float]] = {"right": [], "wrong": []}
    for rna in asked:
        cleaned = CleanedRna("", rna.sequence)
        evidence = gather_evidence(cleaned, reference, evalue=ANY_EVALUE, name="RNA")
        own = reference.families.get(rna.family)
        for kind, items in _right_and_wrong(evidence.items, own).items():
            if not items:
                continue
            shown = replace(evidence, items=(replace(items[0], number=1),))
            answer = _answer_from(shown, cleaned, language)
            found[kind] += 1
            found[f"{kind}, cited"] += answer.cites == (1,)
            sure[kind].append(answer.confidence or 0.0)
    return {
        "rnas": found["wrong"],
        "cites the wrong record": found["wrong, cited"] / max(1, found["wrong"]),
        "median confidence": float(np.median(sure["wrong"] or [0.0])),
        "highest confidence": max(sure["wrong"], default=0.0),
        "median confidence of right records": float(np.median(sure["right"] or [0.0])),
    }


def _right_and_wrong(items: Sequence[Item], own: Record | None) -> dict[str, list[Item]]:
    """Records of the RNA's family, and those of families that are no relatives of it."""
    clan = own.clan if own else ""
    right = [item for item in items if own and item.record.id == own.id]
    wrong = [
        item for item in items if item not in right and not (clan and item.record.clan == clan)
    ]
    return {"right": right, "wrong": wrong}


def _answer_from(evidence: Evidence, rna: CleanedRna, language: LocalModel | None) -> CitedAnswer:
    look = look_up(QUESTIONS[FAMILY], [evidence])
    if language is None:
        return look.answer
    plan = plan_answer(look, [rna], reads_evidence=language.reads_evidence, reads_rnas=False)
    if plan.request is None:
        return look.answer
    return plan.conclude(next(language.write_all([plan.request], 1, MAX_NEW_TOKENS, {})))


def calibrate(
    dataset: str,
    reference: Path,
    work: Path,
    *,
    limit: int = 2000,
    hidden_share: float = 0.1,
    seed: int = 0,
    jobs: int = 1,
) -> tuple[float, float, float]:
    """Bias, scale and ceiling of `evidence.confidence`, without a look at the test splits.

    Fitted on the validation RNAs, on RNAs of training families that are hidden from the reference
    for it, and on sequences of no family.

    Args:
        dataset, reference, work, limit, seed, jobs: as of `CitedEvaluation`.
        hidden_share: of the training families.
    """
    rnas = read_rnas(dataset)
    full = Reference.open(reference)
    train = training_reference(full, rnas["train"], work / "train", jobs)
    random = np.random.default_rng([seed, 8])
    hidden = hidden_families(train, hidden_share, random)
    shown = without_families(train, hidden, work / "hidden", jobs)
    asked = [rna for rna in rnas["validation"] if rna.family not in hidden][:limit]
    unseen = _few_of_each([rna for rna in rnas["train"] if rna.family in hidden], random)
    unseen = unseen[: limit // 2]
    negatives = made_negatives([rna.sequence for rna in asked], limit // 10, random)
    found = find_candidates([rna.sequence for rna in asked], asked, shown)
    for group in ([rna.sequence for rna in unseen], *negatives.values()):
        found += find_candidates(group, [None] * len(group), shown)
    return fit_confidence(found)


def hidden_families(base: Reference, share: float, random: np.random.Generator) -> set[str]:
    """A share of the families, drawn with all others of their clans, which are their relatives."""
    groups: dict[str, list[str]] = {}
    for record in base.families.values():
        groups.setdefault(record.clan or record.id, []).append(record.id)
    hidden: set[str] = set()
    for name in random.permutation(sorted(groups)).tolist():
        if len(hidden) < share * len(base.families):
            hidden |= set(groups[name])
    return hidden


def _few_of_each(rnas: Sequence[AskedRna], random: np.random.Generator) -> list[AskedRna]:
    """At most `MAX_HIDDEN` RNAs of a family, in random order."""
    met = Counter[str]()
    chosen = []
    for rna in (rnas[n] for n in random.permutation(len(rnas))):
        met[rna.family] += 1
        if met[rna.family] <= MAX_HIDDEN:
            chosen.append(rna)
    return chosen


def without_families(base: Reference, hidden: set[str], out: Path, jobs: int) -> Reference:
    """A reference without some of its families; one that is there already is taken."""
    if not (out / MANIFEST).is_file():
        write_reference(
            out,
            ((record, seed) for record, seed in families_of(base) if record.id not in hidden),
            name=base.manifest.name,
            profiles=base.hmms(),
            jobs=jobs,
        )
    return Reference.open(out)


def _cleaned(asked: Sequence[AskedRna]) -> list[CleanedRna]:
    return [CleanedRna("", rna.sequence) for rna in asked]


def evaluate_answers(
    dataset: str,
    reference: Path,
    work: Path,
    *,
    model: str | None = None,
    split: str = "test",
    limit: int = 2000,
    known_limit: int = 200,
    seed: int = 0,
    jobs: int = 1,
) -> dict[str, Any]:
    """All figures of the search alone and, where one is named, of a model beside it.

    Args:
        dataset, reference, work, limit, seed, jobs, split: as of `CitedEvaluation`.
        model: folder or Hub id of an RNA-GPT; None: the search alone.
        known_limit: RNAs of which the whole text is asked.
    """
    whole = CitedEvaluation(
        dataset, reference, work, limit=limit, seed=seed, jobs=jobs, split=split
    )
    figures: dict[str, Any] = {
        "confidence": score_confidence(whole.candidates(), confidence_of_evalue),
        "systems": {
            "search only": whole.measure(search_only(whole.known), search_only, known_limit)
        },
    }
    few = whole.asked[:known_limit]
    misled = partial(answers_from_wrong_evidence, few, whole.known)
    figures["systems"]["search only"]["wrong evidence"] = misled(None)
    if model is not None:
        language = LocalModel.open(model)
        figures["systems"]["with a model"] = whole.measure(
            with_model(language, whole.known), partial(with_model, language), known_limit
        )
        figures["systems"]["with a model"]["wrong evidence"] = misled(language)
    return figures


_NAMED = ("right_family", "claimed_family", "right_type", "claimed_type")
_CONFIDENCE = (
    "base rate",
    "AUROC",
    "calibration error",
    "Brier",
    "Brier of the base rate",
    "better by",
)


def report(figures: Mapping[str, Mapping[str, Any]], command: str) -> str:
    """The figures of several systems as Markdown, with the command that made them."""
    lines = ["# How good cited answers are", "", f"    {command}"]
    for system, found in figures["systems"].items():
        lines += ["", f"## {system}", ""]
        lines += _table("asked", _NAMED, found["named"])
        lines += ["", "What is known, with 95 % intervals by resampling families:", ""]
        lines += texts_table(found["texts"])
        for part in ("known", "facts", "yes or no", "backing", "wrong evidence"):
            told = (
                f"{name} {value:.3f}" if isinstance(value, float) else f"{name} {value:,}"
                for name, value in found[part].items()
                if not isinstance(value, list)
            )
            lines += ["", f"{part}: {', '.join(told)}."]
    lines += ["", "## Confidence", "", *_table("of", _CONFIDENCE, figures["confidence"]), ""]
    return "\n".join(lines)


def _table(
    first: str, columns: Sequence[str], rows: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    heads = [first, "RNAs", *(column.replace("_", " ") for column in columns)]
    yield f"| {' | '.join(heads)} |"
    yield f"|{' --- |' * len(heads)}"
    for name, row in rows.items():
        cells = [name, f"{row['rnas']:,}", *(f"{row[column]:.3f}" for column in columns)]
        yield f"| {' | '.join(cells)} |"


__all__ = [
    "CitedEvaluation",
    "calibrate",
    "evaluate_answers",
    "report",
    "search_only",
]
