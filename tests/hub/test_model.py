"""Publishing a model to a Hub on loopback, and loading it from there in clean environments."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import tiny_parts
from helpers.small_hub import SmallHub
from huggingface_hub import HfApi, ModelCard

from rnagpt.conversion.compose import compose
from rnagpt.hub import PublishError
from rnagpt.hub.model import publish_model
from rnagpt.hub.model_card import CardFacts
from rnagpt.hub.verify import run_in_clean_env

REPO = "laboratory/rna-gpt-tiny"
BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"
FACTS = CardFacts(REPO, BASE, dataset="laboratory/rna-qa")


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Encoder, projection and adapter, as `train_sft.py` leaves them."""
    folder = tmp_path_factory.mktemp("parts") / "stage"
    tiny_parts.projector_folder(folder)
    tiny_parts.adapter_folder(folder)
    tiny_parts.encoder_folder(folder / "encoder")
    return folder


@pytest.fixture(scope="module")
def language_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_parts.language_model_folder(tmp_path_factory.mktemp("language") / "model")


@pytest.fixture(scope="module")
def model(parts: Path, language_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In three shards, so that one can be finished while the other is not."""
    out = tmp_path_factory.mktemp("model") / "rna-gpt-tiny"
    return compose(
        parts / "encoder", language_model, out, projector=parts, adapter=parts, max_shard_size=40000
    )


@pytest.fixture
def publish(hub: SmallHub, model: Path) -> Callable[..., str | None]:
    def run(folder: Path = model, facts: CardFacts | None = FACTS, **options: Any) -> str | None:
        api = HfApi(endpoint=hub.url, token=options.pop("token", hub.token))
        lines: list[str] = options.pop("lines", [])
        return publish_model(
            folder, facts, REPO, **{"tag": "v1", "say": lines.append, "api": api} | options
        )

    return run


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of what comes before the verification, which takes two processes."""
    monkeypatch.setattr("rnagpt.hub.model._model_verification", lambda *_: lambda *_: None)


@pytest.mark.slow
def test_published_verified_tagged(hub: SmallHub, publish: Callable[..., str], model: Path) -> None:
    lines: list[str] = []
    commit = publish(lines=lines)
    repository = hub.repository(REPO)
    assert repository.tags == {"v1": commit}
    assert repository.messages == ["initial", "Upload files", "Upload card"]
    files = repository.files()
    local = {path.name for path in model.iterdir()}
    assert set(files) == local | {"README.md", ".gitattributes"}
    for name in local:
        assert hub.read(files[name].sha256) == (model / name).read_bytes()
    shown = "\n".join(lines)
    assert all(name in shown for name in local)
    assert "verified, tag v1" in shown
    # Again: nothing is sent, nothing is committed.
    sent = len(hub.uploaded)
    assert publish() == commit
    assert len(hub.uploaded) == sent
    assert len(repository.history) == 3


@pytest.mark.slow
def test_a_tampered_file_leaves_the_tag_unset(
    hub: SmallHub, publish: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def tampering(*words: Any, **options: Any) -> Any:
        if options.get("api"):
            hub.tamper(REPO, "model-00001-of-00003.safetensors")
        return run_in_clean_env(*words, **options)

    monkeypatch.setattr("rnagpt.hub.verify.run_in_clean_env", tampering)
    with pytest.raises(PublishError, match="verification failed") as raised:
        publish()
    assert "model-00001-of-00003.safetensors came back with the SHA-256" in str(raised.value)
    assert "The tag v1 is not set" in str(raised.value)
    assert "the same command verifies again" in str(raised.value)
    assert hub.repository(REPO).tags == {}


def test_a_dry_run_shows_and_asks_nothing(
    hub: SmallHub, publish: Callable[..., str | None]
) -> None:
    lines: list[str] = []
    assert publish(dry_run=True, lines=lines) is None
    assert hub.requests == []
    assert "config.json" in "\n".join(lines)
    assert "README.md  (new)" in "\n".join(lines)


def test_code_that_the_folders_code_imports_is_needed(
    publish: Callable[..., None], model: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(model, tmp_path / "model")
    (folder / "cleaning_rnagpt.py").unlink()
    with pytest.raises(PublishError, match=r"lacks cleaning_rnagpt\.py;"):
        publish(folder, dry_run=True)
    # A folder of an earlier release, whose three files import only each other.
    for code in folder.glob("*_rnagpt.py"):
        code.write_text(code.read_text().replace("from .cleaning_rnagpt import", "from x import"))
    publish(folder, dry_run=True)


@pytest.mark.usefixtures("verified")
def test_a_cut_upload_resumes_without_sending_finished_files(
    hub: SmallHub, publish: Callable[..., str], model: Path
) -> None:
    shards = [f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
    cut = hashlib.sha256((model / shards[1]).read_bytes()).hexdigest()
    hub.fault("PUT", f"/lfs/{cut}")
    with pytest.raises(PublishError, match="resumes from here") as raised:
        publish()
    assert shards[1] in str(raised.value)
    assert f"{REPO} was created and is empty" in str(raised.value)
    assert hub.repository(REPO).messages == ["initial"]
    first = list(hub.uploaded)
    assert cut not in first
    hub.faults.clear()
    commit = publish()
    assert hub.uploaded[: len(first)] == first
    assert len(hub.uploaded) == len(set(hub.uploaded)) == 3
    assert hub.repository(REPO).tags == {"v1": commit}


@pytest.mark.usefixtures("verified")
def test_many_files_may_be_there_in_part(
    hub: SmallHub, publish: Callable[..., str], model: Path, tmp_path: Path
) -> None:
    """The client commits a large folder in parts, so what a cut upload left is not known."""
    folder = Path(shutil.copytree(model, tmp_path / "many"))
    for number in range(20):
        (folder / "notes").mkdir(exist_ok=True)
        (folder / "notes" / f"[{number}] *.txt").write_text(f"Note {number}.")
    fault = hub.fault("PUT", "/lfs/")
    with pytest.raises(PublishError, match="perhaps some of the files, without their card"):
        publish(folder)
    fault.times = 0
    publish(folder)
    assert "notes/[7] *.txt" in hub.repository(REPO).files()
    # What goes is removed by its exact name, though that reads as a pattern.
    (folder / "notes" / "[7] *.txt").unlink()
    publish(folder, tag="v2", overwrite=True)
    files = hub.repository(REPO).files()
    assert sorted(path for path in files if path.startswith("notes/")) == sorted(
        f"notes/{path.name}" for path in (folder / "notes").iterdir()
    )


@pytest.mark.parametrize(
    ("at", "state"),
    [
        ("Uploading", f"{REPO} was created and is empty"),
        ("Verifying", "the tag is not set"),
    ],
)
def test_whoever_stops_it_reads_how_far_it_came(
    hub: SmallHub, publish: Callable[..., str], at: str, state: str
) -> None:
    class Lines(list[str]):
        def append(self, line: str) -> None:
            super().append(line)
            if at in line:
                raise KeyboardInterrupt

    lines = Lines()
    with pytest.raises(KeyboardInterrupt):
        publish(lines=lines)
    assert lines[-1].startswith("Stopped.")
    assert state in lines[-1]
    assert "resumes from here" in lines[-1]
    assert hub.repository(REPO).tags == {}


@pytest.mark.usefixtures("verified")
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (("POST", "/api/repos/create", 401, "Invalid credentials"), "wants a token"),
        (("POST", "/batch", 429, "slow down"), "rate limit"),
        (("POST", "/batch", 403, "Private repository storage limit reached"), "storage limit"),
        (("PUT", "/lfs/", 500, "broken disk"), "broken disk"),
        (("POST", "/commit/", 413, "too large"), "quota"),
        (("POST", "/batch", 402, "Payment Required"), "asks for payment"),
        (("PUT", "/lfs/", 507, "disk full"), "has no room"),
    ],
)
def test_faults_are_explained_and_nothing_is_committed(
    hub: SmallHub, publish: Callable[..., str], fault: tuple[str, str, int, str], message: str
) -> None:
    hub.fault(*fault)
    with pytest.raises(PublishError, match=message) as raised:
        publish()
    if fault[1] == "/api/repos/create":
        assert hub.repositories == {}
        assert f"Nothing was committed to {REPO}." in str(raised.value)
        return
    assert hub.repository(REPO).messages == ["initial"]
    assert hub.repository(REPO).tags == {}
    # What it left behind is said: once as new, then as what was there.
    assert f"{REPO} was created and is empty" in str(raised.value)
    with pytest.raises(PublishError, match=f"Nothing was committed to {REPO}"):
        publish()


@pytest.mark.usefixtures("verified")
def test_a_commit_without_its_card_says_so_and_is_finished_later(
    hub: SmallHub, publish: Callable[..., str]
) -> None:
    fault = hub.fault("POST", "/commit/", 500, after=1)
    with pytest.raises(PublishError, match="but not their card; the tag is not set"):
        publish()
    fault.times = 0
    assert "README.md" not in hub.repository(REPO).files()
    commit = publish()
    assert hub.repository(REPO).tags == {"v1": commit}
    assert hub.repository(REPO).messages == ["initial", "Upload files", "Upload card"]


@pytest.mark.usefixtures("verified")
def test_wrong_token_and_no_network(hub: SmallHub, publish: Callable[..., str]) -> None:
    with pytest.raises(PublishError, match="hf auth login"):
        publish(token="hub-token-of-nobody")
    assert hub.repositories == {}
    with pytest.raises(PublishError, match="cannot be reached"):
        publish(api=HfApi(endpoint="http://127.0.0.1:9", token="any"))


@pytest.mark.parametrize("repo_id", ["rna-gpt-tiny", "laboratory/rna gpt", "a/b/c", "/models/tiny"])
def test_what_is_no_id_is_rejected_before_anything_is_asked(
    hub: SmallHub, model: Path, repo_id: str
) -> None:
    """An id without its owner would be made for whoever has the token, and not be found again."""
    api = HfApi(endpoint=hub.url, token=hub.token)
    with pytest.raises(PublishError, match="ORG/"):
        publish_model(model, FACTS, repo_id, tag="v1", api=api, dry_run=True)
    assert hub.requests == []


def test_parts_need_a_language_model_that_is_there(
    hub: SmallHub, publish: Callable[..., str], parts: Path
) -> None:
    """Else nobody could put them together: the check comes before anything is uploaded."""
    facts = CardFacts(REPO, BASE, adapter_only=True)
    with pytest.raises(PublishError, match=f"language model {BASE} cannot be read") as raised:
        publish(parts, facts, adapter_only=True)
    assert "--language-model" in str(raised.value)
    assert hub.repositories == {}


LLAMA_3 = "meta-llama/Meta-Llama-3-8B-Instruct"


@pytest.mark.usefixtures("verified")
def test_llama_3_goes_with_its_licence_and_its_notice(
    hub: SmallHub, publish: Callable[..., str], parts: Path, tmp_path: Path
) -> None:
    language_model = tiny_parts.language_model_folder(tmp_path / "language_model")
    for number, terms in enumerate(([], ["LICENSE", "USE_POLICY.md"])):
        for name in terms:
            (language_model / name).write_text(f"The text of {name}.\n")
        model = compose(
            parts / "encoder", language_model, tmp_path / f"model{number}", projector=parts
        )
        if not terms:
            with pytest.raises(PublishError, match="has no LICENSE, and llama3 asks"):
                publish(model, CardFacts(REPO, LLAMA_3), dry_run=True)
    publish(model, CardFacts(REPO, LLAMA_3))
    files = hub.repository(REPO).files()
    text = {name: hub.read(files[name].sha256).decode() for name in (*terms, "NOTICE")}
    assert text["LICENSE"] == "The text of LICENSE.\n"
    assert text["USE_POLICY.md"] == "The text of USE_POLICY.md.\n"
    assert "licensed under the Meta Llama 3 Community License" in text["NOTICE"]


@pytest.mark.usefixtures("verified")
def test_other_files_are_replaced_only_when_asked(
    hub: SmallHub, publish: Callable[..., str], model: Path, tmp_path: Path
) -> None:
    first = publish()
    other = tmp_path / "other"
    other.mkdir()
    for path in model.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    (other / "generation_config.json").write_text("{}")
    with pytest.raises(PublishError, match="choose another with --tag"):
        publish(other)
    with pytest.raises(PublishError, match=r"generation_config\.json.*--overwrite"):
        publish(other, tag="v2")
    assert hub.repository(REPO).branches["main"] == first
    second = publish(other, tag="v2", overwrite=True)
    assert hub.repository(REPO).tags == {"v1": first, "v2": second}
    with pytest.raises(PublishError, match="choose another with --tag"):
        publish(other, tag="v1")  # the files are there, but v1 is of others
    (other / "notes.txt").write_text("notes")
    publish(other, tag="v3", overwrite=True)
    (other / "notes.txt").unlink()
    lines: list[str] = []
    publish(other, tag="v4", overwrite=True, lines=lines)
    assert "  removed  notes.txt" in lines
    assert "notes.txt" not in hub.repository(REPO).files()


@pytest.mark.usefixtures("verified")
def test_branch_and_privacy(hub: SmallHub, publish: Callable[..., str]) -> None:
    commit = publish(revision="long-rnas", private=True)
    repository = hub.repository(REPO)
    assert repository.private
    assert repository.branches["long-rnas"] == commit
    assert set(repository.files("main")) == {".gitattributes"}
    repository.private = False
    with pytest.raises(PublishError, match="is public, but --private"):
        publish(private=True)


@pytest.mark.slow
def test_a_private_model_is_verified_with_the_token(
    hub: SmallHub, publish: Callable[..., str]
) -> None:
    hub.create(REPO, private=True)  # as an organisation's settings may make it
    commit = publish()
    assert hub.repository(REPO).tags == {"v1": commit}


@pytest.mark.slow
def test_parts_are_composed_with_their_language_model(
    hub: SmallHub, publish: Callable[..., str], parts: Path, language_model: Path
) -> None:
    facts = CardFacts(REPO, BASE, adapter_only=True)
    commit = publish(parts, facts, adapter_only=True, language_model=language_model)
    repository = hub.repository(REPO)
    assert repository.tags == {"v1": commit}
    assert "model.safetensors" not in repository.files()
    adapter = json.loads(hub.read(repository.files()["adapter_config.json"].sha256))
    assert adapter["base_model_name_or_path"] == BASE


# What the card's block shows, run as it stands there by somebody who has the Hub alone.
PINNED = """
import sys
sys.modules["rnagpt"] = None
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMultimodalLM
remote = {"trust_remote_code": True, "revision": sys.argv[2], "code_revision": sys.argv[2]}
where = sys.argv[1]
assert AutoConfig.from_pretrained(where, **remote).model_type == "rna-gpt"
for auto in (AutoModelForCausalLM, AutoModelForMultimodalLM):
    model = auto.from_pretrained(where, device_map="auto", **remote)
    assert type(model).__name__ == "RnaGptForCausalLM", type(model)
"""
# The pipeline of multimodal chats hands all to the processor's chat template.
PIPELINE = """
import sys
sys.modules["rnagpt"] = None
from transformers import pipeline
answer = pipeline("any-to-any", model=sys.argv[1], trust_remote_code=True)
rna = {"type": "rna", "rna": "GCGGAUUUAGCUCAGUUGGGAGAGC"}
question = [rna, {"type": "text", "text": "What is this RNA?"}]
messages = [{"role": "user", "content": question}]
(found,) = answer(text=messages, max_new_tokens=4, return_full_text=False)
assert isinstance(found["generated_text"], str), found
"""
SIDE_BY_SIDE = """
import sys
from rnagpt import RnaChat
from transformers import AutoModel
chat = RnaChat.from_pretrained(sys.argv[1])
model = AutoModel.from_pretrained(sys.argv[1], trust_remote_code=True)
assert type(chat.model).__module__ == "rnagpt.modeling_rnagpt", type(chat.model)
assert type(model).__module__.startswith("transformers_modules."), type(model)
again = RnaChat.from_pretrained(sys.argv[1])
assert type(again.model) is type(chat.model)
"""
OF_A_BRANCH = """
import sys
from rnagpt import RnaChat
chat = RnaChat.from_pretrained(sys.argv[1], revision=sys.argv[2], token=sys.argv[3])
chat.add_rna("GCGGAUUUAGCUCAGUUGGGAGAGC")
for piece in chat.ask("What is this RNA?", max_new_tokens=4):
    pass
"""
# All that the language model's layers hold is in 4 bits; what the RNA passes is as it was.
FOUR_BITS = """
import sys
sys.modules["rnagpt"] = None
import torch
from torch import nn
from transformers import AutoModel, AutoProcessor, BitsAndBytesConfig
from bitsandbytes.nn import Linear4bit
where, bits = sys.argv[1], BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
remote = {"trust_remote_code": True, "device_map": "auto"}
whole = AutoModel.from_pretrained(where, **remote)
model = AutoModel.from_pretrained(where, quantization_config=bits, **remote)
linear = {name for name, part in whole.named_modules() if isinstance(part, nn.Linear)}
layers = {name for name in linear if name.startswith("model.language_model.layers.")}
found = {name for name, part in model.named_modules() if isinstance(part, Linear4bit)}
assert found == layers != set(), found ^ layers
processor = AutoProcessor.from_pretrained(where, trust_remote_code=True)
rna = {"type": "rna", "rna": "GCGGAUUUAGCUCAGUUGGGAGAGC"}
question = [rna, {"type": "text", "text": "What is this RNA?"}]
messages = [{"role": "user", "content": question}]
inputs = processor.apply_chat_template(messages, tokenize=True, add_generation_prompt=True)
inputs = inputs.to(model.device)
with torch.no_grad():
    full, small = whole(**inputs), model(**inputs)
assert torch.equal(small.rna_vectors, full.rna_vectors)
logits = torch.stack([full.logits[0, -1], small.logits[0, -1]]).float()
assert not torch.equal(*logits)
assert torch.corrcoef(logits)[0, 1] > 0.9, torch.corrcoef(logits)
assert model.generate(**inputs, max_new_tokens=4).shape[1] > inputs["input_ids"].shape[1]
"""
UNTRUSTED = """
import sys
sys.modules["rnagpt"] = None
from transformers import AutoModel
AutoModel.from_pretrained(sys.argv[1])
"""


def run_in_clean_process(
    code: str, *words: str, home: Path, url: str | None
) -> "subprocess.CompletedProcess":
    reach = {"HF_ENDPOINT": url} if url else {"HF_HUB_OFFLINE": "1"}
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HF_")},
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
        "OMP_NUM_THREADS": "1",
        **reach,
    }
    return subprocess.run(
        [sys.executable, "-P", "-c", code, *words],
        env=environment,
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
@pytest.mark.usefixtures("verified")
def test_a_chat_with_the_private_model_of_a_branch(
    hub: SmallHub, publish: Callable[..., str], tmp_path: Path
) -> None:
    publish(revision="long-rnas", private=True)  # so that main holds no model
    words = (REPO, "long-rnas", hub.token)
    done = run_in_clean_process(OF_A_BRANCH, *words, home=tmp_path, url=hub.url)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("verified")
def test_loads_by_id_pinned_offline_and_as_the_card_says(
    hub: SmallHub, publish: Callable[..., str], tmp_path: Path
) -> None:
    commit = publish()
    home = tmp_path / "home"
    home.mkdir()
    card = ModelCard(hub.read(hub.repository(REPO).files()["README.md"].sha256).decode())
    usage = card.text.split("```python\n")[1].split("```")[0]
    without_package = "import sys\nsys.modules['rnagpt'] = None\n"
    for url in (hub.url, None):  # from the Hub, then from the cache
        done = run_in_clean_process(without_package + usage, home=home, url=url)
        assert done.returncode == 0, done.stderr
        done = run_in_clean_process(PINNED, REPO, commit, home=home, url=url)
        assert done.returncode == 0, done.stderr
    for code in (SIDE_BY_SIDE, PIPELINE):
        done = run_in_clean_process(code, REPO, home=home, url=hub.url)
        assert done.returncode == 0, done.stderr
    rejected = run_in_clean_process(UNTRUSTED, REPO, home=home, url=hub.url)
    assert rejected.returncode != 0
    assert "trust_remote_code=True" in rejected.stderr
    HfApi(endpoint=hub.url, token=hub.token).delete_file("modeling_rnagpt.py", REPO)
    for words, message in (
        (("laboratory/nothing", "main"), "laboratory/nothing"),
        ((REPO, "no-such-revision"), "no-such-revision"),
        # The repository's first commit, which holds nothing; then one that lacks the code alone.
        ((REPO, hub.repository(REPO).history[0]), "config.json"),
        ((REPO, hub.repository(REPO).branches["main"]), "modeling_rnagpt.py"),
    ):
        failed = run_in_clean_process(PINNED, *words, home=home, url=hub.url)
        assert failed.returncode != 0
        assert message in failed.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("verified")
def test_loads_by_id_in_4_bits(hub: SmallHub, publish: Callable[..., str], tmp_path: Path) -> None:
    """On a CPU, for which bitsandbytes has 4 bits too; its kernels want multiples of 64."""
    pytest.importorskip("bitsandbytes", reason="bitsandbytes quantises")
    wide = {"hidden_size": 128, "intermediate_size": 256, "num_key_value_heads": 4}
    model = compose(
        tiny_parts.encoder_folder(tmp_path / "encoder"),
        tiny_parts.language_model_folder(tmp_path / "language_model", **wide),
        tmp_path / "model",
        projector=tiny_parts.projector_folder(tmp_path / "projector", text_hidden_size=128),
    )
    publish(model)
    home = tmp_path / "home"
    home.mkdir()
    done = run_in_clean_process(FOUR_BITS, REPO, home=home, url=hub.url)
    assert done.returncode == 0, done.stderr
