// What was shown and when: the figures in the corner, and those of `fields bench viewer`.

export class Frames {
  constructor() {
    this.log = []; // { t, id, sent, scale, drawn, drawUs, encodeUs, width, height }
    this.skipped = 0;
    this.flatViews = { last: -1 };
    this.note = "";
    this.kept = 300;
  }

  shown(t, header, sent) {
    this._add({
      t, id: header.id, sent, scale: header.scale, drawn: header.drawn, drawUs: header.drawUs,
      encodeUs: header.encodeUs, width: header.width, height: header.height, step: header.step,
    });
  }

  // A flat view counts once, when all of its tiles are there.
  flat(t, id, fresh, moved) {
    if (!fresh || this.flatViews.last === id) return;
    this.flatViews.last = id;
    this._add({ t, id, sent: moved, scale: 1, drawn: 0, drawUs: this.drawUs ?? 0, encodeUs: 0 });
  }

  // A still picture has come.
  whole(header) { this.stillAt = performance.now(); this.stillHeader = header; }

  _add(entry) {
    this.log.push(entry);
    if (this.log.length > this.kept) this.log.shift();
  }

  // Frames of the last second, and the last of them.
  recent(now) {
    const since = this.log.filter(({ t }) => now - t < 1000);
    return { rate: new Set(since.map(({ id }) => id)).size, last: this.log.at(-1) };
  }

  // From here on everything is kept, for a measurement.
  measure() { this.kept = Infinity; this.log = []; this.skipped = 0; }
}
