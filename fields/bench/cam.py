"""`fields bench cam`: what coordinate-aware modulation adds to a Fourier network, and by what.

Each crop is fitted by the plain network, by a wider one with more parameters than the modulated, by
each half of the method alone, and by both; whole pictures a step. Once on all pixels, and once on
every second pixel of each axis, scored on all: a quarter of those was trained on, as published.

The small protocol needs a fit that is short of parameters: a network that stores the crop anyway
leaves nothing to gain. The published one is 10^15 operations a picture: for a machine with a GPU.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fields.bench.options import check_numbers, check_plot
from fields.errors import FieldsError

SAMPLES = ("astronaut", "coffee", "cat", "rocket", "brick", "retina")
TEXT = "page"
PICTURES = 6
PLOT = Path("runs", "bench-cam.png")
PROTOCOLS = {"all": 1, "half": 2}  # of how many pixels of an axis one is trained on


@dataclass(frozen=True)
class Protocol:
    """Sizes of a run.

    Args:
        side: of the crop from the middle of a picture.
        width, frequencies, grid_size, sigma: of the network; `wider` is that of the wide one.
        steps: on all pixels.
        falls: steps after which the rates fall to a tenth.
    """

    side: int
    width: int
    wider: int
    frequencies: int
    grid_size: int
    steps: int
    falls: tuple[int, ...] = ()
    sigma: float = 10.0

    def variants(self) -> dict[str, dict[str, Any]]:
        """Settings of the model by the name of the variant."""
        common = {"width": self.width, "frequencies": self.frequencies, "sigma": self.sigma,
                  "grid_size": self.grid_size}  # fmt: skip
        off = {"grids": False, "normalise": "none"}
        return {
            "plain": {**common, **off},
            "wider": {**common, **off, "width": self.wider},
            "norm alone": {**common, "grids": False},
            "grids alone": {**common, "normalise": "none"},
            "CAM": common,
        }


PRESETS = {
    "small": Protocol(128, 32, 40, 32, 16, 500),
    "published": Protocol(512, 256, 264, 256, 32, 2000, (1000, 1500)),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--data", metavar="DIR", help=f"{PICTURES} pictures; by default bundled samples")
    add("--json", action="store_true", help="print one JSON object")
    add("--preset", choices=tuple(PRESETS), default="small", help="sizes of the runs (small)")
    add("--pictures", type=int, default=PICTURES, metavar="N",
        help=f"so many pictures, besides a page of text ({PICTURES})")  # fmt: skip
    add("--seeds", type=int, default=3, metavar="N", help="of the weights (3)")
    add("--steps", type=int, metavar="N", help="by default those of the preset")
    add("--device", choices=("cpu", "cuda"), default="cpu", help="where to fit (cpu)")
    add("--threads", type=int, metavar="N", help="by default what may be used")
    add("--plot", type=Path, default=PLOT, metavar="FILE", help=f"gains by picture ({PLOT})")


def run(options: argparse.Namespace) -> None:
    check_numbers(options, "pictures", "seeds", "steps")
    from fields import device
    from fields.bench import cam_shown, machine

    device.choose(options.device)  # refuses one that cannot be had
    protocol = PRESETS[options.preset]
    crops = {name: crop(source, protocol.side) for name, source in sources(options).items()}
    check_plot(options.plot, PLOT)
    with device.threads(options.threads) as threads:
        about = machine.describe(threads)
        rows = list(measure(crops, protocol, options))
    rows += means(rows)
    result = {"machine": about, "commit": machine.commit(), "preset": options.preset, "rows": rows}
    # The figures first: whatever befalls the plot, they are not measured twice.
    if options.json:
        print(json.dumps(result), flush=True)
    else:
        cam_shown.table(result)
        sys.stdout.flush()
    cam_shown.save(options.plot, rows)
    if not options.json:
        print(f"gains by picture: {options.plot.absolute()}")


def sources(options: argparse.Namespace) -> dict[str, str]:
    """Pictures by name, and the page."""
    from fields.bench.image import find_pictures

    found = find_pictures(options.data) if options.data else {name: name for name in SAMPLES}
    return {**dict(list(found.items())[: options.pictures]), TEXT: TEXT}


def crop(source: str, side: int) -> Any:
    """The middle of a picture, [side, side, C] in eight bits without alpha; smaller if it is."""
    import numpy as np

    from fields.pictures import read_picture

    picture = read_picture(source)
    pixels = picture.pixels[..., : picture.channels - picture.has_alpha]
    if pixels.dtype != np.uint8:
        raise FieldsError(f"{source} is not of eight bits a value; leave it out")
    top, left = (max((size - side) // 2, 0) for size in pixels.shape[:2])
    return np.ascontiguousarray(pixels[top : top + side, left : left + side])


class FullBatch:
    """A picture as a signal whose every batch is all of it, or every `stride`-th pixel."""

    def __init__(self, pixels: Any, device: str, stride: int = 1):
        import torch

        rows, columns = (torch.arange(size, device=device) for size in pixels.shape[:2])
        y, x = torch.meshgrid(rows[::stride], columns[::stride], indexing="ij")
        size = torch.tensor([len(columns), len(rows)], device=device)
        self.coords = (torch.stack([x, y], -1).reshape(-1, 2) + 0.5) / size
        values = torch.from_numpy(pixels).to(device)[::stride, ::stride]
        self.values = values.reshape(-1, pixels.shape[2]).float() / 255

    def batch(self, count: int, seed: int, step: int) -> tuple[Any, Any]:
        return self.coords, self.values


def measure(
    crops: dict[str, Any], protocol: Protocol, options: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """A row for each picture, protocol and variant: the scores of all seeds and their mean."""
    for picture, pixels in crops.items():
        for name, stride in PROTOCOLS.items():
            print(f"fitting: {picture}, {name} pixels", file=sys.stderr, flush=True)
            for variant, settings in protocol.variants().items():
                fits = [
                    fit(pixels, stride, {**settings, "seed": seed}, protocol, options)
                    for seed in range(options.seeds)
                ]
                scores = [score for score, _, _ in fits]
                yield {
                    "work": f"{picture}, {name} pixels",
                    "engine": "fields",
                    "picture": picture,
                    "protocol": name,
                    "variant": variant,
                    "parameters": fits[0][1],
                    "psnr": statistics.mean(scores),
                    "psnr_of_seeds": scores,
                    "seconds": statistics.median(seconds for _, _, seconds in fits),
                }


def fit(
    pixels: Any,
    stride: int,
    settings: dict[str, Any],
    protocol: Protocol,
    options: argparse.Namespace,
) -> tuple[float, int, float]:
    """PSNR on all pixels, parameters, and seconds of training."""
    import torch

    from fields import plan, steps
    from fields.models.cam import Cam

    field = Cam(pixels.shape[2], 2, **settings).to(options.device)
    signal = FullBatch(pixels, options.device, stride)
    count = options.steps or protocol.steps
    step = steps.choose(field, signal, plan.make(plan.Stop(steps=count), model="cam"), "l2")
    begun = time.perf_counter()
    for number in range(1, count + 1):
        step(number, 0.1 ** sum(number > fall for fall in protocol.falls))
    seconds = time.perf_counter() - begun
    whole = FullBatch(pixels, options.device)
    with torch.no_grad():
        values = field(whole.coords).clamp(0, 1).mul(255).round()
    error = (values - whole.values * 255).square().mean().item() / 255**2
    score = -10 * torch.log10(torch.tensor(max(error, 1e-12))).item()
    return score, field.config.parameters, seconds


def means(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each protocol and variant: the mean over pictures without the text, and over all."""
    result = []
    for protocol in PROTOCOLS:
        for title, left_out in (("mean without the page", TEXT), ("mean of all", None)):
            for variant in dict.fromkeys(row["variant"] for row in rows):
                found = [
                    row
                    for row in rows
                    if (row["protocol"], row["variant"]) == (protocol, variant)
                    and row["picture"] != left_out
                ]
                if found:
                    result.append(
                        {
                            "work": f"{title}, {protocol} pixels",
                            "engine": "fields",
                            "picture": title,
                            "protocol": protocol,
                            "variant": variant,
                            "parameters": max(row["parameters"] for row in found),
                            "psnr": statistics.mean(row["psnr"] for row in found),
                        }
                    )
    return result
