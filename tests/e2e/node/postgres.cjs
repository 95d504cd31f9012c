// A client of PostgreSQL by postgres.js, which sends without waiting for answers. Run as: node postgres.cjs PORT; reads
// {common, reads, size, much} as JSON, statements as [SQL, PARAMETERS], and prints what was told of each.
"use strict";

const { Readable } = require("node:stream");
const { pipeline } = require("node:stream/promises");
const postgres = require("postgres");
const { shown, made, asked, tell } = require("./plain.cjs");

const where = { host: "127.0.0.1", port: Number(process.argv[2]), user: "postgres", database: "postgres" };
// Parameters of all types as they are given, and times with all their digits.
const asText = { to: 1184, from: [1082, 1114, 1184], serialize: String, parse: String };
const asBytes = { to: 17, from: 17, serialize: (one) => (Buffer.isBuffer(one) ? `\\x${one.toString("hex")}` : one), parse: (one) => Buffer.from(one.slice(2), "hex") };

const code = (error) => {
  if (!error.code) throw error;
  return error.code;
};
const rows = (result) => (result.columns?.length ? result.map(shown) : result.count);

async function connected(work, more) {
  const notices = [];
  const sql = postgres({ ...where, max: 1, onnotice: (notice) => notices.push(notice.message), ...more });
  try {
    return [...(await work(sql)), ...notices];
  } finally {
    await sql.end();
  }
}

const ask = (sql, [text, values], prepare) => {
  const query = sql.unsafe(text, values.map(made), { prepare });
  return query.values().then((result) => (result.columns?.length ? shown([...result]) : result.count), code);
};

// One after the other, over one connection.
const common = (statements) =>
  connected(
    async (sql) => {
      const told = [];
      for (const one of statements) told.push(await ask(sql, one, false));
      return told;
    },
    { types: { date: asText, bytea: asBytes } },
  );

// All at once, over a pool that pipelines.
const reads = (statements, max) =>
  connected((sql) => Promise.all(statements.map((one, at) => ask(sql, one, at % 2 === 0))), { max });

async function transactions(sql) {
  const told = [];
  await sql.begin(async (own) => {
    told.push(rows(await own`INSERT INTO jobs ${own([{ what: "pa" }, { what: "pb" }])} RETURNING id, what`));
    await own
      .savepoint((deep) => deep`INSERT INTO jobs (what) VALUES (${"pa"})`)
      .catch((error) => told.push([code(error), error.constraint_name, error.detail]));
    told.push(rows(await own`SELECT count(*) FROM jobs`));
  });
  await sql
    .begin((own) => [own`INSERT INTO jobs (what) VALUES ('gone')`, own`SELECT nothing`, own`SELECT 1`])
    .catch((error) => told.push(code(error)));
  told.push(rows(await sql`SELECT what FROM jobs ORDER BY id`));
  return told;
}

async function types(sql) {
  const told = [];
  const when = new Date(Date.UTC(2024, 1, 29, 23, 59, 58, 123));
  const eve = { id: 7, name: "Eve", mood: "happy", extra: sql.json({ a: [1, null] }), seen: when, tags: ["x y", 'q"'] };
  told.push(rows(await sql`INSERT INTO users ${sql(eve)}`));
  told.push(rows(await sql`SELECT id, mood, extra, seen, tags FROM users WHERE mood = ${"happy"}`));
  told.push(rows(await sql`SELECT ${"9007199254740993"}::int8, ${when}::timestamptz, ${true}::bool, ${10n}::int8`));
  told.push(rows(await sql`SELECT ${sql.array([1, 2, 3])}::int[] || 4 AS more, now() > ${when} AS later`));
  told.push(rows(await sql`SELECT name FROM users WHERE id IN ${sql([7, 8])}`));
  return told;
}

// A cursor, descriptions, copies, several statements in one.
async function portals(sql) {
  const told = [];
  for await (const some of sql`SELECT generate_series(1, ${7}::int) AS n`.cursor(3)) told.push(some.map(shown));
  const { types: asking, columns } = await sql`SELECT id, name FROM users WHERE id = ${7}`.describe();
  told.push([asking, columns.map(({ name, type }) => [name, type])]);
  await pipeline(Readable.from(["c1\n", "c2\\tx\n"]), await sql`COPY jobs (what) FROM STDIN`.writable());
  let copied = "";
  for await (const piece of await sql`COPY (SELECT what FROM jobs ORDER BY what) TO STDOUT`.readable()) copied += piece;
  told.push(copied);
  told.push((await sql.unsafe("SELECT 1 AS a; SELECT 2 AS b, 'x' AS c")).map((one) => shown([...one])));
  await sql`DO $$ BEGIN RAISE NOTICE 'hello'; END $$`;
  return told;
}

async function channels(sql) {
  let hear;
  const heard = new Promise((resolve) => (hear = resolve));
  const { unlisten } = await sql.listen("jobs", hear);
  await sql.notify("jobs", "go");
  const told = [await heard];
  await unlisten();
  return told;
}

// Sent without waiting for what was sent before; one of them fails.
const pipelined = (sql) =>
  Promise.all(
    ["1", "2", "x", "3"].map((value) =>
      sql`SELECT ${value}::text::int + 1 AS next`.then(rows, code),
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
  pipelined: much ? await connected(pipelined) : [],
}));
