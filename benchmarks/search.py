"""Searching many RNAs: `rnagpt annotate` against HMMER's `hmmscan` with the same profiles.

    python benchmarks/search.py                                 # writes search.md
    python benchmarks/search.py --rnas 200 --long 0 --rounds 1  # quick, only printed

Both are whole programs in processes of their own, on the same FASTA file, with two cores each:
`annotate` with two processes, `hmmscan` with two worker threads on the RNAs and then on their
reverse complements, which it does not make itself. The figures are wall-clock times, in turn.
The RNAs are random: nothing is found, as for most of a transcriptome, and the filters do the work.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import measured

from rnagpt.reference.library import Reference

REPORT = Path(__file__).with_suffix(".md")
RNAS, LENGTH = 2_000, 100
LONG, LONG_LENGTH = 2, 100_000
COMPLEMENT = str.maketrans("ACGU", "UGCA")


def write_fasta(path: Path, sequences: list[str]) -> Path:
    path.write_text("".join(f">rna_{n}\n{sequence}\n" for n, sequence in enumerate(sequences)))
    return path


def annotate(reference: Path, fasta: Path) -> Callable[[], object]:
    """The command as a user gives it, with two processes."""
    command = [sys.executable, "-m", "rnagpt.cli.main", "annotate", str(fasta)]
    command += ["--reference", str(reference), "--format", "tsv", "--jobs", "2", "--quiet"]
    return lambda: subprocess.run(command, check=True, capture_output=True)


def hmmscan(profiles: Path, strands: list[Path]) -> Callable[[], object]:
    """HMMER's program on both strands, with two worker threads."""

    def run() -> None:
        for fasta in strands:
            command = ["hmmscan", "--cpu", "2", "-E", "1e-3", "--noali", "-o", "/dev/null"]
            subprocess.run([*command, str(profiles), str(fasta)], check=True, capture_output=True)

    return run


def press(reference: Reference, folder: Path) -> Path:
    """The reference's profiles as `hmmscan` reads them."""
    profiles = folder / "profiles.hmm"
    with profiles.open("wb") as file:
        for hmm in reference.hmms().values():
            hmm.write(file, binary=False)
    subprocess.run(["hmmpress", str(profiles)], check=True, capture_output=True)
    return profiles


def main() -> None:
    parser = measured.make_parser(__doc__, rounds=6)
    parser.add_argument("--reference", type=Path, help="a reference (default: rna-gpt-mini's)")
    parser.add_argument("--rnas", type=int, default=RNAS, help="short RNAs")
    parser.add_argument("--long", type=int, default=LONG, help="long sequences")
    args = measured.parse(parser)
    if shutil.which("hmmscan") is None:
        raise SystemExit("hmmscan is needed: install hmmer (Debian, Ubuntu, Bioconda)")
    reference = Reference.open(args.reference)
    figures, rows = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        profiles = press(reference, folder)
        for what, count, length in (
            (f"{args.rnas:,} RNAs of {LENGTH} nt", args.rnas, LENGTH),
            (f"{args.long:,} sequences of {LONG_LENGTH:,} nt", args.long, LONG_LENGTH),
        ):
            if not count:
                continue
            sequences = [measured.make_rna(length, seed) for seed in range(count)]
            given = write_fasta(folder / "given.fa", sequences)
            turned = [sequence.translate(COMPLEMENT)[::-1] for sequence in sequences]
            ways = {
                "ours": annotate(reference.folder, given),
                "hmmscan": hmmscan(profiles, [given, write_fasta(folder / "turned.fa", turned)]),
            }
            seconds = measured.take_turns(ways, args.rounds)
            figures.append(
                measured.compare(
                    f"search: {what}",
                    seconds["ours"],
                    seconds["hmmscan"],
                    other_name="hmmscan, both strands",
                    unit="nt/s",
                    target="not slower",
                    work=count * length,
                )
            )
            median = {way: statistics.median(times) for way, times in seconds.items()}
            rate = count / median["ours"]
            rows.append(
                (
                    what,
                    f"{median['ours']:.1f} s" + (f" ({rate:,.0f} a second)" if rate >= 1 else ""),
                    f"{median['hmmscan']:.1f} s",
                    f"{measured.ratio(seconds['hmmscan'], seconds['ours']):.2f}",
                )
            )
        one = write_fasta(folder / "one.fa", [measured.make_rna(LENGTH)])
        start = measured.take_turns(
            {
                "annotate": annotate_one(reference.folder, one),
                "python": lambda: subprocess.run([sys.executable, "-c", ""], check=True),
            },
            max(3, args.rounds),
        )
    text = make_report(rows, start, len(reference.profiles))
    print(text)
    is_whole = args.rnas >= RNAS and args.long >= LONG and args.rounds >= 6
    measured.write_down(args, text, figures, report=REPORT, is_whole=is_whole)


def annotate_one(reference: Path, fasta: Path) -> Callable[[], object]:
    """The command on one RNA in one process: nearly all of its time is its start."""
    command = [sys.executable, "-m", "rnagpt.cli.main", "annotate", str(fasta)]
    command += ["--reference", str(reference), "--quiet"]
    return lambda: subprocess.run(command, check=True, capture_output=True)


def make_report(
    rows: list[tuple[str, str, str, str]], start: dict[str, list[float]], profiles: int
) -> str:
    median = {name: statistics.median(seconds) for name, seconds in start.items()}
    return "\n".join(
        [
            measured.beginning(
                "Searching many RNAs",
                f"{profiles:,} profiles. {measured.machine('pyhmmer')}",
            ),
            measured.table(
                ("searched", "annotate --jobs 2", "hmmscan --cpu 2", "times as fast"), rows
            ),
            "",
            f"`rnagpt annotate` on one RNA of {LENGTH} nt takes {median['annotate']:.2f} s from "
            f"start to end, of which Python's own start is {median['python']:.2f} s.",
            "",
        ]
    )


if __name__ == "__main__":
    main()
