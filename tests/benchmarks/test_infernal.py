"""What the comparisons with Infernal keep and say."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
agreement = pytest.importorskip("infernal_agreement")
claims = pytest.importorskip("infernal_claims")

from rnagpt.reference.hits import PROFILE, Hit  # noqa: E402
from rnagpt.reference.records import Record  # noqa: E402


def comparison(name: str) -> object:
    candidate = agreement.Candidate("RF00005", 1e-9, 60.5, 29.0, "")
    rna = agreement.AskedRna(name, "ACGU", "RF00005")
    return agreement.Comparison(rna, "RF00005", "RF00005", (candidate,), 0.1, 1.2)


def test_what_was_compared_is_read_again_without_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "compared.jsonl"
    made = [comparison(name) for name in ("a", "b")]
    with agreement.opened(path, "key") as (compared, file):
        assert compared == {}
        for one in made:
            file.write(agreement.to_json(one))
    whole = path.read_bytes()
    path.write_bytes(whole + whole.splitlines()[-1][:20])
    with agreement.opened(path, "key") as (compared, _):
        assert list(compared.values()) == made
        assert [rna.id for rna in compared] == ["a", "b"]
    assert path.read_bytes() == whole


def test_comparisons_of_another_reference_are_not_mixed(tmp_path: Path) -> None:
    path = tmp_path / "compared.jsonl"
    path.write_text(json.dumps("one") + "\n")
    with (
        pytest.raises(ValueError, match="begun with one, not with other"),
        agreement.opened(path, "other"),
    ):
        pass


@pytest.mark.parametrize(
    ("verified", "expected"),
    [
        ({"bits": 71.0, "agrees": True}, "confirmed"),
        ({"bits": 50.0, "agrees": False}, "below"),
        ({"bits": None, "agrees": False}, "nothing"),
        ({"bits": 50.0, "agrees": None}, "no cut-off"),
        ({"bits": None, "agrees": None, "error": "cmbuild failed"}, "not verified"),
    ],
)
def test_verdicts(verified: dict[str, object], expected: str) -> None:
    record = Record("RF00017", "family", "Metazoa_SRP")
    hit = Hit(record, PROFILE, 1, 10, "+", 1, 10, 1e-9, 40.0, 0.9, "", "")
    assert claims.verdict(replace(hit, verified=verified)) == expected
    assert expected in claims.VERDICTS


def test_a_sequence_with_a_confirmed_hit_counts_once() -> None:
    record = Record("RF00017", "family", "Metazoa_SRP")
    hit = Hit(record, PROFILE, 1, 10, "+", 1, 10, 1e-9, 40.0, 0.9, "", "")
    yes = replace(hit, verified={"bits": 71.0, "agrees": True, "gathering": 70.0})
    no = replace(hit, verified={"bits": 50.0, "agrees": False, "gathering": 70.0})
    found = claims.Claims("lncRNA", [[yes, yes, no], [no], []])
    assert (found.claimed, found.confirmed) == (2, 1)
    text = claims.report([found], "about")
    assert "| lncRNA | 3 | 2 (0.667) | 1 (0.333) |" in text
    assert "| RF00017 | Metazoa_SRP | 4 | 2 | 2 | 0 |" in text
