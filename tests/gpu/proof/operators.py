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
FLAGS, GROUP = 10, 15  # words of a record
MEMBERS = 3  # of the group that is drawn of each row


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
            calls += 8 + MEMBERS
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
    group = torch.ops.fire.sample_group(*inputs, size=MEMBERS)
    coded, _ = torch.ops.fire.sample_coded(
        case.logits, torch.ops.fire.first_code(case.step, case.cfg), case.step, case.cfg
    )
    pairs = [
        ("sample", token, case.token),
        *zip(
            ("token", "logprob", "ref_logprob", "rank", "kept", "status"),
            sampled,
            (case.token, case.logprob, case.ref_logprob, case.rank, case.kept, case.status),
            strict=True,
        ),
        ("log_prob", asked, case.asked_logprob),
        ("sample_coded from the first code", coded, case.token),
    ]
    for member in range(MEMBERS):
        alone = torch.ops.fire.sample(case.logits, case.step, member_records(case.cfg, member))
        pairs.append((f"member {member} of sample_group", group[:, member], alone))
    wrong = support_mistakes(case, sampled)
    place = f"R = {rows}, V = {case.logits.shape[1]}, {case.logits.dtype}"
    wrong += [name for name, got, expected in pairs if not same(got, expected)]
    return [f"{name} differs; {place}" for name in wrong]


def support_mistakes(case: Golden, sampled: tuple[Tensor, ...]) -> list[str]:
    """Of sample_with_support: the outputs of sample_with_logprobs, the set of process_logits, its scores."""
    rows, vocabulary = case.logits.shape
    inputs = (case.logits, case.step, case.cfg)
    *outputs, support, logprob = torch.ops.fire.sample_with_support(*inputs, width=vocabulary)
    kept = torch.ops.fire.process_logits(*inputs).isfinite()
    ids = torch.arange(vocabulary, device=support.device, dtype=support.dtype).expand(rows, -1)
    expected = torch.where(kept, ids, vocabulary).sort(dim=1).values
    expected = torch.where(expected < vocabulary, expected, -1)
    total = torch.where(support >= 0, logprob.exp(), 0).sum(dim=1, dtype=torch.float64)
    one = torch.ones(rows, device=support.device)
    scored, _, _, _ = torch.ops.fire.support_log_prob(
        case.logits, sampled[0], ids.new_full((rows, 1), -1), one
    )
    softmax = case.logits.double().nan_to_num(float("-inf"), float("inf"), float("-inf")).log_softmax(dim=1)
    wanted = softmax.gather(1, sampled[0][:, None])[:, 0].clamp(min=torch.finfo(torch.float32).min)
    finite = wanted.isfinite()
    close = (scored.double() - wanted).abs() <= 1e-5 * wanted.abs().clamp(min=1)
    names = ("token", "logprob", "ref_logprob", "rank", "kept", "status")
    wrong = [
        f"{name} of sample_with_support"
        for name, got, want in zip(names, outputs, sampled, strict=True)
        if not same(got, want)
    ]
    if not torch.equal(support, expected):
        wrong.append("the support")
    if not bool(((total - 1).abs() < 1e-4).all()):
        wrong.append("the mass of the support")
    if not bool((close | ~finite).all()):
        wrong.append("support_log_prob over the row")
    return wrong


def member_records(cfg: Tensor, member: int) -> Tensor:
    """The records of one member of each row's group; without a design its members are independent."""
    records = cfg.clone()
    design = records[:, FLAGS] >> 5 & 7
    iid = records[:, FLAGS] & ~(7 << 5) | 1 << 5
    records[:, FLAGS] = torch.where((design == 0) | (design > 4), iid, records[:, FLAGS])
    records[:, GROUP] = MEMBERS - 1 | member << 16
    return records


def same(got: Tensor, expected: Tensor) -> bool:
    """Equal; log-probabilities within 1e-6 · max(1, |value|)."""
    if not expected.is_floating_point():
        return torch.equal(got, expected)
    close = expected.isfinite() & ((got - expected).abs() <= 1e-6 * expected.abs().clamp(min=1))
    return bool(((got == expected) | close).all())


if __name__ == "__main__":
    sys.exit(main())
