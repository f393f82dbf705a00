// The flag for Node: one file, no dependency of its own. Bring the Redis client you trust.
//
//   import { createClient } from 'redis' // npm install redis
//   import { Flag } from './prober-flag.mjs'
//
//   const redis = createClient({ url: process.env.REDIS_URL })
//   redis.on('error', () => {}) // Redis away: the last known provider stands
//   redis.connect()
//   const flag = new Flag({ route: 'chat', default: 'anthropic', read: (key) => redis.hGetAll(key) })
//   flag.start()
//   const listener = redis.duplicate().on('error', () => {})
//   listener.connect().then(() => listener.subscribe(flag.channel, (text) => flag.heard(text)))
//
//   flag.primary() // a memory read: once per request; let open streams finish
//   flag.fallbacks() // whom to try after it, in order
//   flag.unsupported() // what the flag names and `supported` does not; '' while all is well
//
// Only the hash `state` moves the flag. A message on the channel is a hint: served at once for a
// known provider, and taken back unless `state` confirms it within 2 s.

const NAME = /^[a-z0-9_-]{1,64}$/
const CONFIRM_WITHIN_MS = 2000
const READ_BACK_WITHIN_MS = 500
const READ_TIMEOUT_MS = 1000

export function keys(route, namespace = 'prober') {
  for (const [what, name] of [['route', route], ['namespace', namespace]]) {
    if (!NAME.test(name)) throw new Error(`${what} '${name}': use a-z, 0-9, - and _ only, at most 64`)
  }
  const key = (last) => `${namespace}:{${route}}:${last}`
  return {
    primary: key('primary'), state: key('state'), candidates: key('candidates'),
    changed: key('changed'), reports: key('reports'),
  }
}

/** The parts of a message on the channel; null when it is torn or forged. */
export function decodeChanged(text) {
  let said
  try { said = JSON.parse(text) } catch { return null }
  if (said === null || typeof said !== 'object') return null
  const { provider, epoch, decision_id } = said
  if (typeof provider !== 'string' || !NAME.test(provider)) return null
  if (!Number.isInteger(epoch) || typeof decision_id !== 'string') return null
  return { provider, epoch, decision_id }
}

function decodeState(state) {
  if (!state?.epoch) return null
  if (!/^\d{1,16}$/.test(state.epoch) || !NAME.test(state.provider ?? '')) return null
  if (typeof state.decision_id !== 'string') return null
  return { provider: state.provider, epoch: Number(state.epoch), reason: state.reason ?? '' }
}

function decodeCandidates(hash) {
  const found = []
  for (const [name, text] of Object.entries(hash ?? {})) {
    try {
      const said = JSON.parse(text)
      if (!NAME.test(name) || typeof said?.eligible !== 'boolean') continue
      found.push({ name, model: said.model, eligible: said.eligible, order: said.order ?? 0 })
    } catch { /* written by a later version or by hand */ }
  }
  return found.sort((a, b) => a.order - b.order || (a.name < b.name ? -1 : 1))
}

export class Flag {
  #read; #pollMs; #now; #onChange; #onUnsupported; #served; #known; #supported; #order
  #unsupported = ''
  #epoch = 0; #hint = null; #candidates = []; #readAt = null; #timer = null; #running = false

  /**
   * @param {object} said
   * @param {string} said.route
   * @param {(key: string) => Promise<object>} said.read HGETALL: an empty object for no key
   * @param {string} [said.default] served until Redis has spoken; one of `supported`
   * @param {string[]} [said.supported] what this build can call; any other name is not served
   * @param {string[]} [said.fallbacks] whom to try until the daemon's own list has been read
   * @param {(from: string, to: string) => void} [said.onChange]
   * @param {(provider: string) => void} [said.onUnsupported] the flag names what is not in `supported`
   */
  constructor({
    route, read, default: byDefault = '', supported = [], fallbacks = [], namespace = 'prober',
    pollMs = 5000, now = () => performance.now(), onChange = () => {}, onUnsupported = () => {},
  }) {
    this.keys = keys(route, namespace)
    if (byDefault && supported.length && !supported.includes(byDefault)) {
      throw new Error(`default '${byDefault}' is not in supported: add it there, or take one of ${supported.join(', ')}`)
    }
    this.channel = this.keys.changed
    this.#read = read
    this.#pollMs = pollMs
    this.#now = now
    this.#onChange = onChange
    this.#onUnsupported = onUnsupported
    this.#supported = new Set(supported)
    this.#order = [...new Set(fallbacks)]
    this.#known = new Set([byDefault, ...supported, ...fallbacks].filter(Boolean))
    this.#served = byDefault
    const forced = process.env[`PROBER_FORCE_${route.toUpperCase().replaceAll('-', '_')}`] ?? ''
    this.forced = NAME.test(forced) && this.#supports(forced) ? forced : ''
  }

  /** The provider to call now; '' while nothing is known and there is no default. */
  primary() {
    if (this.forced) return this.forced
    if (this.#hint && this.#now() < this.#hint.until) return this.#hint.provider
    return this.#served
  }

  /** Whom to try after the primary now, in the route's order, or in the application's own. */
  fallbacks() {
    const served = this.primary()
    const eligible = this.#candidates.filter((c) => c.eligible).map((c) => c.name)
    const names = this.#candidates.length ? eligible : this.#order
    return names.filter((name) => name !== served && this.#supports(name))
  }

  /** The provider that the flag names and this build cannot call; '' while all is well. */
  unsupported() {
    return this.#unsupported
  }

  /** Milliseconds since Redis was last read well; null: never. */
  readAgeMs() {
    return this.#readAt === null ? null : this.#now() - this.#readAt
  }

  /** Reads now. Never throws: false when Redis could not be read, and what is known stays. */
  async refresh() {
    try {
      const both = [this.#read(this.keys.state), this.#read(this.keys.candidates)]
      // A client that queues while it is offline would keep us waiting for ever.
      const [state, candidates] = await within(READ_TIMEOUT_MS, Promise.all(both))
      this.took(state, candidates)
      return true
    } catch {
      return false
    }
  }

  /** Takes what was read. */
  took(state, candidates = {}) {
    const before = this.primary()
    this.#readAt = this.#now()
    const list = decodeCandidates(candidates)
    if (list.length) {
      this.#candidates = list
      for (const { name } of list) this.#known.add(name)
    }
    const flag = decodeState(state)
    if (flag && flag.epoch >= this.#epoch) {
      this.#epoch = flag.epoch
      this.#known.add(flag.provider)
      if (this.#hint && flag.epoch >= this.#hint.epoch) this.#hint = null
      const told = this.#unsupported
      this.#unsupported = this.#supports(flag.provider) ? '' : flag.provider
      if (!this.#unsupported) this.#served = flag.provider
      else if (this.#unsupported !== told) this.#call(this.#onUnsupported, this.#unsupported)
    }
    this.#tell(before)
  }

  /** Takes a message of the channel; true when `state` is being read back to confirm it. */
  heard(text) {
    const said = decodeChanged(text)
    if (!said) return false
    const hinted = this.#hint && this.#now() < this.#hint.until ? this.#hint.epoch : 0
    const newest = Math.max(this.#epoch, hinted)
    if (said.epoch < newest) return false
    if (said.epoch > newest && this.#known.has(said.provider) && this.#supports(said.provider)) {
      const before = this.primary()
      this.#hint = { ...said, until: this.#now() + CONFIRM_WITHIN_MS }
      this.#tell(before)
    }
    // A thousand processes hear it; they must not all ask in the same millisecond.
    if (this.#running) this.#schedule(Math.random() * READ_BACK_WITHIN_MS)
    return true
  }

  /** Reads now, and then every poll. */
  start() {
    if (this.#running) return
    this.#running = true
    this.#schedule(0)
  }

  stop() {
    this.#running = false
    clearTimeout(this.#timer)
  }

  #schedule(ms) {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(async () => {
      await this.refresh()
      if (this.#running) this.#schedule(this.#pollMs * (0.8 + 0.2 * Math.random()))
    }, ms)
    this.#timer.unref?.() // the flag alone keeps no process alive
  }

  #supports(provider) {
    return this.#supported.size === 0 || this.#supported.has(provider)
  }

  #tell(before) {
    const after = this.primary()
    if (after !== before) this.#call(this.#onChange, before, after)
  }

  #call(callback, ...said) {
    try { callback(...said) } catch { /* the application's own fault */ }
  }
}

async function within(ms, promise) {
  let timer
  const late = new Promise((_, fail) => { timer = setTimeout(fail, ms, new Error('timeout')) })
  try { return await Promise.race([promise, late]) } finally { clearTimeout(timer) }
}
