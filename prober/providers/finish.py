"""Why a model stopped: the word of every API, in one vocabulary. Pure.

One table for all, for gateways hand on the words of the servers behind them: a Chat Completion may
end with "STOP", "end_turn" or "eos_token". Sources: the enums of the official SDKs (OpenAI,
Anthropic, Google, Mistral, botocore), the references of Cohere, DeepSeek, Zhipu and OpenRouter, the
servers of vLLM, SGLang, TGI and Ollama.
"""

from __future__ import annotations

from typing import Any

from prober.providers.events import Stop, Stopped

_WORDS = {
    Stop.END: """
        stop end_turn stop_sequence stop_token stop_word stop_words stop_string stop_str
        eos eos_token eos_found eot end end_of_text end_of_turn complete completed done finish
        finished tool_call tool_calls tool_use function_call function_calls
    """,
    Stop.LENGTH: """
        length max_tokens max_length max_output_tokens max_new_tokens max_completion_tokens
        model_length token_limit context_length context_length_exceeded
        model_context_window_exceeded
    """,
    Stop.REFUSAL: """
        content_filter content_filtered content_filter_error refusal refused safety recitation
        blocklist prohibited_content spii guardrail guardrails guardrail_intervened model_armor
        jailbreak sensitive moderation error_toxic image_safety image_prohibited_content
        image_recitation
    """,
    Stop.ERROR: """
        error failed failure other network_error connection_error insufficient_system_resource
        overloaded engine_error internal_error server_error model_error malformed_function_call
        malformed_response malformed_model_output malformed_tool_use unexpected_tool_call
        too_many_tool_calls missing_thought_signature language load unload
    """,
    Stop.CUT: """
        abort aborted cancel cancelled canceled user_cancel interrupted interrupt incomplete
        continuation pause_turn timeout timed_out time_limit deadline_exceeded preempted shutdown
        disconnect disconnected
    """,
}
MAX_WORD = 60


def _letters(word: str) -> str:
    """In any spelling; "FINISH_REASON_STOP" and "FinishReason.STOP" are enums that leak."""
    plain = "".join(c for c in word[:MAX_WORD].lower() if c.isalpha())
    return plain.removeprefix("finishreason")


STOPS = {_letters(word): stop for stop, words in _WORDS.items() for word in words.split()}
FAILED = frozenset({Stop.ERROR, Stop.CUT})
# What servers write where they mean that nothing has ended yet.
_NOT_YET = frozenset({"", "null", "none", "nil", "undefined", "unspecified"})


def stopped(word: Any, native: Any = None) -> Stopped | None:
    """What a finish reason means; None where it is none.

    `native` is the word of the server behind a gateway: a failure that it names is not undone by
    the gateway's own word.
    """
    behind = _read(native)
    return behind if behind is not None and behind.stop in FAILED else _read(word)


def _read(word: Any) -> Stopped | None:
    if not isinstance(word, str):
        return None
    plain = _letters(word)
    if plain in _NOT_YET:
        return None
    return Stopped(STOPS.get(plain, Stop.UNKNOWN), word.strip()[:MAX_WORD])
