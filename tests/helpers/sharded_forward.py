"""Run by `torchrun` in two processes: loss and gradients of a model under FSDP2, on the CPU.

With PyTorch's own `fully_shard`, the layers that `recipes/accelerate/fsdp2.yaml` names. A training
under the recipe itself is `train_sharded.py`.
"""

import sys
from typing import Any

import torch
import yaml
from helpers.paths import ROOT
from helpers.tiny_models import make_model, make_processor, make_question, make_rna
from torch.distributed import destroy_process_group, get_rank, init_process_group
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

RECIPE = ROOT / "recipes" / "accelerate" / "fsdp2.yaml"


def make_batch(processor):
    """Prompts with RNAs of different lengths, the last of them in windows."""
    questions = [[make_question([make_rna(length)])] for length in (5, 20, 31, 60)]
    batch = processor.apply_chat_template(
        questions, tokenize=True, processor_kwargs={"padding": True, "padding_side": "right"}
    )
    labels = batch["input_ids"].masked_fill(batch["attention_mask"].eq(0), -100)
    return {**batch, "labels": labels}


def sharded_layers(model):
    """Those that the recipe names, innermost first."""
    settings = yaml.safe_load(RECIPE.read_text())["fsdp_config"]
    names = settings["fsdp_transformer_layer_cls_to_wrap"].split(",")
    return [module for module in model.modules() if type(module).__name__ in names]


def main():
    init_process_group("gloo")
    processor = make_processor(merge_size=3)
    batch = make_batch(processor)
    # Each process has a half of the batch, with other lengths: their encoders must keep step.
    rows = slice(0, 2) if get_rank() == 0 else slice(2, 4)
    share = {name: value[rows] for name, value in batch.items()}
    model = make_model(processor)
    alone = make_model(processor)
    for one in (model, alone):
        one.model.rna_encoder.requires_grad_(False)
    mesh = init_device_mesh("cpu", (2,))
    layers = sharded_layers(model)
    assert len(layers) == 4, [type(layer).__name__ for layer in layers]
    for layer in layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    assert all(isinstance(weight, DTensor) for weight in model.parameters())
    loss = model(**share).loss
    loss.backward()
    expected = alone(**share).loss
    torch.testing.assert_close(loss, expected)
    halves = [
        alone(**{n: v[half] for n, v in batch.items()}).loss for half in (slice(2), slice(2, 4))
    ]
    (sum(halves) / 2).backward()
    trained = {
        name: weight.grad for name, weight in alone.named_parameters() if weight.requires_grad
    }
    for name, weight in model.named_parameters():
        if name in trained:
            gradient: Any = weight.grad
            torch.testing.assert_close(gradient.full_tensor(), trained[name], msg=name)
    assert trained
    destroy_process_group()
    return 0


if __name__ == "__main__":
    sys.exit(main())
