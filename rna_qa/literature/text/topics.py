"""Topics of the papers of one RNA (latent Dirichlet allocation, fitted by tomotopy)."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from rnagpt.rna_qa.literature.records import Paper, Topics

# Rises when the same papers may be grouped otherwise.
VERSION = 1
# Gibbs sampling has settled on collections of this size long before; see
# benchmarks/literature_topics.md.
ITERATIONS = 100
# Words per topic that coherence looks at.
TOP_WORDS = 10
# Characters of English prose per token of a language model.
CHARACTERS_PER_TOKEN = 4

_WORD = re.compile(r"[^\W_]+(?:-[^\W_]+)*")
_STOP_WORDS = """
a about above after again against all along already also although always among an and another
any are as at be because been before being below between both but by can could did do does due
during each either et al etc few following for from further furthermore had has have having he
her here his how however i if in including indeed into is it its itself just many may might
more moreover most much must neither no nor not now of off on once only or other others our out
over own per rather respectively same several she should since so some such than that the their
them themselves then there thereby therefore these they this those through thus to together too
toward towards under until up upon us used using very via was we well were what when where
whereas whether which while who whose why will with within without would yet you
abstract aim aims analysis background conclusion conclusions data demonstrate demonstrated
demonstrates finding findings found identified indicate indicated indicates investigate
investigated method methods objective observed paper present previous previously purpose
recent recently report reported result results reveal revealed reveals show showed shown shows
significant significantly studies study suggest suggested suggesting suggests
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
_SPECIES_OF_MICRORNA = re.compile(r"^[a-z]{3,4}-(?=mir|let)")
_ARM_OF_MICRORNA = re.compile(r"-[35]p$")


def group_papers(
    rna_id: str,
    papers: Sequence[Paper],
    *,
    names: Iterable[str] = (),
    seed: int = 0,
    max_topics: int = 8,
    few: int = 5,
    token_budget: int | None = None,
) -> Topics:
    """The papers of an RNA in groups by topic, each paper in exactly one.

    The number of topics lies between 2 and the square root of the number of papers, `max_topics`
    at most; the most coherent fit stands (u_mass over each topic's ten first words, Mimno et al.,
    EMNLP 2011; the fewer topics where two are equal). A paper goes where most of its words are.
    The result depends on the papers, whatever their order, on the names and on the seed; RNAs that
    share papers and names have the same groups, and so the same questions to a language model.
    tomotopy repeats a seed exactly only on processors of one kind.

    Args:
        names: What the papers call the RNA: words that say nothing about the topic.
        max_topics: Most groups; 1 keeps all papers together.
        few: N papers or fewer stay together.
        token_budget: Papers that fit into N tokens (four characters each) stay together.

    Returns:
        The groups, largest first; `coherence` and `reason` as `Topics` says.

    Raises:
        ValueError: if two papers have the same id, or `max_topics` is below 1.
    """
    if max_topics < 1:
        raise ValueError(f"max_topics is {max_topics}; give 1 to keep all papers together, or more")
    papers = sorted(papers, key=lambda paper: paper.id)
    ids = tuple(paper.id for paper in papers)
    if repeated := [paper for paper, count in Counter(ids).items() if count > 1]:
        raise ValueError(f"the papers of {rna_id} hold {repeated[0]} twice; give each paper once")
    if reason := _reason_to_keep_together(papers, max_topics, few, token_budget):
        return Topics(rna_id, (ids,) if ids else (), reason=reason)
    documents = prepare_documents(papers, names)
    if sum(map(bool, documents)) <= few:
        return Topics(rna_id, (ids,), reason="the papers share too few words")
    labels, coherence = fit_topics(
        documents,
        range(2, min(max_topics, math.isqrt(len(ids))) + 1),
        _seed_of_fit(seed, ids),
    )
    return Topics(rna_id, _gather(ids, labels), coherence=coherence)


def _reason_to_keep_together(
    papers: Sequence[Paper], max_topics: int, few: int, token_budget: int | None
) -> str:
    # Fewer than four papers have a square root below 2.
    few = max(few, 3)
    if len(papers) <= few:
        return f"{few} papers or fewer"
    if max_topics == 1:
        return "one topic was asked for"
    characters = sum(len(paper.title) + len(paper.abstract) for paper in papers)
    if token_budget is not None and characters <= token_budget * CHARACTERS_PER_TOKEN:
        return f"the papers fit into {token_budget} tokens"
    return ""


def split_words(text: str) -> list[str]:
    """The lower-case words of a text in order; words joined by hyphens ("tgf-β") are one.

    Stop words, single characters and bare numbers are left out.
    """
    return [
        word
        for word in _WORD.findall(text.lower())
        if len(word) > 1 and word not in STOP_WORDS and not word.isdigit()
    ]


def prepare_documents(papers: Iterable[Paper], names: Iterable[str]) -> list[list[str]]:
    """The words of each paper, without the RNA's names and what only one paper uses."""
    documents = [split_words(f"{paper.title} {paper.abstract}") for paper in papers]
    papers_with = Counter(word for document in documents for word in set(document))
    own = {_without_form(name.lower()) for name in names}
    kept = {
        word for word, count in papers_with.items() if count > 1 and _without_form(word) not in own
    }
    return [[word for word in document if word in kept] for document in documents]


def _without_form(name: str) -> str:
    """A lower-case name without what varies: hsa-mir-21-5p, microrna-21 and mir21 give mir21."""
    name = name.replace("microrna", "mir")
    name = _ARM_OF_MICRORNA.sub("", _SPECIES_OF_MICRORNA.sub("", name))
    return name.replace("-", "")


def _seed_of_fit(seed: int, ids: Sequence[str]) -> int:
    """A seed of 32 bits for these papers (BLAKE2b)."""
    text = "\x1f".join((str(seed), *ids))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big")


def fit_topics(
    documents: Sequence[Sequence[str]], numbers: Iterable[int], seed: int
) -> tuple[list[int | None], float]:
    """The topic of each document in the most coherent fit, and its coherence (u_mass).

    Args:
        documents: Words; a document without any has no topic (None).
        numbers: The numbers of topics to try.
    """
    fits = (_fit(documents, topics, seed) for topics in numbers)
    # The first of the best: fewer topics.
    return max(fits, key=lambda fit: fit[1])


def _fit(
    documents: Sequence[Sequence[str]], topics: int, seed: int
) -> tuple[list[int | None], float]:
    import tomotopy
    from tomotopy.coherence import Coherence

    model = tomotopy.LDAModel(k=topics, seed=seed)
    for document in documents:
        if document:
            model.add_doc(document)
    # More workers would be neither faster on so little nor the same from run to run.
    model.train(ITERATIONS, workers=1)
    coherence = Coherence(model, coherence="u_mass", top_n=TOP_WORDS).get_score()
    fitted = iter(model.docs)
    labels = [next(fitted).get_topics(top_n=1)[0][0] if words else None for words in documents]
    return labels, float(coherence)


def _gather(ids: Sequence[str], labels: Sequence[int | None]) -> tuple[tuple[str, ...], ...]:
    """The groups by falling size; papers without a topic join the largest."""
    largest = Counter(label for label in labels if label is not None).most_common(1)[0][0]
    groups: dict[int, list[str]] = {}
    for paper, label in zip(ids, labels, strict=True):
        groups.setdefault(largest if label is None else label, []).append(paper)
    return tuple(sorted(map(tuple, groups.values()), key=lambda group: (-len(group), group)))


__all__ = ["fit_topics", "group_papers", "prepare_documents", "split_words"]
