// The audit log: what it says, who may read it, and that a broken chain is told.
import { execFileSync } from 'node:child_process'
import { Demo, accessible, expect, signIn, test } from './atoll'

test('an auditor finds who did what, downloads it, and changes nothing', async ({ page, signIn, scripted }) => {
  await page.goto('/login')
  await page.getByLabel('Username').fill('viewer')
  await page.getByLabel('Password').fill('Wrong-1234')
  await page.getByRole('button', { name: 'Sign in' }).click()
  await expect(page.getByText('Username or password are not right')).toBeVisible()
  await signIn('auditor')
  await page.getByRole('link', { name: 'Audit', exact: true }).click()
  await expect(page.getByText('Nothing of it was changed or taken away')).toBeVisible()
  if (scripted) await accessible(page)
  await page.getByLabel('What', { exact: true }).selectOption('Sign-ins')
  await page.getByLabel('Outcome').selectOption('Refused')
  await page.getByLabel('Who').fill('viewer')
  await page.getByRole('button', { name: 'Apply' }).click()
  const rows = page.getByRole('region', { name: 'Audit entries' }).locator('tbody tr')
  await expect(rows.first()).toContainText(/user 5 \(viewer\)\s*sign_in\s*user 5\s*refused/)
  await expect(page.getByLabel('Who')).toHaveValue('viewer')
  const csv = await page.request.get(await page.getByRole('link', { name: 'Download CSV' }).getAttribute('href') ?? '')
  expect(await csv.text()).toContain('user 5 (viewer),sign_in,user 5,refused')
  await page.getByLabel('Who').fill('nobody at all')
  await page.getByRole('button', { name: 'Apply' }).click()
  await expect(page.getByText('No entry matches.')).toBeVisible()
  await page.goto('/reviews')
  await expect(page.getByText('Nothing waits for a decision.')).toBeVisible()
  await expect(page.getByRole('button', { name: /Approve/ })).toHaveCount(0)
})

test('the audit log is not for researchers', async ({ page, signIn }) => {
  await signIn('researcher')
  await expect(page.getByRole('link', { name: 'Audit', exact: true })).toHaveCount(0)
  for (const path of ['/audit', '/audit.csv', '/reviews', '/reviews/1']) {
    expect((await page.goto(path))?.status(), path).toBe(403)
  }
})

test('a log that somebody changed says so', async ({ browser, javaScriptEnabled }) => {
  const demo = await Demo.start()
  const context = await browser.newContext({ baseURL: demo.url, javaScriptEnabled })
  const page = await context.newPage()
  try {
    await signIn(page, 'auditor')
    execFileSync('python3', ['-c', `
import sqlite3
database = sqlite3.connect("${demo.data}/hub.sqlite")
database.executescript("DROP TRIGGER audit_keeps_words; UPDATE audit SET actor = 'somebody else' WHERE id = 1")
`])
    await expect.poll(async () => { await page.goto('/audit'); return page.locator('main').textContent() }, { timeout: 90_000, intervals: [1_000] })
      .toContain('The log does not hold: entry 1 was changed')
  } finally {
    await context.close()
    await demo.stop()
  }
})
