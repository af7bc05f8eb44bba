"""Categories of questions about claims: what language models choose from, and their templates.

How to add a category: write its name into `CATEGORIES`, and a `Kind` with the pattern and the
wordings of its questions into `KINDS`, before the kinds whose patterns match the same claims.
`CATEGORIES` is part of the prompt for questions: raise `prompts.PROMPT_VERSION` (language models
are then asked again for all questions), and `question_generation.VERSION` for the templates.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# In the order in which a language model reads them. Templates ask for all but "method".
CATEGORIES = (
    "function",
    "target",
    "regulation",
    "expression",
    "disease",
    "biomarker",
    "treatment",
    "biogenesis",
    "localisation",
    "variation",
    "method",
    "summary",
)


@dataclass(frozen=True)
class Kind:
    """What claims of a category say, "@" being the RNA, and how one asks for it.

    `{of}` in a question is the context that the claim gives, " in gastric cancer", or nothing.
    """

    category: str
    pattern: re.Pattern[str]
    questions: tuple[str, ...]


def _kind(category: str, pattern: str, *questions: str) -> Kind:
    return Kind(category, re.compile(pattern, re.IGNORECASE | re.VERBOSE), questions)


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
    rf"|\b(?:lower|higher|fewer|less|more)\b[^;]*\btransfected\swith\s@"
)
_FUNCTION = (
    "What is the function of this RNA{of}?",
    "What does this RNA do{of}?",
    "Which role does this RNA play{of}?",
)

# The first kind whose pattern a claim matches is its own; the last one takes every claim.
KINDS = (
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
        r"\b(?:chemo|radio)?-?(?:resistan|sensiti[vz])\w+\b(?!\s(?:of\s\d|and\sspecificity)|[^.]{0,20}\bspecificity)|\b\w*(?:platin|rubicin|taxel)\b"
        r"|\b(?:5-fluorouracil|5-FU|tamoxifen|gefitinib|chemotherap\w+|radiotherap\w+)\b",
        "How is this RNA linked to the response to treatment{of}?",
        "What does this RNA mean for treatment{of}?",
        "Does this RNA change the response to treatment{of}?",
    ),
    _kind(
        "biomarker",
        r"\b(?:bio-?markers?|markers?|prognos\w+|diagnos\w+|predict(?:s|ors?|ive)\b"
        r"|AUC|(?-i:OS|DFS|PFS|RFS)|sensitivity\b[^.]{0,20}\bspecificity|distinguish\w*"
        r"|discriminat\w+|(?:recurrence|relapse)-?\s?(?:free|risk|rates?)"
        r"|(?:risk|time|times|free|associated|correlated)\s(?:\w+\s){0,2}(?:recurrence|relapse)"
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
        rf"\b(?:{_ACTS})(?:e?s|ing)\s(?:the\s)?(?:expression\s(?:and\s\w+\s)?of\s|level\sof\s)?@"
        rf"|@\s(?:expression\s|levels?\s|transcription\s)?{_BY}|\bspong\w+|\bceRNA\b"
        r"|\bmethylation\b|\bpromoter\b|\bregulators?\sof\s@|\bfeedback\b",
        "What regulates this RNA{of}?",
        "How is this RNA regulated{of}?",
        "What is known about the regulation of this RNA{of}?",
    ),
    _kind(
        "localisation",
        r"\b(?:exosom\w+|extracellular\svesicles?|secreted|nucle(?:us|ar|olus)|cytoplasm\w*"
        r"|(?<!tumor\s)(?<!tumour\s)locali[sz]\w+|located|chromosom\w+|locus)\b",
        "Where is this RNA found{of}?",
        "What is known about the localisation of this RNA{of}?",
    ),
    _kind(
        "expression",
        r"\b(?:(?:up|down)-?\s?regulat\w+|over-?express\w+|express(?:ed|ion)|levels?|abundan\w+"
        r"|enriched|elevated|detected|higher|lower|(?:in|de)creased?\sin|differentially|deregulat\w+|dysregulat\w+)\b",
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


__all__ = ["CATEGORIES", "KINDS", "Kind"]
