// node --test clients/node/   (PROBER_TEST_SOCKET: a Valkey on a Unix socket, for the live test)

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { connect } from 'node:net'
import { test } from 'node:test'
import { decodeChanged, Flag, keys } from './prober-flag.mjs'

const golden = JSON.parse(readFileSync(new URL('../golden.json', import.meta.url), 'utf8'))
const silent = async () => { throw new Error('no Redis') }

test('keys are the contract\'s', () => {
  for (const { namespace, route, ...wanted } of golden.keys) {
    assert.deepEqual(keys(route, namespace), wanted)
  }
  for (const name of golden.bad_names) assert.throws(() => keys(name), /use a-z, 0-9/)
})

test('messages are read or refused', () => {
  for (const { text, said } of golden.messages) assert.deepEqual(decodeChanged(text), said, text)
})

test('fallbacks follow the primary in the route\'s order', () => {
  for (const { candidates, primary, supported, order = [], fallbacks } of golden.fallbacks) {
    // Redis may name another primary than a default: whom it serves is what counts.
    const flag = new Flag({ route: 'chat', read: silent, supported, fallbacks: order })
    flag.took({ provider: primary, epoch: '1', decision_id: 'd' }, candidates)
    assert.deepEqual(flag.fallbacks(), fallbacks)
  }
})

test('a default that is not supported is refused', () => {
  for (const { default: byDefault, supported, good } of golden.defaults) {
    const made = () => new Flag({ route: 'chat', read: silent, default: byDefault, supported })
    if (good) made(); else assert.throws(made, /default 'a' is not in supported: add it there/)
  }
})

for (const life of golden.lives) {
  test(life.name, () => {
    let now = 0
    const said = { supported: life.supported ?? [], default: life.default }
    const flag = new Flag({ route: 'chat', read: silent, now: () => now, ...said })
    for (const step of life.steps) {
      now = step.at_s * 1000
      if (step.state) flag.took(step.state, step.candidates)
      if (step.message !== undefined) assert.equal(flag.heard(step.message), step.read_back)
      assert.equal(flag.primary(), step.serves, `at ${step.at_s} s`)
      if (step.unsupported !== undefined) assert.equal(flag.unsupported(), step.unsupported)
    }
  })
}

test('Redis away: the last known stands, and nothing is thrown', async () => {
  const flag = new Flag({ route: 'chat', read: silent, default: 'x' })
  assert.equal(await flag.refresh(), false)
  assert.equal(flag.primary(), 'x')
  assert.equal(flag.readAgeMs(), null)
})

test('a client that queues for ever keeps nobody waiting', async () => {
  const flag = new Flag({ route: 'chat', read: () => new Promise(() => {}), default: 'x' })
  assert.equal(await flag.refresh(), false)
})

test('a callback that throws breaks nothing', () => {
  const told = []
  const onChange = (...change) => { told.push(change); throw new Error('mine') }
  const flag = new Flag({ route: 'chat', read: silent, default: 'x', onChange })
  flag.took({ provider: 'a', epoch: '1', decision_id: 'd' })
  assert.deepEqual([flag.primary(), told], ['a', [['x', 'a']]])
})

test('a flag that cannot be followed is told once, and a callback that throws breaks nothing', () => {
  const told = []
  const onUnsupported = (provider) => { told.push(provider); throw new Error('mine') }
  const flag = new Flag({ route: 'chat', read: silent, default: 'x', supported: ['x'], onUnsupported })
  for (const epoch of ['1', '2']) flag.took({ provider: 'a', epoch, decision_id: 'd' })
  flag.took({ provider: 'x', epoch: '3', decision_id: 'd' })
  flag.took({ provider: 'a', epoch: '4', decision_id: 'd' })
  assert.deepEqual([flag.primary(), told], ['x', ['a', 'a']])
})

test('the environment forces a supported provider and no other', () => {
  process.env.PROBER_FORCE_MY_MAIL = 'forced'
  const other = new Flag({ route: 'my-mail', read: silent, default: 'x', supported: ['x'] })
  assert.equal(other.primary(), 'x')

  process.env.PROBER_FORCE_MY_MAIL = 'forced'
  const flag = new Flag({ route: 'my-mail', read: silent, default: 'x' })
  flag.took({ provider: 'a', epoch: '1', decision_id: 'd' })
  assert.equal(flag.primary(), 'forced')
  delete process.env.PROBER_FORCE_MY_MAIL
})

// Enough of the Redis protocol for a test: flat answers, one command after the other.
function bare(path) {
  const socket = connect(path)
  const waiting = []
  let text = ''
  socket.on('data', (data) => {
    text += data
    for (let found; (found = parse(text)) !== null;) {
      text = text.slice(found.length)
      waiting.shift()(found.value)
    }
  })
  const send = (...parts) => new Promise((done) => {
    waiting.push(done)
    socket.write(`*${parts.length}\r\n` + parts.map((p) => `$${Buffer.byteLength(p)}\r\n${p}\r\n`).join(''))
  })
  const onPush = (told) => { waiting.push(function again(value) { told(value); waiting.push(again) }) }
  return { send, onPush, end: () => socket.destroy() }
}

function parse(text) {
  const end = text.indexOf('\r\n')
  if (end < 0) return null
  const head = Number(text.slice(1, end))
  if (text[0] === '+' || text[0] === '-') return { value: text.slice(1, end), length: end + 2 }
  if (text[0] === ':') return { value: head, length: end + 2 }
  if (text[0] === '$') {
    if (head < 0) return { value: null, length: end + 2 }
    const whole = end + 2 + head + 2 // the tests' values are ASCII
    return text.length < whole ? null : { value: text.slice(end + 2, whole - 2), length: whole }
  }
  const value = []
  let length = end + 2
  for (let n = 0; n < head; n++) {
    const item = parse(text.slice(length))
    if (item === null) return null
    value.push(item.value)
    length += item.length
  }
  return { value, length }
}

async function until(met) {
  const end = Date.now() + 20_000
  while (!met()) {
    assert.ok(Date.now() < end, 'waited in vain')
    await new Promise((done) => setTimeout(done, 5))
  }
}

const socket = process.env.PROBER_TEST_SOCKET
const state = (provider, epoch) => ['provider', provider, 'epoch', epoch, 'decision_id', `d${epoch}`]

test('a flag is read and heard on a real server', { skip: !socket && 'no PROBER_TEST_SOCKET' }, async () => {
  const [writer, reader, listener] = [bare(socket), bare(socket), bare(socket)]
  const hash = (flat) => Object.fromEntries(flat.flatMap((k, n) => (n % 2 ? [] : [[k, flat[n + 1]]])))
  const flag = new Flag({
    route: 'node', default: 'x', pollMs: 600_000,
    read: async (key) => hash(await reader.send('HGETALL', key)),
  })
  await writer.send('HSET', flag.keys.state, ...state('a', '10'))
  flag.start()
  await until(() => flag.primary() === 'a')
  await listener.send('SUBSCRIBE', flag.channel)
  listener.onPush(([, , text]) => flag.heard(text))
  await writer.send('HSET', flag.keys.state, ...state('b', '11'))
  await writer.send('PUBLISH', flag.channel, '{"provider":"b","epoch":11,"decision_id":"d11"}')
  await until(() => flag.primary() === 'b')
  flag.stop()
  for (const each of [writer, reader, listener]) each.end()
})

// With the package that the recipe names, where it is installed (PROBER_NODE_MODULES: a folder).
const redis = (() => {
  try {
    const beside = process.env.PROBER_NODE_MODULES
    return createRequire(beside ? `${beside}/` : import.meta.url)('redis')
  } catch { return null }
})()
const why = !socket ? 'no PROBER_TEST_SOCKET' : !redis && 'the npm package redis is not installed'

test('the recipe with the redis package works', { skip: why }, async () => {
  const client = redis.createClient({ socket: { path: socket } })
  await client.connect()
  const flag = new Flag({ route: 'node2', default: 'x', pollMs: 600_000, read: (key) => client.hGetAll(key) })
  const listener = client.duplicate()
  await listener.connect()
  await listener.subscribe(flag.channel, (text) => flag.heard(text))
  flag.start()
  await until(() => flag.readAgeMs() !== null)
  assert.equal(flag.primary(), 'x')
  await client.hSet(flag.keys.state, { provider: 'b', epoch: '11', decision_id: 'd11' })
  await client.publish(flag.channel, '{"provider":"b","epoch":11,"decision_id":"d11"}')
  await until(() => flag.primary() === 'b')
  flag.stop()
  listener.destroy()
  client.destroy()
})
