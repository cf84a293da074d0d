"""The step of the protocol as Redis runs it. `account.Account` is the same in Python: change both together.

In three parts: `script_state`, `script_reports`, and here, what is handed out to whom, and the step itself.
Needs Redis or Valkey 6.2. All keys are declared and have one hash tag. Only the server's clock counts.
"""

from .messages import CONFIRM_MS, LONGEST_RETRY_MS, QUIET_MS, RANK, SILENCE_MS, SILENCE_MS_EACH, START_MS
from .script_reports import REPORTS
from .script_state import STATE

_CONSTANTS = (
    f"local RANK, CONFIRM, QUIET = {RANK}, {CONFIRM_MS}, {QUIET_MS}\n"
    f"local SILENCE, SILENCE_EACH = {SILENCE_MS}, {SILENCE_MS_EACH}\n"
    f"local LONGEST_RETRY, START = {LONGEST_RETRY_MS}, {START_MS}"
)

_STEP = r"""
local function look_for_silent()
    for _, name in ipairs(redis.call('ZRANGEBYSCORE', checks, '-inf', now, 'LIMIT', 0, 8)) do
        local it = member(name)
        if not it then
            redis.call('ZREM', checks, name)
        elseif now >= it.at + it.lease or (trust and publish(name, '.') == 0) then
            forget(name, it)
        else
            redis.call('ZADD', checks, math.min(now + silence(it.lease), it.at + it.lease), name)
        end
    end
end

local function verdict(name, it)
    if all.fresh > now and all.quiet > now then
        due = math.min(due, all.quiet)
        return 'stop'
    end
    if all.fresh > now then
        if all.claimed == 0 and all.young > now then
            due = math.min(due, all.young)
            return 'stop'
        end
        local theirs = math.max(0, all.claimed - all.told) * math.ceil(all.limit / math.max(all.claimed, 1))
        local share = math.max(1, math.floor(all.limit / math.max(expected(), redis.call('ZCARD', checks))))
        if it.granted - it.returned >= share or all.total + theirs >= all.limit then
            due = math.min(due, all.fresh)
            return 'skip'
        end
    end
    local ready = 0
    for index, meter in ipairs(all.meters) do
        local cost = it.costs[index]
        if cost then ready = math.max(ready, meter[3] - (meter[2] - 1) * cost * meter[1]) end
    end
    if ready > now then
        due = math.min(due, ready)
        return 'stop'
    end
    if name ~= id and it.granted - it.seen >= math.ceil(all.limit / 2) then
        if it.asked == 0 then
            it.asked = now
            changed[name] = true
            publish(name, '?')
        end
        if now >= it.asked + CONFIRM then return 'skip' end
        due = math.min(due, it.asked + CONFIRM)
        return 'stop'
    end
    return 'grant'
end

local function grant(name, it, run, entry, score)
    redis.call('ZREM', line, entry)
    run[2] = run[2] + 1
    keep_runs(it)
    it.granted = it.granted + 1
    changed[name] = true
    if name ~= id and publish(name, string.format('%.0f %d %d', all.born, it.life, it.granted)) == 0 and trust then
        it.granted = it.granted - 1
        drop_line(name, it)
        return
    end
    all.total = all.total + 1
    all.virtual = math.max(all.virtual, score - run[1] * RANK)
    tidy_flow(it)
    local shares = all.fresh > now and math.max(1, expected() / math.max(all.heard, 1)) or 1
    for index, meter in ipairs(all.meters) do
        if it.costs[index] then meter[3] = math.max(meter[3], now) + it.costs[index] * meter[1] * shares end
    end
end

local function hand_out()
    if all.hold > now then
        if redis.call('ZCARD', line) > 0 then due = all.hold end
        return
    end
    local skipped = 0
    if all.limit > 0 and all.total >= all.limit and redis.call('ZCARD', line) > 0 then
        due = tonumber(redis.call('ZRANGE', checks, 0, 0, 'WITHSCORES')[2] or math.huge)
    end
    while all.total < all.limit do
        local entries = redis.call('ZRANGE', line, skipped, skipped + 15, 'WITHSCORES')
        if #entries == 0 then return end
        for index = 1, #entries, 2 do
            if all.total >= all.limit then return end
            local entry = entries[index]
            local name, rank, number = string.match(entry, '^(.-)|(.-)|(.+)$')
            rank, number = tonumber(rank), tonumber(number)
            local it, run = member(name), nil
            for _, one in ipairs(it and it.runs or {}) do
                if one[1] == rank and one[2] <= number and number <= one[3] then run = one end
            end
            if not run then
                redis.call('ZREM', line, entry)
            else
                local answer = verdict(name, it)
                if answer == 'stop' then return end
                if answer == 'skip' then
                    skipped = skipped + 1
                else
                    grant(name, it, run, entry, tonumber(entries[index + 1]))
                end
            end
        end
    end
end

local function wake()
    if due == math.huge then
        if all.waker == id then all.waker = '' end
        return -1
    end
    if all.waker ~= id and member(all.waker) and now <= all.wake_at and all.wake_at <= due + 1 then return -1 end
    all.waker, all.wake_at = id, due
    return math.ceil((due - now) * 1000)
end

local function save()
    for name in pairs(changed) do redis.call('HSET', state, 'm:' .. name, cmsgpack.pack(members[name])) end
    for of, tag in pairs(flows) do
        if tag == 0 then redis.call('HDEL', state, 'f:' .. of) else redis.call('HSET', state, 'f:' .. of, tag) end
    end
    if redis.call('ZCARD', checks) == 0 then
        local needed = all.hold - now
        for _, meter in ipairs(all.meters) do needed = math.max(needed, meter[3] - now) end
        redis.call('DEL', line)
        if needed <= 0 then
            redis.call('DEL', state)
            return
        end
        redis.call('HSET', state, 'account', cmsgpack.pack(all))
        redis.call('PEXPIRE', state, math.ceil(math.min(needed, 3 * lease)))
        return
    end
    local renew = now >= all.ttl_at
    if renew then all.ttl_at = now + lease / 2 end
    redis.call('HSET', state, 'account', cmsgpack.pack(all))
    if renew then
        redis.call('PEXPIRE', state, 3 * lease)
        redis.call('PEXPIRE', checks, 3 * lease)
    end
    redis.call('PEXPIRE', line, 3 * lease)
end

load_state()
if now > all.stepped_at + timeout and redis.call('ZCARD', checks) > 1
    and (all.total > 0 or redis.call('ZCARD', line) > 0) then
    be_careful()
end
all.stepped_at = now
local it = member(id)
local waker = -1
if not it or life > it.life or (life == it.life and seq > it.seq) then
    if bye then
        if it then forget(id, it) end
        it = false
    else
        it = register(it)
    end
    look_for_silent()
    hand_out()
    if it then waker = wake() end
end
save()
return {
    seq, all.born, it and it.granted or 0, all.limit,
    math.max(redis.call('ZCARD', checks), all.fresh > now and expected() or 0),
    it and all.fresh <= now and it.place or redis.call('ZCARD', checks) + expected(),
    math.ceil(math.max(0, all.hold - now) * 1000), waker, all.longest, all.round,
}
"""

LUA = _CONSTANTS + STATE + REPORTS + _STEP
