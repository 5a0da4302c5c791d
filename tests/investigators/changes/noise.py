"""Changes of every day that break nothing, to hide a culprit among."""

from __future__ import annotations

from bot.domain.evidence import Change
from tests.investigators.changes.incident import change


def noise() -> tuple[Change, ...]:
    """A morning's worth, some of them near what often breaks."""
    return (
        change("noise-docs", 220, "docs/runbooks/restore.md", "-Restore takes an hour.\n+Restore takes two hours.", title="docs: restore time"),
        change("noise-test", 180, "tests/unit/test_money.py", "+def test_rounds_half_even():\n+    assert round_money(0.5) == 0", title="test: rounding"),
        change("noise-css", 95, "web/src/styles/header.css", "-.header { padding: 4px; }\n+.header { padding: 8px; }", title="style: header"),
        change(
            "noise-deps", 70, "go.mod go.sum",
            "@@ go.mod @@\n-\tgithub.com/spf13/cobra v1.8.0\n+\tgithub.com/spf13/cobra v1.8.1",
            title="chore: bump dependencies",
        ),
        change(
            "noise-metrics", 55, "pkg/obs/metrics.go",
            '+var queueDepth = prometheus.NewGauge(prometheus.GaugeOpts{Name: "queue_depth"})',
            title="feat: gauge for queue depth",
        ),
        change(
            "noise-guard", 40, "pkg/addr/lookup.go",
            "+\tif e == nil {\n+\t\treturn Entry{}\n+\t}",
            title="fix: guard empty address",
        ),
        change("noise-nodiff", 12, "cmd/tool/main.go", title="refactor: tidy command line"),
        change(
            "noise-log", 9, "internal/audit/audit.go",
            '-\tlog.Printf("audit %s", id)\n+\tlogger.Info("audit", "id", id, "actor", actor)',
            title="chore: structured audit log",
        ),
        change("noise-after", -3, "services/any/fix.go", "-\treturn nil\n+\treturn errUnavailable", title="fix: later"),
    )  # fmt: skip
