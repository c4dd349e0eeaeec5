"""The operators under torch's machinery, as docs/operators.md has it: vmap, fork, shards, tracing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from operator_inputs import (
    OPERATORS,
    arguments_of,
    assert_same_bits,
    make_inputs,
    operator,
    random_normal,
    results_of,
)
from torch import Tensor

import fire_sampling as fire

pytestmark = pytest.mark.every_backend

BATCH = 3


def batched(name: str) -> tuple[Tensor, ...]:
    """Arguments with a batch in front: other logits and other steps in each of its items."""
    items = []
    for item in range(BATCH):
        inputs = make_inputs(seed=item)
        items.append(arguments_of(name, inputs._replace(step=inputs.step.roll(item))))
    return tuple(torch.stack(argument) for argument in zip(*items, strict=True))


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("with_slot", [False, True])
@pytest.mark.parametrize("name", OPERATORS)
def test_vmap_equals_a_loop(name: str, with_slot: bool) -> None:
    slot = torch.tensor([3, 3, 0, 6, 1, 2, 5, 4, 8], dtype=torch.int32) if with_slot else None
    arguments = batched(name)
    expected = [
        results_of(name, tuple(argument[item].clone() for argument in arguments), slot=slot)
        for item in range(BATCH)
    ]

    def call(*item: Tensor) -> tuple[Tensor, ...]:
        return results_of(name, item, slot=slot)

    assert_same_bits(torch.vmap(call)(*arguments), tuple(map(torch.stack, zip(*expected, strict=True))))


def test_vmap_over_heat_logits_takes_any_batch_dimension_shared_arguments_and_a_vmap_within() -> None:
    _, step, cfg = make_inputs()
    logits = random_normal(9, BATCH, 61, seed=5)
    expected = logits.clone()
    for item in expected.unbind(1):
        fire.heat_logits_(item, step, cfg)
    heated, nested = logits.clone(), logits.clone()
    version = heated._version
    torch.vmap(lambda item: fire.heat_logits_(item, step, cfg), in_dims=1)(heated)
    assert torch.equal(heated, expected)
    assert heated._version > version
    within = torch.vmap(lambda item: fire.heat_logits_(item, step, cfg))
    torch.vmap(within)(nested.transpose(0, 1)[None])
    assert torch.equal(nested, expected)
    steps = step.expand(BATCH, -1)
    with pytest.raises(RuntimeError, match=r"^fire::heat_logits_: logits is one tensor for the whole batch"):
        torch.vmap(lambda each: fire.heat_logits_(logits[:, 0], each, cfg))(steps)


def test_torch_func_grad_takes_sampled_outputs_as_constants_and_refuses_log_prob() -> None:
    logits, step, cfg = make_inputs(rows=6)

    def loss(logits: Tensor) -> Any:
        drawn = torch.ops.fire.sample_with_logprobs(logits, step, cfg)
        return (logits.gather(1, drawn[0][:, None])[:, 0] * drawn[1]).sum()

    drawn = torch.ops.fire.sample_with_logprobs(logits, step, cfg)
    expected = torch.zeros_like(logits).scatter_(1, drawn[0][:, None], drawn[1][:, None])
    assert torch.equal(torch.func.grad(loss)(logits), expected)
    with pytest.raises(RuntimeError, match="functorch"):
        torch.func.grad(lambda x: torch.ops.fire.log_prob(x, drawn[0], step, cfg).sum())(logits)


def test_packing_in_a_graph_is_refused_while_it_is_traced() -> None:
    config = fire.SamplingConfig(seed=1)
    compiled = torch.compile(lambda logits: fire.sample(logits, 0, config), fullgraph=True)
    with pytest.raises(torch._dynamo.exc.Unsupported):
        compiled(torch.zeros(2, 9))


@pytest.mark.parametrize("name", ["heat_logits_", "log_prob", "sample_coded"])
def test_what_writes_and_what_has_a_gradient_can_be_exported_too(name: str) -> None:
    class Step(torch.nn.Module):
        def forward(self, *arguments: Tensor) -> tuple[Tensor, ...]:
            return results_of(name, arguments)

    rows, vocabulary = torch.export.Dim("rows"), torch.export.Dim("vocabulary")
    arguments = arguments_of(name, make_inputs())
    shapes = tuple({0: rows, 1: vocabulary} if a is arguments[0] else {0: rows} for a in arguments)
    program = torch.export.export(Step(), arguments, dynamic_shapes=(shapes,))
    other = make_inputs(rows=4, vocabulary=33)
    assert_same_bits(
        program.module()(*arguments_of(name, other)), results_of(name, arguments_of(name, other))
    )


FORK = """
import os, sys, torch, fire_sampling as fire
torch.set_num_threads(4)
logits, records = torch.randn(64, 4096), fire.pack(fire.SamplingConfig(seed=1), rows=64)
copy, step = logits.clone(), torch.tensor(0)
if sys.argv[1] == "sampled":
    torch.ops.fire.sample(logits, step, records)
else:
    torch.exp(torch.randn(1 << 20))
child = os.fork()
if child == 0:
    torch.ops.fire.heat_logits_(copy, step, records)
    token = torch.ops.fire.sample(logits, step, records)
    open(sys.argv[2], "wb").write(token.numpy().tobytes())
    os._exit(0)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
token = torch.ops.fire.sample(logits, step, records)
print(status, open(sys.argv[2], "rb").read() == token.numpy().tobytes())
"""


@pytest.mark.cpu_only("threads over rows")
@pytest.mark.parametrize("parent", ["sampled", "ran torch"])
def test_a_child_forked_after_its_parent_has_used_torchs_threads_draws_the_same_tokens_and_does_not_hang(
    parent: str, tmp_path: Path
) -> None:
    program = [sys.executable, "-c", FORK, parent, str(tmp_path / "token")]
    done = subprocess.run(program, capture_output=True, text=True, timeout=240)
    assert (done.returncode, done.stdout) == (0, "0 True\n"), done.stderr


SHARDED = """
import sys, tempfile, torch, torch.distributed as dist, fire_sampling as fire
dist.init_process_group("gloo", init_method=f"file://{tempfile.mktemp()}", rank=0, world_size=1)
from torch.distributed.tensor import Shard, distribute_tensor, init_device_mesh
mesh = init_device_mesh("cpu", (1,))
logits = torch.randn(4, 61)
sharded = distribute_tensor(logits, mesh, [Shard(1)])
records, token = fire.pack(fire.SamplingConfig(seed=1), rows=4), torch.zeros(4, dtype=torch.long)
shards = distribute_tensor(token, mesh, [Shard(0)])
for call in (
    lambda: fire.log_prob(logits, shards, 0, records),
    lambda: fire.sample_group(sharded, 0, records, size=2),
    lambda: fire.sample_group_with_logprobs(sharded, 0, records, size=2),
    lambda: fire.sample_coded(sharded, token, 0, records),
    lambda: fire.sample_coded(logits, shards, 0, records),
    lambda: fire.first_code(shards, records),
):
    try:
        call()
    except TypeError as error:
        print(error)
print(torch.equal(fire.sample(sharded.full_tensor(), 0, records), fire.sample(logits, 0, records)))
dist.destroy_process_group()
"""


@pytest.mark.cpu_only("a process group of its own")
def test_where_no_function_takes_a_dtensor_it_is_refused_in_words_that_say_what_to_call() -> None:
    """tests/python/distributed has those that take one."""
    done = subprocess.run(
        [sys.executable, "-c", SHARDED], env=dict(os.environ), capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    *refused, last = done.stdout.splitlines()
    expected = "{0} is a DTensor, expected a plain tensor (call {0}.full_tensor() first, or {0}.to_local() "
    starts = [f"fire_sampling.log_prob: {expected.format('token')}"]
    named = ("sample_group", "sample_group_with_logprobs", "sample_coded")
    starts += [f"fire_sampling.{name}: {expected.format('logits')}" for name in named]
    starts.append(f"fire_sampling.sample_coded: {expected.format('code')}")
    starts.append(f"fire_sampling.first_code: {expected.format('step')}")
    assert len(refused) == len(starts)
    assert all(line.startswith(start) for line, start in zip(refused, starts, strict=True)), refused
    assert last == "True"


@pytest.mark.parametrize("step", [0, 3])
def test_an_integer_step_for_the_operator_itself_is_a_tensor_or_goes_through_the_function(step: int) -> None:
    logits, _, records = make_inputs()
    with pytest.raises(Exception, match="Expected a value of type 'Tensor' for argument 'step'"):
        operator("sample")(logits, step, records)
    drawn: Any = fire.sample(logits, step, records)
    assert torch.equal(drawn, operator("sample")(logits, torch.tensor(step), records))
