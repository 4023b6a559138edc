// A running demo for each worker, pages that fail on console errors, and the words of the screens.
import AxeBuilder from '@axe-core/playwright'
import { test as base, expect, type Page } from '@playwright/test'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

export { expect }
const program = process.env.ATOLL_PROGRAM ?? resolve(import.meta.dirname, '../../target/release/atoll')
const site = resolve(import.meta.dirname, '../../target/site')
export const password = 'Atoll-demo-1'

/** A process of Atoll. */
export class Program {
  private output = ''
  private constructor(private readonly child: ChildProcess) {
    const take = (chunk: Buffer) => { this.output += chunk.toString() }
    child.stdout?.on('data', take)
    child.stderr?.on('data', take)
  }
  static start(...args: string[]): Program { return Program.with({}, ...args) }
  /** With variables of the environment. */
  static with(variables: Record<string, string>, ...args: string[]): Program {
    const environment = { ...process.env, RUST_LOG: 'info,tower_http=warn', RUST_BACKTRACE: '0', ...variables }
    return new Program(spawn(program, args, { env: environment, stdio: ['ignore', 'pipe', 'pipe'] }))
  }
  /** Waits until the output matches. */
  async says(pattern: RegExp): Promise<RegExpMatchArray> {
    await expect.poll(() => pattern.test(this.output), { message: `output of the program: ${pattern}`, timeout: 20_000 }).toBe(true)
    return this.output.match(pattern) as RegExpMatchArray
  }
  /** Ends the process and waits for it. */
  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const ended = new Promise((done) => this.child.once('exit', done))
    this.child.kill('SIGTERM')
    await ended
  }
  get log(): string { return this.output }
}

/** A demo with its own port and data. */
export class Demo {
  private constructor(readonly url: string, readonly data: string, private readonly program: Program) {}
  static start(...args: string[]): Promise<Demo> { return Demo.with(mkdtempSync(join(tmpdir(), 'atoll-')), args) }
  /** Ends and starts again with the same data, at another address. */
  async again(...args: string[]): Promise<Demo> {
    await this.program.stop()
    return Demo.with(this.data, args)
  }
  private static async with(data: string, args: string[]): Promise<Demo> {
    const process = Program.start('serve', '--demo', '--listen', '127.0.0.1:0', '--data', data, '--site', site, ...args)
    const [, url] = await process.says(/Atoll is at (https?:\S+?)\/?\n/)
    return new Demo(url, data, process)
  }
  /** Its own address, also behind a proxy: that of its nodes. */
  get listensAt(): string {
    const config = readFileSync(this.nodeConfig('example_org1'), 'utf8')
    return `http://127.0.0.1:${config.match(/port: (\d+)/)?.[1]}`
  }
  nodeConfig(organization: string): string { return join(this.data, 'demo', organization, 'node.yaml') }
  get log(): string { return this.program.log }
  async stop(): Promise<void> {
    await this.program.stop()
    rmSync(this.data, { recursive: true, force: true })
  }
}

type Fixtures = { signIn: (username: string) => Promise<void>; strict: void; scripted: boolean }
type WorkerFixtures = { demo: Demo }

export const test = base.extend<Fixtures, WorkerFixtures>({
  demo: [async ({}, use) => {
    const demo = await Demo.start()
    await use(demo)
    expect(demo.log).not.toMatch(/panicked/)
    await demo.stop()
  }, { scope: 'worker' }],
  baseURL: async ({ demo }, use) => use(demo.url),
  scripted: async ({ javaScriptEnabled }, use) => use(javaScriptEnabled ?? true),
  // Any error on the console fails the test in which it appeared, but for the browser's own note of a status that
  // the test asked for.
  strict: [async ({ page }, use) => {
    const errors: string[] = []
    page.on('console', (message) => {
      if (message.type() !== 'error') return
      if (/Failed to load resource: the server responded with a status of (4\d\d|503)/.test(message.text())) return
      errors.push(message.text())
    })
    page.on('pageerror', (error) => errors.push(String(error)))
    await use()
    expect(errors, 'errors on the console').toEqual([])
  }, { auto: true }],
  signIn: async ({ page }, use) => use((username) => signIn(page, username)),
})

export async function signIn(page: Page, username: string, secret = password): Promise<void> {
  await page.goto('/login')
  await page.getByLabel('Username').fill(username)
  await page.getByLabel('Password').fill(secret)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await expect(page.getByRole('heading', { level: 1 })).toContainText('Welcome')
}

/** Nothing that axe knows is wrong with this page. */
export async function accessible(page: Page): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).analyze()
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target).join(', ')}`)).toEqual([])
}

/** What the wizard is told. */
export type Answers = {
  function: string
  organizations?: string[]
  aggregateAt?: string
  include?: string[]
  database?: string
  column?: string
  name: string
}

/** Goes through the wizard up to its overview. */
export async function fillWizard(page: Page, answers: Answers): Promise<void> {
  const next = () => page.getByRole('button', { name: 'Next', exact: true }).click()
  const step = (name: string) => expect(page.getByRole('heading', { level: 2 })).toContainText(name)
  await page.getByRole('link', { name: 'New task' }).click()
  await step('Collaboration')
  await page.getByLabel('example_collab1').check()
  await next()
  await step('Function')
  await page.getByLabel(answers.function).check()
  await next()
  await step('Organizations')
  for (const name of answers.organizations ?? []) await page.getByRole('group', { name: 'Organizations' }).getByLabel(name).check()
  if (answers.aggregateAt) await page.getByRole('group', { name: 'Aggregate at' }).getByLabel(answers.aggregateAt).check()
  for (const name of answers.include ?? []) await page.getByRole('group', { name: 'Include data from' }).getByLabel(name).check()
  await next()
  await step('Database')
  await page.getByRole('group', { name: 'Database' }).getByLabel(answers.database ?? 'default').check()
  await next()
  await step('Arguments')
  await page.getByLabel('Column').selectOption(answers.column ?? 'age')
  await next()
  await step('Name and description')
  await page.getByLabel('Name', { exact: true }).fill(answers.name)
  await next()
  await step('Overview')
}

/** Presses "Create task" and waits for the task's page; the task's id. */
export async function createTask(page: Page): Promise<number> {
  await page.getByRole('button', { name: 'Create task' }).click()
  await page.waitForURL(/\/tasks\/\d+$/)
  return Number(page.url().match(/\d+$/)?.[0])
}

/** The results table as rows of texts, once the task has ended. */
export async function results(page: Page): Promise<string[][]> {
  await expect(page.locator('.status-line')).toContainText('completed')
  const rows = page.getByRole('region', { name: 'Results table' }).locator('tbody tr')
  return rows.evaluateAll((all) => all.map((row) => [...row.children].map((cell) => cell.textContent?.trim() ?? '')))
}

/** Loads a page again that may do so by itself in the same moment: whichever navigation wins, the page is a new one. */
export async function loadAgain(page: Page): Promise<void> {
  await page.reload().catch((error: Error) => {
    if (!/ERR_ABORTED|interrupted by another navigation/.test(error.message)) throw error
  })
}
