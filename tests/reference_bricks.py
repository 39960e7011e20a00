"""A twin of the bricks' renderer in plain NumPy: every place of every ray, one after the other, in
float64, from the documented layout alone. `bricks` is an ops.Bricks."""

import numpy as np
import reference_march
import torch


def pixel_directions(pose, intrinsics, size):
    """[H * W, 3], row by row."""
    fl_x, fl_y, cx, cy = intrinsics
    x, y = np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5)
    local = np.stack([(x - cx) / fl_x, (cy - y) / fl_y, -np.ones_like(x)], -1).reshape(-1, 3)
    turned = local @ pose[:, :3].T
    return turned / np.linalg.norm(turned, axis=1, keepdims=True)


class Baked:
    def __init__(self, bricks):
        self.blocks, self.pages, self.vertices, self.colours, densities, palette = (
            tensor.cpu().numpy() for tensor in bricks.args()
        )
        self.n = bricks.resolution
        self.densities, self.palette = densities.astype(np.float64), palette.astype(np.float64)

    def cell(self, x):
        """The brick of a place in the cube, its cell's lowest vertex, and the place within the
        cell; None where all is empty."""
        place = np.clip(x, 0, 1) * self.n
        cell = np.minimum(place.astype(int), self.n - 1)
        bx, by, bz = cell // 16
        page = self.blocks[bz, by, bx]
        if page < 0:
            return None
        ix, iy, iz = cell // 4 % 4
        brick = self.pages[page, (iz * 4 + iy) * 4 + ix]
        return None if brick < 0 else (brick, cell % 4, place - cell)

    def corners(self, found):
        """Numbers of the vertices and their shares."""
        _, (x, y, z), at = found
        for i in range(8):
            dx, dy, dz = i & 1, i >> 1 & 1, i >> 2
            share = np.prod([at[d] if step else 1 - at[d] for d, step in enumerate((dx, dy, dz))])
            yield ((z + dz) * 5 + y + dy) * 5 + x + dx, share

    def density(self, found):
        own = self.vertices[found[0]]
        code = sum(share * float(own[vertex]) for vertex, share in self.corners(found))
        low, step = self.densities
        return np.exp(min(low + step * code, 15.0))

    def coefficients(self, found):
        """[3, degree^2]"""
        own = self.vertices[found[0]]
        first = int(own[252:].view(np.int32)[0])
        total = np.zeros_like(self.palette[0])
        for vertex, share in self.corners(found):
            row = self.colours[first + int(own[125 + vertex])].astype(np.float64)
            total += share * (self.palette[0] + np.tensordot(row, self.palette[1:], 1))
        return total


def draw(bricks, pose, intrinsics, size, spec, *, min_weight=0.0, min_transmittance=0.0):
    """colours [H * W, 3], opacity, depth, and which vertices have weight [B, 125]; `spec` has the
    attributes of ops.MarchSpec."""
    baked = Baked(bricks)
    pose, intrinsics = pose.double().numpy(), intrinsics.double().numpy()
    directions = pixel_directions(pose, intrinsics, size)
    harmonics = reference_march.harmonics(torch.from_numpy(directions)).numpy()
    harmonics = harmonics[:, : bricks.degree**2]
    seen = np.zeros((len(baked.vertices), 125), bool)
    colours, opacity, depth = (np.zeros((len(directions), *c)) for c in ((3,), (), ()))
    for ray, direction in enumerate(directions):
        near, far = reference_march.ends(spec, pose[:, 3], direction)
        t, left = near + spec.step / 2, 1.0
        while t < far and left >= min_transmittance:
            found = baked.cell(pose[:, 3] + t * direction)
            passed = 1.0 if found is None else np.exp(-baked.density(found) * spec.step)
            weight = left * (1 - passed)
            if found is not None and weight >= min_weight:
                colours[ray] += weight * (baked.coefficients(found) @ harmonics[ray])
                depth[ray] += weight * t
                left *= passed
                for vertex, _ in baked.corners(found):
                    seen[found[0], vertex] = True
            t += spec.step
        opacity[ray] = 1 - left
    return np.clip(colours, 0, opacity[:, None]), opacity, depth, seen
