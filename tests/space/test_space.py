"""The Space as programs meet it: the public API it uses, its server and its endpoints."""

import ast
import json
from collections.abc import Iterator

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from helpers.space_parts import LIMITS, examples, packed
from helpers.tiny_models import make_rna
from helpers.tiny_space import (
    SPACE,
    answering,
    open_page,
    space_limits,
)
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

import rnagpt
from rnagpt import (
    RnaChat,
)
from rnagpt.serving.middleware import BodySizeLimit

pytestmark = pytest.mark.usefixtures("model_alone")


# What the Space takes from inside the package, since it is no part of the public API.
FROM_INSIDE = {
    "rnagpt.evidence.confidence.CONFIDENCE_MEANS",
    "rnagpt.evidence.confidence.confidence_in_words",
    "rnagpt.evidence.confidence.confidence_of_match",
    "rnagpt.evidence.confidence.confidence_word",
    "rnagpt.evidence.gathering.Evidence",
    "rnagpt.evidence.gathering.WHOLE",
    "rnagpt.evidence.gathering.address_of",
    "rnagpt.evidence.gathering.gather_evidence",
    "rnagpt.inference.abstention.is_abstention",
    "rnagpt.inference.cited.MAX_READ_LENGTH",
    "rnagpt.inference.cited.Plan",
    "rnagpt.inference.cited.name_rnas",
    "rnagpt.inference.generation.user_message",
    "rnagpt.inference.local_model.LocalModel",
    "rnagpt.reference.identity.Identity",
    "rnagpt.reference.identity.pairwise_identity",
    "rnagpt.reference.library.EVALUE",
    "rnagpt.reference.library.SearchStoppedError",
    "rnagpt.reference.formats.FORMATS",
    "rnagpt.sequences.fasta.unpacked",
    "rnagpt.sequences.genbank.begins_entry",
    "rnagpt.reference.structures.family_structure",
    "rnagpt.sequences.folding_process.FoldingStoppedError",
    "rnagpt.sequences.folding_process.PlacedStructure",
    "rnagpt.sequences.folding_process.fold_in_processes",
    "rnagpt.sequences.folding_process.folding_processes",
    "rnagpt.sequences.folding_process.never",
    "rnagpt.sequences.strands.reverse_complement",
    "rnagpt.sequences.structure.with_pseudoknots",
    "rnagpt.inference.allocator.use_one_arena",
    "rnagpt.serving.middleware.BodySizeLimit",
    "rnagpt.serving.rna_tools",
}


def test_it_uses_the_public_api():
    imports = {
        f"{node.module}.{name.name}"
        for file in SPACE.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "rnagpt"
        for name in node.names
    }
    public = {f"rnagpt.{name}" for name in rnagpt.__all__}
    assert "rnagpt.load_model" in imports
    assert imports - public == FROM_INSIDE


@pytest.fixture(scope="module")
def temporary(tmp_path_factory):
    """Where Gradio keeps files, if it keeps any."""
    folder = tmp_path_factory.mktemp("gradio")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        yield folder


@pytest.fixture(scope="module")
def address(loaded, temporary):
    with open_page(LIMITS) as address:
        yield address


def test_a_program_asks_in_three_lines(address, loaded):
    client = Client(address, verbose=False)
    rna = ">mine\n" + make_rna(40, 1)
    answer = client.predict(rna=rna, question="What is this RNA?", api_name="/answer")
    chat = RnaChat(*loaded)
    chat.add_rna(rna)
    assert answer["answer"] == "".join(chat.ask("What is this RNA?", max_new_tokens=12)).strip()
    assert (answer["name"], answer["length"]) == ("mine", 40)
    with pytest.raises(AppError, match="This looks like a protein"):
        client.predict(rna="MEFILPQW", question="What is this RNA?", api_name="/answer")
    with pytest.raises(AppError, match="one RNA at a time"):
        client.predict(rna=">a\nA\n>b\nA", question="What?", api_name="/answer")


def test_a_program_is_given_what_an_answer_rests_on(address, cited):
    (rna,) = examples(0)
    given = {"rna": f">{rna.name}\n{rna.sequence}", "question": "What is this RNA?"}
    answer = Client(address, verbose=False).predict(**given, api_name="/answer")
    assert "tRNA [1]" in answer["answer"]
    assert (answer["basis"], answer["about"]) == ("records", [rna.name])
    assert answer["evidence"][0]["id"] == "RF00005"
    assert answer["sentences"][0]["records"] == [1]


def test_the_api_shows_that_function_and_the_tools(address):
    api = httpx.get(f"{address}gradio_api/info").json()
    tools = {"/identify_rna", "/annotate_rna", "/ask_about_rna", "/explain_answer"}
    assert api["named_endpoints"].keys() == {"/answer", *tools}
    assert api["unnamed_endpoints"] == {}


def test_no_file_is_taken_and_none_is_given(address):
    url = f"{address}gradio_api/upload"
    assert httpx.post(url, files={"files": b">a\nACGU\n"}).status_code == 404
    for path in ("/etc/hostname", str(SPACE / "app.py")):
        answer = httpx.get(f"{address}gradio_api/file={path}")
        assert answer.status_code in (403, 404)


@pytest.mark.parametrize(
    "path",
    [
        "monitoring",
        "monitoring/summary",
        "gradio_api/deep_link?session_hash=a",
        "gradio_api/runs",
        "gradio_api/dev/reload",
        "gradio_api/vibe-code",
        "gradio_api/proxy=http://127.0.0.1/",
        "gradio_api/upload_progress?upload_id=a",
        "gradio_api/token",
        "docs",
        "openapi.json",
    ],
)
def test_gradios_own_doors_are_shut(address, path):
    assert httpx.get(f"{address}{path}").status_code == 404


@pytest.mark.parametrize("path", ["", "config", "gradio_api/info", "theme.css", "robots.txt"])
def test_what_page_and_programs_need_is_open(address, path):
    assert httpx.get(f"{address}{path}").status_code == 200
    assert httpx.get(f"{address}gradio_api/startup-events").status_code == 200


def test_curl_asks_in_two_steps(address):
    call = f"{address}gradio_api/call/answer"
    given = {"data": [make_rna(40, 1), "What is this RNA?"]}
    event = httpx.post(call, json=given).json()["event_id"]
    assert '"length": 40' in httpx.get(f"{call}/{event}", timeout=60).text


@pytest.mark.parametrize(
    ("rna", "question", "message"),
    [
        (None, "What?", "`rna` must be a text; got nothing"),
        ("", "What?", "There is no sequence yet"),
        (["ACGU"], "What?", "`rna` must be a text; got list"),
        ("ACGU", None, "The question must be a text; got nothing"),
        ("ACGU", "", "Write a question"),
        (">" + "n" * 4_000_000 + "\nACGU", "What?", "name has 4,000,000 letters; at most 200"),
        ("ACGU", "why" * 500, "The question has 1,500 letters; at most 1,000"),
    ],
    ids=["no rna", "empty rna", "rnas", "no question", "empty question", "long name", "long"],
)
def test_a_program_is_told_in_plain_words(address, rna, question, message):
    client = Client(address, verbose=False)
    with pytest.raises(AppError, match=message) as rejected:
        client.predict(rna=rna, question=question, api_name="/answer")
    assert len(str(rejected.value)) < 500


def test_a_fault_of_ours_is_told_to_a_program_without_its_cause(address, monkeypatch, caplog):
    def break_down(*_: object):
        raise OSError("no memory")

    monkeypatch.setattr(answering, "answer_each", break_down)
    with pytest.raises(AppError, match="Something went wrong on our side"):
        Client(address, verbose=False).predict("ACGU", "What?", api_name="/answer")
    assert "no memory" in caplog.text


def texts_in(value: object) -> Iterator[str]:
    """All strings within a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from texts_in(part)


class Visit:
    """A visitor who speaks to the page's server as a browser does."""

    def __init__(self, address: str, session: str) -> None:
        self.api, self.session, self.kept = f"{address}gradio_api/", session, ""
        self.config = httpx.get(f"{address}config").json()

    def act(self, part: str, event: str, *given: object, data: dict | None = None) -> list[dict]:
        """What the server sends when a visitor acts on a part of the page."""
        (part_id,) = [
            one["id"] for one in self.config["components"] if one["props"].get("elem_id") == part
        ]
        number = next(
            one["id"] for one in self.config["dependencies"] if [part_id, event] in one["targets"]
        )
        body = {"fn_index": number, "session_hash": self.session, "data": [self.kept, *given]}
        # A lone surrogate travels as an escape, as a browser writes it.
        sent = json.dumps(body | {"event_data": data})
        headers = {"content-type": "application/json"}
        joined = httpx.post(f"{self.api}queue/join", content=sent, headers=headers)
        assert joined.status_code == 200
        stream = httpx.get(f"{self.api}queue/data?session_hash={self.session}", timeout=60)
        lines = [line for line in stream.text.splitlines() if line.startswith("data:")]
        told = [json.loads(line.removeprefix("data:")) for line in lines]
        documents = [text for text in texts_in(told) if text.startswith('{\n  "model"')]
        self.kept = documents[-1] if documents else self.kept
        return told

    def add(self, text: str) -> str:
        return json.dumps(self.act("add", "click", text))

    def ask(self, question: str) -> str:
        return json.dumps(self.act("question", "submit", question, "named"))


@pytest.mark.parametrize(
    ("part", "event", "given", "data"),
    [
        ("question", "submit", ["what \ud800?", "named"], None),
        ("question", "submit", ["What?", "\ud800"], None),
        ("add", "click", [">a\ud800\nACGU"], None),
        ("add-records", "click", [["\ud800"]], None),
        (
            "upload",
            "upload",
            [],
            {"files": [{"name": "\udfff.fa", "size": 4, "content": "QUNHVQ=="}]},
        ),
        ("chat", "edit", [], {"index": 0, "value": "\ud800"}),
        ("cards", "select", [], {"value": "\ud800"}),
    ],
)
def test_half_a_character_does_not_break_the_event_stream(address, part, event, given, data):
    visit = Visit(address, f"half-{part}")
    visit.add(f">mine\n{make_rna(40, 1)}")
    told = visit.act(part, event, *given, data=data)
    assert [one["msg"] for one in told][-1] == "close_stream"
    assert "unexpected_error" not in {one["msg"] for one in told}
    if part in ("question", "add", "upload"):  # of a question, or of the RNA that it is about
        assert "holds half a character" in json.dumps(told)


@pytest.mark.parametrize("part", ["add", "upload"])
def test_a_name_of_four_megabytes_does_not_come_back(address, part):
    record = b">" + b"n" * 4_000_000 + b"\nACGU"
    visit = Visit(address, f"named-{part}")
    if part == "add":
        told = visit.add(record.decode())
    else:
        file = {"name": "a.fa", "size": len(record), "content": packed(record)}
        told = json.dumps(visit.act("upload", "upload", data={"files": [file]}))
    assert "has 4,000,000 letters; at most 200 are taken" in told
    assert len(told) < 50_000


def test_no_number_of_throw_away_visitors_costs_a_conversation(loaded, tmp_path):
    """The one who came first is forgotten, and taken up again from what his page holds."""
    few = space_limits.Limits(max_new_tokens=12, max_conversations=3)
    with open_page(few) as address:
        first = Visit(address, "first")
        rna = make_rna(40, 1)
        first.add(f">mine\n{rna}")
        first.ask("What is this RNA?")
        assert [rna["name"] for rna in json.loads(first.kept)["rnas"]] == ["mine"]
        for number in range(5):
            Visit(address, f"throw-away-{number}").add(f">other\n{rna}")
        first.ask("Where is it found?")
        questions = [turn["question"] for turn in json.loads(first.kept)["turns"]]
    assert questions == ["What is this RNA?", "Where is it found?"]


def test_nothing_is_left_on_the_disk(address, temporary):
    Client(address, verbose=False).predict(
        rna=make_rna(40, 1), question="What is this RNA?", api_name="/answer"
    )
    httpx.post(f"{address}gradio_api/upload", files={"files": b">a\nACGU\n" * 10_000})
    assert [path for path in temporary.rglob("*") if path.is_file()] == []


def test_a_request_that_is_too_large_is_rejected_unread():
    page = BodySizeLimit(PlainTextResponse("read"), max_bytes=10)
    client = TestClient(page)
    assert client.post("/", content=b"a" * 10).text == "read"
    assert client.post("/", content=b"a" * 11).status_code == 413
    assert client.post("/", content=iter([b"a"])).status_code == 411
    assert client.get("/").text == "read"
