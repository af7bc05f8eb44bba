"""Questions about an RNA from claims that stand: with a language model, or with templates."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rnagpt.rna_qa.literature.claims import prompts
from rnagpt.rna_qa.literature.claims.annotate import apply_to_each
from rnagpt.rna_qa.literature.claims.extractive import tidy
from rnagpt.rna_qa.literature.claims.validation import (
    fault_of_premise,
    fault_of_statement,
    leaked_phrase,
    mask_names,
    names_rna,
    overlap,
)
from rnagpt.rna_qa.literature.llm.language_model import (
    LanguageModel,
    RequestFailed,
    TooLong,
)
from rnagpt.rna_qa.literature.records import Annotation, Claim, QaPair, Rna
from rnagpt.rna_qa.literature.text.plain_text import plain_text
from rnagpt.rna_qa.splits import fraction

# Rises when the same claims may give other questions.
VERSION = 2
FEWEST_WORDS, MOST_WORDS = 5, 40  # of an answer
# Two answers say the same where they share so much of the shorter one's words.
SAME = 0.75
# Claims that a language model is asked about at once.
MOST_AT_ONCE = 20


@dataclass(frozen=True)
class _Kind:
    """What claims of a category say, "@" being the RNA, and how one asks for it.

    `{of}` in a question is the context that the claim gives, " in gastric cancer", or nothing.
    """

    category: str
    pattern: re.Pattern[str]
    questions: tuple[str, ...]


def _kind(category: str, pattern: str, *questions: str) -> _Kind:
    return _Kind(category, re.compile(pattern, re.IGNORECASE | re.VERBOSE), questions)


_ACTS = (
    "accelerat|activat|affect|attenuat|block|control|decreas|downregulat|down-regulat|enhanc"
    "|facilitat|impair|increas|induc|inhibit|mediat|modulat|promot|reduc|regulat|repress|restor"
    "|revers|silenc|spong|stimulat|suppress|trigger|upregulat|up-regulat"
)
_BY = rf"(?:was|were|is|are|be|been)\s(?:\w+ly\s)?(?:{_ACTS}|bound|transcribed|methylated)\w*\sby\b"

# What an experiment does to the RNA tells what the RNA does, not how it is expressed.
_CHANGED = (
    "ectopic|enforced|exogenous|forced|induced|restor\\w+|transgenic|transfect\\w+|over-?express\\w+"
    "|knock-?down|silencing|depletion|deletion|inhibition|loss|mimics?|inhibitors?|antagomirs?"
)
_DOES = (
    rf"@(?:\s(?:expression|levels?))?(?:\s(?:\w+ly|also|could|can|may|directly))*"
    rf"\s(?:{_ACTS}|prohibit|sensiti[sz]|caus|prevent|arrest)\w*(?<!ing)\b(?!\s(?:by|in|expression)\b)"
    r"|@\s(?:is|was|as|acts\sas)\san?\s(?:\w+\s)?(?:tumou?r[\s-]suppress|onco)"
    rf"|(?:\b(?:{_CHANGED})\b[^,;]{{0,40}}@|@[^,;]{{0,25}}\b(?:{_CHANGED})\b)"
    rf"[^;]*\b(?:{_ACTS}|prohibit|sensiti[sz]|caus|prevent|arrest)\w*\b(?!\sby\b)"
)
_FUNCTION = (
    "What is the function of this RNA{of}?",
    "What does this RNA do{of}?",
    "Which role does this RNA play{of}?",
)

# The first kind whose pattern a claim matches is its own; the last one takes every claim.
_KINDS = (
    _kind(
        "variation",
        r"\b(?:polymorphisms?|SNPs?|rs\d{3,}|genotypes?|alleles?|haplotypes?|variants?)\b"
        r"|\bmutations?\s(?:in|of)\s(?:the\s)?@",
        "What is known about genetic variants of this RNA{of}?",
        "Do genetic variants of this RNA matter{of}?",
    ),
    _kind(
        "biogenesis",
        r"\b(?:drosha|dgcr8|dicer)\b|\bpr[ei]-@|\bmaturation\sof\s(?:\w+\s)?@"
        r"|\b(?:processing|biogenesis)\sof\s(?:\w+\s)?@|@\s(?:processing|biogenesis|maturation)"
        r"|\bhost\sgene\b|\b(?:encoded|transcribed|processed)\s(?:by|from|within|in)\b",
        "How is this RNA made?",
        "What is known about the biogenesis of this RNA{of}?",
    ),
    _kind(
        "treatment",
        r"\b(?:chemo|radio)?-?(?:resistan|sensiti[vz])\w+\b(?!\s(?:of\s\d|and\sspecificity))|\b\w*(?:platin|rubicin|taxel)\b"
        r"|\b(?:5-fluorouracil|5-FU|tamoxifen|gefitinib|chemotherap\w+|radiotherap\w+)\b",
        "How is this RNA linked to the response to treatment{of}?",
        "What does this RNA mean for treatment{of}?",
        "Does this RNA change the response to treatment{of}?",
    ),
    _kind(
        "biomarker",
        r"\b(?:bio-?markers?|markers?|prognos\w+|diagnos\w+|predict(?:s|ors?|ive)\b"
        r"|AUC|recurrence|relapse|distinguish\w*|discriminat\w+"
        r"|(?:overall|poor(?:er)?|short(?:er)?|long(?:er)?|patients?)\s(?:\w+\s)?survival"
        r"|survival\s(?:\w+\s)?(?:times?|rates?|of\spatients))\b",
        "What does the level of this RNA tell{about}?",
        "Is this RNA a biomarker{about}?",
        "What is the diagnostic or prognostic value of this RNA{of}?",
    ),
    _kind(
        "target",
        r"@\s(?:\w+\s){0,3}?(?:targets|targeted|targeting|binds|bound|binding)\b"
        r"|\btargets?\s(?:\w+\s){0,2}(?:of|for)\s@|\b(?:target(?:ed)?|bound)\s\w*\s?by\s@"
        r"|@(?:\s\w+){0,2}[\s-]target\w*|@\s(?:and|/)\s?\w+\saxis|\bby\s(?:\w+\s)?targeting\b"
        r"|\b3['′]?-?\s?UTR\b",
        "What does this RNA target{of}?",
        "Which targets of this RNA are known{of}?",
        "What does this RNA act on{of}?",
    ),
    _kind("function", _DOES, *_FUNCTION),
    _kind(
        "regulation",
        rf"\b(?:{_ACTS})\w*\s(?:the\s)?(?:expression\s(?:and\s\w+\s)?of\s|level\sof\s)?@"
        rf"|@\s(?:expression\s|levels?\s|transcription\s)?{_BY}|\bspong\w+|\bceRNA\b"
        r"|\bmethylation\b|\bpromoter\b|\bregulators?\sof\s@|\bfeedback\b",
        "What regulates this RNA{of}?",
        "How is this RNA regulated{of}?",
        "What is known about the regulation of this RNA{of}?",
    ),
    _kind(
        "localisation",
        r"\b(?:exosom\w+|extracellular\svesicles?|secreted|nucle(?:us|ar|olus)|cytoplasm\w*"
        r"|locali[sz]\w+|located|chromosom\w+|locus)\b",
        "Where is this RNA found{of}?",
        "What is known about the localisation of this RNA{of}?",
    ),
    _kind(
        "expression",
        r"\b(?:(?:up|down)-?\s?regulat\w+|over-?express\w+|express(?:ed|ion)|levels?|abundan\w+"
        r"|enriched|elevated|detected|differentially|deregulat\w+|dysregulat\w+)\b",
        "How is this RNA expressed{of}?",
        "What is known about the expression of this RNA{of}?",
        "How does the level of this RNA behave{of}?",
    ),
    _kind(
        "function",
        rf"@\s(?:\w+\s){{0,4}}?(?:{_ACTS}|act|contribut|function|play|serv)\w*"
        r"|\b(?:tumou?r[\s-]suppress\w+|onco(?:gen\w+|mir\w*)|roles?|functions?|involved\sin"
        rf"|(?:over-?expression|knock-?down|inhibition|loss|silencing)\sof\s@|(?:{_ACTS})\w*)\b",
        *_FUNCTION,
    ),
    _kind(
        "disease",
        r"\b(?:associat\w+|correlat\w+|linked|implicated|pathogenesis|progression|risk)\b",
        "How is this RNA linked to disease{of}?",
        "Which link between this RNA and disease is known{of}?",
    ),
    _kind(
        "summary",
        "",
        "What is known about this RNA{of}?",
        "Tell me about this RNA{of}.",
    ),
)

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
# Of these the word alone says too little.
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
    if model:
        return list(_distinct(_ask_by_model(rna, annotation.claims, model), rna.names))
    return list(_distinct(_ask_by_templates(rna, annotation.claims, seed), rna.names))


def _ask_by_model(rna: Rna, claims: Sequence[Claim], model: LanguageModel) -> list[QaPair]:
    parts = [claims[start : start + MOST_AT_ONCE] for start in range(0, len(claims), MOST_AT_ONCE)]
    written = apply_to_each(parts, lambda part: _questions_of(rna, part, model))
    return [pair for pairs in written for pair in pairs]


def _questions_of(rna: Rna, claims: Sequence[Claim], model: LanguageModel) -> list[QaPair]:
    """What the model asks of claims and answers, as far as it passes the checks."""
    try:
        answer = model.ask(prompts.ask_for_questions(rna.names, claims))
    except TooLong:
        if len(claims) == 1:
            return []
        middle = len(claims) // 2
        halves = (claims[:middle], claims[middle:])
        written = apply_to_each(halves, lambda half: _questions_of(rna, half, model))
        return [pair for pairs in written for pair in pairs]
    except RequestFailed:
        return []
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
    if not answer or len(question.split()) > MOST_WORDS or len(answer.split()) > MOST_WORDS:
        return None
    if leaked_phrase(question) or leaked_phrase(answer):
        return None
    source = f"{claim.text} {claim.quote}"
    if fault_of_statement(answer, source, source, rna.names):
        return None
    if fault_of_premise(question, source, rna.names):
        return None
    return QaPair(question, answer, written["category"], claim.papers, claim.quote)


def _unname(question: str, names: Sequence[str]) -> str:
    """The question with "this RNA" in place of its names, be they alone or behind a noun."""
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
    if not FEWEST_WORDS <= len(text.split()) <= MOST_WORDS or not names_rna(text, names):
        return None
    if text.endswith("?") or _LEANS.match(text) or _NO_FINDING.search(text) or leaked_phrase(text):
        return None
    return text


def _question_of(answer: str, rna: Rna, seed: int) -> tuple[str, str]:
    """The category of an answer, and a question for it."""
    masked = mask_names(answer, rna.names, "@")
    kind = next(kind for kind in _KINDS if kind.pattern.search(masked))
    disease = _disease_of(answer)
    if kind.category == "function" and not disease and (process := _PROCESS.search(answer)):
        return kind.category, f"How does this RNA affect {_in_lower_case(process[0])}?"
    wording = kind.questions[int(fraction(seed, rna.id, kind.category) * len(kind.questions))]
    of = f" in {disease}" if disease else ""
    about = f" about {disease or 'a patient'}"
    if wording.startswith("Is "):
        about = f" of {disease}" if disease else ""
    return kind.category, wording.format(of=of, about=about)


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


def _distinct(pairs: Iterable[QaPair], names: Sequence[str]) -> Iterator[QaPair]:
    """The pairs whose question was not asked and whose answer was not given before."""
    given: list[QaPair] = []
    for pair in pairs:
        if not any(
            _is_same_question(pair, other) or overlap(pair.answer, other.answer, names) >= SAME
            for other in given
        ):
            given.append(pair)
            yield pair


def _is_same_question(pair: QaPair, other: QaPair) -> bool:
    words, others = (set(re.findall(r"\w+", one.question.lower())) for one in (pair, other))
    return words == others


__all__ = ["ask"]
