"""What `tests/gpu/prove` and `tests/gpu/pack` are made of: the standard library, and torch in some stages."""
