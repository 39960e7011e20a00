"""What a checkpoint must know to make pixels of a field's values; free of torch."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fields.errors import FieldsError
from fields.pictures import Picture, RelativeSpace, quantise, relative_space
from fields.pictures.picture import described

_DTYPES = ("uint8", "uint16", "float16", "float32")


@dataclass(frozen=True)
class PictureSpace:
    """Size and encoding of the picture that a field stores.

    Integers are fitted as they are over their largest, floats through a RelativeSpace, in which
    relative error counts; alpha always as it is.

    Args:
        width, height: pixels.
        channels: 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA, straight alpha).
        dtype: of the pixels: uint8, uint16, float16 or float32.
        relative: (scale, span) of the RelativeSpace, for floats.
    """

    width: int
    height: int
    channels: int
    dtype: str
    relative: tuple[float, float] | None = None

    def __post_init__(self):
        sound = self.dtype in _DTYPES and self.channels in (1, 2, 3, 4)
        if not sound or min(self.width, self.height) < 1 or self.is_hdr != bool(self.relative):
            raise FieldsError(f"{asdict(self)} describes no picture")

    @staticmethod
    def of(picture: Picture) -> "PictureSpace":
        relative = None
        if picture.is_hdr:
            space = relative_space(picture.pixels)
            relative = (space.scale, space.span)
        return PictureSpace(
            picture.width, picture.height, picture.channels, picture.pixels.dtype.name, relative
        )

    @staticmethod
    def from_dict(values: dict[str, Any]) -> "PictureSpace":
        """The inverse of `as_dict`; FieldsError if the values describe no picture."""
        try:
            relative = values["relative"]
            return PictureSpace(
                int(values["width"]),
                int(values["height"]),
                int(values["channels"]),
                str(values["dtype"]),
                relative and (float(relative[0]), float(relative[1])),
            )
        except (KeyError, TypeError, ValueError, IndexError):
            raise FieldsError(f"{values} describes no picture") from None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def is_hdr(self) -> bool:
        return self.dtype.startswith("float")

    @property
    def colours(self) -> int:
        """Channels without alpha."""
        return self.channels - (self.channels in (2, 4))

    def __str__(self) -> str:
        return described((self.height, self.width, self.channels), np.dtype(self.dtype))

    def to_values(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels of a float picture -> what a field is fitted to, float32 of the same shape."""
        assert self.relative
        values = np.array(pixels, np.float32)
        values[..., : self.colours] = RelativeSpace(*self.relative).encode(
            pixels[..., : self.colours]
        )
        return values

    def to_pixels(self, values: np.ndarray) -> np.ndarray:
        """Values of a field [h, w, C] float32 -> pixels as the file stores them."""
        if not self.relative:
            return quantise(values, 8 * np.dtype(self.dtype).itemsize)
        pixels = np.clip(values, 0, 1)
        pixels[..., : self.colours] = RelativeSpace(*self.relative).decode(
            values[..., : self.colours]
        )
        largest = np.finfo(self.dtype).max
        return np.clip(pixels, -largest, largest).astype(self.dtype)
