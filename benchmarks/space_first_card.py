"""How long a visitor of the Space waits for the page, and for what an RNA is.

    python benchmarks/space_first_card.py              # writes space_first_card.md
    python benchmarks/space_first_card.py --rounds 1   # a quick look

Each round starts `python space/app.py` (rna-gpt-mini and its reference) and, by turns, a page of
Gradio's own parts that does nothing (`BARE`). A Chromium without a cache opens the page and adds
RNAs: one on the server that has just started, the model still loading, and several more, none of
them twice. Times are the browser's own: first paint and first contentful paint from the opening of
the page (Paint Timing), the others from the click on "Add RNA", as changes of the page show them.
The target is what an RNA is within one second.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from measured import Figure, beginning, compare, machine, make_parser, parse, table, write_down
from playwright.sync_api import Browser, Page, sync_playwright

from rnagpt.sequences.fasta import read_fasta

ROOT = Path(__file__).resolve().parents[1]
REPORT = Path(__file__).with_suffix(".md")
ROUNDS = 6
WARM = 5  # RNAs of a round after the first
TARGET = 1.0  # seconds from the click to what the RNA is
_START_SECONDS = 120
_MILLISECONDS = 1000
_PATIENCE_MILLISECONDS = 60_000
BARE = """
import gradio as gr
with gr.Blocks() as page:
    field = gr.Textbox(elem_id="sequence")
    cards = gr.HTML(elem_id="cards")
    gr.Button("Add RNA", elem_id="add").click(
        lambda text, shown: f'{shown or ""}<article class="card">{len(text)} nt</article>',
        [field, cards], cards, queue=False)
page.launch()
"""
# What is waited for, by the selector of its first element that is new.
# A structure is drawn as its element is put into the page, in a tree of its own.
MARKS = {"card": ".card", "what it is": ".card .verdict", "drawing": ".card rna-structure"}
# Resolves with the milliseconds from the click to each mark's having one element more than before.
CLICK = """
([marks, patience]) => new Promise((resolve, reject) => {
  const count = selector => document.querySelectorAll(`#cards ${selector}`).length;
  const before = Object.fromEntries(Object.entries(marks).map(([name, one]) => [name, count(one)]));
  const seen = {};
  let begin;
  const look = () => {
    for (const [name, selector] of Object.entries(marks))
      if (!(name in seen) && count(selector) > before[name]) seen[name] = performance.now() - begin;
    if (Object.keys(seen).length === Object.keys(marks).length) {
      observer.disconnect();
      resolve(seen);
    }
  };
  // Held by the page, which else may forget what nobody else holds, and the promise with it.
  const observer = window.looking = new MutationObserver(look);
  window.look = look;
  observer.observe(document.body, {childList: true, subtree: true, attributes: true});
  begin = performance.now();
  setTimeout(() => reject(new Error(`Only ${Object.keys(seen)} appeared.`)), patience);
  document.querySelector("#add").click();
})
"""
PAINTS = """
() => Object.fromEntries(
  performance.getEntriesByType("paint").map(one => [one.name, one.startTime]))
"""

Times = dict[str, list[float]]


def main() -> None:
    parser = make_parser(__doc__, rounds=ROUNDS)
    installed = filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome")))
    parser.add_argument("--chromium", default=next(installed, None), help="the browser's path")
    args = parse(parser)
    if args.chromium is None:
        parser.error("Chromium was not found. Install it, or give its path with --chromium.")
    ours: Times = defaultdict(list)
    bare: Times = defaultdict(list)
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=args.chromium, args=["--no-sandbox"])
        code = Path(folder, "bare.py")
        code.write_text(BARE)
        rnas = iter(different_rnas(args.rounds * (1 + WARM)))
        for number in range(args.rounds):
            print(f"round {number + 1} of {args.rounds}", file=sys.stderr)
            round_of(browser, code, ["."] * (1 + WARM), {"card": MARKS["card"]}, bare)
            asked = [next(rnas) for _ in range(1 + WARM)]
            round_of(browser, ROOT / "space" / "app.py", asked, MARKS, ours)
    write_down(
        args,
        report(ours, bare, args.rounds),
        figures(ours, bare),
        report=REPORT,
        is_whole=args.rounds >= ROUNDS,
    )


def different_rnas(number: int) -> list[str]:
    """The Space's examples, each time with one nucleotide less at the end, so that none is kept."""
    examples = [record.sequence for record in read_fasta(ROOT / "space" / "examples.fasta")]
    return [examples[i % len(examples)][: -(1 + i // len(examples))] for i in range(number)]


def round_of(
    browser: Browser, program: Path, rnas: Sequence[str], marks: dict[str, str], times: Times
) -> None:
    """Start a page's server, open it twice and add RNAs, the first one on the first page."""
    begin = time.perf_counter()
    with served(program) as address:
        times["server"].append(time.perf_counter() - begin)
        with opened(browser, address, times, "cold") as page:
            add(page, rnas[0], marks, times, "cold")
        with opened(browser, address, times, "warm") as page:
            for rna in rnas[1:]:
                add(page, rna, marks, times, "warm")


@contextlib.contextmanager
def served(program: Path) -> Iterator[str]:
    """A page's server, once it answers; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "0"}
    address = f"http://127.0.0.1:{port}/"
    process = subprocess.Popen(
        [sys.executable, str(program)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + _START_SECONDS
        while not answers(address):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{program} does not answer: run it to see why.")
            time.sleep(0.02)
        yield address
    finally:
        process.terminate()
        process.wait()


def answers(address: str) -> bool:
    """Whether there is a page."""
    try:
        with urlopen(address, timeout=5) as response:
            return bool(response.status == 200)
    except (URLError, OSError):
        return False


@contextlib.contextmanager
def opened(browser: Browser, address: str, times: Times, when: str) -> Iterator[Page]:
    """The page, in a browser that never saw it, once an RNA can be given."""
    context = browser.new_context()
    page = context.new_page()
    begin = time.perf_counter()
    page.goto(address)
    page.locator("#add").wait_for()
    times[f"to use, {when}"].append(time.perf_counter() - begin)
    for name, milliseconds in page.evaluate(PAINTS).items():
        times[f"{name}, {when}"].append(milliseconds / _MILLISECONDS)
    yield page
    context.close()


def add(page: Page, rna: str, marks: dict[str, str], times: Times, when: str) -> None:
    """Paste an RNA and add it; notes when the page shows what."""
    page.locator("#sequence textarea, textarea#sequence").first.fill(rna)
    for name, milliseconds in page.evaluate(CLICK, [marks, _PATIENCE_MILLISECONDS]).items():
        times[f"{name}, {when}"].append(milliseconds / _MILLISECONDS)
    page.wait_for_timeout(500)  # what is still drawn must not slow the next one down


WHAT = {
    "server": "start of the server to its first answer",
    "first-paint, cold": "first paint, the first visitor",
    "first-paint, warm": "first paint, later visitors",
    "first-contentful-paint, cold": "first contentful paint, the first visitor",
    "first-contentful-paint, warm": "first contentful paint, later visitors",
    "to use, cold": "an RNA can be given, the first visitor",
    "to use, warm": "an RNA can be given, later visitors",
    "card, cold": "click to the card, first RNA of the server",
    "card, warm": "click to the card, later RNAs",
    "what it is, cold": "click to what the RNA is, first RNA of the server",
    "what it is, warm": "click to what the RNA is, later RNAs",
    "drawing, cold": "click to its structure, first RNA of the server",
    "drawing, warm": "click to its structure, later RNAs",
}


def report(ours: Times, bare: Times, rounds: int) -> str:
    """The report, as Markdown."""
    about = (
        f"{machine('gradio', 'pyhmmer')} Chromium on the same machine, {rounds} rounds of one "
        f"first and {WARM} later RNAs; medians, and from the shortest to the longest. Bare: a "
        "page of Gradio's with one field, one button and one HTML part, in the same rounds. A card "
        f"has the name and length at first; the target of what the RNA is, is {TARGET:.0f} s."
    )
    header = ["what", "the Space", "range", "bare Gradio", "range", "ratio"]
    rows = []
    for key, what in WHAT.items():
        mine, other = ours[key], bare.get(key, [])
        share = f"{statistics.median(mine) / statistics.median(other):.2f}" if other else ""
        rows.append([what, *shown(mine), *shown(other), share])
    return f"{beginning('How long a visitor of the Space waits', about)}\n{table(header, rows)}\n"


def shown(seconds: Sequence[float]) -> tuple[str, str]:
    """A median and a range."""
    if not seconds:
        return "", ""
    middle = f"{statistics.median(seconds):.2f} s"
    return middle, f"{min(seconds):.2f} to {max(seconds):.2f} s"


def figures(ours: Times, bare: Times) -> list[Figure]:
    """The paint beside a bare page's, and what an RNA is beside the card of one."""
    paint = "first-contentful-paint, warm"
    card, found = bare["card, warm"], ours["what it is, warm"]
    return [
        compare(
            "Space, first contentful paint",
            ours[paint],
            bare[paint],
            other_name="bare Gradio page",
            unit="s",
            target="none",
        ),
        compare(
            "Space, from a pasted RNA to what it is",
            found,
            card,
            other_name="bare Gradio page, to a text",
            unit="s",
            target=f"{TARGET:.0f} s",
        ),
    ]


if __name__ == "__main__":
    main()
