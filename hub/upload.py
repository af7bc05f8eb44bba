"""Uploading to the Hub: resumable, the card last, a tag only after the upload was verified."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    RepoFile,
    constants,
)
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.utils import validate_repo_id

from rnagpt.conversion import WeightsError
from rnagpt.hub import PublishError
from rnagpt.hub.card_checks import check_card
from rnagpt.hub.manifest import (
    CARD,
    Manifest,
    PlannedFile,
    format_manifest,
    format_size,
)
from rnagpt.hub.preflight import refuse

# The Hub's own file, which every repository has from its beginning.
OF_THE_HUB = frozenset({".gitattributes"})
RESUME = "The same command goes on from here, and sends no finished file twice."

# Loads a commit by its id and compares; raises PublishError where it is something else. The second
# argument says whether that takes a token, because the repository is private.
Verify = Callable[[str, bool], None]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Publication:
    """What goes where.

    Attributes:
        repo_id: ORG/NAME.
        repo_type: "model", "dataset" or "space".
        manifest: all files, the card among them.
        tag: set on the commit once it is verified.
        revision: the branch; made where it is not there.
        private: make the repository private; one that is public already is refused.
        overwrite: replace other files that are there already (their history stays).
        variables: of a Space: environment variables, as the Hub sets them.
    """

    repo_id: str
    repo_type: str
    manifest: Manifest
    tag: str
    revision: str = "main"
    private: bool = False
    overwrite: bool = False
    variables: tuple[tuple[str, str], ...] = ()

    @property
    def address(self) -> str:
        """Where people find it, without the Hub's own address."""
        return f"{constants.REPO_TYPES_URL_PREFIXES.get(self.repo_type, '')}{self.repo_id}"


class _Progress:
    """How far a publication came: every error message ends with it."""

    def __init__(self, publication: Publication) -> None:
        self.publication = publication
        self.state = f"Nothing was committed to {publication.address}."

    def made(self) -> None:
        self.state = (
            f"{self.publication.address} was made and is empty: nothing was committed to it."
        )

    def reached(self, what: str) -> None:
        self.state = f"{self.publication.address} now holds {what}; the tag is not set."


def publish(
    publication: Publication,
    verify: Verify,
    *,
    api: HfApi | None = None,
    dry_run: bool = False,
    say: Say = print,
) -> str | None:
    """Check, show, upload, verify, tag.

    Args:
        publication: what goes where.
        verify: is called before the tag is set.
        api: the client; None: one for `HF_ENDPOINT` with the token of `hf auth login`.
        dry_run: stop after the checks and the table; the Hub is not asked.
        say: takes what is shown on the way.

    Returns:
        The commit's id; None for a dry run.

    Raises:
        PublishError: what is refused, or what failed; says what the Hub holds now.
    """
    _check_id(publication.repo_id)
    refuse(publication.manifest)
    check_card(publication.manifest, publication.repo_type)
    say(f"To {publication.address}, branch {publication.revision}, tag {publication.tag}:")
    say(format_manifest(publication.manifest))
    if dry_run:
        say("Nothing was uploaded: this was a dry run.")
        return None
    api = api or HfApi()
    progress = _Progress(publication)
    try:
        with _explained(progress, api.endpoint):
            is_private = _open_repository(api, publication, progress)
            stale = _check_replaceable(api, publication, say)
            commit = _upload(api, publication, stale, progress, say)
        _verify(publication, partial(verify, commit, is_private), commit, say)
        with _explained(progress, api.endpoint):
            _set_tag(api, publication, commit)
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
    options: dict[str, Any] = {"space_sdk": "gradio"} if publication.repo_type == "space" else {}
    is_new = not api.repo_exists(publication.repo_id, repo_type=publication.repo_type)
    api.create_repo(
        publication.repo_id,
        repo_type=publication.repo_type,
        # None leaves the choice to the organisation's settings.
        private=True if publication.private else None,
        exist_ok=True,
        **options,
    )
    if is_new:
        progress.made()
    info = api.repo_info(publication.repo_id, repo_type=publication.repo_type)
    if publication.private and not info.private:
        raise PublishError(
            f"{publication.address} exists and is public, but --private was asked for. Make it "
            "private in its settings, or choose another name."
        )
    for name, value in publication.variables:
        api.add_space_variable(publication.repo_id, name, value)
    return bool(info.private)


def _check_replaceable(api: HfApi, publication: Publication, say: Say) -> list[str]:
    """Files of the Hub that the publication does not have, after checking that they may go.

    Makes the branch where it is not there yet.

    Raises:
        PublishError: if the repository holds other files and is not to be overwritten, or if the
            tag names another content.
    """
    if publication.revision != constants.DEFAULT_REVISION:
        api.create_branch(
            publication.repo_id,
            branch=publication.revision,
            repo_type=publication.repo_type,
            exist_ok=True,
        )
    remote = _remote_files(api, publication)
    planned = {file.path: file for file in publication.manifest.files}
    stale = sorted(remote.keys() - planned.keys())
    changed = sorted(
        path for path in remote.keys() & planned if not _is_same(planned[path], remote[path])
    )
    complete = not stale and not changed and remote.keys() == planned.keys()
    if not complete or not _tag_is_at_head(api, publication):
        _refuse_taken_tag(api, publication)
    others = stale + changed
    if others and not publication.overwrite:
        raise PublishError(
            f"{publication.address} exists and holds other files ({', '.join(others[:4])}"
            f"{', …' if len(others) > 4 else ''}). Add --overwrite to replace them (their history "
            "stays), or choose another name or branch."
        )
    for path in stale:
        say(f"  removed  {path}")
    return stale


def _tag_is_at_head(api: HfApi, publication: Publication) -> bool:
    head = api.repo_info(
        publication.repo_id, repo_type=publication.repo_type, revision=publication.revision
    )
    return _tags(api, publication).get(publication.tag) == head.sha


def _refuse_taken_tag(api: HfApi, publication: Publication) -> None:
    if publication.tag in _tags(api, publication):
        raise PublishError(
            f"{publication.address} has the tag {publication.tag} already, of other files. A tag "
            "that people pinned must not move: choose another with --tag."
        )


def _tags(api: HfApi, publication: Publication) -> dict[str, str]:
    """Commits by the names of their tags."""
    refs = api.list_repo_refs(publication.repo_id, repo_type=publication.repo_type)
    return {tag.name: tag.target_commit for tag in refs.tags}


def _remote_files(api: HfApi, publication: Publication) -> dict[str, RepoFile]:
    tree = api.list_repo_tree(
        publication.repo_id,
        repo_type=publication.repo_type,
        revision=publication.revision,
        recursive=True,
    )
    files = (entry for entry in tree if isinstance(entry, RepoFile))
    return {file.path: file for file in files if file.path not in OF_THE_HUB}


def _is_same(planned: PlannedFile, remote: RepoFile) -> bool:
    if planned.size != remote.size:
        return False
    if remote.lfs is not None:
        return planned.sha256() == remote.lfs.sha256
    content = planned.read()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == remote.blob_id


def _upload(
    api: HfApi, publication: Publication, stale: list[str], progress: _Progress, say: Say
) -> str:
    """Send the files one by one, commit them, then commit the card; returns the last commit."""
    where: dict[str, Any] = {
        "repo_id": publication.repo_id,
        "repo_type": publication.repo_type,
        "revision": publication.revision,
    }
    operations = [_add(file) for file in publication.manifest.without_card()]
    for file, operation in zip(publication.manifest.without_card(), operations, strict=True):
        # One at a time: what is finished is finished, whatever happens to the next.
        api.preupload_lfs_files(additions=[operation], **where)
        say(f"  done  {file.path} ({format_size(file.size)})")
    deletions = [CommitOperationDelete(path) for path in stale]
    files = api.create_commit(
        operations=[*operations, *deletions], commit_message="Upload files", **where
    )
    progress.reached(f"the files ({files.oid[:7]}), but not their card")
    card = api.create_commit(
        operations=[_add(publication.manifest.get(CARD))],
        commit_message="Upload card",
        parent_commit=files.oid,
        **where,
    )
    progress.reached(f"files and card ({card.oid[:7]})")
    return card.oid


def _add(file: PlannedFile) -> CommitOperationAdd:
    return CommitOperationAdd(path_in_repo=file.path, path_or_fileobj=file.source)


def _verify(publication: Publication, verify: Callable[[], None], commit: str, say: Say) -> None:
    say("Verifying as a stranger would: a fresh process with an empty cache.")
    try:
        verify()
    except (PublishError, WeightsError, OSError) as error:
        raise PublishError(
            f"The verification failed: {error}\n{publication.address} holds the files and the card "
            f"of commit {commit[:7]} all the same. The tag {publication.tag} is not set: nobody "
            "who asks for it gets them. If the network, the Hub or this machine is to blame, the "
            "same command verifies again and sends nothing twice; else mend the folder and publish "
            "again with --overwrite, or delete the repository."
        ) from error


def _set_tag(api: HfApi, publication: Publication, commit: str) -> None:
    where: dict[str, Any] = {"repo_id": publication.repo_id, "repo_type": publication.repo_type}
    # A run that came this far before has set it, on the same files.
    api.create_tag(tag=publication.tag, revision=commit, exist_ok=True, **where)


@contextmanager
def _explained(progress: _Progress, endpoint: str) -> Iterator[None]:
    """Turn what the client raises into a message: what failed, what is there now, what to do."""
    try:
        yield
    except PublishError:
        raise
    except Exception as error:
        if not _is_foreseen(error):
            raise
        reason = explain(error, endpoint)
        raise PublishError(f"{reason}\n{progress.state} {RESUME}") from error


def _is_foreseen(error: Exception) -> bool:
    """Whether the Hub, the network or the disk is to blame, and not this program."""
    return isinstance(error, OSError | RuntimeError | ValueError) or _is(error, "HTTPError")


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
    said = error.server_message or _one_line(error)
    if isinstance(error, RepositoryNotFoundError) and status == 404:
        return f"The Hub knows no such repository ({said})."
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
    return f"{remedy} (The Hub's words: {said})"


def _is(error: BaseException, *names: str) -> bool:
    """By its classes' names: which httpx the Hub's client is built on changes with its version."""
    return any(kind.__name__ in names for kind in type(error).__mro__)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


__all__ = ["Publication", "explain", "publish"]
