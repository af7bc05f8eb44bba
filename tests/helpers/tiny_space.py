"""The Space's modules, which import each other as a Space does, and a tiny model for its page."""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from helpers.paths import ROOT
from helpers.tiny_models import make_model, make_processor

SPACE = ROOT / "space"
sys.path.insert(0, str(SPACE))

import about_selector  # noqa: E402
import answering  # noqa: E402
import app  # noqa: E402
import chat_messages  # noqa: E402
import chat_panel  # noqa: E402
import comparison  # noqa: E402
import comparison_table  # noqa: E402
import conversation  # noqa: E402
import findings  # noqa: E402
import model_loading  # noqa: E402
import open_routes  # noqa: E402
import page  # noqa: E402
import plain_text  # noqa: E402
import rna_cards  # noqa: E402
import rna_input  # noqa: E402
import rna_panel  # noqa: E402
import searching  # noqa: E402
import space_limits  # noqa: E402
import structure_card  # noqa: E402
import structure_folding  # noqa: E402
import structure_script  # noqa: E402
import validation  # noqa: E402
import visitors  # noqa: E402


def load_tiny_model(folder: Path) -> None:
    """Save a tiny random model, and let the Space load it as it loads any other."""
    processor = make_processor(merge_size=3, summary_size=2, max_rna_length=1000)
    make_model(processor).save_pretrained(folder)
    processor.save_pretrained(folder)
    model_loading.MODEL.start(str(folder), wait=True)
    assert model_loading.MODEL.state == "ready"


@contextmanager
def open_page(limits: space_limits.Limits) -> Iterator[str]:
    """The page on a free port; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    blocks = app.launch(
        limits,
        prevent_thread_lock=True,
        quiet=True,
        server_name="127.0.0.1",
        server_port=port,
    )
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        blocks.close(verbose=False)


__all__ = [
    "SPACE",
    "about_selector",
    "answering",
    "app",
    "chat_messages",
    "chat_panel",
    "comparison",
    "comparison_table",
    "conversation",
    "findings",
    "load_tiny_model",
    "model_loading",
    "open_page",
    "open_routes",
    "page",
    "plain_text",
    "rna_cards",
    "rna_input",
    "rna_panel",
    "searching",
    "space_limits",
    "structure_card",
    "structure_folding",
    "structure_script",
    "validation",
    "visitors",
]
