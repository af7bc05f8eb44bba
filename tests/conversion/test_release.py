"""What is shipped of the mini: the same weights in bfloat16, with their sums."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from rnagpt.conversion import release as release_module
from rnagpt.conversion.prototype_scores import PrototypeScores
from rnagpt.conversion.release import ENCODER_FILES, STAGE_FILES, release


@pytest.fixture
def trained(tmp_path: Path) -> tuple[Path, Path]:
    """Folders as training writes them, with files that are not to be shipped."""
    folders = (tmp_path / "encoder", tmp_path / "stage")
    for seed, (folder, names) in enumerate(zip(folders, (ENCODER_FILES, STAGE_FILES), strict=True)):
        folder.mkdir()
        for name in (*names, "training_record.json", "optimizer.pt"):
            if name.endswith(".safetensors"):
                generator = torch.Generator().manual_seed(seed)
                save_file({"weight": torch.randn(3, 4, generator=generator)}, folder / name)
            else:
                (folder / name).write_text(json.dumps({"base_model_name_or_path": "/home/me"}))
    return folders


def test_weights_are_rounded_and_summed(trained: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "checkpoint"
    out.mkdir()
    (out / "README.md").write_text("kept")
    release(*trained, out)
    for source, target in ((trained[0], out / "encoder"), (trained[1], out)):
        for file in source.glob("*.safetensors"):
            stored = load_file(target / file.name)["weight"]
            assert stored.dtype == torch.bfloat16
            torch.testing.assert_close(
                stored.float(), load_file(file)["weight"], atol=0, rtol=2**-8
            )
    sums = dict(reversed(line.split()) for line in (out / "SHA256SUMS").read_text().splitlines())
    assert sums == {
        file.relative_to(out).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in out.rglob("*.*")
        if file.name != "README.md"
    }
    assert (out / "README.md").read_text() == "kept"
    assert not list(out.rglob("optimizer.pt"))
    assert json.loads((out / "adapter_config.json").read_text())["base_model_name_or_path"] is None


def test_too_large_weights_are_rejected(
    trained: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release_module, "MAX_BYTES", 100)
    with pytest.raises(ValueError, match="more than 100"):
        release(*trained, tmp_path / "checkpoint")


def test_the_confidence_goes_with_the_weights_it_was_fitted_to(
    trained: tuple[Path, Path], tmp_path: Path
) -> None:
    out, model = tmp_path / "checkpoint", tmp_path / "model"
    model.mkdir()
    fitted = {"confidence_scale": 0.5, "confidence_bias": 1.25}
    (model / "config.json").write_text(json.dumps({"model_type": "rna-gpt", **fitted}))
    release(*trained, out, calibrated=model)
    assert json.loads((out / "confidence.json").read_text()) == fitted
    assert "confidence.json" in (out / "SHA256SUMS").read_text()
    release(*trained, out)
    assert not (out / "confidence.json").exists()
    assert "confidence.json" not in (out / "SHA256SUMS").read_text()


def test_a_release_can_decline_less(trained: tuple[Path, Path], tmp_path: Path) -> None:
    keys = {
        "summary_keys.weight": torch.tensor([[1.0, 2.0], [3.0, -4.0], [0.5, 0.25]]),
        "summary_keys.bias": torch.tensor([1.0, 2.0, 3.0]),
        "summary.weight": torch.ones(2, 2),
    }
    save_file(keys, trained[1] / "projector.safetensors")
    out = release(*trained, tmp_path / "checkpoint", scores=PrototypeScores(2.5, 2.0))
    stored = {k: v.float() for k, v in load_file(out / "projector.safetensors").items()}
    for_peft = load_file(out / "adapter_model.safetensors")
    assert json.loads((out / "adapter_config.json").read_text())["modules_to_save"] == ["projector"]
    for name, tensor in stored.items():
        assert torch.equal(for_peft[f"base_model.model.model.projector.{name}"].float(), tensor)
    assert stored["summary_keys.weight"].tolist() == [[2.0, 4.0], [6.0, -8.0], [1.0, 0.5]]
    assert stored["summary_keys.bias"].tolist() == [2.0, 4.0, 1.0]
    assert stored["summary.weight"].tolist() == [[1.0, 1.0], [1.0, 1.0]]
    record = json.loads((out / "training_record.json").read_text())
    assert record["memory_scores"] == {"unknown_offset": 2.5, "sharpness": 2.0}


def test_scores_need_prototypes(trained: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no family prototypes"):
        release(*trained, tmp_path / "checkpoint", scores=PrototypeScores(unknown_offset=1.0))
