"""Questions that papers answer about one RNA: level, role, variants, treatment, genes and diseases.

A record of the literature holds claims, each a sentence with its papers. A question names a matter (is
its level raised?), and may name a gene or a disease: what is told is of all of these, or it is not told.
Where papers say opposite things of one disease and one kind of sample, that is said first.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from rnagpt.evidence.matching import content
from rnagpt.evidence.relations import Names, named, tells_regulators, tells_targets
from rnagpt.reference.records import FAMILY, Claim, Record

MAX_TOLD = 3
_ROLE_OF = (
    r"(?:proliferation|growth|migration|invasion|metastas[ie]s|invasiveness|viability|EMT"
    r"|angiogenesis|tumou?rigenesis|progression|malignan\w+|aggressive\w*)"
)
_UP = (
    r"(?:up-?\s?regulat(?:ed|ion)|over-?express(?:ed|ion)|elevat(?:ed|ion)|increased?|higher|raised"
    r"|high(?:ly)?\sexpress(?:ed|ion)|enriched|abundant)"
)
_DOWN = (
    r"(?:down-?\s?(?:regulat|modulat)(?:ed|ion)|under-?express(?:ed|ion)|reduced|reduction|decreased?"
    r"|lower(?:ed)?|lost|loss\sof|silenced|absent|low\sexpress(?:ed|ion)|poor)"
)
_ACTING = r"(?:could|can|may|promot|inhibit|suppress|enhanc|improv|le[ad]{1,2}|result|reduc|induc)"
_CLAUSES = re.compile(r"[;,]?\s(?:while|whereas|but|although|and\sthe)\s|;\s")
_BY_HAND = re.compile(
    r"\b(?:transfect\w+|mimics?|inhibitors?|ectopic\w*|overexpression\sof|knock\w*|silencing\sof"
    r"|treat(?:ed|ment)\w*|induced|restor\w+|inhibition\sof|forced|cells?\swith\shigh\w*)\b",
    re.IGNORECASE,
)
_CONSEQUENCE = re.compile(
    r"\b(?:associat|correlat|predict|surviv|prognos|linked|risk)\w*|\bno(?:t)?\s(?:\w+\s)?different",
    re.IGNORECASE,
)
_NO_LEVEL = re.compile(
    r"\bno(?:t)?\s(?:\w+\s){0,3}(?:differ|chang)\w*|\bincreased\sor\sdecreased\b", re.IGNORECASE
)
_SAMPLE = re.compile(
    r"\b(?:serum|sera|plasma|blood|stool|f(?:a)?ecal|urine|saliva|circulat\w+|exosom\w+|juice"
    r"|vesicles?)\b",
    re.IGNORECASE,
)
# Of a cancer, the word before it; kinds of cells may stand between, and other words are none of it.
_DISEASE = re.compile(
    r"\b(?!(?:lost|from|with|human|primary|this|these|that|early|advanced|other|some|many|several|which"
    r"|various|solid|malignant|benign|invasive|metastatic|what|into|their|linked|such|suppress\w*"
    r"|promot\w*|chronic|cell|ductal|squamous|late|stage|against|both|change|affect|cause|most|more|the"
    r"|patients?|between|expression|normal|matched|paired|for)\b)(?P<organ>[a-z]{3,})\s"
    r"(?:(?:ductal|squamous|cell|duct|epithelial|acinar|liver)\s){0,2}(?:cancers?|carcinomas?"
    r"|adenocarcinomas?|tumou?rs?|neoplas\w+|adenomas?|disease|metastas[ie]s)\b"
    r"|\b(?P<one>\w*(?:melanoma|glioma|sarcoma|lymphoma|leuk[ae]+mia|blastoma|hepatitis|colitis"
    r"|pancreatitis|fibrosis|diabetes|sepsis))s?\b"
    r"|(?-i:\b(?P<short>CRC|HCC|PDAC|NSCLC|AML|PC|PCa|GC)\b)|\b(?P<named>[A-Z][a-z]+)['’]s disease",
    re.IGNORECASE,
)
_SAME_DISEASE = {
    "colon": "colorectal",
    "rectal": "colorectal",
    "colonic": "colorectal",
    "crc": "colorectal",
    "pdac": "pancreatic",
    "pca": "pancreatic",
    "pc": "pancreatic",
    "ductal": "pancreatic",
    "hcc": "hepatocellular",
    "gc": "gastric",
    "nsclc": "lung",
    "aml": "leukemia",
}
# A gene, as questions name it: PTEN, Zeb2, p53, cyclin D1.
_GENE = re.compile(
    r"\b(?!(?:RNA|DNA|SNPs?|CRC|HCC|PDAC|EMT|UTR|NSCLC|AML|I|[A-Z])\b)"
    r"(?:[A-Z][A-Za-z]*[A-Z0-9][\w/-]*|p\d{2}\b|[Cc]yclin [A-Z]\d?|[A-Z][a-z]+\d\w*)"
)
_SPELLED = {"cyclin d1": "ccnd1", "p53": "tp53"}

_FUNCTION = re.compile(
    r"\b(?:roles?|functions?|mechanisms?|what does .{1,30} do\b|how does .{1,30} (?:act|work|function))",
    re.IGNORECASE,
)
_FUNCTION_WORDS = (
    "what which how does do is the role function mechanism act work play of this it RNA microRNA miRNA "
    "important action cancer tumour tumor disease"
)
_ROLE_WORDS = re.compile(
    r"\b(?:roles?|functions?|regulates|promotes|suppresses|inhibits|inhibited|involved|contributes|loop"
    r"|mediates|mechanisms?)\b",
    re.IGNORECASE,
)

Told = Callable[[str, Names], bool]


@dataclass(frozen=True)
class Finding:
    """What claims answer: those that are told, and a line before them where papers differ."""

    claims: tuple[Claim, ...]
    differ: str = ""


@dataclass(frozen=True)
class _Matter:
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


def find_claims(question: str, record: Record, names: Names) -> Finding | None:
    """What a record's claims say to a question; empty where it names what none of them tells of.

    None where the question is about no matter of this module.
    """
    if record.kind == FAMILY or not record.claims:
        return None
    matter = next((one for one in MATTERS if one.asked.search(question)), None)
    genes, ill = genes_of(question, names), diseases_of(question)
    if matter is None and not genes:
        return _of_function(question, record, names, ill) if _FUNCTION.search(question) else None
    claims = [claim for claim in record.claims if _names_gene(claim.text, genes)]
    if matter is not None:
        told = [claim for claim in claims if matter.tells(claim.text, names)]
        claims = told or (claims if genes and matter.of_genes else [])
    if ill:
        claims = [claim for claim in claims if ill & diseases_of(claim.text)]
    if samples := samples_of(question):
        claims = [claim for claim in claims if samples & samples_of(claim.text)]
    differ = _difference(matter, claims, names) if matter else ""
    if matter is _AGREEMENT and claims and not differ:
        differ = "Papers do not differ in whether its level is raised or lowered."
    return Finding(tuple(_best(question, claims, matter, names, bool(differ))), differ)


def _of_function(question: str, record: Record, names: Names, ill: set[str]) -> Finding | None:
    """What the RNA does where a question names a disease, a process or a place; None: it does not."""
    text = re.sub(
        r"epithelial[\s-](?:to[\s-])?mesenchymal[\s-]transition", "EMT", question, flags=re.I
    )
    besides = content(text) - content(f"{_FUNCTION_WORDS} {' '.join(names)} {record.type}")
    if not besides:
        return None
    acting = [claim for claim in record.claims if _acts(claim.text, names)]
    claims = [claim for claim in acting if not ill or ill & diseases_of(claim.text)]
    shared = [len(besides & content(claim.text)) for claim in claims]
    most = max(shared, default=0)
    best = [claim for claim, count in zip(claims, shared, strict=True) if count == most and most]
    return Finding(tuple(best[:MAX_TOLD]))


def _acts(text: str, names: Names) -> bool:
    return bool(role_side(text, names) or tells_targets(text, names) or _ROLE_WORDS.search(text))


def genes_of(question: str, names: Names) -> set[str]:
    """The genes that a question names, in small letters."""
    rest = re.sub(named(names), " ", question, flags=re.IGNORECASE)
    rest = re.sub(r"\b(?:hsa-)?(?:miR|let|mir)-?\S+", " ", rest)
    return {match[0].lower() for match in _GENE.finditer(rest)}


def _names_gene(text: str, genes: set[str]) -> bool:
    low = text.lower()
    return not genes or any(
        re.search(rf"(?<![a-z0-9]){re.escape(name)}(?![a-z0-9])", low)
        for gene in genes
        for name in (gene, _SPELLED.get(gene, gene))
    )


def diseases_of(text: str) -> set[str]:
    """The diseases that a text names: of a cancer, its organ; colon and rectum are one."""
    found = set()
    for match in _DISEASE.finditer(text):
        word = next(part for part in match.groups() if part).lower()
        found.add(_SAME_DISEASE.get(word, word))
    return found


def samples_of(text: str) -> set[str]:
    """The body fluids that a text names."""
    words = {match[0].lower() for match in _SAMPLE.finditer(text)}
    blood = {"serum", "sera", "plasma", "blood", "circulating"}
    found = {
        "stool" if word.endswith("ecal") else "serum" if word == "sera" else word for word in words
    }
    return (
        found
        | (blood if "circulating" in found else set())
        | ({"circulating"} if found & blood else set())
    )


def _difference(matter: _Matter, claims: Iterable[Claim], names: Names) -> str:
    """What papers say opposite things of, in words; empty where they agree."""
    if matter.side is None:
        return ""
    sides: dict[tuple[str, bool], dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for claim in claims:
        side = matter.side(claim.text, names)
        for disease in diseases_of(claim.text) or {""}:
            if side:
                key = (disease, bool(_SAMPLE.search(claim.text)))
                sides[key][side] += claim.papers
    told = []
    for (disease, _), found in sides.items():
        one, other = (dict.fromkeys(found.get(side, ())) for side in (1, -1))
        if one and other and not set(one) & set(other):
            where = f" in {disease} samples" if disease else ""
            parts = (
                f"{word} ({_spell(papers)})"
                for word, papers in zip(matter.sides, (one, other), strict=True)
            )
            told.append(f"Papers differ{where}: {' or '.join(parts)}.")
    return " ".join(dict.fromkeys(told))


def _spell(papers: Iterable[str]) -> str:
    return ", ".join(f"PMID {paper}" if paper.isdigit() else paper for paper in papers)


def _best(
    question: str, claims: Sequence[Claim], matter: _Matter | None, names: Names, differ: bool
) -> Iterator[Claim]:
    """The claims that share most with the question; of both sides where papers differ."""
    asked = content(question)
    ranked = sorted(claims, key=lambda claim: -len(asked & content(claim.text)))
    if matter is None or matter.side is None:
        yield from ranked[:MAX_TOLD]
        return
    of_side = {
        side: [claim for claim in ranked if matter.side(claim.text, names) == side]
        for side in (1, -1, 0)
    }
    if differ:
        yield from of_side[1][:2]
        yield from of_side[-1][:2]
    else:
        decided = [claim for claim in ranked if claim not in of_side[0]]
        yield from (decided or ranked)[:MAX_TOLD]


def level_side(text: str, names: Names) -> int:
    """Whether a claim tells that the RNA's level is raised (1) or lowered (-1) in a sample."""
    if _NO_LEVEL.search(text):
        return 0
    found = {side for part in _CLAUSES.split(text) if (side := _level_of_clause(part, names))}
    return found.pop() if len(found) == 1 else 0


def _level_of_clause(clause: str, names: Names) -> int:
    if _BY_HAND.search(clause) or _CONSEQUENCE.search(clause):
        return 0
    name = named(names)
    acts = rf"(?:regulation|expression)\sof\s{name}\s(?:\w+\s){{0,2}}{_ACTING}"
    if re.search(acts, clause, re.IGNORECASE):
        return 0  # what was done to cells
    sides = [
        any(
            re.search(pattern, clause, re.IGNORECASE)
            for pattern in (
                rf"{name}[^.;]{{0,90}}?\b{words}\b",
                rf"\b{words}\b(?:\s(?:in|of|the|level|levels|expression|was|were|observed|for))*"
                rf"(?:\s\S+,?){{0,3}}?\s{name}",
            )
        )
        for words in (_UP, _DOWN)
    ]
    return 0 if sides[0] == sides[1] else (1 if sides[0] else -1)


def role_side(text: str, names: Names) -> int:
    """Whether a claim tells that the RNA promotes (1) or suppresses (-1) a tumour."""
    name = named(names)
    if tells_regulators(text, names) or re.search(
        rf"/{name}|{name}(?:/|\s(?:feedback|axis|loop))", text
    ):
        return 0  # what sponges it acts, or a loop of which it is a part
    if re.search(
        rf"{name}[^.;]{{0,80}}\btumou?r[\s-]suppress", text, re.IGNORECASE
    ) and not re.search(
        r"\b(?:targeting|targets?|repressing)\s(?:the\s)?tumou?r[\s-]suppress", text, re.IGNORECASE
    ):
        return -1
    if re.search(rf"{name}[^.;]{{0,80}}\bonco(?:gene|genic|mir|miR)", text, re.IGNORECASE):
        return 1
    effect = rf"(?:\S+\s){{0,8}}?{_ROLE_OF}"
    less = r"(?:suppress|inhibit|reduc|decreas|attenuat|impair|block|impede|restrain|abrogat)\w*"
    more = r"(?:promot|enhanc|increas|facilitat|accelerat|stimulat|induc)\w*"
    lost = re.search(
        rf"\b(?:inhibition|inactivation|knockdown|silencing|loss|deletion|depletion|suppression"
        rf"|down-?regulation)\s(?:of\s)?(?:\S+\s(?:and|or)\s)?{name}|{name}\sinhibitors?\b|anti-?{name}",
        text,
        re.IGNORECASE,
    )
    for verb, side in ((less, -1), (more, 1)):
        if re.search(rf"{name}[^.;]{{0,110}}?\b{verb}\s{effect}", text, re.IGNORECASE):
            return -side if lost else side
    return 0


def variant_side(text: str, names: Names) -> int:
    """Whether a claim tells that a variant matters (1), or that it does not (-1)."""
    del names
    if re.search(
        r"\b(?:no|not|lack of|without)\s(?:\w+\s){0,3}associat|\bnot\s(?:be\s)?relat", text, re.I
    ):
        return -1
    return int(bool(re.search(r"\b(?:associat|contribut|risk|suscepti|predict)\w*", text, re.I)))


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
_AGREEMENT = _Matter(
    _asks("contradict", "disagree", "conflict", "controvers", "inconsisten", r"papers differ"),
    _has_level,
    side=level_side,
    sides=_SIDES_OF_LEVEL,
)
# In order: the first that a question asks for counts.
MATTERS = (
    _Matter(
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
    _AGREEMENT,
    _Matter(
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
    _Matter(
        _asks(r"therapeutic targets?", r"used? (?:in|for|as) (?:\w+ )?therap"),
        _speaks(
            "therapeutic",
            r"(?:gene|targeted|novel|new)\s(?:\w+\s)?therap",
            r"target for\s(?:\w+\s){0,2}therap",
        ),
    ),
    _Matter(
        _asks(r"drug", *_TREATMENT[:5], *_TREATMENT[7:]),
        _speaks(*_TREATMENT),
    ),
    _Matter(
        _asks("surviv", "prognos", "recurren", "relapse", "outcome"),
        _speaks(r"(?<!cell )(?<!apoptosis, )survival", "prognos", "recurren", "relapse", "outcome"),
    ),
    _Matter(
        _asks("diagnos", "detect", "screening"),
        _speaks("diagnos", "detect", "screening", "AUC", "discriminat", "distinguish", "biomarker"),
    ),
    _Matter(
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
    _Matter(_asks(r"cell lines?\b"), _speaks(r"cell lines?", r"(?-i:[A-Z]{2,}[\w-]*\d\S*) cells")),
    _Matter(_asks("methylat", "epigenetic"), _speaks("(?:hyper|hypo)?-?methylat", "epigenetic")),
    _Matter(
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
    _Matter(
        _asks(r"(?:happens|effect)\b.*\b(?:over-?expressed|overexpression|inhibited|knock)"),
        _speaks(
            r"over-?expression", "ectopic", "mimics", "knock", "inhibition of", "forced expression"
        ),
    ),
    _Matter(_asks(r"pathways?\b", r"signal+ing"), _speaks(r"pathways?", r"signal+ing", r"axis\b")),
    _Matter(
        _asks(r"regulators?\b", r"regulated by", r"how is .{1,30} regulated", r"controlled by"),
        tells_regulators,
    ),
    _Matter(
        _asks(r"targets?\b", r"act on", r"regulates? any"),
        tells_targets,
        of_genes=True,
    ),
)


__all__ = [
    "Finding",
    "diseases_of",
    "find_claims",
    "genes_of",
    "level_side",
    "role_side",
    "variant_side",
]
