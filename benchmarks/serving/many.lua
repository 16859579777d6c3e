-- wrk -s many.lua URL -- CONTENT_TYPE BODY_FILE PATHS_FILE: one body to many paths, then as post.lua.
-- PATHS_FILE holds a path a line, as often as it shall be asked; requests take them in turn.
local paths, headers, body, turn = {}, {}, nil, 0

function init(args)
  local file = assert(io.open(args[2], "rb"))
  body = file:read("*a")
  file:close()
  headers["Content-Type"] = args[1]
  for path in io.lines(args[3]) do
    paths[#paths + 1] = path
  end
end

function request()
  turn = turn % #paths + 1
  return wrk.format("POST", paths[turn], headers, body)
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %.6f, "refused": %d, "broken": %d, ' ..
    '"p50_ms": %.3f, "p99_ms": %.3f, "max_ms": %.3f}\n',
    summary.requests, summary.duration / 1e6, e.status, e.connect + e.read + e.write + e.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3))
end
