"""Our own engines: the fused steps, a user's own loop through autograd, inference."""

import torch
from torch import Tensor

from fields import ops, steps
from fields.bench.field_work import FieldWork
from fields.bench.workload import BETAS, EPS, RATE, Workload
from fields.models.hashgrid import HashGrid
from fields.plan import Plan, Stop
from fields.schedule import CONSTANT


def module(work: Workload, precision: str = "float32") -> HashGrid:
    """The workload's model as users build it, with the workload's weights."""
    field = HashGrid(
        work.channels,
        work.dim,
        num_levels=work.num_levels,
        features_per_level=work.features_per_level,
        log2_table_size=work.log2_table_size,
        base_resolution=work.base_resolution,
        growth=work.growth,
        width=work.width,
        depth=work.depth,
        precision=precision,
    )
    table, params = work.weights()
    with torch.no_grad():
        field.table.copy_(table)
        field.params.copy_(params)
    return field


class FusedEngine:
    """The built-in step, one op, and inference by the module.

    Made under the number of threads that it runs with.
    """

    def __init__(self, work: Workload, precision: str = "float32"):
        self.work = work
        self.field = module(work, precision)
        self.table, self.params = (
            (p.detach(), torch.zeros_like(p), torch.zeros_like(p))
            for p in (self.field.table, self.field.params)
        )
        self.workspace = ops.step_workspace(self.field.table, work.dim, work.grid)
        self.steps = 0

    def step(self, index: int) -> Tensor:
        """One training step on a batch of the workload; its loss before the step."""
        self.steps += 1
        coords, targets = self.work.batches[index % len(self.work.batches)]
        return ops.grid_mlp_step(
            coords,
            targets,
            self.table,
            self.params,
            self.workspace,
            self.field.grid,
            self.field.mlp,
            step=self.steps,
            lr_table=RATE,
            lr_params=RATE,
            beta1=BETAS[0],
            beta2=BETAS[1],
            eps=EPS,
        )

    def infer(self) -> Tensor:
        """Values [points, C]."""
        with torch.inference_mode():
            return self.field(self.work.coords)


class LoopEngine:
    """What a user writes: the module, a torch.nn loss, torch.optim.Adam.

    Args:
        fused: the option of that name of torch.optim.Adam.
    """

    def __init__(self, work: Workload, *, fused: bool):
        self.work = work
        self.field = module(work)
        self.criterion = torch.nn.MSELoss()
        self.optimizer = torch.optim.Adam(
            self.field.parameters(), lr=RATE, betas=BETAS, eps=EPS, fused=fused
        )

    def step(self, index: int) -> Tensor:
        """One training step on a batch of the workload; its loss before the step."""
        coords, targets = self.work.batches[index % len(self.work.batches)]
        self.optimizer.zero_grad()
        loss = self.criterion(self.field(coords), targets)
        loss.backward()
        self.optimizer.step()
        return loss.detach()


class FieldEngine:
    """A model of the catalogue as `fields fit` trains and asks it."""

    def __init__(self, work: FieldWork):
        self.work = work
        self.field = work.field()
        plan = Plan(work.training, CONSTANT, Stop(steps=1))
        self._step = steps.choose(self.field, self, plan, "l2")
        self._index = 0
        self.steps = 0

    def batch(self, count: int, seed: int, step: int) -> tuple[Tensor, Tensor]:
        """Of the step that is being taken: the engine is its own signal."""
        return self.work.batches[self._index % len(self.work.batches)]

    def step(self, index: int) -> Tensor:
        """One training step on a batch of the work; its loss before the step."""
        self._index = index
        self.steps += 1
        return self._step(self.steps, 1.0)

    def infer(self) -> Tensor:
        """Values [points, C]."""
        with torch.inference_mode():
            return self.field(self.work.coords)
