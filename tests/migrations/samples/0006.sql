BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0006');
CREATE TABLE alerts (
	seq INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	delivery_key TEXT NOT NULL, 
	source TEXT NOT NULL, 
	fingerprint TEXT NOT NULL, 
	status TEXT NOT NULL, 
	effective_at TEXT NOT NULL, 
	placed INTEGER DEFAULT 0 NOT NULL, 
	incident_id TEXT, 
	body TEXT NOT NULL, 
	CONSTRAINT pk_alerts PRIMARY KEY (seq), 
	CONSTRAINT fk_alerts_incident_id FOREIGN KEY(incident_id) REFERENCES incidents (id), 
	CONSTRAINT uq_alerts_delivery_key UNIQUE (delivery_key), 
	CONSTRAINT uq_alerts_id UNIQUE (id)
);
INSERT INTO "alerts" VALUES(1,'alr_1c1a967ef222dce427179a66','81f1f518413f78b4311559b2369c822f1c822a5e3d6fedce419f0a2a1115ffca','alertmanager','a','firing','2026-11-21T03:00:00.123456Z',1,'inc_1','{"source":"alertmanager","fingerprint":"a","status":"firing","name":"HighMemory","severity":"critical","labels":{"service":"checkout","text":"ü 🔥 ‮ \u0000"},"annotations":{"summary":"memory grows"},"starts_at":"2026-11-21T03:00:00.123456Z","received_at":"2026-11-21T03:00:05.123456Z","ends_at":null,"values":{"A":0.21,"limit":Infinity},"links":{"generator":"http://prometheus.test/graph"},"group_key":"g1","receiver":null}');
INSERT INTO "alerts" VALUES(2,'alr_30468964a993cb79eb319d5f','4dfa112cba454fee6b7774a3c37331775156955ef4f89a52d37507c78b43d612','alertmanager','b','firing','2026-11-21T03:00:00.123456Z',1,'inc_1','{"source":"alertmanager","fingerprint":"b","status":"firing","name":"HighMemory","severity":"critical","labels":{"service":"checkout","text":"ü 🔥 ‮ \u0000"},"annotations":{"summary":"memory grows"},"starts_at":"2026-11-21T03:00:00.123456Z","received_at":"2026-11-21T03:00:05.123456Z","ends_at":null,"values":{"A":0.21,"limit":Infinity},"links":{"generator":"http://prometheus.test/graph"},"group_key":"g1","receiver":null}');
INSERT INTO "alerts" VALUES(3,'alr_2c8e029149988a1a9dd619b8','2c99fd556e2ba19955c69471e001f9636b104392e24595f64deb22f4ee30d3ae','alertmanager','waiting','firing','2026-11-21T03:00:00.123456Z',0,NULL,'{"source":"alertmanager","fingerprint":"waiting","status":"firing","name":"HighMemory","severity":"critical","labels":{"service":"checkout","text":"ü 🔥 ‮ \u0000"},"annotations":{"summary":"memory grows"},"starts_at":"2026-11-21T03:00:00.123456Z","received_at":"2026-11-21T03:00:05.123456Z","ends_at":null,"values":{"A":0.21,"limit":Infinity},"links":{"generator":"http://prometheus.test/graph"},"group_key":"g1","receiver":null}');
CREATE TABLE approvals (
	request_id TEXT NOT NULL, 
	added_at TEXT NOT NULL, 
	envelope BLOB NOT NULL, 
	CONSTRAINT pk_approvals PRIMARY KEY (request_id), 
	CONSTRAINT fk_approvals_request_id FOREIGN KEY(request_id) REFERENCES requests (id)
);
INSERT INTO "approvals" VALUES('req_1','2026-11-21T03:00:00.123456Z',X'7B227369676E617475726573223A205B5D2C20227061796C6F6164223A2022FE227D');
CREATE TABLE checkpoints (
	seq INTEGER NOT NULL, 
	size INTEGER NOT NULL, 
	head_hash BLOB NOT NULL, 
	at TEXT NOT NULL, 
	envelope BLOB NOT NULL, 
	CONSTRAINT pk_checkpoints PRIMARY KEY (seq)
);
INSERT INTO "checkpoints" VALUES(1,2,X'832A620562D3A2DED019CFF83326C4D66318A67F5E9BC23545814E9C45EEE009','2026-11-21T03:00:00.123456Z',X'7B227061796C6F6164223A2022227D');
CREATE TABLE diagnoses (
	seq INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	incident_id TEXT NOT NULL, 
	run INTEGER NOT NULL, 
	band TEXT NOT NULL, 
	body TEXT NOT NULL, 
	CONSTRAINT pk_diagnoses PRIMARY KEY (seq), 
	CONSTRAINT fk_diagnoses_incident_id FOREIGN KEY(incident_id) REFERENCES incidents (id), 
	CONSTRAINT uq_diagnoses_id UNIQUE (id)
);
INSERT INTO "diagnoses" VALUES(1,'dia_1_1','inc_1',1,'high','{"id":"dia_1_1","incident_id":"inc_1","run":1,"at":"2026-11-21T03:00:00.123456Z","verdict":"action_suggested","summary":"leaky leaks","root_cause":"a leak","band":"high","origin":"rules","citations":[{"evidence_id":"ev_1","source":"prometheus","finding":"it grows","link":null,"quote":"","outsider_writable":false}],"hypotheses":[],"ruled_out":[],"gaps":[],"steps":[],"facts":[],"suggestion":null,"cost":{"seconds":0.0,"usd":"0"},"suspects":[],"no_culprit":null,"similar":[],"runbook":[],"tickets":[],"perspectives":[],"model":null}');
CREATE TABLE edges (
	source TEXT NOT NULL, 
	target TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	declared INTEGER DEFAULT 0 NOT NULL, 
	source_kind TEXT NOT NULL, 
	target_kind TEXT NOT NULL, 
	origin TEXT NOT NULL, 
	seen_at TEXT NOT NULL, 
	CONSTRAINT pk_edges PRIMARY KEY (source, target, kind, declared)
);
INSERT INTO "edges" VALUES('checkout','db','calls',0,'service','service','spans','2026-11-21T03:00:00.123456Z');
INSERT INTO "edges" VALUES('web','checkout','calls',1,'service','service','configuration','2026-11-21T03:00:00.123456Z');
CREATE TABLE evidence (
	seq INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	incident_id TEXT NOT NULL, 
	run INTEGER NOT NULL, 
	taken_at TEXT NOT NULL, 
	body TEXT NOT NULL, 
	CONSTRAINT pk_evidence PRIMARY KEY (seq), 
	CONSTRAINT fk_evidence_incident_id FOREIGN KEY(incident_id) REFERENCES incidents (id), 
	CONSTRAINT uq_evidence_incident_id_run_id UNIQUE (incident_id, run, id)
);
INSERT INTO "evidence" VALUES(1,'ev_1','inc_1',1,'2026-11-21T03:00:00.123456Z','{"id":"ev_1","source":"prometheus","kind":"metric.range","query":"process_resident_memory_bytes","window":{"start":"2026-11-21T02:00:00.123456Z","end":"2026-11-21T03:00:00.123456Z"},"taken_at":"2026-11-21T03:00:00.123456Z","status":"ok","summary":"grows by 2 MiB a minute","subject":"","excerpt":"","content_digest":"0000000000000000000000000000000000000000000000000000000000000000","link":null,"reason":null,"manual":null,"outsider_writable":false,"series":[{"name":"rss","labels":{"job":"leaky"},"samples":[{"at":"2026-11-21T03:00:00.123456Z","value":1.5},{"at":"2026-11-21T03:00:00.123456Z","value":2.0}]}],"lines":[],"records":[{"pid":17,"cpu":1.0,"name":"17","up":true,"exit":null}],"spans":[],"changes":[],"objects":[]}');
INSERT INTO "evidence" VALUES(2,'ev_2','inc_1',1,'2026-11-21T02:00:00.123456Z','{"id":"ev_2","source":"prometheus","kind":"metric.range","query":"process_resident_memory_bytes","window":{"start":"2026-11-21T02:00:00.123456Z","end":"2026-11-21T03:00:00.123456Z"},"taken_at":"2026-11-21T02:00:00.123456Z","status":"ok","summary":"grows by 2 MiB a minute","subject":"","excerpt":"","content_digest":"0000000000000000000000000000000000000000000000000000000000000000","link":null,"reason":null,"manual":null,"outsider_writable":false,"series":[{"name":"rss","labels":{"job":"leaky"},"samples":[{"at":"2026-11-21T03:00:00.123456Z","value":1.5},{"at":"2026-11-21T03:00:00.123456Z","value":2.0}]}],"lines":[],"records":[{"pid":17,"cpu":1.0,"name":"17","up":true,"exit":null}],"spans":[],"changes":[],"objects":[]}');
CREATE TABLE executions (
	seq INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	incident_id TEXT NOT NULL, 
	proposal_id TEXT NOT NULL, 
	request_id TEXT NOT NULL, 
	idempotency_key TEXT NOT NULL, 
	state TEXT NOT NULL, 
	target TEXT NOT NULL, 
	claimed_at TEXT NOT NULL, 
	body TEXT NOT NULL, 
	CONSTRAINT pk_executions PRIMARY KEY (seq), 
	CONSTRAINT fk_executions_incident_id FOREIGN KEY(incident_id) REFERENCES incidents (id), 
	CONSTRAINT fk_executions_proposal_id FOREIGN KEY(proposal_id) REFERENCES proposals (id), 
	CONSTRAINT fk_executions_request_id FOREIGN KEY(request_id) REFERENCES requests (id), 
	CONSTRAINT uq_executions_id UNIQUE (id), 
	CONSTRAINT uq_executions_idempotency_key UNIQUE (idempotency_key), 
	CONSTRAINT uq_executions_request_id UNIQUE (request_id)
);
INSERT INTO "executions" VALUES(1,'exe_1','inc_1','pro_1','req_1','key_1','succeeded','leaky','2026-11-21T03:00:00.123456Z','{"id":"exe_1","incident_id":"inc_1","proposal_id":"pro_1","request_id":"req_1","digest":"2222222222222222222222222222222222222222222222222222222222222222","idempotency_key":"key_1","state":"succeeded","claimed_at":"2026-11-21T03:00:00.123456Z","inspect":"ps -p 17","result":{"ok":true,"summary":"restarted","output":"ok\n","started_at":"2026-11-21T03:00:00.123456Z","finished_at":"2026-11-21T03:00:00.123456Z","new_uid":"pid:18:99"}}');
CREATE TABLE heartbeats (
	name TEXT NOT NULL, 
	at TEXT NOT NULL, 
	CONSTRAINT pk_heartbeats PRIMARY KEY (name)
);
INSERT INTO "heartbeats" VALUES('Watchdog','2026-11-21T03:00:00.123456Z');
CREATE TABLE inbox (
	seq INTEGER NOT NULL, 
	platform TEXT NOT NULL, 
	event_id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	handled INTEGER DEFAULT 0 NOT NULL, 
	body TEXT NOT NULL, 
	CONSTRAINT pk_inbox PRIMARY KEY (seq), 
	CONSTRAINT uq_inbox_platform_event_id UNIQUE (platform, event_id)
);
INSERT INTO "inbox" VALUES(1,'matrix','$e1','ReactionAdded',0,'{"event_id":"$e1","platform":"matrix","room":"!room:test","sender":"@ada:test","at":"2026-11-21T03:00:00.123456Z","message_id":"$card","key":"✅"}');
CREATE TABLE incidents (
	seq INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	short_id TEXT NOT NULL, 
	state TEXT NOT NULL, 
	live INTEGER DEFAULT 0 NOT NULL, 
	mode TEXT NOT NULL, 
	source TEXT NOT NULL, 
	group_key TEXT NOT NULL, 
	correlation TEXT, 
	opened_at TEXT NOT NULL, 
	updated_at TEXT NOT NULL, 
	resolved_at TEXT, 
	run INTEGER DEFAULT 0 NOT NULL, 
	version INTEGER DEFAULT 1 NOT NULL, 
	change INTEGER DEFAULT 0 NOT NULL, 
	announced INTEGER DEFAULT 0 NOT NULL, 
	remediated_run INTEGER DEFAULT 0 NOT NULL, 
	body TEXT NOT NULL, service TEXT, environment TEXT, 
	CONSTRAINT pk_incidents PRIMARY KEY (seq), 
	CONSTRAINT uq_incidents_id UNIQUE (id)
);
INSERT INTO "incidents" VALUES(1,'inc_1','K7Q3','verifying',1,'investigate','alertmanager','g1',NULL,'2026-11-21T03:00:00.123456Z','2026-11-21T03:00:00.123456Z',NULL,1,3,5,0,1,'{"id":"inc_1","short_id":"K7Q3","state":"verifying","severity":"critical","title":"HighMemory: memory grows","service":"checkout","environment":null,"source":"alertmanager","group_key":"g1","route":{"name":"default","mode":"investigate","model":"auto","category":"other","emoji":"🔔","environment":null,"team":null,"rooms":["ops"],"runbook_url":null,"suggested_action":null,"suggested_params":{"process":"leaky"},"digest":false},"opened_at":"2026-11-21T03:00:00.123456Z","updated_at":"2026-11-21T03:00:00.123456Z","correlation":{},"resolved_at":null,"version":3,"run":1,"firing":1,"alerts_total":0,"flaps":0,"reopened":0,"entity":null,"criticality":null}','checkout',NULL);
INSERT INTO "incidents" VALUES(2,'inc_2','K7Q4','open',1,'investigate','alertmanager','g2',NULL,'2026-11-21T03:00:00.123456Z','2026-11-21T03:00:00.123456Z',NULL,0,1,1,0,0,'{"id":"inc_2","short_id":"K7Q4","state":"open","severity":"critical","title":"HighMemory: memory grows","service":"checkout","environment":null,"source":"alertmanager","group_key":"g2","route":{"name":"default","mode":"investigate","model":"auto","category":"other","emoji":"🔔","environment":null,"team":null,"rooms":["ops"],"runbook_url":null,"suggested_action":null,"suggested_params":{"process":"leaky"},"digest":false},"opened_at":"2026-11-21T03:00:00.123456Z","updated_at":"2026-11-21T03:00:00.123456Z","correlation":{},"resolved_at":null,"version":1,"run":0,"firing":0,"alerts_total":0,"flaps":0,"reopened":0,"entity":null,"criticality":null}','checkout',NULL);
CREATE TABLE ledger (
	seq INTEGER NOT NULL, 
	prev_hash BLOB NOT NULL, 
	entry_hash BLOB NOT NULL, 
	body BLOB NOT NULL, 
	CONSTRAINT pk_ledger PRIMARY KEY (seq)
);
INSERT INTO "ledger" VALUES(1,X'0000000000000000000000000000000000000000000000000000000000000000',X'A67320750A5E8E4D5B211EC149E0232F4EAF00B6C1D64C1F3422E263302DA282',X'7B226174223A22323032362D31312D32315430333A30303A30302E3132333435365A222C2264617461223A7B226163746F72223A22616461222C22636175736174696F6E5F6964223A6E756C6C2C22706175736564223A747275652C22726561736F6E223A22636C61696D6564227D2C22696E636964656E745F6964223A6E756C6C2C22736571223A312C22746167223A227377697463683A7475726E6564227D');
INSERT INTO "ledger" VALUES(2,X'A67320750A5E8E4D5B211EC149E0232F4EAF00B6C1D64C1F3422E263302DA282',X'832A620562D3A2DED019CFF83326C4D66318A67F5E9BC23545814E9C45EEE009',X'7B226174223A22323032362D31312D32315430333A30303A30302E3132333435365A222C2264617461223A7B226163746F72223A22616461222C22636175736174696F6E5F6964223A6E756C6C2C22706175736564223A747275652C22726561736F6E223A2266696E6973686564227D2C22696E636964656E745F6964223A6E756C6C2C22736571223A322C22746167223A227377697463683A7475726E6564227D');
CREATE TABLE members (
	incident_id TEXT NOT NULL, 
	source TEXT NOT NULL, 
	fingerprint TEXT NOT NULL, 
	status TEXT NOT NULL, 
	effective_at TEXT NOT NULL, 
	alert_seq INTEGER NOT NULL, 
	CONSTRAINT pk_members PRIMARY KEY (incident_id, source, fingerprint), 
	CONSTRAINT fk_members_alert_seq FOREIGN KEY(alert_seq) REFERENCES alerts (seq), 
	CONSTRAINT fk_members_incident_id FOREIGN KEY(incident_id) REFERENCES incidents (id)
);
INSERT INTO "members" VALUES('inc_1','alertmanager','a','firing','2026-11-21T03:00:00.123456Z',1);
INSERT INTO "members" VALUES('inc_1','alertmanager','b','firing','2026-11-21T03:00:00.123456Z',2);
CREATE TABLE model_spend (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	day TEXT NOT NULL, 
	nano_usd INTEGER NOT NULL, 
	CONSTRAINT ck_model_spend_not_negative CHECK (nano_usd >= 0)
);
INSERT INTO "model_spend" VALUES(1,'2026-11-21',250000000);
CREATE TABLE outbox (
	sequence INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	"key" TEXT NOT NULL, 
	op TEXT NOT NULL, 
	incident_id TEXT, 
	room TEXT NOT NULL, 
	slot TEXT NOT NULL, 
	lane TEXT, 
	content_digest TEXT NOT NULL, 
	revision INTEGER DEFAULT 0 NOT NULL, 
	attempts INTEGER DEFAULT 0 NOT NULL, 
	due_at TEXT NOT NULL, 
	sent_at TEXT, 
	failure TEXT, 
	body TEXT NOT NULL, 
	CONSTRAINT fk_outbox_incident_id FOREIGN KEY(incident_id) REFERENCES incidents (id), 
	CONSTRAINT uq_outbox_key UNIQUE ("key")
);
INSERT INTO "outbox" VALUES(1,'a1','open_thread','inc_1','ops','root','inc_1 ops','8bad012759761d57b878c50bd34e8e4af4b7a575e7c5283e50a0b3b07295437e',0,0,'2026-11-21T03:00:00.123456Z','2026-11-21T03:00:00.123456Z',NULL,'{"key":"a1","op":"open_thread","room":"ops","slot":"root","message":{"title":"hello","blocks":[{"spans":[{"text":"hello","strong":false,"code":false,"untrusted":true,"link":null}]}],"tone":"info"},"incident_id":"inc_1","person":null,"thread":null}');
INSERT INTO "outbox" VALUES(2,'a2','reply','inc_1','ops','a2','inc_1 ops','8bad012759761d57b878c50bd34e8e4af4b7a575e7c5283e50a0b3b07295437e',0,0,'2026-11-21T03:00:00.123456Z',NULL,NULL,'{"key":"a2","op":"reply","room":"ops","slot":"a2","message":{"title":"hello","blocks":[{"spans":[{"text":"hello","strong":false,"code":false,"untrusted":true,"link":null}]}],"tone":"info"},"incident_id":"inc_1","person":null,"thread":null}');
CREATE TABLE outcomes (
	execution_id TEXT NOT NULL, 
	attempt INTEGER NOT NULL, 
	body TEXT NOT NULL, 
	CONSTRAINT pk_outcomes PRIMARY KEY (execution_id, attempt), 
	CONSTRAINT fk_outcomes_execution_id FOREIGN KEY(execution_id) REFERENCES executions (id)
);
INSERT INTO "outcomes" VALUES('exe_1',1,'{"execution_id":"exe_1","verdict":"pending","at":"2026-11-21T03:00:00.123456Z","attempt":1,"checks":[],"last":false}');
CREATE TABLE past (
	incident_id TEXT NOT NULL, 
	resolved_at TEXT NOT NULL, 
	offered INTEGER DEFAULT 0 NOT NULL, 
	body TEXT NOT NULL, 
	CONSTRAINT pk_past PRIMARY KEY (incident_id), 
	CONSTRAINT fk_past_incident_id FOREIGN KEY(incident_id) REFERENCES incidents (id)
);
INSERT INTO "past" VALUES('inc_1','2026-11-21T03:00:00.123456Z',1,'{"id":"inc_1","short_id":"K7Q2","service":"checkout","environment":null,"title":"HighMemory: memory grows","alert_names":["HighMemory"],"facts":[{"kind":"memory_growth","subject_kind":"","role":"own"},{"kind":"oom_killed","subject_kind":"pod","role":"dependency"}],"cause":{"object":"checkout","object_kind":"service","fault":"memory_growth"},"root_cause":"checkout: memory keeps growing","resolution":"process.restart of checkout, verified: it helped","opened_at":"2026-11-21T02:00:00.123456Z","resolved_at":"2026-11-21T03:00:00.123456Z","quality":0.8}');
CREATE TABLE positions (
	platform TEXT NOT NULL, 
	position TEXT NOT NULL, 
	CONSTRAINT pk_positions PRIMARY KEY (platform)
);
INSERT INTO "positions" VALUES('matrix','s1');
CREATE TABLE proposals (
	seq INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	incident_id TEXT NOT NULL, 
	target TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	canonical_bytes BLOB NOT NULL, 
	body TEXT NOT NULL, 
	CONSTRAINT pk_proposals PRIMARY KEY (seq), 
	CONSTRAINT fk_proposals_incident_id FOREIGN KEY(incident_id) REFERENCES incidents (id), 
	CONSTRAINT uq_proposals_id UNIQUE (id)
);
INSERT INTO "proposals" VALUES(1,'pro_1','inc_1','leaky','81f516c90a6b649136b73f26c3aeba93584213aeafb26290fcb2e2203c43f610',X'7B22616374696F6E223A2270726F636573732E72657374617274222C22706172616D73223A7B2270726F63657373223A226C65616B79227D7D00FF206E6F7420746F7563686564','{"id":"pro_1","incident_id":"inc_1","action":{"name":"process.restart","executor":"process","params":{"process":"leaky","grace":5}},"target":{"kind":"process","name":"leaky","uid":"pid:17:1234","blast_radius":1,"labels":{"tier":"2"},"dependents":null},"rationale":"it leaks","rationale_evidence_ids":["ev_1"],"evidence_digest":"1111111111111111111111111111111111111111111111111111111111111111","risk":"low","dry_run":{"ok":true,"summary":"would restart","at":"2026-11-21T03:00:00.123456Z","uncovered":null},"created_at":"2026-11-21T03:00:00.123456Z","max_age":"PT30M0.000005S","digest":"81f516c90a6b649136b73f26c3aeba93584213aeafb26290fcb2e2203c43f610","requested_by":null}');
CREATE TABLE questions (
	seq INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	incident_id TEXT NOT NULL, 
	asked_by TEXT NOT NULL, 
	platform TEXT NOT NULL, 
	event_id TEXT NOT NULL, 
	state TEXT NOT NULL, 
	asked_at TEXT NOT NULL, 
	body TEXT NOT NULL, 
	CONSTRAINT pk_questions PRIMARY KEY (seq), 
	CONSTRAINT fk_questions_incident_id FOREIGN KEY(incident_id) REFERENCES incidents (id), 
	CONSTRAINT uq_questions_id UNIQUE (id), 
	CONSTRAINT uq_questions_platform_event_id UNIQUE (platform, event_id)
);
INSERT INTO "questions" VALUES(1,'qst_c34821fd9b51cca1203d5e64','inc_1','ada','matrix','$q1','pending','2026-11-21T03:01:00.123456Z','{"id":"qst_c34821fd9b51cca1203d5e64","incident_id":"inc_1","run":1,"asked_by":"ada","platform":"matrix","event_id":"$q1","text":"why not the database?\n‮ ü 🔥","asked_at":"2026-11-21T03:01:00.123456Z","place":{"platform":"matrix","room":"ops","person":"@ada:test","thread":{"platform":"matrix","room":"!room:test","message_id":"$root"},"incident_id":"inc_1"},"state":"pending","answer":null,"ended_at":null}');
CREATE TABLE remediations (
	seq INTEGER NOT NULL, 
	incident_id TEXT NOT NULL, 
	run INTEGER NOT NULL, 
	body TEXT NOT NULL, 
	CONSTRAINT pk_remediations PRIMARY KEY (seq), 
	CONSTRAINT fk_remediations_incident_id FOREIGN KEY(incident_id) REFERENCES incidents (id)
);
INSERT INTO "remediations" VALUES(1,'inc_1',1,'{"incident_id":"inc_1","run":1,"kind":"proposed","at":"2026-11-21T03:00:00.123456Z","proposal_id":null,"command":null,"reasons":[],"rules":[]}');
CREATE TABLE requests (
	seq INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	incident_id TEXT NOT NULL, 
	proposal_id TEXT NOT NULL, 
	state TEXT NOT NULL, 
	expires_at TEXT NOT NULL, 
	version INTEGER DEFAULT 1 NOT NULL, 
	envelope BLOB NOT NULL, 
	body TEXT NOT NULL, 
	CONSTRAINT pk_requests PRIMARY KEY (seq), 
	CONSTRAINT fk_requests_incident_id FOREIGN KEY(incident_id) REFERENCES incidents (id), 
	CONSTRAINT fk_requests_proposal_id FOREIGN KEY(proposal_id) REFERENCES proposals (id), 
	CONSTRAINT uq_requests_id UNIQUE (id)
);
INSERT INTO "requests" VALUES(1,'req_1','inc_1','pro_1','approved','2026-11-21T03:30:00.123456Z',2,X'7B2261736B6564223A2022FE00227D','{"id":"req_1","incident_id":"inc_1","proposal_id":"pro_1","proposal_digest":"2222222222222222222222222222222222222222222222222222222222222222","state":"approved","requirement":{"count":1,"roles":["approver"],"strength":2},"created_at":"2026-11-21T03:00:00.123456Z","expires_at":"2026-11-21T03:30:00.123456Z","nonce":"n1","policy_hash":"3333333333333333333333333333333333333333333333333333333333333333","evidence_digest":"1111111111111111111111111111111111111111111111111111111111111111","target_uid":"pid:17:1234","requested_by":null,"ended_at":null,"ended_reason":null,"reminded":0,"version":2}');
CREATE TABLE reviews (
	seq INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	request_id TEXT NOT NULL, 
	reviewer TEXT NOT NULL, 
	verdict TEXT NOT NULL, 
	platform TEXT NOT NULL, 
	platform_event_id TEXT NOT NULL, 
	at TEXT NOT NULL, 
	withdrawn_at TEXT, 
	envelope BLOB NOT NULL, 
	body TEXT NOT NULL, 
	CONSTRAINT pk_reviews PRIMARY KEY (seq), 
	CONSTRAINT fk_reviews_request_id FOREIGN KEY(request_id) REFERENCES requests (id), 
	CONSTRAINT uq_reviews_id UNIQUE (id), 
	CONSTRAINT uq_reviews_platform_platform_event_id UNIQUE (platform, platform_event_id)
);
INSERT INTO "reviews" VALUES(1,'rev_1','req_1','ada','approve','matrix','$event1','2026-11-21T03:00:00.123456Z',NULL,X'7B227061796C6F6164223A2022FF00227D','{"id":"rev_1","request_id":"req_1","reviewer":"ada","identity":{"platform":"matrix","user_id":"@ada:test"},"verdict":"approve","means":"reaction","platform_event_id":"$event1","at":"2026-11-21T03:00:00.123456Z","reason":null,"withdrawn_at":null}');
CREATE TABLE slots (
	incident_id TEXT NOT NULL, 
	room TEXT NOT NULL, 
	slot TEXT NOT NULL, 
	platform TEXT NOT NULL, 
	platform_room TEXT NOT NULL, 
	message_id TEXT NOT NULL, 
	CONSTRAINT pk_slots PRIMARY KEY (incident_id, room, slot), 
	CONSTRAINT fk_slots_incident_id FOREIGN KEY(incident_id) REFERENCES incidents (id)
);
INSERT INTO "slots" VALUES('inc_1','ops','root','matrix','!room:test','$root');
CREATE TABLE summaries (
	incident_id TEXT NOT NULL, 
	reopened INTEGER NOT NULL, 
	body TEXT, 
	CONSTRAINT pk_summaries PRIMARY KEY (incident_id, reopened), 
	CONSTRAINT fk_summaries_incident_id FOREIGN KEY(incident_id) REFERENCES incidents (id)
);
INSERT INTO "summaries" VALUES('inc_1',0,'{"incident_id":"inc_1","run":1,"reopened":0,"at":"2026-11-21T03:00:00.123456Z","origin":"rules","timeline":[{"at":"2026-11-21T03:00:00.123456Z","what":"the alert began to fire"}],"cause":[{"text":"a leak","evidence_ids":["ev_1"],"origin":"rules"}],"what_was_done":[{"text":"nothing","evidence_ids":[],"origin":"rules"}],"sooner":[{"text":"a lower threshold","evidence_ids":["ev_1"],"origin":"rules"}],"runbook_section":"## Seen\n","runbook_patch":"--- /dev/null\n+++ b/checkout.md\n@@ -0,0 +1 @@\n+## Seen\n","runbook_reason":"","earlier":0,"note":null,"cost":{"seconds":0.0,"usd":"0"}}');
INSERT INTO "summaries" VALUES('inc_1',1,NULL);
CREATE TABLE switches (
	id INTEGER NOT NULL, 
	paused INTEGER DEFAULT 0 NOT NULL, 
	actor TEXT, 
	reason TEXT, 
	at TEXT NOT NULL, 
	CONSTRAINT pk_switches PRIMARY KEY (id), 
	CONSTRAINT ck_switches_single CHECK (id = 1)
);
INSERT INTO "switches" VALUES(1,1,'ada','test','2026-11-21T03:00:00.123456Z');
CREATE TABLE wishes (
	seq INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	incident_id TEXT NOT NULL, 
	requested_by TEXT NOT NULL, 
	platform TEXT NOT NULL, 
	event_id TEXT NOT NULL, 
	state TEXT NOT NULL, 
	asked_at TEXT NOT NULL, 
	body TEXT NOT NULL, 
	CONSTRAINT pk_wishes PRIMARY KEY (seq), 
	CONSTRAINT fk_wishes_incident_id FOREIGN KEY(incident_id) REFERENCES incidents (id), 
	CONSTRAINT uq_wishes_id UNIQUE (id), 
	CONSTRAINT uq_wishes_platform_event_id UNIQUE (platform, event_id)
);
INSERT INTO "wishes" VALUES(1,'wsh_2e2cd41998693f91e2ccc78e','inc_1','ada','matrix','$w1','open','2026-11-21T03:01:00.123456Z','{"id":"wsh_2e2cd41998693f91e2ccc78e","incident_id":"inc_1","requested_by":"ada","platform":"matrix","event_id":"$w1","origin":"command","action":"process.restart","params":{"process":"leaky","grace":5},"asked_at":"2026-11-21T03:01:00.123456Z","place":{"platform":"matrix","room":"ops","person":"@ada:test","thread":{"platform":"matrix","room":"!room:test","message_id":"$root"},"incident_id":"inc_1"},"target":"","evidence_ids":["ev_1"],"state":"open","proposal_id":null,"reasons":[],"ended_at":null}');
CREATE INDEX ix_inbox_pending ON inbox (seq) WHERE handled = 0;
CREATE INDEX ix_incidents_correlation ON incidents (correlation, state, resolved_at);
CREATE INDEX ix_incidents_group ON incidents (source, group_key, state, resolved_at);
CREATE INDEX ix_incidents_live ON incidents (seq) WHERE live = 1;
CREATE INDEX ix_incidents_short_id ON incidents (short_id, seq);
CREATE INDEX ix_incidents_unannounced ON incidents (seq) WHERE announced < change;
CREATE INDEX ix_incidents_updated ON incidents (updated_at) WHERE state <> 'closed';
CREATE UNIQUE INDEX uq_incidents_short_id ON incidents (short_id) WHERE state <> 'closed';
CREATE INDEX ix_alerts_incident ON alerts (incident_id, seq) WHERE incident_id IS NOT NULL;
CREATE INDEX ix_alerts_pending ON alerts (seq) WHERE placed = 0;
CREATE INDEX ix_diagnoses_incident ON diagnoses (incident_id, seq);
CREATE INDEX ix_outbox_lane ON outbox (lane, sequence) WHERE sent_at IS NULL;
CREATE INDEX ix_outbox_slot ON outbox (incident_id, room, slot, sequence);
CREATE INDEX ix_outbox_unsent ON outbox (sequence) WHERE sent_at IS NULL;
CREATE INDEX ix_proposals_incident ON proposals (incident_id, seq);
CREATE INDEX ix_remediations_incident ON remediations (incident_id, seq);
CREATE INDEX ix_slots_message ON slots (message_id, platform_room, platform);
CREATE INDEX ix_members_fingerprint ON members (fingerprint, source, status);
CREATE INDEX ix_members_status ON members (incident_id, status);
CREATE INDEX ix_requests_incident ON requests (incident_id, seq);
CREATE INDEX ix_requests_undecided ON requests (state) WHERE state = 'pending' OR state = 'approved';
CREATE INDEX ix_executions_claimed ON executions (seq) WHERE state = 'claimed';
CREATE INDEX ix_executions_incident ON executions (incident_id, seq);
CREATE INDEX ix_executions_target ON executions (target, claimed_at);
CREATE INDEX ix_reviews_request ON reviews (request_id, seq);
CREATE INDEX ix_reviews_reviewer ON reviews (reviewer, at);
CREATE TRIGGER ledger_no_update BEFORE UPDATE ON ledger BEGIN SELECT RAISE(ABORT, 'rows of ledger are never changed'); END;
CREATE TRIGGER ledger_no_delete BEFORE DELETE ON ledger BEGIN SELECT RAISE(ABORT, 'rows of ledger are never changed'); END;
CREATE TRIGGER checkpoints_no_update BEFORE UPDATE ON checkpoints BEGIN SELECT RAISE(ABORT, 'rows of checkpoints are never changed'); END;
CREATE TRIGGER checkpoints_no_delete BEFORE DELETE ON checkpoints BEGIN SELECT RAISE(ABORT, 'rows of checkpoints are never changed'); END;
CREATE INDEX ix_incidents_service_opened ON incidents (service, environment, mode, opened_at);
CREATE INDEX ix_incidents_service_resolved ON incidents (service, environment, mode, resolved_at);
CREATE INDEX ix_past_offered ON past (resolved_at) WHERE offered = 1;
CREATE INDEX ix_edges_seen ON edges (declared, seen_at);
CREATE INDEX ix_model_spend_day ON model_spend (day, nano_usd);
CREATE INDEX ix_questions_person ON questions (asked_by, asked_at);
CREATE INDEX ix_questions_incident ON questions (incident_id, seq);
CREATE INDEX ix_questions_pending ON questions (seq) WHERE state = 'pending';
CREATE INDEX ix_wishes_person ON wishes (requested_by, asked_at);
CREATE INDEX ix_wishes_open ON wishes (incident_id, seq) WHERE state = 'open';
CREATE INDEX ix_summaries_wanted ON summaries (incident_id) WHERE body IS NULL;
CREATE INDEX ix_past_resolved ON past (resolved_at);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('outbox',2);
INSERT INTO "sqlite_sequence" VALUES('model_spend',1);
COMMIT;
