"""Drawings of scores: read back as XML."""

import math
import re
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from helpers.tiny_models import make_rna

from rnagpt.sequences.drawing import FULL_COLOUR, NOISE_FLOOR, NucleotideScores, draw_scores
from rnagpt.sequences.folding import MAX_FOLDED, SecondaryStructure

SVG = "{http://www.w3.org/2000/svg}"
HAIRPIN = "GGGGGAAAACCCCC"


def scored(sequence, seed=0):
    return NucleotideScores(sequence, np.random.default_rng(seed).normal(size=len(sequence)))


def texts_of(root):
    return [text.text for text in root.iter(f"{SVG}text")]


def description(root):
    return root[1].text or ""


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


def test_strip_and_structure_show_each_nucleotide():
    pytest.importorskip("RNA", reason="ViennaRNA, package viennarna, is not installed")
    scores = np.zeros(14)
    # The geometric mean of floor and full colour is half the way between the two.
    scores[[2, 5]] = 2 * FULL_COLOUR, -math.sqrt(FULL_COLOUR * NOISE_FLOOR)
    root = ElementTree.fromstring(draw_scores([NucleotideScores(HAIRPIN, scores)], ["hairpin"]))
    for shape in ("rect", "circle"):
        drawn = letters(root, shape)
        assert "".join(letter for letter, _, _ in drawn) == HAIRPIN
        fills = [fill for _, fill, _ in drawn]
        assert fills[2] == "#f08a1d"  # beyond the full colour it stays the full one
        assert fills[5] == "#9cc7ec"  # 0.6 of it, in the other colour: 255 - 0.6 (255 - 0x5a) …
        assert set(fills) - {fills[2], fills[5]} == {"#ffffff"}
        told = [told for _, _, told in drawn]
        assert told[2:4] == [f"G3: +{2 * FULL_COLOUR:g}; pairs with C12", "G4: 0; pairs with C11"]
        assert told[5] == "A6: −2.2"
    lines = root.findall(f".//{SVG}line")
    assert len(lines) == 5
    assert root.get("role") == "img"
    assert root[0].tag == f"{SVG}title"
    assert root[0].text == "What an answer rests on: hairpin"
    assert description(root).startswith(
        "hairpin, 14 nucleotides. What speaks most for the answer: G3 (+10). "
        "What speaks most against the answer: A6 (−2.2"
    )
    assert "Structure: minimum free energy (ViennaRNA), −" in description(root)
    texts = texts_of(root)
    assert {"−5", "−1", "+1", "+5", "5′", "3′", "10"} <= set(texts)
    assert ")))))" not in texts
    assert "((((()))))" in texts  # each below its nucleotide


def test_scores_below_the_floor_are_white_and_said_to_be_noise():
    """The highest of one drawing is no more than the highest of another."""
    almost = np.full(14, 0.99 * NOISE_FLOOR) * (-1.0) ** np.arange(14)
    for scores in (almost, almost * 1e-3, np.zeros(14)):
        rna = NucleotideScores(HAIRPIN, scores)
        root = ElementTree.fromstring(draw_scores([rna], with_structure=False))
        assert {fill for _, fill, _ in letters(root, "rect")} == {"#ffffff"}
        assert any(text.startswith("No single nucleotide mattered.") for text in texts_of(root))
        assert description(root) == "RNA 1, 14 nucleotides. No single nucleotide mattered."
        assert rna.mattered == []
        assert rna.summary() == rna.to_dict()["summary"] == "no single nucleotide mattered"
        assert rna.to_dict()["mattered"] == []
    above = NucleotideScores(HAIRPIN, np.where(np.arange(14) == 3, 1.01 * NOISE_FLOOR, almost))
    root = ElementTree.fromstring(draw_scores([above], with_structure=False))
    fills = [fill for _, fill, _ in letters(root, "rect")]
    assert fills[3] not in ("#ffffff", "#f08a1d")
    assert set(fills) == {"#ffffff", fills[3]}
    assert "No single nucleotide" not in description(root)


def test_what_mattered_is_told_from_the_highest_down():
    scores = np.zeros(14)
    scores[[1, 6, 13]] = 3 * NOISE_FLOOR, -9 * NOISE_FLOOR, 6 * NOISE_FLOOR
    rna = NucleotideScores(HAIRPIN, scores)
    assert rna.mattered == [6, 13, 1]
    assert rna.summary().startswith("3 of 14 nucleotides mattered, most of all A7 (−")
    told = rna.to_dict()
    assert told["noise_floor"] == NOISE_FLOOR
    assert [(one["nucleotide"], one["position"]) for one in told["mattered"]] == [
        ("A", 7),
        ("C", 14),
        ("G", 2),
    ]
    assert told["mattered"][0]["score"] == pytest.approx(-9 * NOISE_FLOOR)


def test_columns_of_the_family_stand_below_the_sequence_without_viennarna(monkeypatch):
    monkeypatch.setitem(sys.modules, "RNA", None)
    bits = (0.0, 1.0, 2.0, None, *[0.5] * 10)
    structure = SecondaryStructure("((((......))))", "consensus of X (RF1), laid on this RNA", bits)
    drawing = draw_scores([scored(HAIRPIN)], structures=[structure], with_structure=False)
    root = ElementTree.fromstring(drawing)
    assert "(((())))" in texts_of(root)
    assert [told.partition("; ")[2] for _, _, told in letters(root, "rect")][:4] == [
        "pairs with C14; column of 0.0 bits",
        "pairs with C13; column of 1.0 bits",
        "pairs with C12; column of 2.0 bits",
        "pairs with C11",
    ]
    assert description(root).endswith("Structure: consensus of X (RF1), laid on this RNA.")
    outline = root.findall(f"{SVG}path")[-1].get("d")
    heights = [float(height) for height in re.findall(r"v(-[\d.]+)", outline)]
    assert len(heights) == 13  # none for the nucleotide without a column
    assert heights[2] == 2 * heights[1] == 14 * heights[0] == -14  # 0 bits: a line
    with pytest.raises(ImportError, match=r"pip install 'rna-gpt\[explain\]'"):
        draw_scores([scored(HAIRPIN)], structures=[structure])


def test_given_structures_are_drawn_with_rings_and_sources():
    pytest.importorskip("RNA", reason="ViennaRNA, package viennarna, is not installed")
    bits = (0.0, 1.0, 2.0, None, *[0.5] * 10)
    source = "consensus of X (RF1), laid on this RNA"
    given = [SecondaryStructure("((..........))", source, bits), None]
    root = ElementTree.fromstring(draw_scores([scored(HAIRPIN)] * 2, structures=given))
    circles = [g.find(f"{SVG}circle") for g in root.iter(f"{SVG}g")]
    rings = [circle.get("stroke-width") for circle in circles if circle is not None]
    assert rings == [None, "2.5", "2.5", *[None] * 11]
    assert len(root.findall(f".//{SVG}line")) == 2  # not the five of minimum free energy
    assert f"structure: {source}" in texts_of(root)


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
    half = math.sqrt(FULL_COLOUR * NOISE_FLOOR)
    first = NucleotideScores(make_rna(130), np.full(130, half))
    second = NucleotideScores(make_rna(4), np.full(4, FULL_COLOUR))
    root = ElementTree.fromstring(draw_scores([first, second], with_structure=False))
    drawn = letters(root, "rect")
    assert len(drawn) == 134
    assert {fill for _, fill, _ in drawn[:130]} == {"#f6b977"}
    assert {fill for _, fill, _ in drawn[130:]} == {"#f08a1d"}
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {"RNA 1 (130 nt)", "RNA 2 (4 nt)", "1", "61", "121", "60", "120", "130"} <= set(texts)


def test_long_rnas_and_rnas_without_pairs_have_the_strip_alone(monkeypatch):
    pytest.importorskip("RNA", reason="ViennaRNA, package viennarna, is not installed")
    long, open_rna = make_rna(MAX_FOLDED + 1), "A" * MAX_FOLDED
    root = ElementTree.fromstring(draw_scores([scored(long), scored(open_rna)]))
    assert root.find(f".//{SVG}circle") is None
    assert len(letters(root, "rect")) == 2 * MAX_FOLDED + 1
    none = "structure: none; no base pair at minimum free energy (ViennaRNA)"
    assert texts_of(root).count(none) == 1
    known = SecondaryStructure("(" + "." * (MAX_FOLDED - 1) + ")", "that of X (X1)")
    root = ElementTree.fromstring(draw_scores([scored(long)], structures=[known]))
    assert root.find(f".//{SVG}circle") is None
    assert {"(", ")", "structure: that of X (X1)"} <= set(texts_of(root))


def test_what_cannot_be_drawn(monkeypatch):
    with pytest.raises(ValueError, match="no RNA to draw"):
        draw_scores([])
    for scores in (np.zeros(3), np.array([0, 0, 0, np.nan])):
        with pytest.raises(ValueError, match="RNA 2 needs one finite score"):
            draw_scores([scored("ACGU"), NucleotideScores("ACGU", scores)])
    for structures in ([SecondaryStructure("...", "")], [SecondaryStructure("....", "", (1.0,))]):
        with pytest.raises(ValueError, match="RNA 1 has 4 nt"):
            draw_scores([scored("ACGU")], structures=structures)
    with pytest.raises(ValueError, match="1 RNAs and 0 structures"):
        draw_scores([scored("ACGU")], structures=[])
    monkeypatch.setitem(sys.modules, "RNA", None)
    with pytest.raises(ImportError, match=r"pip install 'rna-gpt\[explain\]'"):
        draw_scores([scored(HAIRPIN)])
    assert draw_scores([scored(HAIRPIN)], with_structure=False).startswith("<svg")
