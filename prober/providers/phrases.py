"""How vendors word their refusals: patterns for the outcome table, read in plain words. Pure.

Each is a part of a sentence that several vendors share; the table (prober.providers.outcomes)
says which of them mean what. Which vendor says which stands in tests/golden/refusals.py,
and what must not match stands there too.
"""

from __future__ import annotations

import re
from functools import lru_cache

MAX_WORDS = 4_000


@lru_cache(maxsize=64)
def plain(message: str) -> str:
    """Lower case, without quotes; code_words, code-words and CodeWords apart."""
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", message[:MAX_WORDS])
    text = text.lower().replace("\u2019", "'")
    return " ".join(re.sub(r"[\"`\\_\u2010-\u2015-]+", " ", text).split())


def near(first: str, second: str, within: int = 80) -> str:
    """`first` followed by `second` in the same sentence, not too far away."""
    return rf"\b(?:{first})\b(?:(?!\. ).){{0,{within}}}?\b(?:{second})\b"


# -- limits, and how long they last ----------------------------------------------------------------

LIMIT = r"limit|quota|exceed|reached|exhaust|used up|too many|throttl|allowance|\bhit\b|try again"
A_DAY = (
    r"\b(per|each|a) ?(day|24 ?h|week|month|86400)|/ ?(day|week|month)|"
    r"\b(daily|weekly|monthly|[rt]pd|today|tomorrow)\b|\bby day\b"
)
A_MINUTE = r"\b(per|each|a) ?(min|sec)|/ ?(min|sec|s\b)|\b[rt]p[ms]\b|\bqp[sm]\b|concurren"

# -- money -----------------------------------------------------------------------------------------

MONEY = r"credits?\b|prepa(id|y)|spend|budget|balance|arrear|overdue|unpaid"
PURSE = (
    r"credits?|balance|quota|funds|free tier|free trial|resource package|allowance|allocation|"
    r"spend(ing)? (limit|cap)|cloud credits|(?<!thinking )budget"
)
SPENT = (
    r"exhausted|depleted|used (up|all)|ran out|run out|insufficient|too low|not enough|negative|"
    r"expired|consumed|exceeded|empty|reached|out of|below zero|zero"
)
UNPAID = (
    r"\barrear|overdue|past due|unpaid|non payment|delinquent|in good standing|fail(ure|ed) to pay|"
    r"payment (is )?(required|method|instrument|fail)|"
    r"billing (is |account )?(not |in)?(active|enabled|disabled|closed|hard)|"
    r"(enable|requires?|check your) billing|\brecharge|\btop ?up\b|"
    r"(purchase|add|buy) (more )?(credits|funds)|(no|not have) (enough |any )?(credits|funds)|"
    r"(plan|subscription|package|trial|credits) (has |have |is )?(expired|ended|lapsed)|"
    r"usage limits?\b|spend(ing)? limit|(out of|your|more) extra usage|extra usage is required|"
    r"no remaining credits|set up billing|欠费|充值|(额度|余额).{0,2}(不足|用尽|失败)"
)

# -- models ----------------------------------------------------------------------------------------

MODEL = r"models?|deployment|endpoint|inference profile"
GONE = (
    r"not (be )?found|(does|did|do)( not|n't) exist|not exist|no longer (supported|available|"
    r"offered|served|exists|active|accessible|hosted)|decommissioned|retired|sunset|discontinued|"
    r"end of (its )?life|(been|was) (removed|shut down)|not deployed|"
    r"(not|n't) activated( the model)?|not open|not supported by any provider|"
    r"marked by provider as legacy|blocked at the"
)
NO_SUCH_MODEL = (
    r"\b(unknown|no such|invalid|unsupported|unrecognized|unavailable) (model|deployment)\b"
    r"(?! (output|response|param|config|input|argument|option|setting|state))|"
    r"(could not|couldn't|cannot|can't|unable to) (find|locate) (the |requested )*model|"
    r"model could not be found|not a valid model|not found the model|"
    r"no endpoints? found|no allowed providers|"
    r"unable to access (\w+ ){0,3}model|model (access|identifier|id|name) is (denied|invalid)|"
    r"model access denied|model (deprecated|retired|disabled|not (supported|available|open))|"
    r"llm provider not provided|not work with the specified model|with on demand throughput|"
    r"requires terms acceptance|use case details have not been|"
    r"function .{1,60}not found for account|access to the model|"
    r"disallowed (\w+ ){0,2}model|not a serverless model|模型.{0,2}(不存在|下线|停用)"
)
NO_ACCESS = (
    r"(not|n't) (yet )?(have|include|has) (access|permission)|"
    r"(not|n't) (allowed|authorized|permitted|eligible) to (access|use|invoke|call)"
)
DEPRECATED = r"(is|was|been) (deprecated|not (supported|available|enabled|offered))"
# Such a sentence is about what was sent, even where it names the model.
PARAMETER = (
    r"\b(param(eter)?s?|argument|field|option|property|feature|max (completion )?tokens|"
    r"temperature|top p|stream|format|tools?|image|audio|role|effort|thinking|logprobs|stop)\b"
)
FOR_NOW = r"current|temporar|moment|right now|try again|later|retry|maintenance"

# -- keys and accounts -----------------------------------------------------------------------------

KEY = (
    r"api ?keys?|x api key|(access|api|auth|security|bearer|proxy server) tokens?|"
    r"auth(entication|orization)?( headers?| keys?)?|credentials?|subscription key|jwt"
)
BAD = r"incorrect|invalid|wrong|bad|malformed|missing|no|expired|revoked|disabled|unknown|illegal"
VOID = (
    r"invalid|incorrect|expired|revoked|disabled|deactivated|not (valid|found|exist|active|"
    r"recognized|provided|authorized)|(does|do)(n't| not) exist|leaked|blocked|suspended|missing|"
    r"inactive|deleted"
)
WHO = r"organi[sz]ation|account|project|workspace|team|tenant|subscription|consumer|api"
BANNED = (
    r"disabled|deactivated|restricted|suspended|banned|blocked|locked|terminated|closed|inactive|"
    r"not active|frozen|(must|needs to) be verified"
)
UNAUTHORIZED = (
    r"\bunauthori[sz]ed|not authori[sz]ed|\bunauthenticated|not authenticated|"
    r"(authentication|authorization) (failed|fails|failure|error|required)|"
    r"(access|permission)s? (is )?denied|insufficient (permission|scope|privilege)|login fail|"
    r"bad credentials|operation not allowed|no such organization|organization not found|"
    r"\buser (is |was )?(not found|disabled)|invalid signature|signature (does not match|expired)|"
    r"credential is only authorized for|\btoken (has |is )?(revoked|(invalid or )?expired)|"
    r"身份验证|无效的(令牌|密钥)|账[户号].{0,4}(冻结|停用|封禁)|(令牌|密钥).{0,6}(过期|无效|不正确|错误)"
)

# -- places ----------------------------------------------------------------------------------------

COUNTRY = r"countr(y|ies)|territor(y|ies)|(user|your) (location|region|area)"
NOT_HERE = (
    r"unsupported|not (currently )?(supported|available|allowed|permitted)|unavailable|restricted|"
    r"blocked|banned"
)
FIREWALL = (
    r"firewall|virtual network|public (network )?access is disabled|private endpoint|"
    r"\bip (address )?(is )?(not|isn't) (allowed|authorized|whitelisted)|"
    r"request ip does not match|check your network settings|unsupported country region territory"
)

# -- outages ---------------------------------------------------------------------------------------

BUSY = (
    r"overload|(at|over) capacity|capacity (is )?(temporarily )?(exceeded|reached)|"
    r"(out of|insufficient|no( \w+)?) capacity|no gpus? available|"
    r"too busy|queue (is )?(full|exceeded)|"
    r"high (demand|traffic|load)|(server|model|service|system|engine) is (currently |too |very )*"
    r"(busy|loading|starting)|(still|currently) loading|\bloading model|warming up|"
    r"no (available )?(workers?|instances?|replicas?|servers?)\b.{0,20}available|"
    r"(model|endpoint|server) (is )?not (yet )?ready|no available (workers?|servers?|instances?)|"
    r"(系统|服务器?|模型)繁忙|负载.{0,4}(高|饱和)"
)
BROKEN = (
    r"internal (server |service )?error|\bbackend ?error|"
    r"service (is )?(temporarily |currently )*unavailable|"
    r"(temporarily|currently) (unavailable|not available|offline|down)|\btimed out|"
    r"(request|gateway|read|upstream|connection|generation) time ?out|operation was cancell?ed|"
    r"upstream (connect|connection|service|server|request)? ?(error|fail|unavailable)|"
    r"no healthy (upstream|backend)|"
    r"connection (reset|refused|closed|aborted)|bad gateway|out of memory|\bcuda\b|"
    r"(engine|server) (is )?(dead|died|shutting down)|request (was |is |has been )?aborted|"
    r"deadline (has )?(exceeded|elapsed)|because the upstream|failed to (connect|reach)|"
    r"request failed during generation|(connection|network) error|engine core|has crashed|"
    r"(model|endpoint|deployment|engine) is (unavailable|stopped|paused)|degraded function|"
    r"no models? (is |are )?loaded|model (is )?not loaded|requires more (system |gpu )?memory|"
    r"error (occurred )?while processing your request|something went wrong|"
    r"bad response status code 5\d\d|网络错误|内部错误|请求超时"
)
# Not for what was asked: a firewall's words, in an API's shape.
BLOCKED = r"request (was|has been) blocked"
# What a filter in front of the model says of its own.
FILTERED = r"inappropriate content|敏感内容"
CONTENT = r"content|safety|policy|guardrail|moderation|filter"
# A gateway has put all that it could ask aside, most often for what they answered before.
NOBODY_LEFT = (
    r"no (healthy )?deployments? (is |are )?(available|for)|"  # LiteLLM
    r"no available channel|无可用渠道"  # New API, One API
)
