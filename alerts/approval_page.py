"""The page behind an approval link: plain server-rendered HTML that a phone shows without scripts, pictures or a second request.

GET and HEAD change nothing, so mail scanners and link previews can follow the link as often as they like. Only the form's POST decides.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from hashlib import sha256
from html import escape
from urllib.parse import parse_qs

from alerts.actions.base import Action
from alerts.message import clock_time, money
from alerts.state import ActionState

_STYLE = """
body{font:17px/1.5 system-ui,sans-serif;margin:0;background:#f4f4f2;color:#1c1c1a}
main{max-width:34em;margin:0 auto;padding:1.2em}
h1{font-size:1.3em;line-height:1.3;margin:.2em 0 .6em}
section{background:#fff;border-radius:.6em;padding:1em;margin:0 0 1em}
p{margin:.3em 0}.soft{color:#5c5c58}
label{display:block;font-weight:600;margin:0 0 .3em}
input[type=text]{font:inherit;width:100%;box-sizing:border-box;padding:.6em;border:1px solid #8a8a84;border-radius:.4em}
button{font:inherit;font-weight:600;width:100%;padding:.8em;margin:.8em 0 0;border-radius:.5em;border:1px solid #8a1c1c}
.yes{background:#8a1c1c;color:#fff}.no{background:#fff;color:#1c1c1a;border-color:#8a8a84}
@media(prefers-color-scheme:dark){body{background:#161615;color:#eee}section{background:#232322}.soft{color:#b4b4ae}
input[type=text],.no{background:#161615;color:#eee}}
"""
_STYLE_HASH = base64.b64encode(sha256(_STYLE.encode()).digest()).decode()

HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    # The token in the address must not travel on with a link that somebody follows from here.
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex",
}
MAX_FORM_BYTES = 16_384

_STATE_WORDS = {
    ActionState.APPROVED: "approved, about to be paused",
    ActionState.ACTING: "being paused",
    ActionState.PAUSED: "paused",
    ActionState.RETURNING: "being switched back on",
    ActionState.RETURNED: "running again",
    ActionState.RELEASED: "changed on the platform by a person",
    ActionState.REJECTED: "left running",
    ActionState.EXPIRED: "nobody answered in time",
    ActionState.WITHDRAWN: "no longer needed",
    ActionState.FAILED: "could not be paused",
    ActionState.UNCONFIRMED: "not confirmed by the platform",
}


def question_page(actions: Sequence[Action], *, console_url: str, problem: str = "") -> str:
    """The request: what is wrong, what pausing costs, and two buttons while there is something to decide."""
    waiting = [each for each in actions if each.state is ActionState.AWAITING]
    title = _title(waiting) if waiting else "This was decided already"
    parts = [f"<h1>{escape(title)}</h1>"]
    if problem:
        parts.append(f"<section><p><strong>{escape(problem)}</strong></p></section>")
    parts += [_card(each) for each in actions]
    if waiting:
        parts.append(_form(waiting))
    parts.append(f'<p class="soft"><a href="{escape(console_url, quote=True)}">Open the console</a></p>')
    return _page(title, "\n".join(parts))


def message_page(title: str, text: str) -> str:
    """One sentence, e.g. that the link has expired."""
    return _page(title, f"<h1>{escape(title)}</h1>\n<section><p>{escape(text)}</p></section>")


class Form:
    """What the page's POST carries: the decision, the name, and the actions that were shown beside the button."""

    def __init__(self, body: bytes) -> None:
        fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=600)
        self.decision = fields.get("decision", [""])[0]
        self.name = fields.get("name", [""])[0]
        self.shown = frozenset(fields.get("action", []))


def _title(waiting: Sequence[Action]) -> str:
    if len(waiting) == 1:
        return f"Pause {waiting[0].name or waiting[0].target}?"
    return f"Pause {len(waiting)} campaigns?"


def _card(action: Action) -> str:
    lines = [f"<p><strong>{escape(action.name or action.target)}</strong></p>", f"<p>{escape(action.sentence)}</p>"]
    if action.state is ActionState.AWAITING:
        spend = money(action.spend_per_hour_micros, action.currency)
        hours = f"{action.runs_out / 3_600_000:g}"
        lines.append(f"<p>{escape(action.pause_cost)}</p>")
        lines.append(
            f'<p class="soft">It spends about {escape(spend)} an hour. Paused for at most {hours} hours; it comes back by itself '
            "as soon as the fault is gone.</p>"
        )
        lines.append(_approvals(action))
    else:
        by = f" (decided by {action.decided_by})" if action.decided_by else ""
        lines.append(f'<p class="soft">{escape(_STATE_WORDS.get(action.state, str(action.state)) + by)}</p>')
    return f"<section>{''.join(lines)}</section>"


def _approvals(action: Action) -> str:
    if action.needs < 2:
        return ""
    agreed = ", ".join(each.by for each in action.approvals)
    have = f"{escape(agreed)} agreed; one more is needed" if agreed else "Two people must agree"
    return f'<p class="soft">{have}: a link counts once, the other answers in the console with a key.</p>'


def _form(waiting: Sequence[Action]) -> str:
    shown = "".join(f'<input type="hidden" name="action" value="{each.action_id}">' for each in waiting)
    until = clock_time(min(each.expires_at for each in waiting))
    return f"""<section><form method="post">{shown}
<label for="name">Your name, for the record</label>
<input type="text" id="name" name="name" maxlength="80" autocomplete="name" required>
<button class="yes" name="decision" value="approve">Pause</button>
<button class="no" name="decision" value="reject">Leave running</button>
</form><p class="soft">You can answer until {until}.</p></section>"""


def _page(title: str, body: str) -> str:
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>
<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style></head>
<body><main>
{body}
</main></body></html>
"""
