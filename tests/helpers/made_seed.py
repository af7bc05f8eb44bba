"""A seed alignment file of made-up families."""

import gzip
import random
from pathlib import Path

from rnagpt.rna_qa.rfam.build import Options, build
from rnagpt.rna_qa.rfam.downloads import Source

OPTIONS = Options(test=0.2, validation=0.1, test_families=0.1, clusters="kmers")


def make_seed(path: Path, families: int = 40, clusters: int = 5, copies: int = 2) -> Path:
    """Families of random sequences, each in several clusters of near copies, some in clans."""
    draw = random.Random(0)
    text = ""
    for number in range(families):
        rna_type = ("Gene; miRNA;", "Cis-reg; riboswitch;")[number % 2]
        text += f"# STOCKHOLM 1.0\n#=GF AC   RF{number:05}\n#=GF ID   made-{number}\n"
        text += f"#=GF DE   Made RNA {number}\n#=GF TP   {rna_type}\n"
        text += f"#=GF CL   CL{number // 4:05}\n" if number % 4 < 2 else ""
        text += f"#=GF RN   [1]\n#=GF RM   {10_000_000 + number}\n"
        text += f"#=GF CC   It binds protein {number} [1].\n"
        for cluster in range(clusters):
            ancestor = "".join(draw.choices("ACGU", k=100))
            for copy in range(copies):
                text += f"X{number}.{cluster}/{copy}-100 {ancestor[:90]}{'ACGU'[copy] * 10}\n"
        text += "//\n"
    path.write_bytes(gzip.compress(text.encode()))
    return path


def make_dataset(folder: Path) -> Path:
    """A data set of these families in a folder, with its reference."""
    seed = make_seed(folder / "Rfam.seed.gz")
    build(Source(str(seed)), None, folder / "data", OPTIONS, release="1.0")
    return folder / "data"
