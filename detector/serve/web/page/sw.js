// Keeps what the page loaded, so that it opens without a network (installed, or from its address).

const STORE = "detector-page";
const API = ["/detect", "/health", "/openapi.json"];
const PATIENCE_MS = 3000; // a server that does not answer is taken for away

self.addEventListener("install", (event) => {
  // The page itself: it was loaded before there was anybody to keep it.
  const own = ["/", "/style.css", "/app.js", "/classes.js", "/detecting.js", "/draw.js",
    "/sources.js", "/worker.js", "/backend.js", "/preprocess.js", "/select.js", "/icon.svg",
    "/manifest.webmanifest"];
  event.waitUntil(caches.open(STORE).then((store) => store.addAll(own)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  const ours = url.origin === self.location.origin && event.request.method === "GET";
  if (!ours || API.includes(url.pathname) || url.searchParams.has("token")) return;
  const lasting = url.searchParams.has("v");
  event.respondWith(lasting ? keptFirst(event.request, url) : newestFirst(event.request));
});

/** The model and its runtime: an address with a version never changes what it means. */
async function keptFirst(request, url) {
  const store = await caches.open(STORE);
  const kept = await store.match(request);
  if (kept) return kept;
  const answer = await fetch(request);
  if (answer.ok) {
    for (const old of await store.keys()) { // of another version
      const path = new URL(old.url).pathname;
      if (path === url.pathname) await store.delete(old);
    }
    await store.put(request, answer.clone());
  }
  return answer;
}

/** The page: the server's if it answers, else what it said last. */
async function newestFirst(request) {
  const store = await caches.open(STORE);
  try {
    const answer = await fetch(request, { signal: AbortSignal.timeout(PATIENCE_MS) });
    if (answer.ok) await store.put(request, answer.clone());
    return answer;
  } catch (error) {
    const kept = await store.match(request);
    if (kept) return kept;
    throw error;
  }
}
