"""Publishing a Space to a Hub on loopback; its page is opened before the tag is set."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.paths import ROOT
from helpers.small_hub import SmallHub
from huggingface_hub import HfApi, SpaceCard

from rnagpt.hub import PublishError
from rnagpt.hub.card_checks import check_card
from rnagpt.hub.preflight import reject
from rnagpt.hub.space import publish_space, space_manifest
from rnagpt.hub.verify import run_in_clean_env

SPACE = ROOT / "space"
REPO, MODEL = "laboratory/rna-gpt", "laboratory/rna-gpt-tiny"
CARD = """---
title: RNA-GPT
sdk: gradio
app_file: app.py
license: apache-2.0
---

# RNA-GPT
"""
# Reads its port from the variable that Gradio reads, and a module beside it, as a Space does.
APP = """
import http.server, os
from greeting import PAGE

class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(PAGE.replace("MODEL", os.environ["RNAGPT_MODEL"]).encode())

address = ("127.0.0.1", int(os.environ["GRADIO_SERVER_PORT"]))
http.server.HTTPServer(address, Page).serve_forever()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A Space without Gradio, which starts at once."""
    folder = tmp_path / "space"
    folder.mkdir()
    (folder / "README.md").write_text(CARD)
    (folder / "app.py").write_text(APP)
    (folder / "greeting.py").write_text('PAGE = "<title>MODEL</title>"\n')
    (folder / "requirements.txt").write_text("rna-gpt\n")
    return folder


@pytest.fixture
def hub(hub: SmallHub) -> SmallHub:
    hub.create(MODEL)
    return hub


@pytest.fixture
def publish(hub: SmallHub, folder: Path) -> Callable[..., str | None]:
    def run(model: str = MODEL, **options: Any) -> str | None:
        api = HfApi(endpoint=hub.url, token=hub.token)
        given = {"tag": "v1", "api": api, "folder": folder, "say": lambda _: None}
        return publish_space(REPO, model, **given | options)

    return run


def test_published_opened_tagged(hub: SmallHub, publish: Callable[..., str]) -> None:
    commit = publish()
    space = hub.repository(REPO, "space")
    assert space.tags == {"v1": commit}
    assert space.variables == {"RNAGPT_MODEL": MODEL}
    card = SpaceCard(hub.read(space.files()["README.md"].sha256).decode())
    assert card.data["models"] == [MODEL]
    assert card.data["sdk"] == "gradio"


def test_a_space_of_a_private_model_is_told_what_it_needs(
    hub: SmallHub, publish: Callable[..., str]
) -> None:
    lines: list[str] = []
    publish(say=lines.append)
    assert not [line for line in lines if "HF_TOKEN" in line]
    hub.repository(MODEL).private = True
    publish(say=lines.append)
    (note,) = [line for line in lines if "HF_TOKEN" in line]
    assert f"{MODEL} is private" in note


def test_a_space_that_does_not_start_is_not_tagged(
    hub: SmallHub, publish: Callable[..., str], folder: Path
) -> None:
    (folder / "greeting.py").write_text("raise RuntimeError('no greeting today')\n")
    with pytest.raises(PublishError, match="no greeting today") as raised:
        publish()
    assert "The tag v1 is not set" in str(raised.value)
    assert hub.repository(REPO, "space").tags == {}


def test_the_model_must_be_there(hub: SmallHub, publish: Callable[..., str], folder: Path) -> None:
    with pytest.raises(PublishError, match="rnagpt publish model FOLDER laboratory/nothing"):
        publish("laboratory/nothing")
    assert ("space", REPO) not in hub.repositories
    (folder / "requirements.txt").unlink()
    with pytest.raises(PublishError, match=r"lacks requirements\.txt"):
        publish()


@pytest.mark.skipif(not (SPACE / "app.py").is_file(), reason="installed without the Space")
def test_the_packages_own_space_can_be_published() -> None:
    manifest = space_manifest(SPACE, MODEL)
    reject(manifest)
    check_card(manifest, "space")


@pytest.mark.slow
@pytest.mark.skipif(not (SPACE / "app.py").is_file(), reason="installed without the Space")
def test_the_packages_own_space_starts_with_gradio(
    hub: SmallHub, publish: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gradio")
    seen: list[dict[str, Any]] = []

    def noting(*words: Any, **options: Any) -> dict[str, Any]:
        seen.append(run_in_clean_env(*words, **options))
        return seen[-1]

    monkeypatch.setattr("rnagpt.hub.verify.run_in_clean_env", noting)
    before = len(hub.requests)
    commit = publish(folder=SPACE)
    assert hub.repository(REPO, "space").tags == {"v1": commit}
    assert [(page["status"], page["title"]) for page in seen] == [(200, "RNA-GPT")]
    # The page's process has asked for the model that the Space's variable names.
    asked = hub.requests[before:]
    assert any(f"/{MODEL}/resolve/" in request for request in asked), asked
