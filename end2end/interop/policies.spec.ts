// The overview tells which nodes would accept a task, as far as they say so to the real server.
import { fillWizard } from '../tests/atoll'
import { expect, startNode, test } from './real'

const cases = [
  { policy: ['policies: {allowed_algorithms: [harbor2.vantage6.ai/demo/average]}'], says: 'yes' },
  { policy: ["policies: {allowed_algorithms: ['^harbor2[.]vantage6[.]ai/demo/.*']}"], says: 'yes' },
  { policy: ["policies: {allowed_algorithms: ['harbor2.vantage6.ai/demo/average:1.0']}"], says: 'unknown: the algorithm image "harbor2.vantage6.ai/demo/average" is not surely one of those it allows: another version is listed' },
  { policy: ["policies: {allowed_algorithms: ['^localhost/.*']}"], says: 'no: the algorithm image "harbor2.vantage6.ai/demo/average" is not one of those it allows' },
  { policy: ['policies: {allowed_users: [9999]}'], says: 'no: neither the user nor the organization that asks is one of those it allows' },
  { policy: ['policies: {allowed_organizations: [example_org2]}'], says: 'no: neither the user nor the organization that asks is one of those it allows' },
  { policy: ['policies: {allowed_organizations: [example_org1], allowed_users: [nobody]}'], says: 'yes' },
  { policy: ['policies: {allowed_functions: [{functions: [central_average]}]}'], says: 'no: it does not allow the function "partial_average"; of this image it allows central_average' },
  { policy: ['policies: {allowed_databases: [{database: default, columns: [height]}]}'], says: 'no: of the database "default" it does not allow the column "age" to who asks; it allows height' },
  { policy: ['policies: {review: always, release: review, minimum_rows: 10, runs_per_user_per_day: 9}'], says: 'yes\nAn admin reviews it before it starts.\nAn admin looks at the result before it leaves.\nAt most 9 runs of one user a day.\nResults about too few people are suppressed: minimum_rows 10.' },
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
      return (await accepts('example_org3').innerText()).replace(/\n+/g, '\n').replace(/@sha256:\w+/, '').trim()
    }, { message: policy.join() }).toBe(says)
    await expect(accepts('example_org1')).toHaveText('yes')
    await node.stop()
    await expect.poll(async () => {
      await page.reload()
      return accepts('example_org3').innerText()
    }, { message: 'offline again' }).toBe('unknown: known when its node is online')
  }
})
