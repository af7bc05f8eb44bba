"""Training steps of RNA-GPT in its true size on a GPU, against what `scale.py` says of them.

    python benchmarks/scale_measured.py                       # writes scale_measured.md
    python benchmarks/scale_measured.py --kept                # compares what was measured last
    python benchmarks/scale_measured.py --layers 2 --hidden 256 --device cpu --steps 2   # tries it

RNA-FM's and Llama-3-8B's shapes with random weights in bfloat16, the projection in float32 and
LoRA of rank 16 on every matrix of the language model, activations recomputed, AdamW: the stages as
`train_sft.py` runs them, each on made-up batches of about `--tokens` tokens. `scale.py` calculates
the same batches. The GPU's utilisation is taken from stage 1, which has no adapter; so the
comparison shows whether `scale.py` tells the runs apart. PEFT's layers cast their inputs to float32
here, which is their default; `train_sft.py` switches that off.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from measured import Figure, machine, make_parser, parse, table, write_down
from peft import LoraConfig, PeftModel, get_peft_model
from scale import GB, H100, Data, LanguageModel, Plan, Run, plan
from transformers import EsmConfig, LlamaConfig
from trl.trainer.utils import add_fused_lm_head

from rnagpt.configuration_rnagpt import RnaGptConfig
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.training.collators import IGNORE, EncodedTurn, branch_mask, share_prefix
from rnagpt.training.trainer import lora_targets

REPORT = Path(__file__).with_suffix(".md")
STAGE_1, STAGE_2 = "stage 1", "stage 2, 8 questions a sequence"
SINGLE = "stage 2, 1 question a sequence, encoder each time"
DATA = Data(questions=8)
RANK = 16
LEARNING_RATE = 1e-4


@dataclass(frozen=True)
class Measured:
    """A run's step.

    Attributes:
        run: by its name in `runs`.
        sequences, tokens: of the step, and of all its sequences together.
        seconds: median.
        memory: bytes of the GPU, at most; CUDA's own included. None: on a CPU.
    """

    run: str
    sequences: int
    tokens: int
    seconds: float
    memory: float | None


def main() -> None:
    args = parse_arguments()
    raw = (args.report or REPORT).with_suffix(".json")
    if args.kept:
        stored = json.loads(raw.read_text())
    else:
        found = [asdict(one) for one in measure_all(args)]
        measured_on = machine("torch", "transformers", "peft", "trl")
        stored = {"machine": f"{measured_on} Medians of {args.steps} steps.", "runs": found}
    text, figures = report([Measured(**one) for one in stored["runs"]], stored["machine"])
    print(text)
    is_whole = args.kept or not (args.layers or args.hidden)
    if not args.kept and (is_whole or args.report):
        raw.write_text(json.dumps(stored, indent=1) + "\n")
    write_down(args, text, figures, report=REPORT, is_whole=is_whole)


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tokens", type=int, default=8192, help="of a step, about")
    parser.add_argument("--steps", type=int, default=5, help="that are timed, after two others")
    parser.add_argument("--layers", type=int, help="of the language model, to try the program")
    parser.add_argument("--hidden", type=int, help="likewise")
    parser.add_argument("--kept", action="store_true", help="compare the JSON next to the report")
    return parse(parser)


def measure_all(args: argparse.Namespace) -> list[Measured]:
    shape = LanguageModel()
    shape = replace(shape, layers=args.layers or shape.layers, hidden=args.hidden or shape.hidden)
    model = make_model(shape, args.device)
    return [
        measure(model, run, make_inputs(run, args.tokens, model.config, args.device), args)
        for run in runs().values()
    ]


def runs() -> dict[str, Run]:
    """The runs that are measured, one epoch of each, by their names."""
    together = Run(STAGE_2, rank=RANK, epochs=1, float32_inputs=True)
    single = replace(together, name=SINGLE, questions_together=1, cached=False)
    all_runs = [replace(together, name=STAGE_1, alignment=True), together, single]
    return {run.name: run for run in all_runs}


def make_model(shape: LanguageModel, device: str) -> PeftModel:
    """RNA-GPT with LoRA, random weights drawn on the device, nothing of the encoder trained."""
    text = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.feed_forward,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_heads,
        max_position_embeddings=8192,
    )
    config = RnaGptConfig(text_config=text)
    assert isinstance(config.rna_config, EsmConfig)
    torch.manual_seed(0)
    with torch.device(device):
        model = RnaGptForCausalLM._from_config(config, dtype=torch.bfloat16)
    model.requires_grad_(False)
    add_fused_lm_head(model)
    model.gradient_checkpointing_enable({"use_reentrant": False})
    adapted = get_peft_model(
        model,
        LoraConfig(r=RANK, target_modules=lora_targets(model), task_type="CAUSAL_LM"),
    )
    model.model.projector.requires_grad_(True).float()
    return adapted.train()


def make_inputs(
    run: Run, tokens: int, config: RnaGptConfig, device: str
) -> dict[str, torch.Tensor]:
    """Sequences of a stage, all alike, of about N tokens."""
    generator = torch.Generator().manual_seed(0)
    rna = torch.full((DATA.nucleotides,), int(config.rna_token_id or 0))
    if run.alignment:
        answer = torch.randint(1000, 2000, (DATA.annotation,), generator=generator)
        one = one_turn(turn_of(rna, answer))
    else:
        one = questions(run, rna, generator)
    number = max(1, round(tokens / len(one["input_ids"])))
    inputs = {name: value.expand(number, *value.shape).to(device) for name, value in one.items()}
    letters = torch.randint(4, 8, (number, DATA.nucleotides), generator=generator)
    inputs["rna_input_ids"] = letters.to(device)
    inputs["rna_attention_mask"] = torch.ones_like(letters).to(device)
    if run.cached:
        cached = torch.randn(number, DATA.nucleotides, config.rna_config.hidden_size)
        inputs["rna_hidden_states"] = cached.to(device, torch.bfloat16)
    return inputs


def turn_of(prompt: torch.Tensor, answer: torch.Tensor) -> EncodedTurn:
    """A prompt and its answer, of which only the answer is learnt."""
    labels = torch.cat([torch.full_like(prompt, IGNORE), answer])
    return EncodedTurn(torch.cat([prompt, answer]), labels)


def one_turn(turn: EncodedTurn) -> dict[str, torch.Tensor]:
    """A sequence of one turn."""
    mask = torch.ones_like(turn.input_ids)
    return {"input_ids": turn.input_ids, "labels": turn.labels, "attention_mask": mask}


def questions(run: Run, rna: torch.Tensor, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """One sequence of the instruction stage, as `InstructionCollator` makes it."""
    turns = []
    for number in range(run.questions_together):
        # The first word tells questions apart, so that they share only the RNA.
        asked = torch.randint(1000, 2000, (DATA.asked,), generator=generator)
        asked[0] = number
        answer = torch.randint(1000, 2000, (DATA.answered,), generator=generator)
        turns.append(turn_of(torch.cat([rna, asked]), answer))
    if len(turns) == 1:
        return one_turn(turns[0])
    shared = share_prefix(turns, int(rna[0]))
    return {
        "input_ids": shared.input_ids,
        "labels": shared.labels,
        "position_ids": shared.position_ids,
        "attention_mask": branch_mask(shared.branches[None])[0],
    }


def measure(
    model: PeftModel, run: Run, inputs: dict[str, torch.Tensor], args: argparse.Namespace
) -> Measured:
    """Time a run's steps, two more than are counted."""
    on_gpu = args.device != "cpu"
    # Stage 1 has no adapter yet: its layers are passed by, and only the projection learns.
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.requires_grad_(not run.alignment)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATE, fused=on_gpu)
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    with model.disable_adapter() if run.alignment else nullcontext():
        seconds = [
            timed(lambda: step(model, optimizer, inputs), on_gpu) for _ in range(2 + args.steps)
        ]
    sequences, tokens = len(inputs["input_ids"]), inputs["input_ids"].numel()
    memory = None
    if on_gpu:
        # What the allocator held at most, and what CUDA itself takes besides.
        free, total = torch.cuda.mem_get_info()
        own = total - free - torch.cuda.memory_reserved()
        memory = float(torch.cuda.max_memory_reserved() + own)
    return Measured(run.name, sequences, tokens, statistics.median(seconds[2:]), memory)


def step(
    model: PeftModel, optimizer: torch.optim.Optimizer, inputs: dict[str, torch.Tensor]
) -> None:
    with torch.autocast(inputs["input_ids"].device.type, dtype=torch.bfloat16):
        loss = model(**inputs, fused_lm_head=True).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()


def timed(way: Callable[[], object], on_gpu: bool) -> float:
    begin = time.perf_counter()
    way()
    if on_gpu:
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def calculated(one: Measured, utilisation: float) -> Plan:
    """What the calculator says of the very step."""
    run = replace(runs()[one.run], tokens=one.tokens, utilisation=utilisation)
    return plan(run, replace(DATA, rnas=one.sequences))


def utilisation_of(stage_1: Measured) -> float:
    """The share of the peak with which the calculator says what was measured."""
    expected = calculated(stage_1, 1.0)
    return stage_1.tokens / stage_1.seconds / expected.tokens_per_second


def report(found: list[Measured], measured_on: str) -> tuple[str, list[Figure]]:
    """The table and its figures."""
    utilisation = utilisation_of(next(one for one in found if one.run == STAGE_1))
    lines, figures = [], []
    for one in found:
        expected = calculated(one, utilisation)
        speed = one.tokens / one.seconds
        pairs = [("speed", speed, expected.tokens_per_second, "tokens/s", ",.0f")]
        if one.memory is not None:
            pairs.append(("memory", one.memory / GB, expected.memory / GB, "GB", ".1f"))
        cells = [one.run, f"{one.sequences} × {one.tokens // one.sequences}"]
        cells.append(f"{one.seconds:.2f} s")
        for what, ours, other, unit, digits in pairs:
            off = f"{100 * (other / ours - 1):+.0f} %"
            if what == "speed" and one.run == STAGE_1:
                off = "(taken from it)"  # the utilisation, so that it cannot be off
            else:
                name = f"true size, {one.run}, {what}"
                figures.append(Figure(name, ours, other, "the calculator", unit, "within 15 %"))
            cells += [f"{ours:{digits}}", f"{other:{digits}}", off]
        lines.append(cells)
    header = ["run", "a step", "measured", "tokens a second", "calculated", "off"]
    header += ["memory (GB)", "calculated", "off"]
    text = f"""# Training RNA-GPT in its true size: measured

`python benchmarks/scale_measured.py`

{measured_on} Random weights; {DATA.nucleotides} nt, {DATA.asked} tokens a question, \
{DATA.answered} an answer, {DATA.annotation} an annotation.

{table(header, lines)}

The calculator's utilisation is taken from stage 1: {utilisation:.2f} of \
{H100.peak / 1e12:.0f} TFLOP/s. Stage 2 is with PEFT's turning of every input into float32 and \
back, which `train_sft.py` leaves out. Memory is all that the GPU held, CUDA's own included.
"""
    return text, figures


if __name__ == "__main__":
    main()
