"""Arguments that `generate` drops before it calls a callable: carried, or refused by name."""

import functools
import warnings
from typing import Any

import pytest
import tiny_models
import torch
from tiny_models import one_thread  # noqa: F401
from transformers import GenerationMixin, StoppingCriteriaList, StopStringCriteria
from transformers.generation.streamers import BaseStreamer

import fire_sampling as fire
from fire_sampling.integrations.transformers import FireLogitsProcessor, carry, fire_generate

ARGUMENTS: dict[str, Any] = {"do_sample": True, "top_k": 5, "max_new_tokens": 40, "fire_seed": 3}
STOPS = list("!#$%&'()*+,-./")


class Recorder(BaseStreamer):
    def __init__(self) -> None:
        self.received: list[torch.Tensor] = []
        self.ended = 0

    def put(self, value: torch.Tensor) -> None:
        self.received.append(value)

    def end(self) -> None:
        self.ended += 1


@functools.wraps(fire_generate)
def wrapped(*args: Any, **kwargs: Any) -> Any:
    return fire_generate(*args, **kwargs)


WAYS = [fire_generate, functools.partial(fire_generate, fire_config=tiny_models.CONFIG), wrapped]


@pytest.mark.parametrize("custom_generate", WAYS)
@pytest.mark.parametrize("build", [tiny_models.llama, tiny_models.t5])
def test_a_streamer_under_its_own_name_receives_prompt_and_tokens_once(
    build: Any, custom_generate: Any
) -> None:
    streamer = Recorder()
    sequences = build().generate(
        tiny_models.prompts(), streamer=streamer, custom_generate=custom_generate, **ARGUMENTS
    )
    streamed = [streamer.received[0], *(tokens[:, None] for tokens in streamer.received[1:])]
    assert torch.equal(torch.cat(streamed, 1), sequences)
    assert streamer.ended == 1


def test_two_streamers_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="got streamer and fire_streamer, expected one of them"):
        tiny_models.generate(tiny_models.llama(), streamer=Recorder(), fire_streamer=Recorder())


@pytest.mark.parametrize("custom_generate", WAYS)
def test_stop_strings_find_the_tokenizer_that_was_passed(custom_generate: Any) -> None:
    tokenizer, inputs = tiny_models.tokenizer(), tiny_models.prompts()
    criteria = StoppingCriteriaList([StopStringCriteria(tokenizer, STOPS)])
    call = functools.partial(
        tiny_models.bigram().generate, inputs, custom_generate=custom_generate, **ARGUMENTS
    )
    sequences = call(stop_strings=STOPS, tokenizer=tokenizer)
    assert torch.equal(sequences, call(stopping_criteria=criteria))
    assert not torch.equal(sequences, call()[:, : sequences.shape[1]])


@pytest.mark.parametrize("custom_generate", WAYS)
@pytest.mark.parametrize("num_return_sequences", [1, 2])
def test_an_assistant_model_is_refused_by_name(custom_generate: Any, num_return_sequences: int) -> None:
    with pytest.raises(ValueError, match="generate: assistant_model is not supported with FIRE"):
        tiny_models.llama().generate(
            tiny_models.prompts(),
            assistant_model=tiny_models.llama(),
            num_return_sequences=num_return_sequences,
            custom_generate=custom_generate,
            **ARGUMENTS,
        )


@pytest.mark.parametrize("value", [True, False, None])
def test_synced_gpus_under_its_own_name_arrives(monkeypatch: pytest.MonkeyPatch, value: bool | None) -> None:
    model, synced = tiny_models.bigram(), []
    monkeypatch.setattr(
        type(model), "_sample", lambda self, input_ids, synced_gpus, **_: synced.append(synced_gpus)
    )
    tiny_models.generate(model, synced_gpus=value)
    assert synced == [bool(value)]


def test_a_processor_whose_greedy_config_makes_nothing_hot_warns() -> None:
    with pytest.warns(UserWarning, match="FireLogitsProcessor: temperature=0 makes every step greedy"):
        FireLogitsProcessor(fire.SamplingConfig(temperature=0, hot_temperature=5.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        FireLogitsProcessor(fire.SamplingConfig(temperature=0))
        FireLogitsProcessor(fire.SamplingConfig(temperature=0, hot_temperature=5.0, hot_steps=1))


def test_a_transformers_that_hands_over_its_arguments_otherwise_is_warned_of_and_does_not_end_the_import(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def renamed(self: object, kwargs: object) -> None:
        """Without the local variable that holds what generate sets aside."""

    assert carry._reader() is getattr(GenerationMixin, carry._METHOD).__code__
    monkeypatch.setattr(GenerationMixin, carry._METHOD, renamed)
    with pytest.warns(UserWarning, match="streamer, synced_gpus, assistant_model and tokenizer"):
        assert carry._reader() is None
    monkeypatch.delattr(GenerationMixin, carry._METHOD)
    with pytest.warns(UserWarning, match="does not know how generate of transformers"):
        assert carry._reader() is None
