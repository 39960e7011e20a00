// Vectors [3], matrices [16] row by row, rotations as quaternions [x, y, z, w].

export const add = (a, b) => a.map((v, i) => v + b[i]);
export const sub = (a, b) => a.map((v, i) => v - b[i]);
export const scale = (a, s) => a.map((v) => v * s);
export const dot = (a, b) => a.reduce((sum, v, i) => sum + v * b[i], 0);
export const length = (a) => Math.sqrt(dot(a, a));
export const unit = (a) => scale(a, 1 / Math.max(length(a), 1e-12));
export const mix = (a, b, t) => a.map((v, i) => v + (b[i] - v) * t);
export const cross = (a, b) => [
  a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0],
];
export const clamp = (v, low, high) => Math.min(Math.max(v, low), high);

// `v` turned by `angle` around the unit vector `axis`.
export function turned(v, axis, angle) {
  const c = Math.cos(angle), s = Math.sin(angle);
  return add(add(scale(v, c), scale(cross(axis, v), s)), scale(axis, dot(axis, v) * (1 - c)));
}

export const column = (m, i) => [m[i], m[4 + i], m[8 + i]];

export function pose(right, up, back, eye) {
  return [
    right[0], up[0], back[0], eye[0], right[1], up[1], back[1], eye[1],
    right[2], up[2], back[2], eye[2], 0, 0, 0, 1,
  ];
}

export function toQuaternion(m) {
  const [a, b, c] = [column(m, 0), column(m, 1), column(m, 2)];
  const trace = a[0] + b[1] + c[2];
  let q;
  if (trace > 0) {
    const s = 2 * Math.sqrt(trace + 1);
    q = [(b[2] - c[1]) / s, (c[0] - a[2]) / s, (a[1] - b[0]) / s, s / 4];
  } else if (a[0] > b[1] && a[0] > c[2]) {
    const s = 2 * Math.sqrt(1 + a[0] - b[1] - c[2]);
    q = [s / 4, (b[0] + a[1]) / s, (c[0] + a[2]) / s, (b[2] - c[1]) / s];
  } else if (b[1] > c[2]) {
    const s = 2 * Math.sqrt(1 + b[1] - a[0] - c[2]);
    q = [(b[0] + a[1]) / s, s / 4, (c[1] + b[2]) / s, (c[0] - a[2]) / s];
  } else {
    const s = 2 * Math.sqrt(1 + c[2] - a[0] - b[1]);
    q = [(c[0] + a[2]) / s, (c[1] + b[2]) / s, s / 4, (a[1] - b[0]) / s];
  }
  return unit(q);
}

export function fromQuaternion([x, y, z, w], eye) {
  return pose(
    [1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w)],
    [2 * (x * y - z * w), 1 - 2 * (x * x + z * z), 2 * (y * z + x * w)],
    [2 * (x * z + y * w), 2 * (y * z - x * w), 1 - 2 * (x * x + y * y)],
    eye,
  );
}

// The shorter way from one rotation to another.
export function slerp(a, b, t) {
  let d = dot(a, b);
  if (d < 0) { b = scale(b, -1); d = -d; }
  if (d > 0.9995) return unit(mix(a, b, t));
  const angle = Math.acos(d), s = Math.sin(angle);
  return add(scale(a, Math.sin((1 - t) * angle) / s), scale(b, Math.sin(t * angle) / s));
}
