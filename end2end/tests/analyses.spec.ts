// The seed document's two analyses, through the wizard.
import { createTask, expect, fillWizard, results, test } from './atoll'

test('the central average over organizations 2 and 3 is 53.25', async ({ page, signIn }) => {
  await signIn('researcher')
  await fillWizard(page, {
    function: 'Average', aggregateAt: 'example_org1', include: ['example_org1', 'example_org2'], name: 'Mean age',
  })
  await expect(page.getByText('client.task.create(')).toBeVisible()
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

test('another database gives other numbers', async ({ page, signIn }) => {
  await signIn('researcher')
  await fillWizard(page, {
    function: 'Average', aggregateAt: 'example_org2', include: ['example_org1', 'example_org2'],
    database: 'my_other_database', name: 'Mean age elsewhere',
  })
  await createTask(page)
  expect(await results(page)).toEqual([['example_org2', '40.25']])
})

test('the partial function on another database gives other sums', async ({ page, signIn }) => {
  await signIn('researcher')
  await fillWizard(page, {
    function: 'Sum and count', organizations: ['example_org1', 'example_org2'], database: 'my_other_database', name: 'Sums elsewhere',
  })
  await createTask(page)
  expect(await results(page)).toEqual([['example_org1', '171', '4'], ['example_org2', '151', '4']])
})

test('the organizations that were chosen are those that count', async ({ page, signIn }) => {
  await signIn('researcher')
  await fillWizard(page, {
    function: 'Average', aggregateAt: 'example_org3', include: ['example_org1', 'example_org2', 'example_org3'], name: 'Mean age of all',
  })
  await createTask(page)
  expect(await results(page)).toEqual([['example_org3', '58.5']])
})
