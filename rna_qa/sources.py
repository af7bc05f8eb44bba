"""Where a build's files come from: a path, or an address that is downloaded once."""

import hashlib
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm


RFAM = "https://ftp.ebi.ac.uk/pub/databases/Rfam/CURRENT"
CHUNK = 1 << 20


def default_seed_url() -> str:
    """Rfam's seed alignments, current release, or ``RNAQA_RFAM_SEED_URL``."""
    return os.environ.get("RNAQA_RFAM_SEED_URL", f"{RFAM}/Rfam.seed.gz")


def default_family_url() -> str:
    """The `family` table of Rfam's database dump, or ``RNAQA_RFAM_FAMILY_URL``."""
    return os.environ.get("RNAQA_RFAM_FAMILY_URL", f"{RFAM}/database_files/family.txt.gz")


@dataclass(frozen=True)
class Source:
    """A file given by its path or its http(s) or ftp address."""

    location: str

    @property
    def is_address(self) -> bool:
        return self.location.startswith(("http://", "https://", "ftp://"))

    @property
    def label(self) -> str:
        """What tells this source from another: its address, or the SHA-256 of the file."""
        if self.is_address:
            return self.location
        with self.fetch(Path()).open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"

    def fetch(self, folder: Path) -> Path:
        """The file's path; an address is downloaded into `folder` first."""
        if self.is_address:
            return download(self.location, folder / self.location.rsplit("/", 1)[-1])
        path = Path(self.location).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file")
        return path


def download(address: str, path: Path) -> Path:
    """Download to `path` unless it is there; what an earlier try left in ``path.part`` is gone on with.

    Raises:
        OSError: if the address cannot be read, or fewer bytes came than were announced.
    """
    if path.exists():
        return path
    part = path.with_name(path.name + ".part")
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            resumed = response.status == 206
            have = have if resumed else 0
            announced = response.headers.get("Content-Length")
            total = have + int(announced) if announced else None
            with (
                part.open("ab" if resumed else "wb") as file,
                tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=path.name) as bar,
            ):
                while chunk := response.read(CHUNK):
                    file.write(chunk)
                    bar.update(len(chunk))
    except urllib.error.HTTPError as error:
        if error.code != 416:  # the whole file was there, only its renaming was missing
            raise OSError(f"{address}: {error}; pass a file that you downloaded yourself") from error
        total = have
    except urllib.error.URLError as error:
        raise OSError(f"{address}: {error.reason}; pass a file that you downloaded yourself") from error
    if total is not None and part.stat().st_size != total:
        raise OSError(
            f"{address}: {part.stat().st_size:,} of {total:,} bytes came; run again to go on with the rest"
        )
    part.rename(path)
    return path
