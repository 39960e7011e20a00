"""`fields.fit_many`: a data set of shapes to a data set of fields."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fields import __version__
from fields.device import threads as in_threads
from fields.errors import FieldsError, Interrupted
from fields.folder import RUNS, plain_name
from fields.loop import Caught, caught_signals
from fields.many import on_ray, shards
from fields.many.group import Group, fit_group, import_libraries
from fields.many.listing import Item, Listing, list_scenes, list_shapes
from fields.many.options import ManyOptions
from fields.many.pool import digest_of
from fields.many.reading import FieldSet, load_many
from fields.many.shards import FORMAT_VERSION, SetFolder, write_part
from fields.many.workers import in_processes
from fields.pictures.naming import shown
from fields.progress import Counted, Progress, Silent


@dataclass(frozen=True)
class Job:
    """Shapes that are fitted together: (number, item) pairs. `again`: they had failed."""

    items: tuple[tuple[int, Item], ...]
    again: bool = False


@dataclass(frozen=True)
class Crew:
    """Who does the work: so many processes of this machine, or of a Ray cluster."""

    processes: int
    on_ray: bool = False


def fit_many(
    source: str | os.PathLike,
    out: str | os.PathLike | None = None,
    *,
    threads: int | None = None,
    ray: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> FieldSet:
    """Fit a small tri-plane field to each shape of a data set.

    Args:
        source: a folder of meshes, or a CSV that lists them: see `list_shapes`; for radiance fields
            of scenes: see `list_scenes`.
        out: the folder of the set; runs/SOURCE-fields by default.
        threads: processes of one thread; by default what may be used. Fields are the same bits for
            any number.
        ray: a Ray cluster that does the work: host:port of its head, `auto`, or `local` for one on
            this machine; see `on_ray`. Its nodes must find the sources where this machine does.
        resume: go on with the set in `out`, begun with the same options: no shape that was finished
            is fitted again. Shapes that failed are tried again.
        overwrite: replace the set in `out`.
        progress: is told; nobody by default.
        options: of `ManyOptions`.

    Shapes that cannot be fitted are told, and left out.

    Raises FieldsError for options and sources of no use, and where no shape could be fitted;
    Interrupted at Ctrl-C and its kin, after the shapes that are begun.
    """
    wrong = options.keys() - {f.name for f in dataclasses.fields(ManyOptions)}
    if wrong:
        raise FieldsError(f"there is no option {min(wrong)!r} of fit_many")
    asked = ManyOptions(**options)
    return carry_out(
        listing_of(source, asked),
        asked,
        place_of(source, out),
        threads=threads,
        ray=ray,
        resume=resume,
        overwrite=overwrite,
        progress=progress or Silent(),
    )


def listing_of(source: str | os.PathLike, options: ManyOptions) -> Listing:
    """The shapes of a source, or the scenes."""
    return list_scenes(source) if options.is_radiance else list_shapes(source)


def place_of(source: str | os.PathLike, out: str | os.PathLike | None) -> Path:
    """Where a set goes."""
    return Path(out) if out is not None else RUNS / f"{plain_name(Path(source).stem)}-fields"


def carry_out(
    listing: Listing,
    options: ManyOptions,
    out: Path,
    *,
    threads: int | None,
    ray: str | None = None,
    resume: bool,
    overwrite: bool,
    progress: Progress,
    started: float | None = None,
) -> FieldSet:
    """As `fit_many`, of what was checked."""
    started = time.perf_counter() if started is None else started
    if resume and overwrite:
        raise FieldsError("--resume goes on with a set, --overwrite begins anew: give one of them")
    listing = listing.with_copies(options.copies)
    about = _about(listing, options)
    count = len(listing.items)
    with contextlib.ExitStack() as stack:
        processes = stack.enter_context(in_threads(threads))
        if ray is not None:  # before anything is written
            processes = stack.enter_context(on_ray.cluster(ray, processes))
        caught = stack.enter_context(caught_signals())
        if resume:
            folder = SetFolder.resume(out, about, count)
        else:
            folder = SetFolder.create(out, about, count, overwrite=overwrite)
        try:
            _require_unchanged(listing, folder)
            begin = time.perf_counter()
            crew = Crew(processes, ray is not None)
            _fit_rest(listing, options, folder, crew, caught, progress)
            seconds = time.perf_counter() - begin
            folder.finish()
            result = load_many(out)
            if not len(result):
                first = result.failures[0]["error"]
                folder.remove()
                raise FieldsError(f"none of {count:,} shapes could be fitted; the first: {first}")
        finally:
            progress.close()
            folder.close()
    result.clocks = {"seconds": seconds, "wall_seconds": time.perf_counter() - started}
    return result


def _about(listing: Listing, options: ManyOptions) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "kind": "set",
        "version": __version__,
        "source": str(listing.folder.resolve()),
        "shapes": len(listing.items),
        "list": listing.digest(),
        "options": dataclasses.asdict(options),
    }


def _require_unchanged(listing: Listing, folder: SetFolder) -> None:
    """FieldsError if a shape that was fitted is another one now."""
    digests: dict[str, str | None] = {}
    for entry in folder.fitted().values():
        path = entry["path"]
        if path not in digests:
            digests[path] = digest_of(listing.folder / path)
        if digests[path] not in (None, entry["source_sha256"]):
            raise FieldsError(
                f"{shown(listing.folder / path)} has changed since it was fitted; --overwrite"
                " begins anew"
            )


def _fit_rest(
    listing: Listing,
    options: ManyOptions,
    folder: SetFolder,
    crew: Crew,
    caught: Caught,
    progress: Progress,
) -> None:
    """All that is not behind, a group at a time; each is kept as it ends."""
    count, again = len(listing.items), folder.failed()
    done = folder.done() - set(again)
    jobs = _jobs(listing, again, again=True)
    jobs += _jobs(listing, sorted(set(range(count)) - done - set(again)))
    progress.say(_said(listing, options, crew, len(done)))
    begin, reached = time.perf_counter(), len(done)
    kept = _on_ray if crew.on_ray else _here
    for job, failures in kept(listing.folder, options, folder, jobs, crew, caught):
        for _, path, why in failures:
            progress.say(why if path in why else f"{path}: {why}")
        folder.collect()
        reached += len(job.items)
        seconds = time.perf_counter() - begin
        progress.advance(Counted(reached, count, seconds, "shapes", len(done)))
    if caught and reached < count:
        raise Interrupted(
            f"stopped by {caught[0].name}; {reached:,} of {count:,} shapes are kept in"
            f" {shown(folder.path)}: --resume goes on",
            caught[0],
        )


def _jobs(listing: Listing, numbers: Sequence[int], *, again: bool = False) -> list[Job]:
    """Those items, in groups that lie within a part."""
    groups: dict[int, list[tuple[int, Item]]] = {}
    for number in numbers:
        groups.setdefault(number // shards.GROUP, []).append((number, listing.items[number]))
    return [Job(tuple(group), again) for group in groups.values()]


def _here(
    source: Path, options: ManyOptions, folder: SetFolder, jobs: list[Job], crew: Crew,
    caught: Caught,
) -> Iterator[tuple[Job, list]]:  # fmt: skip
    """Jobs by processes of this machine, which keep what they have fitted; their failures."""
    import_libraries()
    work = functools.partial(_fit_and_keep, source, options, folder)
    return in_processes(crew.processes, work, jobs, stopped=lambda: bool(caught), called=_called)


def _on_ray(
    source: Path, options: ManyOptions, folder: SetFolder, jobs: list[Job], crew: Crew,
    caught: Caught,
) -> Iterator[tuple[Job, list]]:  # fmt: skip
    """Jobs by a cluster, whose results come here and are kept as they come; their failures."""
    work = functools.partial(_fit, source.resolve(), options)
    for job, group in on_ray.in_cluster(work, jobs, stopped=lambda: bool(caught), called=_called):
        yield job, _keep(folder, job, group)


def _fit(source: Path, options: ManyOptions, job: Job) -> Group:
    if options.is_radiance:
        from fields.many.views import fit_scenes

        return fit_scenes(source, job.items, options)
    return fit_group(source, job.items, options)


def _keep(folder: SetFolder, job: Job, group: Group) -> list[tuple[int, str, str]]:
    numbers = [number for number, _ in job.items]
    write_part(folder.part(numbers[0], again=job.again), group, numbers)
    return group.failures


def _fit_and_keep(
    source: Path, options: ManyOptions, folder: SetFolder, job: Job
) -> list[tuple[int, str, str]]:
    return _keep(folder, job, _fit(source, options, job))


def _called(job: Job) -> str:
    return job.items[0][1].path


def _said(listing: Listing, options: ManyOptions, crew: Crew, done: int) -> str:
    classes = len(listing.classes)
    of_classes = f" of {classes:,} classes" if classes else ""
    behind = f", {done:,} behind" if done else ""
    return (
        f"{len(listing.items):,} shapes{of_classes}{behind}: {options.stores}, planes of"
        f" {options.planes_shown}, {4 * options.numbers / 1000:,.0f} kB each,"
        f" by {crew.processes:,} processes{' of a Ray cluster' if crew.on_ray else ''}"
    )
