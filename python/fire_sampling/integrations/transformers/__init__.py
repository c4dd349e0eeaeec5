"""Hugging Face transformers: `generate` with its tokens drawn by fire_sampling. See docs/huggingface.md.

`fire_generate`           pass it to `generate` as `custom_generate`
`install`                 for frameworks that call `model.generate` themselves
`FireLogitsProcessor`     for pipelines that take nothing but a `logits_processor`
`from_generation_config`  what a `GenerationConfig` samples with, as a `SamplingConfig`
"""

from fire_sampling.integrations.transformers.generate import fire_generate
from fire_sampling.integrations.transformers.generation_config import from_generation_config
from fire_sampling.integrations.transformers.install import Installation, install
from fire_sampling.integrations.transformers.processor import FireLogitsProcessor

__all__ = ["FireLogitsProcessor", "Installation", "fire_generate", "from_generation_config", "install"]
