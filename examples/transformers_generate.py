# python examples/transformers_generate.py --model HuggingFaceTB/SmolLM2-135M-Instruct
"""Four answers to one prompt, each begun by a hot first token, the first of them streamed: on GPU or CPU.

Needs fire_sampling, transformers 5 and a model of it, by its name or its folder. See docs/huggingface.md.
"""

from __future__ import annotations

import argparse

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, TextStreamer

import fire_sampling as fire
from fire_sampling.integrations.transformers import fire_generate

# hot_temperature and hot_top_k are those of the first token; say hot_steps or hot_begin for other ones.
HOT = fire.SamplingConfig(hot_temperature=30.0, hot_top_k=16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="HuggingFaceTB/SmolLM2-135M-Instruct")
    parser.add_argument("--prompt", default="Name one way to save water:")
    parser.add_argument("--answers", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=32, help="the longest answer")
    parser.add_argument("--seed", type=int, default=7, help="the same seed gives the same answers")
    options = parser.parse_args()

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = AutoModelForCausalLM.from_pretrained(options.model).to(device).eval()
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    inputs = tokenizer(options.prompt, return_tensors="pt", return_token_type_ids=False).to(device)
    arguments = {
        "do_sample": True,
        "temperature": 0.7,
        "top_k": 50,
        "top_p": 0.95,
        "max_new_tokens": options.tokens,
        "min_new_tokens": 1,  # keeps the end of text out of the hot token
        "custom_generate": fire_generate,
        "fire_config": HOT,
    }

    answers = model.generate(
        **inputs, **arguments, fire_seed=options.seed, num_return_sequences=options.answers
    )
    for answer in tokenizer.batch_decode(
        answers[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True
    ):
        print(repr(answer))

    # A batch's seed is spread over its sequences: alone, the first one draws with the same random numbers.
    streamer = TextStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
    model.generate(**inputs, **arguments, fire_seed=options.seed, streamer=streamer)


if __name__ == "__main__":
    main()
