"""
Prints the paper's tables for a checkpoint, and shows whether its answers depend on the RNA.

# The mini: RNA-GPT alone, with controls and baselines, on 1,000 RNAs of the cluster test split
```bash
rnagpt mini --out rna-gpt-mini
python evaluate_sft.py --model rna-gpt-mini --dataset rna-qa out/evaluation
```

# The paper's three systems; bfloat16 is faster on GPUs and new CPUs
```bash
python evaluate_sft.py --model rna-gpt-mini --dataset rna-qa --dtype bfloat16 \
    --systems sequence fusion rnagpt --language_model mini --alignment checkpoints/rna-gpt-mini \
    out/systems
```

# Semantic scores by the paper's embedding models
```bash
python evaluate_sft.py --model rna-gpt --dataset rna-qa --language_model LLAMA --alignment STAGE-1 \
    --systems sequence fusion rnagpt --embedding_models bert-base-uncased \
    microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract openai:text-embedding-3-large out/paper
```

# Fit the confidence on validation, and write it into the checkpoint
```bash
python evaluate_sft.py --model rna-gpt-mini --dataset rna-qa --write_calibration out/evaluation
```

OUT receives `results.json` (every figure with its 95 % interval, settings, versions), `tables.md`,
`tables.csv`, `rouge.png|svg`, `semantic.png|svg`, `risk_coverage.png|svg`, `samples.md` and
`predictions.jsonl` with all answers. A run that was interrupted, or is repeated with a larger
`--limit`, asks only what is missing there.
"""

import argparse
import importlib.metadata
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

import rnagpt
from rnagpt.configuration_rnagpt import RnaGptConfig
from rnagpt.evaluation.answers import CALIBRATION, NEVER_SEEN, Answers
from rnagpt.evaluation.charts import draw_charts
from rnagpt.evaluation.confidence import add_confidence, fit_calibration, write_calibration
from rnagpt.evaluation.embedding_models import MINILM, EmbeddingModel, open_embedding_model
from rnagpt.evaluation.findings import find_all
from rnagpt.evaluation.headings import headings
from rnagpt.evaluation.interviews import Interview, ask_everything
from rnagpt.evaluation.naming_score import Judge
from rnagpt.evaluation.plan import USUAL_SPLITS, Plan, make_plan
from rnagpt.evaluation.predictions import PredictionFile
from rnagpt.evaluation.questions_asked import QUESTIONS
from rnagpt.evaluation.report import write_report
from rnagpt.evaluation.samples import choose_samples
from rnagpt.evaluation.systems import RNA_GPT, SYSTEMS, open_systems
from rnagpt.evaluation.text_scores import PAIR, WAYS, score_texts
from rnagpt.loading_rnagpt import load_model, load_processor
from rnagpt.processing_rnagpt import RnaGptProcessor
from rnagpt.weights import WeightsError

VERSIONS_OF = ("torch", "transformers", "datasets", "numpy", "scikit-learn", "rouge-score")


def prepare(
    arguments: argparse.Namespace,
) -> tuple[RnaGptProcessor, Plan, list[EmbeddingModel]]:
    """All that can fail, before any weights of RNA-GPT are loaded.

    Raises:
        ValueError, WeightsError, OSError: what was given cannot be used; says why.
    """
    try:
        processor = load_processor(arguments.model)
        config = RnaGptConfig.from_pretrained(arguments.model)
    except OSError as error:
        raise ValueError(
            f"{arguments.model!r} is no folder of an RNA-GPT, and could not be fetched from the "
            f"Hub: {error}"
        ) from error
    plan = make_plan(arguments, config, processor)
    _check_calibration(arguments, plan)
    return processor, plan, [open_embedding_model(name) for name in arguments.embedding_models]


def evaluate(
    arguments: argparse.Namespace,
    processor: RnaGptProcessor,
    plan: Plan,
    models: Sequence[EmbeddingModel],
) -> None:
    """Asks, scores and writes the report."""
    start = time.monotonic()
    arguments.out.mkdir(parents=True, exist_ok=True)
    judge = Judge(plan.splits, plan.splits.has_families)
    with PredictionFile(arguments.out / "predictions.jsonl") as file:
        answers = Answers(file, judge)
        settings, device = ask_systems(arguments, processor, plan, file, answers)
        score = partial(score_texts, models=models, ways=arguments.ways)
        figures = find_all(answers, plan, score, arguments.seed)
        calibration = fit_calibration(answers)
        curves = add_confidence(figures, answers, calibration) if calibration else {}
        record = {
            "command": shlex.join(["python", "evaluate_sft.py", *map(_portable, sys.argv[1:])]),
            "arguments": {name: _described(value) for name, value in vars(arguments).items()},
            "settings": settings,
            "questions": {name: QUESTIONS[name] for name in plan.splits.questions},
            "data": plan.counts,
            "calibration": calibration and asdict(calibration),
            "risk_coverage": {
                name: [line.round(4).tolist() for line in curve] for name, curve in curves.items()
            },
            "device": device,
            "seconds": round(time.monotonic() - start, 1),
            "versions": {name: importlib.metadata.version(name) for name in VERSIONS_OF}
            | {"rnagpt": rnagpt.__version__},
        }
        tables = write_report(
            arguments.out,
            figures,
            headings(plan, arguments.min_training_rnas),
            draw_charts(figures, models, arguments.ways, curves),
            choose_samples(answers),
            record,
        )
    if arguments.write_calibration and calibration is not None:
        write_calibration(Path(arguments.model), calibration)
    print(tables)


def ask_systems(
    arguments: argparse.Namespace,
    processor: RnaGptProcessor,
    plan: Plan,
    file: PredictionFile,
    answers: Answers,
) -> tuple[dict[str, str], str]:
    """Asks each system what the file lacks; returns the digests of their settings, and where."""
    model = load_model(arguments.model, dtype=getattr(torch, arguments.dtype))
    settings = {}
    for system in open_systems(
        arguments.systems,
        model,
        processor,
        language_model=plan.language_model,
        projector=plan.projector,
        batch_size=arguments.batch_size,
        max_new_tokens=arguments.max_new_tokens,
    ):
        rated = system.name == RNA_GPT
        interview = Interview(system, file, answers.judge, arguments.seed, rated=rated)
        ask_everything(interview, answers, plan.groups, plan.splits.questions)
        settings[system.name] = interview.settings
    return settings, model.device.type


def _check_calibration(arguments: argparse.Namespace, plan: Plan) -> None:
    if not arguments.write_calibration:
        return
    if not (Path(arguments.model) / "config.json").is_file():
        raise ValueError(
            f"--write_calibration writes into the model's folder, and {arguments.model!r} is none. "
            "Download the model and name its folder with --model."
        )
    if CALIBRATION not in plan.groups:
        raise ValueError(
            "--write_calibration needs RNAs to fit the calibration on: name their split with "
            "--calibration_split, and have 'rnagpt' among --systems."
        )


def _described(value: Any) -> Any:
    """An argument for the record."""
    if isinstance(value, list):
        return [_described(one) for one in value]
    return value if isinstance(value, int | bool | None) else _portable(str(value))


def _portable(argument: str) -> str:
    """A path by its last name alone: where it lay on this machine tells a reader nothing."""
    return Path(argument).name if Path(argument).is_absolute() else argument


def _count(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return int(text)


def parse_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; OUT may follow an option that takes several words."""
    parser = make_parser()
    words = sys.argv[1:] if words is None else list(words)
    arguments = parser.parse_args(words)
    several = {"systems": tuple(SYSTEMS), "ways": WAYS, "embedding_models": None}
    for name, choices in several.items():
        given = getattr(arguments, name)
        if arguments.out is None and given and given[-1] == words[-1]:
            arguments.out = Path(given.pop())
        unknown = [word for word in given if choices and word not in choices]
        if unknown or (choices and not given):
            parser.error(
                f"argument --{name}: invalid choice: {' '.join(unknown) or 'none'} (choose from "
                f"{', '.join(choices or ())})"
            )
    if arguments.out is None:
        parser.error("OUT is missing: the folder of the results, as the last word")
    return arguments


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="evaluate_sft.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("out", metavar="OUT", type=Path, nargs="?", help="folder of the results")
    add("--model", required=True, help="folder or Hub id of an RNA-GPT")
    add("--dataset", required=True, help="folder or Hub id of an RNA-QA data set")
    add("--split", default="test", help="split to draw from (default: %(default)s)")
    add("--limit", type=_count, default=1000, help="RNAs to ask about (default: %(default)s)")
    add(
        "--min_training_rnas",
        type=int,
        default=10,
        help="draw from families with at least so many RNAs in train (default: %(default)s)",
    )
    add(
        "--control_limit",
        type=_count,
        default=500,
        help="ask under the controls about the first so many of them (default: %(default)s)",
    )
    add("--seed", type=int, default=0, help="of draws, shuffles, intervals (default: %(default)s)")
    _add_systems(parser)
    _add_scores(parser)
    _add_trust(parser)
    add("--batch_size", type=_count, default=16, help="prompts at once (default: %(default)s)")
    add("--max_new_tokens", type=_count, default=128, help="longest answer (default: %(default)s)")
    add(
        "--dtype",
        choices=("float32", "bfloat16", "float16"),
        default="float32",
        help="of weights and computation (default: %(default)s)",
    )
    return parser


def _add_systems(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("systems").add_argument
    add(
        "--systems",
        nargs="+",
        metavar="SYSTEM",
        default=[RNA_GPT],
        help=f"of the paper's systems {', '.join(SYSTEMS)} those to compare (default: rnagpt)",
    )
    add(
        "--language_model",
        help="for sequence and fusion: the language model that the checkpoint was trained from, a "
        "folder, GGUF file or Hub id; 'mini': rna-gpt-mini's",
    )
    add("--alignment", type=Path, help="for fusion: folder that the alignment stage wrote")
    add(
        "--compare_limit",
        type=_count,
        default=200,
        help="systems are compared, and all asked what is known, on the first so many of the RNAs "
        "drawn (default: %(default)s)",
    )


def _add_scores(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("semantic scores").add_argument
    add(
        "--embedding_models",
        nargs="*",
        metavar="MODEL",
        default=[MINILM],
        help="minilm (offline), Hub ids such as bert-base-uncased, or openai:NAME for an "
        "OpenAI-compatible service (default: minilm)",
    )
    add(
        "--ways",
        nargs="+",
        metavar="WAY",
        default=[PAIR],
        help="how texts are compared: pair matches the tokens of an answer with those of its "
        "reference (BERTScore); paper matches whole answers with all references (default: pair)",
    )


def _add_trust(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("trust").add_argument
    for option, group, limit in (
        ("--calibration", CALIBRATION, 300),
        ("--unseen", NEVER_SEEN, 300),
    ):
        add(
            f"{option}_split",
            help=f"default: {USUAL_SPLITS[group]} where the data set has it",
        )
        add(f"{option}_limit", type=_count, default=limit, help="RNAs (default: %(default)s)")
    add(
        "--write_calibration",
        action="store_true",
        help="write the two numbers of the confidence into the config.json of the folder MODEL",
    )


def main(words: Sequence[str] | None = None) -> None:
    arguments = parse_arguments(words)
    try:
        prepared = prepare(arguments)
    except (ValueError, WeightsError, OSError) as error:
        sys.exit(f"evaluate_sft.py: {error}")
    evaluate(arguments, *prepared)


if __name__ == "__main__":
    main()
