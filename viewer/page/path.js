// Key frames of a camera, the path through them, and its files: nerfstudio's form, with its key frames,
// or that of transforms.json, whose every frame has a matrix and a lens. `fields render --camera`
// draws both.

import * as v from "./vec.js";

export class Path {
  constructor() {
    this.keys = []; // { c2w, fov, time, seconds }: seconds to the next one
    this.closed = false;
    this.fps = 30;
  }

  get seconds() {
    const parts = this.closed ? this.keys : this.keys.slice(0, -1);
    return parts.reduce((sum, key) => sum + key.seconds, 0);
  }

  get count() { return Math.max(1, Math.round(this.seconds * this.fps)); }

  // Of the view at so many seconds: places by a spline through the keys (Catmull and Rom 1974),
  // turns along the shortest way.
  at(seconds) {
    const n = this.keys.length;
    if (n === 1) return this.keys[0];
    let i = 0;
    const last = this.closed ? n - 1 : n - 2;
    while (i < last && seconds >= this.keys[i].seconds) { seconds -= this.keys[i].seconds; i++; }
    const t = v.clamp(seconds / Math.max(this.keys[i].seconds, 1e-6), 0, 1);
    const key = (j) => this.keys[this.closed ? (j + n) % n : v.clamp(j, 0, n - 1)];
    const eye = (j) => v.column(key(j).c2w, 3);
    const [p0, p1, p2, p3] = [eye(i - 1), eye(i), eye(i + 1), eye(i + 2)];
    const place = p1.map((_, k) => 0.5 * (2 * p1[k] + (p2[k] - p0[k]) * t
      + (2 * p0[k] - 5 * p1[k] + 4 * p2[k] - p3[k]) * t * t
      + (3 * p1[k] - p0[k] - 3 * p2[k] + p3[k]) * t * t * t));
    const a = key(i), b = key(i + 1);
    const turn = v.slerp(v.toQuaternion(a.c2w), v.toQuaternion(b.c2w), t);
    const times = a.time ?? b.time;
    return {
      c2w: v.fromQuaternion(turn, place),
      fov: a.fov + (b.fov - a.fov) * t,
      time: times === undefined ? undefined
        : (a.time ?? times) + ((b.time ?? times) - (a.time ?? times)) * t,
    };
  }

  // All views of the film.
  views() {
    const count = this.count;
    const span = this.closed ? count : Math.max(count - 1, 1);
    return Array.from({ length: count }, (_, i) => this.at(this.seconds * i / span));
  }

  toJSON(width, height) {
    const aspect = width / height;
    return {
      camera_type: "perspective", render_width: width, render_height: height,
      fps: this.fps, seconds: this.seconds, is_cycle: this.closed, smoothness_value: 0,
      default_fov: this.keys[0]?.fov, default_transition_sec: 1,
      keyframes: this.keys.map(({ c2w, fov, time, seconds }) => ({
        matrix: c2w, fov, aspect, override_transition_enabled: true,
        override_transition_sec: seconds, ...(time === undefined ? {} : { render_time: time }),
      })),
      camera_path: this.views().map(({ c2w, fov, time }) => ({
        camera_to_world: c2w, fov, aspect, ...(time === undefined ? {} : { render_time: time }),
      })),
    };
  }

  // As transforms.json has it.
  toFrames(width, height) {
    return {
      w: width, h: height, fps: this.fps, is_cycle: this.closed,
      frames: this.views().map(({ c2w, fov, time }) => ({
        transform_matrix: [0, 4, 8, 12].map((i) => c2w.slice(i, i + 4)),
        fl_y: height / 2 / Math.tan(fov * Math.PI / 360), ...(time === undefined ? {} : { time }),
      })),
    };
  }

  // Throws an Error, in one line, for what is no path.
  load(content) {
    let views, spacing = 1;
    if (Array.isArray(content?.keyframes) && content.keyframes.length) {
      views = content.keyframes.map((key) => ({
        c2w: matrixOf(key.matrix), fov: key.fov ?? content.default_fov, time: key.render_time,
        seconds: key.override_transition_sec ?? content.default_transition_sec,
      }));
    } else if (Array.isArray(content?.camera_path) && content.camera_path.length) {
      views = content.camera_path.map((view) => ({
        c2w: matrixOf(view.camera_to_world), fov: view.fov, time: view.render_time,
      }));
      spacing = 1 / (content.fps || 30);
    } else if (Array.isArray(content?.frames) && content.frames.length) {
      views = content.frames.map((frame) => ({
        c2w: matrixOf(frame.transform_matrix), fov: fovOf({ ...content, ...frame }),
        time: frame.time,
      }));
      if (content.fps > 0) spacing = 1 / content.fps;
    } else throw new Error("the file holds no keyframes, camera_path or frames");
    const every = Math.ceil(views.length / 120);
    this.keys = views.filter((_, i) => i % every === 0).map((view) => ({
      ...view, fov: view.fov > 0 && view.fov < 180 ? v.clamp(view.fov, 1, 170) : 50,
      seconds: view.seconds > 0 ? view.seconds : spacing * every,
    }));
    this.closed = !!content.is_cycle;
    if (content.fps > 0 && content.fps <= 120) this.fps = content.fps;
  }
}

function matrixOf(value) {
  if (typeof value === "string") value = JSON.parse(value);
  let m = (value ?? []).flat();
  if (m.length === 12) m = [...m, 0, 0, 0, 1];
  if (m.length !== 16 || !m.every(Number.isFinite)) throw new Error("a view has no 4 x 4 matrix");
  // Column by column, as older files have it: what should be the last row holds the place.
  if ((m[12] || m[13] || m[14]) && !m[3] && !m[7] && !m[11]) {
    m = [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15].map((i) => m[i]);
  }
  const columns = [0, 1, 2].map((i) => v.column(m, i)), [x, y, z] = columns.map(v.unit);
  if (Math.max(...[[x, y], [y, z], [z, x]].map(([a, b]) => Math.abs(v.dot(a, b)))) > 0.01) {
    throw new Error("the matrix of a view does not turn, it bends");
  }
  // Some files have a scale in it.
  const isScaled = columns.some((axis) => Math.abs(v.length(axis) - 1) > 1e-4);
  return isScaled ? v.pose(x, y, z, v.column(m, 3)) : m;
}

function fovOf(view) {
  const degrees = 180 / Math.PI;
  if (view.fl_y && view.h) return 2 * Math.atan(view.h / 2 / view.fl_y) * degrees;
  if (view.fl_x && view.h) return 2 * Math.atan(view.h / 2 / view.fl_x) * degrees;
  const aspect = view.w && view.h ? view.w / view.h : 1;
  if (view.camera_angle_y) return view.camera_angle_y * degrees;
  if (view.camera_angle_x) {
    return 2 * Math.atan(Math.tan(view.camera_angle_x / 2) / aspect) * degrees;
  }
  return 50;
}
