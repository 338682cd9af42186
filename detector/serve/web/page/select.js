// What a network found: its scores above a threshold, after non-maximum suppression and voting.

const VOTER = 0.5; // as in detector/detections.py
const AGREEING = 4; // too

/**
 * The same detections as detector/detections.py: select, best score first.
 *
 * boxes: (A, 4) xyxy as fractions of the picture. scores: (A, K) in 0..1. Both Float32Array.
 * options: score, iou (0..1), topK, vote, labels (those to look at; empty for all).
 * Returns [{label, score, xyxy}], xyxy in pixels of a picture of width x height.
 */
export function select(boxes, scores, classCount, width, height, options) {
  const threshold = Math.fround(options.score);
  const least = options.vote ? threshold * VOTER : threshold;
  const wanted = options.labels.length ? new Set(options.labels) : null;
  const found = [];
  for (let i = 0; i < scores.length; i++) {
    if (!(scores[i] >= least)) continue;
    const label = i % classCount;
    if (wanted && !wanted.has(label)) continue;
    const xyxy = toPixels(boxes, ((i - label) / classCount) * 4, width, height);
    if (xyxy[2] > xyxy[0] && xyxy[3] > xyxy[1]) found.push({ label, score: scores[i], xyxy });
  }
  const shown = found.filter((one) => one.score >= threshold);
  const kept = suppress(shown, options.iou, options.topK);
  if (!options.vote) return kept;
  return kept
    .map((one) => voted(one, found, options.vote))
    .filter((one) => one.score >= threshold)
    .sort((a, b) => b.score - a.score);
}

/** One of those found, where all found of its class say it is, as far as they agree: voted. */
function voted(one, found, spread) {
  const sums = [0, 0, 0, 0];
  let total = 0;
  let around = 0;
  let agreed = 0;
  for (const other of found) {
    const above = other.score - one.score * VOTER;
    const shared = other.label === one.label && above > 0 ? overlap(other.xyxy, one.xyxy) : 0;
    if (!shared) continue;
    const near = Math.exp(-((1 - shared) ** 2) / (AGREEING * spread));
    const vote = above * near ** AGREEING;
    for (let side = 0; side < 4; side++) sums[side] += vote * other.xyxy[side];
    total += vote;
    around += above * near;
    agreed += above * near * shared;
  }
  if (!(total > 0)) return one;
  const score = Math.fround(one.score * Math.min(agreed / around, 1));
  return { ...one, score, xyxy: Float32Array.from(sums, (sum) => sum / total) };
}

/** Greedy, within each class: a box goes when it overlaps a better one by more than iou. */
export function suppress(found, iou, topK) {
  const limit = Math.fround(iou);
  const order = [...found].sort((a, b) => b.score - a.score); // stable: ties keep their order
  const kept = [];
  for (const one of order) {
    const covered = kept.some(
      (other) => other.label === one.label && overlap(other.xyxy, one.xyxy) > limit,
    );
    if (!covered) kept.push(one);
    if (kept.length === topK) break;
  }
  return kept;
}

/** Intersection over union, rounded to float32 as OpenCV does; 0 for two empty boxes. */
export function overlap(a, b) {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  const both = width > 0 && height > 0 ? width * height : 0;
  const union = area(a) + area(b) - both;
  return union > 0 ? Math.fround(both / union) : 0;
}

function toPixels(boxes, start, width, height) {
  const pixels = new Float32Array(4); // float32, as in Python
  for (let side = 0; side < 4; side++) {
    const inside = Math.min(Math.max(boxes[start + side], 0), 1);
    pixels[side] = inside * (side % 2 ? height : width);
  }
  return pixels;
}

function area(box) {
  return (box[2] - box[0]) * (box[3] - box[1]);
}
