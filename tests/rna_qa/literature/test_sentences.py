"""Sentences of abstracts, and the labels of structured ones."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnagpt.rna_qa.literature.text.sentences import split_label, split_sentences

# Each is a list of sentences as a reader sees them; the text is these, joined.
TEXTS = [
    ["H19 was lost.", "It came back after 3.5 h (P = 0.05).", "Growth stopped."],
    ["Levels rose, as Marsh et al. (2010) saw.", "The rise lasted."],
    ["As Marsh et al. said, it rises.", "We agree with Marsh et al.", "The rise lasted."],
    ["Targets (e.g. PTEN, i.e. a phosphatase) were lost vs. controls.", "See Fig. 2 and No. 7."],
    ["RyhB of E. coli acts on S. Typhimurium too.", "In C. elegans it is let-7."],
    [
        "It binds HuR.",
        "miR-21 does not.",
        "let-7a does.",
        "lncRNAs may.",
        "p53 rises.",
        "mRNA falls.",
    ],
    ["J. A. Smith named it.", "It has 1.5 kb."],
    ["It affects hepatitis B.", "The reason is unknown.", "We need vitamin C."],
    ["Was it lost?", "No one knows.", "It was!", "miR-21 came back (why?) and rose."],
    ['They said "it binds."', "Others (all but one.)", "Then it ended."],
    ["AIM: To learn.", "METHODS: We looked.", "RESULTS: It binds (n = 3).", "CONCLUSION: It acts."],
    ["Expression fell by approx. half in the U.S. cohort.", "However, spp. of Vibrio differ."],
    ["The reply was no.", "Cells of passage No. 5 grew."],
    ["5 μM was used.", "β-catenin fell.", "(The dose was low.)", "[Another was not.]"],
]


@pytest.mark.parametrize("sentences", TEXTS, ids=lambda sentences: sentences[0])
def test_sentences_are_those_of_a_reader(sentences: list[str]) -> None:
    assert split_sentences(" ".join(sentences)) == sentences


def test_a_missing_space_ends_a_sentence_before_a_word_that_opens_one() -> None:
    assert split_sentences("It binds.However, Fig.The rest is v1.0.") == [
        "It binds.",
        "However, Fig.The rest is v1.0.",
    ]
    assert split_sentences("See doi.org/10.1/Thesis.In1 for it.") == [
        "See doi.org/10.1/Thesis.In1 for it."
    ]


def test_an_empty_text_has_no_sentence() -> None:
    assert split_sentences("") == split_sentences("  \n") == []


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(["et al.", "E.", "coli", "miR-21.", "The", "i.e.", "0.", "5", "(", ").",
                         "was", "No.", "Fig.", "A?", "\n", "  ", ".", "METHODS:", "β.", "we.We"]),
        max_size=30,
    )
)  # fmt: skip
def test_sentences_hold_the_whole_text_in_order(pieces: list[str]) -> None:
    text = " ".join(pieces)
    at = 0
    for sentence in split_sentences(text):
        found = text.index(sentence, at)
        assert text[at:found].strip() == ""
        at = found + len(sentence)
    assert text[at:].strip() == ""


@pytest.mark.parametrize(
    ("sentence", "section", "rest"),
    [
        ("METHODS: We looked.", "methods", "We looked."),
        ("BACKGROUND & AIMS: It is new.", "aim", "It is new."),
        ("METHODS AND RESULTS: It binds.", "results", "It binds."),
        ("Materials and methods: Cells grew.", "methods", "Cells grew."),
        ("KEY FINDINGS: It binds.", "results", "It binds."),
        ("CONCLUSIONS/SIGNIFICANCE:It binds.", "conclusions", "It binds."),
        ("Conclusions Our data are new.", "conclusions", "Our data are new."),
        ("Results MiR-21 rises.", "results", "MiR-21 rises."),
        ("FUNDING: A grant.", "other", "A grant."),
    ],
)
def test_labels_are_taken_off(sentence: str, section: str, rest: str) -> None:
    assert split_label(sentence) == (section, rest)


@pytest.mark.parametrize(
    "sentence",
    [
        "Results show that it binds.",
        "The results: it binds.",
        "Methods are described.",
        "It binds: miR-21 does not.",
        "Patients with MALAT1 live longer.",
        "Summary statistics differ.",
    ],
)
def test_sentences_without_label_stay_whole(sentence: str) -> None:
    assert split_label(sentence) == (None, sentence)


def test_a_full_stop_that_was_lost_with_italics() -> None:
    text = "It fell in vitro and in vivo In addition, growth fell. It fell in vivo in mice."
    assert split_sentences(text) == [
        "It fell in vitro and in vivo",
        "In addition, growth fell.",
        "It fell in vivo in mice.",
    ]
