# What may happen, and how many people must say so. Every change needs one approval; rules can only ask for more.
package assent

import rego.v1

default allow := false

allow if input.action.read_only

allow if input.action.class in {"process", "alertmanager"}

rules contains "read-only" if input.action.read_only

rules contains "known-action" if input.action.class in {"process", "alertmanager"}

require contains {
	"id": "one-approval",
	"reason": "a change needs one approval",
	"count": 1,
	"roles": [data.facts.approver],
	"strength": "reaction",
} if not input.action.read_only

require contains {
	"id": "critical-service",
	"reason": "the service is critical, so two people must agree",
	"count": 2,
	"roles": [data.facts.approver],
	"strength": "reaction",
} if {
	not input.action.read_only
	data.facts.critical_service
}

require contains {
	"id": "critical-severity",
	"reason": "the incident is critical, so two people must agree",
	"count": 2,
	"roles": [data.facts.approver],
	"strength": "reaction",
} if {
	not input.action.read_only
	input.incident.severity == "critical"
}

require contains {
	"id": "data-plane",
	"reason": "the target holds data, so two people must agree by command",
	"count": 2,
	"roles": [data.facts.approver],
	"strength": "command",
} if {
	not input.action.read_only
	input.target.data_plane
}

require contains {
	"id": "blast-radius",
	"reason": sprintf(
		"%d things depend on the target, so two people must agree by command",
		[input.target.blast_radius],
	),
	"count": 2,
	"roles": [data.facts.approver],
	"strength": "command",
} if {
	not input.action.read_only
	data.facts.high_blast_radius
}

require contains {
	"id": "high-risk",
	"reason": "a high risk cannot be approved by a reaction",
	"count": 1,
	"roles": [data.facts.approver],
	"strength": "command",
} if {
	not input.action.read_only
	input.risk == "high"
}

require contains {
	"id": "unsure-diagnosis",
	"reason": "the diagnosis is not sure enough, so two people must agree",
	"count": 2,
	"roles": [data.facts.approver],
	"strength": "reaction",
} if {
	not input.action.read_only
	not input.band in {"high", "medium"}
}

require contains {
	"id": "unknown-evidence",
	"reason": "nobody knows how old the evidence is, so two people must agree",
	"count": 2,
	"roles": [data.facts.approver],
	"strength": "reaction",
} if {
	not input.action.read_only
	not input.evidence.known
}

require contains {
	"id": "stale-evidence",
	"reason": sprintf(
		"the evidence is older than %d seconds, so two people must agree",
		[data.settings.stale_evidence_seconds],
	),
	"count": 2,
	"roles": [data.facts.approver],
	"strength": "reaction",
} if {
	not input.action.read_only
	input.evidence.age_seconds > data.settings.stale_evidence_seconds
}
