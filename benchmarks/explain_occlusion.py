"""Do the scores of nucleotides agree with leaving nucleotides out, and what do they cost?

    python benchmarks/explain_occlusion.py --dataset FOLDER      # writes explain_occlusion.md

Every RNA is asked for its family. `explain_answer` scores its nucleotides by one gradient; then
windows of it are occluded one by one, and the answer's log-likelihood is taken anew, in two ways:

- sequence: the window is cut out of the RNA, which the encoder reads anew.
- vectors: the encoder's vectors of the window become the mean of the RNA's.

The fall of the log-likelihood is ranked against the sum of the scores in the window (Spearman).
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import shlex
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from datasets import load_dataset
from scipy.stats import bootstrap, spearmanr

from rnagpt.inference.attribution import explain_answer
from rnagpt.inference.batch import Answer, answer_questions
from rnagpt.inference.generation import user_message
from rnagpt.inference.loading import load_model, load_processor
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor

REPORT = Path(__file__).with_suffix(".md")
QUESTION = "Which RNA family does this sequence belong to?"
# An answer that a window changes by less (nats) does not rest on that window.
NOTICEABLE = 0.1


@dataclass(frozen=True)
class Explained:
    """What was found of one RNA: falls in nats, rank correlations, and seconds."""

    largest_fall: float
    sequence: float
    vectors: float
    forward: float
    explain: float
    write: float


class Likelihood:
    """The log-likelihood of an answer about variants of an RNA."""

    def __init__(
        self, model: RnaGptForCausalLM, processor: RnaGptProcessor, answer: str, batch_size: int
    ) -> None:
        self.model = model
        self.processor = processor
        self.answer = answer
        self.batch_size = batch_size

    def prepare(self, rnas: list[str]) -> Any:
        return self.processor.apply_chat_template(
            [self.messages(rna) for rna in rnas], tokenize=True, return_assistant_tokens_mask=True
        )

    def messages(self, rna: str) -> list[dict[str, Any]]:
        return [user_message(QUESTION, [rna]), {"role": "assistant", "content": self.answer}]

    def of_sequences(self, rnas: list[str]) -> np.ndarray:
        """Of each RNA (rnas,), read anew."""
        return self._in_batches(len(rnas), lambda rows: self._run(self.prepare(rnas[rows])))

    def of_vectors(self, rna: str, vectors: torch.Tensor) -> np.ndarray:
        """Of one RNA under several encodings (encodings, nt, rna hidden)."""

        def run(rows: slice) -> torch.Tensor:
            inputs = self.prepare([rna] * len(vectors[rows]))
            del inputs["rna_input_ids"]
            return self._run({**inputs, "rna_hidden_states": vectors[rows]})

        return self._in_batches(len(vectors), run)

    def _in_batches(self, number: int, run: Callable[[slice], torch.Tensor]) -> np.ndarray:
        starts = range(0, number, self.batch_size)
        return torch.cat([run(slice(start, start + self.batch_size)) for start in starts]).numpy()

    @torch.no_grad()
    def _run(self, inputs: Any) -> torch.Tensor:
        arguments = dict(inputs)
        mask = arguments.pop("assistant_masks")
        places = mask.sum(0).nonzero()[:, 0]
        logits = self.model(**arguments, logits_to_keep=places - 1).logits.float()
        # Where a shorter prompt ends sooner, its neighbours' places may hold placeholders.
        ids = arguments["input_ids"][:, places].clamp(max=logits.shape[-1] - 1)
        steps = logits.log_softmax(-1).gather(2, ids.unsqueeze(-1)).squeeze(-1)
        return (steps * mask[:, places]).sum(1)


def explain_one(
    model: RnaGptForCausalLM, processor: RnaGptProcessor, rna: str, window: int, step: int
) -> Explained:
    def write() -> Answer:
        return next(answer_questions(model, processor, [rna], [QUESTION]))

    likelihood = Likelihood(model, processor, write().answer, batch_size=24)
    messages = likelihood.messages(rna)
    (scored,) = explain_answer(model, processor, messages)
    inputs = likelihood.prepare([rna])
    inputs.pop("assistant_masks")
    with torch.no_grad():
        vectors = model.encode_rna(inputs["rna_input_ids"])[0]
    forward, explain, writing = seconds_of(
        torch.no_grad()(lambda: model(**inputs)),
        lambda: explain_answer(model, processor, messages),
        write,
    )

    starts = range(0, len(rna) - window + 1, step)
    sums = [scored.scores[start : start + window].sum() for start in starts]
    cut = [rna[:start] + rna[start + window :] for start in starts]
    flat = vectors.repeat(len(starts), 1, 1)
    for row, start in enumerate(starts):
        flat[row, start : start + window] = vectors.mean(0)
    whole = likelihood.of_sequences([rna])[0]
    falls = whole - likelihood.of_sequences(cut)
    return Explained(
        largest_fall=falls.max(),
        sequence=spearmanr(sums, falls)[0],
        vectors=spearmanr(sums, whole - likelihood.of_vectors(rna, flat))[0],
        forward=forward,
        explain=explain,
        write=writing,
    )


def seconds_of(*works: Callable[[], Any], repeats: int = 5) -> list[float]:
    """Median processor times in seconds; in turns, so that all meet one state of the machine."""
    seconds: list[list[float]] = [[] for _ in works]
    for _ in range(repeats):
        for work, times in zip(works, seconds, strict=True):
            start = time.process_time()
            work()
            times.append(time.process_time() - start)
    return [statistics.median(times) for times in seconds]


def draw_rnas(dataset: str, number: int, longest: int, seed: int) -> list[str]:
    rows = load_dataset(dataset, split="validation").select_columns(["id", "sequence"])
    known = {row["id"]: row["sequence"] for row in rows if 40 <= len(row["sequence"]) <= longest}
    names = sorted(known)
    random.Random(seed).shuffle(names)
    return [known[name] for name in names[:number]]


def report(found: list[Explained], seed: int) -> str:
    lines = [
        "# Scores of nucleotides against occlusion",
        "",
        f"`{shlex.join(['python', 'benchmarks/explain_occlusion.py', *sys.argv[1:]])}`",
        "",
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} thread; Python "
        f"{platform.python_version()}, torch {version('torch')}, transformers "
        f"{version('transformers')}; float32.",
        "",
        "## Agreement",
        "",
        "Rank correlation, over the windows of an RNA, of its scores with the fall of the answer's "
        "log-likelihood; mean over RNAs with its 95 % interval.",
        "",
        "| RNAs | number | window cut out of the sequence | window's vectors made the mean |",
        "| --- | --- | --- | --- |",
    ]
    resting = [one for one in found if one.largest_fall >= NOTICEABLE]
    robust = [one for one in found if one.largest_fall < NOTICEABLE]
    for name, group in (
        ("all", found),
        (f"a window lowers the log-likelihood by {NOTICEABLE} or more", resting),
        ("no window does", robust),
    ):
        cells = [
            correlation([getattr(one, way) for one in group], seed)
            for way in ("sequence", "vectors")
        ]
        lines.append(f"| {name} | {len(group)} | {' | '.join(cells)} |")
    forward, explain, write = (
        [getattr(one, part) for one in found] for part in ("forward", "explain", "write")
    )
    # Of the medians beside them, so that whoever divides finds the same.
    ratios = [statistics.median(explain) / statistics.median(other) for other in (forward, write)]
    lines += [
        "",
        "## Time",
        "",
        "Processor time, medians over RNAs of the medians of five runs. The forward pass reads "
        "prompt and answer at once, without gradients; to write the answer takes one such pass for "
        "the prompt and a step for each token.",
        "",
        "| what | seconds | the scores take |",
        "| --- | --- | --- |",
        f"| the scores of an answer | {statistics.median(explain):.2f} | |",
        f"| the answer's own forward pass | {statistics.median(forward):.2f} | {ratios[0]:.2f} x |",
        f"| to write the answer | {statistics.median(write):.2f} | {ratios[1]:.2f} x |",
    ]
    return "\n".join(lines) + "\n"


def correlation(values: list[float], seed: int) -> str:
    kept = [value for value in values if np.isfinite(value)]
    if len(kept) < 2:
        return "–"
    low, high = bootstrap((kept,), np.mean, method="percentile", rng=seed).confidence_interval
    return f"{np.mean(kept):.2f} ({low:.2f} to {high:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description="Scores of nucleotides against occlusion.")
    parser.add_argument("--model", help="model folder or Hub id (default: rna-gpt-mini)")
    parser.add_argument("--dataset", required=True, help="RNA-QA, for its validation RNAs")
    parser.add_argument("--rnas", type=int, default=24)
    parser.add_argument("--longest", type=int, default=120, help="the longest RNA, in nt")
    parser.add_argument("--window", type=int, default=8, help="nt that are occluded at once")
    parser.add_argument("--step", type=int, default=4, help="nt from one window to the next")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    name_or_path = args.model
    if name_or_path is None:
        from rnagpt.conversion.mini import assemble_mini

        name_or_path = str(assemble_mini())
    model, processor = load_model(name_or_path), load_processor(name_or_path)
    found = []
    for rna in draw_rnas(args.dataset, args.rnas, args.longest, args.seed):
        found.append(explain_one(model, processor, rna, args.window, args.step))
        print(len(rna), found[-1], flush=True)
    REPORT.write_text(report(found, args.seed), encoding="utf-8")
    print(REPORT.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
