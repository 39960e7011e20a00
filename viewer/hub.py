"""What all pages share: the subject, whose turn it is, and the training where there is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fields_viewer.baking import Baking
from fields_viewer.encode import QUALITY
from fields_viewer.protocol import Refused
from fields_viewer.subjects import Setting, Solid, Subject
from fields_viewer.turns import Turns

if TYPE_CHECKING:
    from fields_viewer.training import Training

# Of frames in motion.
MOTION = [
    Setting("quality", "JPEG quality in motion", QUALITY, low=20, high=95, step=1),
    Setting("lossless", "Without loss in motion", False),
]
USE_PROXY = Setting("use_proxy", "Proxy in motion", True)


class Hub:
    """
    Args:
        subject: that is shown.
        training: of it, under way.
        proxy: auto, on or off, see baking.PROXIES.
    """

    def __init__(self, subject: Subject, training: Training | None = None, proxy: str = "auto"):
        self.subject, self.training = subject, training
        subject.is_live = training is not None
        self.turns = training.turns if training else Turns()
        self.baking = Baking(self, proxy)

    def show(self, subject: Subject) -> None:
        """In place of the subject until now, and of its kind: what a fit has ended with. Frames in
        motion go on with the old proxy until that of the new one is baked."""
        subject.replaces(self.subject)
        self.subject = subject

    def told(self) -> dict[str, Training | Baking]:
        """What pages hear of again and again, by the type of the message."""
        told: dict[str, Training | Baking | None] = {
            "training": self.training,
            "proxy": self.baking if self.baking.is_wanted else None,
        }
        return {kind: thing for kind, thing in told.items() if thing is not None}

    @property
    def is_training(self) -> bool:
        """Steps are taken now."""
        return self.training is not None and self.training.is_running

    @property
    def step(self) -> int:
        return self.training.step if self.training else self.subject.step

    def settings(self) -> list[Setting]:
        own = self.subject.settings()
        motion = MOTION if isinstance(self.subject, Solid) else []
        if self.baking.is_wanted:
            motion = [USE_PROXY, *motion]
        share = Setting("share", "Share of training in motion", self.turns.share)
        return [*own, *motion, *([share] if self.training else [])]

    def first_settings(self) -> dict[str, Any]:
        usual = {setting.name: setting.value for setting in MOTION}
        return usual | {setting.name: setting.value for setting in self.settings()}

    def check_setting(self, name: str, value: Any) -> None:
        """Refused where there is no such setting, or it cannot have that value."""
        if name == "box" and isinstance(self.subject, Solid) and self.subject.box() is not None:
            numbers = isinstance(value, list) and len(value) == 6
            if value is None or (numbers and all(value[i] < value[i + 3] for i in range(3))):
                return
            raise Refused("box is low and high of x, y, z, or null")
        found: Callable[[Any], bool] | None = next(
            (s.allows for s in self.settings() if s.name == name), None
        )
        if found is None:
            raise Refused(f"there is no setting {name[:32]!r}")
        if not found(value):
            raise Refused(f"{name} cannot have that value")

    def describe(self) -> dict[str, Any]:
        settings = [setting.as_dict() for setting in self.settings()]
        training = self.training.state() if self.training else None
        proxy = self.baking.state() if self.baking.is_wanted else None
        return {
            **self.subject.describe(),
            "settings": settings,
            "training": training,
            "proxy": proxy,
        }
