"""vLLM: the first token of a request, or any window of its tokens, drawn hot. See docs/vllm.md.

`FireLogitsProcessor`  a logits processor; vLLM takes it by name, as
                       `fire_sampling.integrations.vllm:FireLogitsProcessor`
`fused.install`        has a model runner draw by the operators

`heat` is FIRE before vLLM's own sampler, `fused` in its place, each on the runners V1 and V2.
"""

from typing import Any

__all__ = ["FireLogitsProcessor"]


def __getattr__(name: str) -> Any:
    if name == "FireLogitsProcessor":
        # Made on first use: importing vLLM takes seconds, and its own import must be able to come first.
        from fire_sampling.integrations.vllm.heat.processor import build

        globals()[name] = build(name, __name__)
        return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
