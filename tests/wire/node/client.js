// A client of the Cloud API that reads calls from stdin, a JSON line each, and writes their answers to stdout.
//
// A call is {"action": ..., "parameters": ...}; its answer {"answer": ...}, or {"code": ..., "message": ...} of a refusal.
// Usage: node client.js sdk|capi|toolkit SETTINGS, where SETTINGS is JSON: endpoint, id, key, region, signature, method,
// language.

const readline = require("readline");
const tls = require("tls");

const [kind, settings] = [process.argv[2], JSON.parse(process.argv[3])];

// tencentcloud-sdk-nodejs-scf
function sdk({ endpoint, id, key, region, signature, method, language }) {
  const { Client } = require("tencentcloud-sdk-nodejs-scf").scf.v20180416;
  const client = new Client({
    credential: { secretId: id, secretKey: key },
    region,
    profile: { signMethod: signature, language, httpProfile: { endpoint, protocol: "http://", reqMethod: method } },
  });
  return async (action, parameters) => client[action](parameters);
}

// @tencent-sdk/capi, which Serverless tools use: its own signatures, not the SDK's
function capi({ endpoint, id, key, region, signature, method }) {
  const { Capi } = require("@tencent-sdk/capi");
  const client = new Capi({
    secretId: id,
    secretKey: key,
    region,
    serviceType: "scf",
    version: "2018-04-16",
    host: endpoint,
    protocol: "http",
    method,
    isPascalCase: false,
    signatureMethod: signature === "HmacSHA256" ? "sha256" : "sha1",
  });
  return async (Action, parameters) => {
    const body = await client.request({ ...parameters, Action }, undefined, signature === "TC3-HMAC-SHA256");
    const { Error: refusal, ...answer } = body.Response;
    if (refusal) throw Object.assign(new Error(refusal.Message), { code: refusal.Code });
    return answer;
  };
}

// tencent-component-toolkit, with which Serverless tools deploy: its calls, and each host that it connects to is the endpoint
function toolkit({ endpoint, id, key, region }) {
  const [host, port] = endpoint.split(":");
  const connect = tls.connect;
  tls.connect = (options, ...others) => connect({ ...options, host, port }, ...others);
  console.log = console.error; // it says there what it does
  const { Scf } = require("tencent-component-toolkit");
  const scf = new Scf({ SecretId: id, SecretKey: key }, region);
  const calls = {
    deploy: (inputs) => scf.deploy(inputs),
    get: (inputs) => scf.scf.get(inputs),
    invoke: (inputs) => scf.invoke(inputs),
    remove: (inputs) => scf.remove(inputs),
  };
  return (name, inputs) => calls[name](inputs);
}

async function main() {
  const call = { sdk, capi, toolkit }[kind](settings);
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { action, parameters } = JSON.parse(line);
    let answered;
    try {
      answered = { answer: await call(action, parameters) };
    } catch (error) {
      answered = { code: error.code || `no code: ${error.stack}`, message: error.message };
    }
    process.stdout.write(`${JSON.stringify(answered)}\n`);
  }
}

main();
