"""HTML for what the search found in an RNA: what it is, how sure, where, and who says so."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape as escape_markup

from findings import Findings
from plain_text import visible
from searching import reference

from rnagpt import CleanedRna, Hit
from rnagpt.evidence.confidence import (
    CONFIDENCE_MEANS,
    confidence_in_words,
    confidence_of_match,
    confidence_word,
)
from rnagpt.evidence.gathering import WHOLE, address_of
from rnagpt.inference.cited import MAX_READ_LENGTH
from rnagpt.sequences.strands import reverse_complement

MAX_ROWS = 5  # candidates that are not folded
MAX_WEAKER = 20  # rows of what is not significant
RNACENTRAL = "https://rnacentral.org/sequence-search/"
CONSERVED = 1.0  # bits, of at most 2
_LINE = 60  # nt in a line of the structure
_LANE = 14  # height of a hit in the track
_MIN_WIDTH = 6  # of a hit in the track, whose width is 1000
_ADDRESSES = (
    (re.compile(r"GO:[0-9]{7}"), "https://www.ebi.ac.uk/QuickGO/term/"),
    (re.compile(r"SO:[0-9]{7}"), "http://www.sequenceontology.org/browser/current_release/term/"),
    (re.compile(r"[0-9]{1,9}"), "https://pubmed.ncbi.nlm.nih.gov/"),
    (re.compile(r"10\.[0-9]{4,9}/[^\s<>\"]+"), "https://doi.org/"),
)


def result(rna: CleanedRna, findings: Findings | None, key: str) -> str:
    """What an RNA is, as far as it was found; that it is being searched while it is not.

    Args:
        key: of the RNA, by which its buttons name it.
    """
    if findings is None:
        if reference() is None:
            return ""
        searching = '<p class="searching" role="status">Searching for known families…</p>'
        return searching + _reading(rna, [], key)
    inside = findings.note and f"<p>{_escape(findings.note)}</p>"
    if not inside:
        inside = _found(rna, findings, key) if findings.hits else _nothing(findings)
        inside += weaker(findings.weaker or ())
    reading = _reading(rna, findings.hits, key)
    return f'<section class="result" aria-label="Search">{inside}{reading}</section>'


def _nothing(findings: Findings) -> str:
    return (
        f'<p class="verdict"><strong>No known family matches</strong> in '
        f"{_escape(findings.searched)}. It may be an RNA without a family there, or not one that "
        f"has a function.</p>{_elsewhere()}"
    )


def _found(rna: CleanedRna, findings: Findings, key: str) -> str:
    hits = findings.hits
    best, length = hits[0], len(rna.sequence)
    record = best.record
    about = record.description if record.description != record.name else ""
    named = " — ".join(filter(None, (_link(record.id, record.name), _escape(about))))
    kind = f' <span class="type">{_escape(record.type)}</span>' if record.type else ""
    whole = findings.evidence and findings.evidence.is_whole(findings.evidence.items[0])
    part = "" if whole else "A part of this RNA matches: "
    return (
        f'<p class="verdict">{part}<strong>{named}</strong>{kind}</p>'
        f"<p>{_sure(best)} · E {best.evalue:.1g} · {best.bits:.1f} bits · "
        f"identity {best.identity:.0%} · {_place(best)} of {length:,}, in "
        f"{_escape(findings.searched)}</p>"
        f"{_track(hits, length)}{_candidates(hits, length, key)}{_details(rna, findings)}"
        f"{_elsewhere()}"
    )


def _sure(hit: Hit) -> str:
    confidence = confidence_of_match(hit)
    word = confidence_word(confidence)
    return (
        f'<span class="sure {word.replace(" ", "-")}" title="{CONFIDENCE_MEANS[word]}">'
        f"confidence {confidence_in_words(confidence)}</span>"
    )


def sureness(hit: Hit) -> str:
    """How sure it is that a hit names the RNA's family, in a word."""
    return confidence_word(confidence_of_match(hit))


def _place(hit: Hit) -> str:
    return f"nucleotides {hit.start:,}–{hit.end:,}, {_strand(hit)}"


def _strand(hit: Hit) -> str:
    return "strand as given (+)" if hit.strand == "+" else "reverse strand (−)"


def _track(hits: list[Hit], length: int) -> str:
    """The hits to scale, those that overlap below each other; arrows point to their 3′ ends."""
    ends: list[int] = []  # of the last hit in each lane
    arrows = []
    for number, hit in sorted(enumerate(hits, start=1), key=lambda one: one[1].start):
        lane = next((n for n, end in enumerate(ends) if end < hit.start), len(ends))
        ends[lane : lane + 1] = [hit.end]
        told = f"{number}. {hit.record.name}: {_place(hit)}"
        arrows.append(
            f'<polygon class="{sureness(hit).replace(" ", "-")}" points="'
            f'{_arrow(hit, length, lane)}"><title>{_escape(told)}</title></polygon>'
        )
    height = _LANE * len(ends) + 6
    described = "; ".join(f"{hit.record.name}, {_place(hit)}" for hit in hits)
    return (
        f'<figure class="track"><svg role="img" viewBox="0 0 1000 {height}" '
        f'preserveAspectRatio="none" style="height:{height}px">'
        f"<title>Where it matches, in {length:,} nt</title>"
        f"<desc>{_escape(described)}</desc>"
        f'<line x1="0" x2="1000" y1="3" y2="3"/>{"".join(arrows)}</svg>'
        f"<figcaption><span>1</span><span>{length:,} nt</span></figcaption></figure>"
    )


def _arrow(hit: Hit, length: int, lane: int) -> str:
    left = 1000 * (hit.start - 1) / length
    right = min(max(1000 * hit.end / length, left + _MIN_WIDTH), 1000)
    left = min(left, right - _MIN_WIDTH)
    top = 6 + lane * _LANE
    bottom, middle = top + _LANE - 2, top + _LANE / 2 - 1
    head = min(12.0, (right - left) / 2)
    if hit.strand == "+":
        points = [(left, top), (right - head, top), (right, middle), (right - head, bottom)]
        points.append((left, bottom))
    else:
        points = [(right, top), (left + head, top), (left, middle), (left + head, bottom)]
        points.append((right, bottom))
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _candidates(hits: list[Hit], length: int, key: str) -> str:
    """The best candidates, and the rest to fold out.

    They are hits, and after them those of the same clan that they outdo. Nothing where there is but
    one, of which the card says all of this above, and which cannot be trimmed to.
    """
    rows = [(str(number), hit) for number, hit in enumerate(hits, start=1)]
    rows += [("clan", other) for hit in hits for other in hit.others]
    trimmable = any(can_trim(hit, length) for hit in hits)
    if len(rows) < 2 and not trimmable:
        return ""
    html = [_row(number, hit, key if trimmable else "", length) for number, hit in rows]
    best, rest = html[:MAX_ROWS], html[MAX_ROWS:]
    heads = ["#", "Family", "Type", "Place", "Strand", "E-value", "Bits", "Identity", "Confidence"]
    # Beside the name: on a narrow card the last columns are out of sight.
    named = [*heads[:2], "Trim", *heads[2:]] if trimmable else heads
    more = ""
    if rest:
        table = _table("More candidates", named, rest)
        more = folded("candidates", f"{len(rest)} more candidates", table)
    return _table("Candidates", named, best) + more


def _row(number: str, hit: Hit, key: str, length: int) -> str:
    trim = ""
    if key:
        can = number != "clan" and can_trim(hit, length)
        trim = f"<td>{_trim_button(hit, int(number), key) if can else ''}</td>"
    return (
        f"<tr><td>{number}</td>{_cells(hit, trim)}<td>{hit.identity:.0%}</td>"
        f"<td>{_sure_word(hit, number)}</td></tr>"
    )


def _cells(hit: Hit, after_name: str = "") -> str:
    return (
        f"<td>{_link(hit.record.id, hit.record.name)}</td>{after_name}"
        f"<td>{_escape(hit.record.type or '–')}</td><td>{hit.start:,}–{hit.end:,}</td>"
        f"<td>{'+' if hit.strand == '+' else '−'}</td><td>{hit.evalue:.1g}</td>"
        f"<td>{hit.bits:.1f}</td>"
    )


def _table(label: str, heads: Sequence[str], rows: Sequence[str]) -> str:
    head = "".join(f'<th scope="col">{one}</th>' for one in heads)
    return (
        f'<div class="scrolled" tabindex="0" role="region" aria-label="{label}">'
        f'<table class="comparison candidates"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def weaker(hits: Sequence[Hit]) -> str:
    """What matches no better than by chance, to fold out; nothing where there is none of it."""
    if not hits:
        return ""
    shown = hits[:MAX_WEAKER]
    rows = [
        f"<tr>{_cells(hit)}<td>not significant: {hit.evalue:.1g} such by chance expected</td></tr>"
        for hit in shown
    ]
    heads = ("Family", "Type", "Place", "Strand", "E-value", "Bits", "What that means")
    more = len(hits) - len(shown)
    rest = f"<p>{more} more in the JSON download.</p>" if more else ""
    noun = "candidate" if len(hits) == 1 else "candidates"
    inside = (
        "<p>An E-value says how many matches this good are expected by chance in a sequence of "
        "this length. Answers do not rest on these.</p>"
        f"{_table('Weaker candidates', heads, rows)}{rest}"
    )
    return folded("weaker", f"{len(hits)} weaker {noun}, not significant", inside, "weaker")


def folded(fold: str, summary: str, inside: str, kind: str = "", *, is_open: bool = False) -> str:
    """A part to fold out, which the page keeps as the reader left it.

    Args:
        fold: by which the page tells it from the others of its card.
        summary, inside: HTML.
        kind: for the style sheet.
        is_open: at first.
    """
    marks = f' class="{kind}"' * bool(kind) + " open" * is_open
    return f'<details data-fold="{fold}"{marks}><summary>{summary}</summary>{inside}</details>'


def can_trim(hit: Hit, length: int) -> bool:
    """Whether a hit is so much less than the RNA that a part of it is worth a card of its own."""
    covered = hit.end - hit.start + 1
    return covered < WHOLE * length or covered < length > MAX_READ_LENGTH


def _trim_button(hit: Hit, number: int, key: str, words: str = "Trim to this hit") -> str:
    told = f"{words}: {hit.record.name}, {_place(hit)}"
    return (
        f'<button type="button" class="small" data-value="{key}" data-trim="{number}" '
        f'aria-label="{_escape(told)}">{words}</button>'
    )


def _sure_word(hit: Hit, number: str) -> str:
    if number == "clan":
        return "a weaker match of the same clan"
    return f'<span title="{CONFIDENCE_MEANS[sureness(hit)]}">{sureness(hit)}</span>'


def _details(rna: CleanedRna, findings: Findings) -> str:
    listed = list(zip(findings.hits, findings.conserved, strict=True))[:MAX_ROWS]
    parts = []
    for number, (hit, conserved) in enumerate(listed, start=1):
        name = _escape(hit.record.name)
        aligned = _text("Alignment", hit.alignment) + _structure(rna, hit, conserved)
        parts += [
            folded(f"record {number}", f"{name}: record, papers", _record(hit), "record"),
            folded(f"alignment {number}", f"{name}: alignment, structure", aligned, "alignment"),
        ]
    return "".join(parts)


def _record(hit: Hit) -> str:
    record = hit.record
    sentences = " ".join(record.functions) or " ".join(claim.text for claim in record.claims)
    terms = ", ".join(f"{_link(term.id)} {_escape(term.name)}" for term in record.terms)
    papers = ", ".join(map(_link, record.papers))
    listed = (
        ("", _escape(sentences)),
        ("Organism: ", _escape(record.organism)),
        ("Terms: ", terms),
        ("Papers (PubMed): ", papers),
        ("Clan: ", _escape(record.clan)),
        ("Source: ", _escape(record.source)),
    )
    return "".join(f"<p>{name}{text}</p>" for name, text in listed if text)


def _structure(rna: CleanedRna, hit: Hit, conserved: tuple[float | None, ...]) -> str:
    """Sequence, dot-bracket and conserved letters of a hit, along the strand that matches."""
    letters = rna.sequence[hit.start - 1 : hit.end]
    if hit.strand == "-":
        letters = reverse_complement(letters)
    marks = "".join("*" if bits is not None and bits >= CONSERVED else " " for bits in conserved)
    rows = [row for row in (letters, hit.structure, marks) if row.strip()]
    blocks = "\n\n".join(
        "\n".join(row[first : first + _LINE].rstrip() for row in rows)
        for first in range(0, len(letters), _LINE)
    )
    star = "; * at least 1 of 2 bits conserved in the family" if marks.strip() else ""
    return _text(f"Sequence and dot-bracket{star}", blocks)


def _text(caption: str, text: str) -> str:
    return (
        f'<p>{caption}</p><div class="scrolled" tabindex="0" role="region" '
        f'aria-label="{caption}"><pre>{_escape(text)}</pre></div>'
    )


def _reading(rna: CleanedRna, hits: list[Hit], key: str) -> str:
    """What the model cannot read, apart from what is searched, and the way out."""
    length = len(rna.sequence)
    if length <= MAX_READ_LENGTH or reference() is None:
        return ""
    told = (
        f"<strong>Search:</strong> all {length:,} nt, both strands. <strong>Model:</strong> does "
        f"not read it, being longer than {MAX_READ_LENGTH:,} nt; only records answer."
    )
    trim = f"Give a part of up to {MAX_READ_LENGTH:,} nt for the model to read it."
    if hits and can_trim(hits[0], length):
        covered = hits[0].end - hits[0].start + 1
        trim = _trim_button(hits[0], 1, key, f"Trim to the best hit ({covered:,} nt)")
    return f'<p class="reading">{told} {trim}</p>'


def _elsewhere() -> str:
    link = f'<a href="{RNACENTRAL}" target="_blank" rel="noopener noreferrer">RNAcentral</a>'
    return f"<p>Look further: paste the sequence into the search of {link}.</p>"


def _link(identifier: str, name: str = "") -> str:
    """A link to the page about a record, a term or a paper; its name where there is none."""
    text = _escape(" ".join(filter(None, (name, identifier))))
    address = address_of(identifier) or next(_addresses(identifier), "")
    if not address:
        return text
    return f'<a href="{_escape(address)}" target="_blank" rel="noopener noreferrer">{text}</a>'


def _addresses(identifier: str) -> Iterator[str]:
    for pattern, place in _ADDRESSES:
        if pattern.fullmatch(identifier):
            yield place + identifier


def _escape(text: str) -> str:
    return escape_markup(visible(text))
