"""Whether an encoder is the one that a stage was trained with."""

import torch

from rnagpt.conversion.adapter import same_weights
from rnagpt.conversion.mini import CHECKPOINT
from rnagpt.conversion.model_sources import open_encoder


def test_frequencies_of_rotary_positions_do_not_count():
    table = torch.randn(4, 3)
    old = {"table": table, "layer.0.rotary_embeddings.inv_freq": torch.ones(2)}
    new = {"table": table.to(torch.bfloat16), "rotary_embeddings.inv_freq": torch.ones(2)}
    assert same_weights(old, new)
    assert not same_weights(old, {**new, "table": table + 1})
    assert not same_weights(old, {**new, "more": table})


def test_the_shipped_encoder_is_its_own_whatever_its_buffers_are_called():
    _, tensors = open_encoder(CHECKPOINT / "encoder")
    renamed = {n.replace("encoder.layer.*.attention.self.", ""): tensors[n] for n in tensors}
    assert same_weights({n: tensors[n] for n in tensors}, renamed)
