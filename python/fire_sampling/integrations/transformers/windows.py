"""Hot windows that open anew after certain tokens, without the host's knowing which rows they hold for."""

from collections.abc import Iterable

import torch

from fire_sampling.config import word_of

_HOT_BEGIN, _HOT_STEPS = word_of("hot_begin"), word_of("hot_steps")


class Windows:
    """Keeps `hot_begin` of some records behind the latest opener of each row, while that window is open.

    Args:
        openers: ids of the tokens after which a window opens.
        records: int32 [R, 16] each, with the same hot steps; written in place.
    """

    def __init__(self, openers: Iterable[int], *records: torch.Tensor) -> None:
        self._openers = torch.tensor(list(openers), dtype=torch.int64, device=records[0].device)
        self._records = records
        self._steps = records[0][:, _HOT_STEPS].to(torch.int64)
        self._first = records[0][:, _HOT_BEGIN].to(torch.int64)
        self._latest = self._first.clone()

    def hot(self, step: int) -> torch.Tensor:
        """Bool [R]: the rows of which `step` is hot."""
        begin = self._records[0][:, _HOT_BEGIN].to(torch.int64)
        return (step >= begin) & (step < begin + self._steps)

    def advance(self, token: torch.Tensor, step: int) -> None:
        """Takes in the tokens, int64 [R], that were drawn at `step`."""
        self._latest = torch.where(torch.isin(token, self._openers), step + 1, self._latest)
        is_open = step + 1 < self._latest + self._steps
        begin = torch.where(is_open, self._latest, self._first).to(torch.int32)
        for records in self._records:
            records[:, _HOT_BEGIN] = begin
