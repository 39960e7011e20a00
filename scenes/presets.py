"""How published data sets are read, so that figures compare: one preset for each."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Preset:
    """The protocol of a data set.

    Args:
        name: of the preset.
        background: what stands behind the images in the score: white or black; None for images
            without alpha.
        half_box: half the side of the cube around the origin that holds the scene; None where
            cameras and points tell.
        test_split: whose views are scored.
        every: where there is no such split, one of so many views is held out, the first included.
        size: (width, height) at which figures are published; None where scenes differ.
        downscale: from the images as they are distributed to that size.
        views: how many are scored in a scene; None where scenes differ.
        source: where the protocol stands.
    """

    name: str
    background: Literal["white", "black"] | None
    half_box: float | None
    test_split: str = "test"
    every: int | None = None
    size: tuple[int, int] | None = None
    downscale: int = 1
    views: int | None = None
    source: str = ""


PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            name="blender",
            background="white",
            half_box=1.5,
            size=(800, 800),
            views=200,
            source="Mildenhall et al. 2020, section 6.1",
        ),
        Preset(
            name="d-nerf",
            background="white",
            half_box=1.5,
            size=(400, 400),
            downscale=2,
            views=20,
            source="Pumarola et al. 2021, section 5",
        ),
    )
}
