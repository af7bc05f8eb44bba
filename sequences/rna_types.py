"""Names of RNA types in sentences."""

# Read aloud they begin with a vowel: "an es-RNA", "an aitch-ACA box".
SPOKEN_WITH_A_VOWEL = ("H/ACA", "sRNA", "snRNA", "lncRNA", "rRNA", "RNA ")


def with_article(rna_type: str) -> str:
    """The name of an RNA type with its indefinite article: "an IRES", "a riboswitch"."""
    vowel = rna_type[0] in "aeiouAEIOU" or rna_type.startswith(SPOKEN_WITH_A_VOWEL)
    return f"{'an' if vowel else 'a'} {rna_type}"


__all__ = ["with_article"]
