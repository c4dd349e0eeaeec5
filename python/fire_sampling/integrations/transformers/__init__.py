"""Hugging Face transformers: `generate` with its tokens drawn by fire_sampling. See docs/huggingface.md.

`fire_generate`        pass it to `generate` as `custom_generate`
`install`              for frameworks that call `model.generate` themselves
`FireLogitsProcessor`  for pipelines that take nothing but a `logits_processor`
"""

from fire_sampling.integrations.transformers.generate import fire_generate
from fire_sampling.integrations.transformers.install import Installation, install
from fire_sampling.integrations.transformers.processor import FireLogitsProcessor

__all__ = ["FireLogitsProcessor", "Installation", "fire_generate", "install"]
