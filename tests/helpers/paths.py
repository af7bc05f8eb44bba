"""Where things lie in the repository."""

from pathlib import Path

import rnagpt

ROOT = Path(rnagpt.__file__).parent
HELPERS = Path(__file__).parent
DATA = HELPERS.parent / "data"
FIVE_RNAS = ROOT / "examples" / "five_rnas.fasta"
