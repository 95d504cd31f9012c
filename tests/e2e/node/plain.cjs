// Values as JSON that keeps their types, and parameters made of it: {bytes: "00ff"} is a Buffer.
"use strict";

const fs = require("node:fs");

function shown(value) {
  if (value === null || value === undefined || typeof value === "string" || typeof value === "boolean") return value ?? null;
  if (typeof value === "number" || typeof value === "bigint") return { [typeof value]: String(value) };
  if (Buffer.isBuffer(value)) return { bytes: value.toString("hex") };
  if (value instanceof Date) return { date: value.toISOString() };
  if (value instanceof Error) return { error: value.code ?? value.name, message: value.message };
  if (Array.isArray(value)) return value.map(shown);
  if (value instanceof Map) return { map: [...value].map(shown).sort() };
  if (value instanceof Set) return { set: [...value].map(shown).sort() };
  const entries = Object.entries(value).map(([name, one]) => [name, shown(one)]);
  return { [value.constructor?.name ?? "Object"]: Object.fromEntries(entries) };
}

const made = (value) => (value !== null && typeof value === "object" ? Buffer.from(value.bytes, "hex") : value);

// What is asked for, as JSON on standard input.
const asked = () => JSON.parse(fs.readFileSync(0, "utf8"));

// Prints what is told, or ends with the failure.
function tell(work) {
  work().then(
    (told) => process.stdout.write(JSON.stringify(told)),
    (error) => {
      process.stderr.write(`${error.stack}\n`);
      process.exitCode = 1;
    },
  );
}

module.exports = { shown, made, asked, tell };
