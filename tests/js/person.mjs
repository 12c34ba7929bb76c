// People who type and delete at random places of files while agents stream into them, with what the page types through.
// stdin: {url, token, module, histories: [{n, topic, seed, agents}]}; stdout: a line of JSON for each.
import { readFileSync } from 'node:fs'
import { connect, readStdin, stop, until } from './peer.mjs'

process.setMaxListeners(0) // each connection has one
const job = await readStdin()
const { SharedText } = await import(`data:text/javascript,${encodeURIComponent(readFileSync(job.module, 'utf8'))}`)
const LAST = '■' // the last word of each agent, which nobody deletes

const random = seed => () => { // mulberry32
  seed = seed + 0x6D2B79F5 | 0
  let t = Math.imul(seed ^ seed >>> 15, 1 | seed)
  t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t
  return ((t ^ t >>> 14) >>> 0) / 4294967296
}

class Editor { // what the page's editor does, without a screen
  constructor(text) {
    this.deleted = ''
    this.caret = 0
    this.shared = new SharedText(text, changes => {
      for (const { from, to, insert } of [...changes].reverse()) this.splice(from, to, insert)
      this.caret = this.shared.position(this.shared.caret)
    })
    this.view = this.shared.words()
  }

  splice(from, to, insert) {
    this.view = this.view.slice(0, from) + insert + this.view.slice(to)
  }

  moveTo(position) {
    this.caret = position
    this.shared.moveTo(position)
  }

  change(from, to, insert) {
    this.deleted += this.view.slice(from, to)
    this.splice(from, to, insert)
    this.shared.edit([{ from, to, insert }])
    this.moveTo(from + insert.length)
    if (this.view !== this.shared.words()) throw new Error(`the editor shows ${this.view}, and not ${this.shared.words()}`)
  }
}

const play = async ({ n, topic, seed, agents }) => {
  const chance = random(seed)
  const pick = below => Math.floor(chance() * below)
  const pause = () => new Promise(resolve => pick(2) ? setTimeout(resolve, pick(4)) : setImmediate(resolve))
  const peer = connect(job.url, topic.split('/').map(encodeURIComponent).join('/'), job.token)
  await until(peer, () => peer.t.length > 0)
  const editor = new Editor(peer.t)
  const bursts = []
  let [used, replaced] = [0, '']
  const letter = () => String.fromCodePoint(0x1F300 + used++)
  const somewhere = () => {
    const slots = editor.shared.slots()
    if (slots.length && pick(2)) return slots[pick(slots.length)][pick(3) ? 'to' : 'from']
    return Array.from(editor.view).slice(0, pick(editor.view.length + 1)).join('').length
  }
  const type = async () => {
    if (pick(3)) editor.moveTo(somewhere())
    const [before, after] = [editor.view.slice(0, editor.caret), editor.view.slice(editor.caret)]
    const burst = { left: Array.from(before).at(-1) ?? '', right: Array.from(after)[0] ?? '', typed: '' }
    for (let left = 1 + pick(16); left > 0; left--) {
      const word = letter()
      burst.typed += word
      editor.change(editor.caret, editor.caret, word)
      await pause()
    }
    bursts.push(burst)
    if (pick(2)) editor.shared.release()
  }
  const cut = () => {
    const points = Array.from(editor.view)
    const at = pick(points.length)
    const gone = points.slice(at, at + 1 + pick(4)).join('')
    if (gone.includes(LAST)) return
    const from = points.slice(0, at).join('').length
    editor.moveTo(from)
    const word = pick(3) ? '' : letter()
    replaced += word
    editor.change(from, from + gone.length, word)
  }
  for (let step = 0; step < 14; step++) {
    const away = pick(10) === 0
    if (away) peer.provider.disconnect()
    if (pick(4)) await type()
    else cut()
    if (away) peer.provider.connect()
    await pause()
  }
  editor.shared.release()
  await until(peer, () => peer.t.toString().split(LAST).length > agents)
  const { deleted, view } = editor
  process.stdout.write(JSON.stringify({ n, bursts, deleted, view, text: peer.t.toString(), replaced }) + '\n')
  return peer
}

const open = await Promise.all(job.histories.map(play))
process.on('SIGTERM', () => { open.forEach(stop); process.exit(0) })
