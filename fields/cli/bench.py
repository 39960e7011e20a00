"""`fields bench NAME`: measurements; each is a module of fields.bench, but for the viewer's own."""

import importlib
from collections.abc import Sequence
from pathlib import Path

from fields.cli.parser import Parser
from fields.errors import FieldsError

BENCHMARKS = {
    "kernels": "our kernels against torch and others, and the peak of this machine",
    "fresh": "the frequency that FreSh chooses against a sweep of all, and what it costs",
    "cam": "what coordinate-aware modulation adds to a Fourier network, and by what",
    "models": "every model at one number of parameters: PSNR at equal steps and at equal seconds",
    "rbf": "Gaussian kernels, MLPs and a linear layer behind the same grid",
    "shapes": "meshes by models: how close the fields are after some seconds",
    "proxy": "scenes baked for the viewer, beside the fields: error, time of a picture, bytes",
    "viewer": "fresh frames a second of the viewer in a browser, and how soon they come",
    "triplane": "a set of shapes as fields, read by networks: accuracy beside nine numbers",
    "image": "seconds to 30, 35 and 40 dB, over pictures and seeds",
}


def main(arguments: Sequence[str], started: float) -> None:
    from fields.catalogue import suggestion

    names = "\n".join(f"{name}: {use}" for name, use in BENCHMARKS.items())
    name = arguments[0] if arguments else ""
    if name in ("", "-h", "--help"):
        print(f"usage: fields bench NAME [--json]\n\n{names}")
        return
    if name not in BENCHMARKS:
        raise FieldsError(f"there is no benchmark {name!r}{suggestion(name, BENCHMARKS)}")
    parser = Parser(f"bench {name}", BENCHMARKS[name])
    home = "fields_viewer.bench" if name == "viewer" else f"fields.bench.{name}"
    module = importlib.import_module(home)
    module.add_arguments(parser)
    if name == "triplane":  # what makes its set lies in a package that fields knows only from here
        parser.set_defaults(make_demo=_make_shapes)
    module.run(parser.parse(arguments[1:]))


def _make_shapes(folder: Path) -> None:
    """A small set of labelled shapes, for the demo."""
    from fields_scenes import families

    families.write(folder)
