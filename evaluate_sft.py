"""
Measures how often RNA-GPT names an RNA's family and type, and whether it reads the RNA for that.

# The mini, on 1,000 RNAs of the cluster test split
```bash
python evaluate_sft.py --model rna-gpt-mini --dataset rna-qa out/evaluation
```

# Beside the bare language model with the RNA as text; bfloat16 is faster on GPUs and new CPUs
```bash
python evaluate_sft.py --model rna-gpt-mini --dataset rna-qa --dtype bfloat16 \
    --language_model HuggingFaceTB/SmolLM2-135M-Instruct out/evaluation
```

# Types of RNAs whose families were never seen in training
```bash
python evaluate_sft.py --model rna-gpt-mini --dataset rna-qa \
    --split test_families --min_training_rnas 0 out/unseen
```

OUT receives `results.json` (every figure with its 95 % interval, settings, versions), `table.md`,
and `predictions.jsonl` with all answers. A run that was interrupted, or is repeated with a larger
`--limit`, asks only what is missing there: answers of the same weights, questions and
`--max_new_tokens` are taken from the file.
"""

import argparse
import hashlib
import importlib.metadata
import json
import os
import shlex
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, load_dataset
from sklearn.feature_extraction.text import TfidfVectorizer
from tqdm import tqdm
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

import rnagpt
from rnagpt.chat_rnagpt import answer_questions, load_model, load_processor
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.naming_score import Names, bootstrap_interval, draw_partners
from rnagpt.processing_rnagpt import CleanedRna, RnaGptProcessor, RnaSequenceError, clean_rna

QUESTIONS = ("Which RNA family does this sequence belong to?", "What type of RNA is this?")
COLUMNS = ("id", "sequence", "rna_type", "family", "family_accession", "family_description")
RNA_GPT, SEQUENCE = "rnagpt", "sequence"
FIGURES = {
    "family": "right family",
    "family_only": "right family, no other",
    "type": "right type",
}
KMER_SIZE = 8
VERSIONS_OF = ("torch", "transformers", "datasets", "numpy", "scikit-learn")

Row = dict[str, Any]
Right = dict[str, bool]
# Answers to QUESTIONS about each RNA, in order.
Ask = Callable[[list["DrawnRna"]], Iterator[list[str]]]


@dataclass(frozen=True)
class DrawnRna:
    """An RNA to ask about; `sequence` as in the data set, `cleaned` as the model reads it."""

    id: str
    sequence: str
    cleaned: CleanedRna
    family: str
    accession: str
    type: str


def load_annotations(name: str, split: str) -> tuple[Dataset, Dataset]:
    """Loads the annotations of the training split and of the split to evaluate on.

    Raises:
        ValueError: a split is missing or empty, or a column is missing.
    """
    splits = load_dataset(name, "annotations")
    for needed in ("train", split):
        if needed not in splits:
            raise ValueError(
                f"{name!r} has no split {needed!r}; its splits are {', '.join(splits)}. "
                "Name one of them with --split; the training RNAs have to be in 'train'."
            )
        missing = [column for column in COLUMNS if column not in splits[needed].column_names]
        if missing:
            raise ValueError(
                f"The columns {', '.join(COLUMNS)} are needed; the split {needed!r} of {name!r} "
                f"lacks {', '.join(missing)} and has {', '.join(splits[needed].column_names)}."
            )
        if len(splits[needed]) == 0:
            raise ValueError(f"The split {needed!r} of {name!r} is empty.")
    train, test = (splits[part].select_columns(list(COLUMNS)) for part in ("train", split))
    return train, test


def draw_rnas(
    train: Dataset,
    test: Dataset,
    processor: RnaGptProcessor,
    *,
    limit: int,
    min_training_rnas: int,
    seed: int,
) -> tuple[list[DrawnRna], dict[str, int]]:
    """Draws RNAs of families with enough training RNAs; a larger limit draws the same and more.

    Returns:
        The RNAs, and how many there were to choose from and were refused by the cleaner.

    Raises:
        ValueError: no RNA is of such a family, or none is accepted.
    """
    sizes = Counter(train["family_accession"][:])
    accessions = test["family_accession"][:]
    eligible = [i for i, family in enumerate(accessions) if sizes[family] >= min_training_rnas]
    rnas: list[DrawnRna] = []
    refused = 0
    for index in np.random.default_rng(seed).permutation(eligible).astype(int).tolist():
        if len(rnas) == limit:
            break
        row = test[index]
        try:
            cleaned = clean_rna(
                row["sequence"],
                name=row["id"],
                max_length=processor.max_rna_length,
                max_ambiguous=processor.max_ambiguous,
            )
        except RnaSequenceError:
            refused += 1
            continue
        rnas.append(
            DrawnRna(
                id=row["id"],
                sequence=row["sequence"],
                cleaned=cleaned,
                family=row["family"],
                accession=row["family_accession"],
                type=row["rna_type"],
            )
        )
    if not rnas:
        raise ValueError(
            f"Of {len(test):,} RNAs, {len(eligible):,} are of families with at least "
            f"{min_training_rnas} training RNAs, and {refused:,} were refused: none is left to ask "
            "about. Lower --min_training_rnas."
        )
    counts = {"rnas": len(test), "eligible": len(eligible), "refused": refused, "drawn": len(rnas)}
    return rnas, counts | {"families": len({rna.accession for rna in rnas})}


class Judge:
    """Tells whether answers to QUESTIONS are right.

    Names are looked for among those of all families and types of the data set: see `Names`.
    """

    def __init__(self, *splits: Dataset) -> None:
        names: dict[str, set[str]] = {}
        types: dict[str, set[str]] = {}
        for rows in splits:
            spellings = ("family_accession", "family", "family_description")
            for accession, *others in set(zip(*(rows[name][:] for name in spellings), strict=True)):
                names.setdefault(accession, {accession}).update(filter(None, others))
            types |= {rna_type: {rna_type} for rna_type in set(rows["rna_type"][:])}
        self.families = Names(names)
        self.types = Names(types)

    def __call__(self, answers: Sequence[str], accession: str, rna_type: str) -> Right:
        """Whether the answer of each question is right, by the figures' names."""
        of_family, of_type = answers
        named = self.families.named_in(of_family)
        return {
            "family": accession in named,
            "family_only": named == {accession},
            "type": rna_type in self.types.named_in(of_type),
        }


def read_predictions(path: Path, settings: str) -> dict[tuple[str, ...], list[str]]:
    """Answers that an earlier run with the same settings wrote, by `_key`."""
    if not path.exists():
        return {}
    text = path.read_text()
    complete = text[: text.rfind("\n") + 1]
    if complete != text:
        # The last line was being written when the run was killed.
        os.truncate(path, len(complete.encode()))
    rows = map(json.loads, complete.splitlines())
    return {
        (row["id"], row["family_accession"], row["sequence"]): row["answers"]
        for row in rows
        if row["settings"] == settings
    }


def _key(rna: DrawnRna) -> tuple[str, ...]:
    # A region may be listed in two families, and another data set may reuse an identifier.
    return rna.id, rna.accession, rna.sequence


def predict(
    path: Path, system: str, settings: str, rnas: Sequence[DrawnRna], ask: Ask, judge: Judge
) -> list[list[str]]:
    """Answers to QUESTIONS about each RNA; asks and appends those that the file lacks.

    Args:
        path: the file of predictions.
        system: what answers, for the reader of the file.
        settings: digest of all that answers depend on, the RNA apart.
    """
    known = read_predictions(path, settings)
    # RNAs of similar length share a batch; a lack of memory shows at once with the longest first.
    waiting = [rna for rna in rnas if _key(rna) not in known]
    waiting.sort(key=lambda rna: len(rna.sequence), reverse=True)
    progress = tqdm(total=len(rnas), initial=len(rnas) - len(waiting), desc=system, unit="RNA")
    with path.open("a") as file, progress:
        for rna, answers in zip(waiting, ask(waiting), strict=True):
            row = {
                "system": system,
                "id": rna.id,
                "family": rna.family,
                "family_accession": rna.accession,
                "type": rna.type,
                "questions": QUESTIONS,
                "answers": answers,
                "right": judge(answers, rna.accession, rna.type),
                "sequence": rna.sequence,
                "settings": settings,
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            file.flush()
            known[_key(rna)] = answers
            progress.update()
    return [known[_key(rna)] for rna in rnas]


def ask_rnagpt(
    model: RnaGptForCausalLM, processor: RnaGptProcessor, batch_size: int, max_new_tokens: int
) -> Ask:
    """RNA-GPT, greedily."""

    def ask(rnas: list[DrawnRna]) -> Iterator[list[str]]:
        answers = answer_questions(
            model,
            processor,
            [rna.cleaned for rna in rnas],
            QUESTIONS,
            batch_size=batch_size,
            max_new_tokens=max_new_tokens,
        )
        for _ in rnas:
            yield [next(answers).answer for _ in QUESTIONS]

    return ask


class SequenceAsText:
    """A bare language model that is given the RNA as letters, as any chat model would be.

    Raises:
        ValueError: the language model has no chat template, or an RNA does not fit its context.
    """

    def __init__(
        self, name_or_path: str, rnas: Sequence[DrawnRna], batch_size: int, max_new_tokens: int
    ) -> None:
        self.name_or_path = name_or_path
        self.batch_size = batch_size
        self.max_new_tokens = max_new_tokens
        self.tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            name_or_path, padding_side="left"
        )
        if self.tokenizer.chat_template is None:
            raise ValueError(
                f"{name_or_path} has no chat template, so it cannot be asked questions. "
                "Give an instruction-tuned model with --language_model."
            )
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        context = AutoConfig.from_pretrained(name_or_path).get_text_config().max_position_embeddings
        for rna in rnas:
            length = max(map(len, self._encode(self._prompts(rna))["input_ids"])) + max_new_tokens
            if length > context:
                raise ValueError(
                    f"{rna.id}: {len(rna.cleaned.sequence):,} nt as text and {max_new_tokens} "
                    f"tokens of answer take {length:,} tokens; {name_or_path} reads {context:,}."
                )

    def load(self, dtype: torch.dtype) -> PreTrainedModel:
        model = AutoModelForCausalLM.from_pretrained(self.name_or_path, dtype=dtype)
        has_accelerator = torch.accelerator.is_available()
        return model.to(torch.accelerator.current_accelerator() if has_accelerator else "cpu")

    def ask(self, model: PreTrainedModel) -> Ask:
        """The language model, greedily."""

        def ask(rnas: list[DrawnRna]) -> Iterator[list[str]]:
            per_batch = max(1, self.batch_size // len(QUESTIONS))
            for start in range(0, len(rnas), per_batch):
                batch = rnas[start : start + per_batch]
                prompts = [prompt for rna in batch for prompt in self._prompts(rna)]
                answers = iter(self._generate(model, prompts))
                yield from ([next(answers) for _ in QUESTIONS] for _ in batch)

        return ask

    def _prompts(self, rna: DrawnRna) -> list[str]:
        """The prompt of each question."""
        sequence = rna.cleaned.sequence
        contents = [f"Here is an RNA sequence:\n{sequence}\n\n{question}" for question in QUESTIONS]
        return self.tokenizer.apply_chat_template(
            [[{"role": "user", "content": content}] for content in contents],
            tokenize=False,
            add_generation_prompt=True,
        )

    def _encode(self, prompts: list[str], **options: Any) -> Any:
        # The template writes the token of the beginning itself.
        return self.tokenizer(prompts, add_special_tokens=False, **options)

    def _generate(self, model: PreTrainedModel, prompts: list[str]) -> list[str]:
        inputs = self._encode(prompts, padding=True, return_tensors="pt").to(model.device)
        sequences = model.generate(
            **inputs,
            do_sample=False,
            max_new_tokens=self.max_new_tokens,
            pad_token_id=self.tokenizer.pad_token_id,
        )
        new_ids = sequences[:, inputs["input_ids"].shape[1] :]
        texts = self.tokenizer.batch_decode(new_ids, skip_special_tokens=True)
        return [text.strip() for text in texts]


def hash_settings(
    model: torch.nn.Module, tokenizer: PreTrainedTokenizerBase, max_new_tokens: int
) -> str:
    """SHA-256 of all that greedy answers depend on: weights with their dtype, prompt, length."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    prompt = [tokenizer.chat_template, *QUESTIONS, max_new_tokens]
    digest.update(json.dumps(prompt).encode())
    return digest.hexdigest()


def find_nearest(
    train: Sequence[str], sequences: Sequence[str], kmer_size: int = KMER_SIZE, chunk: int = 64
) -> list[int | None]:
    """The training sequence that shares most k-mers with each sequence (TF-IDF, cosine).

    Returns:
        Its position; None where no k-mer is shared.
    """
    vectorizer = TfidfVectorizer(
        analyzer="char", ngram_range=(kmer_size, kmer_size), dtype=np.float32
    )
    known = vectorizer.fit_transform(train).T.tocsr()
    queries = vectorizer.transform(sequences)
    nearest: list[int | None] = []
    for start in range(0, len(sequences), chunk):
        # Rows are of unit length, so products are cosines.
        cosines = (queries[start : start + chunk] @ known).toarray()
        best = cosines.argmax(1)
        shared = cosines.max(1) > 0
        nearest += [int(i) if found else None for i, found in zip(best, shared, strict=True)]
    return nearest


def judge_labels(
    rnas: Sequence[DrawnRna], accessions: Sequence[str | None], types: Sequence[str | None]
) -> list[Right]:
    """Right or wrong for a baseline that answers with labels instead of sentences."""
    return [
        {
            "family": accession == rna.accession,
            "family_only": accession == rna.accession,
            "type": rna_type == rna.type,
        }
        for rna, accession, rna_type in zip(rnas, accessions, types, strict=True)
    ]


def judge_nearest(train: Dataset, rnas: Sequence[DrawnRna]) -> list[Right]:
    accessions, types = train["family_accession"][:], train["rna_type"][:]
    nearest = find_nearest(train["sequence"][:], [rna.sequence for rna in rnas])
    return judge_labels(
        rnas,
        [None if i is None else accessions[i] for i in nearest],
        [None if i is None else types[i] for i in nearest],
    )


def judge_majority(train: Dataset, rnas: Sequence[DrawnRna]) -> list[Right]:
    columns = (train[column][:] for column in ("family_accession", "rna_type"))
    family, rna_type = (Counter(column).most_common(1)[0][0] for column in columns)
    return judge_labels(rnas, [family] * len(rnas), [rna_type] * len(rnas))


def summarise(rights: Sequence[Right], seed: int) -> dict[str, Any]:
    """The share of right answers of each figure with its interval."""
    figures: dict[str, Any] = {"n": len(rights)}
    for name in FIGURES:
        scores = np.array([right[name] for right in rights], dtype=float)
        interval = bootstrap_interval(scores, seed=seed)
        figures[name] = {"value": float(scores.mean()), "interval": list(interval)}
    return figures


def write_table(systems: dict[str, dict[str, Any]], title: str) -> str:
    """The figures as Markdown."""
    lines = [
        title,
        "",
        f"| system | {' | '.join(FIGURES.values())} | RNAs |",
        f"|---|{'---|' * len(FIGURES)}---|",
    ]
    for system, figures in systems.items():
        cells = [
            "{:.3f} ({:.3f}–{:.3f})".format(figures[name]["value"], *figures[name]["interval"])
            for name in FIGURES
        ]
        lines.append(f"| {system} | {' | '.join(cells)} | {figures['n']:,} |")
    return "\n".join(lines) + "\n"


def _portable(argument: str) -> str:
    """A path by its last name alone: where it lay on this machine tells a reader nothing."""
    return Path(argument).name if Path(argument).is_absolute() else argument


def main(arguments: argparse.Namespace) -> None:
    train, test = load_annotations(arguments.dataset, arguments.split)
    processor = load_processor(arguments.model)
    rnas, counts = draw_rnas(
        train,
        test,
        processor,
        limit=arguments.limit,
        min_training_rnas=arguments.min_training_rnas,
        seed=arguments.seed,
    )
    partners = draw_partners([rna.accession for rna in rnas], arguments.seed)
    asked = (arguments.batch_size, arguments.max_new_tokens)
    plain = None
    if arguments.language_model:
        plain = SequenceAsText(arguments.language_model, rnas[: arguments.plain_limit], *asked)
    judge = Judge(train, test)
    dtype = getattr(torch, arguments.dtype)
    model = load_model(arguments.model, dtype=dtype)
    arguments.out.mkdir(parents=True, exist_ok=True)
    predictions = arguments.out / "predictions.jsonl"

    start = time.monotonic()
    settings = {RNA_GPT: hash_settings(model, processor.tokenizer, arguments.max_new_tokens)}
    answers = predict(
        predictions, RNA_GPT, settings[RNA_GPT], rnas, ask_rnagpt(model, processor, *asked), judge
    )
    device = model.device.type
    del model  # makes room for the next one
    # Every RNA is asked the same questions, and decoding is greedy. So the answer that an RNA's
    # question gets with its partner in its place is the partner's own answer: none is asked again.
    systems = {
        "RNA-GPT": [judge(a, r.accession, r.type) for a, r in zip(answers, rnas, strict=True)],
        "RNA-GPT, RNAs swapped": [
            judge(answers[partner], rna.accession, rna.type)
            for partner, rna in zip(partners, rnas, strict=True)
        ],
        f"nearest training RNA ({KMER_SIZE}-mers)": judge_nearest(train, rnas),
        "majority class": judge_majority(train, rnas),
    }
    if plain:
        bare = plain.load(dtype)
        settings[SEQUENCE] = hash_settings(bare, plain.tokenizer, arguments.max_new_tokens)
        few = rnas[: arguments.plain_limit]
        answers = predict(predictions, SEQUENCE, settings[SEQUENCE], few, plain.ask(bare), judge)
        systems["language model, RNA as text"] = [
            judge(a, r.accession, r.type) for a, r in zip(answers, few, strict=True)
        ]
    figures = {name: summarise(rights, arguments.seed) for name, rights in systems.items()}
    title = (
        f"{counts['drawn']:,} RNAs of {counts['families']:,} families with at least "
        f"{arguments.min_training_rnas} training RNAs, split `{arguments.split}`; "
        "share of right answers (95 % interval)."
    )
    results = {
        "command": shlex.join(["python", "evaluate_sft.py", *map(_portable, sys.argv[1:])]),
        "arguments": {name: _portable(str(value)) for name, value in vars(arguments).items()},
        "settings": settings,
        "questions": QUESTIONS,
        "data": counts,
        "systems": figures,
        "device": device,
        "seconds": round(time.monotonic() - start, 1),
        "versions": {name: importlib.metadata.version(name) for name in VERSIONS_OF}
        | {"rnagpt": rnagpt.__version__},
    }
    table = write_table(figures, title)
    (arguments.out / "table.md").write_text(table)
    (arguments.out / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    print(table)


def _count(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return int(text)


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="evaluate_sft.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("out", metavar="OUT", type=Path, help="folder of the results")
    add("--model", required=True, help="folder or Hub id of an RNA-GPT")
    add("--dataset", required=True, help="folder or Hub id of an RNA-QA data set")
    add("--split", default="test", help="split to draw from (default: %(default)s)")
    add("--limit", type=_count, default=1000, help="RNAs to ask about (default: %(default)s)")
    add(
        "--min_training_rnas",
        type=int,
        default=10,
        help="draw from families with at least so many RNAs in train (default: %(default)s)",
    )
    add("--seed", type=int, default=0, help="of draws and intervals (default: %(default)s)")
    add("--language_model", help="also ask this bare language model, with the RNA as text")
    add(
        "--plain_limit",
        type=_count,
        default=200,
        help="... about the first so many of the RNAs drawn (default: %(default)s)",
    )
    add("--batch_size", type=_count, default=16, help="prompts at once (default: %(default)s)")
    add("--max_new_tokens", type=_count, default=48, help="longest answer (default: %(default)s)")
    add(
        "--dtype",
        choices=("float32", "bfloat16", "float16"),
        default="float32",
        help="of weights and computation (default: %(default)s)",
    )
    return parser


if __name__ == "__main__":
    main(make_parser().parse_args())
