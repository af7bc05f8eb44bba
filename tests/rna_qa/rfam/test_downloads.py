"""Downloads, from a server on this machine that can cut them off."""

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from rnagpt.rna_qa.rfam.downloads import Source, default_family_url, default_seed_url, download

CONTENT = bytes(range(256)) * 1000


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT: whole, in ranges, or (/cut) half of it and then nothing."""

    requests: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.requests.append((self.path, wanted))
        if self.path == "/missing":
            self.send_error(404)
            return
        start = 0
        if wanted and self.path != "/no-ranges":
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])  # type: ignore[index]
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        half = self.path == "/cut" and not start
        self.wfile.write(CONTENT[start : len(CONTENT) // 2 if half else None])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    Handler.requests.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_file_is_downloaded_once(tmp_path: Path, address: str) -> None:
    first = Source(f"{address}/whole").fetch(tmp_path)
    assert first.read_bytes() == CONTENT
    assert Source(f"{address}/whole").fetch(tmp_path) == first
    assert Handler.requests == [("/whole", None)]
    assert Source(f"{address}/a/whole").fetch(tmp_path) != first
    assert not list(tmp_path.glob("*.part"))


def test_a_cut_off_download_is_gone_on_with(tmp_path: Path, address: str) -> None:
    path = tmp_path / "file"
    with pytest.raises(OSError, match="128,000 bytes did not come; run again"):
        download(f"{address}/cut", path)
    assert not path.exists()
    assert download(f"{address}/cut", path).read_bytes() == CONTENT
    assert Handler.requests[1:] == [("/cut", "bytes=128000-")]


@pytest.mark.parametrize(
    ("name", "left"),
    [("no-ranges", CONTENT[:5]), ("whole", CONTENT), ("whole", CONTENT + b"more")],
)
def test_what_cannot_be_gone_on_with_is_begun_anew(
    tmp_path: Path, address: str, name: str, left: bytes
) -> None:
    (tmp_path / "file.part").write_bytes(left)
    assert download(f"{address}/{name}", tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize("name", ["/missing", ":1/nobody"])
def test_an_address_that_fails_is_named(tmp_path: Path, address: str, name: str) -> None:
    where = f"{address}{name}" if name == "/missing" else f"http://127.0.0.1{name}"
    with pytest.raises(OSError, match=f"{where}: .*give a file that you got yourself"):
        download(where, tmp_path / "file")


def test_paths_and_labels(tmp_path: Path) -> None:
    path = tmp_path / "seed"
    path.write_bytes(b"abc")
    assert Source(str(path)).fetch(tmp_path) == path
    # SHA-256 of "abc", FIPS 180-4.
    assert Source(str(path)).label.startswith("sha256:ba7816bf8f01cfea414140de5dae2223b00361a3")
    assert Source("https://host/x").label == "https://host/x"
    with pytest.raises(FileNotFoundError, match="no such file"):
        Source(str(tmp_path / "none")).fetch(tmp_path)


def test_addresses_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RNAQA_RFAM_SEED_URL", raising=False)
    assert default_seed_url() == "https://ftp.ebi.ac.uk/pub/databases/Rfam/CURRENT/Rfam.seed.gz"
    monkeypatch.setenv("RNAQA_RFAM_SEED_URL", "http://here/seed")
    monkeypatch.setenv("RNAQA_RFAM_FAMILY_URL", "http://here/families")
    assert (default_seed_url(), default_family_url()) == (
        "http://here/seed",
        "http://here/families",
    )
