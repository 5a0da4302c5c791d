# What never happens, whoever approves it.
package assent

import rego.v1

deny contains {
	"id": "destructive-action",
	"reason": "this would destroy, delete or purge something; that stays with people",
} if data.facts.destructive

deny contains {
	"id": "production-read-only",
	"reason": "production is read-only; list it in policy.writable_environments to change that",
} if {
	not input.action.read_only
	data.facts.production_read_only
}

deny contains {
	"id": "forbidden-namespace",
	"reason": concat("", ["nothing is changed in the namespace ", namespace]),
} if {
	not input.action.read_only
	some namespace in data.facts.forbidden_namespace
}

deny contains {
	"id": "hourly-limit",
	"reason": sprintf(
		"this target was acted on %d times in the last hour; the limit is %d",
		[input.executions.last_hour, data.settings.executions_per_hour],
	),
} if {
	not input.action.read_only
	input.executions.last_hour >= data.settings.executions_per_hour
}

deny contains {
	"id": "freeze",
	"reason": concat("", ["nothing is changed during the freeze: ", reason]),
} if {
	not input.action.read_only
	some reason in data.facts.frozen
}
