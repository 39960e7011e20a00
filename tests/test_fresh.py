"""FreSh: the spectrum and the distance in closed form, the search, and what a fit does with it."""

import json
import math

import numpy as np
import pytest
import torch
from small import picture

import fields
from fields import FieldsError, catalogue
from fields.configs import FinerConfig, FourierConfig, HashGridConfig, SirenConfig
from fields.fresh import untrained
from fields.fresh.distance import wasserstein
from fields.fresh.options import Fresh
from fields.fresh.search import INITIALISATIONS, search
from fields.fresh.spectrum import default_bins, side_of, spectrum, squared

SMALL = {"width": 16, "depth": 2}


def waves(x_cycles, y_cycles, side=128, channels=1):
    """cos(2 pi (x_cycles x + y_cycles y)), [side, side, channels]."""
    centres = (torch.arange(side, dtype=torch.float64) + 0.5) / side
    phase = 2 * math.pi * (x_cycles * centres + y_cycles * centres[:, None])
    return phase.cos().float()[..., None].expand(-1, -1, channels)


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def published(signal, bins):
    """The spectrum of a square picture as it was published, mask and all."""
    side = signal.shape[0]
    amplitude = torch.fft.fft2(signal.movedim(-1, 0)).abs().sum(0)
    result = torch.zeros(2 * side)
    for i in range(side):
        for j in range(side):
            on_an_axis = i == 0 or j == 0
            is_conjugate = on_an_axis and i + j > side // 2
            if i + j <= side and not is_conjugate:
                result[i + j] += amplitude[i, j]
    cropped = result[1 : bins + 1]  # without the mean
    return (cropped / cropped.sum()).double()


# The spectrum


@pytest.mark.parametrize("cycles", [(20, 20), (0, 7), (63, 1), (5, 0)])
@pytest.mark.parametrize("quadrants", ["one", "both"])
def test_a_wave_lies_in_the_bin_of_its_cycles(cycles, quadrants):
    found = spectrum(waves(*cycles), 64, quadrants)
    assert found is not None and found[sum(cycles) - 1] == pytest.approx(1, abs=1e-5)


def test_waves_across_the_diagonal_are_seen_in_both_quadrants_only():
    across = waves(20, -20) + 1e-3 * waves(3, 4)
    one, both = spectrum(across, 64), spectrum(across, 64, "both")
    assert one is not None and one[6] > 0.99
    assert both is not None and both[39] > 0.99


def test_both_quadrants_count_each_wave_once():
    mixed = waves(3, 4) + waves(5, -7) + waves(9, 0) + waves(0, 2)
    found = spectrum(mixed, 32, "both")
    assert found is not None
    for cycles in (7, 12, 9, 2):
        assert found[cycles - 1] == pytest.approx(0.25, abs=1e-4)


@pytest.mark.parametrize("side", [16, 33, 64])
def test_up_to_half_the_side_the_spectrum_is_the_published_one(side):
    signal = noise(side, side, 3) - 0.5
    for bins in {8, side // 2}:
        torch.testing.assert_close(spectrum(signal, bins), published(signal, bins))


def test_scale_and_offset_do_not_matter():
    signal = noise(32, 32, 3)
    torch.testing.assert_close(
        spectrum(signal, 16), spectrum(2 * signal - 1, 16), rtol=1e-6, atol=1e-9
    )


@pytest.mark.parametrize("dim", [1, 2, 3, 4])
def test_signals_of_one_to_four_dimensions_have_a_spectrum(dim):
    side, cycles = 16, 2
    centres = [(torch.arange(side) + 0.5) / side] * dim
    total = sum(torch.meshgrid(*centres, indexing="ij"))
    for quadrants in ("one", "both"):
        found = spectrum(torch.cos(2 * math.pi * cycles * total)[..., None], 8, quadrants)
        assert found is not None
        assert found.argmax() + 1 == cycles * dim


@pytest.mark.parametrize("shape", [(1024, 1), (64, 64, 3), (32, 32, 32, 2)])
@pytest.mark.parametrize("value", [0.0, 0.3, -17.0])
def test_a_constant_has_no_spectrum(shape, value):
    assert spectrum(squared(torch.full(shape, value)), 16) is None
    assert spectrum(squared(torch.full((100, *shape[1:]), value)), 16) is None


def test_what_is_finer_than_the_bins_has_no_spectrum():
    assert spectrum(waves(40, 40), 32) is None


@pytest.mark.parametrize("shape", [(300, 200, 3), (64, 100, 1), (7, 5, 1)])
def test_a_picture_is_resized_as_torch_does_it(shape):
    signal = noise(*shape)
    side = side_of(shape[:-1])
    image = signal.movedim(-1, 0)[None]
    expected = torch.nn.functional.interpolate(
        image, size=(side, side), mode="bilinear", antialias=True
    )
    torch.testing.assert_close(squared(signal), expected[0].movedim(0, -1))


def test_a_picture_in_parts_is_resized_as_a_whole():
    signal = (255 * noise(1500, 3000, 1)).to(torch.uint8)  # more than a part holds
    parts = squared(signal)
    image = signal.float().movedim(-1, 0)[None]
    whole = torch.nn.functional.interpolate(
        image, size=(1024, 1024), mode="bilinear", antialias=True
    )
    torch.testing.assert_close(parts, whole[0].movedim(0, -1), rtol=1e-5, atol=1e-3)


def test_bins_follow_the_shorter_side():
    assert [default_bins((h, 900)) for h in (5, 16, 100, 128, 512)] == [2, 8, 50, 64, 64]
    assert default_bins((44100,)) == 64 and default_bins((64, 64, 64)) == 32


# The distance


def test_equal_spectra_are_at_no_distance():
    p = noise(5, 64).double()
    assert wasserstein(p, 3 * p).abs().max() < 1e-12


def test_the_distance_of_two_bins_is_the_shift():
    deltas = torch.eye(64)
    for first, second in ((0, 63), (10, 10), (40, 17)):
        assert wasserstein(deltas[first], deltas[second]) == pytest.approx(abs(first - second))


def test_the_distance_is_that_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    p, q = noise(2, 64)
    bins = np.arange(64)
    expected = stats.wasserstein_distance(bins, bins, p.numpy(), q.numpy())
    assert wasserstein(p, q) == pytest.approx(expected, abs=1e-6)


# The search


def drawn(config, side=96):
    """What an untrained field draws, [side, side, C]."""
    with torch.no_grad():
        values = catalogue.build(config)(untrained.grid(2, side, torch.device("cpu")))
    return values.reshape(side, side, -1)


@pytest.mark.parametrize("omega", [20.0, 90.0, 150.0])
def test_the_frequency_of_a_siren_is_found_in_its_picture(omega):
    target = drawn(SirenConfig(3, seed=99, omega=omega, width=64))
    found = search(target, SirenConfig(3, width=64))
    assert found.reason is None and found.usual == 30 and len(found.distances) == 20
    assert abs(found.chosen - omega) <= 10
    assert found.distance(found.chosen) == min(found.distances)


def test_the_frequency_of_a_field_of_space_is_found_in_its_slices():
    field = catalogue.build(SirenConfig(1, 3, seed=99, omega=90.0, width=64))
    plane = untrained.grid(2, 96, torch.device("cpu"))
    with torch.no_grad():
        slices = [field(torch.nn.functional.pad(plane, (0, 1), value=z)) for z in (0.3, 0.5, 0.8)]
    target = torch.cat(slices, 1).reshape(96, 96, 3)
    found = search(target, SirenConfig(1, 3, width=64))
    assert abs(found.chosen - 90) <= 10 and found.seconds < 30


@pytest.mark.parametrize("kind", [SirenConfig, FinerConfig, FourierConfig])
def test_a_search_is_a_pure_function(kind):
    config = kind(1, seed=3, **SMALL)
    signal = torch.from_numpy(picture(48, 64, 1))
    before = torch.get_rng_state()
    options = Fresh(candidates=kind.candidates[:4])
    found = [search(signal, config, options) for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), before)
    assert found[0].distances == found[1].distances and found[0].errors == found[1].errors
    assert torch.equal(found[0].spectra, found[1].spectra)
    assert found[0].chosen == min(zip(found[0].distances, found[0].candidates, strict=True))[1]
    other = search(signal, kind(1, seed=4, **SMALL), options)
    assert other.distances != found[0].distances


def test_the_figures_are_those_of_the_definition():
    config = SirenConfig(2, seed=5, **SMALL)
    signal = torch.from_numpy(picture(40, 40, 2))
    found = search(signal, config, Fresh(candidates=(30, 60), bins=16, published=True))
    for candidate, mean, error in zip(found.candidates, found.distances, found.errors, strict=True):
        each = [
            wasserstein(
                published(signal.float(), 16),
                published(drawn(SirenConfig(2, seed=5 + i, omega=candidate, **SMALL), 40), 16),
            )
            for i in range(INITIALISATIONS)
        ]
        each = torch.stack(each)
        assert mean == pytest.approx(each.mean().item(), rel=1e-4)
        assert error == pytest.approx(each.std().item() / math.sqrt(INITIALISATIONS), rel=1e-3)


def test_of_equal_candidates_the_first_is_taken():
    found = search(noise(32, 32, 1), SirenConfig(1, **SMALL), Fresh(candidates=(70, 20, 20, 70)))
    assert len(set(found.distances)) == 2
    assert found.candidates.index(found.chosen) < 2


def test_by_default_narrow_fields_are_asked_at_few_points(monkeypatch):
    asked = []

    def spectra(config, candidates, initialisations, *, side, bins, **rest):
        asked.append((config.width, side, len(candidates), list(initialisations)))
        # The nearer to the last candidate, the nearer to a lonely first bin.
        shares = torch.tensor([1 / candidate for candidate in candidates], dtype=torch.float64)
        row = torch.stack([1 - shares, shares], -1)[:, None].expand(-1, len(initialisations), -1)
        return torch.cat([row, torch.zeros(*row.shape[:2], bins - 2)], -1)

    monkeypatch.setattr(untrained, "spectra", spectra)
    config, signal = SirenConfig(1, width=256), waves(0, 1, 300)
    options = {"candidates": tuple(range(2, 22))}
    assert search(signal, config, Fresh(**options)).chosen == 21
    assert search(signal, config, Fresh(**options, published=True)).chosen == 21
    assert asked == [
        (64, 128, 20, [0, 1, 2]),
        (64, 128, 5, [3, 4, 5, 6, 7, 8, 9]),
        (256, 300, 20, list(range(10))),
    ]


@pytest.mark.parametrize("dim", [1, 3])
def test_sounds_and_volumes_have_a_frequency_too(dim):
    signal = noise(*[40] * dim, 1)
    found = search(signal, SirenConfig(1, dim, **SMALL), Fresh(candidates=(10, 100), bins=8))
    assert found.chosen == 100 and found.distances[0] > found.distances[1]


@pytest.mark.parametrize("value", [0, 77, 255])
def test_a_constant_picture_gets_the_usual_frequency_and_a_reason(value):
    signal = torch.full((64, 80, 3), value, dtype=torch.uint8)
    found = search(signal, SirenConfig(3, **SMALL))
    assert found.chosen == 30 and found.reason == "the source has no waves of 1 to 32 cycles"
    assert "omega 30, as usual" in str(found)
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["distances"] == []


@pytest.mark.parametrize("shape", [(7, 5, 1), (15, 900, 3), (1, 1, 1)])
def test_a_tiny_picture_gets_the_usual_frequency_and_a_reason(shape):
    found = search(noise(*shape), SirenConfig(shape[-1], **SMALL))
    assert found.chosen == 30 and "a side are too few" in (found.reason or "")


def test_fields_without_waves_are_infinitely_far():
    # One neuron of a ReLU network is often dead from the start.
    signal = torch.from_numpy(picture(32, 32, 1))
    found = search(signal, FourierConfig(1, width=1, depth=12), Fresh(candidates=(1, 2)))
    assert found.chosen == 1 and "no waves" in (found.reason or "")
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["distances"] == [None, None]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"candidates": ()}, "--fresh-candidates"),
        ({"candidates": (math.nan,)}, "--fresh-candidates"),
        ({"bins": 7}, "--fresh-bins must be a whole number of at least 8"),
        ({"bins": 9.5}, "whole number"),
        ({"quadrants": "three"}, "one or both"),
        ({"bins": 33}, "--fresh-bins 33 needs 66 samples a side, here are 64; 32 is the most"),
        ({"candidates": (10, -3)}, "omega must be at least"),
    ],
)
def test_options_of_no_use_are_refused(options, words):
    with pytest.raises(FieldsError, match=words):
        search(noise(64, 70, 1), SirenConfig(1, **SMALL), Fresh(**options))


@pytest.mark.parametrize("config", [HashGridConfig(1), FourierConfig(1, encoding="positional")])
def test_a_field_without_a_frequency_is_refused(config):
    with pytest.raises(FieldsError, match="has no frequency"):
        search(noise(64, 64, 1), config)


# What a fit does with it

CANDIDATES = (20, 60, 140)


def fit(out, **options):
    options = {"model": "siren", "steps": 3, "batch": 64, **SMALL, **options}
    return fields.fit(picture(32, 48, 3), out=out, threads=1, **options)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return fit(tmp_path_factory.mktemp("fresh") / "run", fresh=Fresh(candidates=CANDIDATES))


def test_a_fit_takes_the_choice_and_keeps_it(run):
    metrics = json.loads((run.path / "metrics.json").read_text())
    kept = metrics["fresh"]
    assert kept["chosen"] in CANDIDATES and kept["candidates"] == list(CANDIDATES)
    assert kept["chosen"] == CANDIDATES[int(np.argmin(kept["distances"]))]
    assert kept["setting"] == "omega" and kept["bins"] == 16 and kept["usual"] == 30
    assert 0 < kept["seconds"] <= metrics["seconds"]
    assert run.config["config"]["omega"] == kept["chosen"]
    assert fields.load(run.path).config == run.config


def test_a_fit_searches_unless_the_frequency_is_given(tmp_path):
    class Told:
        def __init__(self):
            self.lines = []

        def say(self, line):
            self.lines.append(line)

        def advance(self, figures):
            pass

        def close(self):
            pass

    told = Told()
    run = fit(tmp_path / "searched", progress=told)
    line = next(line for line in told.lines if line.startswith("FreSh: omega"))
    distances = dict(
        zip(*(run.metrics["fresh"][k] for k in ("candidates", "distances")), strict=True)
    )
    usual = f"({distances[30]:.1f} with the usual 30)"
    assert "bins from the source's" in line
    assert (usual in line) == (run.metrics["fresh"]["chosen"] != 30)
    assert len(run.metrics["fresh"]["distances"]) == 20
    for i, options in enumerate(({"fresh": False}, {"omega": 30.0}, {"model": SirenConfig(3)})):
        told = Told()
        run = fit(tmp_path / str(i), progress=told, **options)
        assert "fresh" not in run.metrics and run.config["config"]["omega"] == 30
        assert not any("FreSh" in line for line in told.lines)


def test_a_fit_that_goes_on_does_not_search_again(run, monkeypatch):
    monkeypatch.setattr("fields.beginning.search", None)
    before = run.metrics["fresh"]
    more = fit(run.path, resume=True, steps=6)
    assert more.metrics["steps"] == 6 and more.metrics["fresh"] == before
    assert more.config["config"]["omega"] == before["chosen"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fresh": True, "omega": 40.0}, "--omega 40 is what FreSh would choose"),
        ({"fresh": True, "model": "hashgrid"}, "hashgrid has no frequency"),
        ({"fresh": Fresh(), "model": "fourier", "encoding": "positional"}, "no frequency"),
        ({"fresh": True, "resume": True}, "--resume goes on with the frequency of the run"),
        ({"fresh": 7}, "fresh must be True, False or a Fresh"),
        ({"fresh": True, "model": torch.nn.Linear(2, 3)}, "not for your own"),
        ({"fresh": Fresh(candidates=(-4,))}, "omega must be at least"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(options, words, tmp_path):
    with pytest.raises(FieldsError, match=words):
        fields.fit(picture(32, 32, 3), **{"model": "siren", "out": tmp_path / "run", **options})
    assert not list(tmp_path.iterdir())


def test_a_constant_picture_is_fitted_with_the_usual_frequency(tmp_path):
    still = np.full((32, 32, 3), 90, np.uint8)
    run = fields.fit(still, model="siren", out=tmp_path / "run", steps=2, **SMALL)
    assert run.metrics["fresh"]["chosen"] == 30 and "no waves" in run.metrics["fresh"]["reason"]
