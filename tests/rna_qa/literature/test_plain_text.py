"""Markup to plain text: what stands raised or lowered in a paper is still the same number."""

from decimal import Decimal
from pathlib import Path

import pytest
from helpers.fake_openai import KEY, MODEL, serve_openai
from helpers.tiny_literature import make_papers, make_rnas, write_lines
from helpers.tiny_scribe import scribe

from rnagpt.rna_qa.literature.build import settings
from rnagpt.rna_qa.literature.build.pipeline import build
from rnagpt.rna_qa.literature.build.settings import LiteratureOptions, RunOptions
from rnagpt.rna_qa.literature.claims.validation import find_quote, names_rna, validate_claim
from rnagpt.rna_qa.literature.records import Claim, Paper, Rna
from rnagpt.rna_qa.literature.sources import files as select_files
from rnagpt.rna_qa.literature.sources import rows
from rnagpt.rna_qa.literature.sources.corpus import Corpus
from rnagpt.rna_qa.literature.text.plain_text import plain_text

RNA = Rna("URS1_9606", "UAGCUUAUCAGACUGAUGUUGA", ("miR-21",), "miRNA", "Homo sapiens", 9606)
MATHS = "<math><msup><mn>10</mn><mrow><mo>−</mo><mn>3</mn></mrow></msup></math>"
MML = "<mml:math><mml:msup><mml:mn>10</mml:mn><mml:mn>6</mml:mn></mml:msup></mml:math>"
FORMULA = (
    f"<inline-formula><alternatives>{MML}<tex-math>\\documentclass$10^6$</tex-math></alternatives>"
    "</inline-formula>"
)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        # Exponents: 106 is another number.
        ("10<sup>6</sup> cells", "10^6 cells"),
        ("10<SUP>6</SUP> cells", "10^6 cells"),
        ("10 <sup>6</sup> cells", "10^6 cells"),
        ("10&#x2009;<sup>6</sup> cells", "10^6 cells"),
        ("10⁶ cells", "10^6 cells"),
        ("10<sup>⁶</sup> cells", "10^6 cells"),
        ("10<sup>\u22123</sup>, 10⁻³, 10<sup>&#8722;3</sup>", "10^-3, 10^-3, 10^-3"),
        ("10&lt;sup&gt;6&lt;/sup&gt;", "10^6"),
        ("10&amp;lt;sup&amp;gt;6&amp;lt;/sup&amp;gt;", "10^6"),
        ("<b>10<sup><i>6</i></sup></b>", "10^6"),
        ("<i>10</i><jats:sup>6</jats:sup>", "10^6"),
        (MML, "10^6"),
        (FORMULA, "10^6"),
        (MATHS, "10^-3"),
        ("<math><msubsup><mi>x</mi><mn>1</mn><mn>2</mn></msubsup></math>", "x1^2"),
        ("2<sup>-ΔΔCt</sup>, 5 cm<sup>2</sup>, R<sup>2</sup>", "2^-ΔΔCt, 5 cm^2, R^2"),
        ("p53<sup>R175H</sup> grew<sup>1,2</sup>", "p53^R175H grew^1,2"),
        # What is written on the line.
        ("Ca<sup>2+</sup>, Ca²⁺, CD8<sup>+</sup>, CD4⁺", "Ca2+, Ca2+, CD8+, CD4+"),
        ("p53<sup>-/-</sup>, <sup>32</sup>P, 5 <sup>32</sup>P", "p53-/-, 32P, 5 32P"),
        ("2<sup>nd</sup>, 37<sup>°</sup>C, nº 5", "2nd, 37°C, nº 5"),
        # Subscripts.
        ("H<sub>2</sub>O, CO<sub>2</sub>, CO₂, IC<sub>50</sub>", "H2O, CO2, CO2, IC50"),
        ("SO<sub>4</sub><sup>2\u2212</sup>, SO₄²⁻", "SO4^2-, SO4^2-"),
        ("miR-17<sub>5p</sub>, miR-17<sub>-5p</sub>", "miR-17-5p, miR-17-5p"),
        ("miR-21<sub>5</sub>, T<sub>cells, in all</sub>", "miR-21_5, T_(cells, in all)"),
        # Signs that are no tags.
        ("A<B and C>D", "A<B and C>D"),
        ("a<b>c, 0.01<p>0.001, i<u", "a<b>c, 0.01<p>0.001, i<u"),
        ("1 &lt; 2 &amp;&amp; x &lt;b and c&gt; d", "1 < 2 && x <b and c> d"),
        ("10<sup>6 cells", "10<sup>6 cells"),
        ("<p>One<p>Two", "One Two"),
        ("<a href='x>y'>link</a> <span class=z>here</span>", "link here"),
        ("half \ud83d a character", "half \ufffd a character"),
    ],
)
def test_plain_text(text: str, plain: str) -> None:
    assert plain_text(text) == plain
    assert plain_text(plain) == plain


def test_many_tags_within_each_other_are_read() -> None:
    assert plain_text("<i>" * 9999 + "x" + "</i>" * 9999) == "x"


@pytest.mark.parametrize("exponent", range(-12, 13))
def test_a_power_of_ten_keeps_its_value(exponent: int) -> None:
    """Read back by Python's own arithmetic."""
    for sign in ("-", "\u2212", "–"):
        written = str(exponent).replace("-", sign)
        base, power = plain_text(f"10<sup>{written}</sup>").split("^")
        assert Decimal(base) ** int(power) == Decimal(10) ** exponent


def paper_of(markup: str) -> Paper:
    words = f"In mice, miR-21 was measured in {markup} cells of the liver."
    return Paper("PMID:1", "A small RNA", plain_text(words))


def fault(markup: str, written: str, quoted: str | None = None) -> str | None:
    quote = plain_text(f"miR-21 was measured in {quoted or markup} cells of the liver")
    text = plain_text(f"In mice, miR-21 was measured in {written} cells of the liver.")
    claim = Claim(text, ("PMID:1",), quote)
    violation = validate_claim(claim, RNA, {"PMID:1": paper_of(markup)})
    return violation.reason if violation else None


@pytest.mark.parametrize(
    "written", ["10^6", "10⁶", "10<sup>6</sup>", "10^{6}", "10 ^ 6", "10**6", "10^+6"]
)
def test_a_claim_may_write_an_exponent_in_its_own_way(written: str) -> None:
    assert fault("10<sup>6</sup>", written) is None
    assert fault("10⁶", written, "10^6") is None
    assert fault("10(6)", written) is None  # PubMed's way before it had markup


@pytest.mark.parametrize("written", ["106", "10", "6", "10^5", "10^-6", "10⁻⁶", "10 6", "1,000"])
def test_another_number_falls(written: str) -> None:
    assert fault("10<sup>6</sup>", written) == "number not in the papers"
    assert fault("10⁶", written) == "number not in the papers"


def test_and_the_number_that_an_exponent_was_taken_for() -> None:
    assert fault("106", "106") is None
    assert fault("106", "10^6") == "number not in the papers"
    assert fault("3 m<sup>2</sup> of", "3 m^3 of") == "number not in the papers"


@pytest.mark.parametrize(
    ("abstract", "quote"),
    [
        ("Growth of 10^6 cells in a dish was seen.", "6 cells in a dish"),
        ("Growth was seen in cells of 10^6 mice.", "seen in cells of 10"),
        ("It rose in the cells by 2.5-fold.", "in the cells by 2"),
        ("It rose by 2.5 fold in the cells.", "5 fold in the cells"),
        ("Growth was seen in cells of 10⁶ mice.", "seen in cells of 10"),
        ("Growth of miR-210 cells was seen.", "Growth of miR-21"),
    ],
)
def test_a_quote_does_not_end_within_a_number(abstract: str, quote: str) -> None:
    assert find_quote(quote, Paper("PMID:1", "", abstract)) is None


def test_a_quote_is_given_back_with_the_characters_of_its_paper() -> None:
    paper = Paper("PMID:1", "", "We gave 10⁻³ M to CD4⁺ cells.")
    assert find_quote("gave 10^-3 M to CD4+ cells", paper) == "gave 10⁻³ M to CD4⁺ cells"


def test_a_quote_that_stands_so_is_left_as_it_is() -> None:
    paper = Paper("PMID:1", "", "It was 2.5 in cells. It was seen in cells.")
    assert find_quote("It was seen in cells.", paper) == "It was seen in cells."


def test_names_are_sought_in_plain_text(tmp_path: Path) -> None:
    """Glued to its arm, miR-17<sub>5p</sub> would be miR-175p."""
    marked = {"pmid": 1, "title": "On miR-17<sub>5p</sub>", "abstract": "In mi<i>R-21</i> cells."}
    write_lines(tmp_path / "papers.jsonl", [marked])
    names = ("miR-17-5p", "miR-21", "miR-175")
    with Corpus(tmp_path / "corpus.sqlite") as corpus:
        corpus.add_rnas(Rna(name, "ACGU", (name,), "miRNA") for name in names)
        select_files.read_papers(corpus, tmp_path / "papers.jsonl")
        ((paper),) = corpus.iter_papers()
        found = [rna.id for rna, papers in corpus.read_shard(0, 9) if papers]
    assert paper.title == "On miR-17-5p"
    assert found == ["miR-17-5p", "miR-21"]
    assert names_rna(paper.title, ["miR-17-5p"])


def test_a_build_of_an_older_release_reads_its_papers_anew_and_pays_for_the_changed_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RNAQA_API_KEY", KEY)
    rnas = make_rnas(4)
    papers = list(make_papers(rnas, 3))
    name = rnas[0]["names"][0]
    papers[0]["abstract"] = f"{name} is found in 10<sup>6</sup> cells. It is not in the rest."
    out = tmp_path / "out"
    options = LiteratureOptions(
        rnas=str(write_lines(tmp_path / "rnas.jsonl", rnas)),
        papers=str(write_lines(tmp_path / "papers.jsonl", papers)),
        mode="ais",
        language_model=MODEL,
        clusters="kmers",
    )
    with serve_openai(scribe) as fake:
        run = RunOptions(base_url=fake.base_url)
        with monkeypatch.context() as older:
            glue = lambda text: text.replace("<sup>", "").replace("</sup>", "")  # noqa: E731
            older.setattr(rows, "plain_text", glue)
            older.setitem(settings.STAGE_VERSIONS, "select", 1)
            build(out, options, run)
        assert "106 cells" in json_of(out)
        before, asked = set(fake.received), fake.received.total()

        done = build(out, options, run)["done"]
        assert "select" in done
        assert "papers are read again" in capsys.readouterr().err
        assert "10^6 cells" in json_of(out)
        assert "106 cells" not in json_of(out)
        # Nothing was sent twice: what is new is of the one RNA whose paper is read differently.
        assert set(fake.received.values()) == {1}
        assert 0 < fake.received.total() - asked <= 4
        assert before < set(fake.received)
        assert build(out, options, run)["done"] == []


def json_of(out: Path) -> str:
    """All claims of a finished data set."""
    import pyarrow.parquet as pq

    files = sorted((out / "annotations").glob("*.parquet"))
    return " ".join(str(pq.read_table(file).to_pylist()) for file in files)
