"""Options of training, as transformers' `HfArgumentParser` reads them from dataclasses."""

from dataclasses import field
from typing import Any


def option(default: Any, text: str) -> Any:
    """A dataclass's field with its default and its help."""
    return field(default=default, metadata={"help": text})


__all__ = ["option"]
