"""What vendors and gateways say when they refuse, and what it means: one row a refusal.

The first ten are the cases that real users met (named in docs/providers.md); the others follow the
vendors' own documents and reports of 2025 and 2026. Keys, names and figures are made up.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from prober.sample import Cause, Outcome

SERVER = Outcome.SERVER_ERROR
BUSY = Outcome.OVERLOADED
LIMITED = Outcome.RATE_LIMITED
FILTERED = Outcome.REFUSAL
QUOTA = Outcome.QUOTA_EXHAUSTED
AUTH = Outcome.AUTH
GONE = Outcome.MODEL_NOT_FOUND
OURS = Outcome.BAD_REQUEST
INVALID = "invalid_request_error"
EXHAUSTED = "RESOURCE_EXHAUSTED"
DENIED = "PERMISSION_DENIED"
UPSTREAM, PLACE, NOBODY, UNKNOWN = Cause.UPSTREAM, Cause.PLACE, Cause.NOBODY_LEFT, Cause.UNKNOWN


@dataclass(frozen=True)
class Refused:
    vendor: str
    status: int
    body: Any  # text as it is; anything else becomes JSON
    outcome: Outcome
    cause: Cause = Cause.NONE
    api: str = "openai"
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def sent(self) -> bytes:
        said = self.body if isinstance(self.body, str) else json.dumps(self.body)
        return said.encode()


def e(message: str, kind: str | None = None, code: Any = None) -> dict[str, Any]:
    """OpenAI's shape, and that of all who speak its API."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def a(message: str, kind: str = INVALID) -> dict[str, Any]:
    """Anthropic's."""
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


def g(code: int, message: str, status: str, *details: Any) -> dict[str, Any]:
    """Google's."""
    return {"error": {"code": code, "message": message, "status": status, "details": [*details]}}


def quota(*ids: str) -> dict[str, Any]:
    kind = "type.googleapis.com/google.rpc.QuotaFailure"
    return {"@type": kind, "violations": [{"quotaId": id} for id in ids]}


def reason(name: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": name}


def routed(code: int, raw: Any, name: str) -> dict[str, Any]:
    """OpenRouter's words for what its upstream said."""
    text = raw if isinstance(raw, str) else json.dumps(raw)
    metadata = {"raw": text, "provider_name": name, "is_byok": True}
    return {"error": {"message": "Provider returned error", "code": code, "metadata": metadata}}


def page(title: str, said: str = "") -> str:
    return (
        f"<html>\r\n<head><title>{title}</title></head><body><h1>{said or title}</h1></body></html>"
    )


def lite(kind: str, of: str, said: str) -> str:
    """LiteLLM's words for what its upstream said."""
    tail = "Received Model Group=chat\nAvailable Model Group Fallbacks=None"
    return f"litellm.{kind}: {kind}: {of}Exception - {said}. {tail}"


CURRENT = "You exceeded your current quota, please check your plan and billing details."
WRONG_KEY = (
    "Incorrect API key provided: sk-no***pe. You can find your API key at your account page."
)
PLAIN = {"content-type": "text/plain; charset=UTF-8"}
HTML = {"content-type": "text/html"}

CASES: dict[str, Refused] = {
    "anthropic_disabled": Refused(
        "Anthropic", 400, a("This organization has been disabled."), AUTH, api="anthropic"
    ),
    "cf_1010_text": Refused("Cloudflare", 403, "error code: 1010", SERVER, headers=PLAIN),
    "dashscope_arrearage": Refused(
        "DashScope",
        400,
        e("Access denied, please make sure your account is in good standing.", "Arrearage",
          "Arrearage"),
        QUOTA,
    ),
    "gemini_499": Refused(
        "Gemini", 499, g(499, "The operation was cancelled.", "CANCELLED"), SERVER, api="gemini"
    ),
    "gemini_location": Refused(
        "Gemini",
        400,
        g(400, "User location is not supported for the API use.", "FAILED_PRECONDITION"),
        AUTH,
        PLACE,
        "gemini",
    ),
    "groq_decommissioned": Refused(
        "Groq",
        400,
        e("The model `some-70b` has been decommissioned and is no longer supported.", INVALID,
          "model_decommissioned"),
        GONE,
    ),
    "litellm_alias": Refused(
        "LiteLLM",
        400,
        e("/chat/completions: Invalid model name passed in model=my-alias. Call `/v1/models` to "
          "view available models for your key.", "None", "400"),
        GONE,
    ),
    "moonshot_quota_429": Refused(
        "Moonshot",
        429,
        e("Your account org-x is suspended due to insufficient balance, please recharge your "
          "account or check your plan and billing details", "exceeded_current_quota_error"),
        QUOTA,
    ),
    "xai_bad_key": Refused(
        "xAI",
        400,
        {"code": "Client specified an invalid argument", "error": WRONG_KEY},
        AUTH,
    ),
    "xai_credits_403": Refused(
        "xAI",
        403,
        {"code": "The caller does not have permission to execute the specified operation",
         "error": "Your team 0000 has either used all available credits or reached its monthly "
         "spending limit. To continue, please purchase more credits or raise your limit."},
        QUOTA,
    ),
}  # fmt: skip

Row = tuple[Any, ...]

# vendor, status, body, outcome, and cause, api, headers where they matter
ROWS: list[Row] = [
    # OpenAI
    ("OpenAI", 401, e(WRONG_KEY, INVALID, "invalid_api_key"), AUTH),
    ("OpenAI", 400, e("Your API key has expired.", INVALID), AUTH),
    ("OpenAI", 403, e("Country, region, or territory not supported", "request_forbidden",
                      "unsupported_country_region_territory"), AUTH, PLACE),
    ("OpenAI", 401, e("Your request IP does not match the configured IP allowlist", INVALID,
                      "ip_not_authorized"), AUTH, PLACE),
    ("OpenAI", 401, e("The OpenAI account associated with this API key has been deactivated.",
                      INVALID, "account_deactivated"), AUTH),
    ("OpenAI", 429, e("Your account is not active, please check your billing details.",
                      "billing_not_active", "billing_not_active"), QUOTA),
    ("OpenAI", 429, e(CURRENT, "insufficient_quota", "insufficient_quota"), QUOTA),
    ("OpenAI", 400, e("Billing hard limit has been reached", INVALID,
                      "billing_hard_limit_reached"), QUOTA),
    ("OpenAI", 429, e("Rate limit reached for gpt-x in organization org-1 on requests per day "
                      "(RPD): Limit 200, Used 200, Requested 1.", "requests",
                      "rate_limit_exceeded"), QUOTA),
    ("OpenAI", 429, e("Rate limit reached for gpt-x in organization org-1 on requests per min. "
                      "Limit: 3 / min. Please try again in 20s. Please add a payment method to "
                      "your account to increase your limit.", "requests", "rate_limit_exceeded"),
     LIMITED),
    ("OpenAI", 404, e("The model `gpt-x` does not exist or you do not have access to it.", INVALID,
                      "model_not_found"), GONE),
    ("OpenAI", 403, e("Project `proj_1` does not have access to model `gpt-x`", INVALID), GONE),
    ("OpenAI", 400, e("The model `gpt-x` has been deprecated, learn more in the docs.", INVALID),
     GONE),
    ("OpenAI", 429, e("That model is currently overloaded with other requests.", "requests"), BUSY),
    # Anthropic
    ("Anthropic", 400, a("Your credit balance is too low to access the Anthropic API. Please go to "
                         "Plans & Billing to purchase credits."), QUOTA, "", "anthropic"),
    ("Anthropic", 400, a("You have reached your specified API usage limits. You will regain access "
                         "on 2026-12-01 at 00:00 UTC."), QUOTA, "", "anthropic"),
    ("Anthropic", 429, a("This request would exceed your organization's rate limit of 30,000 input "
                         "tokens per minute.", "rate_limit_error"), LIMITED, "", "anthropic"),
    ("Anthropic", 429, a("This request would exceed your workspace's monthly spend limit.",
                         "rate_limit_error"), QUOTA, "", "anthropic"),
    ("Anthropic", 403, a("Request not allowed", "forbidden"), AUTH, PLACE, "anthropic"),
    ("Anthropic", 401, a("invalid x-api-key", "authentication_error"), AUTH, "", "anthropic"),
    ("Anthropic", 404, a("model: claude-old", "not_found_error"), GONE, "", "anthropic"),
    ("Anthropic", 529, a("Overloaded", "overloaded_error"), BUSY, "", "anthropic"),
    # Google: Gemini
    ("Gemini", 400, g(400, "API key expired. Please renew the API key.", "INVALID_ARGUMENT",
                      reason("API_KEY_INVALID")), AUTH, "", "gemini"),
    ("Gemini", 403, g(403, "Your API key was reported as leaked. Please use another API key.",
                      DENIED), AUTH, "", "gemini"),
    ("Gemini", 403, g(403, "Permission denied: Consumer 'api_key:x' has been suspended.", DENIED,
                      reason("CONSUMER_SUSPENDED")), AUTH, "", "gemini"),
    ("Gemini", 400, g(400, "Gemini API free tier is not available in your country. Please enable "
                      "billing on your project in Google AI Studio.", "FAILED_PRECONDITION"),
     AUTH, PLACE, "gemini"),
    ("Gemini", 404, g(404, "models/gemini-1.0-pro is not found for API version v1beta, or is not "
                      "supported for generateContent.", "NOT_FOUND"), GONE, "", "gemini"),
    ("Gemini", 429, g(429, f"{CURRENT} Please retry in 47s.", EXHAUSTED,
                      quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier")),
     QUOTA, "", "gemini"),
    ("Gemini", 429, g(429, f"{CURRENT} Please retry in 12s.", EXHAUSTED,
                      quota("GenerateRequestsPerMinutePerProjectPerModel")), LIMITED, "", "gemini"),
    ("Gemini", 429, g(429, f"{CURRENT} * Quota exceeded for metric: free_tier_requests, limit: 0",
                      EXHAUSTED), QUOTA, "", "gemini"),
    ("Gemini", 429, g(429, "Your prepayment credits are depleted. Please go to AI Studio to manage "
                      "your project and billing.", EXHAUSTED), QUOTA, "", "gemini"),
    ("Gemini", 429, g(429, "Your project has exceeded its monthly spending cap.", EXHAUSTED),
     QUOTA, "", "gemini"),
    ("Gemini", 429, g(429, "Resource has been exhausted (e.g. check quota).", EXHAUSTED),
     LIMITED, "", "gemini"),
    ("Gemini", 503, g(503, "The model is overloaded. Please try again later.", "UNAVAILABLE"),
     BUSY, "", "gemini"),
    ("Gemini", 400, g(400, "The service is currently unavailable.", "FAILED_PRECONDITION"),
     SERVER, "", "gemini"),
    # Google: Vertex
    ("Vertex", 403, g(403, "This API method requires billing to be enabled.", DENIED,
                      reason("BILLING_DISABLED")), QUOTA, "", "vertex"),
    ("Vertex", 403, g(403, "Vertex AI API has not been used in project p before or it is disabled.",
                      DENIED, reason("SERVICE_DISABLED")), AUTH, "", "vertex"),
    ("Vertex", 404, g(404, "Publisher Model `projects/p/models/x` was not found or your project "
                      "does not have access to it.", "NOT_FOUND"), GONE, "", "vertex"),
    ("Vertex", 400, g(400, "Project `1` is not allowed to use Publisher Model `claude-x`",
                      "FAILED_PRECONDITION"), GONE, "", "vertex"),
    ("Vertex", 429, g(429, "Quota exceeded for aiplatform.googleapis.com/online_prediction_requests"
                      "_per_base_model with base model: x.", EXHAUSTED), LIMITED, "", "vertex"),
    # Azure OpenAI
    ("Azure", 401, e("Access denied due to invalid subscription key or wrong API endpoint.", None,
                     "401"), AUTH, "", "azure-openai"),
    ("Azure", 403, e("Access denied due to Virtual Network/Firewall rules.", None, "AccessDenied"),
     AUTH, PLACE, "azure-openai"),
    ("Azure", 403, e("Public access is disabled. Please configure private endpoint.", None, "403"),
     AUTH, PLACE, "azure-openai"),
    ("Azure", 400, e("The chatCompletion operation does not work with the specified model, x. "
                     "Please choose different model and try again.", None, "OperationNotSupported"),
     GONE, "", "azure-openai"),
    ("Azure", 410, e("The model 'gpt-35' version '0301' has been retired.", None, "ModelRetired"),
     GONE, "", "azure-openai"),
    ("Azure", 400, e("The model 'Format: OpenAI, Name: x' has been deprecated since 04/30/2025.",
                     None, "ServiceModelDeprecated"), GONE, "", "azure-openai"),
    ("Azure", 429, e("Requests to the ChatCompletions_Create Operation have exceeded token rate "
                     "limit of your current pricing tier. Please retry after 6 seconds.", None,
                     "429"), LIMITED, "", "azure-openai"),
    ("Azure", 403, {"statusCode": 403, "message": "Out of call volume quota. Quota will be "
                    "replenished in 03:44:02."}, QUOTA, "", "azure-openai"),
    ("Azure", 429, e("The system is currently experiencing high demand and cannot process your "
                     "request.", None, "429"), BUSY, "", "azure-openai"),
    # Amazon Bedrock
    ("Bedrock", 400, {"message": "Invocation of model ID x with on-demand throughput isn\u2019t "
                      "supported. Retry with an inference profile."}, GONE, "", "bedrock"),
    ("Bedrock", 404, {"message": "Access denied. This Model is marked by provider as Legacy and "
                      "you have not been actively using the model in the last 15 days."},
     GONE, "", "bedrock"),
    ("Bedrock", 403, {"message": "Model access is denied due to INVALID_PAYMENT_INSTRUMENT: a "
                      "valid payment instrument must be provided."}, QUOTA, "", "bedrock"),
    ("Bedrock", 400, {"message": "Access to Anthropic models is not allowed from unsupported "
                      "countries, regions, or territories."}, AUTH, PLACE, "bedrock"),
    ("Bedrock", 400, {"message": "The security token included in the request is expired"},
     AUTH, "", "bedrock"),
    ("Bedrock", 400, {"message": "Operation not allowed"}, AUTH, "", "bedrock"),
    ("Bedrock", 429, {"message": "Too many tokens per day, please wait before trying again."},
     QUOTA, "", "bedrock"),
    ("Bedrock", 429, {"message": "Too many requests, please wait before trying again."},
     LIMITED, "", "bedrock"),
    # Mistral
    ("Mistral", 401, {"detail": "Unauthorized"}, AUTH, "", "mistral"),
    ("Mistral", 400, {"object": "error", "message": "Invalid model: m-old", "type": "invalid_model",
                      "code": "1500"}, GONE, "", "mistral"),
    ("Mistral", 429, {"object": "error", "message": "Requests rate limit exceeded",
                      "type": "rate_limited", "code": "1300"}, LIMITED, "", "mistral"),
    ("Mistral", 429, {"object": "error", "message": "Monthly token limit reached for this plan.",
                      "type": "rate_limited", "code": "1300"}, QUOTA, "", "mistral"),
    # Groq
    ("Groq", 400, e("Organization has been restricted. Please reach out to support if you believe "
                    "this was in error.", INVALID, "organization_restricted"), AUTH),
    ("Groq", 403, e("The model `x` is blocked at the organization level.", "permissions_error",
                    "model_permission_blocked_org"), GONE),
    ("Groq", 400, e("The model `x` requires terms acceptance.", INVALID, "model_terms_required"),
     GONE),
    ("Groq", 429, e("Rate limit reached for model `x` in organization `o` service tier `on_demand` "
                    "on tokens per day (TPD): Limit 100000, Used 97050, Requested 3619.", "tokens",
                    "rate_limit_exceeded"), QUOTA),
    ("Groq", 413, e("Request too large for model `x` on tokens per minute (TPM): Limit 6000.",
                    "tokens", "rate_limit_exceeded"), LIMITED),
    ("Groq", 498, e("Flex tier capacity exceeded", "x", "capacity_exceeded"), BUSY),
    ("Groq", 403, e("Access denied. Please check your network settings."), AUTH, PLACE),
    # xAI
    ("xAI", 404, {"code": "Some requested entity was not found",
                  "error": "The model grok-x does not exist or your team 1 does not have access to "
                  "it."}, GONE),
    ("xAI", 403, {"code": "The caller does not have permission", "error": "This service is not "
                  "available in your region."}, AUTH, PLACE),
    ("xAI", 400, {"code": "invalid-argument", "error": "API key is currently blocked: xai-***"},
     AUTH),
    # DeepSeek
    ("DeepSeek", 401, e("Authentication Fails, Your api key: ****1 is invalid",
                        "authentication_error", INVALID), AUTH),
    ("DeepSeek", 402, e("Insufficient Balance", "unknown_error", INVALID), QUOTA),
    ("DeepSeek", 400, e("Model Not Exist", INVALID, INVALID), GONE),
    # Moonshot
    ("Moonshot", 401, e("Invalid Authentication", "invalid_authentication_error"), AUTH),
    ("Moonshot", 404, e("Not found the model kimi-x or Permission denied",
                        "resource_not_found_error"), GONE),
    ("Moonshot", 429, e("The engine is currently overloaded, please try again later",
                        "engine_overloaded_error"), BUSY),
    ("Moonshot", 429, e("Your account o request reached TPD rate limit, current: 5, limit: 5",
                        "rate_limit_reached_error"), QUOTA),
    ("Moonshot", 429, e("Your account o request reached max concurrency: 1, please try again after "
                        "1 seconds", "rate_limit_reached_error"), LIMITED),
    # DashScope
    ("DashScope", 400, {"code": "InvalidApiKey", "message": "Invalid API-key provided.",
                        "request_id": "1"}, AUTH),
    ("DashScope", 403, {"code": "AllocationQuota.FreeTierOnly", "message": "The free tier of the "
                        "model has been exhausted."}, QUOTA),
    ("DashScope", 403, {"code": "Model.AccessDenied", "message": "Model access denied."}, GONE),
    ("DashScope", 404, e("The model `qwen-x` does not exist or you do not have access to it.",
                         INVALID, "model_not_found"), GONE),
    ("DashScope", 429, e("Allocated quota exceeded, please increase your quota limit.",
                         "insufficient_quota", "insufficient_quota"), LIMITED),
    ("DashScope", 429, {"code": "Throttling.RateQuota", "message": "Requests rate limit exceeded, "
                        "please try again later."}, LIMITED),
    ("DashScope", 400, {"code": "PrepaidBillOverdue", "message": "The prepaid bill is overdue."},
     QUOTA),
    # OpenRouter
    ("OpenRouter", 400, e("x/y is not a valid model ID", None, 400), GONE),
    ("OpenRouter", 404, e("No endpoints found for x/y.", None, 404), GONE),
    ("OpenRouter", 404, e("No allowed providers are available for the selected model.", None, 404),
     GONE),
    ("OpenRouter", 401, e("No auth credentials found", None, 401), AUTH),
    ("OpenRouter", 402, e("Insufficient credits. This account never purchased credits.", None, 402),
     QUOTA),
    ("OpenRouter", 429, e("Rate limit exceeded: free-models-per-day. Add 10 credits to unlock more",
                          None, 429), QUOTA),
    ("OpenRouter", 429, e("Rate limit exceeded: free-models-per-min.", None, 429), LIMITED),
    ("OpenRouter", 403, e("This model is not available in your region.", None, 403), AUTH, PLACE),
    ("OpenRouter", 401, routed(401, a("invalid x-api-key", "authentication_error"), "Anthropic"),
     AUTH, UPSTREAM),
    ("OpenRouter", 400, routed(400, a("Your credit balance is too low to access the API."),
                               "Anthropic"), QUOTA, UPSTREAM),
    ("OpenRouter", 429, routed(429, "x/y is temporarily rate-limited upstream. Please retry.",
                               "BaseTen"), LIMITED),
    # Together, Fireworks
    ("Together", 400, e("Unable to access non-serverless model x. Please create a new dedicated "
                        "endpoint", INVALID, "model_not_available"), GONE),
    ("Together", 429, e("Credit limit exceeded, please add funds.", "credit_limit"), QUOTA),
    ("Together", 401, e("Invalid API key provided.", INVALID, "invalid_api_key"), AUTH),
    ("Fireworks", 412, e("Account o is suspended, possibly due to reaching the monthly spending "
                         "limit or failure to pay past invoices.", "error", "PRECONDITION_FAILED"),
     QUOTA),
    ("Fireworks", 404, e("Model not found, inaccessible, and/or not deployed", INVALID,
                         "NOT_FOUND"), GONE),
    ("Fireworks", 403, {"error": "unauthorized"}, AUTH),
    # Cohere
    ("Cohere", 401, {"message": "invalid api token"}, AUTH),
    ("Cohere", 404, {"message": "model 'command' was removed on September 15, 2025."}, GONE),
    ("Cohere", 404, {"message": "model 'x' not found, make sure the correct model ID was used"},
     GONE),
    ("Cohere", 429, {"message": "You are using a Trial key, which is limited to 1000 API calls / "
                     "month."}, QUOTA),
    ("Cohere", 429, {"message": "You are using a Trial key, which is limited to 40 API calls / "
                     "minute."}, LIMITED),
    # Databricks
    ("Databricks", 403, {"error_code": "403", "message": "Invalid access token."}, AUTH),
    ("Databricks", 404, {"error_code": "ENDPOINT_NOT_FOUND", "message": "The given endpoint does "
                         "not exist, please retry after checking the specified model."}, GONE),
    ("Databricks", 429, {"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "Exceeded workspace "
                         "input tokens per minute rate limit for x."}, LIMITED),
    # Servers of one's own
    ("vLLM", 401, {"error": "Unauthorized"}, AUTH),
    ("vLLM", 404, e("The model `x` does not exist.", "NotFoundError", 404), GONE),
    ("TGI", 424, {"error": "Request failed during generation: server error",
                  "error_type": "generation"}, SERVER),
    ("TGI", 429, {"error": "Model is overloaded", "error_type": "overloaded"}, BUSY),
    ("SGLang", 400, e("The request queue is full.", "BadRequest"), BUSY),
    ("SGLang", 400, e("Model 'x' not found. Available models: y", "BadRequestError", 400), GONE),
    ("llama.cpp", 401, e("Invalid API Key", "authentication_error", 401), AUTH),
    ("llama.cpp", 503, e("Loading model", "unavailable_error", 503), BUSY),
    # Gateways
    ("LiteLLM", 401, e("Authentication Error, Invalid proxy server token passed.",
                       "token_not_found_in_db", "401"), AUTH),
    ("LiteLLM", 400, e("Authentication Error - Expired Key.", "expired_key", "400"), AUTH),
    ("LiteLLM", 403, e("key not allowed to access model. This key can only access models=['a'].",
                       "key_model_access_denied", "403"), GONE),
    ("LiteLLM", 400, e("Budget has been exceeded! Current cost: 26, Max budget: 10",
                       "budget_exceeded", "400"), QUOTA),
    ("LiteLLM", 401, e(lite("AuthenticationError", "OpenAI", WRONG_KEY), None, "401"),
     AUTH, UPSTREAM),
    ("LiteLLM", 429, e(lite("RateLimitError", "OpenAI", CURRENT), "throttling_error", "429"),
     QUOTA, UPSTREAM),
    ("LiteLLM", 429, e(lite("RateLimitError", "Gemini", json.dumps(
        g(429, f"{CURRENT} Please retry in 9s.", EXHAUSTED, quota("GenerateRequestsPerMinute")))),
        "throttling_error", "429"), LIMITED),
    ("LiteLLM", 400, e(lite("BadRequestError", "Anthropic", json.dumps(
        a("Your credit balance is too low to access the API."))), None, "400"), QUOTA, UPSTREAM),
    ("LiteLLM", 404, e(lite("NotFoundError", "Vertex_ai", "Publisher Model x was not found"), None,
                       "404"), GONE, UPSTREAM),
    ("LiteLLM", 412, e(lite("APIError", "Fireworks_ai", json.dumps(e("Account o is suspended, "
                       "possibly due to failure to pay past invoices."))), None, "412"),
     QUOTA, UPSTREAM),
    ("LiteLLM", 429, e("No deployments available for selected model, Try again in 5 seconds. "
                       "Passed model=chat. cooldown_list=['1']", "None", "429"),
     BUSY, NOBODY),
    ("LiteLLM", 503, e(lite("ServiceUnavailableError", "OpenAI", "Service Unavailable"), None,
                       "503"), BUSY),
    # … as version 1.108 answered here, with upstreams that refused it
    ("LiteLLM", 401, e("litellm.AuthenticationError: AuthenticationError: OpenAIException - "
                       f"{WRONG_KEY}\n\nLiteLLM: model group 'quota' failed with the error above. "
                       "No fallback was attempted.", "authentication_error", "401"),
     AUTH, UPSTREAM),
    ("LiteLLM", 429, e(f"litellm.RateLimitError: RateLimitError: OpenAIException - {CURRENT}\n\n"
                       "LiteLLM: model group 'chat' failed with the error above. No fallback was "
                       "attempted.", "throttling_error", "429"), QUOTA, UPSTREAM),
    ("LiteLLM", 404, e("litellm.NotFoundError: NotFoundError: OpenAIException - The model `m` does "
                       "not exist or you do not have access to it.\n\nLiteLLM: model group 'chat' "
                       "failed with the error above.", INVALID, "404"), GONE, UPSTREAM),
    ("LiteLLM", 400, e("litellm.BadRequestError: AnthropicException - b'"
                       + json.dumps(a("Your credit balance is too low to access the API.")) + "'",
                       INVALID, "400"), QUOTA, UPSTREAM),
    ("LiteLLM", 429, e("No deployments available for selected model, Try again in 5 seconds. All "
                       "deployments for selected model are in cooldown. Passed model=quota.",
                       "all_deployments_in_cooldown", "429"), BUSY, NOBODY),
    ("LiteLLM", 503, e("litellm.ServiceUnavailableError: ServiceUnavailableError: OpenAIException "
                       "- The server is overloaded", "internal_server_error", "503"), BUSY),
    ("LiteLLM", 400, e("No connected db.", "no_db_connection", "400"), AUTH),
    ("LiteLLM", 400, e("litellm.BadRequestError: OpenAIException - The dial is out of tune.\n\n"
                       "LiteLLM: model group 'odd' failed with the error above.", INVALID, "400"),
     OURS, UNKNOWN),
    ("Portkey", 401, {**e(f"openai error: {WRONG_KEY}", INVALID, "invalid_api_key"),
                      "provider": "openai"}, AUTH, UPSTREAM),
    ("Portkey", 429, {**e(f"openai error: {CURRENT}", "insufficient_quota", "insufficient_quota"),
                      "provider": "openai"}, QUOTA, UPSTREAM),
    ("Bifrost", 401, {"is_bifrost_error": False, "status_code": 401, "extra_fields": {
        "provider": "openai"}, **e(WRONG_KEY, INVALID)}, AUTH, UPSTREAM),
    ("New API", 403, e("The user's quota is not enough", "new_api_error",
                       "insufficient_user_quota"), QUOTA),
    ("New API", 503, e("No available channel for model x under group default", "new_api_error",
                       "model_not_found"), BUSY, NOBODY),
    # Cloudflare: Workers AI, and what stands in front of others
    ("Workers AI", 400, {"success": False, "errors": [{"code": 5007, "message": "AiError: No such "
                         "model @cf/x or task"}]}, GONE),
    ("Workers AI", 429, {"success": False, "errors": [{"code": 3036, "message": "AiError: you have "
                         "used up your daily free allocation of 10,000 neurons"}]}, QUOTA),
    ("Workers AI", 429, {"success": False, "errors": [{"code": 3040, "message": "AiError: Capacity "
                         "temporarily exceeded, please try again."}]}, BUSY),
    ("Workers AI", 400, {"success": False, "errors": [{"code": 10000, "message": "Authentication "
                         "error"}]}, AUTH),
    ("Cloudflare", 403, "error code: 1020\n", SERVER, "", "openai", PLAIN),
    ("Cloudflare", 403, page("Attention Required! | Cloudflare"), SERVER, "", "anthropic", HTML),
    ("Cloudflare", 403, {"title": "Error 1010: Access denied", "status": 403, "error_code": 1010,
                         "cloudflare_error": True}, SERVER),
    ("Cloudflare", 429, "error code: 1015", LIMITED, "", "openai", PLAIN),
    ("Cloudflare", 522, "error code: 522", SERVER, "", "openai", PLAIN),
    ("CloudFront", 403, page("ERROR: The request could not be satisfied", "Request blocked."),
     SERVER, "", "openai", HTML),
    ("CloudFront", 400, page("ERROR: The request could not be satisfied", "Bad request."),
     SERVER, "", "openai", HTML),
    ("Akamai", 403, page("Access Denied"), SERVER, "", "openai", HTML),
    ("mod_security", 406, page("Not Acceptable!", "generated by Mod_Security"), SERVER, "",
     "openai", HTML),
    ("Envoy", 403, "RBAC: access denied", SERVER, "", "openai", PLAIN),
    ("anybody", 403, "", SERVER),
    ("anybody", 403, "Forbidden", SERVER, "", "gemini", PLAIN),
    ("anybody", 403, "Invalid API key", AUTH, "", "openai", PLAIN),
    ("anybody", 401, "", AUTH),
    ("Perplexity", 401, page("401 Authorization Required"), AUTH, "", "openai", HTML),
    # Perplexity, Cerebras, NVIDIA, SambaNova, Hugging Face, GitHub
    ("Perplexity", 400, e("Invalid model 'sonar-x'. Permitted models can be found in the docs.",
                          "invalid_model", 400), GONE),
    ("Perplexity", 401, e(CURRENT, "insufficient_quota", 401), QUOTA),
    ("Cerebras", 429, {"message": "Tokens per day limit exceeded - too many tokens processed.",
                       "type": "too_many_tokens_error", "code": "token_quota_exceeded"}, QUOTA),
    ("Cerebras", 429, {"message": "Requests per minute limit exceeded - too many requests sent.",
                       "type": "too_many_requests_error", "code": "request_quota_exceeded"},
     LIMITED),
    ("Cerebras", 429, {"message": "We're experiencing high traffic right now! Please try again "
                       "soon.", "type": "too_many_requests_error", "code": "queue_exceeded"}, BUSY),
    ("NVIDIA", 402, {"detail": "Cloud credits expired. Please contact NVIDIA representatives"},
     QUOTA),
    ("NVIDIA", 404, {"detail": "Function '1-2': Not found for account '3'"}, GONE),
    ("NVIDIA", 410, {"status": 410, "title": "Gone", "detail": "The model 'x' has reached its end "
                     "of life on 2025-12-01 and is no longer available."}, GONE),
    ("NVIDIA", 403, {"status": 403, "title": "Forbidden", "detail": "Authorization failed"}, AUTH),
    ("SambaNova", 410, e("Model x has been deprecated.", "model_deprecated"), GONE),
    ("Hugging Face", 400, e("The requested model 'x' is not supported by any provider you have "
                            "enabled.", INVALID, "model_not_supported"), GONE),
    ("Hugging Face", 403, {"error": "You have exceeded your monthly included credits for Inference "
                           "Providers."}, QUOTA),
    ("Hugging Face", 401, {"error": "Invalid username or password."}, AUTH),
    ("GitHub Models", 429, e("Rate limit of 150 per 86400s exceeded for UserByModelByDay.", None,
                             "RateLimitReached"), QUOTA),
    ("GitHub Models", 400, e("Unknown model: x", None, "unknown_model"), GONE),
    # Zhipu, MiniMax, Volcengine, SiliconFlow
    ("Zhipu", 400, e("Unknown Model, please check the model code.", None, "1211"), GONE),
    ("Zhipu", 429, e("Insufficient balance or no resource package. Please recharge.", None, "1113"),
     QUOTA),
    ("Zhipu", 429, e("您的账户已欠费，请充值后重试。", None, "1113"), QUOTA),
    ("Zhipu", 429, e("Daily call limit for this API reached.", None, "1304"), QUOTA),
    ("Zhipu", 429, e("The service may be temporarily overloaded, please try again later", None,
                     "1305"), BUSY),
    ("MiniMax", 400, e("login fail: Please carry the API secret key in the request",
                       "authorized_error"), AUTH),
    ("MiniMax", 400, e("insufficient balance", "insufficient_balance_error"), QUOTA),
    ("Volcengine", 403, e("The request failed because your account has an overdue balance.",
                          "Forbidden", "AccountOverdueError"), QUOTA),
    ("Volcengine", 404, e("The model or endpoint ep-1 does not exist or you do not have access to "
                          "it.", "NotFound", "InvalidEndpointOrModel.NotFound"), GONE),
    ("Volcengine", 404, e("Your account 1 has not activated the model x.", "NotFound",
                          "ModelNotOpen"), GONE),
    ("Volcengine", 429, e("Your account 1 has reached the set inference limit for the model, and "
                          "the model service has been paused.", "TooManyRequests",
                          "SetLimitExceeded"), QUOTA),
    ("Volcengine", 401, e("The API key doesn't exist.", "Unauthorized", "AuthenticationError"),
     AUTH),
    ("SiliconFlow", 403, {"code": 30001, "message": "Sorry, your account balance is insufficient",
                          "data": None}, QUOTA),
    ("SiliconFlow", 400, {"code": 20012, "message": "Model does not exist. Please check it.",
                          "data": None}, GONE),
    ("SiliconFlow", 503, {"code": 50505, "message": "Model service overloaded. Please try again "
                          "later.", "data": None}, BUSY),
    ("SiliconFlow", 403, '"Sorry, your account balance is insufficient"', QUOTA),
    ("SiliconFlow", 403, "Sorry, your account balance is insufficient", QUOTA, "", "openai", PLAIN),
    ("SiliconFlow", 403, {"code": 30003, "message": "Model disabled.", "data": None}, GONE),
    ("Zhipu", 400, e("模型不存在，请检查模型代码。", None, "1211"), GONE),
    ("Zhipu", 400, e("Header中未收到Authorization参数，无法进行身份验证。", None, "1001"), AUTH),
    ("Zhipu", 400, e("输入可能包含不安全或敏感内容，感谢您的配合。", None, "1301"), FILTERED),
    ("Zhipu", 400, e("网络错误，错误id：1，请稍后重试", None, "1234"), SERVER),
    ("Zhipu", 400, e("Network error, error id: 1, please contact customer service", None, "1234"),
     SERVER),
    ("DashScope", 400, e("Output data may contain inappropriate content.",
                         "data_inspection_failed", "data_inspection_failed"), FILTERED),
    ("OpenAI", 400, e("Your organization must be verified to stream this model. Please go to your "
                      "settings and click on Verify Organization.", INVALID, "unsupported_value"),
     AUTH),
    ("Azure", 400, {"error": {"code": "unavailable_model", "message": "Unavailable model: x"}},
     GONE, "", "azure-openai"),
    ("Vertex", 400, g(400, "Organization Policy constraint constraints/vertexai.allowedModels "
                      "violated for projects/1 attempting to use a disallowed Gen AI model x.",
                      "FAILED_PRECONDITION"), GONE, "", "vertex"),
    ("Anthropic", 400, a("You're out of extra usage. Add more in your settings and keep going."),
     QUOTA, "", "anthropic"),
    ("Anthropic", 400, a("Third-party apps now draw from your extra usage, not your plan limits."),
     QUOTA, "", "anthropic"),
    ("Anthropic", 400, a("This credential is only authorized for use with another application."),
     AUTH, "", "anthropic"),
    ("Cloudflare", 429, page("Access denied | x used Cloudflare to restrict access"), LIMITED, "",
     "openai", HTML),
    # Outages that look like ours
    ("Groq", 400, e("x is currently over capacity. Please try again and back off exponentially.",
                    "internal_server_error"), BUSY),
    ("OpenCode", 400, e("Model is unavailable.", "ModelError"), SERVER),
    ("NVIDIA", 400, {"status": 400, "title": "Bad Request", "detail": "Function id '1-2': DEGRADED "
                     "function cannot be invoked"}, SERVER),
    ("Databricks", 400, {"error_code": "BAD_REQUEST", "message": "Bad request: The endpoint is "
                         "stopped. Please start it and try again."}, SERVER),
    ("Hugging Face", 400, {"error": "Bad Request: The endpoint is paused, ask a maintainer to "
                           "restart it"}, SERVER),
    ("LiteLLM", 400, e("litellm.BadRequestError: OpenAIException - Connection error.", INVALID,
                       "400"), SERVER),
    ("vLLM", 400, {"object": "error", "message": "EngineCore encountered an issue. See stack trace "
                   "(above) for the root cause.", "type": "BadRequestError", "code": 400}, SERVER),
    ("SGLang", 400, {"object": "error", "message": "Request is aborted by a scheduled timeout",
                     "type": "BadRequestError", "code": 400}, SERVER),
    ("llama.cpp", 400, e("model is not loaded", INVALID, 400), SERVER),
    ("LM Studio", 400, {"error": "No models loaded. Please load a model in the developer page."},
     SERVER),
    ("LM Studio", 400, {"error": "The model has crashed without additional information."}, SERVER),
    ("Ollama", 400, {"error": "model requires more system memory (8.7 GiB) than is available"},
     SERVER, "", "ollama"),
    ("any", 400, {"code": 400, "msg": "系统繁忙，请稍后再试"}, BUSY),
    ("any", 400, e("请求超时，请稍后重试"), SERVER),
    ("any", 400, e("Upstream request failed"), SERVER),
    ("any", 400, e("No healthy backend"), SERVER),
    ("any", 400, e("The server had an error while processing your request."), SERVER),
    ("any", 400, e("Something went wrong. Please try again later."), SERVER),
    ("any", 422, {"detail": "No GPU available"}, BUSY),
    ("any", 400, e("The model x has been shut down"), GONE),
    ("any", 401, e("The token is invalid or expired"), AUTH),
    ("any", 400, e("Token has expired"), AUTH),
    ("any", 400, e("You have no remaining credits."), QUOTA),
    ("Together", 400, e("model x is not a serverless model"), GONE),
    ("New API", 400, e("bad response status code 502", "bad_response_status_code"), SERVER),
    ("New API", 403, e("该令牌额度已用尽", "new_api_error"), QUOTA),
    ("New API", 403, e("用户额度不足, 剩余额度: 0.00", "new_api_error"), QUOTA),
    ("New API", 401, e("无效的令牌", "new_api_error"), AUTH),
    ("any", 403, e("该模型已下线"), GONE),
    ("any", 400, e("账户已被冻结"), AUTH),
    ("AWS balancer", 460, "", SERVER),
    ("nginx", 444, "", SERVER),
    ("Groq", 424, e("Dependent request failed", "x"), SERVER),
    ("xAI", 408, e("deadline has elapsed"), SERVER),
    ("any", 400, e("upstream connect error or disconnect/reset before headers"), SERVER),
    ("any", 400, e("Service temporarily unavailable"), SERVER),
    ("any", 422, e("CUDA error: an illegal memory access was encountered"), SERVER),
    ("any", 403, e("The server is busy, please try again later."), BUSY),
]  # fmt: skip

REFUSALS: list[Refused] = [*CASES.values(), *(Refused(*row) for row in ROWS)]

# What is about the request, whatever it names: of no table, and so the canary's or the provider's.
UNKNOWN_REFUSALS: list[Refused] = [
    Refused("any", 400, e(said, INVALID), OURS, UNKNOWN)
    for said in (
        "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens.",
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
        "'max_completion_tokens' instead.",
        "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) "
        "value is supported.",
        "The parameter `max_tokens` of this model is deprecated. Use max_completion_tokens.",
        "Validation error at #/stream_options: Extra inputs are not permitted",
        "max_tokens must be at least 1, got 0",
        "max_tokens is too large: 999999. This model supports at most 16384 completion tokens.",
        "This model does not support image input.",
        "model output must be text when response_format is given",
        "Invalid 'messages[0].content': string too long.",
        "messages: text content blocks must be non-empty",
        "Thinking is not supported by this model",
        "tool use is not supported for this model: model x is not available with tools",
        "Expecting value: line 1 column 1 (char 0)",
        "Invalid JSON: unexpected token at position 3",
        "Invalid value for 'timeout': must be positive",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "top_k: extra fields not permitted",
        "Invalid model output schema",
        "you must provide a model parameter",
        "The user message content is empty",
        "stream must be true for this endpoint",
        "'key' is a required property",
        "Unknown field name 'thinkingConfig': cannot find field",
        "logit_bias keys must be token ids",
        "a stop token is invalid for this model",
        "Thinking is disabled for this model, and effort cannot be set",
        "extra usage fields are not permitted",
        "content must be a string, not a network address",
        "Budget 0 is invalid. This model only works in thinking mode.",
    )
]
