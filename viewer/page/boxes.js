// The edges of the crop box, over the picture.

import * as v from "./vec.js";

export class Boxes {
  constructor(svg, app) { this.svg = svg; this.app = app; }

  draw(c2w, fov) {
    const { box, stage } = this.app;
    this.svg.toggleAttribute("hidden", !box);
    if (!box) return;
    const { width, height } = stage.getBoundingClientRect();
    const focal = height / 2 / Math.tan(fov * Math.PI / 360);
    const eye = v.column(c2w, 3);
    const seen = (point) => {
      const away = v.sub(point, eye);
      const [x, y, z] = [0, 1, 2].map((i) => v.dot(away, v.column(c2w, i)));
      return z > -1e-6 ? null : [width / 2 - focal * x / z, height / 2 + focal * y / z];
    };
    const corner = (i) => [0, 1, 2].map((axis) => box[axis + (i >> axis & 1 ? 3 : 0)]);
    let text = "";
    for (let i = 0; i < 8; i++) {
      for (const axis of [0, 1, 2]) {
        if (i >> axis & 1) continue;
        const [a, b] = [seen(corner(i)), seen(corner(i | 1 << axis))];
        if (a && b) text += `M${a[0]} ${a[1]}L${b[0]} ${b[1]}`;
      }
    }
    this.svg.replaceChildren();
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", text);
    this.svg.append(path);
  }
}
