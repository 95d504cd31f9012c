// Shipping: a service of @grpc/grpc-js that asks the store by gRPC what an item is, and another by HTTP/1.1 and JSON
// what it costs to send it. Run as: node shipping.cjs FOLDER_OF_PROTOS PORT STORE TARIFFS, three ports of the loopback.
"use strict";

const http = require("node:http");
const path = require("node:path");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const [protos, port, storePort, tariffsPort] = process.argv.slice(2);
const options = { keepCase: true, longs: String, enums: String, defaults: true };
const load = (name) => grpc.loadPackageDefinition(loader.loadSync(path.join(protos, name), options));
const { front } = load("front.proto");
const { store } = load("store.proto");
const items = new store.v1.Store(`127.0.0.1:${storePort}`, grpc.credentials.createInsecure(), {
  "grpc.enable_http_proxy": 0,
});
const agent = new http.Agent({ keepAlive: true });

function item(id) {
  return new Promise((resolve, reject) => {
    items.Get({ id }, { deadline: Date.now() + 30_000 }, (error, found) => (error ? reject(error) : resolve(found)));
  });
}

function tariff(country, grams) {
  const url = `http://127.0.0.1:${tariffsPort}/tariffs/${country}?grams=${grams}`;
  return new Promise((resolve, reject) => {
    const request = http.get(url, { agent, headers: { accept: "application/json" } }, (response) => {
      const pieces = [];
      response.on("data", (piece) => pieces.push(piece));
      response.on("end", () => {
        const told = JSON.parse(Buffer.concat(pieces).toString());
        if (response.statusCode === 200) resolve(told);
        else reject({ code: grpc.status.OUT_OF_RANGE, details: `${response.statusCode}: ${told.error}` });
      });
    });
    request.on("error", reject);
  });
}

async function costs({ item: id, country }) {
  const found = await item(id);
  const { cents, zone } = await tariff(country, Math.round(found.weight * 1000));
  return { cents: String(cents), zone, colour: found.colour };
}

function cost(call, callback) {
  const trailers = new grpc.Metadata();
  costs(call.request).then(
    (told) => {
      trailers.set("x-tariff", told.zone);
      callback(null, told, trailers);
    },
    ({ code, details, message }) => callback({ code, details: details ?? message }),
  );
}

function follow(call) {
  let last = Promise.resolve();
  call.on("data", (parcel) => {
    last = last.then(() => costs(parcel)).then((told) => call.write(told));
    last.catch(({ code, details, message }) => call.emit("error", { code, details: details ?? message }));
  });
  call.on("end", () => {
    last.then(
      () => call.end(),
      () => {},
    );
  });
}

const server = new grpc.Server();
server.addService(front.v1.Shipping.service, { Cost: cost, Follow: follow });
server.bindAsync(`127.0.0.1:${port}`, grpc.ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
  console.log(`listening on ${port}`);
});
