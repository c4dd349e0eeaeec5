# mypy: disable-error-code="no-untyped-call"
"""`output_support`: of every token that `generate` draws, which ones could have been drawn in its place."""

import copy
from typing import Any

import pytest
import tiny_models
import torch
from tiny_models import EOS, PAD, RECORDED, VOCABULARY, generate, one_thread, prompts  # noqa: F401
from transformers import StoppingCriteria

import fire_sampling as fire
from fire_sampling.integrations.transformers import install
from fire_sampling.integrations.transformers.support import Supports
from fire_sampling.status import Status

HOT = fire.SamplingConfig(hot_top_k=16, hot_steps=2, seed=3)
ENDLESS: dict[str, Any] = {"eos_token_id": -1, "pad_token_id": 0}
OUTPUTS: dict[str, Any] = {**RECORDED, "output_support": True, "max_new_tokens": 6}


def output_of(model: Any = None, inputs: Any = None, **arguments: Any) -> Any:
    defaults = {**ENDLESS, **OUTPUTS, "fire_config": HOT, "top_k": 5}
    inputs = prompts() if inputs is None else inputs
    return generate(model or tiny_models.llama(), inputs, **{**defaults, **arguments})


def generated(output: Any) -> torch.Tensor:
    """int64 [R, T]: the tokens, less the prompt."""
    tokens: torch.Tensor = output.sequences[:, -output.support.shape[1] :]
    return tokens


def check(output: Any) -> None:
    """Every support, held to the scores of its step."""
    tokens, rows = generated(output), output.sequences.shape[0]
    assert output.support.dtype == torch.int32
    assert output.status.dtype == torch.int32
    assert output.support.shape == output.support_logprob.shape
    assert output.logprob.shape == output.status.shape == tokens.shape == (rows, len(output.scores))
    for step, scores in enumerate(output.scores):
        distribution = scores.double().log_softmax(-1).float()
        for row in range(rows):
            kept = scores[row].isfinite().nonzero()[:, 0]
            support = output.support[row, step]
            there = support >= 0
            if output.status[row, step] & int(Status.GREEDY):  # the scores are those of every token
                assert support[there].tolist() == [int(tokens[row, step])]
                assert output.logprob[row, step] == output.support_logprob[row, step, 0] == 0
                continue
            if len(kept) == VOCABULARY:
                assert not there.any()
            else:
                assert support[there].tolist() == kept.tolist()
                assert support.tolist() == kept.tolist() + [-1] * (len(support) - len(kept))
                torch.testing.assert_close(
                    output.support_logprob[row, step][there], distribution[row, kept], rtol=1e-6, atol=1e-6
                )
            assert (output.support_logprob[row, step][~there] == -torch.inf).all()
            torch.testing.assert_close(
                output.logprob[row, step], distribution[row, tokens[row, step]], rtol=1e-6, atol=1e-6
            )
            assert not output.status[row, step] & int(Status.SUPPORT_CUT)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"num_return_sequences": 3, "top_p": 0.8, "top_k": 0, "fire_config": HOT.replace(hot_top_p=0.7)},
        {"min_p": 0.1, "repetition_penalty": 1.3, "bad_words_ids": [[5], [9]]},
        {"typical_p": 0.7},
        {"top_k": 0, "fire_config": HOT},
        {"top_k": 0, "suppress_tokens": [7], "fire_config": HOT.replace(hot_steps=0)},
        {"do_sample": False, "fire_config": HOT},
        {"do_sample": False, "fire_config": fire.SamplingConfig(hot_steps=1, hot_top_k=4), "typical_p": 0.7},
        {"fire_config": HOT.replace(hot_begin=2), "fire_after": list(range(0, VOCABULARY, 3))},
        {"fire_config": HOT.replace(design="stratified"), "num_return_sequences": 4},
        {"fire_config": HOT.replace(design="lattice"), "num_return_sequences": 4, "fire_code": True},
        {"renormalize_logits": True},
    ],
    ids=str,
)
def test_supports_are_the_tokens_of_finite_score_with_the_probabilities_of_the_scores(
    arguments: dict[str, Any],
) -> None:
    arguments = dict(arguments)
    if arguments.get("do_sample") is False:
        arguments["top_k"] = None
    check(output_of(**arguments))


@pytest.mark.parametrize("model", [tiny_models.llama, tiny_models.t5, tiny_models.llama_bfloat16])
def test_asking_for_supports_changes_no_token_of_any_model(model: Any) -> None:
    inputs = prompts()
    plain = generate(model(), inputs, **ENDLESS, fire_config=HOT, top_k=5, max_new_tokens=6)
    output = output_of(model(), inputs)
    assert torch.equal(output.sequences, plain)
    check(output)


def test_as_many_equal_logits_as_the_filters_keep_are_all_there() -> None:
    """ties="keep_top_k", the rule of transformers, keeps more than top-k where logits are equal."""
    model = copy.deepcopy(tiny_models.bigram())
    model.table.weight.data.div_(2).round_()
    output = output_of(model)
    assert output.support.shape[2] > 16
    check(output)


def test_a_hot_token_has_the_hot_support_and_the_later_ones_the_regular_one() -> None:
    output = output_of(fire_config=HOT.replace(hot_begin=1, hot_steps=1))
    size = (output.support >= 0).sum(2)
    assert output.support.shape[2] == 16
    assert (size[:, 1] == 16).all()
    assert (size[:, [0, 2, 3, 4, 5]] == 5).all()
    hot = (output.status & int(Status.HOT)) != 0
    assert hot.tolist() == [[False, True, False, False, False, False]] * len(size)


def test_without_filters_a_support_is_every_id_and_takes_no_places() -> None:
    output = output_of(top_k=0, fire_config=fire.SamplingConfig(hot_top_k=4, seed=3))
    assert output.support.shape[2] == 4
    assert (output.support[:, 0] >= 0).all()
    assert (output.support[:, 1:] == -1).all()
    check(output)


def test_a_number_is_how_many_places_there_are_and_what_was_cut_says_so() -> None:
    output, whole = output_of(output_support=8), output_of()
    assert torch.equal(output.sequences, whole.sequences)
    assert output.support.shape[2] == 8
    cut = (output.status & int(Status.SUPPORT_CUT)) != 0
    assert cut.tolist() == [[True, True, False, False, False, False]] * len(cut)
    torch.testing.assert_close(output.logprob, whole.logprob)
    for row, step in (~cut).nonzero().tolist():
        kept = output.support[row, step]
        assert kept[kept >= 0].tolist() == whole.support[row, step, : (kept >= 0).sum()].tolist()
    for row, step in cut.nonzero().tolist():
        kept = output.support[row, step]
        assert set(kept.tolist()) < set(whole.support[row, step].tolist())
        assert generated(output)[row, step] in kept
    wide = output_of(output_support=200)
    assert wide.support.shape[2] == 200
    check(wide)


def test_unfiltered_steps_are_not_cut_by_a_number_of_places() -> None:
    output = output_of(top_k=0, output_support=4, fire_config=HOT.replace(hot_steps=0))
    assert (output.support == -1).all()
    assert (output.status == 0).all()


def test_a_member_that_is_given_its_token_has_that_alone_though_every_id_was_kept() -> None:
    config = fire.SamplingConfig(design="enumerated", hot_top_k=0, seed=3)
    with pytest.warns(UserWarning, match="hot_top_k is off"):
        output = output_of(top_k=0, num_return_sequences=4, fire_config=config)
    assert torch.equal(output.support[:, 0, 0], generated(output)[:, 0].int())
    assert (output.logprob[:, 0] == 0).all()
    assert (output.support[:, 1:] == -1).all()


def test_a_support_of_more_places_than_are_tried_first_is_whole() -> None:
    vocabulary = 400
    table = torch.randn(vocabulary, vocabulary, generator=torch.Generator().manual_seed(4))
    model = tiny_models.bigram(table)
    changes: dict[str, Any] = {"top_k": 0, "top_p": 0.9, "fire_config": HOT.replace(hot_steps=0)}
    output, plain = output_of(model, **changes), output_of(model, **changes, output_support=False)
    assert torch.equal(output.sequences, plain.sequences)
    for step, scores in enumerate(output.scores):
        for row in range(len(scores)):
            kept = scores[row].isfinite().nonzero()[:, 0].tolist()
            support = output.support[row, step]
            assert len(kept) > 128
            assert support[support >= 0].tolist() == kept


def test_a_step_that_transformers_ran_and_does_not_return_is_left_out() -> None:
    supports, logits = Supports(8), torch.randn(2, 20)
    records = fire.pack(fire.SamplingConfig(top_k=5, seed=1), rows=2)
    tokens = [supports.draw(logits, step, records) for step in range(4)]
    output: dict[str, torch.Tensor] = {}
    supports.add_to(output, 3)
    assert output["support"].shape == (2, 3, 8)
    assert output["logprob"].shape == output["status"].shape == (2, 3)
    assert all((output["support"][:, step] == tokens[step][:, None]).any(1).all() for step in range(3))


class AfterThree(StoppingCriteria):
    """Ends the first sequence after three tokens."""

    def __call__(self, input_ids: torch.LongTensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        ended = torch.zeros(input_ids.shape[0], dtype=torch.bool)
        ended[0] = input_ids.shape[1] >= prompts().shape[1] + 3
        return ended


def test_behind_the_end_of_a_sequence_nothing_was_drawn() -> None:
    # Most tokens end a sequence, so rows end at different steps.
    ends = list(range(2, VOCABULARY, 2))
    output = output_of(eos_token_id=ends, pad_token_id=PAD, num_return_sequences=8, max_new_tokens=12)
    tokens = generated(output)
    lengths = [next((i + 1 for i, t in enumerate(row) if t in ends), len(row)) for row in tokens.tolist()]
    assert len(set(lengths)) > 2
    for row, length in enumerate(lengths):
        assert (output.support[row, :length, 0] >= 0).all()
        assert (output.support[row, length:] == -1).all()
        assert (output.support_logprob[row, length:] == -torch.inf).all()
        assert (output.logprob[row, length:] == 0).all()
        assert (output.status[row, length:] == 0).all()


def test_other_stopping_criteria_end_a_sequence_as_well_where_the_loop_pads() -> None:
    output = output_of(eos_token_id=EOS, pad_token_id=PAD, stopping_criteria=[AfterThree()], min_new_tokens=6)
    assert (output.support[0, :3, 0] >= 0).all()
    assert (output.support[0, 3:] == -1).all()
    assert (output.support[1:, :, 0] >= 0).all()
    # Without an end-of-sequence token the loop goes on drawing for that row.
    output = output_of(eos_token_id=None, stopping_criteria=[AfterThree()])
    check(output)


def test_an_installed_config_tells_supports_of_the_same_tokens() -> None:
    model = copy.deepcopy(tiny_models.llama())
    with install(model, HOT):
        output = model.generate(prompts(), do_sample=True, top_k=5, **ENDLESS, **OUTPUTS)
    check(output)
    assert torch.equal(output.support, output_of(fire_seed=3).support)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (dict(return_dict_in_generate=False), ValueError, "got True without return_dict_in_generate=True"),
        (dict(output_support=0), ValueError, "is 0, expected True, False, or the number of places"),
        (dict(output_support=2**21 + 1), ValueError, "is 2097153, expected True, False, or the number"),
        (dict(output_support="yes"), TypeError, "is 'yes', expected True, False, or the number of places"),
        (dict(output_support=None), TypeError, "is None, expected True, False, or the number of places"),
        (
            dict(
                output_support=4,
                fire_config=HOT.replace(design="lattice"),
                num_return_sequences=2,
                fire_code=True,
            ),
            ValueError,
            "got 4 with fire_code, expected True",
        ),
    ],
)
def test_what_cannot_be_told_is_refused(arguments: dict[str, Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=f"^fire_generate: output_support:? {message}"):
        output_of(**arguments)
