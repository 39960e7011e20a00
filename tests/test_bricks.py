"""The bake of a field into bricks: how near it comes to what the field itself shows."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from fields import bricks, ops
from fields.bricks import Eyes, bake, bake_in_parts, can_be_baked, left
from fields.cameras import look_at
from fields.configs.marched import MarchedConfig
from fields.models.radiance import Radiance

SIZE = (40, 40)


class Ball(Radiance):
    """A ball whose colour changes in space, and with the direction."""

    def __init__(self, radius=0.2, log_density=6.0, **settings):
        super().__init__(MarchedConfig(occupancy=32, march_steps=256, **settings))
        self.radius, self.log_density = radius, log_density
        self.anchor = torch.nn.Parameter(torch.zeros(()))  # says where it is
        density = self.density(self.occupancy.centres())[0]
        none = torch.zeros(0, dtype=torch.int64)
        # Cells around as well, in which the border lies.
        near = torch.nn.functional.max_pool3d(density, 3, 1, 1)
        self.occupancy.bits = ops.occupancy_update(
            near, none, none.float(), decay=1.0, threshold=1.0
        )

    def density(self, coords: Tensor, times: Tensor | None = None) -> tuple[Tensor, Tensor]:
        distance = (coords - 0.5).norm(dim=-1) - self.radius
        log = (self.log_density - 200 * distance.clamp(min=-0.01)).clamp(-15, self.log_density)
        return log.exp(), coords

    def colour(self, features: Tensor, directions: Tensor) -> Tensor:
        waves = 0.5 + 0.2 * torch.sin(70 * features)
        return waves + 0.15 * directions + 0.15 * directions.roll(1, -1) ** 2


def make_eyes(count=12, scale=2):
    """Pictures of `scale` times SIZE."""
    generator = np.random.default_rng(0)
    poses = []
    for _ in range(count):
        away = generator.standard_normal(3)
        eye = 0.5 + 1.5 * away / np.linalg.norm(away)
        poses.append(look_at(eye, np.full(3, 0.5), np.array([0.0, 0.0, 1.0]))[:3])
    width, height = (scale * side for side in SIZE)
    intrinsics = torch.tensor([1.1 * width, 1.1 * width, width / 2, height / 2]).expand(count, 4)
    return Eyes(torch.from_numpy(np.stack(poses)).float(), intrinsics, (width, height))


def rays_of(eyes, which):
    pose, k = eyes.poses[which], eyes.intrinsics[which]
    y, x = torch.meshgrid(torch.arange(SIZE[1]) + 0.5, torch.arange(SIZE[0]) + 0.5, indexing="ij")
    local = torch.stack([(x - k[2]) / k[0], (k[3] - y) / k[1], -torch.ones_like(x)], -1)
    along = torch.nn.functional.normalize(local.view(-1, 3) @ pose[:, :3].T, dim=1)
    return pose[:, 3].expand_as(along).contiguous(), along


def draw(baked, eyes, which, field, **options):
    walk = {"step": field.march.step, "near": field.march.near}
    return ops.bricks_render(
        baked, eyes.poses[which], eyes.intrinsics[which], SIZE, **walk, **options
    )


def psnr(found, wanted):
    over = [colours + (1 - opacity)[:, None] for colours, opacity, _ in (found, wanted)]
    return -10 * math.log10((over[0] - over[1]).square().mean())


@pytest.fixture(scope="module")
def scores():
    """PSNR in dB against the field of views that were not looked through, by resolution and
    degree."""
    field, eyes, new = Ball(), make_eyes(), make_eyes(14, scale=1)
    found = {}
    for resolution, degree in ((64, 3), (128, 3), (64, 2), (64, 1)):
        baked = bake(field, eyes, resolution=resolution, degree=degree)
        assert baked is not None and (baked.resolution, baked.degree) == (resolution, degree)
        found[resolution, degree] = min(
            psnr(draw(baked, new, which, field), field.trace(*rays_of(new, which)))
            for which in (12, 13)
        )
    return found


def test_a_bake_shows_what_the_field_shows(scores):
    assert scores[128, 3] > 48 and scores[64, 3] > 40


def test_finer_bakes_and_more_harmonics_come_nearer_to_the_field(scores):
    assert scores[64, 1] + 5 < scores[64, 2] < scores[64, 3] - 2 < scores[128, 3] - 5


def test_samples_that_share_a_colour_show_nearly_the_same():
    field, eyes = Ball(), make_eyes(2, scale=1)
    baked = bake(field, eyes, resolution=128)
    each = draw(baked, eyes, 1, field)
    shared = draw(baked, eyes, 1, field, shared_weight=0.1)
    assert torch.equal(shared[1], each[1]) and torch.equal(shared[2], each[2])
    assert 45 < psnr(shared, each) < 100


def test_depths_are_those_of_the_field():
    field, eyes = Ball(), make_eyes(2, scale=1)
    baked = bake(field, eyes, resolution=128)
    found, wanted = draw(baked, eyes, 1, field), field.trace(*rays_of(eyes, 1))
    solid = wanted[1] > 0.9
    assert solid.any()
    mean = [(depth / opacity)[solid] for _, opacity, depth in (found, wanted)]
    assert (mean[0] - mean[1]).abs().max() < 0.01


def test_what_no_camera_sees_takes_little():
    """Inside a solid ball nothing is kept but a shell."""
    baked = bake(Ball(0.4, log_density=10.0), make_eyes(8), resolution=128)
    assert baked is not None
    ball = 4 / 3 * math.pi * (0.45 * 32) ** 3  # bricks that have density
    assert len(baked.vertices) < 0.8 * ball
    assert len(baked.colours) < 60 * len(baked.vertices)  # of 125 vertices


def test_a_bake_in_parts_ends_with_its_bricks():
    *parts, baked = bake_in_parts(Ball(), make_eyes(), resolution=64)
    assert len(parts) > 3 and all(part is None for part in parts)
    assert isinstance(baked, ops.Bricks)
    again = bake(Ball(), make_eyes(), resolution=64)
    assert again is not None
    assert all(torch.equal(a, b) for a, b in zip(baked.args(), again.args(), strict=True))


def test_too_much_matter_is_baked_coarser_or_not_at_all(monkeypatch):
    field, eyes = Ball(), make_eyes(2)
    monkeypatch.setattr(bricks, "MOST_BRICKS", 1500)
    baked = bake(field, eyes, resolution=256)
    assert baked is not None and baked.resolution == 64
    monkeypatch.setattr(bricks, "MOST_BRICKS", 10)
    assert bake(field, eyes, resolution=256) is None


def test_nothing_at_all_is_baked_into_nothing():
    field = Ball(log_density=-14.0)
    baked = bake(field, make_eyes(2), resolution=64)
    assert baked is not None and not len(baked.vertices)
    assert not draw(baked, make_eyes(2, scale=1), 0, field)[1].any()


def test_bricks_outside_an_occupancy_are_left_out():
    field = Ball()
    baked = bake(field, make_eyes(2), resolution=128)
    assert baked is not None
    n = field.march.resolution
    bits = field.occupancy.bits[0]
    eyes = make_eyes(2, scale=1)
    whole = draw(left(baked, bits, n), eyes, 0, field)
    assert torch.equal(whole[1], draw(baked, eyes, 0, field)[1])
    assert not draw(left(baked, 0 * bits, n), eyes, 0, field)[1].any()


def test_only_still_fields_in_the_unit_cube_can_be_baked():
    assert can_be_baked(Ball())
    assert not can_be_baked(Ball(contract=True))
    assert not can_be_baked(Ball(dim=4))
    with pytest.raises(ValueError, match="without time, in the unit cube"):
        bake(Ball(dim=4), make_eyes(2))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"resolution": 100}, "resolution must be a power of two"), ({"degree": 5}, "degree must be")],
)
def test_what_cannot_be_baked_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        bake(Ball(), make_eyes(2), **options)
