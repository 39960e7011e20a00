// A flat subject: a picture or a slice. Tiles of each zoom level are kept, so that it moves as fast
// as the screen; once the hand rests, the server draws what is seen, pixel by pixel.

import { clamp } from "./vec.js";
import { TRUTH } from "./stream.js";

const SIDE = 256, KEPT = 600, LOWEST = -12, HIGHEST = 8, ASKED = 48;
const REST = 150, AGAIN = 1000; // milliseconds

export class Flat {
  constructor(app, about) {
    this.app = app;
    this.about = about;
    this.size = about.size;
    this.tiles = new Map(); // by layer, level, column and row
    this.number = 0; // of the last message
    this.epoch = 0; // of settings and of the training
    this.firstOfEpoch = 0;
    this.asked = "";
    this.exact = false;
    this.fresh = false; // all tiles of what is seen are there
    this.moved = performance.now();
    this.drawn = "";
    this.still = null;
    this.renewed = 0;
    this.fitted = false;
  }

  home() {
    const { width, height } = this.app.picture;
    this.zoom = Math.min(width / this.size[0], height / this.size[1]) * 0.96;
    this.at = [this.size[0] / 2, this.size[1] / 2]; // of the source, in the middle of the stage
    this.fitted = true;
  }

  refresh(now) {
    const { width, height } = this.app.picture;
    if (!width || !height) return;
    if (!this.fitted) this.home();
    const view = JSON.stringify([this.zoom, this.at, width, height]);
    if (view !== this.seen) {
      this.seen = view;
      this.moved = now;
      this.still = null;
      this.parts = 0; // of the still picture, that have come
      this.exact = false;
      this.viewNumber = (this.viewNumber ?? 0) + 1;
      this.app.clearTruth();
    }
    if (!this.parts) this._draw(now);
    this._ask(now);
    const rested = now - this.moved > REST;
    if (rested && this.still === null && !this.app.isTraining()) this._askForStill();
  }

  // The size of the whole picture on the screen, in whole pixels, and its corner there.
  _place() {
    const { width, height } = this.app.picture;
    const whole = this.size.map((side) => Math.max(1, Math.round(side * this.zoom)));
    const left = Math.round(width / 2 - this.at[0] / this.size[0] * whole[0]);
    const top = Math.round(height / 2 - this.at[1] / this.size[1] * whole[1]);
    return { whole, left, top, width, height };
  }

  level() {
    return clamp(Math.ceil(Math.log2(this.zoom) - 0.3), LOWEST, HIGHEST);
  }

  _sides(level) {
    return this.size.map((side) => Math.max(1, Math.round(side * 2 ** level)));
  }

  // The tiles of a level that are seen, nearest to the middle first; with a border of one more.
  _visible(level, border = 0) {
    const { whole, left, top, width, height } = this._place();
    const sides = this._sides(level);
    const range = (start, seen, all, side) => {
      const to = side / all / SIDE;
      const last = Math.ceil(side / SIDE) - 1;
      return [clamp(Math.floor(-start * to) - border, 0, last),
        clamp(Math.floor((seen - start) * to) + border, 0, last)];
    };
    const [x0, x1] = range(left, width, whole[0], sides[0]);
    const [y0, y1] = range(top, height, whole[1], sides[1]);
    const found = [];
    for (let y = y0; y <= y1; y++) for (let x = x0; x <= x1; x++) found.push([level, x, y]);
    const far = ([, x, y]) => Math.hypot(x - (x0 + x1) / 2, y - (y0 + y1) / 2);
    return found.sort((a, b) => far(a) - far(b)).slice(0, 256);
  }

  _draw(now) {
    const comparing = this.app.compares();
    const level = this.level();
    const seen = this._visible(level);
    const missing = seen.filter((tile) => !this._tile(0, tile));
    this.fresh = missing.length === 0;
    this._paint(this.app.picture, 0, level, seen);
    if (comparing) { this._paint(this.app.truth, 1, level, seen); this.app.showTruth(); }
    this.app.frames.flat(now, this.viewNumber, this.fresh, this.moved);
  }

  _tile(layer, [level, x, y]) { return this.tiles.get(`${layer}/${level}/${x}/${y}`); }

  _paint(canvas, layer, level, seen) {
    const context = canvas.getContext("2d");
    const { whole, left, top } = this._place();
    context.fillStyle = getComputedStyle(document.body).backgroundColor;
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingEnabled = true;
    const missing = seen.some((tile) => !this._tile(layer, tile));
    // Coarser ones show through where finer ones are missing.
    for (let l = missing ? LOWEST : level; l <= level; l++) {
      const tiles = l === level ? seen : this._visible(l);
      if (l < level && tiles.length > 64) continue;
      const sides = this._sides(l);
      const sx = whole[0] / sides[0], sy = whole[1] / sides[1];
      for (const place of tiles) {
        const tile = this._tile(layer, place);
        if (!tile) continue;
        // Edges on whole pixels, so that no seams are seen.
        const x0 = Math.round(left + place[1] * SIDE * sx), y0 = Math.round(top + place[2] * SIDE * sy);
        const x1 = Math.round(left + (place[1] * SIDE + tile.width) * sx);
        const y1 = Math.round(top + (place[2] * SIDE + tile.height) * sy);
        context.drawImage(tile.picture, x0, y0, x1 - x0, y1 - y0);
      }
    }
  }

  _ask(now) {
    const layers = this.app.compares() ? [0, 1] : [0];
    const old = (tile) => layers.some((layer) => this._tile(layer, tile)?.epoch !== this.epoch);
    const level = this.level();
    const wanted = this._visible(level).filter(old);
    if (!wanted.length && !this.app.isTraining()) { // what may be seen next
      wanted.push(...this._visible(level, 1).filter(old));
      // A level's tiles come too late where they are asked for when it is reached.
      if (level < HIGHEST) wanted.push(...this._visible(level + 1).filter(old));
      if (level > LOWEST) wanted.push(...this._visible(level - 1).filter(old));
    }
    const want = wanted.slice(0, ASKED);
    const asked = JSON.stringify([this.epoch, want]);
    if (asked === this.asked) return;
    // What is on its way need not be asked for again: only news are told.
    const before = new Set(this.askedFor ?? []);
    const keys = want.map((tile) => tile.join("/"));
    this.asked = asked;
    if (this.askedEpoch === this.epoch && keys.every((key) => before.has(key))) return;
    this.askedFor = keys;
    this.askedEpoch = this.epoch;
    this.number += 1;
    const moving = now - this.moved < REST ? 1 : 0;
    this.app.stream.send("tiles", { id: this.number, want, moving });
  }

  _askForStill() {
    const { whole, left, top, width, height } = this._place();
    this.number += 1;
    this.still = this.number;
    this.app.stream.send("flat", {
      id: this.number, size: whole, crop: [-left, -top, width - left, height - top], still: 1,
    });
  }

  tile(header, picture) {
    if (header.id < this.firstOfEpoch) { picture.close(); return; }
    const layer = header.drawn === TRUTH ? 1 : 0;
    const key = `${layer}/${header.scale}/${header.x}/${header.y}`;
    this.tiles.get(key)?.picture.close();
    this.tiles.delete(key);
    this.tiles.set(key, { picture, width: header.width, height: header.height, epoch: this.epoch });
    if (this.tiles.size > KEPT) {
      const [oldest, { picture: gone }] = this.tiles.entries().next().value;
      gone.close();
      this.tiles.delete(oldest);
    }
    this.app.frames.drawUs = header.drawUs;
  }

  part(header, picture) {
    if (header.id === this.still) {
      const truth = header.drawn === TRUTH;
      this.parts += 1;
      (truth ? this.app.truth : this.app.picture).getContext("2d")
        .drawImage(picture, header.x, header.y);
      this.exact = this.exact || header.last;
      if (header.last && !truth) this.app.frames.whole(header);
    }
    picture.close();
  }

  // A setting has changed, or the field: what is there is shown until what is new has come.
  changed(about) {
    if (about?.size) this.size = about.size;
    this.epoch += 1;
    this.firstOfEpoch = this.number + 1;
    this.still = null;
    this.parts = 0;
    this.exact = false;
  }

  trained(now) {
    if (this.fresh && now - this.renewed > AGAIN) { this.renewed = now; this.changed(); }
  }

  drag(dx, dy) {
    const { width, height } = this.app.picture;
    this.at = [this.at[0] - dx * width / this.zoom, this.at[1] - dy * height / this.zoom];
  }

  // To the pointer: what is under it stays there.
  zoomAt(factor, x, y) {
    const { width, height } = this.app.picture;
    const zoom = clamp(this.zoom * factor, 2 ** LOWEST, 4096);
    const away = [(x - 0.5) * width, (y - 0.5) * height];
    this.at = this.at.map((value, i) => value + away[i] * (1 / this.zoom - 1 / zoom));
    this.zoom = zoom;
  }

  wheel(steps, x, y) { this.zoomAt(1.15 ** -steps, x, y); }
  pinch(factor, x, y) { this.zoomAt(factor, x, y); }

  keys(held, seconds) {
    const on = (...names) => names.some((name) => held.has(name)) ? 1 : 0;
    const x = on("ArrowRight", "d") - on("ArrowLeft", "a");
    const y = on("ArrowDown", "s") - on("ArrowUp", "w");
    if (x || y) this.drag(-x * seconds * 0.8, -y * seconds * 0.8);
    const zoom = on("+", "=") - on("-", "_");
    if (zoom) this.zoomAt(4 ** (zoom * seconds), 0.5, 0.5);
  }
}
