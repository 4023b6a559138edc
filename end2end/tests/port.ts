import { createServer } from 'node:net'

/** Below the ports that systems give to connections: one of those, free now, may be somebody's when the server starts. */
const FIRST = 20_000
const COUNT = 12_000

/** A port of loopback that nobody listens on, and that no connection gets. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = FIRST + Math.floor(Math.random() * COUNT)
    const free = await new Promise<boolean>((done) => {
      const listener = createServer().once('error', () => done(false))
      listener.listen(port, '127.0.0.1', () => listener.close(() => done(true)))
    })
    if (free) return port
  }
  throw new Error('no port is free')
}
