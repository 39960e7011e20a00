"""Picture files: read, written and scored, without torch. `read_picture` is the way in."""

from fields.pictures.picture import Picture
from fields.pictures.probe import Probe, probe
from fields.pictures.quantise import quantise
from fields.pictures.read import find_source, read_picture
from fields.pictures.samples import SAMPLES
from fields.pictures.scores import PictureScore, psnr
from fields.pictures.tone import DisplayCurve, RelativeSpace, display_curve, relative_space
from fields.pictures.write import output_format, write_picture

__all__ = [
    "SAMPLES",
    "DisplayCurve",
    "Picture",
    "PictureScore",
    "Probe",
    "RelativeSpace",
    "display_curve",
    "find_source",
    "output_format",
    "probe",
    "psnr",
    "quantise",
    "read_picture",
    "relative_space",
    "write_picture",
]
