"""Routes by which the page's users sign in and out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response
from starlette.datastructures import Headers

from gaitkeeper.service.http.cookies import delete_cookie, session_text, set_cookie
from gaitkeeper.service.http.openapi import problems
from gaitkeeper.service.routes.common.dependencies import KeysOf, SessionsOf
from gaitkeeper.service.schemas import SessionReply, SignedOut, SignIn

router = APIRouter(prefix="/session", tags=["system"])


@router.post("", summary="Sign in with a key", responses=problems("store_unavailable", "bad_request"))
def sign_in(
    request: Request, response: Response, keys: KeysOf, sessions: SessionsOf, given: Annotated[SignIn, Body()]
) -> SessionReply:
    """Sets a cookie that stands for the key until the session ends. For the page; programs send the key itself."""
    key = keys.check(given.key.get_secret_value())
    text, expires = sessions.open(key)
    set_cookie(response, request.scope, text, sessions.seconds)
    return SessionReply(key=key.id, name=key.name, expires=expires)


@router.delete("", summary="Sign out", responses=problems("store_unavailable"))
def sign_out(request: Request, response: Response, sessions: SessionsOf) -> SignedOut:
    """Ends the session that the cookie names, and deletes the cookie."""
    text = session_text(Headers(scope=request.scope))
    if text is not None:
        sessions.close(text)
    delete_cookie(response, request.scope)
    return SignedOut(signed_out=text is not None)
