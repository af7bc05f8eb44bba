"""Checks of a card: its metadata, its licence, and what was left unfinished."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml
from huggingface_hub import DatasetCard, ModelCard, RepoCard, SpaceCard

from rnagpt.hub import PublishError
from rnagpt.hub.manifest import CARD, Manifest
from rnagpt.hub.model_card import known_license

NEEDED = {
    "model": ("license", "library_name", "pipeline_tag", "base_model", "tags"),
    "dataset": ("license", "configs", "task_categories"),
    "space": ("title", "sdk", "app_file", "license"),
}
_CARDS: dict[str, type[RepoCard]] = {
    "model": ModelCard,
    "dataset": DatasetCard,
    "space": SpaceCard,
}
# Marks of an unfinished card: placeholders of templates, and figures that a build fills in.
UNFINISHED = (
    re.compile(r"\[More Information Needed\]|\bTODO\b|\bFIXME\b|\bXXX\b|\bTBD\b"),
    re.compile(r"\{\{.+?\}\}|<<<<<<<|>>>>>>>"),
    re.compile(r"The build writes its figures here"),
)
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def check_card(manifest: Manifest, repo_type: str) -> None:
    """Check the card of a manifest as far as that is possible without the Hub.

    The Hub checks again when the card is uploaded.

    Args:
        manifest: with the card README.md.
        repo_type: "model", "dataset" or "space".

    Raises:
        PublishError: naming all that is wrong.
    """
    if CARD not in manifest:
        raise PublishError(f"There is no {CARD}: nothing is published without a card.")
    problems = list(find_card_problems(manifest.get(CARD).text(), repo_type))
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise PublishError(f"Nothing was uploaded, because of the card {CARD}:\n{lines}")


def find_card_problems(text: str, repo_type: str) -> Iterator[str]:
    """What is wrong with a card, one sentence per problem."""
    try:
        card = _CARDS[repo_type](text)
    except (ValueError, TypeError, yaml.YAMLError) as error:
        yield f"the front matter cannot be read: {' '.join(str(error).split())}"
        return
    data = card.data.to_dict()
    missing = [name for name in NEEDED[repo_type] if not data.get(name)]
    if missing:
        yield f"the front matter lacks {', '.join(missing)}"
    yield from _bad_ids(data)
    yield from _broken_license(data)
    prose = _FENCED.sub("", card.text)
    for pattern in UNFINISHED:
        found = pattern.search(prose)
        if found:
            yield f"it is not finished: {found[0]!r} stands in it"


def _listed(data: dict[str, Any], name: str) -> list[Any]:
    value = data.get(name) or []
    return [value] if isinstance(value, str) else value


def _bad_ids(data: dict[str, Any]) -> Iterator[str]:
    """Ids of other repositories that are not Hub ids, such as folders of this machine."""
    for name in ("base_model", "datasets", "models"):
        for one in _listed(data, name):
            if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", str(one)):
                yield f"{name} must be a Hub id such as ORG/NAME, got {one!r}"


def _broken_license(data: dict[str, Any]) -> Iterator[str]:
    """A licence other than the base model's, which applies to its weights."""
    license_id = data.get("license")
    for base_model in _listed(data, "base_model"):
        known = known_license(str(base_model))
        if known and license_id and license_id != known[0]:
            yield f"license must be {known[0]}, as that of {base_model}; got {license_id}"
