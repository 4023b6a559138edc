import { defineConfig } from '@playwright/test'
import main from './playwright.config'

// The portal in front of real vantage6 servers: one installation serves the tests one after the other.
export default defineConfig({
  ...main,
  testDir: 'interop',
  fullyParallel: false,
  workers: 1,
  timeout: 90_000,
  reporter: [['list'], ['json', { outputFile: 'test-results/interop-report.json' }]],
})
