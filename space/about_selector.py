"""Which RNAs a question is about: what the visitor chooses beside it."""

from __future__ import annotations

from typing import Any

import gradio as gr
from conversation import Conversation
from plain_text import check_text, visible

from rnagpt.inference.cited import name_rnas

NAMED, ALL = "named", "all"
_MAX_NAME = 40


def selector() -> gr.Dropdown:
    """The part, which is there once there is something to choose."""
    return gr.Dropdown(
        label="About",
        # Else the last RNA, as the answer says then.
        choices=_choices(Conversation()),
        value=NAMED,
        visible=False,
        interactive=True,
        filterable=False,
        scale=1,
        min_width=210,
        elem_id="about",
        render=False,
    )


def update(conversation: Conversation, *, reset: bool = False) -> dict[str, Any]:
    """The part's update for the RNAs that there are.

    Args:
        reset: whether the choice may be of an RNA that is gone.
    """
    value = {"value": NAMED} if reset else {}
    several = len(conversation.rnas) > 1
    changed: dict[str, Any] = gr.update(
        choices=_choices(conversation), visible=several, interactive=True, **value
    )
    return changed


def places_of(conversation: Conversation, chosen: object) -> list[int]:
    """The places, from 0, of the chosen RNAs; empty where the question is to name them.

    Raises:
        ValueError: the chosen one is gone.
    """
    if chosen in (None, "", NAMED):
        return []
    if chosen == ALL:
        return list(range(len(conversation.rnas))) if len(conversation.rnas) > 1 else []
    key = check_text(chosen, "What a question is about")
    places = [place for place, shown in enumerate(conversation.rnas) if shown.key == key]
    if not places:
        raise ValueError("The RNA that you chose is no longer here. Choose another one.")
    return places


def _choices(conversation: Conversation) -> list[tuple[str, str]]:
    names = name_rnas([shown.rna for shown in conversation.rnas])
    choices = [("as the question says", NAMED), ("all RNAs", ALL)]
    for number, (shown, name) in enumerate(zip(conversation.rnas, names, strict=True), start=1):
        short = name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 1]}…"
        own = "" if name == f"RNA {number}" else f": {visible(short)}"
        choices.append((f"RNA {number}{own}", shown.key))
    return choices
