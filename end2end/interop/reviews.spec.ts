// Reviews on the real vantage6 server, which knows nothing of them: the official client asks, three admins decide at
// their own nodes, the researcher follows it in the portal.
import { accessible, loadAgain, Program, signIn as signInAs, test as strict } from '../tests/atoll'
import { freePort } from '../tests/port'
import { api, createWithOfficialClient, expect, Portal, RealWorld, writeNodeConfig, type Page, type WorldDescription } from './real'

const organizations = ['example_org1', 'example_org2', 'example_org3']
type Station = { config: string, page: string, program: Program }
type World = { world: WorldDescription, portal: Portal, stations: Station[] }

const test = strict.extend<object, { reviewed: World }>({
  demo: [async ({}, use) => use(undefined as never), { scope: 'worker' }],
  reviewed: [async ({}, use) => {
    const world = await RealWorld.start('--without-store')
    const stations: Station[] = []
    for (const organization of organizations) {
      const port = await freePort()
      const more = ['policies: {review: always}', `review_page: 127.0.0.1:${port}`]
      const config = writeNodeConfig(world.description, organization, undefined, more)
      const program = Program.start('node', '--config', config)
      await program.says(/the node is ready/)
      stations.push({ config, program, page: `http://127.0.0.1:${port}` })
    }
    const portal = await Portal.start(world.description.url)
    await use({ world: world.description, portal, stations })
    for (const { program } of stations) expect(program.log).not.toMatch(/panicked/)
    await portal.stop()
    for (const { program } of stations) await program.stop()
    await world.stop()
  }, { scope: 'worker', timeout: 240_000 }],
  baseURL: async ({ reviewed }, use) => use(reviewed.portal.url),
})

/** Says a decision, or what there is, on the machine of a node. */
async function said(station: Station, ...words: string[]): Promise<string> {
  const program = Program.start('node', 'reviews', ...words, '--config', station.config)
  await program.says(/\n/)
  await program.stop()
  return program.log
}

/** An admin opens the page of a node with a code that is good once. */
async function open(page: Page, station: Station, name: string): Promise<void> {
  const code = (await said(station, 'code')).match(/\b[A-Z0-9]{4,}(?:-[A-Z0-9]{4,})*\b/)?.[0] ?? ''
  await page.goto(station.page)
  await page.getByLabel('Code').fill(code)
  await page.getByLabel('Your name').fill(name)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await expect(page.getByRole('button', { name: 'Sign out' })).toBeVisible()
}

/** Opens the request of a function that waits here. */
async function request(page: Page, station: Station, pattern: RegExp): Promise<void> {
  const link = page.getByRole('row', { name: pattern }).filter({ hasText: 'waiting' }).getByRole('link').first()
  await expect.poll(async () => { await page.goto(station.page); return link.count() }, { timeout: 30_000 }).toBe(1)
  await link.click()
}

test('the official client asks, three admins decide at their nodes, and the task goes on with those who approved', async ({ page, browser, scripted, reviewed }) => {
  test.setTimeout(180_000)
  const { world, stations: [one, two, three] } = reviewed
  const pages = await Promise.all([1, 2, 3].map(async () => (await browser.newContext({ javaScriptEnabled: scripted })).newPage()))
  const [admin1, admin2, admin3] = pages
  const runs = async (task: number): Promise<{ id: number, status: string, log: string | null, organization: { id: number } }[]> =>
    (await (await api(world, 'researcher'))('GET', `run?task_id=${task}`)).data
  const id = createWithOfficialClient(world, 'example_org1', organizations)
  await signInAs(page, 'researcher')
  await page.goto(`/tasks/${id}`)
  await expect(page.locator('.status-line')).toContainText('awaiting review')

  // The central function waits at the first node; nothing has reached the others.
  await open(admin1, one, 'Ada')
  await request(admin1, one, /central_average/)
  await expect(admin1.locator('body')).toContainText('column_name')
  if (scripted) await accessible(admin1)
  await open(admin2, two, 'Bo')
  await expect(admin2.locator('body')).not.toContainText('central_average')

  // Around the review: the official API lets a user do nothing about a run, and another admin's page is another's.
  const researcher = await api(world, 'researcher')
  const [central] = await runs(id)
  await researcher('PATCH', `run/${central.id}`, { status: 'active' })
  await admin2.goto(`${two.page}/reviews/${central.id}`)
  await expect(admin2.getByRole('button', { name: 'Approve' })).toHaveCount(0)
  expect((await runs(id))[0].status).toBe('pending')
  expect((await researcher('GET', `task?parent_id=${id}`)).data).toEqual([])

  await admin1.getByRole('button', { name: 'Approve' }).click()
  await expect.poll(async () => (await researcher('GET', `task?parent_id=${id}`)).data.length, { timeout: 30_000 }).toBe(1)
  const subtask = (await researcher('GET', `task?parent_id=${id}`)).data[0].id
  await expect.poll(async () => (await runs(subtask)).map(({ status }) => status)).toEqual(['pending', 'pending', 'pending'])

  // Each decides for its own data: on the page, on the page with a reason, and on the node's machine.
  await request(admin2, two, /partial_average/)
  await admin2.getByRole('button', { name: 'Reject' }).click()
  await expect(admin2.locator('.bad').first()).toBeVisible()
  await admin2.getByLabel('Reason').fill('The ethics approval is missing.')
  await admin2.getByRole('button', { name: 'Reject' }).click()
  await open(admin3, three, 'Cleo')
  await request(admin3, three, /partial_average/)
  await admin3.getByRole('button', { name: 'Approve' }).click()
  await request(admin1, one, /partial_average/)
  const own = (await runs(subtask)).find(({ organization }) => organization.id === world.organizations.example_org1)
  expect(await said(one, 'approve', String(own?.id), '--comment', 'as agreed')).toContain('approved, for this run only; the node starts it')
  // Who decides too late is told.
  await admin1.getByLabel('Reason').fill('Too late')
  await admin1.getByRole('button', { name: 'Reject' }).click()
  await expect(admin1.locator('body')).toContainText(/approved already/)

  // The researcher sees who did not take part, why, and the result of the others.
  const main = page.locator('main')
  await expect.poll(async () => { await loadAgain(page); return main.textContent() }, { timeout: 40_000 }).toMatch(/completed/)
  await page.goto(`/tasks/${subtask}`)
  await expect(main).toContainText('The ethics approval is missing. (Bo at the node)')
  await expect(main).toContainText('2 of 3 organizations returned, 1 refused')
  if (scripted) await accessible(page)

  // Each node has its own log of who decided what.
  for (const [station, name] of [[one, 'Ada'], [two, 'Bo'], [three, 'Cleo']] as const) {
    const verified = Program.start('audit', 'verify', '--node', station.config)
    await verified.says(/\n/)
    await verified.stop()
    expect(verified.log).toMatch(/holds|\d+:[0-9a-f]{64}/)
    const exported = Program.start('audit', 'export', '--node', station.config)
    await exported.says(/review\.(approve|reject)/)
    await exported.stop()
    expect(exported.log).toContain(name)
    expect(exported.log).not.toContain(world.api_keys.example_org1)
  }
  for (const other of pages) await other.context().close()
})
