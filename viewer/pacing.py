"""How large a frame may be, so that it comes in time: a pure function of the frames before it.

The time of a frame is taken as a + b * pixels, fitted to the last ones. A ladder of scales keeps
sizes few. Frames that come too late take a step down at once, but for a single one that is unlike
those before it; a step up waits until the hand rests, so that the picture does not flicker between
two sizes, or for many easy frames; for few alone where frames are far smaller than they could be,
as they are after a stall, and no step up was taken back before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

LADDER = (1.0, 7 / 8, 3 / 4, 5 / 8, 1 / 2, 7 / 16, 3 / 8, 5 / 16, 1 / 4, 5 / 24, 1 / 6, 1 / 8)
AIM = 0.012  # seconds that nine frames of ten take at the most
LATE = 1 / 60  # a frame that took longer was missed
EASY = 0.0115  # seconds that nine of ten frames are expected to take after a step up
_LEAP = 1.5  # how much larger a frame may be than the one before
MEMORY = 16  # frames
_FEW = 8  # frames, of which two that are late are no accident
LEARNING = 8  # frames after the first, in which steps up need no rest
CALM = 12  # easy frames before a step up
_FAR = 0.5  # of EASY: who expects less has far to go, as after a stall, and need not be patient
_PATIENCE = 120  # easy frames before a step up without a rest
_LEAST_SIDE = 30  # pixels, of a frame


@dataclass(frozen=True)
class Frame:
    """A frame that was drawn: its pixels, and the seconds that it took."""

    pixels: int
    seconds: float


@dataclass(frozen=True)
class Pace:
    """Where pacing stands; `after` and `rested` give what follows.

    Attributes:
        rung: of LADDER.
        frames: the last ones.
        seen: frames since the first.
        easy: frames since the last that was not easy, at this rung.
        patience: easy frames before a step up without a rest; grows where one was taken back.
        rose: frame of the last step up that was taken without a rest; -1 before any.
    """

    rung: int = len(LADDER) - 1
    frames: tuple[Frame, ...] = ()
    seen: int = 0
    easy: int = 0
    patience: int = _PATIENCE
    rose: int = -1

    @property
    def scale(self) -> float:
        return LADDER[self.rung]

    def after(self, frame: Frame, whole: int) -> Pace:
        """With one more frame; `whole` is the number of pixels at scale 1."""
        frames = (*self.frames, frame)[-MEMORY:]
        now = replace(self, frames=frames, seen=self.seen + 1)
        if frame.seconds > LATE:
            late = sum(f.seconds > LATE for f in frames[-_FEW:])
            if now.seen <= LEARNING or late > 1 or now.expected(whole * now.scale**2) > AIM:
                return now._down(whole)
            return replace(now, easy=0)
        if self.rung == 0:
            return now
        # Frames of one size do not tell what pixels cost: while learning another size is tried.
        tries = now.seen <= LEARNING and len({f.pixels for f in frames}) == 1
        expected = now.expected(whole * LADDER[self.rung - 1] ** 2)
        if not tries and expected > EASY:
            return replace(now, easy=0)
        if tries and frame.seconds > EASY:
            return now
        now = replace(now, easy=now.easy + 1)
        if now.seen <= LEARNING:
            return replace(now, rung=now.rung - 1 if tries else now._leap(whole), easy=0)
        is_far = expected < _FAR * EASY and now.patience == _PATIENCE
        if now.easy >= (CALM if is_far else now.patience):
            return replace(now, rung=now._leap(whole), easy=0, rose=now.seen)
        return now

    def rested(self, whole: int) -> Pace:
        """When the hand rests: here steps up are not seen."""
        if self.easy < CALM:
            return self
        rung = self.rung
        while rung and self.expected(whole * LADDER[rung - 1] ** 2) <= EASY:
            rung -= 1
        return replace(self, rung=rung, easy=0)

    def expected(self, pixels: float) -> float:
        """Seconds that nine of ten frames of so many pixels will not exceed."""
        if not self.frames:
            return 0.0
        a, b, spread = fitted(self.frames)
        return a + b * pixels + 1.28 * spread

    def within(self, seconds: float, whole: int) -> float:
        """The largest scale of LADDER whose frames come within `seconds`."""
        fitting = (s for s in LADDER if self.expected(whole * s * s) <= seconds)
        return next(fitting, LADDER[-1])

    def _leap(self, whole: int) -> int:
        """The rung of the largest frame that is no leap, and expected to be easy."""
        rung = self.rung
        while rung and LADDER[rung - 1] <= _LEAP * self.scale:
            if self.expected(whole * LADDER[rung - 1] ** 2) > EASY:
                break
            rung -= 1
        return rung

    def _down(self, whole: int) -> Pace:
        """One step, or as many as the frames say; while learning as many as they say."""
        rung = min(self.rung + 1, len(LADDER) - 1)
        # One frame that came late says little: a stall of the machine is no reason to go far.
        late = sum(frame.seconds > LATE for frame in self.frames[-3:])
        while (
            rung < len(LADDER) - 1 and late > 1 and self.expected(whole * LADDER[rung] ** 2) > AIM
        ):
            rung += 1
        hasty = self.rose >= 0 and self.seen - self.rose < 4 * CALM
        patience = min(2 * self.patience, 16 * _PATIENCE) if hasty else self.patience
        return replace(self, rung=rung, easy=0, patience=patience, rose=-1 if hasty else self.rose)


def fitted(frames: tuple[Frame, ...]) -> tuple[float, float, float]:
    """a and b, both >= 0, of seconds = a + b * pixels by least squares, and the spread around it.

    Of frames of one size all time counts as that of pixels, which makes larger ones rather look
    too slow than too fast. The spread is the mean distance without the two largest, so that one
    stall does not count; times 1.25, which of a normal distribution is its deviation.
    """
    count = len(frames)
    x = sum(f.pixels for f in frames) / count
    y = sum(f.seconds for f in frames) / count
    variance = sum((f.pixels - x) ** 2 for f in frames)
    b = 0.0
    if variance > 0:
        b = sum((f.pixels - x) * (f.seconds - y) for f in frames) / variance
    a = y - b * x
    if variance <= 0 or a < 0:
        a, b = 0.0, y / max(x, 1.0)
    elif b < 0:
        a, b = y, 0.0
    distances = sorted(abs(f.seconds - a - b * f.pixels) for f in frames)
    kept = distances[: max(1, count - 2)]
    return a, b, 1.25 * math.fsum(kept) / len(kept)


def sized(width: int, height: int, scale: float) -> tuple[int, int]:
    """The size of a frame at a scale; at least 30 pixels high and wide, or all there are."""
    least = min(1.0, _LEAST_SIDE / min(width, height))
    scale = max(scale, least)
    return max(1, round(width * scale)), max(1, round(height * scale))
