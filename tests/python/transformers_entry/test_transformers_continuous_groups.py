# mypy: disable-error-code="no-untyped-call,no-any-return"
"""Groups in continuous batching: the sequences of a request, and requests that name their member."""

import copy
from typing import Any

import pytest
import tiny_models
from test_transformers_continuous import batching, generate_batch, generation, redrawn, results, running
from tiny_models import one_thread, prompts  # noqa: F401

import fire_sampling as fire
from fire_sampling.config import DESIGNS
from fire_sampling.integrations.transformers import install
from fire_sampling.integrations.transformers.groups import member_of

N = 4
HOT = fire.SamplingConfig(hot_top_k=16, seed=7)
REGULAR: dict[str, Any] = {"top_k": 5, "order": "hf", "ties": "keep_top_k"}


@pytest.fixture
def model() -> Any:
    return copy.deepcopy(tiny_models.llama())


def siblings(outputs: dict[str, Any], request: str) -> list[Any]:
    return [outputs[name] for name in (request, *(f"{request}__child#{i}" for i in range(N - 1)))]


@pytest.mark.parametrize("design", DESIGNS[1:])
def test_the_sequences_of_a_request_are_the_members_of_its_group(model: Any, design: Any) -> None:
    """With the request's own seed the records are known; without one, its id decides the group's."""
    config = HOT.replace(design=design)
    with install(model, config), running(model, num_return_sequences=N) as manager:
        manager.add_request(prompts()[0].tolist(), "seeded", seed=11)
        names = manager.add_requests(prompts().tolist())
        outputs = results(manager, N * 4)
    for member, output in enumerate(siblings(outputs, "seeded")):
        named = config.replace(seed=11, group_size=N, member=member, **REGULAR)
        assert output.generated_tokens == redrawn(output, named)
    if design in ("lattice", "enumerated"):
        for name in names:
            assert len({output.generated_tokens[0] for output in siblings(outputs, name)}) == N


def test_a_group_keeps_its_seed_whatever_runs_beside_it(model: Any) -> None:
    alone: list[Any] = []
    beside: list[Any] = []
    for found, others in ((alone, 0), (beside, 3)):
        with install(model, HOT.replace(design="lattice")), running(model, num_return_sequences=N) as manager:
            for row in range(others):
                manager.add_request(prompts(4)[row].tolist(), f"other {row}")
            manager.add_request(prompts()[0].tolist(), "same")
            outputs = results(manager, N * (others + 1))
        found += [output.generated_tokens for output in siblings(outputs, "same")]
    assert alone == beside


def test_requests_that_name_their_member_are_a_group(model: Any) -> None:
    group: dict[str, Any] = {"design": "lattice", "group_size": N, "seed": 5}
    with install(model, HOT), running(model) as manager:
        for member in range(N):
            manager.add_request(prompts()[0].tolist(), str(member), member=member, **group)
        outputs = results(manager, N)
    for member in range(N):
        output = outputs[str(member)]
        assert output.generated_tokens == redrawn(output, HOT.replace(member=member, **group, **REGULAR))
    assert len({output.generated_tokens[0] for output in outputs.values()}) == N


LONE = "design: got 'lattice' with num_return_sequences=1, expected 2 or more, or group_size, member"


@pytest.mark.parametrize(
    ("changes", "sequences", "message"),
    [
        ({}, 1, LONE),
        ({"group_size": 4, "seed": 3}, 1, LONE),
        ({"group_size": 4, "member": 0}, 1, LONE),
        ({"hot_steps": 0}, 2, "design: got 'lattice' with no hot step, expected hot_steps of 1 or more"),
        ({"group_size": 4}, 2, "group_size: got 4, member 0, expected neither with num_return_sequences=2"),
        ({"group_size": 2, "member": 1}, 2, "group_size: got 2, member 1, expected neither with"),
    ],
)
def test_a_request_that_would_be_drawn_on_its_own_fails_and_says_why(
    model: Any, changes: dict[str, Any], sequences: int, message: str
) -> None:
    with (
        install(model, HOT.replace(design="lattice")),
        running(model, num_return_sequences=sequences) as manager,
    ):
        manager.add_request([5, 6, 7], "lone", **changes)
        error = results(manager, 1)["lone"].error
    assert error is not None
    assert error.startswith(message)


def test_a_design_is_refused_where_transformers_draws_itself(model: Any) -> None:
    changes = batching(return_logprobs=True)
    with (
        install(model, HOT.replace(design="stratified")),
        running(model, changes, num_return_sequences=2) as manager,
    ):
        manager.add_request([5, 6, 7], "lone")
        error = results(manager, 1)["lone"].error
    assert error is not None
    assert error.startswith("design: got 'stratified' with return_logprobs=True, expected none")


def test_codes_are_refused_with_the_reason(model: Any) -> None:
    with (
        install(model, HOT.replace(design="lattice"), code=True),
        pytest.raises(ValueError, match=r"^install: code: got True, expected False with continuous batching"),
    ):
        model.init_continuous_batching(generation(num_return_sequences=N), batching())


def test_generate_batch_draws_groups_too(model: Any) -> None:
    with install(model, HOT.replace(design="lattice")):
        outputs = generate_batch(model, prompts(), num_return_sequences=N)
    # Up to 5.17 it returns one of them.
    if len(outputs) == 3 * N:
        for row in range(3):
            assert len({output.generated_tokens[0] for output in outputs[row * N :][:N]}) == N


@pytest.mark.parametrize(
    ("name", "parent", "member"),
    [
        ("req_0", "req_0", 0),
        ("req_0__child#0", "req_0", 1),
        ("req_0__child#11", "req_0", 12),
        ("a__child#1__child#2", "a__child#1", 3),
        ("mine__child#x", "mine__child#x", 0),
    ],
)
def test_a_sequence_is_told_by_its_name(name: str, parent: str, member: int) -> None:
    assert member_of(name) == (parent, member)
