"""FIRE as a logits processor: hot rows are heated, and vLLM's own sampler draws from them."""
