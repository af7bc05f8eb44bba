"""Figures as people read them: Markdown, CSV, JSON, a page of sample answers."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnagpt.evaluation.bootstrap import Figure, Figures
from rnagpt.evaluation.charts import save_chart

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Chart

_SEPARATOR = "---"


def write_report(
    folder: Path,
    figures: Figures,
    headings: Mapping[str, str],
    charts: Mapping[str, Chart],
    samples: Mapping[str, Sequence[Mapping[str, Any]]],
    record: Mapping[str, Any],
) -> str:
    """Write `results.json`, `tables.md`, `tables.csv`, `samples.md` and the charts.

    Args:
        folder: that they are written into.
        figures: all that was measured.
        headings: of the tables; the table of systems comes first, and has them side by side.
        charts: by their files' name, without its end.
        samples: see `write_samples`.
        record: what else `results.json` holds.

    Returns:
        The tables, as Markdown.
    """
    tables = write_tables(figures, headings, across=list(headings)[:1])
    results = dict(record) | {"figures": nest(figures)}
    (folder / "tables.md").write_text(tables)
    (folder / "tables.csv").write_text(write_csv(figures))
    (folder / "samples.md").write_text(write_samples(samples))
    for name, chart in charts.items():
        save_chart(chart, folder / name)
    text = json.dumps(results, indent=2, ensure_ascii=False, allow_nan=False)
    # The last one: a folder with it is complete.
    (folder / "results.json").write_text(text + "\n")
    return tables


def write_tables(figures: Figures, headings: Mapping[str, str], across: Iterable[str] = ()) -> str:
    """All tables as Markdown, with 95 % intervals.

    Args:
        figures: to show.
        headings: of each table, by its name; says what the table is about.
        across: tables with the systems side by side, as the paper has them; others have a row each.
    """
    beside = set(across)
    parts = []
    for table, heading in headings.items():
        rows, names = figures.rows(table), figures.names(table)
        if not rows:
            continue
        cells = {(row, name): show(figures.get(table, row, name)) for row in rows for name in names}
        counts = {row: _count(figures, table, row) for row in rows}
        if table in beside:
            lines = _markdown(["metric", *rows], [[n, *(cells[r, n] for r in rows)] for n in names])
            lines.append(_line(["RNAs", *counts.values()]))
        else:
            body = [[r, *(cells[r, n] for n in names), counts[r]] for r in rows]
            lines = _markdown(["", *names, "RNAs"], body)
        parts.append(f"## {heading}\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def show(figure: Figure | None) -> str:
    """A figure with its interval, such as "0.888 (0.868–0.907)"."""
    if figure is None or math.isnan(figure.value):
        return "–"
    low, high = figure.interval
    return f"{figure.value:.3f} ({low:.3f}–{high:.3f})"


def _count(figures: Figures, table: str, row: str) -> str:
    counts = {f.n for f in figures.all if (f.table, f.row) == (table, row)}
    return " / ".join(f"{count:,}" for count in sorted(counts))


def _markdown(head: Sequence[str], body: Iterable[Sequence[str]]) -> list[str]:
    return [_line(head), _line([_SEPARATOR] * len(head)), *map(_line, body)]


def _line(cells: Sequence[str]) -> str:
    escaped = [cell.replace("|", "\\|") for cell in cells]
    return f"| {' | '.join(escaped)} |"


def write_csv(figures: Figures) -> str:
    """All figures, one a line, with the columns of `Figure`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["table", "row", "name", "value", "low", "high", "rnas"])
    for one in figures.all:
        numbers = [repr(one.value), *map(repr, one.interval)]
        writer.writerow([one.table, one.row, one.name, *numbers, one.n])
    return text.getvalue()


def nest(figures: Figures) -> dict[str, Any]:
    """All figures as JSON takes them: table, row, name; NaN, which JSON has not, as null."""
    nested: dict[str, Any] = {}
    for one in figures.all:
        row = nested.setdefault(one.table, {}).setdefault(one.row, {})
        row[one.name] = {
            "value": _number(one.value),
            "interval": [_number(bound) for bound in one.interval],
            "n": one.n,
        }
    return nested


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def write_samples(groups: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Sample answers: for each group RNAs with what was right and what the systems said.

    Args:
        groups: by their headings RNAs, each with `id`, `family`, `type`, `question`, `reference`
            and `answers`: of each system its answer and what is noted of it.
    """
    parts = ["# Sample answers\n"]
    for heading, samples in groups.items():
        parts.append(f"## {heading}\n")
        for sample in samples:
            about = ", ".join(filter(None, (sample["family"], sample["type"])))
            parts.append(f"### {sample['id']} ({about})\n\n**{sample['question']}**\n")
            lines = _markdown(
                ["", "answer", "score"],
                [
                    ["*right*", _one_line(sample["reference"]), ""],
                    *([who, _one_line(said), note] for who, said, note in sample["answers"]),
                ],
            )
            parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _one_line(text: str, most: int = 500) -> str:
    """A text in a table's cell: on one line, and cut where it is very long."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


__all__ = [
    "nest",
    "show",
    "write_csv",
    "write_report",
    "write_samples",
    "write_tables",
]
