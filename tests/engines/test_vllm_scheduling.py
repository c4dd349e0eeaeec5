"""Whatever the scheduler does with a request, the same steps of it are hot, and each once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from spying import Row
from watched import Watched, watched_engine

# The regular phase is greedy and the hot one seeded, so that tokens can be compared between engines. Neither
# needs a generator of vLLM's, which V1 cannot rewind on a CPU when a prompt is read in chunks.
GREEDY: dict[str, Any] = {"temperature": 0.0, "max_tokens": 24, "ignore_eos": True}
KEYS = [
    {"fire_steps": 1},
    {"fire_steps": 3, "fire_begin": 2},
    {"fire_steps": 2, "fire_begin": 20, "fire_top_k": 40},
    {"fire_steps": 0},
]
REQUESTS = [{**GREEDY, "seed": number, "fire": KEYS[number % 4]} for number in range(12)]
WINDOWS = [range(0, 1), range(2, 5), range(20, 22), range(0)]
SMALL: dict[str, Any] = {"max_num_seqs": 6, "max_num_batched_tokens": 64, "enable_chunked_prefill": True}
FEW_BLOCKS: dict[str, Any] = {"block_size": 32, "num_gpu_blocks_override": 22}


def prompt(number: int) -> list[int]:
    return [3 + (number * 37 + i * (7 + number)) % 317 for i in range(70 + 9 * number)]


PROMPTS = [prompt(number) for number in range(len(REQUESTS))]


def tokens_of(outputs: list[Any]) -> list[list[int]]:
    return [list(output.outputs[0].token_ids) for output in outputs]


def assert_each_hot_step_is_heated_once(rows: list[Row]) -> None:
    """Of the rows whose token counts."""
    heated = Counter((row.tag, row.generated) for row in rows if row.changed and not row.dropped)
    expected = {(str(tag), step) for tag in range(len(REQUESTS)) for step in WINDOWS[tag % 4]}
    assert set(heated) == expected
    assert set(heated.values()) == {1}


@pytest.fixture(scope="module")
def undisturbed(tiny_llama: Path) -> list[list[int]]:
    with watched_engine(str(tiny_llama)) as watched:
        outputs, rows = watched.run(REQUESTS, PROMPTS)
        assert not any(row.dropped for row in rows)
        assert_each_hot_step_is_heated_once(rows)
        return tokens_of(outputs)


def test_a_prompt_read_in_chunks_has_one_hot_first_token(
    tiny_llama: Path, undisturbed: list[list[int]]
) -> None:
    with watched_engine(str(tiny_llama), **SMALL) as watched:
        outputs, rows = watched.run(REQUESTS, PROMPTS)
    assert any(row.dropped for row in rows), "expected rows of prompts that were still being read"
    assert_each_hot_step_is_heated_once(rows)
    assert tokens_of(outputs) == undisturbed


def test_a_preempted_request_goes_on_where_it_was(
    tiny_llama: Path, undisturbed: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with watched_engine(str(tiny_llama), **SMALL, **FEW_BLOCKS) as watched:
        scheduler = watched.llm.llm_engine.engine_core.engine_core.scheduler
        preempt, preempted = scheduler._preempt_request, []

        def count(request: Any, *args: Any, **kwargs: Any) -> None:
            preempted.append(request.num_output_tokens)
            preempt(request, *args, **kwargs)

        monkeypatch.setattr(scheduler, "_preempt_request", count)
        outputs, rows = watched.run(REQUESTS, PROMPTS)
    assert any(preempted), "expected requests that were preempted after their first token"
    assert_each_hot_step_is_heated_once(rows)
    assert tokens_of(outputs) == undisturbed


def test_a_prompt_found_in_the_prefix_cache_has_a_hot_first_token(
    tiny_llama: Path, undisturbed: list[list[int]]
) -> None:
    with watched_engine(str(tiny_llama), enable_prefix_caching=True, block_size=32) as watched:
        watched.run(REQUESTS, PROMPTS)
        outputs, rows = watched.run(REQUESTS, PROMPTS)
    assert all(output.num_cached_tokens > 0 for output in outputs)
    assert_each_hot_step_is_heated_once(rows)
    assert tokens_of(outputs) == undisturbed


def test_a_slot_or_row_taken_over_forgets_its_last_request(tiny_llama: Path) -> None:
    requests = [
        {
            "temperature": 0.0,
            "ignore_eos": True,
            "max_tokens": 1 + number * 5 % 7,
            "seed": number,
            "fire": keys,
        }
        for number, keys in enumerate([*KEYS, {}] * 12)
    ]
    with watched_engine(str(tiny_llama), max_num_seqs=4) as watched:
        outputs, rows = watched.run(requests)
    for row in rows:
        assert row.changed == (row.generated in [*WINDOWS, range(0)][int(row.tag) % 5])
    assert [len(output.outputs[0].token_ids) for output in outputs] == [
        each["max_tokens"] for each in requests
    ]


def test_a_request_that_ends_while_it_is_hot_leaves_its_row_cold(processed: Watched) -> None:
    hot = {"max_tokens": 2, "ignore_eos": True, "fire": {"fire_steps": 8}}
    regular = {"max_tokens": 6, "ignore_eos": True}
    _, rows = processed.run([hot, regular, hot, regular, hot])
    assert len(rows) == 3 * 2 + 2 * 6
    for row in rows:
        assert row.changed == (row.tag in ("0", "2", "4"))
