"""argparse with errors of one line that say what would be right."""

import argparse
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from fields.catalogue import suggestion
from fields.configs import Setting
from fields.errors import FieldsError


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

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """As parse_args, with a suggestion for what is unknown."""
        parsed, unknown = self.parse_known_args(arguments)
        if unknown:
            raise FieldsError(self.unknown(unknown))
        return parsed

    def unknown(self, arguments: list[str]) -> str:
        """The line for arguments that nothing knows."""
        flag = next((a.partition("=")[0] for a in arguments if a.startswith("-")), None)
        if flag is None:
            return f"{self.prog} does not know what to do with {arguments[0]!r}"
        return f"{self.prog} has no option {flag}{suggestion(flag, self.flags())}"

    def flags(self) -> Iterable[str]:
        """All options that there are."""
        return [option for action in self._actions for option in action.option_strings]

    def add_setting(self, group: Any, item: Setting) -> None:
        """A flag for a setting of a model."""
        flag = "--" + item.name.replace("_", "-")
        options: dict[str, Any] = {"default": argparse.SUPPRESS, "dest": f"option:{item.name}"}
        if item.type is bool:
            group.add_argument(
                flag, action=argparse.BooleanOptionalAction, help=item.help, **options
            )
            return
        by_default = f" ({item.default})"
        if item.choices:
            by_default = f": {', '.join(map(str, item.choices))}{by_default}"
        group.add_argument(
            flag,
            type={int: whole, float: number, str: str}[item.type],
            metavar={int: "N", float: "X", str: "WORD"}[item.type],
            help=item.help + by_default,
            **options,
        )


def whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, got {text!r}") from None


def number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, got {text!r}") from None


def size(text: str) -> tuple[int, int]:
    """WxH in pixels."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise argparse.ArgumentTypeError(f"must be WIDTHxHEIGHT, such as 640x480, got {text!r}")
    return int(parts[0]), int(parts[1])


def box(text: str) -> tuple[int, int, int, int]:
    """X0,Y0,X1,Y1 in pixels."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 4 or not all(part.isascii() and part.isdigit() for part in parts):
        raise argparse.ArgumentTypeError(f"must be X0,Y0,X1,Y1, such as 0,0,64,64, got {text!r}")
    x0, y0, x1, y1 = map(int, parts)
    return x0, y0, x1, y1
