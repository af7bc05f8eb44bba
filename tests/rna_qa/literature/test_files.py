"""RNAs and papers from files: plain and gzipped, whole and damaged, all at once and resumed."""

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rnagpt.rna_qa.literature.records import Mention, Paper, Rna
from rnagpt.rna_qa.literature.sources import files as select_files
from rnagpt.rna_qa.literature.sources.corpus import Corpus
from rnagpt.rna_qa.literature.sources.rows import clean_sequence

RNA = {"id": "a", "sequence": "acgtN", "names": ["miR-21"], "rna_type": "miRNA"}
PAPER = {"pmid": 7, "title": "On miR-21", "abstract": "It binds."}
Write = Callable[..., Path]


@pytest.fixture
def corpus(tmp_path: Path) -> Iterator[Corpus]:
    with Corpus(tmp_path / "corpus.sqlite") as corpus:
        yield corpus


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(*lines: dict[str, Any] | str, name: str = "lines.jsonl", gz: bool = False) -> Path:
        texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
        content = "".join(f"{text}\n" for text in texts).encode()
        path = tmp_path / name
        path.write_bytes(gzip.compress(content) if gz else content)
        return path

    return write


def dump(corpus: Corpus) -> list[object]:
    return [list(corpus.iter_papers()), list(corpus.read_shard(0, 1000)), corpus.counts()]


@pytest.mark.parametrize("gz", [False, True])
def test_rnas_are_read(corpus: Corpus, write: Write, gz: bool) -> None:
    full = {
        "id": "URS000039ED8D_9606",
        "sequence": "UAGC UUAU\n",
        "names": ["miR-21", " MIR21 ", "miR-21", ""],
        "rna_type": "miRNA",
        "organism": "Homo sapiens",
        "taxid": 9606,
        "family": "RF00658",
        "length": 8,
    }
    select_files.select(corpus, write(full, "", RNA, gz=gz))
    assert list(corpus.iter_rnas()) == [
        Rna(
            "URS000039ED8D_9606",
            "UAGCUUAU",
            ("miR-21", "MIR21"),
            "miRNA",
            "Homo sapiens",
            9606,
            "RF00658",
        ),
        Rna("a", "ACGUN", ("miR-21",), "miRNA"),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "b", ', "expected one JSON object per line with id, sequence, names"),
        ("[1, 2]", "it holds a list"),
        ({**RNA, "id": ""}, "no id"),
        ({**RNA, "sequence": None}, "no sequence"),
        ({**RNA, "sequence": 5}, "sequence is 5, expected a string"),
        ({**RNA, "names": "miR-21"}, "names is 'miR-21', expected a list of strings"),
        ({**RNA, "names": [21]}, r"names is \[21\], expected a list of strings"),
        ({"id": "b", "sequence": "A", "rna_type": "miRNA"}, "no names"),
        ({**RNA, "taxid": "9606"}, "taxid is '9606', expected a whole number"),
        ({**RNA, "taxid": True}, "taxid is True, expected a whole number"),
    ],
)
def test_a_bad_line_is_named(
    corpus: Corpus, write: Write, line: dict[str, Any] | str, message: str
) -> None:
    path = write(RNA, line)
    with pytest.raises(ValueError, match=message) as error:
        select_files.select(corpus, path)
    assert f"{path}, line 2: " in str(error.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"title": "A", "abstract": "B"}, "a paper needs a pmid, a pmcid or a doi"),
        ({**PAPER, "pmid": 7.5}, "pmid is 7.5, expected a string or a number"),
        ({**PAPER, "retracted": 1}, "retracted is 1, expected true or false"),
        ({**PAPER, "year": "2020"}, "year is '2020', expected a whole number"),
        ({**PAPER, "abstract": ["B"]}, "expected a string"),
    ],
)
def test_a_bad_paper_is_named(
    corpus: Corpus, write: Write, line: dict[str, Any], message: str
) -> None:
    path = write(PAPER, line)
    with pytest.raises(ValueError, match=message) as error:
        select_files.read_papers(corpus, path)
    assert f"{path}, line 2: " in str(error.value)
    assert "with pmid, pmcid or doi, title, abstract" in str(error.value)


def test_damaged_files_are_told(corpus: Corpus, write: Write, tmp_path: Path) -> None:
    many = [{**RNA, "id": f"{n * 7919 % 10007:x}"} for n in range(3000)]
    path = write(*many, gz=True)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ValueError, match="damaged or cut off after line"):
        select_files.select(corpus, path)
    latin = tmp_path / "latin.jsonl"
    latin.write_bytes(json.dumps(RNA).encode() + '\n{"id": "Ä"}'.encode("latin-1"))
    with Corpus(tmp_path / "other.sqlite") as other:
        with pytest.raises(ValueError, match=r"latin\.jsonl, line 2: not UTF-8"):
            select_files.select(other, latin)
        with pytest.raises(FileNotFoundError, match=r"none\.jsonl: no such file"):
            select_files.read_papers(other, tmp_path / "none.jsonl")


def test_rnas_that_cannot_be_used_are_skipped(corpus: Corpus, write: Write) -> None:
    path = write(
        RNA,
        {**RNA, "id": "dots", "sequence": "AC..GU"},
        {**RNA, "id": "protein", "sequence": "MKLV"},
        {**RNA, "id": "nameless", "names": [" "]},
        {**RNA, "sequence": "GGGG"},
    )
    select_files.select(corpus, path)
    assert [(rna.id, rna.sequence) for rna in corpus.iter_rnas()] == [("a", "ACGUN")]
    counts = corpus.counts()
    assert counts["skipped"]["rna"] == {
        "no name": 1,
        "sequence with '.'": 1,
        "sequence with 'L'": 1,
    }
    assert counts["tallies"] == {"RNA given again": 1}


def test_papers_are_read_and_matched(corpus: Corpus, write: Write) -> None:
    other = {**RNA, "id": "b", "names": ["HOTAIR", "cell"]}
    select_files.select(corpus, write(RNA, other, name="rnas.jsonl"))
    papers = [
        {
            "pmid": 31622624,
            "pmcid": "123",
            "doi": "https://doi.org/10.1/X",
            "title": "MicroRNA-21 in cells",
            "abstract": "A cell has miR-21-5p and HOTAIR.",
            "year": 2019,
            "license": "cc by",
            "retracted": True,
            "types": ["Review"],
        },
        {"doi": "doi:10.1/Y", "title": "HOTAIR", "abstract": ""},
        {"pmcid": "PMC5", "title": "miR-210 alone", "abstract": "A cell."},
        {"pmid": "8", "title": "To be fetched", "abstract": None},
    ]
    select_files.read_papers(corpus, write(*papers))
    assert list(corpus.iter_papers()) == [
        Paper("DOI:10.1/y", "HOTAIR", "", doi="10.1/Y"),
        Paper(
            "PMID:31622624",
            "MicroRNA-21 in cells",
            "A cell has miR-21-5p and HOTAIR.",
            pmid="31622624",
            pmcid="PMC123",
            doi="10.1/X",
            year=2019,
            licence="cc by",
            retracted=True,
            types=("Review",),
        ),
        Paper("PMID:8", "To be fetched", "", pmid="8"),
    ]
    found = {rna.id: [mention for _, mention in named] for rna, named in corpus.read_shard(0, 9)}
    assert found == {
        "a": [Mention("a", "PMID:31622624", True, True, False)],
        "b": [
            Mention("b", "DOI:10.1/y", True, False, False),
            Mention("b", "PMID:31622624", False, True, False),
        ],
    }
    counts = corpus.counts()
    assert counts["tallies"] == {"paper names no RNA": 1}
    assert counts["skipped"] == {"name": {"ambiguous": 1}}


def test_an_interrupted_reading_goes_on(
    corpus: Corpus, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rnas = write(*({**RNA, "id": f"{n}", "names": [f"miR-{n + 20}"]} for n in range(9)), gz=True)
    papers = write(
        *({"pmid": n, "title": f"miR-{n % 11 + 20}", "abstract": "It binds."} for n in range(40)),
        name="papers.jsonl",
    )
    select_files.select(corpus, rnas)
    select_files.read_papers(corpus, papers)

    monkeypatch.setattr(select_files, "LINES_PER_PAGE", 4)
    set_progress = Corpus.set_progress
    calls = 0

    def fail_at_times(self: Corpus, key: str, value: str) -> None:
        nonlocal calls
        calls += 1
        if calls % 3 == 0:
            raise KeyboardInterrupt
        set_progress(self, key, value)

    monkeypatch.setattr(Corpus, "set_progress", fail_at_times)
    interrupted = 0
    with Corpus(tmp_path / "interrupted.sqlite") as pieces:
        while pieces.progress("files: papers") != "done":
            try:
                select_files.select(pieces, rnas)
                select_files.read_papers(pieces, papers)
            except KeyboardInterrupt:
                interrupted += 1
        assert dump(pieces) == dump(corpus)
    assert interrupted > 3
    assert corpus.counts()["tallies"] == {"paper names no RNA": 6}


def test_a_mended_line_is_read_from_there_on(
    corpus: Corpus, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(select_files, "LINES_PER_PAGE", 2)
    lines = [{**RNA, "id": str(n)} for n in range(6)]
    with pytest.raises(ValueError, match="line 4"):
        select_files.select(corpus, write(*lines[:3], "{", *lines[4:]))
    select_files.select(corpus, write(*lines))
    assert [rna.id for rna in corpus.iter_rnas()] == list("012345")
    assert corpus.counts()["tallies"] == {}


@pytest.mark.parametrize(
    ("text", "sequence", "reason"),
    [
        ("acgu\n ACGT", "ACGUACGU", None),
        ("RYKMSWBDHVN", "RYKMSWBDHVN", None),
        (" \n", "", "no sequence"),
        ("AC-GU", "AC-GU", "sequence with '-'"),
        ("ACXE", "ACXE", "sequence with 'EX'"),
        ("acgu acgu ac", "ACGUACGUAC", None),
        ("mRNA ACGUACGU", "MRNAACGUACGU", "sequence in parts of unequal length"),
        ("tRNA\tACGUACGU", "URNAACGUACGU", "sequence in parts of unequal length"),
    ],
)
def test_sequences(text: str, sequence: str, reason: str | None) -> None:
    assert clean_sequence(text) == (sequence, reason)


def test_of_a_file_the_first_usable_rnas_are_taken(
    corpus: Corpus, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(select_files, "LINES_PER_PAGE", 3)
    lines = [RNA | {"id": f"R{number}"} for number in (1, 2, 2, 3, 4, 5)]
    lines[0]["names"] = []  # skipped
    select_files.select(corpus, write(*lines), limit=3)
    assert [rna.id for rna in corpus.iter_rnas()] == ["R2", "R3", "R4"]
