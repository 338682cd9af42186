// The worker as promises: one frame at a time, in the order they were asked for.

/** Start the worker and load the model; resolves to {detect, name, close}. */
export async function startDetecting(facts, backend) {
  const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  let waiting = null;
  let last = Promise.resolve();
  const ask = (message, transfer = []) =>
    new Promise((resolve, reject) => {
      waiting = { resolve, reject };
      worker.postMessage(message, transfer);
    });
  const close = () => {
    worker.terminate();
    waiting?.reject(new DOMException("the engine was changed", "AbortError"));
  };
  worker.onmessage = ({ data }) => {
    if (data.kind === "error") waiting.reject(new Error(data.reason));
    else waiting.resolve(data);
  };
  worker.onerror = (event) => {
    event.preventDefault();
    waiting?.reject(new Error(event.message || "the worker cannot be loaded"));
  };
  const detect = (bitmap, score, labels) => {
    const turn = () => ask({ kind: "detect", bitmap, score, labels }, [bitmap]);
    last = last.then(turn, turn);
    return last;
  };
  try {
    const { backend: name } = await ask({ kind: "load", facts, backend });
    return { name, detect, close };
  } catch (error) {
    worker.terminate();
    throw error;
  }
}
