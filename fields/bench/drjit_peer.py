"""The same field in Dr.Jit: its LLVM backend, hash grid and cooperative vectors.

Optional: `pip install drjit`, and a shared library of LLVM, which Dr.Jit finds by itself where the
system has one (Debian: `apt install libllvm15`) or through DRJIT_LIBLLVM_PATH.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from fields.bench.workload import BETAS, EPS, RATE, Workload


def why_not() -> str | None:
    """What is missing, in a line, or None."""
    try:
        import drjit
    except ImportError:
        return "drjit is not installed; pip install drjit"
    if not drjit.has_backend(drjit.JitBackend.LLVM):
        return "drjit finds no LLVM; apt install libllvm15, or set DRJIT_LIBLLVM_PATH"
    return None


class DrjitPeer:
    """Trains and asks the field; beyond the grid's borders its rows differ from ours by padding.

    Args:
        work: the model and the samples.
        frozen: record the step once and replay it (drjit.freeze), rather than trace it each time.
    """

    def __init__(self, work: Workload, *, frozen: bool):
        import drjit as dr
        from drjit import nn
        from drjit.llvm.ad import Float, TensorXf
        from drjit.opt import Adam

        self.dr, self.nn, self.Float = dr, nn, Float
        dr.set_thread_count(torch.get_num_threads())
        table, params = work.weights()
        self.encoding: Any = nn.HashGridEncoding(
            TensorXf,
            work.dim,
            n_levels=work.num_levels,
            n_features_per_level=work.features_per_level,
            hashmap_size=2**work.log2_table_size,
            base_resolution=work.base_resolution,
            per_level_scale=work.growth,
        )
        layers = [nn.Linear(-1, work.width, bias=False), nn.ReLU()] * work.depth
        network = nn.Sequential(*layers, nn.Linear(-1, work.channels, bias=False))
        self.network: Any = nn.pack(network.alloc(TensorXf, work.inputs), layout="training")
        self.optimizer: Any = Adam(lr=RATE, beta_1=BETAS[0], beta_2=BETAS[1], epsilon=EPS)
        # On a CPU the packed layout is ours: layer after layer, row major.
        self.optimizer["weights"] = Float(params.numpy())
        self.optimizer["grid"] = Float(self._without_padding(table, work))
        self._load()
        self.batches = [(self._array(x), self._array(t)) for x, t in work.batches]
        self.coords = self._array(work.coords)
        # What a frozen function reads and writes beside its arguments must be named.
        state = lambda *_: (self.network, self.encoding, self.optimizer)  # noqa: E731
        self._step = dr.freeze(self._plain_step, state_fn=state) if frozen else self._plain_step

    def _without_padding(self, table: Tensor, work: Workload) -> np.ndarray:
        """Our table, less the rows that round a level up to a multiple of eight."""
        starts = np.cumsum([0, *work.grid.rows(work.dim)])
        counts = np.diff([self.encoding.level_offset(i) for i in range(work.num_levels + 1)])
        levels = [table[a : a + n] for a, n in zip(starts, counts, strict=False)]
        return torch.cat(levels).reshape(-1).numpy()

    def _array(self, columns: Tensor) -> Any:
        """[N, C] -> an evaluated array of C columns."""
        from drjit.llvm.ad import ArrayXf

        result = ArrayXf(np.ascontiguousarray(columns.numpy().T))
        self.dr.eval(result)
        return result

    def _load(self) -> None:
        self.network["weights"] = self.optimizer["weights"]
        self.encoding.set_params(self.optimizer["grid"])

    def _values(self, coords: Any) -> Any:
        return list(self.network(self.nn.CoopVec(*self.encoding(coords))))

    def _plain_step(self, coords: Any, targets: Any) -> Any:
        dr = self.dr
        self._load()
        errors = [v - t for v, t in zip(self._values(coords), targets, strict=True)]
        loss = dr.mean(sum(e * e for e in errors)) / len(errors)
        dr.backward(loss)
        self.optimizer.step()
        return dr.detach(loss)

    def step(self, index: int) -> Any:
        """One training step on a batch of the workload; its loss before the step."""
        loss = self._step(*self.batches[index % len(self.batches)])
        self.dr.eval(loss, self.optimizer["weights"], self.optimizer["grid"])
        self.dr.sync_thread()
        return loss[0]

    def infer(self) -> Any:
        """Values, an array for each channel."""
        with self.dr.suspend_grad():
            values = self._values(self.coords)
        self.dr.eval(values)
        self.dr.sync_thread()
        return values

    def values(self) -> Tensor:
        """`infer` as a tensor [points, C]."""
        return torch.from_numpy(np.stack([v.numpy() for v in self.infer()], 1))
