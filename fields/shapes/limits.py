"""What may be asked of a mesh, so that it is refused before anything is computed. Free of torch."""

import math

from fields.errors import FieldsError

MIN_RESOLUTION, MAX_RESOLUTION = 8, 1024
LEAST_FACES = 4  # of something closed


def check_resolution(resolution: int) -> None:
    """FieldsError unless it is from MIN_RESOLUTION to MAX_RESOLUTION."""
    if not MIN_RESOLUTION <= resolution <= MAX_RESOLUTION:
        raise FieldsError(
            f"--resolution must be from {MIN_RESOLUTION} to {MAX_RESOLUTION}, got {resolution}"
        )


def check_faces(count: int) -> None:
    """FieldsError for fewer than LEAST_FACES."""
    if count < LEAST_FACES:
        raise FieldsError(f"--faces must be at least {LEAST_FACES}, got {count}")


def check_level(level: float) -> None:
    """FieldsError for a level that is NaN or infinite, at which nothing lies."""
    if not math.isfinite(level):
        raise FieldsError(f"--level must be a finite number, got {level}")
