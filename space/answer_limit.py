"""When an answer that is being written ends where it is."""

from __future__ import annotations

import dataclasses
import time

from conversation import Conversation


@dataclasses.dataclass(frozen=True)
class AnswerLimit:
    """When an answer ends where it is: when the visitor wants that, or its time is over."""

    conversation: Conversation
    end: float

    def reached(self) -> bool:
        return self.conversation.stopping or time.monotonic() > self.end

    @property
    def note(self) -> str:
        return "took too long" if time.monotonic() > self.end else "stopped"
