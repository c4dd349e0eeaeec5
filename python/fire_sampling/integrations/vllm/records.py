"""The record of a request: `SamplingConfig` packed, its seed the request's or one that every rank derives."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

import fire_sampling.numpy
from fire_sampling.config import RECORD_WORDS, SamplingConfig
from fire_sampling.integrations.vllm.admission import engine_of, refusal
from fire_sampling.integrations.vllm.requests import (
    HOT_KEYS,
    FireRequest,
    fire_request,
    own_settings,
    settings_for,
)
from fire_sampling_vllm.switch import logger

Record = npt.NDArray[np.int32]

# Requests of one data-parallel engine; the next engine's begin behind them.
_REQUESTS_OF_AN_ENGINE = 2**40


class Recorder:
    """What holds for the requests of a worker, and their records, in the order in which they come.

    Raises:
        ValueError: `FIRE_VLLM_DEFAULT` holds something wrong.
    """

    def __init__(self, vllm_config: Any) -> None:
        self._engine = engine_of(vllm_config)
        self._default = HOT_KEYS.default()
        self._seed = int(vllm_config.model_config.seed or 0)
        parallel = vllm_config.parallel_config
        rank = getattr(parallel, "data_parallel_index", parallel.data_parallel_rank)
        self._seedless = int(rank) * _REQUESTS_OF_AN_ENGINE

    def heated(self, params: Any) -> FireRequest | None:
        """The request that vLLM's `SamplingParams` make; None where nothing heats it, or nothing can.

        Raising here would end the engine: it logs why.
        """
        try:
            settings = settings_for(params, self._default)
            if settings is None:
                return None
            request = fire_request(params, settings)
            reason = refusal(params, request, self._engine)
            if reason is None:
                return request
            by_default = own_settings(params) is None
        except ValueError as error:
            reason, by_default = str(error), False
        if by_default:
            logger.debug("FIRE by default is not for this request: %s", reason)
        else:
            logger.warning("a request that was not validated is sampled without FIRE: %s", reason)
        return None

    def record(self, config: SamplingConfig) -> Record:
        """int32 [16].

        Without a seed in `config`, one that Philox derives from the engine's and the number of seedless
        requests before it: no processor is shown a request's id. Every tensor-parallel rank is given the same
        requests in the same order.
        """
        if config.seed is not None:
            packed = fire_sampling.numpy.pack([config])
        else:
            packed = fire_sampling.numpy.pack(config.replace(seed=self._seed), 1, self._seedless)
            self._seedless += 1
        return packed.view(np.int32).reshape(RECORD_WORDS)
