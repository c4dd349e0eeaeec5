# python examples/vllm_client.py http://localhost:8000/v1
"""Asks a vLLM server for answers that begin hot, with OpenAI's client.

The server is started by `FIRE_VLLM=1 python -m vllm.entrypoints.openai.api_server --model Qwen/Qwen3-0.6B`.
"""

import sys

from openai import BadRequestError, OpenAI

HOT = {"fire_temperature": 30.0, "fire_top_k": 16}


def main(address: str = "http://localhost:8000/v1") -> None:
    client = OpenAI(base_url=address, api_key="none")
    model = client.models.list().data[0].id
    answers = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "What is 2 + 3? Think step by step."}],
        n=4,
        temperature=0.7,
        top_p=0.95,
        max_tokens=64,
        extra_body={"vllm_xargs": HOT},
    )
    for number, choice in enumerate(answers.choices):
        print(f"{number}: {(choice.message.content or '').strip()}")

    # Whether FIRE is on can be asked: it refuses keys that it does not know.
    try:
        client.completions.create(
            model=model, prompt="2 + 3 =", max_tokens=1, extra_body={"vllm_xargs": {"fire_heat": 30.0}}
        )
    except BadRequestError as error:
        print(f"FIRE is on: {error.message}")
    else:
        sys.exit("FIRE is off: start the server with FIRE_VLLM=1")


if __name__ == "__main__":
    main(*sys.argv[1:])
