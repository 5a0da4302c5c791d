"""Changes as forges and build servers record them: GitHub, GitLab, TeamCity."""

from adapters.evidence.changes.github import github_changes
from adapters.evidence.changes.gitlab import gitlab_changes
from adapters.evidence.changes.source import ChangeSource
from adapters.evidence.changes.teamcity import teamcity_changes

__all__ = ["ChangeSource", "github_changes", "gitlab_changes", "teamcity_changes"]
