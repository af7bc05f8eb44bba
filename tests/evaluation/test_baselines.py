"""Which RNA a question is given, and what baselines say of it."""

import itertools
from collections import Counter

import numpy as np
import pytest
from datasets import Dataset
from helpers.tiny_evaluation import FAMILIES, make_rows
from helpers.tiny_models import make_rna

from rnagpt.cleaning_rnagpt import CleanedRna
from rnagpt.evaluation.baselines import (
    NONE,
    REAL,
    SHUFFLED,
    SWAPPED,
    draw_partners,
    find_nearest,
    give,
    majority_labels,
    nearest_labels,
)
from rnagpt.evaluation.tasks import DrawnRna


def make_drawn(count: int) -> list[DrawnRna]:
    return [
        DrawnRna(
            id=f"rna{number}",
            cleaned=CleanedRna(f"rna{number}", make_rna(60, seed=number)),
            family=f"f{number % 3}",
            accession=f"RF{number % 3}",
            description="",
            type="tRNA",
            annotation="",
        )
        for number in range(count)
    ]


def test_controls_give_another_rna_a_shuffled_one_or_none() -> None:
    rnas = make_drawn(9)
    assert give(rnas, REAL, 0) == [rna.cleaned for rna in rnas]
    assert give(rnas, NONE, 0) == [None] * 9
    families = {rna.cleaned.sequence: rna.family for rna in rnas}
    swapped = give(rnas, SWAPPED, 0)
    assert all(families[o.sequence] != r.family for o, r in zip(swapped, rnas, strict=True))
    for shuffled, rna in zip(give(rnas, SHUFFLED, 0), rnas, strict=True):
        assert shuffled is not None
        assert shuffled.sequence != rna.cleaned.sequence
        pairs = [Counter(itertools.pairwise(s)) for s in (shuffled.sequence, rna.cleaned.sequence)]
        assert pairs[0] == pairs[1]


def test_a_shuffle_depends_on_its_rna_alone() -> None:
    rnas = make_drawn(9)
    assert give(rnas[4:5], SHUFFLED, 0) == give(rnas, SHUFFLED, 0)[4:5]
    assert give(rnas, SHUFFLED, 1) != give(rnas, SHUFFLED, 0)


def test_partners_are_of_other_families_and_seeded() -> None:
    families = ["a"] * 5 + ["b", "c"]
    partners = draw_partners(families, seed=3)
    assert all(families[i] != families[j] for i, j in enumerate(partners))
    assert partners.tolist() == draw_partners(families, seed=3).tolist()
    # Every RNA of another family is drawn sometimes.
    drawn = {draw_partners(families, seed)[5] for seed in range(60)}
    assert drawn == {0, 1, 2, 3, 4, 6}


def test_partners_need_two_families() -> None:
    with pytest.raises(ValueError, match="of one family"):
        draw_partners(["a", "a"], seed=0)


def test_nearest_agrees_with_cosines_counted_by_hand() -> None:
    known = [make_rna(40, seed=i) for i in range(30)]
    queries = [known[7][5:30], known[3][:20] + known[11][:25], make_rna(40, seed=99), "ACGU"]

    def kmers(sequence: str) -> list[str]:
        return [sequence[i : i + 3] for i in range(len(sequence) - 2)]

    words = ["".join(letters) for letters in itertools.product("ACGU", repeat=3)]
    counts = np.array([[kmers(s).count(w) for w in words] for s in known + queries], dtype=float)
    inverse = np.log((1 + len(known)) / (1 + (counts[: len(known)] > 0).sum(0))) + 1
    weights = counts * inverse
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    expected = (weights[len(known) :] @ weights[: len(known)].T).argmax(1)
    assert find_nearest(known, queries, kmer_size=3, chunk=3) == expected.tolist()
    assert find_nearest(known, ["AC"], kmer_size=3) == [None]


def test_baselines_answer_with_labels_of_training() -> None:
    train = Dataset.from_list(make_rows(FAMILIES[:3], 3)[:-4])
    test = make_rows(FAMILIES[:2], 1, seed=1)
    nearest = nearest_labels(train, [row["sequence"] for row in test])
    assert nearest.family == [row["family_accession"] for row in test]
    assert nearest.annotation == [row["annotation"] for row in test]
    assert nearest[1:].type == ["tRNA"]
    majority = majority_labels(train, 2)
    assert (majority.family, majority.type) == (["RF00005"] * 2, ["tRNA"] * 2)
    unnamed = nearest_labels(train.remove_columns("family_accession"), ["ACGU" * 9])
    assert unnamed.family == [None]


def test_neighbours_are_found_whether_a_data_set_writes_u_or_t() -> None:
    rows = make_rows(FAMILIES[:2], 1)
    dna = Dataset.from_list([row | {"sequence": row["sequence"].replace("U", "T")} for row in rows])
    assert nearest_labels(dna, [rows[1]["sequence"]]).family == ["RF01852"]
