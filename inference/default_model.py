"""Which model is used where none is named."""

from __future__ import annotations

import os

MODEL_VARIABLE = "RNAGPT_MODEL"


def resolve_model(name_or_path: str | None = None) -> str:
    """A folder or Hub id for `load_model`.

    The one named, else the one that the environment variable RNAGPT_MODEL names, else rna-gpt-mini,
    which is put together in the user's cache on first use (some 30 seconds).

    Raises:
        WeightsError: rna-gpt-mini is needed and cannot be put together; says why.
    """
    if name_or_path is not None:
        return name_or_path
    if named := os.environ.get(MODEL_VARIABLE):
        return named
    # Imported here: a model that was named needs none of it.
    from rnagpt.conversion.mini import load_bundled

    return str(load_bundled())


__all__ = ["MODEL_VARIABLE", "resolve_model"]
