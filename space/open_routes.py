"""The routes of Gradio that are open: only those that the page and the API need."""

from __future__ import annotations

import re

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

# Gradio opens many more to everyone: how often what was used (/monitoring/summary), links that
# write a visitor's page to the disk (/gradio_api/deep_link), uploads, files, recordings, a proxy.
_OPEN = re.compile(
    r"""
    /                                                     # the page
    | /(assets|static|svelte)/.*                          # its scripts, styles and pictures
    | (/gradio_api)?/theme\.css | /favicon\.ico | /robots\.txt | /manifest\.json
    | /pwa_icon(/\d+)?
    | /config/?                                           # how page and API are made up
    | /gradio_api/(info/? | openapi\.json | app_id/? | startup-events | login_check/?)
    | /gradio_api/heartbeat/[^/]+
    | /gradio_api/queue/(join | data | status)            # events and what comes of them
    | /gradio_api/(run/predict/? | cancel | reset/?)
    | /gradio_api/call/(v2/)?                             # the API, as curl asks
      (answer | identify_rna | annotate_rna | ask_about_rna | explain_answer)(/[^/]*)?
    | /gradio_api/mcp(/(http/?|schema)?)?                 # its tools, as assistants ask
    """,
    re.VERBOSE | re.ASCII,
)


class OpenRoutes:
    """ASGI middleware that answers 404 to every other address."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # The path within the application, which a proxy may have put under one of its own.
        path = str(scope.get("path", "")).removeprefix(scope.get("root_path", ""))
        if scope["type"] == "lifespan" or _OPEN.fullmatch(path):
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await PlainTextResponse("Not found.", 404)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})
