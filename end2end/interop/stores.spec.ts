// Functions of real algorithm stores: every kind of argument, and stores that are away.
import { Proxy } from './proxy'
import { api, expect, test } from './real'

test('a function with every kind of argument and two databases becomes the task that was meant', async ({ page, signIn, installation }) => {
  await signIn('researcher')
  await page.goto('/tasks/new')
  const next = () => page.getByRole('button', { name: 'Next', exact: true }).click()
  const step = (name: string) => expect(page.getByRole('heading', { level: 2 })).toContainText(name)
  await next()
  await page.getByLabel('Describe a column').check()
  await next()
  await step('Organizations')
  for (const name of ['example_org1', 'example_org2']) await page.getByRole('group', { name: 'Organizations' }).getByLabel(name).check()
  await next()
  await step('Database')
  await page.getByRole('group', { name: 'Database: measurements' }).getByLabel('default').check()
  await page.getByRole('group', { name: 'Database: reference' }).getByLabel('my_other_database').check()
  await next()
  await step('Arguments')
  // What depends on another answer is not asked yet.
  for (const hidden of ['Smallest group', 'Quantile', 'Digits']) await expect(page.getByLabel(hidden)).toHaveCount(0)
  await expect(page.getByRole('group', { name: 'More columns' }).getByLabel('age')).toBeChecked()
  await page.getByLabel('Column', { exact: true }).selectOption('age')
  await page.getByLabel('Title').fill('Größe & <Alter> "ÿ" 日本')
  await page.getByLabel('Bins').fill('many')
  await next()
  await expect(page.getByText(/whole number/)).toBeVisible()
  await expect(page.getByLabel('Bins')).toHaveValue('many')
  await page.getByLabel('Bins').fill('12')
  await page.getByLabel('Method').selectOption('quantile')
  await page.getByRole('group', { name: 'Measures' }).getByLabel('count').check()
  await page.getByLabel('Confidence').selectOption('0.95')
  await page.getByRole('group', { name: 'Organizations' }).getByLabel('example_org2').check()
  await next()
  // Without scripts the field that has become necessary is asked for now.
  if (await page.getByRole('heading', { level: 2 }).innerText().then((text) => text.includes('Arguments'))) await next()
  await step('Name and description')
  await page.getByLabel('Name', { exact: true }).fill('Every kind')
  await next()
  await step('Overview')
  await page.getByRole('button', { name: 'Create task' }).click()
  await page.waitForURL(/\/tasks\/\d+$/)
  const id = Number(page.url().match(/\d+$/)?.[0])
  const call = await api(installation.world, 'researcher')
  const { databases } = await call('GET', `task/${id}`)
  expect(databases.map(({ label }: { label: string }) => label)).toEqual(['default', 'my_other_database'])
  const { data: runs } = await call('GET', `run?task_id=${id}`)
  expect(runs.length).toBe(2)
  const input = JSON.parse(Buffer.from(runs[0].input, 'base64').toString('utf8'))
  expect(input.method).toBe('describe')
  expect(input.kwargs).toMatchObject({
    column: 'age', title: 'Größe & <Alter> "ÿ" 日本', bins: 12, method: 'quantile', quantile: 0.5, measures: ['count'],
    confidence: 0.95, organizations_to_include: [installation.world.organizations.example_org2],
    options: { trim: true, missing: [null, -1] }, limits: [20, 40, 60], weights: [0.5, 1.5], labels: ['younger', 'older'], order: 2,
  })
  // Only the form knows it, and the other belongs to it.
  expect(input.kwargs).not.toHaveProperty('show_advanced')
  expect(input.kwargs).not.toHaveProperty('smoothing')
})

test('a store that is down or hangs only greys out its own functions', async ({ page, signIn, installation }) => {
  const { world } = installation
  const relay = await Proxy.start(world.store?.url ?? '')
  const root = await api(world, 'root', 'root')
  const name = `second store ${Math.random().toString(36).slice(2)}`
  const link = await root('POST', 'algorithmstore', {
    name, algorithm_store_url: `${relay.origin}/api`, server_url: world.url, collaboration_id: world.collaboration.id, force: true,
  })
  try {
    const opened = async () => {
      // Somebody who has not seen the stores lately.
      await page.context().clearCookies()
      await signIn('researcher')
      await page.goto('/tasks/new')
      await page.getByRole('button', { name: 'Next', exact: true }).click()
      await expect(page.getByRole('heading', { level: 2 })).toContainText('Function')
    }
    const second = page.locator('.store').filter({ has: page.getByRole('heading', { name }) })
    const first = page.locator('.store').filter({ has: page.getByRole('heading', { name: 'example store' }) })
    await opened()
    await expect(second.getByLabel('Sum and count')).toBeEnabled()
    await relay.cut()
    await opened()
    await expect(second).toContainText('cannot be chosen at the moment')
    await expect(first.getByLabel('Sum and count')).toBeEnabled()
    relay.hangs = true
    await relay.restore()
    await opened()
    await expect(second).toContainText('cannot be chosen at the moment')
    await first.getByLabel('Sum and count').check()
    await page.getByRole('button', { name: 'Next', exact: true }).click()
    await expect(page.getByRole('heading', { level: 2 })).toContainText('Organizations')
  } finally {
    relay.hangs = false
    if (!relay.isUp) await relay.restore()
    await root('DELETE', `algorithmstore/${link.id}?server_url=${encodeURIComponent(world.url)}`)
    await relay.stop()
  }
})
