"""Groups in `generate`: the `num_return_sequences` of a prompt drawn together, and carried codes."""

import re
from typing import Any

import pytest
import tiny_models
import torch
from tiny_models import RECORDED, generate, one_thread, prompts  # noqa: F401

import fire_sampling as fire
from fire_sampling.config import DESIGNS, SPREADING
from fire_sampling.integrations.transformers import FireLogitsProcessor, fire_generate, install

N = 8
HOT = fire.SamplingConfig(hot_top_k=16, hot_steps=2)
REGULAR: dict[str, Any] = {"top_k": 5, "order": "hf", "ties": "keep_top_k"}
GROUPED = DESIGNS[1:]


def sequences(design: Any, inputs: torch.Tensor | None = None, **arguments: Any) -> torch.Tensor:
    """int64 [R, 6]: the tokens that a bigram model emits in groups of N."""
    defaults: dict[str, Any] = {
        "num_return_sequences": N,
        "fire_config": HOT.replace(design=design),
        "eos_token_id": -1,
        "pad_token_id": 0,
    }
    inputs = prompts() if inputs is None else inputs
    output: torch.Tensor = generate(tiny_models.bigram(), inputs, **{**defaults, **arguments})
    return output[:, inputs.shape[1] :]


def logits_at(tokens: torch.Tensor, step: int, inputs: torch.Tensor | None = None) -> torch.Tensor:
    """Float32 [R, V]: what the bigram model drew the tokens of this step from."""
    last = (prompts() if inputs is None else inputs)[:, -1]
    last = last.repeat_interleave(len(tokens) // len(last)) if step == 0 else tokens[:, step - 1]
    table: torch.Tensor = tiny_models.bigram().table.weight.detach()
    return table[last]


def redrawn(tokens: torch.Tensor, records: torch.Tensor) -> torch.Tensor:
    """int64 [R, T]: what `sample` gives each row with its record, step by step."""
    drawn = [fire.sample(logits_at(tokens, step), step, records) for step in range(tokens.shape[1])]
    return torch.stack(drawn, 1)


@pytest.mark.parametrize("design", GROUPED)
def test_the_sequences_of_a_prompt_are_the_members_of_its_group_at_every_step(design: Any) -> None:
    config = HOT.replace(design=design, seed=3, **REGULAR)
    tokens = sequences(design)
    assert torch.equal(tokens, redrawn(tokens, fire.pack_group(config, 3, N)))


def test_a_divisor_of_the_number_of_sequences_makes_blocks_of_them() -> None:
    config = HOT.replace(design="lattice", seed=3)
    tokens = sequences("lattice", fire_config=config.replace(group_size=4))
    records = fire.pack_group(config.replace(**REGULAR), 3, 4, blocks=2)
    assert torch.equal(tokens, redrawn(tokens, records))


def test_prompts_that_are_repeated_by_the_caller_are_groups_of_the_size_that_the_config_names() -> None:
    grouped = HOT.replace(design="lattice", group_size=N)
    repeated = prompts().repeat_interleave(N, 0)
    tokens = sequences("lattice", repeated, num_return_sequences=1, fire_config=grouped)
    assert torch.equal(tokens, sequences("lattice"))


def test_one_prompts_hot_tokens_are_all_different_on_a_lattice_and_in_order_of_strata() -> None:
    """At temperature 30 each of 16 tokens has less than an 8th of the mass: a lattice of 8 repeats none."""
    found = {design: sequences(design).view(3, N, -1)[..., 0] for design in GROUPED}
    different = {design: [len(row.unique()) for row in tokens] for design, tokens in found.items()}
    assert different["lattice"] == different["enumerated"] == [N] * 3
    assert min(different["stratified"]) >= N / 2  # a token lies in two strata at most
    assert sum(different["stratified"]) > sum(different["iid"])
    top = logits_at(found["enumerated"].reshape(-1, 1), 0)[::N].topk(N).indices
    assert torch.equal(found["enumerated"], top)


def test_a_later_call_goes_on_with_the_groups_behind_it() -> None:
    both = prompts(4)
    whole = sequences("lattice", both)
    rest = sequences("lattice", both[2:], fire_first_row=2 * N)
    assert torch.equal(whole[2 * N :], rest)


def test_one_seed_a_group_is_used_as_it_is() -> None:
    config = HOT.replace(design="stratified", group_size=N, **REGULAR)
    tokens = sequences("stratified", fire_seed=[5, 6, -1])
    records = fire.pack([config.replace(seed=seed, member=m) for seed in (5, 6, -1) for m in range(N)])
    assert torch.equal(tokens, redrawn(tokens, records))


@pytest.mark.parametrize("design", GROUPED)
def test_a_warper_between_filters_and_draw_leaves_the_design_in_force(design: Any) -> None:
    output = generate(
        tiny_models.bigram(),
        num_return_sequences=N,
        fire_config=HOT.replace(design=design),
        typical_p=0.9,
        eos_token_id=-1,
        pad_token_id=0,
        **RECORDED,
    )
    tokens = output.sequences[:, 4:]
    records = fire.pack_group(
        fire.SamplingConfig(hot_temperature=1.0, hot_top_k=0, hot_steps=2, design=design, seed=3), 3, N
    )
    for step, scores in enumerate(output.scores[:2]):
        assert torch.equal(tokens[:, step], fire.sample(scores, step, records))


def coded(inputs: torch.Tensor, config: fire.SamplingConfig, first: int = 0, steps: int = 6) -> torch.Tensor:
    """int64 [R, steps]: a loop by hand, its codes carried from step `first` on."""
    records = fire.pack_group(config.replace(seed=3, **REGULAR), len(inputs), N)
    tokens, code = torch.empty(len(records), 0, dtype=torch.int64), None
    for step in range(steps):
        logits, now = logits_at(tokens.view(len(records), -1), step, inputs), torch.tensor(step)
        if step < first:
            token = fire.sample(logits, step, records)
        else:
            code = torch.ops.fire.first_code(now, records) if code is None else code
            token, code = torch.ops.fire.sample_coded(logits, code, now, records)
        tokens = torch.cat([tokens, token[:, None]], 1)
    return tokens


@pytest.mark.parametrize("design", ["stratified", "lattice"])
@pytest.mark.parametrize("first", [0, 2])
def test_codes_are_carried_from_the_first_hot_step_to_the_end(design: Any, first: int) -> None:
    config = HOT.replace(design=design, hot_begin=first)
    inputs = prompts()
    tokens = sequences(design, fire_config=config, fire_code=True)
    assert torch.equal(tokens, coded(inputs, config, first))
    assert not torch.equal(tokens, sequences(design, fire_config=config))


@pytest.mark.parametrize("design", ["stratified", "lattice"])
def test_more_of_16_sequences_of_3_tokens_differ_with_codes_than_without(design: Any) -> None:
    """Of three tokens a step there are 27 sequences."""
    config = fire.SamplingConfig(hot_top_k=3, design=design)
    inputs = prompts(24)
    settings = {"num_return_sequences": 16, "max_new_tokens": 3, "top_k": 3, "fire_config": config}
    different = {
        code: sum(len(group.unique(dim=0)) for group in tokens.view(24, 16, 3))
        for code in (False, True)
        for tokens in [sequences(design, inputs, fire_code=code, **settings)]
    }
    assert different[True] > 1.05 * different[False]


def test_an_installed_config_spreads_its_seed_over_the_groups_of_all_calls() -> None:
    model, settings = tiny_models.bigram(), {"do_sample": True, "max_new_tokens": 3, "eos_token_id": -1}
    config = fire.SamplingConfig(hot_top_k=16, design="lattice", seed=3)

    def first_tokens(code: bool = False) -> list[torch.Tensor]:
        with install(model, config, code=code):
            return [
                model.generate(prompts(2), top_k=5, num_return_sequences=n, pad_token_id=0, **settings)[:, 4]
                for n in (4, 6)
            ]

    whole = config.replace(**REGULAR)
    four, six = fire.pack_group(whole, 2, 4), fire.pack_group(whole, 2, 6, first_prompt=2)
    expected = [
        fire.sample(model.table.weight[prompts(2)[:, -1]].repeat_interleave(n, 0), 0, records)
        for n, records in ((4, four), (6, six))
    ]
    assert all(map(torch.equal, first_tokens(), expected))
    assert all(map(torch.equal, first_tokens(code=True), expected))


def test_the_processor_draws_the_members_of_groups_of_rows_that_its_config_names() -> None:
    """transformers would draw with numbers of its own: what a design spreads is drawn before."""
    scores = torch.randn(2, 300, generator=torch.Generator().manual_seed(1)).repeat_interleave(N, 0)
    width: Any = torch.zeros(2 * N, 5, dtype=torch.int64)
    for design in SPREADING:
        config = fire.SamplingConfig(top_k=20, hot_top_k=16, design=design, seed=4)
        processor = FireLogitsProcessor(config.replace(group_size=N), prompt_length=5)
        heated = processor(width, scores)
        assert (heated.isfinite().sum(1) == 1).all()
        records = fire.pack_group(config.replace(ties="keep_top_k"), 2, N)
        assert torch.equal(heated.argmax(1), fire.sample(scores, 0, records))
    with pytest.raises(ValueError, match=r"^FireLogitsProcessor: config.group_size: got 8 for 15 rows"):
        FireLogitsProcessor(config.replace(group_size=N), 5)(width[1:], scores[1:])


DESIGN = "fire_generate: fire_config.design: got 'lattice'"
LATTICE = HOT.replace(design="lattice")
REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        dict(num_return_sequences=1),
        f"{DESIGN} with num_return_sequences 1, expected 2 or more, or fire_config",
    ),
    (dict(fire_config=LATTICE.replace(hot_steps=0)), f"{DESIGN} with no hot step, expected hot_steps of 1"),
    (
        dict(fire_config=LATTICE.replace(group_size=N, member=1)),
        "fire_generate: fire_config.member: got 1, expected none",
    ),
    (
        dict(fire_config=LATTICE.replace(group_size=3)),
        "fire_generate: fire_config.group_size: got 3, expected the number of rows, side by side",
    ),
    (
        dict(fire_config=LATTICE.replace(group_size=5)),
        "fire_generate: fire_config.group_size: got 5 for 24 sequences, expected a divisor of their number",
    ),
    (dict(fire_first_row=4), "fire_generate: fire_first_row: got 4, expected a multiple of 8, the size"),
    (
        dict(fire_seed=[1] * 24),
        "fire_generate: fire_seed: got 24 integers, expected one integer or 3, one for each group",
    ),
    (
        dict(fire_seed=[1] * 3, fire_first_row=N),
        "fire_generate: fire_first_row: got 8, expected 0 with one seed a group",
    ),
    *(
        (
            dict(fire_config=HOT.replace(design=design), fire_code=True),
            f"fire_generate: fire_code: got True with fire_config.design '{design}', expected one of 'strat",
        )
        for design in ("none", "iid", "enumerated")
    ),
    (dict(num_beams=8), "fire_generate: num_beams=8 is not supported: beam search ranks sequences"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_a_group_that_would_not_be_one_is_refused_by_name(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        sequences("lattice", **arguments)


def test_groups_of_prompts_that_cannot_be_seen_are_refused() -> None:
    embeds = tiny_models.llama().get_input_embeddings()(prompts().repeat_interleave(2, 0))
    config = LATTICE.replace(group_size=2)
    with pytest.raises(ValueError, match=r"got 2, expected a divisor of num_return_sequences: the prompts"):
        generate(tiny_models.llama(), inputs_embeds=embeds, fire_config=config)


@pytest.mark.parametrize("changes", [{}, {"group_size": 4, "member": 1}, {"group_size": 4, "hot_steps": 0}])
def test_a_processor_refuses_a_design_that_it_could_not_keep(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^FireLogitsProcessor: config.design: got 'lattice' with group"):
        FireLogitsProcessor(LATTICE.replace(**changes))


def test_generate_itself_hands_the_switch_on() -> None:
    with pytest.raises(ValueError, match="fire_code: got True with"):
        tiny_models.bigram().generate(
            prompts(), do_sample=True, max_new_tokens=1, custom_generate=fire_generate, fire_code=True
        )
