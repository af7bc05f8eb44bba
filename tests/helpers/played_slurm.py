"""Slurm's commands, played on this machine."""

import os
import sys
from pathlib import Path

import pytest

from rnagpt.reference import tasks

# A queue that works: each script is run at once, for each of its tasks.
SBATCH = """#!/bin/bash
script="${@: -1}"
echo "$@" >> "$SLURM_PLAYED/sbatch.log"
cp "$script" "$SLURM_PLAYED/$(basename "$script").sh"
export RUN_OFFSET=0
last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$script")
for task in $(seq 0 "${last:-0}"); do
    SLURM_ARRAY_TASK_ID=$task SLURM_NODELIST=node1 bash "$script" > "$SLURM_PLAYED/$task.out" 2>&1
done
echo "Submitted batch job 17"
"""
REJECTING = "#!/bin/bash\nexit 1\n"
SRUN = """#!/bin/bash
while [[ "$1" == -* ]]; do [[ "$1" == -n ]] && shift; shift; done
exec "$@"
"""
SCONTROL = "#!/bin/bash\necho node1\n"
SQUEUE = "#!/bin/bash\nexit 1\n"


def play_slurm(folder: Path, patch: pytest.MonkeyPatch, sbatch: str = SBATCH) -> Path:
    """Put Slurm's commands into a new folder, which is searched for programs first.

    Args:
        sbatch: `SBATCH`, or `REJECTING`.
    """
    folder.mkdir()
    programs = {"sbatch": sbatch, "srun": SRUN, "scontrol": SCONTROL, "squeue": SQUEUE}
    for name, text in programs.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    patch.setenv("SLURM_PLAYED", str(folder))
    paths = [str(folder), str(Path(sys.executable).parent), os.environ["PATH"]]
    patch.setenv("PATH", os.pathsep.join(paths))
    patch.setattr(tasks, "QUEUE_POLL_SECONDS", 0.1)
    patch.setattr(tasks, "SECONDS_AFTER_THE_QUEUE", 0.3)
    return folder
