"""The card of a model, from what training and evaluation recorded."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from rnagpt.hub import PublishError

PAPER = "https://arxiv.org/abs/2411.08900"
RECORD, RESULTS = "training_record.json", "results.json"
# Where a base model's licence is known: its name, its address, and what it asks of those who
# publish a model made from it.
_LLAMA_3 = (
    "llama3",
    "https://llama.meta.com/llama3/license",
    "Built with Meta Llama 3. The weights contain weights of Meta Llama 3 and are under the Meta "
    "Llama 3 Community License, Copyright © Meta Platforms, Inc. All Rights Reserved. Whoever "
    "passes them on gives a copy of that licence with them, names the model with `Llama-3` at the "
    "beginning, and keeps to Meta's Acceptable Use Policy.",
)
BASE_LICENSES: dict[str, tuple[str, str, str]] = {
    "HuggingFaceTB/SmolLM2-": (
        "apache-2.0",
        "https://www.apache.org/licenses/LICENSE-2.0",
        "SmolLM2 is under the Apache License 2.0, and so are these weights.",
    ),
    "meta-llama/Meta-Llama-3-": _LLAMA_3,
    "meta-llama/Llama-3-": _LLAMA_3,
}
# The figures of the model index: table, row, name in results.json; metric type; metric name.
INDEXED = (
    ("controls", "RNA-GPT", "right family", "accuracy", "right family named"),
    ("controls", "RNA-GPT", "right type", "accuracy", "right RNA type named"),
    ("systems", "RNA-GPT", "ROUGE-L", "rouge", "ROUGE-L of annotations"),
)
EXAMPLE_RNA = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA"


@dataclass(frozen=True)
class CardFacts:
    """What a card says that no record holds.

    Attributes:
        repo_id: where the model is published.
        base_model: Hub id of the language model.
        dataset: Hub id of the data, or None.
        license: SPDX-like id of the Hub; None: that of the base model, where it is known.
        adapter_only: whether encoder, projection and adapter are published without the language
            model.
    """

    repo_id: str
    base_model: str
    dataset: str | None = None
    license: str | None = None
    adapter_only: bool = False


def read_json(path: Path) -> dict[str, Any]:
    """A record or results that stand beside a model.

    Raises:
        PublishError: if the file is missing, or holds no JSON object.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PublishError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(found, dict):
        raise PublishError(f"{path} holds {type(found).__name__}; expected a JSON object.")
    return found


def write_model_card(
    facts: CardFacts,
    record: Mapping[str, Any] | None = None,
    results: Mapping[str, Any] | None = None,
) -> str:
    """The card README.md, with the front matter that the Hub reads.

    Args:
        facts: what no record holds.
        record: `training_record.json` of `train_sft.py`, or of the shipped checkpoint, which has
            it under `stages`.
        results: `results.json` of `evaluation/evaluate.py`; its figures become the model index.

    Raises:
        PublishError: if the licence is not given and not known from the base model.
    """
    data = _metadata(facts, results)
    sections = [
        _introduction(facts),
        _usage(facts),
        *([_evaluation(results)] if results else []),
        *([_training(record)] if record else []),
        _limits(results),
        _license(facts),
        _citation(),
    ]
    return f"---\n{data.to_yaml()}\n---\n\n" + "\n\n".join(sections) + "\n"


def known_license(base_model: str) -> str | None:
    """The licence's id that goes with a base model's weights, where it is known here."""
    for beginning, (license_id, *_) in BASE_LICENSES.items():
        if base_model.startswith(beginning):
            return license_id
    return None


def license_of(facts: CardFacts) -> tuple[str, str | None, str]:
    """The licence's id, its address, and what it says to readers.

    Raises:
        PublishError: if it is not given and not known.
    """
    for beginning, known in BASE_LICENSES.items():
        if facts.base_model.startswith(beginning):
            if facts.license in (None, known[0]):
                return known
            raise PublishError(
                f"{facts.base_model} is under {known[0]}, which goes with its weights; the licence "
                f"{facts.license} was given. Leave --license out."
            )
    if facts.license is None:
        raise PublishError(
            f"The licence of {facts.base_model} is not known here; say it with --license, in the "
            "Hub's form (apache-2.0, llama3, …)."
        )
    return facts.license, None, f"As its base model {facts.base_model}: {facts.license}."


def _metadata(facts: CardFacts, results: Mapping[str, Any] | None) -> ModelCardData:
    license_id, link, _ = license_of(facts)
    index = list(_index(facts, results)) if results else []
    extra: dict[str, Any] = {"license_link": link} if license_id == "llama3" else {}
    return ModelCardData(
        model_name=facts.repo_id.split("/")[-1] if index else None,
        eval_results=index or None,
        base_model=facts.base_model,
        base_model_relation="adapter" if facts.adapter_only else "finetune",
        datasets=[facts.dataset] if facts.dataset else None,
        language="en",
        library_name="rna-gpt" if facts.adapter_only else "transformers",
        license=license_id,
        pipeline_tag="text-generation",
        tags=["biology", "rna", "multimodal", "chemistry"],
        **extra,
    )


def _index(facts: CardFacts, results: Mapping[str, Any]) -> Iterator[EvalResult]:
    arguments = results.get("arguments", {})
    for table, row, name, metric, label in INDEXED:
        figure = results.get("figures", {}).get(table, {}).get(row, {}).get(name)
        if figure is None or figure["value"] is None:
            continue
        yield EvalResult(
            task_type="question-answering",
            task_name="Questions about RNA sequences",
            dataset_type=facts.dataset or "rna-qa",
            dataset_name="RNA-QA",
            dataset_config="qa",
            dataset_split=str(arguments.get("split", "test")),
            metric_type=metric,
            metric_name=f"{label} ({figure['n']:,} RNAs)",
            metric_value=round(figure["value"], 3),
        )


def _introduction(facts: CardFacts) -> str:
    name = facts.repo_id.split("/")[-1]
    what = (
        "This repository holds encoder, projection and adapter alone; the language model, "
        f"[{facts.base_model}](https://huggingface.co/{facts.base_model}), is fetched from its own."
        if facts.adapter_only
        else "An RNA encoder reads the nucleotides, a projection turns its vectors into the "
        f"language model's space, and [{facts.base_model}](https://huggingface.co/"
        f"{facts.base_model}) answers."
    )
    return (
        f"# {name}\n\nAsk about an RNA sequence in plain English. {what} The design is that of "
        f"[RNA-GPT]({PAPER})."
    )


def _usage(facts: CardFacts) -> str:
    if facts.adapter_only:
        return f"""## Use

`pip install rna-gpt`, then

```python
from rnagpt import RnaChat
from rnagpt.hub.adapter_parts import put_together

chat = RnaChat.from_pretrained(put_together("{facts.repo_id}"))
chat.add_rna("{EXAMPLE_RNA}")
print("".join(chat.ask("What type of RNA is this?", max_new_tokens=40)))
```"""
    return f"""## Use

```python
from transformers import AutoModel, AutoProcessor

model = AutoModel.from_pretrained("{facts.repo_id}", trust_remote_code=True)
processor = AutoProcessor.from_pretrained("{facts.repo_id}", trust_remote_code=True)
messages = [
    {{
        "role": "user",
        "content": [
            {{
                "type": "rna",
                "rna": "{EXAMPLE_RNA}",
            }},
            {{"type": "text", "text": "What type of RNA is this?"}},
        ],
    }}
]
inputs = processor.apply_chat_template(
    messages, tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt"
)
answer = model.generate(**inputs, max_new_tokens=40)
print(processor.decode(answer[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
```

`trust_remote_code=True` runs the three Python files of this repository; `revision=` pins them with
the weights. With `pip install rna-gpt` the same model streams, explains and serves:
`rnagpt chat --model {facts.repo_id} rnas.fasta`."""


def _evaluation(results: Mapping[str, Any]) -> str:
    parts = ["## Evaluation\n\nWith 95 % intervals over RNAs, by"]
    parts.append(f"```bash\n{results['command']}\n```")
    for table, title in (
        ("controls", "Named right, with the RNA and without"),
        ("systems", "“What is known about this RNA?”, against its annotation"),
    ):
        rows = results.get("figures", {}).get(table)
        if rows:
            parts.append(f"### {title}\n\n" + _table(rows))
    return "\n\n".join(parts)


def _table(rows: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    lines = [_line(["", *names, "RNAs"]), _line(["---"] * (len(names) + 2))]
    for row, figures in rows.items():
        counts = sorted({figure["n"] for figure in figures.values()})
        cells = [_cell(figures.get(name)) for name in names]
        lines.append(_line([row, *cells, " / ".join(f"{count:,}" for count in counts)]))
    return "\n".join(lines)


def _cell(figure: Mapping[str, Any] | None) -> str:
    if figure is None or figure["value"] is None or math.isnan(figure["value"]):
        return "–"
    low, high = figure["interval"]
    interval = "" if low is None or high is None else f" ({low:.3f}–{high:.3f})"
    return f"{figure['value']:.3f}{interval}"


def _line(cells: Sequence[str]) -> str:
    escaped = [cell.replace("|", "\\|") for cell in cells]
    return f"| {' | '.join(escaped)} |"


def _training(record: Mapping[str, Any]) -> str:
    lines = ["## Training\n", _line(["stage", "RNAs", "steps", "trained", "device", "time"])]
    lines.append(_line(["---"] * 6))
    for stage in _stages(record.get("stages", record)):
        trained = {part: n for part, n in stage.get("trained_parameters", {}).items() if n}
        lines.append(
            _line(
                [
                    str(stage.get("stage", "–")),
                    f"{stage.get('data', {}).get('train', {}).get('rnas_used', 0):,}",
                    f"{stage.get('steps', 0):,}",
                    ", ".join(f"{part} ({n:,})" for part, n in trained.items()) or "–",
                    str(stage.get("device", "–")),
                    f"{stage.get('seconds', 0) / 60:.0f} min",
                ]
            )
        )
    lines.append(
        f"\nAll settings, losses, versions and hashes of the data are in `{RECORD}`; times are of "
        "the last run, where one was resumed."
    )
    return "\n".join(lines)


def _stages(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """First stage first: a record holds the one that it started from."""
    stages: list[Mapping[str, Any]] = []
    stage: Mapping[str, Any] | None = record
    while stage:
        stages.insert(0, stage)
        stage = stage.get("started_from")
    return stages


def _limits(results: Mapping[str, Any] | None) -> str:
    measured = "what it says of functions is less sure than the figures above, and was not measured"
    unmeasured = "nothing of what it says was measured"
    return (
        "## Limits\n\nIt answers from what it was trained on, and can be wrong in fluent words: "
        f"{measured if results else unmeasured}. Do not rely on it for anything but a first guess, "
        "and not at all for medical decisions."
    )


def _license(facts: CardFacts) -> str:
    license_id, link, terms = license_of(facts)
    name = f"[{license_id}]({link})" if link else license_id
    if facts.adapter_only:
        terms = terms.replace("The weights contain weights of", "The weights were made with")
    return f"## Licence\n\n{name}. {terms} The code is under the Apache License 2.0."


def _citation() -> str:
    return (
        "## Citation\n\n> Xiao Y, Sun E, Jin Y, Wang W. RNA-GPT: Multimodal Generative System for "
        f"RNA Sequence Understanding. {PAPER.removeprefix('https://')} (2024)."
    )


def check_name(facts: CardFacts) -> str | None:
    """What a base model's licence says about the name of what is made from it, where it is broken.

    Returns:
        A sentence, or None.
    """
    name = facts.repo_id.split("/")[-1]
    if license_of(facts)[0] == "llama3" and not re.match(r"llama[-_ ]?3", name, re.IGNORECASE):
        return (
            f"Llama 3's licence asks that the name begins with Llama-3; {name} does not. Publish "
            f"it as {facts.repo_id.split('/')[0]}/Llama-3-{name}."
        )
    return None


__all__ = ["CardFacts", "check_name", "license_of", "read_json", "write_model_card"]
