"""Base pairs: heads find what is planted, pairs and their F1 are what a second count says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.tiny_parts import encoder_folder
from transformers import AutoModel

from rnagpt.conversion.mini import CHECKPOINT
from rnagpt.conversion.rna_encoder import RnaEncoder
from rnagpt.evaluation.pair_heads import (
    AttentionHead,
    BilinearHead,
    attention_maps,
    fit_head,
    letter_features,
    scaled_by,
)
from rnagpt.evaluation.probed_rnas import ProbedRna
from rnagpt.evaluation.structure_probe import (
    FoldedRna,
    best_pairs,
    folded_rnas,
    pair_scores,
    probe_structure,
    read_pairs,
)
from rnagpt.reference.library import Reference
from rnagpt.sequences.folding import fold_rna
from rnagpt.sequences.strands import reverse_complement
from rnagpt.sequences.structure import base_pairs

TRNA = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA"


def hairpins(count: int, seed: int) -> list[FoldedRna]:
    """RNAs of one stem of 9 pairs in random surroundings, each of a family of its own."""
    random = np.random.default_rng(seed)

    def letters(size: int) -> str:
        return "".join(random.choice(list("ACGU"), size))

    made = []
    for number in range(count):
        before, stem = letters(int(random.integers(12))), letters(9)
        sequence = f"{before}{stem}GAAA{reverse_complement(stem)}{letters(6)}"
        start = len(before)
        pairs = {(start + i, start + 21 - i) for i in range(9)}
        made.append(FoldedRna(sequence, f"family {seed} {number}", frozenset(pairs)))
    return made


def test_each_nucleotide_pairs_once_can_pair_and_leaves_a_loop() -> None:
    sequence = "GGGAAACCC"
    scores = np.zeros((9, 9))
    for i, j, score in ((0, 8, 3.0), (1, 7, 2.0), (1, 8, 2.5), (2, 6, 1.0), (3, 8, 9.0)):
        scores[i, j] = scores[j, i] = score
    # 3 (A) cannot pair with 8 (C), which is taken before 1 asks for it; GAAAC leaves three between.
    assert [pair[1:] for pair in best_pairs(scores, sequence)] == [(0, 8), (1, 7), (2, 6)]
    near = np.full((5, 5), 1.0)
    assert [pair[1:] for pair in best_pairs(near, "GAAAC")] == [(0, 4)]
    assert best_pairs(near[:4, :4], "GAAC") == []
    low = np.full((9, 9), -9.0)
    assert best_pairs(low, sequence) == []
    assert best_pairs(np.ones((9, 9)), "NNNAAANNN") == []


def test_scores_of_pairs_are_counted() -> None:
    right = frozenset({(0, 8), (1, 7), (2, 6)})
    assert pair_scores({(0, 8), (1, 7), (3, 9), (4, 10)}, right) == pytest.approx(
        (4 / 7, 0.5, 2 / 3)
    )
    assert pair_scores(set(), right) == (0, 0, 0)


def test_a_head_on_letters_learns_that_complements_pair() -> None:
    rnas = hairpins(60, 0)
    features = letter_features(0)([rna.sequence for rna in rnas])
    head = BilinearHead(4)
    fit_head(head, features, [rna.pairs for rna in rnas], 1.0, 0.0, 0)
    with torch.no_grad():
        scores = head(torch.eye(4))
    # A C G U: every pair of complements above every other one, from either end.
    complements = {(0, 3), (1, 2), (2, 1), (3, 0)}
    least = min(scores[pair] for pair in complements)
    others = [scores[i, j] for i in range(4) for j in range(4) if (i, j) not in complements]
    assert least > max(others)
    assert torch.allclose(scores, scores.T)


def test_what_reads_around_a_pair_finds_stems_and_letters_alone_do_not() -> None:
    """Of an encoder with random weights of one token a nucleotide no more than letters is known."""
    encoder = RnaEncoder.open(CHECKPOINT / "encoder")
    figure = probe_structure(encoder, hairpins(120, 1), hairpins(30, 2))
    found = {way: scores["F1"].value for way, scores in figure.ways.items()}
    assert found["letters within 5 nt of the pair"] > 0.8
    assert found["letters of the pair"] < 0.4
    assert found["minimum free energy"] > 0.8
    assert found["random pairs that letters can form"] < 0.15
    assert figure.rnas == figure.families == 30
    energy = np.mean(
        [pair_scores(set(base_pairs(fold_rna(r.sequence))), r.pairs)[0] for r in hairpins(30, 2)]
    )
    assert found["minimum free energy"] == pytest.approx(energy)


def test_attention_is_that_of_the_network_without_its_ends(tmp_path: Path) -> None:
    folder = encoder_folder(tmp_path / "encoder")
    encoder = RnaEncoder.open(folder)
    maps = encoder.attention(TRNA)
    assert maps is not None
    official = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    ids = torch.tensor(
        [[*encoder._head, *encoder.alphabet.tokenize(TRNA).tolist(), *encoder._tail]]
    )
    with torch.inference_mode():
        layers = official(input_ids=ids, output_attentions=True).attentions
    first = len(encoder._head)
    inner = slice(first, first + len(TRNA))
    assert torch.allclose(maps, torch.cat(list(layers), 1)[0][:, inner, inner], atol=1e-6)
    read = attention_maps(encoder)
    assert read is not None
    (corrected,) = read([TRNA])
    assert torch.allclose(corrected, corrected.mT, atol=1e-5)
    # The correction takes the sums of rows away.
    assert corrected.sum(-1).abs().max() < 1e-2
    assert AttentionHead(len(maps))(corrected).shape == (len(TRNA), len(TRNA))
    assert attention_maps(RnaEncoder.open(CHECKPOINT / "encoder")) is None


def test_an_encoder_with_attention_has_a_row_for_it(tmp_path: Path) -> None:
    encoder = RnaEncoder.open(encoder_folder(tmp_path / "encoder"))
    figure = probe_structure(encoder, hairpins(20, 1), hairpins(5, 2))
    assert {"attention", "attention, random weights", "encoder"} <= figure.ways.keys()


def test_structures_are_laid_by_the_rows_of_the_seeds() -> None:
    """Of the reference that comes with the mini: the tRNAs' arms, by letters that can pair."""
    reference = Reference.open()
    record = reference.families["RF00005"]
    seed = next(seed for seed in reference.seeds() if seed.id == "RF00005")
    sequence = next(row for _, row in seed.rows).translate({ord(gap): None for gap in "-._~"})
    rna = ProbedRna(sequence.upper().replace("T", "U"), record.name, "tRNA", accession="RF00005")
    (folded,), too_long = folded_rnas([rna], reference)
    assert too_long == 0
    assert 17 <= len(folded.pairs) <= 22  # 7 + 4 + 5 + 5
    can_pair = {"AU", "UA", "GC", "CG", "GU", "UG"}
    assert all(sequence[i] + sequence[j] in can_pair for i, j in folded.pairs)
    assert folded_rnas([rna], reference, max_length=50) == ([], 1)


def test_a_wide_head_reads_what_a_narrow_one_does() -> None:
    """The same windows of letters, turned into 300 numbers: no step of learning is too long."""
    train, held, asked = hairpins(100, 1), hairpins(25, 2), hairpins(25, 3)
    turn = torch.randn(44, 300, generator=torch.Generator().manual_seed(0))
    narrow = letter_features(5)

    def wide(sequences: Sequence[str]) -> list[torch.Tensor]:
        return [one @ turn for one in narrow(sequences)]

    f1 = []
    for features in (narrow, wide):
        scaled = scaled_by(features, [rna.sequence for rna in train])
        told = read_pairs(scaled, BilinearHead, train, held, asked, 0)
        both = zip(told, asked, strict=True)
        f1.append(np.mean([pair_scores(pairs, rna.pairs)[0] for pairs, rna in both]))
    assert min(f1) > 0.8
