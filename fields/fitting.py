"""`fields.fit`: from a source to a run folder."""

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fields import catalogue, checkpoint, device, folder, ops, progress, resuming, sources
from fields.choosing import check_model, choose_step
from fields.configs import Config, SceneOptions, ShapeOptions
from fields.errors import FieldsError
from fields.folder import RunFolder
from fields.fresh.options import Fresh
from fields.fresh.search import Search, search
from fields.loop import Standing
from fields.pictures.naming import shown
from fields.plan import Plan
from fields.progress import Progress
from fields.request import Request
from fields.runs import Run
from fields.session import Session
from fields.shapes import Shape
from fields.signals.scene import SceneSignal
from fields.signals.signal import Signal
from fields.sources import Source, Thing
from fields.steps import Loss


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
            begin = _resumed(request, source, thing, choice.device)
        else:
            begin = _new(request, thing, choice.device)
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
            "kernels": _kernels(choice.device),
            "threads": threads,
        }
        if begin.fresh:
            facts["fresh"] = begin.fresh
        no_fresh = request.fresh is False
        for line in _announcement(begin, signal, facts, choice.reason, no_fresh):
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


@dataclass
class _Beginning:
    """What a session begins with; `held` is the checkpoint that it goes on from, `found` what
    FreSh found."""

    signal: Signal
    field: nn.Module
    config: Config | None
    plan: Plan
    loss: str | Loss
    place: RunFolder
    held: resuming.Checkpoint | None = None
    found: Search | None = None

    @property
    def fresh(self) -> dict[str, Any] | None:
        """What a search found, now or when the run began."""
        if self.found:
            return self.found.as_dict()
        return self.held.fresh if self.held else None

    @property
    def loss_name(self) -> str:
        assert isinstance(self.loss, str)
        return self.loss


def _new(request: Request, thing: Thing, where: torch.device) -> _Beginning:
    place = (
        folder.next_free(folder.RUNS, _stem(request, thing))
        if request.place is None
        else folder.new(request.place, overwrite=request.overwrite)
    )
    try:
        if request.size_kb is not None and isinstance(thing, Shape):
            why = "colours are not stored with --size-kb; without it they are"
            thing = thing.without_colours(why)
        signal = sources.signal_of(thing, request, where)
        check_model(request.model_name, signal)
        extra = checkpoint.header_bytes(signal.describe(), request.bits or 32)
        extra += sum(t.nbytes for t in signal.tensors().values())
        config = request.config_for(signal, extra)
        found = None
        if request.search:
            assert config is not None
            found = search(signal.samples_for_fresh, config.of_points, request.search)
            config = dataclasses.replace(config, **{found.setting: found.chosen})
        field = request.module
        if field is None:
            assert config is not None
            field = catalogue.build(config)
        loss = request.loss or signal.loss
        return _Beginning(signal, field, config, request.plan(signal), loss, place, found=found)
    except BaseException:
        place.close()
        raise


def _resumed(request: Request, source: Source, thing: Thing, where: torch.device) -> _Beginning:
    place = folder.existing(request.place or folder.latest(folder.RUNS, _stem(request, thing)))
    try:
        state = resuming.State.read(place)
        if isinstance(thing, Shape) and not state.is_coloured:
            thing = thing.without_colours()
        if isinstance(thing, Shape) and state.is_coloured and thing.colours is None:
            why = "".join(f"; {note}" for note in thing.notes if "colour" in note)
            raise FieldsError(
                f"{shown(place.path)} stores colours, and {thing.name} has none now{why}"
            )
        with_options = state.with_options_of(request)
        if request.kind == "scene":  # which is read by the options of the run
            thing, _ = sources.read(source, with_options)
        signal = sources.signal_of(thing, with_options, where)
        held = resuming.read(state, request, signal)
    except BaseException:
        place.close()
        raise
    loss = request.loss or held.loss
    return _Beginning(signal, held.field, held.config, held.plan, loss, place, held)


def _stem(request: Request, thing: Thing) -> str:
    return f"{folder.plain_name(thing.name)}-{folder.plain_name(request.model_name)}"


def _check_precision(options: Mapping[str, Any], where: torch.device) -> None:
    """FieldsError for arithmetic that the kernels do not have."""
    precision = options.get("precision", "float32")
    if not device.computes(precision, where):
        raise FieldsError(
            f"the {_kernels(where)} kernels have no {precision} arithmetic on this machine;"
            " use --precision float32"
        )


def _kernels(where: torch.device) -> str:
    return ops.ACTIVE.cpu if where.type == "cpu" else "cuda"


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


def _announcement(
    begin: _Beginning,
    signal: Signal,
    facts: dict[str, Any],
    reason: str | None,
    no_fresh: bool,
) -> Iterator[str]:
    """What will be done, for the reader."""
    if reason:
        yield f"on the CPU: {reason}"
    model = checkpoint.describe_model(begin.field, begin.config)["model"]
    count = sum(parameter.numel() for parameter in begin.field.parameters())
    yield f"{signal.name} ({signal}) -> {model}, {count:,} parameters"
    if begin.found:
        yield str(begin.found)
    if no_fresh and begin.config is not None and begin.config.frequency is None:
        yield f"--no-fresh changes nothing: {model} has no frequency that FreSh could choose"
    threads = f"{facts['threads']} thread{'s' if facts['threads'] != 1 else ''}"
    where = f"{threads}, {facts['kernels']}" if facts["device"] == "cpu" else "cuda"
    since, stop = "", begin.plan.stop.described(signal.unit or " IoU")
    if begin.held:
        at = begin.held.standing
        since = f"from step {at.step:,} ({at.seconds:.1f} s) "
    yield from begin.held.notes if begin.held else signal.notes
    if isinstance(signal, SceneSignal) and begin.plan.stop.target and not signal.has_validation:
        yield "there is no validation split: the target is compared with views that are trained on"
    yield f"{since}until {stop} ({where}) -> {shown(begin.place.path)}"
