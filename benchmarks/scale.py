"""Memory, speed and hours of training RNA-GPT in its true size, and what limits them.

    python benchmarks/scale.py                                # writes scale.md
    python benchmarks/scale.py --dollars-per-gpu-hour 3       # with costs
    python benchmarks/scale.py --utilisation 0.3 --nucleotides 500 --questions 12

Arithmetic: operations are counted from the models' shapes (`tests/benchmarks/test_scale.py` checks
the counts against PyTorch's own), and divided by a GPU's peak times the share of it that was
measured in stage 1 on one H100, 0.48 (`scale_measured.py`; the Llama 3 report has 0.38 to 0.43 for
thousands of them, arXiv 2407.21783, table 4). Frozen weights have no gradients, so that a token
costs two forward passes (three with recomputed activations) where full training costs three (four).
An adapter has few operations, but reads and writes the activations of every matrix again: that
traffic is counted separately, against the memory's bandwidth.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

from measured import beginning, make_parser, parse, table, write_down

REPORT = Path(__file__).with_suffix(".md")
GB = 1e9
# Adam in float32: the weight, its gradient, two moments.
BYTES_TRAINED = 16
BFLOAT16 = 2
# NF4 in blocks of 64 with constants that are quantised again (QLoRA, arXiv 2305.14314).
BYTES_NF4 = 4.127 / 8
# CUDA's context, the allocator's blocks that do not fit, buffers of the kernels: a guess.
BYTES_OVERHEAD = 3 * GB
UTILISATION = 0.48
# Of the bandwidth that its maker states a GPU's copy reaches about so much.
BANDWIDTH_REACHED = 0.9
# TRL's head computes logits in tiles, forwards and again backwards, and keeps none.
TILE = (4096, 32768)


@dataclass(frozen=True)
class LanguageModel:
    """A Llama: gated feed-forward, grouped queries, an output head of its own."""

    hidden: int = 4096
    layers: int = 32
    feed_forward: int = 14336
    heads: int = 32
    key_heads: int = 8
    vocabulary: int = 128256

    @property
    def key_size(self) -> int:
        return self.hidden // self.heads * self.key_heads

    @property
    def linear(self) -> int:
        """Weights of the layers' matrices."""
        attention = 2 * self.hidden * (self.hidden + self.key_size)
        return self.layers * (attention + 3 * self.hidden * self.feed_forward)

    @property
    def other(self) -> int:
        """Embeddings, head and norms: what is never quantised."""
        return 2 * self.vocabulary * self.hidden + (2 * self.layers + 1) * self.hidden

    @property
    def parameters(self) -> int:
        return self.linear + self.other

    def adapter(self, rank: int) -> int:
        """Weights of LoRA on every matrix of the layers."""
        attention = 2 * (self.hidden + self.hidden) + 2 * (self.hidden + self.key_size)
        return self.layers * rank * (attention + 3 * (self.hidden + self.feed_forward))

    def adapter_traffic(self, recompute: bool, float32_inputs: bool) -> float:
        """Bytes per token that LoRA moves in a step, besides those of the matrices that it adapts.

        A forward pass reads a matrix's input, and writes, scales and adds an output; a backward
        pass reads the output's gradient thrice and the input once, and adds to the input's
        gradient. With `float32_inputs`, PEFT's way without `disable_input_dtype_casting`, each
        pass turns the input into float32 and back.
        """
        inputs = self.layers * (6 * self.hidden + self.feed_forward)
        outputs = self.layers * (3 * self.hidden + 2 * self.key_size + 2 * self.feed_forward)
        cast = 12 * inputs if float32_inputs else 0
        forward = BFLOAT16 * (inputs + 6 * outputs) + cast
        backward = BFLOAT16 * (5 * inputs + 4 * outputs) + cast
        return forward * (2 if recompute else 1) + backward

    def forward(self, tokens: int, answered: int) -> float:
        """Operations of a forward pass over one causal sequence; logits of the answer only."""
        head = 2 * self.hidden * self.vocabulary * answered
        return 2 * self.linear * tokens + self.attention(tokens) + head

    def attention(self, tokens: int) -> float:
        """Operations on keys and values in a forward pass; half of the square is masked."""
        return 2 * self.layers * self.hidden * tokens**2

    def activations(self, tokens: int, answered: int, recompute: bool) -> float:
        """Bytes of activations that wait for the backward pass, bfloat16 but for norms and loss."""
        ends = BFLOAT16 * self.hidden
        norms = 2 * 4 * self.hidden
        width = 5 * self.hidden + 2 * self.key_size + 4 * self.feed_forward
        layer = norms + BFLOAT16 * width
        layers = self.layers * ends + layer if recompute else self.layers * layer
        tile = BFLOAT16 * min(answered, TILE[0]) * min(self.vocabulary, TILE[1])
        return layers * tokens + tile + (BFLOAT16 + 4) * self.hidden * answered


@dataclass(frozen=True)
class Encoder:
    """RNA-FM: 12 layers of 640, windows of 1,022 nt."""

    hidden: int = 640
    layers: int = 12
    feed_forward: int = 5120
    vocabulary: int = 25
    window: int = 1022

    @property
    def linear(self) -> int:
        return self.layers * (4 * self.hidden**2 + 2 * self.hidden * self.feed_forward)

    @property
    def parameters(self) -> int:
        """With biases, norms, embeddings and positions (two of them for the padding)."""
        biases = self.layers * (5 * self.hidden + self.feed_forward + 4 * self.hidden)
        tables = (self.vocabulary + self.window + 2 + 2) * self.hidden
        return self.linear + biases + 2 * self.hidden + tables

    def forward(self, nucleotides: int) -> float:
        """Operations of reading one RNA, in windows; their overlap is left out."""
        attention = 4 * self.layers * self.hidden * nucleotides * min(nucleotides, self.window)
        return 2 * self.linear * nucleotides + attention


@dataclass(frozen=True)
class Gpu:
    """What its maker states: memory, bfloat16 operations without sparsity, links in one direction.

    Attributes:
        bandwidth: bytes per second between the GPU and its memory.
        link: bytes per second between GPUs of one machine.
        network: bytes per second and GPU between machines.
    """

    name: str
    memory: float
    peak: float
    bandwidth: float
    link: float
    network: float
    in_machine: int


H100 = Gpu("H100 80 GB (SXM)", 80 * GB, 989e12, 3.35e12, 450e9, 50e9, 8)
RTX_4090 = Gpu("RTX 4090 24 GB", 24 * GB, 165e12, 1.008e12, 32e9, 12.5e9, 1)


@dataclass(frozen=True)
class Data:
    """What is learned from; means over the RNAs.

    Attributes:
        rnas: how many; 407,616 is RNA-QA's (arXiv 2411.08900).
        nucleotides: of an RNA; 143 is the mean of Rfam's seed sequences, not RNA-QA's.
        questions: about an RNA; not published, assumed.
        asked, answered: tokens of a question with its part of the template, of its answer.
        annotation: tokens of the whole text about an RNA.
    """

    rnas: int = 407_616
    nucleotides: int = 143
    questions: int = 10
    asked: int = 25
    answered: int = 40
    annotation: int = 300


@dataclass(frozen=True)
class Run:
    """A stage on some GPUs.

    Attributes:
        alignment: stage 1, only the projection; else instruction, projection and LoRA.
        questions_together: of one RNA in a sequence.
        merge: nucleotides that share a vector.
        tokens: of a step, on each GPU.
        sharded: FSDP; else every GPU holds all weights.
        quantised: the language model's matrices in NF4.
        cached: the encoder reads an RNA once, else in every sequence.
        float32_inputs: see `LanguageModel.adapter_traffic`; `train_sft.py` does without.
        utilisation: share of the peak that matrix products reach.
    """

    name: str
    gpu: Gpu = H100
    gpus: int = 1
    alignment: bool = False
    questions_together: int = 8
    merge: int = 1
    rank: int = 16
    epochs: int = 3
    tokens: int = 8192
    recompute: bool = True
    sharded: bool = False
    quantised: bool = False
    cached: bool = True
    float32_inputs: bool = False
    utilisation: float = UTILISATION


@dataclass(frozen=True)
class Plan:
    """What a run takes.

    Attributes:
        memory: bytes per GPU.
        tokens_per_second: of all GPUs.
        hours: of the run.
        communication: seconds of a step that links are busy, over those of its computation.
    """

    memory: float
    tokens_per_second: float
    hours: float
    communication: float

    def limit(self, run: Run) -> str:
        """What is used up first."""
        if self.memory > run.gpu.memory:
            return f"memory: {self.memory / GB:.0f} of {run.gpu.memory / GB:.0f} GB"
        return "links between GPUs" if self.communication > 1 else "computation"


def plan(
    run: Run,
    data: Data,
    model: LanguageModel = LanguageModel(),
    encoder: Encoder = Encoder(),
) -> Plan:
    """Count what a run takes."""
    vectors = -(-data.nucleotides // run.merge)
    if run.alignment:
        sequences, answered = data.rnas, data.annotation
        tokens = vectors + answered
    else:
        # The questions about an RNA, dealt evenly to as few sequences as hold them.
        parts = -(-data.questions // run.questions_together)
        sequences, together = data.rnas * parts, data.questions / parts
        answered = round(together * data.answered)
        tokens = vectors + round(together * (data.asked + data.answered))
    projection = encoder.hidden * run.merge * model.hidden + model.hidden
    adapter = 0 if run.alignment else model.adapter(run.rank)
    forward = model.forward(tokens, answered)
    # Of frozen weights there is no gradient, and attention has none: both its operands need one.
    passes = 3 if run.recompute else 2
    operations = passes * forward + model.attention(tokens)
    operations += 6 * (adapter * tokens + projection * vectors)
    reading = encoder.forward(data.nucleotides)
    total = run.epochs * sequences * operations
    total += reading * (data.rnas if run.cached else run.epochs * sequences)
    all_tokens = run.epochs * sequences * tokens
    traffic = 0.0 if run.alignment else model.adapter_traffic(run.recompute, run.float32_inputs)
    seconds = total / (run.gpu.peak * run.utilisation)
    seconds += all_tokens * traffic / (run.gpu.bandwidth * BANDWIDTH_REACHED)
    seconds /= run.gpus
    return Plan(
        _memory(run, model, encoder, projection + adapter, answered / tokens),
        all_tokens / seconds,
        seconds / 3600,
        _communication(run, model, projection + adapter, seconds / all_tokens * run.gpus),
    )


def _memory(
    run: Run, model: LanguageModel, encoder: Encoder, trained: int, share_answered: float
) -> float:
    linear = model.linear * (BYTES_NF4 if run.quantised else BFLOAT16)
    weights = linear + BFLOAT16 * (model.other + encoder.parameters) + BYTES_TRAINED * trained
    if run.sharded:
        # One layer at a time is whole, and the next is fetched already.
        whole = 2 * BFLOAT16 * model.linear / model.layers
        weights = weights / run.gpus + whole
    answered = round(share_answered * run.tokens)
    return weights + model.activations(run.tokens, answered, run.recompute) + BYTES_OVERHEAD


def _communication(run: Run, model: LanguageModel, trained: int, seconds_per_token: float) -> float:
    """Links' seconds over computation's; a ring sends all but a GPU's own share."""
    if run.gpus == 1:
        return 0.0
    rate = run.gpu.link if run.gpus <= run.gpu.in_machine else run.gpu.network
    sent = 2 * 4 * trained  # gradients in float32, summed and given back
    if run.sharded:
        sent += 2 * BFLOAT16 * model.parameters  # gathered for the forward and the backward pass
    seconds = sent * (run.gpus - 1) / run.gpus / rate
    return seconds / (run.tokens * seconds_per_token)


def runs(utilisation: float) -> list[Run]:
    """The runs of the report."""
    stage_1 = Run("stage 1", alignment=True, utilisation=utilisation)
    stage_2 = Run("stage 2, 8 questions a sequence", utilisation=utilisation)
    single = replace(
        stage_2,
        name="stage 2, 1 question a sequence, encoder each time",
        questions_together=1,
        cached=False,
    )
    several = [replace(run, gpus=gpus) for gpus in (1, 8, 64) for run in (stage_1, stage_2, single)]
    sharded = [
        replace(stage_2, name=f"{stage_2.name}, FSDP", gpus=gpus, sharded=True) for gpus in (8, 64)
    ]
    small = [
        replace(stage_2, name=f"{stage_2.name}, {name}", gpu=RTX_4090, tokens=2048, quantised=nf4)
        for name, nf4 in (("QLoRA", True), ("LoRA", False))
    ]
    return [*several, *sharded, *small]


def report(args: argparse.Namespace, data: Data) -> str:
    """The table, with its assumptions."""
    dollars = args.dollars_per_gpu_hour
    model, encoder = LanguageModel(), Encoder()
    header = ["run", "GPUs", "memory a GPU (GB)", "tokens a second", "hours", "GPU hours"]
    header += ["links over computation", "used up first", *(["dollars"] if dollars else [])]
    about = (
        "Measured is the utilisation alone (`scale_measured.md`). Counted: Llama-3-8B "
        f"({model.parameters / 1e9:.2f} billion weights), RNA-FM ({encoder.parameters / 1e6:.1f} "
        f"million), {data.rnas:,} RNAs. Assumed: {data.nucleotides} nt and {data.questions} "
        f"questions an RNA, {data.asked} tokens a question with its template, {data.answered} an "
        f"answer, {data.annotation} an annotation; {args.utilisation:.0%} of the GPU's peak "
        f"in bfloat16 ({H100.name}: {H100.peak / 1e12:.0f} TFLOP/s; {RTX_4090.name}: "
        f"{RTX_4090.peak / 1e12:.0f}); three epochs; activations recomputed."
    )
    rows = [line(run, plan(run, data), dollars) for run in runs(args.utilisation)]
    return f"""{beginning("Training RNA-GPT in its true size: arithmetic", about)}
{table(header, rows)}

Weights that do not change are not sent: without FSDP the GPUs exchange the gradients of \
projection and adapter alone, and computation is what limits. FSDP is for GPUs that cannot hold \
the language model; between machines its traffic wants longer steps \
(`per_device_train_batch_size`, `gradient_accumulation_steps` does not help: the weights are \
gathered for each part).
"""


def line(run: Run, found: Plan, dollars: float | None) -> list[str]:
    """One line of the report's table; `dollars` per GPU hour."""
    gpu_hours = found.hours * run.gpus
    return [
        run.name,
        f"{run.gpus} × {run.gpu.name}",
        f"{found.memory / GB:.0f}",
        f"{found.tokens_per_second:,.0f}",
        f"{found.hours:,.1f}",
        f"{gpu_hours:,.0f}",
        f"{found.communication:.3f}",
        found.limit(run),
        *([f"{gpu_hours * dollars:,.0f}"] if dollars else []),
    ]


def main() -> None:
    parser = make_parser(__doc__)
    defaults = Data()
    for name, value in vars(defaults).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--utilisation", type=float, default=UTILISATION)
    parser.add_argument("--dollars-per-gpu-hour", type=float, help="adds a column of costs")
    args = parse(parser)
    data = Data(**{name: getattr(args, name) for name in vars(defaults)})
    text = report(args, data)
    print(text)
    is_whole = data == defaults and args.utilisation == UTILISATION
    write_down(args, text, [], report=REPORT, is_whole=is_whole and not args.dollars_per_gpu_hour)


if __name__ == "__main__":
    main()
