"""Exit codes, and the messages on standard error that go with them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

DONE, REJECTED, STOPPED = 0, 2, 130


def exit_code(
    command: str,
    work: Callable[[], int | None],
    explained: tuple[type[Exception], ...],
    stopped: str = "stopped",
) -> int:
    """Do a command's work; the exit code.

    Args:
        command: what messages begin with, such as "rnagpt mini".
        work: returns an exit code; None means done.
        explained: errors whose message says what was wrong and what to do.
        stopped: what is said after Ctrl-C.

    Raises:
        Exception: every other error; its traceback is of use.
    """
    try:
        return work() or DONE
    except BrokenPipeError:
        # The reader of the output went away, `head` for example. That is no fault, and Python must
        # not complain of it either when it closes standard output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except explained as error:
        print(f"{command}: {error}", file=sys.stderr)
        return REJECTED
    except KeyboardInterrupt:
        print(f"{command}: {stopped}", file=sys.stderr)
        return STOPPED
