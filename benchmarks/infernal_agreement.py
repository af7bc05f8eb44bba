"""Agreement of the search with Infernal, on test RNAs that the reference does not hold.

    python benchmarks/infernal_agreement.py --dataset rna-qa --reference train-reference
    python benchmarks/infernal_agreement.py --dataset rna-qa --reference train-reference \\
        --kept compared.jsonl --minutes 30      # the same again goes on after the last RNA

`--reference` is one of the training split alone (`rnagpt.reference.edit.subset`). For each RNA the
search's candidates, E-values up to 10, are scored by their families' covariance models, which are
built from the same training sequences; Rfam's gathering cut-offs decide. So both name a family or
none, and the report counts where they differ. What the search has no candidate for Infernal never
sees here: `cmscan` over all families takes minutes an RNA.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from measured import beginning, machine, make_parser, parse, table, write_down
from tqdm import tqdm

from rnagpt.reference.hits import Hit
from rnagpt.reference.infernal import LOOSE_EVALUE, InfernalError, Verifier
from rnagpt.reference.library import EVALUE, Reference

REPORT = Path(__file__).with_suffix(".md")
RNAS = 1000
LONGEST = 400  # nt; models of long families take minutes to build
SHARES = (
    (0.9, "at least 0.9 of the cut-off"),
    (0.7, "0.7 to 0.9 of it"),
    (0.0, "less than 0.7 of it"),
)
OUTCOMES = {
    "same family": "both name the same family",
    "neither": "neither names one",
    "search only": "the search names one (E < 1e-3), no candidate reaches its cut-off",
    "Infernal only": "a candidate reaches its cut-off, none has E < 1e-3",
    "different": "they name different families",
}


class AskedRna(NamedTuple):
    """A test RNA and the family that Rfam has it in."""

    id: str
    sequence: str
    family: str


class Candidate(NamedTuple):
    """A hit of the search, of whatever E-value, and Infernal's score.

    Attributes:
        bits: of the covariance model; None where it finds nothing.
        gathering: Rfam's cut-off; None for a family without one.
        error: why it was not scored; "" else.
    """

    family: str
    evalue: float
    bits: float | None
    gathering: float | None
    error: str


class Comparison(NamedTuple):
    """What search and Infernal say of an RNA.

    Attributes:
        searched: family of the best hit with E < 1e-3; "" without one.
        modelled: family of the candidate with most bits of those that reach their cut-off; or "".
        candidates: best E-value first.
        search_seconds, model_seconds: that they took; not those in which models were built.
    """

    rna: AskedRna
    searched: str
    modelled: str
    candidates: tuple[Candidate, ...]
    search_seconds: float
    model_seconds: float

    @property
    def outcome(self) -> str:
        if self.searched == self.modelled:
            return "same family" if self.searched else "neither"
        if not self.modelled:
            return "search only"
        return "different" if self.searched else "Infernal only"

    @property
    def group(self) -> str:
        """How they differ, in words; "" where they agree."""
        if self.outcome in ("same family", "neither"):
            return ""
        named = self.searched or self.modelled
        right = "Rfam's family" if named == self.rna.family else "another family than Rfam's"
        if self.outcome == "different":
            return f"different families, the search names {right}"
        if self.outcome == "Infernal only":
            return f"Infernal only, {right}"
        bits, gathering = max(
            (one.bits or 0.0, one.gathering or 0.0)
            for one in self.candidates
            if one.family == self.searched
        )
        share = bits / gathering if gathering else 0.0
        how = next((text for least, text in SHARES if share >= least), "without a score")
        return f"search only, {right}, {how}"


def find_candidates(rna: AskedRna, reference: Reference, most: int) -> list[Hit]:
    """The best candidates of the search, one per family and place."""
    length = len(rna.sequence)
    matches = [
        match
        for window in reference.windows(length)
        for match in reference.scan(
            rna.sequence[window.start : window.end], window, length, LOOSE_EVALUE, sensitive=True
        )
    ]
    return reference.hits(matches, length, clans=False)[:most]


def compare(rna: AskedRna, reference: Reference, verifier: Verifier, most: int) -> Comparison:
    """Search and Infernal on one RNA."""
    begin = time.perf_counter()
    hits = find_candidates(rna, reference, most)
    found = time.perf_counter()
    for hit in hits:  # so that building is no part of the time
        with suppress(InfernalError):
            verifier.model(hit.record, reference)
    built = time.perf_counter()
    verified = [verifier.verify(hit, rna.sequence, reference) for hit in hits]
    end = time.perf_counter()
    candidates = []
    best, most_bits = "", float("-inf")
    for hit in verified:
        assert hit.verified is not None
        bits, gathering = hit.verified["bits"], hit.verified["gathering"]
        error = hit.verified.get("error", "")
        candidates.append(Candidate(hit.record.id, hit.evalue, bits, gathering, error))
        if hit.verified["agrees"] and bits > most_bits:
            best, most_bits = hit.record.id, bits
    return Comparison(
        rna=rna,
        searched=hits[0].record.id if hits and hits[0].evalue <= EVALUE else "",
        modelled=best,
        candidates=tuple(candidates),
        search_seconds=found - begin,
        model_seconds=end - built,
    )


def read_rnas(dataset: str, reference: Reference, longest: int) -> list[AskedRna]:
    """The test RNAs of up to `longest` nt whose families the reference has, in their order.

    Raises:
        ValueError: the reference holds one of them.
    """
    from datasets import load_dataset

    held = {row.upper().replace("-", "").replace(".", "") for row in _rows(reference)}
    rnas = [
        AskedRna(row["id"], row["sequence"], row["family_accession"])
        for row in load_dataset(dataset, "annotations", split="test")
    ]
    if seen := sum(rna.sequence in held for rna in rnas):
        raise ValueError(
            f"{reference.folder} holds {seen:,} of the test RNAs; give one of the training split"
        )
    return [
        rna for rna in rnas if rna.family in reference.families and len(rna.sequence) <= longest
    ]


def _rows(reference: Reference) -> Iterator[str]:
    for seed in reference.seeds():
        for _, row in seed.rows:
            yield row


def rescore(found: Sequence[Comparison], whole: Reference, verifier: Verifier) -> tuple[int, int]:
    """How many RNAs that the search alone names reach the cut-off of the whole alignment's model.

    Returns:
        That many, and of how many.
    """
    asked = [one.rna for one in found if one.outcome == "search only"]
    reached = 0
    for rna in tqdm(asked, desc="whole alignments", unit=" RNAs", file=sys.stderr):
        hits = [hit for hit in whole.search(rna.sequence) if hit.record.id == rna.family][:1]
        told = [verifier.verify(hit, rna.sequence, whole).verified for hit in hits]
        reached += any(verified and verified["agrees"] for verified in told)
    return reached, len(asked)


def _rescored(whole: tuple[int, int] | None) -> str:
    if whole is None:
        return ""
    return (
        f" By models of the whole alignments, which hold the RNAs themselves, {whole[0]:,} of the "
        f"{whole[1]:,} RNAs that the search alone names reach it."
    )


def report(
    found: Sequence[Comparison],
    about: str,
    reference: Reference,
    whole: tuple[int, int] | None = None,
) -> str:
    """The report in Markdown; `whole`: what `rescore` gave."""
    groups: dict[str, list[Comparison]] = {}
    for one in sorted(found, key=lambda one: (one.group, one.rna.id)):
        if one.group:
            groups.setdefault(one.group, []).append(one)
    rows = {seed.id: len(seed.rows) for seed in reference.seeds()}
    counts = Counter(one.outcome for one in found)
    right = {
        "search": sum(one.searched == one.rna.family for one in found),
        "Infernal": sum(one.modelled == one.rna.family for one in found),
    }
    wrong = {
        "search": sum(one.searched not in ("", one.rna.family) for one in found),
        "Infernal": sum(one.modelled not in ("", one.rna.family) for one in found),
    }
    total = len(found)
    outcomes = [
        (text, f"{counts[name]:,}", f"{counts[name] / total:.3f}")
        for name, text in OUTCOMES.items()
    ]
    quality = [(who, f"{right[who] / total:.3f}", f"{wrong[who] / total:.3f}") for who in right]
    seconds = [
        ("the search", sorted(one.search_seconds for one in found)),
        ("Infernal on its candidates", sorted(one.model_seconds for one in found)),
    ]
    times = [
        (who, f"{1000 * taken[total // 2]:.0f}", f"{1000 * sum(taken) / total:.0f}")
        for who, taken in seconds
    ]
    sections = [
        beginning("Agreement with Infernal", about),
        table(("what they say", "RNAs", "share"), outcomes),
        "Against the family that Rfam has the RNA in:",
        table(("who", "right", "wrong"), quality),
        "Milliseconds an RNA, without building models, which happens once a family:",
        table(("who", "median", "mean"), times),
        "## Where they differ",
        "Rfam set the cut-offs for models of whole seed alignments; the models here are built from "
        f"the training part, which holds nothing of the RNA's cluster.{_rescored(whole)}",
        table(
            ("how they differ", "RNAs"),
            [(group, f"{len(ones):,}") for group, ones in groups.items()],
        ),
        "E is the search's E-value; bits are Infernal's, with the family's cut-off; rows are the "
        "training sequences in the family's alignment.",
        table(
            ("RNA", "nt", "Rfam's family", "rows", "candidates"),
            [
                (
                    one.rna.id,
                    str(len(one.rna.sequence)),
                    reference.families[one.rna.family].name,
                    f"{rows[one.rna.family]:,}",
                    "; ".join(_describe(candidate, reference) for candidate in one.candidates),
                )
                for ones in groups.values()
                for one in ones
            ],
        ),
    ]
    return "\n\n".join(section.rstrip() for section in sections) + "\n"


def _describe(candidate: Candidate, reference: Reference) -> str:
    family, evalue, bits, gathering, error = candidate
    score = "no hit" if bits is None else f"{bits:.1f} bits"
    needed = "no cut-off" if gathering is None else f"of {gathering:.0f}"
    told = f"not scored: {error}" if error else f"{score} {needed}"
    return f"{reference.families[family].name} (E {evalue:.1g}, {told})"


@contextmanager
def opened(
    path: Path | None, key: str
) -> Iterator[tuple[dict[AskedRna, Comparison], TextIO | None]]:
    """What earlier runs compared, and where to write further comparisons, by `to_json`.

    Args:
        path: JSON lines; None: nothing is kept.
        key: of what comparisons depend on.

    Raises:
        ValueError: the file was begun with another key.
    """
    if path is None:
        yield {}, None
        return
    with path.open("a+", encoding="utf-8", buffering=1) as file:
        file.seek(0)
        lines = file.read().splitlines(keepends=True)
        if lines and not lines[-1].endswith("\n"):  # it was killed while it wrote
            whole = "".join(lines[:-1])
            file.truncate(len(whole.encode()))
            lines.pop()
        if not lines:
            file.write(json.dumps(key) + "\n")
        elif (begun := json.loads(lines[0])) != key:
            raise ValueError(f"{path} was begun with {begun}, not with {key}; name another file")
        yield {one.rna: one for one in map(_from_json, lines[1:])}, file


def to_json(comparison: Comparison) -> str:
    """A line for the file of `opened`."""
    return json.dumps(comparison._asdict()) + "\n"


def _from_json(line: str) -> Comparison:
    values: dict[str, Any] = json.loads(line)
    rna = AskedRna(*values.pop("rna"))
    candidates = tuple(Candidate(*one) for one in values.pop("candidates"))
    return Comparison(rna=rna, candidates=candidates, **values)


def main() -> None:
    parser = make_parser(__doc__, dataset=True)
    parser.add_argument(
        "--reference", type=Path, required=True, help="reference of the training split alone"
    )
    parser.add_argument(
        "--whole",
        type=Path,
        help="reference of all splits, by whose models the RNAs are scored again that the search "
        "alone names",
    )
    parser.add_argument("--rnas", type=int, default=RNAS, help="test RNAs")
    parser.add_argument("--longest", type=int, default=LONGEST, help="nt of an RNA that is asked")
    parser.add_argument("--candidates", type=int, default=3, help="per RNA that Infernal scores")
    parser.add_argument(
        "--minutes",
        type=float,
        help="begin no further RNA after so long; with --kept, 0 writes the report alone",
    )
    parser.add_argument(
        "--kept", type=Path, help="file for what is compared; what it holds is not compared again"
    )
    parser.add_argument("--jobs", type=int, default=1, help="RNAs at once")
    args = parse(parser)
    reference = Reference.open(args.reference)
    verifier = Verifier()
    rnas = read_rnas(args.dataset, reference, args.longest)[: args.rnas]
    end = time.monotonic() + 60 * args.minutes if args.minutes is not None else float("inf")

    _ = reference.profiles
    key = f"{reference.manifest.key}, {args.candidates} candidates, {verifier.program}"
    with opened(args.kept, key) as (compared, file), ThreadPoolExecutor(args.jobs) as pool:

        def work(rna: AskedRna) -> Comparison | None:
            if rna in compared:
                return compared[rna]
            if time.monotonic() > end:
                return None
            return compare(rna, reference, verifier, args.candidates)

        found = []
        for one in tqdm(pool.map(work, rnas), total=len(rnas), unit=" RNAs", file=sys.stderr):
            if one is not None:
                found.append(one)
                if file is not None and one.rna not in compared:
                    file.write(to_json(one))
    about = (
        f"{machine('pyhmmer')[:-1]}, {verifier.program}. {len(found):,} test RNAs of up to "
        f"{args.longest:,} nt, of families that {reference.manifest.title} has; the "
        f"{args.candidates} best candidates of each, E < {LOOSE_EVALUE:g}, scored by covariance "
        "models that were built from the reference's alignments; `cmscan` over all families was "
        "not run."
    )
    whole = rescore(found, Reference.open(args.whole), verifier) if args.whole else None
    text = report(found, about, reference, whole)
    print(text)
    write_down(args, text, (), report=REPORT, is_whole=len(found) >= RNAS)


if __name__ == "__main__":
    main()
