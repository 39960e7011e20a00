"""The level set of a field comes back as a closed mesh, coarse to fine as when asked everywhere."""

import numpy as np
import pytest
import torch
from shape_files import volume

from fields.errors import Cancelled, FieldsError
from fields.shapes.edges import find_edges, is_closed
from fields.shapes.extract import extract
from fields.shapes.polish import field_normals


def sphere(radius, centre=0.5):
    return lambda coords: (coords - centre).norm(dim=1) - radius


def torus(coords):
    x, y, z = (coords - 0.5).unbind(1)
    return torch.hypot(torch.hypot(x, y) - 0.3, z) - 0.1


def rod(coords):
    """A rod along a slant, 1/256 thick."""
    along = torch.nn.functional.normalize(torch.tensor([1.0, 0.3, 0.2]), dim=0)
    moved = coords - 0.5
    t = (moved @ along).clamp(-0.4, 0.4)
    return (moved - t[:, None] * along).norm(dim=1) - 0.5 / 256


def shells(coords):
    """Two shells, each 1/128 thick and as far apart."""
    radius = (coords - 0.5).norm(dim=1)
    return torch.minimum((radius - 0.4).abs(), (radius - 0.384).abs()) - 0.5 / 128


def is_watertight(faces):
    edges = find_edges(faces)
    return edges.is_closed and bool((edges.counts == 2).all())


@pytest.mark.parametrize(
    ("field", "resolution"),
    [(sphere(0.4), 100), (torus, 96), (rod, 256), (shells, 160), (sphere(0.02, 0.3), 64)],
)
def test_coarse_to_fine_loses_nothing(field, resolution):
    vertices, faces = extract(field, resolution)
    everywhere = extract(field, resolution, is_distance=False, gradient_bound=1.25)
    assert np.array_equal(faces, everywhere[1]) and np.allclose(vertices, everywhere[0])
    assert is_watertight(faces)


def test_the_sum_of_hashes_tells_open_meshes():
    _, faces = extract(sphere(0.4), 24)
    turned = faces.copy()
    turned[7] = turned[7, ::-1]
    for some in (faces, faces[1:], faces[:-1], turned, np.vstack([faces, faces[:1]]), faces[:1]):
        assert is_closed(some) == find_edges(some).is_closed == (some is faces)


def test_the_surface_is_followed_where_the_field_is_steeper_than_measured():
    def steep(coords):  # 40 times in a corner, as around a jump of the sign
        x, y, z = (coords - 0.5 - 0.4 / 3**0.5).unbind(1)
        patch = torch.maximum(torch.maximum(x.abs(), y.abs()), z.abs()) < 0.04
        return sphere(0.4)(coords) * torch.where(patch, 40.0, 1.0)

    vertices, faces = extract(steep, 96, gradient_bound=1.0)
    assert is_watertight(faces)
    whole = extract(steep, 96, gradient_bound=1.0, is_distance=False)
    assert len(faces) == len(whole[1]) and volume(vertices, faces) == pytest.approx(volume(*whole))


def test_vertices_lie_on_the_surface_and_faces_look_outward():
    vertices, faces = extract(sphere(0.4), 100)
    assert np.abs(np.linalg.norm(vertices - 0.5, axis=1) - 0.4).max() < 1e-6
    assert volume(vertices, faces) == pytest.approx(4 / 3 * np.pi * 0.4**3, rel=1e-3)
    normals = field_normals(sphere(0.4), vertices)
    assert np.allclose(normals, (vertices - 0.5) / 0.4, atol=1e-4)


def test_few_points_are_asked():
    asked = []

    def counted(coords):
        asked.append(len(coords))
        return sphere(0.4)(coords)

    extract(counted, 256)
    assert sum(asked) < 0.12 * 256**3


def test_each_part_is_found_and_slabs_are_welded():
    def two(coords):
        return torch.minimum(sphere(0.1, 0.25)(coords), sphere(0.13, 0.7)(coords))

    vertices, faces = extract(two, 256)
    assert is_watertight(faces)
    edges = find_edges(faces)
    assert len(vertices) - len(edges.counts) + len(faces) == 4  # two spheres
    assert len(np.unique(np.round(vertices * 2**20), axis=0)) == len(vertices)


def test_signs_that_waver_leave_no_crack():
    """A field whose values change a little with every call, as those of a batched product do."""
    noise = torch.Generator().manual_seed(1)

    def wavering(coords):
        return (
            (coords[:, 0] - 0.25).clamp(-0.01, 0.01) * 0
            + (coords - 0.5).abs().amax(1)
            - 0.25
            + (1e-7 * torch.randn(len(coords), generator=noise))
        )

    faces = extract(wavering, 128, is_distance=False)[1]
    assert is_watertight(faces)


@pytest.mark.parametrize("is_distance", [True, False])
def test_what_passes_the_border_of_the_cube_is_closed_there(is_distance):
    vertices, faces = extract(sphere(0.6), 64, is_distance=is_distance)
    assert is_watertight(faces)
    assert vertices.min() >= 0 and vertices.max() <= 1


def test_a_field_that_is_no_distance_nor_differentiable():
    def occupancy(coords):
        return torch.where(sphere(0.3)(coords.detach()) < 0, -0.5, 0.5)

    vertices, faces = extract(occupancy, 64, is_distance=False)
    assert is_watertight(faces)
    assert np.abs(np.linalg.norm(vertices - 0.5, axis=1) - 0.3).max() < 1 / 64


def test_a_steep_field_and_another_level():
    def logits(coords):
        return -(20 * sphere(0.3)(coords)).tanh()

    vertices, _ = extract(lambda coords: -logits(coords), 64, level=0.5, is_distance=False)
    radius = 0.3 + np.arctanh(0.5) / 20
    assert np.abs(np.linalg.norm(vertices - 0.5, axis=1) - radius).max() < 1e-4
    vertices, _ = extract(sphere(0.3), 64, level=0.1)
    assert np.abs(np.linalg.norm(vertices - 0.5, axis=1) - 0.4).max() < 1e-5


def test_a_truncated_distance():
    vertices, faces = extract(lambda coords: sphere(0.4)(coords).clamp(-0.02, 0.02), 128)
    assert np.array_equal(faces, extract(sphere(0.4), 128)[1])
    assert np.abs(np.linalg.norm(vertices - 0.5, axis=1) - 0.4).max() < 1e-5


def test_what_cannot_be_meshed():
    with pytest.raises(FieldsError, match="no surface at level 3: the field goes from -0"):
        extract(sphere(0.4), 32, level=3)
    with pytest.raises(FieldsError, match="the field is NaN or infinite"):
        extract(lambda coords: coords[:, 0] * float("nan"), 32)
    with pytest.raises(FieldsError, match="--resolution must be from 8 to 1024, got 4096"):
        extract(sphere(0.4), 4096)
    with pytest.raises(Cancelled):
        extract(sphere(0.4), 32, cancel=torch.ones(1))
