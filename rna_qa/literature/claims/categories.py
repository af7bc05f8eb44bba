"""Categories of questions about claims: what language models choose from, and their templates.

How to add a category: write its name into `CATEGORIES`, and a `Kind` with what its claims say and
the wordings of its questions into `KINDS`, before the kinds that the same claims are of.
`CATEGORIES` is part of the prompt for questions: raise `prompts.PROMPT_VERSION` (language models
are then asked again for all questions), and `question_generation.VERSION` for the templates.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from rnagpt.rna_qa.literature.claims.telling import (
    ACTS,
    AND,
    LEVEL,
    PLACES,
    acts,
    acts_on_a_process,
    acts_on_a_target,
    both,
    is_associated,
    is_changed,
    is_changed_by_another,
    is_changed_by_hand,
    is_clinical,
    matches,
    names_a_gene,
    no,
    speaks_of_association,
    tells_a_level,
    tells_a_marker,
    tells_a_regulator,
    tells_a_rescue,
    tells_a_target,
    works_by_changing_it,
)

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
    """What claims of a category say, and how one asks for it.

    In a question, `{of}` is the disease that the claim names, " in gastric cancer", or nothing;
    `{gene}`, `{process}`, `{drug}`, `{specimen}` and `{outcome}` are what it names beside the RNA
    (`slots`): a question that has one is asked where the claim names such a thing.

    Attributes:
        is_told: whether a claim is of this kind; the RNA's names in it are "@".
    """

    category: str
    is_told: Callable[[str], bool]
    questions: tuple[str, ...]


def _kind(category: str, is_told: Callable[[str], bool], *questions: str) -> Kind:
    return Kind(category, is_told, questions)


_FUNCTION = (
    "What is the function of this RNA{of}?",
    "What does this RNA do{of}?",
    "Which role does this RNA play{of}?",
    "How does this RNA affect {process}{of}?",
)
_EXPRESSION = (
    "How is this RNA expressed{of}?",
    "What is known about the expression of this RNA{of}?",
    "How does the level of this RNA behave{of}?",
    "How is this RNA expressed in {specimen}{of}?",
    "How does the expression of this RNA relate to {gene}{of}?",
    "How does the expression of this RNA relate to {outcome}{of}?",
)
_REGULATION = (
    "What regulates this RNA{of}?",
    "How is this RNA regulated{of}?",
    "What is known about the regulation of this RNA{of}?",
    "How does {gene} affect this RNA{of}?",
    "How does {drug} affect this RNA{of}?",
    "Which regulator of this RNA affects {process}{of}?",
)
_TARGET = (
    "What does this RNA target{of}?",
    "Which targets of this RNA are known{of}?",
    "What does this RNA act on{of}?",
    "How does this RNA act on {gene}{of}?",
    "By which target does this RNA affect {process}{of}?",
)
# The first kind that a claim is of is its own; the last one takes every claim.
KINDS = (
    _kind(
        "variation",
        both(
            matches(
                r"@[^.;,]{0,25}\b(?:rs\d{3,}|polymorphisms?|SNPs?|variants?|alleles?|genotypes?"
                r"|mutations?|haplotypes?)\b",
                r"\b(?:polymorphisms?|SNPs?|variants?|rs\d{3,}|mutations?|genotypes?|alleles?)\b"
                r"(?:\s(?!(?:was|were|is|are|associated|with)\b)\S+){0,6}?\s(?:in|of|within|at)\s(?:the\s)?(?:pre-|pri-|mature\s)?(?:\S*/)?@",
                r"\brs\d{3,}\s\(?@",
            ),
            no(
                matches(
                    r"\b(?:target|binding)\ssites?\b|\bbinding\s(?:of|to)\b"
                    r"|\b(?:creat|disrupt|disturb|abolish|alter)\w*\s(?:\w+\s){0,4}@"
                )
            ),
        ),
        "What is known about genetic variants of this RNA{of}?",
        "Do genetic variants of this RNA matter{of}?",
        "What do variants of this RNA mean for {outcome}{of}?",
        "What is known about {gene}, a variant of this RNA{of}?",
    ),
    _kind(
        "target",  # a variant in what the RNA binds
        matches(
            r"\b(?:polymorphisms?|SNPs?|variants?|rs\d{3,}\w*|mutations?|alleles?|genotypes?)\b[^.;]*"
            r"\b(?:target|binding|bind)\w*\b|\bregulatory\srole\sof\s@|\bregulation\sof\s@\son\b"
        ),
        "How do genetic variants change what this RNA targets{of}?",
        "Which variant changes the binding of this RNA to {gene}{of}?",
    ),
    _kind(
        "biogenesis",
        matches(
            r"\b(?:drosha|dgcr8|dicer)\b[^.;]{0,80}@|@[^.;]{0,80}\b(?:drosha|dgcr8|dicer)\b"
            r"|\bmaturation\sof\s(?:\w+\s)?@|\b(?:processing|biogenesis)\sof\s(?:\w+\s)?@"
            r"|@\s(?:processing|biogenesis|maturation)|@[^.;]{0,30}\b(?:its|their)\shost\sgenes?\b"
            r"|@[^.;]{0,40}\b(?:encoded|transcribed|processed)\s(?:by|from|within)\b"
        ),
        "How is this RNA made?",
        "What is known about the biogenesis of this RNA{of}?",
        "What has {gene} to do with the making of this RNA{of}?",
    ),
    _kind("regulation", is_changed_by_another, *_REGULATION),
    _kind(
        "regulation",  # what changes the RNA's level, and by that something else
        both(works_by_changing_it, no(matches(r"^(?:[\w-]+\s){0,3}@"))),
        *_REGULATION,
    ),
    _kind(
        "treatment",
        both(
            matches(
                r"\b(?:chemo|radio|drug|multidrug)?-?(?:resistan|sensiti[vsz])\w+\b"
                r"(?!\s(?:of\s\d|and\sspecificity)|[^.]{0,20}\bspecificity|\s(?:\w+\s){0,3}(?:bio)?marker"
                r"|\s(?:\w+\s){0,2}(?:diagnos|detect|method|assay|tool)\w*)"
                r"|\bnon-?respond|\bresponders?\b"
                r"|\b(?:response|responsive\w*|respond\w*)\s(?:to|of)\b|\b\w*(?:platin|rubicin|taxel)\b"
                r"|(?<!/)\b(?:5-?fluorouracil|5-?FU|tamoxifen|\w{3,}nib|\w{3,}mab|gemcitabine|(?<!/)DOX)\b"
                r"|\b(?:chemo|radio|chemoradio|immuno)therap\w+\b"
            ),
            no(
                matches(
                    r"\bsurvival\b|\bprognos\w+|\bAUC\b|\bspecificity\b|\bbiomarkers?\sof\b"
                    r"|\bpredict\w*\s(?:\w+\s)?outcomes?\b"
                )
            ),
            no(matches(r"\binduced\s(?:by|in)\b[^.;]{0,30}(?:nib|mab)\b|-induced\b")),
        ),
        "How is this RNA linked to treatment{of}?",
        "What does this RNA mean for treatment{of}?",
        "How is this RNA linked to the response to {drug}{of}?",
        "What does this RNA mean for treatment by way of {gene}{of}?",
    ),
    _kind(
        "expression",
        both(
            matches(
                r"\b(?:show\w*|exhibit\w*|display\w*|had|reveal\w*|present\w*|with)\s(?:\w+\s){0,2}"
                r"(?:up-?regulated|down-?regulated|high|low|higher|lower|increased|decreased|reduced"
                r"|elevated|overexpressed)\s(?:expressions?\sof\s|levels?\sof\s)?@"
            ),
            no(is_changed_by_hand),
            no(tells_a_marker),
            no(speaks_of_association),
        ),
        *_EXPRESSION,
    ),
    _kind(
        "target",
        both(tells_a_rescue, names_a_gene),
        "Which gene undoes what this RNA does{of}?",
        "What has {gene} to do with the effects of this RNA{of}?",
        "What counteracts the effect of this RNA on {process}{of}?",
    ),
    _kind("function", acts_on_a_process, *_FUNCTION),
    _kind(
        "function",
        both(is_changed_by_hand, acts, no(acts_on_a_target), no(both(is_associated, is_clinical))),
        *_FUNCTION,
    ),
    _kind(
        "function",
        both(is_changed, acts, no(acts_on_a_target), no(speaks_of_association)),
        *_FUNCTION,
    ),
    _kind(
        "regulation",
        both(
            tells_a_regulator,
            no(matches(r"^(?:[\w-]+\s){0,2}@\s(?:directly\s)?(?:targets|suppress|inhibit)")),
        ),
        *_REGULATION,
    ),
    _kind(
        "expression",
        both(
            matches(
                r"\b(?:invers|convers|negativ|positiv|reciproc)\w*\s(?:\w+\s){0,2}(?:correlat|associat|relat)"
                r"\w+\s(?:with|to)\s(?:the\s)?(?:\S+\s){0,4}@"
                r"|@[^.;]{0,80}\b(?:invers|convers|negativ|positiv|reciproc)\w*\s(?:correlat|associat|relat)"
                r"\w+\s(?:with|to)\s(?:the\s)?(?:\w+\s){0,4}(?-i:(?!TNM|OS|DFS|PFS|CEA)[A-Z]\w*[A-Z0-9])"
                r"|\b(?:invers|convers|negativ|positiv|reciproc)\w*\s(?:\w+\s)?(?:correlation|association"
                r"|relation\w*)\s(?:\w+\s){0,3}between\b[^.;]*@"
            ),
            names_a_gene,
            no(matches(r"\bsurvival\b|\bprognos\w+|\boutcomes?\b")),
        ),
        "How is the level of this RNA related to that of {gene}{of}?",
    ),
    _kind("target", matches(r"\b(?:direct|functional)\stargets?\s(?:genes?\s)?of\s@"), *_TARGET),
    _kind(
        "biomarker",
        both(
            tells_a_marker,
            no(matches(r"\b(?:lncRNA|circRNA)\b")),
            no(both(is_changed_by_hand, acts, no(is_clinical))),
        ),
        "What does the level of this RNA tell{about}?",
        "Is this RNA a biomarker{about}?",
        "What is the diagnostic or prognostic value of this RNA{of}?",
        "What does this RNA tell about {outcome}{of}?",
        "What does this RNA in {specimen} tell{about}?",
    ),
    _kind(
        "target",
        matches(
            r"@\s(?:\w+\s){0,3}?(?:targets|targeted|targeting|binds|bound|binding)\b"
            r"|\btargets?\s(?:\w+\s){0,2}(?:of|for)\s@|\b(?:target(?:ed)?|bound|regulated|repressed"
            r"|suppressed|inhibited)\s(?:\w+\s){0,3}by\s@|@(?:\s\w+){0,2}[\s-]target\w*"
            r"|\bby\s(?:\w+\s)?targeting\b|\btarget\sprediction|\b3['′]?-?\s?(?:UTR|untranslated)\b|\bdirect\starget\b"
        ),
        *_TARGET,
    ),
    _kind("target", tells_a_target, *_TARGET),
    _kind(
        "regulation",
        matches(
            rf"\b{ACTS}(?:e?s|ing)\s(?:the\s)?(?:expression\s(?:and\s\w+\s)?of\s|levels?\sof\s)?@"
            rf"|@{LEVEL}\s(?:\w+\s){{0,3}}{ACTS}\w*ed\s(?:\w+\s)?"
            rf"(?:by|after|upon|following|in\sresponse)\b|\bspong\w+|\bceRNAs?\b|\bmethylat\w+"
            r"|^[A-Z][\w-]*(?:\s\w+ly)?\s(?:up-?regulated|down-?regulated|increased|decreased|reduced)\s"
            r"(?:the\s)?(?:expression|levels?)\sof\s(?:\S*/)?@"
            r"|\b(?:down|up)-?regulation\sof\s[^.;]{0,50}@[^.;]{0,40}\sby\b"
            r"|(?<!showed)(?<!with)(?<!had)\s(?:suppress|inhibit|induc|promot|repress)ed\s(?:the\s)?"
            r"(?:expression|levels?)\sof\s@"
            rf"|\bpromoter\b|\bregulators?\sof\s@|\bfeedback\b|-induced\s@|-induced\.?$|-induced\s(?:\w+\s)?(?:inhibition|suppression|expression"
            r"|activation|\w*regulation)\sof\s@"
            r"|\b(?:epigenetic|transcriptional)\w*\s(?:silencing|repression|activation|regulation)\sof\s@"
            r"|\b(?:after|upon|following)\s(?:\w+\s)?(?:treatment|exposure|stimulation)\b"
            r"|\bwith\s\S+\streatment\b|\btreatments?\s(?:\w+\s){0,2}(?:induc|increas|decreas|reduc"
            r"|suppress|up-?regulat|down-?regulat)\w*[^.;]{0,60}@"
            r"|^(?:down-?regulation|up-?regulation|knockdown|over-?expression|silencing)\sof\s[^@]*"
            r"\band\s(?:increased|decreased|reduced|elevated|suppressed)\s@(?:\s\(@\))?\sexpression"
            r"|\b(?:leads?|led|result\w*)\s(?:to|in)\s(?:\w+\s){0,2}(?:reduced|increased|decreased"
            r"|elevated|lower|higher|up\w*|down\w*)\s[^.;]{0,60}@"
        ),
        *_REGULATION,
    ),
    _kind(
        "expression",
        both(
            matches(
                r"\b(?:correlat|associat|relat)\w+\s(?:with|to|between)\s[^.;]{0,60}@",
                r"@[^.;]{0,80}\b(?:correlat|associat|relat)\w+\s(?:with|to)\s[^.;]{0,40}(?-i:[A-Z]\w*[A-Z0-9])",
                r"\b(?:correlation|relationship|relation)s?\s(?:\w+\s){0,3}between\b[^.;]*@",
                r"@[^.;]{0,60}\b(?:were|was|are|is)\s(?:\w+ly\s)?correlated\b",
            ),
            names_a_gene,
            no(matches(r"\bpathways?\b")),
            no(
                matches(
                    r"\b(?:through|via|by)\s(?:the\s)?(?:regulat|target|modulat|inhibit|suppress)"
                )
            ),
            no(
                both(is_clinical, no(matches(r"@\s(?:expression\s)?(?:were|was)\scorrelated\sand")))
            ),
        ),
        "How is the level of this RNA related to that of {gene}{of}?",
    ),
    _kind(
        "biomarker",
        both(speaks_of_association, is_clinical, tells_a_level),
        "What does the level of this RNA tell about {outcome}{of}?",
        "With what is the level of this RNA associated{of}?",
    ),
    _kind(
        "function",
        matches(
            rf"@{AND}{LEVEL}(?:\s(?:\w+ly|also|could|can|may|might))*\s{ACTS}(?:e|e?s|e?d|ed|ts?|ted)?\b"
            r"(?=\s[\w(])(?!\s(?:\w+ly\s)?(?:by|in|expression(?!\sof)|levels?(?!\sof)|after|following"
            r"|upon|during|with|and|or|while|whereas|compared|from|at|among|between|to)\b)",
            r"@{AND}\sdid\snot\s\w+\b|\b(?:is|are|as|be|was|were)\s(?:an?\s|the\s)?(?:\w+\s){0,2}regulators?\b"
            r"|\b(?:critical|essential|necessary|required|crucial|indispensable)\sfor\b".replace(
                "{AND}", AND
            ),
            r"\b(?:had|has|have|with)\sno\s(?:\w+\s)?(?:effect|impact|influence)\son\b",
            r"@\s(?:is|was|as|acts?\sas|acted\sas|functions?\sas|functioned\sas|serves?\sas)\san?\s"
            r"(?:\w+\s){0,2}(?:tumou?r[\s-]suppress|onco|regulat|mediat)",
            r"@[^.;]{0,40}\b(?:plays?|played|playing|exerts?|has)\s(?:\w+\s){0,4}(?:roles?|functions?"
            r"|effects?)\b|@[^.;]{0,60}\binvolved\sin\b|\broles?\sof\s@|\bfunctions?\sof\s@",
        ),
        *_FUNCTION,
    ),
    _kind(
        "treatment",
        matches(r"\btherap(?:y|ies|eutics?)\b|\btherapeutic\w*|\btreatments?\b"),
        "Might this RNA serve in treatment{of}?",
        "What does this RNA mean for therapy{of}?",
        "What has {gene} to do with therapy by way of this RNA{of}?",
    ),
    _kind(
        "localisation",
        both(
            matches(rf"@[^.;]{{0,80}}\b{PLACES}|\b{PLACES}[^.;]{{0,50}}@"),
            no(
                matches(
                    r"\b(?:up|down)-?regulat|\bexpression\b|\bamplifi|\bhigher\b|\blower\b|(?:in|de)crease|reduced|elevated"
                )
            ),
        ),
        "Where is this RNA found{of}?",
        "What is known about the localisation of this RNA{of}?",
        "What is known about this RNA and {specimen}{of}?",
    ),
    _kind(
        "function",
        both(
            no(
                matches(
                    r"\b(?:was|were|is|are|been)\s(?:\w+ly\s)?(?:(?:in|de)creased|reduced|enhanced|induced)\b"
                )
            ),
            matches(
                r"\b(?:promot|suppress|inhibit|inactivat|induc|reduc|decreas|increas|enhanc)(?:e?s|e?d|ed|ing)\s"
                r"(?:\S+\s){0,3}(?:proliferation|apoptosis|invasion|migration|growth|EMT|metastasis"
                r"|viability|angiogenesis|differentiation|senescence)\b"
            ),
        ),
        *_FUNCTION,
    ),
    _kind(
        "expression",
        tells_a_level,
        *_EXPRESSION,
    ),
    _kind(
        "function",
        matches(
            rf"\b(?:tumou?r[\s-]suppress\w+|onco(?:gen\w+|mir\w*)|roles?|functions?|involved\sin|pathways?"
            rf"|{ACTS}\w*)\b"
        ),
        *_FUNCTION,
    ),
    _kind(
        "disease",
        matches(r"\b(?:associat\w+|correlat\w+|linked|implicated|pathogenesis|progression|risk)\b"),
        "How is this RNA linked to disease{of}?",
        "Which link between this RNA and disease is known{of}?",
    ),
    _kind(
        "summary",
        lambda claim: True,
        "What is known about this RNA{of}?",
        "Tell me about this RNA{of}.",
    ),
)
# Asked where all questions of its kind are taken, of what the claim names beside the RNA.
LAST_RESORT = (
    "What is known about this RNA and {gene}{of}?",
    "What has this RNA to do with {process}{of}?",
    "What is known about this RNA and {drug}{of}?",
    "What is known about this RNA and {outcome}{of}?",
    "What is known about this RNA in {specimen}{of}?",
)


# "Up regulated" and "over expressed" are one word each.
_APART = re.compile(r"\b(up|down|over|under)\s(regulat|express)", re.IGNORECASE)


def kind_of(masked: str) -> Kind:
    """What a claim tells, "@" being its RNA."""
    text = _APART.sub(r"\1\2", masked)
    return next(kind for kind in KINDS if kind.is_told(text))


__all__ = ["CATEGORIES", "KINDS", "LAST_RESORT", "Kind", "kind_of"]
