"""Runs every benchmark and writes `bench/RESULTS.md`: ratios against peers of the same run.

    make bench                  in a virtual environment of its own, with the release build
    bench/run.py --quick        short runs, printed: whether everything still works

Absolute figures depend on the machine and its load; what counts is the ratio beside each.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "bench" / "python"))

import bridge  # noqa: E402
import hits  # noqa: E402
import parts  # noqa: E402
import peer  # noqa: E402
import proxy  # noqa: E402

from snowgate import _core  # noqa: E402


def main() -> int:
    """Measure and write the report."""
    quick = "--quick" in sys.argv[1:]
    refusal = _refusal()
    if refusal:
        print(refusal, file=sys.stderr)
        return 1
    if quick:
        for module in (bridge, parts, peer, proxy):
            module.ROUNDS = 1
        proxy.SECONDS = 1
    upstream = ROOT / "target" / "release" / "examples" / "canned_upstream"
    lines = [HEAD.format(**_machine())]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines += _bridge()
        requests, chunks = proxy.measure(upstream, folder / "proxy")
        lines += _requests(requests) + _chunks(chunks)
        lines += _pairs("The ledger", LEDGER, parts.ledger(folder))
    lines += _pairs("Masks", MASKS, parts.masks())
    decisions = peer.measure()
    lines += _decisions(decisions)
    lines += hits.lines(hits.cached(), decisions.cedar_us)
    lines += _verdicts(decisions.cedar_us)
    load = os.getloadavg()[0]
    lines.append(f"\nLoad average at the end: {load:.1f}.")
    report = "\n".join(lines) + "\n"
    if quick:
        print(report)
    else:
        (ROOT / "bench" / "RESULTS.md").write_text(report)
    return 0


def _refusal() -> str:
    """Why nothing is measured; empty when everything is there."""
    if not Path(_core.__file__).is_relative_to(ROOT / ".venvs" / "bench"):
        return "only the release build is measured: run `make bench`"
    lacking = proxy.missing()
    return f"the benchmark needs more tools: {lacking}" if lacking else ""


HEAD = """# Benchmarks

Written by `make bench` on {date}: {cpu}, {cores} cores, Python {python}, {nginx}, load {load} at
the start. The extension is the release build ({size} MB). Each figure stands beside a peer's of the
same run; rounds are interleaved and the median is shown. On a shared machine wall-clock figures
bend; CPU figures bend less.
"""
LEDGER = "Durable entries of 1 KB: appended, synced, acknowledged."
MASKS = "One of eight columns redacted, one partly shown; CPU time of one core, answers compared."


def _machine() -> dict[str, str]:
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    nginx = subprocess.run(
        [shutil.which("nginx") or "nginx", "-v"], capture_output=True, text=True, check=True
    )
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": cpu,
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        "nginx": nginx.stderr.strip().removeprefix("nginx version: "),
        "load": f"{os.getloadavg()[0]:.1f}",
        "size": f"{Path(_core.__file__).stat().st_size / 1e6:.1f}",
    }


def _bridge() -> list[str]:
    rows = bridge.measure()
    peer = {row.in_flight: row for row in rows if row.name != "bridge"}
    lines = [
        "\n## The bridge\n",
        "A question of 600 bytes from a Rust task to trio and back; the peer is trio's own way for"
        " a thread.\n",
        "| | in flight | 1/s | p50 µs | p99 µs | CPU µs | rate, of the peer's |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        beside = peer.get(row.in_flight)
        ratio = f"{row.per_second / beside.per_second:.1f} ×" if beside else "–"
        lines.append(
            f"| {row.name} | {row.in_flight} | {row.per_second:,.0f} | {row.p50_us:.0f} |"
            f" {row.p99_us:.0f} | {row.cpu_us:.1f} | {ratio} |"
        )
    return lines


def _requests(found: list[proxy.Comparison]) -> list[str]:
    lines = [
        "\n## Requests, beside nginx\n",
        "TLS 1.3 with keep-alive from `wrk`, plain HTTP to the same canned upstream; nginx has one"
        " worker. A small chunk (1.8 KB, clear) passes through, as in nginx, once its ticket is"
        " found good. A statement is more: its body is parsed and rebuilt, its verdict looked up,"
        " its text encrypted, its intent synced to disk before it is forwarded, its reply of 40"
        " rows parsed and rebuilt, its outcome recorded. With the ledger in memory the sync costs"
        " nothing. A heartbeat is answered by the proxy itself. 32 sessions take turns.\n",
        "| | gateway 1/s | nginx 1/s | gateway p50, p99 µs | nginx p50, p99 µs |"
        " gateway CPU µs | nginx CPU µs | CPU ratio |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for each in found:
        ours, theirs = each.gateway, each.nginx
        lines.append(
            f"| {each.name} | {ours.per_second:,.0f} | {theirs.per_second:,.0f} |"
            f" {ours.p50_us:,.0f}, {ours.p99_us:,.0f} | {theirs.p50_us:,.0f},"
            f" {theirs.p99_us:,.0f} | {ours.cpu_us:.0f} | {theirs.cpu_us:.0f} |"
            f" {each.cpu_ratio:.2f} × |"
        )
    return lines


def _chunks(found: list[proxy.Comparison]) -> list[str]:
    lines = [
        "\n## Large chunks, beside nginx\n",
        f"Chunks of {found[0].stored_bytes / 1e6:.0f} MB, per GB as stored. nginx passes on what"
        " the gateway masks (1 column redacted, 1 partly shown, of 8).\n",
        "| | gateway MB/s | nginx MB/s | gateway CPU s/GB | nginx CPU s/GB | CPU ratio |",
        "|---|---|---|---|---|---|",
    ]
    for each in found:
        size = each.stored_bytes
        ours, theirs = each.gateway, each.nginx
        lines.append(
            f"| {each.name} | {ours.per_second * size / 1e6:,.0f} |"
            f" {theirs.per_second * size / 1e6:,.0f} | {ours.cpu_us * 1e3 / size:.2f} |"
            f" {theirs.cpu_us * 1e3 / size:.2f} | {each.cpu_ratio:.2f} × |"
        )
    return lines


def _pairs(title: str, words: str, pairs: list[parts.Pair]) -> list[str]:
    lines = [
        f"\n## {title}\n",
        words + "\n",
        "| | ours | peer | | ratio |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {pair.name} | {pair.ours:,.0f} {pair.unit} | {pair.peer_name} |"
        f" {pair.peer:,.0f} {pair.unit} | {pair.ours / pair.peer:.1f} × |"
        for pair in pairs
    ]
    return lines


def _decisions(found: peer.Result) -> list[str]:
    return [
        "\n## Decisions, beside Cedar\n",
        "Statements that are analysed already, judged by the reference policy and by the same rules"
        f" for Cedar (`bench/cedar`); both decided alike on all {found.cases:,} pairs of statement"
        " and reader. Ours is Python and also plans the masks; Cedar is called by `cedarpy`, with"
        " its policies and entities parsed before. CPU time of one decision.\n",
        "| | µs | of Cedar's |",
        "|---|---|---|",
        f"| policy engine | {found.ours_us:.0f} | {found.ours_us / found.cedar_us:.2f} × |",
        f"| Cedar | {found.cedar_us:.0f} | 1.00 × |",
        f"| its evaluation alone, by its own clock | {found.engine_us:.0f} |"
        f" {found.engine_us / found.cedar_us:.2f} × |",
    ]


def _verdicts(cedar_us: float) -> list[str]:
    lines = [
        "\n## First verdicts\n",
        "A text that is new, as the control plane answers it: analysis in a worker process that is"
        " warm, then policy. Cedar's decision is of a statement that is analysed already.\n",
        "| | p50 ms | p99 ms | goal, p50 ms | p50, of Cedar's |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.name} | {row.p50_ms:.2f} | {row.p99_ms:.2f} | {row.goal_ms} |"
        f" {row.p50_ms * 1e3 / cedar_us:.0f} × |"
        for row in parts.verdicts()
    ]
    return lines


if __name__ == "__main__":
    sys.exit(main())
