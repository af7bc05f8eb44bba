"""Tasks that make shards, or fail at it, as other processes import them."""

import os
import signal
import time
from pathlib import Path

from rnagpt.rna_qa.literature.build.shards import Sidecar, shard_path, write_shard


def make_numbered(work: str, stage: str, shard: int) -> None:
    """A shard that says its number."""
    write_shard(
        shard_path(Path(work), stage, shard), [str(shard)], lambda sha256: Sidecar("made", sha256)
    )


def make_all_but_one(work: str, stage: str, shard: int) -> None:
    if shard == 1:
        raise ValueError("one is not wanted")
    make_numbered(work, stage, shard)


def die_at_one(work: str, stage: str, shard: int) -> None:
    if shard == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    make_numbered(work, stage, shard)


def sleep_long(work: str, stage: str, shard: int) -> None:
    make_numbered(work, stage, shard)
    (Path(work) / f"process-{shard}").write_text(str(os.getpid()))
    time.sleep(600)
