// The store of protos/store.proto as a real service of @grpc/grpc-js: what store_server.py does, in Node.
// Run as: node store.cjs FOLDER_OF_PROTOS; it says on which port it listens.
"use strict";

const path = require("node:path");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const [protos] = process.argv.slice(2);
const definition = loader.loadSync(path.join(protos, "store.proto"), { keepCase: true, longs: String });
const { store } = grpc.loadPackageDefinition(definition);

// a google.rpc.Status: NOT_FOUND, "no such item", and an ErrorInfo with the reason GONE
const DETAILS =
  "CAUSDG5vIHN1Y2ggaXRlbRpBCih0eXBlLmdvb2dsZWFwaXMuY29tL2dvb2dsZS5ycGMuRXJyb3JJbmZvEhUKBEdPTkUSDXN0b3JlLmV4YW1wbGU=";

function item(id, number = 0) {
  return {
    id,
    stock: String(2n ** 60n + BigInt(number)),
    price: 1234.5 + number / 8,
    weight: 0.1,
    picture: id === "picture" ? Buffer.from(Array.from({ length: 256 }, (_, i) => i)) : Buffer.from([0, 255]),
    colour: "GREEN",
    tags: ["new", "", "größe ☃"],
    offsets: [-1, 0, 300],
    serial: "18446744073709551615",
    shelves: { b: 2, a: -1 },
    since: { seconds: "1700000000", nanos: 123456789 },
    ...(number % 2 ? { percent: 10 } : { coupon: "SPRING" }),
    ...(id === "part" ? { part_of: { id: "whole", fragile: false } } : {}),
  };
}

function metadata(entries) {
  const made = new grpc.Metadata();
  for (const [name, value] of entries) made.add(name, value);
  return made;
}

function get(call, callback) {
  const trailers = metadata([["x-cost", "3"], ["x-sum-bin", Buffer.from([255, 255, 255, 255, 255])]]);
  call.sendMetadata(metadata([["x-shop", "one"], ["x-shop", "two"], ["x-raw-bin", Buffer.from([0, 1, 254, 255])]]));
  switch (call.request.id) {
    case "nothing":
      trailers.set("grpc-status-details-bin", Buffer.from(DETAILS, "base64"));
      return callback({ code: grpc.status.NOT_FOUND, details: "no such item", metadata: trailers });
    case "quiet":
      return callback({ code: grpc.status.UNAVAILABLE, details: "", metadata: trailers });
    case "broken":
      return callback({ code: grpc.status.DATA_LOSS, details: "the disk is gone: 100% “sure”\n", metadata: trailers });
    case "empty":
      return callback(null, {}, trailers);
    case "tenant":
      return callback(null, { id: "tenant", coupon: String(call.metadata.get("x-tenant")[0] ?? "nobody") }, trailers);
    case "large":
      return callback(null, { id: "large", picture: Buffer.alloc(3_000_000, "large ") }, trailers);
    default:
      return callback(null, item(call.request.id), trailers);
  }
}

function watch(call) {
  const { id, count, gap, fail_after: failAfter } = call.request;
  let number = 0;
  const next = () => {
    if (failAfter && number === failAfter) {
      return call.emit("error", { code: grpc.status.RESOURCE_EXHAUSTED, details: "enough" });
    }
    if (number >= (count ?? 0)) return call.end(metadata([["x-watched", id]]));
    call.write(item(id, number));
    number += 1;
    return gap ? setTimeout(next, gap) : setImmediate(next);
  };
  next();
}

function sum(call, callback) {
  const total = { items: 0n, stock: 0n, price: 0 };
  let failed = false;
  call.on("data", (one) => {
    if (failed) return;
    const stock = BigInt(one.stock ?? 0);
    if (stock < 0n) {
      failed = true;
      callback({ code: grpc.status.INVALID_ARGUMENT, details: `item ${one.id} has a stock of ${stock}` });
    }
    total.items += 1n;
    total.stock += stock;
    total.price += one.price ?? 0;
  });
  call.on("end", () => {
    if (!failed) callback(null, { items: String(total.items), stock: String(total.stock), price: total.price });
  });
}

function talk(call) {
  let count = 0;
  let over = false;
  call.write({ text: "hello" });
  call.on("data", (line) => {
    if (over) return;
    count += 1;
    if (line.text === "stop") {
      over = true;
      call.emit("error", { code: grpc.status.ABORTED, details: `stopped after ${count}` });
      return;
    }
    call.write({ text: line.text.toUpperCase(), number: count });
    if (line.text === "twice") call.write({ text: "again", number: count });
  });
  call.on("end", () => {
    if (over) return;
    call.write({ text: "bye", number: count });
    call.end();
  });
}

const server = new grpc.Server();
server.addService(store.v1.Store.service, { Get: get, Watch: watch, Sum: sum, Talk: talk });
server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  console.log(`listening on ${port}`);
});
