"""Publishing a data set that `rna-qa` built."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Unpack

import yaml
from huggingface_hub import DatasetCard, HfApi

from rnagpt.hub import PublishError
from rnagpt.hub.manifest import CARD, Manifest, plan_folder
from rnagpt.hub.upload import Publication, PublishOptions, publish
from rnagpt.hub.verify import load_by_id, load_folder

FOLDER_NOTE = "  # OUT: the folder of this card"


def publish_dataset(folder: Path, repo_id: str, **options: Unpack[PublishOptions]) -> str | None:
    """Publish a data set, and load it back by its id before the tag is set.

    Args:
        folder: OUT of `rna-qa rfam` or `rna-qa literature`; its README.md is the card, in which
            `OUT` becomes the id.
        repo_id: ORG/NAME.
        **options: see `Publication`.

    Returns:
        The commit's id; None for a dry run.

    Raises:
        PublishError: what is rejected, or what failed.
    """
    manifest = dataset_manifest(folder, repo_id)

    def verify(api: HfApi, commit: str, is_private: bool) -> None:
        got = load_by_id("dataset", repo_id, commit, manifest, api, is_private)
        expected = load_folder("dataset", folder)
        compare_configurations(got["configurations"], expected["configurations"])

    return publish(Publication(repo_id, "dataset", manifest, verify, **options))


def dataset_manifest(folder: Path, repo_id: str) -> Manifest:
    """The files of a build: card, record and all Parquet files that the card names.

    Raises:
        PublishError: if the folder is no finished build.
    """
    manifest = plan_folder(folder)
    missing = [name for name in (CARD, "build.json") if name not in manifest]
    if missing:
        raise PublishError(
            f"{folder} lacks {', '.join(missing)}; expected the folder of a finished build of "
            "`rna-qa`, which writes its record last."
        )
    text = manifest.get(CARD).text()
    for pattern in _data_files(text):
        if not any(folder.glob(pattern)):
            raise PublishError(f"The card names {pattern}, of which the folder has no file.")
    _check_record(manifest)
    # Where the card was written, nobody knew the id.
    text = text.replace('load_dataset("OUT"', f'load_dataset("{repo_id}"')
    return manifest.with_file(CARD, text.replace(FOLDER_NOTE, "").encode())


def _check_record(manifest: Manifest) -> None:
    """Compare the data with what the build's record says of it, as far as it says something."""
    try:
        recorded = manifest.get("build.json").json().get("files")
    except ValueError as error:
        raise PublishError(f"build.json is no record of a build: {error}") from error
    if recorded is None:
        return
    there = {path for path in manifest.paths if path.endswith(".parquet")}
    changed = [
        path
        for path in sorted(there | recorded.keys())
        if path not in there or manifest.get(path).sha256() != recorded.get(path)
    ]
    if changed:
        raise PublishError(
            f"{changed[0]} is not what the build wrote (in all {len(changed)} such files): its "
            "record build.json and the card, which speak of other rows, would be wrong. Build the "
            "data set again."
        )


def _data_files(card: str) -> list[str]:
    try:
        configs = DatasetCard(card).data.to_dict().get("configs") or []
        return [entry["path"] for config in configs for entry in config["data_files"]]
    except (ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        raise PublishError(f"The card's configurations cannot be read: {error}") from error


def compare_configurations(got: dict[str, Any], expected: dict[str, Any]) -> None:
    """Compare what was loaded from the Hub and from the folder, by configuration and split.

    Raises:
        PublishError: naming what differs first.
    """
    for name in sorted(got.keys() | expected.keys()):
        mine, theirs = expected.get(name), got.get(name)
        if mine is None or theirs is None:
            where = "on the Hub" if theirs is None else "in the folder"
            raise PublishError(f"{name} is not there {where}")
        for what in ("rows", "features", "sample", "streamed"):
            if mine[what] != theirs[what]:
                raise PublishError(
                    f"{name}: {what} loaded by the id are {theirs[what]}, in the folder "
                    f"{mine[what]}"
                )
