// Screenshots of every page, light and dark, narrow and wide: node shots.mjs <address> <folder>
import { chromium } from '@playwright/test'
const [url, folder] = process.argv.slice(2)
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'] })
const names = process.env.PAGES?.split(',')
for (const [scheme, width] of [['light', 1280], ['dark', 1280], ['light', 360], ['dark', 360]]) {
  const page = await browser.newPage({ baseURL: url, colorScheme: scheme, viewport: { width, height: 800 } })
  const shot = async (name) => { if (!names || names.includes(name)) await page.screenshot({ path: `${folder}/${name}-${scheme}-${width}.png`, fullPage: true }) }
  await page.goto('/login'); await shot('login')
  await page.getByLabel('Username').fill('researcher'); await page.getByLabel('Password').fill('Atoll-demo-1')
  await page.getByRole('button', { name: 'Sign in' }).click(); await page.waitForURL(/\/$/)
  const next = async () => page.getByRole('button', { name: 'Next', exact: true }).click()
  await page.goto('/tasks/new'); await shot('wizard-1-collaboration'); await next()
  await page.getByLabel('Average').check(); await shot('wizard-2-function'); await next()
  await page.getByRole('group', { name: 'Aggregate at' }).getByLabel('example_org1').check()
  await page.getByRole('group', { name: 'Include data from' }).getByLabel('example_org1').check()
  await page.getByRole('group', { name: 'Include data from' }).getByLabel('example_org2').check()
  await page.waitForTimeout(600); await shot('wizard-3-organizations'); await next()
  await page.getByLabel('default').check(); await page.waitForTimeout(600); await shot('wizard-4-database'); await next()
  await shot('wizard-5-arguments'); await next(); await shot('wizard-5-arguments-error')
  await page.getByLabel('Column').selectOption('age'); await next()
  await page.getByLabel('Name', { exact: true }).fill('Mean age at baseline'); await shot('wizard-6-name'); await next()
  await page.waitForTimeout(600); await shot('wizard-7-overview')
  await page.getByRole('button', { name: 'Create task' }).click(); await page.waitForURL(/tasks\/\d+$/)
  await page.locator('.status-line').getByText('completed').waitFor(); await page.waitForTimeout(300); await shot('task')
  for (const path of ['/', '/collaborations', '/collaborations/1', '/organizations', '/organizations/2', '/tasks', '/nowhere', '/tasks/1/delete']) {
    await page.goto(path); await shot('page' + path.replaceAll('/', '-'))
  }
  await page.close()
}
await browser.close()
