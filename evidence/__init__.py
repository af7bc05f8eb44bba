"""From hits to cited answers: facts, numbered records, questions, sentences, and their checks.

Nothing here needs PyTorch or a language model: what a record says is said without one, and what a
model writes is checked against the records.
"""

from __future__ import annotations
