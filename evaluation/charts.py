"""Bar charts as in the paper, and curves of risk over coverage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rnagpt.evaluation.bootstrap import Figures
from rnagpt.evaluation.confidence import Curves
from rnagpt.evaluation.embedding_models import EmbeddingModel
from rnagpt.evaluation.metrics import TEXTS
from rnagpt.evaluation.text_metrics import ROUGE, semantic_names

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Chart

# Okabe and Ito's colours, which people with any colour vision tell apart; none depends on hue alone
# since bars are hatched too. https://jfly.uni-koeln.de/color/
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
HATCHES = ("", "//", "..", "xx", "\\\\", "--")


def draw_charts(
    figures: Figures, models: Sequence[EmbeddingModel], ways: Sequence[str], curves: Curves
) -> dict[str, Chart]:
    """The paper's two bar charts and the curves of risk over coverage, by their files' names."""
    charts = {"rouge": draw_bars(figures, TEXTS, list(ROUGE), "What is known about an RNA: ROUGE")}
    if models:
        names = [name for m in models for way in ways for name in semantic_names(m, way)]
        title = "What is known about an RNA: semantic similarity"
        charts["semantic"] = draw_bars(figures, TEXTS, names, title)
    if curves:
        charts["risk_coverage"] = draw_curves(curves, "Wrong answers among the most confident")
    return charts


def draw_bars(figures: Figures, table: str, names: Sequence[str], title: str) -> Chart:
    """A group of bars for each name, a bar for each row, with 95 % intervals."""
    # Imported where it is drawn: it takes a second, and nothing else here needs it.
    from matplotlib.figure import Figure as NewChart

    rows = figures.rows(table)
    chart = NewChart(figsize=(max(6.0, 1.1 * len(names) + 2), 4), layout="constrained")
    axes = chart.subplots()
    width = 0.8 / max(1, len(rows))
    for place, row in enumerate(rows):
        found = [figures.get(table, row, name) for name in names]
        values = np.array([one.value if one else np.nan for one in found])
        bounds = np.array([one.interval if one else (np.nan, np.nan) for one in found])
        at = np.arange(len(names)) + (place - (len(rows) - 1) / 2) * width
        axes.bar(
            at,
            values,
            width,
            # An interval of a skewed statistic may leave its value out by a hair.
            yerr=np.clip([values - bounds[:, 0], bounds[:, 1] - values], 0, None),
            capsize=2,
            label=row,
            color=COLOURS[place % len(COLOURS)],
            hatch=HATCHES[place % len(HATCHES)],
            edgecolor="white",
        )
    axes.set_xticks(range(len(names)), [name.replace(", ", "\n") for name in names], fontsize=8)
    axes.set_ylim(0, 1.02)
    axes.set_ylabel("score, with 95 % intervals")
    axes.set_title(title, fontsize=10, loc="left")
    chart.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return chart


def draw_curves(curves: Curves, title: str) -> Chart:
    """Risk (share of wrong answers) over coverage (share of answers kept), a curve a name."""
    from matplotlib.figure import Figure as NewChart

    chart = NewChart(figsize=(6, 4), layout="constrained")
    axes = chart.subplots()
    for place, (name, (coverage, risk)) in enumerate(curves.items()):
        style = ("-", "--", ":", "-.")[place % 4]
        axes.plot(coverage, risk, style, label=name, color=COLOURS[place % len(COLOURS)])
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("coverage: share of the answers kept, the most confident first")
    axes.set_ylabel("risk: share of these that are wrong")
    axes.set_title(title, fontsize=10, loc="left")
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    axes.spines[["top", "right"]].set_visible(False)
    return chart


def save_chart(chart: Chart, path: Path) -> None:
    """Write PATH.png and PATH.svg, the same bytes for the same figures."""
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "rnagpt", "svg.fonttype": "none"}):
        chart.savefig(path.with_suffix(".png"), dpi=150, metadata={"Software": None})
        chart.savefig(path.with_suffix(".svg"), metadata={"Date": None, "Creator": None})


__all__ = ["draw_bars", "draw_charts", "draw_curves", "save_chart"]
