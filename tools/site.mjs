// Puts the site together: target/site/pkg with hashed names, .br and .gz beside each file, and public/ beside it.
// Usage: node tools/site.mjs <folder with atoll.js and atoll_bg.wasm> <site folder>
import { createHash } from 'node:crypto'
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import { bundle } from 'lightningcss'

const [source, site] = process.argv.slice(2)
const built = join(site, 'pkg')
const hash = (...parts) => {
  const sum = createHash('sha256')
  parts.forEach((part) => sum.update(part))
  return sum.digest('hex').slice(0, 16)
}

const script = readFileSync(join(source, 'atoll.js'))
const module = readFileSync(join(source, 'atoll_bg.wasm'))
const { code: style } = bundle({ filename: 'style/main.css', minify: true })

// Script and module get one hash, since Leptos makes both names from one.
const pair = hash(script, module)
const files = [
  [`atoll.${pair}.js`, script],
  [`atoll.${pair}_bg.wasm`, module],
  [`atoll.${hash(style)}.css`, style],
]

rmSync(built, { recursive: true, force: true })
mkdirSync(built, { recursive: true })
for (const [name, content] of files) {
  const path = join(built, name)
  writeFileSync(path, content)
  const brotli = brotliCompressSync(content, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: content.length } })
  writeFileSync(`${path}.br`, brotli)
  writeFileSync(`${path}.gz`, gzipSync(content, { level: 9 }))
  console.log(`${name}: ${content.length} bytes, ${brotli.length} with brotli`)
}
for (const name of readdirSync('public')) cpSync(join('public', name), join(site, name), { recursive: true })
