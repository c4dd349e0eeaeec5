"""What bench/support_log_prob.py measures, compares and shows."""

from __future__ import annotations

import copy

import pytest
import torch
from bench_runs import committed

import support_log_prob as bench  # isort: skip

COMMITTED = committed(bench.PROGRAM)


@pytest.mark.parametrize("dtype", bench.DTYPES)
def test_every_way_that_is_timed_gives_the_same_values_and_gradient(dtype: str) -> None:
    rollout = bench.make_rollout(6, dtype, vocabulary=512)
    rollout.support[2] = -1  # the whole row is no set of the masked or gathered ones
    rollout = bench.Rollout(*(part[torch.arange(6) != 2] for part in rollout))
    values, gradients = [], []
    for name, call in bench.calls_of(rollout).items():
        if "compiled" in name:
            continue
        values.append(torch.stack(call(rollout.logits)))
        gradients.append(bench.step(call, rollout.logits).float())
    for found in values[1:]:
        torch.testing.assert_close(found, values[0], rtol=1e-5, atol=1e-5)
    for found in gradients[1:]:
        torch.testing.assert_close(found, gradients[0], rtol=1e-2, atol=1e-6 if dtype == "float32" else 1e-3)


def test_supports_are_those_of_a_rollout_and_hold_its_tokens() -> None:
    rollout = bench.make_rollout(20, "float32", vocabulary=2000)
    assert (rollout.support == rollout.token[:, None]).any(dim=1).all()
    sizes = (rollout.support >= 0).sum(dim=1)
    assert (sizes < bench.WIDTH).all()
    assert sizes.max() > 1


def test_a_peer_that_is_not_slower_by_the_goal_is_named() -> None:
    run = copy.deepcopy(COMMITTED)
    assert bench.missed(run) == []
    found = run["cells"][0]["results"]
    found["log_softmax, masked"]["median"] = 1.5 * found[bench.OURS]["median"]
    assert bench.missed(run) == ["float32, log_softmax, masked: 1.50 of 2"]


def test_ours_takes_the_gradient_and_nothing_else_of_its_size() -> None:
    for cell in COMMITTED["cells"]:
        assert cell["peak_in_gradients"][bench.OURS] < 1.1
        assert max(cell["largest_difference"].values()) < (1e-5 if cell["dtype"] == "float32" else 1e-2)
    assert [(one["rows"], one["peak_in_gradients"] < 1.01) for one in COMMITTED["many"]] == [(4096, True)] * 2
