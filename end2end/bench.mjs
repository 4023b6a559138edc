// Measures a release build from real runs; prints a table in Markdown. Called by tools/bench.sh.
import { chromium } from '@playwright/test'
import { execFileSync, spawn } from 'node:child_process'
import { createWriteStream, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

const program = 'target/release/atoll'
const site = 'target/site'
const password = 'Atoll-demo-1'
const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']
const rows = []
const row = (what, value, target = '') => { rows.push([what, value, target]); console.error(`${what}: ${value}`) }
const kilobytes = (bytes) => `${(bytes / 1000).toFixed(1)} kB`

/** A demo process. */
async function start(arguments_, log = 'warn') {
  const data = mkdtempSync(join(tmpdir(), 'atoll-bench-'))
  const child = spawn(program, ['serve', '--demo', '--listen', '127.0.0.1:0', '--data', data, '--site', site, ...arguments_], { env: { ...process.env, RUST_LOG: log } })
  const server = { child, data, log: '', url: '' }
  child.stderr.on('data', (chunk) => { server.log += chunk })
  let output = ''
  server.url = await new Promise((done) => child.stdout.on('data', (chunk) => {
    output += chunk
    const match = output.match(/Atoll is at (http:\S+?)\/?\n/)
    if (match) done(match[1])
  }))
  return server
}
async function stop(server) {
  const ended = new Promise((done) => server.child.once('exit', done))
  server.child.kill('SIGTERM')
  await ended
  rmSync(server.data, { recursive: true, force: true })
}
const resident = (server) => Number(readFileSync(`/proc/${server.child.pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]) / 1024

async function call(server, method, path, token, body) {
  const response = await fetch(`${server.url}/api/${path}`, {
    method,
    headers: { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) },
    body: body && JSON.stringify(body),
  })
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
  return response.json()
}
const userToken = async (server, username = 'researcher') => (await call(server, 'POST', 'token/user', null, { username, password })).access_token
const nodeToken = async (server, organization) => {
  const key = readFileSync(join(server.data, 'demo', organization, 'node.yaml'), 'utf8').match(/api_key: (\S+)/)[1]
  return (await call(server, 'POST', 'token/node', null, { api_key: key })).access_token
}
const input = Buffer.from(JSON.stringify({ method: 'partial_average', kwargs: { column_name: 'age' } })).toString('base64')
const newTask = (server, token, organizations, name = 'Bench') => call(server, 'POST', 'task', token, {
  name, description: '', image: 'harbor2.vantage6.ai/demo/average', collaboration_id: 1,
  databases: [{ label: 'default' }], organizations: organizations.map((id) => ({ id, input })),
})
async function session(server, username = 'researcher') {
  const form = new URLSearchParams({ username, password })
  const response = await fetch(`${server.url}/login`, { method: 'POST', body: form, redirect: 'manual' })
  return response.headers.getSetCookie().map((cookie) => cookie.split(';')[0]).find((cookie) => cookie.startsWith('atoll='))
}

/** Bytes and requests of a page, first with an empty cache and then with a full one. */
async function pages(server, browser) {
  const token = await userToken(server)
  const task = await newTask(server, token, [2, 3])
  const measure = async (context, path) => {
    const page = await context.newPage()
    const client = await context.newCDPSession(page)
    await client.send('Network.enable')
    let bytes = 0
    const seen = []
    client.on('Network.requestWillBeSent', ({ request }) => seen.push(request.url))
    client.on('Network.loadingFinished', ({ encodedDataLength }) => { bytes += encodedDataLength })
    await page.goto(server.url + path)
    await pause(1200)
    await page.close()
    return { bytes, requests: seen.filter((url) => url.startsWith('http')) }
  }
  const anonymous = await browser.newContext()
  const login = await measure(anonymous, '/login')
  row('Sign-in page, cold: bytes, requests', `${kilobytes(login.bytes)}, ${login.requests.length}`, '≤ 30 kB, no script')
  await anonymous.close()
  const [name, value] = (await session(server)).split('=')
  for (const path of ['/', '/tasks', '/collaborations/1', `/tasks/${task.id}`]) {
    const context = await browser.newContext()
    await context.addCookies([{ name, value, url: server.url }])
    const cold = await measure(context, path)
    const warm = await measure(context, path)
    const streams = cold.requests.filter((url) => url.includes("/events?")).length
    const label = path.replace(/\d+$/, '{id}')
    const note = streams ? ` (${streams} event stream)` : ''
    row(`${label}, cold: bytes, requests`, `${kilobytes(cold.bytes)}, ${cold.requests.length}${note}`, streams ? '1 document, ≤ 6 assets, 1 stream' : '')
    row(`${label}, warm: bytes`, kilobytes(warm.bytes))
    await context.close()
  }
}

/** From the moment a node begins to report an end to the moment the page shows it. */
async function latency(server, browser) {
  const [token, node] = [await userToken(server), await nodeToken(server, 'example_org1')]
  const [name, value] = (await session(server)).split('=')
  const context = await browser.newContext()
  await context.addCookies([{ name, value, url: server.url }])
  const page = await context.newPage()
  const times = []
  for (let round = 0; round < 30; round++) {
    const task = await newTask(server, token, [2])
    const { data } = await call(server, 'GET', `run?task_id=${task.id}`, token)
    await page.goto(`${server.url}/tasks/${task.id}`)
    await page.getByText('live', { exact: true }).waitFor()
    await page.evaluate(() => {
      new MutationObserver(() => {
        if (document.querySelector('.status-line')?.textContent.includes('completed')) window.shown ??= Date.now()
      }).observe(document.body, { subtree: true, childList: true, characterData: true })
    })
    const begin = Date.now()
    const end = new Date().toISOString().replace('Z', '000')
    await call(server, 'PATCH', `run/${data[0].id}`, node, { status: 'completed', finished_at: end, result: Buffer.from('{"sum":1}').toString('base64') })
    await page.waitForFunction(() => window.shown)
    times.push((await page.evaluate(() => window.shown)) - begin)
  }
  await context.close()
  times.sort((one, other) => one - other)
  row('Status change to DOM: median, p95 of 30', `${times[15]} ms, ${times[28]} ms`, 'p95 ≤ 100 ms')
}

/** Requests to the hub while a task's page is open and nothing happens. */
async function silence(browser) {
  const server = await start(['--without-node', 'example_org2'], 'warn,tower_http=debug')
  await pause(3000)
  const task = await newTask(server, await userToken(server), [3])
  const [name, value] = (await session(server)).split('=')
  const context = await browser.newContext()
  await context.addCookies([{ name, value, url: server.url }])
  const page = await context.newPage()
  await page.goto(`${server.url}/tasks/${task.id}`)
  await page.getByText('live', { exact: true }).waitFor()
  await pause(2000)
  const before = server.log.length
  await pause(60_000)
  const asked = server.log.slice(before).split('\n').filter((line) => line.includes('started processing') && line.includes('/api/'))
  // The nodes of the same process look for runs once a minute; they are not the page.
  const byPage = asked.filter((line) => !line.includes('state=open'))
  row('Requests to the hub of an open task page in a minute', String(byPage.length), '0')
  await context.close()
  await stop(server)
}

/** Pages per second of the task list with 10,000 tasks. */
async function load() {
  const server = await start(['--without-node', 'example_org1,example_org2,example_org3'])
  await pause(1500)
  row('Resident memory after start (demo, no nodes)', `${resident(server).toFixed(0)} MB`, '≤ 80 MB')
  const token = await userToken(server)
  for (let done = 0; done < 10_000; done += 50) {
    await Promise.all(Array.from({ length: 50 }, (_, index) => newTask(server, token, [2], `Task number ${done + index}`)))
  }
  const cookie = await session(server)
  const wrk = (connections) => execFileSync('wrk', ['-t1', `-c${connections}`, '-d10s', '--latency', '-H', `Cookie: ${cookie}`, `${server.url}/tasks`], { encoding: 'utf8' })
  const busy = wrk(16)
  row('/tasks with 10,000 tasks, 16 connections: pages/s', busy.match(/Requests\/sec:\s+([\d.]+)/)[1], '≥ 1,000')
  const calm = wrk(1)
  row('/tasks with 10,000 tasks, 1 connection: median, p99', `${calm.match(/50%\s+(\S+)/)[1]}, ${calm.match(/99%\s+(\S+)/)[1]}`, 'p95 ≤ 20 ms')
  const agent = new http.Agent({ keepAlive: true, maxSockets: 2000 })
  // Connections that the server has closed while wrk ran are closed here, too, before the next request.
  await pause(500)
  // One user has 50 at once.
  const cookies = []
  const root = await userToken(server, 'root')
  for (let number = 0; number < 20; number++) {
    const username = `bench${number}`
    const more = { email: `${username}@example.org`, firstname: '', lastname: '', organization_id: 2, roles: [5] }
    await call(server, 'POST', 'user', root, { username, password, ...more })
    cookies.push(await session(server, username))
  }
  const open = (cookie) => new Promise((done, fail) => {
    http.get(`${server.url}/events?of=/tasks/1`, { agent, headers: { cookie } }, (response) => { response.once('data', () => done(response)); response.on('error', () => {}) }).on('error', fail)
  })
  const streams = []
  for (const cookie of cookies) streams.push(...await Promise.all(Array.from({ length: 50 }, () => open(cookie))))
  row('Resident memory with 1,000 open event streams', `${resident(server).toFixed(0)} MB`)
  for (const stream of streams) stream.destroy()
  await stop(server)
}

/** How long a node of its own takes for an average over a file, and its peak memory; the database's line goes on with `more`. */
async function averageOver(server, file, more) {
  const config = join(server.data, 'demo', 'example_org1', 'node.yaml')
  const original = readFileSync(config, 'utf8')
  const changed = original.replace('uri: default.csv', `uri: ${file}${more}`)
  if (changed === original) throw new Error('the configuration names no default.csv')
  writeFileSync(config, changed)
  // What was answered before would be answered from memory.
  for (const end of ['.sqlite', '.sqlite-wal', '.sqlite-shm']) rmSync(config.replace('.yaml', end), { force: true })
  const node = spawn(program, ['node', '--config', config], { stdio: 'ignore', env: { ...process.env, RUST_LOG: 'warn' } })
  const token = await userToken(server)
  const task = await newTask(server, token, [2])
  let run
  let peak = 0
  do {
    await pause(50)
    peak = Math.max(peak, Number(readFileSync(`/proc/${node.pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)?.[1] ?? 0) / 1024)
    run = (await call(server, 'GET', `run?task_id=${task.id}`, token)).data[0]
  } while (!run.finished_at)
  if (run.status !== 'completed') throw new Error(run.log)
  const ended = new Promise((done) => node.once('exit', done))
  node.kill('SIGTERM')
  await ended
  writeFileSync(config, original)
  return { seconds: (new Date(`${run.finished_at}Z`) - new Date(`${run.started_at}Z`)) / 1000, peak }
}

/** A node on 10 million rows, beside pandas on the same file. */
async function throughput() {
  const server = await start(['--without-node', 'example_org1'])
  const file = join(server.data, 'large.csv')
  const writer = createWriteStream(file)
  writer.write('patient,age,weight\n')
  for (let block = 0; block < 1000; block++) {
    let text = ''
    for (let index = 0; index < 10_000; index++) text += `P${block * 10_000 + index},${(block * 7 + index * 13) % 100},${((index * 31) % 900) / 10 + 30}\n`
    if (!writer.write(text)) await new Promise((done) => writer.once('drain', done))
  }
  await new Promise((done) => writer.end(done))
  const plain = await averageOver(server, file, '')
  const people = await averageOver(server, file, '\n    person: patient')
  const script = `import time,resource,pandas as pd\nt=time.time()\nd=pd.read_csv(${JSON.stringify(file)})\ns=d["age"].sum(),d["age"].count()\nprint(time.time()-t,resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/1024)`
  const [pandas, pandasPeak] = execFileSync(process.env.PANDAS_PYTHON, ['-c', script], { encoding: 'utf8' }).split(' ').map(Number)
  const size = statSync(file).size
  for (const [name, { seconds, peak }] of [['', plain], [', 10 million people told apart', people]])
    row(`Node, average over 10 million rows of CSV${name}`, `${seconds.toFixed(2)} s (${(size / 1e6 / seconds).toFixed(0)} MB/s), ${peak.toFixed(0)} MB resident`)
  row('pandas, the same file', `${pandas.toFixed(2)} s, ${pandasPeak.toFixed(0)} MB resident`)
  row('Ratio pandas / node', (pandas / plain.seconds).toFixed(2))
  await stop(server)
}

/** Writes a CSV file with so many columns of small numbers beside `age`. */
async function writeWide(file, columns, count) {
  const writer = createWriteStream(file)
  const names = Array.from({ length: columns - 1 }, (_, index) => `measurement_${index}`)
  writer.write(`age,${names.join(',')}\n`)
  const rest = names.map((_, index) => index % 10).join(',')
  const rows = Math.min(count, Math.ceil(10_000 / columns) * 100)
  for (let done = 0; done < count; done += rows) {
    const block = Array.from({ length: Math.min(rows, count - done) }, (_, index) => `${(done + index) % 90},${rest}\n`).join('')
    if (!writer.write(block)) await new Promise((done) => writer.once('drain', done))
  }
  await new Promise((done) => writer.end(done))
}

/** A node on files with many columns. */
async function wide() {
  const server = await start(['--without-node', 'example_org1'])
  for (const [columns, count, name] of [[20_000, 10, '20,000 columns, 10 rows'], [100, 10_000_000, '100 columns, 10 million rows']]) {
    const file = join(server.data, `wide-${columns}.csv`)
    await writeWide(file, columns, count)
    const { seconds, peak } = await averageOver(server, file, '')
    row(`Node, average over a CSV file with ${name}`, `${seconds.toFixed(2)} s, ${peak.toFixed(0)} MB resident`, '≤ 150 MB')
    rmSync(file)
  }
  await stop(server)
}

const built = readdirSync(join(site, 'pkg'))
const size = (end) => built.filter((name) => name.endsWith(end)).reduce((sum, name) => sum + statSync(join(site, 'pkg', name)).size, 0)
row('Module (wasm), brotli', kilobytes(size('.wasm.br')))
row('Script, brotli', kilobytes(size('.js.br')))
row('Both', kilobytes(size('.wasm.br') + size('.js.br')), '≤ 120 kB')
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: flags })
const server = await start(['--without-node', 'example_org1,example_org2,example_org3'])
await pages(server, browser)
await latency(server, browser)
await stop(server)
await silence(browser)
await browser.close()
await load()
await throughput()
await wide()
console.log(`| what | measured (${cpus().length} cores) | target |\n|---|---|---|`)
for (const cells of rows) console.log(`| ${cells.join(' | ')} |`)
