"""Profile HMMs of families: built from seed alignments, searched in windows on both strands.

The profiles are HMMER's, through pyhmmer. A sequence of any length is searched in windows that
overlap by more than the longest profiles are wide, so that memory does not grow with its length.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

from pyhmmer.easel import Alphabet, MSAFile, TextSequence
from pyhmmer.errors import EaselError, UnexpectedError
from pyhmmer.plan7 import (
    HMM,
    Background,
    Builder,
    Domain,
    OptimizedProfile,
    OptimizedProfileBlock,
    Pipeline,
)

from rnagpt.reference import InvalidReferenceError
from rnagpt.reference.pairs import PairTables
from rnagpt.reference.significance import MAX_SUPPORT, support_bits, whole_ratio

_RNA = Alphabet.rna()
_CHUNK = 8  # alignments that a process is handed at once
# P-values that HMMER's three filters pass. With its own nothing of E > 0.06 is found among the
# families of Rfam.
_FILTERS, _SENSITIVE_FILTERS = (0.02, 1e-3, 1e-4), (0.1, 0.02, 2e-3)
_WEAK_FILTERS = (0.3, 0.1, 0.02)
MAX_CANDIDATE = 10.0  # E-value of the score, from which on no support is asked for
SURROUNDINGS = 50  # nt on each side of a match that is scored once more in a long window
MIN_PLACES = 2.0  # as many times as long as a match with its surroundings is a long window
# nt of a query whose match as a whole says something: primers are made to match as a whole.
MIN_WHOLE = 30
MIN_LETTERS = 9  # of a match; fewer cannot have an E-value of 1e-3 among Rfam's families
MAX_SELF_SIMILARITY = 0.85  # of a match's letters with those some letters before
MAX_EXTENSION = 12  # columns at an end of a profile that a local alignment may have left out


@dataclass(frozen=True)
class SeedAlignment:
    """The seed alignment of a family.

    Attributes:
        id: of the family.
        rows: name and row of each sequence, with gaps, all of one length.
        structure: consensus structure in WUSS notation, one letter per column; may be empty.
    """

    id: str
    rows: tuple[tuple[str, str], ...]
    structure: str = ""

    def to_stockholm(self) -> str:
        """The alignment as Stockholm 1.0, with its id as accession; rows are numbered names."""
        lines = ["# STOCKHOLM 1.0", f"#=GF AC {self.id}"]
        width = max(len(name) for name, _ in self.rows) + 2
        lines += [f"{name:{width}}{row}" for name, row in self.rows]
        if self.structure:
            lines.append(f"{'#=GC SS_cons':{width}} {self.structure}")
        return "\n".join([*lines, "//", ""])


class Match(NamedTuple):
    """A profile that matches a part of a sequence.

    Attributes:
        id: of the profile.
        start, end: in the sequence as given, counted from 1; `start` <= `end`.
        strand: "+" or "-" (the reverse complement matches).
        bits: score of the profile.
        pvalue: probability in one comparison with a random sequence of such a score with such a
            support.
        profile_start, profile_end: in the profile's columns, counted from 1.
        profile_row, agreement, query_row: the alignment: consensus with "." at insertions, letters
            where both agree and "+" where the score is positive, the query with "-" at deletions.
        structure: of the profile's columns from `profile_start` on, in WUSS notation.
        pair_bits: how well the letters of paired columns go together; None without such a pair.
        support_bits: by which its pairs and its extent raise or lower the score for `pvalue`.
    """

    id: str
    start: int
    end: int
    strand: str
    bits: float
    pvalue: float
    profile_start: int
    profile_end: int
    profile_row: str
    agreement: str
    query_row: str
    structure: str
    pair_bits: float | None = None
    support_bits: float = 0.0


class Window(NamedTuple):
    """A part of a sequence, and what it is compared with.

    Attributes:
        group: of profiles, in `ProfileLibrary`; `single_rnas.GROUP` for the single RNAs.
        start, end: 0-based, half open.
    """

    group: int
    start: int
    end: int


class _Searched(NamedTuple):
    """What a profile is compared with: a window, and its letters on one strand."""

    window: Window
    strand: str
    letters: str

    def around(self, first: int, last: int) -> _Searched:
        """The part with `SURROUNDINGS` letters on each side of a place, which counts from 1."""
        start = max(first - 1 - SURROUNDINGS, 0)
        end = min(last + SURROUNDINGS, len(self.letters))
        group, before, after = self.window
        window = (
            Window(group, before + start, before + end)
            if self.strand == "+"
            else Window(group, after - end, after - start)
        )
        return _Searched(window, self.strand, self.letters[start:end])


class _Scale(NamedTuple):
    """Windows for profiles of up to `columns` columns; those of one group overlap by `overlap`."""

    columns: float
    size: int
    overlap: int


# Most families are short; the few long ones, ribosomal RNAs above all, would need an overlap that
# makes the search of all others slower.
_SCALES = (_Scale(500, 12_000, 1_000), _Scale(float("inf"), 48_000, 8_000))


def build_profile(alignment: SeedAlignment) -> HMM[Any]:
    """The profile HMM of a seed alignment, as HMMER's `hmmbuild` makes it; named by its id.

    Raises:
        InvalidReferenceError: for an alignment that is none of nucleotides.
    """
    rows = tuple((str(number), row) for number, (_, row) in enumerate(alignment.rows, start=1))
    text = SeedAlignment(alignment.id, rows, alignment.structure).to_stockholm()
    try:
        with MSAFile(
            io.BytesIO(text.encode("ascii")), format="stockholm", digital=True, alphabet=_RNA
        ) as file:
            msa = file.read()
        if msa is None:
            raise ValueError("it is empty")
        msa.name = alignment.id
        hmm: HMM[Any] = Builder(_RNA).build_msa(msa, Background(_RNA))[0]
    except (EaselError, UnexpectedError, UnicodeEncodeError, ValueError) as error:
        raise InvalidReferenceError(
            f"{alignment.id}: no profile can be built from its seed alignment ({error}). Expected "
            "rows of nucleotides, all of one length."
        ) from error
    return hmm


def build_profiles(
    alignments: Sequence[SeedAlignment], jobs: int = 1
) -> Iterator[HMM[Any] | InvalidReferenceError]:
    """The profiles of many alignments, in order, built by `jobs` processes; an error in place of
    one that cannot be built."""
    if jobs <= 1 or len(alignments) < 2 * _CHUNK:
        yield from map(_profile_or_error, alignments)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(_profile_or_error, alignments, chunksize=_CHUNK)


def _profile_or_error(alignment: SeedAlignment) -> HMM[Any] | InvalidReferenceError:
    try:
        return build_profile(alignment)
    except InvalidReferenceError as error:
        return error


class ProfileLibrary:
    """Profiles that sequences are searched in.

    Args:
        profiles: as `HMMPressedFile` gives them.
        pairs: of the families; None: their pairs are no evidence.
    """

    def __init__(
        self, profiles: Sequence[OptimizedProfile[Any]], pairs: PairTables | None = None
    ) -> None:
        self._pairs = pairs
        self._profiles = {profile.name: profile for profile in profiles}
        self._counted: dict[int, int] = {}  # comparisons of the last length
        groups: list[list[OptimizedProfile[Any]]] = [[] for _ in _SCALES]
        for profile in profiles:
            fits = next(n for n, scale in enumerate(_SCALES) if scale.columns >= profile.M)
            groups[fits].append(profile)
        self._structures = {profile.name: profile.consensus_structure or "" for profile in profiles}
        self._consensus = {profile.name: profile.consensus or "" for profile in profiles}
        self._sizes = [len(group) for group in groups]
        self._groups = [OptimizedProfileBlock(_RNA, group) for group in groups]

    def __len__(self) -> int:
        return sum(self._sizes)

    def structure(self, name: str) -> str:
        """A profile's consensus structure in WUSS notation, one letter a column; may be empty."""
        return self._structures[name]

    def windows(self, length: int) -> Iterator[Window]:
        """The windows in which a sequence of `length` nt is searched."""
        for number, scale in enumerate(_SCALES):
            if self._sizes[number]:
                for start, end in cut(length, scale.size, scale.overlap):
                    yield Window(number, start, end)

    def comparisons(self, length: int) -> int:
        """How often a sequence of `length` nt is compared with a profile, on both strands.

        It turns a P-value into an E-value.
        """
        counted = self._counted  # which another thread may replace
        if length not in counted:
            windows = self.windows(length)
            counted = {length: 2 * sum(self._sizes[window.group] for window in windows)}
            self._counted = counted
        return counted[length]

    def scan(
        self,
        letters: str,
        window: Window,
        length: int,
        evalue: float,
        *,
        sensitive: bool = False,
        weak: bool = False,
    ) -> list[Match]:
        """The profiles that match in a window, on either strand.

        Args:
            letters: of the window alone.
            window: where it lies.
            length: of the whole sequence.
            evalue: matches of a larger E-value are left out.
            sensitive: let HMMER's filters pass what its own settings would drop however large
                `evalue` is.
            weak: let them pass still more, up to an E-value of some 50 among Rfam's families.
        """
        strict = _SENSITIVE_FILTERS if sensitive else _FILTERS
        msv, viterbi, forward = _WEAK_FILTERS if weak else strict
        comparisons = self.comparisons(length)
        # Of the score alone: support may yet bring it below `evalue`.
        loose = max(evalue, min(evalue * MAX_SUPPORT, MAX_CANDIDATE))
        plus = TextSequence(name="query", sequence=letters).digitize(_RNA)
        minus = plus.reverse_complement()
        matches = []
        for strand, sequence in (("+", plus), ("-", minus)):
            pipeline = Pipeline(
                _RNA,
                F1=msv,
                F2=viterbi,
                F3=forward,
                Z=comparisons,
                domZ=comparisons,
                E=loose,
                domE=loose,
            )
            found = _domains(pipeline, sequence, self._groups[window.group])
            searched = _Searched(window, strand, _RNA.decode(sequence.sequence) if found else "")
            found_here = (self._scored(name, domain, searched, length) for name, domain in found)
            matches += [
                match
                for match in found_here
                if match.pvalue * comparisons <= evalue and _is_evidence(match.query_row)
            ]
        return matches

    def _scored(self, name: str, domain: Domain, searched: _Searched, length: int) -> Match:
        """The match of a domain in a sequence of `length` nt, with its support.

        In a long window HMMER's model of what lies around a match costs a match more than there are
        more places for one. There the domain is scored once more, among `SURROUNDINGS` letters on
        each side, and its P-value counts how many such stretches the window has.
        """
        around = searched.around(domain.alignment.target_from, domain.alignment.target_to)
        places = len(searched.letters) / len(around.letters)
        if places >= MIN_PLACES:
            sequence = TextSequence(name="query", sequence=around.letters).digitize(_RNA)
            pipeline = Pipeline(_RNA, F1=1.0, F2=1.0, F3=1.0, Z=1, domZ=1, E=1.0, domE=1.0)
            block = OptimizedProfileBlock(_RNA, [self._profiles[name]])
            again = _domains(pipeline, sequence, block)
            if again:
                domain = max((one for _, one in again), key=lambda one: one.score)
                match = self._match(name, domain, around)
                match = match._replace(pvalue=match.pvalue * places)
                return self._supported(match, domain, length)
        return self._supported(self._match(name, domain, searched), domain, length)

    def _supported(self, match: Match, domain: Domain, length: int) -> Match:
        """The match with what its pairs and its extent in a sequence of `length` nt say."""
        alignment = domain.alignment
        columns = len(self._consensus[match.id])
        # The letters that `_match` has added at the ends are no part of what the score is of.
        added = alignment.hmm_from - match.profile_start + match.profile_end - alignment.hmm_to
        letters = match.end - match.start + 1 - added
        letters_at = letters_by_column(match)
        pair_bits = None if self._pairs is None else self._pairs.bits(match.id, letters_at)
        support = support_bits(
            of_profile=whole_ratio(alignment.hmm_to - alignment.hmm_from + 1, columns),
            of_query=whole_ratio(letters, length) if length >= MIN_WHOLE else 1.0,
            pair_bits=pair_bits,
        )
        return match._replace(
            pvalue=min(match.pvalue / 2**support, 1.0), pair_bits=pair_bits, support_bits=support
        )

    def _match(self, name: str, domain: Domain, searched: _Searched) -> Match:
        """The match of a domain."""
        window, strand, letters = searched
        alignment = domain.alignment
        consensus = self._consensus[name]
        first, last = alignment.target_from, alignment.target_to
        # A local alignment leaves the last columns of a helix out, where a mismatch costs more than
        # they bring; both sides have letters there that belong together.
        before = _extension(alignment.hmm_from - 1, first - 1)
        after = _extension(len(consensus) - alignment.hmm_to, len(letters) - last)
        start, end = alignment.hmm_from - 1 - before, alignment.hmm_to + after
        first, last = first - before, last + after
        return Match(
            id=name,
            start=window.start + first if strand == "+" else window.end + 1 - last,
            end=window.start + last if strand == "+" else window.end + 1 - first,
            strand=strand,
            bits=domain.score,
            pvalue=domain.pvalue,
            profile_start=start + 1,
            profile_end=end,
            profile_row=consensus[start : start + before]
            + alignment.hmm_sequence
            + consensus[end - after : end],
            agreement=" " * before + alignment.identity_sequence + " " * after,
            query_row=letters[first - 1 : first - 1 + before]
            + alignment.target_sequence
            + letters[last - after : last],
            structure=self._structures[name][start:end],
        )


def _domains(
    pipeline: Pipeline[Any], sequence: Any, profiles: OptimizedProfileBlock[Any]
) -> list[tuple[str, Domain]]:
    """The domains that HMMER reports, with the names of their profiles."""
    return [
        (hit.name, domain)
        for hit in pipeline.scan_seq(sequence, profiles)
        for domain in hit.domains.reported
    ]


def letters_by_column(match: Match) -> dict[int, str]:
    """The query's letters by their columns of the profile, counted from 1, in capitals."""
    found = {}
    column = match.profile_start
    for profile, query in zip(match.profile_row, match.query_row, strict=True):
        if profile != ".":
            if query != "-":
                found[column] = query.upper()
            column += 1
    return found


def _is_evidence(row: str) -> bool:
    """Whether there are letters enough in an alignment's row, and they are no repeat.

    In long repeats HMMER reports domains of a few letters: their scores are of other alignments.
    """
    return len(row) - row.count("-") >= MIN_LETTERS and not is_repeat(row)


def is_repeat(row: str) -> bool:
    """Whether the letters of an alignment's row are copies of one to six letters, such as CAGCAG.

    The scores of such a match are no evidence: HMMER's corrections for composition see single
    letters only.
    """
    letters = row.replace("-", "").upper()
    return any(
        sum(map(str.__eq__, letters, letters[period:]))
        >= MAX_SELF_SIMILARITY * (len(letters) - period)
        for period in range(1, 7)
        if len(letters) > 2 * period
    )


def _extension(columns: int, letters: int) -> int:
    """By how many columns an end is extended: by those that are missing, where that is a few."""
    return min(columns, letters) if columns <= MAX_EXTENSION else 0


def cut(length: int, size: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Windows of at most `size` letters that overlap by `overlap`, 0-based, half open."""
    start = 0
    while True:
        end = min(start + size, length)
        yield start, end
        if end == length:
            return
        start = end - overlap


__all__ = [
    "Match",
    "ProfileLibrary",
    "SeedAlignment",
    "Window",
    "build_profile",
    "build_profiles",
    "cut",
    "letters_by_column",
]
