"""Tri-planes against the weights of MLPs alone, as data for readers, where both keep shapes equally
well: the claim of Cardace et al. 2024 that fields with planes are read better.

    python benchmarks/planes_or_weights.py DIR OUT

DIR is a set of labelled shapes whose list has a split. Each is fitted as an MLP of three layers of
64 sines, with four octaves of its place, and as tri-planes whose fits are cut short so that they
keep shapes no better than the MLPs do: of a few numbers of steps the one whose IoU is nearest to
theirs on a training shape of each class.
"""

import argparse
from pathlib import Path

import torch

import fields
from fields import readers
from fields.many.group import fit_group
from fields.many.listing import Listing, list_shapes
from fields.many.options import ManyOptions

# Planes of one number in each corner that stay what they are: noise of 0.001.
MLP = {"resolution": 2, "channels": 1, "lr_planes": 0.0, "hidden": 64, "depth": 3, "octaves": 4,
       "lr_params": 4e-3}  # fmt: skip
STEPS = (100, 150, 200, 250, 300, 400)
READ = {"mlps": ("params", "measures"),
        "planes": ("kernel-energy", "measures", "flat", "energy", "transformer")}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--init", default="individual")
    options = parser.parse_args()
    common = {"threads": 1, "init": options.init, "resume": False}
    sets = {"mlps": fitted(options.data, options.out / "mlps", common | MLP)}
    steps = as_good(options.data, sets["mlps"], options.init)
    sets["planes"] = fitted(options.data, options.out / "planes", common | {"steps": steps})
    for name, found in sets.items():
        size = found.options.num_params if name == "mlps" else found.options.numbers
        scores = f"IoU {found.mean('iou'):.4f}, F {found.mean('f_score'):.4f}"
        said = f"{len(found)} fields, {size:,} numbers, {found.options.steps} steps"
        print(f"{name}: {said}, {scores}", flush=True)
    with torch.random.fork_rng(devices=[]):
        torch.set_num_threads(1)
        for name, found in sets.items():
            inputs = readers.Inputs(found)
            fold = readers.split(found.index)
            for reader in READ[name]:
                seeds = 1 if readers.READERS[reader].is_solved else options.seeds
                scores = torch.tensor([accuracy(reader, inputs, fold, i) for i in range(seeds)])
                print(f"{name}, {reader}: {100 * scores.mean():.1f} % of {len(fold.test)} test"
                      f" shapes, seeds {[round(100 * float(s), 1) for s in scores]}",
                      flush=True)  # fmt: skip


def fitted(data: Path, out: Path, asked: dict) -> fields.many.reading.FieldSet:
    """The set, fitted if it is not there yet."""
    if out.exists() and fields.load_many(out).is_finished:
        return fields.load_many(out)
    return fields.fit_many(data, out, **{**asked, "resume": out.exists()})


def as_good(data: Path, mlps: fields.many.reading.FieldSet, init: str) -> int:
    """The steps after which planes keep one training shape of each class as the MLPs do."""
    listing = list_shapes(data)
    firsts = {item.kind: item for item in reversed(listing.items) if item.split == "train"}
    some = Listing(listing.folder, tuple(firsts.values()))
    paths = {item.path for item in some.items}
    known = [entry["iou"] for entry in mlps.index if entry["path"] in paths]
    wanted = sum(known) / len(known)

    def away(steps: int) -> float:
        options = ManyOptions(steps=steps, init=init)
        found = fit_group(some.folder, list(enumerate(some.items)), options)
        return abs(sum(e["iou"] for e in found.entries) / len(found.entries) - wanted)

    return min(STEPS, key=away)


def accuracy(reader: str, inputs: readers.Inputs, fold: readers.Fold, seed: int) -> float:
    trained = readers.train(reader, inputs, fold, seed=seed)
    return float((trained.predicted(inputs, fold.test) == inputs.labels[fold.test]).float().mean())


if __name__ == "__main__":
    main()
