"""The nouns of an incident: frozen, slotted, keyword-only; standard library only."""
