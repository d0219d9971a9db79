"""Tombstones: who asked to be forgotten, as salted digests that name nobody.

A digest is the SHA-256 of the project's salt, the kind of key and the key. Who holds the salt and guesses a key can
check the guess, as landing does; nobody can read a key out of it.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from c360ml import tables
from c360ml.lakehouse import Lakehouse

SALT_BYTES = 32


def digest_sql(kind: str, key: str) -> str:
    """SQL of a tombstone's digest, of a kind and the SQL of a key; `salt` must be a column.

    >>> from c360ml.lakehouse import connect
    >>> connect().sql(f"select {digest_sql('record', 'k')}[:8] from (select 's' as salt, 'crm:1' as k)").fetchall()
    [('8ab5c3bf',)]
    """
    return f"sha256(concat_ws('|', salt, '{kind}', {key}))"


def bury(lake: Lakehouse, keys: Sequence[tuple[str, str]]) -> None:
    """Add tombstones of `(kind, key)`, those that are there already apart, in one commit."""
    salt = secrets.token_hex(SALT_BYTES)
    known = "select null::varchar as digest, null::varchar as salt where false"
    if lake.version(tables.TOMBSTONES) is not None:
        known = f"select digest, salt from {lake.open(tables.TOMBSTONES)}"
    lake.append(
        tables.TOMBSTONES,
        f"""
        with known as ({known}),
        salts as (select coalesce((select min(salt) from known), $salt) as salt),
        given as (select unnest($kinds::varchar[]) as kind, unnest($keys::varchar[]) as key),
        digests as (select distinct sha256(concat_ws('|', salt, kind, key)) as digest, kind, salt from given, salts)
        select digest, kind, salt, $at::timestamptz as forgotten_at from digests anti join known using (digest)
        """,
        {
            "salt": salt,
            "kinds": [kind for kind, _ in keys],
            "keys": [key for _, key in keys],
            "at": lake.opened_at,
        },
    )


def is_forgotten(lake: Lakehouse, kind: str, key: str) -> bool:
    """Whether there is a tombstone of a key: kind `record`, `email` or `master_id`.

    >>> import tempfile
    >>> lake = Lakehouse(tempfile.mkdtemp())
    >>> bury(lake, [("record", "crm:1")])
    >>> is_forgotten(lake, "record", "crm:1"), is_forgotten(lake, "record", "crm:2")
    (True, False)
    """
    if lake.version(tables.TOMBSTONES) is None:
        return False
    found = f"select count(*) from {lake.open(tables.TOMBSTONES)} where digest = {digest_sql(kind, '$key')}"
    return bool(lake.one(found, {"key": key}))
