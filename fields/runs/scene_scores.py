"""How close a field is to the photos of a split."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fields.errors import FieldsError
from fields.scenes import Scene
from fields.scenes.depths import read_depth
from fields.scenes.masks import nothing_counts
from fields.signals.lpips import lpips_here
from fields.signals.view_score import depth_error, view_psnr, view_ssim

if TYPE_CHECKING:
    from fields.runs.scene import SceneRun


def scores(
    run: SceneRun,
    scene: Scene,
    split: str,
    each: Callable[[str, dict[str, Any]], None] | None,
) -> dict[str, Any]:
    """See SceneRun.scores."""
    perceptual = lpips_here()
    found: dict[str, list[float]] = {"psnr": []}
    left_out = 0
    for frame, traced, photo, mask in run.views(scene, split):
        drawn = run.values(frame.camera, traced)
        psnr = view_psnr(drawn, photo, mask)
        if psnr is None:
            left_out += 1
            continue
        figures = {"psnr": round(psnr, 4)}
        ssim = view_ssim(drawn, photo) if mask is None else None
        if ssim is not None:
            figures["ssim"] = round(ssim, 5)
        if perceptual is not None and mask is None:
            figures["lpips"] = round(perceptual(drawn, photo), 5)
        known = read_depth(frame, scene.shrink)
        if known is not None:
            error = depth_error(run.values(frame.camera, traced, "depth"), known)
            if error is not None:
                figures["depth_error"] = round(error, 5)
        for name, value in figures.items():
            found.setdefault(name, []).append(value)
        if each is not None:
            each(frame.name, figures)
    if not found["psnr"]:
        raise FieldsError(nothing_counts(scene, split))
    means = {name: float(np.mean(some)) for name, some in found.items()}
    views: dict[str, Any] = {"split": split, "views": len(found["psnr"])}
    views |= {"left_out": left_out} if left_out else {}
    return views | {n: round(v, 4 if n == "psnr" else 5) for n, v in means.items()}
