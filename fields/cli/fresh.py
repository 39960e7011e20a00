"""The flags of FreSh, which chooses a model's frequency."""

import argparse
from typing import Any

from fields.cli.parser import Parser, whole
from fields.configs import Config
from fields.errors import FieldsError, either
from fields.fresh.options import QUADRANTS, Fresh


def add_flags(parser: Parser, config: type[Config], *, switch: bool) -> None:
    """Flags for a search; their help is shown for models that have a frequency.

    `switch`: with --fresh and --no-fresh.
    """
    group = parser.add_argument_group("FreSh, the choice of a frequency by spectra")
    hidden = config.frequency is None

    def add(flag: str, help: str, **options: Any) -> None:
        text = argparse.SUPPRESS if hidden else help
        group.add_argument(flag, help=text, default=None, **options)

    if switch:
        add(
            "--fresh",
            f"whether {config.frequency} is chosen for the picture (yes, unless it is given)",
            action=argparse.BooleanOptionalAction,
        )
    add("--fresh-candidates", "to choose from", type=numbers, metavar="X,X,...")
    add("--fresh-bins", "cycles that the spectra reach (64)", type=whole, metavar="N")
    add("--fresh-quadrants", f"{either(QUADRANTS)} (one, as published)", metavar="WORD")
    add("--fresh-published", "as published, not as fast", action="store_true")


def wanted(values: dict[str, Any]) -> bool | Fresh | None:
    """What the flags, which are taken out of `values`, say of a search; None for nothing."""
    on = values.pop("fresh", None)
    names = ("candidates", "bins", "quadrants", "published")
    given = {name: values.pop(f"fresh_{name}") for name in names}
    given = {name: value for name, value in given.items() if value is not None}
    if given and on is False:
        raise FieldsError(f"--no-fresh does not go with --fresh-{next(iter(given))}")
    return Fresh(**given) if given else on


def numbers(text: str) -> tuple[float, ...]:
    """X,X,... as floats."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be numbers such as 10,20,30, got {text!r}"
        ) from None
