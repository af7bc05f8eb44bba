"""Publishing the Gradio Space, for a model that is on the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from huggingface_hub import HfApi, SpaceCard

import rnagpt
from rnagpt.hub import PublishError
from rnagpt.hub.manifest import CARD, Manifest, plan_folder
from rnagpt.hub.upload import Publication, PublishOptions, explain, publish
from rnagpt.hub.verify import check_files, empty_home, run_in_clean_env
from rnagpt.inference.default_model import MODEL_VARIABLE

SPACE = Path(rnagpt.__file__).parent / "space"
SCRIPT = "verify_space.py"
NEEDED = (CARD, "app.py", "requirements.txt")


def publish_space(
    repo_id: str, model: str, *, folder: Path = SPACE, **options: Unpack[PublishOptions]
) -> str | None:
    """Publish the Space, and open its page in a fresh process before the tag is set.

    Args:
        repo_id: ORG/NAME of the Space.
        model: Hub id of the model that answers; it must be there.
        folder: of the Space's files.
        **options: see `Publication`.

    Returns:
        The commit's id; None for a dry run.

    Raises:
        PublishError: what is rejected, or what failed.
    """
    manifest = space_manifest(folder, model)
    settings = {MODEL_VARIABLE: model}

    def verify(api: HfApi, commit: str, is_private: bool) -> None:
        words = [repo_id, commit]
        with empty_home() as home:
            got = run_in_clean_env(
                SCRIPT, words, home, api=api, private=is_private, settings=settings
            )
            check_files(Path(got["snapshot"]), manifest)

    publication = Publication(
        repo_id, "space", manifest, verify, variables=tuple(settings.items()), **options
    )
    if not publication.dry_run and _is_private(model, publication.api or HfApi()):
        publication.say(
            f"Note: {model} is private; give the Space a token that may read it, as the secret "
            "HF_TOKEN in its settings."
        )
    return publish(publication)


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
