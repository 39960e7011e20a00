"""A field in plain torch, trained and asked as well as torch does it.

Adam is torch's, in one fused kernel. Those modes of torch.compile take part that mean something on
a CPU ("reduce-overhead" adds CUDA graphs alone); a benchmark reports the fastest.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fields.bench.field_work import FieldWork
from fields.bench.workload import Workload
from fields.steps import is_table

MODES = ("default", "max-autotune-no-cudagraphs")


class TorchPeer:
    """
    Args:
        work: the samples, and the rates.
        field: a module, coordinates [N, D] -> values [N, C].
        mode: of torch.compile; None is eager.
    """

    def __init__(self, work: Workload | FieldWork, field: Any, mode: str | None = None):
        self.work = work
        self.field = field
        training = work.training
        rates: dict[float, list[Tensor]] = {}
        for name, parameter in field.named_parameters():
            rate = training.table_rate if is_table(name) else training.rate
            rates.setdefault(rate, []).append(parameter)
        self.optimizer = torch.optim.Adam(
            [{"params": parameters, "lr": rate} for rate, parameters in rates.items()],
            betas=(training.beta1, training.beta2),
            eps=training.eps,
            fused=True,
        )
        self._values, self._loss = self.field.__call__, self._plain_loss
        if mode is not None:
            # A fallback to eager for want of this would pass for the compiler's speed.
            torch._dynamo.config.recompile_limit = 64  # pyright: ignore[reportAttributeAccessIssue]
            options = {"mode": mode, "dynamic": False, "fullgraph": True}
            self._values = torch.compile(self.field, **options)
            self._loss = torch.compile(self._plain_loss, **options)

    def _plain_loss(self, coords: Tensor, targets: Tensor) -> Tensor:
        return F.mse_loss(self.field(coords), targets)

    def step(self, index: int) -> Tensor:
        """One training step on a batch of the work; its loss before the step."""
        batches = self.work.batches
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._loss(*batches[index % len(batches)])
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def infer(self) -> Tensor:
        """Values [points, C]; in chunks of a batch, which is faster here than all at once."""
        with torch.inference_mode():
            chunks = self.work.coords.split(self.work.batch)
            return torch.cat([self._values(chunk) for chunk in chunks])
