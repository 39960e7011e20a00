// The camera: turned around a point, or flown. Angles are kept, so that the horizon stays level;
// a pose that was set (a photo, a key frame) is kept as it is until the hand moves.

import * as v from "./vec.js";

const STEEPEST = Math.PI / 2 - 0.01;

export class Camera {
  constructor(home) {
    this.home = home;
    this.up = v.unit(home.up);
    this.speed = 1;
    this.fly = false;
    this.reset();
  }

  // `aspect`: of a narrow stage, which then shows as much from side to side as a square one.
  reset(aspect = 1) {
    const half = Math.tan(this.home.fov * Math.PI / 360) / Math.min(aspect, 1);
    this.fov = Math.min(2 * Math.atan(half) * 180 / Math.PI, 120);
    this.up = v.unit(this.home.up);
    this.set(this.home.c2w, this.home.target);
  }

  // A pose; what the camera turns around then lies straight ahead, as far away as `target` is.
  set(c2w, target = this.target) {
    const eye = v.column(c2w, 3), back = v.column(c2w, 2);
    const away = -v.dot(v.sub(target, eye), back);
    this.distance = away > 1e-3 * this.home.length ? away : this.home.length;
    this.target = v.sub(eye, v.scale(back, this.distance));
    this._angles(back);
    this.exact = c2w.slice();
  }

  setUp(up) {
    const back = v.column(this.c2w(), 2);
    this.up = v.unit(up);
    this._angles(back);
    this.exact = null;
  }

  _basis() {
    const lying = Math.abs(this.up[0]) < 0.9 ? [1, 0, 0] : [0, 1, 0];
    const a = v.unit(v.cross(this.up, lying));
    return [a, v.cross(this.up, a)];
  }

  _angles(back) {
    const [a, b] = this._basis();
    this.pitch = Math.asin(v.clamp(v.dot(back, this.up), -1, 1));
    this.pitch = v.clamp(this.pitch, -STEEPEST, STEEPEST);
    this.yaw = Math.atan2(v.dot(back, b), v.dot(back, a));
  }

  _axes() {
    const [a, b] = this._basis();
    const level = v.add(v.scale(a, Math.cos(this.yaw)), v.scale(b, Math.sin(this.yaw)));
    const back = v.add(
      v.scale(level, Math.cos(this.pitch)), v.scale(this.up, Math.sin(this.pitch)));
    const right = v.unit(v.cross(this.up, back));
    return [right, v.cross(back, right), back];
  }

  c2w() {
    if (this.exact) return this.exact;
    const [right, up, back] = this._axes();
    return v.pose(right, up, back, v.add(this.target, v.scale(back, this.distance)));
  }

  // Angles in radians: around the target, or of a flying camera around itself.
  turn(yaw, pitch) {
    const eye = v.column(this.c2w(), 3);
    this.exact = null;
    this.yaw += yaw;
    this.pitch = v.clamp(this.pitch + pitch, -STEEPEST, STEEPEST);
    if (this.fly) this.target = v.sub(eye, v.scale(this._axes()[2], this.distance));
  }

  // Sideways, by shares of what is seen.
  pan(x, y) {
    this.exact = null;
    const [right, up] = this._axes();
    const seen = 2 * this.distance * Math.tan(this.fov * Math.PI / 360);
    this.target = v.add(this.target, v.add(v.scale(right, x * seen), v.scale(up, y * seen)));
  }

  zoom(factor) {
    this.exact = null;
    this.distance = v.clamp(
      this.distance * factor, 1e-3 * this.home.length, 1e3 * this.home.length);
  }

  // Flown: lengths in those of the subject.
  move(right, up, ahead) {
    this.exact = null;
    const [x, , back] = this._axes(), s = this.home.length;
    this.target = v.add(this.target, v.add(
      v.add(v.scale(x, right * s), v.scale(this.up, up * s)), v.scale(back, -ahead * s)));
  }
}
