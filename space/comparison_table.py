"""HTML for RNAs side by side."""

from __future__ import annotations

from urllib.parse import quote

from comparison import BY_CHANCE, SHARED, TOO_LONG, ComparedPair, ComparedRna, Comparison
from rna_cards import escape, percent, source

from rnagpt.evidence.gathering import address_of

_FACTS = ("RNA", "nt", "GC", "Family", "Type", "Clan", "E-value", "Identity")
_PAIRS = ("RNAs", "Identity", "Aligned", "In common")


def table(compared: Comparison, *, is_done: bool) -> str:
    """Two tables, of RNAs and of pairs, and, once it is done, a link that downloads them as TSV."""
    rows = "".join(map(_rna, compared.rnas))
    pairs = "".join(map(_pair, compared.pairs))
    return (
        f"{_table('Comparison', f'Each RNA separately: {escape(compared.question)}', _FACTS, rows)}"
        f"{_table('Pairs', f'Identity: of the shorter RNA. {BY_CHANCE}', _PAIRS, pairs)}"
        f"{_download(compared) if is_done else ''}"
    )


def _table(label: str, caption: str, heads: tuple[str, ...], rows: str) -> str:
    head = "".join(f'<th scope="col">{one}</th>' for one in heads)
    return (
        f'<div class="scrolled" tabindex="0" role="region" aria-label="{label}">'
        f'<table class="comparison"><caption>{caption}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _rna(rna: ComparedRna) -> str:
    family = "no known family"
    if rna.family is not None:
        family = escape(" ".join(dict.fromkeys((str(rna.family_name), rna.family))))
        if address := address_of(rna.family):
            family = (
                f'<a href="{escape(address)}" target="_blank" rel="noopener noreferrer">'
                f"{family}</a>"
            )
    cells = (
        f"{rna.length:,}",
        percent(rna.gc),
        family,
        escape(rna.type or "–"),
        escape(rna.clan or "–"),
        "–" if rna.evalue is None else f"{rna.evalue:.1g}",
        "–" if rna.identity is None else percent(rna.identity),
    )
    told = "".join(f"<td>{cell}</td>" for cell in cells)
    # The answer below, since it is longer than all the rest.
    return (
        f'<tr><th scope="row" rowspan="2">{escape(rna.name)}</th>{told}</tr>'
        f'<tr><td colspan="{len(cells)}">{_answer(rna)}</td></tr>'
    )


def _answer(rna: ComparedRna) -> str:
    if not rna.answer:
        return "…"
    sure = f" ({escape(rna.sureness)})" if rna.sureness else ""
    cited = "".join(f"<li>{source(record, named=False)}</li>" for record in rna.records)
    return escape(rna.answer) + sure + (f'<ul class="sources">{cited}</ul>' if cited else "")


def _pair(pair: ComparedPair) -> str:
    alike, aligned = TOO_LONG, "–"
    if pair.identity is not None:
        alike, aligned = percent(pair.identity), f"{pair.identical} of {pair.columns} columns"
    told = "".join(f"<td>{cell}</td>" for cell in (alike, aligned, SHARED[pair.shares]))
    return f'<tr><th scope="row">{escape(pair.one)} – {escape(pair.other)}</th>{told}</tr>'


def _download(compared: Comparison) -> str:
    content = quote(compared.to_tsv())
    return (
        '<p><a class="download" download="rna-gpt-comparison.tsv" '
        f'href="data:text/tab-separated-values;charset=utf-8,{content}">'
        "Download this comparison (TSV)</a></p>"
    )
