"""The language model of an RNA-GPT as a folder of its own, which vLLM reads.

For a language model of 8 billion weights it is 16 GB, so it is written once, into the user's cache,
and found again by the content of the weights.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import torch
import transformers
from filelock import FileLock, Timeout
from transformers import PreTrainedModel

import rnagpt
from rnagpt.conversion.language_model import language_model
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.reference.cache import cache_folder

logger = logging.getLogger(__name__)

_WRITTEN = "written.json"
# Next to the weights: configurations, and the table of contents of each file.
_SPARE_BYTES = 100_000_000


@contextmanager
def language_model_folder(model: RnaGptForCausalLM, source: str) -> Iterator[Path]:
    """The folder with the language model; written where it is not there yet.

    It lies in `cache_folder()`. No other process writes or removes it within the `with`. What was
    written for an earlier state of the same source is removed.

    Args:
        model: whose language model it is.
        source: folder or Hub id that the model was loaded from.

    Raises:
        ValueError: the cache cannot be written, or the disk is too small; says how to fix it.
    """
    language = language_model(model)
    cache = cache_folder() / "vllm"
    folder = cache / _key(language)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{folder}.lock")
        lock.acquire()
    except OSError as error:
        raise ValueError(
            f"The cache {cache}, in which vLLM finds the language model, cannot be written "
            f"({error.strerror}); set RNAGPT_CACHE to a folder that can."
        ) from error
    with lock:
        source = str(Path(source).resolve()) if Path(source).is_dir() else source
        if not _is_whole(folder):
            _write(language, folder, source)
        _remove_earlier(folder, source)
        yield folder


def _key(language: PreTrainedModel) -> str:
    """Changes with every weight, with the configurations and with the versions that write them."""
    weights = sorted(language.state_dict().items())
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # hashing holds no lock
        digests = list(pool.map(lambda item: _digest(item[1]), weights))
    described = [
        rnagpt.__version__,
        transformers.__version__,
        language.config.to_json_string(use_diff=False),
        language.generation_config.to_json_string(use_diff=False),
        *(f"{name} {digest}" for (name, _), digest in zip(weights, digests, strict=True)),
    ]
    return hashlib.sha256("\n".join(described).encode()).hexdigest()[:16]


def _digest(weights: torch.Tensor) -> str:
    shape = f"{weights.dtype} {tuple(weights.shape)}".encode()
    content = weights.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data
    return hashlib.sha256(shape + hashlib.sha256(content).digest()).hexdigest()


def _is_whole(folder: Path) -> bool:
    """Whether all that was written is there, in its size."""
    try:
        sizes = json.loads((folder / _WRITTEN).read_text())["sizes"]
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError):
        return False


def _write(language: PreTrainedModel, folder: Path, source: str) -> None:
    """Write next to the folder, and rename at the end: what is there is complete."""
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    for left_over in (folder, unfinished):  # by a process that was killed, or by a full disk
        shutil.rmtree(left_over, ignore_errors=True)
    needed = sum(parameter.nbytes for parameter in language.parameters()) + _SPARE_BYTES
    free = shutil.disk_usage(folder.parent).free
    if free < needed:
        raise ValueError(
            f"The language model for vLLM takes {needed / 1e9:.1f} GB, and {folder.parent} has "
            f"{free / 1e9:.1f} GB free. Make room there, or set RNAGPT_CACHE to another folder."
        )
    logger.info("Writing the language model for vLLM to %s, once: %.1f GB.", folder, needed / 1e9)
    language.save_pretrained(unfinished)
    sizes = {path.name: path.stat().st_size for path in unfinished.iterdir()}
    (unfinished / _WRITTEN).write_text(json.dumps({"source": source, "sizes": sizes}))
    unfinished.rename(folder)


def _remove_earlier(folder: Path, source: str) -> None:
    """Remove what was written for earlier weights of the same source, unless it is in use."""
    for written in folder.parent.glob(f"*/{_WRITTEN}"):
        earlier = written.parent
        if earlier == folder or json.loads(written.read_text()).get("source") != source:
            continue
        try:
            with FileLock(f"{earlier}.lock", timeout=0):
                shutil.rmtree(earlier)
        except (OSError, Timeout):
            logger.info("%s is in use; it is left there.", earlier)
