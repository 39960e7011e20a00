"""What a lens makes of rays: OpenCV's models of distortion, forward and back.

Axes are OpenCV's here: x right, y down, z forward. A place on the image plane is (x, y) before the
focal length and the principal point are applied, so that (0, 0) is straight ahead.
"""

from dataclasses import dataclass

import numpy as np

_STEPS = 100  # of Newton's method; a lens that is no wreck needs 3 to 6
_CLOSE = 1e-13
_LOST = 1e-6  # what is left to a place that is shown nowhere

Four = tuple[float, float, float, float]
NONE: Four = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Perspective:
    """A lens that shows straight lines straight, but for its distortion (Brown 1966).

    Args:
        radial: k1 to k4, factors of r^2, r^4, r^6, r^8, r being the distance from the middle.
        tangential: p1, p2.
    """

    radial: Four = NONE
    tangential: tuple[float, float] = (0.0, 0.0)

    @property
    def is_straight(self) -> bool:
        """There is no distortion."""
        return not any((*self.radial, *self.tangential))

    def places_of(self, rays: np.ndarray) -> np.ndarray:
        """Rays [N, 3] of any length -> places [N, 2]; NaN for those that point backward or where
        the lens would show two rays at one place."""
        z = np.where(rays[:, 2:] > 0, rays[:, 2:], np.nan)
        straight = rays[:, :2] / z
        straight[(straight**2).sum(1) > self._reach**2] = np.nan
        return self._distorted(straight)

    def rays_of(self, places: np.ndarray) -> np.ndarray:
        """Places [N, 2] -> rays [N, 3] of unit length, by Newton's method.

        A place further out than the lens shows anything gets the outermost ray in its direction.
        """
        straight = places if self.is_straight else self._undistorted(places)
        rays = np.concatenate([straight, np.ones((len(places), 1))], axis=1)
        return rays / np.linalg.norm(rays, axis=1, keepdims=True)

    @property
    def farthest(self) -> float:
        """How far from the middle there are places at which something is shown; mostly infinite."""
        return _shown_at(self.radial, self._reach)

    @property
    def _reach(self) -> float:
        """The distance from the middle up to which r (1 + k1 r^2 + ...) grows; mostly infinite."""
        return _first_turn(self.radial)

    def _distorted(self, straight: np.ndarray) -> np.ndarray:
        x, y = straight.T
        p1, p2 = self.tangential
        square = x * x + y * y
        factor = _series(self.radial, square)
        return np.stack(
            [
                x * factor + 2 * p1 * x * y + p2 * (square + 2 * x * x),
                y * factor + p1 * (square + 2 * y * y) + 2 * p2 * x * y,
            ],
            axis=1,
        )

    def _undistorted(self, places: np.ndarray) -> np.ndarray:
        reach = self._reach
        found = _within(places, reach)
        for _ in range(_STEPS):
            change = self._newton(found, self._distorted(found) - places)
            found = _within(found - change, reach)
            if np.abs(change).max(initial=0.0) < _CLOSE:
                break
        if reach == float("inf"):
            return found
        # Near the turn and beyond it steps go astray where the lens is tangential as well.
        lost = np.abs(self._distorted(found) - places).max(1) > _LOST
        distance = np.maximum(np.linalg.norm(places[lost], axis=1, keepdims=True), 1e-300)
        found[lost] = places[lost] / distance * reach
        return found

    def _newton(self, straight: np.ndarray, error: np.ndarray) -> np.ndarray:
        """The step that would cancel the error [N, 2] if distortion were linear."""
        x, y = straight.T
        p1, p2 = self.tangential
        square = x * x + y * y
        factor, slope = _series(self.radial, square), _slope(self.radial, square)
        across = 2 * x * y * slope + 2 * p1 * x + 2 * p2 * y
        xx = factor + 2 * x * x * slope + 2 * p1 * y + 6 * p2 * x
        yy = factor + 2 * y * y * slope + 6 * p1 * y + 2 * p2 * x
        area = xx * yy - across * across
        area = np.where(np.abs(area) > 1e-9, area, 1e-9)
        a, b = error.T
        return np.stack([yy * a - across * b, xx * b - across * a], axis=1) / area[:, None]


@dataclass(frozen=True)
class Fisheye:
    """A lens whose distance from the middle is the angle of the ray, with a distortion of its own
    (Kannala and Brandt 2006, as in OpenCV's fisheye module).

    Args:
        radial: k1 to k4, factors of angle^2, angle^4, angle^6, angle^8.
    """

    radial: Four = NONE

    is_straight = False

    def places_of(self, rays: np.ndarray) -> np.ndarray:
        """As that of `Perspective`; a ray may point backward."""
        across = np.hypot(rays[:, 0], rays[:, 1])
        angle = np.arctan2(across, rays[:, 2])
        angle = np.where(angle <= self._reach, angle, np.nan)
        distance = angle * _series(self.radial, angle * angle)
        # At the middle the distance is the angle, and the angle is across / z.
        share = np.where(across > 0, distance / np.where(across > 0, across, 1.0), 0.0)
        return rays[:, :2] * share[:, None]

    def rays_of(self, places: np.ndarray) -> np.ndarray:
        """As that of `Perspective`."""
        distance = np.hypot(places[:, 0], places[:, 1])
        reach = self._reach
        angle = np.minimum(distance, reach)
        for _ in range(_STEPS):
            square = angle * angle
            error = angle * _series(self.radial, square) - distance
            slope = _series(self.radial, square) + 2 * square * _slope(self.radial, square)
            change = error / np.where(np.abs(slope) > 1e-9, slope, 1e-9)
            angle = np.clip(angle - change, 0.0, reach)
            if np.abs(change).max(initial=0.0) < _CLOSE:
                break
        share = np.sin(angle) / np.where(distance > 0, distance, 1.0)
        return np.concatenate([places * share[:, None], np.cos(angle)[:, None]], axis=1)

    @property
    def farthest(self) -> float:
        """As that of `Perspective`."""
        return _shown_at(self.radial, self._reach)

    @property
    def _reach(self) -> float:
        """The largest angle that is shown."""
        return min(_first_turn(self.radial), np.pi)


Lens = Perspective | Fisheye
STRAIGHT = Perspective()


def _series(k: Four, square: np.ndarray) -> np.ndarray:
    """1 + k1 s + k2 s^2 + k3 s^3 + k4 s^4."""
    return 1 + square * (k[0] + square * (k[1] + square * (k[2] + square * k[3])))


def _slope(k: Four, square: np.ndarray) -> np.ndarray:
    """The derivative of `_series` by its square."""
    return k[0] + square * (2 * k[1] + square * (3 * k[2] + square * 4 * k[3]))


def _shown_at(k: Four, reach: float) -> float:
    """r (1 + k1 r^2 + ...) at r = reach, which may be infinite."""
    if reach == float("inf"):
        return reach
    return reach * float(_series(k, np.asarray(reach * reach)))


def _first_turn(k: Four) -> float:
    """The least r > 0 at which r (1 + k1 r^2 + ...) stops to grow; infinite where it never does."""
    derivative = [(2 * i + 1) * value for i, value in enumerate((1.0, *k))]
    roots = np.roots(derivative[::-1])
    turns = [r.real for r in roots if abs(r.imag) < 1e-9 * abs(r) and r.real > 0]
    return float(np.sqrt(min(turns))) if turns else float("inf")


def _within(places: np.ndarray, reach: float) -> np.ndarray:
    """Places [N, 2], those further out than `reach` brought back to it."""
    if reach == float("inf"):
        return places
    distance = np.linalg.norm(places, axis=1, keepdims=True)
    return places * np.minimum(1.0, reach / np.maximum(distance, 1e-300))
