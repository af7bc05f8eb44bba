"""Training steps of RNA-GPT in its true size on a GPU, against what `scale.py` says of them.

    python benchmarks/scale_measured.py                       # writes scale_measured.md
    python benchmarks/scale_measured.py --layers 2 --hidden 256 --device cpu --steps 2   # tries it

RNA-FM's and Llama-3-8B's shapes with random weights in bfloat16, the projection in float32 and
LoRA of rank 16 on every matrix of the language model, activations recomputed, AdamW: the stages as
`train_sft.py` runs them, each on made-up batches of about `--tokens` tokens. `scale.py` is asked
for the same batches. Its utilisation of the GPU is an assumption, so that it is taken from the
first run for all of them: what is compared is then whether it tells the runs from each other.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from measured import Figure, keep, machine, table
from peft import LoraConfig, PeftModel, get_peft_model
from scale import GB, H100, Data, Encoder, Gpu, LanguageModel, Run, plan
from torch import nn
from transformers import EsmConfig, LlamaConfig
from trl.trainer.utils import add_fused_lm_head

from rnagpt.collator_rnagpt import IGNORE, EncodedTurn, branch_mask, share_prefix
from rnagpt.configuration_rnagpt import RnaGptConfig
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.trainer_rnagpt import lora_targets

REPORT = Path(__file__).with_suffix(".md")
DATA = Data(questions=8)
RANK = 16
LEARNING_RATE = 1e-4


@dataclass(frozen=True)
class Batch:
    """What a step reads, and how `scale.py` describes it."""

    run: Run
    sequences: int
    inputs: dict[str, torch.Tensor]

    @property
    def tokens(self) -> int:
        """Tokens of the language model in a step."""
        return self.inputs["input_ids"].numel()


def main() -> None:
    args = parse_arguments()
    model_shape = LanguageModel()
    if args.layers or args.hidden:
        model_shape = replace(
            model_shape,
            layers=args.layers or model_shape.layers,
            hidden=args.hidden or model_shape.hidden,
        )
    gpu = gpu_of(args.device)
    model = make_model(model_shape, args.device)
    found = []
    for run in runs(args.tokens, gpu):
        batch = make_batch(run, model.config, args.device)
        found.append((batch, *measure(model, batch, args)))
    utilisation = measured_utilisation(found[0][0], found[0][1], model_shape)
    text, figures = report(found, utilisation, model_shape, args)
    print(text)
    args.report.write_text(text)
    keep(figures)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tokens", type=int, default=8192, help="of a step, about")
    parser.add_argument("--steps", type=int, default=5, help="that are timed, after two others")
    parser.add_argument("--layers", type=int, help="of the language model, to try the program")
    parser.add_argument("--hidden", type=int, help="likewise")
    parser.add_argument("--report", type=Path, default=REPORT, help="to write")
    return parser.parse_args()


def gpu_of(device: str) -> Gpu:
    """The GPU at hand, with an H100's peak; its links are not used here."""
    if device == "cpu":
        return replace(H100, name="CPU")
    properties = torch.cuda.get_device_properties(device)
    return replace(H100, name=properties.name, memory=float(properties.total_memory))


def runs(tokens: int, gpu: Gpu) -> list[Run]:
    """The runs that are measured, one epoch of each."""
    together = Run("stage 2, 8 questions a sequence", gpu=gpu, tokens=tokens, rank=RANK, epochs=1)
    return [
        together,
        replace(together, name="stage 1", alignment=True),
        replace(
            together,
            name="stage 2, 1 question a sequence, encoder each time",
            questions_together=1,
            cached=False,
        ),
    ]


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
    with torch.device(device), default_type(torch.bfloat16):
        model = RnaGptForCausalLM(config)
    model.requires_grad_(False)
    add_fused_lm_head(model)
    model.gradient_checkpointing_enable({"use_reentrant": False})
    adapted = get_peft_model(
        model,
        LoraConfig(r=RANK, target_modules=lora_targets(model), task_type="CAUSAL_LM"),
    )
    model.model.projector.requires_grad_(True).float()
    return adapted.train()


@contextmanager
def default_type(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def make_batch(run: Run, config: RnaGptConfig, device: str) -> Batch:
    """Sequences of a stage, all alike, to about `run.tokens` tokens."""
    generator = torch.Generator().manual_seed(0)
    rna = torch.full((DATA.nucleotides,), int(config.rna_token_id or 0))
    if run.alignment:
        answer = torch.randint(1000, 2000, (DATA.annotation,), generator=generator)
        ids = torch.cat([rna, answer])
        labels = torch.cat([torch.full_like(rna, IGNORE), answer])
        one = {"input_ids": ids, "labels": labels, "attention_mask": torch.ones_like(ids)}
    else:
        one = questions(run, rna, generator)
    number = max(1, round(run.tokens / len(one["input_ids"])))
    inputs = {name: value.expand(number, *value.shape).to(device) for name, value in one.items()}
    letters = torch.randint(4, 8, (number, DATA.nucleotides), generator=generator)
    inputs["rna_input_ids"] = letters.to(device)
    inputs["rna_attention_mask"] = torch.ones_like(letters).to(device)
    if run.cached:
        kept = torch.randn(number, DATA.nucleotides, config.rna_config.hidden_size)
        inputs["rna_hidden_states"] = kept.to(device, torch.bfloat16)
    return Batch(run, number, inputs)


def questions(run: Run, rna: torch.Tensor, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """One sequence of the instruction stage, as `InstructionCollator` makes it."""
    turns = []
    for number in range(run.questions_together):
        # The first word tells questions apart, so that they share the RNA alone.
        asked = torch.randint(1000, 2000, (DATA.asked,), generator=generator)
        asked[0] = number
        answer = torch.randint(1000, 2000, (DATA.answered,), generator=generator)
        ids = torch.cat([rna, asked, answer])
        labels = torch.full_like(ids, IGNORE)
        labels[-DATA.answered :] = answer
        turns.append(EncodedTurn(ids, labels))
    if len(turns) == 1:
        ids, labels = turns[0].input_ids, turns[0].labels
        return {"input_ids": ids, "labels": labels, "attention_mask": torch.ones_like(ids)}
    shared = share_prefix(turns, int(rna[0]))
    return {
        "input_ids": shared.input_ids,
        "labels": shared.labels,
        "position_ids": shared.position_ids,
        "attention_mask": branch_mask(shared.branches[None])[0],
    }


def measure(model: PeftModel, batch: Batch, args: argparse.Namespace) -> tuple[float, float]:
    """Median seconds of a step, and the most bytes of the GPU's memory that it took."""
    on_gpu = args.device != "cpu"
    # Stage 1 has no adapter yet: its layers are passed by, and the projection alone learns.
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.requires_grad_(not batch.run.alignment)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATE, fused=on_gpu)
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    with model.disable_adapter() if batch.run.alignment else nullcontext():
        seconds = [
            timed(lambda: step(model, optimizer, batch), on_gpu) for _ in range(2 + args.steps)
        ]
    return statistics.median(seconds[2:]), taken_memory() if on_gpu else float("nan")


def step(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch) -> None:
    device = batch.inputs["input_ids"].device.type
    with torch.autocast(device, dtype=torch.bfloat16):
        loss = model(**batch.inputs, fused_lm_head=True).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()


def timed(way: Callable[[], object], on_gpu: bool) -> float:
    begin = time.perf_counter()
    way()
    if on_gpu:
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def taken_memory() -> float:
    """Bytes: what the allocator held at most, and what CUDA itself takes beside it."""
    free, total = torch.cuda.mem_get_info()
    beside = total - free - torch.cuda.memory_reserved()
    return float(torch.cuda.max_memory_reserved() + beside)


def asked_of(batch: Batch) -> tuple[Run, Data]:
    """The batch in the calculator's words."""
    return replace(batch.run, tokens=batch.tokens), replace(DATA, rnas=batch.sequences)


def measured_utilisation(batch: Batch, seconds: float, shape: LanguageModel) -> float:
    """The share of the peak with which the calculator would say what was measured."""
    run, data = asked_of(batch)
    expected = plan(replace(run, utilisation=1.0), data, shape, Encoder())
    return expected.hours * 3600 / per_epoch(batch, seconds)


def per_epoch(batch: Batch, seconds: float) -> float:
    """Seconds for all questions of the batch's RNAs once."""
    together = 1 if batch.run.alignment else DATA.questions // batch.run.questions_together
    return seconds * together


def report(
    found: list[tuple[Batch, float, float]],
    utilisation: float,
    shape: LanguageModel,
    args: argparse.Namespace,
) -> tuple[str, list[Figure]]:
    lines, figures = [], []
    for batch, seconds, memory in found:
        run, data = asked_of(batch)
        expected = plan(replace(run, utilisation=utilisation), data, shape, Encoder())
        speed = batch.tokens / seconds
        lines.append(
            [
                run.name,
                f"{batch.sequences} × {batch.tokens // batch.sequences}",
                f"{seconds:.2f} s",
                f"{speed:,.0f}",
                f"{expected.tokens_per_second:,.0f}",
                f"{100 * (expected.tokens_per_second / speed - 1):+.0f} %",
                f"{memory / GB:.1f}",
                f"{expected.memory / GB:.1f}",
                f"{100 * (expected.memory / memory - 1):+.0f} %",
            ]
        )
        figures += [
            Figure(
                f"true size, {run.name}, {what}",
                ours=ours,
                other=other,
                other_name="the calculator",
                ratio=ours / other,
                limit=None,
                share_of_limit=None,
                unit=unit,
                target="within 15 %",
            )
            for what, ours, other, unit in (
                ("speed", speed, expected.tokens_per_second, "tokens/s"),
                ("memory", memory / GB, expected.memory / GB, "GB"),
            )
        ]
    header = ["run", "a step", "measured", "tokens a second", "calculated", "off"]
    header += ["memory (GB)", "calculated", "off"]
    gpu = found[0][0].run.gpu
    text = "\n".join(
        [
            "# Training RNA-GPT in its true size: measured",
            "",
            "`python benchmarks/scale_measured.py`",
            "",
            f"{gpu.name}; {machine('torch', 'transformers', 'peft', 'trl')} Random weights; "
            f"{DATA.nucleotides} nt, {DATA.asked} tokens a question, {DATA.answered} an answer, "
            f"{DATA.annotation} an annotation; medians of {args.steps} steps.",
            "",
            table(header, lines),
            "",
            f"The calculator's utilisation is the first run's: {utilisation:.2f} of "
            f"{gpu.peak / 1e12:.0f} TFLOP/s. Memory is all that the GPU held, CUDA's own included.",
        ]
    )
    return text + "\n", figures


if __name__ == "__main__":
    main()
