"""A reference, opened: what it holds, and the search in it."""

from __future__ import annotations

import lzma
import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from math import log2
from pathlib import Path
from typing import Any, Self

import pyhmmer
from pyhmmer.easel import SSIReader
from pyhmmer.plan7 import HMM, HMMFile, HMMPressedFile

from rnagpt.cleaning_rnagpt import MAX_AMBIGUOUS, CleanedRna, clean_rna
from rnagpt.reference import pairs
from rnagpt.reference.cache import cached
from rnagpt.reference.hits import PROFILE, SEQUENCE, Hit, make_hit, resolve_overlaps
from rnagpt.reference.manifest import (
    FAMILIES,
    PROFILES,
    RNAS,
    SEEDS,
    SEQUENCES,
    Manifest,
    check_hash,
    read_manifest,
)
from rnagpt.reference.pairs import PairTables
from rnagpt.reference.profiles import Match, ProfileLibrary, SeedAlignment, Window
from rnagpt.reference.records import Record, RecordsById
from rnagpt.reference.single_rnas import GROUP, RnaMatch, SingleRnas, open_single_rnas
from rnagpt.sequences.fasta import read_fasta
from rnagpt.sequences.structure import base_pairs, pseudoknot_pairs

MIN_LENGTH = 16  # nt; of shorter ones any reference holds many by chance
MAX_LENGTH = 10_000_000
EVALUE = 1e-3
BUNDLED = Path(__file__).resolve().parents[1] / "checkpoints" / "rna-gpt-mini" / "reference"


class TooShortError(ValueError):
    """A sequence is too short to be searched."""


class SearchStoppedError(Exception):
    """A search was stopped before its end."""


class Reference:
    """Families and RNAs that sequences are searched in.

    Attributes:
        folder: where it is.
        manifest: what it holds, and where that comes from.

    Examples:
        >>> reference = Reference.open()
        >>> trna = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA"
        >>> reference.search(trna)[0].record.name
        'tRNA'
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest

    @classmethod
    def open(cls, folder: str | Path | None = None) -> Self:
        """Open a reference; its profiles are made ready in the user's cache on first use.

        Args:
            folder: that `rna-qa` or `rnagpt reference` wrote, or a data set with such a folder;
                None: the one that comes with rna-gpt-mini.

        Raises:
            InvalidReferenceError: it is none, is damaged, or was written by another version.
        """
        path = BUNDLED if folder is None else Path(folder).expanduser()
        if not (path / "manifest.json").is_file() and (path / "reference").is_dir():
            path /= "reference"
        return cls(path, read_manifest(path))

    def search(
        self,
        rna: str | CleanedRna | Any,
        *,
        evalue: float = EVALUE,
        stop: Callable[[], bool] = lambda: False,
    ) -> list[Hit]:
        """The families and RNAs that an RNA, or a part of it, matches on either strand.

        Args:
            rna: what `clean_rna` takes, or what it made; up to `MAX_LENGTH` nt.
            evalue: hits of a larger E-value are left out.
            stop: asked before each window: whether the search ends here.

        Returns:
            Hits, the best first; see `resolve_overlaps`.

        Raises:
            SearchStoppedError: `stop` said so.
            TooShortError: it has fewer than `MIN_LENGTH` nt.
            RnaSequenceError: it is no RNA.
        """
        cleaned = (
            rna
            if isinstance(rna, CleanedRna)
            else clean_rna(rna, max_length=MAX_LENGTH, max_ambiguous=MAX_AMBIGUOUS)
        )
        check_length(cleaned)
        letters = cleaned.sequence
        matches: list[Match] = []
        for window in self.windows(len(letters)):
            if stop():
                raise SearchStoppedError
            part = letters[window.start : window.end]
            matches += self.scan(part, window, len(letters), evalue)
        return self.hits(matches, len(letters))

    def windows(self, length: int) -> Iterator[Window]:
        """The windows in which a sequence of `length` nt is searched."""
        yield from self.profiles.windows(length)
        if self.single_rnas:
            yield from self.single_rnas.windows(length)

    def scan(
        self,
        letters: str,
        window: Window,
        length: int,
        evalue: float,
        *,
        sensitive: bool = False,
    ) -> list[Match]:
        """What matches in one window of a sequence; of single RNAs the ten best at each place.

        Args:
            letters: of the window alone.
            window: one of `windows`.
            length: of the whole sequence.
            evalue: matches of a larger E-value are left out.
            sensitive: as in `ProfileLibrary.scan`.
        """
        if window.group == GROUP:
            assert self.single_rnas is not None
            return list(self.single_rnas.scan(letters, window, length, evalue))
        return self.profiles.scan(letters, window, length, evalue, sensitive=sensitive)

    def hits(
        self,
        matches: list[Match],
        length: int,
        *,
        evalue: float = float("inf"),
        clans: bool = True,
    ) -> list[Hit]:
        """The hits of the matches of all windows of a sequence of `length` nt.

        Args:
            evalue: hits of a larger E-value are left out.
            clans: as in `resolve_overlaps`.
        """
        hits = (self._hit(match, length) for match in matches)
        return resolve_overlaps((hit for hit in hits if hit.evalue <= evalue), clans=clans)

    def _hit(self, match: Match, length: int) -> Hit:
        if isinstance(match, RnaMatch):
            assert self.single_rnas is not None
            space = self.single_rnas.search_space(length)
            return make_hit(match, self.single_rnas.record(match), space, SEQUENCE)
        return make_hit(match, self.families[match.id], self.profiles.comparisons(length))

    def conservation(self, hit: Hit) -> tuple[float | None, ...]:
        """How conserved the family is at each letter of a hit, along the strand that matches.

        In bits: 2 less the entropy of the letters that the profile expects in the column (Schneider
        and Stephens 1990, NAR 18:6097). 0 says that all four are as frequent, 2 that it is always
        the same one. A profile of few or of closely related sequences expects letters too that none
        of them has, and so tells fewer bits.

        Returns:
            For the letters from `start` to `end` of the strand, None where one is inserted; empty
            for a hit of another kind than a profile's.
        """
        if hit.source != PROFILE:
            return ()
        profile: Any = self._hmm(hit.record.id)  # pyhmmer's types leave the attribute out
        emissions = profile.match_emissions
        return tuple(
            2 + sum(chance * log2(max(chance, 1e-30)) for chance in emissions[column])
            if column
            else None
            for column in hit.columns
        )

    def consensus_pairs(self, hit: Hit) -> Iterator[tuple[int, int, bool]]:
        """The family's base pairs both of whose columns have a letter of a hit.

        Yields:
            The two letters, 0-based from the hit's first along the strand that matches, and whether
            the pair is a pseudoknot's. Whether the letters can form it is not asked. Nothing for a
            hit of another kind than a profile's.
        """
        if hit.source != PROFILE:
            return
        structure = self.profiles.structure(hit.record.id)
        place_of = {column - 1: place for place, column in enumerate(hit.columns) if column}
        for knotted, listed in (
            (False, base_pairs(structure)),
            (True, pseudoknot_pairs(structure)),
        ):
            for left, right in listed:
                if left in place_of and right in place_of:
                    yield place_of[left], place_of[right], knotted

    def prepare(self) -> None:
        """Make ready in the user's cache what the search reads, where that is not done yet."""
        _ = self.profiles, self.single_rnas

    @cached_property
    def families(self) -> Mapping[str, Record]:
        """The families' records, by their ids, in order."""
        return RecordsById(self._lines(FAMILIES))

    @cached_property
    def profiles(self) -> ProfileLibrary:
        """The families' profiles."""
        if PROFILES not in self.manifest.files:
            return ProfileLibrary([])
        folder = self._index()
        with HMMPressedFile(str(folder / "profiles")) as file:
            profiles = list(file)
        return ProfileLibrary(profiles, PairTables.read(folder))

    @cached_property
    def single_rnas(self) -> SingleRnas | None:
        """The single RNAs as the search reads them; None where there are none.

        Raises:
            InvalidReferenceError: the program that finds them is missing.
        """
        if RNAS not in self.manifest.files:
            return None
        return open_single_rnas(self.manifest.key, self.manifest.engine, self.rnas)

    def hmms(self) -> dict[str, HMM[Any]]:
        """The families' profile HMMs, by their ids, as files hold them."""
        hmms: dict[str, HMM[Any]] = {}
        if PROFILES in self.manifest.files:
            with HMMFile(str(self._index() / "profiles.h3m")) as file:
                hmms.update((hmm.name, hmm) for hmm in file)
        return hmms

    def _hmm(self, identifier: str) -> HMM[Any]:
        """One family's profile HMM, read alone."""
        index = self._index()
        names: Any = SSIReader(str(index / "profiles.h3i"))  # whose types call a name a number
        with names:
            offset = names.find_name(identifier).record_offset
        with (index / "profiles.h3m").open("rb") as profiles:
            profiles.seek(offset)
            with HMMFile(profiles) as file:
                hmm: HMM[Any] | None = file.read()
        assert hmm is not None
        return hmm

    def seeds(self) -> Iterator[SeedAlignment]:
        """The families' seed alignments, in order."""
        if SEEDS in self.manifest.files:
            check_hash(self.folder, SEEDS, self.manifest)
            with lzma.open(self.folder / SEEDS, "rt", encoding="ascii") as lines:
                yield from _read_seeds(lines)

    def rnas(self) -> Iterator[tuple[Record, str]]:
        """The single RNAs' records with their sequences, in order."""
        if RNAS in self.manifest.files:
            check_hash(self.folder, SEQUENCES, self.manifest)
            with lzma.open(self.folder / SEQUENCES, "rb") as file:
                for record, entry in zip(self._records(RNAS), read_fasta(file), strict=True):
                    yield record, entry.sequence

    def check(self) -> None:
        """Compare every file with its hash.

        Raises:
            InvalidReferenceError: one differs.
        """
        for name in self.manifest.files:
            check_hash(self.folder, name, self.manifest)

    def _records(self, name: str) -> Iterator[Record]:
        return map(Record.from_json, self._lines(name))

    def _lines(self, name: str) -> Iterator[str]:
        if name in self.manifest.files:
            check_hash(self.folder, name, self.manifest)
            with lzma.open(self.folder / name, "rt", encoding="utf-8") as lines:
                yield from lines

    def _index(self) -> Path:
        """The folder in the cache with the profiles as the search reads them, made when needed."""

        def press(folder: Path) -> None:
            check_hash(self.folder, PROFILES, self.manifest)
            self._press(folder)

        return cached(f"reference-{self.manifest.key}-pairs", press)

    def _press(self, folder: Path) -> None:
        plain = folder / "plain.h3m"
        with lzma.open(self.folder / PROFILES) as packed, plain.open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked)
        with HMMFile(str(plain)) as file:
            pyhmmer.hmmer.hmmpress(file, str(folder / "profiles"))
        # Only here, since it needs numpy, which takes a tenth of a second to load.
        from rnagpt.reference.pair_tables import make_tables

        with HMMFile(str(plain)) as file:
            pairs.write(folder, *make_tables(self.seeds(), {hmm.name: hmm for hmm in file}))
        plain.unlink()


def check_length(rna: CleanedRna) -> None:
    """Reject a sequence that is too short for a hit to mean anything.

    Raises:
        TooShortError: it has fewer than `MIN_LENGTH` nt.
    """
    if len(rna.sequence) < MIN_LENGTH:
        raise TooShortError(
            f"{len(rna.sequence)} nt are too short to search: at least {MIN_LENGTH} are needed, "
            "since shorter ones occur everywhere by chance"
        )


def _read_seeds(lines: Any) -> Iterator[SeedAlignment]:
    identifier, structure = "", ""
    rows: list[tuple[str, str]] = []
    for line in lines:
        words = line.split()
        if line.startswith("#=GF AC"):
            identifier = words[2]
        elif line.startswith("#=GC SS_cons"):
            structure = words[2]
        elif line.startswith("//"):
            yield SeedAlignment(identifier, tuple(rows), structure)
            structure, rows = "", []
        elif words and not line.startswith("#"):
            rows.append((words[0], words[1]))


__all__ = [
    "BUNDLED",
    "EVALUE",
    "MAX_LENGTH",
    "MIN_LENGTH",
    "Reference",
    "SearchStoppedError",
    "TooShortError",
    "check_length",
]
