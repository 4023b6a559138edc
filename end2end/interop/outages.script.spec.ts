// The real server behind a proxy: away, back, without WebSockets, over TLS; what pages say meanwhile. Scripts only,
// but for what is the same without.
import { Authority } from '../tests/authority'
import { freePort } from '../tests/port'
import { Proxy } from './proxy'
import { createTask, expect, Portal, RealWorld, startNode, test as base, type Page, type WorldDescription } from './real'
import type { Program } from '../tests/atoll'

/** A portal that reaches the real server through a proxy only. */
type Proxied = { world: WorldDescription, proxy: Proxy, portal: Portal }
const test = base.extend<{ proxied: Proxied }>({
  proxied: async ({ installation }, use) => {
    const proxy = await Proxy.start(installation.world.origin)
    const portal = await Portal.start(`${proxy.origin}/api`)
    await use({ world: installation.world, proxy, portal })
    await portal.stop()
    await proxy.stop()
  },
  baseURL: async ({ proxied }, use) => use(proxied.portal.url),
})

const enter = async (page: Page, username: string, password: string) => {
  await page.getByLabel('Username').fill(username)
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Sign in' }).click()
}

/** With the node of organization 3, which is off otherwise. */
const withNode = async (world: WorldDescription, work: (node: Program) => Promise<void>) => {
  const node = await startNode(world, 'example_org3')
  try { await work(node) } finally { await node.stop() }
}

test('status and results arrive though a proxy refuses WebSockets', async ({ page, signIn, proxied }) => {
  proxied.proxy.refusesSockets = true
  const id = await createTask(proxied.world, 'example_org3', 'Without sockets')
  await signIn('researcher')
  await page.goto(`/tasks/${id}`)
  await expect(page.locator('#freshness')).toContainText('looked at again every few seconds')
  await withNode(proxied.world, async () => {
    await expect(page.locator('.status-line')).toContainText('completed', { timeout: 30_000 })
    await expect(page.getByRole('region', { name: 'Results table' })).toContainText('7')
    await expect(page.locator('#freshness')).toContainText('final')
  })
})

test('a page that missed every event is right within five seconds after the connection is back', async ({ page, signIn, proxied }) => {
  const id = await createTask(proxied.world, 'example_org3', 'Missed events')
  await signIn('researcher')
  await page.goto(`/tasks/${id}`)
  await expect(page.locator('#freshness')).toHaveText('live')
  await proxied.proxy.cut()
  await expect(page.locator('#freshness')).toContainText('the hub does not answer')
  await withNode(proxied.world, async (node) => {
    await node.says(/a run has ended/)
    // Nobody has heard of it here.
    await expect(page.locator('.status-line')).toContainText('pending')
    await proxied.proxy.restore()
    const back = Date.now()
    await expect(page.locator('.status-line')).toContainText('completed')
    await expect(page.locator('#freshness')).toContainText('final')
    expect(Date.now() - back).toBeLessThan(5000)
  })
})

test('a token that the server no longer takes is renewed once, and nobody notices', async ({ page, signIn, proxied }) => {
  await signIn('researcher')
  proxied.proxy.answerOnce('/api/task', 401, { msg: 'Token has expired' })
  const answer = await page.goto('/tasks')
  expect(answer?.status()).toBe(200)
  expect(proxied.proxy.answered).toBe(true)
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Tasks')
})

test('a session whose token cannot be renewed ends with a message, and one goes on where one was', async ({ page, signIn, proxied }) => {
  await signIn('researcher')
  proxied.proxy.answerOnce('/api/task', 401, { msg: 'Token has expired' })
  proxied.proxy.answerOnce('/api/token/refresh', 401, { msg: 'Token has expired' })
  await page.goto('/tasks?status=failed&sort=name')
  await expect(page.getByText('Your sign-in has ended. Sign in again to go on where you were.')).toBeVisible()
  expect(proxied.proxy.answered).toBe(true)
  await enter(page, 'researcher', proxied.world.password)
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Tasks')
  expect(new URL(page.url()).search).toBe('?status=failed&sort=name')
})

test('all pages of a session share one connection for events', async ({ page, signIn, proxied, context }) => {
  const ids = [await createTask(proxied.world, 'example_org3', 'First page'), await createTask(proxied.world, 'example_org3', 'Second page')]
  await signIn('researcher')
  const other = await context.newPage()
  await page.goto(`/tasks/${ids[0]}`)
  await other.goto(`/tasks/${ids[1]}`)
  for (const one of [page, other]) await expect(one.locator('#freshness')).toHaveText('live')
  expect(proxied.proxy.sockets).toBe(1)
})

test('a server of another version is named and warned of', async ({ installation }) => {
  const proxy = await Proxy.start(installation.world.origin)
  proxy.answerOnce('/api/version', 200, { version: '4.99.0' })
  const portal = await Portal.start(`${proxy.origin}/api`)
  await portal.says(/Atoll was not tested with this version.*4\.99\.0/)
  await portal.stop()
  await proxy.stop()
})

test('a missing permission is not taken for an expired sign-in', async ({ page, signIn, proxied }) => {
  await signIn('researcher')
  proxied.proxy.answerOnce('/api/task', 401, { msg: 'You lack the permission to do that!' })
  const answer = await page.goto('/tasks')
  expect(answer?.status()).toBe(403)
  await expect(page.getByText('You lack the permission to do that!')).toBeVisible()
})

test('while the server is away pages say so, and they are back by themselves', async ({ page, signIn, proxied }) => {
  await signIn('researcher')
  await proxied.proxy.cut()
  expect((await page.goto('/tasks'))?.status()).toBe(503)
  await expect(page.getByText('The hub cannot be reached')).toBeVisible()
  await proxied.proxy.restore()
  await page.getByRole('link', { name: 'Try again' }).click()
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Tasks')
})

test('a server that takes connections and does not answer is away, too, and holds nobody up for long', async ({ page, signIn, proxied }) => {
  await signIn('researcher')
  proxied.proxy.hangs = true
  const begin = Date.now()
  expect((await page.goto('/tasks'))?.status()).toBe(503)
  expect(Date.now() - begin).toBeLessThan(25_000)
  await expect(page.getByText('The hub cannot be reached')).toBeVisible()
  proxied.proxy.hangs = false
  await page.getByRole('link', { name: 'Try again' }).click()
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Tasks')
})

test.describe('a portal that starts before its server', () => {
  test('serves the sign-in page and lets people in as soon as the server is there', async ({ page, installation }) => {
    const port = await freePort()
    const portal = await Portal.start(`http://localhost:${port}/api`)
    await portal.says(/the hub does not answer yet/)
    await page.goto(`${portal.url}/login?next=/organizations`)
    await enter(page, 'researcher', installation.world.password)
    await expect(page.getByRole('alert')).toContainText('The hub cannot be reached at the moment')
    await expect(page.getByLabel('Username')).toHaveValue('researcher')
    const proxy = await Proxy.start(installation.world.origin, undefined, port)
    await portal.says(/the hub answers.*4\.15\.2/)
    await enter(page, 'researcher', installation.world.password)
    await expect(page.getByRole('heading', { level: 1 })).toHaveText('Organizations')
    await portal.stop()
    await proxy.stop()
  })
})

test('behind a path, over TLS with a private authority, everything works; without that authority nothing', async ({ page }) => {
  const authority = Authority.make()
  const world = await RealWorld.start('--without-store', '--api-path', '/some/path/api')
  const ending: { stop(): Promise<void> }[] = [world]
  // The last one that was started ends first.
  const started = <T extends { stop(): Promise<void> }>(process: T): T => { ending.unshift(process); return process }
  try {
    const { description } = world
    const proxy = started(await Proxy.start(description.origin, authority))
    const portal = started(await Portal.start(`${proxy.origin}/some/path/api/`, [], { SSL_CERT_FILE: authority.file }))
    await portal.says(/the hub answers.*4\.15\.2/)
    started(await startNode(description, 'example_org1', proxy.origin, { SSL_CERT_FILE: authority.file }))
    const id = await createTask(description, 'example_org1', 'Over TLS')
    await page.goto(`${portal.url}/login?next=/tasks/${id}`)
    await enter(page, 'researcher', description.password)
    await expect(page.locator('.status-line')).toContainText('completed')
    const other = await createTask(description, 'example_org2', 'Waiting over TLS')
    await page.goto(`${portal.url}/tasks/${other}`)
    await expect(page.locator('#freshness')).toHaveText('live')
    const stranger = started(await Portal.start(`${proxy.origin}/some/path/api/`))
    await stranger.says(/the hub does not answer yet/)
  } finally {
    for (const process of ending) await process.stop()
    authority.remove()
  }
})
