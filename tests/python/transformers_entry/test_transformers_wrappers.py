# mypy: disable-error-code="no-untyped-call"
"""`install` on what wraps a model: it draws with FIRE, or refuses in words and changes nothing."""

from typing import Any

import pytest
import tiny_models
import torch
from tiny_models import one_thread  # noqa: F401
from transformers import MusicgenDecoderConfig, MusicgenForCausalLM
from wrapped_models import ARGUMENTS, CONFIG, IDS, WRAPPED, Engine, model, with_lora

from fire_sampling.integrations.transformers import fire_generate, install

METHODS = ("generate", "init_continuous_batching")


def patched(wrapper: Any) -> list[tuple[str, str]]:
    """Which objects within hold a method of their own in place of their class's."""
    held, found = [wrapper], []
    while held:
        one = held.pop()
        found += [(type(one).__name__, name) for name in METHODS if name in vars(one)]
        held += [vars(one)["module"]] if isinstance(one, Engine) else list(one.children())
    return found


@pytest.mark.parametrize("build", WRAPPED, ids=IDS)
def test_a_wrapped_model_draws_as_with_fire_generate_and_gets_all_back(build: Any) -> None:
    wrapper, inputs = build(), tiny_models.prompts()
    expected = wrapper.generate(
        input_ids=inputs, custom_generate=fire_generate, fire_config=CONFIG, **ARGUMENTS
    )
    with install(wrapper, CONFIG):
        assert torch.equal(wrapper.generate(input_ids=inputs, **ARGUMENTS), expected)
        assert len(patched(wrapper)) == 2
    assert patched(wrapper) == []


@pytest.mark.parametrize("build", WRAPPED, ids=IDS)
def test_fire_is_installed_once_in_a_wrapped_model(build: Any) -> None:
    wrapper = build()
    with install(wrapper, CONFIG):
        before = patched(wrapper)
        for again in (wrapper, Engine(wrapper)):
            with pytest.raises(RuntimeError, match="installed in this model already"):
                install(again, CONFIG)
        assert patched(wrapper) == before


def test_a_peft_model_over_one_with_fire_installed_is_refused_and_unchanged() -> None:
    wrapper = with_lora()
    with install(wrapper.get_base_model(), CONFIG):
        with pytest.raises(RuntimeError, match="installed in this model already"):
            install(wrapper, CONFIG)
        assert "generate" not in vars(wrapper)


def test_a_wrapper_without_generate_is_told_where_its_model_is() -> None:
    class Parallel(torch.nn.Module):
        def __init__(self, module: Any) -> None:
            super().__init__()
            self.module = module

    with pytest.raises(TypeError, match=r"got Parallel, which has no generate.*: pass .* its \.module$"):
        install(Parallel(model()), CONFIG)


def test_a_generate_that_takes_no_loop_is_refused_at_once() -> None:
    class Narrow(Engine):
        def generate(self, input_ids: torch.Tensor, max_new_tokens: int = 5) -> Any:
            return self.module.generate(input_ids, max_new_tokens=max_new_tokens)

    wrapper = Narrow(model())
    with pytest.raises(TypeError, match="got Narrow, whose generate takes no custom_generate"):
        install(wrapper, CONFIG)
    assert patched(wrapper) == []


def test_a_method_that_cannot_be_replaced_is_named_and_the_other_given_back() -> None:
    class Sealed(type(tiny_models.llama())):  # type: ignore[misc]
        def __setattr__(self, name: str, value: Any) -> None:
            if name == "init_continuous_batching":
                raise AttributeError("sealed")
            super().__setattr__(name, value)

    sealed = Sealed(tiny_models.llama().config)
    with pytest.raises(TypeError, match="whose init_continuous_batching cannot be replaced: sealed"):
        install(sealed, CONFIG)
    assert patched(sealed) == []


def test_a_generate_that_drops_the_loop_does_not_pass_for_fire() -> None:
    class Deaf(Engine):
        def generate(self, input_ids: torch.Tensor, **kwargs: Any) -> Any:
            return self.module.generate(input_ids, max_new_tokens=5)

    deaf = Deaf(model())
    with install(deaf, CONFIG), pytest.raises(RuntimeError, match="Deaf generates with a loop of its own"):
        deaf.generate(tiny_models.prompts())


def test_musicgen_is_refused_by_its_loop_not_by_an_argument_that_nobody_gave() -> None:
    musicgen: Any = MusicgenForCausalLM(
        MusicgenDecoderConfig(
            vocab_size=16,
            pad_token_id=0,
            bos_token_id=0,
            hidden_size=16,
            ffn_dim=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_codebooks=2,
        )
    ).eval()
    musicgen.generation_config.decoder_start_token_id = 16
    inputs = torch.full((2, 1), 16)
    with (
        install(musicgen, CONFIG),
        pytest.raises(RuntimeError, match=r"^generate: MusicgenForCausalLM generates with a loop of its own"),
    ):
        musicgen.generate(inputs, do_sample=True, max_new_tokens=4)
