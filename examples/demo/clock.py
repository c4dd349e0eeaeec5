"""How long the choice of tokens takes inside `generate`."""

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from transformers import LogitsProcessorList


class SamplingClock:
    """Adds up the time from a step's logits to its token, in whichever decoding loop of transformers.

    That is everything the loop does between the two: the logits processors (fire_sampling draws inside
    one), then softmax and multinomial where transformers samples itself, argmax where the token is already
    settled. Calls inside one another count once.

    Attributes:
        seconds: what was added up so far.
        steps: the runs of the logits processors so far: one a generated token.
    """

    def __init__(self, device: torch.device) -> None:
        self.seconds = 0.0
        self.steps = 0
        self._wait: Callable[[], None] = torch.cuda.synchronize if device.type == "cuda" else lambda: None
        self._inside = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Times every step of the `generate` calls made inside."""
        parts = (
            (LogitsProcessorList, "__call__", 1),
            (torch.nn.functional, "softmax", 0),
            (torch, "multinomial", 0),
            (torch, "argmax", 0),
        )
        with ExitStack() as stack:
            for owner, name, steps in parts:
                timed = self._timed(getattr(owner, name), steps)
                stack.enter_context(mock.patch.object(owner, name, timed))
            yield

    def _timed(self, function: Callable[..., Any], steps: int) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            if self._inside:
                return function(*arguments, **named)
            self._inside = True
            self._wait()  # for the model's own kernels, whose time is not the sampler's
            begin = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                self._wait()
                self.seconds += time.perf_counter() - begin
                self.steps += steps
                self._inside = False

        return timed
