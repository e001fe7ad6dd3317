"""Firebase Cloud Messaging, by Google's own library (extra `fcm`)."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from flexlive.services.wake_push import (
    ATTEMPT_SECONDS_MAX,
    TITLE_KEY,
    Accepted,
    Dead,
    Later,
    Outcome,
    PushKind,
    Refused,
    Ring,
    Target,
    Unknown,
    retry_after_seconds,
)

REQUEST_SECONDS_MAX: Final = ATTEMPT_SECONDS_MAX - 1


class FcmPush:
    """credentials: JSON file of a service account.

    The library gets its access tokens by blocking requests, now and then in the middle of its asynchronous ones: it
    runs on a loop and a thread of its own, where it holds up nobody's socket."""

    kind: PushKind = "fcm"

    def __init__(self, credentials: Path) -> None:
        self._firebase = import_module("firebase_admin")
        self._messaging = import_module("firebase_admin.messaging")
        self._errors = import_module("firebase_admin.exceptions")
        self._auth_errors = import_module("google.auth.exceptions")
        self._httpx = import_module("httpx")
        # The library's own tries would send without asking whether the offer still stands.
        import_module("firebase_admin._http_client").DEFAULT_HTTPX_RETRY_CONFIG.retries_left = 0
        credential = import_module("firebase_admin.credentials").Certificate(str(credentials))
        options = {"httpTimeout": REQUEST_SECONDS_MAX}
        self._app = self._firebase.initialize_app(credential, options, name=f"flexlive-{uuid4().hex}")
        self._credential: Any = credential.get_credential()
        request = import_module("google.auth.transport.requests").Request()
        self._token_request = partial(request, timeout=REQUEST_SECONDS_MAX)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fcm", daemon=True)
        self._thread.start()

    async def push(self, target: Target, ring: Ring) -> Outcome:
        attempt = asyncio.run_coroutine_threadsafe(self._attempt(target, ring), self._loop)
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS_MAX):
                return await asyncio.wrap_future(attempt)
        except TimeoutError:
            return Unknown("no answer in time")

    async def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._finish)

    def _finish(self) -> None:
        """Outside any event loop: the library starts one to say good-bye to its connections."""
        self._thread.join(ATTEMPT_SECONDS_MAX)
        if self._thread.is_alive():
            return
        self._loop.run_until_complete(_cancel_others())
        self._firebase.delete_app(self._app)
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _attempt(self, target: Target, ring: Ring) -> Outcome:
        if not self._credential.valid:
            try:
                self._credential.refresh(self._token_request)
            except self._auth_errors.GoogleAuthError as error:
                return self._without_token(error)
        try:
            message = self._message(target, ring)
        except ValueError as error:
            return Dead(str(error))
        try:
            # The library's default is a dry run.
            [answer] = (await self._messaging.send_each_async([message], dry_run=False, app=self._app)).responses
        except self._errors.FirebaseError as error:
            answer_error: Any = error
        else:
            if answer.success:
                return Accepted()
            answer_error = answer.exception
        return self._outcome(answer_error)

    def _message(self, target: Target, ring: Ring) -> Any:
        messaging = self._messaging
        # A registration token has a colon; an installation id, which replaces them, has none.
        phone = {"token": target.address} if ":" in target.address else {"fid": target.address}
        return messaging.Message(
            **phone,
            data=ring.data,
            android=messaging.AndroidConfig(priority="high", ttl=ring.ttl_seconds),
            # For apps on iOS that are reached through FCM.
            apns=messaging.APNSConfig(
                headers={
                    "apns-priority": "10",
                    "apns-push-type": "alert",
                    "apns-expiration": str(int(ring.valid_until.timestamp())),
                    "apns-collapse-id": str(ring.offer_id),
                },
                payload=messaging.APNSPayload(
                    aps=messaging.Aps(
                        alert=messaging.ApsAlert(loc_key=TITLE_KEY), sound="default", mutable_content=True
                    )
                ),
            ),
        )

    def _outcome(self, error: Any) -> Outcome:
        messaging, errors, httpx = self._messaging, self._errors, self._httpx
        reason = str(error.code)
        match error:
            case messaging.UnregisteredError() | messaging.SenderIdMismatchError() | errors.InvalidArgumentError():
                # What we send is always the same and valid: an invalid argument is a token that is none.
                return Dead(reason)
            case messaging.ThirdPartyAuthError() | errors.UnauthenticatedError() | errors.PermissionDeniedError():
                return Refused(reason)
            case _ if error.http_response is not None:
                after = retry_after_seconds(error.http_response.headers.get("retry-after"), datetime.now(UTC))
                busy = error.http_response.status_code == 429 or error.http_response.status_code >= 500
                return Later(reason, after) if busy else Refused(reason)
            case _ if isinstance(error.cause, self._auth_errors.GoogleAuthError):
                return self._without_token(error.cause)
            case _ if isinstance(error.cause, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
                return Later("not reachable")
            case _:
                return Unknown(reason)

    def _without_token(self, error: Any) -> Outcome:
        """No access token, so nothing was sent."""
        passing = isinstance(error, self._auth_errors.TransportError) or bool(getattr(error, "retryable", False))
        return Later("no access token") if passing else Refused("no access token")


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
