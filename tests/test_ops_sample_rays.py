"""Rays drawn from the images of a scene."""

import pytest
import torch
from scipy.stats import chi2

from fields import ops


def make_scene(images=3, height=5, width=7, channels=4, dtype=torch.uint8, seed=0):
    """Images of random pixels, and cameras that look in all directions."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.rand(images, height, width, channels, generator=generator)
    if dtype != torch.float32:
        pixels = (pixels * torch.iinfo(dtype).max).round().to(dtype)
    turn = torch.linalg.qr(torch.randn(images, 3, 3, generator=generator))[0]
    poses = torch.cat([0.3 * turn, torch.rand(images, 3, 1, generator=generator)], 2)
    focal = 3 + torch.rand(images, 2, generator=generator)
    centre = torch.tensor([width / 2, height / 2]) + 0.3
    return pixels, poses, torch.cat([focal, centre.expand(images, 2)], 1)


def twin(pixels, poses, intrinsics, numbers):
    """Origins, directions and straight RGBA in float64 of pixels by their numbers."""
    images, height, width, channels = pixels.shape
    image, y, x = torch.unravel_index(numbers, (images, height, width))
    fx, fy, cx, cy = intrinsics.double()[image].unbind(1)
    inside = torch.stack([(x + 0.5 - cx) / fx, (cy - 0.5 - y) / fy, -torch.ones_like(fx)], 1)
    turn, origins = poses.double()[image, :, :3], poses.double()[image, :, 3]
    directions = torch.nn.functional.normalize((turn @ inside[..., None])[..., 0], dim=1)
    most = 1 if pixels.dtype == torch.float32 else torch.iinfo(pixels.dtype).max
    return origins, directions, pixels.double().view(-1, channels)[numbers] / most


@pytest.mark.kernel
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32], ids=str)
@pytest.mark.parametrize("background", [None, (1.0, 0.5, 0.25)])
def test_rays_and_colours_are_those_of_the_pixels(channels, dtype, background):
    scene = make_scene(channels=channels, dtype=dtype)
    origins, directions, colours, behind, numbers = ops.sample_rays(
        *scene, 400, 1, 2, background=background
    )
    o, d, straight = twin(*scene, numbers)
    torch.testing.assert_close(origins.double(), o, rtol=0, atol=1e-7)
    torch.testing.assert_close(directions.double(), d, rtol=0, atol=1e-6)
    alpha = straight[:, 3:] if channels == 4 else torch.ones(400, 1)
    over = straight[:, :3] * alpha + behind * (1 - alpha)
    torch.testing.assert_close(colours.double(), over, rtol=0, atol=1e-6)
    if background is None:
        assert behind.min() >= 0 and behind.max() < 1
        assert (behind.mean(0) - 0.5).abs().max() < 0.06
        assert torch.corrcoef(behind.T).fill_diagonal_(0).abs().max() < 0.15
    else:
        assert (behind == torch.tensor(background)).all()


@pytest.mark.kernel
def test_every_pixel_is_drawn_equally_often():
    numbers = ops.sample_rays(*make_scene(), 105_000, 5, 1)[4]
    counts = numbers.bincount(minlength=105)
    assert (counts - 1000).abs().max() < 5 * 1000**0.5


def test_a_batch_is_a_function_of_seed_and_step_and_its_first_part_is_one_too():
    scene = make_scene()
    first = ops.sample_rays(*scene, 1000, 1, 2)
    for a, b in zip(first, ops.sample_rays(*scene, 300, 1, 2), strict=True):
        assert torch.equal(a[:300], b)
    assert not torch.equal(first[4], ops.sample_rays(*scene, 1000, 2, 2)[4])
    assert not torch.equal(first[4], ops.sample_rays(*scene, 1000, 1, 3)[4])
    assert len(ops.sample_rays(*scene, 0, 1, 2)[0]) == 0


def test_where_rays_begin_has_nothing_to_do_with_what_is_drawn():
    numbers = ops.sample_rays(*make_scene(10, 50, 60), 4000, 1, 2)[4]
    spec = ops.MarchSpec(4, 0.1)
    origins = torch.tensor([[-1.0, 0.5, 0.5]]).repeat(4000, 1)
    directions = torch.tensor([[1.0, 0.0, 0.0]]).repeat(4000, 1)
    bits = torch.full((1, 1), -1)
    found = ops.march_rays(origins, directions, bits, spec, seed=1, step=2)
    starts = found[1][found[4][:-1]]
    for shift in (0, 1):
        both = torch.stack([starts[shift:], numbers[: 4000 - shift].float()])
        assert torch.corrcoef(both)[0, 1].abs() < 0.06
    halves = torch.stack([starts[::2], numbers[:2000].float()])
    assert torch.corrcoef(halves)[0, 1].abs() < 0.08


def test_pixels_can_be_chosen_from():
    scene = make_scene()
    among = torch.tensor([3, 50, 104, 50])
    numbers = ops.sample_rays(*scene, 4000, 1, 2, among=among)[4]
    assert set(numbers.tolist()) == {3, 50, 104}
    assert (numbers == 50).float().mean().item() == pytest.approx(0.5, abs=0.05)


def make_tiles(side=3, among=None):
    """Tiles over the images of make_scene() with random weights, some of them 0."""
    rows, columns = ops.Tiles.grid(side, 5, 7)
    count = 3 * rows * columns
    weights = torch.rand(count, generator=torch.Generator().manual_seed(7)).double()
    weights[[0, 4]] = 0
    starts = None
    if among is not None:
        pixels = tile_of(among, side).bincount(minlength=count)
        weights *= pixels > 0
        starts = torch.nn.functional.pad(pixels.cumsum(0), (1, 0))
    return ops.Tiles(side, weights.cumsum(0), starts)


def tile_of(numbers, side=3):
    image, y, x = torch.unravel_index(numbers, (3, 5, 7))
    rows, columns = ops.Tiles.grid(side, 5, 7)
    return (image * rows + y // side) * columns + x // side


def shares(tiles, among):
    """Of each pixel: its tile's weight, shared by the tile's pixels."""
    weights = torch.diff(tiles.upto, prepend=torch.zeros(1).double())
    of = tile_of(among)
    each = weights[of] / of.bincount(minlength=len(weights))[of]
    return torch.zeros(105).double().index_add_(0, among, each / weights.sum())


@pytest.mark.kernel
@pytest.mark.parametrize("some", [False, True], ids=["all", "among"])
def test_tiles_are_drawn_by_their_weights_and_their_pixels_alike(some):
    every = torch.arange(105)
    among = every[every % 3 > 0]
    among = among[tile_of(among).argsort(stable=True)]
    tiles = make_tiles(among=among if some else None)
    scene = make_scene()
    drawn = ops.sample_rays(*scene, 200_000, 5, 1, among=among if some else None, tiles=tiles)
    expected = shares(tiles, among if some else every)
    counts = drawn[4].bincount(minlength=105).double()
    assert not counts[expected == 0].any() and (expected == 0).any()
    wanted = 200_000 * expected[expected > 0]
    far = ((counts[expected > 0] - wanted).square() / wanted).sum().item()
    assert far < chi2.ppf(0.999, len(wanted) - 1)
    o, d, _ = twin(*scene, drawn[4])
    torch.testing.assert_close(drawn[0].double(), o, rtol=0, atol=1e-7)
    torch.testing.assert_close(drawn[1].double(), d, rtol=0, atol=1e-6)
    first = ops.sample_rays(*scene, 300, 5, 1, among=among if some else None, tiles=tiles)[4]
    assert torch.equal(first, drawn[4][:300])


def test_directions_of_a_lens_take_the_place_of_a_pinhole():
    pixels, poses, intrinsics = make_scene()
    tables = torch.randn(2, 5, 7, 3, generator=torch.Generator().manual_seed(3))
    cameras = torch.tensor([1, 0, 1], dtype=torch.int32)
    found = ops.sample_rays(
        pixels, poses, intrinsics * 0, 200, 1, 2, directions=tables, cameras=cameras
    )
    image, y, x = torch.unravel_index(found[4], (3, 5, 7))
    along = tables[cameras.long()[image], y, x]
    turned = torch.nn.functional.normalize((poses[image, :, :3] @ along[..., None])[..., 0], dim=1)
    torch.testing.assert_close(found[1], turned, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixels": torch.zeros(3, 5, 7)}, "pixels must be"),
        ({"pixels": torch.zeros(3, 5, 7, 2)}, "3 or 4 channels"),
        ({"pixels": torch.zeros(3, 5, 7, 4).double()}, "pixels must be uint8"),
        ({"pixels": torch.zeros(3, 0, 7, 4)}, "must not be empty"),
        ({"poses": torch.zeros(3, 4, 4)}, "poses must be"),
        ({"poses": torch.zeros(3, 3, 4).double()}, "poses must be float32"),
        ({"intrinsics": torch.zeros(3, 3)}, "intrinsics must be"),
        ({"directions": torch.zeros(1, 5, 7, 3)}, "belong together"),
        ({"directions": torch.zeros(1, 5, 6, 3), "cameras": torch.zeros(3).int()}, "directions"),
        ({"directions": torch.zeros(1, 5, 7, 3), "cameras": torch.zeros(3)}, "cameras must be"),
        ({"among": torch.zeros(0).long()}, "among must be"),
        ({"count": -1}, "count must be"),
        ({"tiles": ops.Tiles(3, torch.ones(17).double())}, "upto must be"),
        ({"tiles": ops.Tiles(3, torch.ones(18))}, "upto must be float64"),
        ({"tiles": ops.Tiles(0, torch.ones(18).double())}, "side must be"),
        ({"tiles": ops.Tiles(3, torch.ones(18).double(), torch.zeros(19).long())}, "together"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    pixels, poses, intrinsics = make_scene()
    given = {"pixels": pixels, "poses": poses, "intrinsics": intrinsics, "count": 5}
    with pytest.raises(ValueError, match=message):
        ops.sample_rays(**given | change, seed=0, step=1)


def test_opcheck():
    torch.library.opcheck(
        torch.ops.fields.sample_rays.default,
        (*make_scene(), None, None, None, None, None, 1, 9, 1, 2, True, 0.0, 0.0, 0.0),
    )
    tiles = make_tiles()
    torch.library.opcheck(
        torch.ops.fields.sample_rays.default,
        (*make_scene(), None, None, None, tiles.upto, None, 3, 9, 1, 2, True, 0.0, 0.0, 0.0),
    )
