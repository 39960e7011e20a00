"""The sample pictures that scikit-image ships inside its package, found without a download."""

import difflib
from importlib.util import find_spec
from pathlib import Path

from fields.errors import FieldsError

_FILES = {
    "astronaut": "astronaut.png",
    "brick": "brick.png",
    "camera": "camera.png",
    "cat": "chelsea.png",
    "cell": "cell.png",
    "checkerboard": "chessboard_GRAY.png",
    "chelsea": "chelsea.png",
    "clock": "clock_motion.png",
    "coffee": "coffee.png",
    "coins": "coins.png",
    "colorwheel": "color.png",
    "grass": "grass.png",
    "gravel": "gravel.png",
    "horse": "horse.png",
    "hubble_deep_field": "hubble_deep_field.jpg",
    "immunohistochemistry": "ihc.png",
    "logo": "logo.png",
    "microaneurysms": "microaneurysms.png",
    "moon": "moon.png",
    "page": "page.png",
    "retina": "retina.jpg",
    "rocket": "rocket.jpg",
    "shepp_logan_phantom": "phantom.png",
    "stereo_motorcycle": "motorcycle_left.png",
    "text": "text.png",
}

_DOWNLOADS = (
    "brain",
    "cells3d",
    "eagle",
    "human_mitosis",
    "kidney",
    "lily",
    "nickel_solidification",
    "palisades_of_vogt",
    "protein_transport",
    "skin",
    "vortex",
)

SAMPLES = tuple(_FILES)
"""The names of the samples, as in `skimage.data`."""


def sample_path(name: str) -> Path | None:
    """The file of the sample of that name; None if the name is not one of a sample.

    Raises FieldsError for a sample of scikit-image that is not in its package but would have to be
    downloaded, and if scikit-image is not installed.
    """
    if name in _DOWNLOADS:
        raise FieldsError(
            f"{name} is a sample that scikit-image would have to download; save it as a file, or "
            "name one that is here, such as astronaut"
        )
    if name not in _FILES:
        return None
    package = find_spec("skimage")  # not imported: that takes longer than reading the picture
    if package is None or package.origin is None:
        raise FieldsError(
            f"{name} is a sample picture of scikit-image, which is not installed; "
            "run `pip install scikit-image`"
        )
    path = Path(package.origin).parent / "data" / _FILES[name]
    if not path.is_file():
        raise FieldsError(
            f"{name} is not among the files of the installed scikit-image; name a file, or another "
            "sample, such as astronaut"
        )
    return path


def likely_sample(name: str) -> str | None:
    """The sample whose name is nearest to what was typed, with or without a suffix."""
    near = difflib.get_close_matches(Path(name).stem.lower(), SAMPLES, n=1, cutoff=0.75)
    return near[0] if near else None
