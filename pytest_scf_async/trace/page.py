"""The file of a trace: one HTML page with its data, the viewer and a policy that lets nothing else run.

The page is opened by a double click, so it loads nothing: the viewer's style and script are in it, and the policy names
them by their hashes. Lines of logs are hostile input: the data is a block that no browser executes, and what could end
that block is escaped.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from functools import cache
from importlib import resources
from typing import Any, Final

from ..errors import ScfUsageError
from .facts import FORMAT, VERSION, Facts

_BEGIN: Final = '<script type="application/json" id="trace">'
_END: Final = "</script>"
_UNSAFE: Final = re.compile("[<>&\u2028\u2029\ud800-\udfff]")
"""What could end the block or begin a comment in it, what old browsers take for the end of a line, and halves of
characters, which UTF-8 does not have."""
_UNREAD: Final = {
    "viewer.js": re.compile(r"^\t+|^\n|^\t*//.*\n|\s//\s.*$", re.MULTILINE),
    "viewer.css": re.compile(r";?\s+(?=})|\s+(?={)|(?<=[{}:;,])\s+|(?<=^)\s+"),
}
"""What of the viewer's files no browser reads: indentation, empty lines and comments, and spaces of the style."""
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<noscript>This trace needs JavaScript. In a terminal: python -m pytest_scf_async trace FILE</noscript>
{begin}{data}{end}
<script>{script}</script>
</body>
</html>
"""


def page(facts: Facts) -> str:
    """The page that shows *facts*."""
    style, script = _viewer("viewer.css"), _viewer("viewer.js")
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; base-uri 'none'; "
        "form-action 'none'"
    )
    title = f"{facts['outcome']}: {facts['test']}"
    return _PAGE.format(
        policy=policy,
        title=html.escape(_escaped_surrogates(title)),
        style=style,
        begin=_BEGIN,
        data=_data(facts),
        end=_END,
        script=script,
    )


def facts_in(text: str, name: str) -> Facts:
    """The data of the page *text*, of the file *name*; ``ScfUsageError`` for no trace, or one of another version."""
    begin = text.find(_BEGIN)
    end = text.find(_END, begin)
    try:
        facts: Any = json.loads(text[begin + len(_BEGIN) : end]) if 0 <= begin < end else None
    except ValueError:
        facts = None
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise ScfUsageError(
            f"{name} is not a trace of pytest-scf-async: --scf-async-trace writes files called trace.html"
        )
    if facts.get("version") != VERSION:
        raise ScfUsageError(
            f"{name} is a trace of version {facts.get('version')!r}, written by pytest-scf-async "
            f"{facts.get('package')}, and this one reads version {VERSION}"
        )
    return facts


def _data(facts: Facts) -> str:
    text = json.dumps(facts, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return _UNSAFE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def _escaped_surrogates(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@cache
def _viewer(name: str) -> str:
    """A file of the viewer as a page has it: without what no browser reads."""
    return _UNREAD[name].sub("", resources.files(__package__).joinpath(name).read_text(encoding="utf-8"))
