"""Invented incidents that no change caused, each with changes that look tempting."""

# ruff: noqa: E501
from __future__ import annotations

from tests.investigators.changes.incident import Incident, Log, Metric, change

_TIDY = """
-	var in OrderInput
-	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
-		http.Error(w, err.Error(), 400)
-		return
-	}
+	in, err := decode[OrderInput](r)
+	if err != nil {
+		fail(w, http.StatusBadRequest, err)
+		return
+	}
"""

INCIDENTS = (
    Incident(
        name="certificate of the message broker expired",
        service="orders",
        alert="orders cannot publish",
        logs=(Log(service="orders", text="ssl.SSLCertVerificationError: certificate verify failed: certificate has expired (_ssl.c:{n})"),),
        changes=(
            change("tls", 90, "orders/mq.py", "-    ctx.minimum_version = TLSVersion.TLSv1_1\n+    ctx.minimum_version = TLSVersion.TLSv1_2", service="orders", title="TLS 1.2 at least"),
            change("recent", 9, "orders/handler.go", _TIDY, service="orders", title="tidy handler"),
        ),
        culprit=None,
    ),
    Incident(
        name="mail provider outage",
        service="mailer",
        alert="mailer failure ratio",
        logs=(
            Log(service="mailer", text="POST https://api.mailgrid.com/v3/send returned 503 Service Unavailable", count=60),
            Log(service="signup", text="upstream mailer failed to send welcome mail", level="warning"),
        ),
        metrics=(Metric(service="mailer", name="send_errors_ratio", usual=0.01, now=0.85),),
        changes=(
            change("retry", 40, "mailer/retry.yaml", "-  attempts: 3\n+  attempts: 4", service="mailer", title="one more attempt"),
            change("recent", 8, "mailer/handler.go", _TIDY, service="mailer", title="tidy handler"),
        ),
        culprit=None,
    ),
    Incident(
        name="flash sale traffic",
        service="storefront",
        alert="storefront latency and 503",
        logs=(Log(service="storefront", text="503 worker queue full, shedding request"),),
        metrics=(
            Metric(service="storefront", name="http_requests_per_second", usual=400, now=2600),
            Metric(service="storefront", name="http_request_duration_p99_ms", usual=150, now=4000),
            Metric(service="storefront", name="process_cpu_percent", usual=35, now=98),
        ),
        changes=(
            change("recent", 9, "storefront/handler.go", _TIDY, service="storefront", title="tidy handler"),
            change("banner", 30, "storefront/banner.tsx", "-  <Banner/>\n+  <Banner sale/>", service="storefront", title="sale banner"),
        ),
        culprit=None,
    ),
    Incident(
        name="node died",
        service="payments",
        alert="payments errors",
        logs=(
            Log(service="payments", text="connection refused 10.4.2.17:8080"),
            Log(service="kubelet", text="node ip-10-4-2-17 status is now: NodeNotReady", level="warning", count=2),
            Log(service="catalog", text="connection refused 10.4.2.17:9090"),
        ),
        changes=(
            change("recent", 8, "payments/handler.go", _TIDY, service="payments", title="tidy handler"),
            change("port", 200, "payments/metrics.yaml", "-  metricsPort: 9100\n+  metricsPort: 9102", title="metrics port", kind="config"),
        ),
        culprit=None,
    ),
    Incident(
        name="resolver down for all",
        service="checkout",
        alert="checkout outbound errors",
        logs=(
            Log(service="checkout", text="getaddrinfo EAI_AGAIN payments.internal.shop.net"),
            Log(service="mailer", text="lookup smtp.relay.org on 10.0.0.2:53: server misbehaving"),
            Log(service="search", text="UnknownHostException: index.search.svc.cluster.local"),
        ),
        changes=(
            change("http", 35, "pkg/http/client.go", "-\tt := &http.Transport{MaxIdleConns: 10}\n+\tt := &http.Transport{MaxIdleConns: 50}", service="checkout", title="more idle connections"),
            change("recent", 8, "checkout/handler.go", _TIDY, service="checkout", title="tidy handler"),
        ),
        culprit=None,
    ),
    Incident(
        name="one broken file blocks the import",
        service="importer",
        alert="importer backlog",
        logs=(
            Log(service="importer", text="cannot parse row 88: invalid date '31/31/2026' file=supplier-9912.csv object=supplier-9912.csv; redelivering", count=25),
            Log(service="queue", text="imports oldest message age rising, consumer redelivering same message", level="warning"),
        ),
        changes=(
            change("parse", 28, "importer/rows.py", "-    return [parse(r) for r in rows]\n+    parsed = [parse(r) for r in rows]\n+    return parsed", service="importer", title="name the result"),
            change("log", 10, "importer/log.py", '-log.info("row %d", n)\n+log.info("row", extra={"n": n})', service="importer", title="structured log"),
        ),
        culprit=None,
    ),
    Incident(
        name="cloud zone impaired",
        service="api",
        alert="api 5xx",
        logs=(
            Log(service="api", text="upstream connect error: connection timeout to 10.9.1.4"),
            Log(service="status", text="eu-central-1 availability zone euc1-az2 connectivity impaired", level="warning", count=2),
        ),
        changes=(
            change("recent", 7, "api/handler.go", _TIDY, service="api", title="tidy handler"),
            change("pool", 60, "api/config.yaml", "-  max_idle: 10\n+  max_idle: 20", service="api", title="more idle"),
        ),
        culprit=None,
    ),
    Incident(
        name="database failed over",
        service="billing",
        alert="billing write errors",
        logs=(
            Log(service="billing", text="ERROR: cannot execute INSERT in a read-only transaction"),
            Log(service="postgres", text="failover: primary pg-0 is down, promoting standby pg-1", level="warning", count=2),
        ),
        changes=(
            change("recent", 9, "billing/handler.go", _TIDY, service="billing", title="tidy handler"),
            change("vat", 40, "billing/vat.py", "-    return net * rate\n+    return round(net * rate, 2)", service="billing", title="round"),
        ),
        culprit=None,
    ),
    Incident(
        name="api key of a partner expired",
        service="shipping",
        alert="shipping labels failing",
        logs=(Log(service="shipping", text="401 from carrier: API key has expired, contact your account manager"),),
        changes=(
            change("recent", 8, "shipping/handler.go", _TIDY, service="shipping", title="tidy handler"),
            change("label", 35, "shipping/label.py", "-    size = 'A6'\n+    size = 'A5'", service="shipping", title="larger labels"),
        ),
        culprit=None,
    ),
    Incident(
        name="disk of the host fails",
        service="warehouse",
        alert="warehouse slow",
        logs=(
            Log(service="warehouse", text="slow query: SELECT count(*) FROM pallets took {n} ms", level="warning"),
            Log(service="kernel", text="blk_update_request: I/O error, dev nvme1n1, sector {n}", count=6),
        ),
        metrics=(Metric(service="warehouse", name="db_query_latency_p99_ms", usual=20, now=2500),),
        changes=(
            change("recent", 9, "warehouse/handler.go", _TIDY, service="warehouse", title="tidy handler"),
            change("col", 50, "warehouse/pallet.py", "-    return q.all()\n+    rows = q.all()\n+    return rows", service="warehouse", title="name rows"),
        ),
        culprit=None,
    ),
    Incident(
        name="nothing that was changed has to do with it",
        service="chat",
        alert="chat disconnects",
        logs=(Log(service="chat", text="websocket closed 1006 abnormal closure"),),
        changes=(
            change("recent", 6, "chat/emoji.ts", "-  ':)': 'smile'\n+  ':)': 'slight_smile'", service="chat", title="emoji"),
            change("docs", 8, "docs/chat.md", "-Chat\n+Chat service", title="docs"),
        ),
        culprit=None,
    ),
    Incident(
        name="campaign brings more sign-ups than the pool takes",
        service="signup",
        alert="signup failing",
        logs=(Log(service="signup", text="remaining connection slots are reserved: too many clients already"),),
        metrics=(
            Metric(service="signup", name="requests_per_sec", usual=50, now=420),
            Metric(service="signup", name="db_connections_active", usual=12, now=100),
        ),
        changes=(
            change("recent", 8, "signup/handler.go", _TIDY, service="signup", title="tidy handler"),
            change("pool", 300, "signup/db.yaml", "-  max_connections: 80\n+  max_connections: 100", service="signup", title="more connections"),
        ),
        culprit=None,
    ),
)
