"""The `fire_` keys of a request to vLLM. What the engine makes of them: tests/engines."""

from typing import Any

import pytest
from vllm_stand_ins import sampling_params

from fire_sampling import SamplingConfig
from fire_sampling.config import GROUP_FIELDS, HOT_FIELDS
from fire_sampling.integrations.hot_keys import FIELDS, FireSettings, HotKeys
from fire_sampling.integrations.vllm.requests import HOT_KEYS, sampling_config, settings_for

read_settings, default_settings = HOT_KEYS.read, HOT_KEYS.default
HOT = FireSettings(SamplingConfig(hot_temperature=30.0, hot_top_k=16))


def test_a_request_without_fire_keys_says_nothing() -> None:
    assert read_settings(None) is None
    assert read_settings({"kv_transfer_params": {}, "firewood": 1}) is None


def test_every_key_arrives_in_its_field() -> None:
    keys: dict[str, Any] = dict(
        fire_temperature=9, fire_top_k=4, fire_top_p=0.5, fire_min_p=0.1, fire_begin=2, fire_steps=3
    )
    # The member first: it is checked beside a group that comes behind it.
    keys |= dict(fire_member=2, fire_group_size=3, fire_design="iid")
    settings = read_settings({**keys, "fire_after": [13, 10, 13], "other": "x"})
    assert settings == FireSettings(
        SamplingConfig(
            hot_temperature=9.0,
            hot_top_k=4,
            hot_top_p=0.5,
            hot_min_p=0.1,
            hot_begin=2,
            hot_steps=3,
            design="iid",
            group_size=3,
            member=2,
        ),
        after=(10, 13),
    )
    assert {*keys, "fire_after"} == set(HOT_KEYS.names)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "fire_temp",
            30,
            "'fire_temp': no such key, expected one of fire_temperature, fire_top_k, .*fire_after",
        ),
        ("fire_temperature", "hot", "fire_temperature: got 'hot', expected a number"),
        ("fire_temperature", -1, r"fire_temperature: got -1.0, expected \[0, inf\]"),
        ("fire_temperature", [30], r"fire_temperature: got \[30\], expected a number"),
        ("fire_temperature", None, "fire_temperature: got None, expected a number"),
        ("fire_top_k", 1.5, "fire_top_k: got 1.5, expected an integer"),
        ("fire_top_k", -2, "fire_top_k: got -2, expected at least -1"),
        ("fire_top_p", 1.5, r"fire_top_p: got 1.5, expected \[0, 1\]"),
        ("fire_min_p", -0.1, r"fire_min_p: got -0.1, expected \[0, 1\]"),
        ("fire_begin", -1, "fire_begin: got -1, expected 0 to 2147483647"),
        ("fire_steps", True, "fire_steps: got True, expected an integer"),
        ("fire_design", "sobol", "fire_design: got 'sobol', expected one of 'none', 'iid', "),
        ("fire_design", None, "fire_design: got None, expected one of 'none', 'iid', "),
        ("fire_group_size", 0, "fire_group_size: got 0, expected 1 to 65536"),
        ("fire_after", 13, "fire_after: got 13, expected token ids, integers from 0"),
        ("fire_after", [-1], "fire_after: got -1 among them, expected integers from 0"),
        ("fire_after", ["\n"], "fire_after: got .* among them, expected integers from 0"),
    ],
)
def test_a_wrong_key_or_value_is_named_with_what_was_expected(key: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        read_settings({key: value})


@pytest.mark.parametrize("name", [*HOT_FIELDS, "hot_after"])
def test_the_name_of_a_field_is_refused_with_that_of_the_key(name: str) -> None:
    key = name.replace("hot_", "fire_")
    with pytest.raises(ValueError, match=f"^'{name}': no such key, expected {key}$"):
        read_settings({"other": 1, name: 30})
    with pytest.raises(ValueError, match=f"^FIRE_VLLM_DEFAULT: '{name}': no such key, expected {key}$"):
        default_settings({"FIRE_VLLM_DEFAULT": f'{{"{name}": 30}}'})


def test_every_field_of_the_hot_phase_has_a_key_and_an_engine_may_lack_the_tokens_that_open_windows() -> None:
    hot = {name for name in vars(SamplingConfig()) if name.startswith("hot_")}
    assert {*hot, *GROUP_FIELDS} == set(FIELDS.values())
    keys = HotKeys("FIRE_SGLANG_DEFAULT", after=False, samples=False)
    with pytest.raises(
        ValueError, match=r"^'fire_after': no such key, expected one of fire_temperature, .*fire_member$"
    ):
        keys.read({"fire_after": [3]})
    assert keys.read({"hot_after": 3}) is None


def test_tokens_that_open_windows_of_no_step_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^fire_after: got token ids, expected none with fire_steps 0"):
        read_settings({"fire_after": [13], "fire_steps": 0})


def test_the_default_is_off_unless_the_variable_is_set() -> None:
    assert default_settings({}) is None
    assert default_settings({"FIRE_VLLM_DEFAULT": " "}) is None
    assert default_settings({"FIRE_VLLM_DEFAULT": '{"fire_temperature": 30, "fire_top_k": 16}'}) == HOT


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1", "got '1', expected a JSON object of fire_ keys"),
        ("{}", "got '{}', expected a JSON object"),
        ("{fire_steps", "got '{fire_steps', expected a JSON object"),
        ('{"temperature": 30}', "'temperature': no such key"),
        ('{"fire_top_k": 0.5}', "fire_top_k: got 0.5, expected an integer"),
    ],
)
def test_a_wrong_default_names_the_variable(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^FIRE_VLLM_DEFAULT: {message}"):
        default_settings({"FIRE_VLLM_DEFAULT": text})


def test_the_default_holds_for_a_request_that_says_nothing() -> None:
    assert settings_for(sampling_params(), HOT) == HOT
    assert settings_for(sampling_params(), None) is None


def test_the_default_leaves_greedy_requests_and_those_of_one_token_alone() -> None:
    assert settings_for(sampling_params(temperature=0.0), HOT) is None
    assert settings_for(sampling_params(max_tokens=1), HOT) is None
    assert settings_for(sampling_params(max_tokens=None), HOT) == HOT


def test_a_request_overrules_the_default_as_a_whole() -> None:
    own = settings_for(sampling_params(extra_args={"fire_steps": 0}), HOT)
    assert own == FireSettings(SamplingConfig(hot_steps=0))
    greedy = sampling_params(temperature=0.0, max_tokens=1, extra_args={"fire_steps": 1})
    assert settings_for(greedy, HOT) == FireSettings(SamplingConfig(hot_steps=1))


@pytest.mark.parametrize(("top_k", "hot_top_k"), [(5, 5), (16, 16), (50, 16), (0, 16), (-1, 16)])
def test_the_default_keeps_no_more_tokens_than_the_request(top_k: int, hot_top_k: int) -> None:
    settings = settings_for(sampling_params(top_k=top_k), HOT)
    assert settings is not None
    assert settings.phase.hot_top_k == hot_top_k


def test_a_default_that_keeps_all_tokens_keeps_the_requests_own() -> None:
    everything = FireSettings(SamplingConfig(hot_top_k=0))
    settings = settings_for(sampling_params(top_k=5), everything)
    assert settings is not None
    assert settings.phase.hot_top_k == 5


def test_the_config_has_the_requests_regular_phase_and_the_order_of_vllm() -> None:
    request = sampling_params(temperature=0.7, top_k=50, top_p=0.9, min_p=0.05, seed=3)
    config = sampling_config(request, HOT)
    assert config == SamplingConfig(
        temperature=0.7,
        top_k=50,
        top_p=0.9,
        min_p=0.05,
        hot_temperature=30.0,
        hot_top_k=16,
        seed=3,
        order="vllm",
    )
    full = config.resolve()
    assert (full.hot_top_p, full.hot_min_p, full.hot_steps) == (0.9, 0.05, 1)


def test_without_settings_no_step_is_hot() -> None:
    assert sampling_config(sampling_params(top_k=-1), None).resolve().hot_steps == 0


def test_a_greedy_request_is_hot_only_where_it_says_so() -> None:
    greedy = sampling_params(temperature=0.0)
    assert sampling_config(greedy, read_settings({"fire_temperature": 30})).resolve().hot_steps == 0
    assert sampling_config(greedy, read_settings({"fire_steps": 1})).resolve().hot_steps == 1
