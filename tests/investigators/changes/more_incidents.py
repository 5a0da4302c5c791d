"""A second set of invented incidents, in other languages and with other tempting changes."""

# ruff: noqa: E501
from __future__ import annotations

from tests.investigators.changes.incident import Incident, Log, Metric, change

INCIDENTS = (
    Incident(
        name="php session cookie for another site",
        service="shop",
        alert="shop logins fail",
        logs=(Log(service="shop", text="CSRF token mismatch for session {n}", level="warning"),),
        metrics=(Metric(service="shop", name="login_failures_ratio", usual=0.02, now=0.7),),
        changes=(
            change("good", 19, "config/session.php", "-    'same_site' => 'lax',\n+    'same_site' => 'strict',", service="shop", title="harden cookies"),
            change("decoy", 7, "app/Http/LoginController.php", "-        return redirect('/home');\n+        return redirect()->intended('/home');", service="shop", title="redirect to intended page"),
        ),
        culprit="good",
    ),
    Incident(
        name="c# dictionary shared without protection",
        service="quotes",
        alert="quotes crashes",
        logs=(Log(service="quotes", text="System.InvalidOperationException: Operations that change non-concurrent collections must have exclusive access. A concurrent update was performed on this collection and corrupted its state."),),
        changes=(
            change("good", 75, "src/Quotes/Cache.cs", "-    private readonly ConcurrentDictionary<string, Quote> _items = new();\n+    private readonly Dictionary<string, Quote> _items = new();", service="quotes", title="plain dictionary is enough"),
            change("decoy", 6, "src/Quotes/Quote.cs", "-    public decimal Price { get; set; }\n+    public decimal Price { get; init; }", service="quotes", title="init only"),
        ),
        culprit="good",
    ),
    Incident(
        name="rust unwrap on an absent header",
        service="edge",
        alert="edge workers panic",
        logs=(Log(service="edge", text="thread 'worker-{n}' panicked at 'called `Option::unwrap()` on a `None` value', src/auth.rs:41:55"),),
        changes=(
            change("good", 21, "src/auth.rs", """
-    let token = match headers.get("x-session") {
-        Some(value) => value,
-        None => return Err(Denied),
-    };
+    let token = headers.get("x-session").unwrap();
""", service="edge", title="shorter token parsing"),
            change("decoy", 9, "src/metrics.rs", "-    counter.inc();\n+    counter.inc_by(1);", service="edge", title="inc_by"),
        ),
        culprit="good",
    ),
    Incident(
        name="nginx body size",
        service="proxy",
        alert="uploads fail with 413",
        logs=(Log(service="proxy", text="client intended to send too large body: {n}99999 bytes"),),
        metrics=(Metric(service="proxy", name="http_responses_413_rate", usual=0, now=12),),
        changes=(
            change("good", 24, "nginx/conf.d/uploads.conf", "-    client_max_body_size 100m;\n+    client_max_body_size 1m;", service="proxy", title="sane defaults"),
            change("decoy", 8, "nginx/conf.d/log.conf", "-access_log /var/log/nginx/access.log;\n+access_log /var/log/nginx/access.log json;", service="proxy", title="json logs"),
        ),
        culprit="good",
    ),
    Incident(
        name="cache time to live cut",
        service="geo",
        alert="geo backend overloaded",
        logs=(Log(service="geo", text="cache miss for region, loading from origin", level="warning", count=50),),
        metrics=(
            Metric(service="geo", name="cache_hit_ratio", usual=0.97, now=0.2),
            Metric(service="geo-origin", name="requests_per_sec", usual=20, now=600),
        ),
        calls=(("geo", "geo-origin"),),
        changes=(
            change("good", 16, "geo/cache.go", "-\tconst regionTTL = 12 * time.Hour\n+\tconst regionTTL = 12 * time.Second", service="geo", title="fresher regions"),
            change("decoy", 7, "geo-origin/render.go", "-\treturn json.Marshal(r)\n+\treturn json.MarshalIndent(r, \"\", \" \")", service="geo-origin", title="pretty json"),
        ),
        culprit="good",
    ),
    Incident(
        name="helm chart with a new service port",
        service="ledger",
        alert="ledger unreachable",
        logs=(
            Log(service="api", text="dial tcp 10.96.4.4:8080: connect: connection refused calling ledger"),
            Log(service="ledger", text="listening on :9090", level="info", count=1),
        ),
        calls=(("api", "ledger"),),
        changes=(
            change("good", 8, "charts/ledger/values.yaml", " service:\n   type: ClusterIP\n-  targetPort: 9090\n+  targetPort: 8080", service="ledger", title="standard port"),
            change("decoy", 7, "api/client.go", "-\treturn c.call(ctx, \"ledger\")\n+\tres, err := c.call(ctx, \"ledger\")\n+\treturn res, err", service="api", title="name the result"),
        ),
        culprit="good",
    ),
    Incident(
        name="sql migration locks a large table",
        service="events",
        alert="events writes stall",
        logs=(Log(service="events", text="ERROR: canceling statement due to lock timeout; waiting for lock on relation events"),),
        metrics=(Metric(service="events", name="pg_locks_waiting", usual=0, now=140),),
        changes=(
            change("good", 6, "migrations/0042_priority.sql", "+ALTER TABLE events ADD COLUMN priority int NOT NULL DEFAULT 0;\n+CREATE INDEX events_priority_idx ON events (priority);", service="events", title="priorities"),
            change("decoy", 25, "events/reader.py", "-    for e in rows:\n-        yield e\n+    yield from rows", service="events", title="yield from"),
        ),
        culprit="good",
    ),
    Incident(
        name="elixir supervisor no longer starts a child",
        service="presence",
        alert="presence lookups fail",
        logs=(Log(service="presence", text="** (ArgumentError) unknown registry: Presence.Registry"),),
        changes=(
            change("good", 14, "lib/presence/application.ex", """
     children = [
-      {Registry, keys: :unique, name: Presence.Registry},
       Presence.Endpoint
     ]
""", service="presence", title="tidy children"),
            change("decoy", 50, "lib/presence/views.ex", "-  def title, do: \"Presence\"\n+  def title, do: \"Who is here\"", service="presence", title="title"),
        ),
        culprit="good",
    ),
    Incident(
        name="java date pattern of the week year",
        service="invoices",
        alert="invoices reconciliation mismatch",
        logs=(Log(service="invoices", text="reconciliation mismatch: invoice dated 2027-12-29, ledger says 2026-12-29"),),
        changes=(
            change("good", 100, "src/main/java/Dates.java", "-    static final DateTimeFormatter DAY = DateTimeFormatter.ofPattern(\"yyyy-MM-dd\");\n+    static final DateTimeFormatter DAY = DateTimeFormatter.ofPattern(\"YYYY-MM-dd\");", service="invoices", title="consistent pattern"),
            change("decoy", 9, "src/main/java/Pdf.java", "-    pdf.setTitle(\"Invoice\");\n+    pdf.setTitle(\"Invoice \" + id);", service="invoices", title="pdf title"),
        ),
        culprit="good",
    ),
    Incident(
        name="kotlin consumer stops acknowledging",
        service="audit",
        alert="audit queue grows",
        logs=(Log(service="audit", text="consumer lag growing on partition 3, redelivered=true", level="warning"),),
        metrics=(Metric(service="audit", name="queue_depth", usual=12, now=90000, before=30, slowly=True),),
        changes=(
            change("good", 34, "audit/src/Consumer.kt", """
     override fun onMessage(m: Message, channel: Channel) {
         store.save(parse(m))
-        channel.basicAck(m.tag, false)
     }
""", service="audit", title="simplify consumer"),
            change("decoy", 8, "audit/src/Parser.kt", "-    return mapper.readValue(m.body)\n+    return mapper.readValue<Entry>(m.body)", service="audit", title="explicit type"),
        ),
        culprit="good",
    ),
    Incident(
        name="token lifetime shorter than the clock difference",
        service="mobile-api",
        alert="mobile-api 401s",
        logs=(
            Log(service="mobile-api", text="token not yet valid: nbf is in the future", level="warning"),
            Log(service="web-api", text="token not yet valid: nbf is in the future", level="warning"),
        ),
        metrics=(Metric(service="mobile-api", name="http_401_ratio", usual=0.01, now=0.3),),
        changes=(
            change("good", 44, "libs/identity/verify.ts", "-  return jwt.verify(token, key, { clockTolerance: 60 });\n+  return jwt.verify(token, key);", title="default verification"),
            change("carrier", 40, "mobile-api/package.json", '-    "identity": "1.8.0"\n+    "identity": "1.9.0"', service="mobile-api", title="use identity 1.9"),
            change("decoy", 7, "mobile-api/src/me.ts", "-  return user;\n+  return { user };", service="mobile-api", title="wrap user"),
        ),
        culprit="good",
    ),
    Incident(
        name="a flood of bots",
        service="tickets",
        alert="tickets latency",
        logs=(Log(service="tickets", text="request queue full, rejecting", level="warning"),),
        metrics=(
            Metric(service="tickets", name="http_requests_rate", usual=300, now=5200),
            Metric(service="tickets", name="http_request_duration_p95_ms", usual=90, now=3300),
        ),
        changes=(
            change("a", 25, "tickets/seat.go", "-\tif seat == nil {\n-\t\treturn ErrNoSeat\n-\t}\n+\tif seat == nil {\n+\t\treturn fmt.Errorf(\"seat: %w\", ErrNoSeat)\n+\t}", service="tickets", title="wrap error"),
            change("b", 9, "tickets/queue.yaml", "-  workers: 16\n+  workers: 24", service="tickets", title="more workers"),
        ),
        culprit=None,
    ),
    Incident(
        name="object store of the cloud unavailable",
        service="thumbs",
        alert="thumbs errors",
        logs=(Log(service="thumbs", text="PUT https://objects.eu-1.cloudstore.com/thumbs/{n}.jpg: 503 Slow Down / service unavailable"),),
        changes=(
            change("a", 20, "thumbs/resize.rs", "-    let out = resize(img, 128);\n+    let out = resize(img, 160);", service="thumbs", title="larger thumbs"),
            change("b", 8, "thumbs/upload.rs", "-    client.put(key, body).await?;\n-    Ok(())\n+    client.put(key, body).await.map(|_| ())", service="thumbs", title="shorter upload"),
        ),
        culprit=None,
    ),
    Incident(
        name="licence of a component lapsed",
        service="pdf",
        alert="pdf rendering fails",
        logs=(Log(service="pdf", text="RenderEngine: license expired on 2026-03-01, refusing to render"),),
        changes=(
            change("a", 30, "pdf/fonts.py", "-FONTS = ['Inter']\n+FONTS = ['Inter', 'Noto']", service="pdf", title="more fonts"),
            change("b", 9, "pdf/page.py", "-    margin = 10\n+    margin = 12", service="pdf", title="margin"),
        ),
        culprit=None,
    ),
    Incident(
        name="packet loss between sites",
        service="replica",
        alert="replica lag",
        logs=(
            Log(service="replica", text="replication stream timed out, reconnecting", level="warning"),
            Log(service="router", text="BGP peer 10.0.0.1 down, packet loss 38 %", level="warning", count=3),
        ),
        changes=(
            change("a", 15, "replica/config.yaml", "-  wal_sender_timeout: 60s\n+  wal_sender_timeout: 90s", service="replica", title="be patient"),
            change("b", 8, "replica/status.go", "-\treturn lag\n+\treturn lag.Round(time.Second)", service="replica", title="rounded lag"),
        ),
        culprit=None,
    ),
    Incident(
        name="spot nodes taken away",
        service="batch",
        alert="batch jobs failing",
        logs=(
            Log(service="batch", text="worker lost, task requeued"),
            Log(service="node-agent", text="spot instance interruption notice received, node will be terminated", level="warning", count=4),
        ),
        changes=(
            change("a", 18, "batch/job.py", "-    retries = 2\n+    retries = 3", service="batch", title="another retry"),
            change("b", 6, "batch/report.py", "-    print(total)\n+    log.info(total)", service="batch", title="log total"),
        ),
        culprit=None,
    ),
)
