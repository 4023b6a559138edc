import { defineConfig } from '@playwright/test'

const flags = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
]

// Every spec runs with and without JavaScript. A spec that needs one of the two says so in its name:
// "… .script.spec.ts" or "… .plain.spec.ts".
export default defineConfig({
  testDir: 'tests',
  outputDir: 'test-results',
  fullyParallel: true,
  forbidOnly: true,
  workers: 2,
  timeout: 60_000,
  expect: { timeout: 15_000 },
  reporter: [['list'], ['json', { outputFile: 'test-results/report.json' }]],
  use: {
    launchOptions: { executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: flags },
    trace: 'retain-on-failure',
    // Without view transitions, which take their time where there is no graphics card
    contextOptions: { reducedMotion: 'reduce' },
  },
  projects: [
    { name: 'script', testIgnore: /\.plain\.spec\.ts$/, use: { javaScriptEnabled: true } },
    { name: 'plain', testIgnore: /\.script\.spec\.ts$/, use: { javaScriptEnabled: false } },
  ],
})
