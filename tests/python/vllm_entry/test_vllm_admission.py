"""What the integration of vLLM decides on its own, without vLLM. The engines: tests/engines."""

import itertools
import random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from vllm_stand_ins import VOCABULARY, sampling_params, vllm_config

import fire_sampling as fire
from fire_sampling.integrations.vllm.admission import STRICTEST, Engine, calling_engine, hands_over, refusal
from fire_sampling.integrations.vllm.heat.v1 import HeatV1Rows
from fire_sampling.integrations.vllm.heat.v2 import HeatV2Slots
from fire_sampling.integrations.vllm.requests import HOT_KEYS, fire_request


def test_hands_over_says_what_the_operator_does() -> None:
    logits = torch.randn(1, VOCABULARY, generator=torch.Generator().manual_seed(0))
    temperatures = (0.0, 1e-30, 0.7, 1e30, 2.0**121, float("inf"))
    agreed = {True: 0, False: 0}
    for temperature, hot_temperature in itertools.product(temperatures, temperatures):
        for top_k, hot_top_k, hot_top_p, hot_min_p in itertools.product(
            (0, 8, VOCABULARY + 1), (0, 8, 9), (None, 0.5), (None, 0.1)
        ):
            config = fire.SamplingConfig(
                temperature=temperature,
                top_k=top_k,
                top_p=0.9,
                hot_temperature=hot_temperature,
                hot_top_k=hot_top_k,
                hot_top_p=hot_top_p,
                hot_min_p=hot_min_p,
                hot_steps=1,
                order="vllm",
                seed=3,
            )
            heated = fire.heat_logits_(logits.clone(), 0, config)
            one_hot = int(heated.isfinite().sum()) == 1 and float(heated.max()) == 0
            assert hands_over(config, VOCABULARY) != one_hot, config
            agreed[one_hot] += 1
    assert min(agreed.values()) > 10


def test_of_an_engine_that_nobody_shows_the_strictest_is_assumed() -> None:
    assert calling_engine() == STRICTEST
    settings = HOT_KEYS.read({"fire_after": [1]})
    assert settings is not None
    assert refusal(sampling_params(), fire_request(sampling_params(), settings), STRICTEST) is not None


@pytest.mark.parametrize("keys", [{"fire_temperature": 30.0, "fire_top_k": 16}, {"fire_after": [1]}])
def test_a_greedy_request_whose_keys_would_heat_nothing_is_refused(keys: dict[str, Any]) -> None:
    engine = Engine(2, "raw_logprobs", False, VOCABULARY)
    for steps, refused in ((None, True), (1, False)):
        settings = HOT_KEYS.read(keys if steps is None else {**keys, "fire_steps": steps})
        assert settings is not None
        greedy = sampling_params(temperature=0.0)
        reason = refusal(greedy, fire_request(greedy, settings), engine)
        assert (reason is not None) == refused
        assert reason is None or reason.startswith(
            "fire_steps: got none with temperature 0, expected 1 for a hot"
        )
    continuation = HOT_KEYS.read({"fire_steps": 0})
    assert continuation is not None
    greedy = sampling_params(temperature=0.0)
    assert refusal(greedy, fire_request(greedy, continuation), engine) is None


def test_the_engine_is_that_of_the_caller() -> None:
    class InputProcessor:
        vllm_config = vllm_config()

        def validate(self) -> Engine:
            return (lambda: calling_engine())()

    assert InputProcessor().validate() == Engine(2, "raw_logprobs", False, VOCABULARY)


@pytest.mark.parametrize("seed", range(20))
def test_rows_follow_their_requests_through_removals_additions_and_moves(seed: int) -> None:
    """Against a dictionary of requests, whose hot windows and outputs differ."""
    rng = random.Random(seed)
    rows, batch = HeatV1Rows(vllm_config()), dict[int, tuple[int, int, list[int]]]()
    for _ in range(30):
        removed = [row for row in batch if rng.random() < 0.3]
        for row in removed:
            del batch[row]
        added = []
        for row in rng.sample(range(8), rng.randint(0, 3)):
            begin, steps, output = rng.randint(0, 2), rng.randint(0, 2), [0] * rng.randint(0, 3)
            batch[row] = (begin, steps, output)
            keys = {"fire_begin": begin, "fire_steps": steps, "fire_top_k": 4}
            added.append((row, sampling_params(extra_args=keys), None, output))
        moved = []
        for source in rng.sample(sorted(batch), min(2, len(batch))):
            target = rng.randrange(8)
            swap = rng.random() < 0.5
            moved.append((source, target, SimpleNamespace(name="SWAP" if swap else "UNIDIRECTIONAL")))
            one, other = batch.pop(source, None), batch.pop(target, None)
            if one is not None:
                batch[target] = one
            if swap and other is not None:
                batch[source] = other
        rows.update(SimpleNamespace(removed=removed, added=added, moved=moved))
        for _, _, output in batch.values():
            output.append(0)
        before = torch.randn(8, VOCABULARY)
        after = before.clone()
        rows.heat(after)
        for row in range(8):
            begin, steps, output = batch.get(row, (0, 0, []))
            hot = begin <= len(output) < begin + steps
            assert int(after[row].isfinite().sum()) == (4 if hot else VOCABULARY)
            assert hot or torch.equal(after[row], before[row])


class Slots:
    """`HeatV2Slots` over stand-ins of vLLM's tensors, and a context for all slots in some order."""

    def __init__(self, slots: int) -> None:
        self.prompt = np.zeros(slots, np.int32)
        self.tokens = torch.zeros(slots, 40, dtype=torch.int32)
        # New tensors at each access, as vLLM's own may be after any step.
        owner = self

        class PromptLength:
            np = self.prompt

            @property
            def gpu(self) -> torch.Tensor:
                return torch.from_numpy(owner.prompt.copy())

        states = SimpleNamespace(
            max_num_reqs=slots,
            vocab_size=VOCABULARY,
            device=torch.device("cpu"),
            prompt_len=PromptLength(),
            all_token_ids=SimpleNamespace(gpu=self.tokens),
        )
        self.requests = HeatV2Slots(vllm_config(), states)

    def heated(self, order: list[int], length: list[int]) -> list[bool]:
        """Whether the row of each slot is heated when the slots have `length` tokens."""
        slots = np.array(order)
        lengths = np.array([length[slot] for slot in order])
        context = SimpleNamespace(
            idx_mapping_np=slots,
            expanded_idx_mapping=torch.from_numpy(slots),
            pos=torch.from_numpy(lengths - 1),
            seq_lens_upper_bound_np=lengths,
        )
        before = torch.randn(len(order), VOCABULARY)
        after = before.clone()
        self.requests.flush()
        self.requests.heat(after, context)
        return [not torch.equal(before[row], after[row]) for row in range(len(order))]


def test_a_recycled_slot_forgets_its_last_request() -> None:
    slots = Slots(3)
    slots.prompt[:] = 4
    assert slots.requests.add(0, sampling_params(extra_args={"fire_steps": 2, "fire_after": [7]}))
    assert slots.requests.add(1, sampling_params(extra_args={"fire_steps": 1}))
    assert slots.heated([1, 0], [4, 4, 4]) == [True, True]
    slots.tokens[0, 5] = 7
    assert slots.heated([0, 1], [7, 5, 4]) == [True, False]
    assert not slots.requests.add(0, sampling_params())
    assert not slots.requests.add(1, sampling_params(extra_args={"fire_steps": 0}))
    assert slots.requests.add(2, sampling_params(extra_args={"fire_steps": 1}))
    assert slots.heated([2, 0, 1], [4, 4, 4]) == [True, False, False]
    assert slots.heated([2, 0, 1], [4, 6, 4]) == [True, False, False]


@pytest.mark.parametrize("seed", range(10))
def test_windows_after_tokens_are_those_of_the_definition(seed: int) -> None:
    rng = random.Random(seed)
    slots, after = Slots(4), [5, 31, 32, 63]
    steps = [rng.randint(1, 16) for _ in range(4)]
    for slot in range(4):
        slots.prompt[slot] = rng.randint(1, 5)
        slots.tokens[slot] = torch.tensor([rng.choice([*after, *range(40, 60)]) for _ in range(40)])
        keys = {"fire_steps": steps[slot], "fire_after": after if slot else [], "fire_begin": 3}
        slots.requests.add(slot, sampling_params(extra_args=keys))
    for generated in range(34):
        expected = []
        for slot in range(4):
            prompt = int(slots.prompt[slot])
            output = slots.tokens[slot, prompt : prompt + generated].tolist()
            begins = [3, *(place + 1 for place, token in enumerate(output) if slot and token in after)]
            expected.append(any(begin <= generated < begin + steps[slot] for begin in begins))
        assert slots.heated([0, 1, 2, 3], [int(each) + generated for each in slots.prompt]) == expected
