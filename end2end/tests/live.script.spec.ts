// What changes on a task's page while somebody looks at it; scripts only.
import { type APIRequestContext, type Page } from '@playwright/test'
import { readFileSync } from 'node:fs'
import { Demo, expect, password, signIn, test } from './atoll'
import { openStreams } from './streams'

/** A task at example_org1, whose node is played by the test. */
class Played {
  private constructor(
    readonly demo: Demo, private readonly request: APIRequestContext, readonly user: string, private readonly node: string,
    readonly task: number, private readonly run: number,
  ) {}

  static async start(request: APIRequestContext): Promise<Played> {
    const demo = await Demo.start('--without-node', 'example_org1')
    const call = async (path: string, token: string, data: object) =>
      (await request.post(`${demo.url}/api/${path}`, { data, headers: { authorization: `Bearer ${token}` } })).json()
    const { access_token: user } = await call('token/user', '', { username: 'researcher', password })
    const key = readFileSync(demo.nodeConfig('example_org1'), 'utf8').match(/api_key: (\S+)/)?.[1]
    const { access_token: node } = await call('token/node', '', { api_key: key })
    const input = Buffer.from(JSON.stringify({ method: 'anything' })).toString('base64')
    const { id } = await call('task', user, {
      name: 'Live', description: '', image: 'some/image', collaboration_id: 1, databases: [], organizations: [{ id: 2, input }],
    })
    const headers = { authorization: `Bearer ${user}` }
    const runs = await (await request.get(`${demo.url}/api/run?task_id=${id}`, { headers })).json()
    return new Played(demo, request, user, node, id, runs.data[0].id)
  }

  /** More tasks of the same kind, which nobody computes. */
  async more(count: number): Promise<number[]> {
    const headers = { authorization: `Bearer ${this.user}` }
    const input = Buffer.from(JSON.stringify({ method: 'anything' })).toString('base64')
    const data = { name: 'Live', description: '', image: 'some/image', collaboration_id: 1, databases: [], organizations: [{ id: 2, input }] }
    return Promise.all(Array.from({ length: count }, async () =>
      (await (await this.request.post(`${this.demo.url}/api/task`, { data, headers })).json()).id))
  }

  /** What the node says of the run. */
  async report(data: object): Promise<void> {
    const headers = { authorization: `Bearer ${this.node}` }
    const answer = await this.request.patch(`${this.demo.url}/api/run/${this.run}`, { data, headers })
    expect(answer.ok(), await answer.text()).toBe(true)
  }

  async open(page: Page): Promise<void> {
    await signIn(page, 'researcher')
    await page.goto(`/tasks/${this.task}`)
    await expect(page.locator('#freshness')).toHaveText('live')
  }
}

const played = test.extend<{ task: Played }>({
  task: async ({ request }, use) => {
    const task = await Played.start(request)
    await use(task)
    await task.demo.stop()
  },
  baseURL: async ({ task }, use) => use(task.demo.url),
})

played('an opened log stays open and focused while lines arrive, and the results appear in place', async ({ page, task }) => {
  await task.report({ status: 'active', started_at: '2026-11-22T17:00:02.000001', log: 'the first line\n' })
  await task.open(page)
  await page.getByText('Show log').click()
  await expect(page.getByText('the first line')).toBeVisible()
  await page.locator('summary', { hasText: 'Show log' }).focus()
  await task.report({ log: 'the first line\nthe second line\n' })
  await expect(page.getByText('the second line')).toBeVisible()
  await expect(page.locator('summary', { hasText: 'Show log' })).toBeFocused()
  await expect(page.locator('#freshness')).toHaveText('live')
  const result = Buffer.from('{"answer": 42}').toString('base64')
  await task.report({ status: 'completed', finished_at: '2026-11-22T17:00:05.000001', result })
  await expect(page.getByRole('region', { name: 'Results table' })).toContainText('42')
  await expect(page.locator('#freshness')).toContainText('final')
  await expect(page.getByText('the second line')).toBeVisible()
  await expect(page.getByRole('link', { name: 'Cancel task' })).toBeHidden()
})

played('a result that is stored after the event that tells of it appears in place', async ({ page, task }) => {
  await task.report({ status: 'active', started_at: '2026-11-22T17:00:02.000001' })
  await task.open(page)
  // As nodes of vantage6 do: the status first, and the end with the result a little later.
  await task.report({ status: 'completed' })
  await expect(page.locator('.status-line')).toContainText('completed')
  await expect(page.getByText('The results appear here as soon as they are there.')).toBeVisible()
  await task.report({ finished_at: '2026-11-22T17:00:05.000001', result: Buffer.from('{"answer": 42}').toString('base64') })
  await expect(page.getByRole('region', { name: 'Results table' })).toContainText('42')
  await expect(page.locator('#freshness')).toContainText('final')
})

played('a page whose task is deleted says so and asks no more', async ({ page, task, request }) => {
  await task.open(page)
  const streams: string[] = []
  page.on('request', (asked) => { if (asked.url().includes('/events?')) streams.push(asked.url()) })
  const headers = { authorization: `Bearer ${task.user}` }
  expect((await request.delete(`${task.demo.url}/api/task/${task.task}`, { headers })).ok()).toBe(true)
  await expect(page.locator('#freshness')).toContainText('this is gone')
  expect(streams).toEqual([])
})

played('a page whose session ended in another tab says so', async ({ page, task, context }) => {
  await task.open(page)
  const other = await context.newPage()
  await other.goto('/')
  await other.getByLabel('Account of Rosa Researcher').click()
  await other.getByRole('button', { name: 'Sign out' }).click()
  await expect(page.locator('#freshness')).toContainText('signed out')
})

played('nine open pages share one stream, and whoever leads it may go', async ({ page, task, context }) => {
  await task.open(page)
  const open = openStreams(context)
  const others = [task.task, ...await task.more(8)]
  const tabs = await Promise.all(others.map(async (id) => {
    const tab = await context.newPage()
    await tab.goto(`/tasks/${id}`)
    await expect(tab.locator('#freshness')).toHaveText('live')
    return tab
  }))
  // Only a stream of HTTP/1.1 for all of them leaves a connection for the next page.
  await expect.poll(open).toBe(1)
  const tenth = await context.newPage()
  await tenth.goto('/tasks')
  await expect(tenth.getByRole('heading', { name: 'Tasks' })).toBeVisible()
  await task.report({ status: 'active', started_at: '2026-11-22T17:00:02.000001' })
  for (const tab of [page, tabs[0]]) await expect(tab.locator('.status-line')).toContainText('active')
  await page.close()
  for (const tab of tabs) await expect(tab.locator('#freshness')).toHaveText('live')
  await task.report({ status: 'completed', finished_at: '2026-11-22T17:00:05.000001', result: Buffer.from('{"answer": 42}').toString('base64') })
  await expect(tabs[0].locator('#freshness')).toContainText('final')
  await expect(tabs[0].getByRole('region', { name: 'Results table' })).toContainText('42')
  await expect(tabs[8].locator('#freshness')).toHaveText('live')
  await expect.poll(open).toBe(1)
})

played('a page that leads and sleeps, as phones let them, is replaced', async ({ page, task, context }) => {
  const asleep = await context.newPage()
  await signIn(asleep, 'researcher')
  const [other] = await task.more(1)
  await asleep.goto(`/tasks/${other}`)
  await expect(asleep.locator('#freshness')).toHaveText('live')
  await page.clock.install()
  await page.goto(`/tasks/${task.task}`)
  await expect(page.locator('#freshness')).toHaveText('live')
  // It says nothing more, and keeps its lock.
  await asleep.evaluate(() => { BroadcastChannel.prototype.postMessage = () => {} })
  const led = page.waitForRequest((asked) => asked.url().includes('/events?'))
  await page.clock.fastForward(60_000)
  await led
  await task.report({ status: 'active', started_at: '2026-11-22T17:00:02.000001' })
  await expect(page.locator('.status-line')).toContainText('active')
})

played('without locks of the browser a page looks by itself', async ({ page, task }) => {
  await page.addInitScript(() => Object.defineProperty(Navigator.prototype, 'locks', { value: undefined }))
  await signIn(page, 'researcher')
  await page.goto(`/tasks/${task.task}`)
  await expect(page.locator('#freshness')).toContainText('looked at again every few seconds', { timeout: 10_000 })
  await task.report({ status: 'active', started_at: '2026-11-22T17:00:02.000001' })
  await expect(page.locator('.status-line')).toContainText('active', { timeout: 10_000 })
  await task.report({ status: 'completed', finished_at: '2026-11-22T17:00:05.000001', result: Buffer.from('{"answer": 42}').toString('base64') })
  await expect(page.getByRole('region', { name: 'Results table' })).toContainText('42', { timeout: 10_000 })
  await expect(page.locator('#freshness')).toContainText('final')
})
