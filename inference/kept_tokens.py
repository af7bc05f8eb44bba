"""How much of a prompt a cache holds already: one rule for all that write one answer at a time."""

from __future__ import annotations

from collections.abc import Sequence


def count_kept(
    cached_ids: Sequence[int],
    cached_rnas: Sequence[str],
    ids: Sequence[int],
    rnas: Sequence[str],
    *,
    rna_token: int | None,
    sizes: Sequence[int],
) -> int:
    """Tokens that a cache shares with a new prompt, whose last token is never among them.

    Usually these are all. But text is tokenised again with every turn, which may split an answer's
    words in another way than the model wrote them, and some chat templates shorten old turns. A
    prompt about another RNA shares what stands before it: placeholders do not tell RNAs apart.

    Args:
        cached_ids, cached_rnas: tokens of the cache, and its RNAs, in order.
        ids, rnas: of the prompt.
        rna_token: the placeholder of RNAs.
        sizes: placeholders that each RNA of the prompt has.
    """
    same = 0
    while same < min(len(cached_rnas), len(rnas)) and cached_rnas[same] == rnas[same]:
        same += 1
    placeholders = sum(sizes[:same])
    kept = 0
    for cached, given in zip(cached_ids, ids[:-1], strict=False):
        if cached != given:
            break
        if given == rna_token:
            if not placeholders:
                break
            placeholders -= 1
        kept += 1
    return kept


__all__ = ["count_kept"]
