"""Sentences of comments, on texts from Rfam and worse."""

import pytest

from rnagpt.rna_qa.rfam.comments import read_sentences


@pytest.mark.parametrize(
    ("comment", "sentences"),
    [
        (
            "RprA is found in E. coli and S. Typhimurium. "
            "It was detected by Argaman et al. in 2001.",
            [
                "RprA is found in E. coli and S. Typhimurium.",
                "It was detected by Argaman et al. in 2001.",
            ],
        ),
        (
            "It is synthesised by RNA polymerase I. In Xenopus, i.e. in oocytes, it is not.",
            ["It is synthesised by RNA polymerase I.", "In Xenopus, i.e. in oocytes, it is not."],
        ),
        (
            "This was found in worms. let-7 was identified later. tmRNAs have been too",
            ["This was found in worms.", "let-7 was identified later.", "tmRNAs have been too."],
        ),
        (
            "U2 binds 5.8S rRNA (90% of it).It stays.",
            ["U2 binds 5.8S rRNA (90% of it).", "It stays."],
        ),
        ("Is it   a\n ribozyme? Yes!", ["Is it a ribozyme?", "Yes!"]),
        ("", []),
        ("[1].", []),
    ],
)
def test_sentences(comment: str, sentences: list[str]) -> None:
    assert [sentence.text for sentence in read_sentences(comment)] == sentences


def test_citations_leave_the_text_and_stay_known() -> None:
    comment = "It binds Hfq [1,3]. It is short [2-4] and old.[5] Then it decays ( [6] )."
    assert [(s.text, s.citations) for s in read_sentences(comment)] == [
        ("It binds Hfq.", ("1", "3")),
        ("It is short and old.", ("2", "3", "4", "5")),
        ("Then it decays.", ("6",)),
    ]


def test_a_sentence_that_needs_its_citation_is_left_out() -> None:
    comment = "Its structure has been reported in [5,6]. [1] gives a list. It is an RNA."
    assert [sentence.text for sentence in read_sentences(comment)] == ["It is an RNA."]
