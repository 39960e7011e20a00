"""What a fit begins with: anew, or where a run was left."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from fields import catalogue, checkpoint, folder, resuming, sources
from fields.choosing import check_model
from fields.configs import Config
from fields.errors import FieldsError
from fields.folder import RunFolder
from fields.fresh.search import Search, search
from fields.pictures.naming import shown
from fields.plan import Plan
from fields.request import Request
from fields.shapes import Shape
from fields.signals.signal import Signal
from fields.sources import Source, Thing
from fields.steps import Loss


@dataclass
class Beginning:
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


def begin_anew(request: Request, thing: Thing, where: torch.device) -> Beginning:
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
        return Beginning(signal, field, config, request.plan(signal), loss, place, found=found)
    except BaseException:
        place.close()
        raise


def go_on(request: Request, source: Source, thing: Thing, where: torch.device) -> Beginning:
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
        if sources.reads_otherwise(request, with_options):
            thing, _ = sources.read(source, with_options)
        signal = sources.signal_of(thing, with_options, where)
        held = resuming.read(state, request, signal)
    except BaseException:
        place.close()
        raise
    loss = request.loss or held.loss
    return Beginning(signal, held.field, held.config, held.plan, loss, place, held)


def _stem(request: Request, thing: Thing) -> str:
    return f"{folder.plain_name(thing.name)}-{folder.plain_name(request.model_name)}"
