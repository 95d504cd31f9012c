// A client of PostgreSQL by node-postgres. Run as: node pg.cjs PORT; reads {common, reads, size, much} as JSON,
// statements as [SQL, PARAMETERS], and prints what was told of each.
"use strict";

const { Client, Pool } = require("pg");
const { shown, made, asked, tell } = require("./plain.cjs");

const where = { host: "127.0.0.1", port: Number(process.argv[2]), user: "postgres", database: "postgres" };

const code = (error) => {
  if (!error.code) throw error;
  return error.code;
};
const rows = (result) => (result.fields.length ? shown(result.rows) : result.rowCount);
const ask = (db, query) => db.query({ rowMode: "array", ...query }).then(rows, code);

async function connected(work, more) {
  const db = new Client({ ...where, ...more });
  const notices = [];
  db.on("notice", (notice) => notices.push(notice.message));
  await db.connect();
  try {
    return [...(await work(db)), ...notices];
  } finally {
    await db.end();
  }
}

// One after the other, over a connection of its own.
const common = (statements) =>
  connected(async (db) => {
    const told = [];
    for (const [text, values] of statements) told.push(await ask(db, { text, values: values.map(made) }));
    return told;
  });

// All at once, over a pool; every second one as a named statement.
async function reads(statements, max) {
  const pool = new Pool({ ...where, max });
  const named = (text, at) => (at % 2 ? { name: text.slice(0, 60) } : {});
  const told = await Promise.all(statements.map(([text, values], at) => ask(pool, { text, values, ...named(text, at) })));
  await pool.end();
  return told;
}

async function transactions(db) {
  const told = [];
  const say = async (...query) => told.push(await db.query(...query).then((result) => shown(result.rows), (error) => [code(error), error.constraint ?? null, error.detail ?? null]));
  await say("BEGIN");
  await say("INSERT INTO jobs (what) VALUES ($1), ($2) RETURNING id, what", ["pa", "pb"]);
  await say("SAVEPOINT one");
  await say("INSERT INTO jobs (what) VALUES ($1)", ["pa"]);
  await say("SELECT 1");
  await say("ROLLBACK TO SAVEPOINT one");
  await say("SELECT count(*) FROM jobs");
  await say("COMMIT");
  await say("BEGIN; INSERT INTO jobs (what) VALUES ('gone'); ROLLBACK");
  await say("SELECT what FROM jobs ORDER BY id");
  return told;
}

// Types that come as JavaScript has them: of the database's own, JSON, arrays, dates, big numbers.
async function types(db) {
  const told = [];
  const when = new Date(Date.UTC(2024, 1, 29, 23, 59, 58, 123));
  await db.query("INSERT INTO users (id, name, mood, extra, seen, tags) VALUES ($1, $2, $3, $4, $5, $6)", [
    7, "Eve", "happy", { a: [1, null] }, when, ["x y", 'q"', null],
  ]);
  told.push(shown((await db.query("SELECT id, mood, extra, seen, tags FROM users WHERE mood = $1", ["happy"])).rows));
  told.push(shown((await db.query("SELECT $1::int8, $2::json, $3::timestamptz, $4::bool", ["9007199254740993", '{"b":2}', when, true])).rows));
  told.push(shown((await db.query("SELECT $1::int[] || 4, now() > $2", [[1, 2, 3], when])).rows));
  return told;
}

// Results in binary, a portal that is read three rows at a time, statements that are prepared once.
async function portals(db) {
  const told = [];
  told.push(shown((await db.query({ text: "SELECT id, score, active, name FROM users WHERE id = $1", values: [7], binary: true })).rows));
  told.push(shown((await db.query({ text: "SELECT generate_series(1, $1::int) AS n", values: [7], rows: 3 })).rows));
  for (let number = 0; number < 4; number++) {
    told.push(shown((await db.query({ name: "double", text: "SELECT $1::int * 2 AS twice", values: [number] })).rows));
  }
  told.push(shown((await db.query("SELECT 1 AS a; SELECT 2 AS b, 'x' AS c")).map((one) => one.rows)));
  await db.query("DO $$ BEGIN RAISE NOTICE 'hello'; END $$");
  return told;
}

async function channels(db) {
  const heard = new Promise((resolve) => db.on("notification", ({ channel, payload }) => resolve([channel, payload])));
  await db.query("LISTEN jobs");
  await db.query("NOTIFY jobs, 'go'");
  return [await heard];
}

// Sent without waiting for what was sent before; one of them fails.
const pipelined = (db) =>
  Promise.all(
    ["1", "2", "x", "3"].map((value, at) =>
      ask(db, { text: "SELECT $1::text::int + 1", values: [value], ...(at % 2 ? { name: "more" } : {}) }),
    ),
  );

const { common: statements = [], reads: reading = [], size = 1, much = false } = asked();
tell(async () => ({
  common: await common(statements),
  reads: await reads(reading, size),
  transactions: much ? await connected(transactions) : [],
  types: much ? await connected(types) : [],
  portals: much ? await connected(portals) : [],
  channels: much ? await connected(channels) : [],
  pipelined: much ? await connected(pipelined, { pipeline: true }) : [],
}));
