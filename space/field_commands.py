"""Commands about a text field that the browser carries out: the server does not see the field."""

from __future__ import annotations

import json
import time

import gradio as gr
from browser_scripts import FIELD_JS


def field_commands(field: gr.Textbox) -> gr.Textbox:
    """A hidden part for `command`s about a field, which the browser carries out."""
    commands = gr.Textbox(visible="hidden")
    commands.change(None, [commands, field], [field], js=FIELD_JS)
    return commands


def command(**what: str) -> str:
    """That a field's text was `taken`, or that a text goes `back` into it."""
    return json.dumps({**what, "at": time.time_ns()})
