"""Index of RNA names that finds all mentions in a text in a single pass."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

NOT_SPECIFIC = Path(__file__).with_name("names_not_specific.txt")
# A name of fewer letters and digits (U6, Y1) is a cell line, a vitamin or a figure's panel as well.
MIN_NAME = 3
# From this number of letters and digits on, a name that holds a digit is found in any case.
ANY_CASE_FROM = 4
# Copies of a hairpin are numbered mir-1302-1 to -11; a larger number names another microRNA.
MAX_COPIES = 11

# Hyphens and dashes as journals print them, and the spaces that do not break.
_TYPOGRAPHY = str.maketrans(
    {
        **dict.fromkeys("‐‑‒–—―−﹣－", "-"),
        **dict.fromkeys("\u00a0\u2009\u202f\u2007", " "),
        "İ": "I",
    }
)
_PIECE = re.compile(r"[^\W\d_]+|\d+")
_JOINTS = frozenset("-_ /")
# What makes another name of the one before it: SNORD115-1, AC012.1, FOXD2-AS1 (HGNC's suffixes for
# antisense, intronic, overlapping and divergent transcripts).
# The arms of a hairpin (-5p) are no other name.
_NAME_GOES_ON = re.compile(r"[-._]\d(?!p(?![^\W_]))|[-_](?:AS|IT|OT|DT)\d*(?![^\W_])")

# Species and viruses as miRBase abbreviates them.
_CODES = (
    "aae aau abu aca aga age aly ame amg api aqc asu ata ath bbe bdi bfl bhv1 bkv blv bma bmo"
    " bna bol"
    " bra bta cbn cbr cca ccr cel cfa cgr chi cin cla cme cpa crm csa csi cte dan der dev dgr"
    " dme dmo"
    " dps dpu dre dse dsi dvi dya ebv eca efu egr emu esi fhe fru ggo gga ghr gma gra hbv hcmv"
    " hco hhv6b"
    " hiv1 hma hme hsa hsv1 hsv2 hvt hvu ipu isc jcv kshv lca lgi lla lmi lus lva mcmv mdm mdo"
    " mdv1 mdv2"
    " meu mghv mja mml mmu mne mtr nta nve oan oar ocu odi oha ola osa pab pma pmi ppa ppc ppe"
    " ppt ppy"
    " prv ptc ptr pti pvu rco rgl rlcv rno rrv sbi sha sja sko sly sma sme smo spu ssc ssa stu"
    " sv40 tae"
    " tca tcc tch tgu tni tre tur vvi xla xtr xbo zma"
)
_SPECIES = "|".join(_CODES.split())
_OF_VIRUS = re.compile(rf"^(?:{_SPECIES})-(?=mir-[a-z])", re.IGNORECASE)
# These three read lower-case text. The start is looked for by itself: a pattern that begins with
# options is tried in full at every letter.
_START = re.compile(r"mi(?=r|cro)|let(?=-?7|hal-?7)")
_LEAD = re.compile(
    rf"(?<![^\W_])(?:(?P<species>{_SPECIES})[-_ ]?)?(?:(?:pre|pri|anti|antago|onco)-?)?$"
)
_MICRORNA = re.compile(
    r"""
    (?: (?P<let>(?:mir-?)?let|lethal)-? (?=7)
      # "microRNA (miR)-21"
      | (?:mirna|micro-?rna)s?\ ?\((?:mirs?|mirnas?)\)[-\ ]?
      | (?:mirna|micro-?rna|mir) (?P<plural>s)? (?:-\ ?|_)?
      | (?:mirna|micro-?rna|mir)\  (?!\d+[.,]\d)
      # Not "miRNAs 9 of 10": a list has to follow.
      | (?:mirna|micro-?rna|mir)(?P<many>s)\ (?=\d+[a-z]?(?:[,/-]|\ and\ )) )
    (?P<number>\d+?(?=[35]p)|\d+)
    (?P<letters>[a-z]{0,2}?)
    (?: -? (?P<copy>\d{1,2}?) (?!\d(?!p)) )?
    (?P<arm> -?[35]p | \* )?
    # An allele may follow: mir-146aC>G.
    (?! [^\W_] (?! >[acgtu] ) )
    """,
    re.VERBOSE,
)
_NEXT_MICRORNA = re.compile(
    r"""
    (?: \ ?[/~&]\ ?-? | -
      | (?:,\ ?|;\ ?|,?\ and\ |,?\ or\ )-
      | (?P<list> ,\ ?(?:and\ )? | \ and\ ) )
    (?: (?P<number>\d+) (?P<letters>[a-z]{0,2}) (?: -(?P<copy>\d{1,2})(?!\d) )?
      # The alleles of "miR-548h-3-C/U" are no letters.
      | (?P<letter>(?!(?<=-)[acgtu]/[acgtu](?![^\W_]))[a-z])
        (?!(?<=c)-(?:met|myc|jun|fos|kit|src|abl|myb|raf|rel)(?![^\W_])) )  # "miR-34a/c-MET"
    (?P<arm> -[35]p | \* )?
    (?! [^\W_] )
    (?P<more> (?=,\ ?(?:and\ )?\d) )?
    """,
    re.VERBOSE,
)
# Longer than any lead.
_LEAD_LENGTH = 16


class _MicroRna(NamedTuple):
    """A microRNA's name in parts: hsa- mir 16 (a) -1 -5p."""

    species: str | None
    number: str
    letters: str
    copy: str
    arm: str

    @property
    def keys(self) -> set[str]:
        """Itself, and its names without the copy, without the arm and without both."""
        return {f"{self.stem}{copy}{arm}" for copy in {self.copy, ""} for arm in {self.arm, ""}}

    @property
    def stem(self) -> str:
        return f"{self.number}{self.letters}"

    @property
    def key(self) -> str:
        return f"{self.stem}{self.copy}{self.arm}"


class NameIndex:
    """The names of many RNAs, to be found in many texts.

    A name is found as a whole word: ``miR-21`` is found in "hsa-miR-21", "microRNA-21", "miR21",
    "MIR21", "miR-21-5p", "miR-21*" and "miR-20a/21", not in "miR-210" or "miR-21b"; ``H19`` in
    "H19-driven", not in "H19-2". ``miR-21-5p`` is not found in "miR-21", nor ``hsa-miR-21`` in
    "mmu-miR-21"; it is in "miR-21". What one name of an RNA says of species and copy holds for its
    other names: with the names ``miR-16`` and ``hsa-mir-16-1`` an RNA is found neither in
    "mmu-miR-16" nor in "miR-16-2". Hyphens, spaces, slashes and underscores stand for one another,
    and MALAT1 is MALAT-1.

    Case: microRNAs, names of several words, and names of four or more characters that hold a digit
    are found in any case. A name of letters only is found as it is written, in capitals, and with
    its first letter in either case (HOTAIR: "Hotair", not "hotair"; MicF: "micF"). Shorter names
    are found as they are written.

    The index grows only with the names; texts leave nothing behind.

    Args:
        pairs: (name, id of its RNA); a name may have several RNAs, and an RNA several names.
        keep_ambiguous: Take names that `is_ambiguous` would leave out.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]], *, keep_ambiguous: bool = False) -> None:
        self.left_out: set[str] = set()
        self._micrornas: dict[str, dict[str | None, set[str]]] = {}
        # Species and copies that an RNA's names say: those of "hsa-mir-16-1" and "let-7a" are hsa;
        # of 16, copy 1.
        self._species: dict[str, set[str]] = {}
        self._copies: dict[tuple[str, str], set[str]] = {}
        # Pieces of a name in lower case -> the name as it is written -> its RNAs.
        self._names: dict[str, dict[str, set[str]]] = {}
        # The first piece of a name -> pieces of the longest name that begins so.
        self._longest: dict[str, int] = {}
        for name, rna_id in pairs:
            if keep_ambiguous or not is_ambiguous(name):
                self._add(_plain(name), rna_id)
            else:
                self.left_out.add(name)

    def __len__(self) -> int:
        """How many names, after their spelling is made one."""
        return len(self._names) + len(self._micrornas)

    def find(self, text: str) -> set[str]:
        """The ids of the RNAs that the text names."""
        return {rna_id for _, _, rna_ids in self._spans(_plain(text)) for rna_id in rna_ids}

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where the text names an RNA of the index: starts and ends, in order.

        Of "miR-34a/b" the name ``miR-34b`` has the "b".
        """
        return sorted({(start, end) for start, end, ids in self._spans(_plain(text)) if ids})

    def _spans(self, text: str) -> Iterator[tuple[int, int, set[str]]]:
        if self._micrornas:
            yield from self._find_micrornas(text)
        if self._names:
            yield from self._find_names(text)

    def _add(self, name: str, rna_id: str) -> None:
        if microrna := _parse_microrna(name):
            by_species = self._micrornas.setdefault(microrna.key, {})
            by_species.setdefault(microrna.species, set()).add(rna_id)
            if microrna.species:
                self._species.setdefault(rna_id, set()).add(microrna.species)
            if microrna.copy:
                self._copies.setdefault((rna_id, microrna.stem), set()).add(microrna.copy)
            return
        self._add_written(name, rna_id)
        # Viruses' microRNAs are written without their virus too: ebv-miR-BART5 is miR-BART5.
        if (without := _OF_VIRUS.sub("", name)) != name:
            self._add_written(without, rna_id)

    def _add_written(self, name: str, rna_id: str) -> None:
        pieces = _PIECE.findall(name.lower())
        if pieces:
            self._longest[pieces[0]] = max(len(pieces), self._longest.get(pieces[0], 0))
            written = self._names.setdefault(" ".join(pieces), {})
            written.setdefault(_between_pieces(name), set()).add(rna_id)

    def _find_micrornas(self, text: str) -> Iterator[tuple[int, int, set[str]]]:
        for mention, start, end in _microrna_mentions(text.lower()):
            for key in mention.keys:
                for species, rna_ids in self._micrornas.get(key, {}).items():
                    if species is None or mention.species in (None, species):
                        yield start, end, {one for one in rna_ids if self._may_be(one, mention)}

    def _may_be(self, rna_id: str, mention: _MicroRna) -> bool:
        """Whether no other name of the RNA speaks against it: of another species, or copy."""
        species = self._species.get(rna_id)
        copies = self._copies.get((rna_id, mention.stem))
        return (mention.species is None or species is None or mention.species in species) and (
            not mention.copy or copies is None or mention.copy in copies
        )

    def _find_names(self, text: str) -> Iterator[tuple[int, int, set[str]]]:
        lowered = text.lower()
        if self._longest.keys().isdisjoint(_PIECE.findall(lowered)):
            return
        pieces = list(_PIECE.finditer(lowered))
        for first, piece in enumerate(pieces):
            longest = self._longest.get(piece[0])
            if longest is None or not _may_begin(text, piece.start()):
                continue
            key = ""
            for last in pieces[first : first + longest]:
                key = f"{key} {last[0]}" if key else last[0]
                written = self._names.get(key)
                if written is not None and _may_end(text, last.end()):
                    words = text[piece.start() : last.end()]
                    for name, rna_ids in written.items():
                        if _agree(name, words):
                            yield piece.start(), last.end(), rna_ids


def is_ambiguous(name: str) -> bool:
    """Whether a name is no name of one RNA: a word, a species, an RNA type, or too short.

    The words stand in ``names_not_specific.txt``.
    """
    name = " ".join(_plain(name).split())
    if _parse_microrna(name):
        return False
    letters_and_digits = sum(map(str.isalnum, name))
    if letters_and_digits < MIN_NAME or not any(map(str.isalpha, name)):
        return True
    return name.lower() in names_not_specific()


@cache
def names_not_specific() -> frozenset[str]:
    """The words of ``names_not_specific.txt``, in lower case."""
    lines = NOT_SPECIFIC.read_text(encoding="utf-8").splitlines()
    names = (name.strip() for line in lines for name in line.split("#")[0].split(";"))
    return frozenset(name.lower() for name in names if name)


def _plain(text: str) -> str:
    return text if text.isascii() else text.translate(_TYPOGRAPHY)


def _may_begin(text: str, start: int) -> bool:
    if not start:
        return True
    before = text[start - 1]
    # The 8S of 5.8S is no name.
    in_decimal = before in ".," and text[start].isdigit() and text[start - 2 : start - 1].isdigit()
    return not before.isalnum() and not in_decimal


def _may_end(text: str, end: int) -> bool:
    return not text[end : end + 1].isalnum() and not _NAME_GOES_ON.match(text, end)


def _between_pieces(name: str) -> str:
    """The name without what stands before its first piece and after its last."""
    pieces = list(_PIECE.finditer(name))
    return name[pieces[0].start() : pieces[-1].end()]


def _agree(name: str, words: str) -> bool:
    """Whether words that have the pieces of a name are that name: joints and case."""
    return words == name or (_case_agrees(name, words) and _joints_agree(name, words))


def _joints_agree(name: str, words: str) -> bool:
    in_name, in_words = list(_PIECE.finditer(name)), list(_PIECE.finditer(words))
    for at in range(len(in_name) - 1):
        joint = name[in_name[at].end() : in_name[at + 1].start()]
        other = words[in_words[at].end() : in_words[at + 1].start()]
        if joint == other:
            continue
        if not joint:
            # MALAT-1 is MALAT1, and U-6 is not U6.
            if other != "-" or len(in_name[at][0]) < 3:
                return False
        elif joint not in _JOINTS or (other and other not in _JOINTS):
            return False
    return True


def _case_agrees(name: str, words: str) -> bool:
    if " " in name:
        return True
    bare_name = "".join(filter(str.isalnum, name))
    bare_words = "".join(filter(str.isalnum, words))
    if bare_words == bare_name:
        return True
    if len(bare_name) < ANY_CASE_FROM:
        return False
    if not bare_name.isalpha():
        return True
    first_in_either_case = bare_name[0].swapcase() + bare_name[1:]
    if bare_words == first_in_either_case:
        return not bare_words.islower()
    return bare_words in (bare_name.upper(), bare_name.capitalize())


def _parse_microrna(name: str) -> _MicroRna | None:
    """The parts of a name that is a microRNA's from its first letter to its last."""
    name = name.strip().lower()
    for start in _START.finditer(name):
        lead, match = _match_microrna(name, start.start())
        if lead and match and lead.start() == 0 and match.end() == len(name):
            return _microrna(match, lead["species"])
    return None


def _match_microrna(lowered: str, start: int) -> tuple[re.Match[str] | None, re.Match[str] | None]:
    match = _MICRORNA.match(lowered, start)
    lead = _LEAD.search(lowered, max(0, start - _LEAD_LENGTH), start) if match else None
    return lead, match


def _microrna(match: re.Match[str], species: str | None, let: bool | None = None) -> _MicroRna:
    if let is None:
        let = match["let"] is not None
    copy = match["copy"] or ""
    return _MicroRna(
        species,
        f"let{match['number']}" if let else match["number"],
        match["letters"],
        f"-{int(copy)}" if copy and int(copy) <= MAX_COPIES else "",
        _arm(match["arm"]),
    )


def _arm(arm: str | None) -> str:
    return "" if not arm else "*" if arm == "*" else f"-{arm.lstrip('-')}"


def _microrna_mentions(lowered: str) -> Iterator[tuple[_MicroRna, int, int]]:
    """The microRNAs of a text, those of lists ("miR-34a/b", "miR-143 and -145") among them.

    Each comes with where it starts and ends.
    """
    for start in _START.finditer(lowered):
        lead, match = _match_microrna(lowered, start.start())
        if not lead or not match:
            continue
        mention = _microrna(match, lead["species"])
        at = match.end()
        if match["copy"] and int(match["copy"]) > MAX_COPIES:  # the 92 of miR-17-92
            at = match.start("copy") - 1
        yield mention, lead.start(), at
        bare_numbers = (match["plural"] or match["many"]) is not None
        while following := _NEXT_MICRORNA.match(lowered, at):
            # "miR-21, 31, 155": once begun, a list of bare numbers continues.
            bare_numbers |= following["number"] is not None and following["more"] is not None
            in_list = _next_microrna(mention, following, bare_numbers)
            if in_list is None:
                break
            mention = in_list
            at = following.end()
            yield mention, following.start("letter" if following["letter"] else "number"), at


def _next_microrna(
    previous: _MicroRna, match: re.Match[str], bare_numbers: bool
) -> _MicroRna | None:
    """The next microRNA of a list; None where the list has ended."""
    in_words = match["list"] is not None
    if match["number"] in ("3", "5") and match["letters"] == "p":  # "miR-193a-3p and -5p"
        return previous._replace(arm=f"-{match['number']}p")
    if match["letter"]:
        # "miR-34a, b and c", but "miR-34a and a novel".
        if not previous.letters or (in_words and match["letter"] == "a"):
            return None
        return previous._replace(letters=match["letter"], copy="", arm=_arm(match["arm"]))
    # "microRNAs 143 and 145", "miR-21, 20a", but "miR-143 and 145 patients".
    if in_words and not (bare_numbers or match["letters"] or match["arm"]):
        return None
    # "let-7a, -7d"
    let = previous.number.startswith("let") and match["number"] == "7"
    return _microrna(match, previous.species, let)


__all__ = ["NameIndex", "is_ambiguous", "names_not_specific"]
