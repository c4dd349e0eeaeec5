"""The support of every token that a call of `generate` draws: what `output_support` adds to its output."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.nn.functional import pad
from transformers import StoppingCriteriaList

from fire_sampling import _native
from fire_sampling._messages import integer
from fire_sampling.functional import log_prob, sample_with_support
from fire_sampling.status import Status

# Places that are tried first where a step's supports may be of any size.
_USUAL_WIDTH = 128


class _Step(NamedTuple):
    support: torch.Tensor  # int32 [R, width]
    support_logprob: torch.Tensor  # float32 [R, width]
    logprob: torch.Tensor  # float32 [R]
    status: torch.Tensor  # int32 [R]


class Supports:
    """Draws tokens and keeps the support of each, step after step.

    Args:
        places: how many a token's support has at most; None: as many as it needs.
    """

    def __init__(self, places: int | None) -> None:
        self._places = places
        self._steps: list[_Step] = []
        self._ended: torch.Tensor | None = None

    def draw(
        self,
        logits: torch.Tensor,
        step: int,
        records: torch.Tensor,
        draw: Callable[[torch.Tensor, int, torch.Tensor], torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Int64 [R]: a token for each row of `logits` [R, V], drawn by `draw` where it is given.

        It must draw from the distribution that `sample` draws from.
        """
        drawn = sample_with_support(
            logits, step, records, width=self._places or _USUAL_WIDTH, reference=False
        )
        decided = (drawn.status & int(Status.DECIDED)) != 0
        every = (drawn.kept == logits.shape[1]) & ~decided
        if self._places is None:
            size = torch.where(decided, 1, torch.where(every, 0, drawn.kept))
            width = max(1, int(size.max()) if size.numel() > 0 else 0)
            if width > _USUAL_WIDTH:
                drawn = sample_with_support(logits, step, records, width=width, reference=False)
            drawn = drawn._replace(
                support=drawn.support[:, :width], support_logprob=drawn.support_logprob[:, :width]
            )
        token, logprob = drawn.token, drawn.logprob
        if draw is not None:
            token = draw(logits, step, records)
            logprob = log_prob(logits, token, step, records)
        # Nothing was drawn for a sequence that has ended; a row of every token has -1 alone.
        ended = torch.zeros_like(every) if self._ended is None else self._ended
        none = (every | ended)[:, None]
        status = torch.where(every, drawn.status & ~int(Status.SUPPORT_CUT), drawn.status)
        self._steps.append(
            _Step(
                drawn.support.masked_fill(none, -1),
                drawn.support_logprob.masked_fill(none, -torch.inf),
                logprob.masked_fill(ended, 0.0),
                status.masked_fill(ended, 0),
            )
        )
        return token

    def end(self, ended: torch.Tensor) -> None:
        """Takes in which sequences have ended, bool [R]: what is drawn for them from now on is dropped."""
        self._ended = ended if self._ended is None else self._ended | ended

    def add_to(self, output: Any, tokens: int) -> None:
        """Adds what was kept of the first `tokens` steps to the `ModelOutput` of the call."""
        steps = self._steps[:tokens]  # transformers may run a step more than it returns
        width = max((each.support.shape[1] for each in steps), default=1)

        def wide(tensor: torch.Tensor, value: float) -> torch.Tensor:
            return pad(tensor, (0, width - tensor.shape[1]), value=value)

        output["support"] = torch.stack([wide(each.support, -1) for each in steps], dim=1)
        output["support_logprob"] = torch.stack(
            [wide(each.support_logprob, -torch.inf) for each in steps], dim=1
        )
        output["logprob"] = torch.stack([each.logprob for each in steps], dim=1)
        output["status"] = torch.stack([each.status for each in steps], dim=1)


class EndsTold(StoppingCriteriaList):
    """The stopping criteria of a call, which tell `Supports` whose sequences have ended."""

    def __init__(self, criteria: StoppingCriteriaList, supports: Supports) -> None:
        super().__init__(criteria)
        self._supports = supports
        # Without such a criterion the loop goes on with what it draws for sequences that have ended.
        self._pads = any(hasattr(criterion, "eos_token_id") for criterion in criteria)

    def __call__(self, input_ids: torch.LongTensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        ended: torch.Tensor = super().__call__(input_ids, scores, **kwargs)
        if self._pads:
            self._supports.end(ended)
        return ended


def supports_of(output_support: Any, returns_dict: bool, coded: bool) -> Supports | None:
    """What keeps the supports that `output_support` asks for; None where it is False.

    Raises:
        TypeError: it is neither a bool nor an integer.
        ValueError: it is out of range; the call returns no dict to put them in; a code draws the tokens, and
            a support that is cut might be without the token.
    """
    if output_support is False:
        return None
    places = None
    if output_support is not True:
        largest = _native.MAX_VOCABULARY
        expected = f"True, False, or the number of places of a support, 1 to {largest}"
        places = integer("fire_generate", "output_support", output_support, 1, largest, expected)
    if not returns_dict:
        raise ValueError(
            f"fire_generate: output_support: got {output_support} without return_dict_in_generate=True, "
            "expected both: the output has a place for it there alone"
        )
    if coded and places is not None:
        raise ValueError(
            f"fire_generate: output_support: got {output_support} with fire_code, expected True: a support "
            "that is cut has a place for the token that the random numbers draw, not for the code's"
        )
    return Supports(places)
