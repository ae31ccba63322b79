// Keeps its state in a file that it writes in place; with "rename" in a new one that replaces it, with "flush" when synced.
const fs = require("fs");
const path = require("path");

const [directory, ...options] = process.argv.slice(2);
const state = path.join(directory, "state.json");
const target = options.includes("rename") ? `${state}.new` : state;
const done = fs.existsSync(state) ? JSON.parse(fs.readFileSync(state, "utf8")) : [];
for (let step = done.length; step < 3; step++) {
  done.push(`step ${step} `.repeat(1000));
  fs.writeFileSync(target, JSON.stringify(done), { flush: options.includes("flush") });
  if (target !== state) {
    fs.renameSync(target, state);
  }
}
