"""The report on an encoder's probes, as Markdown and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rnagpt.evaluation.encoder_probes import Figure


def write_report(figures: Sequence[Figure], command: str, out: Path) -> str:
    """Write encoder.md and encoder.json into a folder; returns the Markdown."""
    out.mkdir(parents=True, exist_ok=True)
    text = as_markdown(figures, command)
    (out / "encoder.md").write_text(text, encoding="utf-8")
    rows = [asdict(figure) for figure in figures]
    (out / "encoder.json").write_text(f"{json.dumps(rows, indent=2)}\n", encoding="utf-8")
    return text


def as_markdown(figures: Sequence[Figure], command: str) -> str:
    """A table with a row for each question; what was not measured of it is a dash."""
    ways = list(dict.fromkeys(way for figure in figures for way in figure.scores))
    lines = [
        f"`{command}`",
        "",
        "Intervals are 95 %, by resampling families.",
        "",
        f"| question | RNAs | families | {' | '.join(ways)} |",
        "| --- | --- | --- |" + " --- |" * len(ways),
    ]
    for figure in figures:
        low, high = figure.interval
        shares = {way: f"{share:.3f}" for way, share in figure.scores.items()}
        shares["encoder"] += f" ({low:.3f}–{high:.3f})"
        cells = " | ".join(shares.get(way, "–") for way in ways)
        lines.append(f"| {figure.question} | {figure.rnas:,} | {figure.families:,} | {cells} |")
    return "\n".join([*lines, ""])


__all__ = ["as_markdown", "write_report"]
