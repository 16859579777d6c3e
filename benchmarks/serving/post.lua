-- wrk -s post.lua URL -- CONTENT_TYPE BODY_FILE [PATHS_FILE]: posts one body, prints JSON figures.
-- PATHS_FILE holds one path a line, asked in that order again and again; else the URL's is asked.
local requests, at = {}, 0

function init(args)
  local file = assert(io.open(args[2], "rb"))
  wrk.method = "POST"
  wrk.headers["Content-Type"] = args[1]
  wrk.body = file:read("*a")
  file:close()
  if args[3] then
    local made = {}
    for path in io.lines(args[3]) do
      made[path] = made[path] or wrk.format(nil, path)
      requests[#requests + 1] = made[path]
    end
  else
    requests[1] = wrk.format()
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %.6f, "refused": %d, "broken": %d, ' ..
    '"p50_ms": %.3f, "p99_ms": %.3f, "max_ms": %.3f}\n',
    summary.requests, summary.duration / 1e6, e.status, e.connect + e.read + e.write + e.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3))
end
