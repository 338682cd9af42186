// A frame with its boxes, on the page's canvas.

/** Make the canvas the frame's size and draw both. found: from select; facts: /model.json. */
export function draw(canvas, bitmap, found, facts) {
  if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
  }
  const context = canvas.getContext("2d", { alpha: false });
  context.drawImage(bitmap, 0, 0);
  // Lines and letters keep their size on the screen, whatever the picture's.
  const shown = canvas.getBoundingClientRect();
  const unit = Math.max(canvas.width / shown.width, canvas.height / shown.height) || 1;
  context.lineWidth = 2.5 * unit;
  context.font = `600 ${13 * unit}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  for (const one of [...found].reverse()) drawBox(context, one, facts, unit); // the best on top
}

function drawBox(context, { label, score, xyxy }, facts, unit) {
  const [left, top, right, bottom] = xyxy;
  const text = `${facts.class_names[label]} ${Math.round(score * 100)} %`;
  const width = context.measureText(text).width + 10 * unit, height = 20 * unit;
  context.strokeStyle = context.fillStyle = facts.colors[label];
  context.strokeRect(left, top, right - left, bottom - top);
  const x = Math.max(0, Math.min(left - context.lineWidth / 2, context.canvas.width - width));
  const y = top >= height ? top - height : top;
  context.fillRect(x, y, width, height);
  context.fillStyle = facts.inks[label];
  context.fillText(text, x + 5 * unit, y + height / 2);
}

/** What was found in words: "2 person, 1 dog". */
export function inWords(found, names) {
  const counts = new Map();
  for (const { label } of found) counts.set(label, (counts.get(label) ?? 0) + 1);
  return [...counts].map(([label, count]) => `${count} ${names[label]}`).join(", ") || "nothing";
}
