#!/usr/bin/env python3
"""A language model's head split over processes by torch's own tensor parallelism, sampled from as it lies.

torchrun --nproc-per-node 2 examples/tensor_parallel_head.py

Each process holds a part of the head's weight and computes a part of each row of logits. Tokens are drawn
from the parts, and the gradient of their log-probabilities goes back through them: that takes no whole row.
The program gathers the rows all the same, to show that the bits are the same.
"""

from __future__ import annotations

import os

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor.parallel import ColwiseParallel, parallelize_module

import fire_sampling as fire
import fire_sampling.distributed as sharded

ROWS, WIDTH, VOCABULARY = 8, 64, 5003  # of 2 processes one has a column more
CONFIG = fire.SamplingConfig(temperature=0.8, top_k=50, top_p=0.95, hot_top_k=16, seed=7)


def main() -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    mesh = init_device_mesh(device, (int(os.environ["WORLD_SIZE"]),))
    torch.manual_seed(0)  # the same on every process, as loading a model is
    head = nn.Linear(WIDTH, VOCABULARY, bias=False).to(device)
    hidden = torch.randn(ROWS, WIDTH, device=device) * 3
    head = parallelize_module(head, mesh, ColwiseParallel())

    records = fire.pack(CONFIG, rows=ROWS, device=device)
    for step in range(3):
        with torch.no_grad():
            logits = head(hidden)  # this process's columns
        drawn = sharded.sample_with_logprobs(logits, step, records, group=mesh.get_group())
        say(f"step {step}: tokens {drawn.token.tolist()}, log-probabilities {rounded(drawn.logprob)}")
        compare(logits, drawn, step, records)

    # What a trainer does with it: a policy gradient, whose rewards here are made up.
    logits = head(hidden)
    value = sharded.log_prob(logits, drawn.token, step, records, group=mesh.get_group())
    reward = torch.linspace(-1, 1, ROWS, device=device)
    logits.retain_grad()
    (-(reward * value).sum()).backward()
    assert head.weight.grad is not None
    compare_gradient(logits, drawn.token, reward, step, records)
    say(f"gradient of the head: {type(head.weight.grad).__name__}, placed {head.weight.grad.placements}")
    dist.destroy_process_group()


def gathered(logits: Tensor) -> Tensor:
    """Whole rows, which only this program's proof needs."""
    sizes: list[int] = [0] * dist.get_world_size()
    dist.all_gather_object(sizes, logits.shape[1])
    parts = [logits.new_empty(ROWS, max(sizes)) for _ in sizes]
    dist.all_gather(parts, nn.functional.pad(logits.detach(), (0, max(sizes) - logits.shape[1])))
    return torch.cat([part[:, :size] for part, size in zip(parts, sizes, strict=True)], 1)


def compare(logits: Tensor, drawn: fire.SampleWithLogprobs, step: int, records: Tensor) -> None:
    whole = fire.sample_with_logprobs(gathered(logits), step, records)
    for name, part, expected in zip(whole._fields, drawn, whole, strict=True):
        assert torch.equal(part, expected), name


def compare_gradient(logits: Tensor, token: Tensor, reward: Tensor, step: int, records: Tensor) -> None:
    assert logits.grad is not None
    whole = gathered(logits).requires_grad_()
    (-(reward * fire.log_prob(whole, token, step, records)).sum()).backward()
    assert whole.grad is not None
    assert torch.equal(gathered(logits.grad), whole.grad)


def rounded(values: Tensor) -> list[float]:
    return [round(value, 3) for value in values.tolist()]


def say(text: str) -> None:
    if dist.get_rank() == 0:
        print(text)


if __name__ == "__main__":
    main()
