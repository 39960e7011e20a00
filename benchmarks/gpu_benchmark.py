"""Training and inference on a GPU: ours, and torch.compile of the same model, in the same run.

python benchmarks/gpu_benchmark.py [--quick]

A round times each engine over at least 20 ms of queued work, waited for at its end; engines take
turns. Printed: million samples a second, the median of the rounds, and its quartiles.
"""

import argparse
import time
from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from fields import ops
from fields.bench.own_engines import module
from fields.bench.samples import NUM_BATCHES
from fields.bench.timing import spread
from fields.bench.torch_grid import TorchField
from fields.bench.torch_peer import TorchPeer
from fields.bench.workload import BETAS, EPS, RATE, Workload

ROUNDS, SLICE = 11, 0.02
PRECISIONS = ("float32", "bf16", "fp16")
COMPILED = (("default", "index"), ("reduce-overhead", "index"))


class OnDevice(Workload):
    """A workload whose batches lie on the device; in 2D pixels of a picture of noise."""

    device = "cuda"

    @cached_property
    def batches(self) -> list[tuple[Tensor, Tensor]]:
        rng = np.random.default_rng(0)
        if self.dim == 2:
            noise = rng.integers(0, 256, (512, 512, 3), dtype=np.uint8)
            pixels = torch.from_numpy(noise).to(self.device)
            return [ops.sample_pixels(pixels, self.batch, 0, i + 1) for i in range(NUM_BATCHES)]
        sizes = (self.batch, self.dim), (self.batch, self.channels)
        return [
            (torch.rand(sizes[0], device=self.device), torch.rand(sizes[1], device=self.device))
            for _ in range(NUM_BATCHES)
        ]

    @cached_property
    def coords(self) -> Tensor:
        if self.dim == 2:
            side = round(self.points**0.5)
            centres = (torch.arange(side) + 0.5) / side
            y, x = torch.meshgrid(centres, centres, indexing="ij")
            return torch.stack([x, y], -1).reshape(-1, 2).to(self.device)
        generator = torch.Generator().manual_seed(2)
        return torch.rand(self.points, self.dim, generator=generator).to(self.device)


class Fused:
    """The built-in step."""

    def __init__(self, work: OnDevice, precision: str, touched_only: bool = False):
        self.work, self.touched_only, self.count = work, touched_only, 0
        self.field = module(work, precision).to(work.device)
        table, params = self.field.table.detach(), self.field.params.detach()
        self.table = (table, torch.zeros_like(table), torch.zeros_like(table))
        self.params = (params, torch.zeros_like(params), torch.zeros_like(params))
        self.workspace = ops.step_workspace(table, work.dim, work.grid)

    def __call__(self) -> None:
        self.count += 1
        ops.grid_mlp_step(
            *self.work.batches[self.count % NUM_BATCHES],
            self.table,
            self.params,
            self.workspace,
            self.field.grid,
            self.field.mlp,
            step=self.count,
            lr_table=RATE,
            lr_params=RATE,
            beta1=BETAS[0],
            beta2=BETAS[1],
            eps=EPS,
            touched_only=self.touched_only,
        )


def own_loop(work: OnDevice, precision: str) -> Callable[[], None]:
    """A user's own loop: the module, a torch loss, torch's fused Adam."""
    field = module(work, precision).to(work.device)
    optimizer = torch.optim.Adam(field.parameters(), lr=RATE, betas=BETAS, eps=EPS, fused=True)
    count = 0

    def step() -> None:
        nonlocal count
        count += 1
        coords, targets = work.batches[count % NUM_BATCHES]
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(field(coords), targets).backward()
        optimizer.step()

    return step


def peer(work: OnDevice, mode: str, lookup: str, *, training: bool) -> Callable[[], None]:
    """torch.compile of the same model."""
    engine = TorchPeer(work, TorchField(work, lookup, by_corner=True), mode)
    engine.field.to(work.device)
    count = 0

    def step() -> None:
        nonlocal count
        count += 1
        engine.step(count) if training else engine.infer()

    return step


def rates(engines: dict[str, Callable[[], None]], samples: int, wait: Callable[[], None]) -> None:
    """Time the engines in turns and print a row each."""
    warm, times = {}, {}
    for name, call in engines.items():
        try:
            for _ in range(5):  # compiles, fills the allocator's cache
                call()
            wait()
            begin = time.perf_counter()
            call()
            wait()
            warm[name] = time.perf_counter() - begin
            times[name] = []
        except Exception as error:
            print(f"    {name:34} failed: {str(error).splitlines()[0][:100]}")
    for _ in range(ROUNDS):
        for name, seconds in warm.items():
            calls = max(1, round(SLICE / seconds))
            begin = time.perf_counter()
            for _ in range(calls):
                engines[name]()
            wait()
            times[name].append((time.perf_counter() - begin) / calls)
    for name, seconds in times.items():
        rate = spread([samples / s / 1e6 for s in seconds])
        middle = spread([s * 1e6 for s in seconds]).median
        print(f"    {name:34} {rate.median:9.1f}  [{rate.q1:.1f}, {rate.q3:.1f}]  {middle:9.1f} us")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, without torch.compile")
    parser.add_argument("--device", default="cuda")
    args = parser.parse_args()
    OnDevice.device = args.device
    on_gpu = args.device == "cuda"
    wait = torch.cuda.synchronize if on_gpu else (lambda: None)
    precisions = PRECISIONS if on_gpu else PRECISIONS[:1]
    name = torch.cuda.get_device_name() if on_gpu else args.device
    print(f"{name}, torch {torch.__version__}, CUDA {torch.version.cuda}; M samples/s [quartiles]")
    batches = (1 << 10,) if args.quick else (1 << 14, 1 << 18)
    for table, growth in ((15, 1.26), (19, 1.5)):
        for batch in batches:
            work = OnDevice(log2_table_size=table, growth=growth, batch=batch)
            print(f"2D training, batch {batch}, {work}")
            engines: dict[str, Callable[[], None]] = {}
            for precision in precisions:
                engines[f"fields {precision}"] = Fused(work, precision)
                engines[f"fields {precision}, own loop"] = own_loop(work, precision)
            engines["fields float32, touched only"] = Fused(work, "float32", True)
            if not args.quick:
                for mode, lookup in COMPILED:
                    call = peer(work, mode, lookup, training=True)
                    engines[f"torch.compile {mode}"] = call
            rates(engines, batch, wait)
    points = 1 << 10 if args.quick else 1 << 22
    for dim in (2, 3):
        work = OnDevice(dim=dim, log2_table_size=19, growth=1.5, batch=1 << 18, points=points)
        print(f"{dim}D inference, {points} points, {work}")
        engines = {}
        for precision in precisions:
            field = module(work, precision).to(work.device)
            engines[f"fields {precision}"] = torch.inference_mode()(
                lambda field=field, work=work: field(work.coords)
            )
        if not args.quick:
            mode, lookup = COMPILED[0]
            engines[f"torch.compile {mode}"] = peer(work, mode, lookup, training=False)
        rates(engines, points, wait)


if __name__ == "__main__":
    main()
