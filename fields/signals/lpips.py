"""LPIPS, where it is already on the machine (Zhang et al. 2018); nothing is ever downloaded."""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

BACKBONE = "vgg16-397923af.pth"  # as torchvision names it in torch's cache

Distance = Callable[[np.ndarray, np.ndarray], float]


def lpips_here() -> Distance | None:
    """LPIPS by VGG of two pictures [H, W, 3] in [0, 1]; None without the package `lpips`, or
    without the weights of VGG in torch's cache."""
    weights = Path(torch.hub.get_dir()) / "checkpoints" / BACKBONE
    if importlib.util.find_spec("lpips") is None or not weights.is_file():
        return None
    lpips = importlib.import_module("lpips")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torchvision's older names
        network = lpips.LPIPS(net="vgg", verbose=False).eval()

    def distance(drawn: np.ndarray, photo: np.ndarray) -> float:
        a, b = (
            torch.from_numpy(np.ascontiguousarray(x.transpose(2, 0, 1))) for x in (drawn, photo)
        )
        with torch.inference_mode():
            return float(network(2 * a[None].float() - 1, 2 * b[None].float() - 1))

    return distance
