// A private authority for certificates.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A certificate for localhost of an authority that nobody knows. */
export class Authority {
  private constructor(private readonly folder: string) {}
  static make(): Authority {
    const folder = mkdtempSync(join(tmpdir(), 'atoll-authority-'))
    const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' })
    openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
      '-subj', '/CN=Private authority', '-addext', 'basicConstraints=critical,CA:TRUE', '-keyout', 'authority.key', '-out', 'authority.pem')
    openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', '/CN=localhost', '-keyout', 'server.key', '-out', 'server.csr')
    writeFileSync(join(folder, 'extensions'), 'subjectAltName=DNS:localhost,IP:127.0.0.1\n')
    openssl('x509', '-req', '-in', 'server.csr', '-CA', 'authority.pem', '-CAkey', 'authority.key', '-CAcreateserial', '-days', '2',
      '-extfile', 'extensions', '-out', 'server.pem')
    return new Authority(folder)
  }
  get file(): string { return join(this.folder, 'authority.pem') }
  get keyFile(): string { return join(this.folder, 'server.key') }
  get certificateFile(): string { return join(this.folder, 'server.pem') }
  get server() { return { key: readFileSync(this.keyFile), cert: readFileSync(this.certificateFile) } }
  remove(): void { rmSync(this.folder, { recursive: true, force: true }) }
}
