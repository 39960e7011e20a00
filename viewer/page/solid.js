// A subject seen by a camera: poses out, frames in. All drawing is done where the screen is
// refreshed: what came is shown, said to be shown, and the next pose is sent.

import { Camera } from "./camera.js";
import { TRUTH } from "./stream.js";

export class Solid {
  constructor(app, about) {
    this.app = app;
    this.about = about;
    this.camera = new Camera(about);
    this.home();
    this.id = 0;
    this.sent = "";
    this.waiting = null; // the frame that is shown next
    this.exact = false; // the picture is whole and without loss
    this.sentAt = new Map();
  }

  // Once for every refresh of the screen.
  refresh(now) {
    const frame = this.waiting;
    if (frame) {
      this.waiting = null;
      this._show(frame.picture);
      this.app.frames.shown(now, frame.header, this.sentAt.get(frame.header.id));
      this.app.stream.send("shown", { id: frame.header.id });
      this.sentAt.delete(frame.header.id);
    }
    const { width, height } = this.app.picture;
    const c2w = this.camera.c2w();
    const view = JSON.stringify([c2w, this.camera.fov, width, height]);
    if (view === this.sent || !width || !height) return;
    this.sent = view;
    this.id += 1;
    this.exact = false;
    this.app.clearTruth();
    this.sentAt.set(this.id, now);
    if (this.sentAt.size > 200) this.sentAt.delete(this.sentAt.keys().next().value);
    this.app.stream.send("view", { id: this.id, c2w, fov: this.camera.fov, w: width, h: height });
    this.app.boxes?.draw(c2w, this.camera.fov);
  }

  frame(header, picture) {
    if (this.waiting) { // a newer one came before it could be shown
      this.waiting.picture.close();
      this.app.stream.send("shown", { id: this.waiting.header.id });
      this.app.frames.skipped += 1;
    }
    this.waiting = { header, picture };
  }

  part(header, picture) {
    if (header.id === this.id) {
      const truth = header.drawn === TRUTH;
      const canvas = truth ? this.app.truth : this.app.picture;
      if (this.waiting) { this._show(this.waiting.picture); this._drop(); }
      canvas.getContext("2d").drawImage(picture, header.x, header.y);
      if (truth) this.app.showTruth();
      else if (header.last) { this.exact = true; this.app.frames.whole(header); }
    }
    picture.close();
  }

  _drop() {
    this.app.stream.send("shown", { id: this.waiting.header.id });
    this.waiting = null;
  }

  _show(picture) {
    const { picture: canvas } = this.app;
    canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
    picture.close();
  }

  changed() { this.exact = false; } // a setting was

  // Controls, in shares of the stage and in steps of the wheel.

  drag(dx, dy, { pan }) {
    if (pan) this.camera.pan(-dx * this.app.aspect(), dy);
    else this.camera.turn(-dx * 4 * (this.camera.fly ? 0.4 : 1), dy * 4 * (this.camera.fly ? 0.4 : 1));
  }

  wheel(steps) {
    if (this.camera.fly) this.camera.move(0, 0, -steps * 0.1 * this.camera.speed);
    else this.camera.zoom(1.15 ** steps);
  }

  pinch(factor) { this.camera.zoom(1 / factor); }

  keys(held, seconds) {
    const on = (...names) => names.some((name) => held.has(name)) ? 1 : 0;
    const right = on("d") - on("a"), ahead = on("w") - on("s"), up = on("e") - on("q");
    const pace = this.camera.speed * seconds * (held.has("Shift") ? 4 : 1);
    if (right || ahead || up) this.camera.move(right * pace, up * pace, ahead * pace);
    const x = on("ArrowRight") - on("ArrowLeft"), y = on("ArrowUp") - on("ArrowDown");
    if (x || y) {
      if (held.has("Shift")) this.camera.pan(x * seconds * 0.6, y * seconds * 0.6);
      else this.camera.turn(x * seconds * 1.6, y * seconds * 1.2);
    }
    const zoom = on("-", "_") - on("+", "=");
    if (zoom) this.camera.zoom(3 ** (zoom * seconds));
  }

  home() { this.camera.reset(this.app.aspect()); }
}
