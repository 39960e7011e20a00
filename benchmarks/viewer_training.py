"""Fits in view, under a camera that never rests, beside the same fits alone.

python benchmarks/viewer_training.py SOURCE ... --steps N [--share X] [options of `fields fit`]

Both take the same steps. Printed are their scores, whether all weights are the same bits, which
share of the time, and of the processors' time, training took while the camera moved, and which
share the bakes of a scene. Ends with 1 where weights differ, or where training and bakes took more
time than the share of training.
"""

import argparse
import json
import math
import multiprocessing
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fields import device, progress
from fields.cli import fit
from fields.fitting import carry_out
from fields.runs import Run
from fields_viewer import Viewer
from fields_viewer.protocol import FRAME, TILE
from fields_viewer.training import Training
from fields_viewer.turns import SHARE, Turns

SIZE = 400, 400
SAVED = 0.2  # seconds that training may have saved up, and those of a last step


class Measured(Training):
    """Counts the time, and that of all processors, of its turns."""

    def __init__(self, share: float):
        super().__init__(progress.Silent(), Turns(share))
        self.seconds = self.processor = 0.0
        self.begun = self.ended = 0.0
        self.drawn = self.baked = 0.0  # seconds of other turns, up to the last one of training
        self.before = (0.0, 0.0)  # of these, when it began

    def __enter__(self) -> float:
        waited = super().__enter__()
        self._at = time.perf_counter(), time.process_time()
        return waited

    def __exit__(self, *error: Any) -> None:
        self.ended = time.perf_counter()
        self.drawn, self.baked = self.turns.drawn, self.turns.baked
        self.seconds += self.ended - self._at[0]
        self.processor += time.process_time() - self._at[1]
        super().__exit__(*error)

    @property
    def passed(self) -> float:
        return self.ended - self.begun


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", nargs="+", metavar="SOURCE")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--share", type=float, default=SHARE)
    options, others = parser.parse_known_args()
    is_sound = True
    for source in options.sources:
        with tempfile.TemporaryDirectory() as folder:
            arguments = [source, "--steps", str(options.steps), *others]
            alone = fitted([*arguments, "--out", f"{folder}/alone"])
            training = Measured(options.share)
            seen, frames = fitted_in_view([*arguments, "--out", f"{folder}/seen"], training)
        row = compared(source, alone, seen, training, frames)
        print(json.dumps(row), flush=True)
        is_sound &= row["same_bits"] and row["within_share"]
    return 0 if is_sound else 1


def fitted(arguments: list[str]) -> Run:
    request, source, _ = fit.asked(arguments)
    return carry_out(request, source, progress.Silent(), time.perf_counter())


def fitted_in_view(arguments: list[str], training: Measured) -> tuple[Run, int]:
    """The run, and the frames that a page was shown meanwhile."""
    request, source, _ = fit.asked(arguments)
    processes = multiprocessing.get_context("spawn")
    moves, over, count = processes.Event(), processes.Event(), processes.Value("i", 0)
    opened: list[Any] = []

    def begins(session: Any) -> None:
        session.gate = training
        viewer = Viewer(session.live(), training=training, port=0)
        hand = processes.Process(
            target=move, args=(viewer.port, viewer.guard.token, moves, over, count)
        )
        opened.extend([viewer, hand])
        training.pause()  # until the camera moves
        training.begins(session.standing)
        hand.start()
        threading.Thread(target=resume, daemon=True).start()

    def resume() -> None:
        moves.wait()
        turns = training.turns
        training.begun, training.before = time.perf_counter(), (turns.drawn, turns.baked)
        training.resume()

    try:
        run = carry_out(request, source, training, time.perf_counter(), watch=begins)
    finally:
        over.set()
        for thing in reversed(opened):
            (thing.close if isinstance(thing, Viewer) else thing.join)()
    return run, count.value


def move(port: int, token: str, moves: Any, over: Any, count: Any) -> None:
    """A page whose hand never rests, in a process of its own."""
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    own = f"127.0.0.1:{port}"
    with connect(f"ws://{own}/live", origin=f"http://{own}", max_size=None) as socket:

        def say(kind: str, **message: Any) -> None:
            socket.send(json.dumps({"type": kind, **message}))

        say("hello", token=token)
        about = json.loads(socket.recv())
        begun = number = 0
        try:
            while not over.is_set():
                asks(say, about, number := number + 1)
                end = time.perf_counter() + 1 / 60
                while (left := end - time.perf_counter()) > 0:
                    try:
                        data = socket.recv(timeout=left)
                    except TimeoutError:
                        break
                    if isinstance(data, bytes):
                        begun += 1
                        count.value = begun
                        moves.set()
                        if data[0] == FRAME:
                            say("shown", id=int.from_bytes(data[4:8], "little"))
        except ConnectionClosed:
            pass


def asks(say: Any, about: dict[str, Any], number: int) -> None:
    """The next view around a subject, or the next tiles of a flat one."""
    if about["flat"]:
        columns, rows = (math.ceil(side / TILE) for side in about["size"])
        want = [[0, number % columns, number // columns % rows]]
        return say("tiles", id=number, want=want, moving=1)
    turn, target = about_axis(np.array(about["up"]), 0.02 * number), np.array(about["target"])
    pose = np.array(about["c2w"]).reshape(4, 4)
    pose[:3, :3] = turn @ pose[:3, :3]
    pose[:3, 3] = target + turn @ (pose[:3, 3] - target)
    return say("view", id=number, c2w=pose.ravel().tolist(), fov=about["fov"],
               w=SIZE[0], h=SIZE[1])  # fmt: skip


def about_axis(axis: np.ndarray, angle: float) -> np.ndarray:
    """[3, 3], Rodrigues' formula."""
    x, y, z = axis / np.linalg.norm(axis)
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + math.sin(angle) * k + (1 - math.cos(angle)) * k @ k


def compared(source: str, alone: Run, seen: Run, training: Measured, frames: int) -> dict[str, Any]:
    ours = dict(seen.field.named_parameters())
    same = all(torch.equal(value, ours[name]) for name, value in alone.field.named_parameters())
    with device.threads() as threads:
        processors = training.processor / threads
    share, passed = training.turns.share, training.passed
    drawn, baked = training.drawn - training.before[0], training.baked - training.before[1]
    score = next(name for name in ("psnr", "iou") if name in alone.metrics)
    return {
        "source": Path(source).name,
        "steps": seen.steps,
        "score": score,
        "alone": alone.metrics[score],
        "in_view": seen.metrics[score],
        "same_bits": same,
        "share": share,
        "of_time": round(training.seconds / passed, 3),
        "of_processors": round(processors / passed, 3),
        "within_share": training.seconds + baked <= share * passed + SAVED
        and processors <= share * passed + SAVED,
        "seconds_moved": round(passed, 1),
        "drawn": round(drawn / passed, 3),
        "baked": round(baked / passed, 3),
        "frames": frames,
    }


if __name__ == "__main__":
    sys.exit(main())
