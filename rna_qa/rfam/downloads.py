"""Source files of a build: a path, or an address that is downloaded once."""

import hashlib
import os
import re
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

RFAM = "https://ftp.ebi.ac.uk/pub/databases/Rfam/CURRENT"
CHUNK = 1 << 20
TIMEOUT = 60  # seconds without a byte


def default_seed_url() -> str:
    """Rfam's seed alignments, current release; ``RNAQA_RFAM_SEED_URL`` names another address."""
    return os.environ.get("RNAQA_RFAM_SEED_URL", f"{RFAM}/Rfam.seed.gz")


def default_family_url() -> str:
    """The `family` table of Rfam's dump; ``RNAQA_RFAM_FAMILY_URL`` names another address."""
    return os.environ.get("RNAQA_RFAM_FAMILY_URL", f"{RFAM}/database_files/family.txt.gz")


def current_release() -> str:
    """Rfam's current release, such as "15.0", from the README next to its seed alignments.

    Empty where there is no such file, as at an address of one's own.

    Raises:
        OSError: the address cannot be read.
    """
    seeds = default_seed_url()
    if not Source(seeds).is_address:
        return ""
    address = f"{seeds.rpartition('/')[0]}/README"
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT) as response:
            text = response.read(CHUNK).decode("utf-8", errors="replace")
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return ""
        raise OSError(f"{address}: {error}; try again later") from error
    except OSError as error:
        raise OSError(f"{address}: {error}; try again later") from error
    found = re.search(r"^\s*Release\s+(\d+(?:\.\d+)?)\b", text, flags=re.MULTILINE)
    return found[1] if found else ""


@dataclass(frozen=True)
class Source:
    """A file, given by its path or by its http, https or ftp address."""

    location: str

    @property
    def is_address(self) -> bool:
        return self.location.startswith(("http://", "https://", "ftp://"))

    @property
    def label(self) -> str:
        """What tells this source from another: the address, or the hash of the file."""
        return self.location if self.is_address else f"sha256:{hash_file(self._path())}"

    def fetch(self, folder: Path) -> Path:
        """The file's path; from an address it is downloaded into `folder` first."""
        if not self.is_address:
            return self._path()
        # The address is in the name, so that one folder never passes off one file as another.
        key = hashlib.sha256(self.location.encode()).hexdigest()[:8]
        return download(self.location, folder / f"{key}-{self.location.rsplit('/', 1)[-1]}")

    def _path(self) -> Path:
        path = Path(self.location).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file")
        return path


def hash_file(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download(address: str, path: Path) -> Path:
    """Download to `path` unless it is there.

    The bytes go to ``path.part``; what an earlier try left there is resumed if the server can, else
    it starts again.

    Raises:
        OSError: if the address cannot be read, or fewer bytes come than were announced.
    """
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        missing = _fetch_rest(address, part)
    except OSError as error:  # urllib's errors are among them
        raise OSError(
            f"{address}: {error}; run again to resume, or give a file that you got yourself"
        ) from error
    if missing:
        raise OSError(f"{address}: {missing:,} bytes did not come; run again to resume")
    part.rename(path)
    return path


def _fetch_rest(address: str, part: Path) -> int:
    """Append to `part` what it lacks of the file; returns how many announced bytes are missing."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not have:
            raise
        part.unlink()  # it does not fit this file: whole already, or of another one
        return _fetch_rest(address, part)
    with response:
        resumed = response.status == 206
        length = response.headers.get("Content-Length")
        have = have if resumed else 0
        total = have + int(length) if length else None
        bar = tqdm(
            total=total, initial=have, unit="B", unit_scale=True, desc=part.stem, disable=None
        )
        with part.open("ab" if resumed else "wb") as file, bar:
            while chunk := response.read(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
    return 0 if total is None else total - part.stat().st_size
