"""The reader of parts: an encoder of channel tokens, and a decoder that is asked for points
(Cardace et al. 2024, section 4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fields.readers.channel_tokens import PAPER, TransformerSizes, encoder_of, normalised

OCTAVES = 10  # of the place of a point


class Segmenter(nn.Module):
    """Planes, points and a class to logits of parts.

    The published decoder lets the points that are asked together see one another; here a point's
    answer hangs on nothing but the planes, its place and its class.

    Args:
        resolution: R of the planes.
        classes: of shapes.
        parts: of all classes together.
        sizes: of encoder and decoder; `PAPER_ENCODER` has those that were published.
        layers: of the decoder.
        reads: whether it is shown the planes at all; without them it knows place and class alone.
    """

    def __init__(
        self,
        resolution: int,
        classes: int,
        parts: int,
        sizes: TransformerSizes | None = None,
        layers: int = 2,
        reads: bool = True,
    ):
        super().__init__()
        sizes = sizes or TransformerSizes(64, 2, 4, 128, 0.1)
        self.classes, self.reads = classes, reads
        self.embed = nn.Linear(resolution**2, sizes.width)
        self.encoder = encoder_of(sizes)
        self.ask = nn.Linear(3 + 6 * OCTAVES + classes, sizes.width)
        self.decoder = nn.ModuleList(_Asked(sizes) for _ in range(layers))
        self.head = nn.Linear(sizes.width, parts)

    def forward(self, planes: Tensor, points: Tensor, classes: Tensor) -> Tensor:
        """planes [B, 3, C, R, R], points [B, N, 3] in the unit cube, classes [B] to logits
        [B, N, parts]."""
        tokens = normalised(planes).flatten(2)
        tokens = self.encoder(self.embed(tokens if self.reads else torch.zeros_like(tokens)))
        kind = nn.functional.one_hot(classes, self.classes).to(points)
        kind = kind[:, None].expand(-1, points.shape[1], -1)
        asked = self.ask(torch.cat([placed(points), kind], 2)).relu()
        for layer in self.decoder:
            asked = layer(asked, tokens)
        return self.head(asked)


PAPER_ENCODER = TransformerSizes(PAPER.width, PAPER.layers, PAPER.heads, 1024, PAPER.dropout)


class _Asked(nn.Module):
    """A layer of the decoder: points look at tokens, then an MLP."""

    def __init__(self, sizes: TransformerSizes):
        super().__init__()
        width = sizes.width
        self.look = nn.MultiheadAttention(width, sizes.heads, sizes.dropout, batch_first=True)
        self.mlp = nn.Sequential(
            nn.Linear(width, sizes.hidden), nn.ReLU(), nn.Dropout(sizes.dropout),
            nn.Linear(sizes.hidden, width),
        )  # fmt: skip
        self.after_look, self.after_mlp = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, asked: Tensor, tokens: Tensor) -> Tensor:
        seen = self.look(asked, tokens, tokens, need_weights=False)[0]
        asked = self.after_look(asked + seen)
        return self.after_mlp(asked + self.mlp(asked))


def placed(points: Tensor) -> Tensor:
    """Points [..., 3] of the unit cube as p = 2 x - 1 and sin, cos of 2^k p, k = 0 to 9:
    [..., 63]."""
    place = 2 * points - 1
    waves = [wave(2**k * place) for k in range(OCTAVES) for wave in (torch.sin, torch.cos)]
    return torch.cat([place, *waves], -1)
