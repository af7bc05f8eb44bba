"""Script of a clean environment: loads all of a data set with `datasets`, prints what is in it.

    python -P verify_dataset.py WHERE [REVISION]

The last line is JSON: of each configuration and split the features, the number of rows, a hash over
rows from all over it, and the same of the first rows streamed; and the folder of the Hub's files.
"""

import hashlib
import json
import os
import sys
from itertools import islice
from typing import Any

SAMPLED, STREAMED = 500, 20


def main(where: str, revision: str | None = None) -> None:
    # Even where rna-gpt is installed: users may not have it.
    sys.modules["rnagpt"] = None  # type: ignore[assignment]
    from datasets import get_dataset_config_names, load_dataset
    from huggingface_hub import snapshot_download

    is_folder = os.path.isdir(where)
    given: dict[str, Any] = {} if is_folder else {"revision": revision}
    snapshot = (
        where if is_folder else snapshot_download(where, repo_type="dataset", revision=revision)
    )
    found = {}
    for name in get_dataset_config_names(where, **given):
        streams = load_dataset(where, name, streaming=True, **given)
        for split, rows in load_dataset(where, name, **given).items():
            step = max(1, len(rows) // SAMPLED)
            found[f"{name}/{split}"] = {
                "rows": len(rows),
                "features": str(rows.features),
                "sample": _hash(rows.select(range(0, len(rows), step))),
                "streamed": _hash(islice(streams[split], STREAMED)),
            }
    print(json.dumps({"configurations": found, "snapshot": snapshot}))


def _hash(rows) -> str:  # type: ignore[no-untyped-def]
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row, sort_keys=True, ensure_ascii=False).encode())
    return digest.hexdigest()


if __name__ == "__main__":
    main(*sys.argv[1:])
