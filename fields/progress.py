"""How a fit shows where it stands: a bar, a line in a notebook, plain lines, or nothing."""

import contextlib
import sys
from dataclasses import dataclass
from typing import Protocol, TextIO

LINE_SECONDS = 5.0  # between two plain lines


@dataclass(frozen=True)
class Figures:
    """Where a fit stands.

    Attributes:
        done: share of it that lies behind, from 0 to 1.
        seconds: of training so far.
        rate: samples a second.
        score: what the last batches let one expect; None where their loss does not say.
        target: score that ends the fit; when it will be reached is not known.
        loss: of the last batches, shown in place of a score.
        unit: of score and target.
    """

    done: float
    seconds: float
    rate: float
    score: float | None
    target: float | None = None
    loss: float = 0.0
    unit: str = " dB"

    def __str__(self) -> str:
        pace = f"{self.rate / 1e6:.2f} M samples/s"
        if self.target is not None:
            stands = f"loss {self.loss:.3g}, to" if self.score is None else f"{self.score:.1f} of"
            goal = f"{stands} {self.target:g}{self.unit}"
            return f"{pace}  {goal}  {duration(self.seconds)}"
        left = self.seconds * (1 - self.done) / self.done if self.done > 0 else 0.0
        shown = f"loss {self.loss:.3g}" if self.score is None else f"{self.score:.1f}{self.unit}"
        return f"{pace}  {shown}  {duration(left)} left"


@dataclass(frozen=True)
class Counted:
    """Where something stands of which there is a known number to do.

    Attributes:
        number, total: how many are done, and how many there are.
        seconds: since it began.
        what: they are called.
        before: how many were done when it began.
    """

    number: int
    total: int
    seconds: float
    what: str
    before: int = 0

    @property
    def done(self) -> float:
        return self.number / self.total

    def __str__(self) -> str:
        left = self.seconds * (self.total - self.number) / max(1, self.number - self.before)
        return f"{self.number:,} of {self.total:,} {self.what}  {duration(left)} left"


class Stand(Protocol):
    """Where something stands; as text, in a few words."""

    @property
    def done(self) -> float:
        """The share that lies behind, from 0 to 1."""
        ...

    @property
    def seconds(self) -> float:
        """Since it began."""
        ...


class Progress(Protocol):
    """Told by a fit, in this order: say, advance again and again, close."""

    def say(self, line: str) -> None:
        """A line for the reader: what will be done, or what is worth knowing."""
        ...

    def advance(self, figures: Stand) -> None: ...

    def close(self) -> None: ...


class Silent:
    def say(self, line: str) -> None:
        pass

    def advance(self, figures: Stand) -> None:
        pass

    def close(self) -> None:
        pass


class Lines:
    """A plain line every few seconds."""

    def __init__(self, stream: TextIO | None = None):
        self.stream = stream or sys.stderr
        self.last = 0.0

    def say(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a closed pipe must not end a fit
            print(line, file=self.stream, flush=True)

    def advance(self, figures: Stand) -> None:
        if figures.seconds - self.last >= LINE_SECONDS:
            self.last = figures.seconds
            self.say(f"{100 * figures.done:3.0f} %  {figures}")

    def close(self) -> None:
        pass


class Bar:
    """A bar that is drawn again and again, with rate, score and time left."""

    def __init__(self):
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self.bar = RichProgress(
            BarColumn(30),
            TaskProgressColumn(),
            TextColumn("{task.fields[figures]}"),
            console=Console(stderr=True),
            auto_refresh=False,  # a thread of its own would take time from the fit
            transient=True,
        )
        self.task = None
        self.last = 0.0

    def say(self, line: str) -> None:
        self.bar.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def advance(self, figures: Stand) -> None:
        if self.task is None:
            self.bar.start()
            self.task = self.bar.add_task("", total=1.0, figures="")
        elif figures.seconds - self.last < 0.1:
            return
        self.last = figures.seconds
        self.bar.update(self.task, completed=figures.done, figures=str(figures), refresh=True)

    def close(self) -> None:
        self.bar.stop()


class Cell:
    """A line below a notebook's cell that is written anew; rich's bar would need ipywidgets."""

    def __init__(self):
        self.line = None
        self.last = 0.0

    def say(self, line: str) -> None:
        print(line)

    def advance(self, figures: Stand) -> None:
        if figures.seconds - self.last >= 0.2:
            self.last = figures.seconds
            self._write(f"{100 * figures.done:3.0f} %  {figures}")

    def close(self) -> None:
        if self.line is not None:
            self._write("")

    def _write(self, text: str) -> None:
        from IPython.display import display

        content = {"text/plain": text}
        if self.line is None:
            self.line = display(content, raw=True, display_id=True)
        else:
            self.line.update(content, raw=True)


def choose() -> Progress:
    """What suits the place: a bar on a terminal, a line in a notebook, else nothing."""
    if _in_notebook():
        return Cell()
    return Bar() if sys.stderr.isatty() else Silent()


def _in_notebook() -> bool:
    interactive = sys.modules.get("IPython")
    shell = interactive.get_ipython() if interactive else None
    return type(shell).__name__ == "ZMQInteractiveShell"


def duration(seconds: float) -> str:
    """Seconds as 0.8 s, 12 s, 3:05 or 1:02:03."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
