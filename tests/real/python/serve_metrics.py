"""Serves one of each series that a JSON file lists, as Prometheus reads them.

    serve_metrics.py SERIES.json

SERIES.json is {name: {"type": ..., "labels": [...]}}. Counters and histograms grow
with the time; the first line of the output is the port.
"""

import http.server
import json
import sys
import time

BUCKETS = [float(f"{digit}e{power}") for power in range(-5, 1) for digit in (1, 2, 5)] + [10.0]
VALUES = {"version": "1.0", "location": "/src/server.cc:18", "function": "MakeReport()", "le": ""}

# Of the counters that rules compare with each other: growth per second.
RATES = {"loopsan_loop_busy_seconds_total": 0.95, "loopsan_idle_seconds_total": 0.05}


def exposition(series, seconds):
    lines = []
    for name, description in series.items():
        labels = [f'{label}="{VALUES.get(label, label + " 1")}"' for label in description["labels"]]

        def sample(suffix, value, more=()):
            both = ",".join([*labels, *more])
            lines.append(f"{name}{suffix}{{{both}}} {value:.6f}")

        lines.append(f"# HELP {name} What the documentation says.")
        lines.append(f"# TYPE {name} {description['type']}")
        grown = 1 + seconds * RATES.get(name, 0.1)
        if description["type"] == "histogram":
            for bound in BUCKETS:
                sample("_bucket", int(grown * 100), [f'le="{bound:g}"'])
            sample("_bucket", int(grown * 100), ['le="+Inf"'])
            sample("_sum", grown)
            sample("_count", int(grown * 100))
        else:
            sample("", grown if description["type"] == "counter" else 1)
    return "\n".join(lines) + "\n"


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        series = json.load(file)
    started = time.monotonic()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = exposition(series, time.monotonic() - started).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()


main()
