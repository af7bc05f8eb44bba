"""Questions about an RNA from claims that stand: with a language model, or with templates."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rnagpt.evidence.relations import tells_marking, tells_regulators, tells_targets
from rnagpt.rna_qa.literature.claims import prompts
from rnagpt.rna_qa.literature.claims.annotate import apply_to_each, in_parts
from rnagpt.rna_qa.literature.claims.categories import KINDS, Kind
from rnagpt.rna_qa.literature.claims.extractive import tidy
from rnagpt.rna_qa.literature.claims.validation import (
    leaked_phrase,
    mask_names,
    names_rna,
    overlap,
    violations_of_premise,
    violations_of_statement,
)
from rnagpt.rna_qa.literature.llm.language_model import (
    ContextLengthExceeded,
    LanguageModel,
    RequestFailed,
)
from rnagpt.rna_qa.literature.records import Annotation, Claim, QaPair, Rna
from rnagpt.rna_qa.literature.text.plain_text import plain_text
from rnagpt.rna_qa.splits import fraction

# Rises when the same claims may give other questions.
VERSION = 3
# In the order of what they exclude: what sponges an RNA may have targets too.
_OWN = ("variation", "biogenesis", "treatment")
_RELATIONS = {
    "regulation": tells_regulators,
    "target": tells_targets,
    "biomarker": tells_marking,
}
MIN_WORDS, MAX_WORDS = 5, 40  # of an answer
# Two answers say the same where they share this part of the shorter one's words.
SAME = 0.75
# Claims that a language model is asked about at once.
MAX_AT_ONCE = 20


_SITES = (
    "acute adrenal advanced airway alcoholic allergic alzheimer aortic atherosclerotic atopic "
    "crohn huntington kawasaki "
    "autoimmune b-cell bile biliary bladder bone brain breast bronchial cardiac cardiovascular "
    "carotid cell cerebral cervical cholangio chronic clear colitis-associated colon colonic "
    "colorectal coronary artery cutaneous diabetic diffuse duct ductal embryonal endocrine "
    "endometrial ovarian epithelial esophageal oesophageal ewing fatty follicular gastric "
    "gastrointestinal stromal germ glial granulosa heart hepatic hepatocellular "
    "inflammatory bowel intestinal ischemic ischaemic kidney large laryngeal liver lung "
    "lymphoblastic lymphocytic lymphoid lymphatic mantle medullary metabolic muscular myeloid "
    "myocardial nasopharyngeal nerve neurodegenerative neuroendocrine non-alcoholic "
    "nonalcoholic non-small non-hodgkin obstructive oral osteo ovary pancreatic papillary "
    "parkinson peripheral polycystic ovary pituitary prostate psoriatic pulmonary rectal renal "
    "respiratory rheumatoid salivary skin small soft spinal cord squamous stomach systemic "
    "t-cell testicular thyroid tissue tongue traumatic triple-negative type 1 2 urothelial "
    "uterine uveal vascular viral vulvar familial sporadic metastatic primary virus hiv hcv "
    "hbv hpv ebv influenza hepatitis c b"
)
_CONDITIONS = (
    "adenocarcinoma adenoma aneurysm arthritis asthma atherosclerosis autism cancer carcinoma "
    "cardiomyopathy cholangiocarcinoma chordoma cirrhosis colitis dementia depression dermatitis "
    "diabetes disease disorder dystrophy eczema encephalitis endometriosis epilepsy "
    "failure fibrillation fibrosis glioblastoma glioma hepatitis hepatoblastoma "
    "hypertension hypertrophy infarction infection injury ischemia ischaemia leukemia leukaemia "
    "lupus lymphoma malformation medulloblastoma melanoma mesothelioma metastasis myeloma "
    "nephropathy neuroblastoma neuropathy obesity osteoarthritis osteoporosis osteosarcoma "
    "pneumonia preeclampsia psoriasis reperfusion retinoblastoma retinopathy rhabdomyosarcoma "
    "sarcoma schizophrenia sclerosis sepsis steatosis stroke syndrome thrombosis tuberculosis "
    "tumor tumour ulcer"
)
# Only abbreviations that mean one thing.
_ABBREVIATED = {
    "AML": "acute myeloid leukemia",
    "CLL": "chronic lymphocytic leukemia",
    "CML": "chronic myeloid leukemia",
    "CRC": "colorectal cancer",
    "DLBCL": "diffuse large B-cell lymphoma",
    "EOC": "epithelial ovarian cancer",
    "ESCC": "esophageal squamous cell carcinoma",
    "GBM": "glioblastoma",
    "HCC": "hepatocellular carcinoma",
    "HNSCC": "head and neck squamous cell carcinoma",
    "LUAD": "lung adenocarcinoma",
    "NAFLD": "non-alcoholic fatty liver disease",
    "NSCLC": "non-small cell lung cancer",
    "OSCC": "oral squamous cell carcinoma",
    "PDAC": "pancreatic ductal adenocarcinoma",
    "RCC": "renal cell carcinoma",
    "TNBC": "triple-negative breast cancer",
}


def _alternatives(words: str) -> str:
    return "|".join(sorted(set(words.split()), key=lambda word: (-len(word), word)))


_DISEASE = re.compile(
    rf"\b(?:(?:head and neck|{_alternatives(_SITES)})(?:['’]s)?(?:[\s-]+|-and-))*"
    rf"(?:{_alternatives(_CONDITIONS)})\b"
    rf"|\b(?:(?-i:{'|'.join(_ABBREVIATED)}))\b",
    re.IGNORECASE,
)
_EPONYMS = "Alzheimer|Crohn|Ewing|Hodgkin|Huntington|Kawasaki|Parkinson"
# These words say too little by themselves.
_VAGUE_WORDS = (
    "cancer carcinoma disease disorder failure infection injury metastasis sclerosis syndrome "
    "tumor tumour ischemia ischaemia reperfusion adenoma ulcer adenocarcinoma"
)
_VAGUE = frozenset(_VAGUE_WORDS.split())
_PROCESSES = (
    "angiogenesis|apoptosis|autophagy|cell adhesion|cell cycle(?: progression)?|cell growth"
    "|differentiation|DNA damage response|epithelial[- ](?:to[- ])?mesenchymal transition"
    "|glycolysis|hematopoiesis|inflammation|invasion|lipid metabolism|metastasis|migration"
    "|neurogenesis|osteogenesis|proliferation|senescence|stemness|tumou?rigenesis|tumou?r growth"
)
_PROCESS = re.compile(rf"\b(?:{_PROCESSES})\b", re.IGNORECASE)

_STATISTICS = re.compile(
    r"\s*[(\[](?=[^()\[\]]*(?:\b[Pp]\s?[<>=≤≥]|\bn\s?=|\bCI\b|\bHR\b|\bOR\s?=|\bAUC\s?=|±|\bvs\.?\s"
    r"|\bfold\b|\b[Ff]igs?\b|\bTable\b))[^()\[\]]*[)\]]"
)
_TRAILING_P = re.compile(r",?\s*(?<![\w-])[Pp]\s?[<>=≤≥]\s?0?[.,]\s?\d+")
# "They", "this effect": the sentence before is needed.
_LEANS = re.compile(
    r"(?:all|another|both|each|either|he|here|it|its|neither|one|other|others|she|such|that|their"
    r"|them|these|they|this|those|which|the (?:former|latter|same|other|above|resulting|two))\b"
    r"(?! of @)|[^A-Za-z0-9(]|as\s(?:a\sresult|expected)|in (?:addition|contrast|this|these|our)\b"
    r"|(?:and|but|or|so|to|by|using|with|through|whereas|while)\b",
    re.IGNORECASE,
)
# Plans, methods and gaps are no answers.
_NO_FINDING = re.compile(
    r"\b(?:few data|ha(?:s|ve) been reported|aim\w*|objectives?|purpose|hypothes\w+|whether|sought"
    r"|little is known|unknown|unclear"
    r"|elusive|to be (?:elucidated|determined|clarified)|remains?\sto|not fully|poorly understood"
    r"|not been (?:\w+ly )?(?:studied|investigated|explored|elucidated|reported|described)"
    r"|(?:was|were) (?:performed|conducted|measured|examined|investigated|analy[sz]ed|assessed"
    r"|evaluated|determined|quantified|transfected|collected|used|employed|carried out|studied"
    r"|recruited|enrolled|constructed|obtained|selected|tested)"
    r"|further (?:studies|research|investigation)|future (?:studies|research)"
    r"|first (?:report|study|time|evidence)|novel insights?|shed light|better understanding)\b",
    re.IGNORECASE,
)


def ask(
    rna: Rna, annotation: Annotation, model: LanguageModel | None = None, seed: int = 0
) -> list[QaPair]:
    """Questions that the standing claims of an annotation answer, each with its papers and quote.

    No question names the RNA: it is to be read from the sequence. Questions that were asked before,
    answers that say the same as an earlier one, and answers that speak of a paper ("the study
    shows") are left out.

    Args:
        model: None takes templates, which make one question of a claim by its key words. A question
            of the model's, too, may presume nothing that its claim does not say.
        seed: Draws the wording of templates, together with the RNA's id.
    """
    pairs: Iterable[QaPair]
    if model:
        parts = in_parts(annotation.claims, MAX_AT_ONCE)
        pairs = apply_to_each(parts, lambda part: _questions_of(rna, part, model))
    else:
        pairs = _ask_by_templates(rna, annotation.claims, seed)
    return _distinct(pairs, rna.names)


def _questions_of(rna: Rna, claims: Sequence[Claim], model: LanguageModel) -> list[QaPair]:
    """What the model asks of claims and answers, as far as it passes the checks."""
    try:
        answer = model.ask(prompts.ask_for_questions(rna.names, claims))
    except RequestFailed as failure:
        if not isinstance(failure, ContextLengthExceeded) or len(claims) == 1:
            return []
        middle = len(claims) // 2
        halves = (claims[:middle], claims[middle:])
        return apply_to_each(halves, lambda half: _questions_of(rna, half, model))
    numbered = dict(enumerate(claims, start=1))
    pairs = (
        _read_question(written, numbered[written["claim"]], rna)
        for written in answer["questions"]
        if written["claim"] in numbered
    )
    return [pair for pair in pairs if pair]


def _read_question(written: Mapping[str, Any], claim: Claim, rna: Rna) -> QaPair | None:
    """A question and its answer, None where one of them says what the claim does not."""
    question = _unname(plain_text(written["question"]), rna.names)
    answer = plain_text(written["answer"])
    if not question.endswith("?") or not re.search(r"\bthis RNA\b", question):
        return None
    if not answer or len(question.split()) > MAX_WORDS or len(answer.split()) > MAX_WORDS:
        return None
    if leaked_phrase(question) or leaked_phrase(answer):
        return None
    source = f"{claim.text} {claim.quote}"
    if any(violations_of_statement(answer, source, source, rna.names)):
        return None
    if any(violations_of_premise(question, source, rna.names)):
        return None
    return QaPair(question, answer, written["category"], claim.papers, claim.quote)


def _unname(question: str, names: Sequence[str]) -> str:
    """The question with "this RNA" in place of its names, which may follow a noun."""
    lead = (
        r"(?:\b(?:the|this)\s+)?(?:\b(?:(?:micro|lnc|circ|long non-?coding )?RNA|miRNA|gene)\s+)?"
    )
    text = re.sub(f"{lead}@", "this RNA", mask_names(question, names, "@"))
    return text[0].upper() + text[1:] if text else text


def _ask_by_templates(rna: Rna, claims: Iterable[Claim], seed: int) -> Iterator[QaPair]:
    for claim in claims:
        if answer := _answer_of(claim.text, rna.names):
            category, question = _question_of(answer, rna, seed)
            yield QaPair(question, answer, category, claim.papers, claim.quote)


def _answer_of(text: str, names: Sequence[str]) -> str | None:
    """A claim as an answer that stands alone; None where it cannot."""
    text = _TRAILING_P.sub("", _STATISTICS.sub("", text))
    text = tidy(re.sub(r"\s+([.,;])", r"\1", text))
    if not MIN_WORDS <= len(text.split()) <= MAX_WORDS or not names_rna(text, names):
        return None
    if text.endswith("?") or _LEANS.match(text) or _NO_FINDING.search(text) or leaked_phrase(text):
        return None
    return text


def _question_of(answer: str, rna: Rna, seed: int) -> tuple[str, str]:
    """The category of an answer, and a question for it."""
    masked = mask_names(answer, rna.names, "@")
    kind = _kind_of(answer, masked, rna)
    disease = _disease_of(answer)
    if kind.category == "function" and not disease and (process := _PROCESS.search(answer)):
        return kind.category, f"How does this RNA affect {_in_lower_case(process[0])}?"
    wording = kind.questions[int(fraction(seed, rna.id, kind.category) * len(kind.questions))]
    of = f" in {disease}" if disease else ""
    about = f" about {disease or 'a patient'}"
    if wording.startswith("Is "):
        about = f" of {disease}" if disease else ""
    return kind.category, wording.format(of=of, about=about)


def _kind_of(answer: str, masked: str, rna: Rna) -> Kind:
    """What a claim tells: the direction in which it speaks, where that is certain, else its words.

    What an RNA does to a treatment, its variants and its making are asked for as such.
    """
    by_words = next(kind for kind in KINDS if kind.pattern.search(masked))
    if by_words.category in _OWN:
        return by_words
    told = next((name for name, tells in _RELATIONS.items() if tells(answer, rna.names)), None)
    return next((kind for kind in KINDS if kind.category == told), by_words)


def _disease_of(answer: str) -> str | None:
    """The first disease that an answer names."""
    for match in _DISEASE.finditer(answer):
        disease = _ABBREVIATED.get(match[0], match[0])
        if disease.lower() not in _VAGUE:
            return _in_lower_case(disease)
    return None


def _in_lower_case(text: str) -> str:
    """Without the capitals of titles and of sentences; Crohn and HIV keep theirs."""
    return re.sub(rf"\b(?!{_EPONYMS})[A-Z](?=[a-z])", lambda match: match[0].lower(), text)


def _distinct(pairs: Iterable[QaPair], names: Sequence[str]) -> list[QaPair]:
    """The pairs whose question was not asked and whose answer was not given before."""
    given: list[QaPair] = []
    asked: list[set[str]] = []
    for pair in pairs:
        words = set(re.findall(r"\w+", pair.question.lower()))
        if words not in asked and not any(
            overlap(pair.answer, other.answer, names) >= SAME for other in given
        ):
            given.append(pair)
            asked.append(words)
    return given


__all__ = ["ask"]
