"""`fields.fit`: from a source to a run folder."""

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from fields import device, progress, sources
from fields.announcing import announcement, kernels
from fields.beginning import begin_anew, go_on
from fields.choosing import choose_step
from fields.configs import Config, SceneOptions, ShapeOptions
from fields.errors import FieldsError
from fields.fresh.options import Fresh
from fields.loop import Standing
from fields.progress import Progress
from fields.request import Request
from fields.runs import Run
from fields.session import Session
from fields.signals.signal import Signal
from fields.sources import Source


def fit(
    source: Source,
    model: str | Config | nn.Module | None = None,
    *,
    out: str | os.PathLike | None = None,
    steps: int | None = None,
    seconds: float | None = None,
    target: float | None = None,
    size_kb: float | None = None,
    bits: int | None = None,
    downscale: int | None = None,
    seed: int | None = None,
    device: str = "auto",
    threads: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    batch: int | None = None,
    rate: float | None = None,
    loss: str | Callable[[Tensor, Tensor], Tensor] | None = None,
    fresh: bool | Fresh | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Run:
    """Fit a field to a picture, a shape, a volume or a scene and write a run folder.

    Args:
        source: a file; the name of a sample; pixels [H, W] or [H, W, C], C 1 to 4, uint8, uint16 or
            floats (floats are light, as in an EXR file); the folder of a scene; or a Shape, a
            Volume or a Scene.
        model: a name of the catalogue (hashgrid by default), a Config, or your own module, which
            maps coords [N, D] in [0, 1] to values [N, C] and is trained in place.
        out: the run folder; by default runs/<source>-<model>, numbered where that is taken.
        steps, seconds, target: the first that is reached ends the fit: optimiser steps, seconds of
            training, PSNR in dB (of a shape the IoU of its inside). Without any it ends by itself:
            a picture after 6 s, a shape after 5.5, or 30 for a model that is one network (siren,
            finer, fourier, cam), a scene after 180.
        size_kb: the largest model whose file has at most so many thousand bytes.
        bits: of a stored weight, 8 or 32 (by default): a file of 8 is a quarter as large, and its
            field, which is the one that is scored, is rounded.
        downscale: fit a picture, or those of a scene, made smaller by this whole number, by area
            average; 1 by default, or that of the run that goes on.
        seed: of weights and batches, 0 by default.
        device: auto, cpu or cuda.
        threads: by default what this process may use.
        resume: go on with the run in `out`, from its last checkpoint.
        overwrite: replace the run in `out`.
        batch: samples of a step.
        rate: learning rate.
        loss: l2, l1, relative, binary, or a function of values [N, C] and targets [N, C]; by
            default l2 for pictures, relative for distances. An occupancy has binary, which nothing
            else has.
        fresh: whether FreSh chooses the frequency of the model, or a Fresh that says how; by
            default it does where the model has one and `options` do not name it.
        progress: shows where the fit stands; by default a bar on a terminal or in a notebook.
        options: of the model, by the names of its Config, and of the source, by those of
            ShapeOptions (stores, sign, surface, near, jitter, spread, truncation, eikonal) and
            SceneOptions (background, mask_of, pixels).

    Returns the run, scored. Raises FieldsError, in one line, for whatever the caller can put right;
    Interrupted, a KeyboardInterrupt, when Ctrl-C or a signal stops it, with what it reached kept.
    """
    kind = sources.kind_of(source)
    known = SceneOptions.names() if kind == "scene" else ShapeOptions.names()
    of_source = known & options.keys()
    request = Request(
        model=model,
        options={name: value for name, value in options.items() if name not in of_source},
        signal_options={name: options[name] for name in of_source},
        kind=kind,
        out=out,
        steps=steps,
        seconds=seconds,
        target=target,
        size_kb=size_kb,
        bits=bits,
        downscale=downscale,
        seed=seed,
        device=device,
        threads=threads,
        resume=resume,
        overwrite=overwrite,
        batch=batch,
        rate=rate,
        loss=loss,
        fresh=fresh,
    )
    return carry_out(request, source, progress, time.perf_counter())


def carry_out(
    request: Request,
    source: Source,
    reporter: Progress | None,
    wall_started: float,
    watch: Callable[[Session], None] | None = None,
) -> Run:
    """`fit`, for a request that was checked; the command began at `wall_started`. `watch` is told
    of the session before its first step."""
    reporter = reporter or progress.choose()
    with contextlib.ExitStack() as stack:
        threads = stack.enter_context(device.threads(request.threads))
        choice = device.choose(request.device)
        asked = request.options if request.config is None else request.config.as_dict()
        _check_precision(asked, choice.device)
        thing, name = sources.read(source, request)
        started = time.perf_counter()
        stack.enter_context(torch.random.fork_rng(devices=[]))
        if request.resume:
            begin = go_on(request, source, thing, choice.device)
        else:
            begin = begin_anew(request, thing, choice.device)
        signal = begin.signal
        stack.callback(begin.place.close)
        if begin.config is not None:
            _check_precision(begin.config.as_dict(), choice.device)
        field = begin.field.to(choice.device)
        step = choose_step(field, signal, begin.plan, begin.loss)
        if signal.kind != "scene":
            _check_field(field, signal)
        field.train()
        torch.manual_seed(begin.plan.seed)  # for a module that draws numbers of its own
        if begin.held:
            begin.held.restore(step)
        facts = {
            "source": name,
            "downscale": signal.describe().get("downscale", 1),
            "device": choice.device.type,
            "kernels": kernels(choice.device),
            "threads": threads,
        }
        if begin.fresh:
            facts["fresh"] = begin.fresh
        no_fresh = request.fresh is False
        for line in announcement(begin, signal, facts, choice.reason, no_fresh):
            reporter.say(line)
        session = Session(
            field=field,
            config=begin.config,
            signal=signal,
            step=step,
            plan=begin.plan,
            loss=request.loss_name or begin.loss_name,
            place=begin.place,
            progress=reporter,
            facts=facts,
            standing=begin.held.standing if begin.held else Standing(),
            started=started,
            wall_started=wall_started,
        )
        if watch is not None:
            watch(session)
        return session.run()


def _check_precision(options: Mapping[str, Any], where: torch.device) -> None:
    """FieldsError for arithmetic that the kernels do not have."""
    precision = options.get("precision", "float32")
    if not device.computes(precision, where):
        raise FieldsError(
            f"the {kernels(where)} kernels have no {precision} arithmetic on this machine;"
            " use --precision float32"
        )


def _check_field(field: nn.Module, signal: Signal) -> None:
    """FieldsError if a module does not map coordinates to the signal's values."""
    field.eval()  # so that no running mean or counter of a module moves
    with torch.no_grad():
        shape = list(field(signal.batch(2, 0, 1)[0]).shape)
    if shape != [2, signal.channels]:
        raise FieldsError(
            f"{type(field).__name__} maps coords [2, {signal.dim}] to {shape}; {signal.name} needs"
            f" {[2, signal.channels]}"
        )
