"""How published data sets are read, so that figures compare: one preset for each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from fields.catalogue import suggestion
from fields.errors import FieldsError
from fields.scenes import Scene
from fields.scenes.splits import EVERY

FORMS = {
    "blender": "Blender's format",
    "transforms": "one transforms.json",
    "colmap": "COLMAP's sparse model beside images",
}


@dataclass(frozen=True)
class Preset:
    """The protocol of a data set.

    Args:
        name: of the preset.
        use: what the data set is.
        form: as Scene.format.
        source: where the protocol stands.
        background: what stands behind the images in the score; None for images without alpha.
        moves: frames have times.
        every: one of so many views is held out, the first by name included; None where the data
            set has a test split.
        downscale: from the images as they are distributed to those that are scored.
        downscales: the same, of scenes of which it is another, by the name of their folder.
        size: (width, height) that are scored; None where scenes differ.
        views: how many are scored in a scene; None where scenes differ.
    """

    name: str
    use: str
    form: Literal["blender", "transforms", "colmap"]
    source: str
    background: Literal["white"] | None = None
    moves: bool = False
    every: int | None = None
    downscale: int = 1
    downscales: Mapping[str, int] = field(default_factory=dict)
    size: tuple[int, int] | None = None
    views: int | None = None

    def downscale_of(self, folder: str) -> int:
        """Of the scene in a folder of that name."""
        return self.downscales.get(folder, self.downscale)

    def check(self, form: str) -> None:
        """FieldsError for a scene in another form."""
        if form != self.form:
            raise FieldsError(
                f"--preset {self.name} is for {FORMS[self.form]}, and this is {FORMS[form]};"
                " leave it away"
            )

    def differs(self, scene: Scene) -> list[str]:
        """How a scene, as it was read, is not that of the protocol, in a few words each."""
        test = scene.splits["test"]
        size = (test[0].camera.width, test[0].camera.height)
        found = []
        if self.moves != scene.moves:
            found.append(f"it {'moves' if scene.moves else 'does not move'}")
        if (self.background is not None) != scene.alpha:
            found.append(f"its images have {'an' if scene.alpha else 'no'} alpha")
        if self.size not in (None, size):
            found.append(f"views are {size[0]} x {size[1]}")
        if self.views not in (None, len(test)):
            found.append(f"{len(test)} views are scored")
        return found

    def __str__(self) -> str:
        size = "" if self.size is None else f"{self.size[0]} x {self.size[1]}, "
        over = "" if self.background is None else f"over {self.background}, "
        scored = "the test split"
        if self.every is not None:
            scored = f"every {EVERY}th view"
        elif self.views is not None:
            scored = f"{self.views} test views"
        return f"{size}{over}{scored}"


_BLENDER = Preset(
    name="blender",
    use="the synthetic scenes of NeRF",
    form="blender",
    source="Mildenhall et al. 2020, section 6.1",
    background="white",
    size=(800, 800),
    views=200,
)
_ALL = (
    _BLENDER,
    Preset(
        name="d-nerf",
        use="the synthetic scenes of D-NeRF, which move",
        form="blender",
        source="Pumarola et al. 2021, section 5",
        background="white",
        moves=True,
        downscale=2,
        size=(400, 400),
        views=20,
    ),
    Preset(
        name="llff",
        use="rooms and plants from the front, by phone",
        form="colmap",
        source="Mildenhall et al. 2020, section 6.1",
        every=EVERY,
        downscale=4,
        size=(1008, 756),
    ),
    Preset(
        name="mip-nerf-360",
        use="scenes without an end, out of doors a quarter as large and indoors half",
        form="colmap",
        source="Barron et al. 2022 (Mip-NeRF 360), and its code",
        every=EVERY,
        downscale=4,
        downscales=dict.fromkeys(("bonsai", "counter", "kitchen", "room"), 2),
    ),
    Preset(
        name="tanks-and-temples",
        use="truck and train, as they are distributed with 3D Gaussian splatting",
        form="colmap",
        source="Kerbl et al. 2023",
        every=EVERY,
    ),
    Preset(
        name="fox",
        use="instant-ngp's first scene, for which no scores are published",
        form="transforms",
        source="Müller et al. 2022, and its code",
        every=EVERY,
    ),
)
PRESETS = {preset.name: preset for preset in _ALL}


def find(name: str) -> Preset:
    """The preset of that name; FieldsError with a suggestion where there is none."""
    if name not in PRESETS:
        raise FieldsError(f"there is no preset {name!r}{suggestion(name, PRESETS)}")
    return PRESETS[name]


def of_scene(scene: Scene) -> Preset | None:
    """The preset by whose size and number of views a scene is told; None where none is."""
    told = (p for p in _ALL if p.form == scene.format and p.size and p.views)
    return next((preset for preset in told if not preset.differs(scene)), None)
