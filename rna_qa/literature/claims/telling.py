"""What a claim tells, read around the RNA's own name, which is "@": patterns for `categories`."""

from __future__ import annotations

import re
from collections.abc import Callable

from rnagpt.evidence.relations import tells_regulators, tells_targets
from rnagpt.rna_qa.literature.claims.slots import genes

_TARGET_WORDS = re.compile(
    r"\btarget|\bUTR\b|untranslated|\bregulat|signal|pathway|\bmRNA\b", re.IGNORECASE
)


def matches(*patterns: str) -> Callable[[str], bool]:
    """A function that tells whether one of the patterns is found in a claim."""
    compiled = re.compile("|".join(patterns), re.IGNORECASE | re.VERBOSE)
    return lambda claim: compiled.search(claim) is not None


def both(*told: Callable[[str], bool]) -> Callable[[str], bool]:
    return lambda claim: all(one(claim) for one in told)


def no(told: Callable[[str], bool]) -> Callable[[str], bool]:
    return lambda claim: not told(claim)


def tells_a_target(claim: str) -> bool:
    """Cell lines are no targets: "@ inhibited SW620 cell proliferation" tells of none."""
    return tells_targets(claim, ("@",)) and bool(genes(claim) or _TARGET_WORDS.search(claim))


def acts_on_a_target(claim: str) -> bool:
    return tells_a_target(claim) or _targeting(claim)


def tells_a_regulator(claim: str) -> bool:
    return tells_regulators(claim, ("@",))


ACTS = (
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
LEVEL = r"(?:\s(?:expressions?|levels?|activity))?"
AND = r"(?:(?:,|,?\sand|\sor|/)\s?[\w-]+){0,3}"
_CHANGED = (
    rf"\b{_MADE}{_FILLERS}|@{AND}{LEVEL}[\s-](?:\w+[\s-])?{_MADE}|@-(?:\w+ing|\w+ed|deficient|null)\b"
    r"|\btransfected\swith\s\S*@|\bwhen\s@\s(?:was|were)\s(?:over-?expressed|inhibited|silenced|knocked)"
)
_WEAKLY_CHANGED = (
    rf"(?:^|[,;]\s(?:(?:and|whereas|while|but|or)\s)?|\b(?:that|and|whereas|while|by|after|upon"
    rf"|following|when)\s)(?:the\s)?{_LOST}{_FILLERS}"
    rf"|(?:^|[,;]\s(?:\w+\s)?|\b(?:that|following|after|upon|by|through|with)\s)@\s(?:{_LOST}|suppression)\b"
)
acts = matches(
    rf"\b{ACTS}(?:e|es|ed|s|d|ing|ted|ting|ts)?\b",
    r"\b(?:fewer|less|more|lower|higher|greater)\s(?:\w+\s){0,2}(?:cells?|growth|proliferation|apoptosis"
    r"|invasion|migration|levels?|viability)\b|\bno\s(?:\w+\s)?effect\b|\bgrowth\sof\b",
)
_targeting = matches(r"\b(?:by|via|through)\s(?:directly\s)?targeting\b")
is_changed_by_hand, is_changed = matches(_CHANGED), matches(_WEAKLY_CHANGED)
works_by_changing_it = matches(
    r"^[^@]*\b(?:lnc-?RNA|circ_?\w+|LINC\w+|long\snon-?coding)\b[^@]*\b(?:via|through|by|mediated|axis|depend\w+)"
    r"\b[^@;]{0,60}@|\b(?:epigenetic|transcriptional)\w*\s(?:silencing|repression|activation|regulation)\sof\s@"
    r"|\b(?:regulation|modulation|induction)\sof\s[^.;]{0,60}@\s(?:expression|levels?)\b|\b(?:suppression|inhibition|sponging|repression)\son\s@",
    r"\b(?:via|through|by)\s(?:the\s)?(?:suppression|inhibition|repression|(?:up|down)-?regulation"
    r"|induction|activation)\sof\s[^.;@]{0,50},\s@",
    r"\binteracts?\swith\s@\sand\s(?:inhibit|suppress|reduc)\w+",
    r"(?<!caused\s)(?<!induced\s)\b(?:via|through|by|in)\s(?:\w+ly\s)?(?:the\s)?(?:inhibiti(?:on|ng)|suppressi(?:on|ng)"
    r"|repressi(?:on|ng)|(?:up|down)-?regulat(?:ion|ing)|sponging|targeting|inducing|induction"
    r"|silencing|activati(?:on|ng)|increasing|elevating|modulating|reducing|decreasing)"
    r"\s(?:of\s)?(?:the\s)?(?:expression\sof\s|levels?\sof\s)?(?:\S*(?:miR|let)-?\d\S*(?:,|\sand)?\s)*"
    r"(?:\S*/)?@",
)
# What another does to the RNA's level: who does it stands before the verb, which is no adjective as
# in "showed increased levels" or "and decreased @ expression".
_STEMS = (
    r"(?:(?:in|de)creas|rais|reduc|elevat|lower|enhanc|up-?regulat|down-?regulat|repress|suppress"
    r"|inhibit|induc|silenc|activat|stimulat|abolish|attenuat|diminish|promot|restor|rescu)"
)
_BEFORE_A_VERB = (
    r"(?<!\bshow)(?<!showed)(?<!shows)(?<!\bhad)(?<!have)(?<!\bhas)(?<!with)(?<!\bof)(?<!\bin)"
    r"(?<!\bthe)(?<!\ban)(?<!\ba)(?<!was)(?<!were)(?<!\bare)(?<!\bis)(?<!been)(?<!\bbe)(?<!ited)"
    r"(?<!played)(?<!revealed)(?<!\bby)(?<!found)(?<!detected)(?<!observed)(?<!strated)(?<!\bto)(?<!ly)"
    r"(?<!\bor)(?<!\band)(?<!\bbut)(?<!that)(?<!,)(?<!between)(?<!both)(?<!from)(?<!\bfor)(?<!\bas)"
    r"(?<!while)(?<!whereas)(?<!when)(?<!which)(?<!via)(?<!through)(?<!\bon)(?<!:)(?<!into)(?<!their)"
)
_CAUSES = (
    rf"(?:caus|result|lea|contribut)(?:ed|s|e|d|ds)?(?:\s(?:to|in))?\s(?:an?\s|the\s)?(?:\w+ly\s)?"
    rf"(?:{_STEMS}|accumulat|loss)\w*(?:\s(?:of|in))?"
)
_TO_THE_LEVEL_OF = (
    r"(?:\s(?:the|its|their|both|several|mature|endogenous|intracellular|exosomal|encoded|host|cellular"
    r"|expressions?|levels?|abundance|transcription|production|secretion|activity|promoter|pair|of"
    r"|miRNAs?,?|microRNAs?,?|such\sas|including|namely|and|or|\(?\S*(?:miR|let|SNORD|miRNA)-?\d\S*))*"
    r"\s\(?(?:\S*/)?@(?![\s-](?:targets?|inhibitor|mimic|-?mediated|-?induced|function|effects?|binding))"
)
_CLAUSE = r"(?:^|[;:,]\s(?:(?:and|but|while|whereas|which)\s)?|\bthat\s)(?:(?!@)[^;:]){3,160}?"
is_changed_by_another = both(
    matches(
        rf"{_CLAUSE}(?:\b{_STEMS}e?s|{_BEFORE_A_VERB}\s(?:{_STEMS}e?d|{_CAUSES}))"
        rf"(?:(?!@)[^;:]{{0,100}}\sand\s{_STEMS}e?[sd])?{_TO_THE_LEVEL_OF}",
        r"@[^.;@]{0,60}\b(?:was|were|is|are)\s(?:\w+ly\s)?(?:affected|influenced|modulated)\sby\b",
    ),
    no(matches(r"(?<!-)\b(?:\w+)?(?:resistance|sensitivity|sensiti[sz]\w+)\b")),
)
_LISTED = (
    r"(?:,?\s(?:of|in|for|and|or|the|both|were|was|human|serum|plasma|mature|circulating|exosomal|microRNAs?"
    r"|miRNAs?|\(?\S*\d\S*))*"
)
LEVEL_OF = r"(?:expressions?|levels?|concentrations?|abundance)"
tells_a_level = matches(
    r"@\s(?:up|down|over|under)-?(?:regulation|expression)\b",
    r"@[^.;]{0,80}\b(?:was|were|is|are|been)\s(?:\w+\s){0,3}(?:silenced|deleted|amplified|methylated"
    r"|inhibited|suppressed|repressed|induced|enhanced)\b[^.;]{0,80}\bin\b|\bover-?expressed\s@|\bsequencing\b",
    r"@[^.;]{0,80}\b(?:(?:was|were|is|are|been|be|being|remained)\s(?:\w+\s){0,3})?"
    r"(?:up-?regulated|down-?regulated|(?:up|down)-?modulated|over-?expressed|under-?expressed|(?:de|in)creased|reduced"
    r"|elevated|higher|lower|decreas|deregulated|dysregulated|altered|expressed|detected|detectable"
    r"|enriched|abundant|unchanged|lost|absent|differentially)\b|\bdys-?regulation\b|@[\s-](?:positive|negative)\b",
    rf"\b(?:higher|lower|increased|decreased|elevated|reduced|high|low|aberrant|differential)\s"
    rf"(?:\w+\s){{0,3}}(?:{LEVEL_OF})\b[^.;]{{0,60}}@",
    rf"\b{LEVEL_OF}\b{_LISTED}\s@|@\s{LEVEL_OF}\b|\b(?:up|down)-?regulat(?:ed|ion)\b[^;]{{0,150}}@",
    r"\b(?:differentially|aberrantly)\s(?:\w+\s)?(?:expressed|methylated)|\bmicroarray\b|\bprofil",
    r"@[^;]{0,120}\b(?:up-?regulated|down-?regulated|higher|lower|overexpress\w+)\b",
    r"\b(?:elevation|reduction|increase|decrease|loss|upregulation)s?\b[^.;]{0,60}@",
    r"@\s(?:shows?|showed|display\w*|exhibit\w*|demonstrated)\s(?:\w+\s){0,3}(?:up|down|lower|higher"
    r"|over|increas|decreas|reduc|elevat)",
    r"\bdifferential\sexpression\b|\bratios?\sof\s@|@[^.;]{0,60}\bexpression\s(?:levels?\s)?in\b",
    rf"\b(?:increased|decreased|reduced|elevated|higher|lower|high|low)\s@\s{LEVEL_OF}\b",
    rf"\b(?:increased|decreased|reduced|elevated|higher|lower|high|low)\s@\s\(@\)\s{LEVEL_OF}\b",
    rf"\b(?:higher|lower|lowest|highest)\s{LEVEL_OF}\b[^;]{{0,300}}@",
    r"\bexpressed\b|@\s(?:is|was|are|were)\s(?:\w+ly\s)?regulated\sin\b",
    r"\bexpression\s(?:alterations?|changes?|differences?)\b|\b(?:in|de)crease\sin\sexpression\b",
)
_PROCESS = (
    r"(?:proliferation|migration|invasion|growth|apoptosis|metastas[ie]s|viability|EMT"
    r"|angiogenesis)"
)
acts_on_a_process = both(
    matches(
        rf"\b{_PROCESS}\b[^.;@]{{0,40}}\b(?:was|were|is|are)\s(?:\w+ly\s)?(?:inhibited|suppressed|promoted"
        r"|enhanced|reduced|induced|increased|decreased)\s(?:\w+ly\s)?by\s@",
        r"@(?:\soverexpression)?\s(?:\w+ly\s)?(?:inhibit|suppress|promot|activat|enhanc)(?:e?d|e?s)\s(?:the\s)?"
        r"\S+\s(?:signal+ing|pathway)\b",
    ),
    no(matches(r"\btarget|\bUTR\b")),
)
is_clinical = matches(
    r"\b(?:stages?|TNM|metasta\w+|grade|size|differentiation|invasion\sdepth|lymph\w*|recurren\w+"
    r"|relapse\w*|thickness|ulceration|clinicopath\w+|clinical\s(?:stages?|features?|outcomes?|parameters?|char\w+)|risk|aggressive\w*|age|poor\w*"
    r"|ethnicity|gender|mutations?|patients?|outcomes?|progression|severity)\b"
)
is_associated = matches(r"\b(?:is|was|were|are|been)\s(?:\w+\s){0,3}(?:associated|correlated)\b")
speaks_of_association = matches(r"(?<![-\w])(?:associat|correlat|relat|linked|link)\w*\b")
tells_a_rescue = matches(
    r"\b(?:suppress|attenuat|revers|abolish|abrogat|rescu|counteract|neutrali[sz]|antagoni[sz]|restor|block"
    r"|weaken|mitigat|eliminat|overcom|overc[ao]m|impair|diminish)\w*\s(?:\w+\s){0,2}(?:the\s)?(?:\w+\s){0,2}"
    r"(?:functions?|effects?|inhibition|roles?|suppression|promotion|phenotypes?)\s(?:\w+\s){0,3}"
    r"(?:of|by|induced\sby|from|on)\s(?:\w+\s){0,2}@",
    r"\beffects?\sof\s@[^.;]{0,120}\b(?:was|were|is|are|be)\s(?:\w+\s){0,2}(?:revers|rescu|abolish"
    r"|attenuat|counteract|block|neutrali[sz]|eliminat|abrogat|weaken)\w+",
    r"\b(?:induced|caused|mediated)\sby\s@[^.;]{0,40}\b(?:was|were|is|are|be)\s(?:\w+\s){0,2}"
    r"(?:revers|rescu|abolish|attenuat|counteract|block)\w+",
)
names_a_gene = matches(r"(?<![\w@-])(?-i:(?!CRC|HCC|PDAC|TNM|AUC)[A-Z][A-Za-z]*[A-Z0-9]\w*)")

PLACES = (
    r"(?:exosom\w+|extracellular\svesicles?|EVs|secret\w+|nucle(?:us|ar|olus)|cytoplasm\w*"
    r"|(?<!tumor\s)(?<!tumour\s)locali[sz]\w+|located|chromosom\w+|locus)\b"
)
tells_a_marker = matches(
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
    r"|survival\s(?:rates?\s|times?\s)?(?:was|were|is)\s(?:\w+ly\s)?(?:poor|short|wors|low|long|better|high)\w*"
    r"|(?:better|good|useful|reliable|potential)\s(?:\w+\s)?indicators?|indicators?\s(?:of|for)|stratify\w*"
    r"|survival\s(?:\w+\s)?(?:times?|rates?|of\spatients)|worse\soutcomes?)\b",
)


__all__ = [
    "ACTS",
    "AND",
    "LEVEL",
    "PLACES",
    "acts",
    "acts_on_a_process",
    "acts_on_a_target",
    "both",
    "is_associated",
    "is_changed",
    "is_changed_by_another",
    "is_changed_by_hand",
    "is_clinical",
    "matches",
    "names_a_gene",
    "no",
    "speaks_of_association",
    "tells_a_level",
    "tells_a_marker",
    "tells_a_regulator",
    "tells_a_rescue",
    "tells_a_target",
    "works_by_changing_it",
]
