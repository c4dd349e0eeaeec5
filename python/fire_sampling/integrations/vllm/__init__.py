"""vLLM: the first token, or any window, of a request drawn hot. See docs/vllm.md."""
