"""torch.compile(fullgraph=True, dynamic=True) equals eager for every operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from backends import pack
from operator_inputs import (
    CONFIGS,
    DTYPES,
    READING,
    Inputs,
    arguments_of,
    assert_same_bits,
    make_inputs,
    operator,
    results_of,
)
from torch import Tensor

pytestmark = pytest.mark.every_backend


@pytest.fixture(autouse=True)
def fresh_compiler() -> None:
    torch.compiler.reset()


def everything(
    logits: Tensor, token: Tensor, step: Tensor, cfg: Tensor, slot: Tensor | None
) -> tuple[Tensor, ...]:
    """All operators in one graph, with work of torch before and after them."""
    code = torch.ops.fire.first_code(step, cfg, slot)
    heated = logits.float() + 0.5
    torch.ops.fire.heat_logits_(heated, step, cfg, slot)
    return (
        torch.ops.fire.sample(logits, step, cfg, slot),
        *torch.ops.fire.sample_with_logprobs(logits, step, cfg, slot),
        *torch.ops.fire.sample_with_logprobs(logits, step, cfg, slot, reference=False),
        *torch.ops.fire.sample_with_support(logits, step, cfg, slot, width=4),
        torch.ops.fire.sample_group(logits, step, cfg, slot, size=5),
        *torch.ops.fire.sample_group_with_logprobs(logits, step, cfg, slot, size=2),
        *torch.ops.fire.sample_coded(logits, code + 1, step, cfg, slot),
        torch.ops.fire.process_logits(logits, step, cfg, slot),
        heated * 2,
        torch.ops.fire.log_prob(logits, token, step, cfg, slot),
    )


def compile_whole(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    return torch.compile(function, fullgraph=True, dynamic=True, **options)


def every_layout() -> dict[str, tuple[Inputs, Tensor | None]]:
    plain = make_inputs()
    store = torch.zeros(9, 80)
    store[:, 5:66] = plain.logits
    slot = torch.tensor([3, 3, 0, 6, 1, 2, 5, 4, 9], dtype=torch.int32)
    empty = Inputs(
        torch.zeros(0, 61), torch.zeros(0, dtype=torch.int64), torch.zeros(0, 16, dtype=torch.int32)
    )
    layouts = {str(dtype): (make_inputs(dtype=dtype), None) for dtype in DTYPES}
    return layouts | {
        "int32 steps": (plain._replace(step=plain.step.int()), None),
        "0-d int64 step": (plain._replace(step=torch.tensor(1)), None),
        "0-d int32 step": (plain._replace(step=torch.tensor(1, dtype=torch.int32)), None),
        "strided steps": (plain._replace(step=plain.step.repeat_interleave(2)[::2]), None),
        "slot": (plain._replace(cfg=pack(list(CONFIGS))), slot),
        "strided slot": (plain._replace(cfg=pack(list(CONFIGS))), slot.repeat_interleave(2)[::2]),
        "padded unaligned logits": (plain._replace(logits=store[:, 5:66]), None),
        "one row expanded": (plain._replace(logits=plain.logits[:1].expand(9, -1)), None),
        "no rows": (empty, None),
        "one row": (make_inputs(rows=1), None),
        "a vocabulary of one": (make_inputs(vocabulary=1), None),
    }


@pytest.mark.parametrize("layout", every_layout())
def test_the_compiled_operators_equal_eager(layout: str) -> None:
    inputs, slot = every_layout()[layout]
    arguments: tuple[Any, ...] = (*arguments_of("log_prob", inputs), slot)
    assert_same_bits(compile_whole(everything)(*arguments), everything(*arguments))


def test_one_graph_serves_every_number_of_rows_and_vocabulary() -> None:
    graphs = []

    def count(graph: torch.fx.GraphModule, _: list[Tensor]) -> Callable[..., object]:
        graphs.append(graph)
        return graph.forward

    compiled = compile_whole(everything, backend=count)
    for rows, vocabulary in [(5, 40), (9, 61), (3, 1000), (17, 8)]:
        inputs = make_inputs(rows=rows, vocabulary=vocabulary)
        arguments: tuple[Any, ...] = (*arguments_of("log_prob", inputs), None)
        assert_same_bits(compiled(*arguments), everything(*arguments))
    assert len(graphs) == 1


def test_a_graph_made_for_any_size_still_refuses_a_missing_record() -> None:
    compiled = compile_whole(operator("sample"))
    logits, step, cfg = make_inputs(rows=5)
    compiled(logits, step, cfg)
    with pytest.raises(Exception, match=r"fire::sample: cfg has S = 4 for R = 5 rows of logits"):
        compiled(logits, step, cfg[:4])


def test_logits_made_inside_the_graph_keep_their_layout() -> None:
    _, step, cfg = make_inputs()
    hidden, head = torch.randn(9, 24), torch.randn(64, 24)

    def decode(hidden: Tensor, head: Tensor) -> tuple[Tensor, ...]:
        logits = (hidden @ head.t())[:, :61] / 0.7
        return logits, *torch.ops.fire.sample_with_logprobs(logits, step, cfg)

    logits, *results = compile_whole(decode)(hidden, head)
    assert_same_bits(tuple(results), results_of("sample_with_logprobs", (logits, step, cfg)))


def test_heat_logits_in_a_graph_writes_to_the_callers_tensor() -> None:
    logits, step, cfg = make_inputs()
    expected = logits.clone()
    torch.ops.fire.heat_logits_(expected, step, cfg)

    def heat(logits: Tensor) -> Tensor:
        before = logits.amax(dim=1)
        torch.ops.fire.heat_logits_(logits, step, cfg)
        return before

    maxima = logits.amax(dim=1)
    assert torch.equal(compile_whole(heat)(logits), maxima)
    assert torch.equal(logits, expected)


def test_heat_logits_on_logits_that_require_grad_is_refused_in_a_graph_too() -> None:
    logits, step, cfg = make_inputs()
    with pytest.raises(Exception, match="fire::heat_logits_: logits requires grad"):
        compile_whole(operator("heat_logits_"))(logits.requires_grad_(), step, cfg)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_gradient_of_log_prob_in_a_graph_equals_eager(dtype: torch.dtype) -> None:
    inputs = make_inputs(dtype=dtype)
    token = torch.ops.fire.sample(*inputs)
    advantage = torch.linspace(-1, 1, 9)

    def loss(logits: Tensor) -> Tensor:
        return (torch.ops.fire.log_prob(logits * 2, token, inputs.step, inputs.cfg) * advantage).sum()

    gradients: list[Any] = []
    for function in (loss, compile_whole(loss)):
        logits = inputs.logits.clone().requires_grad_()
        function(logits).backward()
        gradients.append(logits.grad)
    assert gradients[0].any()
    assert_same_bits((gradients[1],), (gradients[0],))


@pytest.mark.parametrize("name", READING)
def test_the_operators_can_be_exported(name: str) -> None:
    class Step(torch.nn.Module):
        def forward(self, logits: Tensor, step: Tensor, cfg: Tensor) -> tuple[Tensor, ...]:
            return results_of(name, (logits, step, cfg))

    rows, vocabulary = torch.export.Dim("rows"), torch.export.Dim("vocabulary")
    shapes = {"logits": {0: rows, 1: vocabulary}, "step": {0: rows}, "cfg": {0: rows}}
    program = torch.export.export(Step(), tuple(make_inputs()), dynamic_shapes=shapes)
    other = make_inputs(rows=4, vocabulary=33)
    assert_same_bits(program.module()(*other), results_of(name, other))
