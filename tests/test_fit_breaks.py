"""Numbers that are not finite stop a fit; what was sound is kept."""

import math

import pytest
from fits import Net
from small import TINY, one_line, picture

import fields
from fields import FieldsError, loop, steps


def test_a_loss_that_is_not_finite_stops_the_fit_and_names_step_and_tensor(tmp_path):
    class Breaks(Net):
        def forward(self, coords):
            out = super().forward(coords)
            return out * math.nan if self.training and self.calls == 5 else out

    with pytest.raises(FieldsError, match=r"step 5: .*layers\.\d.*nothing was written") as error:
        fields.fit(picture(), Breaks(), out=tmp_path / "run", steps=50)
    one_line(error.value)
    assert list(tmp_path.iterdir()) == []


def test_the_checkpoint_before_a_broken_number_stands(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(loop, "READ_EVERY", 1)

    class Breaks(Net):
        def forward(self, coords):
            out = super().forward(coords)
            return out / 0 if self.training and self.calls == 30 else out

    with pytest.raises(FieldsError, match=r"step 30: .* is kept in .*--resume"):
        fields.fit(picture(), Breaks(), out=tmp_path / "run", steps=50)
    kept = fields.load(tmp_path / "run", model=Breaks())
    assert 0 < kept.steps < 30
    assert all(tensor.isfinite().all() for tensor in kept.field.state_dict().values())


def test_weights_that_break_in_the_last_step_are_not_saved(tmp_path, monkeypatch):
    class Breaks(steps.HashGridStep):
        def __call__(self, step, factor):
            loss = super().__call__(step, factor)
            if step == 20:
                self.field.table.data[0, 0] = math.inf
            return loss

    monkeypatch.setattr(steps, "choose", Breaks)
    with pytest.raises(FieldsError, match=r"step 20: field\.table holds NaN or infinity"):
        fields.fit(picture(), out=tmp_path / "run", steps=20, **TINY)
    assert list(tmp_path.iterdir()) == []
