"""Tickets of Jira Cloud."""

from adapters.evidence.jira.source import JiraTickets

__all__ = ["JiraTickets"]
