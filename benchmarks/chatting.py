"""Chatting: what a second question and the start cost, and what speeds a CPU up.

    python benchmarks/chatting.py --dataset rna-qa         # on the mini; writes chatting.md
    python benchmarks/chatting.py --dataset rna-qa --parts start turns    # only prints them

- turns: seconds to the first word of the first and of the second question about the same RNA.
- start: seconds of `import rnagpt`, and of a fresh process from its start to the first word: of an
  answer from records, of the model's own by PyTorch, and by llama.cpp where that is installed.
- faster: what `load_model` offers for CPUs (`int8`, `compiled`), against `generate` in float32, and
  the share of short answers that it changes; with other ways: bfloat16, one thread, torchao.
- changed: how often int8 weights change an answer, a short and a long one, and its first words.
"""

from __future__ import annotations

import argparse
import functools
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import measured
import torch
from datasets import load_dataset
from rna_fm_size import compose_rna_fm_size
from torch import nn
from transformers import CompileConfig

from rnagpt.conversion.llama_library import is_installed
from rnagpt.conversion.mini import find_language_model, load_bundled
from rnagpt.inference.chat import RnaChat
from rnagpt.inference.generation import encode_prompts, user_message
from rnagpt.inference.loading import load_model, load_processor
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor

REPORT = Path(__file__).with_suffix(".md")
PARTS = ("turns", "start", "faster", "changed")
QUESTION, SECOND = "What is known about this RNA?", "Which family does it belong to?"
LONG = "What is the function of this RNA?"
FEW, MANY = 8, 72
FLOAT = "float32"
GENERATE = "`generate`, float32"
LENGTHS = (100, 1000, 2000)
MIN_ROUNDS = 3  # of a run to publish


def main() -> None:
    args = parse_arguments()
    folder = args.model or str(load_bundled())

    @functools.cache  # the start needs none
    def loaded() -> tuple[RnaGptForCausalLM, RnaGptProcessor]:
        return load_model(folder, dtype=torch.float32), load_processor(folder)

    measure: dict[str, Callable[[], tuple[str, list[measured.Figure]]]] = {
        "turns": lambda: turns(*loaded(), args),
        "start": lambda: start(folder, args),
        "faster": lambda: faster(folder, *loaded(), args),
        "changed": lambda: changed(folder, *loaded(), args),
    }
    about = f"{measured.machine('torch', 'transformers')} Medians of {args.rounds} rounds in turn."
    beginning = measured.beginning("Chatting", about)
    found, figures = measured.measure_parts(args.parts, measure)
    is_whole = set(args.parts) == set(PARTS) and args.rounds >= MIN_ROUNDS
    measured.write_down(args, beginning + found, figures, report=REPORT, is_whole=is_whole)


def parse_arguments() -> argparse.Namespace:
    parser = measured.make_parser(__doc__, dataset=True, rounds=5)
    parser.add_argument("--model", help="folder or Hub id; else rna-gpt-mini")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--prompts", type=int, default=100, help="whose answers are compared")
    return measured.parse(parser)


def encode_question(processor: RnaGptProcessor) -> Any:
    return encode_prompts(processor, [[user_message(QUESTION, [measured.make_rna(300)])]])


@torch.inference_mode()
def write(model: Any, number: int, **inputs: Any) -> torch.Tensor:
    """Exactly N tokens after a prompt, greedy, as `RnaChat` writes them: in inference mode."""
    return model.generate(
        **inputs, max_new_tokens=number, min_new_tokens=number, do_sample=False, pad_token_id=0
    )


def chat_once(
    model: RnaGptForCausalLM,
    processor: RnaGptProcessor,
    number: int,
    question: str = QUESTION,
    sequence: str = "",
) -> str:
    """The answer to one question: to its end about a given sequence, else of N tokens."""
    chat = RnaChat(model, processor)
    chat.add_rna(sequence or measured.make_rna(300))
    least = 0 if sequence else number
    return "".join(chat.ask(question, max_new_tokens=number, min_new_tokens=least))


def seconds_per_token(
    answers: dict[str, Callable[[int], object]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Of each way that writes N tokens: the difference of a long and a short answer."""
    # A token's few milliseconds drown in a shared machine's noise unless they are taken often.
    ways = {f"{name} {n}": partial(way, n) for name, way in answers.items() for n in (FEW, MANY)}
    seconds = measured.take_turns(ways, 4 * rounds, clock)
    pairs = {
        name: zip(seconds[f"{name} {FEW}"], seconds[f"{name} {MANY}"], strict=True)
        for name in answers
    }
    return {
        name: [(long - short) / (MANY - FEW) for short, long in rounds_of_way]
        for name, rounds_of_way in pairs.items()
    }


def turns(
    model: RnaGptForCausalLM, processor: RnaGptProcessor, args: argparse.Namespace
) -> tuple[str, list[measured.Figure]]:
    """Seconds to the first word of two questions in a row."""
    with tempfile.TemporaryDirectory() as folder:
        composed = str(compose_rna_fm_size(Path(folder), find_language_model().source))
        large, large_processor = load_model(composed), load_processor(composed)
    parts = {
        "rna-gpt-mini": (model, processor),
        "an encoder of RNA-FM's size, a vector a nucleotide": (large, large_processor),
    }
    lines, figures = [], []
    for name, (one, its_processor) in parts.items():
        for length in LENGTHS:
            waits = []
            for seed in range(args.rounds):
                chat = RnaChat(one, its_processor)
                chat.add_rna(measured.make_rna(length, seed))
                waits.append((first_word(chat, QUESTION), first_word(chat, SECOND)))
            first, second = zip(*waits, strict=True)
            medians = [f"{statistics.median(taken):.2f} s" for taken in (first, second)]
            lines.append([name, f"{length:,}", *medians, f"{measured.ratio(second, first):.2f}"])
            figures.append(
                measured.compare(
                    f"chatting, second question about {length} nt, {name}",
                    second,
                    first,
                    other_name="the first question",
                    unit="s to the first word",
                    target="ratio 5",
                )
            )
    text = measured.table(
        ["model", "nt", "first question", "second question", "second over first"], lines
    )
    held = (
        "The RNA is neither encoded nor read again. What is left is one pass over the second "
        "question's own tokens, which takes as long whatever the RNA is."
    )
    return f"\n## To the first word\n\n{text}\n\n{held}\n", figures


def first_word(chat: RnaChat, question: str) -> float:
    """Seconds to the first piece of an answer, which is then read to its end."""
    begin = time.perf_counter()
    # With random weights the first token might end the answer.
    pieces = chat.ask(question, max_new_tokens=16, min_new_tokens=16)
    next(pieces)
    seconds = time.perf_counter() - begin
    for _ in pieces:
        pass
    return seconds


_IMPORT = "import time; t = time.perf_counter(); import rnagpt; print(time.perf_counter() - t)"
_NO_TORCH = "import sys, rnagpt; sys.exit('torch' in sys.modules)"
_RNA = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA"
RECORDS, BY_PYTORCH, BY_LLAMA = (
    "an answer from records",
    "the model's first word, PyTorch",
    "the model's first word, llama.cpp",
)
STARTS = {
    RECORDS: ("start to an answer from records", "under 1 s, without torch"),
    BY_PYTORCH: ("start to first word", "under 4 s"),
    BY_LLAMA: ("start to first word, llama.cpp", "under 2 s where the encoder is a table"),
}


def starts(folder: str) -> dict[str, list[str]]:
    """The commands, each of which ends after the first word; without llama.cpp two of them."""
    chat = [sys.executable, "-m", "rnagpt.cli.main", "chat", "--rna", _RNA, "--model", folder]
    chat += ["--ask", "What is this RNA?", "--max-new-tokens", "1"]
    commands = {RECORDS: chat, BY_PYTORCH: [*chat, "--no-reference"]}
    if is_installed():
        commands[BY_LLAMA] = [*commands[BY_PYTORCH], "--engine", "llama.cpp"]
    return commands


def start(folder: str, args: argparse.Namespace) -> tuple[str, list[measured.Figure]]:
    """A fresh process each time; the files are in the system's cache after the first."""
    run(_NO_TORCH)
    imports = [float(run(_IMPORT)) for _ in range(args.rounds)]
    commands = starts(folder)
    for command in commands.values():
        measured.run_program(command)  # what is written on first use
    taken: dict[str, list[measured.ProgramSeconds]] = {name: [] for name in commands}
    for _ in range(args.rounds):
        for name, command in commands.items():
            taken[name].append(measured.run_program(command))
    imported = statistics.median(imports)
    lines = [["`import rnagpt` (torch is not loaded)", f"{imported:.3f} s", "", ""]]
    figures = [measured.Figure("import rnagpt", imported, None, "", "s", "under 0.5 s")]
    busy = {name: [one.processor for one in ones] for name, ones in taken.items()}
    for name, ones in taken.items():
        passed = statistics.median(one.clock for one in ones)
        times = measured.ratio(busy[BY_PYTORCH], busy[name])
        spent = f"{statistics.median(busy[name]):.2f} s"
        lines.append([name, f"{passed:.2f} s", spent, f"{times:.1f} x"])
        figure, target = STARTS[name]
        figures.append(measured.Figure(figure, passed, None, "", "s", target))
    header = ["what", "seconds", "of the processor", "times as fast as PyTorch's"]
    said = "Whole programs, `rnagpt chat` with one question and an answer of at most one token."
    return f"\n## The start\n\n{said}\n\n{measured.table(header, lines)}\n", figures


def run(program: str, *arguments: str) -> str:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def faster(
    folder: str, model: RnaGptForCausalLM, processor: RnaGptProcessor, args: argparse.Namespace
) -> tuple[str, list[measured.Figure]]:
    """Ways to write a token on a CPU, against `generate` in float32."""
    chats = {
        FLOAT: model,
        f"{FLOAT}, compiled": load_model(folder, compiled=True),
        "int8": load_model(folder, int8=True),
        "int8, compiled": load_model(folder, int8=True, compiled=True),
        "bfloat16": load_model(folder, dtype=torch.bfloat16),
    }
    inputs = encode_question(processor)
    answers: dict[str, Callable[[int], object]] = {
        GENERATE: lambda n: write(model, n, **inputs),
        f"{GENERATE}, 1 thread": lambda n: with_one_thread(lambda: write(model, n, **inputs)),
    }
    for name, one in chats.items():
        answers[f"`RnaChat`, {name}"] = partial(chat_once, one, processor)
    int8 = chats["int8"]
    answers["`RnaChat`, int8, 1 thread"] = lambda n: with_one_thread(
        lambda: chat_once(int8, processor, n)
    )
    answers |= torchao_ways(folder, inputs)
    first = measured.take_turns({name: partial(answer, FEW) for name, answer in answers.items()}, 1)
    each = seconds_per_token(answers, args.rounds)
    changed = shares_changed(chats, processor, draw_sequences(args))
    lines = [
        [
            name,
            f"{1 / statistics.median(taken):.1f}",
            f"{measured.ratio(each[GENERATE], taken):.2f} x",
            f"{changed[kind]:.2f}" if (kind := name.removeprefix("`RnaChat`, ")) in changed else "",
            f"{first[name][0]:.0f} s" if "compiled" in name else "",
        ]
        for name, taken in each.items()
    ]
    header = [
        "how",
        "tokens a second",
        "over `generate`",
        f"share of {args.prompts} answers about the family changed",
        "first answer, with compiling",
    ]
    figures = [
        measured.compare(
            f"decoding, {name}",
            taken,
            each[GENERATE],
            other_name=GENERATE,
            unit="tokens/s",
            target="ratio 1.8",
        )
        for name, taken in each.items()
        if name != GENERATE
    ]
    return f"\n## Faster on CPUs\n\n{measured.table(header, lines)}\n", figures


def with_one_thread(way: Callable[[], object]) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    way()
    torch.set_num_threads(threads)


def torchao_ways(folder: str, inputs: Any) -> dict[str, Callable[[int], object]]:
    """torchao's int8 weights, where it is installed, with `generate`'s own way to compile."""
    try:
        from torchao.quantization import Int8WeightOnlyConfig, quantize_
    except ImportError:
        return {}
    model = load_model(folder, dtype=torch.bfloat16)
    # Else the embedding, which shares the head's weights, would become int8 too.
    model.lm_head.weight = nn.Parameter(model.lm_head.weight.detach().clone(), requires_grad=False)
    for part in (model.model.language_model, model.lm_head):
        quantize_(part, Int8WeightOnlyConfig())
    config = CompileConfig(mode="default")
    config._compile_all_devices = True  # a CPU is left out else
    options = {"cache_implementation": "static", "compile_config": config}
    return {
        f"`generate`, torchao {version('torchao')}'s int8 weights, bfloat16, compiled": (
            lambda n: write(model, n, **inputs, **options)
        )
    }


def shares_changed(
    models: dict[str, RnaGptForCausalLM], processor: RnaGptProcessor, sequences: list[str]
) -> dict[str, float]:
    """The share of answers in which each differs from the first."""
    answers = {
        name: [chat_once(one, processor, 32, SECOND, sequence) for sequence in sequences]
        for name, one in models.items()
    }
    expected = next(iter(answers.values()))
    return {
        name: statistics.mean(a != b for a, b in zip(expected, given, strict=True))
        for name, given in answers.items()
    }


def changed(
    folder: str, model: RnaGptForCausalLM, processor: RnaGptProcessor, args: argparse.Namespace
) -> tuple[str, list[measured.Figure]]:
    """How often int8 weights change answers; a long one has more tokens that may turn."""
    int8, sequences = load_model(folder, int8=True), draw_sequences(args)
    lines = []
    for question in (SECOND, LONG):
        pairs = [
            [chat_once(one, processor, 32, question, sequence) for one in (model, int8)]
            for sequence in sequences
        ]
        shares = [
            statistics.mean(part(a) != part(b) for a, b in pairs)
            for part in (str, lambda answer: answer.split()[:6])
        ]
        words = statistics.mean(len(answer.split()) for answer, _ in pairs)
        lines.append([question, f"{words:.0f}", *(f"{share:.2f}" for share in shares)])
    header = ["question", "words, up to 32 tokens", "share changed", "in the first six words"]
    head = f"Answers about {len(sequences)} RNAs, with int8 weights and without."
    return f"\n## Answers that int8 changes\n\n{head}\n\n{measured.table(header, lines)}\n", []


def draw_sequences(args: argparse.Namespace) -> list[str]:
    rows = load_dataset(args.dataset, "annotations", split="test")
    sequences = [sequence for sequence in rows["sequence"] if len(sequence) <= 600]
    return random.Random(0).sample(sequences, args.prompts)


if __name__ == "__main__":
    main()
