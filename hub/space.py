"""Publishing the Gradio Space, for a model that is on the Hub."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi, SpaceCard

import rnagpt
from rnagpt.hub import PublishError
from rnagpt.hub.manifest import CARD, Manifest, plan_folder
from rnagpt.hub.upload import Publication, Say, explain, publish
from rnagpt.hub.verify import ask_stranger, check_files, empty_home
from rnagpt.inference.default_model import MODEL_VARIABLE

SPACE = Path(rnagpt.__file__).parent / "space"
NEEDED = (CARD, "app.py", "requirements.txt")


def publish_space(
    repo_id: str,
    model: str,
    *,
    tag: str,
    revision: str = "main",
    private: bool = False,
    overwrite: bool = False,
    dry_run: bool = False,
    folder: Path = SPACE,
    api: HfApi | None = None,
    say: Say = print,
) -> str | None:
    """Publish the Space, and open its page in a fresh process before the tag is set.

    Args:
        repo_id: ORG/NAME of the Space.
        model: Hub id of the model that answers; it must be there.
        tag, revision, private, overwrite, dry_run, api, say: see `hub_upload`.
        folder: of the Space's files.

    Returns:
        The commit's id; None for a dry run.

    Raises:
        PublishError: what is refused, or what failed.
    """
    manifest = space_manifest(folder, model)
    publication = Publication(
        repo_id,
        "space",
        manifest,
        tag,
        revision=revision,
        private=private,
        overwrite=overwrite,
        variables=((MODEL_VARIABLE, model),),
    )

    def verify(commit: str, is_private: bool) -> None:
        with empty_home() as home:
            got = ask_stranger(
                "verify_space.py",
                [repo_id, commit],
                home,
                api=api or HfApi(),
                private=is_private,
                settings={MODEL_VARIABLE: model},
            )
            check_files(Path(got["snapshot"]), manifest)

    if not dry_run and _is_private(model, api or HfApi()):
        say(
            f"Note: {model} is private; give the Space a token that may read it, as the secret "
            "HF_TOKEN in its settings."
        )
    return publish(publication, verify, api=api, dry_run=dry_run, say=say)


def space_manifest(folder: Path, model: str) -> Manifest:
    """The Space's files; its card names the model.

    Raises:
        PublishError: if the folder is no Space.
    """
    manifest = plan_folder(folder)
    missing = [name for name in NEEDED if name not in manifest]
    if missing:
        raise PublishError(
            f"{folder} lacks {', '.join(missing)}; run this from a clone of rna-gpt, or install "
            "rna-gpt again."
        )
    card = SpaceCard(manifest.get(CARD).text())
    card.data["models"] = [model]
    return manifest.with_file(CARD, str(card).encode())


def _is_private(model: str, api: HfApi) -> bool:
    """Whether a model, which must be there, is kept from those without a token."""
    try:
        return bool(api.model_info(model).private)
    except Exception as error:
        raise PublishError(
            f"The model {model} cannot be read: {explain(error, api.endpoint)} A Space needs a "
            f"model that is there: rnagpt publish model FOLDER {model}"
        ) from error


__all__ = ["publish_space", "space_manifest"]
