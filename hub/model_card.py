"""The card of a model, from what training and evaluation recorded."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from rnagpt.hub import PublishError

TEMPLATE = Path(__file__).with_name("model_card.md")
PAPER = "https://arxiv.org/abs/2411.08900"
RECORD, RESULTS = "training_record.json", "results.json"
# Known licences of base models: id, address, and what they require of those who publish a model
# made from one.
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
# Tables of results.json, with their headings.
TABLES = {
    "controls": "Named right, with the RNA and without",
    "systems": "“What is known about this RNA?”, against its annotation",
}
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

    @property
    def name(self) -> str:
        """The repository's, without its owner."""
        return self.repo_id.split("/")[-1]


def read_json(path: Path) -> dict[str, Any]:
    """A record or results of a model.

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
    """The card README.md, with the front matter that the Hub reads, from `model_card.md`.

    Args:
        facts: what no record holds.
        record: `training_record.json` of `train_sft.py`, or of the shipped checkpoint, which has
            it under `stages`.
        results: `results.json` of `rnagpt evaluate`; its figures become the model index.

    Raises:
        PublishError: if the licence is not given and not known from the base model.
    """
    license_id, link, terms = license_of(facts)
    figures = (results or {}).get("figures", {})
    card = ModelCard.from_template(
        _metadata(facts, results),
        template_path=str(TEMPLATE),
        facts=facts,
        name=facts.name,
        paper=PAPER,
        rna=EXAMPLE_RNA,
        results=results,
        command=results["command"] if results else None,
        tables=[(title, figures[name]) for name, title in TABLES.items() if figures.get(name)],
        stages=_stages(record.get("stages", record)) if record else [],
        record_file=RECORD,
        license_name=f"[{license_id}]({link})" if link else license_id,
        terms=terms,
    )
    return f"{card}\n"


def _stages(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """First stage first: a record holds the one that it started from."""
    earlier = record.get("started_from")
    return [*(_stages(earlier) if earlier else []), record]


def known_license(base_model: str) -> tuple[str, str, str] | None:
    """Of the licence that goes with a base model's weights, where it is known, as `license_of`."""
    return next(
        (found for start, found in BASE_LICENSES.items() if base_model.startswith(start)), None
    )


def license_of(facts: CardFacts) -> tuple[str, str | None, str]:
    """The licence's id, its address, and its terms in plain words.

    Raises:
        PublishError: if it is not given and not known.
    """
    if known := known_license(facts.base_model):
        if facts.license in (None, known[0]):
            return known
        raise PublishError(
            f"{facts.base_model} is under {known[0]}, which goes with its weights; the licence "
            f"{facts.license} was given. Leave --licence out."
        )
    if facts.license is None:
        raise PublishError(
            f"The licence of {facts.base_model} is not known here; say it with --licence, in the "
            "Hub's form (apache-2.0, llama3, …)."
        )
    return facts.license, None, f"As its base model {facts.base_model}: {facts.license}."


def _metadata(facts: CardFacts, results: Mapping[str, Any] | None) -> ModelCardData:
    license_id, link, _ = license_of(facts)
    index = list(_index(facts, results)) if results else []
    extra: dict[str, Any] = {"license_link": link} if license_id == "llama3" else {}
    return ModelCardData(
        model_name=facts.name if index else None,
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


def check_name(facts: CardFacts) -> str | None:
    """What a base model's licence says about the name of what is made from it, where it is broken.

    Returns:
        A sentence, or None.
    """
    name = facts.name
    if license_of(facts)[0] == "llama3" and not re.match(r"llama[-_ ]?3", name, re.IGNORECASE):
        return (
            f"Llama 3's licence asks that the name begins with Llama-3; {name} does not. Publish "
            f"it as {facts.repo_id.split('/')[0]}/Llama-3-{name}."
        )
    return None
