"""Sentences that stand without their paper: leads taken off, a disease added, others told apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rnagpt.rna_qa.literature.claims.slots import (
    abbreviations_of_diseases,
    disease_of_paper,
    needs_disease,
    wants_disease,
)
from rnagpt.rna_qa.literature.claims.validation import leaked_phrase

MIN_WORDS, MAX_WORDS = 5, 45
ITS_LENGTH = "its length"  # what `needs_its_paper` says of one outside of these

_CONNECTIVE = re.compile(
    r"(?:(?:accordingly|additionally|also|altogether|as a (?:result|consequence)|as expected"
    r"|besides"
    r"|briefly|by contrast|collectively|consequently|consistently|conversely|correspondingly"
    r"|finally|first(?:ly)?|for the first time|further|furthermore|hence|here|herein|however"
    r"|importantly|in addition|in brief|in conclusion|in contrast|in detail|in fact|in general"
    r"|in particular|in short|in summary|in this \w+|in turn"
    r"|in (?:the|our) (?:(?:present|current) )?\w+|indeed|instead|interestingly|intriguingly"
    r"|last(?:ly)?|likewise|meanwhile|mechanically|mechanistically|(?:more|most) importantly"
    r"|more specifically|moreover|nevertheless|next|notably|of (?:interest|note|importance)"
    r"|otherwise|on the (?:contrary|other hand)|overall|particularly|rather|reciprocally|remarkably"
    r"|second(?:ly)?|similarly|specifically|strikingly|subsequently|surprisingly|taken together"
    r"|then|therefore|third(?:ly)?|thus|to conclude|to summarize|to this end|together"
    r"|unexpectedly|and|but|what(?: i|['’])s more),\s+"
    r"|(?:here|in conclusion|in summary|taken together|therefore|thus|hence|furthermore|moreover"
    r"|additionally|then|subsequently|besides|in addition|and)\s+(?=\S))",
    re.IGNORECASE,
)
# A number, or a label that lost its colon.
_HEADING = re.compile(
    r"^(?:\(\d\)\s*)?(?:(?:Conclusions?|Results?|Findings?)\s+(?=(?:mi|let|lnc|circ|si)[A-Z-]))?"
)
# Group 1: the verb. What is shown is said plainly; what is suggested stays a suggestion.
_VERB = (
    r"(confirm|demonstrate|discover|establish|find|found|identif(?:y|ied)|note|observe|prove"
    r"|report|reveal|show|see|verif(?:y|ied)|conclude"
    r"|impl(?:y|ies|ied)|indicate|propose|provide evidence|speculate|suggest|support)"
    r"(?:e?[sdn])?"
)
_ADVERBS = (
    r"(?:\s+(?:\w+ly|also|further|here|herein|thus|therefore|first|have|has|then|next|could))*"
)
_EVIDENCE = (
    r"(?:analys[ie]s|assays?|curves?|data|evidence|experiments?|findings?|observations?|results?"
    r"|study|studies|work)"
)
_REPORT = re.compile(
    r"(?:we|it (?:is|was|has been)|(?:our|the|these|this|present|current|recent|previous)"
    rf"(?:\s+\w+){{0,2}}?(?:\s+and\s+\w+)?\s+{_EVIDENCE}(?:\s+presented(?:\s+here)?)?"
    # "Luciferase reporter assays", "qRT-PCR and Western blot analysis"
    rf"|(?!(?:there|although|while|since|as|in|on|by|from|with)\b)[\w/-]+(?:\s+[\w/-]+){{0,5}}?"
    rf"\s+{_EVIDENCE}|results?|data|findings|microarrays?|(?:\w+\s)?blot(?:s|ting)?"
    r"|(?:q|RT-|qRT-|real-time\s)+PCR)"
    r"(?:\s+\((?:[A-Za-z-]+)\))?"
    r"(?:\s+(?:of|from|in)\s+(?:this|the(?:\s+(?:present|current))?|our)\s+\w+)?"
    rf"{_ADVERBS}\s+{_VERB}(?:\s+for the first time)?,?\s+that\s+",
    re.IGNORECASE,
)
_SUGGESTS = re.compile(
    r"(?:impl|indicate|propose|provide|speculate|suggest|support)", re.IGNORECASE
)
# "over-expression" takes a capital, "let-7", "p53", "miR-21" and "c-Myc" do not.
_PLAIN_WORD = re.compile(r"[a-z]{2,}(?:-[a-z]+)*(?![A-Za-z0-9-])|a\b")

_NUMBERS = r"(?:two|three|four|five|six|seven|eight|nine|ten|\d+)"
_SETS = (
    r"(?:micro-?RNAs?|miRNAs?|miRs|genes?|groups?|cohorts?|panels?|signatures?|SNPs?|clusters?"
    r"|lncRNAs?|circRNAs?|sets?|members|proteins?|pathways?|variants?|polymorphisms?|candidates?"
    r"|networks?|classifiers?|modules?|matrices|loops?|molecules|markers|biomarkers|RNAs|cell"
    r" lines|strains)"
)
# What the sentence, or the abstract, before it is needed for.
_LEANS = re.compile(
    r"^both\b(?! \S+(?: \S+)? and\b)"
    r"|^(?:all|another|each|either|he|here|it|its|neither|one|other|others|she|such|that|their"
    r"|them|these|they|this|those|which|there (?:was|were) \d+"
    r"|the (?:former|latter|same|above|resulting))\b(?! of @)"
    r"|^[^A-Za-z0-9(]|^of (?:these|those|them|the)\b|^in (?:this|these|our)\b"
    r"|^(?:but|or|so|to|by|using|with (?:this|these)|through (?:this|these))\b"
    r"|^(?:\w+\s){0,2}others?\s|\bthe two groups\b|^\d+(?:/|\sof\s)\d+\s(?:was|were)\b"
    r"|\bthis (?:test|assay|method|approach|score|index)\b"
    rf"|^{_NUMBERS} (?:micro-?RNAs|miRNAs) were (?:up|down)-?regulated:"
    rf"|\b(?:the|all(?: the)?|both|these|those|out"
    rf" of)\s(?:\w+\s){{0,2}}{_NUMBERS}\s(?:\S+\s){{0,3}}{_SETS}\b"
    r"(?!\s?[(:])"
    rf"|\bthe (?:first|second|third|last|other|above|remaining|resulting|selected|former|latter)\s"
    rf"(?:\w+\s)?{_SETS}\b"
    rf"|\b(?:this|these|those|such|aforementioned|above-?mentioned)\s(?:\S+\s){{0,2}}{_SETS}\b"
    r"|\bthe (?:differentially expressed|observed|resulting|resultant|aforementioned|above)\b"
    r"|\b(?:training|discovery|initial|independent|validation|test(?:ing)?|replication|screening|verification)\s"
    r"(?:cohort|set|phase|stage|group)s?\b"
    r"|\bthe (?:\w+ )?(?:miRNAs?|microRNAs?|panel|signature|network|classifier|SNPs?|polymorphisms?"
    r"|candidates|markers)(?=[.,;]| (?:is|was|were|are|had|have|could|may|among)\b)"
    r"|\bboth (?:\w+ )?(?:methods|cohorts|groups|datasets|analyses|phases|sets|cell lines)\b(?!"
    r" [A-Z(])"
    r"|\bthe (?:model|normal|experimental|sham|mimic|inhibitor) group\b|\bthe in vitro data\b"
    r"|\bthe \w+ cell line\b(?! [A-Z(])"
    r"|^in the (?:\S+ ){0,3}(?:experiments?|arrays?|modules?)\b|\bbetween [A-Z]{1,3} and"
    r" [A-Z]{1,3}\b"
    r"|^(?:while|whereas)\b[^,]*(?:\.|, and\b[^,]*\.)$|^after validation|\bamong above\b"
    r"|\babove\b(?! (?:\d|the ))|\bthose patients\b|\bthe \w+ and \w+ groups\b"
    r"|\b(?:was|were) (?:the |an)?other\b|\b(?:of|among|between) these\b"
    # Nowhere in particular: "miR-614 was most differentially expressed."
    r"|^(?:(?! (?:in|of|by|during|between|among|with|from|on|at|after|upon) ).)*"
    r"(?:expressed|altered|changed|regulated|increased|decreased|reduced|elevated|lower|higher)\.?$"
    r"|\bthe luciferase reporter\b|\b(?:similar|opposite|same) (?:effects?|results?)\b"
    r"|\bselected (?:miRNAs?|microRNAs?|candidates?|genes?)\b|\bthe majority of\b"
    r"|\b(?:blank|scramble[d]?) (?:control )?groups?\b|\bthe control (?:and|group and)\b",
    re.IGNORECASE,
)
# Plans, methods and gaps are no findings.
_NO_FINDING = re.compile(
    r"\b(?:few data|aim(?:s|ed)? (?:to|at|was|is)|aim of|objectives?|purpose|hypothes\w+|whether"
    r"|sought|little is known|unknown|unclear|elusive|to be (?:elucidated|determined|clarified)"
    r"|remain(?:s|ed)? (?:\w+ ){0,3}(?:to|poorly|undefined|uncertain|controversial|limited|unclear"
    r"|unexplored|undetermined)|not fully|poorly (?:understood|defined|known)"
    r"|(?:less|little|limited|few) (?:research|studies|information|evidence|work)"
    r"|not been (?:\w+ly )?(?:studied|investigated|explored|elucidated|reported|described"
    r"|documented|determined|clarified"
    r"|addressed)"
    r"|(?:was|were|been|is|are) (?:\w+ly |also |then |further |first )?(?:performed|conducted"
    r"|measured|examined|investigated|analy[sz]ed|assessed|evaluated|determined|quantified|discussed|reviewed|summari[sz]ed"
    r"|transfected|collected|used|utilized|employed|carried out|studied|recruited|enrolled"
    r"|constructed"
    r"|obtained|selected|genotyped|sequenced|screened|tested|chosen|compared(?! to)|subjected"
    r"|divided|isolated|extracted"
    r"|(?:validated|confirmed|verified)(?! as| to be|\.| that| in))"
    r"|(?:validated|confirmed|verified) (?:by|in|using|with) (?:\w+ )?(?:qRT|RT-|qPCR|PCR"
    r"|real-time)"
    r"|(?:further|future|more|additional) (?:studies|research|investigations?) (?:is|are|will"
    r"|should"
    r"|needed|elucidating|on|of|to)|excluded from|inconsistent|conflicting|controversial"
    r"|contradictory|novel insights?|shed light|better understanding"
    r"|need(?:s|ed)? to be|yet to be|trends? (?:of|to|towards?)|as an example|for example)\b"
    r"|\b(?:was|were) (?:\w+ly )?(?:detected|determined|validated|confirmed)(?: \([^()]*\))?\.?$"
    r"|^(?:explore|investigate|determine|evaluate|assess|examine|study)\b"
    r"|^(?:[^,]*\b(?:searched|calculated|developed a|designed)\b)",
    re.IGNORECASE,
)
# "To learn its role, …": what was done; "To our knowledge" and "to date" say something.
_PREPARES = re.compile(
    r"(?:[\w ]+, )?(?:(?:in order )?to (?!our\b|date\b|a\b|the\b)\w+|using|by (?:means|use) of)\b",
    re.IGNORECASE,
)
# What was not named before: "in these tissues", but "in melanoma cells … in these cells".
_THESE = re.compile(
    r"\b(?:these|those|this)\s(?:\w+\s)?(?P<noun>tissue|cell|sample|individual|animal|mouse|mice"
    r"|line|condition|factor)s?\b",
    re.IGNORECASE,
)
_RESPONDERS = re.compile(r"\b(?:non-?)?respon(?:ders?|ding patients)\b", re.IGNORECASE)
_TREATMENT = re.compile(
    r"therap|treat|platin|rubicin|taxel|\w+nib\b|\w+mab\b|fluorouracil|5-FU|gemcitabine|CRT\b"
    r"|radiation|irradiat|interferon|vaccin",
    re.IGNORECASE,
)


def tidy(sentence: str) -> str:
    """A sentence (without label) as a statement of its own.

    "Moreover, we found that miR-21 binds." becomes "miR-21 binds."; what was only suggested stays
    so: "These data suggest that it binds." becomes "Evidence suggests that it binds.".
    """
    text = _without_connective(_HEADING.sub("", " ".join(sentence.split())))
    if match := _REPORT.match(text):
        text = _without_connective(text[match.end() :])
        if _SUGGESTS.match(match[1]):
            text = f"Evidence suggests that {text}"
        elif " and that " in text:
            text = f"Evidence shows that {text}"
    if _PLAIN_WORD.match(text):
        text = text[0].upper() + text[1:]
    return text if text.endswith((".", "!", "?", '"', "”")) else f"{text}."


def _without_connective(text: str) -> str:
    while match := _CONNECTIVE.match(text):
        text = text[match.end() :]
    return text


@dataclass(frozen=True)
class Context:
    """What a paper says once for all its sentences.

    Attributes:
        disease: the one that it is about; None where it is about several, or none.
        abbreviations: of diseases, with what they stand for.
    """

    disease: str | None = None
    abbreviations: Mapping[str, str] = field(default_factory=dict)


def context_of(title: str, abstract: str) -> Context:
    """The context of a paper's sentences."""
    abbreviations = abbreviations_of_diseases(f"{title} {abstract}")
    return Context(disease_of_paper(_spelled_out(title, abbreviations), abstract), abbreviations)


def stand_alone(sentence: str, context: Context, names: Callable[[str], bool]) -> str | None:
    """A sentence as a statement that needs no paper beside it; None where it cannot be one.

    What is said of patients or tumours has its disease behind it in brackets, where the sentence
    leaves it to its paper: "… had shorter survival (colorectal cancer)." A disease's abbreviation
    that the paper gave it is written out.

    Args:
        names: Whether a text names the RNA.
    """
    text = _spelled_out(tidy(sentence), context.abbreviations)
    if needs_its_paper(text) or not names(text):
        return None
    if context.disease and (needs_disease(text) or wants_disease(text)):
        return f"{text.rstrip('.')} ({context.disease})."
    return None if needs_disease(text) else text


def _spelled_out(text: str, abbreviations: Mapping[str, str]) -> str:
    """The text with the first of each abbreviation behind what it stands for."""
    for short, whole in abbreviations.items():
        if whole in text.lower() or f"({short}" in text:
            continue
        text = re.sub(rf"(?<![\w-]){short}(?![\w-]|\d)", f"{whole} ({short})", text, count=1)
    return text[:1].upper() + text[1:] if _PLAIN_WORD.match(text) else text


def needs_its_paper(text: str) -> str | None:
    """The words by which a text leans on its paper, or says no finding; None where it stands."""
    plain = text.removeprefix("Evidence suggests that ").removeprefix("Evidence shows that ")
    if not MIN_WORDS <= len(text.split()) <= MAX_WORDS:
        return ITS_LENGTH
    if text.endswith("?"):
        return "?"
    if leaked := leaked_phrase(plain):
        return leaked
    for pattern in (_LEANS, _NO_FINDING):
        if found := pattern.search(plain):
            return found[0] or "its beginning"
    if found := _PREPARES.match(plain):
        return found[0]
    for found in _THESE.finditer(plain):
        if found["noun"].lower() not in plain[: found.start()].lower():
            return found[0]
    if (found := _RESPONDERS.search(plain)) and not _TREATMENT.search(plain):
        return found[0]
    return None


_SUGGESTED = re.compile(
    r"\b(?:evidence suggests|suggest(?:s|ed|ing)?|may|might|likely|possibl[ey]|potential(?:ly)?"
    r"|putative"
    r"|predicted|promising|hypothe\w+|proposed?)\b",
    re.IGNORECASE,
)


def is_suggested(text: str) -> bool:
    """Whether a claim says, by its words, that something is supposed or potential, not shown."""
    return _SUGGESTED.search(text) is not None


__all__ = ["Context", "context_of", "is_suggested", "needs_its_paper", "stand_alone", "tidy"]
