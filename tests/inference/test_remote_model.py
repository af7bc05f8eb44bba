"""Answers by a language model behind an address: what it is sent, its faults, its words checked."""

import json
import threading
import time

import pytest
from helpers.fake_openai import KEY, MODEL, serve_openai
from helpers.fresh_process import run_fresh
from helpers.paths import FIVE_RNAS
from helpers.tiny_models import make_rna
from helpers.tiny_server import NAME, make_parts, serve_tiny

from rnagpt import read_fasta
from rnagpt.inference.batch import answer_questions
from rnagpt.inference.chat import RnaChat
from rnagpt.inference.remote_model import ATTEMPTS, RemoteModel, RemoteModelError
from rnagpt.reference.library import Reference

TRNA, RRNA = [record.sequence for record in read_fasta(FIVE_RNAS)][:2]
RIGHT = "It is a tRNA. Their secondary structure includes four short double-helical elements."
CITED = (
    "It is a tRNA [1]. Their secondary structure includes four short double-helical elements [1]."
)
FROM_RECORDS = "It belongs to the tRNA family (tRNA) [1]."
FAMILY, DESCRIBE = "Which family is this?", "Describe this RNA."


@pytest.fixture(scope="module")
def reference():
    return Reference.open()


@pytest.fixture
def service():
    """Its `bodies` are those of the requests it answered, its `says` what it answers."""
    bodies = []

    def answer(body):
        bodies.append(body)
        return fake.says

    with serve_openai(answer) as fake:
        fake.says = RIGHT
        fake.bodies = bodies
        yield fake


def make(service, name=MODEL, **options):
    return RemoteModel(service.base_url, name, KEY, **{"sleep": lambda seconds: None, **options})


def ask(chat, question, **options):
    return "".join(chat.ask(question, **options))


def chat_with(service, reference, *rnas, **options):
    chat = RnaChat(make(service, **options), reference=reference)
    for rna in rnas:
        chat.add_rna(rna)
    return chat


def test_it_is_sent_the_records_and_the_last_turns_about_the_rna(service, reference):
    chat = chat_with(service, reference, f">alpha\n{TRNA}", f">beta\n{RRNA}")
    assert ask(chat, "Describe alpha.", max_new_tokens=77) == CITED
    assert (chat.answer.basis, chat.answer.about) == ("records", ("alpha",))
    ask(chat, "What type is alpha?")
    ask(chat, "Describe beta.")
    first, second, third = service.bodies
    assert first["max_tokens"] == 77
    assert first["temperature"] == 0
    assert [message["role"] for message in first["messages"]] == ["system", "user"]
    assert "Cite the record" in first["messages"][0]["content"]
    evidence, question = first["messages"][1]["content"].rsplit("\n\n", 1)
    assert evidence == chat.evidence[0].to_prompt()
    assert question == "Describe alpha."
    assert TRNA not in json.dumps(first)
    assert second["messages"][1:3] == [
        {"role": "user", "content": "Describe alpha."},
        {"role": "assistant", "content": CITED},
    ]
    assert len(third["messages"]) == 2
    assert "RF00001" in third["messages"][1]["content"]


@pytest.mark.parametrize(
    "said",
    [
        "It is the FMN riboswitch (RF00050) [1].",
        "This RNA regulates p53 in the human liver [1].",
        "",
        "Yes.",
    ],
)
def test_words_that_no_record_supports_are_replaced(service, reference, said):
    service.says = said
    chat = chat_with(service, reference, TRNA)
    assert ask(chat, FAMILY) == FROM_RECORDS


def test_without_records_nothing_is_sent(service, reference):
    chat = chat_with(service, reference, make_rna(80, 1))
    assert ask(chat, "What is this RNA?") == "No record of Rfam 14.2 matches this RNA."
    assert ask(chat, "How long is it?") == "It is 80 nucleotides long."
    assert ask(chat, "What if it is mutated?").startswith("That cannot be read")
    assert service.bodies == []


@pytest.mark.parametrize(
    "fault", ["429", "429 after 0", "500", "html", "html 200", "cut", "truncated", "error 200"]
)
def test_faults_that_pass_are_tried_again(service, reference, fault):
    service.faults.extend([fault] * (ATTEMPTS - 1))
    waits = []
    chat = chat_with(service, reference, TRNA, sleep=waits.append)
    assert ask(chat, DESCRIBE) == CITED
    assert len(waits) == ATTEMPTS - 1
    assert all(0 <= wait <= 60 for wait in waits)
    assert waits[0] < waits[-1] or "after" in fault


def test_faults_that_do_not_pass_are_reported(service, reference):
    service.fault_of = lambda body: "500"
    chat = chat_with(service, reference, TRNA)
    with pytest.raises(RemoteModelError, match=r"127\.0\.0\.1.*status 500.*tried 5 times"):
        ask(chat, DESCRIBE)
    assert chat.messages == []
    service.fault_of = lambda body: ""
    assert ask(chat, DESCRIBE) == CITED


@pytest.mark.parametrize(
    ("options", "fault", "message"),
    [
        ({"name": "gpt-17"}, "", "status 404 .*gpt-17"),
        ({}, "quota", "exceeded your current quota"),
        ({}, "402", "Insufficient credits"),
        ({}, "region", "does not accept the API key|not supported"),
    ],
)
def test_rejections_are_reported_at_once(service, reference, options, fault, message):
    service.faults.append(fault)
    chat = chat_with(service, reference, TRNA, **options)
    with pytest.raises(RemoteModelError, match=message):
        ask(chat, DESCRIBE)
    assert sum(service.received.values()) == 1


def test_a_prompt_beyond_its_context_is_answered_by_the_records(service, reference, caplog):
    service.faults.append("context")
    chat = chat_with(service, reference, TRNA)
    said = ask(chat, DESCRIBE)
    assert said != CITED
    assert "[1]" in said
    (warning,) = caplog.records
    assert "maximum context length" in warning.getMessage()
    assert "The records' own words stand in" in warning.getMessage()
    assert ask(chat, DESCRIBE) == CITED


def test_a_wrong_key(service, reference):
    model = RemoteModel(service.base_url, MODEL, "sk-wrong")
    with pytest.raises(RemoteModelError, match="set RNAGPT_API_KEY or OPENAI_API_KEY"):
        list(answer_questions(model, None, [TRNA], [DESCRIBE], reference=reference))


@pytest.mark.parametrize("refusal", ["openai", "gateway"])
def test_fields_that_it_does_not_take_are_left_out(service, reference, refusal):
    service.rejects, service.refusal = {"temperature", "max_tokens"}, refusal
    chat = chat_with(service, reference, TRNA)
    assert ask(chat, DESCRIBE) == CITED
    assert sorted(service.bodies[-1]) == ["max_completion_tokens", "messages", "model"]


@pytest.mark.parametrize(
    "wrapping", ["parts", "thought parts", "think-free", "number", "odd usage"]
)
def test_shapes_of_answers(service, reference, wrapping):
    service.faults.append(wrapping)
    if wrapping == "think-free":
        service.faults.clear()
        service.says = f"<think>\nIt is RF00050, or is it?\n</think>\n{RIGHT}"
    chat = chat_with(service, reference, TRNA)
    expected = CITED if wrapping != "number" else chat_of_records(reference)
    assert ask(chat, DESCRIBE) == expected


def chat_of_records(reference):
    from helpers.scripted_model import ScriptedModel

    chat = RnaChat(ScriptedModel(lambda request: "", reads_evidence=False), reference=reference)
    chat.add_rna(TRNA)
    return ask(chat, DESCRIBE)


def test_an_answer_that_is_awaited_can_be_stopped(service, reference):
    service.delay = 20.0
    chat = chat_with(service, reference, TRNA)
    chat.search()
    pieces = chat.ask(DESCRIBE)
    timer = threading.Timer(0.3, chat.stop)
    timer.start()
    begun = time.monotonic()
    assert list(pieces) == []
    assert time.monotonic() - begun < 5
    assert chat.messages == []
    service.delay = 0.0
    assert ask(chat, DESCRIBE) == CITED


def test_the_only_model_need_not_be_named(service):
    assert make(service, None).name == MODEL
    service.models = ["a", "b"]
    with pytest.raises(ValueError, match=r"has 2 models \(a, b\): name the one"):
        make(service, None)
    service.models = []
    with pytest.raises(ValueError, match="names no model"):
        make(service, None)
    with pytest.raises(ValueError, match="is no address of a service"):
        RemoteModel("localhost:11434")


def test_nothing_listens(reference):
    waits = []
    model = RemoteModel("http://127.0.0.1:9/v1", "any", sleep=waits.append)
    with pytest.raises(RemoteModelError, match=r"127\.0\.0\.1:9/v1: the connection failed"):
        list(answer_questions(model, None, [TRNA], [DESCRIBE], reference=reference))
    assert len(waits) == ATTEMPTS - 1


def test_options_of_generate_are_rejected(service, reference):
    chat = chat_with(service, reference, TRNA)
    with pytest.raises(ValueError, match="takes no options of generate; got num_beams"):
        ask(chat, DESCRIBE, num_beams=2)


def test_batches(service, reference):
    rows = list(
        answer_questions(
            make(service),
            None,
            [TRNA, make_rna(80, 1), RRNA],
            [DESCRIBE, "How long is it?"],
            reference=reference,
        )
    )
    # The model was asked about the lengths too, and told no length.
    bases = ["records", "sequence", "none", "sequence", "records", "sequence"]
    assert [row.basis for row in rows] == bases
    assert len(service.bodies) == 4
    assert rows[0].answer == CITED
    assert rows[0].log_probability is None
    assert "5S" in rows[4].answer  # what is right of another RNA is not of this one


def test_this_projects_own_server_wants_the_rna_and_its_reason_is_reported(reference):
    with serve_tiny(make_parts(), api_key="sesame") as (address, _):
        model = RemoteModel(f"{address}/v1", None, "sesame")
        assert model.name == NAME
        answers = answer_questions(model, None, [TRNA], [FAMILY], reference=reference)
        with pytest.raises(RemoteModelError, match="The conversation holds no RNA"):
            list(answers)


def test_it_needs_no_pytorch(service, tmp_path):
    code = f"""
import sys
from rnagpt import RnaChat
from rnagpt.inference.remote_model import RemoteModel
chat = RnaChat(RemoteModel({service.base_url!r}, None, {KEY!r}), reference=sys.argv[1])
chat.add_rna({TRNA!r})
print("".join(chat.ask("Describe this RNA.")))
print([name for name in ("torch", "transformers", "openai") if name in sys.modules])
"""
    folder = str(Reference.open().folder)
    assert run_fresh(code, folder, folder=tmp_path).splitlines() == [CITED, "[]"]
