"""The functions of `fire_sampling.rl` over a rollout's support: by hand, and every expectation enumerated."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

import fire_sampling as fire
from fire_sampling import rl

V = 24
MASK = torch.tensor([[True, True, True], [True, True, False]])
# Of one row: hot within the whole support; by top-p; by min-p, warm; greedy, which decides.
SAMPLERS = {
    "hot": fire.SamplingConfig(temperature=0.7, hot_temperature=30.0, hot_top_k=8, seed=1),
    "top-p": fire.SamplingConfig(temperature=0.7, top_p=0.8, hot_steps=0, seed=1),
    "min-p": fire.SamplingConfig(temperature=1.5, min_p=0.02, hot_steps=0, seed=1),
    "everything": fire.SamplingConfig(temperature=1.0, hot_steps=0, seed=1),
}


def logits(seed: int = 0, rows: int = 1) -> Tensor:
    return torch.randn(rows, V, generator=torch.Generator().manual_seed(seed)) * 2


def rewards() -> Tensor:
    return torch.rand(V, generator=torch.Generator().manual_seed(9))


def logs(probabilities: list[list[float]]) -> Tensor:
    return torch.tensor(probabilities).log()


def every_draw(
    row: Tensor, drawn: Any, advantage: Tensor, temperature: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Of each token that can be drawn: its id, its chance in float64, and `centered_loss`, [N] each.

    Args:
        row: [V], what is differentiated.
        drawn: of one row, by `sample_with_support`.
        advantage: [V].
    """
    ids, behaviour = (each[0][drawn.support[0] >= 0] for each in (drawn.support, drawn.support_logprob))
    token, n = ids.long(), len(ids)
    support = ids.expand(n, 1, n)
    policy = rl.support_policy(row.expand(n, 1, V), support=support, temperature=temperature)
    loss = rl.centered_loss(
        policy.gather(2, torch.arange(n).view(n, 1, 1))[..., 0],
        support_policy=policy,
        support_behaviour=behaviour.expand(n, 1, n),
        advantage=advantage[token],
        mask=torch.ones(n, 1, dtype=torch.bool),
    )
    return token, behaviour.double().exp(), loss[:, 0]


def test_a_ratio_is_that_of_the_probabilities_and_its_derivative_the_ratio() -> None:
    policy = logs([[0.5, 0.25, 0.5], [0.1, 0.5, 0.5]]).requires_grad_()
    old = logs([[0.25, 0.5, 0.5], [0.1, 0.25, 0.5]])
    ratio = rl.support_ratio(policy, old=old, mask=MASK)
    wanted = torch.tensor([[2.0, 0.5, 1.0], [1.0, 2.0, 0.0]])
    torch.testing.assert_close(ratio.detach(), wanted, rtol=1e-6, atol=0)
    assert ratio.detach()[1, 0] == 1
    (gradient,) = torch.autograd.grad(ratio.sum(), policy)
    torch.testing.assert_close(gradient, wanted, rtol=1e-6, atol=0)


def test_at_the_first_update_the_ratio_is_exactly_1_under_top_p_and_over_the_whole_softmax_it_is_not() -> (
    None
):
    rows, config = logits(rows=64), SAMPLERS["top-p"]
    drawn = fire.sample_with_support(rows, 0, config.replace(seed=5), width=V)
    leaf = rows.clone().requires_grad_()
    policy, old = (fire.support_log_prob(x, drawn.token, drawn.support, 0.7) for x in (leaf, rows))
    mask = torch.ones(64, 1, dtype=torch.bool)
    ratio = rl.support_ratio(policy.logprob[:, None], old=old.logprob[:, None], mask=mask)
    assert (ratio == 1).all()
    engine = rl.support_ratio(policy.logprob[:, None], old=drawn.logprob[:, None], mask=mask)
    torch.testing.assert_close(engine.detach(), torch.ones(64, 1), rtol=1e-5, atol=0)
    whole = rl.support_ratio(policy.full_logprob[:, None], old=drawn.logprob[:, None], mask=mask).detach()
    kept = (rows / 0.7).softmax(-1).gather(1, drawn.support.long().clamp(min=0))
    mass = torch.where(drawn.support >= 0, kept, 0.0).sum(1, keepdim=True)
    torch.testing.assert_close(whole, mass, rtol=1e-5, atol=0)
    assert (whole < 0.9).float().mean() > 0.5


@pytest.mark.parametrize("pair", [(-math.inf, -1.0), (-1.0, -math.inf), (-math.inf, -math.inf)])
def test_a_token_outside_its_support_has_ratio_0_and_no_gradient_never_a_nan(
    pair: tuple[float, float],
) -> None:
    policy = torch.tensor([[pair[0], -1.0]], requires_grad=True)
    ratio = rl.support_ratio(
        policy, old=torch.tensor([[pair[1], -1.0]]), mask=torch.ones(1, 2, dtype=torch.bool)
    )
    assert ratio.tolist() == [[0, 1]]
    assert torch.autograd.grad(ratio.sum(), policy)[0].tolist() == [[0, 1]]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_ratios_and_centred_losses_are_finite_at_the_ends_of_every_type(dtype: torch.dtype) -> None:
    ends = (0.0, -1e4, torch.finfo(dtype).min, torch.finfo(dtype).max)
    advantages = (0.0, -1e4, *(sign * torch.finfo(torch.float32).max for sign in (1, -1)))
    cases = torch.tensor(list(itertools.product(ends, ends, ends, ends, advantages)), dtype=torch.float64)
    policy, first, second, behaviour = (column[:, None].to(dtype) for column in cases.T[:4])
    advantage = cases.T[4][:, None].float()
    mask = torch.ones_like(policy, dtype=torch.bool)
    leaf = policy.clone().requires_grad_()
    others = torch.stack([first, second], 2).requires_grad_()
    ratio = rl.support_ratio(leaf, old=first, mask=mask)
    loss = rl.centered_loss(
        leaf,
        support_policy=others,
        support_behaviour=behaviour[..., None].expand_as(others),
        advantage=advantage,
        mask=mask,
    )
    for result in (ratio, loss):
        assert result.dtype == torch.float32
        assert result.isfinite().all()
        gradients = torch.autograd.grad(result.sum(), (leaf, others), allow_unused=True)
        assert all(gradient.isfinite().all() for gradient in gradients if gradient is not None)


@pytest.mark.parametrize("temperature", [0.7, 1, 30.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_policy_over_a_support_is_the_log_softmax_of_its_tokens_and_has_its_gradient(
    temperature: float, dtype: torch.dtype
) -> None:
    torch.manual_seed(3)
    row = (torch.randn(2, 3, V) * 4).to(dtype)
    row[0, 0, 5], row[0, 1, V - 1] = -math.inf, -math.inf  # one of a support, and the only one of another
    support = torch.tensor([[2, 5, 9, -1], [V - 1, -1, -1, -1], [0, 1, V, 2**31 - 1]], dtype=torch.int32)
    support = torch.stack([support, torch.full_like(support, -1)])
    leaf, plain = row.clone().requires_grad_(), row.float().requires_grad_()
    ours = rl.support_policy(leaf, support=support, temperature=temperature)
    listed = (support >= 0) & (support < V)
    theirs = (plain / temperature).log_softmax(-1).gather(2, torch.where(listed, support, 0).long())
    torch.testing.assert_close(ours, theirs.masked_fill(~listed, -math.inf), rtol=2e-6, atol=2e-6)
    weight = torch.randn(2, 3, 4)
    finite = ours.isfinite()
    (gradient,) = torch.autograd.grad((ours[finite] * weight[finite]).sum(), leaf)
    (wanted,) = torch.autograd.grad((theirs[finite] * weight[finite]).sum(), plain)
    tolerance = torch.finfo(dtype).eps * 4
    torch.testing.assert_close(gradient.float(), wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("moved", [False, True], ids=["first update", "later update"])
def test_the_expected_gradient_is_that_of_the_samplers_value_without_a_bias(
    sampler: str, moved: bool
) -> None:
    """All tokens of the support are enumerated. The later update has moved the policy, not the sampler."""
    config, row = SAMPLERS[sampler], logits()
    drawn = fire.sample_with_support(row, 0, config, width=V)
    leaf = (logits(4)[0] if moved else row[0]).clone().requires_grad_()
    token, chance, loss = every_draw(leaf, drawn, rewards(), config.resolve().temperature)
    (gradient,) = torch.autograd.grad((loss.double() * chance).sum(), leaf)

    hot = sampler == "hot"
    heat = 30.0 if hot else config.resolve().temperature
    sampled = row[0].double().requires_grad_()
    value = ((sampled[token] / heat).softmax(0) * rewards()[token]).sum()
    (ascent,) = torch.autograd.grad(value, sampled)
    torch.testing.assert_close(
        gradient.double(), -ascent * heat / config.resolve().temperature, rtol=1e-5, atol=2e-7
    )
    assert gradient.abs().max() > 1e-3


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_an_advantage_that_says_nothing_moves_nothing_in_expectation_where_ignoring_pulls_to_the_sampler(
    sampler: str,
) -> None:
    config, row = SAMPLERS[sampler], logits()
    drawn = fire.sample_with_support(row, 0, config, width=V)
    leaf = logits(4)[0].requires_grad_()
    token, chance, loss = every_draw(leaf, drawn, torch.ones(V), config.resolve().temperature)
    (gradient,) = torch.autograd.grad((loss.double() * chance).sum(), leaf)
    assert gradient.abs().max() < 1e-6
    policy = (leaf / config.resolve().temperature).log_softmax(-1)[token][:, None]
    ignored = rl.ppo_loss(
        policy, old=policy.detach(), advantage=torch.ones(len(token)), weights=torch.ones(len(token), 1)
    )
    (gradient,) = torch.autograd.grad((ignored[:, 0].double() * chance).sum(), leaf)
    assert gradient.abs().max() > 0.05


def test_advantages_that_sum_to_0_over_a_group_of_one_row_have_the_summed_gradient_of_unit_weights() -> None:
    config, row = SAMPLERS["hot"], logits()
    drawn = fire.sample_with_support(row.expand(6, V), 0, config, width=8)
    assert len(set(drawn.token.tolist())) > 2
    advantage = rl.other_blocks_advantage(rewards()[drawn.token], size=1, blocks=6)
    leaf = row.expand(6, 1, V).contiguous().requires_grad_()
    others = rl.support_policy(leaf, support=drawn.support[:, None], temperature=0.7)
    policy = (leaf / 0.7).log_softmax(-1).gather(2, drawn.token[:, None, None])[..., 0]
    mask = torch.ones(6, 1, dtype=torch.bool)
    centred = rl.centered_loss(
        policy,
        support_policy=others,
        support_behaviour=drawn.support_logprob[:, None],
        advantage=advantage,
        mask=mask,
    )
    ignored = rl.ppo_loss(policy, old=policy.detach(), advantage=advantage, weights=rl.unit_weights(mask))
    one, other = (
        torch.autograd.grad(loss.sum(), leaf, retain_graph=True)[0].sum(0) for loss in (centred, ignored)
    )
    assert other.abs().max() > 0.05
    torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


def test_what_a_cut_or_empty_support_does_not_list_stays_uncentred() -> None:
    row, config = logits(), SAMPLERS["everything"]
    cut = fire.sample_with_support(row, 0, config, width=5)
    assert cut.status[0] & fire.Status.SUPPORT_CUT
    listed = cut.support_logprob[0].exp()
    assert 0.2 < listed.sum() < 0.95
    leaf = logits(4).requires_grad_()
    score = (leaf[0]).log_softmax(-1)
    for behaviour in (cut.support_logprob[:, None], torch.full((1, 1, 5), -math.inf)):
        loss = rl.centered_loss(
            score[cut.token][:, None],
            support_policy=score[cut.support.long()][:, None],
            support_behaviour=behaviour,
            advantage=torch.tensor([2.0]),
            mask=torch.ones(1, 1, dtype=torch.bool),
        )
        expected = (behaviour[0, 0].exp() * score[cut.support[0].long()]).sum()
        formula = -2.0 * (score[cut.token[0]] - expected)
        torch.testing.assert_close(loss[0, 0], formula, rtol=1e-6, atol=0)
        ours, wanted = (
            torch.autograd.grad(each, leaf, retain_graph=True)[0] for each in (loss.sum(), formula)
        )
        torch.testing.assert_close(ours, wanted, rtol=1e-5, atol=1e-6)


def test_a_decided_token_has_neither_loss_nor_gradient() -> None:
    drawn = fire.sample_with_support(logits(), 0, fire.SamplingConfig(temperature=0.0), width=3)
    leaf = logits()[0].requires_grad_()
    _, chance, loss = every_draw(leaf, drawn, rewards(), 1.0)
    assert chance.tolist() == [1]
    assert loss.tolist() == [0]
    assert torch.autograd.grad(loss.sum(), leaf)[0].abs().max() < 1e-7


def test_a_token_that_the_policy_has_ruled_out_adds_nothing_be_it_drawn_or_in_the_support() -> None:
    policy = torch.tensor([[-math.inf, -1.0]], requires_grad=True)
    others = torch.tensor([[[-math.inf, -1.0], [-math.inf, -2.0]]], requires_grad=True)
    loss = rl.centered_loss(
        policy,
        support_policy=others,
        support_behaviour=torch.full((1, 2, 2), 0.5).log(),
        advantage=torch.ones(1),
        mask=torch.ones(1, 2, dtype=torch.bool),
    )
    torch.testing.assert_close(loss.detach(), torch.tensor([[-0.5, 0.0]]))
    own, rest = torch.autograd.grad(loss.sum(), (policy, others))
    assert own.tolist() == [[0, -1]]
    assert rest.tolist() == [[[0, 0.5], [0, 0.5]]]


@pytest.mark.parametrize("garbage", [math.nan, math.inf, -math.inf])
def test_what_padding_and_places_behind_a_support_hold_reaches_neither_ratios_nor_losses(
    garbage: float,
) -> None:
    def everything(fill: float) -> tuple[Tensor, ...]:
        torch.manual_seed(0)
        policy, old = (torch.randn(2, 3).masked_fill(~MASK, fill) for _ in range(2))
        advantage = torch.randn(2, 3).masked_fill(~MASK, fill)
        others, behaviour = (torch.randn(2, 3, 4).masked_fill(~MASK[..., None], fill) for _ in range(2))
        behaviour[:, 0, 3], others[:, 0, 3] = -math.inf, fill
        policy.requires_grad_()
        others.requires_grad_()
        ratio = rl.support_ratio(policy, old=old, mask=MASK)
        loss = rl.centered_loss(
            policy, support_policy=others, support_behaviour=behaviour, advantage=advantage, mask=MASK
        )
        gradients = torch.autograd.grad((ratio + loss).sum(), (policy, others))
        return ratio.detach(), loss.detach(), *gradients

    for clean, dirty in zip(everything(0.5), everything(garbage), strict=True):
        assert torch.equal(clean, dirty)
        assert not dirty[~MASK].any()


def test_a_nan_on_a_trained_token_is_not_hidden_in_a_ratio_or_a_centred_loss() -> None:
    nan, mask = torch.tensor([[math.nan]]), torch.ones(1, 1, dtype=torch.bool)
    zero = torch.zeros(1, 1)
    assert rl.support_ratio(nan, old=zero, mask=mask).isnan().all()
    assert rl.support_ratio(zero, old=nan, mask=mask).isnan().all()
    good = {"support_policy": zero[None], "support_behaviour": zero[None], "advantage": torch.zeros(1)}
    assert rl.centered_loss(nan, **good, mask=mask).isnan().all()
    for name in good:
        bad = good | {name: torch.full_like(good[name], math.nan)}
        assert rl.centered_loss(zero, **bad, mask=mask).isnan().all()


def test_the_functions_over_a_support_trace_into_one_graph() -> None:
    torch.manual_seed(0)
    policy, old, others, behaviour = (
        torch.randn(2, 3),
        torch.randn(2, 3),
        torch.randn(2, 3, 4),
        torch.randn(2, 3, 4),
    )
    row, support = torch.randn(2, 3, V), torch.tensor([1, 5, 9, -1], dtype=torch.int32).expand(2, 3, 4)
    for function, leaf, arguments in (
        (rl.support_ratio, policy, {"old": old, "mask": MASK}),
        (rl.support_policy, row, {"support": support, "temperature": 0.7}),
        (
            rl.centered_loss,
            policy,
            {
                **{"support_policy": others, "support_behaviour": behaviour},
                **{"advantage": torch.randn(2), "mask": MASK},
            },
        ),
    ):
        leaf.requires_grad_()
        compiled = torch.compile(function, backend="eager", fullgraph=True)
        results = [call(leaf, **arguments) for call in (function, compiled)]
        assert torch.equal(*results)
        gradients = [torch.autograd.grad(result[result.isfinite()].sum(), leaf)[0] for result in results]
        assert torch.equal(*gradients)
