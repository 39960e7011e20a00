"""The MLP alone, forward and backward: how near to the peak of the arithmetic it comes.

What counts as a multiply-add: forward 1 for each weight and sample. The backward op keeps nothing
of the forward but its input, so it computes the forward again and then the gradients of inputs and
weights: 3 for each weight and sample are carried out and counted in `share_of_peak`.
`share_of_peak_useful` counts the 2 that a backward pass needs.
"""

import dataclasses
from functools import partial
from typing import Any

import torch

from fields import ops
from fields.bench.contest import EAGER, Contest
from fields.mlp import split_params

LARGE = 8  # times the usual batch


def mlp_rows(contest: Contest, threads: int) -> list[dict[str, Any]]:
    """At the batch of a training step, and at a large one.

    What an op costs apart from its samples (its call, waking the threads) is told apart that way:
    it is as much in both.
    """
    work = contest.work
    large = dataclasses.replace(work, batch=LARGE * work.batch)
    return [
        *_rows(contest, ""),
        *_rows(contest.another(large), f", batch {large.batch:,}"),
    ]


def _rows(contest: Contest, note: str) -> list[dict[str, Any]]:
    work = contest.work
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(work.batch, work.inputs, generator=generator).requires_grad_()
    grad = torch.randn(work.batch, work.channels, generator=generator)
    params = work.weights()[1].requires_grad_()
    functions = {}
    for precision in ("float32", "bf16")[: 1 + ops.ACTIVE.bf16]:
        name = "fields" if precision == "float32" else "fields bf16"
        functions[name] = partial(ops.mlp, spec=work.mlp(precision))
    functions[EAGER] = partial(_plain, work=work)
    for name, function in functions.items():
        contest.add(name, _forward(function, x, params))
    contest.run()
    forward = contest.rows(f"MLP forward{note}", work.batch, work.multiply_adds)

    contest = contest.another()
    for name, function in functions.items():
        contest.add(name, _backward(function, x, params, grad))
    contest.run()
    backward = contest.rows(f"MLP backward{note}", work.batch, 3 * work.multiply_adds)
    for row in backward:
        for figure in [name for name in row if name.startswith("share_of_peak")]:
            row[figure.replace("peak", "peak_useful")] = row[figure] * 2 / 3
    return [*forward, *backward]


def _plain(x, params, work):
    weights = [weight for weight, _ in split_params(params, work.inputs, work.mlp())]
    for weight in weights[:-1]:
        x = torch.relu(x @ weight.T)
    return x @ weights[-1].T


def _forward(function, x, params):
    def call(_: int):
        with torch.inference_mode():
            return function(x, params)

    return call


def _backward(function, x, params, grad):
    """The backward alone: the graph is made once and kept."""
    y = function(x, params)
    return lambda _: torch.autograd.grad(y, (x, params), grad, retain_graph=True)
