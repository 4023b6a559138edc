import { type BrowserContext, type Request } from '@playwright/test'

/** Counts the event streams that pages of this browser hold open from now on. */
export function openStreams(context: BrowserContext): () => number {
  const open = new Set<Request>()
  const isStream = (url: string) => url.includes('/events?')
  context.on('request', (asked) => { if (isStream(asked.url())) open.add(asked) })
  context.on('requestfinished', (asked) => open.delete(asked))
  context.on('requestfailed', (asked) => open.delete(asked))
  // Of a page that was closed nothing is told.
  return () => [...open].filter((asked) => !asked.frame().page().isClosed()).length
}
