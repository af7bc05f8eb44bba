"""Training rows from RNA-QA: grouped by RNA, cleaned, sampled, shortened, measured.

Both stages end in the same columns, one row per RNA:

- `id`, `sequence`: the RNA, its sequence cleaned;
- `questions`, `answers`: lists of the same length in the instruction stage; in the alignment stage
  `questions` is empty and `answers` holds only the annotation;
- `novel_family`, where `negatives` added some: whether the RNA is shown as one of a new family;
- `rna_changes`, where copies are to be changed: the share of their letters that may be;
- `length`: tokens that the row is expected to take in the language model, for grouping by length.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset
from datasets.table import InMemoryTable

from rnagpt.cleaning_rnagpt import RnaSequenceError, clean_rna
from rnagpt.reference.records import Record
from rnagpt.sequences.dataset_loading import choose_split, load_splits
from rnagpt.training.columns import check_texts, take_columns
from rnagpt.training.evidence_rows import add_evidence
from rnagpt.training.negatives import add_decoys, add_novel_families

if TYPE_CHECKING:
    from rnagpt.processing_rnagpt import RnaGptProcessor

ALIGNMENT, INSTRUCTION = TRAINING_STAGES = ("alignment", "instruction")
ABOUT_LETTERS = "sequence"  # category of the questions on length and composition
DATASET_CONFIGS = {ALIGNMENT: "annotations", INSTRUCTION: "qa"}
COLUMNS = {
    ALIGNMENT: ("id", "sequence", "annotation"),
    INSTRUCTION: ("id", "sequence", "question", "answer"),
}
# What to do without a split.
SPLIT_ADVICE = (
    "Name one of them with --dataset_train_split or --dataset_test_split, or train without "
    "evaluation: --eval_strategy no."
)

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def load_rnas(
    name: str,
    config: str | None,
    split: str,
    stage: str,
    skip_categories: Sequence[str] = (),
    columns: Mapping[str, str] | None = None,
) -> Dataset:
    """Loads one split of a data set with the columns of RNA-QA and groups its rows by RNA.

    Args:
        name: Hub id or folder of the data set.
        config: its configuration; None takes the stage's own (`annotations` or `qa`), or the only
            one that there is.
        split: name of the split.
        stage: `"alignment"` or `"instruction"`.
        skip_categories: questions of these categories are left out (column `category`).
        columns: what the data set calls the columns: see `dataset_columns`.

    Returns:
        One row per RNA: `id`, `sequence`, `questions`, `answers`, and `family` and `categories` (of
        the questions) where the data set has them.

    Raises:
        ValueError: the configuration or the split is missing, the split is empty, a column is
            missing or holds no text, or a row lacks something.
    """
    usual = DATASET_CONFIGS[stage] if columns is None else None
    splits = load_splits(name, config, usual)
    rows = choose_split(splits, split, name, SPLIT_ADVICE)
    rows = take_columns(rows, columns or {})
    missing = [column for column in COLUMNS[stage] if column not in rows.column_names]
    if missing:
        raise ValueError(
            f"The {stage} stage needs the columns {', '.join(COLUMNS[stage])}; {name!r} "
            f"({config or usual or 'its default configuration'}) lacks {', '.join(missing)} and "
            f"has {', '.join(rows.column_names)}. Choose another configuration with "
            "--dataset_config, or say with --columns what it calls them."
        )
    check_texts(rows, COLUMNS[stage], repr(name))
    if skip_categories:
        rows = without_categories(rows, skip_categories)
    return group_by_rna(rows, stage)


def without_categories(rows: Dataset, categories: Sequence[str]) -> Dataset:
    """The rows whose `category` is none of these, each of which must occur."""
    if "category" not in rows.column_names:
        raise ValueError(
            "--skip_categories needs the column category; the data set has "
            f"{', '.join(rows.column_names)}."
        )
    column = np.asarray(rows["category"])
    known = {str(category) for category in set(column) if category is not None}
    unknown = set(categories) - known
    if unknown:
        raise ValueError(
            f"No question is of the category {', '.join(sorted(unknown))}; the data set has "
            f"{', '.join(sorted(known))}."
        )
    return rows.select(np.flatnonzero(~np.isin(column, list(categories))))


def group_by_rna(rows: Dataset, stage: str) -> Dataset:
    """One row per RNA from contiguous rows with the same `id` and the same `sequence`.

    Works on Arrow arrays, so that millions of questions are grouped in seconds without a copy in
    Python objects.
    """
    table = rows.flatten_indices().data.table if rows._indices is not None else rows.data.table
    ids = _column(table, "id")
    if stage == ALIGNMENT:
        starts = np.arange(len(ids))
        texts, questions = _column(table, "annotation"), _column(table, "annotation").slice(0, 0)
        question_offsets = np.zeros(len(ids) + 1)
    else:
        starts = _starts_of_runs(ids, _column(table, "sequence"))
        texts, questions = _column(table, "answer"), _column(table, "question")
        question_offsets = np.append(starts, len(ids))
    offsets = pa.array(np.append(starts, len(ids)), pa.int64())
    columns: dict[str, pa.Array] = {
        "id": ids.take(pa.array(starts)),
        "sequence": _column(table, "sequence").take(pa.array(starts)),
        "questions": pa.LargeListArray.from_arrays(
            pa.array(question_offsets, pa.int64()), questions
        ),
        "answers": pa.LargeListArray.from_arrays(offsets, texts),
    }
    if stage == INSTRUCTION and "category" in table.column_names:
        columns["categories"] = pa.LargeListArray.from_arrays(offsets, _column(table, "category"))
    if "family" in table.column_names:
        columns["family"] = _column(table, "family").take(pa.array(starts))
    return Dataset(InMemoryTable(pa.table(columns)))


def _starts_of_runs(*columns: pa.Array) -> np.ndarray:
    """Where a row differs from the one before it in any column; the first row is one."""
    ends = [pc.run_end_encode(column).run_ends.to_numpy() for column in columns]
    # Two RNAs under one id stay two: no answer may be joined to another's sequence.
    return np.unique(np.concatenate([[0], *(end[:-1] for end in ends)])).astype(np.int64)


def _column(table: pa.Table, name: str) -> pa.Array:
    # 32-bit offsets of `string` overflow at 2 GiB of text when the chunks are joined.
    return table[name].cast(pa.large_string()).combine_chunks()


def drop_unusable(
    rnas: Dataset, processor: "RnaGptProcessor", max_rna_tokens: int
) -> tuple[Dataset, Counter[str]]:
    """Cleans every sequence; drops the RNAs that the cleaner rejects or that take too many tokens.

    Args:
        rnas: rows with a column `sequence`.
        processor: gives the rules of cleaning and the number of tokens an RNA takes.
        max_rna_tokens: most tokens that an RNA may take in the language model.

    Returns:
        The rows that are left, with cleaned sequences, and how many were dropped for what reason.
    """
    kept: list[int] = []
    sequences: list[str] = []
    dropped: Counter[str] = Counter()
    for index, sequence in enumerate(rnas["sequence"]):
        try:
            cleaned = clean_rna(
                sequence,
                max_length=processor.max_rna_length,
                max_ambiguous=processor.max_ambiguous,
            )
        except RnaSequenceError:
            dropped["sequence_refused"] += 1
            continue
        if processor.num_rna_tokens(len(cleaned.sequence)) > max_rna_tokens:
            dropped["rna_too_long"] += 1
            continue
        kept.append(index)
        sequences.append(cleaned.sequence)
    rnas = rnas.select(kept).remove_columns("sequence").add_column("sequence", sequences)
    return rnas, dropped


def sample_rnas(
    rnas: Dataset, max_rnas: int | None, max_rnas_per_family: int | None, seed: int
) -> Dataset:
    """Draws at most `max_rnas` RNAs, at most `max_rnas_per_family` of each family, by `seed`.

    Raises:
        ValueError: a limit per family is given and there is no column `family`.
    """
    order = np.random.default_rng(seed).permutation(len(rnas))
    if max_rnas_per_family is not None:
        if "family" not in rnas.column_names:
            raise ValueError(
                "max_rnas_per_family needs a column 'family'; the data set has "
                f"{', '.join(rnas.column_names)}. Leave the option out or add the column."
            )
        seen: Counter[str] = Counter()
        families = list(rnas["family"])
        chosen = []
        for index in order:
            seen[families[index]] += 1
            if seen[families[index]] <= max_rnas_per_family:
                chosen.append(index)
        order = np.array(chosen)
    return rnas.select(order[:max_rnas])


def shorten_at_sentence(text: str, num_tokens: list[int], max_tokens: int) -> str:
    """The longest run of whole sentences from the start of `text` of at most `max_tokens` tokens.

    Args:
        text: prose; a sentence ends at `.`, `!` or `?` before white space.
        num_tokens: tokens of each sentence of `sentences(text)`.
        max_tokens: most tokens that the result may have.

    Returns:
        The shortened text; empty where the first sentence is already too long.
    """
    fitting = int(np.searchsorted(np.cumsum(num_tokens), max_tokens, side="right"))
    return " ".join(sentences(text)[:fitting])


def sentences(text: str) -> list[str]:
    """The sentences of `text`, without the white space between them."""
    return _SENTENCE_END.split(text.strip())


def fit_texts(
    rnas: Dataset,
    processor: "RnaGptProcessor",
    *,
    max_text_tokens: int | None,
    max_sequence_tokens: int,
    questions_per_sequence: int | None,
) -> tuple[Dataset, Counter[str]]:
    """Shortens answers, drops what does not fit, and measures every row.

    Args:
        rnas: rows of `drop_unusable`.
        processor: its tokenizer counts.
        max_text_tokens: most tokens of an answer or annotation, end-of-text included; a longer one
            is shortened at a sentence end. None: no limit.
        max_sequence_tokens: most tokens of RNA, question and answer together.
        questions_per_sequence: how many questions of one RNA share a sequence. None: all.

    Returns:
        Rows with the columns of this module's docstring, and counts: `answers_shortened`,
        `answers_dropped` (no whole sentence fits), `texts_too_long`, `texts_with_control_tokens`,
        `rnas_without_text`.
    """
    counts: Counter[str] = Counter()
    tokenizer = processor.tokenizer
    added = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    control = re.compile("|".join(map(re.escape, {*added, *tokenizer.all_special_tokens})))

    def count_tokens(texts: list[str]) -> list[int]:
        # Questions come in few wordings, and RNAs of a family share answers.
        unique = list(dict.fromkeys(texts))
        encoded = tokenizer(unique, add_special_tokens=False)["input_ids"] if unique else []
        lengths = {text: len(ids) for text, ids in zip(unique, encoded, strict=True)}
        return [lengths[text] for text in texts]

    def fit(answer: str, num_tokens: int) -> tuple[str, int]:
        if max_text_tokens is None or num_tokens + 1 <= max_text_tokens:
            return answer, num_tokens
        # A space before a sentence may cost a token, so it is counted with each.
        lengths = count_tokens([" " + sentence for sentence in sentences(answer)])
        shortened = shorten_at_sentence(answer, lengths, max_text_tokens - 1)
        counts["answers_shortened" if shortened else "answers_dropped"] += 1
        return shortened, count_tokens([shortened])[0]

    def fit_batch(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        names = ["id", "sequence", "questions", "answers", "length"]
        names += ["novel_family"] * ("novel_family" in batch)
        answer_tokens, question_tokens = (
            iter(count_tokens([text for texts in batch[name] for text in texts]))
            for name in ("answers", "questions")
        )
        rows: list[dict[str, Any]] = []
        for values in zip(*batch.values(), strict=True):
            row = dict(zip(batch, values, strict=True))
            prefix = processor.num_rna_tokens(len(row["sequence"])) + 1
            kept: list[tuple[str, str, int]] = []
            for question, answer in zip(row["questions"] or [""], row["answers"], strict=True):
                asked = next(question_tokens) if row["questions"] else 0
                answer, answered = fit(answer.strip(), next(answer_tokens))
                if not answer:
                    continue
                if control.search(question) or control.search(answer):
                    counts["texts_with_control_tokens"] += 1
                elif prefix + asked + answered > max_sequence_tokens:
                    counts["texts_too_long"] += 1
                else:
                    kept.append((question, answer, asked + answered))
            if not kept:
                counts["rnas_without_text"] += 1
                continue
            shared = min(questions_per_sequence or len(kept), len(kept))
            row["questions"] = [question for question, _, _ in kept] if row["questions"] else []
            row["answers"] = [answer for _, answer, _ in kept]
            row["length"] = prefix + shared * sum(tokens for *_, tokens in kept) // len(kept)
            rows.append(row)
        return {name: [row[name] for row in rows] for name in names}

    # Built in memory, so nothing is cached: the counts are of this very run.
    fitted = rnas.map(
        fit_batch,
        batched=True,
        batch_size=10_000,
        remove_columns=rnas.column_names,
        load_from_cache_file=False,
        desc="Measuring texts",
    )
    return fitted, counts


def prepare_rnas(
    rnas: Dataset,
    processor: "RnaGptProcessor",
    *,
    template_tokens: int,
    max_sequence_tokens: int,
    max_text_tokens: int | None = None,
    questions_per_sequence: int | None = None,
    max_rnas: int | None = None,
    max_rnas_per_family: int | None = None,
    decoy_share: float = 0.0,
    novel_family_share: float = 0.0,
    records: Mapping[str, Record] | None = None,
    evidence_share: float = 0.0,
    rna_changes: float = 0.0,
    seed: int = 0,
) -> tuple[Dataset, dict[str, int]]:
    """From grouped rows to rows that a collator takes, with what was left out, by reason.

    Args:
        rnas: rows of `load_rnas`.
        processor: the model's processor.
        template_tokens: tokens of a sequence that are neither RNA, question nor answer.
        max_sequence_tokens: RNAs and texts that take more are dropped; no RNA is cut.
        max_text_tokens: see `fit_texts`.
        questions_per_sequence: see `fit_texts`.
        max_rnas: most RNAs.
        max_rnas_per_family: most RNAs of a family.
        decoy_share, novel_family_share: see `negatives`.
        records, evidence_share: see `evidence_rows`.
        rna_changes: share of letters that may be changed in the copies that a collator shows.
        seed: of the draw.

    Raises:
        ValueError: nothing is left, or RNAs whose questions ask for their letters would be changed.
    """
    if rna_changes:
        _check_changeable(rnas)
    found = len(rnas)
    room = max_sequence_tokens - template_tokens
    rnas, dropped = drop_unusable(rnas, processor, room - 1)
    rnas = sample_rnas(rnas, max_rnas, max_rnas_per_family, seed)
    known = rnas
    if evidence_share:
        rnas = add_evidence(rnas, records or {}, evidence_share, seed)
    if novel_family_share:
        rnas = add_novel_families(rnas, known, novel_family_share, seed)
    if decoy_share:
        rnas = add_decoys(rnas, known, decoy_share, seed)
    fitted, shortened = fit_texts(
        rnas,
        processor,
        max_text_tokens=max_text_tokens,
        max_sequence_tokens=room,
        questions_per_sequence=questions_per_sequence,
    )
    texts = sum(len(row["answers"]) for row in fitted)
    counts = {"rnas_found": found, "rnas_used": len(fitted), "texts_used": texts}
    counts |= dict(dropped + shortened)
    if len(fitted) == 0:
        raise ValueError(
            f"None of {found} RNAs fits max_sequence_tokens={max_sequence_tokens} and "
            f"max_text_tokens={max_text_tokens} ({counts}). Raise these limits."
        )
    if rna_changes:
        fitted = fitted.add_column("rna_changes", [rna_changes] * len(fitted))
    return fitted, counts


def _check_changeable(rnas: Dataset) -> None:
    """Refuse questions whose answers hold for these very letters alone."""
    asked = rnas["categories"] if "categories" in rnas.column_names else []
    if any(ABOUT_LETTERS in categories for categories in asked):
        raise ValueError(
            f"rna_changes changes letters, and questions of the category {ABOUT_LETTERS!r} ask for "
            f"them. Leave these out: --skip_categories {ABOUT_LETTERS}."
        )


def choose_questions(
    num_questions: int, count: int | None, epoch: int, seed: int, key: str
) -> list[int]:
    """Which of an RNA's questions an epoch asks.

    The questions are shuffled once by `seed` and `key`, and successive epochs take successive
    slices, around the end. So the choice varies from epoch to epoch, every question gets its turn,
    and nothing but the arguments decides: a resumed run asks the same.

    Args:
        num_questions: how many there are.
        count: how many to ask. None: all.
        epoch: number of the epoch, from 0.
        seed: of the run.
        key: the RNA's id.

    Returns:
        `min(count, num_questions)` different indices.
    """
    count = min(count or num_questions, num_questions)
    order = generator_of(key, seed).permutation(num_questions)
    return [int(order[(epoch * count + i) % num_questions]) for i in range(count)]


def generator_of(key: str, *seeds: int) -> np.random.Generator:
    """A generator that nothing but the RNA's id and the seeds decide."""
    digest = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
    return np.random.default_rng([*seeds, digest])


def hash_rows(rows: Iterable[dict[str, Any]]) -> str:
    """SHA-256 over ids, sequences, questions and answers, in order: names the data of a run."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(
            json.dumps([row["id"], row["sequence"], row["questions"], row["answers"]]).encode()
        )
    return digest.hexdigest()
