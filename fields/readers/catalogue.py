"""The readers that there are, what each is shown, and how it is trained on a CPU.

Those of `measures`, `energy` and `numbers`, and the kernels, were chosen on folds within the 266
training shapes of 19 classes, without their test shapes; the others are first guesses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from fields.errors import FieldsError
from fields.readers.channel_tokens import PAPER, ChannelMlp, ChannelTransformer
from fields.readers.flat import FlatReader, NumbersReader
from fields.readers.images import ImageReader
from fields.readers.kernel import KernelReader
from fields.readers.points import PointNet
from fields.readers.reader import Reader
from fields.readers.recipe import Recipe


@dataclass(frozen=True)
class Entry:
    """A reader of the catalogue.

    Attributes:
        about: what it is, in a few words.
        make: a new one, for inputs such as some rows [n, ...] of them and a number of classes.
        takes: the kind of its inputs.
        recipe: of its training.
        is_explicit: it reads the mesh and no field.
        reads_field: what it is shown is made with the MLP as well, not of planes alone.
        leaves_copies: it is trained on shapes as they are, and not on their copies.
        is_solved: nothing is drawn in its training, so that one seed is as good as another.
    """

    about: str
    make: Callable[[Tensor, int], Reader]
    takes: str
    recipe: Recipe = Recipe()  # noqa: RUF009, frozen
    is_explicit: bool = False
    reads_field: bool = False
    leaves_copies: bool = False
    is_solved: bool = False


def _transformer(rows: Tensor, classes: int) -> Reader:
    return ChannelTransformer(rows.shape[-1], classes, least_crop=0.4)


def _paper(rows: Tensor, classes: int) -> Reader:
    return ChannelTransformer(rows.shape[-1], classes, PAPER)


def _kernel(about: str, takes: str, **how: bool) -> Entry:
    """A reader that is solved."""

    def make(rows: Tensor, classes: int) -> Reader:
        return KernelReader(rows[0].numel(), classes)

    return Entry(about, make, takes, Recipe(steps=1, symmetries="none"), is_solved=True, **how)


READERS: dict[str, Entry] = {
    "transformer": Entry(
        "Transformer over channels, no order", _transformer, "planes",
        Recipe(steps=500, lr=1e-3, symmetries="all"),
    ),
    "transformer-paper": Entry(
        "the same in the published sizes, for a GPU", _paper, "planes",
        Recipe(steps=5000, batch=256, lr=1e-4, weight_decay=1e-3, smoothing=0.0,
               symmetries="none"),
    ),
    "resnet": Entry(
        "residual convolutions over 3 C channels",
        lambda rows, classes: ImageReader(rows.shape[1] * rows.shape[2], classes),
        "planes", Recipe(steps=600),
    ),
    "energy": Entry(
        "residual convolutions over the channels' energy",
        lambda rows, classes: ImageReader(rows.shape[1] * rows.shape[2], classes),
        "energy", Recipe(steps=600),
    ),
    "channel-mlp": Entry(
        "MLP on each channel, maximum",
        lambda rows, classes: ChannelMlp(rows.shape[-1], classes, least_crop=0.4),
        "planes", Recipe(steps=500, symmetries="all"),
    ),
    "flat": Entry(
        "MLP on all weights in a row",
        lambda rows, classes: FlatReader(rows.shape[1], classes),
        "weights", Recipe(steps=300, lr=1e-3),
        reads_field=True,
    ),
    "params": Entry(
        "MLP on the weights of the field's MLP",
        lambda rows, classes: FlatReader(rows.shape[1], classes),
        "params", Recipe(steps=600, lr=1e-3),
        reads_field=True,
    ),
    "kernel-planes": _kernel("kernel over the planes as they lie", "planes"),
    "kernel-energy": _kernel("kernel over the channels' energy", "energy"),
    "measures": _kernel("kernel over measures of the field's values", "measures", reads_field=True),
    "measures-mlp": Entry(
        "MLP on measures of the field's values",
        lambda rows, classes: FlatReader(rows.shape[1], classes, width=384, dropout=0.6),
        "measures", Recipe(),
        reads_field=True,
    ),
    "points": Entry(
        "PointNet on points of the mesh",
        lambda rows, classes: PointNet(classes),
        "points", Recipe(steps=1200, symmetries="none"),
        is_explicit=True,
    ),
    "numbers": _kernel(
        "kernel over nine numbers of the mesh", "numbers", is_explicit=True, leaves_copies=True
    ),
    "numbers-mlp": Entry(
        "MLP on the same",
        lambda rows, classes: NumbersReader(rows.shape[1], classes),
        "numbers", Recipe(steps=800, symmetries="none"),
        is_explicit=True, leaves_copies=True,
    ),
}  # fmt: skip
USUAL = tuple(name for name in READERS if name != "transformer-paper")
BASELINE = "numbers"  # beside which every other is printed


def find(name: str) -> Entry:
    """The reader of a name; FieldsError if there is none."""
    if name not in READERS:
        raise FieldsError(f"there is no reader {name!r}; there are {', '.join(READERS)}")
    return READERS[name]


def build(name: str, rows: Tensor, classes: int) -> Reader:
    """A new reader of a name, for inputs such as `rows` [n, ...]."""
    entry = find(name)
    reader = entry.make(rows, classes)
    reader.takes = entry.takes
    return reader
