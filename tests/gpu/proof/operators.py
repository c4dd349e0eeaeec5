"""operators.py FOLDER GOLDEN DEVICE: the torch operators of a folder's objects against the golden answers.

Loads the objects as a program would that knows nothing of the Python package.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from proof.golden import Golden, read

ROWS = (1, 8, 32, 64, 100, 128, 512, 1024)  # between them, every plan
MOST_BYTES = 160 << 20


def main() -> int:
    folder, golden, device = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    torch.ops.load_library(str(folder / "libfire_sampling_torch_cpu.so"))
    if device == "cuda":
        torch.ops.load_library(str(folder / "libfire_sampling_torch_cuda.so"))
    calls = 0
    wrong: list[str] = []
    for case in read(golden):
        for rows in ROWS if device == "cuda" else (1, 8):
            if rows * case.logits.shape[1] * case.logits.element_size() > MOST_BYTES:
                continue
            calls += 3
            wrong += compare(case, rows, device)
    for line in wrong[:20]:
        print(line)
    print(f"torch {torch.__version__}, {folder.name} on {device}: {calls} calls, {len(wrong)} wrong")
    return 1 if wrong else 0


def compare(case: Golden, rows: int, device: str) -> list[str]:
    """Calls the operators on the case's rows, repeated to `rows`; one line for each answer that is wrong."""
    order = torch.arange(rows) % case.logits.shape[0]
    case = Golden(*(values[order].to(device) for values in case))
    inputs = (case.logits, case.step, case.cfg)
    token = torch.ops.fire.sample(*inputs)
    sampled = torch.ops.fire.sample_with_logprobs(*inputs)
    asked = torch.ops.fire.log_prob(case.logits, case.asked, case.step, case.cfg)
    pairs = [
        ("sample", token, case.token),
        *zip(
            ("token", "logprob", "ref_logprob", "rank", "kept", "status"),
            sampled,
            (case.token, case.logprob, case.ref_logprob, case.rank, case.kept, case.status),
            strict=True,
        ),
        ("log_prob", asked, case.asked_logprob),
    ]
    place = f"R = {rows}, V = {case.logits.shape[1]}, {case.logits.dtype}"
    return [f"{name} differs; {place}" for name, got, expected in pairs if not same(got, expected)]


def same(got: Tensor, expected: Tensor) -> bool:
    """Equal; log-probabilities within 1e-6 · max(1, |value|)."""
    if not expected.is_floating_point():
        return torch.equal(got, expected)
    close = (got - expected).abs() <= 1e-6 * expected.abs().clamp(min=1)
    return bool(((got == expected) | close).all())


if __name__ == "__main__":
    sys.exit(main())
