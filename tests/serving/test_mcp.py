"""RNA tools for assistants: the official client, over stdio and over HTTP at the real Space."""

import asyncio
import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.made_evidence import family, made_evidence, made_hit, whole
from helpers.paths import ROOT

from rnagpt.cli import mcp as mcp_cli
from rnagpt.evidence.support import telling_sentences
from rnagpt.reference.records import Claim
from rnagpt.serving import rna_tools

mcp = pytest.importorskip("mcp", reason="the MCP server is an extra: pip install 'rna-gpt[mcp]'")

from mcp.client.stdio import StdioServerParameters, stdio_client  # noqa: E402
from mcp.client.streamable_http import streamable_http_client  # noqa: E402

# Yeast's tRNA-Phe, and the same on the other strand.
TRNA = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA"
REVERSED = TRNA[::-1].translate(str.maketrans("ACGU", "UGCA"))
RRNA_5S = (
    "UGCCUGGCGGCCGUAGCGCGGUGGUCCCACCUGACCCCAUGCCGAACUCAGAAGUGAAACGCCGUAGCGCCGAUGGUAGUGUGGGGUCUCCCC"
    "AUGCGAGAGUAGGGAACUGCCAGGCAU"
)
PROTEIN = "MSKGEELFTGVVPILVELDGDVNGHKFSVSGEGEGDATYGKLTLKFICTTGKLPVPWPTL"
TOOLS = {
    "identify_rna": {"sequence"},
    "annotate_rna": {"fasta"},
    "ask_about_rna": {"sequence", "question"},
    "explain_answer": {"sequence", "question"},
}
RETURNED = {
    "identify_rna": rna_tools.Identification,
    "annotate_rna": rna_tools.Annotations,
    "ask_about_rna": rna_tools.CitedReply,
    "explain_answer": rna_tools.Explanation,
}
FUNCTION = "What is the function of this RNA?"
# A library that prints, in Python and below it, whatever is asked.
NOISY = """\
import os, sys
from rnagpt.cli.main import main
from rnagpt.serving import rna_tools
identify = rna_tools.identify
def noisy(*given):
    print("noise of Python")
    os.write(1, b"noise of C\\n")
    return identify(*given)
rna_tools.identify = noisy
code = main(["mcp"])
print("torch" in sys.modules, "transformers" in sys.modules, file=sys.stderr)
sys.exit(code)
"""


def over_stdio(work, *options):
    """What a session with `rnagpt mcp` gives."""
    command = ["-m", "rnagpt.cli.main", "mcp", *options]

    async def talk():
        server = StdioServerParameters(command=sys.executable, args=command)
        async with stdio_client(server) as (read, write), mcp.ClientSession(read, write) as session:
            await session.initialize()
            return await work(session)

    return asyncio.run(talk())


def over_http(work, address):
    """What a session with the Space's endpoint gives."""

    async def talk():
        where = streamable_http_client(f"{address}gradio_api/mcp/")
        async with where as (read, write, _), mcp.ClientSession(read, write) as session:
            await session.initialize()
            return await work(session)

    return asyncio.run(talk())


def text_of(result):
    return "".join(part.text for part in result.content)


async def list_tools(session):
    return {tool.name: tool for tool in (await session.list_tools()).tools}


@pytest.fixture(scope="module")
def called():
    """The result of every call that tests look at, in one session."""
    calls = {
        "trna": ("identify_rna", {"sequence": TRNA}),
        "reversed": ("identify_rna", {"sequence": REVERSED}),
        "unknown": ("identify_rna", {"sequence": "ACGUUGCA" * 10}),
        "short": ("identify_rna", {"sequence": "ACGU"}),
        "fasta": ("annotate_rna", {"fasta": f">a\n{TRNA}\n>b\n{PROTEIN}\n>c\n{RRNA_5S}\n"}),
        "function": ("ask_about_rna", {"sequence": TRNA, "question": FUNCTION}),
        "length": ("ask_about_rna", {"sequence": TRNA, "question": "How long is it?"}),
        "why": ("explain_answer", {"sequence": TRNA, "question": FUNCTION}),
        "why identity": ("explain_answer", {"sequence": TRNA, "question": "What is this RNA?"}),
        "protein": ("identify_rna", {"sequence": PROTEIN}),
        "proteins": ("annotate_rna", {"fasta": f">p\n{PROTEIN}\n"}),
        "letter": ("ask_about_rna", {"sequence": "ACGU!ACGU", "question": FUNCTION}),
        "empty": ("identify_rna", {"sequence": ""}),
        "no records": ("annotate_rna", {"fasta": " \n"}),
        "long": ("explain_answer", {"sequence": "A" * 10_000_001, "question": FUNCTION}),
        "two": ("identify_rna", {"sequence": ">a\nACGU\n>b\nACGU\n"}),
        "no question": ("ask_about_rna", {"sequence": TRNA, "question": " "}),
        "nothing to explain": ("explain_answer", {"sequence": TRNA, "question": ""}),
        "another": ("ask_about_rna", {"sequence": TRNA, "question": "What is RNA 2?"}),
        "no argument": ("identify_rna", {}),
        "no tool": ("fold_rna", {"sequence": TRNA}),
        "again": ("identify_rna", {"sequence": TRNA}),
    }

    async def call_all(session):
        return {name: await session.call_tool(*call) for name, call in calls.items()}

    return over_stdio(call_all)


def test_the_tools_say_what_they_take_and_give():
    tools = over_stdio(list_tools)
    assert tools.keys() == TOOLS.keys()
    for name, tool in tools.items():
        given = tool.inputSchema
        assert set(given["properties"]) == set(given["required"]) == TOOLS[name]
        assert all(one["type"] == "string" for one in given["properties"].values())
        assert all(one["description"] for one in given["properties"].values())
        assert len(tool.description) > 100
        assert "    " not in tool.description
        assert tool.outputSchema["type"] == "object"
        assert tool.annotations.readOnlyHint


def test_an_rna_is_identified_on_either_strand(called):
    told = called["trna"].structuredContent
    assert told["known"]
    assert told["summary"] == "It is tRNA [1]."
    (match,) = told["matches"]
    assert (match["accession"], match["type"], match["clan"]) == ("RF00005", "tRNA", "CL00001")
    assert match["link"] == "https://rfam.org/family/RF00005"
    # Of the papers that Rfam 14.2 cites in RF00005.
    assert {paper["id"] for paper in match["papers"]} == {"8256282", "9023104"}
    assert match["evalue"] < 1e-5
    assert 0.9 < match["confidence"] <= 1
    other = called["reversed"].structuredContent["matches"][0]
    assert (match["strand"], other["strand"]) == ("+", "-")
    mirrored = (len(TRNA) + 1 - match["end"], len(TRNA) + 1 - match["start"])
    assert (other["start"], other["end"]) == mirrored


def test_what_nothing_matches_is_not_named(called):
    told = called["unknown"].structuredContent
    assert (told["known"], told["matches"], told["note"]) == (False, [], None)
    assert "No record of Rfam" in told["summary"]
    short = called["short"].structuredContent
    assert not short["known"]
    assert "too short" in short["note"]


def test_records_are_annotated_as_the_command_does_it(called, tmp_path):
    told = called["fasta"].structuredContent
    file = tmp_path / "rnas.fasta"
    file.write_text(f">a\n{TRNA}\n>b\n{PROTEIN}\n>c\n{RRNA_5S}\n")
    words = ["annotate", str(file), "--format", "json"]
    done = subprocess.run(
        [sys.executable, "-m", "rnagpt.cli.main", *words], capture_output=True, text=True
    )
    assert told["records"] == [json.loads(line) for line in done.stdout.splitlines()]
    assert [hit["id"] for one in told["records"] for hit in one["hits"]] == ["RF00005", "RF00001"]
    (rejected,) = told["rejected"]
    assert "This looks like a protein" in rejected


def test_a_question_is_answered_with_its_evidence(called):
    told = called["function"].structuredContent
    assert told["basis"] == "records"
    assert told["answer"].endswith("[1].")
    assert all(one["records"] == [1] and one["supported"] for one in told["sentences"])
    assert told["evidence"][0]["accession"] == "RF00005"
    length = called["length"].structuredContent
    assert (length["basis"], length["confidence"]) == ("sequence", None)
    assert str(len(TRNA)) in length["answer"]


def test_each_sentence_is_explained_by_what_its_record_says(called):
    why = called["why"].structuredContent
    assert why["answer"] == called["function"].structuredContent["answer"]
    for sentence in why["sentences"]:
        (support,) = sentence["support"]
        assert sentence["rests_on"] == "records"
        assert sentence["text"] in support["says"]
        assert support["record"]["accession"] == "RF00005"
        assert {paper["id"] for paper in support["papers"]} == {"8256282", "9023104"}
    (identity,) = called["why identity"].structuredContent["sentences"]
    assert identity["support"][0]["fields"]["name"] == "tRNA"


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ("protein", "'E' at position 5. This looks like a protein"),
        ("proteins", "RNA 'p' has 'E' at position 5. This looks like a protein"),
        ("letter", "has '!' at position 5"),
        ("empty", "is empty. Give at least one nucleotide"),
        ("no records", "There is no sequence"),
        ("long", "has 10,000,001 nt, but what lies beyond position 10,000,000 is not accepted"),
        ("two", "Give one FASTA record at a time"),
        ("no question", "A question is empty"),
        ("nothing to explain", "A question is empty"),
        ("another", "RNA 2"),
        ("no argument", "sequence"),
        ("no tool", "fold_rna"),
    ],
)
def test_what_is_wrong_is_told_and_the_server_goes_on(called, call, reason):
    assert called[call].isError
    assert reason in text_of(called[call])
    assert "Traceback" not in text_of(called[call])
    assert called["again"].structuredContent == called["trna"].structuredContent


def test_standard_output_carries_the_protocol_alone_and_no_torch_is_loaded():
    version = {"protocolVersion": "2025-06-18", "capabilities": {}}
    hello = {**version, "clientInfo": {"name": "test", "version": "1"}}
    asked = {"name": "identify_rna", "arguments": {"sequence": TRNA}}
    messages: list[dict[str, Any]] = [
        {"id": 1, "method": "initialize", "params": hello},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/list"},
        {"id": 3, "method": "tools/call", "params": asked},
    ]
    with subprocess.Popen(
        [sys.executable, "-c", NOISY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdin
        assert server.stdout
        answers = []
        for message in messages:
            server.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
            server.stdin.flush()
            if "id" in message:
                answers.append(json.loads(server.stdout.readline()))
        rest, log = server.communicate(timeout=60)
    assert [answer["id"] for answer in answers] == [1, 2, 3]
    assert answers[2]["result"]["structuredContent"]["known"]
    assert (server.returncode, rest) == (0, "")
    assert "noise of Python" in log
    assert "noise of C" in log
    assert log.splitlines()[-1] == "False False"


def test_without_a_model_the_records_answer():
    async def ask(session):
        asked = {"sequence": TRNA, "question": FUNCTION}
        return await session.call_tool("ask_about_rna", asked)

    assert over_stdio(ask, "--no-model").structuredContent["basis"] == "records"


@pytest.mark.parametrize(
    ("before", "options", "reason"),
    [
        ("", ["--reference", "none-such"], "none-such"),
        ("", ["--model", "a", "--no-model"], "contradict each other"),
        ("sys.modules['mcp'] = None", [], "pip install 'rna-gpt[mcp]'"),
    ],
)
def test_what_is_wrong_at_the_start_is_told_on_standard_error(before, options, reason):
    code = f"import sys\n{before}\nfrom rnagpt.cli.main import main\nsys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, "mcp", *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


# What a record says to a sentence


def test_a_claim_brings_its_quote_and_its_own_papers():
    claim = Claim("It binds Hfq in Escherichia coli.", "Hfq co-precipitated with it.", ("111",))
    record = family("sRNA", functions=("It is made under stress.",), claims=(claim,))
    evidence = whole(record)
    support = rna_tools._support("It binds Hfq.", evidence.items[0], evidence)
    assert support.says == [claim.text]
    assert support.quotes == [claim.quote]
    assert support.papers == [rna_tools.Paper("111", "https://pubmed.ncbi.nlm.nih.gov/111")]
    assert telling_sentences("It binds ProQ.", evidence.items[0], evidence) == ()


def test_a_match_of_a_part_is_not_the_whole():
    evidence = made_evidence(made_hit(family("tRNA"), 1, 20), length=80)
    assert not rna_tools._match(evidence.items[0], evidence).is_whole


def test_a_paper_without_a_pubmed_id_is_found_by_its_doi():
    assert rna_tools._paper("10.1093/nar/gkaa1047").link == "https://doi.org/10.1093/nar/gkaa1047"


# The Space


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    pytest.importorskip("gradio", reason="the Space is an extra: pip install 'rna-gpt[space]'")
    from helpers.tiny_space import load_tiny_model, open_page, space_limits

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("gradio")))
        load_tiny_model(tmp_path_factory.mktemp("tiny"))
        with open_page(space_limits.Limits(max_new_tokens=12, max_records=3)) as address:
            yield address


def test_the_space_has_these_tools_and_nothing_else(space):
    async def list_all(session):
        return await list_tools(session), await session.list_resources()

    tools, resources = over_http(list_all, space)
    assert tools.keys() == TOOLS.keys()
    for name, tool in tools.items():
        given = tool.inputSchema
        assert set(given["properties"]) == set(given["required"]) == TOOLS[name]
        assert all(one["description"] for one in given["properties"].values())
        assert len(tool.description) > 100
        # There is no schema of what is returned, so that its fields are told.
        assert all(field.name in tool.description for field in dataclasses.fields(RETURNED[name]))
    assert resources.resources == []


def test_the_space_answers_as_the_command_does(space, called):
    async def call_all(session):
        return [
            await session.call_tool(name, given)
            for name, given in (
                ("identify_rna", {"sequence": f">rna_1\n{TRNA}"}),
                ("annotate_rna", {"fasta": f">a\n{TRNA}\n>c\n{RRNA_5S}\n"}),
                ("ask_about_rna", {"sequence": TRNA, "question": FUNCTION}),
                ("explain_answer", {"sequence": TRNA, "question": FUNCTION}),
            )
        ]

    identified, annotated, asked, explained = map(
        json.loads, map(text_of, over_http(call_all, space))
    )
    assert identified == called["trna"].structuredContent
    whole_file = called["fasta"].structuredContent["records"]
    assert annotated == {"records": [whole_file[0], whole_file[2]], "rejected": []}
    assert asked == called["function"].structuredContent
    assert explained == called["why"].structuredContent


def test_one_bad_record_costs_the_space_no_other(space, called):
    async def call(session):
        # A protein, which `rnagpt mcp` rejects too, and what is beyond the Space's limits.
        fasta = f">a\n{TRNA}\n>b\n{PROTEIN}\n>c\n{RRNA_5S}\n"
        long = f">a\n{TRNA}\n>long\n{'ACGU' * 15_000}\n>{'n' * 300}\n{TRNA}\n"
        return [
            await session.call_tool("annotate_rna", {"fasta": fasta}),
            await session.call_tool("annotate_rna", {"fasta": long}),
        ]

    first, second = over_http(call, space)
    assert not first.isError
    assert json.loads(text_of(first)) == called["fasta"].structuredContent
    annotated = json.loads(text_of(second))
    assert [record["name"] for record in annotated["records"]] == ["a", "long", "n" * 200]
    assert [len(record["hits"]) for record in annotated["records"]] == [1, 0, 0]
    assert "has 60,000 nt" in annotated["records"][1]["error"]
    too_long, named = annotated["rejected"]
    assert "has 60,000 nt" in too_long
    assert "name has 300 letters" in named


def test_the_space_tells_what_is_wrong_and_goes_on(space):
    wrong = [
        ("identify_rna", {"sequence": PROTEIN}, "This looks like a protein"),
        ("annotate_rna", {"fasta": PROTEIN}, "This looks like a protein"),
        ("identify_rna", {"sequence": ""}, "no sequence"),
        ("identify_rna", {"sequence": "A" * 100_001}, "nt"),
        ("annotate_rna", {"fasta": ">a\nA\n" * 4}, "more than 3 records"),
        ("explain_answer", {"sequence": TRNA, "question": " "}, "Write a question"),
    ]

    async def call_all(session):
        told = [await session.call_tool(name, given) for name, given, _ in wrong]
        return told, await session.call_tool("identify_rna", {"sequence": TRNA})

    told, after = over_http(call_all, space)
    for result, (_, _, reason) in zip(told, wrong, strict=True):
        assert result.isError
        assert reason in text_of(result)
    assert json.loads(text_of(after))["known"]


def configurations():
    """What the guide and the command's help tell assistants, by the key that these read."""
    guide = (ROOT / "docs" / "guides" / "assistants.md").read_text()
    blocks = [block.split("```")[0] for block in guide.split("```json\n")[1:]]
    told = mcp_cli.EXAMPLES.split('under "mcpServers":')[1].split("exit codes")[0]
    return [json.loads(block) for block in (*blocks, f'{{"mcpServers": {{{told}}}}}')]


def test_the_configurations_that_are_told_start_this_server():
    read = configurations()
    keys = ["mcpServers", "servers", "mcpServers", "mcpServers"]
    assert [list(one) for one in read] == [[key] for key in keys]
    servers = [one[key]["rna-gpt"] for one, key in zip(read, keys, strict=True)]
    started = {(one["command"], *one["args"]) for one in servers if "command" in one}
    assert started == {("rnagpt", "mcp")}
    # As an assistant starts it, with the path that `which rnagpt` prints.
    ((command, *arguments),) = started
    whole_path = shutil.which(command, path=Path(sys.executable).parent)
    assert whole_path is not None

    async def talk():
        server = StdioServerParameters(command=whole_path, args=arguments)
        async with stdio_client(server) as (read, write), mcp.ClientSession(read, write) as session:
            await session.initialize()
            return await list_tools(session)

    assert asyncio.run(talk()).keys() == TOOLS.keys()
    # The Space's address is the one that the tests of the Space ask.
    (url,) = (one["url"] for one in servers if "url" in one)
    assert url == "http://127.0.0.1:7860/gradio_api/mcp/"
    guide = (ROOT / "docs" / "guides" / "assistants.md").read_text()
    assert all(f"`{name}" in guide for name in TOOLS)
