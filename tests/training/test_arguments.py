"""Options of training that contradict each other."""

from __future__ import annotations

from typing import Any

import pytest

from rnagpt.training.arguments import StageArguments
from rnagpt.training.rows import ALIGNMENT, INSTRUCTION


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stage": "both"}, "stage must be one of"),
        ({"stage": ALIGNMENT, "freeze_projector": True}, "nothing to train"),
        (
            {"stage": INSTRUCTION, "freeze_projector": True, "train_adapter": False},
            "nothing to train",
        ),
        ({"train_encoder": True, "cache_encoder": True}, "train_encoder changes it"),
        ({"stage": ALIGNMENT, "adapter": "folder"}, "adapter is for an instruction stage"),
        ({"stage": ALIGNMENT, "novel_family_share": 0.1}, "novel_family_share is for"),
    ],
)
def test_options_that_contradict_each_other_say_what_to_leave_out(
    values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        StageArguments(**values)
