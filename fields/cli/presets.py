"""Presets of data sets on the command line: what they set, and what is said of them."""

from typing import TYPE_CHECKING, Any

from fields.errors import FieldsError

if TYPE_CHECKING:
    from fields.session import Session


def follow(name: str, source: str, values: dict[str, Any], signal_options: dict[str, Any]) -> None:
    """Set what a preset says of a fit to a source; FieldsError where the source is in another form,
    or where an option says otherwise.

    Args:
        name: of the preset.
        source: the folder of the scene.
        values: arguments of the request; `downscale` is None where it was not given.
        signal_options: those of the scene that were given.
    """
    from fields.scenes import require_scene
    from fields_scenes import presets

    preset = presets.find(name)
    preset.check(require_scene(source))
    factor = preset.downscale_of(_folder_name(source))
    given = values["downscale"]
    if given not in (None, factor):
        raise FieldsError(f"--preset {name} has --downscale {factor}, not {given}; give one")
    values["downscale"] = factor
    background = signal_options.get("background")
    if preset.background and background not in (None, "auto", "random", preset.background):
        raise FieldsError(
            f"--preset {name} scores over {preset.background}, not {background}; give one"
        )


def say_protocol(name: str | None, session: "Session") -> None:
    """Say whether figures of a fit to a scene compare with published ones, and with which."""
    from fields.signals.scene import SceneSignal

    if not isinstance(session.signal, SceneSignal):
        return
    from fields_scenes import presets

    scene = session.signal.source
    if name is not None:
        preset = presets.find(name)
        differs = preset.differs(scene)
        but = f", but {', '.join(differs)}: figures do not compare" if differs else ""
        session.progress.say(f"--preset {name}: {preset} ({preset.source}){but}")
    elif (found := presets.of_scene(scene)) is not None:
        session.progress.say(f"as --preset {found.name}: {found} ({found.source})")


def table() -> str:
    """All presets, a few lines each."""
    from fields_scenes.presets import FORMS, PRESETS

    texts = []
    for preset in PRESETS.values():
        factors = sorted({preset.downscale, *preset.downscales.values()})
        lines = [
            preset.name,
            f"  {preset.use}",
            f"  {FORMS[preset.form]}; {preset}; --downscale {' or '.join(map(str, factors))}",
            f"  {preset.source}",
        ]
        texts.append("\n".join(lines))
    return "\n\n".join(texts)


def _folder_name(source: str) -> str:
    from pathlib import Path

    path = Path(source).resolve()
    return path.name if path.is_dir() else path.parent.name
