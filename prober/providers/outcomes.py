"""The outcome table: what a provider's own words mean, for every API, in one place. Pure.

Rows are tried from the top, those of the configuration ([[outcome]]) first; the first whose
conditions all hold names the outcome. A condition left out always holds. When no row matches, the
HTTP status alone decides (`by_status`).

Vendors word the same thing in a hundred ways, and under any status: most rows look for phrases
(prober.providers.phrases).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from prober.providers.phrases import (
    A_DAY,
    A_MINUTE,
    BAD,
    BANNED,
    BLOCKED,
    BROKEN,
    BUSY,
    CONTENT,
    COUNTRY,
    DEPRECATED,
    FILTERED,
    FIREWALL,
    FOR_NOW,
    GONE,
    KEY,
    LIMIT,
    MODEL,
    MONEY,
    NO_ACCESS,
    NO_SUCH_MODEL,
    NOBODY_LEFT,
    NOT_HERE,
    PARAMETER,
    PURSE,
    SPENT,
    UNAUTHORIZED,
    UNPAID,
    VOID,
    WHO,
    near,
    plain,
)
from prober.sample import FAULT, Cause, Fault, Outcome

if TYPE_CHECKING:
    from prober.config.provider_schema import OutcomeRule


@dataclass(frozen=True, slots=True)
class OutcomeRow:
    """One row.

    Attributes:
        outcome: what it is.
        apis: the wire APIs the row speaks of; empty: all.
        status: HTTP status of the answer.
        code: any of the error's own identifiers (type, code, status, reason).
        says: text that the message contains, in lower case.
        provider: the one provider it holds for; rows of the configuration only.
        like: patterns that are all found in the plain words.
        unlike: a pattern that is not found there.
        refusal: only a 4xx; what a 5xx says of such things is a failure of its own.
        cause: what more is known of whose trouble it is.
    """

    outcome: Outcome
    apis: tuple[str, ...] = ()
    status: int | None = None
    code: str | None = None
    says: str | None = None
    provider: str | None = None
    like: tuple[str, ...] = ()
    unlike: str = ""
    refusal: bool = False
    cause: Cause = Cause.NONE

    def matches(self, api: str, status: int, codes: Collection[str], message: str) -> bool:
        return (
            (not self.apis or api in self.apis)
            and (self.status is None or self.status == status)
            and (self.code is None or self.code in codes)
            and (self.says is None or self.says in message.lower())
            and (not self.refusal or 400 <= status < 500)
            and (not self.like or self._reads(plain(message)))
        )

    def _reads(self, words: str) -> bool:
        match = all(re.search(pattern, words) for pattern in self.like)
        return match and not (self.unlike and re.search(self.unlike, words))


def rules_of(rows: Sequence[OutcomeRule], provider: str) -> tuple[OutcomeRow, ...]:
    """The configuration's own rows, [[outcome]], that hold for one provider."""
    return tuple(
        OutcomeRow(
            row.outcome,
            (row.api,) if row.api else (),
            row.status,
            row.code,
            row.says.lower() if row.says else None,
            row.provider,
        )
        for row in rows
        if row.provider in (None, provider)
    )


class Named(NamedTuple):
    """What a refusal is. `known`: a row of a table says so, and not the HTTP status alone."""

    outcome: Outcome
    cause: Cause = Cause.NONE
    known: bool = True


GOOGLE = ("gemini", "vertex")
EXHAUSTED = "RESOURCE_EXHAUSTED"

RULES: tuple[OutcomeRow, ...] = (
    # A gateway that has nobody left to ask is out; why, it may have said before.
    OutcomeRow(Outcome.OVERLOADED, like=(NOBODY_LEFT,), unlike=MONEY, cause=Cause.NOBODY_LEFT),
    # Where we stand: a country, a network.
    OutcomeRow(Outcome.AUTH, status=451, cause=Cause.PLACE),
    OutcomeRow(Outcome.AUTH, like=(FIREWALL,), refusal=True, cause=Cause.PLACE),
    OutcomeRow(Outcome.AUTH, like=(near(COUNTRY, NOT_HERE),), refusal=True, cause=Cause.PLACE),
    OutcomeRow(Outcome.AUTH, like=(near(NOT_HERE, COUNTRY),), refusal=True, cause=Cause.PLACE),
    OutcomeRow(
        Outcome.AUTH, ("anthropic",), status=403, says="request not allowed", cause=Cause.PLACE
    ),
    # The account ran dry: never an outage of the provider.
    OutcomeRow(
        Outcome.RATE_LIMITED, code="insufficient_quota", says="allocated quota exceeded, please"
    ),
    OutcomeRow(Outcome.QUOTA_EXHAUSTED, code="insufficient_quota"),
    OutcomeRow(Outcome.QUOTA_EXHAUSTED, code="billing_error"),
    OutcomeRow(Outcome.QUOTA_EXHAUSTED, code="billing_hard_limit_reached"),
    OutcomeRow(Outcome.QUOTA_EXHAUSTED, code="credit_balance_exhausted"),
    OutcomeRow(Outcome.QUOTA_EXHAUSTED, code="organization_usage_limit_exceeded"),
    OutcomeRow(Outcome.QUOTA_EXHAUSTED, code="enforced_spend_limit_reached"),
    OutcomeRow(Outcome.QUOTA_EXHAUSTED, code="billing_not_active"),
    OutcomeRow(Outcome.QUOTA_EXHAUSTED, code="BILLING_DISABLED"),
    OutcomeRow(Outcome.QUOTA_EXHAUSTED, code="exceeded_current_quota_error"),  # Moonshot
    OutcomeRow(Outcome.QUOTA_EXHAUSTED, code="budget_exceeded"),  # LiteLLM, and its older words
    OutcomeRow(Outcome.QUOTA_EXHAUSTED, ("openai",), says="budget has been exceeded"),
    OutcomeRow(Outcome.QUOTA_EXHAUSTED, ("openai",), says="crossed budget"),
    OutcomeRow(Outcome.QUOTA_EXHAUSTED, says="key limit exceeded"),  # OpenRouter
    OutcomeRow(Outcome.QUOTA_EXHAUSTED, says="set inference limit"),  # Volcengine
    OutcomeRow(Outcome.QUOTA_EXHAUSTED, ("bedrock",), code="ServiceQuotaExceededException"),
    # What is limited by the day is gone for the day; by the minute it passes.
    OutcomeRow(Outcome.QUOTA_EXHAUSTED, like=(LIMIT, A_DAY)),
    OutcomeRow(Outcome.QUOTA_EXHAUSTED, status=429, like=(A_DAY,)),
    OutcomeRow(Outcome.QUOTA_EXHAUSTED, says="limit: 0"),  # Google's free tier, where there is none
    OutcomeRow(Outcome.RATE_LIMITED, like=(LIMIT, A_MINUTE)),
    # Cloudflare, whose page is titled "Access denied".
    OutcomeRow(Outcome.RATE_LIMITED, status=429, like=(r"being rate limited|used cloudflare",)),
    # Google says "check your plan and billing details" of limits by the minute too.
    OutcomeRow(Outcome.RATE_LIMITED, GOOGLE, code=EXHAUSTED, like=("",), unlike=MONEY),
    OutcomeRow(Outcome.RATE_LIMITED, like=(r"resource (has been )?exhausted",), unlike=MONEY),
    OutcomeRow(Outcome.QUOTA_EXHAUSTED, like=(near(PURSE, SPENT, 60),)),
    OutcomeRow(Outcome.QUOTA_EXHAUSTED, like=(near(SPENT, PURSE, 60),)),
    OutcomeRow(Outcome.QUOTA_EXHAUSTED, like=(UNPAID,)),
    # A model that is not, or not any more, or not for us.
    OutcomeRow(Outcome.MODEL_NOT_FOUND, code="model_not_found"),
    OutcomeRow(Outcome.MODEL_NOT_FOUND, code="not_found_error"),
    OutcomeRow(Outcome.MODEL_NOT_FOUND, code="model_decommissioned"),
    OutcomeRow(Outcome.MODEL_NOT_FOUND, like=(NO_SUCH_MODEL,)),
    OutcomeRow(Outcome.MODEL_NOT_FOUND, like=(near(MODEL, GONE),)),
    OutcomeRow(Outcome.MODEL_NOT_FOUND, like=(near(NO_ACCESS, MODEL),)),
    OutcomeRow(
        Outcome.MODEL_NOT_FOUND,
        like=(near(MODEL, DEPRECATED),),
        unlike=f"{PARAMETER}|{FOR_NOW}",
        refusal=True,
    ),
    # The key, or whom it belongs to.
    OutcomeRow(Outcome.AUTH, code="API_KEY_INVALID"),
    OutcomeRow(Outcome.AUTH, code="authentication_error"),
    OutcomeRow(Outcome.AUTH, code="permission_error"),
    OutcomeRow(Outcome.AUTH, code="invalid_api_key"),
    OutcomeRow(Outcome.AUTH, code="token_not_found_in_db"),  # LiteLLM
    OutcomeRow(Outcome.AUTH, code="no_db_connection"),  # LiteLLM of one key, asked with another
    OutcomeRow(Outcome.AUTH, code="ExpiredTokenException"),  # Amazon
    OutcomeRow(Outcome.AUTH, code="UnrecognizedClientException"),
    OutcomeRow(Outcome.AUTH, like=(near(BAD, KEY, 20),), refusal=True),
    OutcomeRow(
        Outcome.AUTH, like=(near(f"{KEY}|(your|this|virtual) key", VOID, 60),), refusal=True
    ),
    OutcomeRow(Outcome.AUTH, like=(near(WHO, BANNED, 60),), refusal=True),
    OutcomeRow(Outcome.AUTH, like=(UNAUTHORIZED,), refusal=True),
    # A filter in front of the model declined.
    OutcomeRow(Outcome.REFUSAL, code="content_filter"),
    OutcomeRow(Outcome.REFUSAL, code="data_inspection_failed"),  # DashScope
    OutcomeRow(Outcome.REFUSAL, like=(FILTERED,), refusal=True),
    OutcomeRow(Outcome.REFUSAL, ("openai",), status=446),  # Portkey's guardrails
    # Busy now, fine later; or an outage, said as if it were ours.
    OutcomeRow(Outcome.OVERLOADED, code="overloaded_error"),
    OutcomeRow(Outcome.OVERLOADED, code="UNAVAILABLE"),
    OutcomeRow(Outcome.OVERLOADED, ("bedrock",), code="ModelNotReadyException"),
    OutcomeRow(
        Outcome.RATE_LIMITED, ("mistral",), status=429, code="3505"
    ),  # its tier's share is used up
    OutcomeRow(Outcome.OVERLOADED, like=(BUSY,), refusal=True),
    OutcomeRow(Outcome.RATE_LIMITED, code="rate_limit_error"),
    OutcomeRow(Outcome.RATE_LIMITED, code="rate_limit_exceeded"),
    OutcomeRow(Outcome.RATE_LIMITED, code="slow_down"),
    OutcomeRow(Outcome.RATE_LIMITED, ("mistral",), code="rate_limited"),
    OutcomeRow(Outcome.RATE_LIMITED, ("bedrock",), code="ThrottlingException"),
    OutcomeRow(Outcome.SERVER_ERROR, code="DEADLINE_EXCEEDED"),
    OutcomeRow(Outcome.SERVER_ERROR, code="api_error"),
    OutcomeRow(Outcome.SERVER_ERROR, code="timeout_error"),
    OutcomeRow(Outcome.SERVER_ERROR, like=(BROKEN,), refusal=True),
    OutcomeRow(Outcome.SERVER_ERROR, like=(BLOCKED,), unlike=CONTENT, refusal=True),
    OutcomeRow(
        Outcome.RATE_LIMITED, like=(r"\b(rate limit|too many requests|throttl)",), refusal=True
    ),
)


# Said by servers, proxies and balancers in front of a model that failed: nothing of the request.
BROKEN_4XX = frozenset({408, 409, 421, 423, 424, 425, 444, 449, 460, 499})


def by_status(status: int) -> Outcome:
    """What the HTTP status alone says, the same for every API."""
    match status:
        case 401 | 403:
            return Outcome.AUTH
        case 402:
            return Outcome.QUOTA_EXHAUSTED
        case 404 | 410:
            return Outcome.MODEL_NOT_FOUND
        case 429:
            return Outcome.RATE_LIMITED
        case 498 | 503 | 529:  # 498: Groq's flex tier is full
            return Outcome.OVERLOADED
        case _ if status in BROKEN_4XX:
            return Outcome.SERVER_ERROR
        case _ if 400 <= status < 500:
            return Outcome.BAD_REQUEST
        case _:
            return Outcome.SERVER_ERROR


def name(
    api: str, status: int, codes: Collection[str], message: str, rules: Sequence[OutcomeRow] = ()
) -> Named:
    """What an error answer with HTTP `status` is; `rules` are the configuration's."""
    named = first((*rules, *RULES), api, status, codes, message)
    return named or Named(by_status(status), known=False)


def name_in_stream(
    api: str, status: int, codes: Collection[str], message: str, rules: Sequence[OutcomeRow] = ()
) -> Named:
    """What an error inside a 200 stream is; `status` is the error's own, 200 if none.

    Whose fault it is still counts: an account's or capacity's error keeps its class, what the
    configuration names keeps that name, and everything else is a `stream_error`.
    """
    if own := first(rules, api, status if status >= 400 else 500, codes, message):
        return own
    named = name(api, status if status >= 400 else 400, codes, message)
    if FAULT[named.outcome] in (Fault.ACCOUNT, Fault.CAPACITY):
        return named
    return Named(Outcome.STREAM_ERROR)


def first(
    rules: Sequence[OutcomeRow], api: str, status: int, codes: Collection[str], message: str
) -> Named | None:
    """What the first row that matches says."""
    matching = (Named(r.outcome, r.cause) for r in rules if r.matches(api, status, codes, message))
    return next(matching, None)
