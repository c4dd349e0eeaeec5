"""llama.cpp's sampler chain, through llama-cpp-python's C bindings; rows one after another."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import llama_cpp.llama_cpp as llama
import numpy as np
import torch
from harness.cases import Case
from harness.kept_set import Drawn, Order
from harness.settings import Filters

from .contender import Call, Contender

_TOKEN_DATA = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
_CHAIN = (
    "The chain in llama.cpp's default order: top-k, top-p, min-p, temperature, dist; so top-p and min-p "
    "count the mass at temperature 1; greedy: its greedy sampler. It takes float32 logits only: bfloat16 "
    "rows are converted beforehand, untimed. Rows one after another, a chain for each kind of settings. "
    "Log-probability: the logarithm of the probability that the chain leaves with the token."
)


def _chain(filters: Filters) -> Any:
    chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
    samplers = []
    if filters.top_k > 0:
        samplers.append(llama.llama_sampler_init_top_k(filters.top_k))
    if filters.top_p < 1:
        samplers.append(llama.llama_sampler_init_top_p(filters.top_p, 0))
    if filters.min_p > 0:
        samplers.append(llama.llama_sampler_init_min_p(filters.min_p, 0))
    if filters.greedy:
        samplers.append(llama.llama_sampler_init_greedy())
    else:
        if filters.temperature != 1:
            samplers.append(llama.llama_sampler_init_temp(filters.temperature))
        samplers.append(llama.llama_sampler_init_dist(3))
    for sampler in samplers:
        llama.llama_sampler_chain_add(chain, sampler)
    return chain


class LlamaCpp(Contender):
    title = "llama.cpp, array filled beforehand"
    notes = _CHAIN + " The array of 12-byte candidates that a chain works on is filled beforehand, untimed."
    outputs = frozenset({"token", "logprobs"})
    order = Order(before_temperature=True)
    ready_fills_caches = True

    def __init__(self, case: Case, device: torch.device) -> None:
        super().__init__(case, device)
        self._chains = {filters: _chain(filters) for filters in dict.fromkeys(self.of_rows)}
        data = np.zeros((case.rows, case.vocabulary), _TOKEN_DATA)
        self._data = data
        self._floats: dict[int, torch.Tensor] = {}
        self._addresses = [row.ctypes.data for row in data]
        self._arrays = [
            llama.llama_token_data_array(
                data=ctypes.cast(address, llama.llama_token_data_p), size=case.vocabulary
            )
            for address in self._addresses
        ]
        self._calls = [
            (self._chains[filters], ctypes.byref(array))
            for filters, array in zip(self.of_rows, self._arrays, strict=True)
        ]

    def __del__(self, free: Callable[[Any], None] = llama.llama_sampler_free) -> None:
        """The module's names may be gone by then; a default argument is not."""
        for chain in getattr(self, "_chains", {}).values():
            free(chain)

    def ready(self, logits: torch.Tensor, draw: int) -> Call:
        self._locate(logits)
        for row in range(self.case.rows):
            self._fill(row)
        return self._apply

    def _apply(self) -> None:
        for chain, array in self._calls:
            llama.llama_sampler_apply(chain, array)

    def drawn(self, result: None) -> Drawn:
        chosen = [array.data[array.selected] for array in self._arrays]
        tokens = torch.tensor([one.id for one in chosen])
        if self.case.outputs == "token":
            return Drawn(tokens)
        return Drawn(
            tokens,
            torch.tensor(
                [1.0 if of.greedy else one.p for of, one in zip(self.of_rows, chosen, strict=True)]
            ).log(),
        )

    def _locate(self, logits: torch.Tensor) -> None:
        """Where the float32 rows lie; each batch is widened once."""
        if logits.data_ptr() not in self._floats:
            self._floats[logits.data_ptr()] = logits.float()
        self._logits = [row.data_ptr() for row in self._floats[logits.data_ptr()]]

    def _fill(self, row: int) -> None:
        self.native.fill_token_data(self._logits[row], self.case.vocabulary, self._addresses[row])
        array = self._arrays[row]
        array.size, array.selected, array.sorted = self.case.vocabulary, -1, False


class LlamaCppFilling(LlamaCpp):
    title = "llama.cpp, filling its array"
    notes = _CHAIN + " Filling the candidates is timed: the loop of llama_sampler_sample, in C++."

    def __init__(self, case: Case, device: torch.device) -> None:
        super().__init__(case, device)
        self.ready_fills_caches = case.dtype != "float32"  # by widening it

    def ready(self, logits: torch.Tensor, draw: int) -> Call:
        self._locate(logits)
        return self._apply

    def _apply(self) -> None:
        for row, (chain, array) in enumerate(self._calls):
            self._fill(row)
            llama.llama_sampler_apply(chain, array)
