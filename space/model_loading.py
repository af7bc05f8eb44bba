"""The Space's one model, loaded in the background while the page is already open."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import Literal

from rnagpt import RnaGptForCausalLM, RnaGptProcessor, load_bundled, load_model, load_processor
from rnagpt.inference.local_model import LocalModel

_log = logging.getLogger("rnagpt.space")

State = Literal["loading", "ready", "failed"]
_TOLD: dict[State, str] = {
    "loading": "{name} is loading. You can give your RNA and ask already.",
    "ready": "{name} is ready.",
    "failed": "{name} could not be loaded: what needs it is not answered. The server's log says "
    "why.",
}


class ModelLoading:
    """A model on its way into memory.

    Attributes:
        name: what visitors read: a Hub id, or the last part of a folder's path.
        state: "loading", "ready" or "failed".
    """

    def __init__(self) -> None:
        self.name = ""
        self.state: State = "loading"
        self._done = threading.Event()
        self._loaded: tuple[RnaGptForCausalLM, RnaGptProcessor] | None = None

    def start(self, name_or_path: str = "", *, wait: bool = False) -> None:
        """Begin to load a model folder or Hub id; rna-gpt-mini where it is empty.

        Args:
            name_or_path: as for `rnagpt.load_model`.
            wait: return only when it is there (ZeroGPU moves models before the page opens).
        """
        self.name = Path(name_or_path).name if os.path.isdir(name_or_path) else name_or_path
        self.name = self.name or "rna-gpt-mini"
        self.state, self._loaded = "loading", None
        self._done.clear()
        thread = threading.Thread(target=self._load, args=(name_or_path,), daemon=True)
        thread.start()
        if wait:
            thread.join()

    @property
    def told(self) -> str:
        """How the model stands, in a sentence for visitors."""
        return _TOLD[self.state].format(name=self.name)

    def wait(self, seconds: float) -> bool:
        """Whether loading ends, with or without a model, within N seconds."""
        return self._done.wait(seconds)

    @property
    def loaded(self) -> tuple[RnaGptForCausalLM, RnaGptProcessor]:
        """Model and processor.

        Raises:
            ValueError: while the model loads, and when it could not be loaded; for visitors.
        """
        if self._loaded is None:
            raise ValueError(self.told)
        return self._loaded

    def language(self, seconds: float = 0.0) -> LocalModel:
        """The model for answers from evidence, which may not need it.

        One that is not there yet is asked only where its words are needed: what it could read in
        records, they say themselves.

        Args:
            seconds: it is waited for so long when its words are needed.
        """

        def loaded() -> tuple[RnaGptForCausalLM, RnaGptProcessor]:
            if self.state == "loading":
                self.wait(seconds)
            return self.loaded

        if self._loaded is not None:
            return LocalModel.loaded(*self._loaded)
        # Whether it may be asked for its own reading is not known: it is waited for, and asked.
        return LocalModel(lambda: loaded()[0], lambda: loaded()[1], False, True)

    def _load(self, name_or_path: str) -> None:
        try:
            found = name_or_path or str(load_bundled())
            model, processor = load_model(found), load_processor(found)
            if os.environ.get("SPACES_ZERO_GPU"):
                model.to("cuda")  # type: ignore[arg-type]
            self._loaded, self.state = (model, processor), "ready"
        except Exception:
            # Visitors read that it failed; why is for the one who runs the Space.
            _log.exception("The model %s could not be loaded.", self.name)
            self.state = "failed"
        finally:
            self._done.set()


# One for the process: on ZeroGPU the functions of `answering` run in forks of it, which inherit
# the model, whereas arguments would be copied.
MODEL = ModelLoading()
