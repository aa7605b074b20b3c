"""GitHub's REST API for commit statuses and deployments, as far as it is asked: shapes, statuses and headers of its
published description (api.github.com, version 2022-11-28)."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.stand_ins.faults import FAULTS, serve
from tests.stand_ins.web_service import Reply, Request, WebService

DOCS = "https://docs.github.com/rest"
TOKEN = "github_pat_11STANDIN_secret"
CREATOR = {"login": "sluiceway-bot", "id": 1, "node_id": "MDQ6VXNlcjE=", "type": "Bot", "site_admin": False}
STATUS_STATES = ("error", "failure", "pending", "success")
DEPLOYMENT_STATES = ("error", "failure", "inactive", "in_progress", "queued", "pending", "success")
LONGEST = 140
AT = "2026-11-29T10:04:00Z"
_PATH = re.compile(r"/repos/(?P<repository>[^/]+/[^/]+)/(?P<rest>.+)")

GITHUB_FAULTS: Mapping[str, Reply] = {
    **FAULTS,
    "401": Reply(401, {"message": "Bad credentials", "documentation_url": DOCS, "status": "401"}),
    "403": Reply(
        403,
        {
            "message": "Resource not accessible by personal access token",
            "documentation_url": f"{DOCS}/commits/statuses#create-a-commit-status",
            "status": "403",
        },
        {"X-RateLimit-Limit": "5000", "X-RateLimit-Remaining": "4999"},
    ),
    "403 secondary limit": Reply(
        403,
        {"message": "You have exceeded a secondary rate limit.", "documentation_url": DOCS, "status": "403"},
        {"Retry-After": "90"},
    ),
    "404": Reply(404, {"message": "Not Found", "documentation_url": DOCS, "status": "404"}),
    "301": Reply(
        301,
        {"message": "Moved Permanently", "url": "https://api.github.com/repositories/1", "documentation_url": DOCS},
        {"Location": "https://api.github.com/repositories/1"},
    ),
    "422": Reply(
        422,
        {
            "message": "Validation Failed",
            "errors": ["This SHA and context has reached the maximum number of statuses."],
            "documentation_url": f"{DOCS}/commits/statuses#create-a-commit-status",
            "status": "422",
        },
    ),
}


def limited(reset_in_s: int) -> Reply:
    """No request is left until then."""
    return Reply(
        403,
        {"message": "API rate limit exceeded for user ID 1.", "documentation_url": DOCS, "status": "403"},
        {
            "X-RateLimit-Limit": "5000",
            "X-RateLimit-Remaining": "0",
            "X-RateLimit-Reset": str(int(time.time()) + reset_in_s),
            "X-RateLimit-Used": "5000",
        },
    )


@dataclass
class GitHub(WebService):
    """One repository with some commits."""

    answer: object = None  # type: ignore[assignment]  # set below
    repository: str = "shop/web"
    commits: list[str] = field(default_factory=list)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    """Those of commits that were made, the oldest first, each with its `sha`."""
    deployments: list[dict[str, Any]] = field(default_factory=list)
    """The oldest first: `id`, `sha`, `environment`."""
    deployment_statuses: list[dict[str, Any]] = field(default_factory=list)
    """The oldest first, each with its `deployment_id`."""

    def __post_init__(self) -> None:
        self.answer = self._answer

    def deploys(self, sha: str, environment: str) -> int:
        """A deployment is made; its id."""
        self.deployments.append({"id": 42 + len(self.deployments), "sha": sha, "environment": environment})
        return int(self.deployments[-1]["id"])

    @property
    def posted(self) -> int:
        """How many statuses were asked for, taken or not."""
        return sum(request.method == "POST" for request in self.requests)

    def _answer(self, request: Request) -> Reply:
        if request.headers.get("authorization") not in {f"Bearer {TOKEN}", f"token {TOKEN}"}:
            return GITHUB_FAULTS["401"]
        if not request.headers.get("user-agent"):
            return Reply(403, b"Request forbidden by administrative rules.", {"Content-Type": "text/html"})
        found = _PATH.fullmatch(request.path)
        if found is None or found["repository"].lower() != self.repository.lower():
            return GITHUB_FAULTS["404"]
        match [request.method, *found["rest"].split("/")]:
            case ["GET", "commits", sha, "status"]:
                return self._combined(sha)
            case ["POST", "statuses", sha]:
                return self._make_status(sha, json.loads(request.body))
            case ["GET", "deployments"]:
                return Reply(200, self._deployments(request.params))
            case ["GET", "deployments", number, "statuses"]:
                made = [each for each in self.deployment_statuses if each["deployment_id"] == int(number)]
                return Reply(200, made[::-1][: int(request.params.get("per_page", 30))])
            case ["POST", "deployments", number, "statuses"]:
                return self._make_deployment_status(int(number), json.loads(request.body))
        return GITHUB_FAULTS["404"]

    def _combined(self, sha: str) -> Reply:
        if sha not in self.commits:
            return _invalid(f"No commit found for SHA: {sha}")
        newest = {each["context"].lower(): each for each in self.statuses if each["sha"] == sha}
        states = {each["state"] for each in newest.values()}
        state = "failure" if states & {"error", "failure"} else "success" if states == {"success"} else "pending"
        return Reply(
            200,
            {
                "state": state,
                "sha": sha,
                "total_count": len(newest),
                "statuses": [
                    {name: value for name, value in each.items() if name != "sha"} for each in newest.values()
                ],
                "repository": {"id": 1, "full_name": self.repository},
                "commit_url": f"{self.uri}/repos/{self.repository}/commits/{sha}",
                "url": f"{self.uri}/repos/{self.repository}/commits/{sha}/status",
            },
        )

    def _make_status(self, sha: str, body: dict[str, Any]) -> Reply:
        if sha not in self.commits:
            return _invalid(f"No commit found for SHA: {sha}")
        if body.get("state") not in STATUS_STATES:
            return _invalid("Validation Failed", "state is not included in the list")
        if len(body.get("description") or "") > LONGEST:
            return _invalid("Validation Failed", "description is too long (maximum is 140 characters)")
        number = len(self.statuses) + 1
        made = {
            "url": f"{self.uri}/repos/{self.repository}/statuses/{sha}",
            "avatar_url": "https://avatars.githubusercontent.com/u/1?v=4",
            "id": number,
            "node_id": f"SC_{number}",
            "state": body["state"],
            "description": body.get("description"),
            "target_url": body.get("target_url"),
            "context": body.get("context", "default"),
            "created_at": AT,
            "updated_at": AT,
            "creator": CREATOR,
        }
        self.statuses.append({**made, "sha": sha})
        return Reply(201, made)

    def _deployments(self, asked: Mapping[str, str]) -> list[dict[str, Any]]:
        found = [
            {
                "url": f"{self.uri}/repos/{self.repository}/deployments/{each['id']}",
                **each,
                "ref": "main",
                "task": "deploy",
                "payload": {},
                "original_environment": each["environment"],
                "description": None,
                "creator": CREATOR,
                "created_at": AT,
                "updated_at": AT,
                "transient_environment": False,
                "production_environment": False,
            }
            for each in self.deployments[::-1]
            if all(each[name] == asked[name] for name in ("sha", "environment") if name in asked)
        ]
        return found[: int(asked.get("per_page", 30))]

    def _make_deployment_status(self, number: int, body: dict[str, Any]) -> Reply:
        if body.get("state") not in DEPLOYMENT_STATES:
            return _invalid("Validation Failed", "state is not included in the list")
        if len(body.get("description") or "") > LONGEST:
            return _invalid("Validation Failed", "description is too long (maximum is 140 characters)")
        made = {
            "url": f"{self.uri}/repos/{self.repository}/deployments/{number}/statuses/{len(self.deployment_statuses)}",
            "id": len(self.deployment_statuses),
            "state": body["state"],
            "creator": CREATOR,
            "description": body.get("description", ""),
            "environment": "staging",
            "target_url": body.get("log_url", ""),
            "log_url": body.get("log_url", ""),
            "environment_url": "",
            "created_at": AT,
            "updated_at": AT,
            "deployment_id": number,
            "auto_inactive": body.get("auto_inactive", True),
        }
        self.deployment_statuses.append(made)
        return Reply(201, made)


def _invalid(message: str, *errors: str) -> Reply:
    told = [{"resource": "Status", "code": "custom", "message": each} for each in errors]
    return Reply(422, {"message": message, "errors": told, "documentation_url": DOCS, "status": "422"})


if __name__ == "__main__":
    serve(GitHub())
