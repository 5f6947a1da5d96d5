"""Schema of an SQLite gallery file, as a list of migration steps."""

from __future__ import annotations

import sqlite3

from gaitkeeper.gallery.stores.protocol import leaf_of

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE collections (
            key INTEGER PRIMARY KEY,
            name TEXT NOT NULL UNIQUE,
            fingerprint TEXT,
            keeps_heatmaps INTEGER NOT NULL,
            created TEXT NOT NULL
        ) STRICT""",
        """CREATE TABLE subjects (
            key INTEGER PRIMARY KEY,
            collection INTEGER NOT NULL REFERENCES collections (key) ON DELETE CASCADE,
            id TEXT NOT NULL,
            display_name TEXT,
            metadata TEXT NOT NULL,
            created TEXT NOT NULL,
            UNIQUE (collection, id)
        ) STRICT""",
        """CREATE TABLE templates (
            key INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            collection INTEGER NOT NULL REFERENCES collections (key) ON DELETE CASCADE,
            subject INTEGER NOT NULL REFERENCES subjects (key) ON DELETE CASCADE,
            fingerprint TEXT NOT NULL,
            clip_sha256 TEXT,
            track INTEGER NOT NULL,
            start REAL NOT NULL,
            "end" REAL NOT NULL,
            quality TEXT NOT NULL,
            has_heatmaps INTEGER NOT NULL,
            created TEXT NOT NULL,
            parts INTEGER NOT NULL,
            dims INTEGER NOT NULL,
            embedding BLOB NOT NULL,
            UNIQUE (collection, clip_sha256, track)
        ) STRICT""",
        "CREATE INDEX templates_by_subject ON templates (subject)",
        """CREATE TABLE sequences (
            template INTEGER PRIMARY KEY REFERENCES templates (key) ON DELETE CASCADE,
            data BLOB NOT NULL
        ) STRICT""",
        # One row per template that ever existed. Removing the template rewrites it with a new revision. It contains no
        # names.
        """CREATE TABLE changes (
            revision INTEGER PRIMARY KEY AUTOINCREMENT,
            collection INTEGER NOT NULL REFERENCES collections (key) ON DELETE CASCADE,
            template TEXT NOT NULL UNIQUE
        ) STRICT""",
        "CREATE INDEX changes_by_collection ON changes (collection, revision)",
    ),
    (
        # Embeddings are separate from templates: a template can have two embeddings, with different fingerprints.
        "ALTER TABLE collections ADD COLUMN ttl REAL",
        "ALTER TABLE collections ADD COLUMN secret BLOB",
        "ALTER TABLE subjects ADD COLUMN legal_basis TEXT",
        "ALTER TABLE subjects ADD COLUMN sealed_key BLOB",
        """CREATE TABLE generations (
            key INTEGER PRIMARY KEY AUTOINCREMENT,
            collection INTEGER NOT NULL REFERENCES collections (key) ON DELETE CASCADE,
            role TEXT NOT NULL,
            fingerprint TEXT,
            parts INTEGER,
            dims INTEGER,
            was_live INTEGER NOT NULL,
            UNIQUE (collection, role)
        ) STRICT""",
        """INSERT INTO generations (collection, role, fingerprint, parts, dims, was_live)
            SELECT key, 'live', fingerprint, (SELECT parts FROM templates WHERE collection = c.key),
                   (SELECT dims FROM templates WHERE collection = c.key), 1 FROM collections c""",
        "ALTER TABLE collections DROP COLUMN fingerprint",
        """CREATE TABLE embeddings (
            generation INTEGER NOT NULL REFERENCES generations (key) ON DELETE CASCADE,
            template INTEGER NOT NULL REFERENCES templates (key) ON DELETE CASCADE,
            leaf BLOB NOT NULL,
            dtype TEXT NOT NULL,
            data BLOB NOT NULL,
            PRIMARY KEY (generation, template)
        ) STRICT""",
        "CREATE INDEX embeddings_by_template ON embeddings (template)",
        """INSERT INTO embeddings (generation, template, leaf, dtype, data)
            SELECT g.key, t.key, leaf(t.id, t.embedding), 'f4', t.embedding
            FROM templates t JOIN generations g ON g.collection = t.collection""",
        # An id is unique within its collection, so that a collection can be copied next to itself.
        """CREATE TABLE new_templates (
            key INTEGER PRIMARY KEY,
            id TEXT NOT NULL,
            collection INTEGER NOT NULL REFERENCES collections (key) ON DELETE CASCADE,
            subject INTEGER NOT NULL REFERENCES subjects (key) ON DELETE CASCADE,
            clip_sha256 TEXT,
            track INTEGER NOT NULL,
            start REAL NOT NULL,
            "end" REAL NOT NULL,
            quality TEXT NOT NULL,
            has_heatmaps INTEGER NOT NULL,
            created TEXT NOT NULL,
            expires TEXT,
            UNIQUE (collection, id),
            UNIQUE (collection, clip_sha256, track)
        ) STRICT""",
        """INSERT INTO new_templates SELECT key, id, collection, subject, clip_sha256, track, start, "end", quality,
            has_heatmaps, created, NULL FROM templates""",
        "DROP TABLE templates",
        "ALTER TABLE new_templates RENAME TO templates",
        "CREATE INDEX templates_by_subject ON templates (subject)",
        "CREATE INDEX templates_by_expiry ON templates (collection, expires) WHERE expires IS NOT NULL",
        """CREATE TABLE new_changes (
            revision INTEGER PRIMARY KEY AUTOINCREMENT,
            collection INTEGER NOT NULL REFERENCES collections (key) ON DELETE CASCADE,
            template TEXT NOT NULL,
            UNIQUE (collection, template)
        ) STRICT""",
        "INSERT INTO new_changes SELECT revision, collection, template FROM changes",
        "DROP TABLE changes",
        "ALTER TABLE new_changes RENAME TO changes",
        "CREATE INDEX changes_by_collection ON changes (collection, revision)",
        # The log outlives its collections.
        """CREATE TABLE audit (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            at TEXT NOT NULL,
            actor TEXT NOT NULL,
            action TEXT NOT NULL,
            collection TEXT NOT NULL,
            subject TEXT,
            templates INTEGER NOT NULL
        ) STRICT""",
        "CREATE INDEX audit_by_collection ON audit (collection, number)",
        """CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
            BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END""",
        """CREATE TRIGGER audit_is_not_shortened BEFORE DELETE ON audit
            BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END""",
        "CREATE TABLE audit_keys (collection TEXT PRIMARY KEY, key BLOB NOT NULL) STRICT",
    ),
    (
        "ALTER TABLE templates ADD COLUMN camera TEXT",
        "ALTER TABLE templates ADD COLUMN heading TEXT",
        """CREATE TABLE statistics (
            collection INTEGER NOT NULL REFERENCES collections (key) ON DELETE CASCADE,
            name TEXT NOT NULL,
            value BLOB NOT NULL,
            PRIMARY KEY (collection, name)
        ) STRICT""",
    ),
    # What is known about cameras is computed from the passers-by that a collection keeps.
    ("DROP TABLE statistics",),
    (
        # Pairs of subjects that were said to be different people. Each pair has two rows.
        """CREATE TABLE apart (
            subject INTEGER NOT NULL REFERENCES subjects (key) ON DELETE CASCADE,
            other INTEGER NOT NULL REFERENCES subjects (key) ON DELETE CASCADE,
            PRIMARY KEY (subject, other)
        ) STRICT""",
        "CREATE INDEX apart_by_other ON apart (other)",
    ),
    (
        "ALTER TABLE collections ADD COLUMN sightings REAL",
        "ALTER TABLE subjects ADD COLUMN picture BLOB",
        # Times are integers of microseconds since 1970.
        """CREATE TABLE sightings (
            key INTEGER PRIMARY KEY,
            collection INTEGER NOT NULL REFERENCES collections (key) ON DELETE CASCADE,
            id TEXT NOT NULL,
            at INTEGER NOT NULL,
            subject INTEGER REFERENCES subjects (key) ON DELETE CASCADE,
            camera TEXT,
            verdict TEXT NOT NULL,
            record TEXT NOT NULL,
            sealed_key BLOB,
            thumbnail BLOB,
            walk BLOB,
            UNIQUE (collection, id)
        ) STRICT""",
        "CREATE INDEX sightings_by_time ON sightings (collection, at, id)",
        "CREATE INDEX sightings_by_subject ON sightings (subject, at) WHERE subject IS NOT NULL",
    ),
)
"""Step i upgrades a file from schema version i to i + 1, in one transaction. Never edit a released step."""


def migrate(connection: sqlite3.Connection, application_id: int) -> None:
    """Upgrade a file to the newest version. Safe if several processes do it at once."""
    connection.create_function("leaf", 2, lambda template, data: leaf_of(b"", template, data), deterministic=True)
    connection.execute("PRAGMA foreign_keys = OFF")  # rebuilding a table must not cascade to others
    while pragma(connection, "user_version") < len(MIGRATIONS):
        connection.execute("BEGIN IMMEDIATE")
        version = pragma(connection, "user_version")  # check again: another process may have done it
        if version < len(MIGRATIONS):
            for statement in MIGRATIONS[version]:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {application_id}")
            connection.execute(f"PRAGMA user_version = {version + 1}")
        connection.execute("COMMIT")
    connection.execute("PRAGMA foreign_keys = ON")


def pragma(connection: sqlite3.Connection, name: str) -> int:
    """Read a numeric setting."""
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
