"""Encodings: coordinates to features. Twice differentiable, to be used with any network behind."""

from fields.encodings.fourier import FourierEncoding
from fields.encodings.hash_grid import HashGridEncoding

__all__ = ["FourierEncoding", "HashGridEncoding"]
