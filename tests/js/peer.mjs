// A stock Yjs client at the board: nothing here knows more of it than its URL, topics and tokens.
import WebSocket from 'ws'
import { WebsocketProvider } from 'y-websocket'
import * as Y from 'yjs'

export const connect = (url, topic, token) => {
  const doc = new Y.Doc()
  const provider = new WebsocketProvider(url, topic, doc, {
    params: { token }, WebSocketPolyfill: WebSocket, disableBc: true, maxBackoffTime: 200
  })
  return { doc, provider, m: doc.getMap('m'), a: doc.getArray('a'), t: doc.getText('t') }
}

export const content = ({ m, a, t }) => ({ m: m.toJSON(), a: a.toJSON(), t: t.toString() })

export const until = (peer, true_) => new Promise(resolve => {
  const look = () => {
    if (!true_()) return
    peer.doc.off('update', look)
    resolve()
  }
  peer.doc.on('update', look)
  look()
})

export const stop = peer => {
  peer.provider.destroy()
  peer.doc.destroy()
}

export const readStdin = async () => {
  let text = ''
  for await (const chunk of process.stdin) text += chunk
  return JSON.parse(text)
}
