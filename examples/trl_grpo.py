# python examples/trl_grpo.py --model HuggingFaceTB/SmolLM2-135M-Instruct
"""GRPO with TRL over rollouts with hot first tokens, drawn as a group and weighted for it: two steps.

Runs on a GPU or a CPU. Needs fire_sampling, trl (tested with 1.16.0) and a model of transformers, by its name
or its folder. docs/training.md says why hot tokens need a weight, and what else can be done about them.
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
# A prompt's completions, side by side in TRL's batches, are one group: their first tokens are spread.
HOT = fire.SamplingConfig(
    hot_temperature=30.0, hot_top_k=16, design="stratified", group_size=COMPLETIONS, seed=7
)
CAP = 32.0  # of a weight: twice hot_top_k


class HotWeightedGRPOTrainer(GRPOTrainer):
    """Weighs a first token by its probability under the policy over that under which it was drawn."""

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = super()._generate_and_score_completions(inputs)
        weights = batch["completion_mask"].float()
        weights[:, :1] = self.first_token_weights(batch)
        batch["advantages"] = batch["advantages"][:, None] * weights
        return batch

    def first_token_weights(self, batch: dict[str, Any]) -> torch.Tensor:
        """Float32 [B, 1]. No log-probability arrives from the rollout: the prompts are read once more."""
        mask, token = batch["prompt_mask"], batch["completion_ids"][:, 0]
        position = (mask.cumsum(1) - 1).clamp(min=0)
        with torch.no_grad():
            read = self.model(input_ids=batch["prompt_ids"], attention_mask=mask, position_ids=position)
        logits = read.logits[:, -1].float()
        old = fire.log_prob(logits, token, 0, fire.SamplingConfig(temperature=self.temperature, hot_steps=0))
        logits[:, self.eos_token_ids] = -torch.inf  # min_new_tokens
        behaviour = fire.log_prob(logits, token, 0, HOT)
        return rl.token_weights(
            batch["completion_mask"][:, :1].bool(), old=old[:, None], behaviour=behaviour[:, None], cap=CAP
        )


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
    trainer = HotWeightedGRPOTrainer(
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
