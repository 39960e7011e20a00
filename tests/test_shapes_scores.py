"""Scores are what geometry says they are."""

import os
from pathlib import Path

import numpy as np
import pytest
import shape_files
import torch
from shape_files import sphere

from fields.shapes import Shape, ShapeSpace, read_shape
from fields.shapes.mend import mend
from fields.shapes.scores import score_shape

shape_files.open3d()

BALL = mend("ball", *sphere(rounds=5))


def test_a_shape_scores_all_against_itself():
    scores = score_shape(BALL, BALL.vertices, BALL.faces)
    for name in ("iou", "iou_near", "f_score", "f_score_01", "normal_consistency"):
        assert scores[name] == pytest.approx(1, abs=1e-6)
    assert scores["volume_error"] == 0 and scores["chamfer_l1"] < 1e-6


def test_a_larger_ball_scores_as_its_radius_says():
    grown = 1.01
    scores = score_shape(BALL, BALL.vertices * grown, BALL.faces)
    assert scores["iou"] == pytest.approx(grown**-3, abs=2e-3)
    assert scores["chamfer_l1"] == pytest.approx(0.005, rel=1e-2)  # the longest side is 1
    assert scores["chamfer_l2"] == pytest.approx(0.005**2, rel=2e-2)
    assert scores["volume_error"] == pytest.approx(grown**3 - 1, rel=1e-3)
    assert scores["f_score"] == 1 and scores["f_score_01"] == 0
    # Of the shell, 2 r thick, r outside; what is in both and in either, by thickness.
    diagonal = np.sqrt(3)
    assert scores["iou_near"] == pytest.approx(1 / (1 + 0.005 / (0.01 * diagonal)), abs=0.02)


def test_a_field_is_asked_for_its_signs_and_distances():
    space = ShapeSpace.around(BALL.vertices)

    def field(coords):
        return (coords - 0.5).norm(dim=1, keepdim=True) - space.scale + 0.0009

    scores = score_shape(BALL, BALL.vertices, BALL.faces, field)
    assert scores["iou"] == pytest.approx((1 - 0.0009 / space.scale) ** 3, abs=2e-3)
    assert scores["distance_error"] == pytest.approx(0.001, abs=3e-4)
    assert "distance_error" not in score_shape(
        BALL, BALL.vertices, BALL.faces, lambda c: torch.sign(field(c)), is_distance=False
    )


def test_a_field_is_asked_in_a_space_of_its_own():
    own = ShapeSpace.around(BALL.vertices)
    space = ShapeSpace(0.7 * own.scale, (0.4, 0.45, 0.6))

    def field(coords):
        centre = torch.tensor(space.to_unit(np.zeros(3)), dtype=torch.float32)
        return (coords - centre).norm(dim=1) - 0.98 * space.scale

    scores = score_shape(BALL, BALL.vertices, BALL.faces, field, space=space)
    assert scores["iou"] == pytest.approx(0.98**3, abs=2e-3)
    assert scores["distance_error"] == pytest.approx(0.01, abs=3e-4)


def test_open_meshes_and_points_have_no_inside():
    hole = mend("hole", BALL.vertices, BALL.faces[50:])
    scores = score_shape(hole, BALL.vertices, BALL.faces)
    assert "iou" not in scores and scores["f_score"] < 1
    empty = np.empty((0, 3), np.int64)
    points = Shape("points", BALL.vertices, empty, "points", BALL.vertices)
    scores = score_shape(points, BALL.vertices, BALL.faces)
    assert "iou" not in scores and scores["normal_consistency"] > 0.99
    assert scores["points_distance"] < 1e-6 and scores["points_share"] == 1


def test_points_are_not_scored_by_how_far_apart_they_lie():
    few = Shape("few", BALL.vertices[::40], np.empty((0, 3), np.int64), "points")
    scores = score_shape(few, BALL.vertices, BALL.faces)
    assert scores["points_distance"] < 1e-6 and "chamfer_l1" not in scores
    assert "normal_consistency" not in scores
    away = score_shape(few, 1.02 * BALL.vertices, BALL.faces)
    assert away["points_distance"] == pytest.approx(0.01, rel=0.05)  # the ball is 1 wide
    assert away["points_share"] == 0


@pytest.mark.skipif("FIELDS_DATA" not in os.environ, reason="FIELDS_DATA names no test data")
@pytest.mark.parametrize(
    ("name", "sign"),
    [
        ("armadillo.off", "pseudonormal"),
        ("fandisk.obj", "pseudonormal"),
        ("spot.obj", "pseudonormal"),
        ("beetle_open.obj", "none"),
        ("suzanne_open.obj", "none"),
    ],
)
def test_real_meshes_are_known_open_or_closed(name, sign):
    shape = read_shape(Path(os.environ["FIELDS_DATA"]) / "meshes" / name)
    assert shape.sign == sign and shape.colours is None


def test_the_inside_of_parts_that_cut_each_other_is_all_of_them():
    from shape_files import joined, sphere

    both = joined(sphere(1.0), sphere(1.0, centre=(1.0, 0, 0)))
    shape = Shape("two balls", *both, sign="winding")  # their walls left in
    space = ShapeSpace.around(shape.vertices)

    def union(coords):
        at = (coords.numpy().astype(float) - 0.5) / space.scale + shape.vertices.mean(0)
        first = np.linalg.norm(at, axis=1)
        second = np.linalg.norm(at - (1.0, 0, 0), axis=1)
        return torch.from_numpy(np.minimum(first, second) - 0.985)  # a ball of flat faces

    scores = score_shape(shape, *both, union, is_distance=False)
    assert scores["iou"] > 0.98 and scores["iou_near"] > 0.9
    # The mesh of the field would count what is in both balls once: two balls less a lens.
    assert scores["volume_error"] == pytest.approx(2 / (2 - 5 / 16) - 1, abs=0.02)
