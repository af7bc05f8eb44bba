"""Answers written by llama.cpp on a CPU: how fast, against what, and how often others.

    python benchmarks/cpu_answers.py --dataset rna-qa      # on the mini; writes cpu_answers.md
    python benchmarks/cpu_answers.py --dataset rna-qa --parts speed     # only prints it

- speed: tokens a second of a conversation, by the types of the weights, against `generate` and
  int8 in PyTorch, and against llama.cpp's own loop over a text with the same weights, and the
  share of the memory's bandwidth that the weights take.
- batch: tokens a second of several answers written together.
- changed: how many answers are others than PyTorch's in float32.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import measured
import torch
from chatting import GENERATE, LONG, SECOND, encode_question, seconds_per_token
from datasets import load_dataset

from rnagpt.conversion.gguf_file import FILE_TYPES
from rnagpt.conversion.llama_library import llama_library
from rnagpt.conversion.mini import load_bundled
from rnagpt.inference.batch import answer_questions
from rnagpt.inference.chat import RnaChat
from rnagpt.inference.cited import LanguageModel
from rnagpt.inference.gguf_cache import cached_gguf
from rnagpt.inference.llama_context import LlamaContext, LlamaWeights
from rnagpt.inference.local_model import LocalModel

REPORT = Path(__file__).with_suffix(".md")
PARTS = ("speed", "batch", "changed")
PYTORCH = "PyTorch, float32"
# A token that no answer has ends it: forbidding the real one for a while (`min_new_tokens`) looks
# through the whole vocabulary at each token, which no answer in use does.
NO_END = -1
PROMPT = 64  # tokens that llama.cpp's own loop begins with
BATCH, TOGETHER = 8, 32  # answers at once, and in all
SHORT_ANSWER = 32  # tokens of an answer that is compared
MIN_ROUNDS, MIN_PROMPTS = 3, 200  # of a run to publish


def main() -> None:
    args = parse_arguments()
    folder = args.model or str(load_bundled())
    measure: dict[str, Callable[[], tuple[str, list[measured.Figure]]]] = {
        "speed": lambda: speed(folder, args),
        "batch": lambda: batch(folder, args),
        "changed": lambda: changed(folder, args),
    }
    packages = ("torch", "transformers", "llama-cpp-python")
    about = f"{measured.machine(*packages)} Medians of {args.rounds} rounds in turn; "
    about += f"{measured.clock_name(measured.answering_clock())}."
    beginning = measured.beginning("Answers by llama.cpp", about)
    found, figures = measured.measure_parts(args.parts, measure)
    is_whole = set(args.parts) == set(PARTS) and args.rounds >= MIN_ROUNDS
    is_whole = is_whole and args.prompts >= MIN_PROMPTS and set(args.types) == set(FILE_TYPES)
    measured.write_down(args, beginning + found, figures, report=REPORT, is_whole=is_whole)


def parse_arguments() -> argparse.Namespace:
    parser = measured.make_parser(__doc__, dataset=True, rounds=3)
    parser.add_argument("--model", help="folder or Hub id; else rna-gpt-mini")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    types = list(FILE_TYPES)
    parser.add_argument("--types", nargs="+", choices=types, default=types, help="of the weights")
    parser.add_argument("--prompts", type=int, default=200, help="whose answers are compared")
    return measured.parse(parser)


def llama(folder: str, file_type: str) -> LocalModel:
    model = LocalModel.open(folder, engine="llama.cpp", engine_options={"type": file_type})
    model.load()
    return model


def answer_once(model: LanguageModel, number: int) -> None:
    """Exactly N tokens of an answer to a question about an RNA."""
    chat = RnaChat(model)
    chat.add_rna(measured.make_rna(300))
    for _ in chat.ask(LONG, max_new_tokens=number, eos_token_id=NO_END):
        pass


@torch.inference_mode()
def generate(model: Any, number: int, **inputs: Any) -> None:
    """The same by `generate`."""
    model.generate(
        **inputs, max_new_tokens=number, eos_token_id=NO_END, pad_token_id=0, do_sample=False
    )


class OwnText:
    """llama.cpp's own loop: tokens in, its greedy sampler, nothing of this project's.

    Args:
        file: of the weights.
    """

    def __init__(self, file: Path) -> None:
        self.library = llama_library()
        # The context's settings are those of an answer: cells, threads, type of keys and values.
        exact = file.name.split("-")[1] == "f32"
        self.context = LlamaContext(
            LlamaWeights(file), cells=8_192, threads=torch.get_num_threads(), exact=exact
        )
        self.sampler = self.library.llama_sampler_init_greedy()

    def __call__(self, number: int) -> None:
        handle = self.context.handle
        self.context.cut(0)
        prompt = (self.library.llama_token * PROMPT)(*range(1000, 1000 + PROMPT))
        self._decode(self.library.llama_batch_get_one(prompt, PROMPT))
        for _ in range(number):
            token = self.library.llama_sampler_sample(self.sampler, handle, -1)
            one = (self.library.llama_token * 1)(token)
            self._decode(self.library.llama_batch_get_one(one, 1))

    def _decode(self, batch: Any) -> None:
        if self.library.llama_decode(self.context.handle, batch):
            raise RuntimeError("llama.cpp could not read on.")


def bandwidth(rounds: int) -> float:
    """Bytes a second that are read from memory: 512 MB, more than any cache holds."""
    large, vector = torch.ones(2**15, 2**12), torch.ones(2**12)
    # Whichever is faster: neither may wait for anything but the memory.
    ways = {"sum": lambda: large.sum(), "product": lambda: large @ vector}
    seconds = measured.take_turns(ways, 2 + rounds, measured.answering_clock())
    return large.numel() * 4 / min(min(taken) for taken in seconds.values())


def speed(folder: str, args: argparse.Namespace) -> tuple[str, list[measured.Figure]]:
    """Tokens a second, one answer at a time."""
    whole = LocalModel.open(folder)
    int8 = LocalModel.open(folder, int8=True)
    inputs = encode_question(whole.processor)
    files = {name: cached_gguf(folder, file_type=name) for name in args.types}
    answers: dict[str, Callable[[int], object]] = {
        GENERATE: lambda n: generate(whole.model, n, **inputs),
        "`RnaChat`, PyTorch, int8": partial(answer_once, int8),
    }
    for name in args.types:
        answers[f"`RnaChat`, llama.cpp, {name}"] = partial(answer_once, llama(folder, name))
        answers[f"llama.cpp's own text, {name}"] = OwnText(files[name])
    each = seconds_per_token(answers, args.rounds, measured.answering_clock())
    read = bandwidth(args.rounds)
    lines, figures = [], []
    for name, taken in each.items():
        kind = name.rsplit(" ", 1)[-1]
        size = files[kind].stat().st_size if kind in files else None
        rate = 1 / statistics.median(taken)
        own = each.get(f"llama.cpp's own text, {kind}") if name.startswith("`RnaChat`") else None
        lines.append(
            [
                name,
                f"{rate:.1f}",
                f"{measured.ratio(each[GENERATE], taken):.2f} x",
                "" if own is None else f"{measured.ratio(own, taken):.2f}",
                "" if size is None else f"{size * rate / read:.2f}",
            ]
        )
        if own is not None:
            figures += compared(kind, taken, each[GENERATE], own)
    header = ["how", "tokens a second", "over `generate`", "of llama.cpp's own", "of the bandwidth"]
    said = f"PyTorch reads {read / 1e9:.1f} GB a second, in a sum or a product."
    return f"\n## One answer at a time\n\n{measured.table(header, lines)}\n\n{said}\n", figures


def compared(
    kind: str, taken: list[float], generate: list[float], own: list[float]
) -> list[measured.Figure]:
    return [
        measured.compare(
            f"decoding by llama.cpp, {kind}{ending}",
            taken,
            other,
            other_name=name,
            unit="tokens/s",
            target=target,
        )
        for ending, other, name, target in (
            ("", generate, GENERATE, "ratio 5"),
            (", against its own text", own, "llama.cpp's own text", "ratio 0.9"),
        )
    ]


def batch(folder: str, args: argparse.Namespace) -> tuple[str, list[measured.Figure]]:
    """Tokens a second of answers that are written together."""
    sequences = draw_sequences(args)[:TOGETHER]
    models = {PYTORCH: LocalModel.open(folder)}
    models |= {f"llama.cpp, {name}": llama(folder, name) for name in args.types}

    def write_all(model: LocalModel) -> None:
        options = {"batch_size": BATCH, "max_new_tokens": 24, "eos_token_id": NO_END}
        for _ in answer_questions(model, None, sequences, [LONG], **options):
            pass

    ways = {name: partial(write_all, model) for name, model in models.items()}
    seconds = measured.take_turns(ways, args.rounds, measured.answering_clock())
    lines = [
        [name, f"{24 * len(sequences) / statistics.median(taken):.1f}"]
        for name, taken in seconds.items()
    ]
    figures = [
        measured.compare(
            f"answers by {name}, {BATCH} at once",
            taken,
            seconds[PYTORCH],
            other_name=PYTORCH,
            unit="tokens/s",
            target="ratio 2",
            work=24 * len(sequences),
        )
        for name, taken in seconds.items()
        if name != PYTORCH
    ]
    head = f"{len(sequences)} answers of 24 tokens, {BATCH} at once, prompts read and all."
    table = measured.table(["how", "tokens a second"], lines)
    return f"\n## Several at once\n\n{head}\n\n{table}\n", figures


def changed(folder: str, args: argparse.Namespace) -> tuple[str, list[measured.Figure]]:
    """How often an answer is another one than PyTorch's in float32."""
    sequences = draw_sequences(args)
    models: dict[str, LocalModel] = {PYTORCH: LocalModel.open(folder)}
    models |= {f"llama.cpp, {name}": llama(folder, name) for name in args.types}
    given = {
        question: {name: say(model, sequences, question) for name, model in models.items()}
        for question in (SECOND, LONG)
    }
    lines = []
    for name in list(models)[1:]:
        shares = [
            statistics.mean(a != b for a, b in zip(by[PYTORCH], by[name], strict=True))
            for by in given.values()
        ]
        lines.append([name, *(f"{share:.3f}" for share in shares)])
    header = ["how", *(f"share changed: {question}" for question in given)]
    head = (
        f"The model's own words about {len(sequences)} RNAs, up to {SHORT_ANSWER} tokens, against "
        f"{PYTORCH}. The first question has short answers, the second long ones, in which one "
        "token that turns changes all that follow."
    )
    return f"\n## Answers that change\n\n{head}\n\n{measured.table(header, lines)}\n", []


def say(model: LanguageModel, sequences: list[str], question: str) -> list[str]:
    """The model's own words to a question about each RNA."""
    answers = answer_questions(
        model, None, sequences, [question], batch_size=BATCH, max_new_tokens=SHORT_ANSWER
    )
    return [answer.answer for answer in answers]


def draw_sequences(args: argparse.Namespace) -> list[str]:
    rows = load_dataset(args.dataset, "annotations", split="test")
    sequences = [sequence for sequence in rows["sequence"] if len(sequence) <= 600]
    return random.Random(0).sample(sequences, args.prompts)


if __name__ == "__main__":
    main()
