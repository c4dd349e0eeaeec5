"""A transformer of about 105,000 parameters, an ordinary model of transformers, taught one task in under a
minute."""

import math
import random

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from examples.paper.tasks import Task

LEARNING_RATE = 3e-3
WARM_UP = 100


def untrained(task: Task, seed: int) -> GPT2LMHeadModel:
    """Learned positions: the tasks look tokens up by their place."""
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=task.vocabulary,
        n_positions=task.prompt_length + task.answer_length,
        n_embd=64,
        n_layer=2,
        n_head=4,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        # At the usual 0.02 a model this narrow takes twice as long to learn anything.
        initializer_range=0.07,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )
    return GPT2LMHeadModel(config)


def train(
    task: Task,
    seed: int,
    steps: int | None = None,
    model: GPT2LMHeadModel | None = None,
    learning_rate: float = LEARNING_RATE,
) -> GPT2LMHeadModel:
    """A model taught with `steps` batches of demonstrations (by default the task's own number).

    It begins from `model`, which it changes, or from an untrained one. The loss is the cross-entropy of the
    answers' tokens. The same seed on the same machine gives the same model.
    """
    steps = task.steps if steps is None else steps
    model = untrained(task, seed) if model is None else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(1.0, (step + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / steps)),
    )
    generator = random.Random(seed)
    model.train()
    for _ in range(steps):
        pairs = [task.problem(generator, testing=False) for _ in range(task.batch)]
        tokens = torch.tensor([prompt + answer for prompt, answer in pairs])
        logits = model(input_ids=tokens[:, :-1]).logits[:, task.prompt_length - 1 :]
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), tokens[:, task.prompt_length :].flatten()
        )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return model.eval()
