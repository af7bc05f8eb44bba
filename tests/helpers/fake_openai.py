"""A service in the shapes of OpenAI's API, with its faults to switch on.

Shapes: https://platform.openai.com/docs/api-reference (chat, files, batches), as the types of the
`openai` package have them.
"""

import email
import hashlib
import json
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, StreamingResponse
from helpers.loopback import serve

KEY = "sk-test"
MODEL = "gpt-4o-mini"
Body = Mapping[str, Any]
# What a fault makes of an answer: text, finish reason, refusal.
BAD_ANSWERS = {
    "invalid": ("It is a microRNA.", "stop", None),
    "wrong schema": ('{"something": "else"}', "stop", None),
    "whitespace": ('{"claims": [' + "\n" * 500, "length", None),
    "length": ('{"claims": [{"text": "It is', "length", None),
    "refusal": (None, "stop", "I cannot help with that."),
    "filter": ("", "content_filter", None),
    "empty": ("", "length", None),
    "thoughts alone": ("<think>\nThe user wants", "length", None),
    "prose cut": ("Okay, let me read these abstracts first.", "length", None),
    "deep": ('{"claims": ' + "[" * 100_000 + "]" * 100_000 + "}", "stop", None),
    "half a character": ('{"claims": [{"text": "\ud83d", "paper": 1}]}', "stop", None),
    "half, escaped": ('{"claims": [{"text": "\\ud83d", "paper": 1}]}', "stop", None),
}
# What some services and models put around an answer.
WRAPPINGS: dict[str, Callable[[str], Any]] = {
    "parts": lambda text: [{"type": "text", "text": part} for part in (text[:9], text[9:])],
    "thought parts": lambda text: [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Well {"}]},
        {"type": "text", "text": text},
    ],
    "fence": lambda text: f"```json\n{text}\n```",
    "fence and words": lambda text: f"Here is the JSON:\n\n```\n{text}\n```\nAnything else?",
    "think": lambda text: f"<think>\nThey want {{claims}}.\n</think>\n\n{text}",
    "end of think": lambda text: f"They want claims.\n</think>\n```json\n{text}\n```",
    "object": json.loads,
    "number": lambda text: 7,
    "image parts": lambda text: [{"type": "image_url", "image_url": {"url": "data:,"}}],
}
# How services say that they do not take a field, by the kind of service.
REFUSALS: dict[str, Callable[[str], tuple[int, Any]]] = {
    "openai": lambda name: (400, _unsupported(name)),
    "gateway": lambda name: (400, {"error": {"message": f"Unrecognized request argument: {name}"}}),
    "pydantic": lambda name: (
        422,
        {
            "detail": [
                {
                    "type": "extra_forbidden",
                    "loc": ["body", name],
                    "msg": "Extra inputs are not permitted",
                }
            ]
        },
    ),
}


def _unsupported(name: str) -> Any:
    """OpenAI's and Azure's words for their models that think."""
    said, code = f"Unsupported parameter: '{name}' is not supported with this model.", "parameter"
    if name == "max_tokens":
        said += " Use 'max_completion_tokens' instead."
    if name == "temperature":
        said = (
            "Unsupported value: 'temperature' does not support 0.0 with this model. Only the "
            "default (1) value is supported."
        )
        code = "value"
    problem = {"message": said, "type": "invalid_request_error", "param": name}
    return {"error": {**problem, "code": f"unsupported_{code}"}}


def fill(schema: Body, seed: str) -> Any:
    """A value of a JSON schema, the same for the same seed."""
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            return {name: fill(part, seed + name) for name, part in schema["properties"].items()}
        case "array":
            return [fill(schema["items"], seed + "0")]
        case "integer" | "number":
            return 1
        case "boolean":
            return True
    return hashlib.sha256(seed.encode()).hexdigest()[:8]


def answer_by_schema(body: Body) -> Any:
    """An answer of the request's schema that depends on the user's message."""
    form = body.get("response_format", {})
    if "json_schema" in form:
        schema = form["json_schema"]["schema"]
    elif "schema" in form:
        schema = form["schema"]
    else:  # then the prompt has to say it
        schema = json.loads(body["messages"][0]["content"].splitlines()[-1])
    return fill(schema, body["messages"][-1]["content"])


class KeyCheck:
    """Answers who has no key. (FastAPI's own middleware would end cut answers neatly.)"""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            if headers.get(b"authorization", b"").decode() != f"Bearer {KEY}":
                refusal = error(401, "Incorrect API key provided", "invalid_api_key")
                await refusal(scope, receive, send)
                return
        await self.app(scope, receive, send)


class FakeOpenAi:
    """The service; `address` is set while it is served.

    `answer` makes an answer from the request's body, its text or what is sent as JSON;
    ``faults`` are those of the next requests, one each ("" for none): "429", "429 after 0.2",
    "500", "html", "html 200", "cut", "slow", "truncated", "context", "quota", "402", "region",
    "451", "error" (within a completion), "error 200" (in its place), "odd usage", "deep envelope",
    or one of BAD_ANSWERS or WRAPPINGS; ``fault_of`` gives one by the body. Fields that the service
    rejects are in ``rejects``, the
    words for it are those of ``refusal`` in REFUSALS. `completed` counts the answers that were sent
    by the request's name in the cache (header X-Client-Request-Id), `received` all requests.

    Batches take one look (`GET /batches/…`) a status; ``batch_ends`` are the ends of the next
    batches: "completed", "expired" (a half answered), "half failed", "errors only", "failed",
    "too many tokens". ``lose_batches`` creations are answered with a cut connection.
    """

    def __init__(self, answer: Callable[[Body], Any] = answer_by_schema) -> None:
        self.address = ""
        self.models = [MODEL]
        self.answer = answer
        self.delay = 0.0  # seconds an answer takes
        self.faults: deque[str] = deque()
        self.fault_of: Callable[[Body], str] = lambda body: ""
        self.rejects: set[str] = set()
        self.refusal = "openai"
        self.received: Counter[str] = Counter()
        self.completed: Counter[str] = Counter()
        self.starts: list[float] = []  # of requests, in seconds
        self.batch_ends: deque[str] = deque()
        self.lose_batches = 0
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.billed = Counter(tokens_in=0, tokens_out=0)
        self.app = self._make_app()
        self._lock = threading.Lock()

    @property
    def base_url(self) -> str:
        return f"{self.address}/v1"

    def _make_app(self) -> FastAPI:
        app = FastAPI()
        app.post("/v1/chat/completions")(self._chat)
        app.get("/v1/models")(self._list_models)
        app.post("/v1/files")(self._upload)
        app.get("/v1/files/{name}/content")(self._download)
        app.post("/v1/batches")(self._create_batch)
        app.get("/v1/batches")(self._list_batches)
        app.get("/v1/batches/{name}")(self._look_at_batch)
        app.add_middleware(KeyCheck)
        return app

    # Chat completions

    def _chat(self, request: Request, body: dict[str, Any]) -> Any:
        name = request.headers.get("X-Client-Request-Id", "")
        with self._lock:
            self.starts.append(time.monotonic())
            self.received[name] += 1
            fault = self.faults.popleft() if self.faults else self.fault_of(body)
        if self.delay:
            time.sleep(self.delay)
        if body["model"] != MODEL:
            said = f"The model `{body['model']}` does not exist or you do not have access to it."
            return error(404, said, "model_not_found")
        if response := self._refuse(body) or _fault(fault):
            return response
        with self._lock:
            completion = self._complete(body, fault)
            if fault != "truncated":
                self.completed[name] += 1
        text = json.dumps(completion)
        if fault == "deep envelope":
            text = "[" * 100_000 + text + "]" * 100_000
        if fault == "truncated":  # a gateway that gave up, and said so nowhere
            return PlainTextResponse(text[: len(text) // 2], media_type="application/json")
        return PlainTextResponse(text, media_type="application/json")

    def _refuse(self, body: Body) -> JSONResponse | None:
        """A refusal of the first field that the service does not take."""
        for name in body:
            if name in self.rejects:
                status, said = REFUSALS[self.refusal](name)
                return JSONResponse(said, status)
        form = body.get("response_format", {})
        if form.get("type") in self.rejects:  # as llama-cpp-python's server says it
            said = (
                "[{'type': 'literal_error', 'loc': ('body', 'response_format', 'type'), 'msg': "
                "\"Input should be 'text' or 'json_object'\"}]"
            )
            return error(500, said, None)
        if "maxLength" in self.rejects and "maxLength" in json.dumps(form):  # as OpenAI says it
            return error(
                400,
                "Invalid schema for response_format 'claims': In context=('properties', 'text'), "
                "'maxLength' is not permitted.",
                None,
            )
        return None

    def _complete(self, body: Body, fault: str = "") -> dict[str, Any]:
        text: str | None
        text, finish_reason, refusal = BAD_ANSWERS.get(fault, ("", "stop", None))
        if fault not in BAD_ANSWERS:
            answer = self.answer(body)
            text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
        usage = {
            "prompt_tokens": len(json.dumps(body)) // 4,
            "completion_tokens": min(
                -(-len(text or "") // 4), body.get("max_tokens") or body["max_completion_tokens"]
            ),
        }
        if fault in ("empty", "thoughts alone"):
            usage["completion_tokens"] = body.get("max_tokens") or body["max_completion_tokens"]
        content = WRAPPINGS[fault](text) if fault in WRAPPINGS else text  # type: ignore[arg-type]
        if fault == "error":
            finish_reason = "error"
        self.billed.update(tokens_in=usage["prompt_tokens"], tokens_out=usage["completion_tokens"])
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": content, "refusal": refusal},
                    "finish_reason": finish_reason,
                }
            ],
            "usage": "many"
            if fault == "odd usage"
            else {**usage, "total_tokens": sum(usage.values())},
        }

    def _list_models(self) -> dict[str, Any]:
        data = [{"id": name, "object": "model", "created": 0} for name in self.models]
        return {"object": "list", "data": data}

    # Files and batches

    async def _upload(self, request: Request) -> Any:
        head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
        form = email.message_from_bytes(head + await request.body())
        parts: Any = form.get_payload()
        content = next(part.get_payload(decode=True) for part in parts if part.get_filename())
        return self._keep(content, "batch")

    def _keep(self, content: bytes, purpose: str) -> dict[str, Any]:
        name = f"file-{len(self.files)}"
        self.files[name] = content
        return {
            "id": name,
            "object": "file",
            "bytes": len(content),
            "created_at": int(time.time()),
            "filename": f"{name}.jsonl",
            "purpose": purpose,
            "status": "processed",
        }

    def _download(self, name: str) -> Any:
        return PlainTextResponse(self.files[name], media_type="application/octet-stream")

    def _create_batch(self, body: dict[str, Any]) -> Any:
        name = f"batch_{len(self.batches)}"
        self.batches[name] = {
            "id": name,
            "object": "batch",
            "endpoint": body["endpoint"],
            "errors": None,
            "input_file_id": body["input_file_id"],
            "completion_window": body["completion_window"],
            "status": "validating",
            "output_file_id": None,
            "error_file_id": None,
            "created_at": int(time.time()),
            "metadata": body.get("metadata"),
        }
        if self.lose_batches:
            self.lose_batches -= 1
            return StreamingResponse(_cut(), media_type="application/json")
        return self.batches[name]

    def _list_batches(self, limit: int = 20, after: str | None = None) -> Any:
        newest_first = list(self.batches.values())[::-1]
        if after:
            names = [batch["id"] for batch in newest_first]
            newest_first = newest_first[names.index(after) + 1 :]
        data = newest_first[:limit]
        more = len(newest_first) > limit
        return {"object": "list", "data": data, "has_more": more}

    def _look_at_batch(self, name: str) -> Any:
        batch = self.batches.get(name)
        if batch is None:
            return error(404, f"No batch found with id '{name}'.", None)
        seen = dict(batch)
        with self._lock:
            if batch["status"] == "validating":
                batch["status"] = "in_progress"
            elif batch["status"] == "in_progress":
                end = self.batch_ends.popleft() if self.batch_ends else "completed"
                self._end_batch(batch, end)
        return seen

    def _end_batch(self, batch: dict[str, Any], end: str) -> None:
        if end in ("failed", "too many tokens"):
            code = "token_limit_exceeded" if end == "too many tokens" else "invalid_json_line"
            data = [{"code": code, "message": f"{end}, it says", "line": None, "param": None}]
            batch.update(status="failed", errors={"object": "list", "data": data})
            return
        lines = [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]
        half = {"expired": len(lines) // 2, "half failed": len(lines) // 2, "errors only": 0}
        answered = half.get(end, len(lines))
        outputs = [self._output(line) for line in lines[:answered]]
        problem = ("batch_expired", 0) if end == "expired" else ("server_error", 500)
        errors = [_failed_line(line, *problem) for line in lines[answered:]]
        batch["status"] = "expired" if end == "expired" else "completed"
        for field, rows in (("output_file_id", outputs), ("error_file_id", errors)):
            if rows:
                # The order of a batch's lines is not that of its requests.
                text = "\n".join(json.dumps(row) for row in rows[::-1]) + "\n"
                batch[field] = self._keep(text.encode(), "batch_output")["id"]

    def _output(self, line: dict[str, Any]) -> dict[str, Any]:
        fault = self.fault_of(line["body"])
        name = line["custom_id"]
        self.received[name] += 1
        if rejected := next((field for field in line["body"] if field in self.rejects), None):
            status, said = REFUSALS[self.refusal](rejected)
            response = {"status_code": status, "request_id": "r", "body": said}
            return {"id": "b", "custom_id": name, "response": response, "error": None}
        if fault == "context":
            body = {"error": {"code": "context_length_exceeded", "message": "too long"}}
            response = {"status_code": 400, "request_id": "r", "body": body}
        else:
            self.completed[name] += 1
            body = self._complete(line["body"], fault)
            response = {"status_code": 200, "request_id": "r", "body": body}
        return {"id": "b", "custom_id": name, "response": response, "error": None}


def _failed_line(line: Body, code: str, status: int) -> dict[str, Any]:
    problem = {"code": code, "message": f"{code}, it says"}
    failed = {"id": "b", "custom_id": line["custom_id"], "response": None, "error": None}
    if status:
        body = {"error": problem}
        return failed | {"response": {"status_code": status, "request_id": "r", "body": body}}
    return failed | {"error": problem}


def error(
    status: int, message: str, code: str | None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    problem = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return JSONResponse({"error": problem}, status, headers)


def _fault(fault: str) -> Any:
    """The response of a fault that is no answer."""
    page = "<html><body><h1>502 Bad Gateway</h1></body></html>"
    match fault.split():
        case ["429"]:
            return error(429, "Rate limit reached", "rate_limit_exceeded")
        case ["429", "after", seconds]:
            headers = {"Retry-After": seconds}
            return error(429, "Rate limit reached", "rate_limit_exceeded", headers)
        case ["500"]:
            return error(500, "The server had an error", None)
        case ["html"]:
            return HTMLResponse(page, 502)
        case ["html", "200"]:
            return HTMLResponse(page)
        case ["cut"]:
            return StreamingResponse(_cut(), media_type="application/json")
        case ["slow"]:
            time.sleep(1.5)
        case ["context"]:
            said = "This model's maximum context length is 128000 tokens."
            return error(400, said, "context_length_exceeded")
        case ["quota"]:
            return error(429, "You exceeded your current quota", "insufficient_quota")
        case ["402"]:
            return JSONResponse({"error": {"message": "Insufficient credits", "code": 402}}, 402)
        case ["region"]:
            said = "Country, region, or territory not supported"
            return error(403, said, "unsupported_country_region_territory")
        case ["451"]:
            return HTMLResponse("<html><body>Unavailable</body></html>", 451)
        case ["error", "200"]:
            problem = {"message": "Provider returned error", "code": 502}
            return JSONResponse({"error": problem})
    return None


def _cut() -> Iterator[bytes]:
    """The beginning of an answer; then the connection is gone."""
    yield b'{"id": "'
    raise ConnectionError("cut on purpose")


@contextmanager
def serve_openai(answer: Callable[[Body], Any] = answer_by_schema) -> Iterator[FakeOpenAi]:
    """Serve OpenAI's API on this machine."""
    fake = FakeOpenAi(answer)
    with serve(fake.app) as address:
        fake.address = address
        yield fake
