# python examples/trl_grpo.py --model HuggingFaceTB/SmolLM2-135M-Instruct
"""GRPO with TRL over rollouts with a hot first token, which the loss leaves out: two steps, on GPU or CPU.

Needs fire_sampling, trl (tested with 1.16.0) and a model of transformers, by its name or its folder.
docs/training.md says why hot tokens need care, and what else can be done about them.
"""

from __future__ import annotations

import argparse
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer

import fire_sampling as fire
from fire_sampling import rl
from fire_sampling.integrations.transformers import install

PROMPTS = ["Name a colour.", "Name a river.", "Name a tree.", "Name a bird."]
COMPLETIONS, STEPS = 4, 2
HOT = fire.SamplingConfig(hot_temperature=30.0, hot_top_k=16, seed=7)


class HotMaskedGRPOTrainer(GRPOTrainer):
    """Does not train on hot tokens: they are out of the loss, and stay in the context of the later ones."""

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Any:
        weights = rl.hot_masked_weights(inputs["completion_mask"].bool(), HOT)
        inputs["tool_mask"] = inputs.get("tool_mask", 1) * weights.int()
        return super()._compute_loss(model, inputs)


def different_letters(completions: list[str], completion_ids: list[list[int]], **_: Any) -> list[float]:
    """The reward: put your own here."""
    first = [tokens[0] for tokens in completion_ids]
    print(f"{len(set(first))} different first tokens in {len(first)} completions")
    return [float(len(set(text))) for text in completions]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="HuggingFaceTB/SmolLM2-135M-Instruct")
    parser.add_argument("--output", default="grpo-fire", help="folder for what TRL writes")
    options = parser.parse_args()

    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32)
    install(model, HOT)  # from here on, whoever calls model.generate draws hot first tokens
    on_gpu = torch.cuda.is_available()
    trainer = HotMaskedGRPOTrainer(
        model=model,
        processing_class=AutoTokenizer.from_pretrained(options.model),
        reward_funcs=different_letters,
        train_dataset=Dataset.from_dict({"prompt": PROMPTS * STEPS}),
        args=GRPOConfig(
            output_dir=options.output,
            max_steps=STEPS,
            per_device_train_batch_size=len(PROMPTS) * COMPLETIONS,
            num_generations=COMPLETIONS,
            max_completion_length=24,
            temperature=0.7,
            # The end of the text is often among the 16 most probable first tokens, and heat makes all alike.
            generation_kwargs={"min_new_tokens": 1},
            learning_rate=1e-5,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            use_cpu=not on_gpu,
            bf16=on_gpu,
        ),
    )
    trainer.train()
    print(f"trained for {trainer.state.global_step} steps")


if __name__ == "__main__":
    main()
