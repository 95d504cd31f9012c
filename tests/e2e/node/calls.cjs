// A client of the store by @grpc/grpc-js. Run as: node calls.cjs FOLDER_OF_PROTOS PORT; reads calls as JSON, and
// prints what was told of each: {NAME: {messages, code, details, initial, trailing}}.
//   {name, method, requests: [...], metadata: [[name, value]], turns: [1, 1]}
// A value of a name in -bin is base64. `turns`: how many answers are awaited before each message is sent.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const [protos, port] = process.argv.slice(2);
const options = { keepCase: true, longs: String, enums: String, bytes: String, oneofs: true };
const { store } = grpc.loadPackageDefinition(loader.loadSync(path.join(protos, "store.proto"), options));
const client = new store.v1.Store(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), {
  "grpc.max_receive_message_length": 64 << 20,
  "grpc.enable_http_proxy": 0,
});

function plain(metadata) {
  const made = [];
  for (const [name, values] of Object.entries(metadata.toJSON())) {
    for (const value of values) made.push([name, Buffer.isBuffer(value) ? value.toString("base64") : value]);
  }
  return made.sort();
}

function run({ method, requests, metadata = [], turns = [] }) {
  const { requestStream, responseStream } = store.v1.Store.service[method];
  const sent = new grpc.Metadata();
  for (const [name, value] of metadata) sent.add(name, name.endsWith("-bin") ? Buffer.from(value, "base64") : value);
  const more = { deadline: Date.now() + 30_000 };
  const told = { messages: [], code: null, details: null, initial: [], trailing: [] };
  return new Promise((resolve) => {
    const got = (message) => {
      told.messages.push(message);
      say();
    };
    const done = responseStream ? [] : [(error, message) => (error ? undefined : got(message))];
    const call = requestStream ? client[method](sent, more, ...done) : client[method](requests[0], sent, more, ...done);
    let next = 0;
    let awaited = 0;
    function say() {
      if (!requestStream) return;
      while (next < requests.length && told.messages.length >= awaited + (turns[next] ?? 0)) {
        awaited += turns[next] ?? 0;
        call.write(requests[next]);
        next += 1;
        if (next === requests.length) call.end();
      }
    }
    if (responseStream) call.on("data", got);
    call.on("error", () => {});
    call.on("metadata", (initial) => (told.initial = plain(initial)));
    call.on("status", (status) => {
      // the status of a unary call comes before its callback
      setImmediate(() => resolve({ ...told, code: status.code, details: status.details, trailing: plain(status.metadata) }));
    });
    if (requestStream && requests.length === 0) call.end();
    say();
  });
}

async function main() {
  const told = {};
  for (const one of JSON.parse(fs.readFileSync(0, "utf8"))) told[one.name] = await run(one);
  return told;
}

main().then((told) => {
  fs.writeFileSync(1, JSON.stringify(told));
  client.close();
});
