// A researcher asks, admins decide: with two admins, one who does not have to, and one who may not.
import { type Browser, type BrowserContext, type Page } from '@playwright/test'
import { readFileSync, writeFileSync } from 'node:fs'
import { Demo, Program, accessible, createTask, expect, fillWizard, loadAgain, signIn, test } from './atoll'

/** Somebody with a browser of their own; any error on its console fails the test at its end. */
class Person {
  private constructor(readonly page: Page, private readonly context: BrowserContext, private readonly errors: string[]) {}
  static async come(browser: Browser, demo: Demo, name: string, javaScriptEnabled: boolean): Promise<Person> {
    const context = await browser.newContext({ baseURL: demo.url, javaScriptEnabled })
    const page = await context.newPage()
    const errors: string[] = []
    page.on('console', (message) => {
      if (message.type() === 'error' && !/status of 4\d\d/.test(message.text())) errors.push(`${name}: ${message.text()}`)
    })
    page.on('pageerror', (error) => errors.push(`${name}: ${error}`))
    await signIn(page, name)
    return new Person(page, context, errors)
  }
  async leave(): Promise<void> {
    await this.context.close()
    expect(this.errors, 'errors on the console').toEqual([])
  }
}

/** A page as it is now: without scripts it is loaded again. */
async function shows(page: Page, scripted: boolean, text: string | RegExp): Promise<void> {
  if (scripted) return expect(page.locator('main')).toContainText(text)
  await expect.poll(async () => { await loadAgain(page); return page.locator('main').textContent() }, { timeout: 20_000 }).toMatch(
    text instanceof RegExp ? text : new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')))
}

const count = (page: Page) => page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: /^Reviews/ })

test('a researcher asks, one admin rejects with a reason, the other approves, and the result is there', async ({ browser, scripted }) => {
  test.setTimeout(120_000)
  const demo = await Demo.start('--review-at', 'example_org1,example_org2')
  const [researcher, admin1, admin2, admin3] = await Promise.all(
    ['researcher', 'admin1', 'admin2', 'admin3'].map((name) => Person.come(browser, demo, name, scripted)))
  try {
    for (const admin of [admin1, admin2]) {
      await admin.page.goto('/reviews')
      await expect(admin.page.getByText('Nothing waits for a decision of yours.')).toBeVisible()
    }
    await fillWizard(researcher.page, { function: 'Sum and count', organizations: ['example_org1', 'example_org2'], name: 'Ages of both' })
    await expect(researcher.page.getByText('An admin reviews it before it starts.')).toHaveCount(2)
    const id = await createTask(researcher.page)
    await shows(researcher.page, scripted, '2 still have to decide')
    await expect(researcher.page.locator('.status-line')).toContainText('awaiting review')
    await shows(researcher.page, scripted, /example_org2 has not decided yet whether it may start: waiting since \d{4}-\d\d-\d\d \d\d:\d\d UTC/)
    if (scripted) await accessible(researcher.page)

    // Who has to decide sees it at once; who has not, sees nothing.
    await shows(admin2.page, scripted, '1 request waits for a decision of yours.')
    await expect(count(admin2.page)).toHaveText(/Reviews\s*1/)
    await admin3.page.goto('/reviews')
    await expect(admin3.page.getByText('Nothing waits for a decision of yours.')).toBeVisible()
    await expect(count(admin3.page)).toHaveText(/^\s*Reviews\s*$/)
    await admin2.page.getByRole('link', { name: /^partial_average · run/ }).click()
    const guessed = admin2.page.url()
    await expect(admin2.page.locator('main')).toContainText('researcher of example_org1')
    await expect(admin2.page.locator('main')).toContainText('The sum and the number of the values in the column: two numbers.')
    await expect(admin2.page.locator('main')).toContainText('This function has not run here before.')
    await expect(admin2.page.locator('main')).toContainText('column_name = age')
    if (scripted) await accessible(admin2.page)
    for (const other of [admin1, admin3, researcher]) {
      const answer = await other.page.request.get(guessed)
      expect([403, 404]).toContain(answer.status())
    }

    await admin2.page.getByRole('button', { name: 'Reject' }).click()
    await expect(admin2.page.getByText('A rejection needs a reason, which the researcher reads.')).toBeVisible()
    if (scripted) await accessible(admin2.page)
    const late = await admin2.page.context().newPage()
    await late.goto(guessed)
    await late.getByLabel('Comment, if you like').fill('Looks fine')
    await admin2.page.getByLabel('Reason').fill('The ethics approval is missing.')
    await admin2.page.getByRole('button', { name: 'Reject' }).click()
    await expect(admin2.page.getByText(/Run \d+ is rejected/)).toBeVisible()
    // Who comes second sees it at once, is told, and loses nothing.
    if (scripted) {
      await expect(late.locator('#live')).toContainText('rejected by admin2: The ethics approval is missing.')
      await expect(late.getByRole('link', { name: 'Load the page again' })).toBeVisible()
      await expect(late.getByLabel('Comment, if you like')).toHaveValue('Looks fine')
    }
    await late.getByRole('button', { name: 'Approve' }).click()
    await expect(late.getByRole('alert')).toContainText('It is rejected already by admin2.')
    await expect(late.getByRole('alert')).toContainText('You had written: Looks fine')
    await late.close()
    await expect(count(admin2.page)).toHaveText(/^\s*Reviews\s*$/)
    await shows(researcher.page, scripted, 'The ethics approval is missing.')
    await shows(researcher.page, scripted, '1 still has to decide')

    await shows(admin1.page, scripted, '1 request waits for a decision of yours.')
    await admin1.page.getByRole('link', { name: /^partial_average · run/ }).click()
    await admin1.page.getByLabel('Comment, if you like').fill('As agreed')
    await admin1.page.getByRole('button', { name: 'Approve' }).click()
    await expect(admin1.page.getByText(/Run \d+ is approved; its node starts it/)).toBeVisible()
    await shows(researcher.page, scripted, '1 of 2 organizations returned, 1 refused')
    const rows = researcher.page.getByRole('region', { name: 'Results table' }).locator('tbody tr')
    await expect(rows).toHaveText([/example_org1\s*253\s*4/])

    await admin1.page.goto('/reviews?show=decided')
    await expect(admin1.page.locator('main')).toContainText('approved by admin1: As agreed')
    if (scripted) await accessible(admin1.page)
    await admin1.page.getByRole('link', { name: /^partial_average · run/ }).click()
    await expect(admin1.page.locator('main')).toContainText('for this run only; 1 run has started by it')
    expect(id).toBeGreaterThan(0)

    // What happened stands in the log, for each admin of the own organization.
    for (const [admin, action, other] of [[admin1, 'review.approve', 'review.reject'], [admin2, 'review.reject', 'review.approve']] as const) {
      await admin.page.goto('/audit?kind=review')
      const main = admin.page.getByRole('region', { name: 'Audit entries' })
      await expect(main).toContainText(action)
      await expect(main).not.toContainText(other)
      await expect(admin.page.getByText('Nothing of it was changed or taken away')).toBeVisible()
      if (scripted) await accessible(admin.page)
    }
  } finally {
    for (const person of [researcher, admin1, admin2, admin3]) await person.leave()
    await demo.stop()
  }
})

test('several requests are decided at once, and one approval can be for more runs', async ({ browser, scripted }) => {
  test.setTimeout(120_000)
  const demo = await Demo.start('--review-at', 'example_org1')
  const [researcher, admin] = await Promise.all(['researcher', 'admin1'].map((name) => Person.come(browser, demo, name, scripted)))
  try {
    const ask = async (column: string) => {
      await fillWizard(researcher.page, { function: 'Sum and count', organizations: ['example_org1'], column, name: `Sum of ${column}` })
      await createTask(researcher.page)
    }
    await ask('age')
    await admin.page.goto('/reviews')
    await shows(admin.page, scripted, '1 request waits for a decision of yours.')
    if (scripted) {
      // What was chosen and typed stays when more arrives.
      await admin.page.getByLabel(/^Choose partial_average/).check()
      await admin.page.getByLabel('Reason or comment').fill('Routine')
    }
    await researcher.page.goto('/tasks')
    await expect(researcher.page.getByRole('row', { name: /Sum of age/ })).toContainText('awaiting review')
    await ask('height')
    await shows(admin.page, scripted, '2 requests wait for a decision of yours.')
    await expect(count(admin.page)).toHaveText(/Reviews\s*2/)
    if (scripted) {
      await expect(admin.page.getByLabel(/^Choose partial_average/).first()).toBeChecked()
      await expect(admin.page.getByLabel('Reason or comment')).toHaveValue('Routine')
    }
    await admin.page.getByLabel('Reason or comment').fill('')
    for (const box of await admin.page.getByLabel(/^Choose partial_average/).all()) await box.check()
    await admin.page.getByRole('button', { name: 'Reject chosen' }).click()
    await expect(admin.page.getByText('A rejection needs a reason, which the researchers read.')).toBeVisible()
    await expect(admin.page.getByLabel(/^Choose partial_average/).first()).toBeChecked()
    await admin.page.getByRole('button', { name: /^Approve chosen/ }).click()
    await expect(admin.page.getByText('2 requests are approved.')).toBeVisible()
    await shows(researcher.page, scripted, '1 of 1 organization returned')

    await ask('age')
    await shows(admin.page, scripted, '1 request waits for a decision of yours.')
    await admin.page.getByRole('link', { name: /^partial_average · run/ }).click()
    await expect(admin.page.locator('main')).toContainText(/Earlier decisions about exactly the same.*approved by admin1/s)
    await admin.page.getByLabel('this many runs that ask for exactly the same').check()
    await admin.page.getByRole('button', { name: 'Approve' }).click()
    await expect(admin.page.getByText('Say how many runs, such as 5.')).toBeVisible()
    await admin.page.getByLabel('Number of runs').fill('2')
    await admin.page.getByRole('button', { name: 'Approve' }).click()
    await expect(admin.page.getByText(/Run \d+ is approved/)).toBeVisible()
    await shows(researcher.page, scripted, '1 of 1 organization returned')
    await ask('age')
    await shows(researcher.page, scripted, '1 of 1 organization returned')
    await admin.page.goto('/reviews?show=decided')
    await admin.page.getByRole('link', { name: /^partial_average · run/ }).first().click()
    await expect(admin.page.locator('main')).toContainText('for 2 runs of exactly the same, as long as the data stay as they are; 2 runs have started by it')
    await admin.page.getByRole('button', { name: 'Withdraw' }).click()
    await expect(admin.page.getByText('no other run starts by it')).toBeVisible()
  } finally {
    for (const person of [researcher, admin]) await person.leave()
    await demo.stop()
  }
})

test('a result is held until an admin releases it, and the policies that say so are shown', async ({ browser, scripted }) => {
  const demo = await Demo.start('--without-node', 'example_org1')
  const config = demo.nodeConfig('example_org1')
  const policies = 'policies:\n  release: review\n  review_expires_after_days: 7\n'
  const text = readFileSync(config, 'utf8').replace('policies:\n', policies).replace('smallest_cell: 1', 'smallest_cell: 3')
  writeFileSync(config, text)
  const node = Program.start('node', '--config', config)
  const [researcher, admin] = await Promise.all(['researcher', 'admin1'].map((name) => Person.come(browser, demo, name, scripted)))
  try {
    await node.says(/the node is ready/)
    const organization = researcher.page.getByRole('main')
    await expect.poll(async () => { await researcher.page.goto('/organizations/2'); return organization.textContent() }).toContain('smallest_cell 3')
    await expect(organization).toContainText(/Review before a result leaves\s*always/)
    await expect(organization).toContainText(/Refused if nobody decides within\s*7 days/)
    const ask = () => fillWizard(researcher.page, { function: 'Sum and count', organizations: ['example_org1'], name: 'Held' })
    await ask()
    await createTask(researcher.page)
    await shows(researcher.page, scripted, /awaiting release/i)
    await admin.page.goto('/reviews')
    await shows(admin.page, scripted, 'its result wants to leave')
    await expect(admin.page.getByLabel(/^Choose/)).toHaveCount(0)
    await expect(admin.page.getByRole('button', { name: 'Reject chosen' })).toBeHidden()
    await admin.page.getByRole('link', { name: /^partial_average · run/ }).click()
    await expect(admin.page.locator('main')).toContainText('this page knows only that it is held')
    await expect(admin.page.locator('main')).not.toContainText('253')
    if (scripted) await accessible(admin.page)
    await admin.page.getByRole('button', { name: 'Release the result' }).click()
    await expect(admin.page.getByText(/The result of run \d+ is released/)).toBeVisible()
    await shows(researcher.page, scripted, '253')
    await ask()
    await createTask(researcher.page)
    await admin.page.goto('/reviews')
    await shows(admin.page, scripted, 'its result wants to leave')
    await admin.page.getByRole('link', { name: /^partial_average · run/ }).click()
    await admin.page.getByLabel('Reason').fill('Too few patients')
    await admin.page.getByRole('button', { name: 'Withhold the result' }).click()
    await shows(researcher.page, scripted, 'Too few patients')
    await expect(researcher.page.locator('main')).not.toContainText('253')
  } finally {
    for (const person of [researcher, admin]) await person.leave()
    await node.stop()
    await demo.stop()
  }
})
