// A program that changes files, each in another way; a bare process does the same, and is killed.
const fs = require("fs");
const path = require("path");

async function main() {
  fs.writeSync(1, "begins\n");
  process.chdir(process.env.OUT);
  for (let round = 1; round <= 20; round++) {
    fs.writeFileSync("checkpoint.json", JSON.stringify({ round, rows: Array(3000).fill("row") }));
    fs.writeFileSync("new", `round ${round}`);
    fs.renameSync("new", "renamed");
    fs.appendFileSync("rows", `row ${round}\n`);
    await fs.promises.writeFile("later", "x".repeat(20000 * round));
    await fs.promises.copyFile("later", `copy-${round % 2}`);
    await fs.promises.truncate("later", 5000);
    fs.mkdirSync(path.join("parts", String(round)), { recursive: true });
    const stream = fs.createWriteStream(path.join("parts", String(round), "data"));
    for (let part = 0; part < 3; part++) {
      await new Promise((resolve) => stream.write(`part ${part}`, resolve));
    }
    await new Promise((resolve) => stream.end(resolve));
    if (round % 5 === 0) fs.rmSync("parts", { recursive: true });
  }
  fs.writeSync(1, "ends\n");
}

main();
