// Each default role of the real server sees what it may do, and no more.
import { createTask, expect, test } from './real'

const roles = [
  { username: 'root', creates: false, deletes: true, cancels: true, organizations: 4 },
  // In vantage6 4.x a researcher stops a task only by deleting it.
  { username: 'researcher', creates: true, deletes: true, cancels: false, organizations: 3 },
  { username: 'manager', creates: true, deletes: true, cancels: true, organizations: 4 },
  { username: 'admin1', creates: false, deletes: false, cancels: false, organizations: 3 },
  { username: 'viewer', creates: false, deletes: false, cancels: false, organizations: 3 },
]

for (const { username, creates, deletes, cancels, organizations } of roles) {
  test(`${username} is offered what the role may do`, async ({ page, signIn, installation }) => {
    // Its node is off, so that it waits.
    const id = await createTask(installation.world, 'example_org3', `Seen by ${username}`)
    await signIn(username)
    await expect(page.getByText('2 of 3 nodes are online.')).toBeVisible()
    await page.goto('/collaborations/1')
    await expect(page.getByRole('row', { name: /example_org1 node online/ })).toContainText('my_other_database')
    await expect(page.getByRole('link', { name: 'Create a task here' })).toHaveCount(creates ? 1 : 0)
    await page.goto('/organizations')
    await expect(page.getByRole('region', { name: /organizations/i }).locator('tbody tr')).toHaveCount(organizations)
    await page.goto(`/tasks/${id}`)
    await expect(page.locator('.status-line')).toContainText('pending')
    await expect(page.getByRole('link', { name: 'Cancel task' })).toHaveCount(cancels ? 1 : 0)
    await expect(page.getByRole('link', { name: 'Delete' })).toHaveCount(deletes ? 1 : 0)
    // What is not offered is not there either.
    if (!deletes) expect((await page.goto(`/tasks/${id}/delete`))?.status()).toBe(403)
    if (!cancels) expect((await page.goto(`/tasks/${id}/cancel`))?.status()).toBe(403)
    const wizard = await page.goto('/tasks/new')
    if (creates) {
      await expect(page.getByLabel('example_collab1')).toBeEnabled()
    } else if (username === 'root') {
      // It may create tasks everywhere, but its organization takes part nowhere.
      await expect(page.getByLabel('example_collab1')).toBeDisabled()
      await expect(page.getByText('Your organization does not take part in it')).toBeVisible()
    } else {
      expect(wizard?.status()).toBe(403)
    }
  })
}

test('who may stop or delete a task does so on the real server', async ({ page, signIn, installation }) => {
  const id = await createTask(installation.world, 'example_org3', 'To be stopped')
  await signIn('manager')
  await page.goto(`/tasks/${id}`)
  await page.getByRole('link', { name: 'Cancel task' }).click()
  await page.getByRole('button', { name: 'Cancel task' }).click()
  await expect(page.locator('.status-line')).toContainText('killed by user')
  await page.getByRole('link', { name: 'Delete' }).click()
  await page.getByRole('button', { name: 'Delete task' }).click()
  await expect(page.getByText('is deleted')).toBeVisible()
  expect((await page.goto(`/tasks/${id}`))?.status()).toBe(404)
})

test('lists of tasks are filtered, searched and sorted though the server cannot', async ({ page, signIn, installation }) => {
  const mark = Math.random().toString(36).slice(2)
  await createTask(installation.world, 'example_org3', `100%_${mark}`)
  await createTask(installation.world, 'example_org1', `100xy${mark}`)
  await signIn('researcher')
  const names = async () => page.getByRole('region', { name: 'Table of tasks' }).locator('tbody th').allInnerTexts()
  await page.goto(`/tasks?q=${encodeURIComponent(`100%_${mark}`)}`)
  expect(await names()).toEqual([`100%_${mark}`])
  await expect.poll(async () => { await page.goto(`/tasks?q=${mark}&status=completed`); return names() }).toEqual([`100xy${mark}`])
  await page.goto(`/tasks?q=${mark}&sort=name`)
  expect(await names()).toEqual([`100%_${mark}`, `100xy${mark}`])
  await page.goto(`/tasks?q=${mark}&sort=-name`)
  expect(await names()).toEqual([`100xy${mark}`, `100%_${mark}`])
})
