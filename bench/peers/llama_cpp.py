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
from harness.native import Native
from harness.settings import Filters

from .contender import Contender

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
    name = "llama.cpp"
    title = "llama.cpp, array filled beforehand"
    notes = _CHAIN + " The array of 12-byte candidates that a chain works on is filled beforehand, untimed."
    outputs = frozenset({"token", "logprobs"})
    order = Order(before_temperature=True)
    prepare_fills_caches = True

    def __init__(self, case: Case, batches: torch.Tensor, native: Native) -> None:
        super().__init__(case, batches, native)
        self._chains = {filters: _chain(filters) for filters in dict.fromkeys(self.of_rows)}

        self._float_batches = batches if batches.dtype == torch.float32 else batches.float()
        data = np.zeros((case.rows, case.vocabulary), _TOKEN_DATA)
        self._data = data
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
        self._first_row = self._float_batches.data_ptr()

    def __del__(self, free: Callable[[Any], None] = llama.llama_sampler_free) -> None:
        """The module's names may be gone by then; a default argument is not."""
        for chain in getattr(self, "_chains", {}).values():
            free(chain)

    def prepare(self, batch: int, draw: int) -> None:
        self._locate(batch)
        for row in range(self.case.rows):
            self._fill(row)

    def call(self) -> None:
        for chain, array in self._calls:
            llama.llama_sampler_apply(chain, array)

    def drawn(self, result: None) -> Drawn:
        chosen = [array.data[array.selected] for array in self._arrays]
        tokens = np.array([one.id for one in chosen], np.int64)
        if self.case.outputs == "token":
            return Drawn(tokens)
        return Drawn(
            tokens,
            np.log([1.0 if of.greedy else one.p for of, one in zip(self.of_rows, chosen, strict=True)]),
        )

    def _locate(self, batch: int) -> None:
        row_bytes = self.case.vocabulary * 4
        first = self._first_row + batch * self.case.rows * row_bytes
        self._logits = [first + row * row_bytes for row in range(self.case.rows)]

    def _fill(self, row: int) -> None:
        self.native.fill_token_data(self._logits[row], self.case.vocabulary, self._addresses[row])
        array = self._arrays[row]
        array.size, array.selected, array.sorted = self.case.vocabulary, -1, False


class LlamaCppFilling(LlamaCpp):
    name = "llama.cpp+fill"
    title = "llama.cpp, filling its array"
    notes = _CHAIN + " Filling the candidates is timed: the loop of llama_sampler_sample, in C++."
    prepare_fills_caches = False

    def prepare(self, batch: int, draw: int) -> None:
        self._locate(batch)

    def call(self) -> None:
        for row, (chain, array) in enumerate(self._calls):
            self._fill(row)
            llama.llama_sampler_apply(chain, array)
