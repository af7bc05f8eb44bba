"""The script that draws secondary structures in the browser, as one text."""

from __future__ import annotations

import json
from pathlib import Path

_FOLDER = Path(__file__).parent


_PARTS = ("structure_drawing.js", "structure_files.js", "structure_view.js")


def structure_script() -> str:
    """JavaScript that defines `<rna-structure>`; in a block, so that its names stay its own."""
    style = json.dumps(_read("structure_view.css"))
    return "\n".join(["{", f"const STYLE = {style};", *map(_read, _PARTS), "}", ""])


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")
