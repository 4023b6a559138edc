// The wizard beside its straight way: errors, back, in-place updates, other images, double presses, repeat.
import { createTask, expect, fillWizard, results, test } from './atoll'

test('back keeps everything and errors stand at their field', async ({ page, signIn }) => {
  await signIn('researcher')
  await fillWizard(page, { function: 'Sum and count', organizations: ['example_org1'], name: 'Kept' })
  for (let step = 0; step < 6; step++) await page.getByRole('button', { name: 'Back' }).click()
  await expect(page.getByLabel('example_collab1')).toBeChecked()
  const next = () => page.getByRole('button', { name: 'Next', exact: true }).click()
  await next()
  await expect(page.getByLabel('Sum and count')).toBeChecked()
  await next()
  await expect(page.getByLabel('example_org1')).toBeChecked()
  await next()
  await expect(page.getByLabel('default')).toBeChecked()
  await next()
  await expect(page.getByLabel('Column')).toHaveValue('age')
  await page.getByLabel('Column').selectOption('')
  await next()
  await expect(page.getByText('This has to be given.')).toBeVisible()
  await page.getByLabel('Column').selectOption('weight')
  await next()
  await page.getByLabel('Name', { exact: true }).fill('123')
  await next()
  await expect(page.getByText('A name cannot be a number only')).toBeVisible()
  await expect(page.getByLabel('Name', { exact: true })).toHaveValue('123')
})

test('only databases and columns that all chosen organizations have are offered', async ({ page, signIn }) => {
  await signIn('researcher')
  await fillWizard(page, { function: 'Sum and count', organizations: ['example_org1', 'example_org2', 'example_org3'], name: 'Shared' })
  await page.getByRole('link', { name: 'Change arguments' }).click()
  const options = await page.getByLabel('Column').locator('option').allInnerTexts()
  expect(options).toEqual(['Choose …', 'patient', 'age', 'sex', 'weight'])
})

test('all organizations are chosen with one click', async ({ page, signIn }) => {
  await signIn('researcher')
  await fillWizard(page, { function: 'Sum and count', organizations: ['example_org1'], name: 'All' })
  await page.getByRole('link', { name: 'Change organizations' }).click()
  await page.getByRole('button', { name: 'Select all' }).click()
  for (const name of ['example_org1', 'example_org2', 'example_org3']) await expect(page.getByLabel(name)).toBeChecked()
  await expect(page.getByText('Databases that all of these have: default, my_other_database.')).toBeVisible()
})

test('pressing twice creates one task', async ({ page, signIn }) => {
  await signIn('researcher')
  const name = `Once ${Math.random().toString(36).slice(2)}`
  await fillWizard(page, { function: 'Sum and count', organizations: ['example_org1'], name })
  const form = page.locator('form#wizard')
  const address = (await form.getAttribute('action')) ?? ''
  // Two requests at the same time, as two quick presses send them.
  const press = () => page.request.post(address, { form: { action: 'create' }, maxRedirects: 0 })
  const answers = await Promise.all([press(), press(), press()])
  const places = new Set(answers.map((answer) => answer.headers()['location']))
  expect(places.size).toBe(1)
  await page.goto(`/tasks?q=${name}`)
  await expect(page.getByText('1–1 of 1')).toBeVisible()
})

test('another image takes any method and arguments, and hostile text stays text', async ({ page, signIn }) => {
  await signIn('researcher')
  await page.goto('/tasks/new')
  const next = () => page.getByRole('button', { name: 'Next', exact: true }).click()
  await next()
  await page.getByLabel('Other image').check()
  const hostile = '{"x": "</textarea><script>window.hacked = true</script>'
  await page.getByLabel('Image', { exact: true }).fill('harbor2.vantage6.ai/demo/average')
  await page.getByLabel('Method').fill('partial_average')
  await page.getByLabel('Arguments (JSON)').fill(hostile)
  await next()
  await expect(page.getByText('This is not JSON')).toBeVisible()
  await expect(page.getByLabel('Arguments (JSON)')).toHaveValue(hostile)
  await page.getByLabel('Arguments (JSON)').fill('{"column_name": "age"}')
  await next()
  await page.getByLabel('example_org2').check()
  await next()
  await page.getByLabel('default').check()
  await next()
  await next()
  await page.getByLabel('Name', { exact: true }).fill('<script>window.hacked = true</script>')
  await next()
  await createTask(page)
  expect(await results(page)).toEqual([['example_org2', '173', '4']])
  expect(await page.title()).toContain('<script>')
})

test('the Python call is copied with one click, and without scripts there is no button that does nothing', async ({ page, signIn, scripted, context }) => {
  await signIn('researcher')
  await fillWizard(page, { function: 'Sum and count', organizations: ['example_org1'], name: 'To be copied' })
  const button = page.locator('#copy-button')
  if (!scripted) return expect(button).toBeHidden()
  await context.grantPermissions(['clipboard-read', 'clipboard-write'])
  await button.click()
  await expect(button).toHaveText('Copied')
  const copied = await page.evaluate('navigator.clipboard.readText()')
  expect(copied).toBe(await page.locator('#copy-source').textContent())
  expect(copied).toContain('client.task.create(')
})

test('repeat fills the wizard in', async ({ page, signIn }) => {
  await signIn('researcher')
  await fillWizard(page, {
    function: 'Average', aggregateAt: 'example_org2', include: ['example_org1', 'example_org3'], column: 'weight', name: 'Again',
  })
  const first = await createTask(page)
  const before = await results(page)
  await page.getByRole('button', { name: 'Repeat' }).click()
  await expect(page.getByRole('heading', { level: 2 })).toContainText('Overview')
  await expect(page.getByText('Aggregate at example_org2; include data from example_org1, example_org3')).toBeVisible()
  const second = await createTask(page)
  expect(second).toBeGreaterThan(first)
  expect(await results(page)).toEqual(before)
})

test('a failed run says what happened, who can help and what to do next', async ({ page, signIn }) => {
  await signIn('researcher')
  await fillWizard(page, { function: 'Sum and count', organizations: ['example_org1'], column: 'sex', name: 'Not numeric' })
  await createTask(page)
  await expect(page.locator('.status-line')).toContainText('crashed')
  await expect(page.getByText('The function ended with an error at example_org1')).toBeVisible()
  await expect(page.getByText('Who can help:')).toBeVisible()
  await page.getByText('Show log').click()
  await expect(page.getByText('the column "sex" is not numeric')).toBeVisible()
  await expect(page.getByText('There is no result.')).toBeVisible()
})

test('delete asks first and then the task is gone', async ({ page, signIn }) => {
  await signIn('researcher')
  await fillWizard(page, { function: 'Sum and count', organizations: ['example_org1'], name: 'To be deleted' })
  const id = await createTask(page)
  await results(page)
  await page.getByRole('link', { name: 'Delete' }).click()
  await expect(page.getByRole('heading', { name: 'Delete this task?' })).toBeVisible()
  await page.getByRole('button', { name: 'Delete task' }).click()
  await expect(page.getByText(`Task ${id} is deleted.`)).toBeVisible()
  expect((await page.goto(`/tasks/${id}`))?.status()).toBe(404)
})

test('results are downloaded as CSV and JSON', async ({ page, signIn }) => {
  await signIn('researcher')
  await fillWizard(page, { function: 'Sum and count', organizations: ['example_org1', 'example_org2'], name: 'Download' })
  const id = await createTask(page)
  await results(page)
  const csv = await page.request.get(`/tasks/${id}/results.csv`)
  expect(await csv.text()).toBe('Organization,sum,count\r\nexample_org1,253,4\r\nexample_org2,173,4\r\n')
  const json = await page.request.get(`/tasks/${id}/results.json`)
  expect(await json.json()).toEqual([
    { organization: 'example_org1', result: { sum: 253, count: 4 } },
    { organization: 'example_org2', result: { sum: 173, count: 4 } },
  ])
})
