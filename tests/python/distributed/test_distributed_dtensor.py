"""`fire_sampling.sample` and its siblings on a DTensor of logits, however that lies on its mesh."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from rank_pool import Failed, Place, RankPool
from shard_cases import batch
from test_distributed_equality import same
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import DTensor, Partial, Placement, Replicate, Shard, distribute_tensor

import fire_sampling as fire

ROWS = 47  # over 2 and over 4 ranks, one has fewer
CONFIG = fire.SamplingConfig(temperature=0.9, top_p=0.95, hot_top_k=8, seed=11)
PLACEMENTS = {
    "columns": (4, [Shard(1)]),
    "last dimension": (3, [Shard(-1)]),
    "rows": (4, [Shard(0)]),
    "replicated": (2, [Replicate()]),
    "rows and columns": (8, [Shard(0), Shard(1)]),
    "columns of replicas": (8, [Replicate(), Shard(1)]),
}


def mesh_of(place: Place, dimensions: int) -> DeviceMesh:
    if dimensions == 2:
        return init_device_mesh("cpu", (2, 4), mesh_dim_names=("rows", "columns"))
    group = place.group
    return init_device_mesh("cpu", (place.size,)) if group is None else DeviceMesh.from_group(group, "cpu")


def of_rows(placements: list[Placement]) -> list[Placement]:
    """The placements of one value a row."""
    return [placement if placement == Shard(0) else Replicate() for placement in placements]


def call_all(place: Place, placements: list[Placement], seed: int, packed: bool) -> list[Tensor]:
    """Every function's result, whole, and the gradient."""
    mesh = mesh_of(place, len(placements))
    case = batch(seed, vocabulary=61, rows=ROWS)

    def spread(value: Tensor) -> DTensor:
        return distribute_tensor(value, mesh, of_rows(placements), src_data_rank=None)

    logits = distribute_tensor(case.logits, mesh, placements, src_data_rank=None)
    step: Any = spread(case.step) if packed else 0
    config: Any = spread(case.records) if packed else CONFIG
    drawn: Any = fire.sample_with_logprobs(logits, step, config)
    results: list[Any] = [fire.sample(logits, step, config), *drawn]
    results.append(fire.process_logits(logits, step, config))
    heated = distribute_tensor(case.logits.float().clone(), mesh, placements, src_data_rank=None)
    assert fire.heat_logits_(heated, step, config) is heated
    results.append(heated)
    leaf = logits.detach().requires_grad_()
    value: Any = fire.log_prob(leaf, spread(case.token), step, config)
    results.append(value)
    value.to_local().nan_to_num(neginf=0).sum().backward()
    results.append(leaf.grad)
    assert all(isinstance(result, DTensor) for result in results)
    assert list(drawn.token.placements) == of_rows(placements)
    return [result.full_tensor().detach() for result in results]


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("placed", PLACEMENTS)
def test_a_dtensor_gives_what_its_whole_rows_do(ranks: RankPool, placed: str, packed: bool) -> None:
    size, placements = PLACEMENTS[placed]
    for seed in (0, 1):
        case = batch(seed, vocabulary=61, rows=ROWS)
        step, config = (case.step, case.records) if packed else (0, CONFIG)
        leaf = case.logits.clone().requires_grad_()
        value = fire.log_prob(leaf, case.token, step, config)
        value.nan_to_num(neginf=0).sum().backward()
        assert leaf.grad is not None
        expected = (
            fire.sample(case.logits, step, config),
            *fire.sample_with_logprobs(case.logits, step, config),
            fire.process_logits(case.logits, step, config),
            fire.heat_logits_(case.logits.float().clone(), step, config),
            value.detach(),
            leaf.grad,
        )
        for rank, results in enumerate(ranks.run(call_all, placements, seed, packed, size=size)):
            assert isinstance(results, list), (rank, results)
            for index, (result, wanted) in enumerate(zip(results, expected, strict=True)):
                assert same(result, wanted), f"seed {seed}, rank {rank}, result {index}"


def call_with_slots(place: Place, as_configs: bool) -> list[Tensor]:
    """Rows apart, beside one table of records for all; and a list of configs, one a row."""
    mesh = mesh_of(place, 1)
    case = batch(3, vocabulary=61, rows=48)
    logits = distribute_tensor(case.logits, mesh, [Shard(0)], src_data_rank=None)
    slot = distribute_tensor(slots(), mesh, [Shard(0)], src_data_rank=None)
    table: Any = TABLE if as_configs else fire.pack(TABLE)
    results: list[Any] = [fire.sample(logits, 1, table, slot), fire.sample(logits, 1, TABLE * 16)]
    with torch.inference_mode():
        heated = distribute_tensor(case.logits.float().clone(), mesh, [Shard(0)], src_data_rank=None)
        results.append(fire.heat_logits_(heated, 0, TABLE * 16))
    return [result.full_tensor().clone() for result in results]


TABLE = [CONFIG.replace(seed=index, top_k=index) for index in range(3)]


def slots() -> Tensor:
    return torch.arange(16 * len(TABLE), dtype=torch.int32) * 7 // 5 % len(TABLE)


@pytest.mark.parametrize("as_configs", [True, False])
def test_a_table_of_records_is_whole_and_a_list_of_configs_is_cut_as_the_rows_are(
    ranks: RankPool, as_configs: bool
) -> None:
    case = batch(3, vocabulary=61, rows=48)
    expected = (
        fire.sample(case.logits, 1, TABLE, slots()),
        fire.sample(case.logits, 1, TABLE * 16),
        fire.heat_logits_(case.logits.float().clone(), 0, TABLE * 16),
    )
    for results in ranks.run(call_with_slots, as_configs, size=3):
        assert isinstance(results, list), results
        assert all(same(*pair) for pair in zip(results, expected, strict=True))


COLUMNS = ("columns", "seed of rank 1", "step of rank 1")


def call_badly(place: Place, what: str) -> None:
    mesh = mesh_of(place, 1)
    whole = torch.zeros(4, 6)
    placement = Partial() if what == "partial" else Shard(1) if what in COLUMNS else Shard(0)
    logits = DTensor.from_local(whole, mesh, [placement])
    if what == "other rows":
        logits = DTensor.from_local(
            whole[: 1 + place.rank],
            mesh,
            [Shard(0)],
            run_check=False,
            shape=torch.Size((3, 6)),
            stride=(6, 1),
        )
    if what == "three dimensions":
        logits = DTensor.from_local(whole[None], mesh, [Shard(0)])
    arguments: dict[str, Any] = {"step": 0, "config": CONFIG}
    if place.rank == 1 and what == "step of rank 1":
        arguments["step"] = DTensor.from_local(torch.zeros(2, dtype=torch.int64), mesh, [Shard(0)])
    if what == "step":
        arguments["step"] = torch.zeros(4, dtype=torch.int64)
    if what == "records":
        arguments["config"] = fire.pack(CONFIG, 4)
    if what == "records elsewhere":
        arguments["config"] = DTensor.from_local(fire.pack(CONFIG, 4), mesh, [Replicate()])
    if what in ("seed", "columns") or (place.rank == 1 and what == "seed of rank 1"):
        arguments["config"] = CONFIG.replace(seed=None)
    fire.sample(logits, **arguments)


@pytest.mark.parametrize(
    ("what", "kind", "text"),
    [
        (
            "partial",
            "TypeError",
            "logits is a DTensor of 2 dimensions placed as [Partial(sum)], expected [R, V]",
        ),
        ("three dimensions", "TypeError", "logits is a DTensor of 3 dimensions placed as [Shard(dim=0)]"),
        (
            "step",
            "TypeError",
            "step is a plain tensor beside logits whose rows are sharded, expected a DTensor",
        ),
        ("records", "TypeError", "config is a plain tensor beside logits whose rows are sharded"),
        ("records elsewhere", "TypeError", "config is placed as [Replicate()], expected [Shard(dim=0)]"),
        ("seed", "ValueError", "config lacks a seed beside a DTensor, expected a seed"),
        ("other rows", "TypeError", "logits has "),
    ],
)
def test_what_no_process_can_cut_rightly_is_refused_by_name(
    ranks: RankPool, what: str, kind: str, text: str
) -> None:
    for failure in ranks.run(call_badly, what, size=2):
        assert isinstance(failure, Failed)
        assert failure.kind == kind
        assert failure.text.startswith(f"fire_sampling.sample: {text}"), failure.text


@pytest.mark.parametrize(
    ("what", "kind", "text"),
    [
        ("columns", "ValueError", "rank 0 of 2: config lacks a seed beside a DTensor, expected a seed"),
        ("seed of rank 1", "ValueError", "rank 1 of 2: config lacks a seed beside a DTensor"),
        (
            "step of rank 1",
            "TypeError",
            "rank 1 of 2: step is placed as [Shard(dim=0)], expected [Replicate()]",
        ),
    ],
)
def test_beside_columns_what_one_process_refuses_is_the_same_error_on_all(
    ranks: RankPool, what: str, kind: str, text: str
) -> None:
    failures = ranks.run(call_badly, what, size=2)
    assert len(set(failures)) == 1, failures
    assert failures[0].kind == kind
    assert failures[0].text.startswith(f"fire_sampling.distributed.sample: {text}"), failures[0]


def call_on_a_turned_mesh(place: Place) -> DTensor:
    mesh = DeviceMesh("cpu", [0, 2, 1, *range(3, place.size)])
    logits = DTensor.from_local(torch.zeros(4, 6), mesh, [Shard(1)])
    result: Any = fire.sample(logits, 0, CONFIG)
    return result


def test_a_mesh_whose_ranks_do_not_ascend_is_refused_instead_of_its_columns_exchanged(
    ranks: RankPool,
) -> None:
    failures = ranks.run(call_on_a_turned_mesh)
    assert len(set(failures)) == 1, failures
    assert failures[0].kind == "TypeError"
    assert failures[0].text == (
        "fire_sampling.distributed.sample: rank 1 of 8: logits lies on a mesh that has this process at place "
        "2 of dimension 0 and its group at 1, expected a mesh whose ranks ascend"
    )


def call_in_place(place: Place) -> str:
    """What autograd raises where the heated DTensor had been saved."""
    mesh = mesh_of(place, 1)
    logits = distribute_tensor(torch.randn(4, 6), mesh, [Shard(1)], src_data_rank=None)
    weight = distribute_tensor(torch.ones(4, 6), mesh, [Shard(1)], src_data_rank=None).requires_grad_()
    scaled: Any = logits * weight
    product = scaled.to_local().sum()
    fire.heat_logits_(logits, 0, CONFIG)
    try:
        product.backward()
    except RuntimeError as error:
        return str(error)
    return ""


def test_a_heated_dtensor_that_autograd_saved_is_not_used(ranks: RankPool) -> None:
    for told in ranks.run(call_in_place, size=2):
        assert "modified by an inplace operation" in told
