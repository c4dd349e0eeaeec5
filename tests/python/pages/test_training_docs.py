"""Every Python block of docs/training.md, run in order as a reader would, around a tiny model."""

import copy
from typing import Any

import pytest
import tiny_models
import torch
import transformers
from pages import blocks
from tiny_models import one_thread  # noqa: F401

import fire_sampling as fire

PAGE = "docs/training.md"
BLOCKS = blocks(PAGE, "python")


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """What the page's code has defined once all of it has run."""
    torch.manual_seed(0)
    model = copy.deepcopy(tiny_models.llama())
    tokenizer = tiny_models.tokenizer()
    # At a learning rate of 0 the last forward pass is still that of the weights of the rollout.
    names: dict[str, Any] = {"optimizer": torch.optim.SGD(model.parameters(), lr=0.0)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", lambda *_, **__: model)
        patch.setattr(transformers.AutoTokenizer, "from_pretrained", lambda *_, **__: tokenizer)
        for block in BLOCKS:
            exec(compile(block, PAGE, "exec"), names)
    return names


def test_the_rollout_on_the_page_yields_the_log_probabilities_that_sampling_reports(
    names: dict[str, Any],
) -> None:
    config = names["config"].replace(temperature=names["temperature"], top_k=0)
    for step, logits in enumerate(names["output"].logits):
        rows, token = names["mask"][:, step], names["tokens"][:, step]
        plain = config.replace(hot_steps=0)
        for drawn_with, name in ((config, "behaviour"), (plain, "old")):
            wanted = fire.log_prob(logits, token, step, drawn_with)
            torch.testing.assert_close(names[name][rows, step], wanted[rows], rtol=1e-5, atol=1e-5)


def test_the_forward_pass_on_the_page_evaluates_the_tokens_as_the_rollout_did(names: dict[str, Any]) -> None:
    mask = names["mask"]
    assert not names["inputs"]["attention_mask"].all(), "one prompt is padded on its left"
    torch.testing.assert_close(names["policy"][mask], names["old"][mask], rtol=1e-4, atol=1e-4)
    assert names["model"].lm_head.weight.grad.any()


def test_the_mask_on_the_page_ends_with_the_first_end_of_sequence(names: dict[str, Any]) -> None:
    code = BLOCKS[0][BLOCKS[0].index("is_end") :]
    small = {
        "torch": torch,
        "model": names["model"],
        "tokens": torch.tensor([[5, 2, 0, 0], [2, 0, 0, 0], [7, 8, 9, 9]]),
    }
    exec(compile(code, PAGE, "exec"), small)
    assert small["mask"].int().tolist() == [[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1]]


def test_only_first_tokens_are_weighted_where_nothing_else_is_filtered(names: dict[str, Any]) -> None:
    weights, mask = names["per_token"], names["mask"]
    torch.testing.assert_close(weights[:, 1:], mask[:, 1:].float(), rtol=1e-5, atol=1e-5)
    assert (weights[:, 0] - 1).abs().max() > 0.2
    assert names["masked"][:, 0].eq(0).all()


def test_the_ratios_on_the_page_are_1_over_the_support_and_the_kept_mass_over_the_whole_softmax(
    names: dict[str, Any],
) -> None:
    drawn = names["mask"][:, 1:2]
    assert drawn.any()
    replayed, whole = names["replayed"].detach(), names["whole"].detach()
    torch.testing.assert_close(replayed, drawn.float(), rtol=1e-5, atol=0)
    assert ((whole[drawn] > 0.79) & (whole[drawn] < 0.95)).all()


def test_the_centred_loss_on_the_page_is_that_of_the_hot_softmax_over_the_best_tokens(
    names: dict[str, Any],
) -> None:
    hot = names["output"].scores[0].log_softmax(-1)
    policy = names["logits"][:, 0].detach().log_softmax(-1)
    token = names["tokens"][:, :1]
    assert hot.isfinite().sum(1).eq(names["config"].hot_top_k).all()
    expected = torch.where(hot.isfinite(), hot.exp() * policy, 0.0).sum(1)
    group = names["group"]
    advantage = ((group - group.mean(1, keepdim=True)) / (group.std(1, keepdim=True) + 1e-6)).flatten()
    wanted = -advantage * (policy.gather(1, token)[:, 0] - expected)
    torch.testing.assert_close(names["first"][:, 0].detach(), wanted, rtol=1e-4, atol=1e-5)
    assert names["loss"].requires_grad
