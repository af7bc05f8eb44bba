import pytest

from rnagpt.rna_qa.literature.records import Mention, Paper
from rnagpt.rna_qa.literature.sources.paper_filters import (
    is_english,
    is_required,
    plain_licence,
    reason_to_leave_out,
)

ABSTRACT = "Here we show that the small RNA binds to its target in the cell."


def paper(**fields: object) -> Paper:
    return Paper(**{"id": "PMID:1", "title": "A title", "abstract": ABSTRACT, **fields})


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, None),
        ({"types": ("Review", "Journal Article")}, None),
        ({"retracted": True}, "retracted"),
        ({"types": ("Journal Article", "Retracted Publication")}, "retracted"),
        ({"title": "RETRACTED: A title"}, "retracted"),
        ({"title": "RETRACTED ARTICLE: A title"}, "retracted"),
        ({"title": "Retraction of 'A title'"}, "retraction notice"),
        ({"types": ("Published Erratum",)}, "correction"),
        ({"types": ("correction",)}, "correction"),
        ({"title": "Correction: A title"}, "correction"),
        ({"title": "Author Correction: A title"}, "correction"),
        ({"title": "Erratum to: A title"}, "correction"),
        ({"title": "Correction of a mutation by editing"}, None),
        ({"title": "Corrections for multiple tests"}, None),
        ({"types": ("Editorial",)}, "editorial"),
        ({"types": ("editorial", "Journal Article")}, "editorial"),
        ({"types": ("Comment", "Letter")}, "comment"),
        ({"title": "Reply to Smith and others"}, "comment"),
        ({"title": 'Comment on "A title"'}, "comment"),
        ({"title": "Commenting on microRNAs in wheat"}, None),
        ({"types": ("News",)}, "news"),
        ({"abstract": ""}, "no abstract"),
        ({"abstract": "  "}, "no abstract"),
        ({"abstract": "No abstract available."}, "no abstract"),
        ({"abstract": "Abstract not available"}, "no abstract"),
        ({"abstract": "[This corrects the article DOI: 10.1/x.]"}, "no abstract"),
        ({"abstract": "See the text."}, "no abstract"),
        ({"abstract": "..."}, "no abstract"),
        (
            {
                "abstract": "Die kleine RNA wird in der Leber mit dem Protein gefunden und ist "
                "nicht auf den Kern beschränkt."
            },
            "abstract not in English",
        ),
        ({"abstract": "この小さなRNAは肝臓で発現している。"}, "abstract not in English"),
        ({"abstract": "Эта РНК найдена в печени мышей и крыс."}, "abstract not in English"),
    ],
)
def test_reasons(fields: dict[str, object], reason: str | None) -> None:
    assert reason_to_leave_out(paper(**fields)) == reason


@pytest.mark.parametrize(
    "text",
    [
        "",
        "miR-21 miR-155 HOTAIR",
        "α-Synuclein and β-catenin in μM amounts: Δ = 3 °C.",
        "In E. coli, 6S RNA regulates σ70 in situ, de novo and in vivo; per se it is stable.",
        "Des-γ-carboxy prothrombin was measured by the ELISA of the Los Angeles centre.",
    ],
)
def test_english(text: str) -> None:
    assert is_english(text)


@pytest.mark.parametrize(
    "text",
    [
        "Les petits ARN sont des régulateurs de la traduction dans les cellules et par ces voies.",
        "Los microARN son reguladores del genoma y se encuentran en las células como los demás.",
        "Os microRNAs são reguladores do genoma e não foram encontrados nas células dos rins.",
        "Questo studio mostra che il gene della cellula è una parte degli effetti nella pelle.",
        "Het gen van een cel wordt door deze factor bij de mens niet aan het eiwit gebonden.",
        "W pracy opisano, że RNA jest obecny oraz nie są znane jego cele.",
        "微小RNA在肝癌组织中的表达。",
    ],
)
def test_other_languages(text: str) -> None:
    assert not is_english(text)


@pytest.mark.parametrize(
    ("licence", "plain"),
    [
        ("cc by", "cc-by"),
        ("CC-BY", "cc-by"),
        ("CC BY 4.0", "cc-by"),
        ("cc by-nc-nd", "cc-by-nc-nd"),
        ("CC BY-NC 3.0 IGO", "cc-by-nc"),
        ("cc0", "cc0"),
        ("CC0 1.0", "cc0"),
        ("https://creativecommons.org/licenses/by-sa/4.0/", "cc-by-sa"),
        ("http://creativecommons.org/publicdomain/zero/1.0/", "cc0"),
        ("publisher's own", "publisher's-own"),
    ],
)
def test_licences_by_their_plain_names(licence: str, plain: str) -> None:
    assert plain_licence(licence) == plain


def test_papers_under_other_licences_are_left_out() -> None:
    wanted = ("cc0", "CC BY")
    assert reason_to_leave_out(paper(licence="cc by"), wanted) is None
    assert reason_to_leave_out(paper(licence="cc0"), wanted) is None
    assert reason_to_leave_out(paper(licence=None), wanted) == "licence not known"
    reason = "licence not among those asked for"
    assert reason_to_leave_out(paper(licence="cc by-nc"), wanted) == reason
    assert reason_to_leave_out(paper(licence="cc by-nc")) is None


def test_mentions_in_the_body_alone_count_where_any_is_enough() -> None:
    body = Mention("a", "PMID:1", in_title=False, in_abstract=False, in_body=True)
    title = Mention("a", "PMID:1", in_title=True, in_abstract=False, in_body=False)
    assert is_required(body, "any")
    assert not is_required(body, "abstract")
    assert is_required(title, "abstract")
