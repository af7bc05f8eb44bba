"""The corpus: what is written together stays together, and comes out in one order."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnagpt.rna_qa.literature.records import Mention, Paper, Rna
from rnagpt.rna_qa.literature.sources import corpus as corpus_module
from rnagpt.rna_qa.literature.sources.corpus import Corpus


@pytest.fixture
def corpus(tmp_path: Path) -> Iterator[Corpus]:
    with Corpus(tmp_path / "corpus.sqlite") as corpus:
        yield corpus


def make_rna(id: str) -> Rna:
    return Rna(id, "ACGU", (f"name of {id}",), "miRNA", organism="Homo sapiens", taxid=9606)


def make_paper(id: str, title: str = "A title") -> Paper:
    return Paper(id, title, "An “abstract”.", pmid=id, year=2020, types=("Review",))


def make_mention(rna: str, paper: str, places: str = "abstract") -> Mention:
    return Mention(rna, paper, "title" in places, "abstract" in places, "body" in places)


def test_what_is_added_comes_out_in_order_of_ids(corpus: Corpus) -> None:
    corpus.add_rnas(map(make_rna, "cab"))
    corpus.add_papers(map(make_paper, "321"))
    corpus.add_mentions([make_mention("b", "3"), make_mention("b", "1"), make_mention("a", "3")])
    found = list(corpus.read_shard(0, 10))
    assert [rna for rna, _ in found] == [make_rna(id) for id in "abc"]
    assert [[paper.id for paper, _ in papers] for _, papers in found] == [["3"], ["1", "3"], []]
    assert found[1][1][0] == (make_paper("1"), make_mention("b", "1"))
    assert list(corpus.iter_rnas()) == [make_rna(id) for id in "abc"]
    assert list(corpus.iter_papers()) == [make_paper(id) for id in "123"]


def test_shards_cover_all_rnas_once(corpus: Corpus) -> None:
    ids = [f"{n:02d}" for n in range(23)]
    corpus.add_rnas(map(make_rna, reversed(ids)))
    assert corpus.num_shards(5) == 5
    shards = [[rna.id for rna, _ in corpus.read_shard(n, 5)] for n in range(5)]
    assert list(map(len, shards)) == [5, 5, 5, 5, 3]
    assert [id for shard in shards for id in shard] == ids
    assert (corpus.num_shards(23), corpus.num_shards(24), corpus.num_rnas()) == (1, 1, 23)


def test_of_several_with_one_id_the_first_stands(corpus: Corpus) -> None:
    corpus.add_papers([make_paper("1", "first"), make_paper("1", "second"), make_paper("2")])
    corpus.add_papers([make_paper("1", "third")])
    corpus.add_rnas([make_rna("a"), make_rna("a")])
    assert [paper.title for paper in corpus.iter_papers()] == ["first", "A title"]
    assert corpus.counts()["tallies"] == {"RNA given again": 1, "paper given again": 2}


@given(st.lists(st.sets(st.sampled_from(["title", "abstract", "body"])), min_size=1, max_size=4))
def test_places_of_a_mention_are_joined(places: list[set[str]]) -> None:
    with Corpus(Path(":memory:")) as corpus:
        corpus.add_rnas([make_rna("a")])
        corpus.add_papers([make_paper("1")])
        for some in places:
            corpus.add_mentions([make_mention("a", "1", " ".join(some))])
        ((_, [(_, mention)]),) = corpus.read_shard(0, 1)
        assert mention == make_mention("a", "1", " ".join(set.union(*places)))


def test_skipped_papers_are_passed_over(corpus: Corpus) -> None:
    corpus.add_rnas([make_rna("a")])
    corpus.add_papers(map(make_paper, "123"))
    corpus.add_mentions(make_mention("a", id) for id in "123")
    corpus.skip("paper", "2", "retracted")
    corpus.skip("paper", "2", "no abstract")  # the first reason stands
    corpus.skip("rna", "1", "of another kind")
    ((_, papers),) = corpus.read_shard(0, 1)
    assert [paper.id for paper, _ in papers] == ["1", "3"]
    assert [paper.id for paper in corpus.iter_papers(kept=True)] == ["1", "3"]
    assert [paper.id for paper in corpus.iter_papers()] == ["1", "2", "3"]
    counts = corpus.counts()
    assert (counts["papers"], counts["papers_kept"], counts["mentions"]) == (3, 2, 3)
    assert counts["skipped"] == {"paper": {"retracted": 1}, "rna": {"of another kind": 1}}
    corpus.clear_skipped("paper")
    assert corpus.counts()["papers_kept"] == 3
    assert corpus.has_skipped("rna", "1")


def test_papers_are_completed_while_they_are_read(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus_module, "ROWS_PER_PAGE", 2)
    corpus.add_papers(map(make_paper, "12345"))
    corpus.add_papers([make_paper("6")], complete=True)
    read = []
    for paper in corpus.iter_papers(incomplete=True):
        read.append(paper.id)
        corpus.replace_papers([make_paper(paper.id, "completed")])
    assert read == list("12345")
    assert [paper.title for paper in corpus.iter_papers()] == ["completed"] * 5 + ["A title"]
    assert not list(corpus.iter_papers(incomplete=True))
    assert corpus.counts()["tallies"] == {}


def test_a_transaction_is_all_or_nothing(corpus: Corpus) -> None:
    def fail() -> None:
        with corpus.transaction():
            corpus.add_rnas([make_rna("a")])
            corpus.skip("rna", "b", "too long")
            corpus.set_progress("page", "1")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert corpus.progress("page") is None
    assert (corpus.num_rnas(), corpus.counts()["skipped"]) == (0, {})
    with corpus.transaction():
        corpus.add_rnas([make_rna("a")])
        corpus.set_progress("page", "1")
        corpus.set_progress("page", "2")
    assert (corpus.progress("page"), corpus.has_rna("a")) == ("2", True)


KILLED = """
import os, signal, sys
from pathlib import Path
from rnagpt.rna_qa.literature.sources.corpus import Corpus
from rnagpt.rna_qa.literature.records import Rna

corpus = Corpus(Path(sys.argv[1]))
for page in range(3):
    with corpus.transaction():
        corpus.add_rnas(Rna(f"{page}-{n}", "ACGU", ("a",), "miRNA") for n in range(200))
        if page == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        corpus.set_progress("page", str(page))
"""


def test_a_kill_leaves_whole_pages(tmp_path: Path) -> None:
    path = tmp_path / "corpus.sqlite"
    run = subprocess.run([sys.executable, "-c", KILLED, str(path)], timeout=60, env=os.environ)
    assert run.returncode == -signal.SIGKILL
    with Corpus(path) as corpus:
        assert corpus.progress("page") == "1"
        assert corpus.num_rnas() == 400


def test_others_read_what_is_committed(corpus: Corpus) -> None:
    corpus.add_rnas([make_rna("a")])
    with Corpus(corpus.path) as reader, corpus.transaction():
        corpus.add_rnas([make_rna("b")])
        assert reader.num_rnas() == 1


def is_plain(path: Path) -> bool:
    """Whether a database has no log next to it; bytes 18 and 19 say so in SQLite's file format."""
    return path.read_bytes()[18:20] == b"\1\1" and not list(path.parent.glob(f"{path.name}-*"))


def test_a_closed_corpus_is_one_plain_file(corpus: Corpus) -> None:
    corpus.add_rnas([make_rna("a")])
    assert not is_plain(corpus.path)
    with Corpus(corpus.path) as reader:
        corpus.close()
        assert not is_plain(corpus.path)
        assert reader.num_rnas() == 1
    assert is_plain(corpus.path)
    with Corpus(corpus.path) as reader:
        assert reader.num_rnas() == 1
        assert is_plain(corpus.path)


def test_a_corpus_is_written_to_while_idle_readers_have_it_open(corpus: Corpus) -> None:
    corpus.add_rnas([make_rna("a")])
    corpus.close()
    with Corpus(corpus.path) as reader, Corpus(corpus.path) as writer:
        assert reader.num_rnas() == 1
        writer.add_rnas([make_rna("b")])
        assert reader.num_rnas() == 2


def test_a_full_disk_is_told_and_nothing_is_half_written(corpus: Corpus) -> None:
    corpus.add_rnas([make_rna("a")])
    (pages,) = corpus._database.execute("PRAGMA page_count").fetchone()
    corpus._database.execute(f"PRAGMA max_page_count = {pages + 4}")

    def fill() -> None:
        with corpus.transaction():
            corpus.set_progress("page", "1")
            corpus.add_rnas(make_rna(f"{n:050d}") for n in range(1000))

    with pytest.raises(OSError, match="the disk is full") as error:
        fill()
    assert error.value.filename == str(corpus.path)
    assert (corpus.num_rnas(), corpus.progress("page")) == (1, None)


def test_other_files_are_not_taken(tmp_path: Path) -> None:
    text, other = tmp_path / "text", tmp_path / "other.sqlite"
    text.write_text("This is a text, and no database at all." * 100)
    with pytest.raises(ValueError, match="not a database"):
        Corpus(text)
    with sqlite3.connect(other) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(ValueError, match="tables of version 99, expected 1"):
        Corpus(other)
