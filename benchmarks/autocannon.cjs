// Drives autocannon as benchmarks/load.py asks: what to send as JSON on standard input, what came of it as JSON on
// standard output. The argument is the folder of the package.
'use strict'

const autocannon = require(process.argv[2])
const given = JSON.parse(require('node:fs').readFileSync(0, 'utf8'))

const headers = {}
for (const line of given.fields.split('\r\n')) {
  const at = line.indexOf(': ')
  // autocannon writes these itself
  if (at > 0 && !/^(host|content-length)$/i.test(line.slice(0, at))) headers[line.slice(0, at)] = line.slice(at + 2)
}
if (given.close) headers.Connection = 'close'

let sent = 0
const made = given.unique || given.targets.length > 1
const request = { method: given.method, path: given.targets[0], headers, body: given.body || undefined }
if (made) {
  request.setupRequest = (one) => {
    sent += 1
    one.path = given.targets[(sent * given.stride) % given.targets.length]
    if (given.unique) one.headers = { ...headers, 'X-Request-Id': String(given.first + sent) }
    return one
  }
}

const expect = given.expect ? new RegExp(`^(?:${given.expect})$`) : null

async function main () {
  const told = await autocannon({
    url: `http://127.0.0.1:${given.port}`,
    connections: given.connections,
    duration: given.seconds,
    overallRate: given.rate || undefined,
    reconnectRate: given.close ? 1 : undefined,
    requests: [request],
    verifyBody: expect ? (body) => expect.test(String(body)) : undefined,
    timeout: 30
  })
  process.stdout.write(JSON.stringify({
    per_second: told.requests.total / told.duration,
    total: told.requests.total,
    wrong: told.non2xx + told.errors + told.mismatches,
    p50: told.latency.p50,
    p99: told.latency.p99
  }))
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`)
  process.exitCode = 1
})
