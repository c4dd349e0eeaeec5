# FIRE_VLLM=1 python examples/vllm_offline.py Qwen/Qwen3-0.6B
"""Eight answers to a question with vLLM in this process, each from a hot first token of its own."""

import os
import sys

from vllm import LLM, SamplingParams

QUESTION = "What is 2 + 3? Think step by step."


def main(model: str) -> None:
    if os.environ.get("FIRE_VLLM") != "1":
        sys.exit("FIRE_VLLM=1 is missing: without it nothing would be hot")
    # With these log-probabilities those of hot tokens are true: what the token was drawn with.
    llm = LLM(model=model, logprobs_mode="processed_logprobs", max_model_len=256)
    hot = SamplingParams(
        n=8,
        temperature=0.7,
        top_p=0.95,
        max_tokens=64,
        logprobs=0,
        seed=1,
        extra_args={"fire_temperature": 30.0, "fire_top_k": 16},
    )
    (question,) = llm.generate([QUESTION], hot)
    for answer in question.outputs:
        first = answer.logprobs[0][answer.token_ids[0]]
        print(f"first token {first.decoded_token!r}, drawn with probability e^{first.logprob:.2f}:")
        print(answer.text.strip(), end="\n\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
