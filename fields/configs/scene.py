"""What of a scene is learned, and what stands behind it."""

from dataclasses import dataclass

from fields.configs.base import Checked, setting, settings


@dataclass(frozen=True)
class SceneOptions(Checked):
    """Settings of the signal of a scene."""

    background: str = setting(
        "auto",
        help="behind images with alpha; auto: random in training, white in pictures",
        choices=("auto", "random", "white", "black"),
    )
    mask_of: str = setting(
        "keep", help="what white in a mask says of a pixel", choices=("keep", "drop")
    )
    pixels: str = setting(
        "uniform",
        help="which are trained on: all alike, or half of them where errors are",
        choices=("uniform", "error"),
    )

    @classmethod
    def names(cls) -> set[str]:
        """Of all settings."""
        return {item.name for item in settings(cls)}
