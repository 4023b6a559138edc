// Every page: what it shows, errors, deep links, headers.
import { createTask, expect, fillWizard, password, results, signIn, test } from './atoll'

test('the title of the window is plain words', async ({ page, signIn }) => {
  await page.goto('/login')
  expect(await page.title()).toBe('Sign in · Atoll')
  await signIn('viewer')
  await page.goto('/tasks?q=%3Cb%3E')
  expect(await page.title()).toBe('Tasks · Atoll')
})

test('a deep link survives signing in', async ({ page }) => {
  await page.goto('/collaborations/1')
  await expect(page).toHaveURL(/\/login\?next=%2Fcollaborations%2F1$/)
  await page.getByLabel('Username').fill('viewer')
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await expect(page).toHaveURL(/\/collaborations\/1$/)
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('example_collab1')
})

test('a wrong password is told, keeps the username and tells nothing else', async ({ page }) => {
  const messages: string[] = []
  for (const username of ['viewer', 'nobody-at-all']) {
    await page.goto('/login')
    await page.getByLabel('Username').fill(username)
    await page.getByLabel('Password').fill('wrong')
    await page.getByRole('button', { name: 'Sign in' }).click()
    messages.push(await page.getByRole('alert').innerText())
    await expect(page.getByLabel('Username')).toHaveValue(username)
    await expect(page.getByLabel('Password')).toHaveValue('')
  }
  expect(messages[0]).toBe(messages[1])
})

test('sign out ends the session', async ({ page, signIn }) => {
  await signIn('viewer')
  await page.getByLabel('Account of Vera Viewer').click()
  await page.getByRole('button', { name: 'Sign out' }).click()
  await expect(page.getByText('You are signed out.')).toBeVisible()
  await page.goto('/tasks')
  await expect(page).toHaveURL(/\/login/)
})

test('a collaboration shows organizations, nodes, databases and columns', async ({ page, signIn }) => {
  await signIn('viewer')
  await page.getByRole('link', { name: 'Collaborations' }).click()
  await page.getByRole('link', { name: 'example_collab1' }).click()
  const row = page.getByRole('row', { name: /example_org2/ })
  await expect(row).toContainText('online')
  await expect(row).toContainText('my_other_database')
  await expect(row).toContainText('patient, age, sex, weight, height')
})

test('an organization shows its collaborations and node', async ({ page, signIn }) => {
  await signIn('viewer')
  await page.getByRole('link', { name: 'Organizations' }).click()
  await page.getByRole('link', { name: 'example_org3' }).click()
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('example_org3')
  await expect(page.getByRole('link', { name: 'example_collab1' })).toBeVisible()
})

test('who may not create tasks is not offered it and is refused', async ({ page, signIn }) => {
  await signIn('viewer')
  await expect(page.getByRole('link', { name: 'New task' })).toHaveCount(0)
  await page.goto('/tasks/new')
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('You may not do this')
})

test('what does not exist has a page', async ({ page, signIn }) => {
  await signIn('viewer')
  for (const path of ['/nowhere', '/tasks/999999', '/tasks/abc', '/collaborations/99', '/organizations/x']) {
    const response = await page.goto(path)
    expect([403, 404]).toContain(response?.status())
    await expect(page.getByRole('heading', { level: 1 })).toHaveText(/Not found|You may not do this/)
    await expect(page.getByRole('link', { name: 'Go to the start page' })).toBeVisible()
  }
})

test('the list of tasks is searched, filtered and sorted, and its state is in the address', async ({ page, signIn }) => {
  await signIn('researcher')
  const name = `Findable ${Math.random().toString(36).slice(2)}`
  await fillWizard(page, { function: 'Sum and count', organizations: ['example_org1'], name })
  const id = await createTask(page)
  await results(page)
  await page.goto('/tasks')
  await page.getByLabel('Search by id or name').fill(name)
  await page.getByLabel('Status').selectOption('completed')
  await page.getByLabel('Sort').selectOption('name')
  await page.getByRole('button', { name: 'Apply' }).click()
  await expect(page).toHaveURL(/status=completed/)
  await expect(page.getByRole('link', { name })).toBeVisible()
  await expect(page.getByText('1–1 of 1')).toBeVisible()
  await page.getByLabel('Status').selectOption('crashed')
  await page.getByRole('button', { name: 'Apply' }).click()
  await expect(page.getByText('No task matches.')).toBeVisible()
  await page.goto(`/tasks?q=${id}`)
  await expect(page.getByRole('row', { name }).first()).toBeVisible()
})

test('every answer has the security headers, assets and errors included', async ({ page, request, demo }) => {
  await signIn(page, 'researcher')
  const html = await (await request.get(`${demo.url}/login`)).text()
  const asset = html.match(/\/pkg\/[^"]+\.css/)?.[0] ?? 'missing'
  for (const path of ['/login', '/', asset, '/favicon.svg', '/nowhere', '/api/version', '/api/nowhere', '/healthz']) {
    const headers = (await request.get(demo.url + path, { maxRedirects: 0 })).headers()
    expect(headers['x-content-type-options'], path).toBe('nosniff')
    expect(headers['referrer-policy'], path).toBe('same-origin')
    expect(headers['cross-origin-opener-policy'], path).toBe('same-origin')
    expect(headers['content-security-policy'], path).toContain("frame-ancestors 'none'")
    expect(headers['server'], path).toBeUndefined()
    expect(headers['cache-control'], path).toBeTruthy()
  }
  const cookies = await page.context().cookies()
  // The session, and by what the browser is known at the next sign-in.
  expect(cookies.map((cookie) => cookie.name).sort()).toEqual(['atoll', 'atoll-browser'])
  for (const cookie of cookies) expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'Lax' })
  expect(await page.content()).not.toMatch(/eyJ[A-Za-z0-9_-]+\./)
  const tasks = await page.goto('/tasks')
  expect(tasks?.headers()['cache-control']).toBe('no-store')
  expect(tasks?.headers()['content-security-policy']).toContain("script-src 'none'")
  const wizard = await page.goto('/tasks/new')
  await page.getByRole('button', { name: 'Next', exact: true }).click()
  await page.getByLabel('Sum and count').check()
  const [organizations] = await Promise.all([
    page.waitForResponse((response) => response.url().includes('step=organizations')),
    page.getByRole('button', { name: 'Next', exact: true }).click(),
  ])
  expect(wizard?.headers()['content-security-policy']).toContain("script-src 'none'")
  expect(organizations.headers()['content-security-policy']).toMatch(/script-src 'nonce-[^']+' 'strict-dynamic'/)
})

test('a form from another site changes nothing', async ({ request, demo }) => {
  const response = await request.post(`${demo.url}/login`, {
    headers: { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
    form: { username: 'viewer', password },
    maxRedirects: 0,
  })
  expect(response.status()).toBe(403)
  expect(await response.text()).toContain('came from another site')
})
