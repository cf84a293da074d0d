"""Amazon's SDKs, whose clients and resources have methods for every service."""

from __future__ import annotations

from .rows import ASYNC, OFF, SEVERAL, Library, client, row

PAGES_LATER = (
    "it makes its requests later, while it is iterated; wrap a client's own `list_...` or loop instead"
)
BATCH = (
    "a batch writer keeps what it is given, and sends it later in one request with the rest; "
    "given it twice, it would keep it twice"
)
WAITER = "a waiter polls until its condition holds; it would keep its slot"

_CLIENT_MADE_BY = (
    "boto3.client boto3.session.Session().client boto3.Session().client"
    " botocore.session.get_session().create_client botocore.session.Session().create_client"
    " botocore.client.BaseClient boto3.DEFAULT_SESSION.client"
)
_ASYNC_CLIENT_MADE_BY = (
    "aioboto3.Session().client aioboto3.session.Session().client aiobotocore.session.get_session().create_client"
    " aiobotocore.session.AioSession().create_client"
)


def _several_of(made_by: str) -> dict[str, str]:
    """Return what a client gives that makes requests of its own accord -> why it is not wrapped."""
    pages = {f"{maker}().get_paginator().paginate": PAGES_LATER for maker in made_by.split()}
    return pages | {f"{maker}().get_waiter().wait": WAITER for maker in made_by.split()}


_TRANSFERS = dict.fromkeys(
    "upload_file upload_fileobj download_file download_fileobj copy".split(),
    SEVERAL,
)


AMAZON: tuple[Library, ...] = (
    row(
        "boto3",
        "",
        client(
            _CLIENT_MADE_BY,
            others="can_paginate close get_paginator get_waiter generate_presigned_url generate_presigned_post",
        ),
        client(
            "boto3.resource boto3.Session().resource boto3.session.Session().resource",
            "upload_file upload_fileobj download_file download_fileobj put get delete copy copy_from put_object"
            " get_item put_item update_item delete_item query scan batch_get_item send_message send_messages"
            " receive_messages delete_messages publish create delete_objects load reload create_bucket create_table"
            " create_queue get_queue_by_name",
            chained=True,
        ),
        own_retries=OFF,
        queued_only=_TRANSFERS,
        refused=_several_of(_CLIENT_MADE_BY),
    ),
    row(
        "aioboto3",
        "",
        client(
            _ASYNC_CLIENT_MADE_BY,
            others="can_paginate close get_paginator get_waiter generate_presigned_url generate_presigned_post",
        ),
        calls=ASYNC,
        own_retries=OFF,
        queued_only=_TRANSFERS,
        refused=_several_of(_ASYNC_CLIENT_MADE_BY),
    ),
)
