"""Who asks for a page: a user of Airflow, by the header or by the session's cookie, as Airflow's own pages take it."""

from __future__ import annotations

from typing import Annotated

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.core_api.security import bearer_scheme, get_user
from fastapi import Depends, HTTPException, Request, status

UNREADABLE = "Airflow cannot read the session's cookie: log in again."


async def user_of(request: Request) -> BaseUser:
    """The user who asks.

    :raises HTTPException: nobody, or a session that has ended, or whose cookie nobody can read: 401, which leads a
        browser to the login. A header that cannot be read is refused as Airflow's own API does it, with 403.
    """
    bearer = await bearer_scheme(request)
    try:
        return await get_user(request, None, bearer)
    except HTTPException as error:
        if bearer is None and error.status_code == status.HTTP_403_FORBIDDEN:
            raise HTTPException(status.HTTP_401_UNAUTHORIZED, UNREADABLE) from None
        raise


UserDep = Annotated[BaseUser, Depends(user_of)]
