"""From a run, or a function, to what the page shows."""

from __future__ import annotations

from typing import Any

from fields.errors import FieldsError
from fields.runs import PictureRun, Run, SceneRun, ShapeRun, VolumeRun
from fields_viewer.subjects.function import FunctionSubject
from fields_viewer.subjects.picture import PictureSubject
from fields_viewer.subjects.scene import SceneSubject
from fields_viewer.subjects.shape import ShapeSubject
from fields_viewer.subjects.subject import Subject
from fields_viewer.subjects.volume import VolumeSubject

KINDS: list[tuple[type[Run], Any]] = [
    (PictureRun, PictureSubject),
    (ShapeRun, ShapeSubject),
    (VolumeRun, VolumeSubject),
    (SceneRun, SceneSubject),
]


def subject_of(thing: Any, **view: Any) -> Subject:
    """The subject of a run, or of a function that draws; a subject is one itself.

    Args:
        thing: the run, the function, or the subject.
        view: of a function, see FunctionSubject.
    """
    if isinstance(thing, Subject):
        return thing
    for kind, subject in KINDS:
        if isinstance(thing, kind):
            return subject(thing)
    if callable(thing):
        return FunctionSubject(thing, **view)
    raise FieldsError(f"a run or a function that draws can be viewed, got {type(thing).__name__}")
