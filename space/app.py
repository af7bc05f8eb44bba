"""RNA-GPT's web demo: give an RNA, ask about it. On the Hub it is the Space of the same name.

    python space/app.py                              # rna-gpt-mini, at http://127.0.0.1:7860
    RNAGPT_MODEL=./my-rna-gpt python space/app.py    # another model folder or Hub id
    RNAGPT_REFERENCE=./my-reference python space/app.py    # other records; none: the model alone

`space_limits.py` names the limits, each of which an environment variable sets.
"""

from __future__ import annotations

import os
from typing import Any

import gradio as gr
from model_loading import MODEL
from open_routes import OpenRoutes
from page import FOLDER, Page
from searching import reference
from space_limits import Limits
from starlette.middleware import Middleware

from rnagpt.inference.allocator import use_one_arena
from rnagpt.sequences.folding_process import fold_in_processes
from rnagpt.serving.middleware import BodySizeLimit

# Fonts of the visitor's own system, so that nothing is fetched from elsewhere; colours with the
# contrast that WCAG 2.2 asks for at level AA.
THEME = gr.themes.Soft(
    primary_hue="teal",
    neutral_hue="slate",
    font=("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"),
    font_mono=("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"),
).set(
    body_background_fill="*neutral_50",
    block_border_width="1px",
    block_label_background_fill="transparent",
    block_label_background_fill_dark="transparent",
    block_label_text_color="*body_text_color",
    block_title_background_fill="transparent",
    block_title_padding="0",
    block_title_text_color="*body_text_color",
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_300",
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_dark="*primary_700",
    button_secondary_background_fill_hover_dark="*neutral_700",
    # A contrast of at least 3:1 against white: only the border shows where to write.
    input_border_color="*neutral_500",
    input_border_width="1px",
    input_placeholder_color="*neutral_500",
    input_placeholder_color_dark="*neutral_300",
)


def launch(limits: Limits, **options: Any) -> gr.Blocks:
    """Open the page; options go to `gr.Blocks.launch`."""
    blocks: gr.Blocks = Page(limits).blocks
    blocks.queue(max_size=limits.max_waiting, default_concurrency_limit=8)
    # A file travels in base 64.
    size = Middleware(BodySizeLimit, max_bytes=2 * limits.max_upload_bytes)
    blocks.launch(
        theme=THEME,
        css_paths=[FOLDER / "style.css"],
        app_kwargs={"middleware": [Middleware(OpenRoutes), size]},
        # Nothing comes by Gradio's own upload, which would write it to the disk.
        max_file_size=1,
        # What Gradio keeps for an open page; nothing is lost with it.
        state_session_capacity=limits.max_conversations,
        enable_monitoring=False,
        # Nothing of a visitor is left in the browser either.
        run_history=False,
        footer_links=["api", "settings"],
        ssr_mode=False,
        mcp_server=True,  # for assistants, at /gradio_api/mcp/
        # Without it Gradio gives up where its own first page takes more than three seconds, as on a
        # machine that is busy, and says that localhost is not accessible.
        _frontend=False,
        **options,
    )
    return blocks


def main() -> None:
    use_one_arena()
    on_zero_gpu = bool(os.environ.get("SPACES_ZERO_GPU"))
    fold_in_processes()  # else nobody is served meanwhile
    if searched := reference():  # an error, where there is none of that name
        searched.prepare()
    MODEL.start(os.environ.get("RNAGPT_MODEL", ""), wait=on_zero_gpu)
    launch(Limits.from_environment())


if __name__ == "__main__":
    main()
