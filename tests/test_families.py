"""The generated data set of shapes: sound meshes with parts, told apart by their shape alone."""

import csv

import numpy as np
import pytest
import torch
import trimesh
from many_shapes import files_of
from shape_files import open3d

from fields import ops
from fields.errors import FieldsError
from fields.many.listing import list_scenes, list_shapes
from fields.scenes import read_scene
from fields.shapes import read_shape
from fields_scenes import families, family_scenes

EACH = 7


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The data set with 7 shapes of each family."""
    return families.write(tmp_path_factory.mktemp("families") / "set", per_class=EACH, seed=3)


@pytest.fixture(scope="module")
def shapes(written):
    """(family number, shape as it is read) of all."""
    listing = list_shapes(written)
    return [(item.label, read_shape(written / item.path)) for item in listing.items]


def test_a_list_says_families_labels_and_splits(written):
    listing = list_shapes(written)
    assert listing.classes == sorted(families.FAMILIES) and len(listing.classes) == 10
    assert len(listing.items) == 10 * EACH
    assert [item.label for item in listing.items[::EACH]] == list(range(10))
    splits = [item.split for item in listing.items[:EACH]]
    assert splits == ["train"] * 5 + ["test"] * 2
    with open(written / families.LIST, newline="") as file:
        assert {row["path"] for row in csv.DictReader(file)} == {
            path.relative_to(written).as_posix() for path in written.rglob("*.off")
        }


def test_meshes_are_closed_and_manifold(shapes):
    for _, shape in shapes:
        mesh = trimesh.Trimesh(shape.vertices, shape.faces, process=True)
        assert mesh.is_watertight and mesh.is_winding_consistent and mesh.volume > 0
        assert 500 < len(shape.faces) < 12_000


def test_every_face_has_one_part_and_every_part_faces(written):
    for path in written.rglob("*.off"):
        lines = path.with_name(f"{path.stem}_labels.txt").read_text().splitlines()
        names = lines[::2]
        faces = [[int(number) for number in line.split()] for line in lines[1::2]]
        assert len(set(names)) == len(names) >= 2 and len(faces) == len(names)
        of_mesh = int(path.read_text().split(maxsplit=3)[2])
        assert sorted(number for part in faces for number in part) == list(range(1, of_mesh + 1))


def test_parts_are_where_they_should_be():
    chair, mug = families.make("chair", 0), families.make("mug", 0)

    def middle(shape, name):
        faces = shape.faces[shape.part == shape.parts.index(name)]
        return shape.vertices[faces].mean((0, 1))

    assert middle(chair, "legs")[2] < middle(chair, "seat")[2] < middle(chair, "back")[2]
    assert middle(mug, "handle")[0] > middle(mug, "body")[0]


def test_a_seed_gives_the_same_bytes_and_another_one_others(tmp_path):
    one, two, three = (
        families.write(tmp_path / str(i), per_class=1, seed=seed)
        for i, seed in enumerate((5, 5, 6))
    )
    assert files_of(one) == files_of(two) != files_of(three)


def test_a_shape_does_not_depend_on_how_many_there_are(written, tmp_path):
    few = families.write(tmp_path / "few", per_class=2, seed=3)
    for path in few.rglob("*.off"):
        assert path.read_bytes() == (written / path.relative_to(few)).read_bytes()


def nine_numbers(shape):
    mesh = trimesh.Trimesh(shape.vertices, shape.faces, process=True)
    sides = np.ptp(shape.vertices, axis=0)
    fill = mesh.volume / sides.prod()
    return np.log([mesh.volume, mesh.area, *sides, *np.sort(sides), fill])


def occupancy(shape):
    """Which points of a grid of 8^3 in its box are inside."""
    low, high = shape.vertices.min(0), shape.vertices.max(0)
    placed = torch.from_numpy((shape.vertices - low) / (high - low)).float()
    bvh = ops.build_bvh(placed, torch.from_numpy(shape.faces))
    along = (torch.arange(8) + 0.5) / 8
    points = torch.cartesian_prod(along, along, along)
    return (ops.closest_point(bvh, points)[0].flatten() < 0).float().numpy()


def accuracy(features, labels, neighbours):
    """Of the vote of the nearest others."""
    apart = ((features[:, None] - features[None]) ** 2).sum(2)
    np.fill_diagonal(apart, np.inf)
    nearest = labels[np.argsort(apart, 1)[:, :neighbours]]
    votes = [np.bincount(row, minlength=10).argmax() for row in nearest]
    return float(np.mean(np.array(votes) == labels))


def linear(features, labels):
    """Of least squares on the numbers, their squares and products, each fifth told by the rest."""
    rows, columns = np.triu_indices(features.shape[1])
    x = np.hstack([np.ones((len(features), 1)), features, features[:, rows] * features[:, columns]])
    fold, wanted, right = np.arange(len(labels)) % 5, np.eye(10)[labels], 0
    for number in range(5):
        known, asked = fold != number, fold == number
        square = x[known].T @ x[known] + np.eye(x.shape[1])
        found = x[asked] @ np.linalg.solve(square, x[known].T @ wanted[known])
        right += int((found.argmax(1) == labels[asked]).sum())
    return right / len(labels)


def test_volume_area_and_extents_do_not_tell_families_apart_but_shapes_do(shapes):
    labels = np.array([label for label, _ in shapes])
    numbers = np.stack([nine_numbers(shape) for _, shape in shapes])
    numbers = (numbers - numbers.mean(0)) / numbers.std(0)
    for neighbours in (1, 5):
        assert accuracy(numbers, labels, neighbours) < 0.35
    assert linear(numbers, labels) < 0.4
    inside = np.stack([occupancy(shape) for _, shape in shapes])
    assert accuracy(inside, labels, 1) > 0.7


def test_wrong_arguments_are_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(FieldsError, match="per_class must be from 1 to 1000, got 0"):
        families.write(tmp_path / "set", per_class=0)
    with pytest.raises(FieldsError, match="no family 'cup'"):
        families.make("cup", 0)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(FieldsError, match="exists; name another"):
        families.write(tmp_path / "full", per_class=1)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["full", "notes.txt"]


def test_scenes_of_the_families_are_listed_and_show_each_part_in_its_colour(tmp_path, monkeypatch):
    open3d()
    monkeypatch.setattr(family_scenes, "FAMILIES", ("chair", "mug"))
    made = family_scenes.write_scenes(tmp_path / "seen", per_class=2, views=4, size=24)
    listing = list_scenes(made)
    assert [(item.path, item.kind, item.split) for item in listing.items] == [
        ("chair/000", "chair", "train"),
        ("chair/001", "chair", "test"),
        ("mug/000", "mug", "train"),
        ("mug/001", "mug", "test"),
    ]
    scene = read_scene(made / "chair/000")
    assert scene.alpha and len(scene.splits["train"]) == 4 and len(scene.splits["test"]) == 1
    chair = families.make("chair", 0)
    triangles = family_scenes.painted(chair, 1)
    colours = np.unique(triangles.colours.reshape(-1, 3), axis=0)
    assert len(colours) == len(chair.parts)
    assert np.linalg.norm(triangles.corners.reshape(-1, 3), axis=1).max() < 1.5
