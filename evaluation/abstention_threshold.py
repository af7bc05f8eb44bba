"""
What a model gains and loses by abstaining less: to choose `--unknown_offset` of a release.

```bash
python -m rnagpt.evaluation.abstention_threshold rna-gpt-mini --dataset rna-qa \
    --unknown_offset 0 1 2 3 --sharpness 1 2
```

Asks about RNAs of the validation split, real and shuffled, once for each setting, and prints a row
for each: the choice is then made without a look at the test split.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch

from rnagpt.configuration_rnagpt import RnaGptConfig
from rnagpt.conversion.prototype_scores import PrototypeScores
from rnagpt.evaluation.baselines import REAL, SHUFFLED, give
from rnagpt.evaluation.matching import AnswerMatcher
from rnagpt.evaluation.tasks import FAMILY, QUESTIONS, TYPE, DrawnRna, draw_rnas, load_splits
from rnagpt.inference.batch import Answer, answer_questions
from rnagpt.inference.loading import load_model, load_processor
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor

COLUMNS = ("offset", "sharpness", "family", "declined", "wrong", "shuffled claimed", "type")


@dataclass
class AbstentionChoice:
    """A model whose prototypes' scores can be set, asked about the same RNAs each time.

    Args:
        model: with family prototypes in its projection.
        processor: the model's.
        matcher: finds what answers name.
        rnas: to ask about.
        batch_size: prompts at once.
        seed: of the shuffles.
    """

    model: RnaGptForCausalLM
    processor: RnaGptProcessor
    matcher: AnswerMatcher
    rnas: Sequence[DrawnRna]
    batch_size: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        self._keys = self.model.model.projector.summary_keys
        self._trained = [tensor.detach().clone() for tensor in (self._keys.weight, self._keys.bias)]

    def measure(self, scores: PrototypeScores) -> dict[str, float]:
        """Shares of the RNAs, by the names of `COLUMNS`, with these scores."""
        weight, bias = scores.apply(*self._trained)
        with torch.no_grad():
            self._keys.weight.copy_(weight)
            self._keys.bias.copy_(bias)
        families = self._ask(FAMILY, REAL)
        declined = np.array([answer.abstains for answer in families])
        right = self._are_right(families, FAMILY)
        claimed = [not answer.abstains for answer in self._ask(FAMILY, SHUFFLED)]
        types = self._are_right(self._ask(TYPE, REAL), TYPE)
        shares = (right, declined, ~right & ~declined, claimed, types)
        values = [scores.unknown_offset, scores.sharpness, *(float(np.mean(s)) for s in shares)]
        return dict(zip(COLUMNS, values, strict=True))

    def _ask(self, question: str, control: str) -> list[Answer]:
        given = [rna for rna in give(self.rnas, control, self.seed) if rna is not None]
        return list(
            answer_questions(
                self.model,
                self.processor,
                given,
                [QUESTIONS[question]],
                batch_size=self.batch_size,
                max_new_tokens=48,
            )
        )

    def _are_right(self, answers: Sequence[Answer], question: str) -> np.ndarray:
        pairs = zip(self.rnas, answers, strict=True)
        return np.array(
            [r.label_of(question) in self.matcher.names_in(a.answer, question) for r, a in pairs]
        )


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m rnagpt.evaluation.abstention_threshold",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", help="folder or Hub id of an RNA-GPT with family prototypes")
    parser.add_argument("--dataset", required=True, help="folder or Hub id of an RNA-QA data set")
    parser.add_argument("--unknown_offset", type=float, nargs="+", default=[0.0, 1.0, 2.0, 3.0])
    parser.add_argument("--sharpness", type=float, nargs="+", default=[1.0])
    parser.add_argument("--limit", type=int, default=400, help="RNAs (default: %(default)s)")
    parser.add_argument("--min_training_rnas", type=int, default=10, help="of an RNA's family")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    arguments = parser.parse_args(words)
    if not RnaGptConfig.from_pretrained(arguments.model).rna_family_prototypes:
        parser.error(
            f"{arguments.model} has no family prototypes in its projection: there is nothing to set"
        )
    processor = load_processor(arguments.model)
    splits = load_splits(arguments.dataset, ["validation"])
    rnas, _ = draw_rnas(
        splits,
        "validation",
        processor,
        limit=arguments.limit,
        min_training_rnas=arguments.min_training_rnas,
        seed=0,
    )
    model = load_model(arguments.model, dtype=getattr(torch, arguments.dtype))
    choice = AbstentionChoice(model, processor, AnswerMatcher(splits, splits.has_families), rnas)
    print(f"{len(rnas)} RNAs\n\n| " + " | ".join(COLUMNS) + " |\n" + "| ---: " * len(COLUMNS) + "|")
    for offset, sharpness in product(arguments.unknown_offset, arguments.sharpness):
        row = choice.measure(PrototypeScores(offset, sharpness))
        print("| " + " | ".join(f"{value:.3f}" for value in row.values()) + " |", flush=True)


if __name__ == "__main__":
    main()
