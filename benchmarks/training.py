"""Training: the RNA encoded once and asked many questions in one sequence, against the plain way.

    python benchmarks/training.py --dataset rna-qa             # writes training.md
    python benchmarks/training.py --dataset rna-qa --mini      # writes training_mini.md
    python benchmarks/training.py --dataset rna-qa --mini --evidence  # training_evidence.md

The first is an encoder of RNA-FM's size, with random weights, before SmolLM2-135M, one vector per
nucleotide; the second is rna-gpt-mini's encoder, with its 22 summary vectors and 8 nucleotides per
vector. With `--evidence` an RNA's records stand above each question, for a model that reads them;
they are common to the questions of an RNA, and written once where these share a sequence.

All ways train projection and LoRA on the same questions of the same RNAs, with the same
step:

- plain: what a trainer does that is given one question per sample: samples in random order, padded
  to the longest; transformers' own `EsmModel` over the batch as it is, without gradients; TRL's own
  head, which on a CPU computes the logits of every position.
- our parts: the same batches, but with our encoder's batches, and our head, which computes only
  the logits of answers. So what these win is told apart from what sharing a sequence wins.
- ours: `--questions` questions of an RNA share a sequence, RNAs of similar length share a batch,
  and the encoder runs once for each RNA, within the measured time; a second pass finds its outputs.

The losses of plain and ours on the same questions, before any step, are compared first.
"""

from __future__ import annotations

import argparse
import random
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from types import MethodType
from typing import Any

import measured
import torch
from peft import LoraConfig, get_peft_model
from rna_fm_size import compose_rna_fm_size
from torch import nn
from transformers import EsmModel
from trl.trainer.utils import add_fused_lm_head

from rnagpt.configuration_rnagpt import RNA_PAD_TOKEN_ID
from rnagpt.conversion.compose import compose
from rnagpt.conversion.mini import CHECKPOINT, find_language_model
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor
from rnagpt.reference.library import Reference
from rnagpt.reference.records import Record
from rnagpt.training.collators import IGNORE, InstructionCollator, count_template_tokens
from rnagpt.training.encoder_cache import EncoderCache
from rnagpt.training.rows import INSTRUCTION, load_rnas, prepare_rnas
from rnagpt.training.trainer import add_answer_head, lora_targets

REPORT, MINI_REPORT, EVIDENCE_REPORT = (
    Path(__file__).with_name(f"training{kind}.md") for kind in ("", "_mini", "_evidence")
)
WHOLE = (4, 2)  # RNAs and rounds of a run to publish
PLAIN, PARTS, FIRST, LATER = "plain", "our parts", "ours, first epoch", "ours, later epochs"
Row = dict[str, Any]


def main() -> None:
    args = parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        model, processor = make_model(args, Path(folder))
    rows = draw_rows(args, processor)
    if args.memory_of:
        Ways(model, processor, rows, args).all[args.memory_of]()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
        return
    ways = Ways(model, processor, rows, args)
    apart = abs(ways.loss_plain() - ways.loss_shared())
    memory = {name: memory_of(name) for name in (PLAIN, FIRST)}
    seconds = measured.take_turns(ways.all, args.rounds, measured.answering_clock())
    text = report(args, rows, seconds, apart, memory)
    print(text)
    name = "the mini" if args.mini else "RNA-FM-size encoder"
    name += ", with evidence" if args.evidence else ""
    figures = [
        measured.compare(
            f"training, {name}, {way.split(', ')[1]}",
            seconds[way],
            seconds[PLAIN],
            other_name="one question a sample, transformers' encoder each time, TRL's head",
            unit="questions/s",
            target="ratio 2" if args.mini and not args.evidence else "ratio 5",
            work=args.rnas * args.questions,
        )
        for way in (FIRST, LATER)
    ]
    if not args.no_growth:
        grown = growth(model, processor, rows, args)
        print(grown)
        text += grown
    is_whole = args.rnas >= WHOLE[0] and args.rounds >= WHOLE[1] and args.mini >= args.no_growth
    published = EVIDENCE_REPORT if args.evidence else MINI_REPORT if args.mini else REPORT
    measured.write_down(args, text, figures, report=published, is_whole=is_whole)


def parse_arguments() -> argparse.Namespace:
    parser = measured.make_parser(__doc__, dataset=True, rounds=3)
    parser.add_argument("--language-model", help="folder or Hub id; else rna-gpt-mini's")
    parser.add_argument("--mini", action="store_true", help="the mini's encoder and vectors")
    parser.add_argument("--evidence", action="store_true", help="records above the questions")
    parser.add_argument("--rnas", type=int, default=16)
    parser.add_argument("--questions", type=int, default=8, help="of each RNA")
    parser.add_argument("--batch", type=int, default=16, help="questions of a step")
    parser.add_argument("--dtype", default="float32", help="of the frozen parts")
    parser.add_argument("--no-growth", action="store_true", help="leave the last table out")
    parser.add_argument("--memory-of", choices=(PLAIN, FIRST), help=argparse.SUPPRESS)
    return measured.parse(parser)


def make_model(args: argparse.Namespace, folder: Path) -> tuple[Any, RnaGptProcessor]:
    """The model under LoRA, with its processor."""
    language_model = args.language_model or find_language_model().source
    if args.mini:
        composed = compose(
            CHECKPOINT / "encoder",
            language_model,
            folder / "model",
            rna_merge_size=8,
            rna_summary_size=22,
        )
    else:
        composed = compose_rna_fm_size(folder, language_model)
    base = RnaGptForCausalLM.from_pretrained(composed, dtype=args.dtype)
    processor = RnaGptProcessor.from_pretrained(composed)
    base.requires_grad_(False)
    model = get_peft_model(
        base, LoraConfig(r=8, target_modules=lora_targets(base), task_type="CAUSAL_LM")
    )
    base.model.projector.requires_grad_(True).float()
    add_answer_head(base)
    return model.train(), processor


def draw_rows(args: argparse.Namespace, processor: RnaGptProcessor) -> list[Row]:
    """RNAs with exactly `--questions` questions each, in random order."""
    rows, _ = prepare_rnas(
        load_rnas(args.dataset, None, "test", INSTRUCTION),
        processor,
        template_tokens=count_template_tokens(processor),
        max_sequence_tokens=2048 if args.evidence else 1024,
        max_text_tokens=128,
        max_rnas=20 * args.rnas,
        records=read_records() if args.evidence else None,
        evidence_share=float(args.evidence),
    )
    if args.evidence:
        rows = [row for row in rows if row["id"].endswith("/evidence")]
    enough = [row for row in rows if len(row["questions"]) >= args.questions][: args.rnas]
    return [with_questions(row, range(args.questions)) for row in enough]


def read_records() -> dict[str, Record]:
    """The families' records of the mini's reference, by their names."""
    return {record.name: record for record in Reference.open().families.values()}


def with_questions(row: Row, indices: Iterable[int]) -> Row:
    """A row with only some of its questions."""
    chosen = list(indices)
    texts = {name: [row[name][index] for index in chosen] for name in ("questions", "answers")}
    return {**row, **texts}


class Ways:
    """Both ways to train on the same questions; each call is one pass over them."""

    def __init__(
        self, model: Any, processor: RnaGptProcessor, rows: list[Row], args: argparse.Namespace
    ) -> None:
        self.model, self.args = model, args
        self.base: RnaGptForCausalLM = model.get_base_model()
        self.singles = [
            with_questions(row, [index]) for row in rows for index in range(args.questions)
        ]
        random.Random(0).shuffle(self.singles)
        self.rows = sorted(rows, key=lambda row: row["length"])
        self.collate_single = InstructionCollator(processor, 1)
        self.collate_shared = InstructionCollator(processor, args.questions)
        self.cache = EncoderCache(self.base)
        self.plain_encoder = plain_encoder_of(self.base)
        self.our_head = self.base.forward
        self.trl_head = trl_head_of(self.base)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        # A step of no length: every pass meets the same weights.
        self.optimizer = torch.optim.AdamW(trained, lr=0.0, weight_decay=0.0)
        self.all: dict[str, Callable[[], object]] = {
            PLAIN: self.plain,
            PARTS: self.our_parts,
            FIRST: self.first_epoch,
            LATER: self.later_epoch,
        }

    def plain(self) -> None:
        self.base.forward = self.trl_head
        for batch in split(self.singles, self.args.batch):
            self.step(self.encoded_plainly(self.collate_single(batch)))
        self.base.forward = self.our_head

    def our_parts(self) -> None:
        for batch in split(self.singles, self.args.batch):
            self.step(self.collate_single(batch))

    def first_epoch(self) -> None:
        self.cache = EncoderCache(self.base)
        self.later_epoch()

    def later_epoch(self) -> None:
        for batch in split(self.rows, max(1, self.args.batch // self.args.questions)):
            self.step(self.from_cache(self.collate_shared(batch)))

    def from_cache(self, inputs: dict[str, Any]) -> dict[str, Any]:
        vectors = self.cache(inputs["rna_input_ids"], inputs["rna_attention_mask"])
        return {**inputs, "rna_hidden_states": vectors}

    @torch.no_grad()
    def encoded_plainly(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The batch's RNAs through `EsmModel` as they are, padded to the longest."""
        config, mask = self.base.config, inputs["rna_attention_mask"]
        cls, eos = config.rna_cls_token_id, config.rna_eos_token_id
        assert cls is not None
        assert eos is not None
        ids = nn.functional.pad(inputs["rna_input_ids"], (1, 1), value=RNA_PAD_TOKEN_ID)
        ids[:, 0] = cls
        ids[torch.arange(len(ids)), mask.sum(1) + 1] = eos
        output = self.plain_encoder(input_ids=ids, attention_mask=ids.ne(RNA_PAD_TOKEN_ID).long())
        return {**inputs, "rna_hidden_states": output.last_hidden_state[:, 1:-1]}

    def step(self, inputs: dict[str, Any]) -> None:
        lost, tokens = self.loss(inputs)
        (lost / tokens).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def loss(self, inputs: dict[str, Any]) -> tuple[torch.Tensor, int]:
        """The sum over answer tokens, and their number."""
        inputs = {name: value for name, value in inputs.items() if name != "rna_novel_family"}
        output = self.model(**inputs, fused_lm_head=True)
        mask = output.label_mask
        return -output.log_probs[mask].sum(), int(mask.sum())

    @torch.no_grad()
    def mean_loss(self, batches: Iterable[dict[str, Any]]) -> float:
        lost, tokens = zip(*map(self.loss, batches), strict=True)
        return float(torch.stack(lost).double().sum() / sum(tokens))

    def loss_plain(self) -> float:
        self.base.forward = self.trl_head
        batches = split(self.singles, self.args.batch)
        loss = self.mean_loss(self.encoded_plainly(self.collate_single(batch)) for batch in batches)
        self.base.forward = self.our_head
        return loss

    def loss_shared(self) -> float:
        return self.mean_loss(
            self.from_cache(self.collate_shared(batch)) for batch in split(self.rows, 2)
        )


def plain_encoder_of(model: RnaGptForCausalLM) -> EsmModel:
    """The encoder's weights in `EsmModel` as transformers has it."""
    ours = model.model.rna_encoder
    encoder = EsmModel(ours.config, add_pooling_layer=False).to(ours.dtype).eval()
    encoder.load_state_dict(ours.state_dict(), assign=True)
    return encoder.requires_grad_(False)


def trl_head_of(model: RnaGptForCausalLM) -> MethodType:
    """The forward pass with the head of `SFTTrainer`, and the model as it was."""
    ours = model.forward
    model.forward = MethodType(type(model).forward, model)
    add_fused_lm_head(model, outputs=("log_probs", "entropy", "is_top1"))
    plain, model.forward = model.forward, ours
    return plain


def split(rows: list[Row], size: int) -> list[list[Row]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def memory_of(way: str) -> int:
    """Highest resident memory (MiB) of a process that trains in this way only."""
    command = [sys.executable, *sys.argv, "--memory-of", way]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(run.stdout.split()[-1])


def report(
    args: argparse.Namespace,
    rows: list[Row],
    seconds: dict[str, list[float]],
    apart: float,
    memory: dict[str, int],
) -> str:
    lengths = [len(row["sequence"]) for row in rows]
    questions = args.rnas * args.questions
    lines = [
        [
            name,
            f"{questions / statistics.median(taken):.2f}",
            f"{measured.ratio(seconds[PLAIN], taken):.2f} x",
            f"{memory[name]:,} MiB" if name in memory else "",
        ]
        for name, taken in seconds.items()
    ]
    about = (
        f"{measured.machine('torch', 'transformers', 'peft')} {args.dtype}; {args.rnas} RNAs of "
        f"{min(lengths)} to {max(lengths)} nt (mean {statistics.mean(lengths):.0f}), "
        f"{args.questions} questions each{', below its records' if args.evidence else ''}; "
        f"{steps_of(args)}; medians of {args.rounds} rounds in turn; "
        f"{measured.clock_name(measured.answering_clock())}."
    )
    return f"""{measured.beginning("Training with many questions an RNA", about)}
{measured.table(["way", "questions a second", "over plain", "highest memory"], lines)}

Mean loss of an answer token, both ways on the same questions: {apart:.1e} apart.
"""


def steps_of(args: argparse.Namespace) -> str:
    """How many questions a step has, in words."""
    ours = max(args.batch // args.questions, 1) * args.questions
    said = f"{args.batch} questions a step"
    return said if ours == args.batch else f"{said}, {ours} in ours"


def growth(
    model: Any, processor: RnaGptProcessor, rows: list[Row], args: argparse.Namespace
) -> str:
    """How the gain grows with the RNA's length and the questions that share it."""
    lines = []
    for length in (60, 480):
        for number in (1, args.questions):
            made = [
                {**with_questions(rows[0], range(number)), "sequence": measured.make_rna(length)}
            ]
            options = argparse.Namespace(**{**vars(args), "questions": number, "batch": number})
            ways = Ways(model, processor, made, options)
            ways.later_epoch()  # the encoder's outputs are cached from here on
            seconds = measured.take_turns({PLAIN: ways.plain, LATER: ways.later_epoch}, args.rounds)
            predicted = products(ways.base, ways.collate_single(ways.singles))
            predicted /= products(ways.base, ways.collate_shared(made), encoded=False)
            gains = (predicted, measured.ratio(seconds[PLAIN], seconds[LATER]))
            lines.append([str(length), str(number), *(f"{gain:.1f} x" for gain in gains)])
    return f"""
How the gain of later epochs grows, for one RNA at a time, so that RNAs are not padded. Predicted \
is the ratio of the operations of all matrix products but attention's: the language model's \
forward and backward for each token, the head for each position that has logits, the encoder's \
forward for each nucleotide.

{measured.table(["nt", "questions an RNA", "predicted", "measured"], lines)}
"""


def products(model: RnaGptForCausalLM, inputs: dict[str, Any], encoded: bool = True) -> float:
    """Operations of a step's matrix products but attention's.

    Args:
        model: RNA-GPT.
        inputs: of the step.
        encoded: the plain way: the encoder runs, and every position has logits.
    """
    # Two operations a weight forward, and two backward for the gradient of what comes in: the
    # weights themselves are frozen, and LoRA's are few.
    body = 4 * linear_weights(model.model.language_model) * inputs["input_ids"].numel()
    answers = int((inputs["labels"] != IGNORE).sum())
    positions = inputs["labels"][:, 1:].numel() if encoded else answers
    head = 4 * model.lm_head.weight.numel() * positions
    nucleotides = inputs["rna_input_ids"].numel() if encoded else 0
    return body + head + 2 * linear_weights(model.model.rna_encoder) * nucleotides


def linear_weights(part: nn.Module) -> int:
    """Weights of a part's linear layers, without LoRA's and what `EsmModel` does not run."""
    return sum(
        module.weight.numel()
        for name, module in part.named_modules()
        if isinstance(module, nn.Linear) and "lora_" not in name and "contact_head" not in name
    )


if __name__ == "__main__":
    main()
