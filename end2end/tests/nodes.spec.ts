// Organizations whose node is switched off.
import { Demo, Program, createTask, expect, fillWizard, results, signIn, test } from './atoll'

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
    await expect(page.getByText('1 of 2 organizations returned')).toBeVisible()
    await expect(page.getByText('The node of example_org2 is offline.')).toBeVisible()
    node = Program.start('node', '--config', demo.nodeConfig('example_org2'))
    expect(await results(page)).toEqual([['example_org1', '53.25']])
    await expect(page.getByText('2 of 2 organizations returned')).toBeVisible()
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
