-- Posts the bodies of the file PEER_BODIES in turn, and prints one line of JSON at the end.
local bodies = {}
for line in io.lines(os.getenv("PEER_BODIES")) do
  bodies[#bodies + 1] = line
end
local sent = 0

request = function()
  sent = sent % #bodies + 1
  return wrk.format("POST", nil, { ["Content-Type"] = "application/json" }, bodies[sent])
end

done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %.6f, "p50_ms": %.3f, "p95_ms": %.3f, "errors": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(95) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout
  ))
end
