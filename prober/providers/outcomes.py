"""The outcome table: what a provider's own words mean, for every API, in one place. Pure.

Rows are tried from the top, those of the configuration ([[outcome]]) first; the first whose
conditions all hold names the outcome. A condition left out always holds. When no row matches, the
HTTP status alone decides (`by_status`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from prober.sample import FAULT, Fault, Outcome


@dataclass(frozen=True, slots=True)
class Rule:
    """One row.

    Attributes:
        outcome: what it is.
        apis: the wire APIs the row speaks of; empty: all.
        status: HTTP status of the answer.
        code: any of the error's own identifiers (type, code, status, reason).
        says: text that the message contains, in lower case.
        provider: the one provider it holds for; rows of the configuration only.
    """

    outcome: Outcome
    apis: tuple[str, ...] = ()
    status: int | None = None
    code: str | None = None
    says: str | None = None
    provider: str | None = None

    def matches(self, api: str, status: int, codes: Collection[str], message: str) -> bool:
        return (
            (not self.apis or api in self.apis)
            and (self.status is None or self.status == status)
            and (self.code is None or self.code in codes)
            and (self.says is None or self.says in message.lower())
        )


GOOGLE = ("gemini", "vertex")

RULES: tuple[Rule, ...] = (
    # The account ran dry: never an outage of the provider.
    Rule(Outcome.QUOTA_EXHAUSTED, code="insufficient_quota"),
    Rule(Outcome.QUOTA_EXHAUSTED, code="billing_error"),
    Rule(Outcome.QUOTA_EXHAUSTED, code="billing_hard_limit_reached"),
    Rule(Outcome.QUOTA_EXHAUSTED, code="credit_balance_exhausted"),
    Rule(Outcome.QUOTA_EXHAUSTED, code="organization_usage_limit_exceeded"),
    Rule(Outcome.QUOTA_EXHAUSTED, code="enforced_spend_limit_reached"),
    Rule(Outcome.QUOTA_EXHAUSTED, code="billing_not_active"),
    Rule(Outcome.QUOTA_EXHAUSTED, code="budget_exceeded"),  # LiteLLM, and its older words
    Rule(Outcome.QUOTA_EXHAUSTED, ("openai",), says="budget has been exceeded"),
    Rule(Outcome.QUOTA_EXHAUSTED, ("openai",), says="crossed budget"),
    Rule(Outcome.QUOTA_EXHAUSTED, says="spend_limit_exceeded"),
    Rule(Outcome.QUOTA_EXHAUSTED, says="key limit exceeded"),  # OpenRouter
    Rule(Outcome.QUOTA_EXHAUSTED, ("anthropic",), says="specified api usage limits"),
    Rule(Outcome.QUOTA_EXHAUSTED, ("anthropic",), says="credit balance is too low"),
    Rule(Outcome.QUOTA_EXHAUSTED, ("ollama", "mistral"), says="usage limit"),
    Rule(Outcome.QUOTA_EXHAUSTED, GOOGLE, status=429, says="perday"),
    Rule(Outcome.QUOTA_EXHAUSTED, GOOGLE, code="BILLING_DISABLED"),
    Rule(Outcome.QUOTA_EXHAUSTED, ("bedrock",), code="ServiceQuotaExceededException"),
    Rule(Outcome.QUOTA_EXHAUSTED, ("bedrock",), says="tokens per day"),
    # Google refuses a wrong key as a malformed request.
    Rule(Outcome.AUTH, GOOGLE, code="API_KEY_INVALID"),
    Rule(Outcome.AUTH, GOOGLE, says="api key not valid"),
    Rule(Outcome.AUTH, code="authentication_error"),
    Rule(Outcome.AUTH, code="permission_error"),
    Rule(Outcome.AUTH, code="invalid_api_key"),
    Rule(Outcome.MODEL_NOT_FOUND, code="model_not_found"),
    Rule(Outcome.MODEL_NOT_FOUND, code="not_found_error"),
    Rule(Outcome.MODEL_NOT_FOUND, ("ollama",), status=404),
    Rule(Outcome.MODEL_NOT_FOUND, ("mistral",), status=400, says="invalid model"),
    Rule(Outcome.MODEL_NOT_FOUND, ("azure-openai",), code="DeploymentNotFound"),
    Rule(Outcome.MODEL_NOT_FOUND, ("bedrock",), says="model identifier is invalid"),
    Rule(Outcome.MODEL_NOT_FOUND, ("bedrock",), says="access to the model"),
    # A filter in front of the model declined.
    Rule(Outcome.REFUSAL, code="content_filter"),
    Rule(Outcome.REFUSAL, ("openai",), status=446),  # Portkey's guardrails
    # Busy now, fine later.
    Rule(Outcome.RATE_LIMITED, code="rate_limit_error"),
    Rule(Outcome.RATE_LIMITED, code="rate_limit_exceeded"),
    Rule(Outcome.RATE_LIMITED, code="slow_down"),
    Rule(Outcome.RATE_LIMITED, ("mistral",), code="rate_limited"),
    Rule(Outcome.RATE_LIMITED, code="RESOURCE_EXHAUSTED"),
    Rule(Outcome.OVERLOADED, code="overloaded_error"),
    Rule(Outcome.OVERLOADED, code="UNAVAILABLE"),
    Rule(Outcome.OVERLOADED, ("bedrock",), code="ModelNotReadyException"),
    Rule(Outcome.OVERLOADED, ("openai",), status=429, says="no deployments available"),  # LiteLLM
    Rule(Outcome.RATE_LIMITED, ("bedrock",), code="ThrottlingException"),
    Rule(Outcome.SERVER_ERROR, ("bedrock",), status=424),
    Rule(Outcome.SERVER_ERROR, code="DEADLINE_EXCEEDED"),
    Rule(Outcome.SERVER_ERROR, code="api_error"),
    Rule(Outcome.SERVER_ERROR, code="timeout_error"),
)


def by_status(status: int) -> Outcome:
    """What the HTTP status alone says, the same for every API."""
    match status:
        case 401 | 403:
            return Outcome.AUTH
        case 402:
            return Outcome.QUOTA_EXHAUSTED
        case 404 | 410:
            return Outcome.MODEL_NOT_FOUND
        case 408 | 409 | 425:
            return Outcome.SERVER_ERROR
        case 429:
            return Outcome.RATE_LIMITED
        case 503 | 529:
            return Outcome.OVERLOADED
        case _ if 400 <= status < 500:
            return Outcome.BAD_REQUEST
        case _:
            return Outcome.SERVER_ERROR


def name(
    api: str, status: int, codes: Collection[str], message: str, rules: Sequence[Rule] = ()
) -> Outcome:
    """The outcome of an error answer with HTTP `status`; `rules` are the configuration's."""
    return first(rules, api, status, codes, message) or _own(api, status, codes, message)


def name_in_stream(
    api: str, status: int, codes: Collection[str], message: str, rules: Sequence[Rule] = ()
) -> Outcome:
    """The outcome of an error inside a 200 stream; `status` is the error's own, 200 if none.

    Whose fault it is still counts: an account's or capacity's error keeps its class, what the
    configuration names keeps that name, and everything else is a `stream_error`.
    """
    if status < 400:
        status = 500
    if outcome := first(rules, api, status, codes, message):
        return outcome
    outcome = _own(api, status, codes, message)
    if FAULT[outcome] in (Fault.ACCOUNT, Fault.CAPACITY):
        return outcome
    return Outcome.STREAM_ERROR


def _own(api: str, status: int, codes: Collection[str], message: str) -> Outcome:
    return first(RULES, api, status, codes, message) or by_status(status)


def first(
    rules: Sequence[Rule], api: str, status: int, codes: Collection[str], message: str
) -> Outcome | None:
    """What the first row that matches says."""
    matching = (r.outcome for r in rules if r.matches(api, status, codes, message))
    return next(matching, None)
