"""Lines that are typed into `rnagpt chat`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rnagpt.cli.main import main


def converse(monkeypatch: Any, capsys: Any, arguments: Iterable[str], lines: Iterable[Any]) -> str:
    """Give lines to an interactive session, and take what it prints.

    An exception among the lines is raised by `input`.
    """
    script = iter([*lines, EOFError()])

    def read(prompt: str) -> str:
        del prompt
        line = next(script)
        if isinstance(line, BaseException):
            raise line
        return str(line)

    monkeypatch.setattr("builtins.input", read)
    assert main(["chat", *arguments]) == 0
    return str(capsys.readouterr().out)
