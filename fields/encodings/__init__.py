"""Encodings: coordinates to features. Twice differentiable, to be used with any network behind."""

from fields.encodings.fourier import FourierEncoding
from fields.encodings.hash_grid import HashGridEncoding
from fields.encodings.triplane import TriPlaneEncoding

__all__ = ["FourierEncoding", "HashGridEncoding", "TriPlaneEncoding"]
