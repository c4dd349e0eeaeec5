"""The operators as Python functions that take configs as well as packed records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fire_sampling._dtensors import takes_dtensors
from fire_sampling._messages import support_temperature
from fire_sampling._outputs import CodedSample as CodedSample
from fire_sampling._outputs import SampleWithLogprobs as SampleWithLogprobs
from fire_sampling._outputs import SampleWithSupport as SampleWithSupport
from fire_sampling._outputs import SupportLogProb as SupportLogProb
from fire_sampling._torch_entry import ENTRY, arguments, require_plain, step_tensor, torch

if TYPE_CHECKING:
    from torch import Tensor

    from fire_sampling._torch_entry import Config


@takes_dtensors
def sample(logits: Tensor, step: Tensor | int, config: Config, slot: Tensor | None = None) -> Tensor:
    """Draws one token a row.

    Args:
        logits: float32, bfloat16 or float16 [R, V], rows consecutive in memory, row stride free; or a DTensor
            of them (docs/distributed.md).
        step: int32 or int64 [R] or 0-d, or an int: the tokens that each sequence has generated so far. A
            loop that does not count it up draws step 0, the hot one, for ever.
        config: A `SamplingConfig`, packed here for the R rows (one without a seed draws a new one at each
            call); a sequence of R of them, each with its own seed as it is (equal seeds draw alike); or
            records from `pack`, int32 [R, 16] (any number of records with `slot`).
        slot: int32 [R], the record of each row.

    Returns:
        int64 [R], each in [0, V).

    Raises:
        ImportError: torch or the operators are missing.
        TypeError: An argument of none of the types above; a DTensor placed in another way than there.
        ValueError: `step` is an int beyond 64 bits; `slot` comes with a single config, which would be one
            record for every row.
        RuntimeError: A tensor of a wrong type, shape or device.
    """
    inputs = arguments("sample", logits, step, config, slot)
    token: Tensor = torch.ops.fire.sample(*inputs)
    return token


@takes_dtensors
def sample_with_logprobs(
    logits: Tensor, step: Tensor | int, config: Config, slot: Tensor | None = None, *, reference: bool = True
) -> SampleWithLogprobs:
    """`sample`, and what is known about each token.

    `exp(ref_logprob - logprob)` is the importance weight of the token: of the whole softmax at
    `ref_temperature` (by default the regular temperature) against the filtered distribution it was drawn
    from. Its mean is the kept set's share of that softmax, below 1. Without `reference` the work over the
    whole row for `ref_logprob` (NaN then) and `rank` (-1 then) is skipped. Arguments and errors are those of
    `sample`.
    """
    inputs = arguments("sample_with_logprobs", logits, step, config, slot)
    return SampleWithLogprobs(*torch.ops.fire.sample_with_logprobs(*inputs, reference=reference))


def sample_with_support(
    logits: Tensor,
    step: Tensor | int,
    config: Config,
    slot: Tensor | None = None,
    *,
    width: int,
    reference: bool = True,
) -> SampleWithSupport:
    """`sample_with_logprobs`, and the set of tokens that each was drawn from.

    A trainer that normalises over the same set needs it: what engines call a sampling mask. A kept set of
    more than `width` tokens is cut to the first of them in order, the drawn one always among them, and has
    `Status.SUPPORT_CUT`; `ties="exact"` bounds it by `top_k`, so that a width of `top_k` (of `hot_top_k`, if
    that is larger) cuts none.

    Args:
        logits: As for `sample`.
        step: As for `sample`.
        config: As for `sample`.
        slot: As for `sample`.
        width: 1 to 2^21, the places a row; there may be more than tokens.
        reference: As for `sample_with_logprobs`.

    Returns:
        What `sample_with_logprobs` does; `support`, int32 [R, width], the ids of the kept set, ascending, and
        -1 behind them; and `support_logprob`, float32 [R, width], ln of the probability that each is drawn
        with and -inf behind them.

    Raises:
        ImportError: torch or the operators are missing.
        TypeError: As for `sample`; `width` is no integer.
        ValueError: As for `sample`; `width` is out of range.
        RuntimeError: A tensor of a wrong type, shape or device.
    """
    inputs = arguments("sample_with_support", logits, step, config, slot)
    width = ENTRY.support_width("sample_with_support", width)
    outputs = torch.ops.fire.sample_with_support(*inputs, width=width, reference=reference)
    return SampleWithSupport(*outputs)


def sample_group(
    logits: Tensor, step: Tensor | int, config: Config, slot: Tensor | None = None, *, size: int
) -> Tensor:
    """Draws a group of tokens a row, in one read of it: the first tokens of a prompt's `size` completions.

    Member g of a row has the token that `sample` gives the row for its record with `group_size` = `size` and
    `member` = g; the record's own are not looked at. Its design says how they are drawn together; without one
    they are independent. `pack_group` makes the records by which the members go on.

    Args:
        logits: As for `sample`: a row a prompt.
        step: As for `sample`.
        config: As for `sample`: a record a prompt.
        slot: As for `sample`.
        size: 1 to 65,536.

    Returns:
        int64 [R, size], each in [0, V).

    Raises:
        ImportError: torch or the operators are missing.
        TypeError: As for `sample`; `size` is no integer.
        ValueError: As for `sample`; `size` is out of range.
        RuntimeError: A tensor of a wrong type, shape or device.
    """
    inputs = arguments("sample_group", logits, step, config, slot)
    token: Tensor = torch.ops.fire.sample_group(*inputs, size=ENTRY.group_size("sample_group", size))
    return token


def sample_group_with_logprobs(
    logits: Tensor,
    step: Tensor | int,
    config: Config,
    slot: Tensor | None = None,
    *,
    size: int,
    reference: bool = True,
) -> SampleWithLogprobs:
    """`sample_group`, and what is known about each token, as `sample_with_logprobs` tells it.

    `token`, `logprob`, `ref_logprob` and `rank` are [R, size]; `kept` and `status` are [R], the same for all
    members. `logprob` is that of a member alone: members of a design depend on each other. Arguments and
    errors are those of `sample_group`.
    """
    inputs = arguments("sample_group_with_logprobs", logits, step, config, slot)
    size = ENTRY.group_size("sample_group_with_logprobs", size)
    outputs = torch.ops.fire.sample_group_with_logprobs(*inputs, size=size, reference=reference)
    return SampleWithLogprobs(*outputs)


def sample_coded(
    logits: Tensor, code: Tensor, step: Tensor | int, config: Config, slot: Tensor | None = None
) -> CodedSample:
    """Draws one token a row with a code that the sequence carries, instead of random numbers of its own.

    Sequences whose first codes are spread (`first_code` of a group) are spread as whole sequences, not in
    their first tokens alone. Where nothing is drawn the code stays as it is.

    Args:
        logits: As for `sample`.
        code: int64 [R], 64 bits that are read as unsigned: of `first_code`, or of the step before.
        step: As for `sample`.
        config: As for `sample`; of its seed come the bits by which a code is refreshed.
        slot: As for `sample`.

    Returns:
        The tokens, int64 [R], and the codes of the next step, int64 [R].

    Raises:
        ImportError, TypeError, ValueError, RuntimeError: As for `sample`.
    """
    logits, steps, records, slot = arguments("sample_coded", logits, step, config, slot, code=code)
    ENTRY.require_array("sample_coded", "code", code)
    return CodedSample(*torch.ops.fire.sample_coded(logits, code, steps, records, slot))


def first_code(step: Tensor | int, config: Config, slot: Tensor | None = None) -> Tensor:
    """The codes that sequences begin with, for `sample_coded`: the random bits that `sample` draws with.

    Args:
        step: int32 or int64 [R] or 0-d, or an int: the step of the first token that a code draws.
        config: Records from `pack` or `pack_group`, int32 [R, 16] (any number of records with `slot`); a
            sequence of R configs; or one config beside a step for each row.
        slot: int32 [R], the record of each row.

    Returns:
        int64 [R] on the device of the records: 64 bits, as unsigned.

    Raises:
        ImportError: torch or the operators are missing.
        TypeError: An argument of none of the types above; a DTensor.
        ValueError: `step` is an int beyond 64 bits; one config with `slot`, or with one step for all rows.
        RuntimeError: A tensor of a wrong type, shape or device.
    """
    require_plain("first_code", step=step, config=config, slot=slot)
    if isinstance(step, torch.SymInt) and isinstance(config, torch.Tensor):
        step = step_tensor(step, config)
    code: Tensor = torch.ops.fire.first_code(*ENTRY.sequences("first_code", step, config, slot))
    return code


@takes_dtensors
def process_logits(logits: Tensor, step: Tensor | int, config: Config, slot: Tensor | None = None) -> Tensor:
    """float32 [R, V]: x / T where kept, -inf elsewhere; its softmax is the distribution that `sample` draws
    from.

    Arguments and errors are those of `sample`.
    """
    inputs = arguments("process_logits", logits, step, config, slot)
    processed: Tensor = torch.ops.fire.process_logits(*inputs)
    return processed


@takes_dtensors
def heat_logits_(logits: Tensor, step: Tensor | int, config: Config, slot: Tensor | None = None) -> Tensor:
    """Changes the hot rows of float32 logits in place, for engines whose own temperature and filters follow.

    Those then yield the hot distribution, exactly: docs/semantics.md says how. Arguments and errors are those
    of `sample`.

    Returns:
        `logits`.
    """
    inputs = arguments("heat_logits_", logits, step, config, slot)
    torch.ops.fire.heat_logits_(*inputs)
    return logits


@takes_dtensors
def log_prob(
    logits: Tensor, token: Tensor, step: Tensor | int, config: Config, slot: Tensor | None = None
) -> Tensor:
    """float32 [R]: ln of the probability with which `sample` draws `token`, int64 [R]; -inf outside the kept
    set.

    Differentiable in `logits`, once, the kept set taken as constant. Arguments and errors are those of
    `sample`.
    """
    logits, steps, records, slot = arguments("log_prob", logits, step, config, slot, token=token)
    ENTRY.require_array("log_prob", "token", token)
    value: Tensor = torch.ops.fire.log_prob(logits, token, steps, records, slot)
    return value


def support_log_prob(
    logits: Tensor, token: Tensor, support: Tensor, temperature: Tensor | float
) -> SupportLogProb:
    """ln softmax(x / temperature) of each token, over its support and over the whole row.

    The trainer's half of `sample_with_support`: the support comes from the rollout, so a token of it does not
    leave the set because the weights have moved. Differentiable in `logits`, once, both values in one
    backward pass, which needs memory for the gradient and nothing else of its size.

    Args:
        logits: float32, bfloat16 or float16 [R, V], rows consecutive in memory, row stride free.
        token: int64 [R].
        support: int32 [R, width]: the ids of the set in ascending order, then -1; a row of -1 alone is the
            whole vocabulary, and both values are equal. A token outside its support has -inf and no gradient.
        temperature: A finite number of at least 2^-64, or float32 [R] or 0-d.

    Returns:
        `logprob` over the support and `full_logprob` over the row, float32 [R], and `status`, int32 [R].

    Raises:
        ImportError: torch or the operators are missing.
        TypeError: An argument of none of the types above; a DTensor.
        ValueError: `temperature` is a number that is none.
        RuntimeError: A tensor of a wrong type, shape or device; on the CPU, a row whose support or
            temperature is none. On a GPU, where nothing is read before the kernel runs, such a row has NaN,
            no gradient and `Status.REFUSED`.
    """
    name = "support_log_prob"
    require_plain(name, logits=logits, token=token, support=support, temperature=temperature)
    for argument, value in (("logits", logits), ("token", token), ("support", support)):
        ENTRY.require_array(name, argument, value)
    if not isinstance(temperature, torch.Tensor):
        checked = temperature
        if not isinstance(temperature, torch.SymFloat):  # a number that a trace leaves open
            expected = "a finite number of at least 2^-64, or a torch.Tensor of float32"
            checked = support_temperature(f"fire_sampling.{name}", temperature, expected)
        temperature = torch.full((), checked, dtype=torch.float32, device=logits.device)
    logprob, full_logprob, status, _ = torch.ops.fire.support_log_prob(logits, token, support, temperature)
    return SupportLogProb(logprob, full_logprob, status)
