// Behind a real nginx with the configuration of docs/deploy, over TLS: pages, live status, and a node. Scripts only,
// since it is live status that proxies get in the way of.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type ChildProcess, spawn } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { Demo, expect, fillWizard, createTask, Program, results, signIn, test as base } from './atoll'
import { Authority } from './authority'
import { freePort } from './port'
import { openStreams } from './streams'

/** nginx before a server on loopback. */
class Nginx {
  private constructor(readonly url: string, private readonly child: ChildProcess, private readonly folder: string, private readonly output: () => string) {}
  static async start(authority: Authority, port: number, upstream: string): Promise<Nginx> {
    const folder = mkdtempSync(join(tmpdir(), 'atoll-nginx-'))
    const documented = readFileSync(resolve(import.meta.dirname, '../../docs/deploy/nginx.conf'), 'utf8')
    const replaced = [
      ['listen 443 ssl', `listen 127.0.0.1:${port} ssl`], ['server_name atoll.example', 'server_name localhost'],
      ['/etc/ssl/atoll/fullchain.pem', authority.certificateFile], ['/etc/ssl/atoll/privkey.pem', authority.keyFile],
      ['http://127.0.0.1:3000', upstream],
    ].reduce((text, [from, to]) => {
      expect(text, 'what the test replaces stands in the configuration').toContain(from)
      return text.replace(from, to)
    }, documented)
    writeFileSync(join(folder, 'atoll.conf'), replaced)
    const places = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${join(folder, name)};`).join(' ')
    writeFileSync(join(folder, 'nginx.conf'), `daemon off; worker_processes 1; pid ${join(folder, 'pid')}; error_log stderr warn;
      events {} http { access_log off; ${places} include ${join(folder, 'atoll.conf')}; }`)
    // As root it would change to a user who may not read these files.
    const user = process.getuid?.() === 0 ? ['-g', 'user root;'] : []
    const child = spawn(process.env.NGINX ?? '/usr/sbin/nginx', ['-e', 'stderr', '-c', join(folder, 'nginx.conf'), ...user], { stdio: ['ignore', 'ignore', 'pipe'] })
    let output = ''
    child.stderr?.on('data', (chunk) => { output += chunk })
    const nginx = new Nginx(`https://localhost:${port}`, child, folder, () => output)
    await expect.poll(async () => {
      if (child.exitCode !== null) throw new Error(`nginx did not start:\n${output}`)
      return fetch(`http://127.0.0.1:${port}/`).then((answer) => answer.status, () => 0)
    }).toBe(400)
    return nginx
  }
  async stop(): Promise<void> {
    const ended = new Promise((done) => this.child.once('exit', done))
    this.child.kill('SIGTERM')
    await ended
    rmSync(this.folder, { recursive: true, force: true })
    expect(this.output(), 'what nginx had to say').not.toContain('[error]')
  }
}

type Deployed = { demo: Demo, nginx: Nginx, authority: Authority }
const test = base.extend<{ deployed: Deployed }>({
  deployed: async ({}, use) => {
    const authority = Authority.make()
    const port = await freePort()
    const demo = await Demo.start('--without-node', 'example_org1', '--public-url', `https://localhost:${port}`, '--trusted-proxy', '127.0.0.1')
    const nginx = await Nginx.start(authority, port, demo.listensAt)
    await use({ demo, nginx, authority })
    await nginx.stop()
    await demo.stop()
    authority.remove()
  },
  baseURL: async ({ deployed }, use) => use(deployed.nginx.url),
  ignoreHTTPSErrors: true,
})

test('behind nginx one signs in, creates a task, and sees it computed by a node that comes the same way', async ({ page, deployed, context }) => {
  const { demo, nginx, authority } = deployed
  await signIn(page, 'researcher')
  const cookies = await context.cookies()
  expect(cookies.map((cookie) => cookie.name).sort()).toEqual(['__Host-atoll', '__Host-atoll-browser'])
  for (const cookie of cookies) expect(cookie).toMatchObject({ secure: true, httpOnly: true })
  await fillWizard(page, { function: 'Sum and count', organizations: ['example_org2'], name: 'Somewhere else' })
  await createTask(page)
  expect(await results(page)).toEqual([['example_org2', '173', '4']])
  const signedIn = await page.request.post(`${nginx.url}/api/token/user`, { data: { username: 'researcher', password: 'Atoll-demo-1' } })
  const { access_token: token } = await signedIn.json()
  const input = Buffer.from(JSON.stringify({ method: 'partial_average', kwargs: { column_name: 'age' } })).toString('base64')
  const created = await page.request.post(`${nginx.url}/api/task`, {
    headers: { authorization: `Bearer ${token}` },
    data: { name: 'Waits for its node', image: 'harbor2.vantage6.ai/demo/average', collaboration_id: 1, databases: [{ label: 'default' }], organizations: [{ id: 2, input }] },
  })
  const { id } = await created.json()
  await page.goto(`/tasks/${id}`)
  await expect(page.locator('#freshness')).toHaveText('live')
  // Nine more pages share one stream, over the one connection of HTTP/2.
  const open = openStreams(context)
  const tabs = await Promise.all(Array.from({ length: 9 }, async () => {
    const tab = await context.newPage()
    await tab.goto(`/tasks/${id}`)
    await expect(tab.locator('#freshness')).toHaveText('live')
    return tab
  }))
  await expect.poll(open).toBe(1)
  const protocol = () => (performance.getEntriesByType('navigation')[0] as PerformanceNavigationTiming).nextHopProtocol
  expect(await tabs[0].evaluate(protocol)).toBe('h2')
  const config = demo.nodeConfig('example_org1')
  const text = readFileSync(config, 'utf8').replace(/server_url: .*/, 'server_url: https://localhost').replace(/port: .*/, `port: ${new URL(nginx.url).port}`)
  writeFileSync(config, text)
  const node = Program.with({ SSL_CERT_FILE: authority.file }, 'node', '--config', config)
  await node.says(/the node is ready/)
  // In place, while the page is open.
  expect(await results(page)).toEqual([['example_org1', '253', '4']])
  await expect(page.locator('#freshness')).toContainText('final')
  for (const tab of tabs) await expect(tab.locator('#freshness')).toContainText('final')
  await page.goto('/')
  await expect(page.getByText('3 of 3 nodes are online.')).toBeVisible()
  expect(node.log).not.toMatch(/no connection for events/)
  await node.stop()
})
