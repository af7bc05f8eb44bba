"""Uploading to the Hub: resumable, the card last, a tag only after the upload was verified."""

from __future__ import annotations

import glob
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Required, TypedDict

from huggingface_hub import HfApi, ModelInfo, RepoFile, constants
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.utils import validate_repo_id
from huggingface_hub.utils.sha import git_hash

from rnagpt.conversion import WeightsError
from rnagpt.hub import PublishError
from rnagpt.hub.card_checks import check_card
from rnagpt.hub.manifest import CARD, Manifest, PlannedFile, format_manifest
from rnagpt.hub.preflight import reject

# The Hub's own file, which every repository has from its beginning.
OF_THE_HUB = frozenset({".gitattributes"})
# As many files the client uploads in one commit; more of them it may commit in parts.
MAX_FILES_PER_COMMIT = 20
RESUME = "The same command resumes from here, and sends no finished file twice."

# Loads a commit by its id and compares; raises PublishError where it is something else. The last
# argument says whether that takes a token, because the repository is private.
Verify = Callable[[HfApi, str, bool], None]
Say = Callable[[str], None]


class PublishOptions(TypedDict, total=False):
    """Options of every publication; `Publication` says what they mean."""

    tag: Required[str]
    revision: str
    private: bool
    overwrite: bool
    dry_run: bool
    api: HfApi | None
    say: Say


@dataclass(frozen=True)
class Publication:
    """What goes where.

    Attributes:
        repo_id: ORG/NAME.
        repo_type: "model", "dataset" or "space".
        manifest: all files, the card among them.
        verify: is called before the tag is set.
        tag: set on the commit once it is verified.
        revision: the branch; created where it is not there.
        private: make the repository private; one that is public already is rejected.
        overwrite: replace other files that are there already (their history stays).
        dry_run: stop after the checks and the table; nothing is sent to the Hub.
        api: the client; None: one for `HF_ENDPOINT` with the token of `hf auth login`.
        say: takes what is shown on the way.
        variables: of a Space: environment variables, as the Hub sets them.
    """

    repo_id: str
    repo_type: str
    manifest: Manifest
    verify: Verify
    tag: str
    revision: str = "main"
    private: bool = False
    overwrite: bool = False
    dry_run: bool = False
    api: HfApi | None = None
    say: Say = print
    variables: tuple[tuple[str, str], ...] = ()

    @property
    def where(self) -> dict[str, Any]:
        """As the client's methods take it."""
        return {"repo_id": self.repo_id, "repo_type": self.repo_type}

    @property
    def address(self) -> str:
        """Where people find it, without the Hub's own address."""
        return f"{constants.REPO_TYPES_URL_PREFIXES.get(self.repo_type, '')}{self.repo_id}"


@dataclass
class _Progress:
    """What the Hub holds by now: every error message ends with it."""

    state: str


def publish(publication: Publication) -> str | None:
    """Check, show, upload, verify, tag.

    Returns:
        The commit's id; None for a dry run.

    Raises:
        PublishError: what is rejected, or what failed; says what the Hub holds now.
    """
    say = publication.say
    _check_id(publication.repo_id)
    reject(publication.manifest)
    check_card(publication.manifest, publication.repo_type)
    say(f"To {publication.address}, branch {publication.revision}, tag {publication.tag}:")
    say(format_manifest(publication.manifest))
    if publication.dry_run:
        say("Nothing was uploaded: this was a dry run.")
        return None
    api = publication.api or HfApi()
    progress = _Progress(f"Nothing was committed to {publication.address}.")
    try:
        with _explained(progress, api.endpoint):
            is_private = _open_repository(api, publication, progress)
            stale = _check_replaceable(api, publication)
            commit = _upload(api, publication, stale, progress)
        _verify(api, publication, commit, is_private)
        with _explained(progress, api.endpoint):
            # An earlier run that came this far has set it, on the same files.
            api.create_tag(tag=publication.tag, revision=commit, exist_ok=True, **publication.where)
    except KeyboardInterrupt:
        say(f"Stopped. {progress.state} {RESUME}")
        raise
    say(f"Published {publication.address} at {commit[:7]}, verified, tag {publication.tag}.")
    return commit


def _check_id(repo_id: str) -> None:
    """An id without an owner would be made for whoever holds the token, and not be found by it."""
    try:
        validate_repo_id(repo_id)
    except ValueError as error:
        raise PublishError(f"{_one_line(error)} Give an id such as ORG/NAME.") from error
    if "/" not in repo_id:
        raise PublishError(
            f"{repo_id} names no owner; give an id such as ORG/{repo_id}, where ORG is your "
            "account's name or your organisation's."
        )


def _open_repository(api: HfApi, publication: Publication, progress: _Progress) -> bool:
    """Make the repository where it is not there yet; returns whether it is private."""
    is_new = not api.repo_exists(**publication.where)
    api.create_repo(
        **publication.where,
        # None leaves the choice to the organisation's settings.
        private=True if publication.private else None,
        exist_ok=True,
        space_sdk="gradio" if publication.repo_type == "space" else None,
    )
    if is_new:
        progress.state = (
            f"{publication.address} was created and is empty: nothing was committed to it."
        )
    info = api.repo_info(**publication.where)
    if publication.private and not info.private:
        raise PublishError(
            f"{publication.address} exists and is public, but --private was given. Make it "
            "private in its settings, or choose another name."
        )
    for name, value in publication.variables:
        api.add_space_variable(publication.repo_id, name, value)
    return bool(info.private)


def _check_replaceable(api: HfApi, publication: Publication) -> list[str]:
    """Files on the Hub that the publication does not have, after checking that they may go.

    Creates the branch where it is not there yet.

    Raises:
        PublishError: if the repository holds other files and is not to be overwritten, or if the
            tag names other content.
    """
    where = publication.where
    if publication.revision != constants.DEFAULT_REVISION:
        api.create_branch(branch=publication.revision, exist_ok=True, **where)
    tree = api.list_repo_tree(revision=publication.revision, recursive=True, **where)
    remote = {
        entry.path: entry
        for entry in tree
        if isinstance(entry, RepoFile) and entry.path not in OF_THE_HUB
    }
    planned = {file.path: file for file in publication.manifest.files}
    stale = sorted(remote.keys() - planned.keys())
    others = stale + sorted(
        path for path in remote.keys() & planned if not _is_same(planned[path], remote[path])
    )
    tags = {tag.name: tag.target_commit for tag in api.list_repo_refs(**where).tags}
    head = api.repo_info(revision=publication.revision, **where).sha
    is_complete = not others and remote.keys() == planned.keys()
    if publication.tag in tags and not (is_complete and tags[publication.tag] == head):
        raise PublishError(
            f"{publication.address} has the tag {publication.tag} already, of other files. A tag "
            "that people pinned must not move: choose another with --tag."
        )
    if others and not publication.overwrite:
        raise PublishError(
            f"{publication.address} exists and holds other files ({', '.join(others[:4])}"
            f"{', …' if len(others) > 4 else ''}). Add --overwrite to replace them (their history "
            "stays), or choose another name or branch."
        )
    return stale


def _is_same(planned: PlannedFile, remote: RepoFile) -> bool:
    if planned.size != remote.size:
        return False
    if remote.lfs is not None:
        return planned.sha256() == remote.lfs.sha256
    return git_hash(planned.read()) == remote.blob_id


def _upload(api: HfApi, publication: Publication, stale: list[str], progress: _Progress) -> str:
    """Upload the files, then the card, so that no card is there without them; the last commit.

    The client leaves out files, or parts of them, that the Hub has already.
    """
    where = {**publication.where, "revision": publication.revision}
    publication.say("Uploading what is not on the Hub yet.")
    for path in stale:
        publication.say(f"  removed  {path}")
    if len(publication.manifest.files) > MAX_FILES_PER_COMMIT:
        progress.state = _holds(publication, "perhaps some of the files, without their card")
    with tempfile.TemporaryDirectory(prefix="rnagpt-publish-") as folder:
        publication.manifest.link_into(Path(folder))
        files = api.upload_folder(
            folder_path=folder,
            ignore_patterns=[CARD],
            delete_patterns=[glob.escape(path) for path in stale] or None,
            commit_message="Upload files",
            **where,
        )
        progress.state = _holds(publication, f"the files ({files.oid[:7]}), but not their card")
        card = api.upload_file(
            path_or_fileobj=Path(folder) / CARD,
            path_in_repo=CARD,
            commit_message="Upload card",
            parent_commit=files.oid,
            **where,
        )
    progress.state = _holds(publication, f"files and card ({card.oid[:7]})")
    return str(card.oid)


def _holds(publication: Publication, what: str) -> str:
    return f"{publication.address} now holds {what}; the tag is not set."


def _verify(api: HfApi, publication: Publication, commit: str, is_private: bool) -> None:
    publication.say("Verifying in a clean environment: a fresh process with an empty cache.")
    try:
        publication.verify(api, commit, is_private)
    except (PublishError, WeightsError, OSError) as error:
        raise PublishError(
            f"The verification failed: {error}\n{publication.address} holds the files and the card "
            f"of commit {commit[:7]} nevertheless. The tag {publication.tag} is not set: nobody "
            "who asks for it gets them. If the network, the Hub or this machine is to blame, the "
            "same command verifies again and sends nothing twice; else fix the folder and publish "
            "again with --overwrite, or delete the repository."
        ) from error


@contextmanager
def _explained(progress: _Progress, endpoint: str) -> Iterator[None]:
    """Turn what the client raises into a message: what failed, what is there now, what to do."""
    try:
        yield
    except PublishError:
        raise
    except Exception as error:
        # The Hub, the network or the disk is to blame; else this program.
        if not (isinstance(error, OSError | RuntimeError | ValueError) or _is(error, "HTTPError")):
            raise
        reason = explain(error, endpoint)
        raise PublishError(f"{reason}\n{progress.state} {RESUME}") from error


def model_info(what: str, model: str, api: HfApi | None, remedy: str) -> ModelInfo:
    """What the Hub says of a model that has to be there.

    Raises:
        PublishError: it cannot be read; `what` and the id begin the message, `remedy` ends it.
    """
    api = api or HfApi()
    try:
        return api.model_info(model)
    except Exception as error:
        reason = explain(error, api.endpoint)
        raise PublishError(f"{what} {model} cannot be read: {reason} {remedy}") from error


def explain(error: BaseException, endpoint: str) -> str:
    """What the Hub's client raised, as a sentence with the remedy."""
    # The client wraps what goes wrong while a file is sent.
    root: BaseException = error
    while isinstance(root, RuntimeError) and root.__cause__ is not None:
        root = root.__cause__
    about = "" if root is error else f"{error} "
    if isinstance(root, HfHubHTTPError):
        return about + _explain_status(root)
    if _is(root, "ConnectError", "TimeoutException"):
        return (
            f"{about}The Hub at {endpoint} cannot be reached ({_one_line(root)}). Check the "
            "network, and HF_ENDPOINT if it is set."
        )
    if _is(root, "HTTPError"):
        return f"{about}The connection to the Hub broke off ({_one_line(root)})."
    return about + (_one_line(root) or type(root).__name__)


def _explain_status(error: HfHubHTTPError) -> str:
    status = error.response.status_code
    reported = error.server_message or _one_line(error)
    if isinstance(error, RepositoryNotFoundError) and status == 404:
        return f"The Hub knows no such repository ({reported})."
    remedies = {
        401: "The Hub wants a token that may write, and got none or another: log in with "
        "`hf auth login`, or set HF_TOKEN.",
        402: "The Hub asks for payment: the account's quota does not allow this.",
        403: "The Hub forbids it: the token may not write there, or the account's quota is used "
        "up.",
        412: "Somebody else committed in the meantime.",
        413: "The Hub finds it too large: the account's quota does not allow this.",
        429: "The Hub asks for patience: its rate limit is reached; wait some minutes.",
        507: "The Hub has no room: the account's quota is used up.",
    }
    remedy = remedies.get(status, f"The Hub answered with {status}.")
    return f"{remedy} (The Hub's words: {reported})"


def _is(error: BaseException, *names: str) -> bool:
    """By its classes' names: which httpx the Hub's client is built on changes with its version."""
    return any(kind.__name__ in names for kind in type(error).__mro__)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
