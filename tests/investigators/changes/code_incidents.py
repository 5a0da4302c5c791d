"""Invented incidents that a change of code or of a schema caused."""

# ruff: noqa: E501
from __future__ import annotations

from tests.investigators.changes.incident import Incident, Log, Metric, change

INCIDENTS = (
    Incident(
        name="python profile without a check for None",
        service="profile",
        alert="profile error ratio above 5 %",
        logs=(
            Log(service="profile", text="AttributeError: 'NoneType' object has no attribute 'street' File \"app/views/address.py\", line {n}, in render"),
            Log(service="web", text="GET http://profile/address returned 500", level="warning"),
        ),
        metrics=(Metric(service="profile", name="http_errors_ratio", usual=0.002, now=0.4),),
        changes=(
            change("good", 18, "app/views/address.py", """
@@ -10,9 +10,6 @@ def render(user):
     address = user.address
-    if address is None:
-        return EMPTY
     return Address(street=address.street, city=address.city)
""", service="profile", title="simplify address rendering"),
            change("decoy", 8, "app/views/avatar.py", """
-    img = Image.open(path)
-    return img.resize((64, 64))
+    image = Image.open(path)
+    return image.resize((64, 64))
""", service="profile", title="rename avatar variable"),
        ),
        culprit="good",
    ),
    Incident(
        name="java counter without its lock",
        service="stock",
        alert="stock oversold items",
        logs=(
            Log(service="stock", text="java.util.ConcurrentModificationException at com.shop.stock.Ledger.reserve(Ledger.java:{n})"),
            Log(service="stock", text="negative stock for sku after reservation", level="warning"),
        ),
        changes=(
            change("good", 50, "stock/src/main/java/com/shop/stock/Ledger.java", """
-    public synchronized void reserve(String sku, int n) {
+    public void reserve(String sku, int n) {
         Integer left = left(sku);
""", service="stock", title="Speed up reservations"),
            change("decoy", 10, "stock/src/main/java/com/shop/stock/LedgerController.java", """
-        return ResponseEntity.ok(ledger.reserve(sku, n));
+        ledger.reserve(sku, n);
+        return ResponseEntity.noContent().build();
""", service="stock", title="Return 204"),
        ),
        culprit="good",
    ),
    Incident(
        name="typescript lookups one by one",
        service="feed",
        alert="feed p95 latency above 2 s",
        logs=(Log(service="feed", text="slow request GET /feed took {n} ms", level="warning"),),
        metrics=(
            Metric(service="feed", name="http_request_duration_p95_ms", usual=180, now=2600),
            Metric(service="feed", name="db_queries_per_request", usual=3, now=61),
        ),
        changes=(
            change("good", 35, "services/feed/src/feed.ts", """
 export async function buildFeed(userId: string) {
   const posts = await postRepo.latest(userId);
-  const authors = await userRepo.findByIds(posts.map(p => p.authorId));
-  return posts.map(p => ({ ...p, author: authors[p.authorId] }));
+  return Promise.all(posts.map(async p => ({ ...p, author: await userRepo.findOne(p.authorId) })));
 }
""", service="feed", title="inline author lookup"),
            change("decoy", 7, "services/feed/src/controller.ts", """
-  res.json(feed);
+  res.status(200).json({ items: feed });
""", service="feed", title="wrap feed in items"),
        ),
        culprit="good",
    ),
    Incident(
        name="ruby report without its limit",
        service="reports",
        alert="reports workers OOM killed",
        logs=(Log(service="reports", text="Killed: worker exceeded memory limit, out of memory", count=4),),
        metrics=(Metric(service="reports", name="process_resident_memory_bytes", usual=3e8, now=1.9e9, before=40, slowly=True),),
        changes=(
            change("good", 45, "app/models/export.rb", """
-    Order.where(account_id: id).order(:created_at).limit(500)
+    Order.where(account_id: id).order(:created_at).to_a
""", service="reports", title="export all orders"),
            change("decoy", 6, "app/models/export_header.rb", """
-    %w[id total currency]
+    %w[id total currency created_at]
""", service="reports", title="one more column"),
        ),
        culprit="good",
    ),
    Incident(
        name="go client never closes bodies",
        service="crawler",
        alert="crawler fetch failures",
        logs=(Log(service="crawler", text="dial tcp: socket: too many open files"),),
        metrics=(Metric(service="crawler", name="process_open_fds", usual=80, now=1024, before=90, slowly=True),),
        changes=(
            change("good", 100, "crawler/fetch.go", """
 	resp, err := c.http.Do(req)
 	if err != nil {
 		return nil, err
 	}
-	defer resp.Body.Close()
 	return parse(resp.Body)
""", service="crawler", title="return early"),
            change("decoy", 15, "crawler/parse.go", """
-	doc, err := html.Parse(r)
+	doc, err := html.ParseWithOptions(r, html.ParseOptionEnableScripting(false))
""", service="crawler", title="parse without scripting"),
        ),
        culprit="good",
    ),
    Incident(
        name="node module-level cache that only grows",
        service="pricing",
        alert="pricing pod restarts, heap out of memory",
        logs=(Log(service="pricing", text="FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory", count=3),),
        metrics=(Metric(service="pricing", name="nodejs_heap_size_used_bytes", usual=1.2e8, now=1.4e9, before=150, slowly=True),),
        changes=(
            change("good", 155, "pricing/src/quote.js", """
+const quotes = new Map();
+
 async function quote(cart) {
+  if (quotes.has(cart.id)) return quotes.get(cart.id);
   const q = await compute(cart);
+  quotes.set(cart.id, q);
   return q;
 }
""", service="pricing", title="remember quotes"),
            change("decoy", 14, "pricing/src/rates.js", """
+const LRU = require("lru-cache");
+const rates = new LRU({ max: 200 });
""", service="pricing", title="bounded cache of rates"),
        ),
        culprit="good",
    ),
    Incident(
        name="django column without a migration",
        service="accounts",
        alert="accounts 500s on login",
        logs=(Log(service="accounts", text='django.db.utils.ProgrammingError: column accounts_user.last_device does not exist LINE 1: SELECT "accounts_user"."id"'),),
        changes=(
            change("good", 20, "accounts/models.py accounts/views.py", """
@@ accounts/models.py @@
     email = models.EmailField(unique=True)
+    last_device = models.CharField(max_length=80, null=True)
@@ accounts/views.py @@
+    user.last_device = request.META.get("HTTP_USER_AGENT", "")[:80]
""", service="accounts", title="remember the last device"),
            change("decoy", 9, "accounts/forms.py", """
-    email = forms.EmailField()
+    email = forms.EmailField(label="E-mail")
""", service="accounts", title="label"),
        ),
        culprit="good",
    ),
    Incident(
        name="event field renamed at the producer",
        service="billing",
        alert="billing consumer failing",
        logs=(Log(service="billing", text="KeyError: 'customer_id' while handling InvoiceCreated"),),
        calls=(("billing", "orders"),),
        changes=(
            change("good", 25, "orders/events.py", """
     return {
-        "customer_id": order.customer,
+        "customerId": order.customer,
         "total": str(order.total),
     }
""", service="orders", title="camelCase in events"),
            change("decoy", 11, "billing/consumer.py", """
-    logger.info("handled %s", event["type"])
+    logger.info("handled event", extra={"type": event["type"]})
""", service="billing", title="structured log"),
        ),
        culprit="good",
    ),
    Incident(
        name="kafka handler no longer registered",
        service="mailer",
        alert="mailer: no mails sent",
        logs=(Log(service="mailer", text="no handler for message type PasswordReset, dropping", level="warning"),),
        changes=(
            change("good", 65, "mailer/src/main/kotlin/Bootstrap.kt", """
 fun wire(bus: Bus, mails: Mails) {
     bus.register(WelcomeHandler(mails))
-    bus.register(PasswordResetHandler(mails))
     bus.start()
 }
""", service="mailer", title="split handlers"),
            change("decoy", 6, "mailer/src/main/kotlin/Templates.kt", """
-    val subject = "Reset your password"
+    val subject = "Password reset"
""", service="mailer", title="subject line"),
        ),
        culprit="good",
    ),
    Incident(
        name="regular expression that backtracks",
        service="signup",
        alert="signup CPU at 100 %",
        logs=(Log(service="signup", text="request POST /signup timed out after 30 s"),),
        metrics=(Metric(service="signup", name="process_cpu_percent", usual=12, now=99),),
        changes=(
            change("good", 30, "signup/validators.py", """
-EMAIL = re.compile(r"^[^@\\s]+@[^@\\s]+$")
+EMAIL = re.compile(r"^([a-zA-Z0-9_.-]+)+@([a-zA-Z0-9-]+\\.)+[a-z]{2,}$")
""", service="signup", title="stricter e-mail addresses"),
            change("decoy", 8, "signup/forms.py", """
-    name = CharField(max_length=80)
+    name = CharField(max_length=120)
""", service="signup", title="longer names"),
        ),
        culprit="good",
    ),
    Incident(
        name="blocking call in an async handler",
        service="gateway",
        alert="gateway latency and failing readiness",
        logs=(
            Log(service="gateway", text="Readiness probe failed: context deadline exceeded", level="warning"),
            Log(service="gateway", text="event loop blocked for {n} ms", level="warning"),
        ),
        metrics=(Metric(service="gateway", name="event_loop_lag_ms", usual=2, now=1800),),
        changes=(
            change("good", 40, "gateway/geo.py", """
 async def locate(ip: str) -> str:
-    async with session.get(f"{GEO}/{ip}") as answer:
-        return (await answer.json())["country"]
+    answer = requests.get(f"{GEO}/{ip}")
+    return answer.json()["country"]
""", service="gateway", title="use requests for geo lookups"),
            change("decoy", 7, "gateway/headers.py", """
-    headers["Server"] = "gw"
+    headers["Server"] = "gateway"
""", service="gateway", title="header"),
        ),
        culprit="good",
    ),
    Incident(
        name="off by one in pages",
        service="catalog",
        alert="catalog panics",
        logs=(Log(service="catalog", text="panic: runtime error: index out of range [20] with length 20 goroutine {n}"),),
        changes=(
            change("good", 33, "catalog/page.go", """
-	for i := 0; i < len(items); i++ {
+	for i := 0; i <= len(items); i++ {
 		out = append(out, render(items[i]))
 	}
""", service="catalog", title="pages inclusive"),
            change("decoy", 12, "catalog/render.go", """
-	return fmt.Sprintf("%s", it.Name)
+	return it.Name
""", service="catalog", title="no Sprintf"),
        ),
        culprit="good",
    ),
    Incident(
        name="index dropped by a migration",
        service="orders",
        alert="orders database CPU high, slow queries",
        logs=(Log(service="orders", text="slow query: SELECT * FROM shipments WHERE order_id = ? took {n} ms, seq scan", level="warning"),),
        metrics=(Metric(service="orders", name="db_query_latency_p99_ms", usual=12, now=1900),),
        changes=(
            change("good", 28, "db/migrate/20260301_cleanup.sql", "+DROP INDEX IF EXISTS shipments_order_id_idx;\n+DROP INDEX IF EXISTS legacy_tmp_idx;", service="orders", title="clean up unused indexes"),
            change("decoy", 9, "orders/src/api.rs", """
-    Ok(Json(order))
+    Ok((StatusCode::OK, Json(order)))
""", service="orders", title="explicit status"),
        ),
        culprit="good",
    ),
    Incident(
        name="connection not given back on the error path",
        service="ledger",
        alert="ledger requests failing",
        logs=(Log(service="ledger", text="sqlalchemy.exc.TimeoutError: QueuePool limit of size 10 overflow 5 reached, connection timed out"),),
        metrics=(Metric(service="ledger", name="db_pool_in_use", usual=3, now=15, before=60, slowly=True),),
        changes=(
            change("good", 70, "ledger/store.py", """
 def post(entry):
-    with pool.connect() as conn:
-        conn.execute(INSERT, entry)
+    conn = pool.connect()
+    conn.execute(INSERT, entry)
+    conn.commit()
""", service="ledger", title="explicit commit"),
            change("decoy", 10, "ledger/api.py", """
-@app.post("/entries")
+@app.post("/entries", status_code=201)
""", service="ledger", title="201"),
        ),
        culprit="good",
    ),
    Incident(
        name="goroutine per message without an end",
        service="notifier",
        alert="notifier memory and goroutines growing",
        logs=(Log(service="notifier", text="runtime: goroutine stack exceeds limit, goroutine count {n}", level="warning"),),
        metrics=(Metric(service="notifier", name="go_goroutines", usual=60, now=42000, before=120, slowly=True),),
        changes=(
            change("good", 125, "notifier/push.go", """
 func (p *Pusher) Handle(m Message) {
-	p.queue <- m
+	go p.deliverUntilAcked(m)
 }
""", service="notifier", title="deliver concurrently"),
            change("decoy", 12, "notifier/format.go", """
-	return strings.ToUpper(m.Title)
+	return cases.Title(language.English).String(m.Title)
""", service="notifier", title="title case"),
        ),
        culprit="good",
    ),
    Incident(
        name="cache dropped in front of the database",
        service="search",
        alert="search database overloaded",
        logs=(Log(service="search", text="too many connections for role search", count=8),),
        metrics=(
            Metric(service="search", name="db_queries_rate", usual=120, now=2900),
            Metric(service="search", name="cache_hit_ratio", usual=0.96, now=0.01),
        ),
        changes=(
            change("good", 26, "search/suggest.py", """
-@cached(ttl=300, key=lambda prefix: f"suggest:{prefix}")
 def suggest(prefix):
     return db.fetch_suggestions(prefix)
""", service="search", title="always fresh suggestions"),
            change("decoy", 8, "search/ranking.py", """
-    return sorted(hits, key=score)
+    return sorted(hits, key=score, reverse=True)[:50]
""", service="search", title="best first"),
        ),
        culprit="good",
    ),
    Incident(
        name="shared protobuf field with another type",
        service="telemetry-ingest",
        alert="telemetry-ingest decode errors",
        logs=(Log(service="telemetry-ingest", text="failed to decode Reading: proto: wrong wireType = 2 for field device_id"),),
        changes=(
            change("good", 50, "protos/telemetry/reading.proto", """
 message Reading {
-  int64 device_id = 1;
+  string device_id = 1;
   double value = 2;
 }
""", title="device ids are strings"),
            change("carrier", 30, "edge/agent.go", '-const version = "1.4.0"\n+const version = "1.5.0"', service="edge-agent", title="release 1.5.0"),
            change("decoy", 8, "telemetry-ingest/buffer.go", "-\tbuf := make([]byte, 0, 1024)\n+\tbuf := make([]byte, 0, 4096)", service="telemetry-ingest", title="larger buffer"),
        ),
        culprit="good",
    ),
)
