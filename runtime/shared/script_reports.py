"""The second part of the script: what a process reports, taken into the account."""

REPORTS = r"""
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
"""
