"""Whose method runs when one of a model's is called: its own, or that of an object it delegates to."""

from typing import Any

from fire_sampling._messages import shown

_HELD_AS = ("module", "model")  # where DDP, trainers and pipelines hold the model


def owner_of(model: Any, name: str) -> Any:
    """The object whose own method `model.<name>` is; None if there is none.

    A compiled module, a DeepSpeed engine or a PEFT model hands on what its class lacks: the method that it
    returns is bound to the object within.
    """
    while not (name in own_attributes(model) or hasattr(type(model), name)):
        inner = getattr(getattr(model, name, None), "__self__", None)
        if inner is None or inner is model or isinstance(inner, type):
            return None
        model = inner
    return model


def own_attributes(model: Any) -> dict[str, Any]:
    """The attributes of this very object, none if it has slots."""
    attributes: dict[str, Any] = getattr(model, "__dict__", {})
    return attributes


def check_model(model: Any) -> None:
    """Raises a TypeError, in one line, for what is no model with a `generate` to replace."""
    kind = type(model).__name__
    if isinstance(model, str):
        why = f"{shown(model)}, expected the model that from_pretrained returns for it"
    elif isinstance(model, type):
        why = f"the class {model.__name__}, expected a model, an instance"
    elif not callable(getattr(model, "generate", None)):
        why = f"{kind}, which has no generate, expected a model that has"
        for held_as in _HELD_AS:
            if callable(getattr(getattr(model, held_as, None), "generate", None)):
                why += f": pass the one that it holds, its .{held_as}"
                break
    elif owner_of(model, "generate") is None:
        why = f"{kind}, whose generate belongs to no object, expected a model's own method"
    else:
        return
    raise TypeError(f"install: model: got {why}")
