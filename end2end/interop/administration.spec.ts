// Administration on the real vantage6 server: as far as its API goes, and the pages say where it ends.
import { accessible, password as strong } from '../tests/atoll'
import { api, expect, startNode, test } from './real'

test('root sets up organizations, collaborations, studies, nodes and users on the real server', async ({ page, signIn, scripted, installation }) => {
  test.setTimeout(150_000)
  const { world } = installation
  const mark = Math.random().toString(36).slice(2, 8)
  const axe = async () => { if (scripted) await accessible(page) }
  const heading = page.getByRole('heading', { level: 1 })
  await signIn('root')

  // A name that is taken, in the server's words.
  await page.goto('/organizations/new')
  await page.getByLabel('Name', { exact: true }).fill('example_org1')
  await page.getByLabel('Country').fill('Norway')
  await page.getByRole('button', { name: 'Create the organization' }).click()
  await expect(page.locator('.flash.error, .field-error').first()).toContainText(/already exists/)
  await expect(page.getByLabel('Country')).toHaveValue('Norway')
  await page.getByLabel('Name', { exact: true }).fill(`Fjord ${mark}`)
  await page.getByRole('button', { name: 'Create the organization' }).click()
  await expect(page.getByText('The organization is created.')).toBeVisible()
  const organization = Number(page.url().match(/\d+$/)?.[0])
  await page.getByRole('link', { name: 'Change', exact: true }).click()
  await page.getByLabel('Domain').fill('fjord.example')
  await page.getByRole('button', { name: 'Save' }).click()
  await expect(page.locator('main')).toContainText('fjord.example')

  await page.goto('/collaborations/new')
  await page.getByLabel('Name', { exact: true }).fill(`Northern ${mark}`)
  await page.getByLabel(`Fjord ${mark}`).check()
  await page.getByLabel('example_org1').check()
  await page.getByRole('button', { name: 'Create the collaboration' }).click()
  await expect(page.getByText('The collaboration is created.')).toBeVisible()
  const collaboration = page.url()
  await page.getByRole('button', { name: 'Register the missing nodes' }).click()
  const keys = page.getByRole('region', { name: 'API keys' }).locator('tbody tr')
  await expect(keys).toHaveCount(2)
  const key = await keys.filter({ hasText: `Fjord ${mark}` }).locator('.api-key').textContent() ?? ''
  await axe()
  await page.getByRole('link', { name: 'Done' }).click()
  expect(await page.content()).not.toContain(key)

  // The key works, and a new one replaces it.
  const node = await startNode({ ...world, api_keys: { example_org1: key } }, 'example_org1')
  await page.getByRole('link', { name: new RegExp(`Fjord ${mark} .*Node`) }).click()
  await expect.poll(async () => { await page.reload(); return page.locator('main').textContent() }).toContain('online')
  await node.stop()
  await page.getByRole('textbox', { name: 'Name' }).fill(`Fjord node ${mark}`)
  await page.getByRole('button', { name: 'Save the name' }).click()
  await expect(heading).toHaveText(`Fjord node ${mark}`)
  await page.getByRole('link', { name: 'New API key' }).click()
  await page.getByRole('button', { name: 'Give it a new key' }).click()
  const second = await page.locator('.api-key').textContent() ?? ''
  expect(second).toMatch(/^[0-9a-f-]{36}$/)
  expect(second).not.toBe(key)
  await page.getByRole('link', { name: 'Done' }).click()
  await page.getByRole('link', { name: 'Delete' }).click()
  await page.getByRole('button', { name: 'Delete the node' }).click()
  await expect(page.getByText('The node is deleted.')).toBeVisible()

  // A study, and other members.
  await page.goto(collaboration)
  await page.getByRole('link', { name: 'New study' }).click()
  await page.getByLabel('Name', { exact: true }).fill(`Only the fjord ${mark}`)
  await page.getByLabel(`Fjord ${mark}`).check()
  await page.getByRole('button', { name: 'Create the study' }).click()
  await expect(page.getByText(`Only the fjord ${mark}`)).toBeVisible()
  await page.getByRole('link', { name: 'Change', exact: true }).first().click()
  await page.getByLabel('example_org2').check()
  await page.getByRole('button', { name: 'Save' }).click()
  await expect(page.locator('main')).toContainText('example_org2')

  // A user: without invitations the first password is typed here.
  await page.goto('/users/new')
  await page.getByLabel('Username').fill(`nora${mark}`)
  await page.getByLabel('E-mail').fill(`nora${mark}@example.org`)
  await page.getByLabel('First name').fill('Nora')
  await page.getByLabel('Last name').fill('Newcomer')
  await page.getByLabel('Organization', { exact: true }).selectOption({ label: `Fjord ${mark}` })
  await page.getByLabel('Viewer', { exact: true }).check()
  await axe()
  await page.getByLabel(/password/i).first().fill(strong)
  await page.getByRole('button', { name: /^Create/ }).click()
  await expect(heading).toHaveText(new RegExp(`nora${mark}`))
  await expect(page.locator('main')).toContainText('A vantage6 server can neither invite nor deactivate users')
  await expect(page.getByRole('button', { name: 'Deactivate' })).toHaveCount(0)
  await expect(page.getByRole('link', { name: 'Viewer' })).toBeVisible()
  expect(typeof await api(world, `nora${mark}`, strong)).toBe('function')
  await page.getByRole('link', { name: 'Change' }).click()
  await page.getByLabel('Researcher', { exact: true }).check()
  await page.getByRole('button', { name: 'Save' }).click()
  await expect(page.getByRole('link', { name: 'Researcher' })).toBeVisible()

  // A role of the new organization.
  await page.goto('/roles/new')
  await page.getByLabel('Name', { exact: true }).fill(`Steward ${mark}`)
  await page.getByLabel('Organization', { exact: true }).selectOption({ label: `Fjord ${mark}` })
  await expect(page.getByRole('row', { name: /^review/ })).toHaveCount(0)
  await page.getByLabel('View task: organization').check()
  await page.getByRole('button', { name: 'Save' }).click()
  await expect(page.getByText('The role is created.')).toBeVisible()
  await axe()

  // What vantage6 has not is not offered.
  await expect(page.getByRole('link', { name: 'Reviews' })).toHaveCount(0)
  await expect(page.getByRole('link', { name: 'Audit' })).toHaveCount(0)
  await page.goto('/account')
  await expect(page.getByRole('region', { name: 'Second factor' })).toContainText('This server is a vantage6 server')
  await expect(page.getByRole('region', { name: 'Table of sessions' })).toContainText('this browser')
  await axe()

  // All of it goes.
  await page.goto(collaboration)
  await page.getByRole('link', { name: 'Delete', exact: true }).first().click()
  await page.getByRole('button', { name: 'Delete the collaboration' }).click()
  await expect(page.getByText('The collaboration is deleted.')).toBeVisible()
  await page.goto(`/organizations/${organization}/delete`)
  await expect(page.locator('main')).toContainText(/With it go:.*1 user.*1 role/s)
  await page.getByRole('button', { name: 'Delete the organization' }).click()
  await expect(page.getByText('The organization is deleted.')).toBeVisible()
})

test('an admin of an organization manages its own people on the real server and nobody else s', async ({ page, signIn, installation }) => {
  const { world } = installation
  await signIn('admin1')
  await page.goto('/users')
  await expect(page.getByRole('link', { name: 'researcher', exact: true })).toBeVisible()
  expect((await page.goto(`/users/${world.users.admin2}/edit`))?.status()).toBe(403)
  expect((await page.goto('/organizations/new'))?.status()).toBe(403)
  expect((await page.goto('/collaborations/new'))?.status()).toBe(403)
  for (const path of ['/reviews', '/audit']) expect((await page.goto(path))?.status(), path).toBe(403)
})
