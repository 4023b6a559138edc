// axe on every page; it needs scripts, and the HTML without them is the same.
import { accessible, createTask, expect, fillWizard, results, test } from './atoll'

test('axe finds nothing on any page', async ({ page, signIn }) => {
  test.setTimeout(120_000)
  await page.goto('/login')
  await accessible(page)
  await signIn('researcher')
  await accessible(page)
  const next = () => page.getByRole('button', { name: 'Next', exact: true }).click()
  await page.goto('/tasks/new')
  await accessible(page)
  await next()
  await next()
  await accessible(page)
  await page.getByLabel('Average').check()
  await next()
  await accessible(page)
  await fillWizard(page, { function: 'Average', aggregateAt: 'example_org1', include: ['example_org1'], name: 'Accessible' })
  await accessible(page)
  for (const step of ['Change database', 'Change arguments', 'Change name and description']) {
    await page.getByRole('link', { name: step }).click()
    await accessible(page)
    await page.goto(page.url().replace(/step=\w+/, 'step=overview'))
  }
  const id = await createTask(page)
  await results(page)
  for (const path of [`/tasks/${id}`, '/tasks', '/collaborations', '/collaborations/1', '/organizations', '/organizations/2', '/nowhere', `/tasks/${id}/delete`]) {
    await page.goto(path)
    await accessible(page)
  }
})

test('the wizard is gone through by keyboard alone', async ({ page, signIn }) => {
  await signIn('researcher')
  await page.goto('/tasks/new')
  await page.getByLabel('example_collab1').focus()
  await page.keyboard.press('Enter')
  await expect(page.getByRole('heading', { level: 2 })).toContainText('Function')
  await page.getByLabel('Average').focus()
  await page.keyboard.press('Space')
  await page.keyboard.press('Enter')
  await expect(page.getByRole('heading', { level: 2 })).toContainText('Organizations')
})

test('choosing organizations updates what they share in place', async ({ page, signIn }) => {
  await signIn('researcher')
  await page.goto('/tasks/new')
  await page.getByRole('button', { name: 'Next', exact: true }).click()
  await page.getByLabel('Sum and count').check()
  await page.getByRole('button', { name: 'Next', exact: true }).click()
  await expect(page.getByText('Choose organizations to see which databases they share.')).toBeVisible()
  await page.waitForLoadState('networkidle')
  await page.getByLabel('example_org1').check()
  await expect(page.getByText('Databases that all of these have: default, my_other_database.')).toBeVisible()
})

test('sign-in page has no script', async ({ page }) => {
  await page.goto('/login')
  expect(await page.locator('script').count()).toBe(0)
})
