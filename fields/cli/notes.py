"""What is worth a line on stderr beside a command's result."""

import contextlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fields.runs import Run


def say_fallback(run: "Run") -> None:
    """Say that a run is asked in other arithmetic than it was trained in, where it is so."""
    if run.fallback and sys.stderr is not None:  # print takes None for stdout
        with contextlib.suppress(OSError, ValueError):  # a closed stderr must not end a command
            print(f"computed in {run.fallback}", file=sys.stderr, flush=True)


def scored(scores: dict[str, Any]) -> str:
    """The scores of a field in a few words, whatever it stores."""
    if "psnr" in scores:
        ssim, lpips = scores.get("ssim"), scores.get("lpips")
        depth = scores.get("depth_error")
        return (
            f"{scores['psnr']:.2f} dB"
            + (f", SSIM {ssim:.4f}" if ssim is not None else "")
            + (f", LPIPS {lpips:.4f}" if lpips is not None else "")
            + (f", depth within {depth:.4g}" if depth is not None else "")
        )
    parts = []
    if scores.get("iou") is not None:
        parts.append(f"IoU {scores['iou']:.4f}")
    if scores.get("chamfer_l1") is not None:
        parts.append(f"chamfer {scores['chamfer_l1']:.2e}")
    if scores.get("f_score") is not None:
        parts.append(f"F {scores['f_score']:.4f}")
    if scores.get("points_distance") is not None:
        share = 100 * scores["points_share"]
        parts.append(
            f"points {scores['points_distance']:.2e} from it on average, {share:.1f} % within 0.1 %"
            " of the diagonal"
        )
    if scores.get("normal_consistency") is not None:
        parts.append(f"normals {scores['normal_consistency']:.3f}")
    if scores.get("colour_psnr") is not None:
        parts.append(f"colours {scores['colour_psnr']:.1f} dB")
    if scores.get("not_scored"):
        parts.append(f"not scored ({scores['not_scored']})")
    return ", ".join(parts) or "not scored"
