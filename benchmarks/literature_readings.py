"""Model builds read by eye: sheets for a reader, two annotations of an RNA without their names.

    python benchmarks/literature_readings.py sheets DNC AIS FOLDER      # claims.jsonl, pairs.jsonl
    python benchmarks/literature_readings.py keep FOLDER                # into literature_labels/

`claims.jsonl` is a sheet as `rna-qa sample` writes it, of both builds' claims. `pairs.jsonl` has
the two annotations of an RNA as "first" and "second", in an order that only `order.json` tells; the
reader writes "first", "second" or "neither" under "better" before looking there. What is kept has
hashes in place of texts.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from literature_model_builds import Made, read_build

from rnagpt.rna_qa.literature.judging.samples import CLAIM, Item, draw, write_labels, write_sheet

LABELS = Path(__file__).with_name("literature_labels")
CLAIM_LABELS, PAIR_LABELS = LABELS / "model_claims.jsonl", LABELS / "model_pairs.jsonl"
SEED, CLAIMS, PAIRS = 1, 60, 30  # claims of each build


def items_of(made: Made) -> Iterator[Item]:
    """The claims of a build, as samples are drawn of them."""
    for id_, annotation in made.annotations.items():
        for claim in annotation.claims:
            name = made.rnas[id_].names[0]
            yield Item(CLAIM, id_, name, claim.text, claim.quote, claim.papers, "")


def sheets(dnc: Made, ais: Made, folder: Path) -> None:
    """Write both sheets, and the order of the pairs."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = [item for made in (dnc, ais) for item in draw(items_of(made), CLAIMS, SEED)]
    different = list({item.key: item for item in drawn}.values())
    write_sheet(different, folder / "claims.jsonl", CLAIMS, SEED)
    both = sorted(
        id_
        for id_ in dnc.annotations.keys() & ais.annotations.keys()
        if dnc.annotations[id_].claims and ais.annotations[id_].claims
    )
    rng = random.Random(SEED)
    order = {}
    with (folder / "pairs.jsonl").open("x", encoding="utf-8") as file:
        for id_ in rng.sample(both, min(PAIRS, len(both))):
            ways = rng.sample([("dnc", dnc), ("ais", ais)], 2)
            order[id_] = [name for name, _ in ways]
            texts = [made.annotations[id_].text for _, made in ways]
            row = {
                "rna": id_,
                "name": dnc.rnas[id_].names[0],
                "first": texts[0],
                "second": texts[1],
                "better": "",
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    (folder / "order.json").write_text(json.dumps(order), encoding="utf-8")


def keep(folder: Path) -> None:
    """Write what was judged to `literature_labels/`, without texts, with the order told.

    Raises:
        ValueError: where a pair has no answer.
    """
    order = json.loads((folder / "order.json").read_text(encoding="utf-8"))
    rows = []
    for line in (folder / "pairs.jsonl").read_text(encoding="utf-8").splitlines():
        row: dict[str, Any] = json.loads(line)
        if row["better"] not in ("first", "second", "neither"):
            raise ValueError(f"{row['rna']}: better is {row['better']!r}; first, second or neither")
        of = dict(zip(("first", "second"), order[row["rna"]], strict=True))
        hashes = {of[place]: _hash(row[place]) for place in of}
        better = of.get(row["better"], "neither")
        rows.append({"rna": row["rna"], **dict(sorted(hashes.items())), "better": better})
    text = "".join(json.dumps(row) + "\n" for row in rows)
    write_labels(folder / "claims.jsonl", CLAIM_LABELS)
    PAIR_LABELS.write_text(text, encoding="utf-8")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    write = commands.add_parser("sheets")
    write.add_argument("dnc", type=Path)
    write.add_argument("ais", type=Path)
    write.add_argument("folder", type=Path)
    commands.add_parser("keep").add_argument("folder", type=Path)
    args = parser.parse_args()
    if args.command == "sheets":
        sheets(read_build(args.dnc, "dnc"), read_build(args.ais, "ais"), args.folder)
    else:
        keep(args.folder)


if __name__ == "__main__":
    main()
