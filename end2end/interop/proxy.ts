// A reverse proxy before the real server, as hospitals have one: it can speak TLS, refuse WebSockets, be away, and
// answer in the server's place.
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { connect, type AddressInfo, type Socket } from 'node:net'
import type { Authority } from '../tests/authority'

export class Proxy {
  /** WebSockets are refused, as by proxies that do not know them. */
  refusesSockets = false
  /** Connections are taken and nothing is answered. */
  hangs = false
  /** What is answered, each once, instead of passing a request on whose path begins so. */
  private instead: { path: string, status: number, body: object }[] = []
  /** Whether all answers in the server's place were given. */
  get answered(): boolean { return this.instead.length === 0 }
  /** WebSockets that were opened. */
  sockets = 0
  private readonly connections = new Set<Socket>()
  private port = 0

  private constructor(private readonly server: Server, private readonly scheme: string) {}

  static async start(target: string, authority?: Authority, listenAt = 0): Promise<Proxy> {
    const { hostname, port } = new URL(target)
    const server = authority ? createTlsServer(authority.server) : createServer()
    const proxy = new Proxy(server as Server, authority ? 'https' : 'http')
    server.on('request', (asked: IncomingMessage, answer: ServerResponse) => proxy.pass(asked, answer, hostname, Number(port)))
    server.on('upgrade', (asked: IncomingMessage, socket: Socket, head: Buffer) => proxy.upgrade(asked, socket, head, hostname, Number(port)))
    server.on('connection', (socket: Socket) => proxy.connections.add(socket.on('close', () => proxy.connections.delete(socket))))
    proxy.port = listenAt
    await proxy.restore()
    return proxy
  }

  get isUp(): boolean { return this.server.listening }
  get origin(): string { return `${this.scheme}://localhost:${this.port}` }

  answerOnce(path: string, status: number, body: object): void { this.instead.push({ path, status, body }) }

  private pass(asked: IncomingMessage, answer: ServerResponse, host: string, port: number): void {
    if (this.hangs) return
    const index = this.instead.findIndex(({ path }) => asked.url?.startsWith(path))
    if (index >= 0) {
      const [{ status, body }] = this.instead.splice(index, 1)
      answer.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
      asked.resume()
      return
    }
    const onward = request({ host, port, path: asked.url, method: asked.method, headers: asked.headers }, (reply) => {
      answer.writeHead(reply.statusCode ?? 502, reply.headers)
      reply.pipe(answer)
    })
    onward.on('error', () => { if (!answer.headersSent) answer.writeHead(502); answer.end() })
    asked.pipe(onward)
  }

  private upgrade(asked: IncomingMessage, socket: Socket, head: Buffer, host: string, port: number): void {
    if (this.refusesSockets) {
      socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n')
      return
    }
    this.sockets += 1
    const onward = connect(port, host, () => {
      const headers = asked.rawHeaders.reduce((text, part, index) => text + (index % 2 ? `: ${part}\r\n` : part), '')
      onward.write(`${asked.method} ${asked.url} HTTP/1.1\r\n${headers}\r\n`)
      onward.write(head)
      onward.pipe(socket).pipe(onward)
    })
    for (const [one, other] of [[onward, socket], [socket, onward]]) one.on('error', () => other.destroy()).on('close', () => other.destroy())
  }

  /** Ends all connections and takes no more, as when the network is gone. */
  async cut(): Promise<void> {
    const closed = new Promise((done) => this.server.close(done))
    for (const socket of this.connections) socket.destroy()
    await closed
  }

  /** Listens again at the same address. */
  async restore(): Promise<void> {
    await new Promise<void>((done) => this.server.listen(this.port, '127.0.0.1', done))
    this.port = (this.server.address() as AddressInfo).port
  }

  async stop(): Promise<void> { if (this.isUp) await this.cut() }
}
