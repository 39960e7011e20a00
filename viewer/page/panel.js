// The panel beside the picture: what there is to change follows from what the server says.

import { button, control, curve, element, save, section } from "./dom.js";

export class Panel {
  constructor(app, about) {
    this.app = app;
    this.controls = new Map();
    this.root = document.getElementById("panel");
    this.root.replaceChildren();
    if (about.training) this.root.append(this._training());
    this.root.append(this._output(about));
    if (!about.flat) this.root.append(this._view(about));
    if (about.photos?.length) this.root.append(this._photos(about.photos));
    if (about.box) this.root.append(this._crop(about.box));
    if (!about.flat) this.root.append(this._path());
    this.root.append(this._figures());
  }

  _output(about) {
    const rows = about.settings.filter(({ name }) => name !== "share").map((setting) => {
      const made = control(setting, (value) => this.app.set(setting.name, value));
      this.controls.set(setting.name, made);
      return made.row;
    });
    const title = rows.length ? "Picture" : "Picture as the source has it";
    return section(title, true, ...rows);
  }

  _view() {
    const { camera } = this.app.subject;
    const speed = control(
      { kind: "range", name: "speed", title: "Speed", value: 0, low: -2, high: 2, step: 0.1,
        said: (value) => `× ${(2 ** (2 * value)).toPrecision(2)}` },
      (value) => { camera.speed = 2 ** (2 * value); });
    this.fov = control(
      { kind: "range", name: "fov", title: "Field of view", value: camera.fov, low: 5, high: 120,
        step: 1 },
      (value) => { camera.fov = value; });
    this.mode = control(
      { kind: "choice", name: "mode", title: "Hand", value: "orbit", choices: ["orbit", "fly"] },
      (value) => { camera.fly = value === "fly"; });
    const ups = { "as given": camera.home.up, "+x": [1, 0, 0], "+y": [0, 1, 0], "+z": [0, 0, 1],
      "-x": [-1, 0, 0], "-y": [0, -1, 0], "-z": [0, 0, -1] };
    const up = control(
      { kind: "choice", name: "up", title: "Up", value: "as given", choices: Object.keys(ups) },
      (value) => camera.setUp(ups[value]));
    const home = button("Home (0)", () => this.app.home());
    return section("Camera", true, this.mode.row, speed.row, this.fov.row, up.row,
      element("div", { className: "buttons" }, home));
  }

  _photos(photos) {
    const choose = element("select", { name: "photo", ariaLabel: "Photo" },
      element("option", { value: "" }, "between photos"),
      ...photos.map((photo, i) =>
        element("option", { value: i }, `${photo.split} ${photo.name}`)));
    const go = (i) => {
      choose.value = i;
      const photo = photos[i];
      if (!photo) return;
      this.app.look(photo.c2w, photo.fov);
      if (photo.time !== null && this.controls.has("time")) this.app.set("time", photo.time, true);
    };
    choose.addEventListener("change", () => go(choose.value === "" ? -1 : +choose.value));
    const step = (by) => go((+(choose.value || -1) + by + photos.length) % photos.length);
    this.photo = { go, clear: () => { choose.value = ""; } };
    return section("Photos", false,
      element("div", { className: "row" }, choose),
      element("div", { className: "buttons" },
        button("Before", () => step(-1)), button("Next", () => step(1))),
      element("p", { className: "faint" },
        "At a photo's own camera, it and the error can stand beside the field."));
  }

  _crop(box) {
    const [low, high] = [box.slice(0, 3), box.slice(3)];
    const now = box.slice();
    let on = false;
    const tell = () => this.app.setBox(on ? now : null);
    const rows = [0, 1, 2].flatMap((axis) => [0, 1].map((end) => {
      const i = axis + 3 * end, span = high[axis] - low[axis];
      return control({
        kind: "range", name: `box-${i}`, title: `${"xyz"[axis]} ${end ? "to" : "from"}`,
        value: now[i], low: low[axis], high: high[axis], step: span / 200,
      }, (value) => {
        const least = span / 100;
        now[i] = end ? Math.max(value, now[axis] + least) : Math.min(value, now[axis + 3] - least);
        if (on) tell();
      }).row;
    }));
    const active = control({ kind: "switch", name: "crop", title: "Crop", value: false },
      (value) => { on = value; tell(); });
    return section("Crop box", false, active.row, ...rows);
  }

  _path() {
    const { path } = this.app;
    this.keys = element("ol", { className: "keys" });
    this.length = element("p", { className: "faint" });
    this.film = element("progress", { max: 1, value: 0, hidden: true, ariaLabel: "The film" });
    const width = element("input", { type: "number", name: "film-width", value: 800, min: 16, max: 4096, step: 2, ariaLabel: "Width" });
    const height = element("input", { type: "number", name: "film-height", value: 800, min: 16, max: 4096, step: 2, ariaLabel: "Height" });
    const fps = element("input", { type: "number", name: "film-fps", value: 30, min: 1, max: 120, ariaLabel: "Frames a second" });
    fps.addEventListener("change", () => { path.fps = Math.min(Math.max(+fps.value || 30, 1), 120); this.showPath(); });
    this.size = () => [+width.value, +height.value].map((n) => Math.min(Math.max(Math.round(n) || 800, 16), 4096));
    this.fps = fps;
    const file = element("input", { type: "file", accept: ".json,application/json", hidden: true });
    file.addEventListener("change", () => { if (file.files[0]) this.app.loadPath(file.files[0]); file.value = ""; });
    const loop = control({ kind: "switch", name: "loop", title: "Closed", value: false },
      (value) => { path.closed = value; this.showPath(); });
    this.loop = loop;
    const forms = { nerfstudio: "toJSON", "transforms.json": "toFrames" };
    const form = control(
      { kind: "choice", name: "form", title: "Saved as", value: "nerfstudio", choices: Object.keys(forms) },
      (value) => { this.form = forms[value]; });
    this.form = forms.nerfstudio;
    this.playing = button("Play (Space)", () => this.app.play());
    this.stop = button("Stop the film", () => this.app.stream.send("do", { name: "stop-film" }), { hidden: true });
    const part = section("Camera path", false,
      element("div", { className: "buttons" },
        button("Add key (K)", () => this.app.addKey()), this.playing,
        button("Save JSON", () => this.savePath()), button("Load JSON", () => file.click()), file),
      form.row, this.keys, this.length, loop.row,
      element("div", { className: "row" }, element("span", {}, "Film, pixels"),
        element("span", {}, width, " × ", height)),
      element("div", { className: "row" }, element("span", {}, "Frames a second"), fps),
      element("div", { className: "buttons" },
        this.render = button("Render MP4", () => this.app.film(...this.size())), this.stop),
      this.film);
    this.showPath();
    return part;
  }

  savePath() {
    const text = JSON.stringify(this.app.path[this.form](...this.size()));
    save("camera_path.json", new Blob([text], { type: "application/json" }));
  }

  showPath() {
    const { path } = this.app;
    this.keys.replaceChildren(...path.keys.map((key, i) => {
      const seconds = element("input", {
        type: "number", value: key.seconds, min: 0.1, max: 600, step: 0.1,
        ariaLabel: `Seconds after key ${i + 1}`,
      });
      seconds.addEventListener("change", () => { key.seconds = Math.max(+seconds.value || 1, 0.1); this.showPath(); });
      return element("li", {}, element("div", { className: "row" },
        button("Go", () => this.app.look(key.c2w, key.fov), { ariaLabel: `Go to key ${i + 1}` }),
        seconds,
        button("×", () => { path.keys.splice(i, 1); this.showPath(); }, { ariaLabel: `Remove key ${i + 1}` })));
    }));
    this.fps.value = path.fps;
    this.loop.set(path.closed);
    this.length.textContent = path.keys.length < 2 ? "Two keys make a path."
      : `${path.keys.length} keys, ${path.seconds.toFixed(1)} s, ${path.count} frames`;
  }

  filmStands({ state, done }) {
    const drawing = state === "drawing";
    this.film.hidden = this.stop.hidden = !drawing;
    this.render.disabled = drawing;
    this.film.value = done;
  }

  _training() {
    this.trainingText = element("p", { className: "faint", ariaLive: "off" });
    this.bar = element("progress", { max: 1, value: 0, ariaLabel: "The fit" });
    this.loss = element("canvas", { className: "curve", role: "img", ariaLabel: "Loss over time" });
    this.score = element("canvas", { className: "curve", role: "img", ariaLabel: "Score over time" });
    this.pausing = button("Pause (T)", () => this.app.pause());
    this.saving = button("Save", () => {
      this.app.stream.send("do", { name: "save" });
      this.app.say("A checkpoint is kept before the next step.");
    });
    const share = control(
      { kind: "range", name: "share", title: "Share while the camera moves", value: 0.2, low: 0, high: 1, step: 0.05 },
      (value) => this.app.stream.send("set", { name: "share", value }));
    this.share = share;
    return section("Training", true, this.trainingText, this.bar, this.loss, this.score,
      element("div", { className: "buttons" }, this.pausing, this.saving), share.row);
  }

  trains(state) {
    const rate = state.rate ? `, ${(state.rate / 1e6).toFixed(2)} M samples/s` : "";
    const last = state.points.at(-1);
    const score = last && last[2] !== null ? `, ${last[2].toFixed(2)} ${state.unit}` : "";
    const over = ["ended", "failed"].includes(state.state);
    this.trainingText.textContent = `${state.state}: step ${state.step.toLocaleString("en")}`
      + `${score}${over ? "" : rate}${state.text ? ` – ${state.text}` : ""}`;
    this.bar.value = over ? 1 : state.done;
    this.pausing.textContent = state.state === "paused" ? "Resume (T)" : "Pause (T)";
    this.pausing.disabled = this.saving.disabled = over;
    const losses = state.points.map(([x, y]) => [x, y]);
    curve(this.loss, losses, { log: true, label: last ? `loss ${last[1].toPrecision(3)}` : "" });
    const scores = state.points.filter((point) => point[2] !== null).map(([x, , y]) => [x, y]);
    this.score.hidden = scores.length < 2;
    if (!this.score.hidden) curve(this.score, scores, { label: `${last[2]?.toFixed(2)} ${state.unit}` });
  }

  _figures() {
    this.list = element("dl", { className: "figures" });
    return section("Frames", false, this.list);
  }

  figures(entries) {
    this.list.replaceChildren(...entries.flatMap(([name, value]) =>
      [element("dt", {}, name), element("dd", {}, value)]));
  }
}
