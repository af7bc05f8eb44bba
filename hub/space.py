"""Publishing the Gradio Space, for a model that is on the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from huggingface_hub import HfApi, SpaceCard

import rnagpt
from rnagpt.hub import PublishError
from rnagpt.hub.manifest import CARD, Manifest, plan_folder
from rnagpt.hub.upload import Publication, PublishOptions, model_info, publish
from rnagpt.hub.verify import load_by_id
from rnagpt.inference.default_model import MODEL_VARIABLE

SPACE = Path(rnagpt.__file__).parent / "space"
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
        load_by_id("space", repo_id, commit, manifest, api, is_private, settings)

    publication = Publication(
        repo_id, "space", manifest, verify, variables=tuple(settings.items()), **options
    )
    if not publication.dry_run:
        remedy = f"A Space needs a model that is there: rnagpt publish model FOLDER {model}"
        if model_info("The model", model, publication.api, remedy).private:
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
