"""Conversion and composition of weights: RNA-FM, an RNA-GPT folder from its parts, the mini.

Nothing is imported here: `rnagpt --help` must not wait for torch.
"""

# What `trust_remote_code` runs: each imports of this project only the others. The encoders' two
# files need no other, and go with an encoder by itself.
ENCODER_CODE = ("configuration_encoders_rnagpt.py", "modeling_encoders_rnagpt.py")
REMOTE_CODE = (
    *ENCODER_CODE,
    "cleaning_rnagpt.py",
    "configuration_rnagpt.py",
    "modeling_rnagpt.py",
    "processing_rnagpt.py",
)

# What weights of a GGUF file may be in, by llama.cpp's names. The first is the default: q8_0 is
# faster, and changes more of a model's words than it may (`benchmarks/cpu_answers.md`).
GGUF_TYPES = ("f16", "q8_0", "q4_1", "f32")
DEFAULT_GGUF_TYPE = GGUF_TYPES[0]


class WeightsError(ValueError):
    """A weights file or folder that cannot be used; the message says why and how to fix it."""


def listed(names: list[str], most: int = 5) -> str:
    """The first names of a list, and how many more there are: for error messages."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


__all__ = [
    "DEFAULT_GGUF_TYPE",
    "ENCODER_CODE",
    "GGUF_TYPES",
    "REMOTE_CODE",
    "WeightsError",
    "listed",
]
