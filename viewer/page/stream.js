// The socket: messages out, pictures in. Pictures are decoded beside the page and wait for the next
// refresh of the screen; what was shown is told, which lets the server send more.

export const FRAME = 0, PART = 1, TILE = 2, FILM = 3;
export const TRUTH = 2;
const LAST = 1, LOSSLESS = 2;
const TYPES = ["image/jpeg", "image/png", "video/mp4"];
const HEADER = 40;

export class Stream {
  constructor({ told, decoded, closed }) {
    Object.assign(this, { told, decoded, closed });
    this.opened = false;
    const place = new URL("live", location.href.replace(/#.*/, ""));
    place.protocol = place.protocol.replace("http", "ws");
    this.socket = new WebSocket(place);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => this.send("hello", { token: location.hash.slice(1) });
    this.socket.onmessage = ({ data }) => this._take(data);
    this.socket.onclose = (event) => { this.opened = false; this.closed(event); };
    this._order = Promise.resolve();
  }

  send(type, message = {}) {
    if (this.socket.readyState === WebSocket.OPEN) {
      this.socket.send(JSON.stringify({ type, ...message }));
    }
  }

  _take(data) {
    if (typeof data === "string") {
      const message = JSON.parse(data);
      if (message.type === "welcome") this.opened = true;
      this.told(message);
      return;
    }
    const header = headerOf(new DataView(data));
    const blob = new Blob([new Uint8Array(data, HEADER)], { type: TYPES[header.format] });
    const bitmap = header.kind === FILM ? Promise.resolve(blob) : createImageBitmap(blob);
    // In the order in which they came.
    this._order = Promise.all([bitmap, this._order]).then(
      ([picture]) => this.decoded(header, picture),
      (error) => {
        if (header.kind === FRAME) this.send("shown", { id: header.id });
        this.told({ type: "error", text: `a picture could not be read: ${error.message}` });
      },
    );
  }
}

function headerOf(view) {
  const byte = (at) => view.getUint8(at), int = (at) => view.getUint32(at, true);
  const short = (at) => view.getUint16(at, true);
  return {
    kind: byte(0), format: byte(1), drawn: byte(2), last: !!(byte(3) & LAST),
    lossless: !!(byte(3) & LOSSLESS), id: int(4), step: int(8),
    x: view.getInt32(12, true), y: view.getInt32(16, true),
    width: short(20), height: short(22), wholeWidth: short(24), wholeHeight: short(26),
    scale: view.getFloat32(28, true), drawUs: int(32), encodeUs: int(36),
  };
}
