"""What the demo shop's visitors see: three kinds of pages, each with the snippet's one script tag."""

from __future__ import annotations

from html import escape

from app.demo.world import Page

_STYLE = (
    "body{font:16px/1.5 system-ui;margin:3rem auto;max-width:42rem;padding:0 1rem;color:#222}"
    "button{font:inherit;padding:.5rem 1.2rem;background:#175;color:#fff;border:0;border-radius:.3rem}"
    "input{font:inherit;padding:.4rem;margin:.2rem 0 1rem;width:100%}"
)
_TITLES = {
    "/packs": "Daybreak 32, the pack for the first hut",
    "/courses": "Navigation with map and compass: book a weekend",
    "/boots": "Fit finder: boots that match your foot",
    "/guides": "Layering: stay dry from valley to summit",
}

_FIELDS = (
    '<input type="hidden" name="from" value="{page}"><label>Name <input name="name" autocomplete="name"></label>'
    '<label>Postal code <input name="postal_code" autocomplete="postal-code"></label><button>{button}</button>'
)
_FORM = f'<form method="post" action="{{action}}">{_FIELDS}</form>'
_SCRIPT_FORM = f"""<form id="fit" data-action="{{action}}">{_FIELDS}</form><p id="answer"></p><script>
document.getElementById("fit").addEventListener("submit", async (event) => {{{{
  event.preventDefault();
  const sent = await fetch(event.target.dataset.action, {{{{method: "POST", body: new URLSearchParams(new FormData(event.target))}}}});
  document.getElementById("answer").textContent = sent.ok ? "Thank you, your order is on its way." : "That did not work. Please try again.";
}}}});
</script>"""


def landing(page: Page, *, snippet_url: str) -> str:
    """The page as HTML; without a `snippet_url` the tag is missing, as after a tag manager's mishap."""
    tag = f'<script src="{escape(snippet_url)}" async></script>' if snippet_url else ""
    form = _SCRIPT_FORM if page.kind == "script" else _FORM
    button = {"rendered": "Buy", "form": "Book", "script": "Find my boots"}[page.kind]
    title = next(text for path, text in _TITLES.items() if page.path.startswith(path))
    body = form.format(action=escape(page.submit_path), page=escape(page.path), button=button)
    return _document(title, body, head=tag)


def thanks(order_id: str) -> str:
    return _document("Thank you", f"<p>Your order {escape(order_id)} is confirmed.</p>")


def _document(title: str, body: str, *, head: str = "") -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>{head}</head>'
        f"<body><h1>{escape(title)}</h1>{body}</body></html>"
    )
