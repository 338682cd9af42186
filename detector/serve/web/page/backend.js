// Which of a device's engines runs the network: the fastest that computes the right thing.

const TRIES = 3;
const SCORE_TOLERANCE = 0.02; // WebGPU may compute in another order, on some phones with fewer bits

/**
 * Load ONNX Runtime Web and the model.
 *
 * facts: the server's /model.json. choice: "auto", "webgpu" or "wasm". For auto both run a picture;
 * WebGPU is taken where its scores agree with WebAssembly's and it is faster.
 * Returns {run, name}: run takes (side * side * 3) BGR bytes and gives {boxes, scores}.
 */
export async function loadBackend(facts, choice) {
  const gpu = choice === "wasm" ? null : await adapter();
  const build = gpu ? ("Suspending" in WebAssembly ? "jspi" : "webgpu") : "wasm";
  const ort = await loadRuntime(build, facts.runtime_version);
  const answer = await fetch(facts.model_url);
  if (!answer.ok) throw new Error(`the model cannot be loaded (${answer.status})`);
  const model = new Uint8Array(await answer.arrayBuffer());
  const threads = `${ort.env.wasm.numThreads} thread${ort.env.wasm.numThreads > 1 ? "s" : ""}`;
  const wasmName = `WebAssembly, ${threads}`;
  if (!gpu) return { run: await open(ort, model, facts, "wasm"), name: wasmName };
  let onGpu = null;
  try {
    onGpu = await open(ort, model, facts, "webgpu");
    if (choice === "webgpu") return { run: onGpu, name: "WebGPU" };
  } catch (error) {
    if (choice === "webgpu") throw error;
  }
  const onCpu = await open(ort, model, facts, "wasm");
  if (onGpu && (await isBetter(onGpu, onCpu, facts.size))) return { run: onGpu, name: "WebGPU" };
  return { run: onCpu, name: wasmName };
}

async function adapter() {
  try {
    return (await navigator.gpu?.requestAdapter()) ?? null;
  } catch {
    return null;
  }
}

async function loadRuntime(build, version) {
  const glue = { wasm: "", jspi: ".jspi", webgpu: ".asyncify" }[build];
  const at = (name) => new URL(`/runtime/${name}?v=${version}`, self.location.href).href;
  const ort = await import(at(`ort.${build}.min.mjs`));
  const stem = `ort-wasm-simd-threaded${glue}`;
  ort.env.wasm.wasmPaths = { mjs: at(`${stem}.mjs`), wasm: at(`${stem}.wasm`) };
  // More than four wait for each other on phones, whose other cores are slow.
  const cores = Math.min(navigator.hardwareConcurrency || 1, 4);
  ort.env.wasm.numThreads = self.crossOriginIsolated ? cores : 1;
  ort.env.logLevel = "error";
  return ort;
}

async function open(ort, model, facts, provider) {
  const side = facts.size;
  const session = await ort.InferenceSession.create(model, {
    executionProviders: [provider],
    graphOptimizationLevel: "all",
    freeDimensionOverrides: { height: side, width: side },
  });
  const run = async (bgr) => {
    const frame = new ort.Tensor("uint8", bgr, [1, side, side, 3]);
    const { boxes, scores } = await session.run({ frame });
    return { boxes: boxes.data, scores: scores.data };
  };
  await run(new Uint8Array(side * side * 3)); // the first run also compiles
  return run;
}

/** Whether WebGPU agrees with WebAssembly on a picture of coloured blocks, and is faster. */
async function isBetter(onGpu, onCpu, side) {
  const picture = Uint8Array.from(
    { length: side * side * 3 },
    (_, i) => (Math.floor(i / 3 / side / 37) * 83 + Math.floor(((i / 3) % side) / 53) * 59 + (i % 3) * 97) % 256,
  );
  const [gpu, cpu] = [await timed(onGpu, picture), await timed(onCpu, picture)];
  const agrees = gpu.scores.every((score, i) => Math.abs(score - cpu.scores[i]) < SCORE_TOLERANCE);
  return agrees && gpu.ms < cpu.ms;
}

async function timed(run, picture) {
  let ms = Infinity, scores;
  for (let i = 0; i < TRIES; i++) {
    const start = performance.now();
    scores = Float32Array.from((await run(picture)).scores);
    ms = Math.min(ms, performance.now() - start);
  }
  return { ms, scores };
}
