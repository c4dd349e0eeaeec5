"""`fire_sampling.rl` on small cases computed by hand, and on gradients that can be enumerated."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import fire_sampling as fire
from fire_sampling import rl

# Probabilities, so that the weights below can be read off: 8, 1, 0.5 and 0.5, 1.
OLD = [[0.5, 0.5, 0.25], [0.125, 0.5, 0.5]]
BEHAVIOUR = [[0.0625, 0.5, 0.5], [0.25, 0.5, 0.5]]
MASK = torch.tensor([[True, True, True], [True, True, False]])
GARBAGE = (math.nan, math.inf, -math.inf)


def logs(probabilities: list[list[float]]) -> Tensor:
    return torch.tensor(probabilities).log()


def assert_close(actual: Tensor, expected: Any) -> None:
    torch.testing.assert_close(actual, torch.as_tensor(expected), rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (fire.SamplingConfig(), [[1, 0, 0], [1, 0, 0]]),
        (fire.SamplingConfig(hot_begin=1, hot_steps=9), [[0, 1, 1], [0, 1, 0]]),
        (fire.SamplingConfig(hot_steps=0), [[0, 0, 0], [0, 0, 0]]),
        (fire.SamplingConfig(temperature=0.0), [[0, 0, 0], [0, 0, 0]]),
        (fire.SamplingConfig(hot_begin=2**31 - 1, hot_steps=2**31 - 1), [[0, 0, 0], [0, 0, 0]]),
    ],
)
def test_hot_tokens_are_those_of_the_window_that_are_not_padding(
    config: fire.SamplingConfig, expected: list[list[int]]
) -> None:
    assert rl.hot_tokens(MASK, config).int().tolist() == expected
    assert [step in config.hot_window for step in range(3)] == [bool(hot) for hot in expected[0]]
    drawn = fire.sample_with_logprobs(torch.randn(3, 9), torch.arange(3), config.replace(seed=1))
    hot = (drawn.status & fire.Status.HOT).bool()
    assert torch.equal(rl.hot_tokens(MASK[:1], config)[0], hot)


def test_ignoring_weighs_every_token_alike_and_masking_drops_the_hot_ones() -> None:
    assert rl.unit_weights(MASK).tolist() == [[1, 1, 1], [1, 1, 0]]
    assert rl.hot_masked_weights(MASK, fire.SamplingConfig()).tolist() == [[0, 1, 1], [0, 1, 0]]


def test_a_token_weight_is_the_ratio_of_the_probabilities_up_to_the_cap() -> None:
    old, behaviour = logs(OLD), logs(BEHAVIOUR)
    assert_close(
        rl.token_weights(MASK, old=old, behaviour=behaviour, cap=math.inf), [[8, 1, 0.5], [0.5, 1, 0]]
    )
    assert_close(rl.token_weights(MASK, old=old, behaviour=behaviour, cap=2.0), [[2, 1, 0.5], [0.5, 1, 0]])


def test_a_sequence_weight_is_the_product_over_the_row_without_its_padding() -> None:
    old, behaviour = logs(OLD), logs(BEHAVIOUR)
    assert_close(
        rl.sequence_weights(MASK, old=old, behaviour=behaviour, cap=math.inf), [[4, 4, 4], [0.5, 0.5, 0]]
    )
    assert_close(rl.sequence_weights(MASK, old=old, behaviour=behaviour, cap=3.0), [[3, 3, 3], [0.5, 0.5, 0]])


def test_normalised_sequence_weights_have_mean_one_over_the_sequences_that_have_a_token() -> None:
    old, behaviour = (logs([*rows, [0.5] * 3]) for rows in (OLD, BEHAVIOUR))
    mask = torch.cat([MASK, torch.zeros(1, 3, dtype=torch.bool)])
    weights = rl.sequence_weights(mask, old=old, behaviour=behaviour, cap=math.inf, normalise=True)
    assert_close(weights[:, 0], [4 / 2.25, 0.5 / 2.25, 0])
    empty = rl.sequence_weights(torch.zeros_like(mask), old=old, behaviour=behaviour, cap=1.0, normalise=True)
    assert not empty.any()


def test_the_clip_stops_an_update_that_has_gone_far_enough_but_never_one_that_goes_back() -> None:
    old = logs([[0.25, 0.25, 0.25, 0.25]])
    policy = logs([[0.5, 0.5, 0.125, 0.125]]).requires_grad_()
    advantage = torch.tensor([[3.0, -3.0, 3.0, -3.0]])
    loss = rl.ppo_loss(
        policy, old=old, advantage=advantage, weights=torch.ones(1, 4), clip_low=0.25, clip_high=0.5
    )
    # r = 2, 2, .5, .5: clipped at 1.5, kept, kept, clipped at .75.
    assert_close(loss.detach(), [[-4.5, 6.0, -1.5, 2.25]])
    (gradient,) = torch.autograd.grad(loss.sum(), policy)
    assert_close(gradient, [[0.0, 6.0, -1.5, 0.0]])


def test_one_advantage_a_sequence_is_that_advantage_for_each_of_its_tokens() -> None:
    policy, old, weights = torch.randn(3, 3), torch.randn(3, 3), torch.rand(3, 3)
    advantage = torch.tensor([1.0, -2.0, 0.5])
    each = advantage[:, None].expand(3, 3)
    one = rl.ppo_loss(policy, old=old, advantage=advantage, weights=weights)
    assert torch.equal(one, rl.ppo_loss(policy, old=old, advantage=each, weights=weights))


def test_decoupled_ppo_weighs_by_the_behaviour_and_clips_about_the_old_policy() -> None:
    old, behaviour = logs([[0.5, 0.5]]), logs([[0.0625, 0.0625]])
    policy = logs([[0.5, 1.0]]).requires_grad_()
    mask, advantage = torch.ones(1, 2, dtype=torch.bool), torch.tensor([1.0])
    loss = rl.decoupled_ppo_loss(
        policy, old=old, behaviour=behaviour, advantage=advantage, mask=mask, cap=math.inf
    )
    assert_close(loss.detach(), [[-8.0, -9.6]])
    (gradient,) = torch.autograd.grad(loss.sum(), policy)
    # Of PPO with its ratio against the behaviour, 8 at the start, nothing would be left.
    assert_close(gradient, [[-8.0, 0.0]])
    capped = rl.decoupled_ppo_loss(
        policy, old=old, behaviour=behaviour, advantage=advantage, mask=mask, cap=2.0
    )
    assert_close(capped.detach(), [[-2.0, -2.4]])


@pytest.mark.parametrize("garbage", GARBAGE)
def test_what_padding_holds_reaches_neither_weights_nor_gradients(garbage: float) -> None:
    def everything(fill: float) -> tuple[Tensor, ...]:
        old, behaviour, leaf = (
            torch.randn(2, 3, generator=torch.Generator().manual_seed(s)) for s in (1, 2, 3)
        )
        old, behaviour, leaf = (x.masked_fill(~MASK, fill) for x in (old, behaviour, leaf))
        leaf.requires_grad_()
        loss = rl.decoupled_ppo_loss(
            leaf, old=old, behaviour=behaviour, advantage=torch.tensor([1.0, -1.0]), mask=MASK, cap=2.0
        )
        (gradient,) = torch.autograd.grad(loss.sum(), leaf)
        weights = rl.sequence_weights(MASK, old=old, behaviour=behaviour, cap=9.0, normalise=True)
        return weights, rl.token_weights(MASK, old=old, behaviour=behaviour, cap=2.0), loss.detach(), gradient

    for clean, dirty in zip(everything(0.5), everything(garbage), strict=True):
        assert torch.equal(clean, dirty)
        assert not dirty[~MASK].any()


def test_weights_are_constants_even_of_log_probabilities_that_require_grad() -> None:
    old, behaviour = logs(OLD).requires_grad_(), logs(BEHAVIOUR).requires_grad_()
    assert not rl.token_weights(MASK, old=old, behaviour=behaviour, cap=2.0).requires_grad
    assert not rl.sequence_weights(MASK, old=old, behaviour=behaviour, cap=2.0).requires_grad
    leaf = logs(OLD).requires_grad_()
    loss = rl.decoupled_ppo_loss(
        leaf, old=old, behaviour=behaviour, advantage=torch.ones(2), mask=MASK, cap=2.0
    ).sum()
    of_leaf, *of_constants = torch.autograd.grad(loss, (leaf, old, behaviour), allow_unused=True)
    assert of_leaf.any()
    assert of_constants == [None, None]


def test_weights_of_16_bit_log_probabilities_are_computed_in_float32() -> None:
    old, behaviour = (torch.randn(2, 3).bfloat16() for _ in range(2))
    weights = rl.token_weights(MASK, old=old, behaviour=behaviour, cap=math.inf)
    assert weights.dtype == torch.float32
    assert torch.equal(
        weights, rl.token_weights(MASK, old=old.float(), behaviour=behaviour.float(), cap=math.inf)
    )


def test_losses_and_weights_trace_into_one_graph() -> None:
    policy, old, behaviour = (torch.randn(2, 3, requires_grad=first) for first in (True, False, False))
    weights = torch.compile(rl.sequence_weights, backend="eager", fullgraph=True)
    arguments: dict[str, Any] = {"old": old, "behaviour": behaviour, "cap": 2.0}
    plain = rl.sequence_weights(MASK, **arguments, normalise=True)
    assert torch.equal(weights(MASK, **arguments, normalise=True), plain)
    loss = torch.compile(rl.decoupled_ppo_loss, backend="eager", fullgraph=True)
    arguments |= {"advantage": torch.randn(2), "mask": MASK}
    gradients = [
        torch.autograd.grad(function(policy, **arguments).sum(), policy)[0]
        for function in (rl.decoupled_ppo_loss, loss)
    ]
    assert torch.equal(*gradients)


V = 7
CONFIG = fire.SamplingConfig(temperature=0.7, top_k=5, hot_top_k=5, hot_temperature=30.0, seed=3)


def expected_gradients(choose: Callable[[Tensor, Tensor, Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Of Σ reward · log policy over sequences of two tokens, in the first token's logits: its expectation
    under the distribution that `CONFIG` draws from, weighted; and under the policy, of what it can draw.

    `choose` makes weights of old, behaviour and mask. All V² sequences are enumerated, none is drawn.
    """
    torch.manual_seed(0)
    first, second = torch.randn(V).requires_grad_(), torch.randn(V, V)
    reward = torch.randn(V, V).flatten()
    tokens = torch.cartesian_prod(torch.arange(V), torch.arange(V))
    rows = torch.stack([first.expand(V * V, V), second[tokens[:, 0]]], dim=1).reshape(-1, V)
    step = torch.arange(2).repeat(V * V)
    plain = CONFIG.replace(top_k=0, hot_steps=0)
    behaviour = fire.log_prob(rows.detach(), tokens.flatten(), step, CONFIG).view(-1, 2)
    policy = fire.log_prob(rows, tokens.flatten(), step, plain).view(-1, 2)
    mask = torch.ones_like(policy, dtype=torch.bool)
    drawn = behaviour.sum(dim=1).exp()
    possible = drawn > 0
    weights = choose(policy.detach()[possible], behaviour[possible], mask[possible])
    loss = weights * policy[possible] * (drawn * reward)[possible, None]
    (weighted,) = torch.autograd.grad(loss.sum(), first, retain_graph=True)
    probability = policy.detach().sum(dim=1).exp()
    objective = (policy.sum(dim=1) * probability * reward)[possible].sum()
    return weighted, torch.autograd.grad(objective, first)[0]


def test_sequence_weights_without_a_cap_give_the_policys_own_gradient_over_what_can_be_drawn() -> None:
    weighted, wanted = expected_gradients(
        lambda old, behaviour, mask: rl.sequence_weights(mask, old=old, behaviour=behaviour, cap=math.inf)
    )
    assert wanted.any()
    torch.testing.assert_close(weighted, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "choose",
    [
        lambda old, behaviour, mask: rl.unit_weights(mask),
        lambda old, behaviour, mask: rl.hot_masked_weights(mask, CONFIG),
        lambda old, behaviour, mask: rl.sequence_weights(mask, old=old, behaviour=behaviour, cap=1.0),
    ],
    ids=["ignore", "mask", "capped"],
)
def test_the_cheaper_choices_have_another_expected_gradient(choose: Any) -> None:
    weighted, wanted = expected_gradients(choose)
    assert (weighted - wanted).abs().max() > 0.05 * wanted.abs().max()


def test_masking_the_hot_tokens_leaves_the_first_step_without_a_gradient() -> None:
    weighted, _ = expected_gradients(lambda old, behaviour, mask: rl.hot_masked_weights(mask, CONFIG))
    assert not weighted.any()


def test_no_hot_weight_exceeds_a_cap_of_one_over_the_least_behaviour_probability() -> None:
    logits = torch.randn(64, 500) * 4
    config = fire.SamplingConfig(temperature=0.7, hot_top_k=16, seed=5)
    drawn = fire.sample_with_logprobs(logits, 0, config)
    mask = torch.ones(64, 1, dtype=torch.bool)
    weights = rl.token_weights(
        mask, old=drawn.ref_logprob[:, None], behaviour=drawn.logprob[:, None], cap=math.inf
    )
    least = fire.process_logits(logits, 0, config).softmax(dim=1)
    least[least == 0] = 1.0
    assert (weights[:, 0] <= 1 / least.amin(dim=1)).all()
    assert weights.max() > 2
