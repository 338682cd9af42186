// From a picture's pixels to what the model file takes: the same bytes as Python's.

const BITS = 11; // OpenCV's weights are whole numbers of 2048ths
const ONE = 1 << BITS;

/**
 * Stretch a picture bilinearly, as cv2.resize(INTER_LINEAR) does on bytes, and swap to BGR.
 *
 * rgba: width * height * 4 bytes, rows from the top, as ImageData holds them; alpha is dropped.
 * Returns side * side * 3 bytes. The fixed-point steps, and how the borders are treated
 * differently along x and y, follow OpenCV's resize.cpp, so that every byte is equal.
 */
export function resizeToBgr(rgba, width, height, side, out = new Uint8Array(side * side * 3)) {
  const [left, right, leftWeight, rightWeight] = columnTaps(width, side);
  const [above, below, aboveWeight, belowWeight] = rowTaps(height, side);
  let to = 0;
  for (let y = 0; y < side; y++) {
    const top = above[y] * width * 4, bottom = below[y] * width * 4;
    const wa = aboveWeight[y], wb = belowWeight[y];
    for (let x = 0; x < side; x++) {
      const a = left[x] * 4, b = right[x] * 4, wl = leftWeight[x], wr = rightWeight[x];
      for (let channel = 2; channel >= 0; channel--) {
        const high = (rgba[top + a + channel] * wl + rgba[top + b + channel] * wr) >> 4;
        const low = (rgba[bottom + a + channel] * wl + rgba[bottom + b + channel] * wr) >> 4;
        out[to++] = (((high * wa) >> 16) + ((low * wb) >> 16) + 2) >> 2;
      }
    }
  }
  return out;
}

/** Along x a tap outside the picture moves inside, and takes all the weight. */
function columnTaps(from, to) {
  const [first, second, firstWeight, secondWeight] = empty(to);
  for (let i = 0; i < to; i++) {
    let [index, fraction] = position(i, from, to);
    if (index < 0) [index, fraction] = [0, 0];
    if (index >= from - 1) [index, fraction] = [from - 1, 0];
    first[i] = index;
    second[i] = Math.min(index + 1, from - 1);
    [firstWeight[i], secondWeight[i]] = weights(fraction);
  }
  return [first, second, firstWeight, secondWeight];
}

/** Along y it moves inside too, but keeps its weight. */
function rowTaps(from, to) {
  const [first, second, firstWeight, secondWeight] = empty(to);
  for (let i = 0; i < to; i++) {
    const [index, fraction] = position(i, from, to);
    first[i] = Math.min(Math.max(index, 0), from - 1);
    second[i] = Math.min(Math.max(index + 1, 0), from - 1);
    [firstWeight[i], secondWeight[i]] = weights(fraction);
  }
  return [first, second, firstWeight, secondWeight];
}

/** Where pixel i's centre lies: the pixel before it, and how far past that one's centre. */
function position(i, from, to) {
  const at = Math.fround((i + 0.5) * (1 / (to / from)) - 0.5);
  const index = Math.floor(at);
  return [index, Math.fround(at - index)];
}

function weights(fraction) {
  return [roundHalfEven(Math.fround(1 - fraction) * ONE), roundHalfEven(fraction * ONE)];
}

function roundHalfEven(value) {
  const low = Math.floor(value), rest = value - low;
  if (rest !== 0.5) return Math.round(value);
  return low % 2 === 0 ? low : low + 1;
}

function empty(size) {
  return [0, 1, 2, 3].map(() => new Int32Array(size));
}
