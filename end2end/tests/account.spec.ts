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
  await page.getByLabel('Code from the mail').fill('not.a.code')
  await page.getByLabel('New password', { exact: true }).fill('Another-Passw0rd!')
  await page.getByLabel('New password once more').fill('Another-Passw0rd!')
  await page.getByRole('button', { name: 'Set the password' }).click()
  await expect(page.getByRole('alert')).toContainText('Invalid recovery token!')
  await expect(page.getByLabel('Code from the mail')).toHaveValue('not.a.code')
})
