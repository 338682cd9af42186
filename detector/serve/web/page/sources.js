// Where frames come from: a camera, a video file or one picture. Each gives ImageBitmaps.

const NEXT_FRAME_MS = 500; // a stalled camera is asked again

// Each function resolves to {still, next, close}: `next` to the newest frame; `still` says that it
// is always the same one.

/** facing: "environment" (the back one of a phone) or "user", where there are both. */
export async function openCamera(video, facing) {
  if (!navigator.mediaDevices) {
    throw new Error("browsers give the camera to https pages only: detector serve --tls");
  }
  const wanted = { facingMode: { ideal: facing }, width: { ideal: 640 }, height: { ideal: 480 } };
  const stream = await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
  await play(video, () => { video.srcObject = stream; });
  const stop = () => stream.getTracks().forEach((track) => track.stop());
  return { ...moving(video, stop), track: stream.getVideoTracks()[0] };
}

export async function openVideo(video, file) {
  const url = URL.createObjectURL(file);
  await play(video, () => { video.src = url; });
  return moving(video, () => URL.revokeObjectURL(url));
}

export async function openPicture(file) {
  // The file's own numbers, as OpenCV reads them; its EXIF turn is applied by both.
  const options = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
  const bitmap = await createImageBitmap(file, options).catch(() => {
    throw new Error(`${file.name}: no picture that this browser can read`);
  });
  return { still: true, next: async () => createImageBitmap(bitmap), close: () => bitmap.close() };
}

/** How many cameras there are; 0 before the user allowed one. */
export async function countCameras() {
  const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  return devices.filter((device) => device.kind === "videoinput").length;
}

async function play(video, attach) {
  video.removeAttribute("src");
  video.srcObject = null;
  attach();
  await new Promise((resolve, reject) => {
    video.onloadeddata = resolve;
    video.onerror = () => reject(new Error("this browser cannot play that video"));
  });
  await video.play();
}

function moving(video, release) {
  const close = () => {
    video.pause();
    release();
    video.removeAttribute("src");
    video.srcObject = null;
  };
  const next = async () => {
    await newFrame(video);
    return createImageBitmap(video);
  };
  return { still: false, next, close };
}

/** Until the video shows a frame that was not yet seen. */
function newFrame(video) {
  return new Promise((resolve) => {
    const late = setTimeout(resolve, NEXT_FRAME_MS);
    const seen = () => { clearTimeout(late); resolve(); };
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(seen);
    else requestAnimationFrame(seen);
  });
}
