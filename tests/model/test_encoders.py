"""RiNALMo and ERNIE-RNA as encoders of RNA-GPT: letters, padding, windows, numbers, training."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import tiny_parts
from helpers.alignment_steps import alignment_steps
from helpers.fresh_process import found_offline
from helpers.official_outputs import stored_outputs
from helpers.tiny_models import make_rna
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModel

from rnagpt.configuration_encoders_rnagpt import ErnieRnaConfig, RinalmoConfig
from rnagpt.configuration_rnagpt import RnaGptConfig, encoder_alphabet
from rnagpt.conversion import REMOTE_CODE, WeightsError
from rnagpt.conversion.compose import compose
from rnagpt.conversion.ernie_rna import convert_ernie_rna
from rnagpt.conversion.rinalmo import convert_rinalmo
from rnagpt.conversion.rna_encoder import RnaEncoder
from rnagpt.inference.embeddings import encode
from rnagpt.modeling_encoders_rnagpt import RinalmoModel
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor

KINDS = ("rinalmo", "ernie_rna_sinusoidal")
CONFIGS: dict[str, type[Any]] = {"rinalmo": RinalmoConfig, "ernie": ErnieRnaConfig}
TOLERANCE = 1e-5
# ERNIE-RNA's small one reads 60 tokens at once, so 58 nt.
WINDOW = {"rinalmo": 1022, "ernie_rna_sinusoidal": 58}

# In a process of its own, which does not find the package.
LOAD_ENCODER = """
import json, sys
sys.modules["rnagpt"] = None
import torch
from transformers import AutoModel

folder, ids, copy = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
model = AutoModel.from_pretrained(folder, trust_remote_code=True).eval()
model.save_pretrained(copy)
again = AutoModel.from_pretrained(copy, trust_remote_code=True).eval()
with torch.no_grad():
    vectors = [one(torch.tensor(ids)).last_hidden_state.tolist() for one in (model, again)]
print(json.dumps([type(model).__module__, *vectors]))
"""
LOAD_MODEL = """
import json, sys
sys.modules["rnagpt"] = None
import torch
from transformers import AutoModel, AutoProcessor

folder, rna, copy = sys.argv[1:]
model = AutoModel.from_pretrained(folder, trust_remote_code=True)
processor = AutoProcessor.from_pretrained(folder, trust_remote_code=True)
inputs = processor("<RNAHere> is", rna)
tokens = model.generate(**inputs, do_sample=False, min_new_tokens=4, max_new_tokens=4)
with torch.no_grad():
    vectors = model.encode_rna(inputs["rna_input_ids"], inputs["rna_attention_mask"])
model.save_pretrained(copy)
processor.save_pretrained(copy)
print(json.dumps([type(model).__module__, vectors[0].tolist(), tokens[0, -4:].tolist()]))
"""


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def encoder_folder(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(kind)
    file = stored_outputs(kind).write_checkpoint(folder / "official.pt")
    convert = convert_ernie_rna if "ernie" in kind else convert_rinalmo
    return convert(file, folder / "encoder")


@pytest.fixture(scope="module")
def encoder(encoder_folder: Path) -> RnaEncoder:
    return RnaEncoder.open(encoder_folder)


@pytest.fixture(scope="module")
def composed(encoder_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("composed")
    language = tiny_parts.language_model_folder(folder / "language")
    (language / "LICENSE").write_text("the language model's terms")
    return compose(encoder_folder, language, folder / "model")


def test_every_letter_has_its_official_token(kind: str, encoder: RnaEncoder) -> None:
    ids = encoder.alphabet.tokenize("ACGURYKMSWBDHVN").tolist()
    if kind == "rinalmo":  # rinalmo/data/alphabet.py: U is read as T
        assert ids == [5, 6, 7, 8, *range(10, 21)]
        assert encoder.alphabet.tokens[8:10] == ("T", "I")
    else:  # src/dict/dict.txt, after fairseq's four
        assert ids == [5, 7, 4, 6, 10, 9, 12, 14, 11, 13, 18, 15, 16, 17, 8]


def test_letters_as_people_write_them(composed: Path) -> None:
    model = RnaGptForCausalLM.from_pretrained(composed)
    written, cleaned = encode(["acgtn ACG-TR"], model), encode(["ACGUNACGUR"], model)
    assert written[0].equal(cleaned[0])
    assert written[0].shape == (10, model.config.rna_config.hidden_size)


def test_a_batch_is_what_one_by_one_gives(encoder: RnaEncoder) -> None:
    rnas = [make_rna(50, 1), "A", make_rna(58, 2), "ACGURYKMSWBDHVN"]
    together = encoder.vectors(rnas)
    for rna, vectors in zip(rnas, together, strict=True):
        (alone,) = encoder.vectors([rna])
        assert (vectors[: len(rna)] - alone).abs().max() <= TOLERANCE


@torch.no_grad()
def test_padding_before_the_tokens_changes_nothing(encoder: RnaEncoder) -> None:
    row = torch.tensor([[0, 5, 7, 4, 6, 6, 2]])
    padded = torch.cat([torch.full((1, 3), 1), row], 1)
    found = encoder.network(padded).last_hidden_state[:, 3:]
    assert (found - encoder.network(row).last_hidden_state).abs().max() <= TOLERANCE


@torch.no_grad()
def test_attention_fused_and_written_out_agree(encoder_folder: Path) -> None:
    ids = torch.tensor([[0, 5, 7, 6, 8, 5, 2], [0, 6, 7, 2, 1, 1, 1]])
    outputs = []
    for attention in ("eager", "sdpa"):
        model = AutoModel.from_pretrained(encoder_folder, attn_implementation=attention).eval()
        assert model.config._attn_implementation == attention
        outputs.append(model(ids).last_hidden_state[ids.ne(1)])
    assert (outputs[0] - outputs[1]).abs().max() <= TOLERANCE


@torch.no_grad()
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_bfloat16_stays_near(encoder_folder: Path, encoder: RnaEncoder, attention: str) -> None:
    rnas = [make_rna(58, 3), make_rna(20, 4)]
    model = AutoModel.from_pretrained(
        encoder_folder, dtype=torch.bfloat16, attn_implementation=attention
    )
    half = RnaEncoder(model.eval())
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    exact, near = encoder.vectors(rnas), half.vectors(rnas)
    for rna, one, other in zip(rnas, exact, near, strict=True):
        cosine = torch.cosine_similarity(one[: len(rna)], other[: len(rna)], dim=-1)
        assert cosine.min() > 0.999


@torch.no_grad()
def test_hidden_states_and_tuples(encoder: RnaEncoder) -> None:
    ids = torch.tensor([[0, 5, 6, 2]])
    output = encoder.network(ids, output_hidden_states=True)
    assert len(output.hidden_states) == len(encoder.network.layers) + 1
    last, states = encoder.network(ids, output_hidden_states=True, return_dict=False)
    assert last.equal(output.last_hidden_state)
    assert states[0].shape == last.shape
    with pytest.raises(ValueError, match=r"shape \(1, 3\); expected that of input_ids, \(1, 4\)"):
        encoder.network(ids, attention_mask=torch.ones(1, 3))


def test_new_weights_are_neither_empty_nor_alike() -> None:
    for config in (
        RinalmoConfig(hidden_size=40, num_hidden_layers=1, intermediate_size=8),
        ErnieRnaConfig(hidden_size=24, num_hidden_layers=1, intermediate_size=8),
    ):
        model = AutoModel.from_config(config)
        for name, weight in model.named_parameters():
            assert weight.isfinite().all(), name
            is_one = "norm.weight" in name or "gate_slope" in name
            assert (weight == 1).all() if is_one else True, name
            assert weight.std() > 0 if weight.ndim == 2 and min(weight.shape) > 1 else True, name


def test_sizes_that_cannot_be() -> None:
    with pytest.raises(ValueError, match=r"hidden_size \(60\) .* \(20\) must give each head an e"):
        RinalmoConfig(hidden_size=60)
    with pytest.raises(ValueError, match=r"hidden_size \(50\) .* \(12\) must give each head a wh"):
        ErnieRnaConfig(hidden_size=50)
    with pytest.raises(ValueError, match="must be 'learned' or 'sinusoidal', got 'rotary'"):
        ErnieRnaConfig(position_embedding_type="rotary")


@torch.no_grad()
def test_lengths_beyond_their_training(kind: str, encoder: RnaEncoder) -> None:
    """RiNALMo reads any; ERNIE-RNA as many as it has positions, or says what to do."""
    letters = torch.tensor([[0, *[5, 6, 7] * 500, 2]])
    if kind == "rinalmo":
        assert encoder.network(letters).last_hidden_state.isfinite().all()
        return
    assert encoder.network(letters[:, :60]).last_hidden_state.isfinite().all()
    with pytest.raises(ValueError, match=r"reads 60 tokens .* got 1,502\. Give it windows of at m"):
        encoder.network(letters)


def test_the_windows_of_a_composed_model(kind: str, composed: Path, encoder: RnaEncoder) -> None:
    model = RnaGptForCausalLM.from_pretrained(composed)
    config = model.config
    assert encoder.window == config.rna_window_length == WINDOW[kind]
    rna = make_rna(150, 5)
    vectors = encode([rna], model)[0]
    assert vectors.shape == (150, config.rna_config.hidden_size)
    # Nucleotides that lie deepest in the first window, or in the whole: without cls and eos.
    first = encoder.vectors([rna[: config.rna_window_length]])[0]
    assert (vectors[:30] - first[:30]).abs().max() <= TOLERANCE
    if kind != "rinalmo":
        with pytest.raises(ValueError, match=r"rna_window_length \(59 nt\) must be at most 58 nt"):
            RnaGptConfig(rna_config=config.rna_config, rna_window_length=59, rna_window_overlap=9)


def test_composed_configuration_and_terms(kind: str, composed: Path) -> None:
    config = json.loads((composed / "config.json").read_text())
    assert "auto_map" not in config["rna_config"]
    assert config["rna_config"]["model_type"].startswith("rna-gpt-")
    notice = (composed / "NOTICE.rna-encoder.txt").read_text()
    assert ("ERNIE-RNA" if "ernie" in kind else "RiNALMo") in notice
    assert (composed / "LICENSE").read_text() == "the language model's terms"
    assert {path.name for path in composed.glob("*.py")} == set(REMOTE_CODE)
    loaded: Any = RnaGptConfig.from_pretrained(composed)
    assert type(loaded.rna_config) is CONFIGS[kind.split("_")[0]]
    alphabet = encoder_alphabet(loaded.rna_config)
    assert RnaGptProcessor.from_pretrained(composed).rna_alphabet == alphabet


def test_an_encoders_licence_does_not_replace_the_language_models(
    encoder_folder: Path, tmp_path: Path
) -> None:
    language = tiny_parts.language_model_folder(tmp_path / "language")
    encoder = tiny_parts.encoder_folder(tmp_path / "encoder")
    for folder in (language, encoder):
        (folder / "LICENSE.md").write_text(folder.name)
    model = compose(encoder, language, tmp_path / "model")
    assert (model / "LICENSE.md").read_text() == "language"
    assert (model / "LICENSE.rna-encoder.md").read_text() == "encoder"


@torch.no_grad()
def test_a_fresh_process_loads_the_encoder(
    encoder_folder: Path, encoder: RnaEncoder, tmp_path: Path
) -> None:
    ids = [[0, 5, 6, 7, 8, 2], [0, 7, 4, 2, 1, 1]]
    module, *found = found_offline(
        LOAD_ENCODER, encoder_folder, json.dumps(ids), tmp_path / "copy", folder=tmp_path
    )
    assert module.startswith("transformers_modules.")
    expected = encoder.network(torch.tensor(ids)).last_hidden_state
    for vectors in found:
        torch.testing.assert_close(torch.tensor(vectors), expected)
    # With the package its own class is taken, and no code of the folder is run.
    again = AutoModel.from_pretrained(tmp_path / "copy", trust_remote_code=True)
    assert type(again).__module__ == "rnagpt.modeling_encoders_rnagpt"
    assert type(AutoConfig.from_pretrained(tmp_path / "copy")).__module__.startswith("rnagpt.")


def test_a_fresh_process_loads_the_composed_model(
    composed: Path, encoder: RnaEncoder, tmp_path: Path
) -> None:
    rna = "ACGUNRACG"
    module, vectors, tokens = found_offline(
        LOAD_MODEL, composed, rna, tmp_path / "copy", folder=tmp_path
    )
    assert module.startswith("transformers_modules.")
    torch.testing.assert_close(torch.tensor(vectors), encoder.vectors([rna])[0])
    assert len(tokens) == 4
    assert {path.name for path in (tmp_path / "copy").glob("*.py")} == set(REMOTE_CODE)
    copy = RnaGptForCausalLM.from_pretrained(tmp_path / "copy")
    assert isinstance(copy.model.rna_encoder, type(encoder.network))
    torch.testing.assert_close(encode([rna], copy)[0], encoder.vectors([rna])[0])


def test_code_from_the_hub_and_the_package_in_one_process(composed: Path) -> None:
    """The remote code registers its classes under the same names; each model keeps its own."""
    remote = AutoModel.from_pretrained(composed, trust_remote_code=True)
    local = RnaGptForCausalLM.from_pretrained(composed)
    assert type(remote).__module__.startswith("transformers_modules.")
    parts = [type(model.model.rna_encoder).__module__ for model in (remote, local)]
    assert parts[0].startswith("transformers_modules.")
    assert parts[1] == "rnagpt.modeling_encoders_rnagpt"
    encoder = composed.parent / "again"
    local.model.rna_encoder.save_pretrained(encoder)
    opened = RnaEncoder.open(encoder).network
    assert type(opened).__module__ == "rnagpt.modeling_encoders_rnagpt"


@pytest.mark.parametrize("trains_encoder", [False, True])
def test_some_steps_of_training(
    composed: Path, trains_encoder: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    alignment_steps(3, composed, tmp_path, train_encoder=str(trains_encoder).lower())
    before = load_file(composed / "model.safetensors")
    after = load_file(tmp_path / "out" / "projector.safetensors")
    assert any(not value.equal(before[f"model.projector.{name}"]) for name, value in after.items())
    trained = tmp_path / "out" / "encoder"
    assert trained.is_dir() == trains_encoder
    if trains_encoder:
        tensors = load_file(trained / "model.safetensors")
        changed = [n for n in tensors if not tensors[n].equal(before[f"model.rna_encoder.{n}"])]
        # Rows of letters that no RNA here has stay; every layer learns.
        assert len(changed) > 0.8 * len(tensors)
        language = composed.parent / "language"
        compose(trained, language, tmp_path / "next", projector=tmp_path / "out")


def test_an_encoder_that_lacks_a_tensor(encoder_folder: Path, tmp_path: Path) -> None:
    model = AutoModel.from_pretrained(encoder_folder)
    tensors = {name: one for name, one in model.state_dict().items() if "down.bias" not in name}
    model.save_pretrained(tmp_path / "encoder", state_dict=tensors)
    with pytest.raises(WeightsError, match=r"lacks tensors: layers\.0\.down\.bias"):
        RnaEncoder.open(tmp_path / "encoder")


@torch.no_grad()
def test_masked_tokens_are_dropped_as_in_training() -> None:
    """By the formula of ESM's token dropout, with numbers that are counted out here."""
    config = RinalmoConfig(hidden_size=40, num_hidden_layers=0, intermediate_size=8)
    model: Any = RinalmoModel(config)
    ids = torch.tensor([[0, 5, 4, 4, 6, 2, 1, 1]])  # two of six tokens are masked
    states = model(ids, output_hidden_states=True).hidden_states[0]
    expected = model.embeddings.weight[ids] * 0.88 / (1 - 2 / 6)
    expected[0, 2:4] = 0
    torch.testing.assert_close(states, expected)
