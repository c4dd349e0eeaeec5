"""The draw as a logits processor, and the trick that lets the model's own loop run around it.

The loop takes whatever the last processor returns both as the scores of the step and, by argmax, as its
token. The two differ here: the token is drawn, so the returned tensor is one-hot on it; the scores are the
processed logits. So where the scores are recorded, the loop gets a fresh one-hot tensor, and `ScoresInPlace`,
the first of the stopping criteria, overwrites it with the processed logits once the loop has taken its
argmax. The tuple of scores that the other criteria see, and that generate returns, holds that very tensor.
"""

import warnings
from typing import Any

import torch
from transformers import LogitsProcessorList, StoppingCriteria
from transformers.generation.logits_process import LogitNormalization, LogitsProcessor

from fire_sampling.config import HOT_FIELDS, SamplingConfig
from fire_sampling.functional import first_code, process_logits, sample, sample_coded
from fire_sampling.integrations.transformers.support import Supports
from fire_sampling.integrations.transformers.windows import Windows

_LARGEST_HOT_TOP_K = 100  # beyond it a hot token is mostly noise
_NEARLY_CERTAIN = 1e-3  # −ln of the highest probability, below which a step has but one real choice


class Draw(LogitsProcessor):
    """The last processor of a call: draws a token for every row and forces it.

    Args:
        records: int32 [R, 16], one a row.
        neutral: like `records`, but without filters and with temperature 1 wherever that is not greedy: draws
            from logits that are processed already.
        hot: the hot steps.
        greedy: whether the steps that are not hot are greedy.
        tail: warpers that run between the filters and the draw.
        record_scores: whether the loop keeps the scores.
        windows: moves the hot window of `records` and `neutral` after certain tokens.
        coded: from the first hot step on, draw with a code that each row carries along.
        supports: keeps the support of every token.
    """

    def __init__(
        self,
        records: torch.Tensor,
        neutral: torch.Tensor,
        hot: range,
        greedy: bool,
        tail: LogitsProcessorList,
        record_scores: bool,
        windows: Windows | None = None,
        coded: bool = False,
        supports: Supports | None = None,
    ) -> None:
        self._records = records
        self._neutral = neutral
        self._hot = hot
        self._greedy = greedy
        self._tail = tail
        # Normalising changes no distribution, but greedy decoding promises the argmax of its very scores.
        self._tail_reshapes = any(greedy or not isinstance(warper, LogitNormalization) for warper in tail)
        self._record_scores = record_scores
        self._windows = windows
        self._coded = coded
        self._supports = supports
        self._code: torch.Tensor | None = None
        self._step = 0  # the loop runs the processors once for each token it emits
        self._forced: torch.Tensor | None = None
        self._token: torch.Tensor | None = None
        self._processed: torch.Tensor | None = None

    def __call__(self, input_ids: torch.LongTensor, scores: torch.Tensor) -> torch.Tensor:
        """Float32 [R, V]: 0 on the token drawn for each row, −inf elsewhere. `scores` [R, V] stay as is."""
        scores = scores.to(torch.float32).contiguous()
        if self._hot and self._step == self._hot.start:
            _warn_if_certain(scores, self._step)
        if self._tail_reshapes:
            self._processed = self._process(input_ids, scores)
            token = self._draw(self._processed, self._neutral)
        else:
            token = self._draw(scores, self._records)
            self._processed = self._process(input_ids, scores) if self._record_scores else None
        if self._windows is not None:
            self._windows.advance(token, self._step)
        self._step += 1
        return self._force(token.unsqueeze(1), scores)

    def _draw(self, logits: torch.Tensor, records: torch.Tensor) -> torch.Tensor:
        by_code = self._coded and self._step >= self._hot.start
        if self._supports is not None:
            draw = self._draw_by_code if by_code else None
            return self._supports.draw(logits, self._step, records, draw)
        if by_code:
            return self._draw_by_code(logits, self._step, records)
        return sample(logits, self._step, records)

    def _draw_by_code(self, logits: torch.Tensor, step: int, records: torch.Tensor) -> torch.Tensor:
        if self._code is None:
            self._code = first_code(step, records)
        token, self._code = sample_coded(logits, self._code, step, records)
        return token

    def write_scores(self) -> None:
        """Overwrites the tensor last returned with the processed logits."""
        if self._forced is not None and self._processed is not None:
            self._forced.copy_(self._processed)

    def _process(self, input_ids: torch.LongTensor, scores: torch.Tensor) -> torch.Tensor:
        # Greedy decoding has no filter: its scores are the logits.
        if self._greedy and self._windows is not None:
            hot = self._windows.hot(self._step)[:, None]
            scores = torch.where(hot, process_logits(scores, self._step, self._records), scores)
        elif not self._greedy or self._step in self._hot:
            scores = process_logits(scores, self._step, self._records)
        processed: torch.Tensor = self._tail(input_ids, scores)
        return processed

    def _force(self, token: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if self._record_scores or self._forced is None or self._token is None:
            self._forced = torch.full_like(scores, -torch.inf)
        else:
            self._forced.scatter_(1, self._token, -torch.inf)  # nobody keeps it: one tensor serves every step
        self._token = token
        return self._forced.scatter_(1, token, 0.0)


class ScoresInPlace(StoppingCriteria):
    """Stops nothing. The first criterion, so that all others see the processed logits."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw

    def __call__(
        self, input_ids: torch.LongTensor, scores: tuple[torch.Tensor, ...] | None, **kwargs: Any
    ) -> torch.Tensor:
        self._draw.write_scores()
        return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)


def hot_window(config: SamplingConfig) -> range:
    """The steps of the hot window. Warns when the hot tokens come out of too many to be any good."""
    window, top_k = config.hot_window, config.resolve().hot_top_k
    if window and not 0 < top_k <= _LARGEST_HOT_TOP_K:
        warnings.warn(
            f"hot_top_k is {top_k if top_k > 0 else 'off'}: at a high temperature the hot tokens are then "
            f"mostly noise. It follows top_k unless set; try 16, and at most {_LARGEST_HOT_TOP_K}",
            stacklevel=3,
        )
    return window


def warn_if_never_hot(
    cause: str, config: SamplingConfig, asked: SamplingConfig, seeded: bool = False
) -> None:
    """Warns when every step is greedy, though something was asked for that only a draw could use.

    Args:
        cause: what makes it greedy, and where: the beginning of the warning.
        config: what a sequence is drawn with.
        asked: the fields that the caller gave.
        seeded: whether the caller gave a seed besides.
    """
    full = config.resolve()
    needs_a_draw = ("seed", *(name for name in HOT_FIELDS if name != "hot_steps"))
    unused = seeded or any(getattr(asked, name) is not None for name in needs_a_draw)
    if full.temperature == 0 and not full.hot_steps and unused:
        warnings.warn(
            f"{cause} makes every step greedy, so the hot fields and the seed have no effect; say how many "
            "steps of a greedy text are hot with hot_steps, or sample: do_sample=True, a temperature above 0",
            stacklevel=4,
        )


def _warn_if_certain(scores: torch.Tensor, step: int) -> None:
    certain = int((scores.logsumexp(-1) - scores.amax(-1) < _NEARLY_CERTAIN).sum())
    if certain > 0:
        warnings.warn(
            f"The hot window opens at step {step}, where the next token of {certain} of {scores.shape[0]} "
            "sequences is all but certain: a forced one, or an opener such as <think>. Every emitted token "
            "counts as a step; set hot_begin to the first step that should be hot",
            stacklevel=2,
        )
