"""A model whose layers are sharded over processes (FSDP2), against the whole one."""

import os
import subprocess
import sys

import pytest
from helpers.paths import HELPERS

TESTS = HELPERS


@pytest.mark.slow
def test_two_shards_have_the_loss_and_the_gradients_of_the_whole():
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [*command, "--nproc-per-node", "2", str(TESTS / "sharded_forward.py")],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(TESTS.parent)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
