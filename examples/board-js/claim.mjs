// Reads the board of a run, claims the first TODO that nobody has, and ticks it off: stock yjs and y-websocket, nothing else.
//
//   node claim.mjs URL TOKEN AGENT      e.g. node claim.mjs ws://127.0.0.1:8765/board "$(orch serve --token-for ann)" ann
import { randomBytes } from 'node:crypto'
import WebSocket from 'ws'
import { WebsocketProvider } from 'y-websocket'
import * as Y from 'yjs'

const [url, token, agent] = process.argv.slice(2)
const topic = `ag/${agent}/${randomBytes(8).toString('hex')}` // new for every start, as the Yjs client id is

// One document for each connection. The hub writes `ctl`; this process is the only writer of its own document.
const open = topic => {
  const doc = new Y.Doc()
  const provider = new WebsocketProvider(url, topic, doc, { params: { token }, WebSocketPolyfill: WebSocket })
  provider.on('connection-close', event => event?.code >= 4400 && fail(`the board closed ${topic}: ${event.reason}`))
  return new Promise(resolve => provider.once('sync', () => resolve({ doc, provider })))
}
const fail = why => {
  console.error(why)
  process.exit(1)
}
const [ctl, own] = await Promise.all([open('ctl'), open(topic)])

// Every value on the board is a string of JSON.
const read = (doc, map, key) => JSON.parse(doc.getMap(map).get(key) ?? 'null')

// Ask by writing a request with a new nonce; the hub answers in its own document, and echoes the nonce.
let asked = 0
const ask = (map, key, value) => new Promise((resolve, reject) => {
  const nonce = `${topic.split('/')[2]}.${++asked}`
  const look = () => {
    const answer = read(ctl.doc, 'answers', topic)?.[map]?.[key]
    if (answer?.nonce !== nonce) return
    ctl.doc.off('update', look)
    own.doc.getMap(map).delete(key) // read, so it may leave the board
    answer.refused === null ? resolve(answer.gen) : reject(new Error(`${key}: ${answer.refused}`))
  }
  ctl.doc.on('update', look)
  own.doc.getMap(map).set(key, JSON.stringify({ ...value, nonce }))
})

let claimed = null
for (const task of ctl.doc.getMap('tasks').keys()) {
  const card = read(ctl.doc, 'tasks', task)
  console.log(`${task}: ${card.title} (${read(ctl.doc, 'grants', task)?.state ?? 'waiting'})`)
  for (const todo of card.todos) {
    const key = `${task}/${todo.id}`
    if (claimed || read(ctl.doc, 'grants', key)?.state !== 'open') continue
    const gen = await ask('req', key, {}).catch(refused => console.log(`  ${refused.message}`))
    if (gen === undefined) continue // somebody else was faster
    claimed = key
    own.doc.getMap('s').set('s', JSON.stringify({ todo: key, note: 'claimed from JavaScript' }))
    console.log(`  claimed ${key}, generation ${gen}; a claim that lasts longer than 30 s is renewed by asking again`)
    await ask('submit', key, { gen })
    console.log(`  done with ${key}`)
  }
}
if (!claimed) console.log('nothing to claim')
ctl.provider.destroy()
own.provider.destroy()
process.exit(0)
