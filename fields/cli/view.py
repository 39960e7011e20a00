"""`fields view RUN`: a field in the browser, live; `fields view SOURCE` fits it in view."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fields.cli.parser import Parser, number, whole
from fields.errors import FieldsError

if TYPE_CHECKING:
    from fields_viewer import Viewer


def main(arguments: Sequence[str], started: float) -> None:
    parser = _parser()
    if not arguments or "-h" in arguments or "--help" in arguments:
        parser.parse(arguments)
    parsed, others = parser.parse_known_args(arguments)
    if not 0 <= (parsed.port or 0) < 65536:
        raise FieldsError(f"--port must be from 0 to 65,535, got {parsed.port}")
    if not 0 <= (parsed.share or 0) <= 1:
        raise FieldsError(f"--share must be from 0 to 1, got {parsed.share:g}")
    options = {"host": parsed.host, "origins": parsed.allow_origin, "proxy": parsed.proxy}
    if parsed.port is not None:
        options["port"] = parsed.port
    if is_stored(parsed.thing):
        from fields.pictures.naming import shown

        if others:
            raise FieldsError(parser.unknown(others))
        if parsed.share is not None:
            raise FieldsError(
                f"--share is of a training in view, and {shown(parsed.thing)} is fitted; leave it"
                " away"
            )
        _view(parsed.thing, options, parsed.no_open)
    else:
        _fit_in_view([parsed.thing, *others], options, parsed, started)


def _parser() -> Parser:
    from fields_viewer.baking import PROXIES
    from fields_viewer.turns import SHARE

    parser = Parser("view", "Show a field in the browser; a source is fitted in view.")
    add = parser.add_argument
    add(
        "thing", metavar="RUN|SOURCE",
        help="a run folder or a field.safetensors; or a source, with the options of fields fit",
    )  # fmt: skip
    add("--port", type=whole, metavar="N", help="of this machine (7007, or one that is free)")
    add("--host", default="127.0.0.1", metavar="ADDRESS", help="to listen at (127.0.0.1)")
    add(
        "--allow-origin", action="append", default=[], metavar="ORIGIN",
        help="of a proxy that passes the page on, such as https://hub.example, with the path that"
        " it puts in front, if it does",
    )  # fmt: skip
    add("--no-open", action="store_true", help="do not open the browser")
    add(
        "--share", type=number, metavar="X",
        help=f"of the time that goes to training while a camera moves, from 0 to 1 ({SHARE})",
    )  # fmt: skip
    add(
        "--proxy", choices=PROXIES, default="auto",
        help="draw scenes in motion from a baked proxy; auto: on a CPU (auto)",
    )  # fmt: skip
    return parser


def is_stored(thing: str) -> bool:
    """A run folder or a file of weights is named, and no source."""
    from fields import folder

    path = Path(thing)
    if path.is_dir():
        return (path / folder.FIELD).is_file()
    return path.suffix == ".safetensors"


def _view(path: str, options: dict[str, Any], no_open: bool) -> None:
    from fields.cli.notes import say_fallback
    from fields.device import threads
    from fields.runs import load

    run = load(path)
    say_fallback(run)
    with threads():
        _opened(run, options, no_open).wait()


def _opened(run: Any, options: dict[str, Any], no_open: bool, training: Any = None) -> "Viewer":
    """The viewer, its address said, the browser asked to open it."""
    from fields_viewer.viewer import Viewer, opens

    viewer = Viewer(run, training=training, **options)
    for line in viewer.lines():
        print(line, file=sys.stderr if training else sys.stdout, flush=True)
    if not no_open:
        opens(viewer.url)
    return viewer


def _fit_in_view(
    arguments: list[str], options: dict[str, Any], parsed: Any, started: float
) -> None:
    """`fields fit`, with the pages that look told of it; they stay until Ctrl-C."""
    from fields.cli import fit

    request, source, as_json = fit.asked(arguments)
    from fields.fitting import carry_out
    from fields.session import Session
    from fields_viewer.subjects import subject_of
    from fields_viewer.training import Training
    from fields_viewer.turns import SHARE, Turns

    share = SHARE if parsed.share is None else parsed.share
    training = Training(fit.progress(), Turns(share))
    viewers: list[Viewer] = []

    def begins(session: Session) -> None:
        session.gate = training
        viewers.append(_opened(session.live(), options, parsed.no_open, training))
        training.begins(session.standing)

    try:
        run = carry_out(request, source, training, started, watch=begins)
        viewers[0].hub.show(subject_of(run))  # before pages ask for its still pictures
        training.ends(fit.summary(run).splitlines()[0])
        fit.report(run, as_json)
        viewers[0].wait()
    except BaseException as error:
        training.ends(" ".join(str(error).split()), failed=True)
        raise
    finally:
        for viewer in viewers:
            viewer.close()
