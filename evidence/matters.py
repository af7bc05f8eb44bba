"""Matters that questions about an RNA name, and the claims of papers that tell of each."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from rnagpt.evidence.opposites import level_side, role_side, variant_side
from rnagpt.evidence.relations import Names, tells_regulators, tells_targets

Told = Callable[[str, Names], bool]


@dataclass(frozen=True)
class Matter:
    """What a question may be about.

    Attributes:
        asked: in a question.
        tells: whether a claim tells of it.
        of_genes: a claim that names the gene asked for is told where none tells of it.
        side: which of two opposite things a claim says, if it says one.
        sides: these two, in words.
    """

    asked: re.Pattern[str]
    tells: Told
    of_genes: bool = False
    side: Callable[[str, Names], int] | None = None
    sides: tuple[str, str] = ("", "")


def _speaks(*words: str) -> Told:
    pattern = re.compile(rf"\b(?:{'|'.join(words)})", re.IGNORECASE)
    return lambda text, names: bool(pattern.search(text))


def _asks(*words: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(words)})", re.IGNORECASE)


def _has_role(text: str, names: Names) -> bool:
    return role_side(text, names) != 0


def _has_level(text: str, names: Names) -> bool:
    return level_side(text, names) != 0


_SIDES_OF_LEVEL = ("its level is raised", "its level is lowered")
_SIDES_OF_ROLE = ("it promotes the tumour", "it suppresses the tumour")
_TREATMENT = (
    *(r"(?:chemo|radio|multi-?drug)?-?resistan", r"(?:chemo|radio)?-?sensiti[sz]", r"chemotherap"),
    *("radiotherap", "therap", "drug", "treatment", r"respon\w+ to", r"\w+platin", r"gemcitabine"),
    *(r"5-?FU\b", "fluorouracil", r"anti-?EGFR", "cetuximab", r"non-?respon", "EGFR inhib"),
)
AGREEMENT = Matter(
    _asks("contradict", "disagree", "conflict", "controvers", "inconsisten", r"papers differ"),
    _has_level,
    side=level_side,
    sides=_SIDES_OF_LEVEL,
)
_FLUIDS = ("serum", "plasma", r"blood\b", "stool", "urine", "exosom")
# In order: the first that a question asks for counts.
MATTERS = (
    Matter(
        _asks(
            r"(?:genetic )?variants?\b",
            r"SNPs?\b",
            "polymorphism",
            r"rs\d{3,}",
            "genotyp",
            "allele",
        ),
        _speaks("variants?", "SNPs?", "polymorphism", r"rs\d{3,}", "genotyp", "allele"),
        side=variant_side,
        sides=("a variant matters", "no association was found"),
    ),
    AGREEMENT,
    Matter(
        _asks(
            r"tumou?r[\s-]suppress",
            r"onco(?:gene|genic|mir)",
            r"promotes? or suppress",
            r"suppress(?:es)? or promot",
        ),
        _has_role,
        side=role_side,
        sides=_SIDES_OF_ROLE,
    ),
    Matter(
        _asks(r"therapeutic targets?", r"used? (?:in|for|as) (?:\w+ )?therap"),
        _speaks(
            "therapeutic",
            r"(?:gene|targeted|novel|new)\s(?:\w+\s)?therap",
            r"target for\s(?:\w+\s){0,2}therap",
        ),
    ),
    Matter(
        _asks(r"drug", *_TREATMENT[:5], *_TREATMENT[7:]),
        _speaks(*_TREATMENT),
    ),
    Matter(
        _asks("surviv", "prognos", "recurren", "relapse", "outcome"),
        _speaks(r"(?<!cell )(?<!apoptosis, )survival", "prognos", "recurren", "relapse", "outcome"),
    ),
    Matter(
        _asks("diagnos", "detect", "screening"),
        _speaks("diagnos", "detect", "screening", "AUC", "discriminat", "distinguish", "biomarker"),
    ),
    Matter(
        _asks(
            r"(?:body )?fluids?",
            r"tissues?\b(?!.*\bregulat)",
            "serum",
            "plasma",
            r"blood\b",
            "stool",
            "urine",
            "exosom",
        ),
        _speaks(
            "serum",
            "plasma",
            "blood",
            "stool",
            "f(?:a)?ecal",
            "urine",
            "exosom",
            "tissues?",
            "juice",
        ),
    ),
    Matter(_asks(r"cell lines?\b"), _speaks(r"cell lines?", r"(?-i:[A-Z]{2,}[\w-]*\d\S*) cells")),
    Matter(_asks("methylat", "epigenetic"), _speaks("(?:hyper|hypo)?-?methylat", "epigenetic")),
    Matter(
        _asks(
            r"(?:up|down)[\s-]*(?:or[\s-]*down)?-?\s?regulated(?! by)",
            r"higher or lower",
            r"raised",
            r"lost\b",
            r"over-?expressed in",
            r"under-?expressed",
            r"level\b.*(?:high|low|chang)",
            r"more or less of",
        ),
        _has_level,
        side=level_side,
        sides=_SIDES_OF_LEVEL,
    ),
    Matter(
        _asks(r"(?:happens|effect)\b.*\b(?:over-?expressed|overexpression|inhibited|knock)"),
        _speaks(
            r"over-?expression", "ectopic", "mimics", "knock", "inhibition of", "forced expression"
        ),
    ),
    Matter(_asks(r"pathways?\b", r"signal+ing"), _speaks(r"pathways?", r"signal+ing", r"axis\b")),
    Matter(
        _asks(r"regulators?\b", r"regulated by", r"how is .{1,30} regulated", r"controlled by"),
        tells_regulators,
    ),
    Matter(
        _asks(r"targets?\b", r"act on", r"regulates? any"),
        tells_targets,
        of_genes=True,
    ),
)


__all__ = ["AGREEMENT", "MATTERS", "Matter"]
