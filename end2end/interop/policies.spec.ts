// The overview tells which nodes would accept a task, as far as they say so to the real server.
import { fillWizard } from '../tests/atoll'
import { expect, startNode, test } from './real'

const cases = [
  { policy: ['policies: {allowed_algorithms: [harbor2.vantage6.ai/demo/average]}'], says: 'yes' },
  { policy: ["policies: {allowed_algorithms: ['^harbor2[.]vantage6[.]ai/demo/.*']}"], says: 'yes' },
  { policy: ["policies: {allowed_algorithms: ['harbor2.vantage6.ai/demo/average:1.0']}"], says: 'unknown: its node allows another version by name; it compares them when it runs' },
  { policy: ["policies: {allowed_algorithms: ['^localhost/.*']}"], says: 'no: its node does not allow this image' },
  { policy: ['policies: {allowed_users: [9999]}'], says: 'no: its node does not allow you or your organization' },
  { policy: ['policies: {allowed_organizations: [example_org2]}'], says: 'unknown: its node allows organizations by name' },
  { policy: ['share_config: false'], says: 'unknown: its node does not tell' },
]

test('the overview says who would accept, who would not, and what is not known', async ({ page, signIn, installation }) => {
  await signIn('researcher')
  await fillWizard(page, { function: 'Sum and count', organizations: ['example_org1', 'example_org3'], name: 'Would it run' })
  const rows = page.getByRole('region', { name: 'Table of nodes' })
  const accepts = (organization: string) => rows.getByRole('row', { name: new RegExp(organization) }).locator('[data-label="Would accept"]')
  await expect(accepts('example_org1')).toHaveText('yes')
  await expect(accepts('example_org3')).toHaveText('unknown: known when its node is online')
  await expect(page.getByText('You can create the task all the same')).toBeVisible()
  for (const { policy, says } of cases) {
    const node = await startNode(installation.world, 'example_org3', undefined, {}, policy)
    await expect.poll(async () => {
      await page.reload()
      return accepts('example_org3').innerText()
    }, { message: policy.join() }).toBe(says)
    await expect(accepts('example_org1')).toHaveText('yes')
    await node.stop()
    await expect.poll(async () => {
      await page.reload()
      return accepts('example_org3').innerText()
    }, { message: 'offline again' }).toBe('unknown: known when its node is online')
  }
})
