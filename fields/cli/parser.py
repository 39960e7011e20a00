"""argparse with errors of one line that say what would be right."""

import argparse
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from fields.catalogue import suggestion
from fields.configs import Setting
from fields.errors import FieldsError, either, flag


class Parser(argparse.ArgumentParser):
    """Options are long, are not abbreviated, and their errors are FieldsErrors."""

    def __init__(self, verb: str, description: str):
        super().__init__(
            prog=f"fields {verb}",
            description=description,
            allow_abbrev=False,
            formatter_class=lambda prog: argparse.HelpFormatter(
                prog, max_help_position=30, width=100
            ),
        )

    def error(self, message: str) -> NoReturn:
        text = message.removeprefix("argument ").replace(": must be", " must be")
        missing = text.removeprefix("the following arguments are required: ")
        if missing != text:
            text = f"{self.prog} needs {missing}; see {self.prog} --help"
        raise FieldsError(text)

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[override]
        return super().parse_known_args(_joined(args or ()), namespace)

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """As parse_args, with a suggestion for what is unknown; options may stand between what has
        no option."""
        parsed, unknown = self.parse_known_intermixed_args(_joined(arguments))
        if unknown:
            raise FieldsError(self.unknown(unknown))
        return parsed

    def unknown(self, arguments: list[str]) -> str:
        """The line for arguments that nothing knows."""
        option = next((a.partition("=")[0] for a in arguments if a.startswith("-")), None)
        if option is None:
            return f"{self.prog} does not know what to do with {arguments[0]!r}"
        return f"{self.prog} has no option {option}{suggestion(option, self.flags())}"

    def flags(self) -> Iterable[str]:
        """All options that there are."""
        return [option for action in self._actions for option in action.option_strings]

    def add_setting(self, group: Any, item: Setting) -> None:
        """A flag for a setting of a model."""
        name = flag(item.name)
        options: dict[str, Any] = {"default": argparse.SUPPRESS, "dest": f"option:{item.name}"}
        if item.type is bool:
            group.add_argument(
                name, action=argparse.BooleanOptionalAction, help=item.help, **options
            )
            return
        by_default = f" ({item.usual})"
        if item.choices:
            by_default = f": {either(item.choices)}{by_default}"
        group.add_argument(
            name,
            type={int: whole, float: number, str: str}[item.type],
            metavar={int: "N", float: "X", str: "WORD"}[item.type],
            help=item.help + by_default,
            **options,
        )


def file_name(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError(f"must be the name of a file, got {text!r}")
    return text


def whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, got {text!r}") from None


def number(text: str) -> float:
    """A finite one: no option means anything by NaN or infinity."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, got {text!r}") from None
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"must be a finite number, got {text}")
    return value


def size(text: str) -> tuple[int, int] | float:
    """WxH in pixels, or the factor of an enlargement such as 4x."""
    pixels = re.fullmatch(r"([+-]?[0-9]+)x([+-]?[0-9]+)", text.lower())
    if pixels:
        width, height = int(pixels[1]), int(pixels[2])
        if min(width, height) < 1:
            raise argparse.ArgumentTypeError(f"must be at least 1x1, got {text}")
        return width, height
    factor = re.fullmatch(r"([+-]?[0-9]*\.?[0-9]+)x", text.lower())
    if factor:
        if not 0 < float(factor[1]) < math.inf:
            raise argparse.ArgumentTypeError(f"must be more than 0 times the source, got {text}")
        return float(factor[1])
    raise argparse.ArgumentTypeError(
        f"must be WIDTHxHEIGHT, such as 640x480, or times the source, such as 4x, got {text!r}"
    )


def box(text: str) -> tuple[int, int, int, int]:
    """X0,Y0,X1,Y1 in pixels."""
    try:
        x0, y0, x1, y1 = map(int, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be X0,Y0,X1,Y1, such as 0,0,64,64, got {text!r}"
        ) from None
    return x0, y0, x1, y1


def _joined(arguments: Sequence[str]) -> list[str]:
    """`--crop -1,0,5,5` as `--crop=-1,0,5,5`: argparse takes what starts with a dash for an option,
    unless it is a finite number and nothing else."""
    joined: list[str] = []
    for argument in arguments:
        before = joined[-1] if joined else ""
        is_option = before.startswith("--") and "=" not in before
        if is_option and re.match(r"-([.\d]|inf|nan)", argument, re.I):
            joined[-1] = f"{before}={argument}"
        else:
            joined.append(argument)
    return joined
