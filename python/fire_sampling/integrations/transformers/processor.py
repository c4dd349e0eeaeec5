"""`FireLogitsProcessor`: FIRE for pipelines that take nothing but a list of logits processors."""

import torch
from transformers.generation.logits_process import LogitsProcessor

from fire_sampling.config import SamplingConfig
from fire_sampling.functional import heat_logits_
from fire_sampling.integrations.transformers.draw import hot_window, warn_if_never_hot
from fire_sampling.integrations.transformers.groups import require_group_size
from fire_sampling.integrations.transformers.warpers import with_transformers_rules
from fire_sampling.packing import pack, pack_group


class FireLogitsProcessor(LogitsProcessor):
    """Heats the logits of the hot steps; generate's own warpers and its own draw come after it.

    Prefer `fire_generate` where the call of generate can be changed. A processor cannot see the settings of
    that call: `config` must repeat its temperature, top_k, top_p and min_p (temperature=0 for
    `do_sample=False`). It goes last in the list of processors. docs/huggingface.md says what else differs.

    Args:
        config: how to sample; `order` and `ties` are those of transformers unless set. With a `design`, its
            `group_size` says how many rows side by side are the completions of a prompt. A seed that is None
            is drawn from torch's default CPU generator at the first hot step of every generation, even if no
            token turns out to need it: whether one does depends on the logits.
        prompt_length: the width of `input_ids` before the first generated token (1 for most encoder-decoder
            models, 0 with nothing but `inputs_embeds`), the same in every generation. Without it, a call
            whose width is not the last one's + 1, or whose number of rows is another, starts a generation:
            wrong only where a prompt is just one token longer than what the last call of the generation
            before it saw.

    Raises:
        TypeError: `config` is not a `SamplingConfig`.
        ValueError: `prompt_length` is negative; `config` has a design and no `group_size`, a `member`, or no
            hot step; or, in a call, the rows are no whole groups, or `input_ids` neither has that width nor
            continues the last call by one token a row.
    """

    supports_continuous_batching = False

    def __init__(self, config: SamplingConfig, prompt_length: int | None = None) -> None:
        if not isinstance(config, SamplingConfig):
            raise TypeError(
                f"FireLogitsProcessor: config: got {type(config).__name__}, expected a SamplingConfig"
            )
        if config.has_design:
            require_group_size(config)
        if prompt_length is not None and prompt_length < 0:
            raise ValueError(f"FireLogitsProcessor: prompt_length: got {prompt_length}, expected 0 or more")
        self._config = with_transformers_rules(config)
        self._hot = hot_window(self._config)
        warn_if_never_hot("FireLogitsProcessor: temperature=0", self._config, asked=config)
        self._prompt_length = prompt_length
        self._start = 0 if prompt_length is None else prompt_length
        self._last_shape: tuple[int, int] | None = None
        self._records: torch.Tensor | None = None

    def __call__(self, input_ids: torch.LongTensor, scores: torch.Tensor) -> torch.Tensor:
        """Returns `scores` [R, V] themselves, or on a hot step a heated float32 copy."""
        step = self._advance(*input_ids.shape)
        if step not in self._hot:
            return scores
        if self._records is None:
            self._records = self._pack(scores.shape[0]).to(scores.device)
        # A copy, because output_logits keeps the tensor that came.
        return heat_logits_(scores.to(torch.float32, copy=True), step, self._records)

    def _pack(self, rows: int) -> torch.Tensor:
        size = self._config.group_size
        if size is None or size == 1:
            return pack(self._config, rows)
        if rows % size > 0:
            raise ValueError(
                f"FireLogitsProcessor: config.group_size: got {size} for {rows} rows, expected a divisor"
            )
        return pack_group(self._config.replace(group_size=None), rows // size, size)

    def _advance(self, rows: int, width: int) -> int:
        """The step of this call. The first of a generation drops the records: an unset seed is drawn anew."""
        if self._last_shape != (rows, width - 1):
            if self._prompt_length is not None and width != self._prompt_length:
                expected = f"width prompt_length={self._prompt_length}, which starts a generation"
                if self._last_shape is not None:
                    last_rows, last_width = self._last_shape
                    expected += f", or [{last_rows}, {last_width + 1}], which continues the last one"
                raise ValueError(
                    f"FireLogitsProcessor: input_ids: got shape [{rows}, {width}], expected {expected}"
                )
            self._start = width
        if width == self._start:
            self._records = None
        self._last_shape = (rows, width)
        return width - self._start
