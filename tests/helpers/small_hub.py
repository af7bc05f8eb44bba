"""A small Hugging Face Hub for tests: the protocol of `huggingface_hub`'s client, and faults.

Written from the client's source (huggingface_hub 2.4: `hf_api.py`, `_commit_api.py`, `lfs.py`,
`file_download.py`). It knows models, data sets and Spaces; creating, preupload, LFS upload without
Xet, commits, listing, `resolve` with ETag and ranges, branches, tags, private repositories.

    with serve_hub(folder) as hub:
        api = HfApi(endpoint=hub.url, token=hub.token)

`hub.fault(...)` makes the next matching requests fail; `hub.requests` is what was asked, in order.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import yaml
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from helpers.loopback import serve

TOKEN = "hub-token-of-the-tests"
PREFIXES = {"model": "", "dataset": "datasets/", "space": "spaces/"}
# What the Hub keeps in LFS; everything else up to 10 MB is a plain file.
LFS_SUFFIXES = (".safetensors", ".parquet", ".bin", ".gguf", ".png")
DATE = "2026-01-01T00:00:00.000Z"


class HubError(Exception):
    """A refusal in the Hub's own form: status, X-Error-Code and X-Error-Message."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        self.status, self.message, self.code = status, message, code

    def response(self, commit: str | None = None) -> Response:
        headers = {"X-Error-Message": self.message}
        headers |= {"X-Error-Code": self.code} if self.code else {}
        headers |= {"X-Repo-Commit": commit} if commit else {}
        return JSONResponse({"error": self.message}, self.status, headers)


@dataclass(frozen=True)
class StoredFile:
    """One file of a commit; its bytes are in the hub's folder, by their SHA-256."""

    size: int
    sha256: str
    git_oid: str
    is_lfs: bool

    @property
    def etag(self) -> str:
        return self.sha256 if self.is_lfs else self.git_oid

    def entry(self, path: str) -> dict[str, Any]:
        entry = {"type": "file", "path": path, "size": self.size, "oid": self.git_oid}
        if self.is_lfs:
            entry["lfs"] = {"oid": self.sha256, "size": self.size, "pointerSize": 134}
        return entry


@dataclass
class Repository:
    kind: str
    name: str
    private: bool
    commits: dict[str, dict[str, StoredFile]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    history: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    host: str | None = None  # of a Space: the address where its page is open

    def commit(self, branch: str, files: dict[str, StoredFile], message: str) -> str:
        described = [self.branches.get(branch), message, sorted(files.items())]
        oid = hashlib.sha1(repr(described).encode()).hexdigest()
        self.commits[oid] = files
        self.branches[branch] = oid
        self.history.append(oid)
        self.messages.append(message)
        return oid

    def resolve(self, revision: str) -> str:
        """The commit of a branch, a tag or a commit's own id."""
        found = self.branches.get(revision) or self.tags.get(revision)
        found = found or (revision if revision in self.commits else None)
        if found is None:
            raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return found

    def files(self, revision: str = "main") -> dict[str, StoredFile]:
        return self.commits[self.resolve(revision)]


@dataclass
class Violation:
    """Requests of `method` to a path that holds `part` fail, `times` times, the first `after` not.

    `status` answers with an error; None closes the connection before there is an answer.
    """

    method: str
    part: str
    status: int | None
    message: str
    times: int
    headers: dict[str, str]
    after: int = 0

    def matches(self, request: Request) -> bool:
        if request.method != self.method or self.part not in str(request.url.path):
            return False
        self.after -= 1
        return self.after < 0 and self.times > 0


class SmallHub:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""
        self.token = TOKEN
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.faults: list[Violation] = []
        self.requests: list[str] = []
        self.uploaded: list[str] = []  # SHA-256 of each object that was sent whole
        (folder / "objects").mkdir(parents=True, exist_ok=True)

    def fault(
        self,
        method: str,
        part: str,
        status: int | None = None,
        message: str = "made up",
        *,
        times: int = 1_000_000,
        after: int = 0,
        headers: dict[str, str] | None = None,
    ) -> Violation:
        """Make requests fail from now on; `status` None cuts the connection."""
        fault = Violation(method, part, status, message, times, headers or {}, after)
        self.faults.append(fault)
        return fault

    def create(self, name: str, kind: str = "model", *, private: bool = False) -> Repository:
        """Make a repository, which begins with one file as the Hub's do."""
        found = self.repositories[kind, name] = Repository(kind, name, private)
        attributes = self.stored(b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n")
        found.commit("main", {".gitattributes": attributes}, "initial")
        return found

    def repository(self, name: str, kind: str = "model") -> Repository:
        return self.repositories[kind, name]

    def find(self, kind: str, name: str, request: Request, *, writing: bool = False) -> Repository:
        """A repository as the request may see it; what is private is not there for strangers."""
        known = self.authorise(request, needed=writing)
        found = self.repositories.get((kind, name))
        if found is None or (found.private and not known):
            status = 404 if known else 401
            raise HubError(status, "Repository not found", "RepoNotFound")
        return found

    def authorise(self, request: Request, *, needed: bool) -> bool:
        given = request.headers.get("authorization")
        if given and given != f"Bearer {self.token}":
            raise HubError(401, "Invalid credentials in Authorization header")
        if needed and not given:
            raise HubError(401, "Invalid username or password.")
        return given is not None

    def read(self, sha256: str) -> bytes:
        return (self.folder / "objects" / sha256).read_bytes()

    def store(self, content: bytes) -> str:
        sha256 = hashlib.sha256(content).hexdigest()
        (self.folder / "objects" / sha256).write_bytes(content)
        return sha256

    def holds(self, sha256: str) -> bool:
        return (self.folder / "objects" / sha256).is_file()

    def tamper(self, name: str, path: str, kind: str = "model") -> None:
        """Change the last byte of a stored file, which keeps its name, size and ETag."""
        sha256 = self.repository(name, kind).files()[path].sha256
        content = bytearray(self.read(sha256))
        content[-1] ^= 1
        (self.folder / "objects" / sha256).write_bytes(bytes(content))

    def stored(self, content: bytes) -> StoredFile:
        header = b"blob %d\0" % len(content)
        return StoredFile(
            len(content), self.store(content), hashlib.sha1(header + content).hexdigest(), False
        )

    def stored_lfs(self, sha256: str) -> StoredFile:
        if not self.holds(sha256):
            raise HubError(400, f"LFS object {sha256} was not uploaded")
        pointer = hashlib.sha1(sha256.encode()).hexdigest()
        size = (self.folder / "objects" / sha256).stat().st_size
        return StoredFile(size, sha256, pointer, True)


@contextmanager
def serve_hub(folder: Path) -> Iterator[SmallHub]:
    """A hub on loopback, for as long as the block lasts."""
    hub = SmallHub(folder)
    with serve(FaultyApp(make_app(hub), hub)) as url:
        hub.url = url
        yield hub


class FaultyApp:
    """Lets faults happen before the hub sees the request."""

    def __init__(self, app: FastAPI, hub: SmallHub) -> None:
        self.app, self.hub = app, hub

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        self.hub.requests.append(f"{request.method} {request.url.path}")
        fault = next((fault for fault in self.hub.faults if fault.matches(request)), None)
        if fault is None:
            await self.app(scope, receive, send)
            return
        fault.times -= 1
        if fault.status is None:
            # A response that ends before its announced length: the connection is closed.
            await receive()
            length = [(b"content-length", b"100")]
            await send({"type": "http.response.start", "status": 200, "headers": length})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        headers = {"X-Error-Message": fault.message} | fault.headers
        answer = JSONResponse({"error": fault.message}, fault.status, headers)
        await answer(scope, receive, send)


def make_app(hub: SmallHub) -> FastAPI:
    app = FastAPI()

    @app.exception_handler(HubError)
    async def reject(_: Request, error: HubError) -> Response:
        return error.response()

    @app.get("/api/whoami-v2")
    async def whoami(request: Request) -> Any:
        hub.authorise(request, needed=True)
        return {"type": "user", "name": "tester", "orgs": [{"name": "laboratory"}]}

    @app.post("/api/validate-yaml")
    async def validate_yaml(request: Request) -> Any:
        return check_front_matter((await request.json())["content"])

    @app.post("/api/repos/create")
    async def create(request: Request) -> Any:
        hub.authorise(request, needed=True)
        return create_repository(hub, await request.json())

    @app.put("/lfs/{sha256}")
    async def put(sha256: str, request: Request) -> Any:
        content = await request.body()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise HubError(400, "The content is not what was announced")
        hub.uploaded.append(hub.store(content))
        return {}

    _add_repository_routes(app, hub)
    _add_git_routes(app, hub)
    return app


def _add_repository_routes(app: FastAPI, hub: SmallHub) -> None:
    root = "/api/{kind}s/{org}/{name}"

    @app.get(root)
    @app.get(root + "/revision/{revision:path}")
    async def info(kind: str, org: str, name: str, request: Request, revision: str = "main") -> Any:
        return describe(hub.find(kind, f"{org}/{name}", request), revision)

    @app.get(root + "/refs")
    async def refs(kind: str, org: str, name: str, request: Request) -> Any:
        found = hub.find(kind, f"{org}/{name}", request)
        return {
            "branches": [_ref(*item, "heads") for item in found.branches.items()],
            "tags": [_ref(*item, "tags") for item in found.tags.items()],
            "converts": [],
        }

    @app.get(root + "/tree/{revision}")
    @app.get(root + "/tree/{revision}/{path:path}")
    async def tree(
        kind: str, org: str, name: str, revision: str, request: Request, path: str = ""
    ) -> Any:
        found = hub.find(kind, f"{org}/{name}", request)
        recursive = request.query_params.get("recursive", "").lower() == "true"
        return list_tree(found.files(revision), path, recursive)

    @app.post(root + "/paths-info/{revision}")
    async def paths_info(kind: str, org: str, name: str, revision: str, request: Request) -> Any:
        found = hub.find(kind, f"{org}/{name}", request)
        body = (await request.body()).decode()
        paths = [value for key, value in parse_qsl(body) if key == "paths"]
        files = found.files(revision)
        return [entry for path in paths for entry in _path_entries(files, path)]

    @app.post(root + "/preupload/{revision}")
    async def preupload(kind: str, org: str, name: str, revision: str, request: Request) -> Any:
        found = hub.find(kind, f"{org}/{name}", request, writing=True)
        files = found.files(revision)
        asked = (await request.json())["files"]
        return {"files": [_upload_mode(file["path"], files) for file in asked]}

    @app.post(root + "/commit/{revision}")
    async def commit(kind: str, org: str, name: str, revision: str, request: Request) -> Any:
        found = hub.find(kind, f"{org}/{name}", request, writing=True)
        lines = [json.loads(line) for line in (await request.body()).splitlines()]
        oid = apply_commit(hub, found, revision, lines)
        return {
            "success": True,
            "commitOid": oid,
            "commitUrl": f"{hub.url}/{PREFIXES[kind]}{org}/{name}/commit/{oid}",
        }

    @app.post(root + "/tag/{revision}")
    async def tag(kind: str, org: str, name: str, revision: str, request: Request) -> Any:
        found = hub.find(kind, f"{org}/{name}", request, writing=True)
        wanted = (await request.json())["tag"]
        if wanted in found.tags:
            raise HubError(409, f"Tag reference exists already: {wanted}")
        found.tags[wanted] = found.resolve(revision)
        return {}

    @app.get("/api/spaces/{org}/{name}/runtime")
    async def runtime(org: str, name: str, request: Request) -> Any:
        found = hub.find("space", f"{org}/{name}", request)
        stage = "RUNNING" if found.host else "STOPPED"
        return {"stage": stage, "hardware": {"current": "cpu-basic", "requested": "cpu-basic"}}

    @app.post("/api/spaces/{org}/{name}/variables")
    async def variable(org: str, name: str, request: Request) -> Any:
        found = hub.find("space", f"{org}/{name}", request, writing=True)
        given = await request.json()
        found.variables[given["key"]] = given["value"]
        return {name: {"value": value} for name, value in found.variables.items()}

    @app.post(root + "/branch/{branch}")
    async def branch(kind: str, org: str, name: str, branch: str, request: Request) -> Any:
        found = hub.find(kind, f"{org}/{name}", request, writing=True)
        if branch in found.branches:
            raise HubError(409, f"Reference already exists: {branch}")
        start = (await request.json() if await request.body() else {}).get("startingPoint", "main")
        found.branches[branch] = found.resolve(start)
        return {}


def _add_git_routes(app: FastAPI, hub: SmallHub) -> None:
    for kind, prefix in PREFIXES.items():
        _add_git_routes_of(app, hub, kind, "/" + prefix + "{org}/{name}")


def _add_git_routes_of(app: FastAPI, hub: SmallHub, kind: str, root: str) -> None:
    @app.post(root + ".git/info/lfs/objects/batch")
    async def batch(org: str, name: str, request: Request) -> Any:
        hub.find(kind, f"{org}/{name}", request, writing=True)
        wanted = (await request.json())["objects"]
        return {"transfer": "basic", "objects": [_lfs_action(hub, item) for item in wanted]}

    @app.api_route(root + "/resolve/{revision}/{path:path}", methods=["GET", "HEAD"])
    async def resolve(org: str, name: str, revision: str, path: str, request: Request) -> Response:
        found = hub.find(kind, f"{org}/{name}", request)
        oid = found.resolve(revision)
        file = found.commits[oid].get(path)
        if file is None:
            return HubError(404, f"{path} does not exist", "EntryNotFound").response(oid)
        return send_file(file, hub.read(file.sha256), oid, request)


def create_repository(hub: SmallHub, asked: dict[str, Any]) -> Any:
    kind, name = asked.get("type", "model"), f"{asked['organization']}/{asked['name']}"
    url = f"{hub.url}/{PREFIXES[kind]}{name}"
    if (kind, name) in hub.repositories:
        return JSONResponse({"error": "You already created this repo", "url": url}, 409)
    hub.create(name, kind, private=asked.get("visibility") == "private")
    return {"url": url, "name": name, "id": name}


def describe(found: Repository, revision: str) -> dict[str, Any]:
    oid = found.resolve(revision)
    return {
        "_id": "0",
        "id": found.name,
        "sha": oid,
        "private": found.private,
        "gated": False,
        "disabled": False,
        "tags": [],
        "downloads": 0,
        "likes": 0,
        "lastModified": DATE,
        "createdAt": DATE,
        "siblings": [{"rfilename": path} for path in found.commits[oid]],
    } | ({"host": found.host} if found.host else {})


def apply_commit(hub: SmallHub, found: Repository, branch: str, lines: list[dict[str, Any]]) -> str:
    """Make a commit of the client's ndjson: all of it, or nothing."""
    if branch not in found.branches:
        raise HubError(404, f"Invalid rev id: {branch}", "RevisionNotFound")
    files = dict(found.files(branch))
    header = lines[0]["value"]
    parent = header.get("parentCommit")
    if parent and parent != found.branches[branch]:
        raise HubError(412, "A commit has happened since. Please refresh and try again.")
    for line in lines[1:]:
        value = line["value"]
        if line["key"] == "file":
            files[value["path"]] = hub.stored(base64.b64decode(value["content"]))
        elif line["key"] == "lfsFile":
            files[value["path"]] = hub.stored_lfs(value["oid"])
        elif line["key"] == "deletedFile":
            del files[value["path"]]
        else:
            raise HubError(400, f"Unknown operation {line['key']}")
    return found.commit(branch, files, header["summary"])


def list_tree(files: dict[str, StoredFile], path: str, recursive: bool) -> list[dict[str, Any]]:
    prefix = path.rstrip("/") + "/" if path else ""
    if path and not any(name.startswith(prefix) for name in files):
        raise HubError(404, f"{path} does not exist", "EntryNotFound")
    inside = {name: file for name, file in files.items() if name.startswith(prefix)}
    folders = {
        prefix + "/".join(parts[:depth])
        for name in inside
        for parts in [name.removeprefix(prefix).split("/")]
        for depth in range(1, len(parts) if recursive else min(2, len(parts)))
    }
    listed = {
        name: file
        for name, file in inside.items()
        if recursive or "/" not in name.removeprefix(prefix)
    }
    return [_folder_entry(name) for name in sorted(folders)] + [
        file.entry(name) for name, file in sorted(listed.items())
    ]


def send_file(file: StoredFile, content: bytes, oid: str, request: Request) -> Response:
    headers = {"X-Repo-Commit": oid, "ETag": f'"{file.etag}"', "Accept-Ranges": "bytes"}
    if file.is_lfs:
        headers |= {"X-Linked-Etag": f'"{file.etag}"', "X-Linked-Size": str(file.size)}
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
    if request.method == "HEAD":
        return Response(headers=headers | {"Content-Length": str(file.size)})
    if not asked:
        return Response(content, headers=headers, media_type="application/octet-stream")
    start, end = int(asked[1]), min(int(asked[2] or file.size - 1), file.size - 1)
    if start >= file.size:
        raise HubError(416, "Requested range not satisfiable")
    headers["Content-Range"] = f"bytes {start}-{end}/{file.size}"
    return Response(content[start : end + 1], 206, headers, "application/octet-stream")


def check_front_matter(content: str) -> Any:
    match = re.match(r"---\n(.*?)\n---\n", content, re.DOTALL)
    warning = {"message": "empty or missing yaml metadata in repo card"}
    if not match:
        return {"warnings": [warning], "errors": []}
    try:
        data = yaml.safe_load(match[1])
    except yaml.YAMLError as error:
        return JSONResponse({"warnings": [], "errors": [{"message": str(error)}]}, 400)
    if data.get("license") == "":
        return JSONResponse({"errors": [{"message": '"license" must not be empty'}]}, 400)
    return {"warnings": [], "errors": []}


def _lfs_action(hub: SmallHub, item: dict[str, Any]) -> dict[str, Any]:
    if hub.holds(item["oid"]):
        return {"oid": item["oid"], "size": item["size"]}
    upload = {"href": f"{hub.url}/lfs/{item['oid']}", "header": {}}
    return {"oid": item["oid"], "size": item["size"], "actions": {"upload": upload}}


def _upload_mode(path: str, files: dict[str, StoredFile]) -> dict[str, Any]:
    mode = "lfs" if path.endswith(LFS_SUFFIXES) else "regular"
    answer = {"path": path, "uploadMode": mode, "shouldIgnore": False}
    return answer | ({"oid": files[path].etag} if path in files else {})


def _path_entries(files: dict[str, StoredFile], path: str) -> list[dict[str, Any]]:
    if path in files:
        return [files[path].entry(path)]
    inside = any(name.startswith(path.rstrip("/") + "/") for name in files)
    return [_folder_entry(path.rstrip("/"))] if inside else []


def _folder_entry(path: str) -> dict[str, Any]:
    return {"type": "directory", "path": path, "oid": hashlib.sha1(path.encode()).hexdigest()}


def _ref(name: str, oid: str, kind: str) -> dict[str, str]:
    return {"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": oid}
