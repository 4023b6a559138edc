// One's own account: another password, and the second factor.
import { accessible, Demo, expect, password, test } from './atoll'
import { code } from './second_factor'

const separate = test.extend<{ own: Demo }>({
  own: async ({}, use) => {
    const own = await Demo.start('--two-factor')
    await use(own)
    await own.stop()
  },
  baseURL: async ({ own }, use) => use(own.url),
})

separate('the second factor is set up with the first sign-in and asked for afterwards', async ({ page, scripted }) => {
  const enter = async () => {
    await page.goto('/login?next=/tasks')
    await page.getByLabel('Username').fill('viewer')
    await page.getByLabel('Password').fill(password)
    await page.getByRole('button', { name: 'Sign in' }).click()
  }
  const give = async (digits: string) => {
    await page.getByLabel('Code', { exact: true }).fill(digits)
    await page.getByRole('button', { name: 'Sign in' }).click()
  }
  await enter()
  await expect(page.getByRole('img', { name: 'QR code for an authenticator app' })).toBeVisible()
  if (scripted) await accessible(page)
  const key = await page.locator('.secret').innerText()
  await give('12 34')
  await expect(page.getByRole('alert')).toContainText('six digits')
  await give(code(key))
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Tasks')
  await page.locator('summary').filter({ hasText: 'Vera' }).click()
  await page.getByRole('button', { name: 'Sign out' }).click()
  await expect(page.getByText('You are signed out.')).toBeVisible()
  await enter()
  await expect(page.getByRole('img')).toHaveCount(0)
  // The one before was used, and a wrong one is wrong.
  const wrong = String((Number(code(key, 1)) + 1) % 1_000_000).padStart(6, '0')
  await give(wrong)
  await expect(page.getByRole('alert')).toContainText('This code is not right')
  await give(code(key, 1))
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Tasks')
})

separate('nobody gets to the code without a password', async ({ page }) => {
  await page.goto('/login/code')
  await expect(page.getByText('Sign in with your password first.')).toBeVisible()
})

test('the password is changed after the present one was given', async ({ page, scripted, signIn }) => {
  const change = async (current: string, fresh: string, repeated = fresh) => {
    await page.goto('/account/password')
    await page.getByLabel('Present password').fill(current)
    await page.getByLabel('New password', { exact: true }).fill(fresh)
    await page.getByLabel('New password once more').fill(repeated)
    await page.getByRole('button', { name: 'Change the password' }).click()
  }
  await signIn('admin3')
  await page.goto('/account/password')
  if (scripted) await accessible(page)
  await change('wrong', 'Another-Passw0rd!')
  await expect(page.getByText('This is not your present password.')).toBeVisible()
  await change(password, 'weak')
  await expect(page.getByText('Password too short')).toBeVisible()
  await change(password, 'Another-Passw0rd!', 'Another-Passw0rd?')
  await expect(page.getByText('This is not the same.')).toBeVisible()
  await change(password, 'Another-Passw0rd!')
  await expect(page.getByText('Your password is changed.')).toBeVisible()
  await change('Another-Passw0rd!', password)
  await expect(page.getByText('Your password is changed.')).toBeVisible()
})

test('a forgotten password is asked for without telling who exists', async ({ page, scripted }) => {
  await page.goto('/login')
  await page.getByRole('link', { name: 'Forgotten your password?' }).click()
  if (scripted) await accessible(page)
  await page.getByLabel('Username or e-mail address').fill('nobody')
  await page.getByRole('button', { name: 'Send the code' }).click()
  await expect(page.getByText('If there is such an account')).toBeVisible()
  await expect(page.getByText('the next one can be sent in 15 minutes')).toBeVisible()
  // Again too early: the same for every account, whether there is one or not.
  await page.goto('/password/lost')
  await page.getByLabel('Username or e-mail address').fill('Nobody')
  await page.getByRole('button', { name: 'Send the code' }).click()
  await expect(page.getByText('the next can be sent in 15 minutes')).toBeVisible()
  await page.getByLabel('Code from the mail').fill('not.a.code')
  await page.getByLabel('New password', { exact: true }).fill('Another-Passw0rd!')
  await page.getByLabel('New password once more').fill('Another-Passw0rd!')
  await page.getByRole('button', { name: 'Set the password' }).click()
  await expect(page.getByRole('alert')).toContainText('Invalid recovery token!')
  await expect(page.getByLabel('Code from the mail')).toHaveValue('not.a.code')
})

const chosen = test.extend<{ own: Demo }>({
  own: async ({}, use) => {
    const own = await Demo.start()
    await use(own)
    await own.stop()
  },
  baseURL: async ({ own }, use) => use(own.url),
})

chosen('a second factor is set up by choice, its recovery codes stand in for it, and it is turned off', async ({ page, scripted, signIn }) => {
  test.setTimeout(90_000)
  const axe = async () => { if (scripted) await accessible(page) }
  const prove = async (button: string, digits?: string, secret = password) => {
    await page.getByLabel('Your password').fill(secret)
    if (digits) await page.getByLabel('Code', { exact: true }).fill(digits)
    await page.getByRole('button', { name: button }).click()
  }
  const codes = async () => {
    await expect(page.getByRole('heading', { level: 1 })).toHaveText('Your recovery codes')
    await axe()
    const text = await page.locator('#copy-source').innerText()
    const lines = text.trim().split('\n')
    expect(lines).toHaveLength(10)
    await page.getByRole('link', { name: 'I have kept them' }).click()
    expect(await page.content()).not.toContain(lines[0])
    return lines
  }
  const section = page.getByRole('region', { name: 'Second factor' })
  await signIn('researcher')
  await page.locator('summary').filter({ hasText: 'Rosa' }).click()
  await page.getByRole('link', { name: 'Your account' }).click()
  await expect(section).toContainText('Off: your password alone')
  await axe()
  await section.getByRole('link', { name: 'Set up an authenticator app' }).click()
  await axe()
  await prove('Go on', undefined, 'wrong')
  await expect(page.locator('#password-error')).toHaveText('This is not your present password.')
  await prove('Go on')
  await expect(page.getByRole('img', { name: 'QR code for an authenticator app' })).toBeVisible()
  await axe()
  const key = await page.locator('.secret').innerText()
  await page.getByLabel('Code that the app shows').fill('123')
  await page.getByRole('button', { name: 'Turn it on' }).click()
  await expect(page.locator('#code-error')).toContainText('six digits')
  expect(await page.content()).not.toContain(key)
  await page.getByLabel('Code that the app shows').fill(code(key))
  await page.getByRole('button', { name: 'Turn it on' }).click()
  const [first, second] = await codes()
  await expect(section).toContainText('10 recovery codes are left.')

  await page.locator('summary').filter({ hasText: 'Rosa' }).click()
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.getByLabel('Username').fill('researcher')
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByLabel('Code', { exact: true }).fill(first.toLowerCase())
  await page.getByRole('button', { name: 'Sign in' }).click()
  await expect(page.getByRole('heading', { level: 1 })).toContainText('Welcome')
  await page.goto('/account')
  await expect(section).toContainText('9 recovery codes are left.')

  await section.getByRole('link', { name: 'New recovery codes' }).click()
  await prove('Make new codes', first)
  await expect(page.locator('#code-error')).toContainText('not right, or it was used already')
  await prove('Make new codes', second)
  const [fresh] = await codes()
  await section.getByRole('link', { name: 'Turn off' }).click()
  await axe()
  await prove('Turn it off', fresh)
  await expect(page.getByText('The second factor is turned off.')).toBeVisible()
  await expect(section).toContainText('Off: your password alone')
})

chosen('sessions in other browsers are seen and ended, one or all', async ({ page, browser, own, scripted, signIn }) => {
  const elsewhere = async (userAgent: string) => {
    const context = await browser.newContext({ baseURL: own.url, javaScriptEnabled: scripted, userAgent })
    const other = await context.newPage()
    await other.goto('/login')
    await other.getByLabel('Username').fill('researcher')
    await other.getByLabel('Password').fill(password)
    await other.getByRole('button', { name: 'Sign in' }).click()
    await expect(other.getByRole('heading', { level: 1 })).toContainText('Welcome')
    return other
  }
  const [firefox, safari, phone] = [
    await elsewhere('Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'),
    await elsewhere('Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 Version/18.0 Safari/605.1.15'),
    await elsewhere('Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/138.0.0.0 Mobile Safari/537.36'),
  ]
  await signIn('researcher')
  await page.goto('/account')
  const rows = page.getByRole('region', { name: 'Table of sessions' }).locator('tbody tr')
  await expect(rows).toHaveCount(4)
  await expect(rows.first()).toContainText('this browser')
  await expect(rows.first().getByRole('button')).toHaveCount(0)
  await rows.filter({ hasText: 'Firefox on Linux' }).getByRole('button').click()
  await expect(page.getByText('One session has ended.')).toBeVisible()
  await expect(rows).toHaveCount(3)
  await firefox.goto('/tasks')
  await expect(firefox.getByRole('heading', { level: 1 })).toHaveText('Sign in')
  await phone.goto('/tasks')
  await expect(phone.getByRole('heading', { level: 1 })).toHaveText('Tasks')
  await page.getByRole('button', { name: 'Sign out all others' }).click()
  await expect(rows).toHaveCount(1)
  await safari.goto('/tasks')
  await expect(safari.getByRole('heading', { level: 1 })).toHaveText('Sign in')

  await page.getByRole('link', { name: 'Sign out everywhere, programs too' }).click()
  if (scripted) await accessible(page)
  await page.getByRole('button', { name: 'Sign out everywhere' }).click()
  await expect(page.getByText('You are signed out everywhere.')).toBeVisible()
  await page.goto('/account')
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Sign in')
  for (const other of [firefox, safari, phone]) await other.context().close()
})

separate('an admin lets somebody who lost their second factor set up a new one', async ({ page, own, scripted, request }) => {
  const first = await (await request.post(`${own.url}/api/token/user`, { data: { username: 'researcher', password } })).json()
  const signedIn = await request.post(`${own.url}/api/token/user`, { data: { username: 'researcher', password, mfa_code: code(first.otp_secret) } })
  expect(signedIn.ok()).toBe(true)
  await page.goto('/login')
  await page.getByLabel('Username').fill('admin1')
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  const key = await page.locator('.secret').innerText()
  await page.getByLabel('Code', { exact: true }).fill(code(key))
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.goto('/users')
  await page.getByRole('link', { name: 'researcher', exact: true }).click()
  await page.getByRole('button', { name: 'Reset second factor' }).click()
  await expect(page.locator('.flash.success')).toBeVisible()
  if (scripted) await accessible(page)
  const again = await (await request.post(`${own.url}/api/token/user`, { data: { username: 'researcher', password } })).json()
  expect(again.otp_secret).toBeTruthy()
  expect(again.otp_secret).not.toBe(first.otp_secret)
})
