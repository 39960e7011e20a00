"""Meshes of unsigned distances: surfaces that end stay open."""

import numpy as np
import pytest
import torch

from fields import FieldsError
from fields.shapes.open_surface import extract_open


def disc(points, radius=0.3):
    """Distance from a disc in the plane z = 0.503."""
    flat = (points[:, :2] - 0.5).norm(dim=1)
    height = points[:, 2] - 0.503
    beyond = (flat - radius).clamp(min=0)
    return (beyond**2 + height**2 + 1e-14).sqrt()


def half_sphere(points, radius=0.3):
    """Distance from the upper half of a sphere."""
    p = points - 0.5
    rim = torch.stack([p[:, :2].norm(dim=1) - radius, p[:, 2]], 1).norm(dim=1)
    return torch.where(p[:, 2] >= 0, (p.norm(dim=1) - radius).abs(), rim)


def boundary(faces):
    """Edges [E, 2] of one face alone."""
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    unique, count = np.unique(edges, axis=0, return_counts=True)
    assert count.max() <= 2
    return unique[count == 1]


@pytest.mark.parametrize(("field", "area"), [(disc, np.pi * 0.09), (half_sphere, 2 * np.pi * 0.09)])
def test_a_surface_that_ends_is_not_closed(field, area):
    vertices, faces, normals = extract_open(field, 96)
    corners = vertices[faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert np.linalg.norm(across, axis=1).sum() / 2 == pytest.approx(area, rel=0.06)
    distance = field(torch.from_numpy(vertices.astype(np.float32)))
    assert distance.max() < 0.75 / 96 and distance.mean() < 0.1 / 96
    rim = vertices[np.unique(boundary(faces))]
    flat = np.linalg.norm(rim[:, :2] - 0.5, axis=1)
    assert np.abs(flat - 0.3).max() < 2 / 96  # the only border is where the surface ends
    assert np.allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)
    # Turned alike: neighbours walk their common edge in opposite directions.
    directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    assert len(np.unique(directed, axis=0)) == len(directed)


@pytest.mark.parametrize("axis", range(3))
def test_sheets_at_opposite_ends_of_the_cube_are_not_joined(axis):
    def sheets(points):
        return torch.minimum((points[:, axis] - 0.003).abs(), (points[:, axis] - 0.997).abs())

    vertices, faces, _ = extract_open(sheets, 32)
    assert np.allclose(np.abs(vertices[:, axis] - 0.5), 0.497, atol=1e-6)
    assert np.ptp(vertices[faces], axis=1).max() < 1.01 / 32


def test_a_field_that_comes_near_nothing_has_no_surface():
    with pytest.raises(FieldsError, match="there is no surface"):
        extract_open(lambda p: torch.full((len(p),), 0.2), 32)
    with pytest.raises(FieldsError, match="--resolution"):
        extract_open(disc, 4)


def steep(points):
    """Steeper than a distance, and told apart no further than 0.05, as fields of a set."""
    return (3 * ((points - 0.5).norm(dim=1) - 0.3).abs()).clamp(max=0.05)


def rounded(points):
    """A distance that does not get to 0, as learned ones do not."""
    return (((points - 0.5).norm(dim=1) - 0.3) ** 2 + 0.004**2).sqrt()


@pytest.mark.parametrize(
    ("field", "resolution"), [(steep, 64), (steep, 128), (rounded, 64), (rounded, 160)]
)
def test_what_a_learned_field_does_to_a_distance_leaves_the_surface_whole(field, resolution):
    vertices, faces, _ = extract_open(field, resolution)
    corners = vertices[faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(across, axis=1).sum() / 2
    assert area == pytest.approx(4 * np.pi * 0.09, rel=0.04)
    off = np.abs(np.linalg.norm(vertices - 0.5, axis=1) - 0.3)
    assert off.mean() < 0.3 / resolution
