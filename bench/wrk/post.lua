-- Requests for wrk. MODE says which: depth, balance, last, resting, crossing by JSON-RPC, or rest: orders
-- of the REST API under the token TOKEN.
-- Requests are made before the run and sent in turn, so that wrk does not spend its time on making them.
-- With CHECK=1 every answer is looked at and counted; that is for a short run before the measured one,
-- because it halves what wrk can ask.

local mode = os.getenv("MODE") or "depth"
local market = os.getenv("MARKET") or "BTCUSDT"
local base = os.getenv("BASE") or "BTC"
local users = tonumber(os.getenv("USERS") or "1000")
local price = tonumber(os.getenv("PRICE") or "10000")
local variants = 4096

local function order(user, side, amount, limit)
  return string.format('[%d, "%s", %d, "%.2f", "%.2f", "0.002", "0.001", "load"]',
    user, market, side, amount, limit)
end

local makers = {
  depth = function() return "order.depth", string.format('["%s", 20, "0"]', market) end,
  balance = function()
    return "balance.query", string.format('[%d, "%s"]', math.random(users), base)
  end,
  last = function() return "market.last", string.format('["%s"]', market) end,
  resting = function()
    local side = math.random(2)
    local distance = price * (0.05 + math.random() / 4)
    local limit = side == 2 and price - distance or price + distance
    return "order.put_limit", order(math.random(users), side, math.random(100) / 100, limit)
  end,
  -- One amount and one price, sides in turn: every second order meets the one before.
  crossing = function(index)
    return "order.put_limit", order(math.random(users), 1 + index % 2, 0.1, price)
  end,
}

local requests = {}
local position = 0

local function rest_order()
  local limit = price * (0.5 + math.random() / 4)
  local body = string.format('{"market": "%s", "side": "bid", "type": "limit", "amount": "0.01", "price": "%.2f"}',
    market, limit)
  local headers = { ["Authorization"] = "Bearer " .. os.getenv("TOKEN"), ["Content-Type"] = "application/json" }
  return wrk.format("POST", "/api/v1/orders", headers, body)
end

function init(_)
  math.randomseed(1)
  for index = 1, mode == "rest" and variants or 0 do
    requests[index] = rest_order()
  end
  for index = #requests + 1, variants do
    local method, params = makers[mode](index)
    local body = string.format('{"method": "%s", "params": %s, "id": %d}', method, params, index)
    requests[index] = wrk.format("POST", "/", nil, body)
  end
end

function request()
  position = position % variants + 1
  return requests[position]
end

if os.getenv("CHECK") then
  accepted, refused = 0, 0
  local threads = {}

  function setup(thread) threads[#threads + 1] = thread end

  function response(status, _, body)
    if status == 201 or (status == 200 and body:find('^{%s*"error":%s*null')) then
      accepted = accepted + 1
    else
      refused = refused + 1
    end
  end

  function done(_, _, _)
    local all_accepted, all_refused = 0, 0
    for _, thread in ipairs(threads) do
      all_accepted = all_accepted + thread:get("accepted")
      all_refused = all_refused + thread:get("refused")
    end
    print(string.format("checked accepted=%d refused=%d", all_accepted, all_refused))
  end
end
