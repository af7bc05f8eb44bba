"""The registry of sources: one more source is one more entry, from the command line to the card."""

import json
from pathlib import Path

import pytest
from helpers.finished_dataset import ONE, read_rows
from helpers.tiny_literature import make_papers, make_rnas, write_lines

from rnagpt.cli.rna_qa import main
from rnagpt.rna_qa.literature.build.pipeline import build
from rnagpt.rna_qa.literature.build.settings import LiteratureOptions, Services
from rnagpt.rna_qa.literature.sources import files, papers
from rnagpt.rna_qa.literature.sources.corpus import Corpus
from rnagpt.rna_qa.literature.sources.source import SOURCES, Source, choose_available


class Shelf:
    """A source of its own: a folder that everybody knows, here that of the test."""

    label = "the shelf"
    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ("query",)
    services: tuple[str, ...] = ()
    is_live = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def is_available(self, services: Services) -> bool:
        return self._folder.is_dir()

    def read_rnas(self, corpus: Corpus, options: LiteratureOptions, services: Services) -> None:
        files.select(corpus, self._folder / "rnas.jsonl", options.limit)

    def read_papers(
        self,
        corpus: Corpus,
        options: LiteratureOptions,
        services: Services,
        *,
        check_retractions: bool,
    ) -> None:
        files.read_papers(corpus, self._folder / "papers.jsonl")
        papers.complete(corpus, None, licences=options.licences)


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    folder = tmp_path / "shelf"
    folder.mkdir()
    rnas = make_rnas(6)
    write_lines(folder / "rnas.jsonl", rnas)
    write_lines(folder / "papers.jsonl", make_papers(rnas, 3))
    shelf = Shelf(folder)
    monkeypatch.setitem(SOURCES, "shelf", shelf)
    return shelf


def test_an_added_source_ends_in_a_data_set(shelf: Source, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = LiteratureOptions(source="shelf", clusters="kmers", test=0.3)
    record = build(out, options, ONE)["record"]
    assert {row["id"] for row in read_rows(out, "annotations")} == {
        rna["id"] for rna in make_rnas(6)
    }
    assert (record["options"]["source"], record["retrieved"]) == ("shelf", None)
    assert build(out, options, ONE)["done"] == []


def test_the_command_takes_an_added_source(shelf: Source, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["literature", str(out), "--source", "shelf", "--clusters", "kmers", "--workers", "1"]
    assert main(command) == 0
    assert json.loads((out / "build.json").read_text())["options"]["source"] == "shelf"


def test_the_first_available_source_is_chosen(
    shelf: Source, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = Services(database="postgresql://reader@127.0.0.1:1/none")
    assert choose_available(nowhere) == "http"
    said = capsys.readouterr().err
    assert said == "no answer from RNAcentral's database; taking EBI Search\n"
    monkeypatch.setattr(SOURCES["http"], "is_available", lambda services: False)
    assert choose_available(nowhere) == "shelf"
    monkeypatch.setattr(shelf, "is_available", lambda services: False)
    with pytest.raises(ConnectionError, match="RNAcentral's database, EBI Search; choose"):
        choose_available(nowhere)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"source": "files", "rnas": "a"}, "--source files needs --papers FILE"),
        ({"source": "http", "papers": "a"}, "--papers goes with --source files, not http"),
        (
            {"source": "files", "rnas": "a", "papers": "b", "query": "miR"},
            "--query goes with --source postgres or http, not files",
        ),
        ({"source": "paper"}, "expected one of postgres, http, files"),
    ],
)
def test_options_that_a_source_does_not_take_are_rejected(
    options: dict[str, str], error: str
) -> None:
    with pytest.raises(ValueError, match=error):
        LiteratureOptions(**options)
