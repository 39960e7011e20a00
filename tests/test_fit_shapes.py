"""Shapes and volumes as sources of a fit: what is stored, kept, asked and refused."""

import copy
import json

import numpy as np
import pytest
import torch
from fits import same
from small import one_line
from things import points, sheet, torus, volume

import fields
from fields import FieldsError, catalogue, checkpoint
from fields.cli import main
from fields.configs import ShapeOptions, SirenConfig
from fields.fresh.search import search
from fields.runs import ShapeRun, VolumeRun
from fields.signals.points import PointSignal
from fields.signals.shape import ShapeSignal
from fields.twice import values_and_gradient

pytestmark = pytest.mark.usefixtures("coarse")

SMALL = {"num_levels": 4, "log2_table_size": 12, "growth": 1.5, "width": 16, "batch": 2048}


def fit(source, **options):
    """A run of a shape."""
    run = fields.fit(source, **options)
    assert isinstance(run, ShapeRun)
    return run


@pytest.fixture(scope="module")
def fitted(tmp_path_factory, coarse):
    """A torus a thousandth of its size, far from the origin."""
    out = tmp_path_factory.mktemp("shapes") / "torus"
    return fit(torus(1e-3, (1e5, -2e5, 0.0)), out=out, steps=250, **SMALL)


def test_a_closed_mesh_is_stored_as_its_signed_distance(fitted):
    assert isinstance(fitted, ShapeRun) and fitted.stores == "sdf"
    assert fitted.metrics["model"] == "hashgrid" and fitted.metrics["steps"] == 250
    assert (fitted.path / "preview.png").stat().st_size > 1000
    assert fitted.metrics["iou"] > 0.93


def test_a_loaded_field_is_asked_in_units_of_the_source(fitted):
    run = fields.load(fitted.path)
    assert isinstance(run, ShapeRun)
    middle = np.array([1e5 + 0.5e-3, -2e5 + 0.5e-3, 0.5e-3])
    tube, hole = (middle + np.array([x, 0, 0]) for x in (0.35e-3, 0.1e-3))
    inside, outside = run.sdf(np.stack([tube, hole]))
    assert inside == pytest.approx(-5e-5, abs=3e-5) and outside == pytest.approx(1e-4, abs=2e-5)
    assert np.allclose(run.field.sdf(tube[None]), inside)  # the field alone knows its units
    assert torch.equal(run.sdf(torch.from_numpy(tube)), torch.tensor(inside))


def test_a_field_with_units_is_still_an_ordinary_module(fitted):
    twin = copy.deepcopy(fitted.field)
    coords = torch.rand(5, 3)
    assert torch.equal(twin(coords), fitted.field(coords))
    assert twin.state_dict().keys() == fitted.field.state_dict().keys()


def test_the_mesh_comes_back_where_the_source_is(fitted):
    import trimesh

    vertices, faces, normals = fitted.mesh(64)
    whole = trimesh.Trimesh(vertices - [1e5, -2e5, 0], faces, process=False)
    mesh = max(whole.split(only_watertight=False), key=lambda part: len(part.faces))
    assert whole.is_watertight and mesh.euler_number == 0
    assert mesh.volume == pytest.approx(2 * np.pi**2 * 0.3 * 0.1**2 * 1e-9, rel=0.05)
    assert ((whole.face_normals * normals[faces[:, 0]]).sum(1) > 0).mean() > 0.9


@pytest.mark.parametrize("stores", ["sdf", "occupancy", "udf"])
def test_what_is_stored_can_be_chosen_and_is_resumed_bit_for_bit(tmp_path, stores):
    whole = fields.fit(torus(), out=tmp_path / "a", steps=24, stores=stores, **SMALL)
    fields.fit(torus(), out=tmp_path / "b", steps=12, stores=stores, **SMALL)
    part = fields.fit(torus(), out=tmp_path / "b", steps=24, resume=True)
    assert part.config["signal"]["stores"] == stores
    # Another stop is another schedule: only what the field is made of must agree.
    assert part.steps == whole.steps == 24 and part.config["config"] == whole.config["config"]
    again = fields.fit(torus(), out=tmp_path / "c", steps=24, stores=stores, **SMALL)
    assert same(again.field.state_dict(), whole.field.state_dict())


def test_a_run_goes_on_only_with_its_own_options(tmp_path):
    fields.fit(torus(), out=tmp_path / "run", steps=2, truncation=0.1, **SMALL)
    with pytest.raises(FieldsError, match=r"--truncation 0\.1, not 0\.2; leave it away"):
        fields.fit(torus(), out=tmp_path / "run", steps=4, resume=True, truncation=0.2)
    with pytest.raises(FieldsError, match="fitted to another shape than torus"):
        fields.fit(torus(2.0), out=tmp_path / "run", steps=4, resume=True)


def test_truncated_distances_go_no_further(tmp_path):
    run = fields.fit(torus(), out=tmp_path / "run", steps=200, truncation=0.05, **SMALL)
    assert run.field(torch.full((1, 3), 0.02)).item() == pytest.approx(0.05, abs=0.02)


def test_an_open_mesh_gets_no_sign_unless_it_is_asked_for(tmp_path):
    run = fit(sheet(), out=tmp_path / "run", steps=150, **SMALL)
    assert run.stores == "udf"
    with torch.no_grad():
        assert run.field(torch.rand(500, 3)).min() > -0.02
    for options in ({"stores": "sdf"}, {"sign": "pseudonormal"}):
        with pytest.raises(FieldsError, match="sheet is open"):
            fields.fit(sheet(), out=tmp_path / "no", steps=1, **options, **SMALL)
    signed = fit(sheet(), out=tmp_path / "signed", steps=5, sign="winding", **SMALL)
    assert signed.stores == "sdf"


def test_a_target_is_the_iou(tmp_path):
    run = fields.fit(torus(), out=tmp_path / "run", target=0.9, steps=2000, **SMALL)
    assert run.metrics["ended_by"] == "target" and run.metrics["steps"] < 2000
    assert run.metrics["iou"] > 0.9
    with pytest.raises(FieldsError, match="is an IoU, at most 1, got 35"):
        fields.fit(torus(), out=tmp_path / "no", target=35, **SMALL)
    for source in (sheet(), points()):
        with pytest.raises(FieldsError, match="--target is the IoU of insides"):
            fields.fit(source, out=tmp_path / "no", target=0.9, **SMALL)


def test_points_with_normals_become_a_distance(tmp_path):
    cloud = points()
    run = fit(cloud, out=tmp_path / "run", steps=300, rate=1e-2, **SMALL)
    noise = np.random.default_rng(0).normal(0, 0.01, (500, 3))
    near = run.space.to_unit(cloud.vertices)[:500] + noise
    coords = torch.from_numpy(near.astype(np.float32))
    for options in ({"sign": "winding"}, {"stores": "udf"}):
        with pytest.raises(FieldsError, match="needs a mesh; cloud holds points"):
            fields.fit(cloud, out=tmp_path / "no", steps=1, **options, **SMALL)
    length = values_and_gradient(run.field, coords)[1].norm(dim=1)
    assert length.mean().item() == pytest.approx(1, abs=0.05)
    at = np.random.default_rng(1).uniform(-0.38, 0.38, (2000, 3))
    true = np.hypot(np.hypot(at[:, 0], at[:, 1]) - 0.3, at[:, 2]) - 0.1
    found, clear = run.sdf(at), np.abs(true) > 0.02
    assert np.abs(found - true).mean() < 0.006
    assert np.array_equal(found[clear] < 0, true[clear] < 0)


def test_what_lies_on_the_surface_of_points_is_as_far_off_as_it_was_moved():
    cloud = points()
    signal = PointSignal(cloud, ShapeOptions(surface=0.4, jitter=0.02), torch.device("cpu"))
    coords, distances = signal.batch(1000, 0, 1)
    at = signal.space.to_source(coords.double().numpy())
    true = np.hypot(np.hypot(at[:, 0], at[:, 1]) - 0.3, at[:, 2]) - 0.1
    off = np.abs(distances[:, 0].numpy() / signal.space.scale - true)
    assert np.abs(true[:400]).mean() > 0.01 and off[:400].max() < 1e-5
    assert np.abs(true[400:]).max() > 0.2 and off[400:].mean() < 0.01  # a guess
    shares = ({"surface": 1.0, "near": 0.0}, {"surface": 0.9, "near": 0.1})
    for options in (*shares, {"truncation": 0.05}):
        signal = PointSignal(cloud, ShapeOptions(**options), torch.device("cpu"))
        coords, distances = signal.batch(1000, 0, 1)
        assert coords.shape == (1000, 3) and distances.shape == (1000, 1)
        assert distances.abs().max() <= (0.05 if "truncation" in options else 1)


def test_shares_that_make_up_one_leave_nothing_anywhere(tmp_path):
    run = fields.fit(torus(), out=tmp_path / "run", steps=2, surface=0.9, near=0.1, **SMALL)
    assert run.steps == 2


def test_points_have_the_frequency_of_their_mesh():
    """Each choice is at most one step of the candidates from the other."""
    device = torch.device("cpu")
    cloud = PointSignal(points(), ShapeOptions(), device)
    seen = (cloud, ShapeSignal(torus(), ShapeOptions(), device))
    for model in ("siren", "finer", "fourier"):
        kind = catalogue.MODELS[model].config
        config = kind.for_signal(1, (100, 100, 100), **kind.defaults("points", 100, False))
        chosen = [search(signal.samples_for_fresh, config).chosen for signal in seen]
        steps = [kind.candidates.index(choice) for choice in chosen]
        assert abs(steps[0] - steps[1]) <= 1, (model, chosen)


def test_near_a_surface_slices_have_the_higher_frequencies():
    """A siren is as fine as the surface is, not as smooth as distances far from it."""
    signal = ShapeSignal(torus(), ShapeOptions(), torch.device("cpu"))
    seen = signal.samples_for_fresh
    config = SirenConfig(1, 3, width=64, signed=False)
    plain = seen * 0.01 / (1 - seen.abs())  # the distances again
    assert search(seen, config).chosen > search(plain, config).chosen


@pytest.mark.parametrize("model", ["siren", "finer", "fourier", "rbf", "triplane", "cam"])
def test_every_model_stores_a_shape(tmp_path, model):
    options = {"rbf": SMALL | {"kernels": 8}, "triplane": {"resolution": 16, "width": 16}}
    own = dict(options.get(model, {"width": 16, "depth": 2}))
    own.pop("width" if model == "rbf" else "kernels", None)
    run = fields.fit(torus(), model, out=tmp_path / "run", steps=3, **own)
    again = fields.load(run.path)
    assert isinstance(again, ShapeRun)
    coords = torch.rand(9, 3)
    assert torch.equal(again.field(coords), run.field(coords))


def test_the_eikonal_term_is_part_of_the_loss(tmp_path):
    run = fields.fit(torus(), out=tmp_path / "run", steps=60, eikonal=0.1, **SMALL)
    assert run.config["signal"]["options"]["eikonal"] == 0.1
    with pytest.raises(FieldsError, match="cam has no second derivatives"):
        fields.fit(torus(), "cam", out=tmp_path / "no", steps=1, eikonal=0.1, width=16, depth=1)


def test_a_volume_is_a_signal_of_three_coordinates(tmp_path):
    run = fields.fit(volume(), out=tmp_path / "run", steps=200, **SMALL)
    assert isinstance(run, VolumeRun) and run.metrics["psnr"] > 35
    assert run.render().shape == (24, 20, 1) and run.render(axis="x").shape == (16, 24, 1)
    assert run.render(2.5).shape == (60, 50, 1) and run.render((7, 9)).shape == (9, 7, 1)
    vertices, faces, normals = run.mesh(32, level=20.0)
    centre = (vertices.max(0) + vertices.min(0)) / 2
    assert np.allclose(centre, [10, 12, 8], atol=0.3) and len(faces) > 100
    assert (((vertices - centre) * normals).sum(1) > 0).mean() > 0.97  # to lower values
    with pytest.raises(FieldsError, match="--size must be more than 0 times the source"):
        run.render(-1.0)
    with pytest.raises(FieldsError, match="--sign is for shapes; blob is a volume"):
        fields.fit(volume(), out=tmp_path / "no", steps=1, sign="winding")


def test_options_of_shapes_are_refused_for_pictures(tmp_path):
    pixels = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(FieldsError, match="--stores is for shapes"):
        fields.fit(pixels, out=tmp_path / "run", steps=1, stores="sdf")
    assert not (tmp_path / "run").exists()
    for wrong in ({"stores": "nothing"}, {"surface": 2.0}, {"surface": 0.9, "near": 0.9}):
        with pytest.raises(FieldsError):
            fields.fit(torus(), out=tmp_path / "run", steps=1, **wrong)
    with pytest.raises(FieldsError, match="--downscale is for pictures"):
        fields.fit(torus(), out=tmp_path / "run", steps=1, downscale=2)


def test_a_view_or_a_level_that_is_no_number_is_refused(fitted):
    for angles, why in [
        ({"azimuth": np.nan}, "--azimuth must be a finite number, got nan"),
        ({"elevation": np.inf}, "--elevation must be from -90 to 90 degrees, got inf"),
        ({"elevation": 91.0}, "--elevation must be from -90 to 90 degrees, got 91"),
    ]:
        with pytest.raises(FieldsError, match=why):
            fitted.camera((8, 8), **angles)
    for size, why in [((0, 8), "at least 1x1, got 0x8"), ((9000, 9000), "at most 67,108,864")]:
        with pytest.raises(FieldsError, match=why):
            fitted.render(size)
    for level in (np.nan, np.inf):
        with pytest.raises(FieldsError, match="--level must be a finite number"):
            fitted.mesh(16, level=level)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"up": "q"}, "describes no shape"),
        ({"stores": "foam"}, "describes no shape"),
        ({"box": [[0, 0], [1, 1]]}, "describes no shape"),
        ({"box": [[0, 0, 0], [0, 0, 0]]}, "describes no shape"),
        ({"space": {"scale": 0.0, "offset": [0, 0, 0]}}, "describes no shape"),
        ({"kind": "volume", "shape": [1, 9, 9], "window": [0, 1]}, "describes no volume"),
        ({"kind": "volume", "shape": [9, 9, 9], "window": [1, 1]}, "describes no volume"),
        ({"kind": ["shape"]}, "does not say what it stores"),
        ({"name": None}, "does not say what it stores"),
    ],
)
def test_a_file_that_says_what_cannot_be_is_not_opened(fitted, tmp_path, changed, why):
    tensors, content = checkpoint.read(fitted.path / "field.safetensors")
    content["signal"] |= changed
    del content["format_version"], content["digest"]
    checkpoint.write(tmp_path / "field.safetensors", tensors, content)
    with pytest.raises(FieldsError, match=why):
        fields.load(tmp_path)


def run_command(capsys, *arguments):
    status = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def ball(count):
    """Points [count, 3] of a sphere of radius 1, which are its normals as well."""
    points = np.random.default_rng(0).normal(size=(count, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def test_the_commands_on_a_mesh_file(tmp_path, capsys, monkeypatch):
    import trimesh

    monkeypatch.chdir(tmp_path)
    shape = torus()
    trimesh.Trimesh(shape.vertices, shape.faces, process=False).export("torus.obj")
    small = [w for k, v in SMALL.items() for w in (f"--{k.replace('_', '-')}", v)]
    status, out, _ = run_command(capsys, "fit", "torus.obj", "--steps", 250, "--json", *small)
    assert status == 0 and json.loads(out)["model"] == "hashgrid"
    run = "runs/torus-hashgrid"
    assert run_command(capsys, "mesh", run, "-o", "a.glb", "--resolution", 48)[0] == 0
    mesh = trimesh.load("a.glb", force="mesh", process=False)
    # As it stands in the file, whose Y axis points up, so it stands in glTF's axes.
    assert np.allclose(mesh.bounds, [shape.vertices.min(0), shape.vertices.max(0)], atol=0.02)
    view = ("--size", "48x32", "--azimuth", 0, "--shading", "normals")
    assert run_command(capsys, "render", run, *view)[0] == 0
    assert (
        run_command(capsys, "render", run, "--orbit", 3, "--size", "32x32", "-o", "o.mp4")[0] == 0
    )
    assert run_command(capsys, "render", run, "--orbit", 2, "--size", "9x9", "-o", "o.png")[0] == 0
    assert {p.name for p in tmp_path.glob("o*")} == {"o.mp4", "o-1.png", "o-2.png"}
    status, out, _ = run_command(capsys, "info", run)
    assert status == 0 and "shape       torus (signed distance)" in out
    (tmp_path / "text.txt").write_text("Ceci n'est pas une forme")
    (tmp_path / "bare.xyz").write_text("0 0 0\n1 0 0\n0 1 0\n0 0 1\n")
    np.save("few.npy", np.hstack([ball(99), ball(99)]))
    with pytest.raises(FieldsError, match=r"is text, not a picture; .*NPY and NPZ volumes"):
        fields.fit("text.txt")
    for arguments, line in [
        (("mesh", run, "-o", "a.xyz"), "its suffix says no format of meshes"),
        (("mesh", run, "-o", "no/a.ply"), "no/a.ply cannot be written: there is no folder"),
        (("render", run, "-o", "no/a.png"), "no/a.png cannot be written: there is no folder"),
        (("render", run, "--fps", 9, "-o", "a.png"), "--fps is of films (.mp4), and a.png is none"),
        (("render", run, "--orbit", 2, "--fps", 9, "-o", "a.png"), "--fps is of films (.mp4)"),
        (("render", run, "--azimuth", 9, "-o", "a.mp4"), "--azimuth is of a still"),
        (("render", run, "--orbit", 2, "--size", "9x9"), "sides must be even, got 9x9"),
        (("render", run, "--elevation", 95), "--elevation must be from -90 to 90 degrees, got 95"),
        (("eval", run, "--json", "text.txt"), "text.txt is no shape that is known here"),
        (("view", run, "--share", 0.5), f"--share is of a training in view, and {run} is fitted"),
        (("mesh", run, "--resolution", 4), "--resolution must be from 8 to 1024"),
        (("render", run, "--crop", "0,0,4,4"), "--crop is not for the shape"),
        (("render", run, "--shading", "gold"), "--shading must be lit, colour, normals or depth"),
        (("render", run, "--camera", "no.json"), "no.json cannot be read"),
        (("fit", "torus.obj", "--spread", "-1"), "spread must be at least"),
        (("fit", "bare.xyz"), "bare.xyz holds points without normals, which tell no inside"),
        (("fit", "few.npy"), "few has 99 points; a surface takes 100 or more"),
        (("fit", "text.txt"), "EXR and Radiance HDR are read; so are OBJ, PLY, STL, OFF, GLB and"),
    ]:
        status, out, err = run_command(capsys, *arguments)
        assert status == 2 and out == "" and line in one_line(err)
