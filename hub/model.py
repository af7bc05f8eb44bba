"""Publishing a model: the whole folder, or only encoder, projection and adapter."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Unpack

import yaml
from huggingface_hub import HfApi, ModelCard
from safetensors.torch import load, save

from rnagpt.conversion.adapter import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    PROJECTOR_PART,
    naming_parts,
    with_parts,
)
from rnagpt.conversion.mini import CONFIDENCE_FILE
from rnagpt.conversion.projector_folder import PROJECTOR_WEIGHTS
from rnagpt.hub import PublishError
from rnagpt.hub.adapter_parts import PARTS, PARTS_FILE, compose_from_adapter
from rnagpt.hub.manifest import CARD, Manifest, make_manifest, plan_folder
from rnagpt.hub.model_card import (
    RECORD,
    RESULTS,
    CardFacts,
    check_name,
    read_json,
    write_model_card,
)
from rnagpt.hub.upload import Publication, PublishOptions, Say, Verify, model_info, publish
from rnagpt.hub.verify import check_files, empty_home, load_by_id, load_folder

MODEL_TYPE = "rna-gpt"
# What an auto_map names; what that imports is read from the files, as releases differ in it.
CODE = ("configuration_rnagpt.py", "modeling_rnagpt.py", "processing_rnagpt.py")
NEEDED = ("config.json", "generation_config.json", "processor_config.json", *CODE)
_RELATIVE_IMPORT = re.compile(r"^from \.(\w+) import", re.MULTILINE)
# The name of a README without front matter, once a card takes its own.
NOTES = "NOTES.md"
# The notice that a licence requires next to the weights, in its own words.
NOTICE = "NOTICE"
NOTICES = {
    "llama3": "Meta Llama 3 is licensed under the Meta Llama 3 Community License, Copyright © Meta "
    "Platforms, Inc. All Rights Reserved.\n",
}
# How far the logits of two loads may differ: only by the order of a library's sums.
TOLERANCE = 1e-4


def publish_model(
    folder: Path,
    facts: CardFacts | None,
    repo_id: str,
    *,
    adapter_only: bool = False,
    record: Path | None = None,
    results: Path | None = None,
    language_model: str | Path | None = None,
    **options: Unpack[PublishOptions],
) -> str | None:
    """Publish a model, and load it back by its id before the tag is set.

    Args:
        folder: of `rnagpt compose`; for `adapter_only` of training, with `encoder/`.
        facts: for a card that is written now; None: the folder's README.md is one. A README.md
            without front matter is published as NOTES.md next to the card.
        repo_id: ORG/NAME.
        adapter_only: publish the parts, without the language model.
        record, results: of training and evaluation, for the card; None: those in `folder`.
        language_model: for an adapter: where the verification takes the base model from, if not
            by its id.
        **options: see `Publication`.

    Returns:
        The commit's id; None for a dry run.

    Raises:
        PublishError: what is rejected, or what failed.
    """
    if adapter_only and facts is None:
        raise PublishError("An adapter needs the id of its language model: give --base-model.")
    adapter = facts if adapter_only else None
    manifest = adapter_manifest(folder, adapter) if adapter else model_manifest(folder)
    for name, path in ((RECORD, record), (RESULTS, results)):
        if path is not None:
            manifest = manifest.with_json(name, read_json(path))
    manifest = _with_card(manifest, facts, options.get("say", print))
    if adapter:
        base_model = adapter.base_model
        if language_model is None and not options.get("dry_run"):
            remedy = (
                "Nothing was uploaded. Give --base-model an id that the Hub has, or "
                "--language-model a folder or GGUF file to verify with."
            )
            # Else nobody could load the parts.
            model_info("The language model", base_model, options.get("api"), remedy)
        verify = _adapter_verification(repo_id, manifest, folder, language_model, base_model)
    else:
        manifest = _with_terms(manifest)
        verify = _model_verification(repo_id, manifest, folder)
    return publish(Publication(repo_id, "model", manifest, verify, **options))


def model_manifest(folder: Path) -> Manifest:
    """The files of a whole model, which must all be there.

    Raises:
        PublishError: if the folder is not one that every Auto class loads.
    """
    manifest = plan_folder(folder)
    missing = [name for name in (*NEEDED, *_imported_code(manifest)) if name not in manifest]
    if missing or not any(name.endswith(".safetensors") for name in manifest.paths):
        missing = missing or ["weights as safetensors"]
        is_adapter = ADAPTER_CONFIG in manifest or PROJECTOR_WEIGHTS in manifest
        hint = " For the output of training, add --adapter-only." if is_adapter else ""
        raise PublishError(
            f"{folder} lacks {', '.join(missing)}; expected a folder that `rnagpt compose` or "
            f"`rnagpt mini` wrote.{hint}"
        )
    config = manifest.get("config.json").json()
    if config.get("model_type") != MODEL_TYPE or "AutoModel" not in config.get("auto_map", {}):
        raise PublishError(
            f"{folder}/config.json is of the type {config.get('model_type')!r}; expected "
            f"{MODEL_TYPE!r} with an auto_map."
        )
    if (index := "model.safetensors.index.json") in manifest:
        shards = set(manifest.get(index).json()["weight_map"].values())
        if absent := sorted(shards - set(manifest.paths)):
            raise PublishError(
                f"{index} names {', '.join(absent)}, which the folder does not have."
            )
    return manifest


def _imported_code(manifest: Manifest) -> list[str]:
    """Further files of code that those in the folder import."""
    texts = [manifest.get(name).text() for name in CODE if name in manifest]
    imported = {f"{module}.py" for text in texts for module in _RELATIVE_IMPORT.findall(text)}
    return sorted(imported - set(CODE))


def adapter_manifest(folder: Path, facts: CardFacts) -> Manifest:
    """Encoder, projection and adapter of a folder; other files of training stay where they are.

    Raises:
        PublishError: if one of them is missing.
    """
    everything = plan_folder(folder)
    absent = [name for name in PARTS if name not in everything]
    if absent:
        raise PublishError(
            f"{folder} lacks {', '.join(absent)}; expected what `train_sft.py` wrote, with its "
            "encoder in encoder/ (as checkpoints/rna-gpt-mini has it)."
        )
    optional = (CARD, RECORD, RESULTS, CONFIDENCE_FILE)
    published = [file for file in everything.files if file.path in (*PARTS, *optional)]
    others = [file.path for file in everything.files if file not in published]
    manifest = make_manifest(published, [*everything.left_out, *others])
    manifest = manifest.with_json(PARTS_FILE, {"language_model": facts.base_model})
    manifest = _with_whole_adapter(manifest)
    adapter = manifest.get(ADAPTER_CONFIG).json()
    # PEFT notes the folder of the model that was trained, which nobody else has.
    adapter["base_model_name_or_path"] = facts.base_model
    return manifest.with_json(ADAPTER_CONFIG, adapter)


def _with_whole_adapter(manifest: Manifest) -> Manifest:
    """With the projection in the adapter too, which earlier releases had only next to it.

    PEFT loads such an adapter with the projection of the base model, and gives no warning.
    """
    config = manifest.get(ADAPTER_CONFIG).json()
    if PROJECTOR_PART in (config.get("modules_to_save") or []):
        return manifest
    parts = {PROJECTOR_PART: load(manifest.get(PROJECTOR_WEIGHTS).read())}
    tensors = with_parts(load(manifest.get(ADAPTER_WEIGHTS).read()), parts)
    content = save(tensors, metadata={"format": "pt"})
    manifest = manifest.with_file(ADAPTER_WEIGHTS, content)
    return manifest.with_json(ADAPTER_CONFIG, naming_parts(config, parts))


def _with_card(manifest: Manifest, facts: CardFacts | None, say: Say) -> Manifest:
    """The folder's own card, or one that is written now."""
    own = manifest.get(CARD) if CARD in manifest else None
    if own is not None and own.text().startswith("---"):
        if facts is not None:
            say(f"The card is the folder's {CARD}: what was given for a new one is not used.")
        return manifest
    if facts is None:
        raise PublishError(
            f"There is no {CARD} with front matter in the folder; give --base-model (and "
            f"--dataset), and a card is written from {RECORD} and {RESULTS}."
        )
    if warning := check_name(facts):
        say(f"Note: {warning}")
    if own is not None:
        manifest = manifest.with_file(NOTES, own.read())
    record, results = (
        manifest.get(name).json() if name in manifest else None for name in (RECORD, RESULTS)
    )
    return manifest.with_file(CARD, write_model_card(facts, record, results).encode())


def _with_terms(manifest: Manifest) -> Manifest:
    """The manifest with what the licence of the card requires next to the weights.

    Raises:
        PublishError: if it requires its own text there, and the folder does not have it.
    """
    try:
        license_id = ModelCard(manifest.get(CARD).text()).data.to_dict().get("license")
    except (ValueError, TypeError, yaml.YAMLError):
        return manifest  # the check of the card says what is wrong with it
    if license_id not in NOTICES:
        return manifest
    if not any(path.startswith(("LICENSE", "LICENCE")) for path in manifest.paths):
        raise PublishError(
            f"The folder has no LICENSE, and {license_id} asks that its text goes with the "
            "weights: put the LICENSE file of the base model's repository into the folder, and its "
            "USE_POLICY.md. (`rnagpt compose` copies them where they are next to its weights.)"
        )
    if NOTICE in manifest:
        return manifest
    return manifest.with_file(NOTICE, NOTICES[license_id].encode())


def _model_verification(repo_id: str, manifest: Manifest, folder: Path) -> Verify:
    """Load folder and id each in a process of its own, which has transformers only."""

    def verify(api: HfApi, commit: str, is_private: bool) -> None:
        got = load_by_id("model", repo_id, commit, manifest, api, is_private)
        compare_logits(got, load_folder("model", folder))

    return verify


def _adapter_verification(
    repo_id: str,
    manifest: Manifest,
    folder: Path,
    language_model: str | Path | None,
    base_model: str,
) -> Verify:
    """Compose the parts from the folder and from the id, then compare as whole models."""

    def verify(api: HfApi, commit: str, is_private: bool) -> None:
        with empty_home() as name:
            home = Path(name)
            got = compose_from_adapter(
                repo_id,
                language_model,
                revision=commit,
                out=home / "got",
                api=api,
                cache=home / "cache",
            )
            check_files(next((home / "cache").glob("models--*/snapshots/*")), manifest)
            expected = compose_from_adapter(
                folder, language_model or base_model, out=home / "expected"
            )
            compare_logits(load_folder("model", got), load_folder("model", expected))

    return verify


def compare_logits(got: dict[str, Any], expected: dict[str, Any]) -> None:
    """Compare what two clean environments computed.

    Raises:
        PublishError: with both values, if classes, tokens or logits differ.
    """
    for name in ("model", "processor", "tokens"):
        if got[name] != expected[name]:
            raise PublishError(f"{name}: loaded by its id {got[name]}, from here {expected[name]}")
    pairs = zip(got["logits"], expected["logits"], strict=True)
    largest = max(abs(one - other) for one, other in pairs)
    if not largest <= TOLERANCE:
        raise PublishError(
            f"the logits of the same prompt differ by {largest:.3g} between the Hub's model and "
            f"the folder's; at most {TOLERANCE:g} was expected"
        )
