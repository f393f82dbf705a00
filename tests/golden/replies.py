"""How servers really end an answer, by kind: each has its outcome, and many spellings.

After what users of these servers reported, and what gateways answered when their upstream was cut;
docs/providers.md names every kind. The canary asks for "ab12".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from prober.sample import Outcome, Tokens
from tests.golden import anthropic, bedrock, gemini, mistral, ollama, openai_responses
from tests.golden.frames import Json, lines, named, sse

OK, CUT, BROKEN = Outcome.OK, Outcome.STREAM_TRUNCATED, Outcome.STREAM_ERROR
DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Reply:
    """One spelling.

    Attributes:
        ending: what becomes of the connection: "close", "cut" (inside a chunk), "reset", "silence".
        detail: words of the sample's.
        tokens: what it counts; None: whatever.
    """

    body: bytes
    api: str = "openai"
    content_type: str = "text/event-stream"
    ending: str = "close"
    detail: str = ""
    tokens: Tokens | None = None


@dataclass(frozen=True)
class Kind:
    """Attributes: server: what it does, as the documentation says it."""

    server: str
    outcome: Outcome
    replies: Mapping[str, Reply] = field(default_factory=dict)


def c(content: Any = "", finish: Any = None, **more: Any) -> Json:
    """A chunk of a Chat Completion."""
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish, **more}
    return {"id": "c1", "object": "chat.completion.chunk", "choices": [choice]}


def chat(*said: Any, done: bool = True, **more: Any) -> Reply:
    return Reply(sse(*said) + (DONE if done else b""), **more)


def raw(body: str, **more: Any) -> Reply:
    return Reply(body.encode(), **more)


def spoken(*pieces: str, finish: str = "stop", **more: Any) -> Reply:
    return chat(*map(c, pieces), c("", finish), **more)


def counted(prompt: int = 30, completion: int = 5) -> Json:
    total = prompt + completion
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}


COUNTED = Tokens(input=30, output=5)
WHOLE = sse(c("ab"), c("12"), c("", "stop"))
ERROR = {"code": 500, "message": "Compute error: out of memory", "type": "server_error"}
SAID = "Compute error: out of memory"
FIELD = f"error: {json.dumps(ERROR)}\n\n"
EVENT = f"event: error\ndata: {json.dumps(ERROR)}\n\n"
MINIMAX = {"base_resp": {"status_code": 1000, "status_msg": "unknown error"}}
WHOLE_JSON = {"choices": [{"message": {"content": "ab12"}, "finish_reason": "stop"}]}


def google(*said: Json, **more: Any) -> Reply:
    return Reply(gemini.data(*said), "gemini", **more)


def claude(*said: Json, **more: Any) -> Reply:
    return Reply(named(anthropic.START, *said), "anthropic", **more)


def half_of_claude(reason: str) -> Reply:
    begun = anthropic.text()[:3]
    return claude(*begun, anthropic.end(reason), anthropic.STOP, detail=reason)


def responses(*said: Json, **more: Any) -> Reply:
    body = openai_responses.numbered(*openai_responses.BEGUN, *said)
    return Reply(body, "openai-responses", **more)


HALF = [*openai_responses.ADDED, openai_responses.text("ab")]
ended = openai_responses.end


def amazon(*frames: bytes, **more: Any) -> Reply:
    kind = "application/vnd.amazon.eventstream"
    return Reply(bedrock.START + b"".join(frames), "bedrock", kind, **more)


def llama(*said: Json, **more: Any) -> Reply:
    return Reply(lines(*said), "ollama", "application/x-ndjson", **more)


def mistral_s(*said: Json, **more: Any) -> Reply:
    return Reply(sse(*said) + DONE, "mistral", **more)


KINDS: dict[str, Kind] = {
    "made_up_end": Kind(
        "cut behind a gateway that makes up a clean end: half an echo, then `stop`",
        CUT,
        {
            "stop": spoken("ab", detail="'ab'"),
            "one letter": spoken("a"),
            "in capitals, quoted, with blanks": spoken(' "A', "B \n"),
            "with usage": chat(c("ab"), c("", "stop"), {"choices": [], "usage": counted()}),
            "tool calls": spoken("ab", finish="tool_calls"),
            "after thinking": spoken("<think>ab12</think>", "ab1"),
            "without [DONE]": spoken("ab", done=False),
            "mistral": mistral_s(mistral.chunk("ab"), mistral.chunk("", "stop")),
            "gemini": google(gemini.said("ab", "STOP")),
            "anthropic": half_of_claude("end_turn"),
            "responses": responses(*HALF, ended("completed")),
            "bedrock": amazon(bedrock.delta({"text": "ab"}), bedrock.stop("end_turn")),
            "ollama": llama(ollama.line("ab"), ollama.end("stop")),
        },
    ),
    "abort_partial": Kind(
        "the engine aborts (shutdown, scale-down, a cancel): `abort` and its like",
        CUT,
        {
            "abort": spoken("ab", finish="abort", detail="'abort'"),
            "whole": spoken("ab12", finish="abort"),
            "without a text": spoken(finish="cancelled"),
            "in capitals": spoken("ab", finish="USER_CANCEL"),
            "timeout": spoken("ab", finish="TIMEOUT"),
            "an enum": spoken("ab", finish="FinishReason.ABORTED"),
            "behind a gateway": chat(c("ab"), c("", "stop", native_finish_reason="abort")),
            "anthropic": half_of_claude("pause_turn"),
            "responses": responses(*HALF, ended("cancelled", error=None)),
            "incomplete": responses(*HALF, ended("incomplete")),
            "gemini": google(gemini.said("ab", "CONTINUATION")),
            "ollama": llama(ollama.line("ab"), ollama.end("aborted")),
        },
    ),
    "insufficient_resource": Kind(
        "a finish reason that says what failed: `insufficient_system_resource`, `error`, …",
        BROKEN,
        {
            "deepseek": spoken("ab", finish="insufficient_system_resource", detail="insufficient"),
            "error": spoken("ab", finish="error"),
            "whole": spoken("ab12", finish="network_error"),
            "behind a gateway": chat(c("ab"), c("", "stop", native_finish_reason="network_error")),
            "native alone": chat(c("ab12"), c("", None, native_finish_reason="error")),
            "and then stop": chat(c("ab"), c("", "error"), c("", "stop")),
            "mistral": mistral_s(mistral.chunk("ab12"), mistral.chunk("", "error")),
            "gemini": google(gemini.said("ab", "MALFORMED_FUNCTION_CALL")),
            "gemini, other": google(gemini.said("ab12", "OTHER"), detail="'OTHER'"),
            "bedrock": amazon(
                bedrock.delta({"text": "ab"}), bedrock.stop("malformed_model_output")
            ),
            "responses": responses(*HALF, ended("failed")),
            "ollama": llama(ollama.line(""), ollama.end("unload")),
        },
    ),
    "unknown_finish": Kind(
        "a finish reason that no table has",
        BROKEN,
        {
            "chat": spoken("ab12", finish="gone_fishing", detail="'gone_fishing'"),
            "anthropic": half_of_claude("gone_fishing"),
            "gemini": google(gemini.said("ab12", "GONE_FISHING")),
            "bedrock": amazon(bedrock.TEXT, bedrock.stop("gone_fishing")),
            "responses": responses(*HALF, ended("incomplete", incomplete_details={"reason": "x"})),
            "ollama": llama(ollama.line("ab12"), ollama.end("gone_fishing")),
        },
    ),
    "done_without_finish": Kind(
        "an end marker, and no reason to finish before it",
        CUT,
        {
            "half": chat(c("ab")),
            "whole": chat(c("ab12"), detail="reason to finish"),
            "nothing": Reply(DONE),
            "empty": spoken("ab12", finish=""),
            "null as a word": spoken("ab12", finish="null"),
            "usage": chat(c("ab12"), {"choices": [], "usage": counted()}),
            "anthropic": claude(*anthropic.text(), anthropic.STOP),
            "bedrock": amazon(bedrock.TEXT, bedrock.event("messageStop", {})),
            "mistral": mistral_s(mistral.chunk("ab12")),
            "gemini": google(gemini.said("ab12", "FINISH_REASON_UNSPECIFIED")),
        },
    ),
    "filtered": Kind(
        "a filter ends the answer",
        Outcome.REFUSAL,
        {
            "half": spoken("ab", finish="content_filter"),
            "zhipu": spoken("ab", finish="sensitive"),
            "gemini": google(gemini.said("ab", "RECITATION")),
            "a word of anthropic's": spoken("", finish="refusal"),
            "responses": responses(
                *HALF, ended("incomplete", incomplete_details={"reason": "content_filter"})
            ),
        },
    ),
    "no_done": Kind(
        "a whole answer and a finish reason, the body ends, no `[DONE]`",
        OK,
        {
            "usage with it": chat(
                c("ab12"), {**c("", "stop"), "usage": counted()}, done=False, tokens=COUNTED
            ),
            "usage after it": chat(
                c("ab12"),
                c("", "stop"),
                {"choices": [], "usage": counted()},
                done=False,
                tokens=COUNTED,
            ),
            "in one chunk": chat(c("ab12", "stop"), done=False),
            "mistral": Reply(sse(mistral.chunk("ab12"), mistral.chunk("", "stop")), "mistral"),
            "the connection stays open": spoken("ab12", done=False, ending="silence"),
        },
    ),
    "cut_after_done": Kind(
        "whole, and then the connection breaks",
        OK,
        {
            "cut after [DONE]": spoken("ab12", ending="cut"),
            "cut after the finish reason": Reply(WHOLE, ending="cut"),
            "reset after [DONE]": spoken("ab12", ending="reset"),
            "reset after the finish reason": Reply(WHOLE, ending="reset"),
            "silence after [DONE]": spoken("ab12", ending="silence"),
            "cut inside a line": Reply(WHOLE + b'data: {"choices":[],"usa', ending="cut"),
            "cut inside a letter": Reply(WHOLE + b'data: {"id":"\xe2\x82', ending="cut"),
            "an endless line": Reply(WHOLE + b"data: " + b"x" * 600_000),
            "gemini": Reply(gemini.STREAMS["success"], "gemini", ending="reset"),
            "anthropic": Reply(anthropic.STREAMS["success"], "anthropic", ending="cut"),
            "responses": Reply(
                openai_responses.STREAMS["success"], "openai-responses", ending="reset"
            ),
            "bedrock": Reply(bedrock.STREAMS["success"], "bedrock", ending="cut"),
            "ollama": Reply(ollama.STREAMS["success"], "ollama", ending="reset"),
        },
    ),
    "cut_before_the_end": Kind(
        "whole as far as one can see, and no reason to finish",
        CUT,
        {
            "cut": chat(c("ab12"), done=False, ending="cut"),
            "reset": chat(c("ab12"), done=False, ending="reset"),
            "closed": chat(c("ab12"), done=False),
            "inside the last line": Reply(WHOLE[:-20], ending="cut"),
        },
    ),
    "gemini_two_finish": Kind(
        "says in each chunk that it is done",
        OK,
        {
            "gemini": google(gemini.said("ab", "STOP"), gemini.said("12", "STOP")),
            "gemini, open": google(
                gemini.said("ab", "STOP"), gemini.said("12", "STOP"), ending="silence"
            ),
            "chat": chat(c("ab", "stop"), c("12", "stop")),
            "a last one without text": chat(c("ab", "stop"), c("12", "stop"), c("", "stop")),
        },
    ),
    "ends_by_another_word": Kind(
        "a plain end in a word of its own: `eos_token`, `end_turn`, `STOP`, …",
        OK,
        {
            word: spoken("ab12", finish=word)
            for word in (
                "STOP",
                "eos",
                "eos_token",
                "end_turn",
                "stop_sequence",
                "COMPLETE",
                "tool_calls",
                "function_call",
                "FINISH_REASON_STOP",
                "FinishReason.STOP",
                "endTurn",
                "length",
            )
        }
        | {
            "behind a gateway": chat(c("ab12"), c("", "stop", native_finish_reason="completed")),
            "in Google's spelling": chat(c("ab12", finishReason="STOP")),
            "at the top": chat(c("ab12"), {"finish_reason": "stop", "usage": counted()}),
            "old ollama, none": llama(ollama.line("ab12"), {**ollama.line(), "done": True}),
            "anthropic's tools": claude(
                *anthropic.text(), anthropic.end("tool_use"), anthropic.STOP
            ),
            "bedrock's tools": amazon(bedrock.TEXT, bedrock.stop("tool_use")),
        },
    ),
    "databricks_list": Kind(
        "content as a list of parts, text and reasoning",
        OK,
        {
            "databricks": chat(
                c([{"type": "reasoning", "summary": [{"type": "summary_text", "text": "ab1 x"}]}]),
                c([{"type": "text", "text": "ab12"}]),
                c("", "stop"),
            ),
            "mistral by another door": chat(
                c([mistral.thinking("hm"), {"type": "text", "text": "ab"}]), c("12", "stop")
            ),
            "mistral": Reply(mistral.STREAMS["reasoning"], "mistral"),
            "one part alone": chat(c({"type": "text", "text": "ab12"}), c("", "stop")),
            "plain pieces": chat(c(["ab", "12"]), c("", "stop")),
        },
    ),
    "think_cut": Kind(
        "reasoning inside the content, cut by length before the answer",
        Outcome.BUDGET_TOO_SMALL,
        {
            "cut": spoken("<think>", "\nOkay, the user wants ab12", finish="length"),
            "split anywhere": spoken(*"<think>the word is ab12", finish="length"),
            "a blank before": spoken("\n\n <thinking>ab12", finish="length"),
            "closed": spoken("<think>ab12</think>\n\n", finish="length"),
            "magistral": spoken("[THINK]ab12", finish="length"),
            "half of the closing tag": spoken("<think>ab12</th", finish="length"),
            "by its other name": spoken("<think>ab12", finish="MAX_TOKENS"),
            "ollama": llama(ollama.line("<think>ab12"), ollama.end("length")),
            "an echo cut by our own bound": spoken("ab", finish="length"),
            "parts": chat(c([mistral.thinking("ab12")]), c("", "length")),
        },
    ),
    "think_whole": Kind(
        "reasoning inside the content, and the answer after it",
        OK,
        {
            "think": spoken("<think>", "\nis it ab99? ab12", "</think>", "\n\nab12"),
            "thinking": spoken("<thinking>zz</thinking>ab12"),
            "split anywhere": spoken(*"<think>\nzz\n</think>\n\nab12"),
            "opened in the prompt": spoken("Okay, the user wants ", "zz", "</think>\n\nab12"),
            "opened in the prompt, split": spoken(*"Okay, zz</think>ab12"),
            "two": spoken("<think>zz</think>\n<think>yy</think>ab12"),
            "in capitals": spoken("<THINK>zz</THINK>ab12"),
            "magistral": spoken("[THINK]zz[/THINK]ab12"),
            "gpt-oss": spoken(
                "<|channel|>analysis<|message|>zz<|end|>",
                "<|start|>assistant<|channel|>final<|message|>ab12",
            ),
            "gemma": spoken("<|channel>thought\nzz", "<channel|>ab12"),
            "ollama": llama(ollama.line("<think>zz</think>ab12"), ollama.end("stop")),
        },
    ),
    "think_only": Kind(
        "reasoning inside the content, and no answer after it",
        Outcome.EMPTY_COMPLETION,
        {
            "quoted": spoken("<think>ab12</think>"),
            "never closed": spoken("<think>ab12"),
            "opened in the prompt": spoken("it is ab12", "</think>\n"),
        },
    ),
    "think_wrong": Kind(
        "an answer quoted while reasoning, another one after it",
        Outcome.WRONG_ANSWER,
        {"quoted": spoken("<think>ab12</think>", "Something else")},
    ),
    "llamacpp_error_field": Kind(
        "an error in a field of its own (`error: {…}`), then `[DONE]`",
        BROKEN,
        {
            "field": raw(f"error: {json.dumps(ERROR)}\n\ndata: [DONE]\n\n", detail=SAID),
            "after text": Reply(sse(c("ab")) + FIELD.encode(), detail=SAID),
            "without a blank": raw(f"error:{json.dumps(ERROR)}\n\n", detail=SAID),
            "event": raw(EVENT, detail=SAID),
            "event, in words": raw("event: error\ndata: upstream is gone\n\n", detail="is gone"),
            "anthropic": raw(FIELD, api="anthropic", detail=SAID),
            "responses": raw(FIELD, api="openai-responses", detail=SAID),
            "gemini": raw(EVENT, api="gemini", detail=SAID),
        },
    ),
    "litellm_midstream": Kind(
        "an error inside the stream, wherever it stands",
        BROKEN,
        {
            "litellm": chat(
                c("ab"),
                {"error": {"message": "MidStreamFallbackError: upstream closed", "code": "503"}},
                done=False,
                detail="upstream closed",
            ),
            "in the choice": chat(
                c("ab"),
                c("", "error", error={"code": 502, "message": "Provider gone"}),
                detail="Provider gone",
            ),
            "in the choice, in words": chat(c("ab12", "stop", error="gone"), detail="gone"),
            "groq": chat({"x_groq": {"error": "over capacity"}}, detail="over capacity"),
            "flat": chat({"object": "error", "message": "gone", "code": 500}, detail="gone"),
            "after the finish reason": chat(c("ab12", "stop"), {"error": {"message": "gone"}}),
            "then silence": chat(
                c("ab"), {"error": {"message": "gone"}}, done=False, ending="silence", detail="gone"
            ),
            "plain JSON": raw(
                '{"error": {"message": "gone", "code": 500}}',
                content_type="application/json",
                detail="gone",
            ),
            "pretty JSON": raw(
                json.dumps({"error": ERROR}, indent=2), content_type="application/json", detail=SAID
            ),
            "minimax": raw(
                json.dumps(MINIMAX),
                content_type="application/json",
                detail="unknown error",
            ),
            "whole JSON, no stream": raw(
                json.dumps(WHOLE_JSON),
                content_type="application/json",
                detail="does not stream",
            ),
        },
    ),
    "error_in_its_own_shape": Kind(
        "whole JSON under 200 that says what went wrong, and no `error` in it; a page as a stream",
        BROKEN,
        {
            "detail": raw('{"detail": "The service is down."}', detail="service is down"),
            "code and msg": raw('{"code": 500, "msg": "busy"}', detail="HTTP 500 busy"),
            "a list": raw('[{"error": {"code": 503, "message": "gone"}}]', detail="gone"),
            "as JSON": raw(
                '{"message": "Too much is broken"}',
                api="anthropic",
                content_type="application/json",
                detail="Too much is broken",
            ),
            "a page": raw("<html><title>Maintenance</title></html>", detail='"Maintenance"'),
        },
    ),
    "error_keeps_its_class": Kind(
        "the same, of an error that is not the provider's fault",
        Outcome.QUOTA_EXHAUSTED,
        {
            "in the stream": chat({"error": {"message": "x", "code": "insufficient_quota"}}),
            "in the choice": chat(c("", error={"message": "x", "code": "insufficient_quota"})),
            "in a field": raw('error: {"message": "x", "type": "insufficient_quota"}\n\n'),
            "flat": raw('{"code": "Arrearage", "message": "Your account is not in good standing"}'),
            "plain JSON": raw(
                '{"error": {"message": "x", "code": "insufficient_quota"}}',
                content_type="application/json",
            ),
        },
    ),
    "usage_in_choice": Kind(
        "counts in another place",
        OK,
        {
            "in the choice": chat(c("ab12"), c("", "stop", usage=counted()), tokens=COUNTED),
            "in groq's table": chat(
                c("ab12"),
                {**c("", "stop"), "x_groq": {"id": "r", "usage": counted()}},
                tokens=COUNTED,
            ),
            "in each chunk": chat(
                {**c("ab"), "usage": counted(30, 2)},
                {**c("12"), "usage": counted(30, 4)},
                {**c("", "stop"), "usage": counted(30, 5)},
                tokens=COUNTED,
            ),
            "in two places": chat(
                c("ab12"), {**c("", "stop", usage=counted()), "usage": counted()}, tokens=COUNTED
            ),
            "by other names": chat(
                c("ab12"),
                {**c("", "stop"), "usage": {"input_tokens": 30, "output_tokens": 5}},
                tokens=COUNTED,
            ),
        },
    ),
    "odd_shapes": Kind(
        "chunks that lack what others have, a byte order mark, comments, other line ends",
        OK,
        {
            "null everywhere": chat(
                {"choices": None, "usage": None, "error": None},
                {"choices": [{"index": 0, "delta": None, "finish_reason": None}]},
                c(None),
                {},
                c("ab12"),
                c(None, "stop"),
            ),
            "no choices": chat({"id": "x"}, c("ab12"), c("", "stop")),
            "text in the choice": chat({"choices": [{"text": "ab12", "finish_reason": "stop"}]}),
            "a message, no delta": chat(
                {"choices": [{"message": {"content": "ab12"}, "finish_reason": "stop"}]}
            ),
            "a message beside the delta": chat(
                c("ab", message={"content": "ab"}), c("12", "stop", message={"content": "ab12"})
            ),
            "reasoning beside it": chat(
                {"choices": [{"delta": {"content": "", "reasoning": "ab"}}]},
                {"choices": [{"delta": {"content": None, "reasoning_content": "ab"}}]},
                c("ab12"),
                c("", "stop"),
            ),
            "byte order mark": Reply(b"\xef\xbb\xbf" + WHOLE),
            "line ends of HTTP": Reply(WHOLE.replace(b"\n", b"\r\n")),
            "no blank after the colon": Reply(WHOLE.replace(b"data: ", b"data:")),
            "no empty line after a chunk": Reply(WHOLE.replace(b"\n\n", b"\n") + DONE[:-1]),
            "two chunks in one event": Reply(WHOLE.replace(b"\n\n", b"\n", 1) + DONE),
            "text in the beginning of a block": claude(
                {**anthropic.block(0, "text", text="ab")},
                *anthropic.text()[3:],
                anthropic.end("end_turn"),
                anthropic.STOP,
            ),
            "comments": Reply(b": PROCESSING\n\n" * 3 + WHOLE + b": bye\n\n"),
            "ids and names": Reply(WHOLE.replace(b"data: ", b"id: 1\nevent: message\ndata: ")),
        },
    ),
    "comments_only": Kind(
        "keeps the connection alive with comments and says nothing",
        CUT,
        {"comments": raw(": PROCESSING\n\n" * 5)},
    ),
}
