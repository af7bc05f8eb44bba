"""A repository of parts: encoder, projection and adapter, without their language model."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download

from rnagpt.conversion.mini import CONFIDENCE_FILE
from rnagpt.hub import PublishError
from rnagpt.reference.cache import cache_folder

# Tells parts which language model they belong to, by its Hub id.
PARTS_FILE = "rna_gpt_parts.json"
PARTS = (
    "adapter_config.json",
    "adapter_model.safetensors",
    "encoder/config.json",
    "encoder/model.safetensors",
    "projector.safetensors",
    "projector_config.json",
)


def compose_from_adapter(
    source: str | Path,
    language_model: str | Path | None = None,
    *,
    revision: str | None = None,
    out: Path | None = None,
    dtype: str | None = None,
    api: HfApi | None = None,
    cache: Path | None = None,
) -> Path:
    """A whole model from published parts, for `RnaChat.from_pretrained`.

    Args:
        source: Hub id or folder of the parts.
        language_model: folder, GGUF file or Hub id; None: the id that the parts name.
        revision: of the Hub: branch, tag or commit.
        out: folder to write; None: one in the user's cache (`rnagpt.reference.cache.cache_folder`),
            reused.
        dtype: of all weights; None: the language model's.
        api: the Hub; None: that of `HF_ENDPOINT`.
        cache: the Hub's cache; None: the user's.

    Returns:
        A folder for `AutoModel.from_pretrained(folder, trust_remote_code=True)`.

    Raises:
        PublishError: if the parts are not there, or do not name their language model.
        WeightsError: if they do not fit each other.
    """
    from rnagpt.conversion.compose import compose

    folder = Path(source)
    if not folder.is_dir():
        folder = _fetch(str(source), revision, api, cache)
    absent = [name for name in PARTS if not (folder / name).is_file()]
    if absent:
        raise PublishError(
            f"{source} lacks {', '.join(absent)}; expected encoder, projection and adapter, as "
            "`rnagpt publish model --adapter-only` publishes them."
        )
    language_model = language_model or _language_model(folder, source)
    out = out or cache_folder() / f"parts-{_key(folder, str(language_model), dtype)}"
    if (out / "config.json").is_file():
        return out
    fitted = folder / CONFIDENCE_FILE
    return compose(
        folder / "encoder",
        language_model,
        out,
        projector=folder,
        adapter=folder,
        confidence=json.loads(fitted.read_text()) if fitted.is_file() else None,
        dtype=dtype,
    )


def _fetch(repo_id: str, revision: str | None, api: HfApi | None, cache: Path | None) -> Path:
    try:
        return Path(
            snapshot_download(
                repo_id,
                revision=revision,
                cache_dir=cache,
                endpoint=api.endpoint if api else None,
                token=api.token if api else None,
            )
        )
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise PublishError(
            f"{repo_id} is no folder and could not be fetched from the Hub: {reason}"
        ) from error


def _language_model(folder: Path, source: str | Path) -> str:
    named = folder / PARTS_FILE
    if not named.is_file():
        raise PublishError(
            f"{source} has no {PARTS_FILE}, which names the language model; give it as "
            "language_model."
        )
    model: str = json.loads(named.read_text())["language_model"]
    return model


def _key(folder: Path, language_model: str, dtype: str | None) -> str:
    """Changes with the parts, so that a new revision is composed again."""
    digest = hashlib.sha256(f"{language_model}\0{dtype}".encode())
    for name in PARTS:
        digest.update(hashlib.sha256((folder / name).read_bytes()).digest())
    return digest.hexdigest()[:16]


__all__ = ["PARTS", "PARTS_FILE", "compose_from_adapter"]
