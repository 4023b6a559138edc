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

test('the audit log is not for researchers, and says that they tried', async ({ page, browser, javaScriptEnabled }) => {
  await signIn(page, 'researcher')
  await expect(page.getByRole('link', { name: 'Audit', exact: true })).toHaveCount(0)
  for (const path of ['/audit', '/audit.csv', '/reviews', '/reviews/1']) {
    expect((await page.goto(path))?.status(), path).toBe(403)
  }
  const context = await browser.newContext({ javaScriptEnabled })
  const auditors = await context.newPage()
  await signIn(auditors, 'auditor')
  await auditors.goto('/audit')
  await auditors.getByLabel('What', { exact: true }).selectOption('Refused pages')
  await auditors.getByRole('button', { name: 'Apply' }).click()
  const rows = auditors.getByRole('region', { name: 'Audit entries' }).locator('tbody tr')
  await expect(rows.filter({ hasText: /\(researcher\)\s*page\.view\s*user \d+\s*refused\s*GET \/audit/ }).first()).toBeVisible()
  await context.close()
})

test('a log that somebody changed says so at the start and on the page', async ({ browser, javaScriptEnabled }) => {
  let demo = await Demo.start()
  try {
    execFileSync('python3', ['-c', `
import sqlite3
for path in "${demo.data}/hub.sqlite", "${demo.nodeConfig('example_org1').replace('.yaml', '.sqlite')}":
    database = sqlite3.connect(path)
    database.executescript("DROP TRIGGER audit_keeps_words; UPDATE audit SET actor = 'somebody else' WHERE id = 1")
`])
    demo = await demo.again()
    // Of the hub, and of the node that runs beside it.
    await expect.poll(() => demo.log.match(/the audit log does not hold.*entry 1 was changed/g)?.length).toBe(2)
    const context = await browser.newContext({ baseURL: demo.url, javaScriptEnabled })
    const page = await context.newPage()
    await signIn(page, 'auditor')
    await page.goto('/audit')
    await expect(page.locator('main')).toContainText('The log does not hold: entry 1 was changed')
    await context.close()
  } finally {
    await demo.stop()
  }
})
