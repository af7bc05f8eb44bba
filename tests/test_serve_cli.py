"""`rnagpt serve` as a process of its own: started, asked, told to stop."""

import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx
import openai
import pytest
from conftest import make_rna
from tiny_server import ask_about, client_of, make_parts

from rnagpt import cli
from rnagpt.serving.serve_cli import _option


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    model, processor = make_parts()
    folder = tmp_path_factory.mktemp("parts") / "tiny"
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@contextmanager
def serving(folder, *options):
    """The process and its address, once it answers."""
    command = [sys.executable, "-m", "rnagpt.cli", "serve", "--model", str(folder), "--port", "0"]
    process = subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        line = process.stdout.readline()
        address = re.search(r"(http://\S+)/v1", line)[1]
        await_health(address)
        yield process, address
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
        assert "SIGTERM: finishing what runs" in process.stderr.read()
        with pytest.raises(openai.APIConnectionError):
            client.models.list()


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
        (("--model", "/no/such/folder"), "/no/such/folder"),
        (("--engine-option", "tensor_parallel_size=2"), "--engine vllm"),
    ],
)
def test_what_cannot_be_served_is_told(folder, capsys, options, told):
    assert cli.main(["serve", "--model", str(folder), "--port", "0", *options]) == 2
    assert told in capsys.readouterr().err


def test_limits_are_checked(capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["serve", "--max-batch", "0"])
    assert "at least 1" in capsys.readouterr().err


def test_options_of_the_engine_are_json_where_they_can_be():
    assert _option("tensor_parallel_size=2") == ("tensor_parallel_size", 2)
    assert _option("enforce_eager=true") == ("enforce_eager", True)
    assert _option("quantization=fp8") == ("quantization", "fp8")
    for wrong in ("tensor_parallel_size", "=2", "a b=2"):
        with pytest.raises(ValueError, match="NAME=VALUE"):
            _option(wrong)
