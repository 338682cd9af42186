// Detection off the page's own thread, so that the page never stalls.
import { loadBackend } from "./backend.js";
import { resizeToBgr } from "./preprocess.js";
import { select } from "./select.js";

const MAX_PIXELS = 16_000_000; // more than a phone's canvas holds: such a picture is halved first
let facts, backend, canvas, context, bgr;

self.onmessage = async ({ data }) => {
  try {
    if (data.kind === "load") await load(data);
    else await detect(data);
  } catch (error) {
    data.bitmap?.close();
    self.postMessage({ kind: "error", of: data.kind, reason: String(error?.message ?? error) });
  }
};

async function load({ facts: given, backend: choice }) {
  facts = given;
  backend = await loadBackend(facts, choice);
  self.postMessage({ kind: "loaded", backend: backend.name });
}

/** One frame: gives the bitmap back, with what was found and the milliseconds of each stage. */
async function detect({ bitmap, score, labels }) {
  const start = performance.now();
  const pixels = read(bitmap);
  bgr = resizeToBgr(pixels.data, pixels.width, pixels.height, facts.size, bgr);
  const prepared = performance.now();
  const { boxes, scores } = await backend.run(bgr);
  const inferred = performance.now();
  const options = { score, iou: facts.iou, topK: facts.top_k, vote: facts.vote, labels };
  const found = select(
    boxes, scores, facts.class_names.length, bitmap.width, bitmap.height, options,
  );
  const done = performance.now();
  const tookMs = { resize: prepared - start, network: inferred - prepared, select: done - inferred };
  self.postMessage({ kind: "found", bitmap, found, tookMs }, [bitmap]);
}

/** The bitmap's pixels, at full size where a canvas may be so large. */
function read(bitmap) {
  let { width, height } = bitmap;
  while (width * height > MAX_PIXELS) [width, height] = [width >> 1, height >> 1];
  if (canvas?.width !== width || canvas?.height !== height) {
    canvas = new OffscreenCanvas(width, height);
    context = canvas.getContext("2d", { willReadFrequently: true, alpha: false });
  }
  context.drawImage(bitmap, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}
