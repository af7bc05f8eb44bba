"""Models, the cache and references, for `rnagpt doctor`."""

from __future__ import annotations

import json
import os
import re
import shlex
import tempfile
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

from rnagpt.cli.finding import BROKEN, MISSING, OK, Finding, one_line, told

REFERENCE_VARIABLE = "RNAGPT_REFERENCE"  # of the web demo alone
NO_REFERENCE = "none"
_AGAIN = "install rna-gpt again, or clone it again"


def models() -> Iterator[Finding]:
    """The model that is used where none is named, and what it is made of."""
    from rnagpt.inference.default_model import MODEL_VARIABLE

    named = os.environ.get(MODEL_VARIABLE)
    yield _cache()
    yield _named_model(named, MODEL_VARIABLE) if named else _mini()
    yield _language_model()


def _cache() -> Finding:
    from rnagpt.reference.cache import cache_folder

    use = "models and searches made ready"
    fix = "set RNAGPT_CACHE to a folder that can be written: export RNAGPT_CACHE=FOLDER"
    try:
        folder = cache_folder()
    except RuntimeError as error:  # no home folder is known
        return Finding("models", "cache", BROKEN, one_line(str(error)), use, fix)
    try:
        existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
        # Permissions do not tell of file systems that cannot be written, nor anything to root.
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(b"rnagpt")
    except OSError as error:
        problem = f"{folder} cannot be written ({error.strerror})"
        return Finding("models", "cache", BROKEN, problem, use, fix)
    return Finding("models", "cache", OK, str(folder), use)


def _named_model(named: str, variable: str) -> Finding:
    name, use = "default model", f"answers of a model, as {variable} names it"
    folder = Path(named)
    if folder.is_dir():
        if not (problem := damage_of_model(folder)):
            return Finding("models", name, OK, f"{named} (a folder)", use)
    elif re.fullmatch(r"[\w.-]+(/[\w.-]+)?", named) and not named.startswith("."):
        if _in_hub_cache(named):
            return Finding("models", name, OK, f"{named} (of the Hub, downloaded)", use)
        later = f"{named}: no folder here; as a Hub id it is downloaded on first use"
        return Finding("models", name, MISSING, later, use, f"hf download {named}")
    else:
        problem = f"{named} does not exist"
    fix = (
        f"set {variable} to a model's folder or Hub id, or use rna-gpt-mini instead: "
        f"unset {variable}"
    )
    return Finding("models", name, BROKEN, problem, use, fix)


def _mini() -> Finding:
    from rnagpt.conversion import WeightsError
    from rnagpt.conversion.mini import bundled_folder, find_language_model

    use = "answers of a model, where RNAGPT_MODEL and --model name none"
    name = "default model"
    try:
        folder = bundled_folder(find_language_model())
    except (WeightsError, OSError) as error:
        return Finding("models", name, BROKEN, f"rna-gpt-mini: {one_line(str(error))}", use, _AGAIN)
    except RuntimeError as error:  # no home folder is known
        fix = "export RNAGPT_CACHE=FOLDER"
        return Finding("models", name, BROKEN, f"rna-gpt-mini: {one_line(str(error))}", use, fix)
    try:
        is_there = folder.is_dir()
    except OSError as error:
        is_there, problem = False, told(error)
    else:
        problem = damage_of_model(folder) if is_there else ""
    if problem:
        fix = f"rm -r {shlex.quote(str(folder))} && rnagpt mini"
        return Finding("models", name, BROKEN, f"rna-gpt-mini: {problem}", use, fix)
    if is_there:
        return Finding("models", name, OK, f"rna-gpt-mini in {folder}", use)
    later = "rna-gpt-mini, put together on first use (half a minute)"
    return Finding("models", name, MISSING, later, use, "rnagpt mini")


def damage_of_model(folder: Path) -> str:
    """What is wrong with a model's folder, without loading it; empty where nothing is seen.

    JSON is read, and weights are as long as their headers say
    (https://huggingface.co/docs/safetensors, "Format").
    """
    if not (folder / "config.json").is_file():
        return f"{folder} has no config.json"
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        return f"{folder} has no weights (*.safetensors)"
    try:
        for file in sorted(folder.glob("*.json")):
            if problem := _damage_of_json(file):
                return problem
        return next(filter(None, map(_damage_of_weights, weights)), "")
    except OSError as error:
        return told(error)


def _damage_of_json(file: Path) -> str:
    try:
        values = json.loads(file.read_bytes())
    except ValueError as error:
        return f"{file} is no JSON ({one_line(str(error))})"
    shards = values.get("weight_map", {}) if isinstance(values, dict) else {}
    absent = {name for name in shards.values() if not (file.parent / name).is_file()}
    return f"{file.parent} lacks {', '.join(sorted(absent))}" if absent else ""


def _damage_of_weights(file: Path) -> str:
    size = file.stat().st_size
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if length + 8 > size:
            return f"{file} is cut short: it has {size:,} bytes, and its header alone has more"
        try:
            tensors = json.loads(opened.read(length))
            ends = [one["data_offsets"][1] for key, one in tensors.items() if key != "__metadata__"]
            expected = 8 + length + max(ends, default=0)
        except (AttributeError, LookupError, TypeError, ValueError):
            return f"{file} has a damaged header"
    if expected == size:
        return ""
    return f"{file} is cut short: it has {size:,} bytes, expected {expected:,}"


def _language_model() -> Finding:
    from rnagpt.conversion.mini import (
        LANGUAGE_MODEL_HUB_ID,
        LANGUAGE_MODEL_INSTALL,
        find_language_model,
        sha256,
    )

    use = "putting rna-gpt-mini together"
    found_there = find_language_model()
    source = str(found_there.source)
    if source != LANGUAGE_MODEL_HUB_ID:
        if found_there.sha256 not in (None, sha256(Path(source))):
            problem = f"{source} is not what was released (by its SHA-256)"
            fix = LANGUAGE_MODEL_INSTALL.replace("install", "install --force-reinstall")
            return Finding("models", "language model", BROKEN, problem, use, fix)
        return Finding("models", "language model", OK, source, use)
    if _in_hub_cache(source):
        found = f"{source} (of the Hub, downloaded)"
        return Finding("models", "language model", OK, found, use)
    later = f"{source} would be downloaded"
    return Finding("models", "language model", MISSING, later, use, LANGUAGE_MODEL_INSTALL)


def _in_hub_cache(name: str) -> bool:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        return isinstance(try_to_load_from_cache(name, "config.json"), str)
    except HFValidationError:
        return False


def reference() -> Iterator[Finding]:
    """The reference that comes along, and what `RNAGPT_REFERENCE` names: content, age, damage."""
    from rnagpt.conversion.mini import CHECKPOINT

    yield from _reference(CHECKPOINT / "reference", "the search", _AGAIN)
    named = os.environ.get(REFERENCE_VARIABLE, "").strip()
    if named.lower() == NO_REFERENCE:
        yield Finding("reference", REFERENCE_VARIABLE, OK, "none: the web demo searches nothing")
    elif named:
        fix = f"set {REFERENCE_VARIABLE} to a reference's folder or to none, or remove it: "
        use = f"the web demo's search, as {REFERENCE_VARIABLE} names it"
        yield from _reference(Path(named).expanduser(), use, fix + f"unset {REFERENCE_VARIABLE}")


def _reference(folder: Path, use: str, fix: str) -> Iterator[Finding]:
    from rnagpt.reference import InvalidReferenceError
    from rnagpt.reference.manifest import MANIFEST, check_hash, read_manifest

    group = "reference"
    if not (folder / MANIFEST).is_file() and (folder / "reference").is_dir():
        folder /= "reference"  # as `Reference.open` takes a data set
    try:
        manifest = read_manifest(folder)
        for name in manifest.files:
            check_hash(folder, name, manifest)
    except (InvalidReferenceError, OSError) as error:
        yield Finding(group, "reference", BROKEN, one_line(str(error)), use, fix)
        return
    yield Finding(group, manifest.title, OK, str(folder), use)
    held = f"{manifest.families:,} families, {manifest.rnas:,} single RNAs"
    yield Finding(group, "holds", OK, held)
    yield Finding(group, "built", OK, f"{manifest.date}{_age(manifest.date)}")
    whole = f"{len(manifest.files)} files, all as the manifest's SHA-256 say"
    yield Finding(group, "hashes", OK, whole)


def _age(built: str) -> str:
    """How long ago a date of ISO 8601 is; empty where it is none."""
    try:
        days = (date.today() - datetime.fromisoformat(built).date()).days
    except ValueError:
        return ""
    return f" ({days:,} day{'' if days == 1 else 's'} ago)" if days >= 0 else ""


__all__ = ["damage_of_model", "models", "reference"]
