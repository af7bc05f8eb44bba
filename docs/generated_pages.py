"""Pages that are made from the code when the site is built, so that they cannot go stale.

The command reference comes from the parsers, the benchmarks from their last reports, and the cards
and the change log from where they stand in the repository.
"""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files

from rnagpt.cli import main as rnagpt_cli
from rnagpt.cli import rna_qa as rna_qa_cli

ROOT = Path(__file__).resolve().parents[1]
COPIES = {
    "model-card.md": "checkpoints/rna-gpt-mini/README.md",
    "dataset-card.md": "dataset_card.md",
    "changes.md": "CHANGELOG.md",
}
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_RELATIVE_LINK = re.compile(r"\[([^]]+)\]\((?!https?:|#|mailto:)[^)]*\)")


# Before mkdocstrings' own, which leaves out a folder that is not there.
@event_priority(100)
def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Copy the package's sources to a folder of their own, and list the reports; MkDocs calls this.

    The root is the package, and mkdocstrings would read all that lies in it, environments too.
    """
    source = ROOT / "build" / "source" / "rnagpt"
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    for file in ROOT.glob("*.py"):
        shutil.copy(file, source)
    for package in ROOT.glob("*/__init__.py"):
        shutil.copytree(package.parent, source / package.parent.name)
    assert config.nav is not None
    (benchmarks,) = (chapter for chapter in config.nav if "Benchmarks" in chapter)
    benchmarks["Benchmarks"] += [f"benchmarks/{report.name}" for report in _reports()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages; MkDocs calls this."""
    for name, text in _pages():
        files.append(File.generated(config, name, content=text))
    return files


def _pages() -> Iterator[tuple[str, str]]:
    yield "reference/commands.md", command_reference()
    for page, source in COPIES.items():
        yield page, _as_page((ROOT / source).read_text(encoding="utf-8"))
    for report in _reports():
        yield f"benchmarks/{report.name}", _as_page(report.read_text(encoding="utf-8"))


def _reports() -> list[Path]:
    return sorted((ROOT / "benchmarks").glob("*.md"))


def _as_page(text: str) -> str:
    """A document without what is for the Hub and links that only its own folder has."""
    return _RELATIVE_LINK.sub(r"\1", _FRONT_MATTER.sub("", text))


def command_reference() -> str:
    """The help of every command of `rnagpt` and `rna-qa`, as Markdown."""
    parts = ["# Commands\n\nWhat `--help` prints, for every command.\n"]
    for parser in (rnagpt_cli.build_parser(), rna_qa_cli.build_parser()):
        parts += [_described(command, depth) for command, depth in _commands(parser)]
    return "\n".join(parts)


def _commands(
    parser: argparse.ArgumentParser, depth: int = 2
) -> Iterator[tuple[argparse.ArgumentParser, int]]:
    yield parser, depth
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _commands(command, min(depth + 1, 4))


def _described(parser: argparse.ArgumentParser, depth: int) -> str:
    return f"{'#' * depth} {parser.prog}\n\n```text\n{parser.format_help().rstrip()}\n```\n"
