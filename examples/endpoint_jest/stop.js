// Jest's globalTeardown: ends what serve.js started.

const { once } = require("node:events");

module.exports = async () => {
  const { serving } = globalThis;
  const end = once(serving, "exit");
  serving.kill("SIGTERM");
  const [code] = await end;
  if (code !== 0) throw new Error(`python -m pytest_scf_async serve ended with ${code}`);
};
