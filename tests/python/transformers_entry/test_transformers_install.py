"""`install`: the model's own `generate`, patched and given back."""

import copy
import inspect
import threading
from typing import Any

import pytest
import tiny_models
import torch
from tiny_models import one_thread  # noqa: F401
from transformers import GenerationConfig
from transformers.generation.streamers import BaseStreamer

import fire_sampling as fire
from fire_sampling.integrations.transformers import fire_generate, install

CONFIG = fire.SamplingConfig(hot_top_k=16, seed=9)
ARGUMENTS: dict[str, Any] = {
    "do_sample": True,
    "max_new_tokens": 5,
    "eos_token_id": [tiny_models.VOCABULARY + 1],
}


@pytest.fixture
def model() -> Any:
    return tiny_models.bigram()


def with_fire(model: Any, inputs: torch.Tensor, **arguments: Any) -> Any:
    return type(model).generate(
        model, inputs, custom_generate=fire_generate, fire_config=CONFIG, **{**ARGUMENTS, **arguments}
    )


def test_an_installed_model_generates_as_with_fire_generate(model: Any) -> None:
    inputs = tiny_models.prompts()
    with install(model, CONFIG):
        assert torch.equal(model.generate(inputs, **ARGUMENTS), with_fire(model, inputs))


def test_calls_share_no_random_numbers_and_together_are_one_large_batch(model: Any) -> None:
    inputs = tiny_models.prompts(rows=1).repeat(6, 1)
    with install(model, CONFIG):
        parts = [model.generate(inputs[:2], **ARGUMENTS), model.generate(inputs[2:], **ARGUMENTS)]
    assert torch.equal(torch.cat(parts), with_fire(model, inputs))
    assert len({tuple(row) for row in torch.cat(parts).tolist()}) == 6


def test_remove_gives_the_model_its_own_generate_back(model: Any) -> None:
    inputs = tiny_models.prompts()
    installation = install(model, CONFIG)
    installation.remove()
    installation.remove()
    assert "generate" not in vars(model)
    torch.manual_seed(0)
    first = model.generate(inputs, **ARGUMENTS)
    torch.manual_seed(0)
    assert torch.equal(first, type(model).generate(model, inputs, **ARGUMENTS))
    install(model, CONFIG).remove()


def test_a_patch_of_somebody_else_is_called_and_comes_back(model: Any) -> None:
    calls = []

    def patched(*args: Any, **kwargs: Any) -> Any:
        calls.append(kwargs)
        return type(model).generate(model, *args, **kwargs)

    model.generate = patched
    with install(model, CONFIG):
        assert torch.equal(
            model.generate(tiny_models.prompts(), **ARGUMENTS), with_fire(model, tiny_models.prompts())
        )
    assert model.generate is patched
    assert len(calls) == 1


def test_remove_refuses_to_undo_a_later_patch(model: Any) -> None:
    installation = install(model, CONFIG)
    ours, model.generate = model.generate, lambda: None
    with pytest.raises(RuntimeError, match="replaced after install"):
        installation.remove()
    model.generate = ours
    installation.remove()


def test_fire_is_installed_once(model: Any) -> None:
    with install(model, CONFIG), pytest.raises(RuntimeError, match="installed in this model already"):
        install(model, CONFIG)


def test_only_this_object_is_changed(model: Any) -> None:
    other = tiny_models.bigram()
    with install(model, CONFIG):
        assert "generate" not in vars(other)


def test_a_deep_copy_of_an_installed_model_generates_from_its_own_weights(model: Any) -> None:
    inputs = tiny_models.prompts()
    with install(model, CONFIG):
        copied = copy.deepcopy(model)
        with torch.no_grad():
            copied.table.weight.neg_()
        assert torch.equal(copied.generate(inputs, **ARGUMENTS), with_fire(copied, inputs))


def test_frameworks_that_inspect_generate_see_its_own_signature(model: Any) -> None:
    own = inspect.signature(model.generate)
    with install(model, CONFIG):
        assert inspect.signature(model.generate) == own


def test_positional_arguments_and_a_generation_config_arrive(model: Any) -> None:
    inputs, config = (
        tiny_models.prompts(),
        GenerationConfig.from_dict({**ARGUMENTS, "use_cache": False, "pad_token_id": 0}),
    )
    with install(model, CONFIG):
        ours = model.generate(inputs, config)
    assert torch.equal(ours, with_fire(model, inputs))


def test_an_input_passed_by_position_reaches_a_generate_that_names_it_otherwise() -> None:
    model, spectrograms = tiny_models.whisper(), torch.randn(2, 8, 40)
    arguments: dict[str, Any] = {"do_sample": True, "temperature": 0.7, "max_new_tokens": 5}
    theirs = model.generate(spectrograms, custom_generate=fire_generate, fire_config=CONFIG, **arguments)
    with install(model, CONFIG):
        ours = model.generate(spectrograms, **arguments)
    assert torch.equal(ours, theirs)


def test_a_generate_that_only_passes_its_arguments_on_gets_them_as_they_came() -> None:
    class Wrapper:
        def __init__(self) -> None:
            self.model = tiny_models.bigram()

        def generate(self, *args: Any, **kwargs: Any) -> Any:
            assert len(args) == 1
            return self.model.generate(*args, **kwargs)

    wrapper, streamer = Wrapper(), Recorder()
    with install(wrapper, CONFIG):
        ours = wrapper.generate(tiny_models.prompts(), streamer=streamer, **ARGUMENTS)
    assert torch.equal(ours, with_fire(wrapper.model, tiny_models.prompts()))
    assert len(streamer.received) == 1 + 5 + 1


def test_arguments_behind_a_streamer_passed_by_position_keep_their_meaning(model: Any) -> None:
    streamer, inputs = Recorder(), tiny_models.prompts()
    with install(model, CONFIG):
        model.generate(inputs, None, None, None, None, None, None, streamer, None, None, None, **ARGUMENTS)
    assert len(streamer.received) == 1 + 5 + 1


def test_a_refused_call_uses_up_no_random_numbers(model: Any) -> None:
    inputs = tiny_models.prompts()
    with install(model, CONFIG):
        for refused in ({"num_beams": 2}, {"top_h": 0.4}):
            with pytest.raises(ValueError, match="is not supported"):
                model.generate(inputs, **ARGUMENTS, **refused)
        assert torch.equal(model.generate(inputs, **ARGUMENTS), with_fire(model, inputs))


def test_threads_that_generate_side_by_side_share_no_random_numbers(model: Any) -> None:
    inputs = tiny_models.prompts(rows=1).repeat(2, 1)
    sequences: list[torch.Tensor] = []
    with install(model, CONFIG):
        threads = [
            threading.Thread(target=lambda: sequences.append(model.generate(inputs, **ARGUMENTS)))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    expected = with_fire(model, inputs[:1].repeat(16, 1))
    assert sorted(torch.cat(sequences).tolist()) == sorted(expected.tolist())


class Recorder(BaseStreamer):
    def __init__(self) -> None:
        self.received: list[torch.Tensor] = []

    def put(self, value: torch.Tensor) -> None:
        self.received.append(value)

    def end(self) -> None:
        self.received.append(torch.empty(0))


def test_the_streamer_of_an_ordinary_call_gets_the_tokens(model: Any) -> None:
    streamer, inputs = Recorder(), tiny_models.prompts()
    with install(model, CONFIG):
        sequences = model.generate(inputs, streamer=streamer, **ARGUMENTS)
    assert len(streamer.received) == 1 + 5 + 1
    assert torch.equal(torch.stack(streamer.received[1:-1], 1), sequences[:, 4:])


def test_synced_gpus_of_an_ordinary_call_arrive(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bool] = []
    monkeypatch.setattr(
        type(model), "_sample", lambda self, input_ids, synced_gpus, **_: synced.append(synced_gpus)
    )
    with install(model, CONFIG):
        for value in (True, False, None):
            model.generate(tiny_models.prompts(), synced_gpus=value, **ARGUMENTS)
    assert synced == [True, False, False]


@pytest.mark.parametrize("name", ["assistant_model", "custom_generate"])
def test_a_call_that_brings_its_own_decoding_is_refused_by_name(model: Any, name: str) -> None:
    with install(model, CONFIG), pytest.raises(ValueError, match=f"generate: {name} is not supported"):
        model.generate(tiny_models.prompts(), **ARGUMENTS, **{name: tiny_models.bigram()})


def test_a_model_given_as_its_name_is_told_to_be_loaded() -> None:
    with pytest.raises(
        TypeError, match=r"^install: model: got 'org/model', expected the model that from_pretrai"
    ):
        install("org/model", CONFIG)


@pytest.mark.parametrize("what", [tiny_models.tokenizer(), None, 5, print, tiny_models.Bigram])
def test_what_is_no_model_is_refused_in_one_short_line(what: Any) -> None:
    with pytest.raises(TypeError, match=r"^install: model: got .*, expected a model") as refusal:
        install(what, CONFIG)
    assert len(str(refusal.value)) < 120


def test_the_stop_strings_of_an_ordinary_call_find_its_tokenizer(model: Any) -> None:
    tokenizer, inputs = tiny_models.tokenizer(), tiny_models.prompts(rows=1)
    endless = with_fire(model, inputs)
    stop = tokenizer.decode(endless[0, 6:7])
    assert stop not in tokenizer.decode(endless[0, 4:6])
    with install(model, CONFIG):
        sequences = model.generate(inputs, stop_strings=[stop], tokenizer=tokenizer, **ARGUMENTS)
    assert torch.equal(sequences, endless[:, :7])


def test_a_config_of_another_type_is_refused(model: Any) -> None:
    with pytest.raises(TypeError, match="config: got dict, expected a SamplingConfig"):
        install(model, {"hot_top_k": 16})  # type: ignore[arg-type]
    assert "generate" not in vars(model)
