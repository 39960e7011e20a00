// Small pieces of the page.

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made && name !== "list") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export const button = (text, onclick, more = {}) =>
  element("button", { type: "button", onclick, ...more }, text);

export const section = (title, open, ...children) =>
  element("details", { open }, element("summary", {}, title), ...children);

let count = 0;

// A labelled control; `set` changes it without telling. Of a slider `said` gives the text beside it.
export function control(setting, changed) {
  const id = `control-${count++}`;
  const label = element("label", { htmlFor: id }, setting.title);
  if (setting.kind === "choice") {
    const select = element("select", { id, name: setting.name },
      ...setting.choices.map((c) => element("option", { value: c }, c)));
    select.value = setting.value;
    select.addEventListener("change", () => changed(select.value));
    const row = element("div", { className: "row" }, label, select);
    return { row, set: (value) => { select.value = value; } };
  }
  if (setting.kind === "switch") {
    const box = element("input", { id, type: "checkbox", name: setting.name, checked: setting.value });
    box.addEventListener("change", () => changed(box.checked));
    const row = element("div", { className: "row" }, label, box);
    return { row, set: (value) => { box.checked = value; } };
  }
  const digits = setting.step >= 1 ? 0 : Math.min(4, Math.ceil(-Math.log10(setting.step)));
  const powers = (value) => value > 0 ? (10 ** value).toPrecision(3) : "off";
  const said = setting.said ?? (setting.power ? powers : (value) => value.toFixed(digits));
  const shown = element("output", { htmlFor: id });
  const range = element("input", {
    id, type: "range", name: setting.name, min: setting.low, max: setting.high, step: setting.step,
  });
  const set = (value) => { range.value = value; shown.textContent = said(+value); };
  set(setting.value);
  range.addEventListener("input", () => { set(range.value); changed(+range.value); });
  const row = element("div", { className: "row" }, label, shown, range);
  return { row, set };
}

export function save(name, blob) {
  const link = element("a", { href: URL.createObjectURL(blob), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// A curve of [x, y] on a canvas, its axes from the values; `log` for the logarithm of y.
export function curve(canvas, points, { log = false, label = "" } = {}) {
  const ratio = devicePixelRatio || 1;
  const width = canvas.width = Math.round(canvas.clientWidth * ratio);
  const height = canvas.height = Math.round(canvas.clientHeight * ratio);
  if (!width || points.length < 2) return;
  const style = getComputedStyle(document.documentElement);
  const context = canvas.getContext("2d");
  const of = (y) => log ? Math.log10(Math.max(y, 1e-12)) : y;
  const xs = points.map(([x]) => x), ys = points.map(([, y]) => of(y));
  const low = Math.min(...ys), high = Math.max(...ys, low + 1e-9);
  const first = xs[0], last = Math.max(xs.at(-1), first + 1e-9);
  const pad = 4 * ratio, top = 16 * ratio;
  const x = (value) => pad + (value - first) / (last - first) * (width - 2 * pad);
  const y = (value) => height - pad - (value - low) / (high - low) * (height - pad - top);
  context.strokeStyle = style.getPropertyValue("--accent") && getComputedStyle(canvas).color;
  context.lineWidth = 1.5 * ratio;
  context.beginPath();
  points.forEach((_, i) => context[i ? "lineTo" : "moveTo"](x(xs[i]), y(ys[i])));
  context.stroke();
  context.fillStyle = getComputedStyle(document.body).color;
  context.font = `${11 * ratio}px system-ui, sans-serif`;
  context.fillText(label, pad, 12 * ratio);
}
