"""Drawings of scores: read back as XML; structures against pairs and places counted by hand."""

import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from helpers.tiny_models import make_rna

from rnagpt.inference.attribution import NucleotideScores
from rnagpt.sequences.drawing import MAX_FOLDED, draw_scores, fold_rna, lay_out

SVG = "{http://www.w3.org/2000/svg}"
HAIRPIN = "GGGGGAAAACCCCC"


def scored(sequence, seed=0):
    return NucleotideScores(sequence, np.random.default_rng(seed).normal(size=len(sequence)))


def letters(root, shape):
    """Letter, fill and told score of each nucleotide that is drawn as a shape."""
    groups = [g for g in root.iter(f"{SVG}g") if g.find(f"{SVG}{shape}") is not None]
    groups = [g for g in groups if g.find(f"{SVG}title") is not None]
    return [
        (
            g.find(f"{SVG}text").text,
            g.find(f"{SVG}{shape}").get("fill"),
            g.find(f"{SVG}title").text,
        )
        for g in groups
    ]


def test_fold_and_layout_of_a_hairpin():
    pytest.importorskip("RNA", reason="ViennaRNA, package viennarna, is not installed")
    assert fold_rna(HAIRPIN) == "(((((....)))))"
    places = lay_out("(((((....)))))")
    assert places.shape == (14, 2)
    across = np.hypot(*(places[[4, 3, 2, 1, 0]] - places[[9, 10, 11, 12, 13]]).T)
    np.testing.assert_allclose(across, across[0], rtol=1e-3)  # the rungs of a ladder
    distances = np.hypot(*(places[:, None] - places).T)
    assert distances[~np.eye(14, dtype=bool)].min() > 19  # circles of 9.5 do not touch


def test_strip_and_structure_show_each_nucleotide():
    pytest.importorskip("RNA", reason="ViennaRNA, package viennarna, is not installed")
    scores = np.zeros(14)
    scores[[2, 5]] = 2.0, -1.0
    root = ElementTree.fromstring(draw_scores([NucleotideScores(HAIRPIN, scores)], ["hairpin"]))
    for shape in ("rect", "circle"):
        drawn = letters(root, shape)
        assert "".join(letter for letter, _, _ in drawn) == HAIRPIN
        fills = [fill for _, fill, _ in drawn]
        assert fills[2] == "#f08a1d"  # the highest: the full colour
        assert fills[5] == "#acd0f0"  # half of it, in the other colour: (255 + 0x5a) / 2 and so on
        assert set(fills) - {fills[2], fills[5]} == {"#ffffff"}
        assert [told for _, _, told in drawn][2:6] == ["G3: +2", "G4: 0", "G5: 0", "A6: −1"]
    lines = root.findall(f".//{SVG}line")
    assert len(lines) == 5
    assert root.get("role") == "img"
    assert root[0].tag == f"{SVG}title"
    assert root[0].text == "What an answer rests on: hairpin"
    assert root[1].text == (
        "hairpin, 14 nucleotides. What speaks most for the answer: G3 (+2). "
        "What speaks most against the answer: A6 (−1)."
    )
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {"−2", "0", "+2", "5′", "3′", "10"} <= set(texts)


def test_everything_lies_within_the_picture():
    pytest.importorskip("RNA", reason="ViennaRNA, package viennarna, is not installed")
    drawing = draw_scores([scored("GGGGGAAAACCCCC" * 8)], with_structure=True)
    root = ElementTree.fromstring(drawing)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    group = next(g for g in root.iter(f"{SVG}g") if g.get("transform"))
    transform = group.attrib["transform"].removeprefix("translate(0 ").rstrip(")")
    move, scale = transform.split(") scale(")
    circles = list(group.iter(f"{SVG}circle"))
    x = np.array([float(circle.get("cx")) for circle in circles]) * float(scale)
    y = np.array([float(circle.get("cy")) for circle in circles]) * float(scale) + float(move)
    assert len(circles) == 112
    assert 0 < x.min() < x.max() < width
    assert float(move) < y.min() < y.max() < height


def test_names_and_captions_are_escaped():
    name, caption = 'a <script> & "b" \x00\x1b', "Is it </svg>?\nYes & no."
    drawing = draw_scores([scored(HAIRPIN)], [name], caption, with_structure=False)
    root = ElementTree.fromstring(drawing)  # else it is no XML
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert "Is it </svg>?" in texts
    assert "Yes & no." in texts
    assert 'a <script> & "b" �� (14 nt)' in texts
    assert root.find(f".//{SVG}script") is None


def test_several_rnas_share_one_scale_and_lines_carry_positions():
    first = NucleotideScores(make_rna(130), np.full(130, 0.5))
    second = NucleotideScores(make_rna(4), np.full(4, 1.0))
    root = ElementTree.fromstring(draw_scores([first, second], with_structure=False))
    drawn = letters(root, "rect")
    assert len(drawn) == 134
    assert {fill for _, fill, _ in drawn[:130]} == {"#f8c48e"}
    assert {fill for _, fill, _ in drawn[130:]} == {"#f08a1d"}
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {"RNA 1 (130 nt)", "RNA 2 (4 nt)", "1", "61", "121", "60", "120", "130"} <= set(texts)


def test_long_rnas_and_rnas_without_pairs_have_the_strip_alone(monkeypatch):
    folded = []
    monkeypatch.setattr(
        "rnagpt.sequences.drawing.fold_rna", lambda rna: (folded.append(rna), "." * len(rna))[1]
    )
    long, open_rna = make_rna(MAX_FOLDED + 1), "A" * MAX_FOLDED
    root = ElementTree.fromstring(draw_scores([scored(long), scored(open_rna)]))
    assert folded == [open_rna]
    assert root.find(f".//{SVG}circle") is None
    assert len(letters(root, "rect")) == 2 * MAX_FOLDED + 1


def test_no_score_at_all_is_white():
    root = ElementTree.fromstring(
        draw_scores([NucleotideScores("ACGU", np.zeros(4))], with_structure=False)
    )
    assert [fill for _, fill, _ in letters(root, "rect")] == ["#ffffff"] * 4
    assert root[1].text == "RNA 1, 4 nucleotides."


def test_what_cannot_be_drawn(monkeypatch):
    with pytest.raises(ValueError, match="no RNA to draw"):
        draw_scores([])
    for scores in (np.zeros(3), np.array([0, 0, 0, np.nan])):
        with pytest.raises(ValueError, match="RNA 2 needs one finite score"):
            draw_scores([scored("ACGU"), NucleotideScores("ACGU", scores)])
    monkeypatch.setitem(sys.modules, "RNA", None)
    with pytest.raises(ImportError, match=r"pip install 'rna-gpt\[explain\]'"):
        draw_scores([scored(HAIRPIN)])
    assert draw_scores([scored(HAIRPIN)], with_structure=False).startswith("<svg")
