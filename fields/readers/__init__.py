"""Networks and kernels that read fields: a class from the planes of each, or the part that a point
belongs to.

What a reader is shown (`inputs`) comes from a set of fields or, for comparison, from its meshes
(`explicit`). `splitting` says what is trained on and what is tested, `symmetries` how a cube can be
turned, `catalogue` which readers there are, `training` is the one loop for all of them. Parts have
a reader of their own (`segmenter`, `segmenting`). Plain torch.
"""

from fields.readers.catalogue import READERS, build
from fields.readers.inputs import Inputs
from fields.readers.recipe import Recipe
from fields.readers.splitting import Fold, folds, split
from fields.readers.symmetries import Symmetry, symmetries
from fields.readers.training import Trained, train

__all__ = [
    "READERS",
    "Fold",
    "Inputs",
    "Recipe",
    "Symmetry",
    "Trained",
    "build",
    "folds",
    "split",
    "symmetries",
    "train",
]
