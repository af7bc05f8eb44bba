"""Requests to a language model."""

from rnagpt.rna_qa.literature.llm.language_model import (
    Request,
)

SCHEMA = {
    "type": "object",
    "properties": {
        "claims": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"text": {"type": "string"}, "paper": {"type": "integer"}},
                "required": ["text", "paper"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["claims"],
    "additionalProperties": False,
}


def make_request(user: str = "Abstracts about miR-21", max_tokens: int = 100) -> Request:
    return Request("You read abstracts.", user, SCHEMA, "claims", max_tokens)
