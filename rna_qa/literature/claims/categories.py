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

from rnagpt.evidence.relations import tells_regulators, tells_targets
from rnagpt.rna_qa.literature.claims.slots import genes

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


_TARGET_WORDS = re.compile(
    r"\btarget|\bUTR\b|untranslated|\bregulat|signal|pathway|\bmRNA\b", re.IGNORECASE
)


def _kind(category: str, is_told: Callable[[str], bool], *questions: str) -> Kind:
    return Kind(category, is_told, questions)


def _matches(*patterns: str) -> Callable[[str], bool]:
    """A function that tells whether one of the patterns is found in a claim."""
    compiled = re.compile("|".join(patterns), re.IGNORECASE | re.VERBOSE)
    return lambda claim: compiled.search(claim) is not None


def _both(*told: Callable[[str], bool]) -> Callable[[str], bool]:
    return lambda claim: all(one(claim) for one in told)


def _no(told: Callable[[str], bool]) -> Callable[[str], bool]:
    return lambda claim: not told(claim)


def _tells_targets(claim: str) -> bool:
    """Cell lines are no targets: "@ inhibited SW620 cell proliferation" tells of none."""
    return tells_targets(claim, ("@",)) and bool(genes(claim) or _TARGET_WORDS.search(claim))


def _acts_on(claim: str) -> bool:
    return _tells_targets(claim) or _targeting(claim)


def _tells_regulators(claim: str) -> bool:
    return tells_regulators(claim, ("@",))


_ACTS = (
    r"(?:accelerat|activat|affect|attenuat|block|control|decreas|down-?regulat|enhanc|facilitat"
    r"|impair|increas|induc|inhibit|mediat|modulat|promot|reduc|regulat|repress|restor|revers"
    r"|silenc|stimulat|suppress|trigger|up-?regulat|prohibit|sensiti[sz]|caus|prevent|arrest"
    r"|abolish|abrogat|alleviat|ameliorat|antagoni[sz]|augment|counteract|diminish|eliminat"
    r"|blunt|curb|curtail|dampen|impede|restrain|halt|delay|exacerbat|hinder|improv|limit|neutrali[sz]|potentiat|rescu|retard|weaken|contribut|protect"
    r"|inactivat|result|led\b|lead|elicit|elevat|lower|rais)"
)
# What an experiment does to an RNA; the second ones are states of patients as well.
_MADE = (
    r"(?:(?:adeno|lenti)?vir\w+|ectopic(?:ally)?|enforced|exogenous(?:ly)?|forced|over-?express(?:ion|ions|ing)|cells\swith\soverexpressed"
    r"|re-?express\w*|restor\w+|introduc\w+|transfect\w+|transduc\w+|knock-?(?:down|out|ing\sdown)"
    r"|knocked-?\s?(?:down|out)|silencing|mimics?|inhibitors?|antago-?mi[rR]s?|antisense"
    r"|anti-?miRs?|transgenic|administration|treatment\swith|deliver\w+|delet\w+|gain-?of-?function"
    r"|loss-?of-?function|deplet\w+|antagonism)"
)
_LOST = (
    r"(?:inhibition|suppression|(?:down|up)-?regulation|downregulating|upregulating|increasing"
    r"|inhibiting|loss|lack|absence|blockade|blocking|repression|increased\sexpression"
    r"|upregulated\sexpression|elevat(?:ing|ion)|stable\sexpression|enhancing|raising|suppressing"
    r"|reducing|lowering)"
)
_FILLERS = (
    r"(?:\s(?:of|with|by|the|a|an|either|both|precursor|mature|endogenous|synthetic|exogenous|non-?coding"
    r"|stable|expression|levels?|activity|and|\w*viral|oligonucleotides?|mimics?|inhibitors?|for"
    r"|expressing|into|using|against|to|agomi[rR]|antagomi[rR]s?))*"
    r"(?:\s(?:[a-z]{3}-)?(?:miR|let)-?\w+(?:-[35]p)?(?:\s(?:and|or)|,|/))*[\s/-]@"
)
_LEVEL = r"(?:\s(?:expressions?|levels?|activity))?"
_AND = r"(?:(?:,|,?\sand|\sor|/)\s?[\w-]+){0,3}"
_CHANGED = (
    rf"\b{_MADE}{_FILLERS}|@{_AND}{_LEVEL}[\s-](?:\w+[\s-])?{_MADE}|@-(?:\w+ing|\w+ed|deficient|null)\b"
    r"|\btransfected\swith\s\S*@|\bwhen\s@\s(?:was|were)\s(?:over-?expressed|inhibited|silenced|knocked)"
)
_WEAKLY_CHANGED = (
    rf"(?:^|[,;]\s(?:(?:and|whereas|while|but|or)\s)?|\b(?:that|and|whereas|while|by|after|upon"
    rf"|following|when)\s)(?:the\s)?{_LOST}{_FILLERS}"
    rf"|(?:^|[,;]\s(?:\w+\s)?|\b(?:that|following|after|upon|by|through|with)\s)@\s(?:{_LOST}|suppression)\b"
)
_acts = _matches(
    rf"\b{_ACTS}(?:e|es|ed|s|d|ing|ted|ting|ts)?\b",
    r"\b(?:fewer|less|more|lower|higher|greater)\s(?:\w+\s){0,2}(?:cells?|growth|proliferation|apoptosis"
    r"|invasion|migration|levels?|viability)\b|\bno\s(?:\w+\s)?effect\b|\bgrowth\sof\b",
)
_targeting = _matches(r"\b(?:by|via|through)\s(?:directly\s)?targeting\b")
_made, _lost = _matches(_CHANGED), _matches(_WEAKLY_CHANGED)
_by_change_of = _matches(
    r"^[^@]*\b(?:lnc-?RNA|circ_?\w+|LINC\w+|long\snon-?coding)\b[^@]*\b(?:via|through|by|mediated|axis|depend\w+)"
    r"\b[^@;]{0,60}@|\b(?:epigenetic|transcriptional)\w*\s(?:silencing|repression|activation|regulation)\sof\s@"
    r"|\b(?:regulation|modulation|induction)\sof\s[^.;]{0,60}@\s(?:expression|levels?)\b|\b(?:suppression|inhibition|sponging|repression)\son\s@",
    r"\binteracts?\swith\s@\sand\s(?:inhibit|suppress|reduc)\w+",
    r"(?<!caused\s)(?<!induced\s)\b(?:via|through|by|in)\s(?:\w+ly\s)?(?:the\s)?(?:inhibiti(?:on|ng)|suppressi(?:on|ng)"
    r"|repressi(?:on|ng)|(?:up|down)-?regulat(?:ion|ing)|sponging|targeting|inducing|induction"
    r"|silencing|activati(?:on|ng)|increasing|elevating|modulating|reducing|decreasing)"
    r"\s(?:of\s)?(?:the\s)?(?:expression\sof\s|levels?\sof\s)?(?:\S*(?:miR|let)-?\d\S*(?:,|\sand)?\s)*"
    r"(?:\S*/)?@",
)
_LISTED = (
    r"(?:,?\s(?:of|in|for|and|or|the|both|were|was|human|serum|plasma|mature|circulating|exosomal|microRNAs?"
    r"|miRNAs?|\(?\S*\d\S*))*"
)
_level_of = r"(?:expressions?|levels?|concentrations?|abundance)"
_state = _matches(
    r"@\s(?:up|down|over|under)-?(?:regulation|expression)\b",
    r"@[^.;]{0,80}\b(?:was|were|is|are|been)\s(?:\w+\s){0,3}(?:silenced|deleted|amplified|methylated"
    r"|inhibited|suppressed|repressed|induced|enhanced)\b[^.;]{0,80}\bin\b|\bover-?expressed\s@|\bsequencing\b",
    r"@[^.;]{0,80}\b(?:(?:was|were|is|are|been|be|being|remained)\s(?:\w+\s){0,3})?"
    r"(?:up-?regulated|down-?regulated|(?:up|down)-?modulated|over-?expressed|under-?expressed|(?:de|in)creased|reduced"
    r"|elevated|higher|lower|decreas|deregulated|dysregulated|altered|expressed|detected|detectable"
    r"|enriched|abundant|unchanged|lost|absent|differentially)\b|\bdys-?regulation\b|@[\s-](?:positive|negative)\b",
    rf"\b(?:higher|lower|increased|decreased|elevated|reduced|high|low|aberrant|differential)\s"
    rf"(?:\w+\s){{0,3}}(?:{_level_of})\b[^.;]{{0,60}}@",
    rf"\b{_level_of}\b{_LISTED}\s@|@\s{_level_of}\b|\b(?:up|down)-?regulat(?:ed|ion)\b[^;]{{0,150}}@",
    r"\b(?:differentially|aberrantly)\s(?:\w+\s)?(?:expressed|methylated)|\bmicroarray\b|\bprofil",
    r"@[^;]{0,120}\b(?:up-?regulated|down-?regulated|higher|lower|overexpress\w+)\b",
    r"\b(?:elevation|reduction|increase|decrease|loss|upregulation)s?\b[^.;]{0,60}@",
    r"@\s(?:shows?|showed|display\w*|exhibit\w*|demonstrated)\s(?:\w+\s){0,3}(?:up|down|lower|higher"
    r"|over|increas|decreas|reduc|elevat)",
    r"\bdifferential\sexpression\b|\bratios?\sof\s@|@[^.;]{0,60}\bexpression\s(?:levels?\s)?in\b",
    rf"\b(?:increased|decreased|reduced|elevated|higher|lower|high|low)\s@\s{_level_of}\b",
    rf"\b(?:increased|decreased|reduced|elevated|higher|lower|high|low)\s@\s\(@\)\s{_level_of}\b",
    rf"\b(?:higher|lower|lowest|highest)\s{_level_of}\b[^;]{{0,300}}@",
    r"\bexpressed\b|@\s(?:is|was|are|were)\s(?:\w+ly\s)?regulated\sin\b",
)
_clinical = _matches(
    r"\b(?:stages?|TNM|metasta\w+|grade|size|differentiation|invasion\sdepth|lymph|recurren\w+"
    r"|relapse\w*|thickness|ulceration|clinicopath\w+|clinical\s(?:stages?|features?|outcomes?|parameters?|char\w+)|risk|aggressive\w*|age|poor\w*"
    r"|ethnicity|gender|mutations?|patients?|outcomes?|progression|severity)\b"
)
_is_associated = _matches(r"\b(?:is|was|were|are|been)\s(?:\w+\s){0,3}(?:associated|correlated)\b")
_associated = _matches(r"(?<![-\w])(?:associat|correlat|relat|linked|link)\w*\b")
_correlated = _matches(
    r"\b(?:invers|negativ|positiv|reciproc|strong|significant|opposit)\w*\s(?:\w+\s){0,2}"
    r"(?:correlat|associat|relat)\w+|\bcorrelat(?:ed|ion|es|ing)\b"
)
_rescues = _matches(
    r"\b(?:suppress|attenuat|revers|abolish|abrogat|rescu|counteract|neutrali[sz]|antagoni[sz]|restor|block"
    r"|weaken|mitigat|eliminat|overcom|overc[ao]m|impair|diminish)\w*\s(?:\w+\s){0,2}(?:the\s)?(?:\w+\s){0,2}"
    r"(?:functions?|effects?|inhibition|roles?|suppression|promotion|phenotypes?)\s(?:\w+\s){0,3}"
    r"(?:of|by|induced\sby|from|on)\s(?:\w+\s){0,2}@",
    r"\beffects?\sof\s@[^.;]{0,120}\b(?:was|were|is|are|be)\s(?:\w+\s){0,2}(?:revers|rescu|abolish"
    r"|attenuat|counteract|block|neutrali[sz]|eliminat|abrogat|weaken)\w+",
    r"\b(?:induced|caused|mediated)\sby\s@[^.;]{0,40}\b(?:was|were|is|are|be)\s(?:\w+\s){0,2}"
    r"(?:revers|rescu|abolish|attenuat|counteract|block)\w+",
)
_names_gene = _matches(r"(?<![\w@-])(?-i:(?!CRC|HCC|PDAC|TNM|AUC)[A-Z][A-Za-z]*[A-Z0-9]\w*)")

_PLACES = (
    r"(?:exosom\w+|extracellular\svesicles?|EVs|secret\w+|nucle(?:us|ar|olus)|cytoplasm\w*"
    r"|(?<!tumor\s)(?<!tumour\s)locali[sz]\w+|located|chromosom\w+|locus)\b"
)
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
_TARGET = (
    "What does this RNA target{of}?",
    "Which targets of this RNA are known{of}?",
    "What does this RNA act on{of}?",
    "How does this RNA act on {gene}{of}?",
    "By which target does this RNA affect {process}{of}?",
)
_MARKS = _matches(
    r"\b(?:bio-?markers?|markers?\b(?!\sgenes)|prognos\w+|(?<!at\s)diagnos\w+|predict(?:s|ors?|ive|ing|able)?\b"
    r"|\bpredicted\s(?!an?\b|to\b|targets?\b|as\b|by\b|that\b|genes?\b)"
    r"|AUCs?|ROC|(?-i:OS|DFS|PFS|RFS|CSS)|sensitivity\b[^.]{0,30}\bspecificity|distinguish\w*"
    r"|discriminat\w+|differentiat(?:e|es|ed|ing)\sbetween|signatures?|hazard|odds\sratio"
    r"|(?:recurrence|relapse|disease|progression)-?\s?(?:free|risk|rates?)"
    r"|(?:risk|time|times|free|associated|correlated)\s(?:\w+\s){0,2}(?:recurrence|relapse)"
    r"|(?:overall|poor(?:er)?|short(?:er)?|long(?:er)?|worse|better|patients?'?)\s(?:\S+\s)?survival"
    r"|(?:poor|worse|better|clinical|unfavou?rable|favou?rable|adverse)\s(?:\w+\s)?outcomes?"
    r"|risk\sfactors?|prediction\s(?:ability|models?|of|value)"
    r"|(?:more|less)\slikely\sto\s(?:\w+\s){0,3}(?:recur|relaps|metasta|die|disease)\w*"
    r"|survival\s(?:\w+\s)?(?:times?|rates?|of\spatients)|worse\soutcomes?)\b",
)

# The first kind that a claim is of is its own; the last one takes every claim.
KINDS = (
    _kind(
        "variation",
        _both(
            _matches(
                r"@[^.;,]{0,25}\b(?:rs\d{3,}|polymorphisms?|SNPs?|variants?|alleles?|genotypes?"
                r"|mutations?|haplotypes?)\b",
                r"\b(?:polymorphisms?|SNPs?|variants?|rs\d{3,}|mutations?|genotypes?|alleles?)\b"
                r"(?:\s(?!(?:was|were|is|are|associated|with)\b)\S+){0,6}?\s(?:in|of|within|at)\s(?:the\s)?(?:pre-|pri-|mature\s)?(?:\S*/)?@",
                r"\brs\d{3,}\s\(?@",
            ),
            _no(
                _matches(
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
        _matches(
            r"\b(?:polymorphisms?|SNPs?|variants?|rs\d{3,}\w*|mutations?|alleles?|genotypes?)\b[^.;]*"
            r"\b(?:target|binding|bind)\w*\b|\bregulatory\srole\sof\s@|\bregulation\sof\s@\son\b"
        ),
        "How do genetic variants change what this RNA targets{of}?",
        "Which variant changes the binding of this RNA to {gene}{of}?",
    ),
    _kind(
        "biogenesis",
        _matches(
            r"\b(?:drosha|dgcr8|dicer)\b[^.;]{0,80}@|@[^.;]{0,80}\b(?:drosha|dgcr8|dicer)\b"
            r"|\bmaturation\sof\s(?:\w+\s)?@|\b(?:processing|biogenesis)\sof\s(?:\w+\s)?@"
            r"|@\s(?:processing|biogenesis|maturation)|@[^.;]{0,30}\b(?:its|their)\shost\sgenes?\b"
            r"|@[^.;]{0,40}\b(?:encoded|transcribed|processed)\s(?:by|from|within)\b"
        ),
        "How is this RNA made?",
        "What is known about the biogenesis of this RNA{of}?",
        "What has {gene} to do with the making of this RNA{of}?",
    ),
    _kind(
        "regulation",  # what changes the RNA's level, and by that something else
        _both(_by_change_of, _no(_matches(r"^(?:[\w-]+\s){0,3}@"))),
        "What regulates this RNA{of}?",
        "How is this RNA regulated{of}?",
        "What is known about the regulation of this RNA{of}?",
        "How does {gene} affect this RNA{of}?",
        "How does {drug} affect this RNA{of}?",
        "Which regulator of this RNA affects {process}{of}?",
    ),
    _kind(
        "treatment",
        _both(
            _matches(
                r"\b(?:chemo|radio|drug|multidrug)?-?(?:resistan|sensiti[vsz])\w+\b"
                r"(?!\s(?:of\s\d|and\sspecificity)|[^.]{0,20}\bspecificity)"
                r"|\bnon-?respond|\bresponders?\b"
                r"|\b(?:response|responsive\w*|respond\w*)\s(?:to|of)\b|\b\w*(?:platin|rubicin|taxel)\b"
                r"|(?<!/)\b(?:5-?fluorouracil|5-?FU|tamoxifen|\w{3,}nib|\w{3,}mab|gemcitabine|(?<!/)DOX)\b"
                r"|\b(?:chemo|radio|chemoradio|immuno)therap\w+\b"
            ),
            _no(
                _matches(
                    r"\bsurvival\b|\bprognos\w+|\bAUC\b|\bspecificity\b|\bbiomarkers?\sof\b"
                    r"|\bpredict\w*\s(?:\w+\s)?outcomes?\b"
                )
            ),
            _no(_matches(r"\binduced\s(?:by|in)\b[^.;]{0,30}(?:nib|mab)\b|-induced\b")),
        ),
        "How is this RNA linked to treatment{of}?",
        "What does this RNA mean for treatment{of}?",
        "How is this RNA linked to the response to {drug}{of}?",
        "What does this RNA mean for treatment by way of {gene}{of}?",
    ),
    _kind(
        "expression",
        _both(
            _matches(
                r"\b(?:show\w*|exhibit\w*|display\w*|had|reveal\w*|present\w*|with)\s(?:\w+\s){0,2}"
                r"(?:up-?regulated|down-?regulated|high|low|higher|lower|increased|decreased|reduced"
                r"|elevated|overexpressed)\s(?:expressions?\sof\s|levels?\sof\s)?@"
            ),
            _no(_made),
            _no(_MARKS),
            _no(_associated),
        ),
        *_EXPRESSION,
    ),
    _kind(
        "target",
        _both(_rescues, _names_gene),
        "Which gene undoes what this RNA does{of}?",
        "What has {gene} to do with the effects of this RNA{of}?",
        "What counteracts the effect of this RNA on {process}{of}?",
    ),
    _kind(
        "function",
        _both(_made, _acts, _no(_acts_on), _no(_both(_is_associated, _clinical))),
        *_FUNCTION,
    ),
    _kind(
        "function",
        _both(_lost, _acts, _no(_acts_on), _no(_associated)),
        *_FUNCTION,
    ),
    _kind(
        "regulation",
        _both(
            _tells_regulators,
            _no(_matches(r"^(?:[\w-]+\s){0,2}@\s(?:directly\s)?(?:targets|suppress|inhibit)")),
        ),
        "What regulates this RNA{of}?",
        "How is this RNA regulated{of}?",
        "What is known about the regulation of this RNA{of}?",
        "How does {gene} affect this RNA{of}?",
        "How does {drug} affect this RNA{of}?",
        "Which regulator of this RNA affects {process}{of}?",
    ),
    _kind(
        "expression",
        _both(
            _matches(
                r"\b(?:invers|negativ|positiv|reciproc)\w*\s(?:\w+\s){0,2}(?:correlat|associat|relat)"
                r"\w+\s(?:with|to)\s(?:the\s)?(?:\S+\s){0,4}@"
                r"|\b(?:invers|negativ|positiv|reciproc)\w*\s(?:\w+\s)?(?:correlation|association"
                r"|relation\w*)\s(?:\w+\s){0,3}between\b[^.;]*@"
            ),
            _names_gene,
            _no(_matches(r"\bsurvival\b|\bprognos\w+|\boutcomes?\b")),
        ),
        "How is the level of this RNA related to that of {gene}{of}?",
    ),
    _kind("target", _matches(r"\b(?:direct|functional)\stargets?\s(?:genes?\s)?of\s@"), *_TARGET),
    _kind(
        "biomarker",
        _both(_MARKS, _no(_matches(r"\b(?:lncRNA|circRNA)\b"))),
        "What does the level of this RNA tell{about}?",
        "Is this RNA a biomarker{about}?",
        "What is the diagnostic or prognostic value of this RNA{of}?",
        "What does this RNA tell about {outcome}{of}?",
        "What does this RNA in {specimen} tell{about}?",
    ),
    _kind(
        "target",
        _matches(
            r"@\s(?:\w+\s){0,3}?(?:targets|targeted|targeting|binds|bound|binding)\b"
            r"|\btargets?\s(?:\w+\s){0,2}(?:of|for)\s@|\b(?:target(?:ed)?|bound|regulated|repressed"
            r"|suppressed|inhibited)\s(?:\w+\s){0,3}by\s@|@(?:\s\w+){0,2}[\s-]target\w*"
            r"|\bby\s(?:\w+\s)?targeting\b|\btarget\sprediction|\b3['′]?-?\s?(?:UTR|untranslated)\b|\bdirect\starget\b"
        ),
        *_TARGET,
    ),
    _kind("target", _tells_targets, *_TARGET),
    _kind(
        "regulation",
        _matches(
            rf"\b{_ACTS}(?:e?s|ing)\s(?:the\s)?(?:expression\s(?:and\s\w+\s)?of\s|levels?\sof\s)?@"
            rf"|@{_LEVEL}\s(?:\w+\s){{0,3}}{_ACTS}\w*ed\s(?:\w+\s)?"
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
        "What regulates this RNA{of}?",
        "How is this RNA regulated{of}?",
        "What is known about the regulation of this RNA{of}?",
        "How does {gene} affect this RNA{of}?",
        "How does {drug} affect this RNA{of}?",
        "Which regulator of this RNA affects {process}{of}?",
    ),
    _kind(
        "expression",
        _both(
            _matches(
                r"\b(?:correlat|associat|relat)\w+\s(?:with|to|between)\s[^.;]{0,60}@",
                r"@[^.;]{0,80}\b(?:correlat|associat|relat)\w+\s(?:with|to)\s[^.;]{0,40}(?-i:[A-Z]\w*[A-Z0-9])",
                r"\b(?:correlation|relationship|relation)s?\s(?:\w+\s){0,3}between\b[^.;]*@",
                r"@[^.;]{0,60}\b(?:were|was|are|is)\s(?:\w+ly\s)?correlated\b",
            ),
            _names_gene,
            _no(_matches(r"\bpathways?\b")),
            _no(
                _both(
                    _clinical, _no(_matches(r"@\s(?:expression\s)?(?:were|was)\scorrelated\sand"))
                )
            ),
        ),
        "How is the level of this RNA related to that of {gene}{of}?",
    ),
    _kind(
        "biomarker",
        _both(_associated, _clinical, _state),
        "What does the level of this RNA tell about {outcome}{of}?",
        "With what is the level of this RNA associated{of}?",
    ),
    _kind(
        "function",
        _matches(
            rf"@{_AND}{_LEVEL}(?:\s(?:\w+ly|also|could|can|may|might))*\s{_ACTS}(?:e|e?s|e?d|ed|ts?|ted)?\b"
            r"(?=\s[\w(])(?!\s(?:\w+ly\s)?(?:by|in|expression(?!\sof)|levels?(?!\sof)|after|following"
            r"|upon|during|with|and|or|while|whereas|compared|from|at|among|between|to)\b)",
            r"@{_AND}\sdid\snot\s\w+\b|\b(?:is|are|as|be|was|were)\s(?:an?\s|the\s)?(?:\w+\s){0,2}regulators?\b"
            r"|\b(?:critical|essential|necessary|required|crucial|indispensable)\sfor\b".replace(
                "{_AND}", _AND
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
        _matches(r"\btherap(?:y|ies|eutics?)\b|\btherapeutic\w*|\btreatments?\b"),
        "Might this RNA serve in treatment{of}?",
        "What does this RNA mean for therapy{of}?",
        "What has {gene} to do with therapy by way of this RNA{of}?",
    ),
    _kind(
        "localisation",
        _both(
            _matches(rf"@[^.;]{{0,80}}\b{_PLACES}|\b{_PLACES}[^.;]{{0,50}}@"),
            _no(
                _matches(
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
        _both(
            _no(
                _matches(
                    r"\b(?:was|were|is|are|been)\s(?:\w+ly\s)?(?:(?:in|de)creased|reduced|enhanced|induced)\b"
                )
            ),
            _matches(
                r"\b(?:promot|suppress|inhibit|inactivat|induc|reduc|decreas|increas|enhanc)(?:e?s|e?d|ed|ing)\s"
                r"(?:\S+\s){0,3}(?:proliferation|apoptosis|invasion|migration|growth|EMT|metastasis"
                r"|viability|angiogenesis|differentiation|senescence)\b"
            ),
        ),
        *_FUNCTION,
    ),
    _kind(
        "expression",
        _state,
        *_EXPRESSION,
    ),
    _kind(
        "function",
        _matches(
            rf"\b(?:tumou?r[\s-]suppress\w+|onco(?:gen\w+|mir\w*)|roles?|functions?|involved\sin|pathways?"
            rf"|{_ACTS}\w*)\b"
        ),
        *_FUNCTION,
    ),
    _kind(
        "disease",
        _matches(
            r"\b(?:associat\w+|correlat\w+|linked|implicated|pathogenesis|progression|risk)\b"
        ),
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


def kind_of(masked: str) -> Kind:
    """What a claim tells, "@" being its RNA."""
    return next(kind for kind in KINDS if kind.is_told(masked))


__all__ = ["CATEGORIES", "KINDS", "LAST_RESORT", "Kind", "kind_of"]
