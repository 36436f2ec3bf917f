"""How fast the load generator is: requests a second against a server that does nothing, each on one core.

python studies/generator.py [--seconds 10] [--clients 5]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SERVER = """
import asyncio, os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
ANSWER = b"HTTP/1.1 200 OK\\r\\nContent-Length: 15\\r\\n\\r\\n" + b'{"entities":[]}'

class Nothing(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.held = transport, b""

    def data_received(self, data):
        self.held += data
        while (end := self.held.find(b"\\r\\n\\r\\n")) >= 0:
            length = int(self.held[:end].lower().split(b"content-length:")[1].split(b"\\r\\n")[0])
            if len(self.held) < end + 4 + length:
                return
            self.held = self.held[end + 4 + length:]
            self.transport.write(ANSWER)

async def main():
    server = await asyncio.get_running_loop().create_server(Nothing, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\\n")
    sys.stdout.flush()
    await server.serve_forever()

asyncio.run(main())
"""


def main() -> int:
    """Measure and print; exit code 1 below 3,000 a second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--clients", type=int, default=5)
    options = parser.parse_args()
    from slimner.bench.load import Load, run_closed, run_open

    cores = sorted(os.sched_getaffinity(0))
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(cores[-1])], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        port = int(server.stdout.readline())
        os.sched_setaffinity(0, {cores[0]})  # the generator inherits it
        with tempfile.TemporaryDirectory() as directory:
            workload = Path(directory) / "texts.txt"
            workload.write_text("外交部发言人说，法国总统马克龙将于下周访问上海。\n" * 20, encoding="utf-8")
            load = Load(target=f"http://127.0.0.1:{port}/v1/ner", workload=str(workload), most=1_000_000)
            closed = run_closed(load, clients=options.clients, seconds=options.seconds)
            print(
                f"closed loop, {options.clients} clients: {closed.per_s:,.0f} requests a second, "
                f"{closed.failed} failed, {closed.generator_cores:.2f} of a core used by the generator"
            )
            for rate in (500, 1000, 2000, 3000):
                run = run_open(load, rate=rate, seconds=options.seconds)
                print(
                    f"open loop, {rate} a second asked: {run.per_s:,.0f} answered, p50 {run.latency_ms(50):.2f} ms, "
                    f"p99 {run.latency_ms(99):.2f} ms, lag p99 {run.lag_p99_ms:.2f} ms, "
                    f"{run.generator_cores:.2f} of a core" + (f"; {run.invalid[0]}" if run.invalid else "")
                )
    finally:
        server.kill()
        server.wait()
    return 0 if closed.per_s >= 3000 else 1


if __name__ == "__main__":
    sys.exit(main())
