// Many random histories against one board: in each, this side writes one document and reads another.
// stdin: {url, lanes, histories: [{n, seed, write: {topic, token}, read: {topic, token}}]}; stdout: a line of JSON for each.
import { connect, content, readStdin, stop, until } from './peer.mjs'

const WORDS = ['a', 'é', '漢', '😀', '👩‍👩‍👧', 'x y', '\n', '𝄞', 'ß', '']
const job = await readStdin()

const random = seed => () => { // mulberry32
  seed = seed + 0x6D2B79F5 | 0
  let t = Math.imul(seed ^ seed >>> 15, 1 | seed)
  t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t
  return ((t ^ t >>> 14) >>> 0) / 4294967296
}

const step = (peer, pick) => {
  const word = WORDS[pick(WORDS.length)]
  const points = Array.from(peer.t.toString())
  const at = pick(points.length + 1)
  switch (pick(7)) {
    case 0: case 1: peer.m.set('k' + pick(3), word); break
    case 2: peer.m.delete('k' + pick(3)); break
    case 3: peer.a.insert(pick(peer.a.length + 1), [word]); break
    case 4: if (peer.a.length) peer.a.delete(pick(peer.a.length), 1); break
    case 5: peer.t.insert(points.slice(0, at).join('').length, word); break
    case 6: if (at < points.length) peer.t.delete(points.slice(0, at).join('').length, points[at].length); break
  }
}

const play = async history => {
  const chance = random(history.seed)
  const pick = n => Math.floor(chance() * n)
  const mine = connect(job.url, history.write.topic, history.write.token)
  const theirs = connect(job.url, history.read.topic, history.read.token)
  for (let n = 0; n < 25; n++) {
    step(mine, pick)
    if (pick(4) === 0) await new Promise(resolve => setTimeout(resolve, pick(4)))
    if (pick(20) === 0) { // cut off for a while, and at work meanwhile
      mine.provider.disconnect()
      step(mine, pick)
      mine.provider.connect()
      step(mine, pick)
    }
  }
  mine.m.set('end', 'yes')
  await until(theirs, () => theirs.m.get('end') === 'yes')
  process.stdout.write(JSON.stringify({ n: history.n, mine: content(mine), theirs: content(theirs) }) + '\n')
  return [mine, theirs]
}

const open = []
const lane = async histories => {
  for (const history of histories) open.push(...await play(history))
}
await Promise.all(Array.from({ length: job.lanes }, (_, n) => lane(job.histories.filter((_, at) => at % job.lanes === n))))
process.stdout.write('"done"\n')
process.on('SIGTERM', () => { open.forEach(stop); process.exit(0) })
