"""Chatting: what a token, a second question and the start cost, and what speeds a CPU up.

    python benchmarks/chatting.py --dataset rna-qa         # on the mini; writes chatting.md
    python benchmarks/chatting.py --dataset rna-qa --parts tokens turns    # prints them alone

- tokens: a token of `model.generate` with an RNA in the prompt, and of `RnaChat`, against the bare
  language model's own `generate` on the same weights and the vectors of the same prompt, so that
  all three write the same tokens; all in torch's inference mode, which `RnaChat` always runs in.
- turns: seconds to the first word of the first and of the second question about the same RNA.
- start: seconds of `import rnagpt`, and of a fresh process from its start to the first word.
- faster: what `load_model` offers for CPUs (`int8`, `compiled`), against `generate` in float32, and
  the share of short answers that it changes; with other ways: bfloat16, one thread, torchao.
- changed: how often int8 weights change an answer, a short and a long one, and its first words.
"""

from __future__ import annotations

import argparse
import copy
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from datasets import load_dataset
from measured import (
    Figure,
    command_line,
    machine,
    make_parser,
    parse,
    ratio,
    ratio_interval,
    table,
    take_turns,
    write_down,
)
from rna_fm_size import compose_rna_fm_size
from torch import nn
from transformers import AutoModelForCausalLM, CompileConfig

from rnagpt.conversion.mini import find_language_model, load_bundled
from rnagpt.inference.chat import RnaChat
from rnagpt.inference.generation import user_message
from rnagpt.inference.loading import load_model, load_processor
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor

REPORT = Path(__file__).with_suffix(".md")
PARTS = ("tokens", "turns", "start", "faster", "changed")
QUESTION, SECOND = "What is known about this RNA?", "Which family does it belong to?"
LONG = "What is the function of this RNA?"
FEW, MANY = 8, 72
FLOAT = "float32"
GENERATE = "`generate`, float32"
LENGTHS = (100, 1000, 2000)
WHOLE = 3  # rounds of a run to publish


def main() -> None:
    args = parse_arguments()
    folder = args.model or str(load_bundled())
    model, processor = load_model(folder, dtype=torch.float32), load_processor(folder)
    measure: dict[str, Callable[[], tuple[str, list[Figure]]]] = {
        "tokens": lambda: tokens(model, processor, args),
        "turns": lambda: turns(model, processor, args),
        "start": lambda: start(folder, args),
        "faster": lambda: faster(folder, model, processor, args),
        "changed": lambda: changed(folder, model, processor, args),
    }
    found = []
    for part in args.parts:
        found.append(measure[part]())
        print(found[-1][0], flush=True)
    head = [
        "# Chatting",
        "",
        f"`python benchmarks/chatting.py {command_line()}`",
        "",
        f"{machine('torch', 'transformers')} Medians of {args.rounds} rounds in turn.",
        "",
    ]
    text = "\n".join(head) + "\n".join(part for part, _ in found)
    figures = [figure for _, figures in found for figure in figures]
    is_whole = set(args.parts) == set(PARTS) and args.rounds >= WHOLE
    write_down(args, text, figures, report=REPORT, is_whole=is_whole)


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--dataset", required=True, help="folder or Hub id of an RNA-QA")
    parser.add_argument("--model", help="folder or Hub id; else rna-gpt-mini")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompts", type=int, default=100, help="whose answers are compared")
    return parse(parser)


def prompt_of(processor: RnaGptProcessor, sequence: str, question: str = QUESTION) -> Any:
    return processor.apply_chat_template(
        [user_message(question, [sequence])], add_generation_prompt=True, tokenize=True
    )


def make_rna(length: int, seed: int = 0) -> str:
    return "".join(random.Random(seed).choices("ACGU", k=length))


@torch.inference_mode()
def write(model: Any, number: int, **inputs: Any) -> torch.Tensor:
    """Greedy, exactly so many tokens."""
    return model.generate(
        **inputs, max_new_tokens=number, min_new_tokens=number, do_sample=False, pad_token_id=0
    )


def tokens(
    model: RnaGptForCausalLM, processor: RnaGptProcessor, args: argparse.Namespace
) -> tuple[str, list[Figure]]:
    """What a token costs: the difference of a long and a short answer."""
    answers = ways_to_write(model, processor)
    check_same_answers(answers, processor)
    each = seconds_a_token(answers, args.rounds)
    base, *others = answers
    text = table(
        ["a token of", "time", "more than bare", "95 % interval"],
        [
            [name, f"{1000 * statistics.median(each[name]):.1f} ms", *more_than(each, name, base)]
            for name in answers
        ],
    )
    figures = [
        Figure(
            f"chatting, a token of {name}",
            ours=1000 * statistics.median(each[name]),
            other=1000 * statistics.median(each[base]),
            other_name=base,
            unit="ms/token",
            target="at most 3 % more",
            interval=ratio_interval(each[base], each[name]),
        )
        for name in others
    ]
    held = f"Of the same prompt, and the same tokens; {4 * args.rounds} rounds in turn."
    return f"\n## A token\n\n{text}\n\n{held}\n", figures


def ways_to_write(
    model: RnaGptForCausalLM, processor: RnaGptProcessor
) -> dict[str, Callable[[int], Any]]:
    """Three ways to write so many tokens after one prompt, the bare language model's first."""
    bare = bare_language_model(model)
    inputs = prompt_of(processor, make_rna(300))
    vectors = vectors_of(model, inputs)
    mask = torch.ones(vectors.shape[:2], dtype=torch.long)
    return {
        "the bare language model": lambda n: write(
            bare, n, inputs_embeds=vectors, attention_mask=mask
        ),
        "RNA-GPT, `generate`": lambda n: write(model, n, **inputs)[
            :, inputs["input_ids"].shape[1] :
        ],
        "RNA-GPT, `RnaChat`": partial(chat_once, model, processor),
    }


@torch.no_grad()
def vectors_of(model: RnaGptForCausalLM, inputs: Any) -> torch.Tensor:
    """What the language model reads of a prompt, its RNA's vectors among those of words."""
    read: list[torch.Tensor] = []
    hook = model.model.language_model.register_forward_pre_hook(
        lambda module, args, kwargs: read.append(kwargs["inputs_embeds"]), with_kwargs=True
    )
    model(**inputs)
    hook.remove()
    return read[0]


def check_same_answers(
    answers: Mapping[str, Callable[[int], Any]], processor: RnaGptProcessor
) -> None:
    """Ways that write other tokens are not compared.

    Raises:
        ValueError: with the answers.
    """
    written = {
        name: one
        if isinstance(one := answer(FEW), str)
        else processor.decode(one[0], skip_special_tokens=True)
        for name, answer in answers.items()
    }
    if len({text.strip() for text in written.values()}) != 1:
        raise ValueError(f"The ways write different answers: {written}.")


def more_than(each: Mapping[str, Sequence[float]], name: str, base: str) -> list[str]:
    """How much more a way takes than the base, in percent, and its interval over rounds."""
    if name == base:
        return ["", ""]
    interval = ratio_interval(each[name], each[base])
    held = "" if interval is None else " to ".join(f"{100 * (end - 1):+.1f} %" for end in interval)
    return [f"{100 * (ratio(each[name], each[base]) - 1):+.1f} %", held]


def chat_once(
    model: RnaGptForCausalLM,
    processor: RnaGptProcessor,
    number: int,
    question: str = QUESTION,
    sequence: str = "",
) -> str:
    """The answer to one question: to its end about a given sequence, else of so many tokens."""
    chat = RnaChat(model, processor)
    chat.add_rna(sequence or make_rna(300))
    least = 0 if sequence else number
    return "".join(chat.ask(question, max_new_tokens=number, min_new_tokens=least))


def seconds_a_token(
    answers: dict[str, Callable[[int], object]], rounds: int
) -> dict[str, list[float]]:
    """Of each way that writes so many tokens: the difference of a long and a short answer."""
    ways = {}
    for name, answer in answers.items():
        ways[f"{name}, {FEW}"] = partial(answer, FEW)
        ways[f"{name}, {MANY}"] = partial(answer, MANY)
    # A token's few milliseconds drown in a shared machine's noise unless they are taken often.
    seconds = take_turns(ways, 4 * rounds)
    return {
        name: [
            (long - short) / (MANY - FEW)
            for short, long in zip(
                seconds[f"{name}, {FEW}"], seconds[f"{name}, {MANY}"], strict=True
            )
        ]
        for name in answers
    }


def bare_language_model(model: RnaGptForCausalLM) -> Any:
    """The language model as a model of its own, on the very same weights."""
    with torch.device("meta"):
        bare = AutoModelForCausalLM.from_config(model.config.text_config, dtype=model.dtype)
    setattr(bare, bare.base_model_prefix, model.model.language_model)
    bare.lm_head = model.lm_head
    bare.generation_config = copy.deepcopy(model.generation_config)
    return bare.eval()


def turns(
    model: RnaGptForCausalLM, processor: RnaGptProcessor, args: argparse.Namespace
) -> tuple[str, list[Figure]]:
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
            waits = [
                waits_of_turns(one, its_processor, make_rna(length, seed))
                for seed in range(args.rounds)
            ]
            first, second = zip(*waits, strict=True)
            lines.append(
                [
                    name,
                    f"{length:,}",
                    f"{statistics.median(first):.2f} s",
                    f"{statistics.median(second):.2f} s",
                    f"{ratio(second, first):.2f}",
                ]
            )
            figures.append(
                Figure(
                    f"chatting, second question about {length} nt, {name}",
                    ours=statistics.median(second),
                    other=statistics.median(first),
                    other_name="the first question",
                    unit="s to the first word",
                    target="ratio 5",
                    interval=ratio_interval(first, second),
                )
            )
    text = table(["model", "nt", "first question", "second question", "second over first"], lines)
    held = (
        "The RNA is neither encoded nor read again. What is left is one pass over the second "
        "question's own tokens, which takes as long whatever the RNA is."
    )
    return f"\n## To the first word\n\n{text}\n\n{held}\n", figures


def waits_of_turns(
    model: RnaGptForCausalLM, processor: RnaGptProcessor, sequence: str
) -> tuple[float, float]:
    chat = RnaChat(model, processor)
    chat.add_rna(sequence)
    return first_word(chat, QUESTION), first_word(chat, SECOND)


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
_FIRST_WORD = """
import sys
from rnagpt import RnaChat
chat = RnaChat.from_pretrained(sys.argv[1])
chat.add_rna("GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA")
next(chat.ask("What is this RNA?"))
"""


def start(folder: str, args: argparse.Namespace) -> tuple[str, list[Figure]]:
    """A fresh process each time; the files are in the system's cache after the first."""
    run(_NO_TORCH)
    imports = [float(run(_IMPORT)) for _ in range(args.rounds)]
    words = []
    for _ in range(args.rounds):
        begin = time.perf_counter()
        run(_FIRST_WORD, folder)
        words.append(time.perf_counter() - begin)
    lines = [
        ["`import rnagpt` (torch is not loaded)", f"{statistics.median(imports):.3f} s"],
        ["a process, from its start to the first word", f"{statistics.median(words):.1f} s"],
    ]
    figures = [
        Figure(name, statistics.median(taken), None, "", "s", target)
        for name, taken, target in (
            ("import rnagpt", imports, "under 0.5 s, without torch"),
            ("start to first word", words, "under 12 s"),
        )
    ]
    return f"\n## The start\n\n{table(['what', 'median'], lines)}\n", figures


def run(program: str, *arguments: str) -> str:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def faster(
    folder: str, model: RnaGptForCausalLM, processor: RnaGptProcessor, args: argparse.Namespace
) -> tuple[str, list[Figure]]:
    """Ways to write a token on a CPU, against `generate` in float32."""
    chats = {
        FLOAT: model,
        f"{FLOAT}, compiled": load_model(folder, compiled=True),
        "int8": load_model(folder, int8=True),
        "int8, compiled": load_model(folder, int8=True, compiled=True),
        "bfloat16": load_model(folder, dtype=torch.bfloat16),
    }
    inputs = prompt_of(processor, make_rna(300))
    answers: dict[str, Callable[[int], object]] = {
        GENERATE: lambda n: write(model, n, **inputs),
        f"{GENERATE}, 1 thread": lambda n: alone(lambda: write(model, n, **inputs)),
    }
    for name, one in chats.items():
        answers[f"`RnaChat`, {name}"] = partial(chat_once, one, processor)
    int8 = chats["int8"]
    answers["`RnaChat`, int8, 1 thread"] = lambda n: alone(lambda: chat_once(int8, processor, n))
    answers |= torchao_ways(folder, inputs)
    first = {name: seconds_of(partial(answer, FEW)) for name, answer in answers.items()}
    each = seconds_a_token(answers, args.rounds)
    changed = shares_changed(chats, processor, draw_sequences(args))
    lines = [
        [
            name,
            f"{1 / statistics.median(taken):.1f}",
            f"{ratio(each[GENERATE], taken):.2f} x",
            f"{changed[kind]:.2f}" if (kind := name.removeprefix("`RnaChat`, ")) in changed else "",
            f"{first[name]:.0f} s" if "compiled" in name else "",
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
        Figure(
            f"decoding, {name}",
            ours=1 / statistics.median(taken),
            other=1 / statistics.median(each[GENERATE]),
            other_name=GENERATE,
            unit="tokens/s",
            target="ratio 1.8",
            interval=ratio_interval(each[GENERATE], taken),
        )
        for name, taken in each.items()
        if name != GENERATE
    ]
    return f"\n## Faster on CPUs\n\n{table(header, lines)}\n", figures


def seconds_of(way: Callable[[], object]) -> float:
    return take_turns({"": way}, 1)[""][0]


def alone(way: Callable[[], object]) -> None:
    """With one thread."""
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
    model = with_head_of_its_own(load_model(folder, dtype=torch.bfloat16))
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
) -> tuple[str, list[Figure]]:
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
    return f"\n## Answers that int8 changes\n\n{head}\n\n{table(header, lines)}\n", []


def with_head_of_its_own(model: RnaGptForCausalLM) -> RnaGptForCausalLM:
    """Else the embedding, which shares the head's weights, would become int8 too."""
    model.lm_head.weight = nn.Parameter(model.lm_head.weight.detach().clone(), requires_grad=False)
    return model


def draw_sequences(args: argparse.Namespace) -> list[str]:
    rows = load_dataset(args.dataset, "annotations", split="test")
    sequences = [sequence for sequence in rows["sequence"] if len(sequence) <= 600]
    return random.Random(0).sample(sequences, args.prompts)


if __name__ == "__main__":
    main()
