// Runs the page's own modules on cases that a Python test wrote; argument: their folder.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, page] = process.argv.slice(2);
const load = (name) => import(pathToFileURL(join(page, name)).href);
const { resizeToBgr } = await load("preprocess.js");
const { select } = await load("select.js");
const read = (name) => readFileSync(join(folder, name));
const floats = (name) => {
  const { buffer, byteOffset, byteLength } = read(name);
  return new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
};

const cases = JSON.parse(read("cases.json"));
for (const { name, width, height, side } of cases.resize) {
  writeFileSync(join(folder, `${name}.bgr`), resizeToBgr(read(`${name}.rgba`), width, height, side));
}
const found = cases.select.map(({ name, classes, width, height, options }) =>
  select(floats(`${name}.boxes`), floats(`${name}.scores`), classes, width, height, options)
    .map(({ label, score, xyxy }) => ({ label, score, xyxy: [...xyxy] })));
writeFileSync(join(folder, "found.json"), JSON.stringify(found));
