"""The command itself: what it answers, how it fails, and what it leaves behind."""

import json
import os
import re
import time

import numpy as np
import pytest
from commands import ROOT, SMALL, command, fails
from small import TINY, picture

from fields import device
from fields.catalogue import MODELS
from fields.cli import VERBS
from fields.pictures import read_picture, write_picture


@pytest.fixture
def folder(tmp_path):
    write_picture(tmp_path / "waves.png", picture())
    return tmp_path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run made by the command, with what it printed."""
    here = tmp_path_factory.mktemp("run")
    write_picture(here / "waves.png", picture())
    done = command("fit", "waves.png", "--steps=60", *SMALL, cwd=here)
    assert done.returncode == 0, done.stderr
    return here / "runs" / "waves-hashgrid", done


@pytest.fixture(scope="module")
def without_torch(tmp_path_factory):
    """An environment in which torch cannot be imported."""
    here = tmp_path_factory.mktemp("path")
    (here / "torch.py").write_text("raise SystemExit('torch was imported')")
    return {"PYTHONPATH": f"{here}{os.pathsep}{ROOT}"}


@pytest.mark.parametrize("verb", [None, *VERBS])
def test_help_needs_no_torch(verb, tmp_path, without_torch):
    arguments = ["--help"] if verb is None else [verb, "--help"]
    done = command(*arguments, cwd=tmp_path, env=without_torch)
    assert done.returncode == 0 and "usage: fields" in done.stdout and done.stderr == ""


def test_help_answers_within_half_a_second(tmp_path):
    times = []
    for _ in range(3):
        start = time.perf_counter()
        command("--help", cwd=tmp_path)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("fti astronaut", "did you mean fit?"),
        ("fit", "needs SOURCE"),
        ("fit astronaut waves.png", "waves.png"),
        ("fit astronaut --stpes 9", "did you mean --steps?"),
        ("fit astronaut --hash-size 9", "--hash-size"),
        ("fit astronaut --model hashgird", "did you mean hashgrid?"),
        ("fit astronaut --model nothing", "there are hashgrid"),
        ("fit astronaut --steps -3", "--steps must be from 1"),
        ("fit astronaut --steps 0", "--steps"),
        ("fit astronaut --steps many", "whole number"),
        ("fit astronaut --steps", "--steps"),
        ("fit astronaut --seconds -1", "--seconds must be more than 0"),
        ("fit astronaut --seconds nan", "--seconds"),
        ("fit astronaut --target -5", "--target"),
        ("fit astronaut --size-kb -5", "--size-kb"),
        ("fit astronaut --downscale 0", "--downscale"),
        ("fit astronaut --device tpu", "auto, cpu or cuda"),
        ("fit astronaut --threads 0", "--threads"),
        ("fit astronaut --width 0", "--width must be at least 1"),
        ("fit astronaut --log2-table-size 99", "--log2-table-size must be at most 24"),
        ("fit astronaut --activation tanh", "--activation must be relu"),
        ("fit astronaut --resume --overwrite", "--resume"),
        ("fit astronaut --growth nan", "--growth must be a finite number, got nan"),
        ("fit astronaut --seconds inf", "--seconds must be a finite number, got inf"),
        ("fit astronaut --seed -3", "--seed must be from 0"),
        ("fit missing.png", "missing.png does not exist"),
        ("fit nope", "nope is neither a file nor a sample; samples are astronaut, brick"),
        ("fit astronout", "did you mean the sample astronaut?"),
        ("fit .", "folder"),
        ("fit astronaut --seconds -inf", "--seconds must be a finite number, got -inf"),
        ("fit astronaut --overwrite", "--overwrite replaces the run in --out; name it"),
        ("fit astronaut --background white", "--background is for scenes"),
        ("fit astronaut --loss binary", "--loss binary is for --stores occupancy; that of all"),
        ("fit a.obj --stores occupancy --loss l2", "--stores occupancy, whose loss is binary"),
        ("fit a.obj --stores udf --sign winding", "--sign is for --stores auto, sdf or occup"),
        ("fit a.obj --stores occupancy --eikonal 1", "--eikonal is for --stores auto, sdf or udf"),
        ("fit a.obj --surface 0 --jitter 0.01", "--jitter 0.01 does nothing with --surface 0"),
        ("fit a.obj --near 0 --spread 0.01", "--spread 0.01 does nothing with --near 0"),
        ("fit a.obj --truncation 9", "--truncation must be at most 1.0"),
        ("render", "needs RUN"),
        ("render run --size 5", "WIDTHxHEIGHT"),
        ("render run --size 4y", "or times the source, such as 4x"),
        ("render run --crop 1,2,3", "X0,Y0,X1,Y1"),
        ("render run --size 0x0", "--size must be at least 1x1, got 0x0"),
        ("render run --size -3x4", "--size must be at least 1x1, got -3x4"),
        ("render run --size 0x", "--size must be more than 0 times the source, got 0x"),
        ("render run --azimuth nan", "--azimuth must be a finite number, got nan"),
        ("render run --azimuth -inf", "--azimuth must be a finite number, got -inf"),
        ("render run --elevation nan", "--elevation must be a finite number, got nan"),
        ("render run --fps nan", "--fps must be a finite number, got nan"),
        ("render run --split test --time 0", "--time does not go with --split"),
        ("render run --split test --fps 9", "--fps does not go with --split"),
        ("render run --background white --shading depth", "--background is behind colours"),
        ("render run --out=", "must be the name of a file"),
        ("mesh run --out=", "must be the name of a file"),
        ("mesh run --level nan", "--level must be a finite number, got nan"),
        ("mesh run --resolution 9999", "--resolution must be from 8 to 1024, got 9999"),
        ("mesh run --faces 3", "--faces must be at least 4, got 3"),
        ("mesh run --faces -5", "--faces must be at least 4, got -5"),
        ("mesh run --points 9 --resolution 9", "--resolution is for meshes"),
        ("eval run --json a b", "does not know what to do with 'b'"),
        ("render run -o .", ". is a folder; name a file in it, such as picture.png"),
        ("render run -o a.xyz", "suffix"),
        ("bench nothing", "kernels"),
    ],
)
def test_a_mistake_gets_one_line_without_torch(arguments, words, tmp_path, without_torch):
    assert words in fails(*arguments.split(), cwd=tmp_path, env=without_torch)


def test_an_option_of_another_model_is_said_to_be_of_that_model(monkeypatch):
    from dataclasses import dataclass

    from fields import catalogue
    from fields.catalogue import Model
    from fields.cli import fit
    from fields.configs import Config, setting
    from fields.errors import FieldsError

    @dataclass(frozen=True)
    class SirenConfig(Config):
        omega: float = setting(30.0, help="frequency of the first layer", low=0)
        width: int = setting(256, help="neurons of a hidden layer", low=1)

    siren = Model("siren", "smooth", "Sitzmann et al. 2020", SirenConfig, "fields.siren:Siren")
    monkeypatch.setitem(MODELS, "siren", siren)
    monkeypatch.setattr(catalogue, "ALL", (*MODELS.values(), *catalogue.SCENE_MODELS.values()))
    for line in ("astronaut --omega 3", "astronaut --omega=3"):
        with pytest.raises(FieldsError, match=r"--omega is an option of siren, .*not of hashgrid"):
            fit._request(line.split())
    with pytest.raises(FieldsError, match="--growth is an option of hashgrid or rbf, not of siren"):
        fit._request("astronaut --growth 2 --model siren".split())
    request, source, as_json = fit._request("astronaut --omega 3 --model siren --json".split())
    assert (request.model, request.options, source, as_json) == (
        "siren", {"omega": 3.0}, "astronaut", True
    )  # fmt: skip


def test_bad_files_get_one_line(folder, here):
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("hello, this is a text")
    (folder / "short.png").write_bytes((folder / "waves.png").read_bytes()[:-300])
    for name in ("empty.png", "text.png", "short.png"):
        assert name in fails("fit", name, cwd=folder, run=here)


def test_cuda_without_cuda_gets_one_line(folder, here):
    if device.why_not_cuda() is None:
        pytest.skip("CUDA is there")
    assert "--device cpu" in fails("fit", "waves.png", "--device", "cuda", cwd=folder, run=here)


def test_cuda_is_taken_by_itself_only_with_a_passing_run_in_the_documentation():
    page = (ROOT / "docs" / "gpu.md").read_text()
    # The last line of benchmarks/gpu.sh: the device, the date, torch's version.
    passing = re.search(r"^\W*passing: .+, .+, torch \d", page, re.MULTILINE)
    assert device.CUDA_IS_PROVEN is bool(passing)


def test_fit_says_what_it_will_do_and_where_the_result_lies(run):
    path, done = run
    announced, result = done.stderr, done.stdout
    assert "waves (56 x 40, RGB, 8 bit)" in announced and "60 steps" in announced
    assert "runs/waves-hashgrid" in announced and "runs/waves-hashgrid" in result
    assert "dB" in result and (path / "preview.png").is_file()


def test_json_is_all_that_is_printed(run, here):
    path, _ = run
    cwd = path.parent.parent
    done = command("fit", "waves.png", "--steps=2", "--json", *SMALL, cwd=cwd)
    metrics = json.loads(done.stdout)
    assert metrics["steps"] == 2 and metrics["wall_seconds"] > metrics["seconds"] > 0
    found = json.loads(here("eval", path, "--json", cwd=cwd).stdout)
    assert found["psnr"] == json.loads((path / "metrics.json").read_text())["psnr"]
    assert found["steps"] == 60 and found["model"] == "hashgrid"
    assert found["eval_seconds"] > 0 and found["fit_wall_seconds"] > found["fit_seconds"] > 0
    assert not {"seconds", "wall_seconds"} & set(found)
    held = json.loads(here("info", path, "--json", cwd=cwd).stdout)
    assert held["config"]["config"]["width"] == TINY["width"] and held["metrics"]["steps"] == 60
    assert json.loads(here("models", "--json", cwd=cwd).stdout)["models"][0]["name"]
    assert json.loads(here("doctor", "--json", cwd=cwd).stdout)["kernels"]


def test_eval_and_info_say_score_and_kind(run, here):
    path, _ = run
    cwd = path.parent.parent
    psnr = json.loads((path / "metrics.json").read_text())["psnr"]
    for source in ([], ["waves.png"]):
        assert f"{psnr:.2f} dB" in here("eval", path, *source, cwd=cwd).stdout
    assert f"{psnr:.2f} dB" in here("info", path, cwd=cwd).stdout
    assert "56 x 40" in here("info", path / "field.safetensors", cwd=cwd).stdout
    write_picture(cwd / "other.png", picture(9, 9))
    line = fails("eval", path, "other.png", cwd=cwd, run=here)
    assert "other is 9 x 9, RGB, 8 bit" in line and "56 x 40, RGB, 8 bit; name a" in line
    assert "name it" in fails("eval", path / "field.safetensors", cwd=cwd, run=here)
    for line in (["--json", path, "other.png"], [path, "--json", "other.png"]):
        assert "other is 9 x 9" in fails("eval", *line, cwd=cwd, run=here)


def test_render_draws_a_size_and_a_crop_into_a_file(run, tmp_path, here):
    path, _ = run
    for name, size in (("a.png", "112x80"), ("a.exr", "112x80")):
        done = here("render", path, "-o", tmp_path / name, f"--size={size}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert read_picture(tmp_path / name).pixels.shape == (80, 112, 3)
    field = path / "field.safetensors"
    done = command(
        *("render", field, "-o", "b.png", "--size=112x80", "--crop=9,8,50,60"), cwd=tmp_path
    )
    whole = read_picture(tmp_path / "a.png").pixels
    assert np.array_equal(read_picture(tmp_path / "b.png").pixels, whole[8:60, 9:50])
    here("render", path, cwd=tmp_path)
    assert read_picture(path / "render.png").pixels.shape == (40, 56, 3)


def test_a_damaged_run_gets_one_line_from_every_verb(run, tmp_path, here):
    data = bytearray((run[0] / "field.safetensors").read_bytes())
    data[-5] ^= 1
    (tmp_path / "field.safetensors").write_bytes(data)
    for arguments in (["render", ".", "-o", "a.png"], ["eval", "."], ["info", "."]):
        assert "damaged" in fails(*arguments, cwd=tmp_path, run=here)
    (tmp_path / "field.safetensors").write_bytes(data[:-5])
    assert "cut short" in fails("info", ".", cwd=tmp_path, run=here)
    (tmp_path / "field.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    assert "is a Git LFS pointer, not the field" in fails("info", ".", cwd=tmp_path, run=here)


def test_nothing_is_computed_for_a_file_that_cannot_be_written(run, tmp_path, here, monkeypatch):
    monkeypatch.setattr("fields.runs.picture.PictureRun.render", None)
    (tmp_path / "file").touch()
    for name, why in [
        ("no/a.png", "there is no folder"),
        ("file/a.png", "there is no folder"),
        ("/dev/full/a.png", "there is no folder"),
        (f"{'long' * 99}.png", "File name too long"),
    ]:
        assert why in fails("render", run[0], "-o", name, cwd=tmp_path, run=here)


def test_an_empty_name_gets_one_line(tmp_path, here):
    for line, why in [
        (["info", ""], "no run is named"),
        (["mesh", ""], "no run is named"),
        (["fit", ""], "no picture is named"),
    ]:
        assert why in fails(*line, cwd=tmp_path, run=here)


def test_info_trusts_no_file(run, tmp_path, here):
    os.mkfifo(tmp_path / "pipe")
    assert "is no file" in fails("info", "pipe", cwd=tmp_path, run=here)
    path, _ = run
    (path / "metrics.json").write_text('{"steps": 60, "psnr": "high"}')
    done = here("info", path, cwd=tmp_path)
    assert done.returncode == 0 and "parameters" in done.stdout
    (path / "metrics.json").write_text('{"steps": 60, "source": 5}')
    assert "does not say where its source is" in fails("eval", path, cwd=tmp_path, run=here)


def test_a_number_past_all_numbers_gets_one_line(folder, here):
    line = ["fit", "waves.png", "--steps", "1" + "0" * 400]
    assert "--steps must be from 1" in fails(*line, cwd=folder, run=here)


def test_an_existing_run_is_not_overwritten(run, here):
    path, _ = run
    line = ["fit", "waves.png", "--out", path, "--steps=1"]
    assert "--overwrite" in fails(*line, cwd=path.parent.parent, run=here)


def test_a_place_that_cannot_be_written_gets_one_line(folder, here):
    (folder / "taken").mkdir()
    (folder / "taken" / "note").touch()
    places = ["/proc/run", "/dev/null/run", "waves.png/run", "waves.png", "new/../taken"]
    for place in places:
        fails("fit", "waves.png", "--steps=1", "--out", place, cwd=folder, run=here)


def test_models_lists_every_model_with_its_options(tmp_path, without_torch):
    done = command("models", cwd=tmp_path, env=without_torch)
    for model in MODELS.values():
        assert model.name in done.stdout and model.source in done.stdout
    assert "--num-levels" in done.stdout


def test_doctor_says_what_is_active_and_why(tmp_path):
    done = command("doctor", cwd=tmp_path, env={"FIELDS_CPU": "base"})
    assert "base: forced by FIELDS_CPU" in done.stdout and "CUDA" in done.stdout
    done = command("doctor", cwd=tmp_path, env={"FIELDS_CPU": "neon"})
    assert done.returncode == 0 and "FIELDS_CPU" in done.stdout


def test_threads_are_limited_by_the_control_group(tmp_path):
    own = tmp_path / "own"
    for content, expected in (("0::/a/b\n", 1.5), ("0::/gone\n", float("inf"))):
        own.write_text(content)
        (tmp_path / "a" / "b").mkdir(parents=True, exist_ok=True)
        (tmp_path / "a" / "cpu.max").write_text("150000 100000")
        (tmp_path / "a" / "b" / "cpu.max").write_text("max 100000")
        assert device._cgroup_quota(tmp_path, own) == expected
    assert 1 <= device.available_threads() <= (os.cpu_count() or 1)
