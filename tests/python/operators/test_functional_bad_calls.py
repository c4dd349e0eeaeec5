"""What the Python functions over the operators say to what is no tensor: function, argument, what came, what
was expected. tests/python/support/bad_calls.py has the tensors that the operators refuse.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from backends import pack

import fire_sampling as fire
from fire_sampling import numpy as fire_numpy

pytestmark = pytest.mark.every_backend

ROWS = 3
CONFIG = fire.SamplingConfig(seed=1)
FUNCTIONS = (
    "sample",
    "sample_with_logprobs",
    "sample_with_support",
    "process_logits",
    "heat_logits_",
    "log_prob",
    "sample_group",
    "sample_group_with_logprobs",
    "sample_coded",
)
A_STEP = "expected a torch.Tensor of integers, or an integer of 64 bits"
A_CONFIG = "expected a SamplingConfig, a sequence of them, or records made by fire_sampling.pack"
OTHER_RECORDS = "records of the other entry; use fire_sampling.pack, which makes a torch.Tensor"

BAD_CALLS: list[tuple[dict[str, Any], type[Exception], str]] = [
    (dict(logits=[[0.0]]), TypeError, "logits is of type list, expected a torch.Tensor"),
    (dict(logits=np.zeros((3, 9))), TypeError, "logits is of type ndarray, expected a torch.Tensor"),
    (dict(step=2.7), TypeError, f"step is 2.7, {A_STEP}"),
    (dict(step=float("nan")), TypeError, f"step is nan, {A_STEP}"),
    (dict(step=Fraction(4, 2)), TypeError, f"step is Fraction(2, 1), {A_STEP}"),
    (dict(step=True), TypeError, f"step is True, {A_STEP}"),
    (dict(step=np.bool_(True)), TypeError, f"step is {np.True_!r}, {A_STEP}"),
    (dict(step=None), TypeError, f"step is None, {A_STEP}"),
    (dict(step="1"), TypeError, f"step is '1', {A_STEP}"),
    (dict(step=[1, 2, 3]), TypeError, f"step is of type list, {A_STEP}"),
    (dict(step=np.zeros(3, np.int64)), TypeError, f"step is of type ndarray, {A_STEP}"),
    (dict(step=2**63), ValueError, f"step is 9223372036854775808, {A_STEP}"),
    (dict(step=-(2**63) - 1), ValueError, f"step is -9223372036854775809, {A_STEP}"),
    (
        dict(config=fire_numpy.pack(CONFIG, rows=ROWS)),
        TypeError,
        f"config is of type ndarray, {OTHER_RECORDS}",
    ),
    (dict(config=3), TypeError, f"config is 3, {A_CONFIG}"),
    (dict(config=None), TypeError, f"config is None, {A_CONFIG}"),
    (dict(config=[CONFIG, 3]), TypeError, f"config is a list of SamplingConfig, int, {A_CONFIG}"),
    (dict(config=""), TypeError, f"config is '', {A_CONFIG}"),
    (dict(slot=[0, 0, 0]), TypeError, "slot is of type list, expected a torch.Tensor"),
    (dict(slot=np.zeros(3, np.int32)), TypeError, "slot is of type ndarray, expected a torch.Tensor"),
    (
        dict(config=CONFIG, slot=torch.zeros(3, dtype=torch.int32)),
        ValueError,
        "slot comes with a single SamplingConfig, expected a sequence of them or the records that "
        "fire_sampling.pack makes to choose from",
    ),
]


def call(function: str, **change: Any) -> Any:
    arguments: dict[str, Any] = dict(
        logits=torch.zeros(ROWS, 9), step=0, config=pack(CONFIG, rows=ROWS), slot=None
    )
    if function == "log_prob":
        arguments["token"] = torch.zeros(ROWS, dtype=torch.int64)
    if function == "sample_coded":
        arguments["code"] = torch.zeros(ROWS, dtype=torch.int64)
    if function.startswith("sample_group"):
        arguments["size"] = 2
    if function == "sample_with_support":
        arguments["width"] = 4
    if function == "first_code":
        del arguments["logits"]
    return getattr(fire, function)(**arguments | change)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(("change", "error", "message"), BAD_CALLS)
def test_what_is_no_tensor_is_refused_by_name_instead_of_by_torchs_schema(
    function: str, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as raised:
        call(function, **change)
    assert str(raised.value) == f"fire_sampling.{function}: {message}"


@pytest.mark.parametrize(
    ("token", "came"),
    [([0, 0, 0], "is of type list"), (np.zeros(3, np.int64), "is of type ndarray"), (0, "is 0")],
)
def test_a_token_that_is_no_tensor_is_refused_by_name(token: Any, came: str) -> None:
    with pytest.raises(TypeError) as raised:
        call("log_prob", token=token)
    assert str(raised.value) == f"fire_sampling.log_prob: token {came}, expected a torch.Tensor"


@pytest.mark.parametrize(
    ("change", "error", "message"), [case for case in BAD_CALLS if "logits" not in case[0]]
)
def test_a_first_code_of_what_is_no_tensor_is_refused_by_name_too(
    change: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as raised:
        call("first_code", **change)
    assert str(raised.value) == f"fire_sampling.first_code: {message}"


@pytest.mark.parametrize("step", [0, torch.tensor(0)])
def test_one_config_beside_one_step_for_all_leaves_open_how_many_codes_there_are(step: Any) -> None:
    with pytest.raises(ValueError, match="config is a single SamplingConfig beside one step") as raised:
        call("first_code", config=CONFIG, step=step)
    assert str(raised.value) == (
        "fire_sampling.first_code: config is a single SamplingConfig beside one step for all, expected the "
        "records that fire_sampling.pack makes for as many rows as there are, or a step for each row"
    )


@pytest.mark.parametrize(("code", "came"), [([0, 0, 0], "is of type list"), (0, "is 0")])
def test_a_code_that_is_no_tensor_is_refused_by_name(code: Any, came: str) -> None:
    with pytest.raises(TypeError) as raised:
        call("sample_coded", code=code)
    assert str(raised.value) == f"fire_sampling.sample_coded: code {came}, expected a torch.Tensor"


@pytest.mark.parametrize("function", ["sample_group", "sample_group_with_logprobs"])
@pytest.mark.parametrize(
    ("size", "error", "came"),
    [
        (0, ValueError, "is 0"),
        (-3, ValueError, "is -3"),
        (65537, ValueError, "is 65537"),
        (2**64, ValueError, "is 18446744073709551616"),
        (True, TypeError, "is True"),
        (2.0, TypeError, "is 2.0"),
        (None, TypeError, "is None"),
        (torch.tensor(2), TypeError, "is of type Tensor"),
    ],
)
def test_a_size_out_of_range_is_refused_by_name(
    function: str, size: Any, error: type[Exception], came: str
) -> None:
    with pytest.raises(error) as raised:
        call(function, size=size)
    assert str(raised.value) == f"fire_sampling.{function}: size {came}, expected an integer from 1 to 65536"


@pytest.mark.parametrize(
    ("width", "error", "came"),
    [
        (0, ValueError, "is 0"),
        (-3, ValueError, "is -3"),
        (2**21 + 1, ValueError, "is 2097153"),
        (2**64, ValueError, "is 18446744073709551616"),
        (True, TypeError, "is True"),
        (2.0, TypeError, "is 2.0"),
        (None, TypeError, "is None"),
        (torch.tensor(2), TypeError, "is of type Tensor"),
    ],
)
def test_a_width_out_of_range_is_refused_by_name(width: Any, error: type[Exception], came: str) -> None:
    with pytest.raises(error) as raised:
        call("sample_with_support", width=width)
    expected = "expected an integer from 1 to 2097152"
    assert str(raised.value) == f"fire_sampling.sample_with_support: width {came}, {expected}"


def test_a_group_and_codes_compile_through_the_functions() -> None:
    logits, records = torch.randn(ROWS, 400), pack(CONFIG, rows=ROWS)

    def draw(logits: torch.Tensor, step: int) -> tuple[torch.Tensor, ...]:
        group = fire.sample_group_with_logprobs(logits, step, records, size=4)
        coded = fire.sample_coded(logits, fire.first_code(step, records), step, records)
        return (*group, fire.sample_group(logits, step, records, size=2), *coded)

    compiled = torch.compile(draw, fullgraph=True)
    for step in range(4):
        for ours, eager in zip(compiled(logits, step), draw(logits, step), strict=True):
            assert torch.equal(ours, eager)


@pytest.mark.parametrize("step", [-(2**63), -1, 0, 5, 2**63 - 1])
@pytest.mark.parametrize("kind", [int, np.int64])
def test_an_integer_step_counts_as_the_tensor_that_holds_it(step: int, kind: Callable[[int], Any]) -> None:
    logits = torch.randn(ROWS, 400)
    records = pack(CONFIG, rows=ROWS)
    expected = torch.ops.fire.sample(logits, torch.tensor(step), records)
    assert torch.equal(fire.sample(logits, kind(step), records), expected)


def test_an_integer_step_that_changes_stays_one_graph_in_torch_compile() -> None:
    graphs = []

    def count(graph: torch.fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(fire.sample, fullgraph=True, backend=count)
    logits, records = torch.randn(ROWS, 400), pack(CONFIG, rows=ROWS)
    for step in range(2, 8):
        assert torch.equal(compiled(logits, step, records), fire.sample(logits, step, records))
    assert len(graphs) <= 2  # one for the first step, one for every other
