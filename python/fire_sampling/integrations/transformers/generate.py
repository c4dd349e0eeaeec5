"""`fire_generate`: a decoding loop for `generate(..., custom_generate=fire_generate)`."""

import copy
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList
from transformers.generation import utils as generation_utils
from transformers.generation.streamers import BaseStreamer

from fire_sampling.config import SEED_WORDS, SamplingConfig, word_of
from fire_sampling.integrations.hot_keys import token_ids
from fire_sampling.integrations.transformers.carry import carrying
from fire_sampling.integrations.transformers.draw import Draw, ScoresInPlace, hot_window, warn_if_never_hot
from fire_sampling.integrations.transformers.generation_config import reject_other_modes
from fire_sampling.integrations.transformers.groups import size_of_groups
from fire_sampling.integrations.transformers.support import EndsTold, supports_of
from fire_sampling.integrations.transformers.warpers import merge, take_apart
from fire_sampling.integrations.transformers.windows import Windows
from fire_sampling.packing import pack, pack_group

NOTHING_CARRIED: Mapping[str, Any] = {}


@carrying
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
    fire_after: Iterable[int] = (),
    fire_code: bool = False,
    output_support: bool | int = False,
    fire_streamer: BaseStreamer | None = None,
    fire_synced_gpus: bool | None = None,
    fire_carried: Mapping[str, Any] = NOTHING_CARRIED,
    tokenizer: Any = None,
    **model_kwargs: Any,
) -> Any:
    """Generates as `generate` would, with every token drawn by `fire_sampling`.

    Not called directly, but passed on: `model.generate(**inputs, custom_generate=fire_generate)`. Everything
    up to `generation_config`, and `model_kwargs`, is what generate prepares. It generates R sequences: the
    batch times `num_return_sequences`.

    Args:
        fire_config: the hot phase, and whatever else generate has no argument for. Its regular fields come
            from generate's `temperature`, `top_k`, `top_p` and `min_p`; `do_sample=False` makes the regular
            phase greedy. `order` and `ties` are those of transformers unless set. With a `design`, the
            `num_return_sequences` of a prompt are its group, one seed for all of them; `group_size` says
            another size, a divisor of it, or how many rows side by side hold one prompt.
        fire_seed: one integer, spread over the sequences as `pack` does, or R integers, one a sequence, used
            as they are: any iterable, also an array or tensor [R]. Goes before `fire_config.seed`. With a
            design it is spread over the groups, as `pack_group` does, or there is one integer a group.
        fire_first_row: the index of the first sequence when one seed is spread, to go on where a call ended;
            with a design a multiple of the group's size.
        fire_after: ids of tokens, say of all that end a line. The hot window opens anew after each of them
            that the call itself emits, for as many steps as `hot_steps` says; the latest one counts.
        fire_code: with the design "stratified" or "lattice", draw every token from the first hot step on with
            a code that is carried from step to step, which spreads whole sequences.
        output_support: with `return_dict_in_generate=True`, the output tells of every token which ones could
            have been drawn in its place. A number: in so many places at most.
        fire_streamer, fire_synced_gpus: generate's `streamer` and `synced_gpus`, for callers that hide this
            function's signature from generate. Elsewhere they work under their own names.
        fire_carried, tokenizer: what generate set aside, filled in as it is called; see carry.py.

    Returns:
        What `generate` returns: int64 [R, length], or with `return_dict_in_generate` a `ModelOutput`. Its
        `scores` are the processed logits: divided by the temperature where kept, −inf elsewhere. With
        `output_support` it has, of R sequences and the T tokens that were drawn for them:

        - `support`, int32 [R, T, width]: the ids that could have been drawn, ascending, −1 behind them; −1
          alone: every id. The width is that of the widest, or the number given;
        - `support_logprob`, float32 [R, T, width]: ln of the probability of each, −inf behind them;
        - `logprob`, float32 [R, T]: of the token itself; `status`, int32 [R, T]: bits of `Status`.

        Behind the end of a sequence these are −1, −inf, 0 and 0.

    Raises:
        TypeError: `fire_config` is not a `SamplingConfig`; `fire_seed` or `fire_after` is or holds something
            else than integers.
        ValueError: an `assistant_model`, or two streamers, were given; a regular field of `fire_config`
            contradicts generate's; a decoding mode other than sampling and greedy decoding was asked for;
            `fire_seed` does not fit the number of sequences, or 64 bits; `fire_after` holds a negative
            number, or no step is hot for it to move; a design would do nothing, `fire_code` is given without
            one, or a group would hold several prompts; `output_support` is out of range, without
            `return_dict_in_generate=True`, or a number beside `fire_code`.
    """

    def first_seed(seeds: int, size: int) -> int:
        if fire_first_row % size > 0:
            raise ValueError(
                f"fire_generate: fire_first_row: got {fire_first_row}, expected a multiple of {size}, the "
                "size of a group"
            )
        return fire_first_row // size

    request = Request(
        fire_config,
        fire_seed,
        first_seed,
        fire_streamer,
        fire_synced_gpus,
        fire_carried,
        token_ids("fire_generate: fire_after", fire_after),
        fire_code,
        output_support,
    )
    return decode(
        request,
        model,
        input_ids,
        logits_processor,
        stopping_criteria,
        generation_config,
        **model_kwargs,
    )


@dataclass(frozen=True)
class Request:
    """What the arguments of `fire_generate` ask for."""

    config: SamplingConfig | None
    seed: int | Iterable[int] | None
    # Of as many seeds as sequences or groups need, and the sequences of each, the index of the first one.
    # Called once all else is found in order.
    first_seed: Callable[[int, int], int]
    streamer: BaseStreamer | None
    synced_gpus: bool | None
    carried: Mapping[str, Any]  # what generate set aside
    after: tuple[int, ...] = ()
    code: bool = False
    output_support: bool | int = False


def decode(
    request: Request,
    model: Any,
    input_ids: torch.LongTensor,
    /,
    logits_processor: LogitsProcessorList,
    stopping_criteria: StoppingCriteriaList,
    generation_config: GenerationConfig,
    **model_kwargs: Any,
) -> Any:
    """`fire_generate`, its own arguments as one."""
    if request.config is not None and not isinstance(request.config, SamplingConfig):
        raise TypeError(
            f"fire_generate: fire_config: got {type(request.config).__name__}, expected a SamplingConfig"
        )
    streamer = request.carried.get("streamer")
    if streamer is not None and request.streamer is not None:
        raise ValueError("fire_generate: got streamer and fire_streamer, expected one of them")
    reject_other_modes(generation_config)
    processors = take_apart(logits_processor, generation_config)
    asked = request.config or SamplingConfig()
    config = merge(asked, processors.regular)
    hot = hot_window(config)
    warn_if_never_hot("fire_generate: do_sample=False", config, asked, seeded=request.seed is not None)
    if request.after and not hot:
        raise ValueError(
            "fire_generate: fire_after: got token ids, expected none: hot_steps is 0, so no window opens"
        )
    returns_dict = bool(generation_config.return_dict_in_generate)
    supports = supports_of(request.output_support, returns_dict, request.code)
    size = size_of_groups(config, generation_config, input_ids, request.code)
    records = _pack_rows(config, request, input_ids.shape[0], size).to(input_ids.device)
    neutral = pack(_unfiltered(config), rows=input_ids.shape[0], device=input_ids.device)
    for words in (SEED_WORDS, word_of("group")):
        neutral[:, words] = records[:, words]

    greedy = not generation_config.do_sample
    record_scores = returns_dict and bool(generation_config.output_scores)
    windows = Windows(request.after, records, neutral) if request.after else None
    draw = Draw(
        records, neutral, hot, greedy, processors.tail, record_scores, windows, request.code, supports
    )
    if record_scores:
        stopping_criteria = StoppingCriteriaList([ScoresInPlace(draw), *stopping_criteria])
    if supports is not None:
        stopping_criteria = EndsTold(stopping_criteria, supports)
    loop_config = copy.copy(generation_config)
    loop_config.do_sample = False  # argmax finds the forced token; a multinomial would cost more
    if request.streamer is not None:
        put: Callable[[torch.Tensor], None] = request.streamer.put
        put(input_ids.cpu())  # generate shows the prompt to its own streamer only
    synced_gpus = request.carried.get("synced_gpus") if request.carried else _synced_gpus(model)
    output = type(model)._sample(
        model,
        input_ids,
        logits_processor=LogitsProcessorList([*processors.kept, draw]),
        stopping_criteria=stopping_criteria,
        generation_config=loop_config,
        synced_gpus=synced_gpus if request.synced_gpus is None else request.synced_gpus,
        streamer=streamer if request.streamer is None else request.streamer,
        **model_kwargs,
    )
    if supports is not None:
        supports.add_to(output, output.sequences.shape[1] - input_ids.shape[1])
    return output


def _unfiltered(config: SamplingConfig) -> SamplingConfig:
    """Draws from processed logits as `config` does from raw ones: greedy where it is, else as they are."""
    return SamplingConfig(
        temperature=0.0 if config.temperature == 0 else 1.0,
        hot_temperature=1.0,
        hot_top_k=0,
        hot_begin=config.hot_begin,
        hot_steps=config.hot_steps,
        stream=config.stream,
        seed=0,
        design=config.design,
    )


def _pack_rows(config: SamplingConfig, request: Request, rows: int, size: int) -> torch.Tensor:
    seed = _integers(request.seed)
    seeds = rows // size
    grouped = config.has_design
    if not isinstance(seed, list):
        config = config if seed is None else config.replace(seed=seed)
        first = request.first_seed(seeds, size)
        if not grouped:
            return pack(config, rows, first)
        return pack_group(config.replace(group_size=None, member=None), seeds, size, first)
    if len(seed) != seeds:
        a_group = f", of {size}" if grouped else ""
        raise ValueError(
            f"fire_generate: fire_seed: got {len(seed)} integers, expected one integer or {seeds}, one for "
            f"each {'group' if grouped else 'generated sequence'} (the batch times "
            f"num_return_sequences{a_group})"
        )
    first = request.first_seed(seeds, size)
    if first != 0:
        a_seed = "group" if grouped else "sequence"
        raise ValueError(
            f"fire_generate: fire_first_row: got {first * size}, expected 0 with one seed a {a_seed}"
        )
    if not grouped:
        return pack([config.replace(seed=each) for each in seed])
    members = [config.replace(group_size=size, member=member) for member in range(size)]
    return pack([member.replace(seed=each) for each in seed for member in members])


def _integers(seed: Any) -> int | list[int] | None:
    """`fire_seed` in plain integers. A scalar of numpy or torch counts as its number."""
    plain = _plain(seed)
    if plain is None:
        return None
    if isinstance(plain, Iterable) and not isinstance(plain, str | bytes):
        return [_integer(_plain(each)) for each in plain]
    return _integer(plain)


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, torch.Tensor | np.ndarray | np.generic) else value


def _integer(plain: Any) -> int:
    integer: int | None
    try:
        integer = operator.index(plain)
    except TypeError:
        integer = None
    if integer is None or isinstance(plain, bool):
        raise TypeError(
            f"fire_generate: fire_seed: got {plain!r}, expected an integer, or one integer a sequence"
        )
    if not -(2**63) <= integer < 2**64:
        raise ValueError(f"fire_generate: fire_seed: got {integer}, expected -2^63 to 2^64 - 1")
    return integer


def _synced_gpus(model: Any) -> bool:
    """What generate decides, where it could not be carried from there."""
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    if not distributed or torch.distributed.get_world_size() == 1:
        return False
    utils: Any = generation_utils  # where these two really live differs between releases
    return bool(utils.is_deepspeed_zero3_enabled() or utils.is_fsdp_managed_module(model))
