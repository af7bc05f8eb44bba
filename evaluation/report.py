"""The report: tables, charts and sample answers."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rnagpt.evaluation.baselines import REAL, SHUFFLED
from rnagpt.evaluation.calibration import CONFIDENCE, Curves
from rnagpt.evaluation.embedding_models import EmbeddingModel
from rnagpt.evaluation.metrics import (
    ABSTENTION,
    CONTROLLED,
    FAMILIES,
    GROUNDING,
    LEAST_OF_FAMILY,
    RATIOS,
    TEXTS,
    UNSEEN,
    Figure,
    Figures,
    rouge_l,
)
from rnagpt.evaluation.runner import Answers, Asked, Row
from rnagpt.evaluation.systems import RNA_GPT, SYSTEMS
from rnagpt.evaluation.tasks import (
    CALIBRATION,
    COMPARED,
    EVALUATED,
    FAMILY,
    KNOWN,
    NEVER_SEEN,
    UNDER_CONTROL,
    DrawnRna,
    Plan,
)
from rnagpt.evaluation.text_metrics import ROUGE, semantic_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Chart

_SEPARATOR = "---"
# Okabe and Ito's colours, which people with any colour vision tell apart; none depends only on hue
# since bars are hatched too. https://jfly.uni-koeln.de/color/
COLOURS = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#F0E442",
    "#000000",
)
HATCHES = ("", "//", "..", "xx", "\\\\", "--", "oo", "++")
Sample = dict[str, Any]


def write_report(
    folder: Path,
    figures: Figures,
    captions: Mapping[str, str],
    charts: Mapping[str, Chart],
    samples: Mapping[str, Sequence[Mapping[str, Any]]],
    record: Mapping[str, Any],
) -> str:
    """Write `results.json`, `tables.md`, `tables.csv`, `samples.md` and the charts.

    Args:
        folder: that they are written into.
        figures: all that was measured.
        captions: of the tables; the table of systems comes first, and has them side by side.
        charts: by their files' name, without its end.
        samples: see `write_samples`.
        record: what else `results.json` holds.

    Returns:
        The tables, as Markdown.
    """
    tables = write_tables(figures, captions, across=list(captions)[:1])
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


def write_tables(figures: Figures, captions: Mapping[str, str], across: Iterable[str] = ()) -> str:
    """All tables as Markdown, with 95 % intervals.

    Args:
        figures: to show.
        captions: of each table, by its name; says what the table is about.
        across: tables with the systems side by side, as the paper has them; others have a row each.
    """
    side_by_side = set(across)
    parts = []
    for table, caption in captions.items():
        rows, names = figures.rows(table), figures.names(table)
        if not rows:
            continue
        cells = {(row, name): show(figures.get(table, row, name)) for row in rows for name in names}
        counts = {row: _count(figures, table, row) for row in rows}
        if table in side_by_side:
            lines = _markdown(["metric", *rows], [[n, *(cells[r, n] for r in rows)] for n in names])
            lines.append(_line(["RNAs", *counts.values()]))
        else:
            body = [[r, *(cells[r, n] for n in names), counts[r]] for r in rows]
            lines = _markdown(["", *names, "RNAs"], body)
        parts.append(f"## {caption}\n\n" + "\n".join(lines) + "\n")
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
    """All figures, one per line, with the columns of `Figure`."""
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
        groups: by their captions RNAs, each with `id`, `family`, `type`, `question`, `reference`
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


def captions(plan: Plan, min_training_rnas: int) -> dict[str, str]:
    """What each table is about, by its name and in the order in which they are shown."""
    drawn = plan.counts[EVALUATED]
    families = (
        f" of {drawn['families']:,} families with at least {min_training_rnas} training RNAs"
        if plan.splits.has_families
        else ""
    )
    rnas = f"{drawn['drawn']:,} RNAs{families}, split `{plan.split_of[EVALUATED]}`"
    unseen = plan.split_of.get(NEVER_SEEN)
    fitted = plan.split_of.get(CALIBRATION)
    first = len(plan.groups[UNDER_CONTROL])
    controls = f"; controls on the first {first:,}" if first < drawn["drawn"] else ""
    return {
        TEXTS: f"What is known about the first {len(plan.groups[COMPARED]):,} of {rnas}",
        RATIOS: "The same: how many times the plain language model's score (published for "
        "RNA-GPT's ROUGE-L on other data: 2.33 and 2.02)",
        CONTROLLED: f"{rnas}: share of right answers, log-likelihood of the right answer{controls}",
        GROUNDING: "Grounding: the share of the score, and the nats, that a control costs",
        ABSTENTION: "Knowing that it does not know: answers to the question of the family",
        UNSEEN: f"RNAs of families never seen in training, split `{unseen}`",
        CONFIDENCE: f"Confidence, calibrated on the split `{fitted}`; answers that do not decline",
        FAMILIES: f"Families of which at least {LEAST_OF_FAMILY} RNAs were drawn, the least known "
        "first",
    }


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
    rows = figures.rows(table)
    chart, axes = _new_chart(max(6.0, 1.1 * len(names) + 2), title)
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
    chart.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return chart


def draw_curves(curves: Curves, title: str) -> Chart:
    """Risk (share of wrong answers) over coverage (share of answers kept), a curve per name."""
    chart, axes = _new_chart(6, title)
    for place, (name, (coverage, risk)) in enumerate(curves.items()):
        style = ("-", "--", ":", "-.")[place % 4]
        axes.plot(coverage, risk, style, label=name, color=COLOURS[place % len(COLOURS)])
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("coverage: share of the answers kept, the most confident first")
    axes.set_ylabel("risk: share of these that are wrong")
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    return chart


def _new_chart(width: float, title: str) -> tuple[Chart, Axes]:
    # Imported where it is drawn: it takes a second, and nothing else here needs it.
    from matplotlib.figure import Figure as NewChart

    chart = NewChart(figsize=(width, 4), layout="constrained")
    axes = chart.subplots()
    axes.set_title(title, fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    return chart, axes


def save_chart(chart: Chart, path: Path) -> None:
    """Write PATH.png and PATH.svg, the same bytes for the same figures."""
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "rnagpt", "svg.fonttype": "none"}):
        chart.savefig(path.with_suffix(".png"), dpi=150, metadata={"Software": None})
        chart.savefig(path.with_suffix(".svg"), metadata={"Date": None, "Creator": None})


def choose_samples(answers: Answers, each: int = 5) -> dict[str, list[Sample]]:
    """RNAs with what was right and what each system said, by captions.

    The best and the worst by the ROUGE-L of what RNA-GPT knows (of another system's where it was
    not asked), each of another family; then claims of a family that are wrong, the most likely
    first, and claims about shuffled RNAs.

    Args:
        answers: of all systems.
        each: the most samples of a kind.
    """
    groups: dict[str, list[Sample]] = {}
    asked = [Asked(system, COMPARED, REAL, KNOWN) for system in reversed(SYSTEMS)]
    asked = [one for one in asked if one in answers]
    if asked:
        scores = [rouge_l(*answers.texts(one)) for one in asked]
        rnas = answers.rnas(asked[0])
        order = np.argsort(-scores[0], kind="stable").tolist()
        for heading, places in {"Best": order, "Worst": order[::-1]}.items():
            chosen = _of_different_families(places, rnas, each)
            groups[f"{heading} answers, by the ROUGE-L of {SYSTEMS[asked[0].system]}"] = [
                _sample(place, answers, asked, scores) for place in chosen
            ]
    groups |= _wrong_claims(answers, each)
    return {heading: samples for heading, samples in groups.items() if samples}


def _sample(
    place: int,
    answers: Answers,
    asked: Sequence[Asked],
    scores: Sequence[np.ndarray],
) -> Sample:
    rows = [answers.row(one, place) for one in asked]
    said = [
        (SYSTEMS[row["system"]], row["answer"], f"{score[place]:.2f}")
        for row, score in zip(rows, scores, strict=True)
    ]
    return _about(rows[0]) | {"answers": said}


def _wrong_claims(answers: Answers, each: int) -> dict[str, list[Sample]]:
    kinds = {
        "Wrong families, the surest first": (EVALUATED, REAL),
        "Families claimed of shuffled RNAs, the surest first": (UNDER_CONTROL, SHUFFLED),
    }
    groups = {}
    for heading, (group, control) in kinds.items():
        asked = Asked(RNA_GPT, group, control, FAMILY)
        if asked not in answers:
            continue
        wrong = ~answers.abstained(asked)
        if control == REAL:
            wrong &= ~answers.right(asked)
        sureness = np.where(wrong, answers.column(asked, "log_probability"), -np.inf)
        order = [i for i in np.argsort(-sureness, kind="stable").tolist() if wrong[i]]
        chosen = _of_different_families(order, answers.rnas(asked), each)
        groups[heading] = [_claim(answers.row(asked, place), control) for place in chosen]
    return groups


def _claim(row: Row, control: str) -> Sample:
    note = f"log-probability {row['log_probability']:.1f}"
    right = row["reference"] if control == REAL else "None: this RNA was shuffled."
    said = [(SYSTEMS[RNA_GPT], row["answer"], note)]
    return _about(row) | {"reference": right, "answers": said}


def _about(row: Row) -> Sample:
    about = {name: row[name] for name in ("id", "family", "type", "reference")}
    return about | {"question": row["asked"]}


def _of_different_families(order: Sequence[int], rnas: Sequence[DrawnRna], most: int) -> list[int]:
    """The first places in an order whose RNAs are each of another family."""
    first: dict[str, int] = {}
    for place in order:
        first.setdefault(rnas[place].accession or rnas[place].annotation, place)
    return list(islice(first.values(), most))
