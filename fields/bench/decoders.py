"""Fits of pictures with one grid and several decoders behind it, each at its best learning rate."""

import argparse
import dataclasses
import statistics
import sys
import tempfile
from collections.abc import Callable
from typing import Any

from fields.bench import fits
from fields.bench.fits import MEAN, Fitted
from fields.configs import Config, HashGridConfig, RbfConfig
from fields.errors import FieldsError
from fields.loop import Diverged
from fields.pictures import Picture

Row = dict[str, Any]
Fit = Callable[..., Fitted]  # (picture, decoder, seed, and what fields.fit takes)

GRID = ("num_levels", "features_per_level", "log2_table_size", "base_resolution", "growth")
LEVELS, FEATURES = 8, 2
REFERENCE = "3x64"
# All have biases.
_MLP = {"width": 64, "bias": True}
_FLAT, _SPREAD = ({"kernels": 64, "centres": centres} for centres in ("flat", "spread"))
DECODERS: dict[str, tuple[Callable[..., Config], dict[str, Any]]] = {
    "linear": (HashGridConfig, {**_MLP, "depth": 0}),
    "1x64": (HashGridConfig, {**_MLP, "depth": 1}),
    "2x64": (HashGridConfig, {**_MLP, "depth": 2}),
    "3x64": (HashGridConfig, {**_MLP, "depth": 3}),
    "RBF flat": (RbfConfig, _FLAT),
    "RBF spread": (RbfConfig, _SPREAD),
    "RBF flat, affine": (RbfConfig, {**_FLAT, "affine": True}),
    "RBF spread, affine": (RbfConfig, {**_SPREAD, "affine": True}),
}


def configs(picture: Picture, log2_table_size: int) -> dict[str, Config]:
    """By decoder the field: the same grid in all, its finest level of a cell for each pixel."""
    longest = max(picture.width, picture.height)
    base = min(16, max(longest // 2, 1))
    growth = ((longest + 1) / base) ** (1 / (LEVELS - 1))
    grid = dict(zip(GRID, (LEVELS, FEATURES, log2_table_size, base, growth), strict=True))
    return {
        name: kind(picture.channels, 2, **grid, **own) for name, (kind, own) in DECODERS.items()
    }


def costs(config: Config) -> dict[str, int]:
    """Parameters and multiply-adds of a field, and those of what stands behind the grid alone."""
    grid = {name: getattr(config, name) for name in GRID}
    linear = HashGridConfig(config.channels, config.dim, **grid, depth=0)
    weights = linear.features * linear.channels
    return {
        "parameters": config.parameters,
        "multiply_adds": config.multiply_adds,
        "decoder_parameters": config.parameters - linear.parameters + weights,
        "decoder_multiply_adds": config.multiply_adds - linear.multiply_adds + weights,
    }


def measure(pictures: list[Picture], options: argparse.Namespace) -> list[Row]:
    """All rows: of the sweep, of each picture and decoder, and their means."""
    made = {picture: configs(picture, options.log2_table_size) for picture in pictures}
    with tempfile.TemporaryDirectory() as folder:

        def fit(picture: Picture, decoder: str, seed: int, **asked: Any) -> Fitted:
            config = dataclasses.replace(made[picture][decoder], seed=seed)
            common = {"seed": seed, "batch": options.batch, "threads": options.threads}
            return fits.fit(picture, config, folder, **common, **asked)

        for decoder in DECODERS:  # what a process pays once
            fit(pictures[0], decoder, 0, steps=2)
        swept = sweep(fit, pictures, options)
        rates = {decoder: best_rate(decoder, found) for decoder, found in swept.items()}
        compared = []
        for picture in pictures:
            print(f"fitting: {picture.name}", file=sys.stderr, flush=True)
            compared += compare(fit, picture, made[picture], rates, options)
    rows = [row for decoder, found in swept.items() for row in sweep_rows(decoder, found)]
    return rows + compared + means(compared)


def sweep(
    fit: Fit, pictures: list[Picture], options: argparse.Namespace
) -> dict[str, dict[float, list[float]]]:
    """PSNR of each picture, by decoder and rate; without the rates at which a fit diverged."""
    found: dict[str, dict[float, list[float]]] = {decoder: {} for decoder in DECODERS}
    for rate in sorted(set(options.rates)):
        print(f"sweeping: rate {rate:g}", file=sys.stderr, flush=True)
        for decoder, by_rate in found.items():
            try:
                by_rate[rate] = [
                    fit(picture, decoder, 0, rate=rate, steps=options.steps).psnr
                    for picture in pictures
                ]
            except Diverged:
                continue
    return found


def best_rate(decoder: str, found: dict[float, list[float]]) -> float:
    """The rate of the highest mean; FieldsError where every fit diverged."""
    if not found:
        raise FieldsError(f"{decoder} diverged at every rate; give smaller --rates")
    return max(found, key=lambda rate: statistics.mean(found[rate]))


def compare(
    fit: Fit,
    picture: Picture,
    made: dict[str, Config],
    rates: dict[str, float],
    options: argparse.Namespace,
) -> list[Row]:
    """Rows of a picture at equal steps and at equal seconds. Decoders take turns, so that all meet
    the same drift of speed."""
    limits = {"steps": options.steps, "seconds": options.seconds}
    found: dict[tuple[str, str], list[Fitted]] = {}
    for seed in range(options.seeds):
        for decoder, rate in rates.items():
            for by, limit in limits.items():
                fitted = fit(picture, decoder, seed, rate=rate, **{by: limit})
                found.setdefault((by, decoder), []).append(fitted)
    return [
        _row(picture.name, decoder, by, limits[by])
        | {"rate": rates[decoder]}
        | costs(made[decoder])
        | fits.figures(each)
        for (by, decoder), each in found.items()
    ]


def sweep_rows(decoder: str, found: dict[float, list[float]]) -> list[Row]:
    return [
        _row(MEAN, decoder, "rate", rate)
        | {"psnr": statistics.mean(psnr), "psnr_of_pictures": psnr}
        for rate, psnr in found.items()
    ]


def _row(picture: str, decoder: str, by: str, limit: float) -> Row:
    work = f"{picture}, {decoder}, {by} {limit:g}"
    own = {"picture": picture, "decoder": decoder, "by": by, "limit": limit}
    return {"work": work, "engine": "fields", **own}


def means(rows: list[Row]) -> list[Row]:
    """For each decoder and length of a fit the means over pictures, and what it has over the MLP of
    three layers: the mean, the lowest and the highest over pictures and seeds."""
    result = []
    for by, limit, decoder in dict.fromkeys((r["by"], r["limit"], r["decoder"]) for r in rows):
        group = [row for row in rows if row["by"] == by]
        mine = [row for row in group if row["decoder"] == decoder]
        row = _row(MEAN, decoder, by, limit) | {"rate": mine[0]["rate"]}
        for name in ("parameters", "multiply_adds", "decoder_parameters", "decoder_multiply_adds"):
            row[name] = max(one[name] for one in mine)
        reference = [one for one in group if one["decoder"] == REFERENCE]
        gains = [
            ours - theirs
            for one, other in zip(mine, reference, strict=True)
            for ours, theirs in zip(one["psnr_of_seeds"], other["psnr_of_seeds"], strict=True)
        ]
        row |= {
            "over_mlp": statistics.mean(gains),
            "over_mlp_least": min(gains),
            "over_mlp_most": max(gains),
        }
        result.append(row | fits.mean_figures(mine))
    return result
