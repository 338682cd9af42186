// The page: a source of frames, the worker that detects, and the controls.
import { classList } from "./classes.js";
import { startDetecting } from "./detecting.js";
import { draw, inWords } from "./draw.js";
import { countCameras, openCamera, openPicture, openVideo } from "./sources.js";

const at = (id) => document.getElementById(id);
const canvas = at("canvas"), video = at("video"), stage = at("stage");
const REASONS = {
  NotAllowedError: "The camera was not allowed.",
  NotFoundError: "There is no camera.",
  NotReadableError: "The camera is in use by another program.",
};
const FPS_OVER_MS = 2000, SAY_EVERY_MS = 1000;
let facts, detector, classes, source = null, run = 0, paused = false, facing = "environment";
let ends = [], said = 0, refreshing = false, again = false;

async function start() {
  await becomeOffline();
  facts = await (await fetch("/model.json")).json();
  classes = classList(facts, at, refresh);
  at("score").value = facts.score;
  showScore();
  at("backend").value = localStorage.getItem("backend") ?? "auto";
  await loadEngine();
  for (const id of ["camera", "open"]) at(id).disabled = false;
}

/** The service worker first: what is loaded through it is there next time without a network. */
async function becomeOffline() {
  if (!navigator.serviceWorker) return; // pages without https
  try {
    await navigator.serviceWorker.register("sw.js");
    const controlled = new Promise((resolve) => {
      if (navigator.serviceWorker.controller) resolve();
      else navigator.serviceWorker.addEventListener("controllerchange", resolve, { once: true });
    });
    await Promise.race([controlled, new Promise((resolve) => setTimeout(resolve, 3000))]);
  } catch (error) {
    console.info(`works online only: ${error.message}`);
  }
}

async function loadEngine() {
  setState("loading", false);
  detector?.close();
  detector = null;
  try {
    detector = await startDetecting(facts, at("backend").value);
  } catch (error) {
    setState("failed", false);
    say(`${error.message}`);
    return;
  }
  at("engine").textContent = `${detector.name}, ${facts.name} at ${facts.size} px, ${facts.precision}`;
  setState("ready", true);
}

/** Take frames from a new source until the next one, or for a picture once. */
async function use(open) {
  const mine = ++run;
  stop();
  say("");
  let opened;
  try {
    opened = await open();
  } catch (error) {
    say(REASONS[error.name] ?? (error.message || String(error)));
    return;
  }
  if (mine !== run) { opened.close(); return; } // another was chosen meanwhile
  source = opened;
  setPaused(false);
  at("pause").disabled = source.still;
  stage.classList.add("filled");
  at("hint").hidden = true;
  source.track?.addEventListener("ended", () => say("The camera is gone."));
  do await detectNext(mine); while (mine === run && source && !source.still);
}

async function detectNext(mine) {
  if (paused || !detector) { await new Promise((resolve) => setTimeout(resolve, 50)); return; }
  try {
    const bitmap = await source.next();
    if (mine !== run || !detector) { bitmap.close(); return; }
    const start = performance.now();
    const result = await detector.detect(bitmap, Number(at("score").value), classesOrAll());
    if (mine === run) show(result, performance.now() - start);
    result.bitmap.close();
  } catch (error) {
    if (mine !== run || error.name === "AbortError") return;
    say(error.message);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

/** [] means all for the worker; with none ticked a label that no model has. */
function classesOrAll() {
  const labels = classes.labels();
  if (labels.length === facts.class_names.length) return [];
  return labels.length ? labels : [-1];
}

function show({ bitmap, found, tookMs }, wholeMs) {
  draw(canvas, bitmap, found, facts);
  const now = performance.now();
  ends = [...ends.filter((end) => end > now - FPS_OVER_MS), now];
  const fps = ends.length > 1 ? (1000 * (ends.length - 1)) / (now - ends[0]) : null;
  at("fps").textContent = source.still || fps === null ? "–" : fps.toFixed(1);
  at("network").textContent = `${tookMs.network.toFixed(0)} ms`;
  at("whole").textContent = `${wholeMs.toFixed(0)} ms`;
  at("count").textContent = found.length;
  if (source.still || now - said > SAY_EVERY_MS) { // screen readers cannot follow every frame
    said = now;
    at("found").textContent = inWords(found, facts.class_names);
  }
  canvas.dispatchEvent(new CustomEvent("detections", { detail: { found, tookMs, fps } }));
}

/** A threshold or class was changed: a still picture is looked at again, with the newest wish. */
async function refresh() {
  again = true;
  if (refreshing || !source?.still) return;
  refreshing = true;
  while (again && source?.still) {
    again = false;
    await detectNext(run);
  }
  refreshing = false;
}

function stop() {
  source?.close();
  source = null;
  ends = [];
  at("pause").disabled = true;
}

function setPaused(value) {
  paused = value;
  at("pause").setAttribute("aria-pressed", String(value));
  at("pause").textContent = value ? "Go on" : "Pause";
}

function setState(text, good) {
  at("state").textContent = text;
  at("state").classList.toggle("good", good);
}

function say(text) {
  at("message").textContent = text;
}

function showScore() {
  at("shown").textContent = `${Math.round(100 * at("score").value)} %`;
}

function useCamera() {
  return use(async () => {
    const opened = await openCamera(video, facing);
    at("flip").hidden = (await countCameras()) < 2; // browsers tell once a camera was allowed
    return opened;
  });
}

function useFile(file) {
  if (!file) return;
  if (file.type.startsWith("video/")) use(() => openVideo(video, file));
  else use(() => openPicture(file));
}

at("camera").addEventListener("click", useCamera);
at("flip").addEventListener("click", () => {
  facing = facing === "user" ? "environment" : "user";
  useCamera();
});
at("open").addEventListener("click", () => at("file").click());
at("file").addEventListener("change", ({ target }) => { useFile(target.files[0]); target.value = ""; });
at("pause").addEventListener("click", () => setPaused(!paused));
at("score").addEventListener("input", () => { showScore(); refresh(); });
at("backend").addEventListener("change", async ({ target }) => {
  localStorage.setItem("backend", target.value);
  await loadEngine();
  refresh();
});
for (const kind of ["dragenter", "dragover"]) {
  addEventListener(kind, (event) => { event.preventDefault(); stage.classList.add("over"); });
}
addEventListener("dragleave", (event) => { if (!event.relatedTarget) stage.classList.remove("over"); });
addEventListener("drop", (event) => {
  event.preventDefault();
  stage.classList.remove("over");
  if (detector) useFile(event.dataTransfer.files[0]);
});
start().catch((error) => { setState("failed", false); say(error.message); });
