// The runtime of Node.js functions: loads the handler, asks the runtime API for one event after the other, calls it.
//
// Each request has a connection of its own, so that nothing of this file keeps the event loop busy while a handler
// runs: `beforeExit` says when the loop is empty.
'use strict';

const fs = require('fs');
const { request } = require('http');
const path = require('path');
const { pathToFileURL } = require('url');
const { format } = require('util');

const write = process.stdout.write.bind(process.stdout);
const { parse, stringify } = JSON;
const now = Date.now;
const { SCF_RUNTIME_API: host, SCF_RUNTIME_API_PORT: port, _HANDLER } = process.env;

let requestId = '';
let current = null; // the event that the handler was called with

for (const name of ['log', 'info', 'debug', 'warn', 'error']) {
  console[name] = (...words) => {
    write(`${new Date().toISOString()}\t${requestId}\t${format(...words)}\n`);
  };
}

function call(method, url, headers, body, then) {
  const given = body === null ? headers : { ...headers, 'content-length': Buffer.byteLength(body) };
  const sent = request({ host, port, method, path: url, headers: given, agent: false }, (answer) => {
    const parts = [];
    answer.on('data', (part) => parts.push(part));
    answer.on('end', () => then(answer.headers, Buffer.concat(parts).toString()));
  });
  sent.on('error', () => process.exit(1)); // there is nobody left to work for
  sent.end(body === null ? undefined : body);
}

// -- the handler ------------------------------------------------------------------------------------------------------

class Failure extends Error {
  constructor(fact, error) {
    super();
    this.fact = fact;
    this.error = error;
  }
}

async function load() {
  const dot = _HANDLER.lastIndexOf('.');
  const [file, name] = [path.resolve(_HANDLER.slice(0, dot)), _HANDLER.slice(dot + 1)];
  const found = ['.js', '.cjs', '.mjs'].map((ending) => file + ending).find((each) => fs.existsSync(each));
  if (found === undefined) {
    throw new Failure('ENTRY_FILE_MISSING', new Error(`there is no ${file}.js`));
  }
  let exported;
  try {
    exported = require(found);
  } catch (error) {
    if (!error || error.code !== 'ERR_REQUIRE_ESM') {
      throw new Failure('CODE_NOT_LOADED', error);
    }
    exported = await import(pathToFileURL(found).href).catch((thrown) => {
      throw new Failure('CODE_NOT_LOADED', thrown);
    });
  }
  if (typeof exported[name] !== 'function' && exported.default) {
    exported = exported.default;
  }
  if (typeof exported[name] !== 'function') {
    throw new Failure('CODE_NOT_LOADED', new TypeError(`${found} exports no function ${name}`));
  }
  return exported[name];
}

// -- events -----------------------------------------------------------------------------------------------------------

function next(handler, failure) {
  call('GET', '/runtime/invocation/next', { scf_async_context: '1' }, null, (headers, body) => {
    const [context, variables] = parse(headers.scf_async_context);
    for (const [name, value] of Object.entries(variables)) {
      if (value === null) {
        delete process.env[name];
      } else {
        process.env[name] = value;
      }
    }
    requestId = context.request_id;
    current = { handler, context, push: null };
    if (failure) {
      settle(current, () => fail(failure.error, failure.fact), false);
    } else {
      run(current, parse(body));
    }
  });
}

// As the platform's own runtime does: a promise ends the event when it settles, a callback once the event loop is empty
// (unless that is not wanted), and what a handler returns that is no promise means nothing.
function run(event, payload) {
  const { context, handler } = event;
  const deadline = now() + context.time_limit_in_ms;
  const done = (error, value, waits) => {
    const push = error === null || error === undefined ? () => succeed(value) : () => fail(error, 'RAISED');
    settle(event, push, waits);
  };
  const given = {
    ...context,
    callbackWaitsForEmptyEventLoop: true,
    getRemainingTimeInMillis: () => Math.max(deadline - now(), 0),
    getContext: () => context,
    done: (error, value) => done(error, value, false),
    succeed: (value) => done(null, value, false),
    fail: (error) => done(error === undefined ? null : error, null, false),
  };
  try {
    const value = handler(payload, given, (error, result) => done(error, result, given.callbackWaitsForEmptyEventLoop));
    if (value && typeof value.then === 'function') {
      value.then(given.succeed, (error) => settle(event, () => fail(error, 'RAISED'), false));
    }
  } catch (error) {
    settle(event, () => fail(error, 'RAISED'), true);
  }
}

// What comes of an event is known: it ends now, or, if it waits, once nothing is left to do.
function settle(event, push, waits) {
  if (event.push === null) {
    event.push = push;
    if (!waits) {
      finish(event);
    }
  }
}

function finish(event) {
  if (event === current) {
    current = null;
    const [url, headers, body] = event.push();
    call('POST', url, headers, body, () => next(event.handler));
  }
}

process.on('beforeExit', () => {
  if (current !== null) {
    settle(current, () => succeed(null), true); // it never said, and nothing is left that could
    finish(current);
  }
});

process.on('uncaughtException', (error) => {
  if (current === null) {
    process.stderr.write(`${error && error.stack ? error.stack : format(error)}\n`);
    process.exit(1);
  }
  current.push = current.push || (() => fail(error, 'RAISED'));
  finish(current);
});

function succeed(value) {
  let body;
  try {
    body = stringify(value);
  } catch (error) {
    return fail(error, 'RESULT_NOT_JSON');
  }
  return ['/runtime/invocation/response', {}, body === undefined ? 'null' : body];
}

function fail(error, fact) {
  const isError = error instanceof Error || Boolean(error && typeof error.stack === 'string');
  const message = isError ? error.message : `${String(error)}(callback err is not instance of Error)`;
  const lines = isError ? String(error.stack).split('\n') : [message];
  const ours = lines.findIndex((line) => line.includes(__filename)); // and all that called it
  const own = ours < 0 ? lines : lines.slice(0, ours);
  const trace = own.filter((line) => !/^ +at .*\(?(node:)?internal\//.test(line)).join('\n');
  return ['/runtime/invocation/error', { scf_async_fact: fact, scf_async_message: encodeURIComponent(message) }, trace];
}

load().then(
  (handler) => call('POST', '/runtime/init/ready', {}, ' ', () => next(handler)),
  (failure) => call('POST', '/runtime/init/ready', {}, ' ', () => next(null, failure)),
);
