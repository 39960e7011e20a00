"""One fit from its first step to its files: what the loop tells and asks, and what is written."""

import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import fields
from fields import checkpoint, colouring, eight_bits, folder, loop
from fields.configs import Config
from fields.errors import FieldsError, Interrupted
from fields.folder import RunFolder
from fields.loop import Caught, Diverged, Standing
from fields.models.hashgrid import HashGrid
from fields.pictures.naming import shown
from fields.plan import Plan
from fields.progress import Figures, Progress
from fields.render import device_of
from fields.runs import Run, run_of
from fields.signals.signal import Signal
from fields.steps import Step

_LOG_SHARE = 0.02  # of the time so far, between two lines of the log


@dataclass
class Session:
    """A fit under way.

    Args:
        field, config: the module, and its configuration where it is of the catalogue.
        signal, step, plan, loss: what it learns, how, for how long, and the name of its loss.
        place: the run folder.
        progress: told where the fit stands.
        facts: what metrics.json says beyond figures: source, downscale, device, threads, kernels,
            and what FreSh found.
        standing: where it begins.
        started, wall_started: `time.perf_counter()` when the training clock and the command began.
        gate: that each step passes.
    """

    field: nn.Module
    config: Config | None
    signal: Signal
    step: Step
    plan: Plan
    loss: str
    place: RunFolder
    progress: Progress
    facts: dict[str, Any]
    standing: Standing
    started: float
    wall_started: float
    gate: loop.Gate = dataclasses.field(default_factory=loop.Open)

    def __post_init__(self):
        self._first = dataclasses.replace(self.standing)
        self._kept: int | None = self.standing.step or None  # the step of the last checkpoint
        self._log: list[dict[str, Any]] = []
        self._next_line = 0.0
        self._fingerprint: str | None = None
        self._colours = self._stored_colours()  # the field of those of a shape
        self._colour_seconds = 0.0

    def run(self) -> Run:
        """Fit, write, score. Raises Interrupted or FieldsError when it ended otherwise."""
        self._note("resume" if self.standing.step else "start")
        with loop.caught_signals() as caught:
            try:
                reason = loop.run(
                    self.step,
                    self.plan,
                    self.standing,
                    self,
                    started=self.started,
                    wall_started=self.wall_started,
                    caught=caught,
                    gate=self.gate,
                )
                self._require_sound()
            except Diverged as error:
                raise Diverged(f"{error}; {self._what_is_kept()}; try a smaller --rate") from None
            finally:
                self.progress.close()
            if caught:
                self._keep()
                raise self._stopped(caught)
            with self._telling_what_is_kept():
                self._note("end", reason=reason)
                self._write_weights()
                try:
                    self._publish()
                finally:  # wherever the files are now
                    self._colour(caught)
                    run = self._score(reason, caught)
            return run

    def live(self) -> Run:
        """The run as it stands, its weights those that are trained."""
        tensors = self.signal.tensors()
        run = run_of(self.place.path, self.field, self._describe_field(), self.facts, tensors)
        self.field.train()
        return run

    def _stored_colours(self) -> HashGrid | None:
        """Those of the run that goes on, kept until new ones replace them."""
        if not self.standing.step or self.signal.colours() is None:
            return None
        try:
            file = self.place.file(folder.FIELD)
            return colouring.restore(file, *checkpoint.read(file))
        except FieldsError:  # a field that is damaged is written anew
            return None

    def _stopped(self, caught: Caught) -> Interrupted:
        return Interrupted(f"stopped by {caught[0].name}; {self._what_is_kept()}", caught[0])

    def _colour(self, caught: Caught) -> None:
        """Fit the colours of a shape that has some, once its distances are kept."""
        source = self.signal.colours()
        if source is None or caught:
            return
        begin = time.perf_counter()
        where = device_of(self.field)
        taken, seed = self.standing.step, self.plan.seed
        try:
            colours = colouring.fit(source, taken, seed, where, stopped=lambda: bool(caught))
        except Diverged as error:
            self._colours = None
            self._note("colours", broken=str(error))
            self.progress.say(f"{error}; the distances are kept, and no colours are stored")
            self._write_field()
            self._write_log()
            return
        if colours is None:
            return
        self._colours, self._colour_seconds = colours, time.perf_counter() - begin
        self._note("colours", seconds_of_colours=round(self._colour_seconds, 4))
        self._write_field()
        self._write_log()

    # What the loop tells and asks

    def advance(self, standing: Standing) -> None:
        seconds = max(standing.seconds, 1e-9)
        expected = self.estimate(standing.loss)
        target = self.plan.stop.target
        done = standing.done
        if target is not None and expected is not None:
            done = max(done, expected / target)
        self.progress.advance(
            Figures(
                done=min(max(done, 0.0), 1.0),
                seconds=seconds,
                rate=self._rate(),
                score=expected,
                target=target,
                loss=standing.loss,
                unit=self.signal.unit,
            )
        )
        if seconds >= self._next_line:
            self._next_line = seconds + max(0.1, _LOG_SHARE * seconds)
            name = f"expected_{self.signal.metric}"
            scores = {} if expected is None else {name: round(expected, 3)}
            self._note("progress", loss=standing.loss, **scores)

    def checkpoint(self, standing: Standing) -> None:
        self._require_sound()
        self._keep()

    def score(self) -> float:
        return self._looked("check", self.signal.score)

    def sampled_score(self) -> float:
        return self._looked("look", self.signal.sampled_score)

    def _looked(self, event: str, measure: Callable[[nn.Module], float]) -> float:
        self.field.eval()
        if self.plan.bits == 8:  # the weights are others for a while
            with self.gate, eight_bits.rounded(self.field):
                score = measure(self.field)
        else:
            score = measure(self.field)
        self.field.train()
        self._note(event, **{self.signal.metric: round(score, 4)})
        return score

    def estimate(self, loss: float) -> float | None:
        return self.signal.estimate(loss, self.loss)

    def sampled_seconds(self) -> float:
        # Inference takes about a third of a training step's time for the same samples.
        return self.signal.sampled / max(3 * self._rate(), 1.0)

    # What is written

    def _keep(self) -> None:
        """A checkpoint: from here --resume goes on, and the field loads."""
        if self.standing.step == 0:
            return
        with self._telling_what_is_kept():
            self._note("checkpoint")
            self._write_weights()
            self._publish()

    def _publish(self) -> None:
        self._kept = self.standing.step  # under another name where this one cannot be had
        self.place.publish()

    def _write_weights(self) -> None:
        self._write_state()
        self._write_field()
        self._write_log()

    def _write_log(self) -> None:
        self.place.log("".join(f"{json.dumps(line, allow_nan=False)}\n" for line in self._log))
        self._log.clear()

    def _score(self, reason: str, caught: Caught) -> Run:
        """As `_finish`, ended at once by a signal: what is left can be had again from the files."""
        caught.at_once = True
        try:
            if caught:
                raise self._stopped(caught)
            return self._finish(reason)
        except Interrupted:
            raise self._stopped(caught) from None

    def _finish(self, reason: str) -> Run:
        """Preview and scores of a run whose field stands; they are those of the field read back."""
        file = self.place.file(folder.FIELD)
        tensors, content = checkpoint.read(file)
        checkpoint.fill(file, tensors, self.field)
        run = run_of(self.place.path, self.field, content, tensors=tensors)
        scores = run.finish(self.signal, self.place)
        run.metrics = self._metrics(reason, file.stat().st_size) | scores
        with self.place.replacing(folder.METRICS) as written:
            text = json.dumps(run.metrics, indent=2, allow_nan=False)
            written.write(text.encode() + b"\n")
        run.path = self.place.path
        return run

    @contextmanager
    def _telling_what_is_kept(self) -> Iterator[None]:
        try:
            yield
        except (FieldsError, OSError) as error:
            raise FieldsError(f"{error}; {self._what_is_kept()}") from None

    def _write_field(self) -> None:
        weights = self._stored(checkpoint.weights(self.field), self.field, "field")
        tensors = {**weights, **self.signal.tensors()}
        content = self._describe_field()
        if self._colours is not None:
            own = colouring.tensors(self._colours)
            tensors |= self._stored(own, self._colours, colouring.KEY)
            content[colouring.KEY] = self._colours.config.as_dict()
        self._write(folder.FIELD, tensors, content)

    def _stored(
        self, tensors: dict[str, Tensor], field: nn.Module, prefix: str
    ) -> dict[str, Tensor]:
        """A field's tensors as a file of so many bits has them."""
        if self.plan.bits == 32:
            return tensors
        return eight_bits.pack(tensors, [f"{prefix}.{name}" for name in eight_bits.names_of(field)])

    def _describe_field(self) -> dict[str, Any]:
        """No clock and no path stands here: the same fit gives the same bytes."""
        return {
            "kind": "field",
            **checkpoint.describe_model(self.field, self.config),
            "signal": self.signal.describe(),
            "world_to_unit": self.signal.world_to_unit(),
            "steps": self.standing.step,
            "seed": self.plan.seed,
            "bits": self.plan.bits,
            "version": fields.__version__,
        }

    def _write_state(self) -> None:
        if self._fingerprint is None:
            self._fingerprint = self.signal.fingerprint()
        content = {
            **self._describe_field(),
            "kind": "state",
            "seconds": self.standing.seconds,
            "plan": self.plan.as_dict(),
            "loss": self.loss,
            "source_hash": self._fingerprint,
            "fresh": self.facts.get("fresh"),
        }
        tensors = {**self.step.tensors(), "rng": torch.get_rng_state()}
        self._write(folder.STATE, tensors, content)

    def _write(self, name: str, tensors: Mapping[str, Tensor], content: dict[str, Any]) -> None:
        place = self.place
        checkpoint.write(place.file(name), tensors, content, known_as=place.known_as(name))

    def _metrics(self, reason: str, size: int) -> dict[str, Any]:
        return {
            "model": checkpoint.describe_model(self.field, self.config)["model"],
            **self.facts,
            "steps": self.standing.step,
            "seconds": round(self.standing.seconds + self._colour_seconds, 4),
            "wall_seconds": round(time.perf_counter() - self.wall_started, 4),
            "check_seconds": round(self.standing.check_seconds, 4),
            "samples_per_second": round(self._rate()),
            "parameters": sum(p.numel() for p in self.field.parameters()),
            "bytes": size,
            "bits": self.plan.bits,
            "seed": self.plan.seed,
            "version": fields.__version__,
            "ended_by": reason,
            "target": self.plan.stop.target,
        }

    def _note(self, event: str, **figures: Any) -> None:
        """A line for the log, written with the next checkpoint so that the two agree."""
        seconds = round(self.standing.seconds, 4)
        line = {"event": event, "step": self.standing.step, "seconds": seconds, **figures}
        self._log.append(line)

    # What is said

    def _rate(self) -> float:
        """Samples a second, of this session."""
        steps = self.standing.step - self._first.step
        seconds = self.standing.seconds - self._first.seconds
        return steps * self.plan.training.batch / max(seconds, 1e-9)

    def _require_sound(self) -> None:
        name = loop.broken_tensor(self.step)
        if name:
            raise Diverged(f"step {self.standing.step}: {name} holds NaN or infinity")

    def _what_is_kept(self) -> str:
        if self._kept is None:
            return "nothing was written"
        return f"step {self._kept} is kept in {shown(self.place.path)}, --resume goes on from it"
