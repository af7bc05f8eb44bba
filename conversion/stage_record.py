"""What the record of a training stage tells of the model that is made of it; loads no PyTorch."""

from __future__ import annotations

import json
from pathlib import Path


def learned_from_evidence(stage: Path) -> bool:
    """Whether a stage, or what is shipped of one, was trained on prompts with evidence."""
    file = stage / "training_record.json"
    if not file.is_file():
        return False
    record = json.loads(file.read_text(encoding="utf-8"))
    settings = record.get("stages", record).get("settings", {})
    return bool(settings.get("evidence_share"))


__all__ = ["learned_from_evidence"]
