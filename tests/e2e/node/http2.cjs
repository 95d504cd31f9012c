// Node's own HTTP/2 client against a mock of test_http2.py. Run as: node http2.cjs URL CA; prints what it saw as JSON.
"use strict";

const crypto = require("node:crypto");
const fs = require("node:fs");
const http2 = require("node:http2");

const [url, ca] = process.argv.slice(2);
const session = http2.connect(url, url.startsWith("https:") ? { ca: fs.readFileSync(ca) } : {});

function ask(headers, body) {
  return new Promise((resolve, reject) => {
    const stream = session.request(headers, { endStream: body === undefined });
    const told = { headers: {}, trailers: {}, pieces: [] };
    stream.on("response", (got) => (told.headers = got));
    stream.on("trailers", (got) => (told.trailers = got));
    stream.on("data", (piece) => told.pieces.push(piece));
    stream.on("end", () => resolve({ ...told, status: told.headers[":status"], body: Buffer.concat(told.pieces) }));
    stream.on("error", reject);
    if (body !== undefined) stream.end(body);
  });
}

// The code of a stream that is cancelled when its first bytes have come.
function cancel(path) {
  return new Promise((resolve) => {
    const stream = session.request({ ":path": path });
    stream.once("data", () => stream.close(http2.constants.NGHTTP2_CANCEL));
    stream.on("close", () => resolve(stream.rstCode));
    stream.on("error", () => {});
  });
}

async function main() {
  const users = await Promise.all(Array.from({ length: 50 }, () => ask({ ":path": "/users/42" })));
  const json = { ":method": "POST", ":path": "/orders", "content-type": "application/json" };
  const order = await ask(json, '{"item": 42}');
  const events = await ask({ ":path": "/events" });
  const [large, cancelled] = await Promise.all([ask({ ":path": "/large" }), cancel("/large")]);
  const after = await ask({ ":path": "/users/42" });
  return {
    users: users.map((one) => [one.status, one.body.toString()]),
    order: [order.status, order.body.toString(), order.headers["set-cookie"]],
    events: [events.status, events.body.toString(), events.trailers["x-count"]],
    large: crypto.createHash("sha256").update(large.body).digest("hex"),
    cancelled,
    after: [after.status, after.body.toString()],
  };
}

session.on("error", (error) => {
  console.error(error);
  process.exit(1);
});
main().then(
  (told) => {
    console.log(JSON.stringify(told));
    session.close();
  },
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
