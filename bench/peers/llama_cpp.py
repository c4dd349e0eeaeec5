"""llama.cpp's sampler chain, through llama-cpp-python's C bindings; rows one after another."""

from __future__ import annotations

import ctypes

import llama_cpp.llama_cpp as llama
import numpy as np
import torch
from harness.cases import Case
from harness.native import Native

from .contender import Contender, Tokens

_TOKEN_DATA = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
_CHAIN = (
    "The chain in llama.cpp's default order: top-k, top-p, min-p, temperature, dist; so top-p and min-p "
    "count the mass at temperature 1. It takes float32 logits only: bfloat16 rows are converted beforehand, "
    "untimed. Rows one after another."
)


class LlamaCpp(Contender):
    name = "llama.cpp"
    title = "llama.cpp, array filled beforehand"
    notes = _CHAIN + " The array of 12-byte candidates that a chain works on is filled beforehand, untimed."
    prepare_fills_caches = True
    filters_before_temperature = True

    def __init__(self, case: Case, batches: torch.Tensor, native: Native) -> None:
        super().__init__(case, batches, native)
        filters = self.filters
        self._chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
        samplers = []
        if filters.top_k > 0:
            samplers.append(llama.llama_sampler_init_top_k(filters.top_k))
        if filters.top_p < 1:
            samplers.append(llama.llama_sampler_init_top_p(filters.top_p, 0))
        if filters.min_p > 0:
            samplers.append(llama.llama_sampler_init_min_p(filters.min_p, 0))
        if filters.temperature != 1:
            samplers.append(llama.llama_sampler_init_temp(filters.temperature))
        samplers.append(llama.llama_sampler_init_dist(3))
        for sampler in samplers:
            llama.llama_sampler_chain_add(self._chain, sampler)

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
        self._references = [ctypes.byref(array) for array in self._arrays]
        self._first_row = self._float_batches.data_ptr()

    def __del__(self) -> None:
        if hasattr(self, "_chain"):
            llama.llama_sampler_free(self._chain)

    def prepare(self, batch: int, draw: int) -> None:
        self._locate(batch)
        for row in range(self.case.rows):
            self._fill(row)

    def call(self) -> None:
        for reference in self._references:
            llama.llama_sampler_apply(self._chain, reference)

    def tokens(self, result: None) -> Tokens:
        return np.array([array.data[array.selected].id for array in self._arrays])

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
        for row, reference in enumerate(self._references):
            self._fill(row)
            llama.llama_sampler_apply(self._chain, reference)
