"""What questions ask for, and the words by which that is recognised.

Patterns are matched against a question in small letters with "@" for the RNA ("what is @'s
function"), as `mentions.mark_rnas` writes it.
"""

from __future__ import annotations

import re
from enum import StrEnum


class Kind(StrEnum):
    """What a question asks for."""

    IDENTITY = "identity"
    FAMILY = "family"
    TYPE = "type"
    ACCESSION = "accession"
    NAME = "name"
    SUMMARY = "summary"
    FUNCTION = "function"
    PROCESS = "process"
    LOCATION = "location"
    INTERACTION = "interaction"
    TARGETS = "targets"
    REGULATORS = "regulators"
    MARKER = "marker"
    DISEASE = "disease"
    GENE = "gene"
    TERMS = "terms"
    CLAN = "clan"
    PAPERS = "papers"
    ORGANISM = "organism"
    STRUCTURE = "structure"
    ENERGY = "energy"
    PLACE = "place"
    CERTAINTY = "certainty"
    LENGTH = "length"
    COMPOSITION = "composition"
    AMBIGUITY = "ambiguity"
    CHECK = "check"
    COMPARE = "compare"
    UNKNOWABLE = "unknowable"
    OTHER = "other"


# Answered from the sequence alone.
SEQUENCE_KINDS = frozenset({Kind.LENGTH, Kind.COMPOSITION, Kind.AMBIGUITY, Kind.ENERGY})
# Recognised before a question of yes or no is: "Is it on the reverse strand?"
NO_CHECKS = frozenset(
    {
        Kind.UNKNOWABLE,
        Kind.COMPARE,
        Kind.GENE,
        Kind.CLAN,
        Kind.CERTAINTY,
        Kind.PLACE,
        Kind.TERMS,
        Kind.PAPERS,
        Kind.STRUCTURE,
        Kind.LENGTH,
        Kind.COMPOSITION,
        Kind.AMBIGUITY,
        Kind.ENERGY,
        Kind.FUNCTION,
        Kind.PROCESS,
        Kind.LOCATION,
        Kind.ORGANISM,
        Kind.INTERACTION,
        Kind.TARGETS,
        Kind.REGULATORS,
        Kind.MARKER,
        Kind.DISEASE,
    }
)
# Of these a question may say nothing else: what is known of an RNA in gastric cancer is not what is
# known of it.
STRICT = frozenset(
    {
        Kind.IDENTITY,
        Kind.FAMILY,
        Kind.TYPE,
        Kind.NAME,
        Kind.SUMMARY,
        Kind.LENGTH,
        Kind.ENERGY,
        Kind.COMPOSITION,
    }
)

_WHAT = "(?:what|which)"
_ARE = "(?:is|are|was|were)"
_DOES = "(?:does|do|did|can|could|may|might)"
_MORE = "(?:longer|shorter|bigger|smaller|higher|lower|larger|longest|shortest|highest|lowest)"
_RNA = r"(?:(?:non-?coding )?(?:nc)?rnas?|sequences?|molecules?|transcripts?)"
_ACTS = r"(?:bind|sense|recogni[sz]e|interact with|respond to)"
_REGULATE = (
    r"(?:(?:(?:up|down)-?)?regulate|target|control|repress|suppress|inhibit|silence|induce"
    r"|activate|sponge)"
)
_REGULATED = r"(?:(?:(?:up|down)-?)?regulated|controlled|repressed|induced|activated|sponged)"
# The RNA, and "this miRNA", of which only "this" is marked.
_IT = "@(?: (?:mi|micro|lnc)rna)?"
_MANY = r"(?:nucleotides?|nts?|bases|residues|letters|bp)"
_LIVING = r"(?:organisms?|species|taxa|bacteri\w+|animals?|plants?|virus(?:es)?|genomes?)"

# In order: the first that matches counts. An alternative stands on a line.
_PATTERNS: tuple[tuple[Kind, str], ...] = (
    (
        Kind.UNKNOWABLE,
        rf"""
        mutat\w+
        mutant
        substitut\w+
        delet(?:e|ed|ing|ions?)
        insertion
        snps?
        knock\w*[ -]?(?:out|down)s?
        what if
        what (?:happens|would happen) if
        (?:re)?design\w*
        optimi[sz]\w+
        (?:how|can|do) (?:do|can|i|we|you).*synthesi[sz]e
        cost to .*
        (?:generate|write|invent) (?:an?|me|some|another) {_RNA}.*
        (?:make|change) @ (?:to|so|more|less|into).*
        off-?targets?
        should i (?:take|use)
        (?:what|which) dose
        predict the effect
        (?:which|what) .*guide.*(?:cut|cleave).*
        """,
    ),
    (
        Kind.COMPARE,
        rf"""
        compar(?:e[ds]?|ing|isons?)
        distinguish\w*
        differences?(?: between)?
        differ(?:s|ent)?(?: from)?
        in common
        similar\w*
        alike
        versus
        vs
        @ related(?: to @)?$
        (?:the )?same(?: (?:rna|family|type|kind|class|clan|function|thing|organism)s?)?(?: as)?
        {_WHAT}(?: one| rna| of @)? (?:is|has) (?:(?:the|an?) )?{_MORE}(?: gc(?: content)?)?
        """,
    ),
    (
        Kind.SUMMARY,
        r"""
        (?:what|which(?: rna)?) is @ and (?:what|where|how) (?:is|does|do) .*
        """,
    ),
    (
        Kind.AMBIGUITY,
        rf"""
        ambigu\w+(?: {_MANY})?
        undetermined
        iupac
        ns
        unknown {_MANY}
        """,
    ),
    (
        Kind.COMPOSITION,
        r"""
        (?:g ?[+/] ?c|gc)(?:[ -](?:content|share|percent\w*|ratio|fraction|rich))?(?: ?%)?
        a ?\+? ?[ut][ -](?:content|share|percent\w*|ratio|fraction|rich)
        (?:percent|%|fraction|share) (?:of )?g ?\+? ?c
        g (?:or|and) c
        (?:nucleotide|base) composition
        """,
    ),
    (
        Kind.LENGTH,
        rf"""
        how (?:long|big|large|short)(?: {_ARE} @| @ {_ARE}|$)
        (?:length|size)(?: of @)?
        how many {_MANY}(?! (?:match|pair|are (?:g|c|a|u|paired|in)))
        number of {_MANY}
        (?:longer|shorter) than [\d,]+
        @ [\d,]+ {_MANY}(?: long)?
        """,
    ),
    (
        Kind.ENERGY,
        r"""
        (?:minimum )?free energy
        mfe
        folding energy
        kcal(?:/mol)?
        how stable is @(?:'s (?:fold|structure|folding))?$
        """,
    ),
    (
        Kind.CERTAINTY,
        r"""
        how (?:sure|certain|confident|reliable|good|trustworthy|significant)
        e-?values?
        bit ?scores?
        confidence
        probability
        (?:likely|chance) that @ is
        how do you know
        why do you (?:think|say|believe)
        are you (?:\w+ )?(?:sure|certain|confident)
        """,
    ),
    (
        Kind.PLACE,
        rf"""
        strand
        positions?
        coordinates
        (?:sense or )?antisense$
        reverse[ -]complement\w*
        where (?:in|on|within) @
        {_WHAT} (?:part|region|stretch|{_MANY})s? (?:of @|match\w*)
        where does (?:the \w+|@) (?:match|start|begin|end|lie)(?: and end)?
        which way round
        """,
    ),
    (
        Kind.ACCESSION,
        r"""
        accessions?(?: numbers?)?
        acc\.?(?: (?:no|number))?
        rf ?(?:number|id)
        rfam (?:number|record|entry)
        """,
    ),
    (
        Kind.NAME,
        rf"""
        short name
        identifier
        rfam id
        {_WHAT} {_ARE} @ called
        name of @(?:'s family)?
        @'s (?:short )?name
        """,
    ),
    (
        Kind.CLAN,
        r"""
        clans?
        """,
    ),
    (
        Kind.TERMS,
        r"""
        (?:gene |sequence )?ontolog\w+(?: terms?)?
        (?:go|so|annotated|which|what)[ -](?:terms?|annotations?)
        """,
    ),
    (
        Kind.PAPERS,
        rf"""
        (?<!this )papers?
        publications?
        literature
        references?
        citations?
        cite
        pubmed
        pmids?
        articles?
        {_WHAT} (?:\w+ )?(?:the )?evidence
        evidence (?:is there )?for
        where was @ (?:first )?(?:described|discovered|reported|published)
        who (?:first )?(?:found|discovered|described) @
        (?:should|can) i read
        sources?
        """,
    ),
    (
        Kind.STRUCTURE,
        rf"""
        (?:secondary )?structures?
        (?:how )?{_DOES} @ fold
        @'s fold
        hairpins?
        stem[ -]?loops?
        dot-?bracket
        base[ -]?pairs?
        shape
        """,
    ),
    (
        Kind.ORGANISM,
        rf"""
        {_WHAT} {_LIVING}\b(?! (?:have|has|contain|carry|share))(?:.*\b(?:from|belong|of)\b.*|$)
        ^{_LIVING}$
        taxonom\w+
        is @ from(?! (?:an?|the|rf\d|\S*rna))
        """,
    ),
    (
        Kind.GENE,
        r"""
        (?:genes?|elements?|introns?)\b.{0,40}\bor\b.{0,40}\b(?:gene|element|intron)
        """,
    ),
    (
        Kind.PROCESS,
        r"""
        (?:biological )?process(?:es)?
        pathways?
        """,
    ),
    (
        Kind.INTERACTION,
        r"""
        binds?(?:,| or|, target or) (?:targets?|regulates?|responds?)
        (?:partners|targets),? .*(?:regulators|targets)
        """,
    ),
    (
        Kind.TARGETS,
        rf"""
        what {_DOES} {_IT} (?:\w+ly )?(?:{_REGULATE}|act on)
        {_WHAT}(?: \w+)? \w+ {_DOES} {_IT} (?:\w+ly )?(?:{_REGULATE}|act on)
        {_WHAT} (?:\w+ )?\w+ {_ARE} (?:\w+ly )?(?:targeted|{_REGULATED}) by {_IT}
        @'s (?:\w+ )?targets?(?: genes?)?
        targets?(?: genes?)? of {_IT}
        """,
    ),
    (
        Kind.REGULATORS,
        rf"""
        what (?:\w+ly )?{_REGULATE}s {_IT}
        {_WHAT} (?:\w+ )?\w+ (?:\w+ly )?{_REGULATE}s? {_IT}(?:'s expression)?
        (?:how|by what|by which \w+) {_ARE} {_IT}(?:'s expression)? {_REGULATED}
        what {_ARE} {_IT}(?:'s expression)? {_REGULATED} by
        (?:what|how) .*regulation of {_IT}
        (?:@'s )?regulators(?: of {_IT})?
        """,
    ),
    (
        Kind.MARKER,
        rf"""
        {_WHAT}.* {_ARE} {_IT} an? (?:\w+ )?(?:bio)?markers?(?: of| for)?
        {_DOES} {_IT} (?:mark|indicate) (?:an?y? )?(?:diseases?|cancers?)
        what {_DOES} {_IT} (?:mark|indicate)
        (?:bio)?markers?(?: of| for)?
        """,
    ),
    (
        Kind.DISEASE,
        rf"""
        {_WHAT} (?:\w+ )?(?:diseases?|cancers?|tumou?rs?|disorders?|illness(?:es)?)
        (?:which|what|any|known|some) diseases?
        """,
    ),
    (
        Kind.INTERACTION,
        rf"""
        what (?:binds|interacts)
        {_WHAT}(?: small)? \w+ (?:{_DOES} @ )?{_ACTS}s?
        what {_DOES} @ (?:{_ACTS}|act on)
        interacts? with
        {_DOES} @ (?:bind|interact with) (?:to )?(?:any\w*|some\w*|an?) ?\w*$
        (?:interaction )?partners
        ligands?
        """,
    ),
    (
        Kind.LOCATION,
        rf"""
        where (?:{_ARE}|does|do) @$
        where (?:{_ARE}|does|do) @ .*(?:found|located|expressed|locali[sz]ed|present)
        where (?:does|do) @ (?:occur|live|come from)
        where @ (?:is|are) (?:found|located)
        where can (?:i|we|one|you) find @
        in {_WHAT} (?:{_LIVING}|genes?|cells?|tissues?|(?:cellular )?compartments?)
        {_WHAT} {_LIVING} (?:have|has|contain|carry|share) @
        (?:sub)?cellular (?:locali[sz]ation|location)
        nuclear or cytoplasmic
        ^(?:\w+ is )?(?:@'s |the )?(?:locali[sz]ation|location)$
        locali[sz]ation of @
        """,
    ),
    (
        Kind.FUNCTION,
        rf"""
        (?:biological )?functions?
        roles?
        purpose
        mechanism(?: of action)?
        what {_DOES} @ (?:\w+ )?do
        how {_DOES} @ (?:act|work|function)
        what {_ARE} @ (?:good |used |needed )?for
        why {_ARE} @ (?:so )?important
        """,
    ),
    (
        Kind.FAMILY,
        rf"""
        (?:rna |rfam )*fam(?:il(?:y|ies))?(?: name)?
        what {_DOES} @ belong to
        """,
    ),
    (
        Kind.TYPE,
        rf"""
        (?:rna )?(?:biotype|type|kind|class|category|sort)s?(?: of {_RNA})?
        classif\w+
        """,
    ),
    (
        Kind.SUMMARY,
        r"""
        (?:short )?(?:description|summary)(?: of)?
        describe
        summari[sz]e
        overview
        explain @
        tell (?:me|us) (?:more|something|everything|all)
        tell (?:me|us) about @
        (?:what|all|everything|anything) (?:else )?(?:is|do (?:you|we|people)) (?:already )?known?
        (?:everything|more|details) (?:about|on|of) @
        (?:what|anything) else
        what do (?:the )?records? (?:tell|say)
        """,
    ),
    (
        Kind.IDENTITY,
        rf"""
        identif\w+
        identity
        annotate
        recogni[sz]e @
        what do you call @
        (?:what|which) (?:known )?(?:{_RNA} )?(?:{_ARE}|could|can|might|may|would) @(?: be)?$
        (?:what|which)(?: {_RNA})? @(?: {_ARE})?$
        what (?:am|are) (?:i|we|you) looking at
        (?:name|what are) @(?: @)?$
        name rna$
        {_WHAT} {_RNA} (?:do i have|is given)
        what did (?:i|we) sequence
        {_WHAT} known rnas? {_DOES} @ match
        match(?:es)? anything(?: known)?
        """,
    ),
)


def _compile(alternatives: str) -> re.Pattern[str]:
    lines = (line.strip() for line in alternatives.strip().splitlines())
    return re.compile(rf"(?<![\w-])(?:{'|'.join(lines)})(?![\w-])")


RULES = tuple((kind, _compile(alternatives)) for kind, alternatives in _PATTERNS)
# What a question may hold besides the words of its kind, and those that carry no fact.
_ASKING = """
actually annotated annotation anything assign believe biological brief cellular come comes
curious data dear draw everything exactly fall falls find fold fraction get gimme give have
hello help hey hi hit hits idea interested kindly let's list long many match matches maybe much
need nothing nt nucleotides ok okay percent percentage perhaps pls possible possibly precisely
present put quickly report rfam rna-seq roughly see seq share short show something state thank
sentence sentences thanks think thx want well wonder word words work
"""
ASKING = frozenset(_ASKING.split())
MISSPELT = {
    "accesion": "accession",
    "ambigous": "ambiguous",
    "becuase": "because",
    "dose it": "does it",
    "familly": "family",
    "fucntion": "function",
    "funciton": "function",
    "funtion": "function",
    "lenght": "length",
    "lentgh": "length",
    "nucelotides": "nucleotides",
    "secondry": "secondary",
    "strucutre": "structure",
    "teh": "the",
    "thsi": "this",
    "tihs": "this",
    "waht": "what",
    "wat": "what",
    "whta": "what",
    "wich": "which",
    "wht": "what",
}

__all__ = ["ASKING", "MISSPELT", "NO_CHECKS", "RULES", "SEQUENCE_KINDS", "STRICT", "Kind"]
