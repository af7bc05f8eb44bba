"""RNA-GPT's page: give an RNA, ask about it. It is the Space of the same name on the Hub.

    python space/app.py                              # rna-gpt-mini, at http://127.0.0.1:7860
    RNAGPT_MODEL=./my-rna-gpt python space/app.py    # another model folder or Hub id

`space_limits.py` names the limits, each of which an environment variable sets.
"""

from __future__ import annotations

import os

import gradio as gr
from model_loading import MODEL
from page import FOLDER, Page
from space_limits import Limits

SYSTEM_FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
MONOSPACED = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")


def launch(limits: Limits, **options: object) -> gr.Blocks:
    """Open the page; options go to `gr.Blocks.launch`."""
    blocks = Page(limits).blocks
    blocks.queue(max_size=limits.max_waiting, default_concurrency_limit=8)
    blocks.launch(
        # Fonts of the visitor's own system: nothing is fetched from elsewhere.
        theme=gr.themes.Soft(
            primary_hue="teal", neutral_hue="slate", font=SYSTEM_FONTS, font_mono=MONOSPACED
        ),
        css_paths=[FOLDER / "style.css"],
        max_file_size=limits.max_upload_bytes,
        state_session_capacity=1_000,
        footer_links=["api", "settings"],
        ssr_mode=False,
        **options,
    )
    return blocks


def main() -> None:
    on_zero_gpu = bool(os.environ.get("SPACES_ZERO_GPU"))
    MODEL.start(os.environ.get("RNAGPT_MODEL", ""), wait=on_zero_gpu)
    launch(Limits.from_environment())


if __name__ == "__main__":
    main()
