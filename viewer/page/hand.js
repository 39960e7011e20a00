// Mouse, touch and keys, as what they do to a subject.

export class Hand {
  constructor(stage, app) {
    this.app = app;
    this.held = new Set();
    this.pointers = new Map();
    stage.addEventListener("pointerdown", (event) => this._down(event, stage));
    stage.addEventListener("pointermove", (event) => this._move(event, stage));
    for (const name of ["pointerup", "pointercancel"]) {
      stage.addEventListener(name, (event) => this.pointers.delete(event.pointerId));
    }
    stage.addEventListener("contextmenu", (event) => event.preventDefault());
    stage.addEventListener("wheel", (event) => {
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 30 : 1;
      const [x, y] = this._place(event, stage);
      const steps = Math.max(-3, Math.min(3, event.deltaY * lines / 100));
      this.app.subject?.wheel(event.ctrlKey ? steps * 4 : steps, x, y);
      this.app.touched();
    }, { passive: false });
    stage.addEventListener("dblclick", () => this.app.home());
    window.addEventListener("keydown", (event) => this._key(event));
    window.addEventListener("keyup", (event) => this._release(event.key));
    window.addEventListener("blur", () => this.held.clear());
  }

  _place(event, stage) {
    const box = stage.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  _down(event, stage) {
    if (event.target.closest("button, #curtain, nav")) return;
    stage.setPointerCapture(event.pointerId);
    stage.focus({ preventScroll: true, focusVisible: false });
    const [x, y] = this._place(event, stage);
    const pan = event.button === 2 || event.button === 1 || event.shiftKey;
    this.pointers.set(event.pointerId, { x, y, pan });
  }

  _move(event, stage) {
    const before = this.pointers.get(event.pointerId);
    if (!before || !this.app.subject) return;
    const [x, y] = this._place(event, stage);
    if (this.pointers.size === 1) {
      this.app.subject.drag(x - before.x, y - before.y, before);
    } else if (this.pointers.size === 2) {
      const [other] = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, p]) => p);
      const box = stage.getBoundingClientRect();
      const apart = (p) => Math.hypot((p.x - other.x) * box.width, (p.y - other.y) * box.height);
      const factor = apart({ x, y }) / Math.max(apart(before), 1);
      this.app.subject.pinch(factor, (x + other.x) / 2, (y + other.y) / 2);
      // Each finger moves the middle between them by half its own way.
      this.app.subject.drag((x - before.x) / 2, (y - before.y) / 2, { pan: true });
    }
    this.pointers.set(event.pointerId, { ...before, x, y });
    this.app.touched();
  }

  // Keys that are held act for as long; `app.keys` has those that act once.
  _key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { target } = event;
    if (target.closest?.("dialog")) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const typing = target.matches?.("input[type=number], select");
    if (typing && key !== "Escape") return;
    if ((key === " " || key === "Enter") && target.closest?.("button, summary, input")) return;
    if (key.startsWith("Arrow") && target.matches?.("input, #curtain")) return;
    const once = this.app.keys[key];
    if (once) {
      event.preventDefault();
      if (!event.repeat) once();
      return;
    }
    const known = ["w", "a", "s", "d", "q", "e", "+", "=", "-", "_"];
    if (key.startsWith("Arrow") || known.includes(key)) {
      event.preventDefault();
      this.held.add(key);
    }
    if (key === "Shift") this.held.add(key);
  }

  _release(key) {
    this.held.delete(key.length === 1 ? key.toLowerCase() : key);
  }
}
