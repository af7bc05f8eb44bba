"""
Writes what is shipped of rna-gpt-mini, from what training wrote.

```bash
python -m rnagpt.conversion.release --encoder out/encoder --stage out/instruction \
    checkpoints/rna-gpt-mini
rnagpt mini rna-gpt-mini
rnagpt evaluate --model rna-gpt-mini --dataset rna-qa --write-calibration out/evaluation
python -m rnagpt.conversion.release --encoder out/encoder --stage out/instruction \
    --calibrated rna-gpt-mini checkpoints/rna-gpt-mini
```

Weights are stored in bfloat16, half of what training held. `--unknown_offset` and `--sharpness` set
how readily the model abstains, as `python -m rnagpt.evaluation.abstention_threshold` helps to
choose. Whatever else lies in the folder, such as its README, stays. `SHA256SUMS` is what
`rnagpt mini` checks later.
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from rnagpt.conversion.adapter import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    PROJECTOR_PART,
    naming_parts,
    part_tensors,
    with_parts,
)
from rnagpt.conversion.mini import CONFIDENCE_FILE, sha256
from rnagpt.conversion.projector_folder import PROJECTOR_WEIGHTS
from rnagpt.conversion.prototype_scores import AS_TRAINED, PrototypeScores

ENCODER_FILES = ("config.json", "model.safetensors")
STAGE_FILES = (
    "projector_config.json",
    "projector.safetensors",
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
)
MAX_BYTES = 60_000_000  # the projection lies there twice: by itself, and for PEFT in the adapter


def release(
    encoder: Path,
    stage: Path,
    out: Path,
    calibrated: Path | None = None,
    scores: PrototypeScores = AS_TRAINED,
) -> Path:
    """Copy encoder, projection, adapter and training record to `out`, weights as bfloat16.

    Args:
        encoder: output of `training/encoder/pretrain.py`.
        stage: output of the instruction stage of `train_sft.py`.
        calibrated: the same parts composed, with the confidence that an evaluation wrote into
            its configuration; None: answers come without a confidence.
        scores: how readily it abstains.

    Raises:
        FileNotFoundError: if one of the parts is missing.
        ValueError: if the weights take more than 60 MB; if `scores` needs prototypes that
            the projection lacks.
    """
    (out / "encoder").mkdir(parents=True, exist_ok=True)
    written = [_copy(encoder / name, out / "encoder" / name) for name in ENCODER_FILES]
    written += [_copy(stage / name, out / name, scores) for name in STAGE_FILES]
    parts = part_tensors(out) | {PROJECTOR_PART: load_file(out / PROJECTOR_WEIGHTS)}
    whole = with_parts(load_file(out / ADAPTER_WEIGHTS), parts)
    save_file(whole, out / ADAPTER_WEIGHTS, metadata={"format": "pt"})
    adapter = naming_parts(json.loads((stage / ADAPTER_CONFIG).read_text()), parts)
    # PEFT notes the folder of the model that was trained, which is on this machine only.
    adapter["base_model_name_or_path"] = None
    (out / ADAPTER_CONFIG).write_text(json.dumps(adapter, indent=2) + "\n")
    record = {
        "encoder": json.loads((encoder / "training_record.json").read_text()),
        "stages": json.loads((stage / "training_record.json").read_text()),
    }
    if scores != AS_TRAINED:
        record["memory_scores"] = scores.record()
    (out / "training_record.json").write_text(json.dumps(record, indent=1) + "\n")
    size = sum(path.stat().st_size for path in written if path.suffix == ".safetensors")
    if size > MAX_BYTES:
        raise ValueError(f"The weights take {size:,} bytes, more than {MAX_BYTES:,}.")
    written.append(out / "training_record.json")
    # One that was fitted to earlier weights would be wrong.
    (out / CONFIDENCE_FILE).unlink(missing_ok=True)
    if calibrated is not None:
        config = json.loads((calibrated / "config.json").read_text())
        fitted = {name: config[name] for name in ("confidence_scale", "confidence_bias")}
        (out / CONFIDENCE_FILE).write_text(json.dumps(fitted, indent=2) + "\n")
        written.append(out / CONFIDENCE_FILE)
    sums = [f"{sha256(path)}  {path.relative_to(out).as_posix()}\n" for path in sorted(written)]
    (out / "SHA256SUMS").write_text("".join(sums))
    return out


def _copy(source: Path, target: Path, scores: PrototypeScores = AS_TRAINED) -> Path:
    if source.suffix != ".safetensors":
        return Path(shutil.copyfile(source, target))
    tensors = load_file(source)
    if source.name == PROJECTOR_WEIGHTS:
        tensors = scores.apply_to(tensors)
    tensors = {name: tensor.to(torch.bfloat16) for name, tensor in tensors.items()}
    save_file(tensors, target, metadata={"format": "pt"})
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the shipped parts of rna-gpt-mini.")
    parser.add_argument(
        "--encoder", type=Path, required=True, help="output of training/encoder/pretrain.py"
    )
    parser.add_argument("--stage", type=Path, required=True, help="output of the instruction stage")
    parser.add_argument(
        "--calibrated",
        type=Path,
        help="model folder that `rnagpt evaluate --write-calibration` wrote",
    )
    for name, text in (
        ("unknown_offset", "taken from the score of the memory's entry for unknown RNAs"),
        ("sharpness", "factor of the scores of all entries, after that"),
    ):
        default = getattr(AS_TRAINED, name)
        parser.add_argument(
            f"--{name}", type=float, default=default, help=f"{text} (default: {default:g})"
        )
    parser.add_argument("out", type=Path, metavar="OUT")
    arguments = parser.parse_args()
    scores = PrototypeScores(arguments.unknown_offset, arguments.sharpness)
    print(release(arguments.encoder, arguments.stage, arguments.out, arguments.calibrated, scores))


if __name__ == "__main__":
    main()
