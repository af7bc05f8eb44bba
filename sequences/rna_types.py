"""The types of RNAs, how they relate, and the sentences that name an RNA's type and family."""

from __future__ import annotations

# Rfam's types (#=GF TP, https://docs.rfam.org) and the names used here.
RNA_TYPES = {
    ("Gene", "snRNA", "snoRNA", "CD-box"): "C/D box snoRNA",
    ("Gene", "snRNA", "snoRNA", "HACA-box"): "H/ACA box snoRNA",
    ("Gene", "snRNA", "snoRNA", "scaRNA"): "scaRNA",
    ("Gene", "snRNA", "snoRNA"): "snoRNA",
    ("Gene", "snRNA", "splicing"): "spliceosomal snRNA",
    ("Gene", "snRNA"): "snRNA",
    ("Gene", "antisense"): "antisense RNA",
    ("Gene", "antitoxin"): "antitoxin RNA",
    ("Gene", "CRISPR"): "CRISPR RNA",
    ("Gene", "lncRNA"): "lncRNA",
    ("Gene", "miRNA"): "miRNA",
    ("Gene", "ribozyme"): "ribozyme",
    ("Gene", "rRNA"): "rRNA",
    ("Gene", "sRNA"): "sRNA",
    ("Gene", "tRNA"): "tRNA",
    ("Gene",): "non-coding RNA",
    ("Cis-reg", "frameshift_element"): "frameshift element",
    ("Cis-reg", "IRES"): "IRES",
    ("Cis-reg", "leader"): "leader",
    ("Cis-reg", "riboswitch"): "riboswitch",
    ("Cis-reg", "thermoregulator"): "RNA thermometer",
    ("Cis-reg",): "cis-regulatory element",
    ("Intron",): "intron",
}
PATH_OF_TYPE = {name: path for path, name in RNA_TYPES.items()}
# Types that one RNA may well have at once: the one says nothing against the other.
OVERLAPPING = (
    {"sRNA", "antisense RNA", "antitoxin RNA", "lncRNA", "CRISPR RNA"},
    {"leader", "riboswitch", "RNA thermometer", "IRES", "frameshift element"},
    {"C/D box snoRNA", "H/ACA box snoRNA", "scaRNA"},
    {"sRNA", "C/D box snoRNA", "H/ACA box snoRNA"},
    {"ribozyme", "intron"},
)
# What people call the types beside the names above, in small letters.
SYNONYMS = {
    "transfer rna": "tRNA",
    "ribosomal rna": "rRNA",
    "microrna": "miRNA",
    "micro rna": "miRNA",
    "small nucleolar rna": "snoRNA",
    "small nuclear rna": "snRNA",
    "small cajal body-specific rna": "scaRNA",
    "small cajal body specific rna": "scaRNA",
    "c/d snorna": "C/D box snoRNA",
    "c/d box small nucleolar rna": "C/D box snoRNA",
    "h/aca snorna": "H/ACA box snoRNA",
    "h/aca box small nucleolar rna": "H/ACA box snoRNA",
    "spliceosomal rna": "spliceosomal snRNA",
    "splicing rna": "spliceosomal snRNA",
    "long non-coding rna": "lncRNA",
    "long noncoding rna": "lncRNA",
    "bacterial small rna": "sRNA",
    "small regulatory rna": "sRNA",
    "internal ribosome entry site": "IRES",
    "catalytic rna": "ribozyme",
    "thermosensor": "RNA thermometer",
    "thermoregulator": "RNA thermometer",
    "crispr": "CRISPR RNA",
    "crrna": "CRISPR RNA",
    "antisense": "antisense RNA",
    "antitoxin": "antitoxin RNA",
    "cis-regulatory rna": "cis-regulatory element",
    "cis regulatory element": "cis-regulatory element",
    "frameshifting element": "frameshift element",
    "leader sequence": "leader",
    "ncrna": "non-coding RNA",
    "noncoding rna": "non-coding RNA",
    "rna gene": "non-coding RNA",
}
_SPELLED = {name.lower(): name for name in RNA_TYPES.values()} | SYNONYMS

# Read aloud they begin with a vowel: "an es-RNA", "an aitch-ACA box".
SPOKEN_WITH_A_VOWEL = ("H/ACA", "sRNA", "snRNA", "lncRNA", "rRNA", "RNA ")


def with_article(rna_type: str) -> str:
    """The name of an RNA type with its indefinite article: "an IRES", "a riboswitch"."""
    vowel = rna_type[0] in "aeiouAEIOU" or rna_type.startswith(SPOKEN_WITH_A_VOWEL)
    return f"{'an' if vowel else 'a'} {rna_type}"


def other_types(rna_type: str) -> list[str]:
    """The RNA types that an RNA of this type certainly does not have.

    Not a wider type (a riboswitch is a cis-regulatory element), nor a narrower one, nor one that
    overlaps with it.
    """
    path = PATH_OF_TYPE[rna_type]
    overlapping = {name for types in OVERLAPPING if rna_type in types for name in types}
    return [
        name
        for other, name in RNA_TYPES.items()
        if other[: len(path)] != path and path[: len(other)] != other and name not in overlapping
    ]


def named_type(words: str) -> str | None:
    """The type that a person means, as RNA-QA calls it: "transfer RNAs" is tRNA; None: no type."""
    spelled = " ".join(words.lower().split())
    for ending in ("", "s"):
        if spelled.removesuffix(ending) in _SPELLED:
            return _SPELLED[spelled.removesuffix(ending)]
    return None


def is_type(asked: str, actual: str) -> bool | None:
    """Whether an RNA of one type is of another one too; None where that does not follow.

    Examples:
        >>> is_type("snoRNA", "C/D box snoRNA"), is_type("tRNA", "miRNA"), is_type("leader", "IRES")
        (True, False, None)
    """
    if asked not in PATH_OF_TYPE or actual not in PATH_OF_TYPE:
        return True if asked == actual else None
    wide, narrow = PATH_OF_TYPE[asked], PATH_OF_TYPE[actual]
    if narrow[: len(wide)] == wide:
        return True
    # Part of a messenger is no RNA gene, and codes for nothing either.
    if asked == RNA_TYPES[("Gene",)]:
        return None
    return False if asked in other_types(actual) else None


def type_sentence(rna_type: str) -> str:
    """What RNA-QA answers to the question of the type: "It is a riboswitch."."""
    return f"It is {with_article(rna_type)}."


def family_sentence(description: str, name: str) -> str:
    """What RNA-QA answers to the question of the family, by its description and its name."""
    noun = "" if description.lower().endswith("family") else " family"
    return f"It belongs to the {description}{noun} ({name})."


def first_sentence(annotation: str) -> str:
    """What an annotation says first, which is what the RNA is; without its full stop."""
    return annotation.partition(". ")[0].rstrip(".")


__all__ = [
    "OVERLAPPING",
    "PATH_OF_TYPE",
    "RNA_TYPES",
    "SYNONYMS",
    "family_sentence",
    "first_sentence",
    "is_type",
    "named_type",
    "other_types",
    "type_sentence",
    "with_article",
]
