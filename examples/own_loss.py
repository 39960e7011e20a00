"""A picture from a tenth of its pixels: an own module, an own loss, an own loop.

The loss has a term for the slope of the field, whose gradient needs second derivatives: the hash
grid has them. Run as: python examples/own_loss.py [STEPS]
"""

import sys

import torch
from torch import nn

import fields
from fields.pictures import read_picture, write_picture


class Field(nn.Module):
    def __init__(self):
        super().__init__()
        self.grid = fields.HashGridEncoding(dim=2, num_levels=8, base_resolution=8, growth=1.5)
        self.mlp = nn.Sequential(nn.Linear(self.grid.features, 64), nn.ReLU(), nn.Linear(64, 3))

    def forward(self, coords):  # [..., 2] in [0, 1] -> [..., 3]
        return self.mlp(self.grid(coords))


def slope(field, count):  # mean length of d (r + g + b) / d (x, y), at random points
    x = torch.rand(count, 2, requires_grad=True)
    return torch.autograd.grad(field(x).sum(), x, create_graph=True)[0].norm(dim=1).mean()


steps = int(sys.argv[1]) if len(sys.argv) > 1 else 300
torch.manual_seed(0)
pixels = torch.from_numpy(read_picture("cat").pixels[::2, ::2] / 255).float()
height, width, _ = pixels.shape
y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
coords = torch.stack([(x + 0.5) / width, (y + 0.5) / height], dim=-1)
known = torch.rand(height, width) < 0.1
for weight in (0.0, 1e-4):
    field = Field()
    optimizer = torch.optim.Adam(field.parameters(), lr=1e-2, betas=(0.9, 0.99), eps=1e-15)
    for _ in range(steps):
        chosen = torch.randint(int(known.sum()), (2048,))
        error = (field(coords[known][chosen]) - pixels[known][chosen]).square().mean()
        optimizer.zero_grad()
        (error + weight * slope(field, 2048)).backward()
        optimizer.step()
    drawn = field(coords).detach()
    psnr = -10 * (drawn - pixels)[~known].square().mean().log10()
    write_picture(f"own_loss_{weight:g}.png", drawn.numpy())
    print(f"weight of the slope {weight:g}: {psnr:.2f} dB on the pixels that were not shown")
