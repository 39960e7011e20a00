"""What of a shape is stored, and where it is sampled."""

from dataclasses import dataclass

from fields.configs.base import Checked, setting, settings
from fields.errors import SettingError

_DISTANCES = ("auto", "sdf", "udf")
_MOVED_BY = {"surface": "jitter", "near": "spread"}  # samples of a share, by a deviation


@dataclass(frozen=True)
class ShapeOptions(Checked):
    """Settings of the signal of a mesh or of points; lengths are those of the unit cube, in which
    the longest side of a shape is 0.9.

    Samples are drawn on the surface by area (moved off it by `jitter`), near it, and evenly in the
    cube; `surface` and `near` are shares, the rest is even. Without jitter half of all targets are
    exactly 0, which a field learns as a flat shell whose sign is noise: longer fits then score
    lower (armadillo: IoU 0.991 where jitter gives 0.998).
    """

    stores: str = setting(
        "auto",
        help="signed or unsigned distance, or occupancy; auto: signed where a shape is closed",
        choices=("auto", "sdf", "udf", "occupancy"),
    )
    sign: str = setting(
        "auto",
        help="what tells inside from outside; auto: winding numbers where faces do not agree",
        choices=("auto", "pseudonormal", "winding"),
        only=("stores", ("auto", "sdf", "occupancy")),
    )
    surface: float = setting(0.4, help="share of samples on the surface", low=0.0, high=1.0)
    near: float = setting(0.35, help="share of samples near it", low=0.0, high=1.0)
    jitter: float = setting(1e-3, help="how far samples on the surface lie off it", low=0, high=0.1)
    spread: float = setting(5e-3, help="deviation of samples near it", low=1e-5, high=1.0)
    truncation: float = setting(
        0.0,
        help="largest distance that is told apart; 0: any",
        low=0.0,
        high=1.0,
        only=("stores", _DISTANCES),
    )
    eikonal: float = setting(
        0.0, help="weight of |gradient| = 1", low=0.0, high=1e3, only=("stores", _DISTANCES)
    )

    @classmethod
    def names(cls) -> set[str]:
        """Of all settings."""
        return {item.name for item in settings(cls)}

    @property
    def uniform(self) -> float:
        """Share of samples anywhere: what is left, which rounding may make less than none."""
        return max(1 - self.surface - self.near, 0.0)

    def __post_init__(self):
        super().__post_init__()
        if self.surface + self.near > 1:
            raise SettingError(
                f"surface {self.surface:g} and near {self.near:g} are shares and make more than 1",
                "surface",
                "near",
            )
        usual = {item.name: item.default for item in settings(self)}
        for share, reach in _MOVED_BY.items():
            moved = getattr(self, reach)
            if getattr(self, share) == 0 and moved != usual[reach]:
                raise SettingError(
                    f"{reach} {moved:g} does nothing with {share} 0: there are no such samples;"
                    " leave it away",
                    reach,
                    share,
                )
