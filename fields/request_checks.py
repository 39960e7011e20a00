"""What an option of a fit may be, and the lines for those that may not. Free of torch."""

from collections.abc import Mapping
from typing import Any

from fields import catalogue
from fields.configs import Config, SceneOptions, Setting, ShapeOptions, settings
from fields.errors import FieldsError, either, flag

OF_SOURCES: dict[str, type[SceneOptions] | type[ShapeOptions]] = {
    "scenes": SceneOptions,
    "shapes": ShapeOptions,
}


def unknown_option(name: str, config: type[Config]) -> str:
    """The line for an option that a model does not have; it names those that do."""
    own = catalogue.of(config)
    among = catalogue.among(config)
    others = [
        model.name
        for model in among.values()
        if any(item.name == name and item.flag for item in settings(model.config))
    ]
    if others:
        return (
            f"{flag(name)} is an option of {either(others)}, not of {own.name}; choose by --model"
        )
    for kind, of_source in OF_SOURCES.items():
        if name in of_source.names():
            return f"{flag(name)} is for {kind}; leave it away"
    known = [item.name for item in settings(config) if item.flag]
    return f"{own.name} has no option {flag(name)}{catalogue.suggestion(name, known, '--')}"


def check_only(given: Mapping[str, Any], known: Mapping[str, Setting]) -> None:
    """FieldsError for an option that means nothing with what another says."""
    for name in given:
        other, values = known[name].only or (name, ())
        held = given.get(other, known[other].default)
        if values and held not in values:
            wanted = "" if values == (True,) else f" {either(values)}, not {held}"
            raise FieldsError(f"{flag(name)} is for {flag(other)}{wanted}; leave it away")


def check_number(name: str, value: Any, low: float, high: float, *, whole: bool = False) -> None:
    if value is None:
        return
    kind = "a whole number" if whole else "a number"
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise FieldsError(f"{name} must be {kind}, got {value!r}")
    if value != value:
        raise FieldsError(f"{name} must be a finite number, got {value}")
    if not low <= value <= high:
        given = f"{value:,}" if abs(value) < 1e24 else "far more" if value > 0 else "far less"
        raise FieldsError(f"{name} must be from {low:,.0f} to {high:,.0f}, got {given}")
