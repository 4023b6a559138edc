// Second factor and recovery, on the real server and on Atoll's own hub, whose mails arrive at a mail server of the
// test. The pages around signing in have no script.
import type { AddressInfo } from 'node:net'
import { SMTPServer } from 'smtp-server'
import { expect, Portal, RealWorld, test as base, type Page, type WorldDescription } from './real'
import { code } from '../tests/second_factor'

/** Takes mails and keeps them. */
class MailServer {
  readonly mails: string[] = []
  private readonly server = new SMTPServer({
    disabledCommands: ['AUTH', 'STARTTLS'],
    onData: (stream, _, done) => {
      let text = ''
      stream.on('data', (chunk) => { text += chunk })
      stream.on('end', () => { this.mails.push(text); done() })
    },
  })
  static async start(): Promise<MailServer> {
    const mail = new MailServer()
    await new Promise<void>((done) => mail.server.listen(0, '127.0.0.1', done))
    return mail
  }
  get address(): string { return `127.0.0.1:${(this.server.server.address() as AddressInfo).port}` }
  stop(): Promise<void> { return new Promise((done) => this.server.close(done)) }
  /** The code in the next mail to somebody: it stands on a line of its own. */
  async code(to: string, seen: number): Promise<string> {
    await expect.poll(() => this.mails.length).toBeGreaterThan(seen)
    const mail = this.mails[seen]
    expect(mail).toContain(`To: ${to}`)
    const text = mail.replace(/=\r\n/g, '').replace(/=3D/g, '=')
    return text.match(/^([\w-]+\.[\w-]+\.[\w-]+)\r$/m)?.[1] ?? ''
  }
}

type Guarded = { world: WorldDescription, portal: Portal, mail: MailServer }
const guarded = (...args: string[]) => base.extend<object, { guarded: Guarded }>({
  guarded: [async ({}, use) => {
    const mail = await MailServer.start()
    const world = await RealWorld.start('--without-store', '--two-factor', '--smtp', mail.address, ...args)
    const portal = await Portal.start(world.description.url)
    await use({ world: world.description, portal, mail })
    await portal.stop()
    await world.stop()
    await mail.stop()
  }, { scope: 'worker', timeout: 240_000 }],
  baseURL: async ({ guarded }, use) => use(guarded.portal.url),
})

const enter = async (page: Page, username: string, password: string) => {
  await page.goto('/login?next=/tasks')
  await page.getByLabel('Username').fill(username)
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Sign in' }).click()
}
const give = async (page: Page, digits: string) => {
  await page.getByLabel('Code', { exact: true }).fill(digits)
  await page.getByRole('button', { name: 'Sign in' }).click()
}
const signOut = async (page: Page, name: string) => {
  await page.locator('summary').filter({ hasText: name }).click()
  await page.getByRole('button', { name: 'Sign out' }).click()
  await expect(page.getByText('You are signed out.')).toBeVisible()
}

// Atoll takes each code once only; the real server takes that of the present half minute only.
for (const [server, test, later] of [['the real server', guarded(), 0], ["Atoll's own hub", guarded('--atoll'), 1]] as const) {
  test(`${server}: the second factor is set up with the first sign-in, asked for afterwards, and replaced when it is lost`, async ({ page, guarded }) => {
    const { world, mail } = guarded
    await enter(page, 'viewer', world.password)
    await expect(page.getByRole('img', { name: 'QR code for an authenticator app' })).toBeVisible()
    const key = await page.locator('.secret').innerText()
    await give(page, code(key))
    await expect(page.getByRole('heading', { level: 1 })).toHaveText('Tasks')
    await signOut(page, 'Vera')
    await enter(page, 'viewer', world.password)
    await expect(page.getByRole('img')).toHaveCount(0)
    await give(page, String((Number(code(key, later)) + 1) % 1_000_000).padStart(6, '0'))
    await expect(page.getByRole('alert')).toContainText('This code is not right')
    await give(page, code(key, later))
    await expect(page.getByRole('heading', { level: 1 })).toHaveText('Tasks')
    await signOut(page, 'Vera')
    // The phone is lost.
    const seen = mail.mails.length
    await enter(page, 'viewer', world.password)
    await page.getByRole('link', { name: 'I have lost my authenticator app' }).click()
    await page.getByLabel('Username').fill('viewer')
    await page.getByLabel('Password').fill(world.password)
    await page.getByRole('button', { name: 'Send the code' }).click()
    await page.getByLabel('Code from the mail').fill(await mail.code('viewer@example.org', seen))
    await page.getByRole('button', { name: 'Set up a new second factor' }).click()
    const fresh = await page.locator('.secret').innerText()
    expect(fresh).not.toBe(key)
    await enter(page, 'viewer', world.password)
    await give(page, code(fresh))
    await expect(page.getByRole('heading', { level: 1 })).toHaveText('Tasks')
  })

  test(`${server}: a forgotten password is replaced with the code of a mail, and changed when one is signed in`, async ({ page, guarded }) => {
    const { mail } = guarded
    const seen = mail.mails.length
    await page.goto('/password/lost')
    await page.getByLabel('Username or e-mail address').fill('admin2@example.org')
    await page.getByRole('button', { name: 'Send the code' }).click()
    await expect(page.getByText('If there is such an account')).toBeVisible()
    await page.getByLabel('Code from the mail').fill(await mail.code('admin2@example.org', seen))
    await page.getByLabel('New password', { exact: true }).fill('Another-Passw0rd!')
    await page.getByLabel('New password once more').fill('Another-Passw0rd!')
    await page.getByRole('button', { name: 'Set the password' }).click()
    if (later) {
      // Atoll: a mailbox alone does not open an account.
      await page.goto('/second-factor/lost')
      await page.getByLabel('Username').fill('admin2')
      await page.getByLabel('Password').fill('Another-Passw0rd!')
      await page.getByRole('button', { name: 'Send the code' }).click()
      await expect(page.getByRole('alert')).toContainText('cannot be replaced by mail as well')
    }
    await enter(page, 'admin2', 'Another-Passw0rd!')
    await give(page, code(await page.locator('.secret').innerText()))
    await expect(page.getByRole('heading', { level: 1 })).toHaveText('Tasks')
    await page.goto('/account/password')
    await page.getByLabel('Present password').fill('wrong')
    await page.getByLabel('New password', { exact: true }).fill('A-third-Passw0rd!')
    await page.getByLabel('New password once more').fill('A-third-Passw0rd!')
    await page.getByRole('button', { name: 'Change the password' }).click()
    await expect(page.locator('.field-error')).toBeVisible()
    await page.getByLabel('Present password').fill('Another-Passw0rd!')
    await page.getByLabel('New password', { exact: true }).fill('A-third-Passw0rd!')
    await page.getByLabel('New password once more').fill('A-third-Passw0rd!')
    await page.getByRole('button', { name: 'Change the password' }).click()
    await expect(page.getByText('Your password is changed.')).toBeVisible()
  })
}
