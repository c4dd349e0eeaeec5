"""Streaming input: a request whose prompt comes in pieces, each of which is answered before the next."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from engine import PROCESSOR, RUNNER, model_runner
from spying import watch
from watched import PROMPT, Watched, contract, drawn_from, total_variation

import fire_sampling as fire

HOT = {"fire_temperature": 30.0, "fire_top_k": 6, "fire_steps": 1}
CONTINUATION = {"fire_steps": 0}
PIECES = [PROMPT, [40, 41], [50], [60, 61, 62]]
KEYS: list[dict[str, Any]] = [HOT, CONTINUATION, {**HOT, "fire_begin": 1, "fire_steps": 2}, {}]
HOT_STEPS = [{0}, set(), {1, 2}, set()]
TOKENS = 4  # in the answer to each
STEPS = [(str(piece), step) for piece in range(len(PIECES)) for step in range(TOKENS)]


def parameters(piece: int, **changes: Any) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    arguments = {"max_tokens": TOKENS, "ignore_eos": True, "output_kind": RequestOutputKind.DELTA, **changes}
    keys = arguments.pop("fire", KEYS[piece])
    return SamplingParams(**arguments, extra_args={"tag": str(piece), **keys})


class Session:
    """A streaming session of an engine in this process, driven as `AsyncLLM` drives one."""

    def __init__(self, watched: Watched, name: str) -> None:
        self._engine = watched.llm.llm_engine
        self._name = name
        self._id = ""

    def send(self, tokens: list[int], params: Any, last: bool = False) -> None:
        request = self._engine.input_processor.process_inputs(
            self._id or self._name,
            {"type": "token", "prompt_token_ids": list(tokens)},
            params,
            supported_tasks=("generate",),
            resumable=not last,
        )
        if not self._id:
            self._engine.input_processor.assign_request_id(request)
            self._id = request.request_id
        request.external_req_id = self._name
        # Both sides write to the prompt: each has one of its own where a message goes from one to the other.
        message = copy.deepcopy(request)
        self._engine.output_processor.add_request(request, None, None, 0)
        self._engine.engine_core.add_request(message)

    def close(self) -> None:
        self.send([0], parameters(0), last=True)


def answer(watched: Watched, tokens: int) -> list[Any]:
    """Steps until the only session there has put out as many tokens; the outputs of every step."""
    outputs: list[Any] = []
    for _ in range(200):
        outputs += watched.llm.llm_engine.step()
        if sum(len(each.outputs[0].token_ids) for each in outputs) >= tokens:
            return outputs
    raise AssertionError(f"{tokens} tokens did not come")


@pytest.mark.parametrize("queued", [False, True], ids=["sent after the answer", "sent before it"])
def test_every_piece_is_hot_as_its_own_keys_say_and_counts_its_own_tokens(
    processed: Watched, queued: bool
) -> None:
    rows = watch(model_runner(processed.llm))
    session = Session(processed, f"session-{queued}")
    outputs: list[Any] = []
    for piece, tokens in enumerate(PIECES):
        session.send(tokens, parameters(piece, logprobs=-1, top_p=0.9))
        if not queued:
            outputs += answer(processed, TOKENS)
    if queued:
        outputs += answer(processed, TOKENS * len(PIECES))
    session.close()
    assert not any(row.dropped for row in rows)
    assert [(row.tag, row.generated) for row in rows] == STEPS
    logprobs = [each for output in outputs for each in output.outputs[0].logprobs]
    for row, reported in zip(rows, logprobs, strict=True):
        piece = int(row.tag)
        assert row.changed == (row.generated in HOT_STEPS[piece]), (piece, row.generated)
        assert total_variation(drawn_from(reported), contract(row, config(piece))) <= 1e-6


def config(piece: int) -> fire.SamplingConfig:
    window = HOT_STEPS[piece]
    hot = fire.SamplingConfig(top_p=0.9, hot_temperature=30.0, hot_top_k=6)
    return hot.replace(hot_begin=min(window, default=0), hot_steps=len(window))


# The asynchronous engine is a process of its own, without the interpreter that V2 needs here.
if RUNNER == 1:

    def test_the_asynchronous_engine_answers_each_piece_as_the_request_that_it_makes_of_it(
        tiny_llama: Path,
    ) -> None:
        """Its prompt: the pieces and answers so far, less the last token of each answer, which vLLM drops."""
        answers, alone, regular = asyncio.run(stream(tiny_llama))
        assert answers == alone
        # Regular ones are greedy: the first step with another token was hot.
        others = [
            [step for step in range(TOKENS) if one[step] != other[step]][:1]
            for one, other in zip(answers, regular, strict=True)
        ]
        assert others == [sorted(window)[:1] for window in HOT_STEPS]

    async def stream(model: Path) -> tuple[list[list[int]], list[list[int]], list[list[int]]]:
        """The answers to the pieces: of a session, to requests of their own, and to such without FIRE."""
        from vllm import AsyncEngineArgs
        from vllm.engine.protocol import StreamingInput
        from vllm.v1.engine.async_llm import AsyncLLM

        options = dict(enforce_eager=True, dtype="float32", max_model_len=256, max_num_seqs=16)
        engine = AsyncLLM.from_engine_args(
            AsyncEngineArgs(model=str(model), logits_processors=[PROCESSOR], **options)
        )

        async def generate(name: str, prompt: Any, params: Any) -> list[int]:
            tokens: list[int] = []
            async for output in engine.generate(prompt, params, name):
                tokens += output.outputs[0].token_ids
            return tokens

        async def inputs() -> AsyncIterator[Any]:
            for piece, tokens in enumerate(PIECES):
                # A list of its own: vLLM appends the later pieces to the first.
                yield StreamingInput({"type": "token", "prompt_token_ids": list(tokens)}, greedy(piece))

        try:
            streamed = await generate("session", inputs(), greedy(0))
            answers = [streamed[at : at + TOKENS] for at in range(0, len(streamed), TOKENS)]
            alone, regular, prompt = [], [], []
            for piece, answer in enumerate(answers):
                prompt += PIECES[piece]
                whole = {"prompt_token_ids": list(prompt)}
                alone.append(await generate(f"alone-{piece}", whole, greedy(piece)))
                regular.append(await generate(f"regular-{piece}", whole, greedy(piece, fire=CONTINUATION)))
                prompt += answer[:-1]
            return answers, alone, regular
        finally:
            engine.shutdown()

    def greedy(piece: int, **changes: Any) -> Any:
        return parameters(piece, temperature=0.0, seed=7 + piece, **changes)
