"""The grammar that `rnagpt` and `rna-qa` share: options, OUT, seeds, exit codes, Ctrl-C."""

import argparse
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import tiny_parts
from helpers.paths import DATA, ROOT

from rnagpt.cli import main as rnagpt_cli
from rnagpt.cli import pretrain_encoder
from rnagpt.cli import rna_qa as rna_qa_cli
from rnagpt.cli.spelling import RENAMED, check_spelling

MAIN = {"rnagpt": rnagpt_cli.main, "rna-qa": rna_qa_cli.main}
# Of every command that writes one folder, the positional arguments.
WRITERS = {
    "rnagpt annotate": ["fasta", "out"],
    "rnagpt compose": ["out"],
    "rnagpt convert-ernie-rna": ["checkpoint", "out"],
    "rnagpt convert-rinalmo": ["checkpoint", "out"],
    "rnagpt convert-rnafm": ["checkpoint", "out"],
    "rnagpt evaluate": ["out"],
    "rnagpt evaluate-answers": ["dataset", "out"],
    "rnagpt evaluate-encoder": ["encoder", "dataset", "out"],
    "rnagpt export-gguf": ["out"],
    "rnagpt export-language-model": ["out"],
    "rnagpt mini": ["out"],
    "rnagpt pretrain-encoder": ["out"],
    "rnagpt prompt-embeds": ["fasta", "out"],
    "rnagpt reference add": ["reference", "notes", "out"],
    "rnagpt reference evaluate": ["dataset", "out"],
    "rnagpt reference merge": ["references", "out"],
    "rna-qa literature": ["out"],
    "rna-qa rfam": ["out"],
}


def leaves(parser):
    """The parsers of all commands, by how the commands are called."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from leaves(command)
            return
    if parser.prog == "rnagpt pretrain-encoder":  # its words go to a parser of its own
        parser = pretrain_encoder.make_parser()
    yield parser.prog, parser


@pytest.fixture(scope="module")
def parsers():
    return dict(
        pair
        for parser in (rnagpt_cli.build_parser(), rna_qa_cli.build_parser())
        for pair in leaves(parser)
    )


def own_options(parser):
    """The spellings of a command's options, without those that are rejected as old ones."""
    for option in parser._option_string_actions:
        if option.startswith("--"):
            try:
                check_spelling(parser, [option])
            except SystemExit:
                continue
            yield option


def test_every_option_is_in_kebab_case(parsers):
    for parser in parsers.values():
        options = list(own_options(parser))
        assert "--help" in options
        assert [o for o in options if not re.fullmatch(r"--[a-z0-9]+(-[a-z0-9]+)*", o)] == []


def test_no_option_has_the_other_spelling_of_licence_or_writes_a_folder(parsers):
    options = {option for parser in parsers.values() for option in own_options(parser)}
    assert {"--licence", "--licences"} <= options
    assert not [option for option in options if "license" in option or option.startswith("--out")]


def test_out_is_the_last_positional_argument(parsers):
    found = {
        name: [action.dest for action in parser._actions if not action.option_strings]
        for name, parser in parsers.items()
    }
    assert {name: places for name, places in found.items() if "out" in places} == {
        **WRITERS,
        "rna-qa status": ["out"],  # the folder that is read
    }


def test_seed_is_a_number_everywhere(parsers, capsys):
    seeded = {name for name, parser in parsers.items() if "--seed" in parser._option_string_actions}
    assert seeded == {
        "rnagpt compose",
        "rnagpt evaluate",
        "rnagpt evaluate-answers",
        "rnagpt evaluate-encoder",
        "rnagpt pretrain-encoder",
        "rnagpt reference evaluate",
        "rna-qa literature",
        "rna-qa rfam",
        "rna-qa sample",
    }
    for name in seeded:
        seed = parsers[name]._option_string_actions["--seed"]
        assert seed.type("7") == 7
    for name in seeded - {"rnagpt pretrain-encoder"}:
        program, *command = name.split()
        for wrong in ("Rfam.seed.gz", "-1", "1.5", str(2**32)):
            with pytest.raises(SystemExit, match="2"):
                MAIN[program]([*command, f"--seed={wrong}", "out"])
            assert f"from 0 to 4294967295, got '{wrong}'" in capsys.readouterr().err


def test_a_file_of_seed_alignments_under_the_old_name_is_told_the_new_one(capsys, tmp_path):
    with pytest.raises(SystemExit, match="2"):
        rna_qa_cli.main(["rfam", "--seed", "Rfam.seed.gz", str(tmp_path / "out")])
    assert "--seed-alignments FILE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("rnagpt evaluate --max_new_tokens 9", "--max_new_tokens is now --max-new-tokens"),
        ("rnagpt evaluate --batch_size=9", "--batch_size is now --batch-size"),
        ("rnagpt evaluate --ways pair", "--ways is now --matching"),
        ("rnagpt evaluate --systems fusion rnagpt out", "commas between its words now: --systems"),
        ("rnagpt evaluate_sft.py --model m", "evaluate_sft.py is now evaluate"),
        ("rnagpt pretrain_encoder.py", "pretrain_encoder.py is now pretrain-encoder"),
        ("rnagpt convert_rnafm a b", "convert_rnafm is now convert-rnafm"),
        ("rnagpt mini --out folder", "--out is now OUT, without an option: rnagpt mini OUT"),
        ("rnagpt mini --out=folder", "--out is now OUT"),
        ("rnagpt chat --max_new_tokens 9", "--max_new_tokens is now --max-new-tokens"),
        ("rnagpt compose --rna_encoder e", "--rna_encoder is now --rna-encoder"),
        ("rnagpt publish model f a/b --license mit", "--license is now --licence"),
        ("rnagpt publish model f a/b --dry_run", "--dry_run is now --dry-run"),
        ("rnagpt pretrain-encoder --dataset_name d", "--dataset_name is now --dataset-name"),
        ("rnagpt pretrain-encoder --output_dir d", "--output_dir is now OUT"),
        ("rnagpt pretrain-encoder --output-dir d", "--output-dir is now OUT"),
        ("rna-qa rfam --random-seed 1 out", "--random-seed is now --seed"),
        ("rna-qa rfam --random_seed 1 out", "--random_seed is now --seed"),
        ("rna-qa rfam --test_families 0.1 out", "--test_families is now --test-families"),
        ("rna-qa literature out --licenses cc0", "--licenses is now --licences"),
        ("rna-qa literature out --language_model m", "--language_model is now --language-model"),
        ("rna-qa publish out a/b --dry_run", "--dry_run is now --dry-run"),
    ],
)
def test_an_old_spelling_is_an_error_that_names_the_new_one(words, told, capsys):
    program, *words = words.split()
    with pytest.raises(SystemExit, match="2"):
        MAIN[program](words)
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "places"),
    [
        ("annotate a.fa --tasks 2 hits.tsv", {"fasta": "a.fa", "out": Path("hits.tsv")}),
        ("annotate --tasks 2 a.fa hits.tsv", {"fasta": "a.fa", "out": Path("hits.tsv")}),
        ("annotate a.fa hits.tsv --tasks 2", {"fasta": "a.fa", "out": Path("hits.tsv")}),
        ("annotate --verify a.fa --tasks 2", {"fasta": "a.fa", "out": None}),
        ("annotate a.fa -- hits.tsv", {"fasta": "a.fa", "out": Path("hits.tsv")}),
        ("annotate --verify -- -a.fa -b.tsv", {"fasta": "-a.fa", "out": Path("-b.tsv")}),
        ("prompt-embeds a.fa --ask What? out.jsonl", {"fasta": "a.fa", "out": Path("out.jsonl")}),
        (
            "reference add my-reference --quiet notes.csv other",
            {
                "reference": Path("my-reference"),
                "notes": Path("notes.csv"),
                "out": Path("other"),
            },
        ),
        (
            "reference merge a b --overwrite c d",
            {"references": [Path("a"), Path("b"), Path("c")], "out": Path("d")},
        ),
        (
            "convert-rnafm a.pth --overwrite out",
            {"checkpoint": Path("a.pth"), "out": Path("out")},
        ),
    ],
)
def test_files_and_folders_may_stand_between_the_options(words, places):
    found = vars(rnagpt_cli.build_parser().parse_args(words.split()))
    assert {name: found[name] for name in places} == places


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("annotate --tasks 2", "the following arguments are required: FASTA"),
        ("annotate a.fa --no-such-option b.tsv", "unrecognized arguments: --no-such-option"),
        ("annotate a.fa --verify b.tsv c.tsv", "unrecognized arguments: c.tsv"),
        ("annotate a.fa --tasks", "argument --tasks: expected one argument"),
        ("prompt-embeds a.fa", "required: --ask"),
        ("reference merge a --overwrite", "required: OUT"),
    ],
)
def test_what_is_missing_or_too_much_is_named(words, told, capsys):
    with pytest.raises(SystemExit, match="2"):
        rnagpt_cli.main(words.split())
    told_usage, error = capsys.readouterr().err.split("error: ", 1)
    assert told in error
    assert told_usage.startswith("usage: rnagpt")


def test_a_word_that_no_old_spelling_explains_is_left_to_the_parser(capsys):
    for words in (["mini", "--no_such_option"], ["no_such_command"]):
        with pytest.raises(SystemExit, match="2"):
            rnagpt_cli.main(words)
        told = capsys.readouterr().err
        assert "is now" not in told
        assert words[-1] in told


def test_every_new_name_of_an_option_is_one(parsers):
    for command, renamed in RENAMED.items():
        known = parsers[command]._option_string_actions
        for new in renamed.values():
            assert new in known or new.startswith(f"OUT, without an option: {command} ")


def test_no_document_or_message_has_the_scripts_of_version_0_1():
    """They are gone; the change log says what they are now, and records what was run then."""
    ignored = {"CHANGELOG.md", "results.json", "training_record.json"}
    listed = subprocess.run(
        ["git", "ls-files", "*.py", "*.md", "*.yaml", "*.toml", "*.cfg", "*.json", "Makefile"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    if not listed:
        pytest.skip("no clone: the files cannot be listed")
    paths = [ROOT / name for name in listed if not name.startswith(("tests/cli/", "cli/"))]
    assert len(paths) > 100
    assert [
        str(path)
        for path in paths
        if path.name not in ignored
        and path.is_file()
        and re.search(r"evaluate_sft\.py|pretrain_encoder\.py", path.read_text(encoding="utf-8"))
        and path.name not in ("test_evaluate.py", "test_pretrain_encoder.py")
    ] == []


# What every command does first, once its words are read.
WORK = {
    "rnagpt annotate f": "rnagpt.reference.library.Reference.open",
    "rnagpt chat --rna ACGU --ask What?": "rnagpt.reference.library.Reference.open",
    "rnagpt compose --rna-encoder e --language-model m o": "rnagpt.conversion.compose.compose",
    "rnagpt convert-ernie-rna a o": "rnagpt.conversion.ernie_rna.convert_ernie_rna",
    "rnagpt convert-rinalmo a o": "rnagpt.conversion.rinalmo.convert_rinalmo",
    "rnagpt convert-rnafm a o": "rnagpt.conversion.rnafm.convert_rnafm",
    "rnagpt doctor": "rnagpt.cli.installation.examine",
    "rnagpt evaluate --model m --dataset d o": "rnagpt.evaluation.evaluate.prepare",
    "rnagpt evaluate-answers d o": "rnagpt.evaluation.cited_answers.evaluate_answers",
    "rnagpt evaluate-encoder e d o": "rnagpt.reference.library.Reference.open",
    "rnagpt export-gguf o": "rnagpt.inference.default_model.resolve_model",
    "rnagpt export-language-model o": "rnagpt.inference.default_model.resolve_model",
    "rnagpt mini o": "rnagpt.conversion.mini.load_bundled",
    "rnagpt pretrain-encoder --objective masked --fasta f o": (
        "rnagpt.training.encoder.pretrain.prepare"
    ),
    "rnagpt prompt-embeds f --ask What?": "rnagpt.sequences.fasta.read_fasta",
    "rnagpt publish model f a/b": "rnagpt.hub.model.publish_model",
    "rnagpt publish space a/b --model a/c": "rnagpt.hub.space.publish_space",
    "rnagpt reference add r n": "rnagpt.reference.library.Reference.open",
    "rnagpt reference evaluate d o": "rnagpt.evaluation.search_quality.evaluate_search",
    "rnagpt reference info": "rnagpt.reference.library.Reference.open",
    "rnagpt reference merge a b o": "rnagpt.reference.library.Reference.open",
    "rnagpt reference update r": "rnagpt.reference.library.Reference.open",
    "rnagpt mcp": "rnagpt.reference.library.Reference.open",
    "rnagpt serve --port 0": "rnagpt.cli.serve.make_service",
    "rna-qa estimate": "rnagpt.rna_qa.literature.build.whole.needs",
    "rna-qa literature o --rnas r --papers p": "rnagpt.rna_qa.literature.build.pipeline.build",
    "rna-qa publish o a/b": "rnagpt.hub.dataset.publish_dataset",
    "rna-qa precision o s": "rnagpt.rna_qa.literature.judging.samples.read_items",
    "rna-qa rfam --seed-alignments s o": "rnagpt.rna_qa.rfam.build.build",
    "rna-qa sample o s": "rnagpt.rna_qa.literature.judging.samples.read_items",
    "rna-qa status o": "rnagpt.rna_qa.literature.build.status.read_status",
}


def test_all_commands_are_tried_below(parsers):
    assert all(any(words.startswith(name) for words in WORK) for name in parsers)


@pytest.mark.parametrize(("words", "work"), WORK.items())
def test_ctrl_c_exits_with_130(words, work, monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(work, interrupt)
    program, *words = words.split()
    assert MAIN[program](words) == 130
    assert capsys.readouterr().err.startswith(f"{program} {words[0]}: stopped")


@pytest.mark.parametrize(("words", "work"), WORK.items())
def test_rejected_input_exits_with_2_and_its_reason(words, work, monkeypatch, capsys):
    def reject(*_, **__):
        raise OSError("the reason")

    monkeypatch.setattr(work, reject)
    program, *words = words.split()
    assert MAIN[program](words) == 2
    assert capsys.readouterr().err == f"{program} {words[0]}: the reason\n"


def test_a_fault_of_the_program_keeps_its_traceback(monkeypatch):
    def fail(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr("rnagpt.rna_qa.rfam.build.build", fail)
    with pytest.raises(ZeroDivisionError):
        rna_qa_cli.main(["rfam", "--quiet", "--seed-alignments", "s", "o"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--objective masked --fasta /none/rnas.fa o", "/none/rnas.fa"),
        ("--objective guess o", "must be masked or words"),
        ("--objective masked o", "needs --fasta"),
        ("--config /none.yaml o", "/none.yaml"),
        ("--fasta f o --objective masked --no-such-option", "arguments: --no-such-option"),
        ("o --config", "--config: expected one argument"),
        ("--objective masked --fasta f", "required: OUT"),
        (f"--config {ROOT / 'LICENSE'} o", "LICENSE"),
    ],
)
def test_pre_training_says_what_it_cannot_use(words, told, capsys):
    try:
        code: object = rnagpt_cli.main(["pretrain-encoder", *words.split()])
    except SystemExit as end:
        code = end.code
    assert code == 2
    message = capsys.readouterr().err
    assert "rnagpt pretrain-encoder: " in message
    assert told in message


def process(module, *words):
    return subprocess.run(
        [sys.executable, "-m", f"rnagpt.cli.{module}", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )


def called(capsys, program, *words):
    """Exit code, output and messages of a command in this process."""
    code = MAIN[program]([*map(str, words)])
    return code, *capsys.readouterr()


def test_quiet_silences_all_but_results_and_errors(tmp_path, capsys):
    encoder = tiny_parts.encoder_folder(tmp_path / "encoder")
    language = tiny_parts.language_model_folder(tmp_path / "language")
    parts = ["compose", "--rna-encoder", encoder, "--language-model", language]
    capsys.readouterr()
    # In a process of its own, where a library's import could say something too.
    quiet = process("main", *parts, tmp_path / "quiet", "--quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, f"{tmp_path / 'quiet'}\n", "")
    code, _, told = called(capsys, "rnagpt", *parts, tmp_path / "loud")
    assert (code, "freshly initialised" in told) == (0, True)
    code, _, told = called(capsys, "rnagpt", *parts, tmp_path / "quiet", "--quiet")
    assert code == 2
    assert told.startswith("rnagpt compose: ")


def test_quiet_builds_of_rna_qa(tmp_path, capsys):
    words = ["rfam", "--seed-alignments", DATA / "rfam_five_families.seed", "--clusters", "kmers"]
    quiet = process("rna_qa", *words, tmp_path / "out", "--quiet")
    assert (quiet.returncode, quiet.stderr) == (0, "")
    assert "0 records left out" in quiet.stdout
    code, _, told = called(capsys, "rna-qa", *words, tmp_path / "out")
    assert (code, "nothing to do" in told) == (0, True)
    code, out, told = called(capsys, "rna-qa", *words, tmp_path / "loud")
    assert (code, "clustering" in told) == (0, True)
    assert out.replace("loud", "out") == quiet.stdout
    words = ["rfam", "--quiet", "--seed-alignments", "/none", tmp_path / "rfam"]
    code, out, told = called(capsys, "rna-qa", *words)
    assert (code, out) == (2, "")
    assert told.startswith("rna-qa rfam: /none")


def test_quiet_keeps_the_warnings_of_python():
    code = (
        "import argparse, sys, warnings\n"
        "from tqdm import tqdm\n"
        "from rnagpt.cli.quiet import quieted\n"
        "with quieted(argparse.Namespace(quiet=True)):\n"
        "    list(tqdm([1]))\n"
        "    print('a remark', file=sys.stderr)\n"
        "    warnings.warn('a warning')\n"
        "print('afterwards', file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "a warning" in done.stderr
    assert done.stderr.endswith("afterwards\n")
    assert "remark" not in done.stderr
    assert "1/1" not in done.stderr


def change_log_rows(start):
    text = ROOT / "CHANGELOG.md"
    if not text.is_file():
        pytest.skip("the wheel is installed without its change log")
    rows = re.findall(r"^\| `([^`]+)`[^|]*\| `([^`]+)`", text.read_text(encoding="utf-8"), re.M)
    return [row for row in rows if row[0].startswith(start)]


def found(path):
    try:
        pkgutil.resolve_name(path)
    except (ImportError, AttributeError):
        return False
    return True


def test_the_change_log_names_import_paths_as_they_are():
    moved = change_log_rows("rnagpt.")
    assert len(moved) > 15
    assert [new for _, new in moved if not found(new)] == []
    of_commands = {"rnagpt.cli", "rnagpt.rna_qa.cli"}  # the first is a package now
    assert [old for old, _ in moved if old not in of_commands and found(old)] == []


def test_the_change_log_names_every_renamed_option():
    log = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    for command, renamed in RENAMED.items():
        for old in renamed:
            if (command, old) == ("rna-qa literature", "--licenses"):
                continue  # a spelling that no release had
            assert re.search(rf"(?m)^\|[^|]*{old}\b", log.replace("_", "-")), old
