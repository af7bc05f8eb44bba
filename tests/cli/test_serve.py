"""`rnagpt serve` as a process of its own: started, asked, told to stop."""

import concurrent.futures
import contextlib
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import openai
import psutil
import pytest
from helpers.tiny_models import make_rna
from helpers.tiny_server import ask_about, client_of, make_parts

from rnagpt.cli import main as cli
from rnagpt.cli.model_engine import named_option


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    model, processor = make_parts()
    folder = tmp_path_factory.mktemp("parts") / "tiny"
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@contextmanager
def serving(folder, *options, reference=("--no-reference",)):
    """The process and its address, once it answers; by default in the model's own words."""
    command = [
        sys.executable,
        "-m",
        "rnagpt.cli.main",
        "serve",
        "--model",
        str(folder),
        "--port",
        "0",
    ]
    process = subprocess.Popen(
        [*command, *reference, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Tests that run as a background job are given an ignored Ctrl-C, and would pass it on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert process.stdout
        found = re.search(r"(http://\S+)/v1", process.stdout.readline())
        assert found
        await_health(found[1])
        yield process, found[1]
    finally:
        process.kill()
        process.wait()


def await_health(address):
    end = time.monotonic() + 60
    while True:
        try:
            if httpx.get(f"{address}/health").status_code == 200:
                return
        except httpx.ConnectError:
            assert time.monotonic() < end
        time.sleep(0.05)


def test_it_answers_until_told_to_stop_and_finishes_what_runs(folder):
    with serving(folder, "--api-key", "secret", "--max-tokens", "400") as (process, address):
        client = client_of(address, "secret")
        messages = ask_about(make_rna(30))
        with pytest.raises(openai.AuthenticationError):
            client_of(address).models.list()
        assert client.models.list().data[0].id == "tiny"
        whole = client.chat.completions.create(model="tiny", messages=messages, max_tokens=300)
        stream = client.chat.completions.create(
            model="tiny", messages=messages, max_tokens=300, stream=True
        )
        pieces = [next(stream), next(stream)]
        process.send_signal(signal.SIGTERM)
        pieces += stream
        said = "".join(piece.choices[0].delta.content or "" for piece in pieces)
        assert said == whole.choices[0].message.content
        assert process.wait(timeout=30) == 128 + signal.SIGTERM
        told = process.stderr.read()
        assert "SIGTERM: finishing what runs" in told
        assert "GET /v1/models" not in told  # only with --verbose
        with pytest.raises(openai.APIConnectionError):
            client.models.list()


def test_it_answers_from_the_reference_that_comes_with_the_mini(folder):
    rna = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA"
    with serving(folder, "--max-searched-nt", "100", reference=()) as (_, address):
        client = client_of(address)
        reply = client.chat.completions.create(model="tiny", messages=ask_about(rna))
        message = reply.choices[0].message
        assert message.content == "It is tRNA [1]."
        assert (message.model_extra or {})["evidence"][0]["id"] == "RF00005"
        with pytest.raises(openai.APIStatusError, match="152 nt"):
            client.chat.completions.create(model="tiny", messages=ask_about(rna * 2))


def test_verbose_logs_requests_and_ctrl_c_exits_with_130(folder):
    with serving(folder, "--verbose") as (process, address):
        client_of(address).models.list()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
        told = process.stderr.read()
        assert re.search(r'"GET /v1/models HTTP/1.1" 200', told)
        assert "Traceback" not in told
        assert process.stdout.read() == ""


def test_a_taken_port_is_told_before_the_model_is_loaded(folder, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert cli.main(["serve", "--model", str(folder), "--port", port]) == 2
    told = capsys.readouterr().err
    assert f"127.0.0.1:{port}" in told
    assert "--port" in told


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--model", "/no/such/folder"), "The folder /no/such/folder is not there"),
        (("--model", "./no/such/folder"), "The folder ./no/such/folder is not there"),
        (("--model", __file__), "is a file"),
        (("--model", str(Path(__file__).parent)), "holds no config.json"),
        (("--api-key", "sécret"), "U+00E9 at position 2"),
        (("--api-key", "secret\n"), "U+000A at position 7"),
        (("--api-key", "my secret"), "U+0020 at position 3"),
        (("--api-key", ""), "API key is empty"),
        (("--host", "no.such.host.invalid"), "--host"),
        (("--host", "é" * 64), "no name of a host"),
        (("--engine-option", "tensor_parallel_size=2"), "--engine vllm"),
        (("--reference", "r", "--no-reference"), "contradict each other"),
        (("--reference", "/no/such/reference"), "/no/such/reference"),
    ],
)
def test_what_cannot_be_served_is_told(folder, capsys, options, told):
    assert cli.main(["serve", "--model", str(folder), "--port", "0", *options]) == 2
    assert told in capsys.readouterr().err


def test_a_model_that_is_neither_here_nor_had_from_the_hub_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["serve", "--model", "my-model", "--port", "0"]) == 2
    told = capsys.readouterr().err
    assert "There is no folder my-model here" in told
    assert "Traceback" not in told


def test_an_empty_key_in_the_environment_is_told(folder, capsys, monkeypatch):
    """A secret that did not arrive would leave the server open to all."""
    monkeypatch.setenv("RNAGPT_API_KEY", "")
    assert cli.main(["serve", "--model", str(folder), "--port", "0"]) == 2
    assert "unset RNAGPT_API_KEY" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--max-batch", "0", "a whole number from 1"),
        ("--port", "99999", "from 0 to 65535"),
        ("--port", "-1", "from 0 to 65535"),
        ("--port", "http", "from 0 to 65535"),
        ("--cors-origin", "https://lab.example/", "slash"),
        ("--cors-origin", "lab.example", "https://example.org"),
    ],
)
def test_options_are_checked(capsys, option, value, told):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["serve", option, value])
    assert told in capsys.readouterr().err


def connect(address):
    url = httpx.URL(address)
    return socket.create_connection((url.host, url.port), timeout=20)


def seconds_until_closed(connection, drip=b""):
    """How long a connection lives on which nothing comes, or a byte now and then."""
    begin = time.monotonic()
    connection.settimeout(0.25)
    with contextlib.suppress(ConnectionError):
        while time.monotonic() - begin < 20:
            try:
                if not connection.recv(4096):
                    break
            except TimeoutError:
                connection.sendall(drip)
    return time.monotonic() - begin


def test_half_open_connections_are_closed(folder):
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
    with serving(folder, "--read-seconds", "2", "--api-key", "secret") as (_, address):
        for sent, drip in [
            (b"", b""),
            (b"GET /hea", b""),
            (head, b"X-Slow: 1\r\n"),
            (head + b"Authorization: Bearer secret\r\nContent-Length: 1000\r\n\r\n{", b" "),
            # Refused at once, and goes on sending.
            (head + b"Content-Length: 1000\r\n\r\n", b" "),
            (head + b"Content-Length: 100000000\r\n\r\n", b" "),
        ]:
            with connect(address) as connection:
                connection.sendall(sent)
                assert 1.5 < seconds_until_closed(connection, drip) < 6, sent
        # An answer may take longer, and so may a client between two requests on a connection.
        client = client_of(address, "secret")
        for pause in (0, 3):
            time.sleep(pause)
            assert client.models.list().data


GET = b"GET /health HTTP/1.1\r\nHost: here\r\n\r\n"


def ask_health(connection):
    connection.sendall(GET)
    answer = b""
    while b'{"status":"ok"}' not in answer:
        more = connection.recv(4096)
        assert more, answer
        answer += more


def test_a_connection_outlives_the_pause_after_which_clients_give_theirs_up(folder):
    """httpx and openai use one for 5 s; a server that closes it then loses what is on its way."""
    with (
        serving(folder, "--read-seconds", "1") as (_, address),
        connect(address) as connection,
    ):
        for pause in (0, 6):
            time.sleep(pause)
            ask_health(connection)
        # The head of a further request has its time too, from its first byte on.
        connection.sendall(GET[:20])
        assert 0.7 < seconds_until_closed(connection) < 4


def test_a_connection_without_a_request_is_closed_after_its_time(folder):
    with (
        serving(folder, "--read-seconds", "1", "--keep-alive-seconds", "3") as (_, address),
        connect(address) as connection,
    ):
        ask_health(connection)
        assert 2.5 < seconds_until_closed(connection) < 6


def test_short_searches_and_answers_come_while_a_long_rna_folds(folder):
    """ViennaRNA holds Python's lock as long as it folds, so it has processes of its own."""
    rna = pytest.importorskip("RNA", reason="ViennaRNA, package viennarna, is not installed")
    trna = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA"
    long = make_rna(1_000, 1)

    def ask(client, sequence, text):
        messages = ask_about(sequence, text=text)
        return client.chat.completions.create(model="tiny", messages=messages)

    def energy_of(reply):
        told = reply.choices[0].message.content.replace("−", "-")
        found = re.search(r"(-[\d.]+) kcal/mol", told)
        assert found, told
        return float(found[1])

    with serving(folder, reference=()) as (_, address), httpx.Client(base_url=address) as web:
        client = client_of(address)
        # Both processes are there, and the searches are remembered: what is asked below is folded.
        for sequence in (trna, make_rna(700)):
            ask(client, sequence, "What is its minimum free energy?")
        ask(client, long, "How long is it?")
        alive, short = 0, []
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            folds = pool.submit(ask, client, long, "What is its minimum free energy?")
            while not folds.done():
                assert web.get("/health").status_code == 200
                alive += 1
                if alive == 5:
                    found = web.post("/annotate", json={"rna": trna}, timeout=60).json()
                    short += [found["results"][0]["hits"][0]["id"], folds.done()]
                    answer = ask(client, make_rna(60), "What is its minimum free energy?")
                    short += [energy_of(answer), folds.done()]
        energy = pytest.approx(rna.fold(make_rna(60))[1], abs=0.1)
        assert short == ["RF00005", False, energy, False]
        assert energy_of(folds.result()) == pytest.approx(rna.fold(long)[1], abs=0.1)


@pytest.mark.parametrize("reference", [("--no-reference",), ()])
def test_texts_that_cannot_be_read_cost_neither_time_nor_memory(folder, reference):
    """Four clients send 4.8 MB each; another one is answered meanwhile."""
    options = ["--max-tokens", "8"]
    with serving(folder, *options, reference=reference) as (running, address):
        client = client_of(address)

        def ask(text):
            messages = ask_about(make_rna(30), text=text)
            return client.chat.completions.create(model="tiny", messages=messages)

        ask("What is it?")
        before = psutil.Process(running.pid).memory_info().rss
        begin = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            floods = [pool.submit(ask, word * (4_800_000 // len(word))) for word in ("x", "ab ")]
            floods += [pool.submit(ask, text) for text in ("ACGU " * 960_000, ">x\n" * 1_100_000)]
            time.sleep(0.3)
            asked = time.monotonic()
            assert ask("What is it?").choices
            assert time.monotonic() - asked < 8
            for flood in floods:
                with pytest.raises(openai.BadRequestError) as caught:
                    flood.result()
                assert caught.value.code == "context_length_exceeded"
        assert time.monotonic() - begin < 15
        assert psutil.Process(running.pid).memory_info().rss - before < 150e6


def test_options_of_the_engine_are_json_where_they_can_be():
    assert named_option("tensor_parallel_size=2") == ("tensor_parallel_size", 2)
    assert named_option("enforce_eager=true") == ("enforce_eager", True)
    assert named_option("quantization=fp8") == ("quantization", "fp8")
    for wrong in ("tensor_parallel_size", "=2", "a b=2"):
        with pytest.raises(ValueError, match="NAME=VALUE"):
            named_option(wrong)
