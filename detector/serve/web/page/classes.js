// The list of classes to look for.

/** Fill the list; returns {labels}: those ticked, ascending. onChange is called on every change. */
export function classList(facts, at, onChange) {
  const boxes = facts.class_names.map((name, label) => {
    const box = Object.assign(document.createElement("input"), { type: "checkbox" });
    box.checked = facts.labels.length === 0 || facts.labels.includes(label);
    const line = document.createElement("label");
    line.append(box, name);
    const item = document.createElement("li");
    item.append(line);
    at("classes").append(item);
    box.addEventListener("change", changed);
    return box;
  });
  const labels = () => boxes.flatMap((box, label) => (box.checked ? [label] : []));
  function changed() {
    at("chosen").textContent = `${labels().length} of ${boxes.length}`;
    onChange();
  }
  function tick(checked) {
    for (const box of boxes) if (!box.closest("li").hidden) box.checked = checked;
    changed();
  }
  at("all").addEventListener("click", () => tick(true));
  at("none").addEventListener("click", () => tick(false));
  at("search").addEventListener("input", ({ target }) => {
    const sought = target.value.trim().toLowerCase();
    boxes.forEach((box, label) => {
      box.closest("li").hidden = !facts.class_names[label].toLowerCase().includes(sought);
    });
  });
  at("chosen").textContent = `${labels().length} of ${boxes.length}`;
  return { labels };
}
