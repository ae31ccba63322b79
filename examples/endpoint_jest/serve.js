// Jest's globalSetup: serves the functions of scf.toml for all tests, and gives them what it prints in process.env.

const { spawn } = require("node:child_process");
const { createInterface } = require("node:readline");

module.exports = async () => {
  const python = process.env.PYTHON || "python3";
  const serving = spawn(python, ["-m", "pytest_scf_async", "serve", "scf.toml", "--print-env", "--on-stop=abandon"], {
    cwd: __dirname,
    stdio: ["ignore", "pipe", "inherit"],
  });
  for await (const line of createInterface({ input: serving.stdout })) {
    const [name, value] = line.split(/=(.*)/);
    process.env[name] = value;
    if (name === "SCF_ENDPOINT_URL") break; // the last one
  }
  if (!process.env.SCF_ENDPOINT_URL) throw new Error("python -m pytest_scf_async serve did not start");
  globalThis.serving = serving;
};
