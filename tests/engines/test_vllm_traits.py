"""What else a request may ask of vLLM beside a hot first token: nothing of it gives way to the heat."""

from __future__ import annotations

import pytest
import torch
from engine import RUNNER
from tiny_llama import EOS
from vllm.exceptions import VLLMValidationError
from vllm.sampling_params import StructuredOutputsParams
from watched import Watched, contract, drawn_from, total_variation

import fire_sampling as fire

TOLERANCE = 1e-6
HOT = {"fire_temperature": 30.0, "fire_top_k": 6}
HOT_CONFIG = fire.SamplingConfig(hot_temperature=30.0, hot_top_k=6)


def test_a_mask_is_never_lifted(processed: Watched) -> None:
    allowed = [7, 40, 41, 300]
    outputs, rows = processed.run([{"allowed_token_ids": allowed, "fire": {**HOT, "fire_steps": 2}}] * 16)
    assert all(set(output.outputs[0].token_ids) <= set(allowed) for output in outputs)
    for row in rows:
        assert set(row.before.isfinite().nonzero()[:, 0].tolist()) == set(allowed)
        assert set(row.after.isfinite().nonzero()[:, 0].tolist()) == set(allowed)


def test_a_grammar_holds_at_a_hot_step_and_all_that_it_allows_comes_up(processed: Watched) -> None:
    choices = ["Yes", "No", "Maybe"]
    request = {
        "temperature": 0.1,
        "max_tokens": 12,
        "structured_outputs": StructuredOutputsParams(choice=choices),
        "fire": {"fire_temperature": 1000.0},
    }
    outputs, rows = processed.run([request] * 48)
    assert {output.outputs[0].text for output in outputs} == set(choices)
    first = [row for row in rows if row.generated == 0]
    assert all(row.before.isfinite().sum() < 320 for row in first)
    assert all(bool((row.after.isfinite() <= row.before.isfinite()).all()) for row in rows)


def test_min_tokens_keeps_eos_out_of_the_hot_first_token(processed: Watched) -> None:
    request = {"logit_bias": {EOS: 100.0}, "fire": HOT}
    outputs, _ = processed.run([{**request, "min_tokens": 2, "max_tokens": 4}] * 16)
    assert all(len(output.outputs[0].token_ids) > 2 for output in outputs)
    assert all(EOS not in output.outputs[0].token_ids[:2] for output in outputs)


def test_logit_bias_and_bad_words_come_before_the_heat(processed: Watched) -> None:
    cases = [{"logit_bias": {300: 100.0, 301: 90.0}}, {"bad_words": ["A", "d", "_"]}]
    outputs, rows = processed.run([{**case, "logprobs": -1, "fire": HOT} for case in cases])
    first = {int(row.tag): row for row in rows if row.generated == 0}
    assert int(first[0].before.argmax()) == 300
    assert int((~first[1].before.isfinite()).sum()) == 3
    for index, row in first.items():
        theirs = drawn_from(outputs[index].outputs[0].logprobs[0])
        assert total_variation(theirs, contract(row, HOT_CONFIG)) <= TOLERANCE


def test_penalties_for_what_was_put_out_leave_a_hot_first_token_exact(processed: Watched) -> None:
    request = {"presence_penalty": 1.5, "frequency_penalty": 0.5, "logprobs": -1, "fire": HOT}
    outputs, rows = processed.run([request])
    theirs = drawn_from(outputs[0].outputs[0].logprobs[0])
    assert total_variation(theirs, contract(rows[0], HOT_CONFIG)) <= TOLERANCE


@pytest.mark.parametrize("penalty", ["presence_penalty", "frequency_penalty"])
@pytest.mark.parametrize("window", [{"fire_steps": 2}, {"fire_begin": 1}])
def test_penalties_in_a_later_hot_step_are_exact_on_v2_and_refused_on_v1(
    processed: Watched, penalty: str, window: dict[str, int]
) -> None:
    request = {penalty: 1.5, "logprobs": -1, "max_tokens": 4, "fire": {**HOT, **window}}
    if RUNNER == 1:
        with pytest.raises(
            VLLMValidationError, match=r"^fire_begin, fire_steps: got .* expected a hot window"
        ):
            processed.run([request])
        return
    outputs, rows = processed.run([request])
    config = HOT_CONFIG.replace(**{key.replace("fire", "hot"): value for key, value in window.items()})
    for row in rows:
        theirs = drawn_from(outputs[0].outputs[0].logprobs[row.generated])
        assert total_variation(theirs, contract(row, config)) <= TOLERANCE


def test_a_repetition_penalty_is_exact_on_v2_and_on_v1_chooses_the_hot_top_k_before_it(
    processed: Watched,
) -> None:
    # Half of the vocabulary is in the prompt, and penalised.
    outputs, rows = processed.run(
        [{"repetition_penalty": 1.8, "logprobs": -1, "max_tokens": 1, "fire": HOT}], [list(range(4, 164))]
    )
    theirs = drawn_from(outputs[0].outputs[0].logprobs[0])
    if RUNNER == 2:
        assert total_variation(theirs, contract(rows[0], HOT_CONFIG)) <= TOLERANCE
    else:
        assert set(theirs.nonzero()[:, 0].tolist()) == set(rows[0].before.topk(6).indices.tolist())


def test_a_request_that_says_steps_0_is_a_continuation_and_regular(processed: Watched) -> None:
    _, rows = processed.run([{"fire": {**HOT, "fire_steps": 0}}])
    assert not any(row.changed for row in rows)


def test_logits_of_one_finite_value_stay_so(processed: Watched) -> None:
    outputs, rows = processed.run([{"allowed_token_ids": [9], "fire": {**HOT, "fire_temperature": 1e30}}])
    assert outputs[0].outputs[0].token_ids[0] == 9
    assert torch.isfinite(rows[0].after).sum() == 1
