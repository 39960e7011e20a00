// The page: one subject, one socket, one loop that runs once for every refresh of the screen.

import { element, save } from "./dom.js";
import { Flat } from "./flat.js";
import { Frames } from "./frames.js";
import { Hand } from "./hand.js";
import { Boxes } from "./boxes.js";
import { Panel } from "./panel.js";
import { Path } from "./path.js";
import { Solid } from "./solid.js";
import { FILM, FRAME, PART, Stream, TILE } from "./stream.js";

const KEYS = [
  ["drag, arrows", "turn, or move a picture"], ["right drag, Shift + arrows", "move sideways"],
  ["wheel, + and −", "nearer and farther"], ["W A S D, Q E", "fly, with Shift faster"],
  ["F", "orbit or fly"], ["0, double click", "home"], ["1 to 9", "what is drawn"],
  ["C", "compare: off, truth, error"], ["K", "add a key frame"], ["Space", "play the path"],
  ["T", "pause or resume the training"], ["P", "screenshot"], ["H", "hide the panel"],
  ["L", "light or dark"], ["Tab, Escape", "into the panel, and back"],
  ["one finger, two", "turn; move and zoom"], ["?", "this list"],
];
const by = (id) => document.getElementById(id);

class App {
  constructor() {
    this.picture = by("picture");
    this.truth = by("truth");
    this.stage = by("stage");
    this.frames = new Frames();
    this.path = new Path();
    this.values = {};
    this.subject = null;
    this.split = 0.5;
    this.shots = [];
    this.keys = {
      "?": () => this.help(), "0": () => this.home(), h: () => this.fold(), p: () => this.shoot(),
      l: () => this.theme(), k: () => this.addKey(), " ": () => this.play(), t: () => this.pause(),
      f: () => this.fly(), c: () => this.compare(), Escape: () => this.stage.focus(),
    };
    for (let i = 1; i <= 9; i++) this.keys[i] = () => this.output(i - 1);
    this.hand = new Hand(this.stage, this);
    by("open-help").onclick = () => this.help();
    by("shoot").onclick = () => this.shoot();
    by("theme").onclick = () => this.theme();
    by("fold").onclick = () => this.fold();
    this._curtain();
    new ResizeObserver(() => this._resize()).observe(this.stage);
    this._resize();
    this.connect();
    requestAnimationFrame((now) => this._refresh(now, now));
  }

  connect() {
    this.stream = new Stream({
      told: (message) => this._told(message),
      decoded: (header, picture) => this._decoded(header, picture),
      closed: (event) => this._closed(event),
    });
  }

  // What the server says

  _told(message) {
    if (message.type === "welcome") this._welcome(message);
    else if (message.type === "error") { this.say(message.text, true); this.unseen = true; }
    else if (message.type === "note") this.say(message.text);
    else if (message.type === "film") this.panel.filmStands(message);
    else if (message.type === "training") this._trains(message);
    else if (message.type === "proxy") this.proxy = message;
  }

  _welcome(about) {
    this.about = about;
    this.values = { ...about.values };
    this.training = about.training;
    this.proxy = about.proxy;
    by("title").textContent = document.title = about.title;
    this.subject = about.flat ? new Flat(this, about) : new Solid(this, about);
    this.boxes = about.flat ? null : new Boxes(by("box"), this);
    this.panel = new Panel(this, about);
    this.say("");
    if (about.training) this._trains(about.training);
    document.documentElement.dataset.ready = "yes";
    this.stage.focus({ focusVisible: false });
  }

  _trains(state) {
    this.training = state;
    this.panel.trains(state);
    const news = state.step !== this.trainedStep || state.state !== this.trainedState;
    if (this.subject instanceof Flat && news) {
      if (["ended", "paused"].includes(state.state) && state.state !== this.trainedState) {
        this.subject.changed();
      } else this.subject.trained(performance.now());
    }
    this.trainedStep = state.step;
    this.trainedState = state.state;
  }

  isTraining() { return this.training?.state === "running"; }

  _decoded(header, picture) {
    if (header.kind === FRAME) this.subject.frame(header, picture);
    else if (header.kind === PART) this.subject.part(header, picture);
    else if (header.kind === TILE) this.subject.tile(header, picture);
    else if (header.kind === FILM) save("film.mp4", picture), this.lastFilm = picture;
    // A picture that comes after one that failed says that all is well again.
    if (header.kind !== FILM && this.unseen) { this.unseen = false; this.say(""); }
  }

  _closed({ code, reason }) {
    document.documentElement.dataset.ready = "no";
    const why = code === 4401
      ? "The address lacks the token, or has an old one: open the one that the program printed."
      : reason || "The program has ended, or cannot be reached.";
    this.say(why, true);
  }

  say(text, bad = false) {
    const line = by("message");
    line.textContent = text;
    line.hidden = !text;
    line.classList.toggle("bad", bad);
    this.failed = bad && !!text;
  }

  // What the reader does

  set(name, value, show = false) {
    this.values[name] = value;
    if (show) this.panel.controls.get(name)?.set(value);
    this.stream.send("set", { name, value });
    if (name === "axis") { this.subject.changed({ size: this._slice(value) }); this.subject.home(); }
    else this.subject.changed();
    if (name === "compare") {
      this.say("");
      if (value === "off") this.clearTruth();
    }
    this.subject.sent = ""; // a view is sent anew, for what is beside it
  }

  _slice(axis) {
    return this.about.sizes[axis];
  }

  setBox(box) {
    this.box = box;
    this.stream.send("set", { name: "box", value: box });
    this.subject.changed();
    this.boxes.draw(this.subject.camera.c2w(), this.subject.camera.fov);
  }

  touched() {
    this.playingSince = null;
    this.panel?.photo?.clear();
    if (!this.failed) this.say("");
  }

  output(index) {
    const setting = this.about.settings.find(({ name }) => name === "output" || name === "axis");
    if (setting && index < setting.choices.length) this.set(setting.name, setting.choices[index], true);
  }

  compare() {
    const setting = this.about.settings.find(({ name }) => name === "compare");
    if (!setting) return;
    const next = setting.choices.indexOf(this.values.compare) + 1;
    this.set("compare", setting.choices[next % setting.choices.length], true);
  }

  compares() { return (this.values.compare ?? "off") !== "off"; }

  home() { this.touched(); this.subject.home(); if (this.panel.fov) this.panel.fov.set(this.subject.camera.fov); }

  look(c2w, fov) {
    this.playingSince = null;
    this.subject.camera.set(c2w);
    if (fov) { this.subject.camera.fov = fov; this.panel.fov.set(fov); }
  }

  fly() {
    const { camera } = this.subject;
    if (!camera) return;
    camera.fly = !camera.fly;
    this.panel.mode.set(camera.fly ? "fly" : "orbit");
  }

  addKey() {
    const { camera } = this.subject;
    if (!camera) return;
    const time = this.values.time;
    this.path.keys.push({ c2w: camera.c2w().slice(), fov: camera.fov, time, seconds: 2 });
    this.panel.showPath();
    this.say(`key frame ${this.path.keys.length}`);
  }

  play() {
    if (this.playingSince) { this.playingSince = null; return; }
    if (this.path.keys.length < 2) { this.say("A path needs two key frames: K adds one."); return; }
    this.playingSince = performance.now();
  }

  async loadPath(file) {
    try {
      this.path.load(JSON.parse(await file.text()));
      this.panel.showPath();
      this.say(`${this.path.keys.length} key frames`);
      this.look(this.path.keys[0].c2w, this.path.keys[0].fov);
    } catch (error) {
      this.say(`${file.name}: ${error.message}`, true);
    }
  }

  film(width, height) {
    if (!this.path.keys.length) { this.say("A film needs a key frame: K adds one."); return; }
    if (this.path.count > 10000) {
      this.say("A film has at most 10,000 frames: shorten the path, or take fewer a second.", true);
      return;
    }
    const shots = this.path.views().map(({ c2w, fov, time }) =>
      [...c2w.slice(0, 12), fov, time ?? -1].map((n) => +n.toPrecision(12)));
    const each = 150;
    for (let start = 0; start < shots.length; start += each) {
      this.stream.send("shots", { start, shots: shots.slice(start, start + each) });
    }
    this.stream.send("film", { fps: this.path.fps, w: width, h: height, count: shots.length });
  }

  pause() {
    if (!this.training) return;
    this.stream.send("do", { name: this.training.state === "paused" ? "resume" : "pause" });
  }

  shoot() {
    const whole = element("canvas", { width: this.picture.width, height: this.picture.height });
    const context = whole.getContext("2d");
    context.drawImage(this.picture, 0, 0);
    if (!this.truth.hidden) {
      const x = Math.round(this.split * whole.width);
      context.drawImage(this.truth, x, 0, whole.width - x, whole.height, x, 0, whole.width - x, whole.height);
    }
    whole.toBlob((blob) => save(`${this.about?.title ?? "fields"}.png`, blob), "image/png");
  }

  theme() {
    const { classList } = document.documentElement;
    const dark = classList.contains("dark")
      || (!classList.contains("light") && matchMedia("(prefers-color-scheme: dark)").matches);
    classList.toggle("dark", !dark);
    classList.toggle("light", dark);
    if (this.subject instanceof Flat) this.subject.seen = "";
  }

  fold() {
    const panel = by("panel");
    panel.hidden = !panel.hidden;
    by("fold").setAttribute("aria-expanded", String(!panel.hidden));
  }

  help() {
    const dialog = by("help");
    if (dialog.open) { dialog.close(); return; }
    const rows = KEYS.map(([keys, what]) => element("tr", {},
      element("td", {}, element("kbd", {}, keys)), element("td", {}, what)));
    dialog.replaceChildren(element("h2", {}, "Keys"), element("table", {}, ...rows),
      element("form", { method: "dialog" }, element("button", {}, "Close")));
    dialog.showModal();
  }

  // The stage

  aspect() { return this.picture.width / Math.max(this.picture.height, 1); }

  _resize() {
    const box = this.stage.getBoundingClientRect(), ratio = devicePixelRatio || 1;
    const most = 2560; // pixels along a side that are asked for
    const fit = Math.min(ratio, most / Math.max(box.width, box.height, 1));
    for (const canvas of [this.picture, this.truth]) {
      canvas.width = Math.max(1, Math.round(box.width * fit));
      canvas.height = Math.max(1, Math.round(box.height * fit));
    }
    if (this.subject instanceof Flat) this.subject.seen = "";
    this._placeCurtain();
  }

  _curtain() {
    const curtain = by("curtain");
    const move = (event) => {
      const box = this.stage.getBoundingClientRect();
      this.split = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
      this._placeCurtain();
    };
    curtain.addEventListener("pointerdown", (event) => {
      curtain.setPointerCapture(event.pointerId);
      curtain.onpointermove = move;
    });
    curtain.addEventListener("pointerup", () => { curtain.onpointermove = null; });
    curtain.addEventListener("keydown", ({ key }) => {
      const by = { ArrowLeft: -0.02, ArrowRight: 0.02 }[key];
      if (!by) return;
      this.split = Math.min(Math.max(this.split + by, 0), 1);
      this._placeCurtain();
    });
  }

  _placeCurtain() {
    const share = `${100 * this.split}%`;
    by("curtain").style.left = share;
    by("curtain").setAttribute("aria-valuenow", Math.round(100 * this.split));
    this.truth.style.clipPath = `inset(0 0 0 ${share})`;
  }

  showTruth() { this.truth.hidden = by("curtain").hidden = false; }

  clearTruth() {
    if (this.compares() && this.subject instanceof Flat) return;
    this.truth.hidden = by("curtain").hidden = true;
  }

  // Once for every refresh of the screen

  _refresh(now, before) {
    requestAnimationFrame((next) => this._refresh(next, now));
    if (!this.subject || !this.stream.opened) return;
    const seconds = Math.min((now - before) / 1000, 0.1);
    if (this.hand.held.size) { this.subject.keys(this.hand.held, seconds); this.touched(); }
    if (this.playingSince) this._played(now);
    this.drive?.(now);
    this.subject.refresh(now);
    if (now - (this.reported ?? 0) > 250) { this.reported = now; this._report(now); }
  }

  _played(now) {
    const at = (now - this.playingSince) / 1000;
    const view = this.path.at(this.path.closed ? at % this.path.seconds : at);
    this.subject.camera.set(view.c2w);
    this.subject.camera.fov = view.fov;
    if (view.time !== undefined && this.about.settings.some(({ name }) => name === "time")) {
      this.values.time = view.time;
      this.stream.send("set", { name: "time", value: view.time });
    }
    if (!this.path.closed && at > this.path.seconds) this.playingSince = null;
  }

  _report(now) {
    const { rate, last } = this.frames.recent(now);
    const badge = by("badge");
    const { exact } = this.subject;
    const drawn = last && last.drawn === 1 ? "proxy" : "field";
    const flat = this.subject instanceof Flat;
    badge.textContent = exact ? "exact" : flat ? "tiles" : last ? drawn : "";
    badge.classList.toggle("exact", exact);
    badge.title = exact ? "Drawn from the field at full size, and sent without loss" : "";
    const size = `${this.picture.width} × ${this.picture.height}`;
    const moving = rate > 1 && last && last.width ? ` at ${last.width} × ${last.height}` : "";
    by("figures").textContent = rate > 1 && !exact ? `${rate} frames/s${moving}` : size;
    if (!last) return;
    this.panel.figures([
      ["Fresh in a second", rate], ["Picture", size],
      ["Last frame", last.width ? `${last.width} × ${last.height}` : "tiles"],
      ["Scale", last.scale.toFixed(2)], ["Drawn in", `${(last.drawUs / 1000).toFixed(1)} ms`],
      ["Encoded in", `${(last.encodeUs / 1000).toFixed(1)} ms`],
      ["From hand to screen", last.sent ? `${(last.t - last.sent).toFixed(0)} ms` : "–"],
      ["Shown of", drawn],
      ...(this.about.proxy ? [["Proxy", this._proxyText()]] : []),
    ]);
  }

  _proxyText() {
    const { state, is_baking: baking, resolution, bytes, seconds } = this.proxy;
    if (state !== "ready") return state === "baking" ? "being baked" : "none";
    const made = `${resolution}³, ${(bytes / 1e6).toFixed(0)} MB, baked in ${seconds.toFixed(1)} s`;
    return baking ? `${made}; being baked again` : made;
  }
}

window.fieldsViewer = new App();
