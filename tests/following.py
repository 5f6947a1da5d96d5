"""Somebody who follows a store's changes, as an index in memory does."""

from __future__ import annotations

from gaitkeeper.gallery.stores.protocol import xor_of


class Follower:
    """What somebody knows who follows a collection: template -> Change."""

    def __init__(self, store, collection="default"):
        self.store, self.collection, self.known, self.cursor = store, collection, {}, ""

    def step(self, limit=1000):
        """Take the next changes; False where there were none."""
        news = self.store.changes(self.collection, self.cursor, limit)
        assert len(news.changes) <= limit
        if news.reset:
            self.known.clear()
        for change in news.changes:
            if change.embedding is None:
                self.known.pop(change.template, None)
            else:
                self.known[change.template] = change
        self.cursor = news.cursor
        return bool(news.changes) or news.reset

    def follow(self, limit=1000):
        """Catch up, and prove it by the digest."""
        while self.step(limit):
            pass
        digest = self.store.digest(self.collection)
        leaves = [digest.leaf(change.template, change.embedding) for change in self.known.values()]
        assert (digest.count, digest.value) == (len(leaves), xor_of(b"".join(leaves)))
        return self.known


def replay(store, collection="default"):
    """What a follower that starts now knows."""
    return Follower(store, collection).follow(limit=7)
