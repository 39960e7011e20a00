"""`fields models`: the models that can be fitted."""

import json
import textwrap
from collections.abc import Sequence
from typing import Any

from fields.catalogue import MODELS, SCENE_MODELS, Model
from fields.cli.parser import Parser
from fields.configs import settings
from fields.errors import flag

# A picture, so that default sizes may be compared; of scenes the side of images.
_SIDE, _CHANNELS = 512, 3


def main(arguments: Sequence[str], started: float) -> None:
    parser = Parser("models", "List the models that can be fitted, with their options.")
    parser.add_argument("--json", action="store_true", help="print them as one JSON object")
    parsed = parser.parse(arguments)
    if parsed.json:
        kinds = {"models": MODELS, "scene_models": SCENE_MODELS}
        lists = {k: [_as_dict(model) for model in known.values()] for k, known in kinds.items()}
        print(json.dumps(lists))
        return
    print("\n\n".join(_text(model) for model in (*MODELS.values(), *SCENE_MODELS.values())))


def _text(model: Model) -> str:
    size = _default_size(model)
    sides = f"{_SIDE} x {_SIDE}"
    of_scenes = _is_of_scenes(model)
    of = f"views of {sides}" if of_scenes else f"{sides} RGB"
    lines = [
        f"{model.name}, of scenes" if of_scenes else model.name,
        textwrap.fill(model.use, 92, initial_indent="  ", subsequent_indent="  "),
        f"  default size for {of}: {size['parameters']:,} parameters,"
        f" {size['bytes'] / 1000:,.0f} kB, {size['multiply_adds']:,} multiply-adds a sample",
        f"  {model.source}",
    ]
    lines += [
        f"  {flag(item.name):22} {item.help} ({item.usual})"
        for item in settings(model.config)
        if item.flag
    ]
    return "\n".join(lines)


def _is_of_scenes(model: Model) -> bool:
    return model in SCENE_MODELS.values()


def _default_size(model: Model) -> dict[str, int]:
    """What the model has without options, for that picture or views of that size."""
    shape = (_SIDE,) * (3 if _is_of_scenes(model) else 2)
    config = model.config.for_signal(_CHANNELS, shape)
    return {
        "parameters": config.parameters,
        "bytes": 4 * config.stored,
        "multiply_adds": config.multiply_adds,
    }


def _as_dict(model: Model) -> dict[str, Any]:
    what = "views" if _is_of_scenes(model) else "picture"
    options = {item.name: item.default for item in settings(model.config) if item.flag}
    return {
        "name": model.name,
        "use": model.use,
        "source": model.source,
        "size": {what: [_SIDE, _SIDE, _CHANNELS], **_default_size(model)},
        "options": options,
    }
