"""Script of a clean environment: loads a model with transformers, prints its predictions.

    python -P verify_model.py WHERE [REVISION]

The last line is JSON: the classes, the next token's logits after a fixed prompt, and the folder
that the Hub's files came to.
"""

import json
import os
import sys

RNA = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA"
MESSAGES = [
    {
        "role": "user",
        "content": [{"type": "rna", "rna": RNA}, {"type": "text", "text": "What is this RNA?"}],
    }
]


def main(where: str, revision: str | None = None) -> None:
    # Even where rna-gpt is installed: users may not have it.
    sys.modules["rnagpt"] = None  # type: ignore[assignment]
    import torch
    from huggingface_hub import snapshot_download
    from transformers import AutoModel, AutoProcessor

    is_folder = os.path.isdir(where)
    snapshot = where if is_folder else snapshot_download(where, revision=revision)
    given = {"trust_remote_code": True} | ({} if is_folder else {"revision": revision})
    processor = AutoProcessor.from_pretrained(where, **given)
    model = AutoModel.from_pretrained(where, dtype="auto", **given).eval()
    inputs = processor.apply_chat_template(
        MESSAGES, tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt"
    )
    with torch.no_grad():
        logits = model(**inputs).logits[0, -1].float()
    found = {
        "model": type(model).__name__,
        "processor": type(processor).__name__,
        "tokens": inputs["input_ids"].shape[1],
        "logits": logits.tolist(),
        "snapshot": snapshot,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
