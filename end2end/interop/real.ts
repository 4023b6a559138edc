// The portal and two nodes of Atoll on the real vantage6 server with a real algorithm store.
import type { Page } from '@playwright/test'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, Program, signIn, test as strict } from '../tests/atoll'

export { expect }
const root = resolve(import.meta.dirname, '../..')
const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'atoll/python')

/** That of the official client's environment. */
const python = join(cache, 'client-4.15.2/bin/python')

/** What tests/interop/real_world.py says of the servers that it has started and filled. */
export type WorldDescription = {
  url: string
  origin: string
  password: string
  api_keys: Record<string, string>
  users: Record<string, number>
  organizations: Record<string, number>
  collaboration: { id: number, name: string }
  store: { id: number, name: string, url: string } | null
  /** Leaders of process groups. */
  processes: { server: number, store: number | null }
  folder: string
}

/** Real servers from PyPI: they end when their input closes. */
export class RealWorld {
  private constructor(private readonly child: ChildProcess, readonly description: WorldDescription) {}
  static async start(...args: string[]): Promise<RealWorld> {
    const child = spawn(python, [join(root, 'tests/interop/real_world.py'), ...args], { stdio: ['pipe', 'pipe', 'pipe'] })
    let output = ''
    let errors = ''
    child.stdout?.on('data', (chunk) => { output += chunk })
    child.stderr?.on('data', (chunk) => { errors += chunk })
    await expect.poll(() => {
      if (child.exitCode !== null) throw new Error(`the real servers did not start:\n${errors}`)
      return output.includes('\n')
    }, { timeout: 180_000 }).toBe(true)
    return new RealWorld(child, JSON.parse(output) as WorldDescription)
  }
  async stop(): Promise<void> {
    const ended = new Promise((done) => this.child.once('exit', done))
    this.child.stdin?.end()
    await ended
  }
}

/** A portal in front of a hub that is elsewhere. */
export class Portal {
  private constructor(readonly url: string, private readonly data: string, private readonly program: Program) {}
  static async start(hub: string, args: string[] = [], environment: Record<string, string> = {}): Promise<Portal> {
    const data = mkdtempSync(join(tmpdir(), 'atoll-portal-'))
    const program = Program.with(environment, 'serve', '--hub', hub, '--listen', '127.0.0.1:0', '--data', data, '--site', join(root, 'target/site'), ...args)
    const [, url] = await program.says(/Atoll is at (http:\S+?)\/?\n/)
    return new Portal(url, data, program)
  }
  get log(): string { return this.program.log }
  says(pattern: RegExp): Promise<RegExpMatchArray> { return this.program.says(pattern) }
  async stop(): Promise<void> {
    await this.program.stop()
    rmSync(this.data, { recursive: true, force: true })
  }
}

/** The configuration of an `atoll node` of a demo organization on a real server, with its data beside it; its path. */
export function writeNodeConfig(world: WorldDescription, organization: string, origin = world.origin, more: string[] = []): string {
  const folder = join(world.folder, `${organization} ${Math.random().toString(36).slice(2)}`)
  mkdirSync(folder, { recursive: true })
  for (const file of ['default.csv', 'my_other_database.csv']) {
    copyFileSync(join(root, 'demo/data', organization, file), join(folder, file))
  }
  const server = new URL(origin)
  const config = join(folder, 'node.yaml')
  // The tables of the demo have four rows: with the limits that hold where nothing is said they would tell nothing.
  const limits = ['minimum_rows: 1', 'smallest_cell: 1', 'smallest_subset: 0', 'largest_parameter_share: 1',
    'largest_value_share: 1', 'allowed_identifiers: [age, weight, height, visits]']
  const said = more.find((line) => line.startsWith('policies: {'))
  const missing = limits.filter((limit) => !said?.includes(`${limit.split(':')[0]}:`))
  const policies = said ? said.replace('policies: {', `policies: {${missing.join(', ')}, `) : `policies: {${missing.join(', ')}}`
  writeFileSync(config, [
    `api_key: ${world.api_keys[organization]}`, `server_url: ${server.protocol}//${server.hostname}`,
    `port: ${server.port}`, `api_path: ${new URL(world.url).pathname}`, 'databases:',
    ...['default', 'my_other_database'].map((label) => `  - {label: ${label}, type: csv, uri: ${label}.csv}`), 
    ...more.filter((line) => line !== said), policies, '',
  ].join('\n'), { mode: 0o600 })
  return config
}

/** `atoll node` of a demo organization on a real server, reached at its own address or that of a proxy. */
export async function startNode(
  world: WorldDescription, organization: string, origin = world.origin, environment: Record<string, string> = {},
  more: string[] = [],
): Promise<Program> {
  const program = Program.with(environment, 'node', '--config', writeNodeConfig(world, organization, origin, more))
  await program.says(/the node is ready/)
  return program
}

/** A server, a store, two nodes and a portal. */
export type Installation = { world: WorldDescription, portal: Portal }
type Fixtures = { signIn: (username: string) => Promise<void> }

export const test = strict.extend<Fixtures, { installation: Installation }>({
  // Not the demo of the other tests.
  demo: [async ({}, use) => use(undefined as never), { scope: 'worker' }],
  installation: [async ({}, use) => {
    const world = await RealWorld.start()
    const { description } = world
    const nodes = [await startNode(description, 'example_org1'), await startNode(description, 'example_org2')]
    // With a slash at the end, as people write it.
    const portal = await Portal.start(`${description.url}/`)
    await portal.says(/the hub answers.*4\.15\.2/)
    await use({ world: description, portal })
    expect(portal.log).not.toMatch(/panicked/)
    await portal.stop()
    for (const node of nodes) await node.stop()
    await world.stop()
  }, { scope: 'worker', timeout: 240_000 }],
  baseURL: async ({ installation }, use) => use(installation.portal.url),
  // The real server has made its own root.
  signIn: async ({ page }, use) => use((username) => signIn(page, username, username === 'root' ? 'root' : undefined)),
})

/** Calls the real server's API as one of its users. */
export async function api(world: WorldDescription, username: string, password = world.password) {
  const signIn = await fetch(`${world.url}/token/user`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ username, password }),
  })
  const { access_token } = await signIn.json() as { access_token: string }
  return async (method: string, path: string, body?: object): Promise<any> => {
    const answer = await fetch(`${world.url}/${path}`, {
      method, body: body && JSON.stringify(body),
      headers: { 'content-type': 'application/json', authorization: `Bearer ${access_token}` },
    })
    return answer.json()
  }
}

/** Creates a task by the API, of a function that Atoll's nodes have; its id. */
export async function createTask(world: WorldDescription, organization: string, name: string): Promise<number> {
  const call = await api(world, 'researcher')
  const input = Buffer.from(JSON.stringify({ method: 'partial_average', kwargs: { column_name: 'age' } })).toString('base64')
  const { id } = await call('POST', 'task', {
    name, description: '', image: 'harbor2.vantage6.ai/demo/average', collaboration_id: world.collaboration.id,
    databases: [{ label: 'default' }], organizations: [{ id: world.organizations[organization], input }],
  })
  return id
}

/** The official Python client creates a central task; its id. */
export function createWithOfficialClient(world: WorldDescription, organization: string, included: string[]): number {
  const ids = [organization, ...included].map((name) => String(world.organizations[name]))
  const script = join(root, 'tests/interop/create_task.py')
  const { pathname } = new URL(world.url)
  const output = execFileSync(python, [script, world.origin, pathname, 'researcher', world.password, String(world.collaboration.id), ...ids])
  return Number(output.toString().trim().split('\n').at(-1))
}

export type { Page }
