"""`fields.fit_many`: a data set of shapes to a data set of fields."""

from __future__ import annotations

import dataclasses
import functools
import os
import time
from pathlib import Path
from typing import Any

from fields import __version__
from fields.device import threads as in_threads
from fields.errors import FieldsError, Interrupted
from fields.folder import RUNS, plain_name
from fields.loop import Caught, caught_signals
from fields.many import shards
from fields.many.group import fit_group, import_libraries
from fields.many.listing import Item, Listing, list_shapes
from fields.many.options import ManyOptions
from fields.many.pool import digest_of
from fields.many.reading import FieldSet, load_many
from fields.many.shards import FORMAT_VERSION, SetFolder, write_part
from fields.many.workers import in_processes
from fields.pictures.naming import shown
from fields.progress import Counted, Progress, Silent

Job = tuple[tuple[int, Item], ...]


def fit_many(
    source: str | os.PathLike,
    out: str | os.PathLike | None = None,
    *,
    threads: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> FieldSet:
    """Fit a small tri-plane field to each shape of a data set.

    Args:
        source: a folder of meshes, or a CSV that lists them: see `list_shapes`.
        out: the folder of the set; runs/SOURCE-fields by default.
        threads: processes of one thread; by default what may be used. Fields are the same bits for
            any number.
        resume: go on with the set in `out`, begun with the same options: no shape that was finished
            is fitted again.
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
    return carry_out(
        list_shapes(source),
        ManyOptions(**options),
        place_of(source, out),
        threads=threads,
        resume=resume,
        overwrite=overwrite,
        progress=progress or Silent(),
    )


def place_of(source: str | os.PathLike, out: str | os.PathLike | None) -> Path:
    """Where a set goes."""
    return Path(out) if out is not None else RUNS / f"{plain_name(Path(source).stem)}-fields"


def carry_out(
    listing: Listing,
    options: ManyOptions,
    out: Path,
    *,
    threads: int | None,
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
    with in_threads(threads) as processes, caught_signals() as caught:
        if resume:
            folder = SetFolder.resume(out, about, count)
        else:
            folder = SetFolder.create(out, about, count, overwrite=overwrite)
        try:
            _require_unchanged(listing, folder)
            begin = time.perf_counter()
            _fit_rest(listing, options, folder, processes, caught, progress)
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
    processes: int,
    caught: Caught,
    progress: Progress,
) -> None:
    """All that is not behind, a group at a time; each is kept as it ends."""
    count, done, size = len(listing.items), folder.done(), shards.GROUP
    groups = [range(i, min(i + size, count)) for i in range(0, count, size)]
    jobs: list[Job] = [
        tuple((i, listing.items[i]) for i in group) for group in groups if group[0] not in done
    ]
    import_libraries()
    work = functools.partial(_do, listing.folder, options, folder)
    progress.say(_said(listing, options, processes, len(done)))
    begin, reached = time.perf_counter(), len(done)
    for job, failures in in_processes(
        processes, work, jobs, stopped=lambda: bool(caught), called=lambda job: job[0][1].path
    ):
        for _, path, why in failures:
            progress.say(why if path in why else f"{path}: {why}")
        folder.collect()
        reached += len(job)
        seconds = time.perf_counter() - begin
        progress.advance(Counted(reached, count, seconds, "shapes", len(done)))
    if caught and reached < count:
        raise Interrupted(
            f"stopped by {caught[0].name}; {reached:,} of {count:,} shapes are kept in"
            f" {shown(folder.path)}: --resume goes on",
            caught[0],
        )


def _do(folder: Path, options: ManyOptions, target: SetFolder, job: Job) -> list[tuple]:
    """Fit a job and keep it; returns its failures."""
    group = fit_group(folder, job, options)
    write_part(target.part(job[0][0]), group, [number for number, _ in job])
    return group.failures


def _said(listing: Listing, options: ManyOptions, processes: int, done: int) -> str:
    classes = len(listing.classes)
    of_classes = f" of {classes:,} classes" if classes else ""
    behind = f", {done:,} behind" if done else ""
    return (
        f"{len(listing.items):,} shapes{of_classes}{behind}: {options.stores}, planes of"
        f" {options.planes_shown}, {4 * options.numbers / 1000:,.0f} kB each,"
        f" by {processes:,} processes"
    )
