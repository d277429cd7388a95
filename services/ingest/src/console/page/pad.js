// A pad to draw on, as coarse as the model sees it. With the keyboard: arrows move, space paints.

import { el } from "./dom.js";

const SIZE = 280;

/** How an input can be drawn; null if it cannot. */
export function imageOf(input) {
  const sizes = input.shape.slice(1);
  if (!/^(FP|BF|INT|UINT)/.test(input.dtype)) return null;
  const closed = sizes.map((size) => (size < 0 ? 64 : size));
  const plain = (height, width, build, channels = 1) =>
    ({ height, width, channels, build, most: height * width === 64 ? 16 : input.dtype.startsWith("FP") || input.dtype.startsWith("BF") ? 1 : 255 });
  if (sizes.length === 1 && [64, 784].includes(sizes[0])) {
    const side = Math.sqrt(sizes[0]);
    return plain(side, side, (at) => range(sizes[0]).map((index) => at(0, Math.floor(index / side), index % side)));
  }
  const rows = (height, width, pixel) => range(height).map((y) => range(width).map((x) => pixel(y, x)));
  if (sizes.length === 2 && closed.every(fits)) {
    return plain(closed[0], closed[1], (at) => rows(closed[0], closed[1], (y, x) => at(0, y, x)));
  }
  if (sizes.length !== 3) return null;
  if ([1, 3].includes(sizes[0]) && fits(closed[1]) && fits(closed[2])) {
    const [channels, height, width] = [sizes[0], closed[1], closed[2]];
    return plain(height, width, (at) => range(channels).map((channel) => rows(height, width, (y, x) => at(channel, y, x))), channels);
  }
  if ([1, 3].includes(sizes[2]) && fits(closed[0]) && fits(closed[1])) {
    const [height, width, channels] = [closed[0], closed[1], sizes[2]];
    return plain(height, width, (at) => rows(height, width, (y, x) => range(channels).map((channel) => at(channel, y, x))), channels);
  }
  return null;
}

const fits = (size) => size >= 4 && size <= 512;
const range = (size) => Array.from({ length: size }, (_, index) => index);

/** The pad: its element, and the instance that is on it. */
export class Pad {
  constructor(image, changed) {
    this.image = image;
    this.changed = changed;
    this.cursor = [Math.floor(image.height / 2), Math.floor(image.width / 2)];
    this.canvas = el("canvas", {
      width: SIZE, height: Math.round((SIZE * image.height) / image.width), tabindex: 0, role: "img",
      "aria-label": `Drawing of ${image.height} by ${image.width} pixels. Arrow keys move, space paints, delete clears. An image file can be dropped here.`,
      onpointerdown: (event) => this.press(event), onpointermove: (event) => this.move(event), onkeydown: (event) => this.type(event),
      onfocus: () => this.draw(), onblur: () => this.draw(),
      ondragover: (event) => event.preventDefault(), ondrop: (event) => this.drop(event),
    });
    this.clear();
  }

  clear() {
    const { channels, height, width } = this.image;
    this.cells = range(channels).map(() => new Float32Array(height * width));
    this.isEmpty = true;
    this.draw();
  }

  /** The value of every pixel, up to `most`, as the input wants it. */
  instance(most) {
    const { width } = this.image;
    const round = most > 1 ? 1 : 1000;
    return this.image.build((channel, y, x) => Math.round(this.cells[channel][y * width + x] * most * round) / round);
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [((event.clientY - box.top) / box.height) * this.image.height, ((event.clientX - box.left) / box.width) * this.image.width];
  }

  press(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.last = this.place(event);
    this.brush(...this.last);
    this.draw();
    this.changed();
  }

  move(event) {
    if (!event.buttons || !this.last) return;
    const next = this.place(event);
    const steps = Math.max(1, Math.ceil(Math.hypot(next[0] - this.last[0], next[1] - this.last[1]) * 3));
    for (let step = 1; step <= steps; step += 1) {
      this.brush(this.last[0] + ((next[0] - this.last[0]) * step) / steps, this.last[1] + ((next[1] - this.last[1]) * step) / steps);
    }
    this.last = next;
    this.draw();
    this.changed();
  }

  /** Paints around a place, softer at the edge, never lighter than it was. */
  brush(y, x) {
    const { height, width } = this.image;
    const radius = Math.max(0.75, Math.min(height, width) / 18);
    for (let row = Math.max(0, Math.floor(y - radius - 1)); row < Math.min(height, y + radius + 1); row += 1) {
      for (let column = Math.max(0, Math.floor(x - radius - 1)); column < Math.min(width, x + radius + 1); column += 1) {
        const away = Math.hypot(row + 0.5 - y, column + 0.5 - x);
        const ink = Math.max(0, Math.min(1, radius + 0.5 - away));
        for (const cells of this.cells) cells[row * width + column] = Math.max(cells[row * width + column], ink);
      }
    }
    this.isEmpty = false;
  }

  type(event) {
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const { height, width } = this.image;
    if (moves[event.key]) {
      this.cursor = [Math.min(height - 1, Math.max(0, this.cursor[0] + moves[event.key][0])), Math.min(width - 1, Math.max(0, this.cursor[1] + moves[event.key][1]))];
    } else if (event.key === " ") {
      const index = this.cursor[0] * width + this.cursor[1];
      const ink = this.cells[0][index] > 0.5 ? 0 : 1;
      for (const cells of this.cells) cells[index] = ink;
      this.isEmpty = false;
      this.changed();
    } else if (event.key === "Delete" || event.key === "Backspace") {
      this.clear();
      this.changed();
    } else {
      return;
    }
    event.preventDefault();
    this.draw();
  }

  drop(event) {
    event.preventDefault();
    if (event.dataTransfer.files[0]) this.load(event.dataTransfer.files[0]);
  }

  /** Shrinks a picture to the pad. */
  async load(file) {
    const { channels, height, width } = this.image;
    let picture;
    try {
      picture = await createImageBitmap(file, { resizeWidth: width, resizeHeight: height, resizeQuality: "high" });
    } catch {
      this.changed(`${file.name} is no image that this browser reads`);
      return;
    }
    const small = el("canvas", { width, height }).getContext("2d", { willReadFrequently: true });
    small.drawImage(picture, 0, 0, width, height);
    const { data } = small.getImageData(0, 0, width, height);
    for (let index = 0; index < height * width; index += 1) {
      const [red, green, blue] = data.subarray(index * 4, index * 4 + 3);
      const colours = channels === 3 ? [red, green, blue] : [0.299 * red + 0.587 * green + 0.114 * blue];
      colours.forEach((value, channel) => { this.cells[channel][index] = value / 255; });
    }
    this.isEmpty = false;
    this.draw();
    this.changed();
  }

  draw() {
    const { channels, height, width } = this.image;
    const context = this.canvas.getContext("2d");
    const [high, wide] = [this.canvas.height / height, this.canvas.width / width];
    for (let y = 0; y < height; y += 1) {
      for (let x = 0; x < width; x += 1) {
        const colour = range(3).map((channel) => Math.round(16 + 239 * this.cells[channels === 3 ? channel : 0][y * width + x]));
        context.fillStyle = `rgb(${colour.join(" ")})`;
        context.fillRect(Math.floor(x * wide), Math.floor(y * high), Math.ceil(wide), Math.ceil(high));
      }
    }
    if (document.activeElement === this.canvas) {
      context.strokeStyle = "#22b8cf";
      context.lineWidth = 2;
      context.strokeRect(this.cursor[1] * wide + 1, this.cursor[0] * high + 1, wide - 2, high - 2);
    }
  }
}
