"""A field model's training step and inference, against plain torch, eager and compiled.

What counts as a multiply-add: the products of layers alone. Forward 1 for each weight and sample;
a training step as many again for the gradients of weights and of the inputs of layers, but for the
inputs of the first layer where nothing is trained before it.
"""

from collections.abc import Sequence
from typing import Any

from fields.bench.contest import Contest, Make
from fields.bench.own_engines import FieldEngine
from fields.ops import MlpSpec

TITLES = {"step": "training step", "infer": "inference"}


def compare(
    contest: Contest,
    name: str,
    method: str,
    make: Make,
    *,
    eager: Sequence[str],
    compiled: Sequence[str],
    multiply_adds: int,
) -> list[dict[str, Any]]:
    """Rows of ours and torch's, in an empty contest of a FieldWork.

    Args:
        name: of the model, for the rows.
        method: "step" or "infer".
        make: a peer, from the way it is written and the mode of the compiler.
        eager, compiled: ways that it can be written.
        multiply_adds: for each sample.
    """
    work = contest.work
    ours = FieldEngine(work)
    contest.add("fields", ours.step if method == "step" else lambda _: ours.infer())
    contest.add_eager(method, make, eager)
    contest.add_compiled(method, make, compiled)
    contest.run()
    samples = work.batch if method == "step" else work.points
    return contest.rows(f"{name} {TITLES[method]}", samples, multiply_adds)


def of_network(mlp: MlpSpec, inputs: int, method: str) -> int:
    """Multiply-adds of a sample, of layers whose inputs are not trained."""
    layers = [out * into for out, into in mlp.layer_shapes(inputs)]
    return sum(layers) if method == "infer" else 3 * sum(layers) - layers[0]
