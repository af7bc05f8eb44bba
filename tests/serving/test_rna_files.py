"""FASTA files as parts of messages: data URLs, compressed or not, and what is wrong with others."""

import base64
import bz2
import gzip
import lzma

import openai
import pytest
from helpers.tiny_server import NAME, ask_about, client_of, serve_tiny

from rnagpt.reference.library import Reference
from rnagpt.serving.limits import Limits
from rnagpt.serving.rna_files import FileError, FileTooLargeError, read_file

TRNA = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA"
HAMMERHEAD = "CUGAUGAGUCCGUGAGGACGAAACGAGUAAGCUCGUC"
FASTA = f">mine first\n{TRNA[:40]}\n{TRNA[40:]}\n>other\n{HAMMERHEAD}\n".encode()


def data_url(content, kind="text/plain"):
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def file_part(data, name="rnas.fa"):
    return {"type": "file", "file": {"filename": name, "file_data": data}}


def ask(client, *parts, text="What is mine?", **options):
    content = [*parts, {"type": "text", "text": text}]
    messages = [{"role": "user", "content": content}]
    return client.chat.completions.create(model=NAME, messages=messages, **options)


@pytest.fixture(scope="module")
def client(parts):
    limits = Limits(max_tokens=4, max_rnas=3, max_body_bytes=50_000)
    with serve_tiny(parts, limits, reference=Reference.open()) as (address, _):
        yield client_of(address)


@pytest.mark.parametrize(
    "data",
    [
        data_url(FASTA),
        data_url(FASTA, "application/octet-stream"),
        data_url(FASTA, "text/plain;charset=utf-8"),
        data_url(FASTA.replace(b"\n", b"\r\n")),
        data_url(FASTA.decode().encode("utf-16")),
        data_url(gzip.compress(FASTA, mtime=0), "application/gzip"),
        data_url(bz2.compress(FASTA)),
        data_url(lzma.compress(FASTA)),
        base64.b64encode(FASTA).decode(),
        base64.encodebytes(FASTA).decode(),
        "data:text/plain,%3Emine%20first%0A" + TRNA + "%0A%3Eother%0A" + HAMMERHEAD,
    ],
)
def test_the_records_of_a_file_are_read(data):
    records = [(one.name, one.sequence) for one in read_file(data, "rnas.fa", 1_000)]
    assert records == [("mine", TRNA), ("other", HAMMERHEAD)]


def test_a_sequence_without_a_header_is_named_after_its_file():
    (record,) = read_file(data_url(TRNA.encode()), "my-rna.fa.gz", 100)
    assert record.name == "my-rna"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("data:text/plain;base64", "without a comma"),
        ("data:text/plain;base64,>mine", "not base64"),
        (f">mine\n{TRNA}", "not base64.*as it is belongs into a part of text"),
        (data_url(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), "rnas.fa, line .: this is no text"),
        (data_url(b"PK\x03\x04" + bytes(20)), "a zip archive"),
        (data_url(b"%PDF-1.7 x"), "a PDF"),
        (data_url(gzip.compress(FASTA, mtime=0)[:-20]), "damaged gzip"),
        (data_url(b""), "rnas.fa is empty"),
        (data_url(b"ACGUACGU\n>x\nACGU"), "text before the first header"),
    ],
)
def test_what_is_no_fasta_is_told(client, data, told):
    with pytest.raises(FileError, match=told):
        list(read_file(data, "rnas.fa", 1_000))
    with pytest.raises(openai.BadRequestError, match=told) as caught:
        ask(client, file_part(data))
    assert caught.value.code == "invalid_file"
    assert caught.value.param == "messages.0.content"


def test_what_grows_when_unpacked_is_bounded(client):
    bomb = data_url(gzip.compress(b">a\n" + b"A" * 20_000_000))
    with pytest.raises(FileTooLargeError, match="more than 1,000 bytes"):
        list(read_file(bomb, "rnas.fa", 1_000))
    with pytest.raises(openai.APIStatusError, match="more than 50,000 bytes") as caught:
        ask(client, file_part(bomb))
    assert caught.value.status_code == 413
    assert caught.value.code == "file_too_large"


def test_a_file_is_as_good_as_parts(client):
    of_file = ask(client, file_part(data_url(FASTA))).choices[0].message
    rnas = [
        {"type": "rna", "rna": f">mine\n{TRNA}"},
        {"type": "rna", "rna": f">other\n{HAMMERHEAD}"},
    ]
    assert of_file == ask(client, *rnas).choices[0].message
    assert of_file.model_extra["about"] == ["mine"]
    # Next to other parts, and in an earlier message.
    mixed = ask(client, *ask_about(TRNA)[0]["content"][:1], file_part(data_url(FASTA)))
    assert mixed.choices[0].message.model_extra["about"] == ["mine"]


def test_limits_are_those_of_parts(client):
    many = b"".join(b">r%d\nACGUACGU\n" % number for number in range(9))
    with pytest.raises(openai.APIStatusError, match="at most 3 are") as caught:
        ask(client, file_part(data_url(many)))
    assert caught.value.code == "too_many_rnas"
    with pytest.raises(openai.UnprocessableEntityError, match="protein"):
        ask(client, file_part(data_url(b">p\nMSKGEELFTGVVPILVELDGDVNGHKFSVSGEG\n")))
    for file in ({"file_id": "file-1"}, {"filename": "x.fa"}):
        with pytest.raises(openai.BadRequestError, match="neither stored nor fetched"):
            ask(client, {"type": "file", "file": file})


def test_the_model_alone_reads_files_too(parts):
    with serve_tiny(parts) as (address, _):
        client = client_of(address)
        one = file_part(data_url(f">mine\n{TRNA}".encode()))
        of_file = ask(client, one, max_tokens=6).choices[0].message.content
        of_part = ask(client, {"type": "rna", "rna": TRNA}, max_tokens=6).choices[0].message.content
        assert of_file == of_part
