"""What surrounds the draw and must stay as it was: stopping criteria, streamers, outputs, the loop itself."""

import copy
from typing import Any

import pytest
import tiny_models
import torch
from tiny_models import RECORDED, generate, one_thread  # noqa: F401
from transformers import StoppingCriteria, StoppingCriteriaList, StopStringCriteria
from transformers.generation import utils as generation_utils
from transformers.generation.streamers import BaseStreamer

MODELS = [tiny_models.llama, tiny_models.gpt2, tiny_models.t5, tiny_models.bart, tiny_models.bigram]


class Watcher(StoppingCriteria):
    """Stops nothing; keeps a copy of what it was shown."""

    def __init__(self) -> None:
        self.shown: list[Any] = []

    def __call__(self, input_ids: torch.LongTensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        self.shown.append(None if scores is None else [each.clone() for each in scores])
        return torch.zeros(input_ids.shape[0], dtype=torch.bool)


@pytest.mark.parametrize("settings", [{}, {"typical_p": 0.8}, {"do_sample": False}], ids=str)
def test_stopping_criteria_see_the_processed_logits_of_every_step_not_the_forced_ones(
    settings: dict[str, Any],
) -> None:
    watcher = Watcher()
    output = generate(
        tiny_models.gpt2(), stopping_criteria=StoppingCriteriaList([watcher]), **settings, **RECORDED
    )
    assert len(watcher.shown) == len(output.scores) == 6
    for step, shown in enumerate(watcher.shown):
        assert len(shown) == step + 1
        assert all(map(torch.equal, shown, output.scores))
    assert (torch.stack(output.scores).isfinite().sum(-1) > 1).any()


def test_without_recorded_scores_stopping_criteria_get_none_as_from_transformers() -> None:
    watcher = Watcher()
    generate(tiny_models.gpt2(), stopping_criteria=StoppingCriteriaList([watcher]))
    assert watcher.shown == [None] * 6


def test_a_stopping_criterion_ends_generation() -> None:
    class AfterThree(StoppingCriteria):
        def __call__(self, input_ids: torch.LongTensor, scores: Any, **kwargs: Any) -> torch.Tensor:
            return torch.full((input_ids.shape[0],), input_ids.shape[1] >= 4 + 3)

    output = generate(
        tiny_models.llama(), stopping_criteria=StoppingCriteriaList([AfterThree()]), max_new_tokens=20
    )
    assert output.shape[1] == 4 + 3


def test_stop_strings_stop_as_their_criterion_does() -> None:
    model, tokenizer = tiny_models.llama(), tiny_models.tokenizer()
    inputs, endless = tiny_models.prompts(rows=1), {"max_new_tokens": 12, "min_new_tokens": 12}
    free = generate(model, inputs, **endless)[0, 4:].tolist()
    text = str(tokenizer.decode(free))
    criteria = StoppingCriteriaList([StopStringCriteria(tokenizer, [text[4:6]])])
    stopped = generate(model, inputs, **endless, stopping_criteria=criteria)[0, 4:]
    assert tokenizer.decode(stopped) == text[: text.index(text[4:6]) + 2]
    named = generate(model, inputs, **endless, stop_strings=[text[4:6]], tokenizer=tokenizer)[0, 4:]
    assert torch.equal(named, stopped)


class Recorder(BaseStreamer):
    def __init__(self) -> None:
        self.received: list[torch.Tensor] = []
        self.ended = 0

    def put(self, value: torch.Tensor) -> None:
        self.received.append(value)

    def end(self) -> None:
        self.ended += 1


@pytest.mark.parametrize("build", [tiny_models.llama, tiny_models.t5])
def test_fire_streamer_receives_what_transformers_would_put_to_a_streamer(build: Any) -> None:
    ours, theirs = Recorder(), Recorder()
    sequences = generate(build(), fire_streamer=ours)
    build().generate(tiny_models.prompts(), do_sample=False, max_new_tokens=6, streamer=theirs)
    assert ours.ended == theirs.ended == 1
    assert torch.equal(ours.received[0], theirs.received[0])
    streamed = torch.cat([ours.received[0], *[tokens[:, None] for tokens in ours.received[1:]]], 1)
    assert torch.equal(streamed, sequences)


@pytest.mark.parametrize("build", MODELS)
def test_the_output_has_every_part_that_transformers_returns(build: Any) -> None:
    arguments: dict[str, Any] = {"do_sample": True, "max_new_tokens": 3, "min_new_tokens": 3, **RECORDED}
    if build is not tiny_models.bigram:
        arguments |= {"output_attentions": True, "output_hidden_states": True}
    theirs = build().generate(tiny_models.prompts(), **arguments)
    ours = generate(build(), **arguments)
    assert type(ours) is type(theirs)
    assert list(ours) == list(theirs)
    for name in set(ours) - {"past_key_values"}:
        if isinstance(ours[name], tuple):
            assert len(ours[name]) == len(theirs[name])
    if "past_key_values" in ours:
        assert ours.past_key_values.get_seq_length() == theirs.past_key_values.get_seq_length()


def test_the_loop_is_the_one_of_the_models_type_and_is_told_not_to_sample() -> None:
    model, calls = copy.deepcopy(tiny_models.llama()), []
    own: Any = type(model)

    def loop(self: Any, input_ids: torch.Tensor, **arguments: Any) -> Any:
        calls.append(arguments)
        return own._sample(self, input_ids, **arguments)

    plain = generate(model)
    model.__class__ = type("WithOwnLoop", (own,), {"_sample": loop})
    model._sample = None  # generate looks it up on the type
    assert torch.equal(generate(model), plain)
    assert calls[0]["generation_config"].do_sample is False
    assert calls[0]["synced_gpus"] is False


@pytest.mark.parametrize("managed_by", ["is_fsdp_managed_module", "is_deepspeed_zero3_enabled"])
def test_synced_gpus_is_recomputed_because_generate_drops_it(
    managed_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, synced = copy.deepcopy(tiny_models.llama()), []
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(generation_utils, managed_by, lambda *_: True)
    monkeypatch.setattr(
        type(model), "_sample", lambda self, input_ids, synced_gpus, **_: synced.append(synced_gpus)
    )
    generate(model)
    generate(model, fire_synced_gpus=False)
    monkeypatch.setattr(generation_utils, managed_by, lambda *_: False)
    generate(model)
    generate(model, fire_synced_gpus=True)
    assert synced == [True, False, False, True]
