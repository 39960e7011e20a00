"""A small scene with its model, so that a test fits it in a moment."""

import shutil

import numpy as np

from fields.pictures import read_picture, write_picture
from fields_scenes.demo import render_demo
from fields_scenes.generate import Wanted

SMALL = {
    "num_levels": 4,
    "log2_table_size": 12,
    "density_width": 16,
    "colour_width": 16,
    "occupancy": 32,
    "march_steps": 128,
    "batch": 4096,
}
FLAGS = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]


def make(folder, **wanted):
    """The demo scene: 16 views of 40 pixels to train on."""
    render_demo(folder, Wanted(**{"views": 16, "size": 40, **wanted}))
    return folder


def copied(scene, to):
    shutil.copytree(scene, to)
    return to


def change(folder, pattern, made):
    """Replace each picture by what is made of its pixels."""
    for path in sorted(folder.glob(pattern)):
        if "depth" not in path.name:
            write_picture(path, made(read_picture(path).pixels))


def opaque(pixels):
    """Over white, without alpha."""
    alpha = pixels[..., 3:].astype(np.float32) / 255
    return (pixels[..., :3] * alpha + 255 * (1 - alpha)).round().astype(np.uint8)
