"""What the server has done, as Prometheus reads it."""

from collections import Counter
from collections.abc import Mapping, Sequence

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
KNOWN = (
    "/", "/predict", "/embed", "/similar", "/drift", "/explain", "/map", "/health", "/metrics", "/docs",
    "/openapi.json",
)  # fmt: skip


class Counts:
    """Counters of one server.

    Args:
        marks: what it counts among its answers, beside the labels it gives.
    """

    def __init__(self, marks: Sequence[str]) -> None:
        self.requests: Counter[tuple[str, str, int]] = Counter()
        self.times: Counter[float] = Counter()
        self.seconds = 0.0
        self.labels: Counter[str] = Counter()
        self.marks: Counter[str] = Counter(dict.fromkeys(marks, 0))

    def request(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count an answer; paths that do not exist share one line, so that nobody can fill the memory with names."""
        where = path if path in KNOWN else "other"
        self.requests[method if method in ("GET", "POST") else "other", where, status] += 1
        self.seconds += seconds
        self.times.update(limit for limit in SECONDS if seconds <= limit)

    def text(self, gauges: Mapping[str, float]) -> str:
        """All of it in Prometheus's text format."""
        out = ["# TYPE unlabeled_requests_total counter"]
        for (method, path, status), n in sorted(self.requests.items()):
            out.append(f'unlabeled_requests_total{{method="{method}",path="{path}",status="{status}"}} {n}')
        total = sum(self.requests.values())
        out.append("# TYPE unlabeled_request_seconds histogram")
        out += [f'unlabeled_request_seconds_bucket{{le="{s}"}} {self.times[s]}' for s in SECONDS]
        out += [f'unlabeled_request_seconds_bucket{{le="+Inf"}} {total}', f"unlabeled_request_seconds_count {total}"]
        out.append(f"unlabeled_request_seconds_sum {self.seconds:.6f}")
        out += ["# TYPE unlabeled_predictions_total counter"] if self.labels else []
        for label, n in sorted(self.labels.items()):
            safe = label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
            out.append(f'unlabeled_predictions_total{{label="{safe}"}} {n}')
        for name, n in self.marks.items():
            out += [f"# TYPE unlabeled_{name}_total counter", f"unlabeled_{name}_total {n}"]
        for name, value in gauges.items():
            out += [f"# TYPE unlabeled_{name} gauge", f"unlabeled_{name} {value:g}"]
        return "\n".join(out) + "\n"
