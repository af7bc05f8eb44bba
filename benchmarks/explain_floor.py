"""How high a nucleotide's score must be to say something: the floor of the drawings.

    python benchmarks/explain_floor.py            # writes explain_floor.md
    python benchmarks/explain_floor.py --rnas 2   # quick, only printed

`NOISE_FLOOR` (`sequences/drawing.py`) is what answers that no RNA could change reach, when they are
put into the model's mouth: 95 of 100 of them have no nucleotide with a higher score. Beside them
stand the model's own answers, about RNAs and about the same dinucleotides in random order.

A score is a first-order estimate of what leaving the nucleotide out does. So nucleotides' vectors
are made the mean of their RNA's, one at a time, and the fall of the answer's log-likelihood that
this really causes is set beside the score.
"""

from __future__ import annotations

import itertools
import os
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from measured import beginning, machine, make_parser, parse, table, write_down

from rnagpt import Reference, answer_questions, explain_answer, load_model, load_processor
from rnagpt.inference.default_model import resolve_model
from rnagpt.inference.generation import encode_prompts, user_message
from rnagpt.sequences.drawing import NOISE_FLOOR
from rnagpt.sequences.shuffle import shuffle_dinucleotides

REPORT = Path(__file__).with_suffix(".md")
RNAS, OCCLUDED = 16, 24
SHORTEST, LONGEST = 40, 120
FAMILY, TYPE = "Which RNA family does this sequence belong to?", "What type of RNA is this?"
# Question and answer, none of which the RNA could change.
UNRELATED = (
    ("What is the capital of France?", "The capital of France is Paris."),
    ("What is RNA made of?", "RNA is a chain of nucleotides."),
    ("How many days has a week?", "A week has seven days, from Monday to Sunday."),
)
BINS = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, float("inf"))


def draw_rnas(number: int, seed: int) -> list[str]:
    """One RNA of the seed alignment of each of some families of the bundled reference."""
    found = []
    chance = random.Random(seed)
    for alignment in Reference.open().seeds():
        rows = [row.replace("-", "").replace(".", "").upper() for _, row in alignment.rows]
        rows = [row for row in rows if SHORTEST <= len(row) <= LONGEST and set(row) <= set("ACGU")]
        if rows:
            found.append(chance.choice(rows))
    return chance.sample(found, number)


class Subject:
    """A model whose answers are scored."""

    def __init__(self, name_or_path: str) -> None:
        self.model, self.processor = load_model(name_or_path), load_processor(name_or_path)

    def own_answers(self, rnas: list[str], question: str) -> list[str]:
        answers = answer_questions(self.model, self.processor, rnas, [question], max_new_tokens=64)
        return [answer.written for answer in answers]

    def scores(self, rna: str, question: str, answer: str) -> np.ndarray:
        """(nt,), in nats."""
        return explain_answer(self.model, self.processor, messages(rna, question, answer))[0].scores

    @torch.no_grad()
    def falls(self, rna: str, question: str, answer: str, places: np.ndarray) -> np.ndarray:
        """(places,): of the answer's log-likelihood, each one's vector being made the mean."""
        told = encode_prompts(self.processor, [messages(rna, question, answer)], answered=True)
        mask = told["rna_attention_mask"]
        vectors = self.model.encode_rna(told["rna_input_ids"], mask)
        occluded = vectors.repeat(len(places), 1, 1)
        occluded[range(len(places)), places.tolist()] = vectors[0].mean(0)
        whole = self._log_likelihood(told, vectors)
        parts = [self._log_likelihood(told, batch) for batch in occluded.split(16)]
        return (whole - torch.cat(parts)).numpy()

    def _log_likelihood(self, told: Any, vectors: torch.Tensor) -> torch.Tensor:
        """Of the answer under each of a batch's vectors (batch, nt, rna hidden)."""
        ids, places = told["input_ids"], told["assistant_masks"][0].nonzero()[:, 0]
        logits = self.model(
            input_ids=ids.expand(len(vectors), -1),
            rna_hidden_states=vectors,
            rna_attention_mask=told["rna_attention_mask"].expand(len(vectors), -1),
            logits_to_keep=places - 1,
        ).logits
        steps: torch.Tensor = logits.double().log_softmax(-1)
        return steps[:, range(len(places)), ids[0, places]].sum(1)


def messages(rna: str, question: str, answer: str) -> list[dict[str, Any]]:
    return [user_message(question, [rna]), {"role": "assistant", "content": answer}]


def row_of(name: str, scores: Sequence[np.ndarray]) -> list[str]:
    """A line of the table of heights: of the highest of each answer, and of all nucleotides."""
    highest = np.array([np.abs(of_one).max() for of_one in scores])
    every = np.abs(np.concatenate(scores))
    return [
        name,
        str(len(scores)),
        *(f"{value:.4f}" for value in np.quantile(highest, (0.5, 0.95, 1))),
        f"{np.quantile(every, 0.99):.4f}",
        f"{(highest >= NOISE_FLOOR).mean():.2f}",
    ]


def chosen(scores: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """The nucleotides to leave out: half of them those of the highest scores, the rest by chance.

    What is compared is of nucleotides of about one score, so that the choice does not matter.
    """
    order = np.argsort(-np.abs(scores))
    others = chance.choice(order[OCCLUDED // 2 :], OCCLUDED - OCCLUDED // 2, replace=False)
    return np.concatenate([order[: OCCLUDED // 2], others])


def rows_of_bins(scores: np.ndarray, falls: np.ndarray) -> list[list[str]]:
    rows = []
    for low, high in itertools.pairwise(BINS):
        here = (np.abs(scores) >= low) & (np.abs(scores) < high)
        name = f"{low:g} and more" if high == float("inf") else f"{low:g} to {high:g}"
        if here.any():
            same = (np.sign(scores[here]) == np.sign(falls[here])).mean()
            height = np.median(np.abs(falls[here]))
            rows.append([name, f"{here.sum():,}", f"{same:.2f}", f"{height:.4f}"])
    return rows


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--model", help="folder or Hub id; without it rna-gpt-mini")
    parser.add_argument("--rnas", type=int, default=RNAS, help="how many RNAs")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of RNAs")
    args = parse(parser)
    torch.set_num_threads(1)
    subject = Subject(resolve_model(args.model))
    rnas = draw_rnas(args.rnas, args.seed)
    chance = np.random.default_rng(args.seed)
    shuffled = [shuffle_dinucleotides(rna, chance) for rna in rnas]

    rows: list[list[str]] = []
    compared: list[np.ndarray] = []
    for kind, group in (("the RNAs", rnas), ("shuffled RNAs", shuffled)):
        for what, question in (("family", FAMILY), ("type", TYPE)):
            told = list(zip(group, subject.own_answers(group, question), strict=True))
            scores = [subject.scores(rna, question, answer) for rna, answer in told]
            rows.append(row_of(f"the model's own, {what} of {kind}", scores))
            print(rows[-1], file=sys.stderr, flush=True)
            for (rna, answer), of_one in zip(told, scores, strict=True):
                places = chosen(of_one, chance)
                falls = subject.falls(rna, question, answer, places)
                compared.append(np.array([of_one[places], falls]))
    more = draw_rnas(3 * args.rnas, args.seed)
    together = []
    for question, answer in UNRELATED:
        scores = [subject.scores(rna, question, answer) for rna in more]
        rows.append(row_of(f"“{answer}”", scores))
        print(rows[-1], file=sys.stderr, flush=True)
        together += scores
    rows.append(row_of("the last three together", together))
    text = report(rows, rows_of_bins(*np.concatenate(compared, axis=1)), args.rnas, len(compared))
    print(text)
    write_down(args, text, [], report=REPORT, is_whole=args.rnas == RNAS and args.model is None)


def report(rows: list[list[str]], bins: list[list[str]], rnas: int, occluded: int) -> str:
    about = (
        f"{rnas} RNAs of {SHORTEST} to {LONGEST} nt, each of another family of the bundled "
        f"reference; rna-gpt-mini in float32. {machine('torch', 'transformers')} "
        f"The floor of drawings is {NOISE_FLOOR:g} nats."
    )
    heights = table(
        [
            "answer",
            "answers",
            "highest score, median",
            "highest, 95 % of answers",
            "highest of all",
            "99 % of nucleotides",
            f"answers with a nucleotide at {NOISE_FLOOR:g} or more",
        ],
        rows,
    )
    signs = table(
        ["score without its sign", "nucleotides", "same sign as the fall", "median fall"], bins
    )
    return (
        f"{beginning('Scores of nucleotides: what is noise', about)}\n"
        "## How high scores are\n\nIn nats, without their signs. The last answers have nothing to "
        f"do with the RNA; they are put into the model's mouth about {3 * rnas} RNAs each. What it "
        "would not write has a low likelihood, which whatever the nucleotides do moves more: such "
        "scores may be true to the likelihood, and are no reason for an answer.\n\n"
        f"{heights}\n\n"
        f"## Single nucleotides left out\n\nOf each of {occluded} answers of the model's own, "
        f"{OCCLUDED} nucleotides: half of them those with the highest scores. Scores and falls "
        "(of the answer's log-likelihood, the nucleotide's vector being made the mean of its "
        "RNA's) in nats, sorted by the score without its sign. By chance half of the signs would "
        f"agree.\n\n{signs}\n"
    )


if __name__ == "__main__":
    main()
