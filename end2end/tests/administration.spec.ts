// Root sets up a collaboration from nothing; the person who is invited signs in; what one may not do is not offered.
import { Demo, accessible, expect, password, signIn, test, Program } from './atoll'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

test('from an empty hub to an organization with a node that is online and a user who signs in', async ({ browser, scripted }) => {
  test.setTimeout(120_000)
  const demo = await Demo.start()
  const context = await browser.newContext({ baseURL: demo.url, javaScriptEnabled: scripted })
  const page = await context.newPage()
  const axe = async () => { if (scripted) await accessible(page) }
  try {
    await signIn(page, 'root')
    // An organization; what is wrong is told at its field.
    await page.goto('/organizations')
    await page.getByRole('link', { name: 'New organization' }).click()
    await page.getByLabel('Name', { exact: true }).fill('13')
    await page.getByLabel('Country').fill('Norway')
    await page.getByRole('button', { name: 'Create the organization' }).click()
    await expect(page.locator('#name-error')).toContainText('Name cannot be a number')
    await expect(page.getByLabel('Country')).toHaveValue('Norway')
    await axe()
    await page.getByLabel('Name', { exact: true }).fill('Fjord hospital')
    await page.getByRole('button', { name: 'Create the organization' }).click()
    await expect(page.getByText('The organization is created.')).toBeVisible()
    await page.getByRole('link', { name: 'Change', exact: true }).click()
    await page.getByLabel('Domain').fill('fjord.example')
    await page.getByRole('button', { name: 'Save' }).click()
    await expect(page.locator('main')).toContainText('fjord.example')

    // A collaboration with it, and the nodes that are missing.
    await page.goto('/collaborations')
    await page.getByRole('link', { name: 'New collaboration' }).click()
    await page.getByLabel('Name', { exact: true }).fill('Northern study')
    await page.getByLabel('Fjord hospital').check()
    await page.getByLabel('example_org1').check()
    await page.getByRole('button', { name: 'Create the collaboration' }).click()
    await expect(page.getByText('The collaboration is created.')).toBeVisible()
    await axe()
    await page.getByRole('button', { name: 'Register the missing nodes' }).click()
    const keys = page.getByRole('region', { name: 'API keys' }).locator('tbody tr')
    await expect(keys).toHaveCount(2)
    await axe()
    const key = await keys.filter({ hasText: 'Fjord hospital' }).locator('.api-key').textContent() ?? ''
    expect(key).toMatch(/^[0-9a-f-]{36}$/)
    await page.getByRole('link', { name: 'Done' }).click()
    await expect(page.getByRole('button', { name: 'Register the missing nodes' })).toHaveCount(0)
    expect(await page.content()).not.toContain(key)

    // The key works.
    const folder = mkdtempSync(join(tmpdir(), 'atoll-node-'))
    writeFileSync(join(folder, 'a.csv'), 'age\n1\n2\n')
    const config = (apiKey: string) => {
      const url = new URL(demo.url)
      writeFileSync(join(folder, 'node.yaml'), `api_key: ${apiKey}\nserver_url: http://127.0.0.1\nport: ${url.port}\ndatabases: {default: a.csv}\n`)
      return join(folder, 'node.yaml')
    }
    const node = Program.start('node', '--config', config(key))
    await node.says(/the node is ready/)
    await page.getByRole('link', { name: 'Fjord hospital - Northern study Node' }).click()
    await expect(page.locator('main')).toContainText('online')
    await page.getByRole('textbox', { name: 'Name' }).fill('Fjord node')
    await page.getByRole('button', { name: 'Save the name' }).click()
    await expect(page.getByRole('heading', { level: 1 })).toHaveText('Fjord node')
    // A new key ends the old one.
    await page.getByRole('link', { name: 'New API key' }).click()
    await axe()
    await page.getByRole('button', { name: 'Give it a new key' }).click()
    const second = await page.locator('.api-key').textContent() ?? ''
    expect(second).not.toBe(key)
    await node.stop()
    const refused = Program.start('node', '--config', config(key))
    await refused.says(/does not accept the API key/)
    await refused.stop()
    await page.getByRole('link', { name: 'Done' }).click()
    await page.getByRole('link', { name: 'Delete' }).click()
    await expect(page.locator('main')).toContainText('no task can be sent to the organization in this collaboration')
    await page.getByRole('button', { name: 'Delete the node' }).click()
    await expect(page.getByText('The node is deleted.')).toBeVisible()

    // Encrypted, and not any more.
    for (const encrypted of [true, false]) {
      await page.getByRole('link', { name: 'Change', exact: true }).first().click()
      await page.getByLabel('Encrypted').setChecked(encrypted)
      await page.getByRole('button', { name: 'Save' }).click()
      await expect(page.getByText('The collaboration is changed.')).toBeVisible()
      await expect(page.getByText(encrypted ? 'Encrypted: inputs and results' : 'Not encrypted.')).toBeVisible()
    }

    // A study.
    await page.getByRole('link', { name: 'New study' }).click()
    await page.getByLabel('Name', { exact: true }).fill('Only the fjord')
    await page.getByLabel('Fjord hospital').check()
    await page.getByRole('button', { name: 'Create the study' }).click()
    await expect(page.getByText('Only the fjord')).toBeVisible()
    await page.getByRole('link', { name: 'Delete', exact: true }).first().click()
    await expect(page.locator('main')).toContainText(/With it go:.*1 node.*1 study/s)
    await axe()
    await page.getByRole('button', { name: 'Delete the collaboration' }).click()
    await expect(page.getByText('The collaboration is deleted.')).toBeVisible()

    // An organization, with what goes along; one's own stays.
    await page.goto('/organizations')
    await page.getByRole('link', { name: 'example_org3', exact: true }).click()
    await page.getByRole('link', { name: 'Delete', exact: true }).click()
    await expect(page.locator('main')).toContainText(/With it go:.*2 users: they cannot sign in.*1 node/s)
    await axe()
    await page.getByRole('button', { name: 'Delete the organization' }).click()
    await expect(page.getByText('The organization is deleted.')).toBeVisible()
    await expect(page.getByRole('link', { name: 'example_org3', exact: true })).toHaveCount(0)
    await page.locator('summary').filter({ hasText: /root/i }).click()
    await page.getByRole('link', { name: 'Your account' }).click()
    await page.getByRole('region', { name: 'Where you are signed in' }).waitFor()
    await page.locator('dd a[href^="/organizations/"]').click()
    await expect(page.getByRole('link', { name: 'Change', exact: true })).toBeVisible()
    await expect(page.getByRole('link', { name: 'Delete', exact: true })).toHaveCount(0)
  } finally {
    await context.close()
    await demo.stop()
  }
})

test('an admin invites, deactivates and deletes people, and gives nothing that is not theirs', async ({ browser, scripted }) => {
  test.setTimeout(120_000)
  const demo = await Demo.start()
  const open = async () => (await browser.newContext({ baseURL: demo.url, javaScriptEnabled: scripted })).newPage()
  const [admin, guest] = [await open(), await open()]
  try {
    await signIn(admin, 'admin1')
    await admin.getByRole('link', { name: 'Users', exact: true }).click()
    await admin.getByRole('link', { name: 'New user' }).click()
    if (scripted) await accessible(admin)
    // What they may not do themselves is not theirs to give.
    for (const role of ['Root', 'Researcher', 'Collaboration Admin']) await expect(admin.getByLabel(role, { exact: true })).toHaveCount(0)
    await admin.getByLabel('Username').fill('viewer')
    await admin.getByLabel('E-mail').fill('nora@example.org')
    await admin.getByLabel('Viewer', { exact: true }).check()
    await admin.getByRole('button', { name: 'Create and invite' }).click()
    await expect(admin.getByText('username already exists.')).toBeVisible()
    await expect(admin.getByLabel('E-mail')).toHaveValue('nora@example.org')
    await expect(admin.getByLabel('Viewer', { exact: true })).toBeChecked()
    await admin.getByLabel('Username').fill('nora')
    await admin.getByRole('button', { name: 'Create and invite' }).click()
    const link = await admin.locator('#copy-source').textContent() ?? ''
    expect(link).toMatch(/\/password\/reset#./)
    if (scripted) await accessible(admin)

    // What stands behind the # fills itself in; without scripts it is copied by hand.
    await guest.goto(link)
    const code = link.split('#')[1] as string
    if (scripted) await expect(guest.getByLabel('Code')).toHaveValue(code)
    else await guest.getByLabel('Code').fill(code)
    await guest.getByLabel('New password', { exact: true }).fill(password)
    await guest.getByLabel('New password once more').fill(password)
    await guest.getByRole('button', { name: 'Set the password' }).click()
    await expect(guest.getByText('You have a new password.')).toBeVisible()
    await signIn(guest, 'nora')
    await expect(guest.getByRole('link', { name: 'Users', exact: true })).toHaveCount(0)
    for (const path of ['/users', '/users/1', '/users/new', '/organizations/new', '/collaborations/new']) {
      expect((await guest.goto(path))?.status(), path).toBe(403)
    }
    expect((await guest.goto('/roles/5'))?.status()).toBe(200)
    await expect(guest.getByRole('region', { name: 'Permissions' }).getByRole('row', { name: /^task/ })).toContainText('collaborations')
    if (scripted) await accessible(guest)

    // The invitation is used up, and nobody gets another one for an account that is in use.
    await admin.goto('/users')
    await admin.getByRole('link', { name: 'nora' }).click()
    await expect(admin.getByRole('button', { name: 'New invitation' })).toHaveCount(0)
    await admin.getByRole('link', { name: 'Change' }).click()
    await expect(admin.getByLabel('Researcher', { exact: true })).toHaveCount(0)
    await admin.getByText('Extra rules').first().click()
    await admin.getByLabel('View audit: organization').check()
    await admin.getByRole('button', { name: 'Save' }).click()
    await expect(admin.getByText('The user is changed.')).toBeVisible()
    // A session knows of it within a minute, a new one at once.
    await guest.context().clearCookies()
    await signIn(guest, 'nora')
    await guest.goto('/audit')
    await expect(guest.getByRole('heading', { level: 1 })).toHaveText('Audit log')
    // The form says what they have.
    await admin.getByRole('link', { name: 'Change' }).click()
    await expect(admin.getByLabel('View audit: organization')).toBeChecked()
    await admin.getByRole('link', { name: 'Cancel' }).click()
    await admin.getByRole('button', { name: 'Deactivate' }).click()
    await expect(admin.getByText('The user is deactivated, and signed out everywhere.')).toBeVisible()
    if (scripted) await accessible(admin)
    await guest.goto('/tasks')
    await expect(guest).toHaveURL(/\/login/)
    await guest.getByLabel('Username').fill('nora')
    await guest.getByLabel('Password').fill(password)
    await guest.getByRole('button', { name: 'Sign in' }).click()
    await expect(guest.getByText('Username or password are not right')).toBeVisible()
    await admin.getByRole('button', { name: 'Activate again' }).click()
    await signIn(guest, 'nora')
    await admin.getByRole('button', { name: 'End all sessions' }).click()
    await expect(admin.getByText('All sessions of this user have ended.')).toBeVisible()
    await guest.goto('/tasks')
    await expect(guest).toHaveURL(/\/login/)
    await admin.getByRole('link', { name: 'Delete' }).click()
    await expect(admin.locator('main')).toContainText('To keep what they did, deactivate them instead.')
    await admin.getByRole('button', { name: 'Delete the user' }).click()
    await expect(admin.getByText('The user is deleted.')).toBeVisible()
  } finally {
    await admin.context().close()
    await guest.context().close()
    await demo.stop()
  }
})

test('a role of one s own permits what its table says', async ({ page, signIn, scripted }) => {
  await signIn('admin2')
  await page.goto('/roles')
  await page.getByRole('link', { name: 'New role' }).click()
  if (scripted) await accessible(page)
  await page.getByLabel('Name', { exact: true }).fill(`Data steward ${scripted ? 1 : 2}`)
  await page.getByLabel('View review: organization').check()
  await page.getByLabel('Edit review: organization').check()
  // Not what they may not do themselves.
  await expect(page.getByLabel('Create task: collaborations')).toHaveCount(0)
  const name = page.getByLabel('Name')
  const typed = await name.inputValue()
  await name.fill('Root')
  await page.getByRole('button', { name: 'Save' }).click()
  await expect(page.locator('.flash.error')).toContainText('default roles')
  await name.fill(typed)
  await expect(page.getByLabel('View review: organization')).toBeChecked()
  await page.getByRole('button', { name: 'Save' }).click()
  await expect(page.getByText('The role is created.')).toBeVisible()
  await expect(page.getByRole('row', { name: /^review/ })).toContainText(/review\s*organization\s*–\s*organization/)
  await page.getByRole('link', { name: 'Delete' }).click()
  await page.getByRole('button', { name: 'Delete the role' }).click()
  await expect(page.getByText('The role is deleted.')).toBeVisible()
})
