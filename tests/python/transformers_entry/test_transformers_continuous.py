# mypy: disable-error-code="no-untyped-call,no-any-return"
"""Continuous batching of transformers, for real, with FIRE installed in the model."""

import contextlib
import copy
import sys
import warnings
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import tiny_models
import torch
from tiny_models import VOCABULARY, one_thread, prompts  # noqa: F401
from transformers import ContinuousBatchingConfig, GenerationConfig
from transformers.generation.continuous_batching.requests import RequestState

import fire_sampling as fire
from fire_sampling.config import SEED_WORDS
from fire_sampling.integrations.transformers import install

HOT = fire.SamplingConfig(hot_temperature=30.0, hot_top_k=16, seed=7)
LENGTH = 5
PAGE = "page_size" if hasattr(ContinuousBatchingConfig(), "page_size") else "block_size"  # its old name


@pytest.fixture
def model() -> Any:
    return copy.deepcopy(tiny_models.llama())


def generation(**changes: Any) -> GenerationConfig:
    """Regular sampling, without an end."""
    settings = {
        "do_sample": True,
        "top_k": 5,
        "max_new_tokens": LENGTH,
        "eos_token_id": -1,
        "pad_token_id": 0,
    }
    return GenerationConfig(**{**settings, **changes})


def batching(**changes: Any) -> ContinuousBatchingConfig:
    """A small cache, and prompts that take several passes."""
    return ContinuousBatchingConfig(**{"num_blocks": 32, PAGE: 32, "max_batch_tokens": 16, **changes})


def generate_batch(model: Any, inputs: torch.Tensor, changes: Any = None, **settings: Any) -> list[Any]:
    arguments = {
        "generation_config": generation(**settings),
        "continuous_batching_config": changes or batching(),
    }
    outputs = list(model.generate_batch(inputs.tolist(), **arguments).values())
    assert all(output.error is None for output in outputs)
    return outputs


@contextlib.contextmanager
def running(model: Any, changes: Any = None, **settings: Any) -> Iterator[Any]:
    """A started manager of the model."""
    manager = model.init_continuous_batching(generation(**settings), changes or batching())
    manager.start()
    try:
        yield manager
    finally:
        manager.stop(block=True)


def results(manager: Any, count: int) -> dict[str, Any]:
    found = (manager.get_result(timeout=30) for _ in range(count))
    return {output.request_id: output for output in found}


def logits_of(output: Any) -> torch.Tensor:
    """Float32 [T, V]: what each of the tokens was drawn from, of an ordinary forward pass."""
    with torch.no_grad():
        logits = tiny_models.llama()(torch.tensor([output.prompt_ids + output.generated_tokens])).logits[0]
    return logits[len(output.prompt_ids) - 1 : -1].float()


def redrawn(output: Any, config: fire.SamplingConfig) -> list[int]:
    """The tokens that the contract draws from those logits with this config and its very seed."""
    logits = logits_of(output)
    steps = torch.arange(logits.shape[0])
    return fire.sample(logits, steps, [config] * logits.shape[0]).tolist()


def test_every_request_draws_with_its_own_settings_seed_and_step(model: Any) -> None:
    regular = HOT.replace(top_k=5, order="hf", ties="keep_top_k")
    changes: list[dict[str, Any]] = [
        {"seed": 1},
        {"seed": 2, "temperature": 0.3, "top_k": 0},
        {"seed": 3, "hot_begin": 2, "hot_steps": 2},
        {"seed": 4, "temperature": 0.0},
        {"seed": 5, "top_p": 0.8, "min_p": 0.01, "hot_temperature": 2.0, "stream": 9},
    ]
    with install(model, HOT), running(model) as manager:
        for row, change in enumerate(changes):
            manager.add_request(prompts(5, 23)[row].tolist(), f"row {row}", **change)
        outputs = results(manager, len(changes))
    for row, change in enumerate(changes):
        output = outputs[f"row {row}"]
        assert output.error is None
        assert len(output.generated_tokens) == LENGTH
        assert output.generated_tokens == redrawn(output, regular.replace(**change))


def test_the_first_token_after_prefill_is_the_hot_one_and_no_other(model: Any) -> None:
    """A prompt of 23 tokens is prefilled in two passes."""
    with install(model, HOT):
        outputs = generate_batch(model, prompts(12, 23), top_k=1)
    ranks = torch.tensor(
        [
            [int((row > row[t]).sum()) for row, t in zip(logits_of(o), o.generated_tokens, strict=True)]
            for o in outputs
        ]
    )
    assert (ranks[:, 0] > 0).sum() > 6
    assert not ranks[:, 1:].any()


def test_the_hot_parameters_are_not_overwritten_by_the_regular_ones(model: Any) -> None:
    """The 2024 port to verl did that. Regular settings come from the call and from the request."""
    config = HOT.replace(hot_top_p=1.0, hot_min_p=0.0)
    with install(model, config), running(model, temperature=0.01, top_k=2, top_p=0.5) as manager:
        for row in range(24):
            manager.add_request(prompts(1, 9)[0].tolist(), f"row {row}", temperature=0.02)
        outputs = results(manager, 24)
    firsts = {output.generated_tokens[0] for output in outputs.values()}
    # Each of 16 tokens is missed by 24 draws with a probability near (15/16)^24 = 0.21: about 12.6 are seen.
    assert len(firsts) > 8
    logits = logits_of(outputs["row 0"])[0]
    assert firsts <= set(logits.topk(16).indices.tolist())


def test_each_of_n_sequences_gets_a_first_token_of_its_own_prompt(model: Any) -> None:
    """The 2024 port to verl paired first tokens with wrong prompts for n > 1."""
    inputs = prompts(4, 11).tolist()
    with install(model, HOT.replace(hot_top_k=4)), running(model, top_k=1, num_return_sequences=6) as manager:
        requests = manager.add_requests(inputs)
        outputs = results(manager, 24)
    kept = set()
    for prompt, request in zip(inputs, requests, strict=True):
        siblings = [outputs[name] for name in (request, *(f"{request}__child#{i}" for i in range(5)))]
        assert [output.prompt_ids for output in siblings] == [prompt] * 6
        likely = frozenset(logits_of(siblings[0])[0].topk(4).indices.tolist())
        kept.add(likely)
        assert all(output.generated_tokens[0] in likely for output in siblings)
        assert len({output.generated_tokens[0] for output in siblings}) > 1
        for output in siblings:
            assert logits_of(output)[1:].argmax(-1).tolist() == output.generated_tokens[1:]
    assert len(kept) == 4, "the prompts tell their first tokens apart"


def test_an_end_of_sequence_as_hot_first_token_ends_the_sequence(model: Any) -> None:
    ends = list(range(0, VOCABULARY, 2))
    with install(model, HOT):
        outputs = generate_batch(model, prompts(16, 5), eos_token_id=ends)
    first_ends = [output.generated_tokens[0] in ends for output in outputs]
    assert 0 < sum(first_ends) < 16
    for output, ended in zip(outputs, first_ends, strict=True):
        assert (len(output.generated_tokens) == 1) == ended


def test_supports_which_transformers_has_no_place_for_and_would_drop_unsaid_are_refused(model: Any) -> None:
    expected = r"^generate_batch: output_support: got True, expected none"
    arguments = {"generation_config": generation(), "continuous_batching_config": batching()}
    with install(model, HOT):
        with pytest.raises(ValueError, match=expected):
            model.generate_batch(prompts().tolist(), **arguments, output_support=True)
        with pytest.raises(ValueError, match=expected):
            model.generate(prompts(), generation(), cache_implementation="paged", output_support=True)
        answers = model.generate_batch(prompts().tolist(), **arguments, output_support=False)
    assert all(len(answer.generated_tokens) == LENGTH for answer in answers.values())
    assert "generate_batch" not in vars(model)


def test_a_default_config_leaves_greedy_generation_as_it_is_and_says_so(model: Any) -> None:
    plain = generate_batch(model, prompts(4, 9), do_sample=False)
    with (
        install(model, fire.SamplingConfig(hot_temperature=30.0, hot_top_k=16)),
        pytest.warns(UserWarning, match="init_continuous_batching: do_sample=False makes every step greedy"),
    ):
        installed = generate_batch(model, prompts(4, 9), do_sample=False)
    assert [o.generated_tokens for o in installed] == [o.generated_tokens for o in plain]


def test_a_greedy_request_with_hot_fields_of_its_own_warns_that_nothing_is_hot(model: Any) -> None:
    with install(model, HOT), running(model) as manager, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        manager.add_request(prompts(1, 9)[0].tolist(), "greedy", temperature=0.0, hot_temperature=5.0)
        results(manager, 1)
    assert any("add_request: temperature=0 makes every step greedy" in str(each.message) for each in said)


def test_a_request_draws_the_same_tokens_alone_and_in_any_batch(model: Any) -> None:
    inputs = prompts(6, 23)

    def of(rows: range, changes: Any) -> dict[str, list[int]]:
        with install(model, HOT), running(model, changes) as manager:
            for row in rows:
                manager.add_request(inputs[row].tolist(), f"row {row}")
            return {name: output.generated_tokens for name, output in results(manager, len(rows)).items()}

    together = of(range(6), batching(max_batch_tokens=256))
    assert of(range(5, -1, -1), batching()) == together
    assert of(range(6), batching(scheduler_type="prefill_first")) == together
    assert of(range(2, 3), batching(max_batch_tokens=8)) == {"row 2": together["row 2"]}
    assert len({tuple(tokens) for tokens in together.values()}) == 6


def test_a_request_that_was_preempted_goes_on_at_its_step(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first tokens come back as part of a prompt, after which nothing may be hot again."""
    resets = []
    original = RequestState.create_equivalent_initial_request

    def reset(state: RequestState) -> RequestState:
        resets.append(len(state.generated_tokens))
        return original(state)

    monkeypatch.setattr(RequestState, "create_equivalent_initial_request", reset)
    config = HOT.replace(top_k=1, order="hf", ties="keep_top_k")
    with install(model, HOT), running(model, batching(**{"num_blocks": 4, PAGE: 16}), top_k=1) as manager:
        for row in range(4):
            manager.add_request(prompts(4, 10)[row].tolist(), f"row {row}", max_new_tokens=24, seed=row)
        outputs = results(manager, 4)
    assert any(count > 1 for count in resets)
    for row in range(4):
        output = outputs[f"row {row}"]
        assert len(output.generated_tokens) == 24
        assert output.generated_tokens == redrawn(output, config.replace(seed=row))


def test_log_probabilities_are_those_of_the_distribution_that_the_token_came_from(model: Any) -> None:
    with install(model, HOT):
        outputs = generate_batch(model, prompts(1, 9).repeat(8, 1), batching(return_logprobs=True))
    config = HOT.replace(top_k=5, order="hf", ties="keep_top_k")
    for output in outputs:
        logits, token = logits_of(output), torch.tensor(output.generated_tokens)
        wanted = fire.log_prob(logits, token, torch.arange(LENGTH), config)
        torch.testing.assert_close(torch.tensor(output.logprobs), wanted, rtol=1e-4, atol=1e-4)
    assert len({output.generated_tokens[0] for output in outputs}) > 1


def test_the_arguments_of_a_graph_are_the_requests_own_even_where_an_id_is_used_again(model: Any) -> None:
    states = [RequestState("again", [5, 6, 7], logit_processor_kwargs={"seed": seed}) for seed in (1, 2)]
    settings = generation()
    with install(model, HOT):
        processors = model.init_continuous_batching(settings, batching()).logit_processor
    assert settings.do_sample, "the caller's settings are left alone"
    padding = torch.full((processors.tensors_required, 1), -1, dtype=torch.int32)
    processors.fill_defaults(padding)
    assert not padding.any(), "a row of padding is greedy, which costs least"
    seeds = []
    for state in states:
        storage = torch.zeros(processors.tensors_required, 4, dtype=torch.int32)
        reading = RequestState("read", [8, 9], logit_processor_kwargs={"seed": 3})
        batch = [
            SimpleNamespace(state=reading, has_new_token=False),
            SimpleNamespace(state=state, has_new_token=True),
        ]
        processors.prepare_tensor_args(batch, storage)
        seeds.append(int(storage[SEED_WORDS.start, 0]))
    assert seeds == [1, 2]


def test_no_two_calls_share_random_numbers_and_a_new_installation_repeats_them(model: Any) -> None:
    def two_calls() -> list[list[list[int]]]:
        with install(model, HOT):
            calls = (generate_batch(model, prompts(4, 9)) for _ in range(2))
            return [[output.generated_tokens for output in outputs] for outputs in calls]

    first, second = two_calls()
    assert first != second
    assert two_calls() == [first, second]


def test_without_a_seed_torch_manual_seed_reproduces_the_tokens(model: Any) -> None:
    def drawn(seed: int) -> list[list[int]]:
        torch.manual_seed(seed)
        with install(model, HOT.replace(seed=None)):
            return [output.generated_tokens for output in generate_batch(model, prompts(4, 9))]

    assert drawn(1) == drawn(1) != drawn(2)


def test_paged_generate_draws_with_fire_and_drops_no_streamer(model: Any) -> None:
    arguments: dict[str, Any] = {
        "cache_implementation": "paged",
        "continuous_batching_config": batching(),
        "do_sample": True,
        "top_k": 1,
        "max_new_tokens": 3,
        "eos_token_id": -1,
    }
    plain = model.generate(prompts(8, 9), **arguments)
    with install(model, HOT):
        hot = model.generate(prompts(8, 9), **arguments)
        with pytest.raises(NotImplementedError, match="streaming is not supported"):
            model.generate(prompts(8, 9), streamer=object(), **arguments)
    assert hot.shape == plain.shape == (1, 8, 12)
    assert (hot != plain)[0, :, 9].sum() > 4


def test_a_request_with_a_field_that_does_not_fit_fails_alone_and_says_why(model: Any) -> None:
    bad: dict[str, dict[str, Any]] = {
        "range": {"hot_top_p": 2.0},
        "unknown": {"heat": 3.0},
    }
    with install(model, HOT), running(model) as manager:
        for name, change in bad.items():
            manager.add_request([5, 6, 7], name, **change)
        manager.add_request([5, 6, 7], "good")
        outputs = results(manager, 3)
    assert outputs["range"].error == "hot_top_p: got 2.0, expected [0, 1]"
    assert "heat" in outputs["unknown"].error
    assert outputs["good"].error is None
    assert len(outputs["good"].generated_tokens) == LENGTH


def test_one_seed_for_a_request_of_several_sequences_is_refused(model: Any) -> None:
    with install(model, HOT), running(model, num_return_sequences=2) as manager:
        manager.add_request([5, 6, 7], "seeded", seed=3)
        error = results(manager, 1)["seeded"].error
    assert error is not None
    assert error.startswith("seed: got 3 with num_return_sequences=2, expected none")


@pytest.mark.parametrize(
    ("settings", "config", "message"),
    [
        ({"typical_p": 0.5}, HOT, "TypicalLogitsWarper cannot run between FIRE's filters and its draw"),
        ({"temperature": 0.7}, HOT.replace(temperature=0.8), "temperature is 0.8 in fire_config, but 0.7"),
    ],
)
def test_what_cannot_be_combined_is_refused_when_the_manager_is_made(
    model: Any, settings: dict[str, Any], config: fire.SamplingConfig, message: str
) -> None:
    with install(model, config), pytest.raises(ValueError, match=message):
        model.init_continuous_batching(generation(**settings), batching())


def test_a_persistent_manager_neither_survives_the_installation_nor_escapes_it(model: Any) -> None:
    def persistent() -> list[Any]:
        arguments = {"generation_config": generation(top_k=1), "continuous_batching_config": batching()}
        outputs = model.generate_batch(prompts(8, 9).tolist(), persistent_manager=True, **arguments)
        return [output.generated_tokens for output in outputs.values()]

    plain = persistent()
    with install(model, HOT):
        with pytest.raises(RuntimeError, match=r"keeps a manager .* from before FIRE was installed"):
            persistent()
        model.destroy_cached_continuous_batching_manager()
        hot = persistent()
        assert persistent() != plain
    assert hot != plain
    assert persistent() == plain


def test_a_transformers_that_is_too_old_is_told_which_version_is_not(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # transformers replaces its module while it loads: who imported it early may hold another object.
    reader: Any = sys.modules[install.__module__]
    monkeypatch.setattr(reader.transformers, "__version__", "5.9.0.dev0")
    with install(model, HOT), pytest.raises(RuntimeError, match=r"needs transformers 5\.11 .* found 5\.9\.0"):
        model.init_continuous_batching(generation(), batching())
