"""LPIPS, where its weights are already on the machine (Zhang et al. 2018); nothing is downloaded.

    d(a, b) = sum over layers of mean over places of  w . (f(a) / |f(a)| - f(b) / |f(b)|)^2

f: features of VGG16 behind the last ReLU of each of its five blocks; |f|: over channels; w: one
weight for each channel of a layer, version 0.1 of the authors.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

BACKBONE = "vgg16-397923af.pth"  # as torchvision names it in torch's cache
# Where packages keep the weights of the layers.
_LAYERS = (
    ("torchmetrics", "functional/image/lpips_models/vgg.pth"),
    ("lpips", "weights/v0.1/vgg.pth"),
)
_BLOCKS = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))  # convolutions of VGG16
# Of pictures in [-1, 1], before the network.
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_TINY = 1e-10

Distance = Callable[[np.ndarray, np.ndarray], float]


def lpips_here() -> Distance | None:
    """LPIPS by VGG of two pictures [H, W, 3] in [0, 1]; None without the weights of VGG in torch's
    cache, or those of the layers in one of the packages that have them."""
    backbone, layers = Path(torch.hub.get_dir()) / "checkpoints" / BACKBONE, _layers_file()
    if layers is None or not backbone.is_file():
        return None
    weights = torch.load(backbone, map_location="cpu", weights_only=True)
    of_layers = torch.load(layers, map_location="cpu", weights_only=True)

    def distance(drawn: np.ndarray, photo: np.ndarray) -> float:
        with torch.inference_mode():
            return float(lpips(_batch(drawn), _batch(photo), weights, of_layers))

    return distance


def lpips(
    a: Tensor, b: Tensor, backbone: Mapping[str, Tensor], layers: Mapping[str, Tensor]
) -> Tensor:
    """The distance [] of two pictures.

    Args:
        a, b: [1, 3, H, W] in [0, 1], at least 16 pixels along a side.
        backbone: `features.N.weight` and `.bias` as torchvision's VGG16 has them.
        layers: `linL.model.1.weight` [1, C, 1, 1] of layers 0 to 4.
    """
    total = a.new_zeros(())
    pairs = zip(_features(a, backbone), _features(b, backbone), strict=True)
    for layer, (own, other) in enumerate(pairs):
        difference = (_normalised(own) - _normalised(other)).square()
        total = total + F.conv2d(difference, layers[f"lin{layer}.model.1.weight"]).mean()
    return total


def _features(picture: Tensor, weights: Mapping[str, Tensor]) -> Iterator[Tensor]:
    shift, scale = (picture.new_tensor(values).view(1, 3, 1, 1) for values in (_SHIFT, _SCALE))
    x = (2 * picture - 1 - shift) / scale
    for block, convolutions in enumerate(_BLOCKS):
        if block:
            x = F.max_pool2d(x, 2)
        for i in convolutions:
            weight, bias = weights[f"features.{i}.weight"], weights[f"features.{i}.bias"]
            x = F.conv2d(x, weight, bias, padding=1).relu()
        yield x


def _normalised(features: Tensor) -> Tensor:
    """Of length 1 over the channels."""
    return features / (features.square().sum(1, keepdim=True).sqrt() + _TINY)


def _batch(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None].float()


def _layers_file() -> Path | None:
    for package, name in _LAYERS:
        found = importlib.util.find_spec(package)
        for place in (found.submodule_search_locations or []) if found else []:
            if (Path(place) / name).is_file():
                return Path(place) / name
    return None
