"""A scene from COLMAP: sparse/0 beside images, images_2, ..."""

import re
from pathlib import Path

from fields.cameras import Camera
from fields.errors import FieldsError
from fields.pictures.naming import shown
from fields.scenes.colmap_model import (
    ModelCamera,
    ModelImage,
    has_model,
    read_cameras,
    read_images,
    read_points,
)
from fields.scenes.extent import extent
from fields.scenes.files import SUFFIXES, inside, named
from fields.scenes.headers import Header, read_headers, uses_alpha
from fields.scenes.poses import checked, checked_pose
from fields.scenes.scene import Broken, Frame, Scene
from fields.scenes.splits import hold_out
from fields.scenes.views import mean_up

_PLACES = ("sparse/0", "sparse", "colmap/sparse/0", "colmap/sparse", ".")


def model_folder(folder: Path) -> Path | None:
    """Where the sparse model of a scene's folder lies; None if there is none."""
    return next((folder / place for place in _PLACES if has_model(folder / place)), None)


def read_colmap(folder: Path, *, downscale: int = 1, mask_drops: bool = False) -> Scene:
    """A folder with a sparse model and its images.

    With `downscale` N, images_N is read where it is there, and the scene's `downscale` says so;
    what else is asked for is left to the caller. masks/NAME.png are masks. Every eighth view is
    held out. Raises FieldsError, one line.
    """
    model = model_folder(folder)
    assert model is not None
    notes: list[str] = []
    if model.name == "0" and (model.parent / "1").is_dir():
        notes.append(f"{model.parent.name} holds several models; {model.name} is read")
    cameras, images = read_cameras(model), read_images(model)
    where, smaller = _image_folder(folder, downscale, notes)
    found = [(image, path) for image in images if (path := _find(where, image, model))]
    if not found:
        raise FieldsError(
            f"{shown(model)} knows {len(images)} images and none of them is in {shown(where)}"
        )
    if len(found) < len(images):
        names = [image.name for image in images if all(image is not f for f, _ in found)]
        notes.append(
            f"{len(names)} of the {len(images)} images of {shown(model)} are missing and left out,"
            f" the first {names[0]}"
        )
    headers = read_headers([path for _, path in found])
    turned = sum(header.is_turned for header in headers)
    if turned:
        notes.append(
            f"{turned} images ask by EXIF to be shown turned; they are taken as stored, as COLMAP"
            " does"
        )
    frames = []
    for (image, path), header in zip(found, headers, strict=True):
        camera = _camera(image, cameras, header, smaller, model, path)
        mask = _mask(folder, where, path)
        name = named(path.relative_to(folder).as_posix())
        frames.append(Frame(name, path, camera, mask=mask, mask_drops=mask_drops))
    poses = [frame.camera for frame in frames]
    alpha = uses_alpha([path for _, path in found], headers)
    box, unbounded = extent(poses, alpha, notes, read_points(model))
    return Scene(
        name=folder.resolve().name,
        path=folder,
        format="colmap",
        splits=hold_out(frames, model, notes),
        box=box,
        up=mean_up(poses),
        alpha=alpha,
        unbounded=unbounded,
        downscale=smaller,
        notes=tuple(notes),
    )


def made_smaller(folder: Path, downscale: int) -> int:
    """How many times smaller the images that `read_colmap` takes are than COLMAP's."""
    return _image_folder(folder, downscale, [])[1]


def _image_folder(folder: Path, downscale: int, notes: list[str]) -> tuple[Path, int]:
    """The folder of images to read, and how many times smaller they are than the cameras say."""
    standing = {1: folder / "images"} if (folder / "images").is_dir() else {}
    for other in folder.glob("images_*"):
        if other.is_dir() and (match := re.fullmatch(r"images_(\d+)", other.name)):
            standing[int(match[1])] = other
    if downscale in standing:
        if downscale > 1:
            notes.append(f"the images are those of {standing[downscale].name}")
        return standing[downscale], downscale
    if 1 in standing:
        return standing[1], 1
    fitting = [factor for factor in standing if factor and downscale % factor == 0]
    if fitting:
        return standing[max(fitting)], max(fitting)
    if standing:
        factor = min(standing)
        raise FieldsError(
            f"{shown(folder)} has no images, only {standing[factor].name}; --downscale {factor}"
            " takes them"
        )
    return folder, 1


def _find(where: Path, image: ModelImage, model: Path) -> Path | None:
    """The file of an image: copies of other sizes may have another suffix."""
    try:
        path = inside(where, image.name, "the image")
    except Broken as reason:
        raise FieldsError(f"{shown(model)}: {reason}") from None
    if path.is_file():
        return path
    others = (path.with_suffix(suffix) for suffix in SUFFIXES)
    return next((other for other in others if other.is_file()), None)


def _camera(
    image: ModelImage,
    cameras: dict[int, ModelCamera],
    header: Header,
    smaller: int,
    model: Path,
    path: Path,
) -> Camera:
    found = cameras.get(image.camera)
    if found is None:
        raise FieldsError(f"{shown(model)}: image {path.name} has camera {image.camera}, unknown")
    across, down = header.width / found.width, header.height / found.height
    sides = ((header.width, found.width), (header.height, found.height))
    # Programs round a side down, to the nearest or up.
    if any(abs(side - whole / smaller) > (1 if smaller > 1 else 0) for side, whole in sides):
        raise FieldsError(
            f"{shown(path)} is {header.width} x {header.height} pixels, where {shown(model)} says"
            f" {found.width} x {found.height}"
            + (f", {smaller} times as many along an axis" if smaller > 1 else "")
        )
    try:
        camera = Camera(
            cam_to_world=checked_pose(image.cam_to_world),
            width=found.width,
            height=found.height,
            fl_x=found.fl_x,
            fl_y=found.fl_y,
            cx=found.cx,
            cy=found.cy,
            lens=found.lens,
        )
        return checked(camera.resized(header.width, header.height, across, down))
    except Broken as reason:
        raise FieldsError(f"{shown(model)}: image {path.name} {reason}") from None


def _mask(folder: Path, images: Path, path: Path) -> Path | None:
    """masks/NAME.JPG.png, as COLMAP has it, or masks/NAME.png."""
    inner = path.relative_to(images)
    beside = folder / "masks" / inner.parent
    candidates = (beside / f"{path.name}.png", beside / f"{path.stem}.png")
    return next((mask for mask in candidates if mask.is_file()), None)
