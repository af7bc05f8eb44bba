"""What is installed on this machine, and what is missing for what: the checks of `rnagpt doctor`.

Nothing heavy is imported in this process: versions are read from the packages' metadata, and
programs are asked. What fails is a finding like any other, so that a broken installation is told
about and not crashed by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rnagpt.cli.finding import BROKEN, MISSING, OK, Finding, told
from rnagpt.cli.installed_models import models, reference
from rnagpt.cli.installed_packages import EXTRAS, extras, versions
from rnagpt.cli.installed_programs import cpu_flags, machine, programs


def examine(*, measure: bool = False) -> list[Finding]:
    """Look at everything.

    Args:
        measure: time bfloat16 too, which imports PyTorch.
    """
    parts: dict[str, Callable[[], Iterator[Finding]]] = {
        "versions": versions,
        "models": models,
        "reference": reference,
        "programs": programs,
        "extras": extras,
        "machine": lambda: machine(measure=measure),
    }
    findings: list[Finding] = []
    for group, part in parts.items():
        try:
            findings.extend(part())
        # Whatever a broken package does at its import, `sys.exit` included.
        except (Exception, SystemExit) as error:
            findings.append(_failed(group, error, findings))
    return findings


def _failed(group: str, error: BaseException, so_far: list[Finding]) -> Finding:
    """A part that could not be looked at, as a rule since a package above is broken."""
    found = f"not looked at: {told(error)}"
    if any(finding.state == BROKEN for finding in so_far):
        fix = "mend what is broken above, and run rnagpt doctor again"
        return Finding(group, group, MISSING, found, f"knowing about {group}", fix)
    fix = "rnagpt doctor --json, and report what it prints"
    return Finding(group, group, BROKEN, found, f"knowing about {group}", fix)


__all__ = ["BROKEN", "EXTRAS", "MISSING", "OK", "Finding", "cpu_flags", "examine"]
