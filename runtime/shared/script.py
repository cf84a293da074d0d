"""The step of the protocol as Redis runs it. `account.Account` is the same in Python: change both together.

Needs Redis or Valkey 6.2. All keys are declared and have one hash tag. Only the server's clock counts.
"""

from .messages import CONFIRM_MS, LONGEST_RETRY_MS, QUIET_MS, RANK, SILENCE_MS, SILENCE_MS_EACH, START_MS
from .script_state import STATE

_CONSTANTS = (
    f"local RANK, CONFIRM, QUIET = {RANK}, {CONFIRM_MS}, {QUIET_MS}\n"
    f"local SILENCE, SILENCE_EACH = {SILENCE_MS}, {SILENCE_MS_EACH}\n"
    f"local LONGEST_RETRY, START = {LONGEST_RETRY_MS}, {START_MS}"
)

_STEP = r"""
local function configure()
    all.config = config
    local words, meters = numbers(config), {}
    all.limit = words[1]
    for index = 1, (#words - 1) / 3 do
        local before, interval = all.meters[index], words[3 * index - 1]
        local burst, used = words[3 * index], words[3 * index + 1]
        if interval < 0 then
            meters[index] = before or {0, 1, now}
        elseif before and before[1] > 0 then
            meters[index] = {interval, burst, before[3]}
        else
            meters[index] = {interval, burst, now + used * interval}
        end
    end
    all.meters = meters
end

local function be_careful()
    if all.fresh <= now then
        all.round, all.heard, all.told, all.claimed, all.quiet = all.round + 1, 0, 0, 0, now + QUIET
        all.was = publish('', '? ' .. all.round)
    end
    all.fresh = math.max(now + lease / 2, all.young)
    if born ~= 0 and born ~= all.born then
        all.claimed = math.max(all.claimed, processes)
    else
        all.was = math.max(all.was, processes)
    end
    local each = numbers(costs)
    for index, meter in ipairs(all.meters) do
        if each[index] then meter[3] = math.max(meter[3], now + (meter[2] - 1) * each[index] * meter[1]) end
    end
end

local function look_for_others()
    all.young = math.max(0, started_at() + math.min(LONGEST_RETRY, lease / 3) + timeout + START)
    if all.young > now or (trust and publish('', '.') > 1) then be_careful() end
end

local function expected()
    return math.max(all.was, all.claimed)
end

local function line_up(it)
    if it.flow ~= flow then
        drop_line(id, it)
        it.flow = flow
    end
    local on_their_way, wanted, order, words = it.granted - it.seen, {}, {}, numbers(back and '' or waiting)
    for index = 1, #words, 2 do
        local rank, count = words[index], words[index + 1]
        order[#order + 1] = rank
        wanted[rank] = math.max(0, count - on_their_way)
        on_their_way = math.max(0, on_their_way - count)
    end
    for _, run in ipairs(it.runs) do
        set_run(id, it, run, wanted[run[1]] or 0)
        wanted[run[1]] = nil
    end
    for _, rank in ipairs(order) do
        if wanted[rank] then
            local run = {rank, 1, 0}
            set_run(id, it, run, wanted[rank])
            it.runs[#it.runs + 1] = run
        end
    end
    keep_runs(it)
    tidy_flow(it)
end

local function silence(of)
    return trust and math.min(of, math.max(math.min(SILENCE, of / 4), SILENCE_EACH * redis.call('ZCARD', checks))) or of
end

local function register(it)
    local joins = not it
    if not it then
        it = {
            place = all.places, life = 0, seq = 0, granted = 0, seen = 0, returned = 0, unused = 0, lease = 0, config = '',
            flow = '', costs = {}, spent = {}, at = 0, round = 0, joined = 0, asked = 0, runs = {},
        }
        members[id] = it
        redis.call('HSET', state, 'p:' .. all.places, id)
        all.places = all.places + 1
        if all.places <= all.limit then publish('', '?') end
    end
    changed[id] = true
    if config ~= it.config then configure() end
    local granted = seen
    if it.life ~= life then
        it.unused, it.spent = unused, numbers(spent)
    else
        granted = math.max(it.granted, seen)
    end
    all.total = all.total + granted - returned - (it.granted - it.returned)
    it.granted, it.costs = granted, numbers(costs)
    local newest = numbers(spent)
    for index, meter in ipairs(all.meters) do
        local cost, more, before = it.costs[index], newest[index], it.spent[index]
        if cost and more and before then
            meter[3] = meter[3] + (more - before - cost * (unused - it.unused)) * meter[1]
        end
    end
    it.life, it.seq, it.seen, it.returned, it.unused, it.lease = life, seq, seen, returned, unused, lease
    it.config, it.spent, it.at, it.asked = config, newest, now, 0
    if hold > 0 then
        all.hold = math.max(all.hold, now + hold)
        publish('', 'h ' .. hold)
    end
    if longest >= all.longest or now - all.longest_at > 2 * lease then
        all.longest, all.longest_at = longest, now
    end
    local lost = born ~= 0 and born ~= all.born
    if newborn and born == 0 then look_for_others() end
    if lost or back then be_careful() end
    if joins and not lost then it.joined = all.round end
    if (born == 0 or (not lost and known == all.round)) and it.round ~= all.round then
        it.round = all.round
        all.heard = all.heard + 1
        if it.joined ~= all.round then all.told = all.told + 1 end
    end
    if all.heard >= all.was and all.told >= all.claimed and (all.claimed > 0 or all.young <= now) then all.fresh = 0 end
    line_up(it)
    local busy = it.granted > it.returned or #it.runs > 0
    redis.call('ZADD', checks, now + (busy and silence(lease) or lease), id)
    return it
end

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

LUA = _CONSTANTS + STATE + _STEP
