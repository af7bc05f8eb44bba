"""The model's own words about many RNAs: this package beside vLLM offline, on the same prompts.

    python benchmarks/bulk_vllm.py --dataset rna-qa --vllm .venv-vllm/bin/python    # bulk_vllm.md

`make test-vllm` makes that environment. Each engine answers in a process of its own, in turn, and
only answering is timed, the prompts' embedding included: not its start, which is told beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).parent
REPORT = Path(__file__).with_suffix(".md")
QUESTION = "What is known about this RNA?"
TOKENS = 32  # of an answer at most
PYTORCH, LLAMA, VLLM = "PyTorch", "llama.cpp", "vLLM, offline"
MIN_RNAS, MIN_ROUNDS = 100, 3  # of a run to publish


def main() -> None:
    if sys.argv[1:2] == ["--answer"]:
        print(json.dumps(answer(*sys.argv[2:])))
        return
    import measured

    from rnagpt.conversion.mini import load_bundled

    args = parse_arguments()
    model = args.model or str(load_bundled())
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rnas.json"
        file.write_text(json.dumps(draw(args)))
        ways = programs(args)
        told: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
        for _ in range(args.rounds):
            for name, python in ways.items():
                told[name].append(run(python, name, file, model))
                print(f"{name}: {told[name][-1]}"[:200], file=sys.stderr, flush=True)
    text, figures = report(args, told)
    print(text)
    is_whole = args.rnas >= MIN_RNAS and args.rounds >= MIN_ROUNDS
    measured.write_down(args, text, figures, report=REPORT, is_whole=is_whole)


def parse_arguments() -> argparse.Namespace:
    import measured

    parser = measured.make_parser(__doc__, dataset=True, rounds=MIN_ROUNDS)
    parser.add_argument("--model", help="folder; else rna-gpt-mini")
    parser.add_argument("--vllm", metavar="PYTHON", help="of an environment with vLLM")
    parser.add_argument("--rnas", type=int, default=MIN_RNAS)
    return measured.parse(parser)


def draw(args: argparse.Namespace) -> list[str]:
    import bulk

    return bulk.draw(args, args.rnas)


def programs(args: argparse.Namespace) -> dict[str, str]:
    """The Python that runs each engine."""
    from rnagpt.conversion.llama_library import is_installed

    found = {PYTORCH: sys.executable}
    if is_installed():
        found[LLAMA] = sys.executable
    if args.vllm:
        found[VLLM] = args.vllm
    return found


def run(python: str, name: str, file: Path, model: str) -> dict[str, Any]:
    """An engine's answers and seconds, by a process of its own.

    Raises:
        RuntimeError: it failed; with what it said.
    """
    command = [python, str(HERE / Path(__file__).name), "--answer", name, str(file), model]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{name} ended with {done.returncode}: {done.stderr[-3000:]}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def answer(name: str, file: str, model: str) -> dict[str, Any]:
    """What one process does: load an engine, and answer about all RNAs."""
    sequences: list[str] = json.loads(Path(file).read_text())
    began = time.perf_counter()
    write = open_vllm(model) if name == VLLM else open_ours(name, model)
    started, busy = time.perf_counter() - began, processor_seconds()
    began = time.perf_counter()
    tokens = write(sequences)
    told = {"seconds": time.perf_counter() - began, "processor": processor_seconds() - busy}
    return told | {"start": started, "tokens": tokens}


def processor_seconds() -> float:
    """Of this process and those that it has started and that still run."""
    own = psutil.Process()
    times = [one.cpu_times() for one in [own, *own.children(recursive=True)]]
    return float(sum(one.user + one.system for one in times))


def open_ours(name: str, folder: str) -> Callable[[list[str]], int]:
    from rnagpt.inference.batch import answer_questions
    from rnagpt.inference.light_prompts import LightPrompts
    from rnagpt.inference.local_model import LocalModel

    model = LocalModel.open(folder, engine="llama.cpp" if name == LLAMA else "transformers")
    model.load()
    prompts = LightPrompts.open(Path(folder))
    assert prompts is not None

    def write(sequences: list[str]) -> int:
        answers = answer_questions(model, None, sequences, [QUESTION], max_new_tokens=TOKENS)
        texts = [(one.written, one.complete) for one in answers]
        # The one that ends an answer was computed too.
        return sum(
            len(prompts.tokenizer.encode(text, add_special_tokens=False).ids) + ended
            for text, ended in texts
        )

    return write


def open_vllm(folder: str) -> Callable[[list[str]], int]:
    import torch
    import vllm

    from rnagpt.inference.generation import encode_prompts, end_tokens
    from rnagpt.inference.loading import load_model, load_processor
    from rnagpt.inference.messages import user_message
    from rnagpt.inference.prompt_embeds import embed_inputs, rna_vectors
    from rnagpt.serving.engines.vllm_folder import language_model_folder

    model, processor = load_model(folder, dtype=torch.float32), load_processor(folder)
    with language_model_folder(model, folder) as language_model:
        llm: Any = vllm.LLM(
            model=str(language_model),
            enable_prompt_embeds=True,
            skip_tokenizer_init=True,
            dtype="float32",
        )
    ends = end_tokens(model, processor)
    greedy = vllm.SamplingParams(
        temperature=0, max_tokens=TOKENS, stop_token_ids=ends, detokenize=False
    )

    @torch.inference_mode()
    def embed(sequence: str) -> dict[str, Any]:
        inputs = encode_prompts(processor, [[user_message(QUESTION, [sequence])]])
        return {"prompt_embeds": embed_inputs(model, inputs, rna_vectors(model, inputs))}

    def write(sequences: list[str]) -> int:
        outputs = llm.generate([embed(one) for one in sequences], greedy)
        return sum(len(one.outputs[0].token_ids) for one in outputs)

    return write


def report(
    args: argparse.Namespace, told: dict[str, list[dict[str, Any]]]
) -> tuple[str, list[Any]]:
    import measured

    clock = "processor" if os.environ.get("OMP_NUM_THREADS") == "1" else "seconds"
    seconds = {name: [one[clock] for one in runs] for name, runs in told.items()}
    rates = {
        name: statistics.median(one["tokens"] / one[clock] for one in runs)
        for name, runs in told.items()
    }
    lines = [
        [
            name,
            f"{args.rnas / statistics.median(seconds[name]):.2f}",
            f"{rate:.1f}",
            f"{rate / rates[PYTORCH]:.2f} x",
            f"{statistics.median(one['start'] for one in told[name]):.0f} s",
        ]
        for name, rate in rates.items()
    ]
    header = ["engine", "questions a second", "tokens a second", "over PyTorch", "start"]
    about = (
        f'{measured.machine("torch", "transformers")} "{QUESTION}" of {args.rnas} RNAs, answers of '
        f"at most {TOKENS} tokens; medians of {args.rounds} rounds in turn; seconds of the "
        f"{'processor, all processes' if clock == 'processor' else 'clock'}."
    )
    text = f"{measured.beginning('Many answers, beside vLLM', about)}\n"
    figures = [
        measured.compare(
            f"bulk answers, {name}",
            seconds[name],
            seconds[VLLM],
            other_name="vLLM, offline",
            unit="questions/s",
            target="ratio 1",
            work=args.rnas,
        )
        for name in (PYTORCH, LLAMA)
        if VLLM in seconds and name in seconds
    ]
    return f"{text}{measured.table(header, lines)}\n", figures


if __name__ == "__main__":
    main()
