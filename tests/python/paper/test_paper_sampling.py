"""Answers of the paper's tiny models: where the heat falls, how they are judged, what a checker rejects."""

import sys
from pathlib import Path
from typing import Any

import torch

import fire_sampling as fire
from fire_sampling.integrations.transformers import fire_generate

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

from examples.paper.model import untrained  # noqa: E402
from examples.paper.results import gain, passes  # noqa: E402
from examples.paper.sampling import PLAIN, REGULAR, Outcome, Sampling, judge, sample  # noqa: E402
from examples.paper.study import GRID, HOT_TEMPERATURE, first_rejected, grid, hot  # noqa: E402
from examples.paper.tasks import StarGraph, Task  # noqa: E402


def a_model(task: Task) -> Any:
    """Untaught, which is enough."""
    return untrained(task, seed=0).train(False)


def test_an_answer_that_continues_a_right_beginning_is_judged_with_it() -> None:
    task = StarGraph()
    prompts, answers = task.problems(3, seed=0, testing=True)
    started = [prompt + answer[:1] for prompt, answer in zip(prompts, answers, strict=True)]
    rest = [[answer[1:], (0,) * 2] for answer in answers]
    assert judge(task, started, rest).correct == [1, 1, 1]


def test_the_heat_falls_on_the_first_token_that_is_generated_and_on_no_other() -> None:
    task = StarGraph()
    model = a_model(task)
    prompts, _ = task.problems(4, seed=0, testing=True)
    greedy = {"temperature": 1.0, "top_p": 1.0, "top_k": 1}
    rows = sample(model, task, prompts, Sampling("FIRE", hot(task), greedy), 24, seed=1)
    for answers in rows:
        assert len({answer[0] for answer in answers}) > 1
        for first in {answer[0] for answer in answers}:
            assert len({answer[1:] for answer in answers if answer[0] == first}) == 1
    plain = sample(model, task, prompts, Sampling("plain", PLAIN, greedy), 24, seed=1)
    assert all(len(set(answers)) == 1 for answers in plain)


def test_a_prompt_that_is_read_once_has_the_answers_of_one_that_is_read_for_each() -> None:
    task = StarGraph()
    model = a_model(task)
    prompts, _ = task.problems(5, seed=0, testing=True)
    way = Sampling("FIRE", hot(task), REGULAR)
    whole = model.generate(
        input_ids=torch.tensor(prompts),
        attention_mask=torch.ones(5, task.prompt_length, dtype=torch.int64),
        do_sample=True,
        **way.regular,
        max_new_tokens=task.answer_length,
        num_return_sequences=8,
        custom_generate=fire_generate,
        fire_config=way.hot,
        fire_seed=1,
    )
    drawn = [row for rows in sample(model, task, prompts, way, 8, seed=1) for row in rows]
    assert drawn == [tuple(row) for row in whole[:, task.prompt_length :].tolist()]


def test_the_first_rejected_token_follows_a_right_beginning_and_is_wrong() -> None:
    task = StarGraph()
    model = a_model(task)
    prompts, _ = task.problems(20, seed=0, testing=True)
    begun = first_rejected(model, task, prompts)
    assert sum(map(len, begun.values())) > 0
    greedy = Sampling("greedy", PLAIN, {"temperature": 1.0, "top_k": 1})
    for length, started in begun.items():
        for tokens in started:
            prompt, beginning = tokens[: task.prompt_length], tokens[task.prompt_length :]
            assert len(beginning) == length
            assert task.may_begin(prompt, beginning)
            following = sample(model, task, [tokens], greedy, 1, seed=0)[0][0][0]
            assert not task.may_begin(prompt, (*beginning, following))


def test_hot_settings_of_the_grid_follow_the_regular_ones() -> None:
    cells = list(grid())
    assert len(cells) == len(GRID["top_p"]) * len(GRID["top_k"]) * len(GRID["min_p"])
    for _, (plain, hot_too) in cells:
        assert plain.regular == hot_too.regular
        assert plain.hot == PLAIN
        assert hot_too.hot == fire.SamplingConfig(hot_temperature=HOT_TEMPERATURE)
        temperature, top_k, min_p = (plain.regular[name] for name in ("temperature", "top_k", "min_p"))
        served = hot_too.hot.replace(temperature=temperature, top_k=top_k, min_p=min_p).resolve()
        assert (served.hot_top_k, served.hot_min_p) == (top_k, min_p)


def test_a_gain_is_taken_prompt_by_prompt_over_all_models() -> None:
    plain = Outcome([0, 2], 4, {}, {})
    other = Outcome([2, 4], 4, {}, {})
    mean, low, high = gain([plain, plain], [other, other], 1)
    assert mean == low == high == 0.5
    assert passes(plain, 1) == [0.0, 0.5]
