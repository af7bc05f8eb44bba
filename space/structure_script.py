"""The script that draws secondary structures in the browser, as one text."""

from __future__ import annotations

import json
from pathlib import Path

_FOLDER = Path(__file__).parent


def structure_script() -> str:
    """JavaScript that defines `<rna-structure>`; in a block, so that its names stay its own."""
    style, drawing, view = (
        (_FOLDER / name).read_text(encoding="utf-8")
        for name in ("structure_view.css", "structure_drawing.js", "structure_view.js")
    )
    return f"{{\nconst STYLE = {json.dumps(style)};\n{drawing}\n{view}\n}}\n"
