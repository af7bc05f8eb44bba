"""Names of RNA types and families in sentences, and the sentence that names an RNA."""

# Read aloud they begin with a vowel: "an es-RNA", "an aitch-ACA box".
SPOKEN_WITH_A_VOWEL = ("H/ACA", "sRNA", "snRNA", "lncRNA", "rRNA", "RNA ")


def with_article(rna_type: str) -> str:
    """The name of an RNA type with its indefinite article: "an IRES", "a riboswitch"."""
    vowel = rna_type[0] in "aeiouAEIOU" or rna_type.startswith(SPOKEN_WITH_A_VOWEL)
    return f"{'an' if vowel else 'a'} {rna_type}"


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


__all__ = ["family_sentence", "first_sentence", "type_sentence", "with_article"]
