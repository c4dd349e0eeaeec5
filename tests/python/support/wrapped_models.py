"""Models within what hands their methods on: PEFT, torch.compile, engines of training."""

import copy
from typing import Any

import peft
import tiny_models
import torch

import fire_sampling as fire

CONFIG = fire.SamplingConfig(hot_top_k=16, seed=9)
ARGUMENTS: dict[str, Any] = {"do_sample": True, "max_new_tokens": 5, "pad_token_id": 0}


class Engine:
    """Hands on every attribute that it lacks, as DeepSpeed's engine and FSDP's wrapper do."""

    def __init__(self, module: Any) -> None:
        self.module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["module"], name)


def model() -> Any:
    return copy.deepcopy(tiny_models.llama())


def with_lora() -> Any:
    torch.manual_seed(8)
    adapter = peft.LoraConfig(
        task_type="CAUSAL_LM", target_modules=["q_proj", "v_proj"], init_lora_weights=False
    )
    return peft.get_peft_model(model(), adapter)


def compiled() -> Any:
    return torch.compile(model(), backend="eager")


WRAPPED = [with_lora, compiled, lambda: Engine(model()), lambda: Engine(with_lora())]
IDS = ["peft", "compiled", "engine", "engine of peft"]
