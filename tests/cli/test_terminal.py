"""What `rnagpt annotate` draws on a terminal, what it pipes, and a whole installation."""

import json
import os
import pty
import re
import subprocess
import sys

from helpers.paths import FIVE_RNAS

COMMAND = [sys.executable, "-m", "rnagpt.cli.main"]


def on_terminal(*words, **environment):
    """What a command writes to a pseudo-terminal."""
    main, side = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", **environment}
    process = subprocess.Popen([*COMMAND, *words], stdin=side, stdout=side, stderr=side, env=env)
    os.close(side)
    said = b""
    try:
        while piece := os.read(main, 65536):
            said += piece
    except OSError:  # the other side is closed
        pass
    os.close(main)
    assert process.wait(60) == 0
    return said.decode()


def piped(*words):
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, check=True)
    return done.stdout


def test_a_terminal_has_colours_marks_and_links_and_a_pipe_has_none():
    drawn = on_terminal("annotate", str(FIVE_RNAS), FORCE_HYPERLINK="1")
    assert re.search(r"\x1b\[[0-9;]*3[0-9]m", drawn)
    assert ";https://rfam.org/family/RF00005\x1b\\" in drawn
    assert "●" in drawn
    assert "○" in drawn
    plain = piped("annotate", str(FIVE_RNAS))
    assert "\x1b" not in plain
    assert "           name  type  from  to  strand  E-value  bits  identity\n" in plain


def test_no_color_is_respected():
    drawn = on_terminal("annotate", str(FIVE_RNAS), NO_COLOR="1")
    assert "●" in drawn
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", drawn)


def test_doctor_finds_this_installation_whole():
    told = json.loads(piped("doctor", "--json"))
    assert told["healthy"]
    assert {one["state"] for one in told["findings"]} <= {"ok", "missing"}
