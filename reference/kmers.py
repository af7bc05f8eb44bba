"""The engine "kmers": single RNAs found by spaced words, then aligned; needs numpy and no program.

As in BLAST: words that query and RNA share propose diagonals, those with two words are extended
without gaps, the best of these with gaps. The words and where they occur are files mapped into
memory, so that a query reads the pages that it needs and no more.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnagpt.reference import InvalidReferenceError
from rnagpt.reference.alignment import Scores, align
from rnagpt.reference.single_rnas import (
    GAP_EXTEND,
    GAP_OPEN,
    MATCH,
    MAX_AT_ONE_PLACE,
    MISMATCH,
    RnaMatch,
    make_match,
    raw_score,
)

Array = NDArray[Any]

# Places of a word that have to agree. Spaced words miss fewer relatives than words of neighbours
# (Ma, Tromp and Li 2002, Bioinformatics 18:440): of pieces of 64 nt with 15 % changed, 96 % share
# two words of this shape, and 90 % two of ten neighbours. It is the best of 120 random shapes.
WORD = (0, 1, 2, 5, 6, 8, 10, 12, 13, 14)
SPAN = WORD[-1] + 1
NUM_WORDS = 4 ** len(WORD)
_TAIL = 16  # bits by which words are sorted at once, when the index is built
_CHUNK = 1 << 22
MAX_LETTERS = 2**32  # nt of an index: places are of four bytes

MAX_SEEDS = 2_000_000  # of a window's strand; the commonest words give way
MAX_DISTANCE = 200  # nt between two words of one diagonal that count together
MAX_DIAGONALS = 5_000  # that are extended without gaps, those with the most words
REACH = 64  # nt to each side, of the extension without gaps
# Bits of the extension without gaps from which on a diagonal is aligned with gaps: blastn's, and in
# a large search as many as chance reaches some hundred times.
GAP_TRIGGER, BY_CHANCE = 27.0, 100
REGION, PER_REGION = 200, 30  # so many diagonals are aligned with gaps per 200 nt of the query
NEAR = 128  # nt to each side that are aligned first; the best there are aligned whole
HALF_BAND = 32  # nt by which an alignment may leave its diagonal
BATCH, BATCH_ROWS = 48, 100_000  # pairs, and letters of their queries, that are aligned at once
WHOLE = 16  # diagonals that are aligned whole before it is looked which places need no more

# DUST's score and threshold (Morgulis et al. 2006, J Comput Biol 13:1028), for intervals of these
# lengths. Words in repeats propose nothing; alignments pass through repeats, as in blastn.
DUST_LENGTHS, DUST_THRESHOLD = (15, 24, 64), 2.0

_LETTERS = "ACGU"  # by their codes
_OTHER, _NOTHING = 4, 5  # another letter, no letter
_NO_MATCH, _GAP = 6, 7  # either of the two, of the query, which equals nothing; a gap
_TEXT = np.frombuffer(b"ACGUNNN-", dtype=np.uint8)
_CODES = np.full(256, _OTHER, dtype=np.uint8)
_CODES[np.frombuffer(_LETTERS.encode(), dtype=np.uint8)] = np.arange(4, dtype=np.uint8)
_SCORES = Scores(MATCH, MISMATCH, GAP_OPEN, GAP_EXTEND)


class _Diagonals(NamedTuple):
    """Diagonals of the query and the RNAs, each by a place on it.

    Attributes:
        query: 0-based place in the query's strand.
        target: 0-based place in the letters of all RNAs.
        rna: number of the RNA.
    """

    query: Array
    target: Array
    rna: Array

    def take(self, chosen: Array) -> _Diagonals:
        return _Diagonals(*(values[chosen] for values in self))


class _Pairs(NamedTuple):
    """Parts of the query and of RNAs, as `align` takes them.

    Attributes:
        number: of each pair's diagonal.
        query, target: codes of letters.
        top, left: where these begin in the query and in the RNA, 0-based.
    """

    number: Array
    query: Array
    target: Array
    top: Array
    left: Array


class Engine:
    """The engine "kmers"; see `SequenceEngine`."""

    @staticmethod
    def build(sequences: Iterator[str], folder: Path) -> None:
        starts = [1]
        with (folder / "letters.u8").open("wb") as file:
            file.write(bytes([_NOTHING]))
            for sequence in sequences:
                # No word crosses the end of an RNA.
                codes = np.append(_encode(sequence), np.uint8(_NOTHING))
                starts.append(starts[-1] + len(codes))
                codes.tofile(file)
        if starts[-1] >= MAX_LETTERS:
            raise InvalidReferenceError(
                f"{starts[-1]:,} nt of single RNAs are more than the engine kmers takes "
                f"({MAX_LETTERS:,}). Write the reference with --engine blast."
            )
        np.save(folder / "starts.npy", np.array(starts, dtype=np.int64))
        _write_words(np.memmap(folder / "letters.u8", dtype=np.uint8, mode="r"), folder)

    def __init__(self, folder: Path) -> None:
        self._letters: Array = np.memmap(folder / "letters.u8", dtype=np.uint8, mode="r")
        self._starts: Array = np.load(folder / "starts.npy", mmap_mode="r")
        self._first: Array = np.load(folder / "first.npy", mmap_mode="r")
        self._places: Array = np.load(folder / "places.npy", mmap_mode="r")

    def scan(self, letters: str, space: float, evalue: float) -> Iterable[RnaMatch]:
        plus = _encode(letters)
        minus = np.where(plus < _OTHER, 3 - plus, plus)[::-1]
        repeats = find_repeats(plus)
        least = raw_score(math.log2(space / evalue))
        trigger = min(raw_score(max(GAP_TRIGGER, math.log2(space / BY_CHANCE))), least)
        for strand, codes, masked in (("+", plus, repeats), ("-", minus, repeats[::-1])):
            found = self._extend(codes, *self._seeds(codes, masked), trigger)
            yield from self._align(codes, found, strand, least)

    def _seeds(self, codes: Array, masked: Array) -> tuple[Array, Array]:
        """A place in the query and in the RNAs, for each diagonal on which they share two words."""
        words = _words(codes)
        usable = np.flatnonzero((words < NUM_WORDS) & ~_any_in_span(masked))
        begin = self._first[words[usable]].astype(np.int64)
        counts = self._first[words[usable] + 1] - begin
        rarest = np.argsort(counts, kind="stable")
        rarest = rarest[np.cumsum(counts[rarest]) <= MAX_SEEDS]
        begin, counts, query = begin[rarest], counts[rarest], usable[rarest]
        ends = np.cumsum(counts)
        total = int(ends[-1]) if len(ends) else 0
        target = self._places[np.arange(total) + np.repeat(begin - ends + counts, counts)]
        diagonal = target.astype(np.int64) - np.repeat(query, counts) + len(codes)
        # Sorted by diagonal, then by place.
        keys = np.sort((diagonal << 32) | target)
        diagonal, target = keys >> 32, keys & 0xFFFFFFFF
        new = (np.diff(diagonal) != 0) | (np.diff(target) > MAX_DISTANCE)
        first = np.flatnonzero(np.append(np.full(min(total, 1), True), new))
        count = np.diff(np.append(first, total))
        several = np.flatnonzero(count >= 2)
        several = several[np.argsort(-count[several], kind="stable")[:MAX_DIAGONALS]]
        middle = first[several] + count[several] // 2
        return target[middle] - diagonal[middle] + len(codes), target[middle]

    def _extend(self, codes: Array, query: Array, target: Array, trigger: float) -> _Diagonals:
        """The best diagonals of each region, of those whose extension without gaps is enough."""
        around = np.arange(-REACH, REACH + SPAN)
        theirs = self._letters.take(target[:, None] + around, mode="clip")
        ours = _between(codes, _NOTHING).take(query[:, None] + around + 1, mode="clip")
        agree = (theirs == ours) & (theirs < _OTHER)
        gains = np.where(agree, np.int16(MATCH), np.int16(MISMATCH))
        gains[(theirs == _NOTHING) | (ours == _NOTHING)] = -4 * REACH * MATCH
        sums = np.cumsum(gains, axis=1, dtype=np.int32)
        lowest = np.minimum.accumulate(sums - gains, axis=1)
        score = (sums - lowest).max(axis=1, initial=0)
        order = np.argsort(-score, kind="stable")
        order = order[score[order] >= trigger]
        rna = np.searchsorted(self._starts, target[order], side="right") - 1
        return _spread(_Diagonals(query[order], target[order], rna))

    def _align(
        self, codes: Array, found: _Diagonals, strand: str, least: float
    ) -> Iterator[RnaMatch]:
        """The matches of the RNAs of some diagonals, with gaps, until a place has enough."""
        score = np.zeros(len(found.query))
        for pairs in self._pairs(codes, found, NEAR):
            score[pairs.number] = align(pairs.query, pairs.target, _SCORES).score
        waiting = np.argsort(-score, kind="stable")
        waiting = waiting[score[waiting] >= least]
        place = found.query + 1 if strand == "+" else len(codes) - found.query
        covered = np.zeros(len(place), dtype=np.int64)
        while len(waiting):
            best = found.take(waiting[:WHOLE])
            for match in self._whole(codes, best, strand):
                covered[(place >= match.start) & (place <= match.end)] += 1
                yield match
            waiting = waiting[WHOLE:]
            waiting = waiting[covered[waiting] < MAX_AT_ONE_PLACE]

    def _whole(self, codes: Array, found: _Diagonals, strand: str) -> Iterator[RnaMatch]:
        for pairs in self._pairs(codes, found, len(codes)):
            alignments = align(pairs.query, pairs.target, _SCORES)
            for pair, number in enumerate(pairs.number):
                query, target = alignments.trace(pair)
                # An alignment neither begins nor ends with a gap.
                yield make_match(
                    int(found.rna[number]),
                    float(alignments.score[pair]),
                    start=int(pairs.top[pair]) + query[0],
                    end=int(pairs.top[pair]) + query[-1] + 1,
                    length=len(codes),
                    strand=strand,
                    rna_start=int(pairs.left[pair]) + target[0] + 1,
                    rna_row=_text(pairs.target[pair], target),
                    query_row=_text(pairs.query[pair], query),
                )

    def _pairs(self, codes: Array, found: _Diagonals, reach: int) -> Iterator[_Pairs]:
        """What is aligned: up to `reach` nt to each side of the places on the diagonals."""
        begin = self._starts[found.rna]
        length = self._starts[found.rna + 1] - begin - 1
        shift = found.target - begin - found.query  # place in the RNA, less that in the query
        top = np.maximum(np.maximum(0, -shift - HALF_BAND), found.query - reach)
        bottom = np.minimum(len(codes), length - shift + HALF_BAND)
        rows = np.minimum(bottom, found.query + reach) - top
        left = top + shift - HALF_BAND
        padded = _between(np.where(codes < _OTHER, codes, _NO_MATCH), _NO_MATCH)
        for batch in _batches(rows):
            height = int(rows[batch].max())
            place = left[batch, None] + np.arange(height + 2 * HALF_BAND)
            inside = (place >= 0) & (place < length[batch, None])
            target = self._letters.take(np.where(inside, begin[batch, None] + place, 0))
            query = padded.take(top[batch, None] + np.arange(height) + 1, mode="clip")
            yield _Pairs(batch, query, target, top[batch], left[batch])


def _text(codes: Array, places: list[int]) -> str:
    """The letters at some places, and "-" for -1."""
    return str(_TEXT[np.append(codes, _GAP)[places]].tobytes(), "ascii")


def _encode(sequence: str) -> Array:
    """Codes of a sequence's letters, a byte each."""
    return _CODES[np.frombuffer(sequence.encode("ascii", "replace"), dtype=np.uint8)]


def _batches(rows: Array) -> Iterator[Array]:
    """The numbers of pairs of like size, so many that they fit into memory."""
    order = np.argsort(rows, kind="stable")
    first = 0
    while first < len(order):
        batch = order[first : first + BATCH]
        while len(batch) > 1 and len(batch) * rows[batch[-1]] > BATCH_ROWS:
            batch = batch[: len(batch) // 2]
        yield batch
        first += len(batch)


def _between(codes: Array, end: int) -> Array:
    """The codes with one more at each end, where places outside of them are read."""
    return np.concatenate(([end], codes, [end])).astype(np.uint8)


def _words(codes: Array) -> Array:
    """The number of the word that begins at each place; `NUM_WORDS` for one with other letters."""
    places = max(len(codes) - SPAN + 1, 0)
    words = np.zeros(places, dtype=np.int32)
    other = np.zeros(places, dtype=bool)
    for offset in WORD:
        letters = codes[offset : offset + places]
        words = (words << 2) | (letters & 3)
        other |= letters >= _OTHER
    words[other] = NUM_WORDS
    return words


def _any_in_span(masked: Array) -> Array:
    """Whether any letter under the word that begins at each place is masked."""
    before = np.append(0, np.cumsum(masked))
    return before[SPAN:] > before[:-SPAN] if len(masked) >= SPAN else np.zeros(0, dtype=bool)


def _write_words(letters: Array, folder: Path) -> None:
    """Where each word occurs: `places`, in which those of word n begin at `first[n]`."""
    words = np.full(len(letters), NUM_WORDS, dtype=np.int32)
    counts = np.zeros(NUM_WORDS + 1, dtype=np.int64)
    for begin in range(0, len(letters), _CHUNK):
        chunk = _words(letters[begin : begin + _CHUNK + SPAN - 1])
        words[begin : begin + len(chunk)] = chunk
        counts += np.bincount(chunk, minlength=NUM_WORDS + 1)
    first = np.append(0, np.cumsum(counts[:NUM_WORDS]))
    np.save(folder / "first.npy", first.astype(np.uint32))
    # A file of nothing could not be mapped.
    shape = (max(int(first[-1]), 1),)
    places = np.lib.format.open_memmap(folder / "places.npy", "w+", np.uint32, shape)
    for head in range(NUM_WORDS >> _TAIL):
        found = np.flatnonzero(words >> _TAIL == head)
        tails = (words[found] & ((1 << _TAIL) - 1)).astype(np.uint16)
        begin = int(first[head << _TAIL])
        places[begin : begin + len(found)] = found[np.argsort(tails, kind="stable")]
    places.flush()


def find_repeats(codes: Array) -> Array:
    """Whether each letter lies in a repeat or in another sequence of low complexity."""
    masked = np.zeros(len(codes), dtype=bool)
    if len(codes) < DUST_LENGTHS[0]:
        return masked
    triplets = codes[:-2] * 36 + codes[1:-1] * 6 + codes[2:]
    for length in DUST_LENGTHS:
        length = min(length, len(codes))
        # What shorter intervals found would have longer ones around it found too.
        known = masked[:-2] | masked[1:-1] | masked[2:]
        num_starts, num_triplets = len(codes) - length + 1, length - 2
        pairs = np.zeros(num_starts, dtype=np.int64)
        recurs = np.zeros(len(triplets), dtype=bool)
        for distance in range(1, num_triplets):
            equal = (triplets[distance:] == triplets[:-distance]) & ~known[distance:]
            equal &= ~known[:-distance]
            recurs[distance:] |= equal
            recurs[:-distance] |= equal
            before = np.append(0, np.cumsum(equal))
            size = num_triplets - distance
            pairs += before[size : size + num_starts] - before[:num_starts]
        low = pairs > DUST_THRESHOLD * (num_triplets - 1)
        borders = np.zeros(len(codes) + 1, dtype=np.int64)
        np.add.at(borders, np.flatnonzero(low), 1)
        np.add.at(borders, np.flatnonzero(low) + length, -1)
        # Letters at the ends of an interval that do not recur belong to what is next to a repeat.
        letters = np.convolve(recurs, np.ones(3, dtype=bool))
        masked |= (np.cumsum(borders)[:-1] > 0) & letters
    return masked


def _spread(found: _Diagonals) -> _Diagonals:
    """The first diagonals of each region of the query, one per RNA and band."""
    taken: Counter[int] = Counter()
    bands: dict[int, list[int]] = {}
    chosen = []
    shifts = (found.target - found.query).tolist()
    regions = (found.query // REGION).tolist()
    for number, rna in enumerate(found.rna.tolist()):
        others = bands.setdefault(rna, [])
        if taken[regions[number]] >= PER_REGION:
            continue
        if all(abs(shifts[number] - other) > HALF_BAND for other in others):
            others.append(shifts[number])
            taken[regions[number]] += 1
            chosen.append(number)
    return found.take(np.array(chosen, dtype=np.int64))


__all__ = ["Engine", "find_repeats"]
