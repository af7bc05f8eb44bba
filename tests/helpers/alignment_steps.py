"""Some steps of the first stage on a tiny RNA-QA, by the command's own main function."""

from pathlib import Path

import pytest
from helpers.tiny_rna_qa import make_rna_qa


def alignment_steps(number: int, model: Path, folder: Path, **more: str) -> None:
    """Train a model's projection; the result is in `out` of the folder."""
    pytest.importorskip("trl")
    from rnagpt.train_sft import main, make_parser

    options = {
        "stage": "alignment",
        "model_name_or_path": model,
        "dataset_name": make_rna_qa(folder / "rna-qa"),
        "output_dir": folder / "out",
        "max_steps": number,
        "use_cpu": "true",
        "bf16": "false",
        "learning_rate": 0.01,
        "max_sequence_tokens": 400,
        "gradient_checkpointing": "false",
        "report_to": "none",
        "disable_tqdm": "true",
        **more,
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    main(*make_parser().parse_args_and_config(words))
