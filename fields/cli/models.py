"""`fields models`: the models that can be fitted."""

import json
from collections.abc import Sequence

from fields.catalogue import MODELS
from fields.cli.parser import Parser
from fields.configs import settings
from fields.errors import flag


def main(arguments: Sequence[str], started: float) -> None:
    parser = Parser("models", "List the models that can be fitted, with their options.")
    parser.add_argument("--json", action="store_true", help="print them as one JSON object")
    parsed = parser.parse(arguments)
    if parsed.json:
        print(json.dumps({"models": [_as_dict(model) for model in MODELS.values()]}))
        return
    for model in MODELS.values():
        print(f"{model.name}: {model.use}\n  {model.source}")
        for item in settings(model.config):
            if item.flag:
                print(f"  {flag(item.name):22} {item.help} ({item.default})")


def _as_dict(model):
    options = {item.name: item.default for item in settings(model.config) if item.flag}
    return {"name": model.name, "use": model.use, "source": model.source, "options": options}
