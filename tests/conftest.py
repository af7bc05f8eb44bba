"""What every test may use: the tiny model and its processor; no deadlines on a busy machine."""

from collections.abc import Iterator

import pytest
from helpers.tiny_models import make_model, make_processor
from hypothesis import settings

from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor

# A busy machine is no failure.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

try:
    import datasets
except ImportError:  # not beside vLLM
    datasets = None  # type: ignore[assignment]


@pytest.fixture(scope="session", autouse=True)
def _one_data_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One cache of `datasets` for all tests: users have one, and data sets of the same name."""
    with pytest.MonkeyPatch.context() as patch:
        if datasets:
            cache = tmp_path_factory.mktemp("datasets_cache")
            patch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
        yield


@pytest.fixture
def processor() -> RnaGptProcessor:
    """ChatML; three nucleotides a vector and two summary vectors."""
    return make_processor(merge_size=3, summary_size=2)


@pytest.fixture
def model(processor: RnaGptProcessor) -> RnaGptForCausalLM:
    return make_model(processor)
