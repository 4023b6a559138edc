// Organizations whose node is switched off.
import { readFileSync } from 'node:fs'
import { Demo, Program, createTask, expect, fillWizard, password, results, signIn, test } from './atoll'

test('with organization 3 switched off the page says so and finishes when it is back', async ({ browser, scripted }) => {
  const demo = await Demo.start('--without-node', 'example_org2')
  const context = await browser.newContext({ baseURL: demo.url, javaScriptEnabled: scripted })
  const page = await context.newPage()
  let node: Program | undefined
  try {
    await signIn(page, 'researcher')
    await fillWizard(page, {
      function: 'Average', aggregateAt: 'example_org1', include: ['example_org1', 'example_org2'], name: 'Waits',
    })
    await expect(page.getByRole('row', { name: /example_org2/ })).toContainText('offline')
    await createTask(page)
    await expect(page.locator('.status-line')).toContainText('1 of 2 organizations returned')
    await expect(page.getByText('The node of example_org2 is offline.')).toBeVisible()
    node = Program.start('node', '--config', demo.nodeConfig('example_org2'))
    expect(await results(page)).toEqual([['example_org1', '53.25']])
    await expect(page.locator('.status-line')).toContainText('2 of 2 organizations returned')
  } finally {
    await context.close()
    await node?.stop()
    await demo.stop()
  }
})

test('a waiting task can be cancelled', async ({ browser, scripted }) => {
  const demo = await Demo.start('--without-node', 'example_org2')
  const context = await browser.newContext({ baseURL: demo.url, javaScriptEnabled: scripted })
  const page = await context.newPage()
  try {
    await signIn(page, 'researcher')
    await fillWizard(page, {
      function: 'Average', aggregateAt: 'example_org1', include: ['example_org1', 'example_org2'], name: 'Cancelled',
    })
    await createTask(page)
    await page.getByRole('link', { name: 'Cancel task' }).click()
    await page.getByRole('button', { name: 'Cancel task' }).click()
    await expect(page.getByText('The task is cancelled.')).toBeVisible()
    await expect(page.locator('.status-line')).toContainText('killed by user')
  } finally {
    await context.close()
    await demo.stop()
  }
})

test('results and logs of any content and size neither script nor blank the page', async ({ browser, scripted, request }) => {
  const demo = await Demo.start('--without-node', 'example_org1')
  const context = await browser.newContext({ baseURL: demo.url, javaScriptEnabled: scripted })
  const page = await context.newPage()
  const post = async (path: string, token: string, data: object, method = 'POST') => {
    const response = await request.fetch(`${demo.url}/api/${path}`, { method, data, headers: { authorization: `Bearer ${token}` } })
    expect(response.ok(), await response.text()).toBe(true)
    return response.json()
  }
  const evil = '</script></pre><img src=x onerror="window.hacked=1"><script>window.hacked=1</script>\u0000\u2028<leptos-island>'
  const hostile: [string, RegExp][] = [
    [JSON.stringify({ [evil]: evil, '=1+1': '=1+1', deep: { list: [[[evil]]] } }), /onerror/],
    [JSON.stringify('x'.repeat(3_000_000)), /shortened; the download has all of it/],
    [JSON.stringify(Array.from({ length: 20_000 }, (_, index) => index)), /shortened/],
    [JSON.stringify(Object.fromEntries(Array.from({ length: 5000 }, (_, index) => [`key ${index}`, index]))), /^99$/],
    [JSON.stringify('y'.repeat(12_000_000)), /too large to be shown here; the download has it/],
    ['not JSON at all', /the payload is not JSON/],
    ['0', /^0$/], ['false', /^false$/], ['null', /^null$/],
  ]
  try {
    const { access_token: user } = await post('token/user', '', { username: 'researcher', password })
    const key = readFileSync(demo.nodeConfig('example_org1'), 'utf8').match(/api_key: (\S+)/)?.[1]
    const { access_token: node } = await post('token/node', '', { api_key: key })
    await signIn(page, 'researcher')
    for (const [result, shown] of hostile) {
      const input = Buffer.from(JSON.stringify({ method: evil, kwargs: { x: evil } })).toString('base64')
      const task = await post('task', user, {
        name: evil.slice(0, 100), description: evil, image: 'some/image', collaboration_id: 1, databases: [], organizations: [{ id: 2, input }],
      })
      const runs = await (await request.get(`${demo.url}/api/run?task_id=${task.id}`, { headers: { authorization: `Bearer ${user}` } })).json()
      await post(`run/${runs.data[0].id}`, node, {
        status: 'completed', finished_at: '2026-11-22T17:00:02.000001', log: evil.repeat(1000), result: Buffer.from(result).toString('base64'),
      }, 'PATCH')
      expect((await page.goto(`/tasks/${task.id}`))?.status()).toBe(200)
      await expect(page.locator('.status-line')).toContainText('completed')
      await expect(page.getByRole('region', { name: 'Results table' }).getByRole('cell').filter({ hasText: shown }).first()).toBeVisible()
      const download = await page.request.get(`/tasks/${task.id}/results.json`)
      expect((await download.text()).length).toBeGreaterThan(result === 'not JSON at all' ? 0 : result.length)
      expect(await page.locator('img').count()).toBe(0)
      if (scripted) expect(await page.evaluate('window.hacked')).toBeUndefined()
    }
    expect(demo.log).not.toMatch(/panicked/)
  } finally {
    await context.close()
    await demo.stop()
  }
})
