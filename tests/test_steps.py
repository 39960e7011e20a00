"""A training step: the fused one is that of autograd; what is not trained stays."""

import pytest
import torch
from fits import Net
from small import picture
from torch import nn

import fields
from fields import FieldsError, catalogue, steps
from fields.configs import HashGridConfig
from fields.pictures import Picture
from fields.plan import Plan, Stop, Training
from fields.schedule import CONSTANT
from fields.signals.picture import PictureSignal

CPU = torch.device("cpu")


@pytest.mark.parametrize("loss", ["l2", "l1"])
@pytest.mark.parametrize("touched_only", [False, True])
def test_the_fused_step_is_the_step_of_autograd(loss, touched_only):
    signal = PictureSignal(Picture(picture(), "waves", "png"), CPU)
    training = Training(
        batch=300, rate=3e-3, table_rate=1e-2, weight_decay=1e-3, touched_only=touched_only
    )
    config = HashGridConfig(3, num_levels=4, log2_table_size=8, width=16, bias=True)
    fits = {}
    for kind in (steps.HashGridStep, steps.AutogradStep):
        field = catalogue.build(config)
        step = kind(field, signal, Plan(training, CONSTANT, Stop(steps=20)), loss)
        losses = [step(i, 1.0 / i).item() for i in range(1, 21)]
        fits[kind] = losses, step.tensors()
    (fused, fused_tensors), (plain, plain_tensors) = fits.values()
    assert fused == pytest.approx(plain, rel=1e-4)
    assert fused_tensors.keys() == plain_tensors.keys()
    for name, tensor in fused_tensors.items():
        assert torch.allclose(tensor, plain_tensors[name], rtol=1e-3, atol=1e-5), name


def test_the_default_step_is_that_of_torch_adam():
    signal = PictureSignal(Picture(picture(), "waves", "png"), CPU)
    training = Training(batch=64, rate=1e-2, beta2=0.999, eps=1e-8, weight_decay=0.01)
    ours, theirs = Net().eval(), Net().eval()
    theirs.load_state_dict(ours.state_dict())
    step = steps.AutogradStep(ours, signal, Plan(training, CONSTANT, Stop(steps=9)), "l2")
    adam = torch.optim.Adam(theirs.parameters(), lr=1e-2, weight_decay=0.01)
    for i in range(1, 10):
        coords, values = signal.batch(64, 0, i)
        loss = nn.functional.mse_loss(theirs(coords), values)
        adam.zero_grad()
        loss.backward()
        adam.step()
        assert step(i, 1.0).item() == pytest.approx(loss.item(), rel=1e-5)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_frozen_and_unused_parameters_stay_as_they_are(tmp_path):
    net = Net()
    net.layers[0].weight.requires_grad_(False)
    net.spare = nn.Parameter(torch.ones(3))
    before = net.layers[0].weight.clone()
    fields.fit(picture(), net, out=tmp_path / "run", steps=5, batch=64)
    assert torch.equal(net.layers[0].weight, before) and torch.equal(net.spare, torch.ones(3))


def test_weights_that_cannot_be_trained_are_refused(tmp_path):
    for net, word in ((Net().bfloat16(), "bfloat16"), (nn.Identity(), "no parameters")):
        with pytest.raises(FieldsError, match=word):
            steps.Moments(net)


@pytest.mark.parametrize("frozen", ["table", "params"])
def test_a_frozen_part_of_a_hash_grid_stays(tmp_path, frozen):
    field = fields.HashGrid(3, num_levels=2, log2_table_size=6, width=8)
    getattr(field, frozen).requires_grad_(False)
    before = {name: value.clone() for name, value in field.state_dict().items()}
    fields.fit(picture(), field, out=tmp_path / "run", steps=3, batch=64)
    same = {name: torch.equal(value, before[name]) for name, value in field.state_dict().items()}
    assert same == {name: name == frozen for name in before}


def test_weights_that_are_not_float32_are_refused_at_the_start(tmp_path):
    for field in (fields.HashGrid(3).double(), nn.Linear(2, 3).double(), nn.Linear(2, 3).half()):
        with pytest.raises(FieldsError, match="needs float32 weights"):
            fields.fit(picture(), field, out=tmp_path / "run", steps=2)
    assert list(tmp_path.iterdir()) == []
