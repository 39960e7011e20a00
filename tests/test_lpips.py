"""LPIPS against its published definition, with weights that are made up."""

import numpy as np
import pytest
import torch
from torch import nn

from fields.signals import lpips as module
from fields.signals.lpips import BACKBONE, lpips, lpips_here

# VGG16 as torchvision lays it out, narrower: M is a maximum over 2 x 2.
WIDTHS = [4, 4, "M", 6, 6, "M", 8, 8, 8, "M", 10, 10, 10, "M", 12, 12, 12, "M"]


def narrow_vgg():
    """The layers `features` of a VGG16, in double precision, and the places of its blocks' ends."""
    torch.manual_seed(0)
    layers, inputs, ends = [], 3, []
    for width in WIDTHS:
        if width == "M":
            ends.append(len(layers) - 1)
            layers.append(nn.MaxPool2d(2, 2))
        else:
            layers += [nn.Conv2d(inputs, int(width), 3, padding=1), nn.ReLU()]
            inputs = int(width)
    return nn.Sequential(*layers).double(), ends


def weights_of(features):
    return {f"features.{name}": value.float() for name, value in features.state_dict().items()}


def layer_weights(widths=(4, 6, 8, 10, 12)):
    generator = torch.Generator().manual_seed(1)
    return {
        f"lin{i}.model.1.weight": torch.rand(1, width, 1, 1, generator=generator)
        for i, width in enumerate(widths)
    }


def pictures(size=(40, 33)):
    rng = np.random.default_rng(0)
    return [rng.uniform(0, 1, (*size, 3)).astype(np.float32) for _ in range(2)]


def published(a, b, features, ends, layers):
    """Pixel by pixel: Zhang et al. 2018, eq. 1, with the scaling of their released code."""
    shift, scale = np.array([-0.030, -0.088, -0.188]), np.array([0.458, 0.448, 0.450])
    found = []
    for picture in (a, b):
        x = torch.from_numpy((2 * picture.astype(np.float64) - 1 - shift) / scale)
        x = x.permute(2, 0, 1)[None]
        own = []
        for i, layer in enumerate(features):
            x = layer(x)
            if i in ends:
                own.append(x[0].detach().numpy())
        found.append(own)
    total = 0.0
    for i, (own, other) in enumerate(zip(*found, strict=True)):
        weight = layers[f"lin{i}.model.1.weight"].numpy().ravel()
        _, height, width = own.shape
        values = []
        for y in range(height):
            for x in range(width):
                u, v = own[:, y, x], other[:, y, x]
                u, v = (z / (np.linalg.norm(z) + 1e-10) for z in (u, v))
                values.append((weight * (u - v) ** 2).sum())
        total += np.mean(values)
    return total


def test_the_distance_is_that_of_the_published_definition():
    features, ends = narrow_vgg()
    a, b = pictures()
    layers = layer_weights()
    expected = published(a, b, features, ends, layers)
    given = [torch.from_numpy(x.transpose(2, 0, 1))[None] for x in (a, b)]
    found = lpips(given[0], given[1], weights_of(features), layers)
    assert expected > 1e-3 and float(found) == pytest.approx(expected, rel=1e-4)
    assert float(lpips(given[0], given[0], weights_of(features), layers)) == 0


def test_weights_are_found_where_torch_and_packages_keep_them(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert lpips_here() is None
    features, ends = narrow_vgg()
    (tmp_path / "checkpoints").mkdir()
    torch.save(weights_of(features), tmp_path / "checkpoints" / BACKBONE)
    torch.save(layer_weights(), tmp_path / "layers.pth")
    monkeypatch.setattr(module, "_layers_file", lambda: tmp_path / "layers.pth")
    distance = lpips_here()
    assert distance is not None
    a, b = pictures((32, 32))
    expected = published(a, b, features, ends, layer_weights())
    assert distance(a, b) == pytest.approx(expected, rel=1e-4)
    monkeypatch.setattr(module, "_layers_file", lambda: None)
    assert lpips_here() is None


def test_the_layers_weights_of_torchmetrics_are_of_vgg16():
    path = module._layers_file()  # pyright: ignore[reportPrivateUsage]
    assert path is not None
    held = torch.load(path, map_location="cpu", weights_only=True)
    shapes = [tuple(held[f"lin{i}.model.1.weight"].shape) for i in range(5)]
    assert shapes == [(1, width, 1, 1) for width in (64, 128, 256, 512, 512)]
    assert all((weight >= 0).all() for weight in held.values())
