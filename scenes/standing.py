"""Where the cameras of a made scene stand, and what their lenses do."""

import math
from dataclasses import dataclass, replace

import numpy as np

from fields.cameras import Camera, look_at
from fields.lens import STRAIGHT, Lens

DISTANCE = 4.0311  # from the middle, as in the synthetic scenes of NeRF
ANGLE_X = 0.6911112  # field of view across, in radians, as there
_LOWEST, _HIGHEST = 0.03, 0.97  # sines of elevation
_STEPS = (0.7548776662466927, 0.5698402909980532)  # of a sequence that fills a square (Roberts)


@dataclass(frozen=True)
class Rig:
    """What the cameras of a scene have in common.

    Args:
        size: pixels along a side.
        seed: of where they stand, and of their differences.
        lens: their distortion.
        differ: every camera has intrinsics of its own: focal lengths up to 8 % apart, principal
            points up to 4 % of a side from the middle.
    """

    size: int
    seed: int = 0
    lens: Lens = STRAIGHT
    differ: bool = False

    @property
    def focal(self) -> float:
        """In pixels, but for differences."""
        return self.size / 2 / math.tan(ANGLE_X / 2)

    def cameras(self, count: int, first: int = 0) -> list[Camera]:
        """`count` cameras on the upper half of a sphere that look at its middle.

        They are parts of one sequence, which spreads any run of it evenly; `first` says where in it
        to begin, so that splits share no camera.
        """
        return [self._camera(first + i) for i in range(count)]

    def _camera(self, index: int) -> Camera:
        draw = np.random.Generator(np.random.Philox(self.seed))
        start = draw.uniform(size=2)
        along, up = ((start[i] + index * _STEPS[i]) % 1.0 for i in range(2))
        sine = _LOWEST + (_HIGHEST - _LOWEST) * up
        level, angle = math.sqrt(1 - sine * sine), 2 * math.pi * along
        place = DISTANCE * np.array([level * math.cos(angle), level * math.sin(angle), sine])
        pose = look_at(place, np.zeros(3), np.array([0.0, 0.0, 1.0]))
        camera = replace(Camera.simple(pose, self.size, self.size, self.focal), lens=self.lens)
        if not self.differ:
            return camera
        own = np.random.Generator(np.random.Philox(key=(self.seed, index + 1)))
        stretch, shift = own.uniform(-0.08, 0.08, 2), own.uniform(-0.04, 0.04, 2) * self.size
        return replace(
            camera,
            fl_x=self.focal * (1 + stretch[0]),
            fl_y=self.focal * (1 + stretch[1]),
            cx=camera.cx + shift[0],
            cy=camera.cy + shift[1],
        )
