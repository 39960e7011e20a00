"""Colour profiles: which ones may be kept, and CMYK turned into sRGB."""

import io

import numpy as np

_SPACES = {1: b"GRAY", 2: b"GRAY", 3: b"RGB ", 4: b"RGB "}


def fitting_icc(icc: bytes | None, channels: int) -> bytes | None:
    """The profile if it is one for that many channels, else None (ICC.1:2022, 7.2.6).

    Programs leave the profile of a colour original in a picture made grey; it would be refused, or
    misread, by whoever opens what we write.
    """
    if icc is None or len(icc) < 128 or icc[36:40] != b"acsp":
        return None
    return icc if icc[16:20] == _SPACES[channels] else None


def cmyk_to_srgb(pixels: np.ndarray, icc: bytes | None) -> np.ndarray:
    """[H, W, 4] uint8 ink, 255 = full -> [H, W, 3] uint8 sRGB.

    Through the embedded profile where there is a usable one, else 255 - min(255, ink + black).
    """
    from PIL import Image, ImageCms

    picture = Image.frombytes("CMYK", pixels.shape[1::-1], pixels.tobytes())
    if icc is not None:
        try:
            converted = ImageCms.profileToProfile(
                picture,
                ImageCms.ImageCmsProfile(io.BytesIO(icc)),
                ImageCms.createProfile("sRGB"),
                outputMode="RGB",
            )
            assert converted is not None
            return np.asarray(converted)
        except (ImageCms.PyCMSError, OSError):  # a broken profile, or not one for CMYK
            pass
    return np.asarray(picture.convert("RGB"))
