"""The command `rnagpt doctor`: what is installed here, what is missing, and what to do about it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rnagpt.cli.exit_codes import DONE, REJECTED

if TYPE_CHECKING:
    from rich.console import Console

    from rnagpt.cli.finding import Finding

HELP = """\
Look at this installation: versions, models, the reference and its age, optional programs and
extras, and the machine; for each missing thing, what it is for and how to install it. Nothing is
changed or downloaded."""
EXAMPLES = """\
examples:
  rnagpt doctor
  rnagpt doctor --json

With --json one object: "healthy", and "findings", each with group, name, state (ok, missing: only
what is optional, or broken), found, use and fix.

What is broken is told once more on standard error, one line each.

exit codes: 0 the core works, whatever else is missing; 2 something that it needs is broken"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--json", action="store_true", help="for programs: print one JSON object")
    parser.add_argument(
        "--measure",
        action="store_true",
        help="time bfloat16 on this CPU, with PyTorch (some seconds), in place of reading what the "
        "CPU says of itself",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command; the exit code."""
    from rnagpt.cli import installation

    findings = installation.examine(measure=arguments.measure)
    broken = [finding for finding in findings if finding.state == installation.BROKEN]
    if arguments.json:
        told = {"healthy": not broken, "findings": [one.to_dict() for one in findings]}
        print(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        _print(findings)
    sys.stdout.flush()  # first what was found, where both go to one place
    for finding in broken:
        fix = f" Fix it: {finding.fix}" if finding.fix else ""
        print(f"rnagpt doctor: {finding.name}: {finding.found.rstrip('.')}.{fix}", file=sys.stderr)
    return REJECTED if broken else DONE


def _print(findings: Sequence[Finding]) -> None:
    """A list by group; coloured on a terminal, where the state's word stands too."""
    console = _console()
    width = max(len(finding.name) for finding in findings)
    for group, members in groupby(findings, lambda finding: finding.group):
        if console is None:
            print(group)
        else:
            console.print(group, style="bold")
        for one in members:
            lines = [f"{one.name.ljust(width)}  {one.found}".rstrip()]
            if one.state != "ok":
                for word, text in (("for", one.use), ("fix", one.fix)):
                    lines += [f"{word}: {text}"] if text else []
            _print_finding(console, one.state, lines, width)


def _console() -> Console | None:
    """What draws; None also where rich, which draws, is what is broken."""
    try:
        from rnagpt.cli.terminal import console_of

        return console_of(sys.stdout)
    except (Exception, SystemExit):
        return None


def _print_finding(console: Console | None, state: str, lines: Sequence[str], width: int) -> None:
    from rnagpt.cli.terminal import printable, styled

    indents = ["  ", *[" " * (width + 13)] * (len(lines) - 1)]
    for number, (indent, line) in enumerate(zip(indents, lines, strict=True)):
        shown = "" if number else f"{state:7}  "
        if console is None:
            print(f"{indent}{shown}{printable(line)}")
            continue
        colour = {"ok": "green", "missing": "yellow", "broken": "bold red"}[state]
        text = styled(line, "dim" if number else "")
        console.print(styled(f"{indent}{shown}", colour) + text, soft_wrap=True)


__all__ = ["EXAMPLES", "HELP", "add_arguments", "run"]
