"""A support is the set that a token was drawn from, as `process_logits` shows it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from backends import pack
from operator_inputs import CONFIGS, DTYPES, Inputs, assert_same_bits, make_inputs, random_normal, results_of
from torch import Tensor

import fire_sampling as fire
from fire_sampling import Status

pytestmark = pytest.mark.every_backend

WIDTHS = (1, 2, 5, 9, 61, 70)


def order_of(logits: Tensor) -> Tensor:
    """The ids of one row in the order of its tokens: NaN as -inf, equal logits by id."""
    return logits.float().nan_to_num(nan=-torch.inf, posinf=None).sort(descending=True, stable=True).indices


def expected_support(logits: Tensor, processed: Tensor, token: int, width: int) -> list[int]:
    """The page, read for one row."""
    kept = set(processed.isfinite().nonzero()[:, 0].tolist())
    first = [id for id in order_of(logits).tolist() if id in kept][:width]
    if token not in first:
        first[-1] = token
    return sorted(first) + [-1] * (width - len(first))


def troubled(inputs: Inputs) -> Inputs:
    """Inputs with NaNs, an infinity and ties among the logits."""
    logits = inputs.logits.clone()
    logits[1, ::7] = torch.nan
    logits[2, 20] = torch.inf
    logits[3:6] = logits[3:6].round()
    return inputs._replace(logits=logits)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_support_is_what_process_logits_keeps_cut_to_the_first_of_the_order(
    dtype: torch.dtype, width: int
) -> None:
    inputs = troubled(make_inputs(rows=30, dtype=dtype, seed=width))
    drawn = fire.SampleWithLogprobs(*results_of("sample_with_logprobs", inputs))
    ours = fire.SampleWithSupport(*results_of("sample_with_support", inputs, width=width))
    processed = torch.ops.fire.process_logits(*inputs)
    sizes = processed.isfinite().sum(1)
    cut = (sizes > width) * int(Status.SUPPORT_CUT)
    assert_same_bits(ours[:5], drawn[:5])
    assert torch.equal(ours.status, drawn.status | cut.int())
    assert cut.any() == (width < 61)
    for row in range(30):
        wanted = expected_support(inputs.logits[row], processed[row], int(drawn.token[row]), width)
        assert ours.support[row].tolist() == wanted, row


@pytest.mark.parametrize("width", WIDTHS)
def test_its_log_probs_are_those_of_the_distribution_that_is_drawn_from_also_where_it_is_cut(
    width: int,
) -> None:
    inputs = make_inputs(rows=30, seed=width)
    ours = fire.SampleWithSupport(*results_of("sample_with_support", inputs, width=width))
    log_softmax = torch.ops.fire.process_logits(*inputs).double().log_softmax(1)
    there = ours.support >= 0
    expected = log_softmax.gather(1, ours.support.long().clamp(min=0))
    assert (ours.support_logprob[~there] == -torch.inf).all()
    # 1e-6 · max(1, |value|) is the contract's. A weight is cut off to an integer, and M is above 2^44.
    bound = 1e-6 * expected.abs().clamp(min=1) + (-expected).exp() * 2**-44
    near = (ours.support_logprob - expected).abs() <= bound
    weightless = (ours.support_logprob == -torch.inf) & (expected < -30)  # 2^-44 is e^-30.5
    assert (near | weightless)[there].all()
    at_token = ours.support == ours.token[:, None]
    assert (at_token.sum(1) == 1).all()
    assert torch.equal(ours.support_logprob[at_token], ours.logprob)
    whole = ours.status & Status.SUPPORT_CUT == 0
    total = ours.support_logprob.double().exp().sum(1)
    assert (total[whole] - 1).abs().max() < 1e-5
    assert (total < 1 + 1e-5).all()


def test_a_token_too_improbable_to_be_drawn_is_kept_with_a_log_prob_of_minus_infinity() -> None:
    logits = torch.tensor([[0.0, -1.0, -1000.0, -torch.inf]])
    ours = fire.sample_with_support(logits, 1, pack([fire.SamplingConfig(seed=1)]), width=4)
    assert ours.support.tolist() == [[0, 1, 2, -1]]
    assert ours.support_logprob.isfinite().tolist() == [[True, True, False, False]]


def test_the_drawn_token_takes_the_last_place_where_it_is_beyond_the_cut() -> None:
    logits = torch.zeros(64, 50)  # equal: the order is that of the ids
    records = pack(fire.SamplingConfig(seed=3), rows=64)
    ours = fire.sample_with_support(logits, 1, records, width=8)
    beyond = ours.token >= 8
    assert beyond.any()
    assert (~beyond).any()
    assert (ours.support[:, :7] == torch.arange(7, dtype=torch.int32)).all()
    assert torch.equal(ours.support[:, 7], ours.token.clamp(min=7).int())
    assert ((ours.support_logprob + torch.tensor(50.0).log()).abs() <= 1e-6 * 4).all()


@pytest.mark.parametrize(
    ("config", "token"),
    [
        (fire.SamplingConfig(temperature=0.0), 4),
        (fire.SamplingConfig(min_p=0.0, top_p=0.0), 4),
        (fire.SamplingConfig(hot_top_k=6, design="enumerated", group_size=3, member=1), 0),
    ],
    ids=["greedy", "top-p of nothing", "enumerated"],
)
def test_a_row_that_draws_nothing_has_its_token_for_a_support(
    config: fire.SamplingConfig, token: int
) -> None:
    logits = torch.tensor([[5.0, 4.0, 3.0, 2.0, 6.0, 1.0, 0.0]])
    ours = fire.sample_with_support(logits, 0, pack([config.replace(hot_temperature=1.0, seed=1)]), width=3)
    if config.top_p == 0:
        ours = fire.sample_with_support(logits, 1, pack([config.replace(seed=1)]), width=3)
    assert ours.support.tolist() == [[token, -1, -1]]
    assert ours.support_logprob.tolist() == [[0.0, -torch.inf, -torch.inf]]
    assert not ours.status & Status.SUPPORT_CUT
    if config.design == "enumerated":
        assert ours.kept.tolist() == [6]


def test_a_row_beyond_a_list_of_candidates_has_a_support_too() -> None:
    logits = random_normal(2, 20000, seed=3)
    inputs = Inputs(
        logits, torch.tensor([1, 1]), pack([CONFIGS[5], fire.SamplingConfig(top_p=0.95, hot_steps=0, seed=9)])
    )
    processed = torch.ops.fire.process_logits(*inputs)
    for width in (3, 9000, 20000):
        ours = fire.SampleWithSupport(*results_of("sample_with_support", inputs, width=width))
        for row in range(2):
            wanted = expected_support(logits[row], processed[row], int(ours.token[row]), width)
            assert ours.support[row].tolist() == wanted


def test_slot_chooses_the_record_of_each_row_and_is_reported_beside_a_cut() -> None:
    logits, step, _ = make_inputs(rows=4)
    records, slot = pack(list(CONFIGS)), torch.tensor([6, 0, 7, -1], dtype=torch.int32)
    *chosen, status, support, logprob = results_of(
        "sample_with_support", (logits, step, records), slot=slot, width=2
    )
    clamped = records[slot.long().clamp(0, 6)]
    *wanted, plain, wanted_support, wanted_logprob = results_of(
        "sample_with_support", (logits, step, clamped), width=2
    )
    assert_same_bits((*chosen, support, logprob), (*wanted, wanted_support, wanted_logprob))
    assert ((status ^ plain) == torch.tensor([0, 0, 1, 1]) * int(Status.SLOT_OUT_OF_RANGE)).all()


def test_the_function_takes_configs_and_integer_steps() -> None:
    logits = make_inputs(rows=4).logits
    config = fire.SamplingConfig(top_k=9, seed=8)
    ours = fire.sample_with_support(logits, 2, config, width=9, reference=False)
    records = pack(config, rows=4)
    expected = torch.ops.fire.sample_with_support(logits, torch.tensor(2), records, width=9, reference=False)
    assert_same_bits(tuple(ours), expected)
    assert ours.ref_logprob.isnan().all()


def test_each_width_has_a_graph_of_its_own_that_serves_every_number_of_rows_and_vocabulary() -> None:
    graphs: list[Any] = []

    def count(graph: torch.fx.GraphModule, inputs: list[Any]) -> Any:
        graphs.append(graph)
        return graph.forward

    torch.compiler.reset()
    compiled = torch.compile(fire.sample_with_support, fullgraph=True, dynamic=True, backend=count)
    for width in (3, 8):
        for rows, vocabulary in [(5, 40), (9, 61), (3, 1000)]:
            inputs = make_inputs(rows=rows, vocabulary=vocabulary)
            ours = compiled(*inputs, width=width)
            assert_same_bits(tuple(ours), tuple(fire.sample_with_support(*inputs, width=width)))
    assert len(graphs) == 2
