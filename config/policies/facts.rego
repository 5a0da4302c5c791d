# What the rules speak of. One name for each, so that a rule reads as its sentence.
package facts

import rego.v1

critical_service if {
	some name in input.target.names
	name in data.settings.critical_services
}

production_read_only if {
	some environment in input.environments
	environment in data.settings.production_environments
	not environment in data.settings.writable_environments
}

destructive if {
	some word in input.action.words
	word in {"destroy", "delete", "purge"}
}

high_blast_radius if input.target.blast_radius >= data.settings.high_blast_radius

frozen contains freeze.reason if {
	some freeze in data.settings.freezes
	freeze.start_ns <= input.time.ns
	input.time.ns < freeze.end_ns
}

forbidden_namespace contains namespace if {
	some namespace in input.target.namespaces
	namespace in data.settings.forbidden_namespaces
}

forbidden_namespace contains namespace if {
	some namespace in input.target.namespaces
	startswith(namespace, "kube-")
}

approver := concat("", ["approver:", input.action.class])
