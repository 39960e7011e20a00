"""The frames of a JSON file: those of Blender, instant-ngp, nerfstudio, converters from COLMAP."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fields.errors import FieldsError
from fields.pictures.naming import plain, shown
from fields.scenes.depths import require_depth
from fields.scenes.files import find_image, named, read_json
from fields.scenes.headers import Header, read_headers, uses_alpha
from fields.scenes.poses import FOCAL, camera_of, number
from fields.scenes.scene import Broken, Frame

_NO_DEPTHS = "depths are missing, the first those of"
_IGNORED = ("white_transparent", "black_transparent", "fix_premult", "rolling_shutter",
            "from_mitsuba", "sharpen")  # fmt: skip


@dataclass
class FramesFile:
    """What one file holds.

    Attributes:
        content: the file's own keys.
        frames: those whose image is there, in its order.
        alpha: they say what is opaque, see `uses_alpha`.
        notes: what was left out.
        without_mask: names of frames whose mask is not there.
    """

    content: Mapping[str, Any]
    frames: list[Frame] = field(default_factory=list)
    alpha: bool = False
    notes: list[str] = field(default_factory=list)
    without_mask: list[str] = field(default_factory=list)


def read_frames(path: Path, *, mask_drops: bool = False) -> FramesFile:
    """The frames of a file; every fault is a FieldsError of one line that names file and frame.

    Args:
        path: of the JSON; what it names must lie in its folder.
        mask_drops: white in a mask_path is what does not count.

    Frames whose image is missing are left out, and a note says so.
    """
    result = FramesFile(read_json(path))
    frames = result.content.get("frames")
    if not isinstance(frames, list) or not frames:
        raise FieldsError(f"{shown(path)} has no frames; each view needs one, with its pose")
    places: list[tuple[int, dict[str, Any], Path]] = []
    missing: list[str] = []
    for index, values in enumerate(frames):
        with_image = _checked(path, index, values, _image_of)
        if with_image is None:
            missing.append(plain(str(values["file_path"])))
        else:
            places.append((index, values, with_image))
    if not places:
        raise FieldsError(
            f"{shown(path)} names {len(frames)} images and none of them is there, the first"
            f" {missing[0]}; put them beside it"
        )
    headers = read_headers([image for _, _, image in places])
    _require_shapes(path, result.content, [values for _, values, _ in places], headers)
    for (index, values, image), header in zip(places, headers, strict=True):
        result.frames.append(
            _checked(path, index, values, _frame_of, result, image, header, mask_drops)
        )
    result.alpha = uses_alpha([image for _, _, image in places], headers)
    if not result.alpha and any(header.has_alpha for header in headers):
        result.notes.append(f"the images of {path.name} have alpha and are opaque: it is left out")
    _note(result, path, missing, len(frames), headers)
    return result


def _require_shapes(
    path: Path, content: Mapping[str, Any], frames: list[dict[str, Any]], headers: list[Header]
) -> None:
    """FieldsError for images of several sizes whose one camera does not say which of them it means:
    an angle holds for all sizes of one shape, a focal length in pixels for one size."""
    sizes = [
        (header.width, header.height)
        for header, frame in zip(headers, frames, strict=True)
        if not any(key in values for key in ("w", "h") for values in (content, frame))
        and not any(key in frame for key in FOCAL)
    ]
    if len(set(sizes)) < 2:
        return
    (width, height), *others = dict.fromkeys(sizes)
    in_pixels = any(content.get(key) is not None for key in ("fl_x", "fl_y", "cx", "cy"))
    for other in others:
        if in_pixels or abs(other[0] * height - other[1] * width) > max(*other, width, height):
            raise FieldsError(
                f"{shown(path)} has one camera for images of {width} x {height} and of"
                f" {other[0]} x {other[1]} pixels; fl_x, fl_y, cx, cy, w and h in each frame say"
                " what holds for it"
            )


def _checked(path: Path, index: int, values: Any, step, *arguments):
    """What a step makes of a frame; what is Broken becomes a line with file and frame."""
    text = values.get("file_path") if isinstance(values, dict) else None
    called = f" ({named(text)})" if isinstance(text, str) else ""
    try:
        return step(path.parent, values, *arguments)
    except Broken as reason:
        raise FieldsError(f"{shown(path)}: frame {index}{called} {reason}") from None


def _image_of(folder: Path, values: Any) -> Path | None:
    if not isinstance(values, dict):
        raise Broken("is no object with file_path and transform_matrix")
    if "file_path" not in values:
        raise Broken("has no file_path")
    return find_image(folder, values["file_path"])


def _frame_of(
    folder: Path,
    values: dict[str, Any],
    result: FramesFile,
    image: Path,
    header: Header,
    mask_drops: bool,
) -> Frame:
    camera = camera_of(result.content, values, (header.width, header.height), header.is_turned)
    time = number(values, "time", math.nan)
    if not (math.isnan(time) or 0 <= time <= 1):
        raise Broken(f"has the time {time:g}; times run from 0 to 1")
    mask, drops = None, mask_drops
    if values.get("mask_path") is not None:
        mask = find_image(folder, values["mask_path"], "mask_path")
        if mask is None:
            result.without_mask.append(named(values["file_path"]))
    elif (beside := image.with_name(f"dynamic_mask_{image.stem}.png")).is_file():
        mask, drops = beside, True  # instant-ngp's masks say what moves
    key = next((k for k in ("depth_file_path", "depth_path") if values.get(k) is not None), None)
    depth = None if key is None else find_image(folder, values[key], key)
    if depth is not None:
        require_depth(depth, camera)
    elif key is not None and _NO_DEPTHS not in " ".join(result.notes):
        result.notes.append(f"{_NO_DEPTHS} {named(values['file_path'])}")
    return Frame(
        name=named(values["file_path"]),
        image=image,
        camera=camera,
        time=None if math.isnan(time) else time,
        mask=mask,
        mask_drops=drops,
        depth=depth,
        depth_scale=number(result.content, "integer_depth_scale", 1e-3),
    )


def _note(
    result: FramesFile, path: Path, missing: list[str], total: int, headers: list[Header]
) -> None:
    if missing:
        are = "is" if len(missing) == 1 else "are"
        result.notes.append(
            f"{len(missing)} of the {total} images of {path.name} {are} missing and left out, the"
            f" first {missing[0]}"
        )
    if result.without_mask:
        masks = "masks are" if len(result.without_mask) > 1 else "mask is"
        result.notes.append(
            f"{len(result.without_mask)} {masks} missing, and all pixels count there; the first"
            f" is that of {result.without_mask[0]}"
        )
    turned = sum(header.is_turned for header in headers)
    if turned:
        result.notes.append(
            f"{turned} images ask by EXIF to be shown turned; they are taken as stored, as poses"
            " are found"
        )
    ignored = [key for key in _IGNORED if result.content.get(key)]
    if ignored:
        result.notes.append(f"not heeded in {path.name}: {', '.join(ignored)}")
    timed = sum(frame.time is not None for frame in result.frames)
    if timed not in (0, len(result.frames)):
        raise FieldsError(
            f"{shown(path)} has a time in {timed} of {len(result.frames)} frames; all need one, or"
            " none"
        )
