-- The one way the flag changes: checks in order, then everything at once.
-- KEYS  state, primary, pin, events, lease
-- ARGV  op, decision_id, expected_epoch, expected_decision_id, floor, deadline_ms, nonce,
--       provider, reason, evidence, actor, mode, channel, maxlen,
--       pin ("keep", "set", "clear"), pin_owner, pin_reason, pin_until_ms, origin
-- Gives {status, epoch, decision_id, provider, time_ms, receivers}
local state, primary, pin, events, lease = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local op, decision_id = ARGV[1], ARGV[2]
local expected_epoch, expected_decision_id = ARGV[3], ARGV[4]
local floor, deadline_ms, nonce = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local provider, reason, evidence, actor, mode = ARGV[8], ARGV[9], ARGV[10], ARGV[11], ARGV[12]
local channel, maxlen, pin_change = ARGV[13], tonumber(ARGV[14]), ARGV[15]
local pin_owner, pin_reason, pin_until_ms = ARGV[16], ARGV[17], tonumber(ARGV[18])
local origin = ARGV[19]

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local function whole(number) return string.format('%.0f', number) end

-- 1. malformed
local ops = {auto = true, manual = true, seed = true, repair = true}
local pins = {keep = true, set = true, clear = true}
if not ops[op] or not pins[pin_change] or decision_id == '' or not floor or not deadline_ms
    or not maxlen or not origin or origin == '' or #provider > 64 or not string.match(provider, '^[a-z0-9_-]+$')
    or (pin_change == 'set' and not pin_until_ms) then
  return redis.error_reply('PROBER malformed flip')
end
local stored = redis.call('HMGET', state, 'epoch', 'decision_id', 'provider', 'mode')
if stored[1] == '' then stored[1] = false end
local pinned = redis.call('HMGET', pin, 'provider', 'until_ms')
local epoch = tonumber(stored[1] or '') or 0
local function answer(status)
  return {status, whole(epoch), stored[2] or '', stored[3] or '', whole(now), 0}
end

-- 2. a replay is harmless
if stored[2] == decision_id then return answer('committed') end
-- 3. a call that timed out must not land later
if now > deadline_ms then return answer('expired') end
-- 4.
if op ~= 'manual' and redis.call('GET', lease) ~= nonce then return answer('not_leader') end
-- 5.
if op == 'seed' and stored[1] then return answer('conflict') end
-- 6.
if op ~= 'seed' and not stored[1] then return answer('empty') end
-- 7.
if op ~= 'seed' and (stored[1] ~= expected_epoch or stored[2] ~= expected_decision_id) then
  return answer('conflict')
end
-- 8.
local live = pinned[1] and (tonumber(pinned[2] or '') or 0) > now
local frees = op ~= 'auto' and pin_change ~= 'keep'
if live and pinned[1] ~= provider and not frees then return answer('pinned') end

local newest = 0
local info = redis.pcall('XINFO', 'STREAM', events)
if not info.err then
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then
      newest = tonumber(string.match(info[i + 1], '^%d+')) or 0
    end
  end
end
local from, parent = stored[3] or '', stored[2] or ''
epoch = math.max(epoch, floor, newest) + 1
if epoch < now then epoch = now end
local number = whole(epoch)

-- The only write that may refuse comes first.
local event = {
  'op', op, 'epoch', number, 'decision_id', decision_id, 'parent', parent, 'from', from,
  'to', provider, 'reason', reason, 'evidence', evidence, 'actor', actor,
  'origin', origin, 'at_ms', whole(now), 'pin', pin_change,
}
if pin_change == 'set' then
  for _, word in ipairs({'pin_owner', pin_owner, 'pin_reason', pin_reason,
                         'pin_until_ms', whole(pin_until_ms)}) do
    event[#event + 1] = word
  end
end
redis.call('XADD', events, 'MAXLEN', '~', maxlen, number .. '-0', unpack(event))
if mode == '' then mode = stored[4] or 'auto' end
local previous = from
if from == provider then previous = redis.call('HGET', state, 'previous') or '' end
local changed_at = whole(now)
if from == provider then changed_at = redis.call('HGET', state, 'changed_at') or changed_at end
redis.call('HSET', state, 'provider', provider, 'epoch', number, 'decision_id', decision_id,
  'parent', parent, 'previous', previous, 'reason', reason, 'actor', actor,
  'origin', origin, 'changed_at', changed_at, 'checked_at', whole(now), 'mode', mode)
redis.call('HSETNX', state, 'frozen', '')
redis.call('SET', primary, provider)
if pin_change == 'set' then
  redis.call('DEL', pin)
  redis.call('HSET', pin, 'provider', provider, 'owner', pin_owner, 'reason', pin_reason,
    'until_ms', whole(pin_until_ms), 'epoch', number)
elseif pin_change == 'clear' then
  redis.call('DEL', pin)
end
local message = cjson.encode({provider = provider, epoch = 0, decision_id = decision_id})
-- cjson would print the epoch as a float.
message = string.gsub(message, '"epoch":0', '"epoch":' .. number, 1)
local told = redis.pcall('PUBLISH', channel, message)
if type(told) ~= 'number' then told = 0 end
return {'committed', number, decision_id, provider, whole(now), told}
