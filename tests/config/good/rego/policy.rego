package assent

import rego.v1

default allow := false
