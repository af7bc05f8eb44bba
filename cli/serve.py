"""The command `rnagpt serve`."""

from __future__ import annotations

import argparse
import logging
import os
import re
import signal
import socket
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from rnagpt.cli.model_engine import named_option
from rnagpt.cli.values import positive
from rnagpt.inference.allocator import use_one_arena
from rnagpt.serving.engines import ENGINES, EngineSettings
from rnagpt.serving.limits import Limits

if TYPE_CHECKING:
    from rnagpt.processing_rnagpt import RnaGptProcessor
    from rnagpt.reference.library import Reference
    from rnagpt.serving.service import Service

HELP = """\
Answer questions about RNAs over HTTP, with the interface of OpenAI's chat completions, so that its
clients work. An RNA is a part of a message: {"type": "rna", "rna": "ACGU..."}. Where no message has
such a part, sequences of 15 or more nucleotides and FASTA records are taken out of the users'
texts. The reply then begins with a line "RNA read from the text: ..." for each of them. Where no
question was asked, another line says which one is answered. An empty line follows. A conversation
without any RNA is rejected (400, code no_rna).

Every RNA is searched in a reference, as `rnagpt chat` does, and answers cite the records that it
matches. The message carries, beside its content, "evidence" (the numbered records), "basis"
(records, sequence, model or none), "confidence" (null where it was not measured), "sentences" (each
with its records) and "about" (the RNAs' names: of the FASTA record, else "RNA 2"); in a stream the
last delta before the finish_reason has them. Answers from records are whole whatever max_tokens
says, and are the same for every n. usage counts what the language model read and wrote: 0 where it
was not asked. System messages change no answer from records.

POST /annotate {"rna": SEQUENCE or FASTA, "evalue": 1e-3, "format": "json" or "tsv"} searches as
`rnagpt annotate` does, without a language model. POST /v1/responses is OpenAI's newer interface in
its basic form. FASTA files are parts of messages as OpenAI has them, with a data URL as file_data.
"""
EXAMPLES = """\
examples:
  rnagpt serve                                         # rna-gpt-mini at http://127.0.0.1:8000/v1
  rnagpt serve --model ./my-rna-gpt --port 9000 --api-key SECRET
  rnagpt serve --reference ./my-reference              # what `rnagpt reference` or `rna-qa` wrote
  rnagpt serve --no-reference                          # the model alone answers
  rnagpt serve --engine vllm --engine-option tensor_parallel_size=2
  rnagpt serve --engine llama.cpp                      # pip install 'rna-gpt[cpu,serve]'
  curl http://127.0.0.1:8000/v1/chat/completions -H 'Content-Type: application/json' -d '{
    "model": "rna-gpt-mini", "messages": [{"role": "user", "content": [
      {"type": "rna", "rna": "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGA"},
      {"type": "text", "text": "What type of RNA is this?"}]}]}'
  curl http://127.0.0.1:8000/annotate -H 'Content-Type: application/json' \\
    -d '{"rna": "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGA"}'
"""
KEY_VARIABLE = "RNAGPT_API_KEY"
MINI = "rna-gpt-mini"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options, without importing torch."""
    add = parser.add_argument
    add("--model", metavar="PATH", help="folder or Hub id of an RNA-GPT (default: rna-gpt-mini)")
    add(
        "--reference",
        metavar="DIR",
        help="what RNAs are searched in (default: the families of Rfam that rna-gpt-mini has)",
    )
    add(
        "--no-reference",
        action="store_true",
        help="search nothing: the model alone answers, and RNAs are as long as it reads at most",
    )
    add("--served-name", metavar="NAME", help="name that clients request (default: the folder's)")
    add(
        "--engine",
        choices=tuple(ENGINES),
        default=next(iter(ENGINES)),
        help="; ".join(f"{name}: {kind.help}" for name, kind in ENGINES.items())
        + " (default: %(default)s)",
    )
    add(
        "--engine-option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="of vLLM's AsyncEngineArgs, such as tensor_parallel_size=2; of llama.cpp: type=f16 "
        "(or q8_0, q4_1, f32), threads=N, context=TOKENS, cells=TOKENS of all answers together, "
        "file=GGUF; may be repeated",
    )
    add("--dtype", choices=("float32", "bfloat16", "float16"), help="default: as `rnagpt chat`")
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=_port, default=8000, help="0 takes a free one (default: %(default)s)")
    add(
        "--api-key",
        metavar="KEY",
        help=f"key that clients have to send (default: ${KEY_VARIABLE}, else none is needed)",
    )
    add(
        "--cors-origin",
        action="append",
        type=_origin,
        default=[],
        metavar="ORIGIN",
        help="web page that may send requests from a browser, such as https://example.org; *: all; "
        "may be repeated (default: none)",
    )
    add("--verbose", action="store_true", help="log every request on standard error")
    limits = parser.add_argument_group("limits")
    for field in fields(Limits):
        option = f"--{field.name.replace('_', '-')}"
        limits.add_argument(
            option, type=positive, default=field.default, metavar="N", help="default: %(default)s"
        )


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, got {text!r}")
    return int(text)


def _origin(text: str) -> str:
    # A browser sends it without a path, and compares it letter by letter.
    if not re.fullmatch(r"\*|[a-z][a-z0-9+.-]*://[^/\s]+", text):
        raise argparse.ArgumentTypeError(
            f"expected an origin such as https://example.org, without a path or a slash at its "
            f"end, got {text!r}"
        )
    return text


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal stops it; the exit code."""
    try:
        return _serve(arguments)
    except ValueError as error:
        print(f"rnagpt serve: {error}", file=sys.stderr)
        return 2


def _serve(arguments: argparse.Namespace) -> int:
    use_one_arena()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        import uvicorn

        from rnagpt.sequences.folding_process import fold_in_processes
        from rnagpt.serving.app import make_app
        from rnagpt.serving.uvicorn_server import GracefulServer, protocol_with_deadline
    except ImportError as error:
        raise ValueError(f"The server needs {error.name}: pip install 'rna-gpt[serve]'.") from error
    if arguments.reference is not None and arguments.no_reference:
        raise ValueError("--reference and --no-reference contradict each other; give one of them.")
    limits = Limits(**{field.name: getattr(arguments, field.name) for field in fields(Limits)})
    api_key = _api_key(arguments.api_key)
    # Until the server runs: an exit through Python ends the processes that vLLM started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    # Before the model is loaded, which takes a while.
    with _listen(arguments.host, arguments.port) as listener:
        service = make_service(arguments, limits, api_key)
        host, port = listener.getsockname()[:2]
        where = f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"
        fold_in_processes()  # else nobody is served meanwhile
        print(f"Serving {service.model_name} at {where}", flush=True)
        config = uvicorn.Config(
            make_app(service),
            http=protocol_with_deadline(limits.read_seconds),
            log_config=None,  # to standard error, as all that is logged
            log_level="info" if arguments.verbose else "warning",
            timeout_keep_alive=limits.keep_alive_seconds,
            timeout_graceful_shutdown=limits.shutdown_seconds,
        )
        GracefulServer(config, service).run(sockets=[listener])
    return 0


def _api_key(given: str | None) -> str | None:
    """The key that clients have to give, checked before a model is loaded."""
    key = given if given is not None else os.environ.get(KEY_VARIABLE)
    if key is None:
        return None
    from rnagpt.serving.middleware import check_api_key

    return check_api_key(key)


def make_service(
    arguments: argparse.Namespace, limits: Limits, api_key: str | None = None
) -> Service:
    """Load the model, and start its engine.

    Raises:
        InvalidReferenceError: there is no such reference.
        OSError, ValueError: as of `load_model`; an option of the engine is not known.
    """
    from rnagpt.inference.default_model import resolve_model
    from rnagpt.reference.library import Reference
    from rnagpt.serving.cited_answers import FileSettings
    from rnagpt.serving.service import Service

    reference = None if arguments.no_reference else _ready(Reference.open(arguments.reference))
    folder = resolve_model(arguments.model)
    settings = EngineSettings(
        folder,
        limits.max_batch,
        limits.max_waiting,
        arguments.dtype,
        dict(map(named_option, arguments.engine_option)),
    )
    kind = ENGINES[arguments.engine]
    processor = kind.open_encoder(settings) or _processor(folder)
    engine = kind.start(settings, processor)
    return Service(
        engine,
        processor,
        arguments.served_name or (Path(folder).name if arguments.model else MINI),
        engine.context,
        limits,
        api_key,
        tuple(arguments.cors_origin),
        reference=reference,
        config=None if reference is None else FileSettings.of(folder),
    )


def _processor(folder: str) -> RnaGptProcessor:
    from rnagpt.inference.loading import load_processor

    return load_processor(folder)


def _ready(reference: Reference) -> Reference:
    """A reference whose first search takes no longer than the next one."""
    reference.prepare()
    return reference


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, TypeError) as error:  # of a name that cannot be encoded Python says TypeError
        listener.close()
        reason = error.strerror if isinstance(error, OSError) else "this is no name of a host"
        raise ValueError(
            f"{host}:{port} cannot be listened on: {reason}. Choose another --port (0 "
            "takes a free one) or --host."
        ) from error
    return listener
