"""Claims without a language model: the sentences of each topic that say most about the RNA."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

from rnagpt.rna_qa.literature.claims.standing_alone import Context, context_of, stand_alone
from rnagpt.rna_qa.literature.records import Annotation, Claim, Paper, Rna, Topics
from rnagpt.rna_qa.literature.text.mentions import NameIndex
from rnagpt.rna_qa.literature.text.passages import section_of
from rnagpt.rna_qa.literature.text.sentences import split_label, split_sentences
from rnagpt.rna_qa.literature.text.topics import split_words

# Rises when the same papers may give other claims.
VERSION = 3
PER_TOPIC = 3
# Words (stop words left out) of a sentence that is neither a heading nor a list.
MIN_LENGTH, MAX_LENGTH = 4, 40
# Two sentences say the same where they share this part of the shorter one's words.
SAME = 0.7

# Reads lower-case text: to ignore the case would cost twice the time.
_ASSERTS_NOTHING = re.compile(
    r"\b(?:aim(?:s|ed|ing)?|objectives?|purpose|hypothes[ie][sz]e?d?|sought to|set out to"
    r"|attempt(?:s|ed)? to|whether|little is known|less is known|not known|under investigation"
    r"|(?:we|study|studies|paper|review|article) "
    r"(?:\w+ly |also |next |then |further |first |have |has ){0,2}"
    r"(?:analy[sz]e[sd]?|ask(?:s|ed)?|assess(?:es|ed)?|collect(?:s|ed)?|compare[sd]?"
    r"|conduct(?:s|ed)?|construct(?:s|ed)?|describe[sd]?|discuss(?:es|ed)?|evaluate[sd]?"
    r"|examine[sd]?|explore[sd]?|focus(?:es|ed)?|investigate[sd]?|measure[sd]?|perform(?:s|ed)?"
    r"|present(?:s|ed)?|review(?:s|ed)?|stud(?:y|ies|ied)|summari[sz]e[sd]?|test(?:s|ed)?"
    r"|transfect(?:s|ed)?|use[sd]?)"
    r"|(?:was|were|been) (?:\w+ly |also |then |further )?"
    r"(?:analy[sz]ed|applied|assessed|carried out|collected|conducted|constructed|divided"
    r"|employed|enrolled|evaluated|examined|explored|investigated|measured|performed"
    r"|quanti(?:fied|tated)|recruited|selected|stratified|studied|tested|transfected|used"
    r"|assigned (?:in)?to|(?:at|ob)tained (?:from|using)|retrieved (?:from|using)|downloaded"
    r"|detected (?:by|using|via|with)|determined (?:by|in|using|via|with))"
    r"|(?:remains?|is|are|was|were) (?:\w+ ){0,2}"
    r"(?:unclear|unknown|ambiguous|elusive|obscure|controversial|contradictory|poorly|unexplored|undefined"
    r"|undetermined|uncharacteri[sz]ed|inconclusive|to be)"
    r"|significance of [^.;]{3,80} (?:was|were) detected"
    r"|not (?:yet )?(?:been )?(?:fully |well |completely )?"
    r"(?:elucidated|understood|established|clarified|clear|investigated|studied))\b",
)
_PIECE = re.compile(r"[^\W\d_]+|\d+")
# Group 1: the number, which every spelling has.
_MICRORNA = re.compile(r"(?:microrna|mirna|mir|let)s?[- ]?(\d+)", re.IGNORECASE)
# A title that is a sentence. The words are nouns as well: "its targets in glioma" is none.
_STATES = re.compile(
    r"^[^\[?]*\s(?:abolish|abrogat|accelerat|activat|act|affect|alleviat|ameliorat|antagoni[sz]"
    r"|attenuat|bind|block|caus|confer|contribut|control|correlat|decreas|determin|driv"
    r"|(?:down|up)-?regulat|enhanc|exert|facilitat|function|impair|improv|increas|induc|influenc"
    r"|inhibit|interact|limit|mediat|modulat|play|predict|prevent|promot|protect|reduc|regulat"
    r"|repress|restrain|restrict|revers|sensiti[sz]|serv|silenc|spong|stabili[sz]|stimulat"
    r"|support|suppress|target|trigger)e?s\s(?!(?:of|in|for|and|or|by|with)\b)"
    r"|^[^\[?]*\s(?:is|are)\s[^?]*$",
    re.IGNORECASE,
)
# Findings about the RNA stand under these labels, or under none.
_SECTIONS_OF_FINDINGS = frozenset({None, "background", "results", "conclusions"})


@dataclass(frozen=True)
class _Sentence:
    """A sentence of an abstract without its label; `words`: the different ones of `split_words`."""

    text: str
    section: str | None
    words: tuple[str, ...]
    context: Context


def annotate(
    rna: Rna, topics: Topics, papers: Iterable[Paper], per_topic: int = PER_TOPIC
) -> Annotation:
    """What the papers say about an RNA, in their own sentences (mode ``extractive``).

    Args:
        papers: The papers of `topics`; others are ignored.
        per_topic: Most claims per group of papers.

    Raises:
        ValueError: if a paper of `topics` is missing.
    """
    found = tuple(claims(rna, topics.group(papers), per_topic))
    text = " ".join(claim.text for claim in found)
    return Annotation(rna.id, mode="extractive", text=text, claims=found)


def claims(rna: Rna, groups: Sequence[Sequence[Paper]], per_topic: int = PER_TOPIC) -> list[Claim]:
    """At most `per_topic` sentences of each group of papers that name the RNA, best first.

    Aims, methods and open questions are left out. The rest is ranked by centrality: the cosine of
    a sentence with the sum of all the group's sentences as TF-IDF vectors of length 1 (Radev et
    al., Inf. Process. Manag. 40, 2004). A sentence that says what a chosen one said, in this or an
    earlier group, is passed over. Each claim names its one paper; the quote is the sentence as it
    stands there, the text the same without its lead ("Moreover, we found that"), and with the
    disease that it leaves to its paper (`standing_alone`). One that cannot stand alone is left out.
    """
    names = _namer(rna)
    chosen: list[Claim] = []
    words_of: list[frozenset[str]] = []
    for topic, papers in enumerate(groups):
        before = len(chosen)
        for paper, sentence in _rank(names, papers):
            words = frozenset(sentence.words)
            if any(len(words & one) >= SAME * min(len(words), len(one)) for one in words_of):
                continue
            text = stand_alone(sentence.text, sentence.context, names)
            if text is None:
                continue
            section = section_of(sentence.text, paper)
            chosen.append(Claim(text, (paper.id,), sentence.text, topic, section))
            words_of.append(words)
            if len(chosen) - before == per_topic:
                break
    return chosen


def _rank(names: Callable[[str], bool], papers: Sequence[Paper]) -> list[tuple[Paper, _Sentence]]:
    """The sentences of a group that may be claims, best first."""
    # By id: sums of floats must not depend on the order of the papers.
    papers = sorted(papers, key=lambda paper: paper.id)
    read = [
        (paper, sentence)
        for paper in papers
        for sentence in _read(paper.title, paper.abstract, paper.body or "")
    ]
    candidates = [
        place
        for place, (_, sentence) in enumerate(read)
        if names(sentence.text) and _may_be_a_claim(sentence)
    ]
    if not candidates:
        return []
    central = centrality([sentence.words for _, sentence in read])
    candidates.sort(key=lambda place: -central[place] * _standing(read[place][1].text))
    return [read[place] for place in candidates]


def _namer(rna: Rna) -> Callable[[str], bool]:
    """A function that tells whether a sentence names an RNA; most are passed over at a glance."""
    index = NameIndex((name, rna.id) for name in rna.names)
    pieces = {_telling_piece(name.lower()) for name in rna.names}

    def names(sentence: str) -> bool:
        lower = sentence.lower()
        return any(piece in lower for piece in pieces) and bool(index.find(sentence))

    return names


def _telling_piece(name: str) -> str:
    """Letters or digits that every spelling of a name holds: 21 of hsa-mir-21-5p, h of H19."""
    if microrna := _MICRORNA.search(name):
        return microrna[1]
    return max(_PIECE.findall(name), key=len, default="")


@lru_cache(maxsize=2048)  # Hub papers are read for many RNAs; about 30 MB when full.
def _read(title: str, abstract: str, body: str) -> tuple[_Sentence, ...]:
    """The sentences of an abstract and a full text; the title as well where it states something."""
    parts: list[tuple[str, str | None]] = [
        (sentence, None) for sentence in split_sentences(title) if _STATES.search(sentence)
    ]
    section = None
    for sentence in (*split_sentences(abstract), *split_sentences(body)):
        label, text = split_label(sentence)
        section = label or section
        parts.append((text, section))
    context = context_of(title, abstract)
    return tuple(
        _Sentence(text, section, tuple(dict.fromkeys(split_words(text))), context)
        for text, section in parts
    )


def _may_be_a_claim(sentence: _Sentence) -> bool:
    text = sentence.text
    return (
        MIN_LENGTH <= len(sentence.words) <= MAX_LENGTH
        and sentence.section in _SECTIONS_OF_FINDINGS
        and not text.endswith("?")
        and text.count("(") == text.count(")")
        and not _ASSERTS_NOTHING.search(text.lower())
    )


def _standing(sentence: str) -> float:
    """How well a sentence speaks of one RNA, from 0 to 1."""
    return 1 / max(1, len(set(_MICRORNA.findall(sentence))) - 1)


def centrality(sentences: Sequence[Sequence[str]]) -> list[float]:
    """The cosine of each sentence with the sum of all, as vectors of length 1.

    A word's weight is scikit-learn's smoothed IDF, ln((1 + n) / (1 + sentences with the word)) + 1.

    Args:
        sentences: The different words of each; one without words has centrality 0.
    """
    containing = Counter(chain.from_iterable(sentences))
    # Weights and sums as squares, so that the inner loops are only sums over look-ups.
    square = {
        word: (math.log((1 + len(sentences)) / (1 + count)) + 1) ** 2
        for word, count in containing.items()
    }
    scale = [1 / math.sqrt(sum(map(square.__getitem__, words)) or 1.0) for words in sentences]
    share = dict.fromkeys(square, 0.0)
    for words, factor in zip(sentences, scale, strict=True):
        for word in words:
            share[word] += factor
    pull = {word: value * square[word] for word, value in share.items()}
    length = math.sqrt(sum(value * share[word] for word, value in pull.items())) or 1.0
    return [
        factor * sum(map(pull.__getitem__, words)) / length
        for words, factor in zip(sentences, scale, strict=True)
    ]


__all__ = ["annotate", "centrality", "claims"]
