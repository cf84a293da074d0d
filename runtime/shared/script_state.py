"""The first part of the script: the account's state, its members, and their entries in the line."""

STATE = r"""
local state, line, checks = KEYS[1], KEYS[2], KEYS[3]
local id, life, seq, seen = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local returned, unused, config, lease = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7], tonumber(ARGV[8])
local born, processes, back, longest = tonumber(ARGV[9]), tonumber(ARGV[10]), ARGV[11] == '1', tonumber(ARGV[12])
local hold, flow, bye, trust = tonumber(ARGV[13]), ARGV[14], ARGV[15] == '1', ARGV[16] == '1'
local PUBLISH, CHANNEL, costs, spent = ARGV[17], ARGV[18], ARGV[19], ARGV[20]
local timeout, known, waiting = tonumber(ARGV[21]), tonumber(ARGV[22]), ARGV[23]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + clock[2] / 1000
local due = math.huge
local all, members, changed, flows, newborn = nil, {}, {}, {}, false

local function publish(name, message)
    return redis.call(PUBLISH, CHANNEL .. name, message)
end

local function numbers(text)
    local found = {}
    for word in string.gmatch(text, '%S+') do found[#found + 1] = tonumber(word) end
    return found
end

local function started_at()
    local info = redis.pcall('INFO', 'server')
    local seconds = type(info) == 'string' and string.match(info, 'uptime_in_seconds:(%d+)')
    return seconds and now - seconds * 1000 or -math.huge
end

local function load_state()
    local packed = redis.call('HGET', state, 'account')
    if packed then
        all = cmsgpack.unpack(packed)
        if redis.call('ZCARD', checks) > 0 or now < all.hold then return end
        for _, meter in ipairs(all.meters) do
            if meter[3] > now then return end
        end
        redis.call('DEL', state, line)
    end
    newborn = true
    all = {
        born = math.max(math.floor(now * 1000), all and all.born + 1 or 0), config = '', limit = 0, meters = {}, total = 0,
        virtual = 0, hold = 0, fresh = 0, quiet = 0, was = 0, heard = 0, told = 0, claimed = 0, young = 0, round = 0, stepped_at = now, longest = 0, longest_at = 0, waker = '', wake_at = 0,
        places = 0, ttl_at = 0,
    }
end

local function member(name)
    if members[name] == nil then
        local packed = redis.call('HGET', state, 'm:' .. name)
        members[name] = packed and cmsgpack.unpack(packed) or false
    end
    return members[name]
end

local function flow_tag(of)
    if flows[of] == nil then flows[of] = tonumber(redis.call('HGET', state, 'f:' .. of) or '0') end
    return flows[of]
end

local function set_run(name, it, run, count)
    while run[3] - run[2] + 1 < count do
        run[3] = run[3] + 1
        local tag = math.max(all.virtual, flow_tag(it.flow))
        flows[it.flow] = tag + 1
        redis.call('ZADD', line, run[1] * RANK + tag, name .. '|' .. run[1] .. '|' .. run[3])
    end
    while run[3] - run[2] + 1 > count do
        local entry = name .. '|' .. run[1] .. '|' .. run[3]
        local tag = tonumber(redis.call('ZSCORE', line, entry) or '0') - run[1] * RANK
        redis.call('ZREM', line, entry)
        if flow_tag(it.flow) == tag + 1 then flows[it.flow] = tag end
        run[3] = run[3] - 1
    end
end

local function keep_runs(it)
    local runs = {}
    for _, run in ipairs(it.runs) do
        if run[3] >= run[2] then runs[#runs + 1] = run end
    end
    it.runs = runs
end

local function tidy_flow(it)
    if it.flow ~= '' and #it.runs == 0 and flow_tag(it.flow) <= all.virtual + 1 then flows[it.flow] = 0 end
end

local function drop_line(name, it)
    for _, run in ipairs(it.runs) do set_run(name, it, run, 0) end
    it.runs = {}
    changed[name] = true
    tidy_flow(it)
end

local function forget(name, it)
    all.total = all.total - (it.granted - it.returned)
    if it.round == all.round and all.round > 0 then
        all.heard = all.heard - 1
        if it.joined ~= all.round then all.told = all.told - 1 end
    end
    drop_line(name, it)
    members[name], changed[name] = false, nil
    redis.call('HDEL', state, 'm:' .. name)
    redis.call('ZREM', checks, name)
    all.places = all.places - 1
    local last = redis.call('HGET', state, 'p:' .. all.places)
    redis.call('HDEL', state, 'p:' .. all.places)
    if last and last ~= name and member(last) then
        redis.call('HSET', state, 'p:' .. it.place, last)
        members[last].place = it.place
        changed[last] = true
    end
end
"""
