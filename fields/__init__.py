"""Neural fields at the speed of the machine: fit one, ask it, draw it.

    run = fields.fit("image.png", steps=2000)
    run.field(coords)                         # [..., 2] in [0, 1] -> [..., channels]
    run = fields.load("runs/image-hashgrid")

Names are imported when they are first used, so that `import fields` costs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from fields.encodings.fourier import FourierEncoding
    from fields.encodings.hash_grid import HashGridEncoding
    from fields.encodings.triplane import TriPlaneEncoding
    from fields.errors import Cancelled, FieldsError
    from fields.fitting import fit
    from fields.many.making import fit_many
    from fields.many.reading import load_many
    from fields.mlp import MLP
    from fields.models.cam import Cam
    from fields.models.finer import Finer
    from fields.models.fourier import Fourier
    from fields.models.hashgrid import HashGrid
    from fields.models.rbf import Rbf
    from fields.models.siren import Siren
    from fields.models.triplane import TriPlane
    from fields.runs import Run, load

_HOMES = {
    "fit": "fields.fitting",
    "fit_many": "fields.many.making",
    "load": "fields.runs",
    "load_many": "fields.many.reading",
    "Run": "fields.runs",
    "Finer": "fields.models.finer",
    "Cam": "fields.models.cam",
    "Fourier": "fields.models.fourier",
    "HashGrid": "fields.models.hashgrid",
    "Rbf": "fields.models.rbf",
    "Siren": "fields.models.siren",
    "TriPlane": "fields.models.triplane",
    "FourierEncoding": "fields.encodings.fourier",
    "HashGridEncoding": "fields.encodings.hash_grid",
    "TriPlaneEncoding": "fields.encodings.triplane",
    "MLP": "fields.mlp",
    "FieldsError": "fields.errors",
    "Cancelled": "fields.errors",
}

__all__ = [
    "MLP",
    "Cam",
    "Cancelled",
    "FieldsError",
    "Finer",
    "Fourier",
    "FourierEncoding",
    "HashGrid",
    "HashGridEncoding",
    "Rbf",
    "Run",
    "Siren",
    "TriPlane",
    "TriPlaneEncoding",
    "__version__",
    "fit",
    "fit_many",
    "load",
    "load_many",
]


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'fields' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
