"""Run by `accelerate launch` with `recipes/accelerate/fsdp2.yaml`: `train_sft.py` on the CPU.

accelerate offers FSDP to accelerators alone: processes on a CPU get data parallelism, whatever a
recipe says. Here it is told that its processes were GPUs', with gloo between them and their tensors
on the CPU; from there on all is accelerate's own FSDP2 and the recipe's settings.
"""

import os

import torch
from accelerate.state import DistributedType, PartialState


def main() -> None:
    os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"
    torch.distributed.init_process_group("gloo")
    PartialState._prepare_backend = lambda *args, **kwargs: ("gloo", DistributedType.MULTI_GPU)  # type: ignore[method-assign]
    from rnagpt.train_sft import main as train
    from rnagpt.train_sft import make_parser

    train(*make_parser().parse_args_and_config())


if __name__ == "__main__":
    main()
