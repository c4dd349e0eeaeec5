"""`fire_generate`: a decoding loop for `generate(..., custom_generate=fire_generate)`."""

import copy
from collections.abc import Callable, Iterable
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList
from transformers.generation import utils as generation_utils
from transformers.generation.streamers import BaseStreamer

from fire_sampling.config import SEED_WORDS, SamplingConfig
from fire_sampling.integrations.transformers.draw import Draw, ScoresInPlace, hot_window
from fire_sampling.integrations.transformers.warpers import merge, take_apart
from fire_sampling.packing import pack


def fire_generate(
    model: Any,
    input_ids: torch.LongTensor,
    logits_processor: LogitsProcessorList,
    stopping_criteria: StoppingCriteriaList,
    generation_config: GenerationConfig,
    *,
    fire_config: SamplingConfig | None = None,
    fire_seed: int | Iterable[int] | None = None,
    fire_first_row: int = 0,
    fire_streamer: BaseStreamer | None = None,
    fire_synced_gpus: bool | None = None,
    **model_kwargs: Any,
) -> Any:
    """Generates as `generate` would, with every token drawn by `fire_sampling`.

    Not called directly, but passed on: `model.generate(**inputs, custom_generate=fire_generate)`. Everything
    up to `generation_config`, and `model_kwargs`, is what generate prepares. It generates R sequences: the
    batch times `num_return_sequences`.

    Args:
        fire_config: the hot phase, and whatever else generate has no argument for. Its regular fields come
            from generate's `temperature`, `top_k`, `top_p` and `min_p`; `do_sample=False` makes the regular
            phase greedy. `order` and `ties` are those of transformers unless set.
        fire_seed: one integer, spread over the sequences as `pack` does, or R integers, one a sequence, used
            as they are. Goes before `fire_config.seed`.
        fire_first_row: the index of the first sequence when one seed is spread, to go on where a call ended.
        fire_streamer: receives the tokens. generate drops its own `streamer` on the way to a callable.
        fire_synced_gpus: whether to run until the slowest peer has finished; None decides as generate does.

    Returns:
        What `generate` returns: int64 [R, length], or with `return_dict_in_generate` a `ModelOutput`. Its
        `scores` are the processed logits: divided by the temperature where kept, −inf elsewhere.

    Raises:
        TypeError: `fire_config` is not a `SamplingConfig`.
        ValueError: a regular field of `fire_config` contradicts generate's; a decoding mode other than
            sampling and greedy decoding was asked for; `fire_seed` does not fit the number of sequences.
    """
    if fire_config is None:
        fire_config = SamplingConfig()
    elif not isinstance(fire_config, SamplingConfig):
        raise TypeError(
            f"fire_generate: fire_config: got {type(fire_config).__name__}, expected a SamplingConfig"
        )
    _reject_other_modes(generation_config)
    processors = take_apart(logits_processor, generation_config)
    config = merge(fire_config, processors.regular)
    hot = hot_window(config)
    records = _pack_rows(config, fire_seed, fire_first_row, rows=input_ids.shape[0]).to(input_ids.device)
    neutral = pack(
        SamplingConfig(hot_steps=0, seed=0, stream=config.stream),
        rows=input_ids.shape[0],
        device=input_ids.device,
    )
    neutral[:, SEED_WORDS] = records[:, SEED_WORDS]

    record_scores = bool(generation_config.return_dict_in_generate and generation_config.output_scores)
    draw = Draw(records, neutral, hot, not generation_config.do_sample, processors.tail, record_scores)
    if record_scores:
        stopping_criteria = StoppingCriteriaList([ScoresInPlace(draw), *stopping_criteria])
    loop_config = copy.copy(generation_config)
    loop_config.do_sample = False  # argmax finds the forced token; a multinomial would cost more
    if fire_streamer is not None:
        put: Callable[[torch.Tensor], None] = fire_streamer.put
        put(input_ids.cpu())  # generate shows the prompt to its own streamer only
    return type(model)._sample(
        model,
        input_ids,
        logits_processor=LogitsProcessorList([*processors.kept, draw]),
        stopping_criteria=stopping_criteria,
        generation_config=loop_config,
        synced_gpus=_synced_gpus(model) if fire_synced_gpus is None else fire_synced_gpus,
        streamer=fire_streamer,
        **model_kwargs,
    )


def _pack_rows(
    config: SamplingConfig, seed: int | Iterable[int] | None, first_row: int, rows: int
) -> torch.Tensor:
    if not isinstance(seed, Iterable):
        return pack(config if seed is None else config.replace(seed=seed), rows=rows, first_row=first_row)
    seeds = [int(each) for each in seed]
    if len(seeds) != rows:
        raise ValueError(
            f"fire_generate: fire_seed: got {len(seeds)} integers, expected one integer or {rows}, one for "
            "each generated sequence (the batch times num_return_sequences)"
        )
    if first_row != 0:
        raise ValueError(
            f"fire_generate: fire_first_row: got {first_row}, expected 0 with one seed a sequence"
        )
    return pack([config.replace(seed=each) for each in seeds])


_ASSISTED = "assisted generation verifies several tokens a step"
_BEAMS = "beam search ranks sequences instead of drawing them"

# What asks generate for another decoding loop: option, when it does, why it cannot be combined.
_OTHER_MODES: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("num_beams", lambda value: value > 1, _BEAMS),
    ("num_beam_groups", lambda value: value > 1, _BEAMS),
    ("constraints", bool, _BEAMS),
    ("force_words_ids", bool, _BEAMS),
    ("penalty_alpha", lambda value: value > 0, "contrastive search chooses its tokens by another rule"),
    ("dola_layers", lambda value: True, "DoLa replaces the logits in a loop of its own"),
    ("prompt_lookup_num_tokens", bool, _ASSISTED),
    ("assistant_early_exit", bool, _ASSISTED),
    ("use_mtp", bool, _ASSISTED),
)


def _reject_other_modes(config: GenerationConfig) -> None:
    for option, asked_for, why in _OTHER_MODES:
        value = getattr(config, option, None)
        if value is not None and asked_for(value):
            raise ValueError(f"fire_generate: {option}={value!r} is not supported: {why}. Leave it out")
    if config.do_sample and config.top_h is not None:
        raise ValueError(
            f"fire_generate: top_h={config.top_h!r} is not supported: it filters between temperature and "
            "top-k, which are one pass here. Leave it out, or pass a TopHLogitsWarper in logits_processor: "
            "it then sees the logits before the temperature"
        )


def _synced_gpus(model: Any) -> bool:
    """What generate computes for its own loops and drops on the way to a callable."""
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    if not distributed or torch.distributed.get_world_size() == 1:
        return False
    utils: Any = generation_utils  # where these two really live differs between releases
    return bool(utils.is_deepspeed_zero3_enabled() or utils.is_fsdp_managed_module(model))
