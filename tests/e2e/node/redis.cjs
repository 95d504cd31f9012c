// A client of Redis by ioredis or node-redis. Run as: node redis.cjs LIBRARY PORT; reads {commands, order, size} as JSON
// and prints what was told. `commands`: lists of words, run one after the other; {bytes: "00ff"} is a Buffer.
// `order`: numbers of steps, each taken over a connection of its own among `size`, several at once.
"use strict";

const { shown, made, asked, tell } = require("./plain.cjs");

const [library, port] = process.argv.slice(2);
const SCRIPT = "return {KEYS[1], ARGV[1], redis.call('INCR', KEYS[1])}";

const text = (value) => (Buffer.isBuffer(value) && value.equals(Buffer.from(value.toString())) ? value.toString() : value);
const deep = (value) => (Array.isArray(value) ? value.map(deep) : text(value));
const failed = (error) => ({ failed: error.message });
const seen = (value) => shown(deep(value));

const libraries = {
  ioredis: {
    connect: () => new (require("ioredis"))({ host: "127.0.0.1", port: Number(port), maxRetriesPerRequest: 1 }),
    send: (client, words) => client.callBuffer(...words),
    close: (client) => client.quit(),
    // Commands that nobody awaits before the next, a transaction, an optimistic one, a script.
    async step(client, name) {
      const told = [];
      told.push(...(await Promise.all([client.set(name, 1), client.incr(name), client.get(name), client.hget(name, "f").catch(failed)])));
      told.push(await client.pipeline().set(`${name}:p`, "x").lpush(`${name}:p`, 1).get(`${name}:p`).exec());
      told.push(await client.multi().incr(name).hset(`${name}:h`, { a: "b", c: 1 }).hgetall(`${name}:h`).exec());
      await client.watch(name);
      await client.get(name);
      told.push(await client.multi().incr(name).exec());
      client.defineCommand("twice", { numberOfKeys: 1, lua: SCRIPT });
      told.push(await client.twice(`${name}:s`, "x"), await client.twice(`${name}:s`, "y"));
      told.push(await client.blpop(`${name}:none`, 0.01), await client.zadd(`${name}:z`, 1.5, "m"));
      told.push(await client.zrange(`${name}:z`, 0, -1, "WITHSCORES"), await client.xadd(`${name}:x`, "1-1", "f", "v"));
      const found = [];
      for await (const keys of client.hscanStream(`${name}:h`)) found.push(...keys);
      return [...told, found].map(seen);
    },
    async publish(client) {
      const listener = client.duplicate();
      const heard = new Promise((resolve) => listener.on("message", (...what) => resolve(what)));
      await listener.subscribe("news");
      await client.publish("news", "hello");
      const told = [await heard];
      await listener.quit();
      return told;
    },
  },
  redis: {
    async connect() {
      return await require("redis").createClient({ socket: { host: "127.0.0.1", port: Number(port) }, RESP: 3 }).connect();
    },
    send: (client, words) => client.sendCommand(words.map((word) => (Buffer.isBuffer(word) ? word : String(word)))),
    close: (client) => client.close(),
    async step(client, name) {
      const told = [];
      told.push(...(await Promise.all([client.set(name, 1), client.incr(name), client.get(name), client.hGet(name, "f").catch(failed)])));
      told.push(await client.multi().incr(name).hSet(`${name}:h`, { a: "b", c: "1" }).hGetAll(`${name}:h`).exec());
      await client.watch(name);
      await client.get(name);
      told.push(await client.multi().incr(name).exec());
      told.push(await client.eval(SCRIPT, { keys: [`${name}:s`], arguments: ["x"] }));
      told.push(await client.blPop(`${name}:none`, 0.01), await client.zAdd(`${name}:z`, { score: 1.5, value: "m" }));
      told.push(await client.zRangeWithScores(`${name}:z`, 0, -1), await client.xAdd(`${name}:x`, "1-1", { f: "v" }));
      told.push(await client.xRange(`${name}:x`, "-", "+"), await client.sAdd(`${name}:m`, ["m"]), await client.sMembers(`${name}:m`));
      const found = [];
      for await (const one of client.hScanIterator(`${name}:h`)) found.push(one);
      return [...told, found].map(seen);
    },
    async publish(client) {
      const listener = await client.duplicate().connect();
      let hear;
      const heard = new Promise((resolve) => (hear = resolve));
      await listener.subscribe("news", (message, channel) => hear([channel, message]));
      await client.publish("news", "hello");
      const told = [await heard];
      await listener.close();
      return told;
    },
  },
};

const { connect, send, close, step, publish } = libraries[library];

async function connected(work) {
  const client = await connect();
  try {
    return await work(client);
  } finally {
    await close(client);
  }
}

async function steps(order, size) {
  const told = {};
  const left = [...order];
  const worker = () =>
    connected(async (client) => {
      while (left.length) {
        const number = left.shift();
        told[number] = await step(client, `${library}${number}`);
      }
    });
  await Promise.all(Array.from({ length: size }, worker));
  return told;
}

const { commands = [], order = [], size = 1 } = asked();
tell(async () => ({
  commands: await connected(async (client) => {
    const told = [];
    for (const words of commands) told.push(await send(client, words.map(made)).then(seen, failed));
    return told;
  }),
  steps: await steps(order, size),
  published: order.length ? await connected(publish) : [],
}));
