// The analyses of the demo, on the real server: wizard, live status, results.
import { createTask, fillWizard, results } from '../tests/atoll'
import { createWithOfficialClient, expect, test } from './real'

test('the central average runs with a function of the real store', async ({ page, signIn }) => {
  await signIn('researcher')
  await fillWizard(page, {
    function: 'Average', aggregateAt: 'example_org1', include: ['example_org1', 'example_org2'], name: 'Mean age',
  })
  await createTask(page)
  expect(await results(page)).toEqual([['example_org1', '53.25']])
  await expect(page.locator('.status-line')).toContainText('2 of 2 organizations returned')
})

test('the partial function gives sum and count of each organization', async ({ page, signIn }) => {
  await signIn('researcher')
  await fillWizard(page, { function: 'Sum and count', organizations: ['example_org1', 'example_org2'], name: 'Sums of age' })
  await createTask(page)
  expect(await results(page)).toEqual([['example_org1', '253', '4'], ['example_org2', '173', '4']])
})

test('a task of the official client is watched in the portal while two nodes of Atoll compute it', async ({ page, signIn, installation, scripted }) => {
  const { world } = installation
  await signIn('researcher')
  const id = createWithOfficialClient(world, 'example_org1', ['example_org1', 'example_org2'])
  await page.goto('/tasks')
  await page.getByRole('link', { name: 'By the official client' }).first().click()
  await page.waitForURL(`**/tasks/${id}`)
  expect(await results(page)).toEqual([['example_org1', '53.25']])
  await expect(page.locator('.status-line')).toContainText('2 of 2 organizations returned')
  await expect(page.locator('.subtask')).toContainText('example_org2')
  if (scripted) await expect(page.locator('#freshness')).toContainText('final')
  // What it was asked.
  await expect(page.getByText('organizations_to_include')).toBeVisible()
})
